"""A clock that stands still until the test moves it."""


class ManualClock:
    """The Clock port. `advance_ms` is the test's own hand on it."""

    def __init__(self, now_s: int = 1748740200, quality: int = 3) -> None:
        self._base_ms = 1000 * now_s
        self.drift_ppm = 0
        self._ticks_ms = 0
        self.clk_q = quality

    def now_ms(self) -> int:
        return self._base_ms + self._ticks_ms

    def now_s(self) -> int:
        return self.now_ms() // 1000

    def quality(self) -> int:
        return self.clk_q

    def set(self, now_s: int) -> None:
        """The test's other hand."""
        self.step(1000 * (now_s - self.now_s()))

    def step(self, by_ms: int) -> None:
        self._base_ms += by_ms
        self.clk_q = 3

    def slew(self, by_ms: int) -> None:
        self._base_ms += by_ms
        self.clk_q = 3

    def drifts(self, ppm: int) -> None:
        self.drift_ppm = ppm

    def ticks_ms(self) -> int:
        return self._ticks_ms

    def since_ms(self, then_ms: int) -> int:
        return self._ticks_ms - then_ms

    def advance_ms(self, wait_ms: int) -> None:
        self._ticks_ms += wait_ms
