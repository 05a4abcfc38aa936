"""The chip's watchdog, which resets the board unless it is fed."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Watchdog:
    """`make` is machine.WDT. It runs from `start` on and cannot be stopped."""

    def __init__(self, make: "Callable[..., Any]") -> None:
        self._make = make
        self._watchdog: Any = None

    def start(self, timeout_ms: int) -> None:
        """As long as the chip can wait at most."""
        self._watchdog = self._make(timeout=timeout_ms)

    def feed(self) -> None:
        """All is well. Before `start` nobody is hungry."""
        if self._watchdog is not None:
            self._watchdog.feed()
