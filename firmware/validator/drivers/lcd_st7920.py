"""A graphic display of 128x64 with an ST7920, used by its own characters: four lines of 16, GB2312 in its ROM.

On its serial port each byte takes three, first bit first:

    11111 R/W RS 0    D7..D4 0000    D3..D0 0000

R/W stays 0. A Chinese character is its two bytes of GB2312 and must begin at an even column; a space is put before it
where it would not. Times: Sitronix's data sheet, with a margin.
"""

from tunion.compat import const
from validator.drivers import gb2312
from validator.ports import PanelLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.drivers.lcd_hd44780 import Port

_COMMAND = const(0xF8)
_DATA = const(0xFA)

POWER_WAIT_US = const(50000)
_WAIT_US = const(80)
_RESET_WAIT_US = const(120)
_CLEAR_WAIT_US = const(2000)

_BASIC = const(0x30)  # 8 bits, basic instructions; twice, as the data sheet wants
_DISPLAY_ON = const(0x0C)
_CLEAR = const(0x01)
_TO_THE_RIGHT = const(0x06)
_LINE_ADDRESSES = (0x80, 0x90, 0x88, 0x98)  # the third line goes on where the first ends


class St7920:
    """The Screen port. `bus.write` clocks bytes into the chip while it is selected; `wait_us` waits microseconds."""

    rows = 4
    columns = 16
    chinese = True

    def __init__(self, bus: "Port", wait_us: "Callable[[int], object]") -> None:
        self._bus = bus
        self._wait_us = wait_us

    def open(self) -> None:
        """Raises PanelLost."""
        self._wait_us(POWER_WAIT_US)
        for command, wait_us in (
            (_BASIC, _RESET_WAIT_US),
            (_BASIC, _WAIT_US),
            (_DISPLAY_ON, _RESET_WAIT_US),
            (_CLEAR, _CLEAR_WAIT_US),
            (_TO_THE_RIGHT, _WAIT_US),
        ):
            self._send(_COMMAND, command)
            self._wait_us(wait_us)

    def show(self, lines: "tuple[str, ...]") -> None:
        """Up to four lines; the rest of each is blank. Raises PanelLost."""
        for row in range(self.rows):
            self._send(_COMMAND, _LINE_ADDRESSES[row])
            self._wait_us(_WAIT_US)
            for byte in encoded(lines[row] if row < len(lines) else "", self.columns):
                self._send(_DATA, byte)
                self._wait_us(_WAIT_US)

    def _send(self, head: int, byte: int) -> None:
        try:
            self._bus.write(bytes((head, byte & 0xF0, byte << 4 & 0xF0)))
        except OSError as error:
            raise PanelLost("the display does not answer (errno %s): check its cable" % error.args[0])


def encoded(text: str, columns: int) -> bytes:
    """One line as the chip takes it, filled with blanks. A character that the table has not is a question mark."""
    found = bytearray()
    for letter in text:
        code = gb2312.code(letter)
        if len(code) == 2 and len(found) % 2:
            found.append(0x20)
        if len(found) + len(code) > columns:
            break
        found += code
    return bytes(found) + b" " * (columns - len(found))
