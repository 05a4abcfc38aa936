"""A real pcscd with the virtual reader driver, of our own: on free ports and, where allowed, in a mount namespace.

The daemon's socket path is compiled in. With a mount namespace each of us has its own /run/pcscd, so that two
clones side by side do not meet; clients are started through `command`. Without (no privilege) the machine's
/run/pcscd is used, one at a time under a lock.

    with Pcscd() as pcscd:
        slot = VpcdSlot(pcscd.port)
        subprocess.run(pcscd.command(["opensc-tool", "-l"]), timeout=20)
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from simulator.nursery import popen

DAEMON = "/usr/sbin/pcscd"          # by its absolute path, or it refuses to start
DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
RUN = Path("/run/pcscd")
READERS = ("Virtual PCD 00 00", "Virtual PCD 00 01")        # card slot, PSAM slot: `port` and `port + 1`
MORE_READERS = ("Virtual PCD {} 00 00", "Virtual PCD {} 00 01")     # of the second driver and on, with its number
PAIR = 2                    # slots of one driver
READERS_MAX = 16            # that pcsc-lite has room for

START_S = 20        # a loaded machine; usually 0.2
STOP_S = 5          # from SIGTERM to SIGKILL; usually 0.3
LOCK_S = 120        # another run of ours that shares /run/pcscd ends within this
PROBE_S = 0.02      # between looks at what has no event to wait for
PORT_TRIES = 50     # pairs of neighbouring free ports are found at the first or second try

_CONFIG = """\
FRIENDLYNAME "Virtual PCD{name}"
DEVICENAME   /dev/null:0x{port:04X}
LIBPATH      {driver}
CHANNELID    0x{port:04X}
"""


class PcscdFailed(Exception):
    """The daemon did not start, or died. The message says why and what to do."""


class Pcscd:
    """One pcscd. `port` is the card slot's, `port + 1` the PSAM slot's; `shared` tells that it has no namespace.

    start, stop, kill may alternate: the namespace and the ports stay, and so do clients.

    readers  how many; two to a driver, so 2, 4, … 16. `readers` are their names, `ports` their ports, in order
    """

    def __init__(self, readers: int = len(READERS)) -> None:
        if readers not in range(PAIR, READERS_MAX + 1, PAIR):
            raise ValueError(f"readers come in pairs, up to {READERS_MAX}: {readers} cannot be had")
        for need, package in ((Path(DAEMON), "pcscd"), (DRIVER, "vsmartcard-vpcd")):
            if not need.exists():
                raise PcscdFailed(f"{need} is missing: install the package {package}, or run `make setup`")
        self.port, *self._further = free_port_pairs(readers // PAIR)
        self.shared = False
        self._folder = Path(tempfile.mkdtemp(prefix="pcscd-"))
        self._config = self._folder / "reader.conf"
        entries = [_CONFIG.format(name="", port=self.port, driver=DRIVER)]
        for number, port in enumerate(self._further, 2):
            # The driver keeps its slots in static variables: with one file all entries would share them.
            driver = shutil.copyfile(DRIVER, self._folder / f"libifdvpcd{number}.so")
            entries.append(_CONFIG.format(name=f" {number}", port=port, driver=driver))
        self._config.write_text("\n".join(entries))
        self._log = (self._folder / "pcscd.log").open("wb")
        self._lock: IO[bytes] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        try:
            self._keeper = _namespace()
            if self._keeper is None:
                self.shared = True
                _make_run()
                self._lock = _machine_lock()
        except BaseException:
            self.close()
            raise

    @property
    def ports(self) -> list[int]:
        return [port + slot for port in (self.port, *self._further) for slot in range(PAIR)]

    @property
    def readers(self) -> list[str]:
        return [*READERS, *(name.format(at) for at, _ in enumerate(self._further, 2) for name in MORE_READERS)]

    @property
    def note(self) -> str:
        """One line for people: where this daemon lives."""
        place = "in a mount namespace of its own"
        if self.shared:
            place = f"in {RUN} of this machine, under a lock: mount namespaces are not allowed here"
        *most, last = map(str, self.ports)
        return f"pcscd on ports {', '.join(most)} and {last}, {place}"

    @property
    def pid(self) -> int | None:
        return self._daemon.pid if self._daemon else None

    def command(self, argv: list[str]) -> list[str]:
        """`argv` so that it meets this daemon. Working directory, environment and process id are kept."""
        if self._keeper is None:
            return list(argv)
        return ["nsenter", f"--target={self._keeper.pid}", "--mount", f"--wd={os.getcwd()}", "--", *argv]

    def start(self) -> "Pcscd":
        """Run the daemon; returns when clients and cards can connect. Raises PcscdFailed."""
        self._daemon = popen(
            self.command([DAEMON, "--foreground", "--config", str(self._config)]),
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        deadline = time.monotonic() + START_S
        while not (self._answers() and self._has_slots()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._daemon.wait(PROBE_S)
                raise PcscdFailed(f"pcscd ended at once with code {code}: {self._last_words()}")
            if time.monotonic() > deadline:
                self.stop()
                raise PcscdFailed(f"pcscd was not ready after {START_S} s: {self._last_words()}")
        return self

    def stop(self) -> None:
        """End the daemon. Clients see it gone; `start` brings it back."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Let it die without a word, as a crash does."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop, and give the namespace, the lock and the folder back."""
        self.stop()
        if self._keeper:
            assert self._keeper.stdin
            self._keeper.stdin.close()
            self._keeper.wait()
        if self._lock:
            self._lock.close()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "Pcscd":
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end(self, how: signal.Signals) -> None:
        if self._daemon is None:
            return
        self._daemon.send_signal(how)
        try:
            self._daemon.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()
        self._daemon = None
        # A killed daemon leaves these behind, and the next one refuses to start beside them.
        for name in ("pcscd.comm", "pcscd.pid"):
            self._inside(RUN / name).unlink(missing_ok=True)

    def _answers(self) -> bool:
        """The daemon accepts clients."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._inside(RUN / "pcscd.comm"))) == 0

    def _has_slots(self) -> bool:
        """The drivers listen on all ports. Raises PcscdFailed where somebody else does."""
        own = _sockets(self._daemon.pid) if self._daemon else set()
        for port in self.ports:
            listeners = listening(port)
            if listeners and not listeners & own:
                self.stop()
                raise PcscdFailed(f"TCP port {port} was taken by another program in between: try again")
            if not listeners:
                return False
        return True

    def _inside(self, path: Path) -> Path:
        """A path of the namespace as seen from here."""
        return Path(f"/proc/{self._keeper.pid}/root{path}") if self._keeper else path

    def _last_words(self) -> str:
        lines = (self._folder / "pcscd.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def listening(port: int) -> set[str]:
    """Inodes of the sockets that listen on a TCP port. From the kernel's table: to connect would insert a card."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):        # no IPv6 here
            for line in Path(table).read_text().splitlines()[1:]:
                columns = line.split()
                local, state, inode = columns[1], columns[3], columns[9]
                if state == "0A" and int(local.rpartition(":")[2], 16) == port:
                    inodes.add(inode)
    return inodes


def _sockets(pid: int) -> set[str]:
    """Inodes of a process's sockets; none of one that has just ended."""
    links = []
    for handle in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(FileNotFoundError):        # closed since it was listed
            links.append(os.readlink(handle))
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def free_port_pair() -> int:
    """A port that is free and whose next is free, too. Raises PcscdFailed."""
    return free_port_pairs(1)[0]


def free_port_pairs(count: int) -> list[int]:
    """As many ports that are free and whose next are, too: held until the last is found, so no two are the same."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for _ in range(PORT_TRIES * count):
            first, second = held.enter_context(socket.socket()), held.enter_context(socket.socket())
            first.bind(("", 0))
            port = int(first.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("", port + 1))
                found.append(port)
                if len(found) == count:
                    return found
    raise PcscdFailed("no two neighbouring TCP ports are free")


def _namespace() -> "subprocess.Popen[bytes] | None":
    """A process that holds a mount namespace with an empty /run/pcscd and ends with us; None where not allowed.

    It waits at the end of a pipe from us, so the kernel ends it even if we are killed.
    """
    try:
        _make_run()
        keeper = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "--", "sh", "-c",
             f"mount -t tmpfs -o mode=755 tmpfs {RUN} && echo ready && exec cat > /dev/null"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, PcscdFailed):      # no unshare here, or no right to make the folder
        return None
    assert keeper.stdout and keeper.stdin
    ready = keeper.stdout.readline()
    keeper.stdout.close()
    if ready == b"ready\n":
        return keeper
    keeper.stdin.close()
    keeper.wait()
    return None


def _make_run() -> None:
    try:
        RUN.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PcscdFailed(f"cannot make {RUN} ({error.strerror}): run as root, or let root make it for you") from error


def _machine_lock() -> "IO[bytes]":
    """The lock of those who share /run/pcscd. Raises PcscdFailed when nobody gives it back in time."""
    try:
        lock = (RUN / "yikatong.lock").open("wb")
    except OSError as error:
        raise PcscdFailed(f"cannot write to {RUN} ({error.strerror}): run as root, or own that folder") from error
    deadline = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > deadline:
                lock.close()
                raise PcscdFailed(f"another run holds {RUN} for over {LOCK_S} s: end it first") from None
            time.sleep(PROBE_S)
