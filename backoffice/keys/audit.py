"""Who used which key, when: a file that only grows, each line chained to the one before. Layout: docs/keys.md.

A line names key ids, counts and a digest of what was worked on; never a key, never a card's number.
"""

import fcntl
import hashlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from backoffice.keys.backend import KeysError

IDS_MAX = 16  # key ids in a line; the rest are counted
LINE_BYTES_MAX = 16384
SUM_S = 60  # sums of frequent calls are written at least as often
SUM_CALLS = 1000
JOB_USES = 100  # then a job's uses are written down before it goes on
JOB_KEYS = 8  # of more keys likewise
IN_JOBS = ("kcv", "session_mac", "tac", "auth", "command_mac", "maintenance_mac", "wrap")  # operations of which
START = "0" * 64  # what the first line is chained to
_SUFFIX = ".audit"


class AuditLost(KeysError):
    """The audit cannot be written, so the key was not used."""


class AuditBroken(KeysError):
    """The audit was changed. The message names the first line that does not hold."""


class Head(NamedTuple):
    """Where the chain ends: to be written into minutes, so that a cut end shows."""

    lines: int
    digest: str


def beside(vault: Path) -> Path:
    """The audit of a vault."""
    return vault.with_name(vault.name + _SUFFIX)


def digest(parts: Iterable[bytes]) -> str:
    """SHA-256 over what a call was about, hex."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(len(part).to_bytes(8, "big"))
        sha.update(part)
    return sha.hexdigest()


class Audit:
    """Appends to one file; several programs may do so at once. A line is on the disk when `write` returns."""

    def __init__(self, path: Path, caller: str, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self.caller = caller
        self._clock = clock
        self._sums: dict[tuple[str, str], int] = {}
        self._sums_since_s = clock()
        self._mutex = threading.Lock()
        self._in_thread = threading.local()

    def write(self, operation: str, key_ids: Iterable[str], count: int = 1, digest: str = "", **more: Any) -> None:
        """One line. Raises AuditLost."""
        self._line(operation, key_ids, count, digest, more)

    @contextmanager
    def job(self, what: str, of: bytes) -> Iterator[None]:
        """The uses of one thread that make one thing: a line when the block begins, their sum when it ends.

        Both are on the disk when the block is entered and left; an error in the block passes through behind the sum.
        Raises AuditLost, also at the end.
        """
        if self._job is not None:
            raise KeysError(f"{self._job.what} is not finished: one job at a time")
        number = self._line("job", (), 0, digest([of]), {"job": what})
        self._in_thread.job = job = _Job(what, number)
        try:
            yield
        finally:
            self._in_thread.job = None
            self._sum_of(job, "job_end")

    def use(self, operation: str, key_ids: Iterable[str]) -> None:
        """One use of keys that makes no money: a line, or in a job one of its sum. Raises AuditLost."""
        job, ids = self._job, tuple(key_ids)
        if job is None or operation not in IN_JOBS:
            self._line(operation, ids, 1, "", {})
            return
        job.uses[operation, ids] += 1
        if job.uses.total() >= JOB_USES or len({one for _, used in job.uses for one in used}) >= JOB_KEYS:
            self._sum_of(job, "job_part")

    @property
    def _job(self) -> "_Job | None":
        return getattr(self._in_thread, "job", None)

    def _sum_of(self, job: "_Job", operation: str) -> None:
        """The uses of a job since its last line."""
        ids = [one for _, used in job.uses for one in used]
        uses = [[name, " ".join(used), count] for (name, used), count in job.uses.items()]
        self._line(operation, ids, job.uses.total(), "", {"job": job.what, "begun": job.number, "uses": uses})
        job.uses.clear()

    def _line(self, operation: str, key_ids: Iterable[str], count: int, digest: str, more: dict[str, Any]) -> int:
        """Its number."""
        ids = list(dict.fromkeys(key_ids))
        if len(ids) > IDS_MAX:
            more = {**more, "more_keys": len(ids) - IDS_MAX}
        with self._mutex:
            return self._append(operation, ids[:IDS_MAX], count, digest, more)

    def sum(self, operation: str, key_id: str) -> None:
        """A call of which there are very many and small ones, as of a device's MAC: written down as a sum."""
        with self._mutex:
            name = (operation, "of a device" if operation == "device_mac" else key_id)
            self._sums[name] = self._sums.get(name, 0) + 1
            if self._sums[name] >= SUM_CALLS or self._clock() - self._sums_since_s >= SUM_S:
                self._flush()

    def close(self) -> None:
        """Write what is summed."""
        with self._mutex:
            self._flush()

    def _flush(self) -> None:
        for (operation, key_id), count in list(self._sums.items()):
            self._append(operation, [key_id], count, "", {})
            del self._sums[operation, key_id]  # a sum that was not written waits for the next time
        self._sums_since_s = self._clock()

    def _append(self, operation: str, ids: list[str], count: int, digest: str, more: Mapping[str, Any]) -> int:
        """The number of the line, which is on the disk."""
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)  # until it is closed
                last, rest = _last(handle)
                torn = bool(rest) and _row(rest + b"\n") is None
                at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock()))
                row = {"n": last.lines + 1, "at": at, "caller": self.caller, "op": operation, "keys": ids,
                       "count": count, "digest": digest, **more, **({"after_torn_line": True} if torn else {}),
                       "prev": last.digest}  # fmt: skip
                text = _chained(row)
                if len(text) > LINE_BYTES_MAX:
                    raise AuditLost(f"a line of {len(text)} bytes is too long for the audit: say it in fewer words")
                whole = (b"\n" if rest else b"") + text
                if os.write(handle, whole) != len(whole):  # a full disk takes what it can, and calls that no error
                    raise AuditLost(f"{self.path}: no room for a whole line; no key is used without it")
                os.fsync(handle)
                return last.lines + 1
            finally:
                os.close(handle)
        except OSError as error:
            raise AuditLost(f"{self.path}: {error.strerror}; no key is used without it") from error


