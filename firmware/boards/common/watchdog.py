"""The chip's watchdog, which resets the board unless it is fed."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Watchdog:
    """`make` is machine.WDT, which counts to `most_ms`. It runs from `start` on and cannot be stopped."""

    def __init__(self, make: "Callable[..., Any]", most_ms: int) -> None:
        self._make = make
        self._most_ms = most_ms
        self._watchdog: Any = None

    def start(self, timeout_ms: int) -> None:
        """Also to change the time: what the chip cannot count is cut."""
        self._watchdog = self._make(timeout=min(timeout_ms, self._most_ms))

    def feed(self) -> None:
        """All is well. Before `start` nobody is hungry."""
        if self._watchdog is not None:
            self._watchdog.feed()
