"""A character display with an HD44780 or one of its many likenesses: two lines of 16, no Chinese.

`port.write(states)` puts each byte on eight wires, one after the other, as the I2C expander PCF8574 of the usual
backpack does by itself:

    bit   7 6 5 4   3          2   1    0
          D7..D4    backlight  E   R/W  RS

A board without a backpack sets its pins from the same bytes. R/W stays 0: the chip is never read, its longest times are
waited for instead. Data are taken when E falls. Times: Hitachi's data sheet, with a margin for slow clones.
"""

from tunion.compat import const
from validator.ports import PanelLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Port(Protocol):
        def write(self, data: bytes) -> object:
            """Each byte in its turn. Raises OSError or PanelLost where nobody answers."""


_RS = const(0x01)
_E = const(0x04)
_LIGHT = const(0x08)

POWER_WAIT_US = const(50000)
_RESET_WAITS_US = (4500, 150, 150)  # behind each of the three 3h that bring it to 8 bits from any state
_WAIT_US = const(50)
_CLEAR_WAIT_US = const(2000)

_FOUR_BITS = const(0x20)
_TWO_LINES = const(0x28)
_DISPLAY_OFF = const(0x08)
_CLEAR = const(0x01)
_TO_THE_RIGHT = const(0x06)
_DISPLAY_ON = const(0x0C)
_LINE_ADDRESSES = (0x80, 0xC0)
_PLAIN = "?"  # for a letter that the chip's ROM has not, or has elsewhere


class Hd44780:
    """The Screen port. `wait_us` waits so many microseconds."""

    rows = 2
    columns = 16
    chinese = False

    def __init__(self, port: "Port", wait_us: "Callable[[int], object]") -> None:
        self._port = port
        self._wait_us = wait_us

    def open(self) -> None:
        """From any state, also half a byte into a command. Raises PanelLost."""
        self._wait_us(POWER_WAIT_US)
        for wait_us in _RESET_WAITS_US:
            self._nibble(0x30, 0)
            self._wait_us(wait_us)
        self._nibble(_FOUR_BITS, 0)
        self._wait_us(_WAIT_US)
        for command in (_TWO_LINES, _DISPLAY_OFF, _CLEAR, _TO_THE_RIGHT, _DISPLAY_ON):
            self._command(command)

    def show(self, lines: "tuple[str, ...]") -> None:
        """The first two lines; the rest of each is blank. Raises PanelLost."""
        for row in range(self.rows):
            text = lines[row] if row < len(lines) else ""
            self._command(_LINE_ADDRESSES[row])
            for letter in (text + " " * self.columns)[: self.columns]:
                self._byte(ord(letter if " " <= letter <= "}" and letter != "\\" else _PLAIN), _RS)
                self._wait_us(_WAIT_US)

    def _command(self, command: int) -> None:
        self._byte(command, 0)
        self._wait_us(_CLEAR_WAIT_US if command == _CLEAR else _WAIT_US)

    def _byte(self, value: int, select: int) -> None:
        self._nibble(value & 0xF0, select)
        self._nibble(value << 4 & 0xF0, select)

    def _nibble(self, high: int, select: int) -> None:
        state = high | _LIGHT | select
        try:
            self._port.write(bytes((state, state | _E, state)))
        except OSError as error:
            raise PanelLost("the display does not answer (errno %s): check its cable" % error.args[0])
