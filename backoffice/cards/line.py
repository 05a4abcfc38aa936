"""One card or PSAM on a reader, as the programs that write them see it. Whoever calls brings a real one."""

from typing import Protocol


class CardGone(Exception):
    """The card left the reader, or the reader is gone. What was sent last may or may not have happened."""


class Line(Protocol):
    def power_on(self) -> bytes:
        """Reset the card: its ATR. Raises CardGone."""

    def transceive(self, apdu: bytes) -> bytes:
        """One command, one answer with its status word. Raises CardGone."""

    def power_off(self) -> None:
        """Let the card go; it may be taken out."""
