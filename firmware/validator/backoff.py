"""When the office is asked next: after a pause, or after a failure later and later, at random."""

from tunion.compat import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.ports import Clock
    from validator.settings import Settings

_DOUBLINGS_MAX = const(10)  # of the first wait; its limit is reached long before


class Backoff:
    """`pause` or `fail`, then `is_over` in time. `may_be_early`: no failure and no wish of the office is waited for."""

    def __init__(self, clock: "Clock", settings: "Settings", below: "Callable[[int], int]") -> None:
        """below(n) is a random number from 0 to n-1."""
        self._clock = clock
        self._settings = settings
        self._below = below
        self._from_ms = clock.ticks_ms()
        self._wait_ms = 0
        self._failures = 0
        self.may_be_early = False

    def is_over(self) -> bool:
        """The wait has ended."""
        return self._clock.since_ms(self._from_ms) >= self._wait_ms

    def pause(self, wait_s: int) -> None:
        """So long, counted from now."""
        self.may_be_early = False
        self._from_ms = self._clock.ticks_ms()
        self._wait_ms = 1000 * wait_s

    def fail(self, retry_after_s: int) -> None:
        """Exponential with full jitter, so that a depot's buses do not come back as one; never before retry_after."""
        limit_s = self._settings.backoff_max_s
        doubled_s = self._settings.backoff_first_s << min(self._failures, _DOUBLINGS_MAX)
        self._failures += 1
        self.pause(retry_after_s)
        self._wait_ms += self._below(1000 * min(limit_s, doubled_s) + 1)

    def succeed(self) -> None:
        """The next failure is the first."""
        self._failures = 0
