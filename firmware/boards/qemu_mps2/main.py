"""A validator on the emulated board. Console on its first serial line: words in, a JSON object a line out, as on a PC.

The device file lies in the flash, so one firmware serves all devices and holds no key.
"""

from boards.common import standalone
from boards.qemu_mps2.board import QemuBoard
from tunion.compat import const

WATCHDOG_MS = const(30000)  # while it starts


def run() -> None:
    """As standalone.run, and then a reset."""
    board = QemuBoard()
    standalone.run(board, WATCHDOG_MS)
    board.reset()
