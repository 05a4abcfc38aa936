"""A serial line on pyserial, as the byte stream that reader drivers take."""

import os

import serial

from validator.ports import ReaderLost

_SPEED = 115200
_WRITE_WAIT_S = 1.0  # a frame is on its way in 25 ms; a reader that takes nothing for so long hangs


class SerialLine:
    """A tty, 8N1, that no other program has open. `open` first, and again after ReaderLost."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._port = serial.Serial(baudrate=_SPEED, write_timeout=_WRITE_WAIT_S, exclusive=True)
        self._port.port = path

    def open(self) -> None:
        """Open the tty afresh; whatever had arrived is dropped. Raises ReaderLost."""
        self._port.close()
        try:
            self._port.open()
        except OSError as error:  # pyserial's are all OSErrors
            self._lost(error)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """All of `data` into the line. Raises ReaderLost."""
        try:
            self._port.write(data)
        except serial.SerialTimeoutException:
            raise ReaderLost("%s takes no more bytes: the reader hangs, restart it" % self._path)
        except OSError as error:
            self._lost(error)

    def read_into(self, buffer: memoryview, wait_ms: int) -> int:
        """What has arrived, at most len(buffer) bytes; waits up to `wait_ms` for the first; 0: none came.

        Raises ReaderLost when the line is closed at the other end.
        """
        try:
            self._port.timeout = wait_ms / 1000
            data: bytes = self._port.read(1)
            data += self._port.read(min(self._port.in_waiting, len(buffer) - 1))
        except OSError as error:
            self._lost(error)
        buffer[: len(data)] = data
        return len(data)

    def _lost(self, error: OSError) -> None:
        why = os.strerror(error.errno) if error.errno else str(error)  # with a number, pyserial repeats the path
        raise ReaderLost("%s fails (%s): plug the reader in, or correct the path" % (self._path, why))
