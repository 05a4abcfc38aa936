"""What a Pico W brings for boards.common.standalone. Wiring: firmware/docs/boards.md"""

import os
import time

import machine

from boards.common import device_file
from boards.common.clock import SystemClock
from boards.common.micro_board import MicroBoard
from boards.common.uart import UartLine
from boards.common.watchdog import Watchdog
from boards.rp2.flash import PAGE_BYTES, PARTS, SECTOR_BYTES, NorFlash
from tunion.compat import const
from tunion.wire import health
from validator.settings import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.drivers.sam_uart import Pins
    from validator.drivers.tls_line import Dial

_LINES = {"uart:0": (0, 0, 1), "uart:1": (1, 4, 5)}  # number, TX and RX pins
_SWITCHES = {"reader": 6, "modem": 7}  # pins that hold the supply on while they are high
_FORMS = {"8N1": (None, 1), "8N2": (None, 2), "8E2": (0, 2)}  # parity, stop bits
_WATCHDOG_MS_MAX = const(8388)
_SCRATCH_AT = const(0x4005800C)  # a register of the watchdog that only power clears
_RESETS = const(0x52535453)
_RECEIVE_BYTES = const(1024)  # what may come while TLS computes or a sector is erased, 45 ms at 115200 bit/s: 520


class PicoBoard(MicroBoard):
    """Lines are made once."""

    flash = NorFlash

    def __init__(self) -> None:
        super().__init__()
        self.watchdog = Watchdog(machine.WDT, _WATCHDOG_MS_MAX)

    def clock(self) -> SystemClock:
        """The chip's, which starts in 2021 where nothing keeps the time: no rides before the office has set it."""
        return SystemClock(time)

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

    def pins(self, path: str) -> "Pins":
        """Raises BadSettings."""
        raise BadSettings("this board has no SAM slot: name one of the reader, or a soft SAM")

    def dial(self, host: str, port: int) -> "Dial":
        """Raises BadSettings."""
        raise BadSettings("modem is missing: this board reaches the office by a modem")

    def switch(self, part: str) -> "Callable[[bool], None]":
        """A pin that drives the supply's switch."""
        pin = machine.Pin(_SWITCHES[part], machine.Pin.OUT, value=1)
        return lambda on: pin.value(1 if on else 0)

    def reset_cause(self) -> int:
        """A reset by our own wish is one by the watchdog, too: a mark tells them apart."""
        mark, machine.mem32[_SCRATCH_AT] = machine.mem32[_SCRATCH_AT], 0
        if machine.reset_cause() == machine.PWRON_RESET:
            return health.POWER
        return health.SOFTWARE if mark == _RESETS else health.WATCHDOG_BIT

    def reset(self) -> None:
        """By our own wish."""
        machine.mem32[_SCRATCH_AT] = _RESETS
        machine.reset()

    def below(self, limit: int) -> int:
        """A random number from 0 to limit-1, limit at most 2^32. The bias of the remainder is below 2^-32."""
        return int.from_bytes(os.urandom(8), "big") % limit
