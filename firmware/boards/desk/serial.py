"""A serial line on pyserial, as the byte stream that reader drivers take."""

import os
import termios

import serial

from validator.ports import ReaderLost

_FORMS = {
    "8N1": (serial.PARITY_NONE, serial.STOPBITS_ONE),
    "8N2": (serial.PARITY_NONE, serial.STOPBITS_TWO),
    "8E2": (serial.PARITY_EVEN, serial.STOPBITS_TWO),
}
_CONTROL = 2  # place in what termios.tcgetattr returns
_ERRORS = (OSError, termios.error)  # pyserial's own are OSErrors; a change of settings lets the other through
_SPEEDS = (9600, 19200, 38400, 57600, 115200, 230400)
_WRITE_WAIT_S = 1.0  # a frame is on its way in 25 ms; a reader that takes nothing for so long hangs


class SerialLine:
    """A tty that no other program has open. `open` first, and again after ReaderLost."""

    def __init__(self, path: str, speed: int = 115200, form: str = "8N1") -> None:
        self._path = path
        self._parity, stop_bits = _FORMS[form]
        self._port = serial.Serial(
            baudrate=speed, stopbits=stop_bits, write_timeout=_WRITE_WAIT_S, exclusive=True
        )
        self._port.port = path

    def open(self) -> None:
        """Open the tty afresh; whatever had arrived is dropped. Raises ReaderLost."""
        self._port.close()
        try:
            self._port.parity = self._parity
            self._port.open()
            if not termios.tcgetattr(self._port.fd)[_CONTROL] & termios.PARENB:  # a pty has no parity, and says so late
                self._port.parity = serial.PARITY_NONE
        except _ERRORS as error:
            self._lost(error)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """All of `data` into the line. Raises ReaderLost."""
        try:
            self._port.write(data)
        except serial.SerialTimeoutException:
            raise ReaderLost("%s takes no more bytes: the reader hangs, restart it" % self._path)
        except _ERRORS as error:
            self._lost(error)

    def read_into(self, buffer: memoryview, wait_ms: int) -> int:
        """What has arrived, at most len(buffer) bytes; waits up to `wait_ms` for the first; 0: none came.

        Raises ReaderLost when the line is closed at the other end.
        """
        try:
            self._port.timeout = wait_ms / 1000
            data: bytes = self._port.read(1)
            data += self._port.read(min(self._port.in_waiting, len(buffer) - 1))
        except _ERRORS as error:
            self._lost(error)
        buffer[: len(data)] = data
        return len(data)

    def set_speed(self, bits_per_s: int) -> bool:
        """False where a tty has no such speed. Raises ReaderLost."""
        if bits_per_s not in _SPEEDS:
            return False
        try:
            self._port.baudrate = bits_per_s
        except _ERRORS as error:
            self._lost(error)
        return True

    def _lost(self, error: Exception) -> None:
        number = error.errno if isinstance(error, OSError) else error.args[0]
        why = os.strerror(number) if number else str(error)  # with a number, pyserial repeats the path
        raise ReaderLost("%s fails (%s): plug the reader in, or correct the path" % (self._path, why))
