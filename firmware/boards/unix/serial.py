"""A serial line of a unix board (a tty, an USB adapter, a pty) as the byte stream that reader drivers take."""

import select
import termios

from validator.ports import ReaderLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes

# Linux; MicroPython's termios names only some of them
_SPEEDS = {9600: 13, 19200: 14, 38400: 15, 57600: 0x1001, 115200: 0x1002, 230400: 0x1003}
_FORMS = {"8N1": 0, "8N2": 0x40, "8E2": 0x140}  # CSTOPB, PARENB
_FORM_MASK = 0x340  # and PARODD
_PARENB = 0x100
_EINVAL = 22

_CONTROL = 2  # places in what termios.tcgetattr returns
_INPUT_SPEED = 4
_OUTPUT_SPEED = 5
_CONTROL_CHARACTERS = 6
_VTIME = 5
_VMIN = 6


class SerialLine:
    """A tty in raw mode. `open` first, and again after ReaderLost. Raises KeyError for a speed or form it has not."""

    def __init__(self, path: str, speed: int = 115200, form: str = "8N1") -> None:
        self._path = path
        self._speed = _SPEEDS[speed]
        self._form = _FORMS[form]
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

    def set_speed(self, bits_per_s: int) -> bool:
        """False where a tty has no such speed. Raises ReaderLost."""
        if bits_per_s not in _SPEEDS:
            return False
        if self._file is None:
            raise ReaderLost("%s is closed: open it" % self._path)
        self._speed = _SPEEDS[bits_per_s]
        try:
            self._set_raw(self._file.fileno())
        except OSError as error:
            self._lost(error)
        return True

    def _set_raw(self, fd: int) -> None:
        termios.setraw(fd)
        settings: Any = termios.tcgetattr(fd)
        settings[_CONTROL] = settings[_CONTROL] & ~_FORM_MASK | self._form
        settings[_INPUT_SPEED] = settings[_OUTPUT_SPEED] = self._speed
        settings[_CONTROL_CHARACTERS][_VMIN] = 0  # else a read waits for a full buffer
        settings[_CONTROL_CHARACTERS][_VTIME] = 0
        try:
            termios.tcsetattr(fd, termios.TCSANOW, settings)
        except OSError as error:
            if error.args[0] != _EINVAL or not settings[_CONTROL] & _PARENB:
                raise
            settings[_CONTROL] &= ~_PARENB  # a pty has no parity
            termios.tcsetattr(fd, termios.TCSANOW, settings)

    def _lost(self, error: OSError) -> None:
        raise ReaderLost(
            "%s fails (errno %s): plug the reader in, or correct the path" % (self._path, error.args[0])
        )
