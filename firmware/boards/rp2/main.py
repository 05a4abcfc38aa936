"""A validator on a Pico W. Frozen, it starts by itself; console on USB: words in, a JSON object a line out."""

import machine

from boards.common import standalone
from boards.rp2.board import PicoBoard
from tunion.compat import const

WATCHDOG_MS = const(8300)  # the chip counts no longer


def run() -> None:
    """As standalone.run, and then a reset."""
    standalone.run(PicoBoard(), WATCHDOG_MS)
    machine.reset()