class _Job:
    """What a thread has in hand. `uses`: by operation and keys, since its last line."""

    def __init__(self, what: str, number: int) -> None:
        self.what = what
        self.number = number  # of the line that it began with
        self.uses: Counter[tuple[str, tuple[str, ...]]] = Counter()


def open_jobs(path: Path) -> list[dict[str, Any]]:
    """The first line of each job that has no last one: it is in hand, or its program died within it."""
    begun: dict[int, dict[str, Any]] = {}
    for row in rows(path):
        if row["op"] == "job":
            begun[row["n"]] = row
        elif row["op"] == "job_end":
            begun.pop(row["begun"], None)
    return list(begun.values())


def verify(path: Path, known: Head | None = None) -> Head:
    """Walk the chain; where it ends. Raises AuditBroken, naming the line; KeysError where there is no audit.

    known  where it ended once, from minutes: it must still pass there, or lines were cut off
    """
    head, torn = Head(0, START), False
    passed = known is None
    try:
        with path.open("rb") as file:
            for at, raw in enumerate(file, 1):
                row = _row(raw)
                if row is None:
                    if torn:
                        raise AuditBroken(f"{path}: line {at} is no line of an audit")
                    torn = True  # power failed while it was written: the next one must say so
                    continue
                if torn != bool(row.get("after_torn_line")):
                    raise AuditBroken(f"{path}: line {at - 1} is no line of an audit")
                torn = False
                if row.get("prev") != head.digest or row.get("n") != head.lines + 1:
                    raise AuditBroken(f"{path}: line {at} does not follow the one before: lines are missing or new")
                head = Head(head.lines + 1, row["hash"])
                passed = passed or head == known
            if torn and raw.endswith(b"\n"):
                raise AuditBroken(f"{path}: line {at}, the last, is no line of an audit")
    except FileNotFoundError as error:
        raise KeysError(f"{path} does not exist: no key was used yet, or the file was taken away") from error
    if known is not None and not passed:
        raise AuditBroken(f"{path}: line {known.lines} is not the one that was noted: lines were cut off or made anew")
    return head


def rows(path: Path) -> list[dict[str, Any]]:
    """All lines that hold by themselves; `verify` says whether they follow one another."""
    with path.open("rb") as file:
        return [row for row in map(_row, file) if row is not None]


def _chained(row: dict[str, Any]) -> bytes:
    text = json.dumps(row, ensure_ascii=False)
    return f"{text[:-1]}, \"hash\": \"{hashlib.sha256(text.encode()).hexdigest()}\"}}\n".encode()


def _row(raw: bytes) -> dict[str, Any] | None:
    """None where it is no line, or its hash is not its own."""
    if len(raw) > LINE_BYTES_MAX or not raw.endswith(b'"}\n'):
        return None
    text, found, rest = raw.rpartition(b', "hash": "')
    if not found or hashlib.sha256(text + b"}").hexdigest().encode() != rest[:-3]:
        return None
    row: dict[str, Any] = json.loads(raw)
    return row


def _last(handle: int) -> tuple[Head, bytes]:
    """Where the chain ends, and what stands behind the last end of a line: a line torn by a power cut. AuditBroken."""
    size = os.fstat(handle).st_size
    tail = os.pread(handle, 2 * LINE_BYTES_MAX, max(0, size - 2 * LINE_BYTES_MAX))
    *lines, rest = tail.split(b"\n")
    row = _row(rest + b"\n")  # all but its end of line was written
    if row is None and lines:
        row = _row(lines[-1] + b"\n")
        if row is None:
            raise AuditBroken(
                "the end of the audit is not as it was written: `ykt keys audit verify`, then move it away and keep it"
            )
    return (Head(0, START) if row is None else Head(row["n"], row["hash"])), rest
