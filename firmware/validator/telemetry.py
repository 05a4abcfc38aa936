"""How the validator fares: counters since boot, sent with every upload. Sums only, nothing about a passenger."""

from tunion.compat import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.log import Log
    from validator.ports import Clock, Panel

_NUMBER_MAX = const(0xFFFFFFFF)
_TAPS = ("paid", "recovered", "tap_again")  # what the panel says of them


class Health:
    """Counters since boot; `figures` for an upload. Names and units: firmware/docs/sync.md.

    also  what the supervisor adds; None: nothing
    """

    def __init__(self, clock: "Clock") -> None:
        self.also: "Callable[[], dict[str, Any]] | None" = None
        self._clock = clock
        self._counted: dict[str, int] = {}
        self._refused: dict[int, int] = {}  # reason -> how often
        self._down: list[str] = []
        self._up_s = 0
        self._then_ms = clock.ticks_ms()
        self._heap_min = _NUMBER_MAX

    def count(self, name: str) -> None:
        """One more of `name`."""
        self._counted[name] = self._counted.get(name, 0) + 1

    def refused(self, reason: int) -> None:
        """One more card refused, for this reason (tunion.wire.reason)."""
        self._refused[reason] = self._refused.get(reason, 0) + 1

    def lost(self, part: str) -> None:
        """A part of the validator failed."""
        self.count(part)
        if part not in self._down:
            self._down.append(part)

    def back(self, part: str) -> None:
        """It works again."""
        if part in self._down:
            self._down.remove(part)

    def figures(self, heap_free: int, **now: int) -> "dict[str, Any]":
        """For one upload.

        heap_free  bytes, just after a garbage collection
        now        figures that are read, not counted
        """
        passed_s = max(0, self._clock.since_ms(self._then_ms)) // 1000
        self._up_s += passed_s
        if passed_s:
            self._then_ms = self._clock.ticks_ms()
        self._heap_min = min(self._heap_min, heap_free)
        figures: dict[str, Any] = {"up_s": self._up_s, "heap_min": self._heap_min}
        for values in (now, self._counted, self.also() if self.also is not None else {}):
            for name in values:
                figures[name] = values[name]
        if self._refused:
            figures["refused"] = self._refused
        if self._down:
            figures["down"] = self._down
        return figures


class CountingPanel:
    """The panel; what it shows is counted and logged. `last` is what was shown last, and its details."""

    def __init__(self, panel: "Panel", health: Health, log: "Log") -> None:
        self._panel = panel
        self._health = health
        self._log = log
        self.last: tuple[str, dict[str, Any]] | None = None

    def show(self, what: str, **details: "int | str") -> None:
        """As the panel's."""
        if what in _TAPS:
            self._health.count(what)
        elif what == "refused":
            self._health.refused(int(details["reason"]))
            self._log.note(what, int(details["reason"]))
        elif what in ("fault", "back"):
            part = str(details["part"])
            (self._health.lost if what == "fault" else self._health.back)(part)
            self._log.note(what + "_" + part)
        elif what == "self_test":
            self._log.note(what, int(details["found"]))
        self.last = (what, details)
        self._panel.show(what, **details)
