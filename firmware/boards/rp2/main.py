"""A validator on a Pico W. Frozen, it starts by itself; console on USB: words in, a JSON object a line out."""

from boards.common import standalone
from boards.rp2.board import PicoBoard
from tunion.compat import const

WATCHDOG_MS = const(8388)  # while it starts; the chip counts no longer


def run() -> None:
    """As standalone.run, and then a reset."""
    board = PicoBoard()
    standalone.run(board, WATCHDOG_MS)
    board.reset()
