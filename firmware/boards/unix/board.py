"""What MicroPython on a PC brings for boards.pc.console: its own modules, libpcsclite through ffi."""

import gc
import json
import time

from boards.unix.signals import TerminationSignals
from boards.unix.watchdog import AlarmWatchdog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from boards.common.pins import LinePins
    from boards.unix.pcsc import Pcsclite
    from boards.unix.serial import SerialLine
    from validator.drivers.tcp_dial import TcpDial


class UnixBoard:
    """Drivers are loaded when they are asked for."""

    command = "micropython -m boards.unix.main"
    tls_takes_lines = True
    time = time
    signals = TerminationSignals
    watchdog = AlarmWatchdog

    def pcsc(self) -> "Pcsclite":
        """Raises OSError where libpcsclite1 is not installed."""
        from boards.unix.pcsc import Pcsclite

        return Pcsclite()

    def line(self, path: str, speed: int = 115200, form: str = "8N1") -> "SerialLine":
        """A tty through termios."""
        from boards.unix.serial import SerialLine

        return SerialLine(path, speed, form)

    def aes_cbc_decrypt(self, key: bytes, iv: bytes, blocks: bytes) -> bytes:
        """Through cryptolib."""
        from boards.common.aes import cbc_decrypt

        return cbc_decrypt(key, iv, blocks)

    def switch(self, part: str) -> "Callable[[bool], None] | None":
        """A PC switches nobody's supply."""
        return None

    def pins(self, path: str) -> "LinePins":
        """By bytes on a second line."""
        from boards.common.pins import LinePins

        return LinePins(self.line(path))

    def dial(self, host: str, port: int) -> "TcpDial":
        """Through sockets."""
        from validator.drivers.tcp_dial import TcpDial

        return TcpDial(host, port)

    def dumps(self, value: "Any") -> str:
        """MicroPython's json escapes no letters."""
        return json.dumps(value)

    def heap(self) -> "tuple[int, int]":
        """Bytes used and free, garbage collected."""
        gc.collect()
        return gc.mem_alloc(), gc.mem_free()
