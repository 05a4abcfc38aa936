"""The Clock port over the system's clock. The server's time is kept as an offset; the system clock is not touched."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Time(Protocol):
        """MicroPython's module `time`."""

        def time(self) -> float: ...
        def ticks_ms(self) -> int: ...
        def ticks_us(self) -> int: ...
        def ticks_diff(self, new: int, old: int) -> int: ...


_NEVER, _RTC_ONLY, _DAY, _HOUR = range(4)  # clk_q
_HOUR_MS = 3600 * 1000
_DAY_MS = 24 * _HOUR_MS
_RTC_FROM_S = 1735689600  # 2025-01-01 UTC: a clock that shows less was never set


class SystemClock:
    """`time` is the module of that name; tests hand in one they move."""

    def __init__(self, time: "Time") -> None:
        self._time = time
        self._offset_s = 0
        self._synced_ms: "int | None" = None

    def now_s(self) -> int:
        """Seconds since 1970-01-01 UTC."""
        return int(self._time.time()) + self._offset_s

    def quality(self) -> int:
        """clk_q: 0 never synced, 1 RTC only, 2 synced within 24 h, 3 within 1 h."""
        if self._synced_ms is None:
            return _RTC_ONLY if self.now_s() >= _RTC_FROM_S else _NEVER
        age_ms = self.since_ms(self._synced_ms)
        if age_ms <= _HOUR_MS:
            return _HOUR
        return _DAY if age_ms <= _DAY_MS else _RTC_ONLY

    def set(self, now_s: int) -> int:
        """Step to the server's time; returns seconds, new minus old."""
        step_s = now_s - self.now_s()
        self._offset_s += step_s
        self._synced_ms = self.ticks_ms()
        return step_s

    def ticks_ms(self) -> int:
        """Milliseconds that only grow; compare with `since_ms`."""
        return self._time.ticks_ms()

    def since_ms(self, then_ms: int) -> int:
        """Milliseconds from an earlier `ticks_ms` to now, across its wrap."""
        return self._time.ticks_diff(self._time.ticks_ms(), then_ms)
