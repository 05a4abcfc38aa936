"""A validator on an ESP32-S3. Frozen, it starts by itself; console on USB: words in, a JSON object a line out."""

import machine

from boards.common import standalone
from boards.esp32.board import Esp32Board
from tunion.compat import const

WATCHDOG_MS = const(30000)  # a SAM in trouble is given 3 s an exchange, and its opening has five


def run() -> None:
    """As standalone.run, and then a reset."""
    standalone.run(Esp32Board(), WATCHDOG_MS)
    machine.reset()
