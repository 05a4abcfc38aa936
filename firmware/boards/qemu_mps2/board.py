"""What the emulated board brings for boards.common.wiring, and its clock."""

import time

import board
import machine

from boards.common import device_file
from boards.common.clock import SystemClock
from boards.common.micro_board import MicroBoard
from boards.common.uart import UartLine
from boards.common.watchdog import Watchdog
from boards.qemu_mps2.flash import PARTS, NorFlash
from tunion.compat import const
from tunion.wire import health
from validator.settings import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from boards.common.pins import LinePins
    from validator.drivers.tls_line import Dial

_LINES = ("uart:1", "uart:2", "uart:3", "uart:4")
_PINS = _LINES[3]
_WATCHDOG_MS_MAX = const(300000)
# A word of memory that nothing uses: a reset leaves it, switching on clears it.
_MARK_AT = const(0x00300000)
_RUNS, _RESETS = const(0x52554E53), const(0x52535453)
_SECTOR_BYTES = const(4096)
_PAGE_BYTES = const(256)
_NS_A_MS = 1000000


class Clock(SystemClock):
    """The counter of the board, started by its clock chip."""

    def __init__(self) -> None:
        board.set_time(board.rtc())
        super().__init__(time)

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // _NS_A_MS + self._offset_ms


class QemuBoard(MicroBoard):
    """Lines are made once: pins and modem switch share one."""

    clock = Clock
    flash = NorFlash

    def __init__(self) -> None:
        super().__init__()
        self.watchdog = Watchdog(machine.WDT, _WATCHDOG_MS_MAX)

    def device_file(self) -> bytearray:
        """Raises BadSettings where the flash holds none."""
        return device_file.load(NorFlash("device", _SECTOR_BYTES, _PAGE_BYTES, PARTS["device"][1] // _SECTOR_BYTES))

    def line(self, path: str, speed: int = 115200, form: str = "8N1") -> UartLine:
        """8N1 whatever the form: these UARTs have no parity. Raises BadSettings for a line that it has not."""
        if path not in _LINES:
            raise BadSettings("%s is no line of this board: %s" % (path, ", ".join(_LINES)))
        if path not in self._lines:
            uart = machine.UART(1 + _LINES.index(path), speed)
            self._lines[path] = UartLine(path, uart, uart.init)
        return self._lines[path]

    def pins(self, path: str) -> "LinePins":
        """By bytes on a second line."""
        from boards.common.pins import LinePins

        return LinePins(self.line(path))

    def dial(self, host: str, port: int) -> "Dial":
        """Raises BadSettings."""
        raise BadSettings("modem is missing: this board has no network of its own")

    def switch(self, part: str) -> "Callable[[bool], None]":
        """By a byte on the line of the pins."""
        from boards.common.pins import LinePins

        pins = LinePins(self.line(_PINS))
        return lambda on: pins.switch(part, on)

    def reset_cause(self) -> int:
        """By a mark in memory; from now on a reset is the watchdog's."""
        mark, machine.mem32[_MARK_AT] = machine.mem32[_MARK_AT], _RUNS
        return {0: health.POWER, _RUNS: health.WATCHDOG_BIT, _RESETS: health.SOFTWARE}.get(mark, health.UNKNOWN)

    def reset(self) -> None:
        """By our own wish."""
        machine.mem32[_MARK_AT] = _RESETS
        board.reset()

    def below(self, limit: int) -> int:
        """A random number from 0 to limit-1, limit at most 2^32. The bias of the remainder is below 2^-32."""
        return int.from_bytes(board.random(8), "big") % limit
