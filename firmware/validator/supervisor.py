"""Keeps the validator going: parts that were lost are opened again, a program that hangs or breaks is started again,
one that breaks again and again takes no cards but goes on talking to the office. firmware/docs/supervisor.md

`Part` looks after reader and SAM; `Supervisor` after the program as a whole.
"""

from tunion.compat import const
from tunion.wire import health
from tunion.wire import tap as wire
from validator import safe_mode
from validator.crash import CRASH_UNTOLD, MODE_UNTOLD, BlackBox
from validator.ports import ReaderLost, SamLost
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.journal import Journal
    from validator.ports import Clock, Panel
    from validator.settings import Care

OPEN_WAIT_FIRST_MS = const(250)  # a cable pushed back in is noticed at once
OPEN_WAIT_MAX_MS = const(8000)  # a dead part costs one look in this time
RESERVE_BYTES = const(2048)  # let go when the program breaks for want of memory: the record needs some
_DIP_MS_MAX = const(0x7FFFFFFF)


class Part:
    """One part of the validator: `up`, or lost and looked for.

    name           as the panel knows it
    open_again     raises ReaderLost or SamLost while there is nothing to open
    lost, back     event codes, journaled on the way down and up
    power_cycle    takes the part's power away and gives it back, None where nobody can; raises as `open_again`
    cycle_after    openings in a row that fail before that is done, and between two times of it
    tries, cycles  openings that failed, and power cycles, since boot
    number         the events' value, where there are several of a kind
    """

    def __init__(
        self,
        name: str,
        open_again: "Callable[[], None]",
        lost: int,
        back: int,
        journal: "Journal",
        clock: "Clock",
        panel: "Panel",
        power_cycle: "Callable[[], None] | None" = None,
        cycle_after: int = 1,
        number: int = 0,
    ) -> None:
        self._number = number
        self._name = name
        self._open = open_again
        self._lost = lost
        self._back = back
        self._journal = journal
        self._clock = clock
        self._panel = panel
        self._power_cycle = power_cycle
        self._cycle_after = cycle_after
        self._in_a_row = 0  # openings that failed
        self._reported = False
        self._tried_ms = 0
        self._wait_ms = 0
        self.tries = 0
        self.cycles = 0
        self.tried = False  # it was opened or not, once at least
        self.up = False

    def fail(self, fault: Exception) -> None:
        """It was lost. Reported once, until it is back."""
        self.up = False
        self.tried = True
        self._tried_ms = self._clock.ticks_ms()
        self._wait_ms = min(OPEN_WAIT_MAX_MS, max(OPEN_WAIT_FIRST_MS, 2 * self._wait_ms))
        if not self._reported:
            self._reported = True
            note(self._journal, self._lost, self._number)
            self._panel.show("fault", part=self._name, detail=str(fault))

    def revive(self) -> bool:
        """Open it if its time has come; True while it is up."""
        if self.up or self._clock.since_ms(self._tried_ms) < self._wait_ms:
            return self.up
        try:
            self._cycle()
            self._open()
        except (ReaderLost, SamLost) as fault:
            self.tries += 1
            self._in_a_row += 1
            self.fail(fault)
            return False
        self.up = True
        self.tried = True
        self._wait_ms = 0
        self._in_a_row = 0
        if self._reported:
            self._reported = False
            note(self._journal, self._back, self._number)
            self._panel.show("back", part=self._name)
        return True

    def test(self) -> None:
        """Open it once more, to see whether it answers. Not with a card present."""
        if not self.up:
            return
        try:
            self._open()
        except (ReaderLost, SamLost) as fault:
            self.fail(fault)

    def _cycle(self) -> None:
        """Now and then, before it is opened once more."""
        if self._power_cycle is not None and self._in_a_row and self._in_a_row % self._cycle_after == 0:
            self.cycles += 1
            self._power_cycle()


def reader_part(
    reader: "Any", open_again: "Callable[[], None]", journal: "Journal", clock: "Clock", panel: "Panel", after: int
) -> Part:
    """The reader, not opened yet."""
    cycle = getattr(reader, "power_cycle", None)
    return Part("reader", open_again, wire.READER_LOST, wire.READER_BACK, journal, clock, panel, cycle, after)


