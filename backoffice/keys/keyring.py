"""The key service over one or more backends: finds a key, asks its state, uses it where it lies, writes it down.

The first backend that holds a key serves. What it lacks, the next one does that holds the same key, and at last the
second provider (`suites.py`) with a card's key that was released for it: both are written to the audit.
"""

import hmac
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES128

from backoffice.keys import audit as audits
from backoffice.keys import hierarchy, native
from backoffice.keys.backend import (
    ACTIVE,
    COMPROMISED,
    DESTROYED,
    GENERATED,
    RETIRED,
    VERIFY_ONLY,
    Backend,
    KeyInfo,
    KeyPath,
    KeysError,
    Lacks,
    Unavailable,
)  # fmt: skip
from backoffice.keys.hierarchy import OF_CARDS, OF_CHIPS, Scheme
from backoffice.keys.meter import CARD_CHECKS_MAX, Meter
from backoffice.keys.service import BATCH_MAX, ROW_VERDICTS, TAC_ROW, NoKey, TacRequest
from backoffice.keys.suites import ALGORITHMS, SUITES
from backoffice.keys.vault import Vault
from tunion import bcd
from tunion.record import BadInput
from tunion.wire.soft_sam import make_blob

_OK, _BAD, _NO_KEY, _UNAVAILABLE = range(4)  # ROW_VERDICTS
_ROW = TAC_ROW.size
_CARD, _MESSAGE, _TAC = slice(8, 16), slice(20, 42), slice(42, 46)
# Purposes whose keys a chip may be given at any level: a PSAM holds them. The others leave for a card only.
_MONEY = ("load", "unload")  # purposes of which each use is a line of its own, whatever it is a part of
_INTO_SAMS = ("purchase", "load", "maintenance", *OF_CHIPS)
_STRICTER = (ACTIVE, VERIFY_ONLY, COMPROMISED, GENERATED, RETIRED, DESTROYED)  # each allows no more than those before
_Found = TypeVar("_Found")
_log = logging.getLogger(__name__)


