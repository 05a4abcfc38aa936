"""A gate whose flaps time out, jam, lose power and are jumped over: one fare, one person; and never locked in."""

import unittest

from support import rides
from support.flaps import POWER_HOLD, POWER_OPEN, Flaps
from support.nor import PowerCut
from support.purse_card import AFTER, BEFORE, PurseCard
from tunion.bcd import from_digits
from tunion.card import trips
from tunion.fare import decision
from tunion.fare.trip import ENTRY_FREE, EXIT_FREE
from tunion.wire import reason
from tunion.wire import tap as wire
from validator import gate, ports
from validator.modes import OPENED_MAX, Modes
from validator.ports import ENTRY, EXIT
from validator.telemetry import Health

HEAP = "3m"
PAID = (wire.SETTLED, wire.PROVED)
RUNS = 6  # of the sweep, each from its own seed
STEPS = 60


def entries(bus):
    return [wire.from_wire(entry) for _, entry in bus.journal.pending(1000, 1000000)]


def taps(bus):
    return [body for body, outcome in entries(bus) if body.kind == wire.TAP and outcome.code in PAID]


def events(bus, code):
    return [body for body, _ in entries(bus) if body.kind == wire.EVENT and body.code == code]


class Station:
    """One gate with its tap path, flaps and people, turn by turn."""

    def __init__(self, role="exit", station=322, without_power=POWER_OPEN, **changes):
        self.bus = rides.terminal(rides.metro(**changes), role=role, same_card_s=2)
        self.bus.duty.stop = station
        self.flaps = Flaps(self.bus.clock, without_power=without_power)
        self.wire_up()

    def wire_up(self):
        bus = self.bus
        self.health = Health(bus.clock)
        self.modes = Modes(bus.duty, bus.journal, bus.clock)
        self.keeper = gate.GateKeeper(
            self.flaps, bus.journal, bus.clock, bus.panel, self.health, self.modes, 1200
        )
        bus.tap._gate = self.keeper
        self.turn()

    def turn(self, ms=0, each_ms=100):
        """So long, in turns."""
        self.keeper.step()
        for _ in range(ms // each_ms):
            self.bus.clock.advance_ms(each_ms)
            self.keeper.step()

    def tap(self, card, tear=None):
        self.bus.reader.present(card, tear)
        self.bus.tap.serve()
        self.bus.reader.card = None
        self.keeper.step()
        return self.bus.panel.last

    def walk(self, way, over=False):
        went = self.flaps.walk(way, over)
        self.keeper.step()
        return went

    def reboot(self):
        self.bus.reboot()
        self.wire_up()

    def counted(self, name):
        return self.health.figures(0).get(name, 0)


def inside(number=0, minutes=10, station=211, **changes):
    """A card that entered some minutes ago."""
    card = PurseCard(serial=from_digits("0310499900%010d" % number), **changes)
    entry = rides.terminal(rides.metro(), role="entry", same_card_s=2)
    entry.duty.stop = station
    entry.clock.advance_ms(-60000 * minutes)
    entry.reader.present(card)
    entry.tap.serve()
    assert entry.panel.last == "enter", entry.panel.shown
    return card


class Permits(unittest.TestCase):
    def test_one_fare_lets_one_person_through_and_is_counted(self):
        post, card = Station(), inside()
        self.assertFalse(post.walk(EXIT))
        self.assertEqual(post.tap(card), "exit")
        self.assertTrue(post.walk(EXIT))
        self.assertFalse(post.walk(EXIT))
        self.assertEqual((post.counted("gate_permits"), post.counted("gate_out"), card.spent_fen), (1, 1, 300))
        self.assertEqual(post.counted("gate_intruders"), 0)

    def test_who_was_too_slow_taps_again_and_pays_nothing_more(self):
        for wait_ms in (6000, 60000, 1100000):
            with self.subTest(wait_ms=wait_ms):
                post, card = Station(), inside()
                post.tap(card)
                post.turn(wait_ms, 1000)
                self.assertFalse(post.walk(EXIT))
                found = events(post.bus, wire.GATE_TIMED_OUT)
                self.assertEqual([(each.card, each.value) for each in found], [(card.serial, EXIT)])
                self.assertEqual(post.tap(card), "exit")
                self.assertTrue(post.walk(EXIT))
                self.assertEqual((card.spent_fen, len(taps(post.bus))), (300, 1))
                post.turn(3000)
                self.assertEqual(post.tap(card), "refused")
                self.assertFalse(post.walk(EXIT))

    def test_a_card_that_is_handed_back_over_the_flap_opens_it_no_second_time(self):
        for role, way in (("entry", ENTRY), ("exit", EXIT)):
            for wait_ms in (0, 1000, 3000, 9000, 11000, 300000):
                with self.subTest(role=role, wait_ms=wait_ms):
                    post = Station(role)
                    card = inside() if role == "exit" else PurseCard()
                    post.tap(card)
                    self.assertTrue(post.walk(way))
                    post.turn(wait_ms, 1000)
                    self.assertEqual(post.tap(card), "refused")
                    self.assertFalse(post.walk(way))
                    self.assertEqual(len(taps(post.bus)), 1)

    def test_who_entered_here_and_was_out_since_enters_again(self):
        post, card = Station("entry", 211), PurseCard()
        post.tap(card)
        post.walk(ENTRY)
        out = Station("exit", 322)
        out.bus.clock.advance_ms(300000)
        self.assertEqual(out.tap(card), "exit")
        post.turn(600000, 1000)
        self.assertEqual(post.tap(card), "enter")

    def test_people_queue_and_each_goes_on_its_own_permit(self):
        post = Station()
        cards = [inside(number) for number in range(3)]
        for card in cards:
            post.tap(card)
        self.assertEqual([post.walk(EXIT) for _ in range(4)], [True, True, True, False])
        self.assertEqual((post.counted("gate_out"), post.counted("gate_intruders")), (3, 0))

    def test_who_comes_back_stands_behind_those_who_wait(self):
        post, late, other = Station(), inside(), inside(1)
        post.tap(late)
        post.turn(6000)
        post.tap(other)
        post.tap(late)
        self.assertTrue(post.walk(EXIT))
        post.turn(6000)
        self.assertEqual([post.tap(other), post.tap(late)], ["refused", "passed"])
        self.assertEqual((post.walk(EXIT), post.walk(EXIT)), (True, False))

    def test_two_ways_wait_for_each_other(self):
        post = Station("both")
        for way, number in ((EXIT, 1), (ENTRY, 2), (EXIT, 3)):
            post.keeper.permit(way, bytes(9) + bytes((number,)))
        self.assertEqual(post.flaps.is_open, EXIT)
        post.walk(EXIT)
        self.assertEqual(post.flaps.is_open, ENTRY)
        post.turn(5000)
        self.assertEqual(post.flaps.is_open, EXIT)

    def test_a_full_queue_takes_no_more_cards(self):
        post = Station()
        for number in range(gate.WAITING_MAX):
            self.assertTrue(post.keeper.ready)
            post.tap(inside(number))
        self.assertFalse(post.keeper.ready)
        late = inside(99)
        self.assertEqual((post.tap(late), late.spent_fen), ("refused", 0))
        post.walk(EXIT)
        self.assertEqual((post.keeper.ready, post.tap(late)), (True, "exit"))

    def test_a_gate_that_does_not_tell_of_the_end_is_not_waited_for(self):
        class Mute(Flaps):
            def step(self):
                seen = Flaps.step(self)
                return None if seen and seen.what == ports.TIMED_OUT else seen

        post, card = Station(), inside()
        post.flaps = Mute(post.bus.clock)
        post.wire_up()
        post.tap(card)
        post.turn(5000 + gate.GRACE_MS)
        self.assertEqual(len(events(post.bus, wire.GATE_TIMED_OUT)), 1)

    def test_who_taps_again_while_the_flaps_close_finds_them_open(self):
        post, card = Station(), inside()
        post.tap(card)
        post.turn(4900)
        self.assertEqual(post.tap(card), "exit")
        post.turn(300)
        self.assertTrue(post.walk(EXIT))
        self.assertEqual(card.spent_fen, 300)
        post.turn(20000)
        self.assertFalse(post.flaps.is_open)

    def test_who_is_seen_just_after_the_end_had_the_permit(self):
        post, card = Station(), inside()
        post.tap(card)
        post.turn(5000)
        post.flaps._seen.append(ports.Seen(ports.PASSED, EXIT))
        post.turn()
        self.assertEqual((post.counted("gate_intruders"), post.tap(card)), (0, "refused"))

    def test_who_is_seen_long_after_the_end_was_somebody_else(self):
        post, card = Station(), inside()
        post.tap(card)
        post.turn(5000 + gate.LATE_MS)
        post.flaps._seen.append(ports.Seen(ports.PASSED, EXIT))
        post.turn()
        self.assertEqual((post.counted("gate_intruders"), post.tap(card), post.walk(EXIT)), (1, "exit", True))

    def test_a_torn_card_that_proves_its_ride_gets_its_permit(self):
        post, card = Station(), inside()
        self.assertEqual(post.tap(card, (7, AFTER)), "tap_again")
        self.assertFalse(post.walk(EXIT))
        self.assertEqual(post.tap(card), "recovered")
        self.assertTrue(post.walk(EXIT))

    def test_cards_are_remembered_in_a_bounded_list(self):
        post = Station("entry")
        for number in range(gate.KEPT_MAX + 5):
            post.tap(PurseCard(serial=from_digits("0310499900%010d" % number)))
            post.walk(ENTRY)
        self.assertEqual(len(post.keeper._permits), gate.KEPT_MAX)


class Intruders(unittest.TestCase):
    def test_each_kind_is_counted_and_journaled_once_in_a_while(self):
        post, card = Station(), inside()
        post.walk(EXIT, over=True)
        post.tap(card)
        post.flaps.follow(EXIT)
        post.turn(gate.INTRUSION_EVERY_MS)
        post.tap(inside(1))
        post.walk(ENTRY, over=True)
        post.turn(2 * gate.INTRUSION_EVERY_MS, 1000)
        found = [(each.reason, each.value) for each in events(post.bus, wire.INTRUSION)]
        self.assertEqual(found, [(ports.INTRUDED, 1), (ports.TAILGATED, 1), (ports.WRONG_WAY, 1)])
        self.assertEqual(post.counted("gate_intruders"), 3)

    def test_a_crowd_that_jumps_over_does_not_fill_the_journal(self):
        post = Station()
        for _ in range(200):
            post.walk(EXIT, over=True)
            post.turn(100)
        self.assertLessEqual(len(events(post.bus, wire.INTRUSION)), 3)
        post.turn(gate.INTRUSION_EVERY_MS)
        self.assertEqual(sum(each.value for each in events(post.bus, wire.INTRUSION)), 200)

    def test_a_gate_that_says_passed_without_a_permit_is_not_believed(self):
        post = Station()
        post.flaps._seen.append(ports.Seen(ports.PASSED, EXIT))
        post.turn()
        self.assertEqual([each.reason for each in events(post.bus, wire.INTRUSION)], [ports.INTRUDED])


class Faults(unittest.TestCase):
    def test_a_jam_closes_the_gate_and_leaves_the_permit_to_its_card(self):
        post, card = Station(), inside()
        post.tap(card)
        post.flaps.jam(True)
        post.turn()
        self.assertTrue(post.keeper.closed)
        other = inside(1)
        self.assertEqual((post.tap(other), other.spent_fen), ("refused", 0))
        self.assertEqual(post.bus.panel.shown[-1][1]["reason"], reason.GATE_FAULT)
        post.flaps.jam(False)
        post.turn(300000, 1000)
        self.assertEqual([each.value for each in events(post.bus, wire.GATE_FAULT)], [1, 0])
        self.assertFalse(post.walk(EXIT))
        self.assertEqual((post.tap(card), post.walk(EXIT), card.spent_fen), ("exit", True, 300))

    def test_a_gate_that_jams_while_the_card_pays_owes_it_the_passage(self):
        post, card = Station(), inside()
        judge = post.keeper.judge

        def judged(serial, charge):
            judge(serial, charge)
            post.flaps.jam(True)
            post.keeper.step()

        post.keeper.judge = judged
        self.assertEqual(post.tap(card), "exit")
        self.assertFalse(post.walk(EXIT))
        post.keeper.judge = judge
        post.flaps.jam(False)
        post.turn(1000)
        self.assertFalse(post.flaps.is_open, "nobody stands there any more")
        self.assertEqual((post.tap(card), post.walk(EXIT), card.spent_fen), ("exit", True, 300))

    def test_a_gate_that_moves_again_opens_at_once_for_who_had_paid(self):
        for fault, over in (("jam", False), ("burn", False), ("power", True)):
            with self.subTest(fault=fault):
                post, card = Station(without_power=POWER_HOLD), inside()
                post.tap(card)
                getattr(post.flaps, fault)(not over)
                post.turn()
                getattr(post.flaps, fault)(over)
                post.turn()
                self.assertEqual((post.tap(card), post.walk(EXIT), card.spent_fen), ("exit", True, 300))

    def test_a_line_that_breaks_is_looked_for_ever_more_rarely(self):
        post, card = Station(), inside()
        post.tap(card)
        post.flaps.plugged = False
        post.turn(60000)
        self.assertTrue(post.keeper.closed)
        post.flaps.plugged = True
        post.turn(8000)
        self.assertFalse(post.keeper.closed)
        self.assertEqual([each.value for each in events(post.bus, wire.GATE_FAULT)], [3, 0])
        self.assertEqual((post.tap(card), post.walk(EXIT)), ("exit", True))
        shown = [(what, details) for what, details in post.bus.panel.shown if what in ("fault", "back")]
        self.assertEqual(shown, [("fault", {"part": "gate"}), ("back", {"part": "gate"})])

    def test_a_line_that_breaks_in_the_very_permit_costs_the_card_nothing(self):
        post, card = Station(), inside()
        def broken(way):
            raise ports.GateLost("the line breaks now")

        post.flaps.open = broken
        self.assertEqual(post.tap(card), "fault")
        self.assertIn("exit", [what for what, _ in post.bus.panel.shown])
        del post.flaps.open
        post.turn(8000)
        self.assertEqual((post.tap(card), post.walk(EXIT), card.spent_fen), ("exit", True, 300))

    def test_a_gate_that_opens_its_line_and_tells_nothing_takes_no_card(self):
        class Dumb(Flaps):
            def step(self):
                return None

        post = Station()
        post.flaps = Dumb(post.bus.clock)
        post.wire_up()
        post.turn(10000)
        self.assertTrue(post.keeper.closed)
        self.assertEqual(post.bus.panel.shown, [])

    def test_without_power_the_flaps_do_what_is_set(self):
        for setting, passes in ((POWER_OPEN, True), (POWER_HOLD, False)):
            with self.subTest(setting=setting):
                post = Station(without_power=setting)
                post.flaps.power(False)
                post.turn()
                self.assertEqual((post.walk(EXIT), post.keeper.closed), (passes, True))
                self.assertEqual(events(post.bus, wire.INTRUSION), [])
                post.flaps.power(True)
                post.turn()
                self.assertFalse(post.keeper.closed)

    def test_in_a_fire_everybody_leaves_and_may_enter_again_afterwards(self):
        post = Station("entry", 211)
        card = inside(minutes=30)
        post.flaps.burn(True)
        post.turn()
        self.assertEqual((post.keeper.closed, post.bus.panel.last), (True, "passed"))
        for _ in range(20):
            self.assertTrue(post.walk(EXIT))
        self.assertEqual((events(post.bus, wire.INTRUSION), post.counted("gate_out")), ([], 20))
        post.turn(60000, 1000)
        post.flaps.burn(False)
        post.turn()
        self.assertEqual([each.value for each in events(post.bus, wire.EMERGENCY)], [1, 0])
        self.assertEqual((post.tap(card), card.spent_fen), ("enter", 0))
        self.assertEqual(taps(post.bus)[-1].fare_case, decision.DEGRADED)
        other = inside(1, minutes=-2)
        post.turn(3600000, 10000)
        post.tap(other)
        self.assertEqual(other.spent_fen, 200, "who entered afterwards has not left by those exits")

    def test_events_that_have_no_end_do_not_stop_the_validator(self):
        class Babbler(Flaps):
            def step(self):
                return ports.Seen(ports.INTRUDED, EXIT)

        post = Station()
        post.flaps = Babbler(post.bus.clock)
        post.wire_up()
        self.assertEqual(post.counted("gate_intruders"), gate.EVENTS_AT_ONCE_MAX)


class DegradedModes(unittest.TestCase):
    def test_office_and_switch_both_count_and_each_change_is_journaled(self):
        post = Station()
        post.modes.order(EXIT_FREE)
        post.flaps.turn_switch(ENTRY_FREE)
        post.turn()
        self.assertEqual((post.bus.duty.modes, post.flaps.is_open), (EXIT_FREE | ENTRY_FREE, ENTRY | EXIT))
        post.modes.order(0)
        post.modes.order(0)
        post.turn()
        self.assertEqual((post.bus.duty.modes, post.flaps.is_open), (ENTRY_FREE, ENTRY))
        found = [(each.value, each.reason) for each in events(post.bus, wire.MODE_CHANGED)]
        self.assertEqual(found, [(EXIT_FREE, 0), (EXIT_FREE | ENTRY_FREE, ENTRY_FREE), (ENTRY_FREE, ENTRY_FREE)])

    def test_who_walks_through_an_open_gate_is_counted_and_no_intruder(self):
        post = Station()
        post.modes.order(EXIT_FREE)
        post.turn()
        card = inside()
        self.assertEqual((post.tap(card), post.walk(EXIT), post.walk(EXIT)), ("passed", True, True))
        self.assertEqual((card.spent_fen, post.counted("gate_out"), events(post.bus, wire.INTRUSION)), (0, 2, []))

    def test_modes_and_times_of_open_exits_outlive_a_restart(self):
        post = Station()
        post.modes.order(EXIT_FREE)
        post.turn(60000, 1000)
        kept = post.modes.kept()
        again = Station()
        again.modes.recall(kept)
        self.assertEqual((again.bus.duty.modes, again.modes.kept()), (EXIT_FREE, kept))
        again.modes.order(0)
        (from_s, to_s), = again.bus.duty.opened
        self.assertEqual((from_s, to_s), (kept["opened"][0][0], again.bus.clock.now_s()))

    def test_the_list_of_open_exits_is_bounded_and_a_foreign_one_is_dropped(self):
        post = Station()
        for _ in range(OPENED_MAX + 3):
            post.modes.order(EXIT_FREE)
            post.turn(1000)
            post.modes.order(0)
            post.turn(1000)
        self.assertEqual(len(post.bus.duty.opened), OPENED_MAX)
        for foreign in ({}, {"modes": 32}, {"modes": "1"}, {"opened": [[1], ["a", 2], 7]}, {"opened": 3}):
            post.modes.recall(foreign)
            self.assertEqual((post.bus.duty.modes & ~31, post.modes.office & ~31), (0, 0))

    def test_a_time_without_a_clock_begins_when_there_is_one(self):
        post = Station()
        post.bus.clock.clk_q = 0
        post.modes.order(EXIT_FREE)
        self.assertEqual(post.bus.duty.opened, [])
        post.bus.clock.clk_q = 3
        post.turn()
        self.assertEqual(post.bus.duty.opened[0][0], post.bus.clock.now_s())

    def test_a_bus_has_modes_without_a_gate(self):
        bus = rides.terminal(rides.flat())
        modes = Modes(bus.duty, bus.journal, bus.clock)
        modes.order(8)
        self.assertEqual(modes.ways_open(), 0)


class Restarts(unittest.TestCase):
    def test_a_card_that_had_just_paid_when_the_power_failed_still_passes(self):
        for wait_s in (3, 8, 30):
            with self.subTest(wait_s=wait_s):
                post, card = Station(), inside()
                post.tap(card)
                post.flaps.connect()
                post.reboot()
                post.turn(1000 * wait_s, 1000)
                self.assertIn(post.tap(card), ("exit", "passed"))
                self.assertTrue(post.walk(EXIT))
                self.assertEqual(card.spent_fen, 300)
                self.assertNotIn(post.tap(card), ("exit", "passed"))
                self.assertFalse(post.walk(EXIT))

    def test_so_do_those_in_the_queue_before_it(self):
        post = Station()
        cards = [inside(number) for number in range(3)]
        for card in cards:
            post.tap(card)
        post.reboot()
        post.turn(3000)
        for card in cards:
            self.assertIn(post.tap(card), ("exit", "passed"))
            self.assertTrue(post.walk(EXIT))
            self.assertEqual((card.spent_fen, post.tap(card)), (300, "refused"))
            self.assertFalse(post.walk(EXIT))

    def test_power_that_fails_anywhere_in_an_exit_leaves_a_card_that_can_leave(self):
        for cut in range(0, 400, 7):
            with self.subTest(cut=cut):
                post, card = Station(), inside()
                post.bus.flash.cut_after = cut
                try:
                    post.tap(card)
                except PowerCut:
                    pass
                post.reboot()
                post.turn(3000)
                self.assertIn(post.tap(card), ("exit", "passed", "recovered"))
                self.assertTrue(post.walk(EXIT))
                self.assertFalse(post.walk(EXIT))
                self.assertEqual(card.spent_fen, 300)


class Sweep(unittest.TestCase):
    """People, cards and faults at random; the draws come from a seed that a failure names."""

    def test_permits_are_rides_and_people_are_permits(self):
        for seed in range(1, RUNS + 1):
            try:
                Day(seed).run()
            except AssertionError as wrong:
                raise AssertionError("seed %d: %s" % (seed, wrong))


class Day:
    def __init__(self, seed):
        self.state = seed * 2654435761 % (1 << 32) or 1
        self.role = "exit" if self.below(2) else "entry"
        self.way = EXIT if self.role == "exit" else ENTRY
        self.post = Station(self.role, without_power=POWER_HOLD)
        self.fresh = [self.new(number) for number in range(40)]
        self.paid = {}  # serial -> [card, passages that are owed]
        self.walked = self.jumped = self.rebooted = 0
        self.told = self.permits = self.out = 0

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) % (1 << 31)
        return (self.state >> 8) % limit

    def new(self, number):
        return inside(number) if self.role == "exit" else PurseCard(serial=from_digits("0310499900%010d" % number))

    def run(self):
        post = self.post
        for _ in range(STEPS):
            what = self.below(12)
            if what < 4 and self.fresh:
                self.pay(self.fresh.pop(), (self.below(8) + 1, BEFORE if self.below(2) else AFTER))
            elif what < 7:
                if post.walk(self.way):
                    self.walked += 1
            elif what == 7:
                post.turn(100 * self.below(120))
            elif what == 8 and self.paid:
                self.comes_back()
            elif what == 9:
                self.jumped += bool(not post.flaps.is_open & self.way and post.walk(self.way, over=True))
            elif what == 10:
                post.flaps.jam(True)
                post.turn(1000 * self.below(3))
                post.flaps.jam(False)
                post.turn()
            elif what == 11:
                self.collect()
                self.rebooted += 1
                post.flaps.connect()
                post.reboot()
            post.turn(100)
        post.turn(2 * gate.INTRUSION_EVERY_MS, 1000)
        self.collect()
        self.check()

    def pay(self, card, tear):
        post = self.post
        if not post.keeper.ready:
            return
        shown = post.tap(card, tear if self.below(3) == 0 else None)
        if shown == "tap_again":
            if not post.keeper.ready:
                return
            shown = post.tap(card)
        assert shown in ("enter", "exit", "recovered"), shown
        self.paid[card.serial] = card

    def comes_back(self):
        """Somebody whose permit lapsed taps again and walks; the gate must be open."""
        post = self.post
        for permit in list(post.keeper._permits):
            if permit.state == gate._LAPSED and permit.card in self.paid and post.keeper.ready:
                before_fen = self.paid[permit.card].spent_fen
                shown = post.tap(self.paid[permit.card])
                assert shown in ("enter", "exit", "passed"), shown
                assert post.flaps.is_open & self.way, "shut, though he had paid"
                assert self.paid[permit.card].spent_fen == before_fen, "charged twice"
                return

    def collect(self):
        """Counters live in RAM."""
        self.permits += self.post.counted("gate_permits")
        self.out += self.post.counted("gate_out" if self.way == EXIT else "gate_in")

    def check(self):
        post = self.post
        rides_done = taps(post.bus)
        assert len(rides_done) == len(self.paid), "a ride without a charge, or a charge without a ride"
        assert len({body.card for body in rides_done}) == len(rides_done), "somebody was charged twice"
        told = sum(each.value for each in events(post.bus, wire.INTRUSION))
        assert self.walked <= len(rides_done) + self.rebooted * gate.WAITING_MAX, "more people than permits"
        if not self.rebooted:
            assert self.permits == len(rides_done), (self.permits, len(rides_done))
            assert self.walked <= self.permits, "two on one permit"
            assert told == self.jumped, (told, self.jumped)
            assert self.out == self.walked + self.jumped, "somebody was not counted"


class Written(unittest.TestCase):
    def test_an_exit_by_an_earlier_permit_writes_nothing_on_the_card(self):
        post, card = Station(), inside()
        post.tap(card)
        records = list(card.records)
        post.turn(30000, 1000)
        post.tap(card)
        self.assertEqual((card.records, len(card.history)), (records, 2))
        self.assertEqual(trips.RAIL_TRIP.unpack(card.records[0]).state, 2)


if __name__ == "__main__":
    unittest.main()