def sam_part(
    sam: "Any", open_again: "Callable[[], None]", journal: "Journal", clock: "Clock", panel: "Panel", after: int,
    number: int = 0,
) -> Part:  # fmt: skip
    """The SAM, not opened yet. number: 0 the common one, those of single applications from 1."""
    cycle = getattr(sam, "power_cycle", None)
    return Part("sam", open_again, wire.SAM_LOST, wire.SAM_BACK, journal, clock, panel, cycle, after, number)


class Supervisor:
    """Made first of all, before anything that could break. Then `begin` once, `turn_begins` and `turn_ends` each turn.

    up_s     of this boot, in whole seconds
    stage    of safe mode, tunion.wire.health; it does not change while the program runs
    failing  the supply sags: begin nothing, above all no erase
    restart  a normal boot shall be tried: the board starts again
    """

    def __init__(self, ports: "Any", care: "Care", clock: "Clock", panel: "Panel", version: str) -> None:
        """ports: CarePorts, or None for a board that has nothing of it. Counts this boot, starts the watchdog."""
        self._care = care
        self._clock = clock
        self._panel = panel
        self._version = version
        self._watchdog = ports.watchdog if ports is not None and care.watchdog_s else None
        self._power_failing = ports.power_failing if ports is not None else None
        self._voltage_mv = ports.voltage_mv if ports is not None else None
        self._reserve = bytearray(RESERVE_BYTES)
        if self._watchdog is not None:
            self._watchdog.start(1000 * care.watchdog_s)
        self.cause: int = ports.reset_cause() if ports is not None and ports.reset_cause is not None else health.UNKNOWN
        self.box = BlackBox(ports.keep if ports is not None else None)
        self._count_boot()
        self.stage = self.box.stage
        self.failing = False
        self.restart = False
        self.found = 0  # by the last self-test
        self.parts: tuple[Any, ...] = ()  # reader and SAM, or validator.sams
        self._journal: Journal | None = None
        self._dips = 0  # of the supply, since boot
        self._dip_ms = 0  # when this one began
        self._dip_untold_ms = 0  # how long the longest one lasted that the journal does not have
        self.up_s = 0
        self._then_ms = clock.ticks_ms()
        self._turn_ms = 0  # when this turn began
        self._longest_ms = 0  # turn since the last report
        if self.stage:
            panel.show("safe_mode", stage=self.stage)

    def _count_boot(self) -> None:
        box = self.box
        told_itself = box.crash_boot != 0 and box.crash_boot == box.boots  # its crash is counted already
        box.boots = min(box.boots + 1, 0xFFFFFFFF)
        if self.cause == health.WATCHDOG_BIT and not told_itself:
            box.resets = min(box.resets + 1, 0xFFFFFFFF)
            if safe_mode.fell(box, self._care):
                box.untold |= MODE_UNTOLD
        box.save()

    # -- what the journal is told -------------------------------------------------------------------------------

    def begin(self, journal: "Journal", parts: "tuple[Any, ...]") -> None:
        """The journal is there: BOOT, and what happened before. A power cut may make one of these two, never none."""
        self._journal = journal
        self.parts = parts
        note(journal, wire.BOOT, len(journal.open_claims()), self.cause)
        if self.cause == health.WATCHDOG_BIT:
            note(journal, wire.WATCHDOG, min(self.box.resets, 0x7FFFFFFF))
        if self.cause == health.BROWN_OUT_RESET:
            note(journal, wire.BROWN_OUT)
        self._tell()

    def _tell(self) -> None:
        """What the box holds for the journal, and a dip of the supply."""
        box, journal = self.box, self._journal
        told = box.untold
        if journal is None or not (told or self._dip_untold_ms):
            return
        try:
            if self._dip_untold_ms:
                journal.event(wire.BROWN_OUT, value=self._dip_untold_ms)
                self._dip_untold_ms = 0
            if told & CRASH_UNTOLD:
                module, line = box.places[0] if box.places else ("", 0)
                journal.event(wire.CRASH, reason=health.number_of(box.type), value=health.place(module, line))
            if told & MODE_UNTOLD:
                journal.event(wire.SAFE_MODE, reason=self._why(), value=box.stage)
        except JournalFull:
            return  # later: there is room again some day
        if told:
            box.untold = 0
            box.save()

    def _why(self) -> int:
        """Of the last change of safe mode."""
        if self.box.stage == health.NORMAL:
            return health.TRIAL if self.box.trials else health.ORDERED
        return health.STUCK if self.cause == health.WATCHDOG_BIT else health.CRASHED

    # -- turn by turn -------------------------------------------------------------------------------------------

    def turn_begins(self) -> None:
        """Look at the supply."""
        self._turn_ms = self._clock.ticks_ms()
        if self._power_failing is not None:
            self._watch_power(self._power_failing())

    def is_failing(self) -> bool:
        """Look at the supply again: before something that cannot be broken off."""
        if self._power_failing is not None:
            self._watch_power(self._power_failing())
        return self.failing

    def turn_ends(self) -> None:
        """The loop is alive: feed the watchdog."""
        self._longest_ms = max(self._longest_ms, self._clock.since_ms(self._turn_ms))
        if self._watchdog is not None:
            self._watchdog.feed()

    def idle(self) -> None:
        """Now and then, without a card: judge how the program fares. Raises FlashFault."""
        passed_s = max(0, self._clock.since_ms(self._then_ms)) // 1000
        if not passed_s or self.failing or self.restart:
            return
        self.up_s += passed_s
        self._then_ms = self._clock.ticks_ms()
        box, care = self.box, self._care
        if safe_mode.ran_clean(box, care, self.up_s):
            box.save()
        elif self.stage and safe_mode.is_trial_due(box, care, self.up_s):
            safe_mode.begin_trial(box, care)
            self._leave()
        self._tell()

    def crashed(self, error: BaseException) -> None:
        """Nobody caught this: note where it was, once in a boot. The board starts again."""
        self._reserve = bytearray(0)
        box = self.box
        if box.crash_boot == box.boots:
            return
        try:
            box.record(error, self._version, self.up_s)
        except MemoryError:
            box.places = []  # its type is noted
        if safe_mode.fell(box, self._care):
            box.untold |= MODE_UNTOLD
        box.save()

    def leave_safe_mode(self) -> None:
        """The office has looked at it: the next boot is a normal one."""
        if self.stage:
            safe_mode.leave(self.box)
            self._leave()

    def figures(self) -> "dict[str, Any]":
        """For telemetry; names and units: firmware/docs/sync.md. What is 0 is left out."""
        box = self.box
        found: dict[str, Any] = {
            "boots": box.boots,
            "reset": self.cause,
            "crashes": box.crashes,
            "watchdogs": box.resets,
            "safe": self.stage,
            "self_test": self.found,
            "dips": self._dips,
            "turn_ms": self._longest_ms,
            "watchdog_ms": 0 if self._watchdog is None else 1000 * self._care.watchdog_s,
            "voltage_mv": 0 if self._voltage_mv is None else self._voltage_mv(),
        }
        for name, part in zip(("reader", "sam"), self.parts):
            found[name + "_tries"] = part.tries
            found[name + "_cycles"] = part.cycles
        self._longest_ms = 0
        said: dict[str, Any] = {name: found[name] for name in found if found[name]}
        words = box.words()
        if words:
            said["crash"] = words
            said["crash_boot"] = box.crash_boot
            said["crash_up_s"] = box.crash_up_s
        return said

    def _leave(self) -> None:
        """Safe mode is over with this boot."""
        self.box.untold |= MODE_UNTOLD
        self.box.save()
        self._tell()
        self.restart = True

    def _watch_power(self, failing: bool) -> None:
        if failing == self.failing:
            return
        self.failing = failing
        if failing:
            self._dips += 1
            self._dip_ms = self._clock.ticks_ms()
            self._panel.show("fault", part="power")
            return
        lasted_ms = min(max(1, self._clock.since_ms(self._dip_ms)), _DIP_MS_MAX)
        self._dip_untold_ms = max(lasted_ms, self._dip_untold_ms)
        self._panel.show("back", part="power")


def note(journal: "Journal", code: int, value: int = 0, reason: int = 0, card: bytes = bytes(10)) -> bool:
    """An event, unless the journal is full: taps have the first call on the last slots, and the panel tells too."""
    try:
        journal.event(code, reason, card, value)
    except JournalFull:
        return False
    return True