class Keyring:
    """Implements service.KeyService.

    audit, meter  None: nothing is written down or limited, as in tests
    scheme        how issuers' and cards' keys are derived; None: hierarchy.SCHEME
    """

    def __init__(
        self,
        *backends: Backend,
        audit: audits.Audit | None = None,
        meter: Meter | None = None,
        scheme: Scheme | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not backends or len({backend.test for backend in backends}) > 1:
            raise KeysError("a key service has one backend or more, all for tests or all for production")
        self.backends = backends
        self.test = backends[0].test
        self.audit = audit
        self.meter = meter
        self.scheme = scheme or hierarchy.scheme()
        self._clock = clock
        self._changes = -1
        self._held: dict[str, list[tuple[Backend, KeyInfo]]] = {}
        self._ids: dict[tuple[str, str, int, str, str], str] = {}
        self._kinds: dict[tuple[str, str], set[int]] = {}  # versions that there are
        self._chips: dict[tuple[str, str, int], list[str]] = {}

    def infos(self) -> list[KeyInfo]:
        """All kept keys; one that lies in two places is told once."""
        self._refresh()
        return [holders[0][1] for holders in self._held.values()]

    def job(self, what: str, of: bytes) -> AbstractContextManager[None]:
        """service.KeyService.job."""
        return nullcontext() if self.audit is None else self.audit.job(what, of)

    def close(self) -> None:
        """Write down what is summed."""
        if self.audit is not None:
            self.audit.close()

    def refresh(self) -> None:
        """Another program changed keys of a backend: read the table again."""
        self._changes = -1

    def path(
        self, purpose: str, algorithm: str, version: int, issuer: bytes = b"", *below: bytes, product: int = 0
    ) -> KeyPath:
        """service.KeyService.path."""
        found = self.find(purpose, algorithm, version, issuer, *below, product=product)
        info = self._info(found.key_id)
        if not hierarchy.may_make(info):
            raise NoKey(f"key {info.key_id} makes nothing new: {hierarchy.why_not(info)}")
        return found

    def find(
        self, purpose: str, algorithm: str, version: int, issuer: bytes = b"", *below: bytes, product: int = 0
    ) -> KeyPath:
        """As `path`, whatever the key's state: to see its check value. Raises NoKey where none leads there."""
        if purpose in OF_CHIPS or purpose == "zone":
            found = self._of_chips(purpose, algorithm, version)
        else:
            found = self._of_issuer(purpose, algorithm, version, issuer, product)
        if found is None:
            of = f"issuer {issuer.hex().upper()}, " if issuer else ""
            raise NoKey(f"no {algorithm} {purpose} key of {of}version {version}: `ykt keys list` shows what there is")
        return found._replace(factors=(*found.factors, *below))

    def version_for_cards(self, purpose: str, algorithm: str, issuer: bytes = b"") -> int:
        """The version that new cards are made with: the highest that every PSAM has. Raises NoKey."""
        return max(self._versions(purpose, algorithm, issuer, for_cards=True))

    def versions_for_sams(self, purpose: str, algorithm: str, issuer: bytes = b"") -> list[int]:
        """The versions that a PSAM is given, lowest first: two while keys are rolled over. Raises NoKey."""
        return sorted(self._versions(purpose, algorithm, issuer, for_cards=False))

    def kcv(self, path: KeyPath) -> str:
        """6 hex digits; of a key in any state that has a value."""
        info = self._info(path.key_id)
        if info.state == DESTROYED:
            raise NoKey(f"key {info.key_id}: {hierarchy.why_not(info)}")
        return self._used("kcv", [path], lambda backend: backend.kcv(path))

    def session_mac(self, path: KeyPath, block: bytes, message: bytes) -> bytes:
        """4 bytes."""
        self._must("session_mac", path, ("purchase", "load", "unload"))
        return self._used(
            "session_mac",
            [path],
            lambda backend: backend.session_mac(path, block, message),
            lambda: self._released(path).session_mac(block, message),
        )

    def tac(self, path: KeyPath, message: bytes) -> bytes:
        """4 bytes."""
        self._must("tac", path, ("tac",))
        issuer_path = path._replace(factors=path.factors[:-1])
        return self._used(
            "tac",
            [path],
            lambda backend: backend.tacs(issuer_path, path.factors[-1:], [message])[0],
            lambda: self._released(path).tac(message),
        )

    def auth(self, control: KeyPath, challenge: bytes) -> bytes:
        """8 bytes."""
        self._must("auth", control, OF_CHIPS)
        return self._used("auth", [control], lambda backend: backend.auth(control, challenge))

    def command_mac(self, control: KeyPath, iv: bytes, message: bytes) -> bytes:
        """4 bytes."""
        self._must("command_mac", control, OF_CHIPS)
        return self._used("command_mac", [control], lambda backend: backend.command_mac(control, iv, message))

    def maintenance_mac(self, path: KeyPath, challenge: bytes, command: bytes) -> bytes:
        """4 bytes."""
        self._must("maintenance_mac", path, ("maintenance",))
        iv = challenge[:4] + bytes(4)
        return self._used("maintenance_mac", [path], lambda backend: backend.command_mac(path, iv, command))

    def wrap(self, control: KeyPath, target: KeyPath) -> bytes:
        """16 or 24 bytes."""
        self._must("wrap", control, (*OF_CHIPS, "zone"))
        if self._info(control.key_id).purpose != "zone" and not self._is_the_last(control):
            raise KeysError(f"key {control.key_id}: what goes into a chip is wrapped with that chip's own key")
        self._must("wrap", target, (*OF_CARDS, *OF_CHIPS))
        info = self._info(target.key_id)
        of_card = info.purpose in OF_CARDS and self._level(target) == hierarchy.CARD
        if info.purpose not in _INTO_SAMS and not of_card:
            raise KeysError(f"key {info.key_id}: a {info.purpose} key leaves for its card only, none above it")
        if of_card and not hierarchy.may_be_in_cards(info, int(self._clock())):
            raise NoKey(f"key {info.key_id} is not in cards yet: every SAM has it first, then `ykt keys roll issue`")
        return self._used("wrap", [control, target], lambda backend: backend.wrap(control, target))

    def soft_sam_blob(
        self, storage_key: bytes, issuers: Sequence[bytes], terminal: bytes, generation: int, start: bytes,
        expiry: bytes, versions: Sequence[int],
    ) -> bytes:
        """service.KeyService.soft_sam_blob. Raises NoKey where an issuer has no key of a version."""  # fmt: skip
        paths = {
            issuer + bytes((version,)): self.path("purchase", "3DES", version, issuer)
            for version in versions
            for issuer in issuers
        }
        keys = {name: self._used("soft_sam", [path], _releasing(path, "soft SAM")) for name, path in paths.items()}
        return make_blob(
            storage_key, _aes_cbc, secrets.token_bytes(16), keys, terminal, generation, start, expiry, test=self.test
        )

    def device_mac(self, device_id: int, message: bytes) -> bytes:
        """32 bytes."""
        self._refresh()
        key_id = self._ids.get(("device", "HMAC", 1, "device", str(device_id)))
        if key_id is None:
            raise NoKey(f"no key of device {device_id} in the vault")
        return self._of_id("device_mac", key_id, lambda backend: backend.hmac(key_id, message))

    def sign(self, key_id: str, digest: bytes) -> bytes:
        """64 bytes."""
        self._signing(key_id)
        return self._of_id("sign", key_id, lambda backend: backend.sign(key_id, digest))

    def public_key(self, key_id: str) -> bytes:
        """65 bytes."""
        self._signing(key_id)
        return self._first(key_id, lambda backend: backend.public_key(key_id))

    def tac_verify_batch(self, requests: Sequence[TacRequest]) -> list[str]:
        """Verdicts of at most BATCH_MAX requests."""
        if len(requests) > BATCH_MAX:
            raise ValueError(f"a batch holds at most {BATCH_MAX} requests")
        return [ROW_VERDICTS[code] for code in self.tac_verify_rows(native.pack_rows(requests, native.load()))]

    def tac_verify_rows(self, rows: bytes) -> bytes:
        """A verdict a row: in bulk where a vault holds the keys, else grouped, each group where its key lies."""
        count = native.checked(rows)
        self._take("tac_verify", count)
        key_ids: list[str] = []
        verdicts = native.verify_rows(
            rows, lambda tag: self._resolved(tag, key_ids), lambda others: self._plain(others, key_ids)
        )
        self._note_verdicts(key_ids, rows, verdicts)
        return verdicts

    def _resolved(self, tag: native.Tag, key_ids: list[str]) -> bytes | native.Plain | None:
        """The issuer's key for bulk code, where a vault holds it and all rows are judged alike."""
        path = self._to_verify(*tag)
        if path is None:
            return None
        backend, info = self._holders(path.key_id)[0]
        if not isinstance(backend, Vault) or info.state == COMPROMISED:
            return native.PLAIN
        key_ids.append(path.key_id)
        return backend._at(path)

    def _plain(self, rows: bytes, key_ids: list[str]) -> bytes:
        """Grouped by the keys that the rows need."""
        groups: dict[native.Tag, list[int]] = {}
        for number in range(len(rows) // _ROW):
            groups.setdefault(native.tag_at(rows, number), []).append(number)
        verdicts = bytearray(len(rows) // _ROW)
        for tag, numbers in groups.items():
            path = self._to_verify(*tag)
            if path is None:
                found = bytes((_NO_KEY,)) * len(numbers)
            else:
                key_ids.append(path.key_id)
                found = self._judged(path, [rows[_ROW * number : _ROW * (number + 1)] for number in numbers])
            for number, verdict in zip(numbers, found, strict=True):
                verdicts[number] = verdict
        return bytes(verdicts)

    def _to_verify(self, issuer: bytes, product: int, number: int, version: int) -> KeyPath | None:
        """To an issuer's TAC key; None where none leads there that may prove anything."""
        algorithm = ALGORITHMS.get(number)
        path = self._of_issuer("tac", algorithm, version, issuer, product) if algorithm else None
        if path is None:
            return None
        info = self._info(path.key_id)
        return path if info.state == COMPROMISED or hierarchy.may_verify(info, 0) else None

    def _judged(self, path: KeyPath, rows: list[bytes]) -> bytes:
        """Verdicts of rows that are proved by one issuer's key."""
        info = self._info(path.key_id)
        fit = [hierarchy.may_verify(info, _at_s(row)) for row in rows] if info.state == COMPROMISED else None
        asked = rows if fit is None else [row for row, is_fit in zip(rows, fit, strict=True) if is_fit]
        try:
            found = self._first(
                path.key_id, lambda backend: _verdicts(backend, path, asked), lambda: self._slowly(path, asked)
            )
        except (Unavailable, Lacks) as problem:
            verdict = _UNAVAILABLE if isinstance(problem, Unavailable) else _NO_KEY
            self._note(ROW_VERDICTS[verdict], [path.key_id], len(asked), why=str(problem))
            found = bytes((verdict,)) * len(asked)
        if fit is None:
            return found
        answers = iter(found)
        return bytes(next(answers) if is_fit else _NO_KEY for is_fit in fit)

    def _slowly(self, path: KeyPath, rows: list[bytes]) -> bytes:
        """By the second provider: a card's key for each row."""
        return bytes(
            _same(self._released(path._replace(factors=(*path.factors, row[_CARD]))).tac(row[_MESSAGE]), row)
            for row in rows
        )

    def _note_verdicts(self, key_ids: list[str], rows: bytes, verdicts: bytes) -> None:
        counts = {name: verdicts.count(code) for code, name in ROW_VERDICTS.items() if code in verdicts}
        self._note("tac_verify", key_ids, len(verdicts), audits.digest([rows]) if self.audit else "", **counts)
        if self.meter is not None:
            over = self.meter.cards(rows)
            if over:
                _log.warning("%d cards were verified more than %d times today: see the audit", over, CARD_CHECKS_MAX)
                self._note("alarm", [], over, why=f"verified more than {CARD_CHECKS_MAX} times today")

    def _of_issuer(self, purpose: str, algorithm: str, version: int, issuer: bytes, product: int) -> KeyPath | None:
        """To an issuer's key: the first kept key that leads there decides, whatever its state."""
        self._refresh()
        if len(issuer) != hierarchy.FACTOR_BYTES:
            raise KeysError("an issuer identifier has 8 bytes")
        for level, subject in self.scheme.subjects(issuer, product):
            key_id = self._ids.get((purpose, algorithm, version, level, subject))
            if key_id is not None:
                return KeyPath(key_id, self.scheme.below(level, issuer))
        return None

    def _of_chips(self, purpose: str, algorithm: str, version: int) -> KeyPath | None:
        """The key of all batches, or the only one of any batch."""
        self._refresh()
        named = self._chips.get((purpose, algorithm, version), [])
        common = self._ids.get((purpose, algorithm, version, "chip", ""))
        if common is None and len(named) == 1:
            common = named[0]
        return None if common is None else KeyPath(common)

    def _versions(self, purpose: str, algorithm: str, issuer: bytes, for_cards: bool) -> list[int]:
        found = []
        self._refresh()
        for version in sorted(self._kinds.get((purpose, algorithm), ())):
            try:
                info = self._info(self.path(purpose, algorithm, version, issuer).key_id)
            except NoKey:
                continue
            if not for_cards or hierarchy.may_be_in_cards(info, int(self._clock())):
                found.append(version)
        if not found:
            raise NoKey(f"no {algorithm} {purpose} key of issuer {issuer.hex().upper()} is in use")
        return found

    def _must(self, operation: str, path: KeyPath, purposes: Sequence[str]) -> None:
        info = self._info(path.key_id)
        if info.purpose not in purposes:
            raise KeysError(f"key {info.key_id} is a {info.purpose} key: {operation} takes {', '.join(purposes)}")
        if not hierarchy.may_make(info):
            raise NoKey(f"key {info.key_id} makes nothing new: {hierarchy.why_not(info)}")
        if operation != "wrap" and not self._is_the_last(path):
            raise KeysError(f"key {info.key_id}: {operation} is done with a card's or a chip's own key: go down to it")

    def _is_the_last(self, path: KeyPath) -> bool:
        """A card's or a chip's own key. A key above encrypts nothing for anybody: that is how those below are made."""
        if self._info(path.key_id).purpose in OF_CARDS:
            return self._level(path) == hierarchy.CARD
        return len(path.factors) > 0

    def _signing(self, key_id: str) -> None:
        self._refresh()
        if key_id not in self._held or self._info(key_id).purpose != "params":
            raise NoKey(f"no signing key {key_id} in the vault: make one with `ykt fleet key new`")

    def _of_id(self, operation: str, key_id: str, call: Callable[[Backend], _Found]) -> _Found:
        info = self._info(key_id)
        if not hierarchy.may_make(info):
            raise NoKey(f"key {key_id} makes nothing new: {hierarchy.why_not(info)}")
        self._take(operation)
        answer = self._first(key_id, call)
        if self.audit is not None:
            if operation == "device_mac":
                self.audit.sum(operation, key_id)
            else:
                self._note(operation, [key_id])
        return answer

    def _used(
        self,
        operation: str,
        paths: Sequence[KeyPath],
        call: Callable[[Backend], _Found],
        instead: Callable[[], _Found] | None = None,
    ) -> _Found:
        """Limited, done and written down; only then is the answer given."""
        self._take(operation)
        key_ids = [path.key_id for path in paths]
        answer = self._first(key_ids[0], call, instead, key_ids[1:])
        if self.audit is not None and self._info(key_ids[0]).purpose not in _MONEY:
            self.audit.use(operation, key_ids)
        else:
            self._note(operation, key_ids)
        return answer

    def _first(
        self,
        key_id: str,
        call: Callable[[Backend], _Found],
        instead: Callable[[], _Found] | None = None,
        also: Sequence[str] = (),
    ) -> _Found:
        """What the first backend answers that holds the keys and does not lack the operation."""
        lacks: Lacks | None = None
        for backend, _ in self._holders(key_id):
            if any(all(backend is not other for other, _ in self._holders(one)) for one in also):
                continue
            try:
                return call(backend)
            except Lacks as problem:
                lacks = problem
                self._note("lacks", [key_id], why=str(problem))
        if lacks is None:
            raise Lacks(f"keys {key_id} and {', '.join(also)} do not lie in one place: neither can wrap the other")
        if instead is None:
            raise lacks
        try:
            return instead()
        except Lacks:
            raise lacks from None

    def _released(self, path: KeyPath) -> "_Value":
        """A card's key, for the second provider."""
        algorithm = self._info(path.key_id).algorithm
        if self._level(path) != hierarchy.CARD:
            raise Lacks(f"key {path.key_id}: only a card's key goes to the second provider")
        value = self._first(path.key_id, _releasing(path, f"{algorithm} by the second provider"))
        self._note("release", [path.key_id], why=f"{algorithm} by the second provider")
        return _Value(SUITES[algorithm], value)

    def _level(self, path: KeyPath) -> str:
        return self.scheme.level(self._info(path.key_id), len(path.factors))

    def _take(self, operation: str, count: int = 1) -> None:
        if self.meter is not None:
            self.meter.take(operation, count)

    def _note(self, operation: str, key_ids: Sequence[str], count: int = 1, digest: str = "", **more: Any) -> None:
        if self.audit is not None:
            self.audit.write(operation, key_ids, count, digest, **more)

    def _info(self, key_id: str) -> KeyInfo:
        return self._holders(key_id)[0][1]

    def _holders(self, key_id: str) -> list[tuple[Backend, KeyInfo]]:
        self._refresh()
        if key_id not in self._held:
            raise NoKey(f"no key {key_id}: `ykt keys list` shows what there is")
        return self._held[key_id]

    def _refresh(self) -> None:
        """Make the table of keys, where it was not made since a backend changed. Vault and token follow their files."""
        for backend in self.backends:
            if (follow := getattr(backend, "follow", None)) is not None:
                follow()
        changes = sum(getattr(backend, "changes", 0) for backend in self.backends)
        if changes == self._changes:
            return
        held: dict[str, list[tuple[Backend, KeyInfo]]] = {}
        ids: dict[tuple[str, str, int, str, str], str] = {}
        for backend in self.backends:
            for info in sorted(backend.infos(), key=lambda info: info.index):
                held.setdefault(info.key_id, []).append((backend, info))
                if held[info.key_id][0][1].kcv != info.kcv:
                    raise KeysError(f"two keys are called {info.key_id}: their check values differ, rename one")
                ids.setdefault((info.purpose, info.algorithm, info.version, info.level, info.subject), info.key_id)
        for holders in held.values():  # where only one place was told that a key is lost, it is lost in all
            strictest = max((info for _, info in holders), key=_strictness)
            holders[:] = [(backend, strictest) for backend, _ in holders]
        self._held, self._ids, self._changes = held, ids, changes
        self._kinds, self._chips = {}, {}
        for (purpose, algorithm, version, level, _), key_id in ids.items():
            self._kinds.setdefault((purpose, algorithm), set()).add(version)
            if level == hierarchy.CHIP:
                self._chips.setdefault((purpose, algorithm, version), []).append(key_id)


class _Value:
    """A card's key on its way through the second provider."""

    def __init__(self, suite: Any, value: bytes) -> None:
        self._suite = suite
        self._value = value

    def tac(self, message: bytes) -> bytes:
        found: bytes = self._suite.tac(self._value, message)
        return found

    def session_mac(self, block: bytes, message: bytes) -> bytes:
        found: bytes = self._suite.session_mac(self._value, block, message)
        return found


def _strictness(info: KeyInfo) -> tuple[int, int, int]:
    """Of two, the larger one allows less."""
    return _STRICTER.index(info.state), info.activates_s, -info.compromised_s


def _releasing(path: KeyPath, why: str) -> Callable[[Backend], bytes]:
    return lambda backend: backend.release(path, why)


def _verdicts(backend: Backend, path: KeyPath, rows: list[bytes]) -> bytes:
    tacs = backend.tacs(path, [row[_CARD] for row in rows], [row[_MESSAGE] for row in rows])
    return bytes(_same(tac, row) for tac, row in zip(tacs, rows, strict=True))


def _same(tac: bytes, row: bytes) -> int:
    return _OK if hmac.compare_digest(tac, row[_TAC]) else _BAD


def _at_s(row: bytes) -> int:
    """When the row's purchase was; the end of time where it names no second."""
    try:
        return bcd.at_s(row[_MESSAGE][-7:])
    except BadInput:
        return 0xFFFFFFFF


def _aes_cbc(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    return Cipher(AES128(key), modes.CBC(iv)).encryptor().update(blocks)
