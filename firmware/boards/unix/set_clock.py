"""A validator on a PC whose clock is set otherwise: micropython -m boards.unix.set_clock DEVICE_CBOR

YKT_RIG_CLOCK_S of the environment is added to the PC's time: what a board's clock showed hours or days ago, for the
rig. Once the office can be reached it steers this clock as any other. All else is boards/unix/main.py.
"""

import os
import sys
import time

from boards.pc import console
from boards.unix.board import UnixBoard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CLOCK_VARIABLE = "YKT_RIG_CLOCK_S"


class SetTime:
    """MicroPython's module `time`, `ahead_s` ahead."""

    def __init__(self, ahead_s: int) -> None:
        self._ahead_s = ahead_s

    def time(self) -> float:
        """Seconds since 1970 by the clock on the board."""
        return time.time() + self._ahead_s

    def ticks_ms(self) -> int:
        """As the PC counts them."""
        return time.ticks_ms()

    def ticks_us(self) -> int:
        """Likewise."""
        return time.ticks_us()

    def ticks_diff(self, new: int, old: int) -> int:
        """Across the wrap."""
        return time.ticks_diff(new, old)


class SetBoard(UnixBoard):
    """A PC's board with that clock."""

    time: "Any" = SetTime(int(os.getenv(CLOCK_VARIABLE) or 0))


if __name__ == "__main__":
    sys.exit(console.main(SetBoard(), sys.argv))
