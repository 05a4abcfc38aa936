"""What the emulated board brings for boards.common.wiring, and its clock."""

import gc
import json
import time

import board
import machine

from boards.common.clock import SystemClock
from boards.qemu_mps2.serial import UartLine
from validator.settings import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.drivers.pcsc import Pcsc
    from validator.drivers.tls_line import Dial

_PINS = "uart:4"
_NS_A_MS = 1000000


class Clock(SystemClock):
    """The counter of the board, started by its clock chip."""

    def __init__(self) -> None:
        board.set_time(board.rtc())
        super().__init__(time)

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // _NS_A_MS + self._offset_ms


class Watchdog:
    """Resets the board unless it is fed. It runs from `start` on and cannot be stopped."""

    def __init__(self) -> None:
        self._watchdog: Any = None

    def start(self, timeout_ms: int) -> None:
        """From 1 to 300000 ms."""
        self._watchdog = machine.WDT(0, timeout_ms)

    def feed(self) -> None:
        """All is well. Before `start` nobody is hungry."""
        if self._watchdog is not None:
            self._watchdog.feed()


class QemuBoard:
    """Lines are made once: pins and modem switch share one."""

    tls_takes_lines = True
    time = time

    def __init__(self) -> None:
        self._lines: dict[str, UartLine] = {}

    def pcsc(self) -> "Pcsc":
        """Raises BadSettings."""
        raise BadSettings("this board has no PC/SC: name a driver for a serial line")

    def line(self, path: str, speed: int = 115200, form: str = "8N1") -> UartLine:
        """Raises BadSettings for a line that it has not."""
        if path not in self._lines:
            self._lines[path] = UartLine(path, speed)
        return self._lines[path]

    def dial(self, host: str, port: int) -> "Dial":
        """Raises BadSettings."""
        raise BadSettings("modem is missing: this board has no network of its own")

    def switch(self, part: str) -> "Callable[[bool], None]":
        """By a byte on the line of the pins."""
        from boards.common.pins import LinePins

        pins = LinePins(self.line(_PINS))
        return lambda on: pins.switch(part, on)

    def aes_cbc_decrypt(self, key: bytes, iv: bytes, blocks: bytes) -> bytes:
        """Through cryptolib."""
        from boards.common.aes import cbc_decrypt

        return cbc_decrypt(key, iv, blocks)

    def dumps(self, value: "Any") -> str:
        """MicroPython's json escapes no letters."""
        return json.dumps(value)

    def heap(self) -> "tuple[int, int]":
        """Bytes used and free, garbage collected."""
        gc.collect()
        return gc.mem_alloc(), gc.mem_free()


def below(limit: int) -> int:
    """A random number from 0 to limit-1, limit at most 2^32. The bias of the remainder is below 2^-32."""
    return int.from_bytes(board.random(8), "big") % limit
