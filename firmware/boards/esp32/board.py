"""What an ESP32-S3 brings for boards.common.standalone. Wiring: firmware/docs/boards.md"""

import os
import time

import machine

from boards.common import device_file
from boards.common.clock import SystemClock
from boards.common.micro_board import MicroBoard
from boards.common.uart import UartLine
from boards.common.watchdog import Watchdog
from boards.esp32.flash import PAGE_BYTES, PARTS, SECTOR_BYTES, NorFlash
from boards.esp32.pins import SlotPins
from tunion.compat import const
from tunion.wire import health
from validator.drivers.tcp_dial import TcpDial
from validator.settings import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


_LINES = {"uart:0": (0, 43, 44), "uart:1": (1, 17, 18), "uart:2": (2, 15, 16)}  # number, TX and RX pins
_SLOT = "slot:0"
_SWITCHES = {"reader": 8, "modem": 9}  # pins that hold the supply on while they are high
_FORMS = {"8N1": (None, 1), "8N2": (None, 2), "8E2": (0, 2)}  # parity, stop bits
_WATCHDOG_MS_MAX = const(300000)
_RECEIVE_BYTES = const(1024)  # what may come while TLS computes or a sector is erased, 45 ms at 115200 bit/s: 520


_EPOCH_S = const(946684800)  # 2000-01-01, which this port counts from


class Clock(SystemClock):
    """The chip's, which keeps the time over a reset and not over a power cut."""

    def __init__(self) -> None:
        super().__init__(time)

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000000 + 1000 * _EPOCH_S + self._offset_ms


class Esp32Board(MicroBoard):
    """Lines are made once."""

    flash = NorFlash
    clock = Clock
    dial = TcpDial

    def __init__(self) -> None:
        super().__init__()
        self.watchdog = Watchdog(machine.WDT, _WATCHDOG_MS_MAX)

    def device_file(self) -> bytearray:
        """Raises BadSettings where the flash holds none."""
        return device_file.load(NorFlash("device", SECTOR_BYTES, PAGE_BYTES, PARTS["device"][1] // SECTOR_BYTES))

    def line(self, path: str, speed: int = 115200, form: str = "8N1") -> UartLine:
        """Raises BadSettings for a line that it has not."""
        if path not in _LINES:
            raise BadSettings("%s is no line of this board: %s" % (path, ", ".join(sorted(_LINES))))
        if path not in self._lines:
            number, tx, rx = _LINES[path]
            parity, stop = _FORMS[form]
            uart = machine.UART(number, speed)

            def set_up(bits_per_s: int) -> None:
                uart.init(
                    bits_per_s,
                    bits=8,
                    parity=parity,
                    stop=stop,
                    tx=machine.Pin(tx),
                    rx=machine.Pin(rx),
                    rxbuf=_RECEIVE_BYTES,
                    timeout=0,
                )

            set_up(speed)
            self._lines[path] = UartLine(path, uart, set_up)
        return self._lines[path]

    def pins(self, path: str) -> SlotPins:
        """Raises BadSettings for another slot than the board's one."""
        if path != _SLOT:
            raise BadSettings("%s is no slot of this board: %s" % (path, _SLOT))
        return SlotPins()

    def switch(self, part: str) -> "Callable[[bool], None]":
        """A pin that drives the supply's switch."""
        pin = machine.Pin(_SWITCHES[part], machine.Pin.OUT, value=1)
        return lambda on: pin.value(1 if on else 0)

    def reset_cause(self) -> int:
        """As the chip says; a brown-out looks like power there."""
        causes = {
            machine.PWRON_RESET: health.POWER,
            machine.WDT_RESET: health.WATCHDOG_BIT,
            machine.HARD_RESET: health.SOFTWARE,
        }
        return causes.get(machine.reset_cause(), health.UNKNOWN)

    def reset(self) -> None:
        """By our own wish."""
        machine.reset()

    def below(self, limit: int) -> int:
        """A random number from 0 to limit-1, limit at most 2^32. The bias of the remainder is below 2^-32."""
        return int.from_bytes(os.urandom(8), "big") % limit
