"""A serial line of a unix board (a tty, an USB adapter, a pty) as the byte stream that reader drivers take."""

import select
import termios

from validator.ports import ReaderLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes

_INPUT_SPEED = 4  # places in what termios.tcgetattr returns
_OUTPUT_SPEED = 5
_CONTROL_CHARACTERS = 6
_VTIME = 5
_VMIN = 6


class SerialLine:
    """A tty in raw mode, 8N1. `open` first, and again after ReaderLost."""

    def __init__(self, path: str, speed: int = termios.B115200) -> None:
        self._path = path
        self._speed = speed
        self._file: Any = None
        self._poll: Any = None

    def open(self) -> None:
        """Open the tty afresh; whatever had arrived is dropped. Raises ReaderLost."""
        self.close()
        try:
            self._file = open(self._path, "r+b", buffering=0)
            self._set_raw(self._file.fileno())
        except OSError as error:
            self._lost(error)
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)

    def close(self) -> None:
        """Let the tty go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, data: "Bytes") -> None:
        """All of `data` into the line. Raises ReaderLost."""
        if self._file is None:
            raise ReaderLost("%s is closed: open it" % self._path)
        try:
            written = self._file.write(data)
        except OSError as error:
            self._lost(error)
        if written != len(data):
            raise ReaderLost("%s takes no more bytes: the reader hangs, restart it" % self._path)

    def read_into(self, buffer: memoryview, wait_ms: int) -> int:
        """What has arrived, at most len(buffer) bytes; waits up to `wait_ms` for the first; 0: none came.

        Raises ReaderLost when the line is closed at the other end.
        """
        if self._file is None:
            raise ReaderLost("%s is closed: open it" % self._path)
        try:
            for _, event in self._poll.poll(wait_ms):
                if event & select.POLLIN:
                    count: int = self._file.readinto(buffer) or 0
                    if count:
                        return count
                raise ReaderLost("%s was closed at the other end: reconnect the reader" % self._path)
        except OSError as error:
            self._lost(error)
        return 0

    def _set_raw(self, fd: int) -> None:
        termios.setraw(fd)
        settings: Any = termios.tcgetattr(fd)
        settings[_INPUT_SPEED] = settings[_OUTPUT_SPEED] = self._speed
        settings[_CONTROL_CHARACTERS][_VMIN] = 0  # else a read waits for a full buffer
        settings[_CONTROL_CHARACTERS][_VTIME] = 0
        termios.tcsetattr(fd, termios.TCSANOW, settings)

    def _lost(self, error: OSError) -> None:
        raise ReaderLost(
            "%s fails (errno %s): plug the reader in, or correct the path" % (self._path, error.args[0])
        )
