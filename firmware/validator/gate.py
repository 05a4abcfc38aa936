"""Between the tap path and a gate's mechanics: permits, who used them, who passed without one.

A durable outcome gives one permit, one permit lets one person through. A permit that lapsed is the card's to use again,
without a new charge; one that was used is not. Nothing is in flash but events: permits lie in RAM, and after a restart
the card that was charged last, and any whose record says that it was here just now, may open once more.
Rules and reasons: firmware/docs/gate.md.
"""

from tunion.compat import const
from tunion.fare import decision
from tunion.wire import reason
from tunion.wire import tap as wire
from validator import ports
from validator.ports import ENTRY, EXIT, GateLost
from validator.rides.charge import Refused
from validator.supervisor import OPEN_WAIT_FIRST_MS, OPEN_WAIT_MAX_MS, note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.journal import Journal
    from validator.modes import Modes
    from validator.ports import Clock, Gate, Panel
    from validator.telemetry import Health

WAITING_MAX = const(8)  # permits that nobody has used yet; then no card is taken until one is
KEPT_MAX = const(32)  # cards remembered, used or lapsed: as many as pass while one could come back
EVENTS_AT_ONCE_MAX = const(16)  # of one turn: a gate that babbles must not stop the validator
GRACE_MS = const(2000)  # after open_s, for a gate that does not tell that a permit lapsed
LATE_MS = const(2000)  # a person seen passing so soon after the permit lapsed had it
INTRUSION_EVERY_MS = const(10000)  # one event for all that were seen meanwhile: they must not fill the journal
BOOT_MS = const(20000)  # so long after a start nobody knows who passed before it
RESUME_S = const(60)  # a card that was charged so long before the start may open once more

_JAM, _POWER, _LINE = const(1), const(2), const(3)  # values of GATE_FAULT
_GIVEN, _SENT, _LAPSED, _USED = range(4)


class Permit:
    """One person may pass, or might have. `since_ms`: when it came into this state; `asked_ms`: tapped again since."""

    def __init__(self, way: int, card: bytes, since_ms: int) -> None:
        self.way = way
        self.card = card
        self.state = _GIVEN
        self.since_ms = since_ms
        self.asked_ms: int | None = None


