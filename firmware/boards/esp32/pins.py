"""VCC, RST and clock of the board's one SAM slot: its own pins."""

import machine

from tunion.compat import const

_VCC_PIN = const(4)  # drives the slot's supply
_RST_PIN = const(5)
_CLOCK_PIN = const(6)
_CLOCK_HZ = const(3571200)  # 372 clocks a bit at 9600 bit/s
_HALF = const(32768)  # of 65536: high and low equally long


class SlotPins:
    """One slot, number 0, whatever is asked for."""

    def __init__(self) -> None:
        self._vcc = machine.Pin(_VCC_PIN, machine.Pin.OUT, value=0)
        self._rst = machine.Pin(_RST_PIN, machine.Pin.OUT, value=0)
        self._clock = machine.PWM(machine.Pin(_CLOCK_PIN), freq=_CLOCK_HZ, duty_u16=0)

    def open(self) -> None:
        """They are there."""

    def set(self, slot: int, power: bool, run: bool) -> None:
        """VCC first, then the clock, then RST: ISO/IEC 7816-3; all low together when the power goes."""
        if not power:
            self._rst.value(0)
        self._vcc.value(1 if power else 0)
        self._clock.duty_u16(_HALF if power else 0)
        self._rst.value(1 if power and run else 0)
