"""Pins for a board that has none: one byte a change on a second line, to whatever has them.

    0100 RVSS    a SAM slot. R: RST is high, V: VCC is on, SS: the slot; so 40 to 4F, the letters @ to O
    0101 000P    the modem's supply. P: it is on; so P and Q
    0110 000P    the reader's; so ` and a

Our own choice. A board with pins of its own sets them itself.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.drivers.pn532_frame import Line

SWITCHES = {"modem": 0x50, "reader": 0x60}


class LinePins:
    """The pins behind a line."""

    def __init__(self, line: "Line") -> None:
        self._line = line

    def open(self) -> None:
        """Raises ReaderLost."""
        self._line.open()

    def set(self, slot: int, power: bool, run: bool) -> None:
        """Raises ReaderLost."""
        self._line.write(bytes((0x40 | (0x08 if run else 0) | (0x04 if power else 0) | slot,)))

    def switch(self, part: str, on: bool) -> None:
        """The supply of a part of SWITCHES. Raises ReaderLost."""
        self._line.write(bytes((SWITCHES[part] | (0x01 if on else 0),)))
