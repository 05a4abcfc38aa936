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
_HOUR_ERROR_MS = 1000  # what a clock may be wrong by and still count as synced within the hour, within the day
_DAY_ERROR_MS = 30000
_PPM = 1000000
_RTC_FROM_S = 1735689600  # 2025-01-01 UTC: a clock that shows less was never set


class SystemClock:
    """`time` is the module of that name; tests hand in one they move."""

    def __init__(self, time: "Time") -> None:
        self._time = time
        self._offset_ms = 0
        self._read_s = 0  # the last second that was read, while a slew may not undo it
        self._drift_ppm = 0
        self._synced_ms: "int | None" = None

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return int(self._time.time() * 1000) + self._offset_ms

    def now_s(self) -> int:
        """Seconds since 1970-01-01 UTC."""
        now_s = self.now_ms() // 1000
        if now_s == self._read_s - 1:  # slewed back by less than a second: wait until it has come again
            return self._read_s
        self._read_s = now_s
        return now_s

    def quality(self) -> int:
        """clk_q: 0 never synced, 1 RTC only, 2 synced within 24 h, 3 within 1 h; less if it drifts too far."""
        if self._synced_ms is not None:
            age_ms = self.since_ms(self._synced_ms)
            error_ms = age_ms * abs(self._drift_ppm) // _PPM
            if 0 <= age_ms <= _HOUR_MS and error_ms <= _HOUR_ERROR_MS:
                return _HOUR
            if 0 <= age_ms <= _DAY_MS and error_ms <= _DAY_ERROR_MS:
                return _DAY
            self._synced_ms = None  # for good: ticks wrap after days, and would look young again
        return _RTC_ONLY if self.now_s() >= _RTC_FROM_S else _NEVER

    def step(self, by_ms: int) -> None:
        """Move to the server's time at once."""
        self._offset_ms += by_ms
        self._read_s = 0
        self._synced_ms = self.ticks_ms()

    def slew(self, by_ms: int) -> None:
        """Move by half a second at most; a second that was read does not come again."""
        self._offset_ms += by_ms
        self._synced_ms = self.ticks_ms()

    def drifts(self, ppm: int) -> None:
        """How slow the clock was found to be."""
        self._drift_ppm = ppm

    def ticks_ms(self) -> int:
        """Milliseconds that only grow; compare with `since_ms`."""
        return self._time.ticks_ms()

    def since_ms(self, then_ms: int) -> int:
        """Milliseconds from an earlier `ticks_ms` to now, across its wrap."""
        return self._time.ticks_diff(self._time.ticks_ms(), then_ms)