class GateKeeper:
    """The gate that the tap path sees.

    keep_s   a card whose permit lapsed may open again within this time; one whose permit was used may not enter again
    """

    def __init__(
        self, gate: "Gate", journal: "Journal", clock: "Clock", panel: "Panel", health: "Health", modes: "Modes",
        keep_s: int,
    ) -> None:  # fmt: skip
        self._gate = gate
        self._journal = journal
        self._clock = clock
        self._panel = panel
        self._health = health
        self._modes = modes
        self._keep_ms = 1000 * keep_s
        self._permits: list[Permit] = []  # oldest first
        self._booted_ms = clock.ticks_ms()
        self._faults: list[int] = []  # values of GATE_FAULT that are not over
        self._connected = False
        self._known = False  # connected, and it has told how it is
        self._tried_ms: int | None = None
        self._wait_ms = OPEN_WAIT_FIRST_MS
        self.emergency = False  # the flaps have dropped: everybody may leave
        self._free = 0  # ways that the gate was told to leave open
        self._free_by_power = False
        self._intruders = {ports.INTRUDED: 0, ports.TAILGATED: 0, ports.WRONG_WAY: 0}  # not journaled yet
        self._told_ms: int | None = None
        self._resume()

    # -- for the application ------------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Cards may be taken: the gate moves, and there is room for a permit."""
        waiting = [permit for permit in self._permits if permit.state in (_GIVEN, _SENT)]
        return not self.closed and len(waiting) < WAITING_MAX

    @property
    def closed(self) -> bool:
        """It takes no cards, and not only for as long as people in it need."""
        return not self._known or bool(self._faults) or self.emergency

    def step(self) -> None:
        """One turn: what was seen, permits that lapsed, permits that wait."""
        try:
            if not self._connected and not self._connect():
                return
            for _ in range(EVENTS_AT_ONCE_MAX):
                seen = self._gate.step()
                if seen is None:
                    break
                self._saw(seen.what, seen.value)
            self._lapse()
            self._modes.step()
            if self._known:
                self._stand_open()
                self._feed()
        except GateLost:
            self._lost()
        self._tell_intruders()

    # -- for the tap path ---------------------------------------------------------------------------------------

    def judge(self, card: bytes, charge: "Any") -> None:
        """Before anything is debited. Raises Refused where the gate could not let the person through.

        Also the card that is handed back over the flap: its entry here was used, and it has not been out since.
        """
        if not self.ready:
            raise Refused(reason.GATE_FAULT)
        if charge.shown == "enter" and charge.case == decision.NO_EXIT and not charge.owed_fen:
            permit = self._of(card)
            if permit is not None and permit.way == ENTRY and permit.state == _USED:
                self.stay_shut()

    def permit(self, way: int, card: bytes) -> None:
        """A durable outcome: one person may pass, this way. Never blocks."""
        self._permits = [each for each in self._permits if each.card != card or each.state == _SENT]
        self._health.count("gate_permits")
        self._permits.append(Permit(way, card, self._clock.ticks_ms()))
        self._forget()
        self._try_feed()

    def again(self, card: bytes) -> bool:
        """The card has a permit that nobody used: the gate is open for it, or opens again. Nothing is to be charged."""
        permit = self._of(card)
        if permit is None or permit.state == _USED or not self.ready:
            return False
        if permit.state == _LAPSED:
            self._give_again(permit)
            self._try_feed()
        elif permit.state == _SENT:
            permit.asked_ms = self._clock.ticks_ms()
        return True

    def ignored(self, way: int, card: bytes) -> None:
        """The card's record says that it was here just now. It may pass after a restart, when nobody knows more."""
        if self._of(card) is not None or self._clock.since_ms(self._booted_ms) >= BOOT_MS:
            self.stay_shut()
        self.permit(way, card)

    def stay_shut(self) -> None:
        """For a card whose permit was used. Raises Refused."""
        raise Refused(reason.of_case(decision.TWICE))

    # -- what was seen ------------------------------------------------------------------------------------------

    def _saw(self, what: int, value: int) -> None:
        if what == ports.PASSED:
            self._passed(value)
        elif what == ports.TIMED_OUT:
            self._timed_out(value)
        elif what in self._intruders:
            self._count_person(value)
            self._intruded(what)
        elif what == ports.JAMMED:
            self._fault(_JAM, value != 0)
        elif what == ports.POWER_LOST:
            self._free_by_power = value == 2
            self._fault(_POWER, value != 0)
        elif what == ports.EMERGENCY:
            self._burns(value != 0)
        elif what == ports.SWITCHED:
            self._modes.switch(value)
            if not self._known:
                self._known = True
                self._wait_ms = OPEN_WAIT_FIRST_MS
                self._fault(_LINE, False)

    def _passed(self, way: int) -> None:
        """One person. Without a permit, at a gate that was not open to all, an intrusion, whatever the gate says."""
        self._count_person(way)
        for state in (_SENT, _LAPSED):
            for permit in self._permits:
                late = permit.state == _LAPSED and self._clock.since_ms(permit.since_ms) >= LATE_MS
                if permit.way == way and permit.state == state and not late:
                    permit.state = _USED
                    permit.since_ms = self._clock.ticks_ms()
                    self._restart(way)
                    return
        if not (self._free & way or self.emergency or self._free_by_power):
            self._intruded(ports.INTRUDED)

    def _restart(self, way: int) -> None:
        """The gate counts open_s anew for who comes next."""
        for permit in self._permits:
            if permit.state == _SENT and permit.way == way:
                permit.since_ms = self._clock.ticks_ms()

    def _timed_out(self, way: int) -> None:
        for permit in self._permits:
            if permit.state == _SENT and permit.way == way:
                self._health.count("gate_timed_out")
                self._let_lapse(permit)
                note(self._journal, wire.GATE_TIMED_OUT, way, card=permit.card)
                self._restart(way)
                if permit.asked_ms is not None and self._clock.since_ms(permit.asked_ms) < LATE_MS:
                    self._give_again(permit)  # tapped again while the flaps were closing
                return

    def _give_again(self, permit: Permit) -> None:
        """Behind those who wait."""
        permit.state = _GIVEN
        permit.since_ms = self._clock.ticks_ms()
        permit.asked_ms = None
        self._permits.remove(permit)
        self._permits.append(permit)
        self._health.count("gate_reopened")

    def _let_lapse(self, permit: Permit) -> None:
        permit.state = _LAPSED
        permit.since_ms = self._clock.ticks_ms()

    def _let_all_lapse(self) -> None:
        """The flaps do something else now; they must not open for somebody who has gone."""
        for permit in self._permits:
            if permit.state in (_GIVEN, _SENT):
                self._let_lapse(permit)

    def _count_person(self, way: int) -> None:
        self._health.count("gate_in" if way == ENTRY else "gate_out")

    def _intruded(self, what: int) -> None:
        self._health.count("gate_intruders")
        self._intruders[what] += 1

    def _tell_intruders(self) -> None:
        if not any(self._intruders.values()):
            return
        if self._told_ms is not None and self._clock.since_ms(self._told_ms) < INTRUSION_EVERY_MS:
            return
        for what in self._intruders:
            if self._intruders[what] and note(self._journal, wire.INTRUSION, self._intruders[what], what):
                self._intruders[what] = 0
        self._told_ms = self._clock.ticks_ms()

    def _fault(self, value: int, begins: bool) -> None:
        """Permits that the gate may have dropped are their cards' again."""
        if begins == (value in self._faults):
            return
        self._let_all_lapse()
        if begins:
            self._faults.append(value)
            note(self._journal, wire.GATE_FAULT, value)
            if len(self._faults) == 1:
                self._panel.show("fault", part="gate")
            return
        self._faults.remove(value)
        if not self._faults:
            note(self._journal, wire.GATE_FAULT)
            self._panel.show("back", part="gate")

    def _burns(self, begins: bool) -> None:
        """Everybody leaves, and nobody taps. Cards that entered may have left: the modes remember."""
        if begins == self.emergency:
            return
        self.emergency = begins
        note(self._journal, wire.EMERGENCY, int(begins))
        self._modes.emergency(begins)
        self._let_all_lapse()
        if begins:
            self._panel.show("passed")

    # -- the gate -----------------------------------------------------------------------------------------------

    def _connect(self) -> bool:
        if self._tried_ms is not None and self._clock.since_ms(self._tried_ms) < self._wait_ms:
            return False
        self._tried_ms = self._clock.ticks_ms()
        self._gate.connect()
        self._connected = True
        self._free = 0
        return True

    def _lost(self) -> None:
        if not self._known:
            self._wait_ms = min(OPEN_WAIT_MAX_MS, 2 * self._wait_ms)
        self._connected = self._known = False
        self._tried_ms = self._clock.ticks_ms()
        self._free_by_power = False
        self._fault(_LINE, True)

    def _stand_open(self) -> None:
        ways = self._modes.ways_open()
        if ways != self._free:
            self._gate.stand_open(ways)
            self._free = ways

    def _try_feed(self) -> None:
        try:
            self._feed()
        except GateLost:
            self._lost()

    def _feed(self) -> None:
        """Tell the gate of permits that wait, one way at a time."""
        if self.closed:
            return
        now = [permit.way for permit in self._permits if permit.state == _SENT]
        for permit in self._permits:
            if permit.state != _GIVEN:
                continue
            if now and permit.way != now[0]:
                return
            permit.state = _SENT
            permit.since_ms = self._clock.ticks_ms()
            self._gate.open(permit.way)
            now.append(permit.way)

    def _lapse(self) -> None:
        """Permits that the gate should have told of, and cards that are remembered no longer."""
        limit_ms = 1000 * self._gate.open_s + GRACE_MS
        for permit in list(self._permits):
            age_ms = self._clock.since_ms(permit.since_ms)
            if permit.state == _SENT and age_ms >= limit_ms:
                self._timed_out(permit.way)
            elif permit.state in (_LAPSED, _USED) and age_ms >= self._keep_ms:
                self._permits.remove(permit)

    # -- cards --------------------------------------------------------------------------------------------------

    def _of(self, card: bytes) -> "Permit | None":
        for permit in self._permits:
            if permit.card == card:
                return permit
        return None

    def _forget(self) -> None:
        """Room for the next: those that were used go first."""
        for state in (_USED, _LAPSED):
            for permit in list(self._permits):
                if len(self._permits) <= KEPT_MAX:
                    return
                if permit.state == state:
                    self._permits.remove(permit)

    def _resume(self) -> None:
        """The power may have failed before the card that was charged last had passed: it may open once more."""
        last = self._journal.last_paid
        if last is None or self._clock.quality() == 0:
            return
        card, at_s, event = last.card, last.at_s, last.event
        if event & 15 not in (wire.BOARD, wire.ALIGHT) or not 0 <= self._clock.now_s() - at_s < RESUME_S:
            return
        permit = Permit(ENTRY if event & 15 == wire.BOARD else EXIT, card, self._clock.ticks_ms())
        self._permits.append(permit)
        self._let_lapse(permit)


