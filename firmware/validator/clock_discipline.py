"""Keeps the clock at the office's time: steps between cards, slews small errors away, knows how the clock drifts."""

from tunion.compat import const
from tunion.wire.tap import CLOCK_STEP
from validator.supervisor import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.journal import Journal
    from validator.log import Log
    from validator.ports import Clock

RTT_MS_MAX = const(2000)  # a slower answer says too little about the time; platform 19.4
SLEW_MS_MAX = const(500)  # a smaller error is taken away without a step
STEP_NOTED_S = const(60)  # a larger step of the clock is journaled
DRIFT_AFTER_MS = const(3600000)  # an hour between two answers tells a drift to some 30 ppm
DRIFT_PPM_MAX = const(1000)  # a quartz drifts by 100 at most; more is a clock that was set by somebody else


class ClockDiscipline:
    """`heard` with each answer that tells the time, `step` at each turn. `drift_ppm`: positive, the clock is slow."""

    def __init__(self, clock: "Clock", journal: "Journal", log: "Log") -> None:
        self._clock = clock
        self._journal = journal
        self._log = log
        self._office: tuple[int, int] | None = None  # milliseconds, and the ticks when it was that time
        self._slewed_ms = 0  # since
        self._since_ms: int | None = None  # ticks; None: never since the last step
        self._drifts = 0  # how many estimates are in
        self.drift_ppm = 0

    @property
    def pending(self) -> bool:
        """The office's time is known and the clock not yet set to it."""
        return self._office is not None

    def heard(self, server_ms: int, sent_ms: int) -> bool:
        """An answer that is here now; False where it took too long to say the time.

        server_ms  since 1970-01-01 UTC, as the office read it
        sent_ms    ticks when the question went out
        """
        # Ticks from before the office read its clock to after: half of it is the best guess.
        rtt_ms = self._clock.since_ms(sent_ms)
        if rtt_ms >= RTT_MS_MAX:
            return False
        self._office = (server_ms - rtt_ms // 2, sent_ms)
        return True

    def step(self, card_present: bool) -> None:
        """Correct the clock, as far as that may be done now: MAC1, DEBIT and TAC of one tap carry one time."""
        if self._office is None:
            return
        office_ms, then_ms = self._office
        by_ms = office_ms + self._clock.since_ms(then_ms) - self._clock.now_ms()
        if abs(by_ms) <= SLEW_MS_MAX:
            self._office = None
            self._clock.slew(by_ms)
            self._learn(by_ms)
        elif not card_present:
            self._office = None
            self._step(by_ms)

    def _step(self, by_ms: int) -> None:
        before_s = self._clock.now_s()
        self._clock.step(by_ms)
        self._since_ms = self._clock.ticks_ms()
        self._slewed_ms = 0
        step_s = self._clock.now_s() - before_s
        self._log.note("clock_step", step_s)
        if abs(step_s) > STEP_NOTED_S:
            note(self._journal, CLOCK_STEP, max(-0x80000000, min(0x7FFFFFFF, step_s)))

    def _learn(self, by_ms: int) -> None:
        """One more correction; after an hour of them, how fast they become necessary."""
        if self._since_ms is None:
            self._since_ms = self._clock.ticks_ms()
            return  # how old the error is that was just taken away nobody knows
        self._slewed_ms += by_ms
        elapsed_ms = self._clock.since_ms(self._since_ms)
        if 0 <= elapsed_ms < DRIFT_AFTER_MS:
            return
        if elapsed_ms > 0:
            seen_ppm = 1000000 * self._slewed_ms // elapsed_ms
            seen_ppm = max(-DRIFT_PPM_MAX, min(DRIFT_PPM_MAX, seen_ppm))
            self._drifts = min(self._drifts + 1, 4)  # the last few count
            self.drift_ppm += (seen_ppm - self.drift_ppm) // self._drifts
            self._clock.drifts(self.drift_ppm)
        self._since_ms = self._clock.ticks_ms()
        self._slewed_ms = 0
