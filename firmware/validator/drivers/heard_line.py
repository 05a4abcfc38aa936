"""A line that only talks to us: opened by itself, and again now and then where it was lost."""

from tunion.compat import const
from validator.ports import ReaderLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from validator.ports import Clock

    class Line(Protocol):
        def open(self) -> None: ...

        def read_into(self, buffer: memoryview, wait_ms: int) -> int: ...

OPEN_WAIT_MS = const(5000)  # between two tries


class HeardLine:
    """`lost`: it could not be opened, or broke."""

    def __init__(self, line: "Line", clock: "Clock") -> None:
        self._line = line
        self._clock = clock
        self._tried_ms: int | None = None
        self._open = False
        self.lost = False

    def _opens(self) -> bool:
        """It was closed and is open now."""
        if self._tried_ms is not None and self._clock.since_ms(self._tried_ms) < OPEN_WAIT_MS:
            return False
        self._tried_ms = self._clock.ticks_ms()
        try:
            self._line.open()
        except ReaderLost:
            self.lost = True
            return False
        self._open = True
        self.lost = False
        return True

    def _broke(self) -> None:
        self._open = False
        self.lost = True
        self._tried_ms = self._clock.ticks_ms()
