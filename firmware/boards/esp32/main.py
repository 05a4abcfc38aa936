"""A validator on an ESP32-S3. Frozen, it starts by itself; console on USB: words in, a JSON object a line out."""

from boards.common import standalone
from boards.esp32.board import Esp32Board
from tunion.compat import const

WATCHDOG_MS = const(30000)  # while it starts


def run() -> None:
    """As standalone.run, and then a reset."""
    board = Esp32Board()
    standalone.run(board, WATCHDOG_MS)
    board.reset()
