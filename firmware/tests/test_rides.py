"""Rides of a tariff on a card that checks MAC1: charged once, written on the card as the standard says, or refused."""

import unittest

from support import rides
from support.purse_card import AFTER, BEFORE, PurseCard
from tunion.bcd import at_s, from_digits
from tunion.card import trips
from tunion.card.product import NATIONAL
from tunion.fare import decision, grid, kept
from tunion.fare.tariff import GRID, Tariff
from tunion.fare.trip import DATE_FREE, ENTRY_FREE, EXIT_FREE, FARE_FREE
from tunion.record import BadInput
from tunion.wire import reason
from tunion.wire import tap as wire
from validator.ports import ENTRY, EXIT, Identity
from validator.rides import make
from validator.rides.charge import Refused
from validator.rides.site import Site

HEAP = "3m"
PAID = (wire.SETTLED, wire.PROVED)
EXCHANGES = 8  # SELECT, READ 17h, READ 1Ah, INITIALIZE, UPDATE 1Ah, UPDATE 1Eh, DEBIT; and one to spare for a sweep
LINE = rides.line()
TERMINAL = from_digits("611000000042")
HOME = Identity(bytes(10), bytes(8), rides.CITY, 1, NATIONAL)

# The published vectors: metro entry, metro exit, boarding a segment bus
ENTRY_1A = (
    "27017D0101000000000000000018016110000014026110FFFFFFFF00000000000000006110020000000011000000000000000000006110000000"
    "420000000000000000202506010815300000000000000000000384020000000000000012C000000000" + "00" * 29
)
ENTRY_1E = (
    "030000611000000042010200110000010000000000000012C020250601081530611014026110FFFFFFFF000000000000"
)
EXIT_1A = (
    "27017D0101000000000000000019026110611014026110FFFFFFFF14026110FFFFFFFF6110020000000011611003000000002200006110000000"
    "420000611000000042202506010815302025060108421000000384020300000000000012C00000012C" + "00" * 29
)
EXIT_1E = "04000061100000004201030022000001000000012C0000119420250601084210611014026110FFFFFFFF000000000000"
BOARD_1A = (
    "27027D010100000000000000002001611014026110FFFFFFFF0001025D0341313233343544000000611000000042202506011830050000019000"
    + "00" * 70
)
BOARD_1E = "0300006110000000420206050003000100000000000000119420250601183005611014026110FFFFFFFF000001900078"


def taps(journal):
    """(body, outcome code) of each finished tap, oldest first."""
    found = [wire.from_wire(entry) for _, entry in journal.pending(1000, 1000000)]
    return [(body, outcome.code) for body, outcome in found if body.kind == wire.TAP]


def refusal(bus):
    what, details = bus.panel.shown[-1]
    return details["reason"] if what == "refused" else what


def gate(role, station, **changes):
    """A metro gate with a post that counts; network and its changes as in support.rides."""
    names = ("role", "kept_in", "same_card_s", "overdraft")
    settings = {name: changes.pop(name) for name in names if name in changes}
    bus = rides.terminal(rides.metro(**changes), role=role, **settings)
    bus.duty.stop = station
    bus.use_gate(rides.Post())
    return bus


def bus_at(stop, **changes):
    settings = {name: changes.pop(name) for name in ("kept_in", "plate", "line") if name in changes}
    bus = rides.terminal(rides.line(**changes), line=settings.pop("line", 605), **settings)
    bus.duty.stop = stop
    return bus


def stands(bus, card, seconds=60, tear=None):
    """The card after so many seconds; what is shown."""
    bus.clock.advance_ms(1000 * seconds)
    bus.reader.present(card, tear)
    bus.tap.serve()
    bus.reader.card = None
    return bus.panel.last


class Vectors(unittest.TestCase):
    """What a terminal writes is what the vectors say, to the byte."""

    def images(self, bus, records, at, balance_fen):
        ride = bus.tap._ride
        charge = ride.decide(HOME, records, at_s(from_digits(at)), balance_fen, False)
        after_fen = balance_fen - charge.list_fen + charge.discount_fen
        images = ride.images(charge, records, after_fen, TERMINAL, from_digits(at))
        return [image.hex().upper() for _, _, image in images]

    def test_metro(self):
        before = trips.changed(b"", trips.RAIL)[:6] + from_digits("%016d" % 17) + bytes(114)
        entry, leave = gate("entry", 211), gate("exit", 322)
        self.assertEqual(self.images(entry, (before, b""), "20250601081530", 4800), [ENTRY_1A, ENTRY_1E])
        inside = bytes.fromhex(ENTRY_1A)
        self.assertEqual(self.images(leave, (inside, b""), "20250601084210", 4800), [EXIT_1A, EXIT_1E])

    def test_segment_bus(self):
        before = trips.changed(b"", trips.BUS)[:6] + from_digits("%016d" % 19) + bytes(114)
        found = self.images(bus_at(1), (before, b""), "20250601183005", 4500)
        expected = [image.replace("025D03", "025D01").replace("06050003", "06050001") for image in (BOARD_1A, BOARD_1E)]
        self.assertEqual(found, expected)


class Gates(unittest.TestCase):
    def test_in_and_out(self):
        card = PurseCard()
        inn, out = gate("entry", 211), gate("exit", 322)
        self.assertEqual(stands(inn, card), "enter")
        self.assertEqual((card.spent_fen, inn.gate.opened, inn.tap.card_exchanges), (0, [ENTRY], 7))
        out.clock.advance_ms(600000)
        self.assertEqual(stands(out, card), "exit")
        self.assertEqual((card.spent_fen, out.gate.opened, out.tap.card_exchanges), (300, [EXIT], 7))
        body, code = taps(out.journal)[0]
        self.assertEqual((code, body.type, body.event, body.stop_in, body.stop_out), (wire.SETTLED, 9, 4, 211, 322))
        self.assertEqual((body.amount_fen, body.list_fen, body.ride_s, body.industry), (300, 300, 600, 1))
        self.assertEqual([trips.HISTORY.unpack(raw).event for raw in card.history], [4, 3])
        self.assertEqual(trips.HISTORY.unpack(card.history[0]).balance_fen, 4700)

    def test_a_student_pays_less_and_the_record_says_who_was_no_visitor(self):
        card = PurseCard(kind=2)
        stands(gate("entry", 211), card)
        out = gate("exit", 322)
        stands(out, card, 600)
        body, _ = taps(out.journal)[0]
        self.assertEqual((body.list_fen, body.discount_fen, body.amount_fen, body.granted), (300, 90, 210, 0))

    def test_a_free_card_leaves_for_nothing_and_still_has_a_record_with_its_proof(self):
        card = PurseCard(kind=3)
        stands(gate("entry", 211), card)
        out = gate("exit", 322)
        self.assertEqual(stands(out, card, 600), "exit")
        body, code = taps(out.journal)[0]
        self.assertEqual((body.amount_fen, body.discount_fen, code, card.spent_fen), (0, 300, wire.SETTLED, 0))

    def test_cases_of_the_trip_machine(self):
        for case, seconds, first, then, changes, spent_fen, opened in (
            (decision.NO_ENTRY, 60, None, ("exit", 322), {}, 0, False),
            (decision.NO_EXIT, 3600, ("entry", 211), ("entry", 322), {"missing_exit": 0}, 0, False),
            (decision.NO_EXIT, 3600, ("entry", 211), ("entry", 322), {}, 200, True),
            (decision.NO_EXIT, 60, ("entry", 211), ("entry", 211), {}, 0, True),
            (decision.OVERTIME, 7260, ("entry", 211), ("exit", 322), {}, 900, True),
            (decision.OVERTIME, 7260, ("entry", 211), ("exit", 322), {"overtime_mode": 1}, 1200, True),
            (decision.SAME_PLACE, 60, ("entry", 211), ("exit", 211), {}, 0, True),
            (decision.SAME_PLACE, 1200, ("entry", 211), ("exit", 211), {}, 200, True),
            (decision.CLOCK, -3600, ("entry", 211), ("exit", 322), {}, 0, False),
            (decision.TWICE, 8, ("entry", 211), ("entry", 211), {}, 0, False),
        ):
            with self.subTest(case=case, seconds=seconds):
                card = PurseCard()
                if first:
                    stands(gate(*first, **changes), card)
                bus = gate(*then, **changes)
                shown = stands(bus, card, 60 + seconds)
                self.assertEqual((card.spent_fen, bool(bus.gate.opened)), (spent_fen, opened))
                if opened:
                    self.assertEqual([body.fare_case for body, _ in taps(bus.journal)], [case])
                else:
                    found = refusal(bus)
                    self.assertIn(found, (reason.of_case(case), "ignored"), shown)

    def test_too_little_on_the_card(self):
        card = PurseCard(balance_fen=199)
        bus = gate("entry", 211)
        stands(bus, card)
        self.assertEqual((refusal(bus), card.records), (reason.of_case(decision.NO_MONEY), [b"", b""]))
        card = PurseCard(balance_fen=250)
        stands(gate("entry", 211), card)
        bus = gate("exit", 322)
        stands(bus, card, 600)
        self.assertEqual((refusal(bus), card.spent_fen, bus.gate.opened), (reason.NOT_ENOUGH_MONEY, 0, []))

    def test_the_city_lets_its_own_cards_go_below_zero_once(self):
        for city, shown in ((rides.CITY, "exit"), (b"\x58\x10", "refused")):
            card = PurseCard(balance_fen=250, limit_fen=800, city=city)
            changes = {"overdraft_fen": 800, "overdraft": "allow"}
            stands(gate("entry", 211, **changes), card)
            self.assertEqual(stands(gate("exit", 322, **changes), card, 600), shown)

    def test_degraded_modes(self):
        for role, modes, shown, way in (("entry", ENTRY_FREE, "passed", ENTRY), ("exit", EXIT_FREE, "passed", EXIT)):
            bus = gate(role, 211)
            bus.duty.modes = modes
            self.assertEqual(stands(bus, PurseCard()), shown)
            self.assertEqual(bus.gate.opened, [way])
        bus = gate("entry", 211)
        card = PurseCard(expiry=b"\x20\x25\x05\x31")
        stands(bus, card)
        self.assertEqual(refusal(bus), reason.EXPIRED)
        bus.duty.modes = DATE_FREE
        self.assertEqual(stands(bus, card), "enter")
        self.assertEqual(taps(bus.journal)[0][0].modes, DATE_FREE)

    def test_one_post_for_both_ways(self):
        card, bus = PurseCard(), gate("both", 211)
        self.assertEqual(stands(bus, card), "enter")
        self.assertEqual(stands(bus, card, 1200), "exit")
        self.assertEqual((bus.gate.opened, card.spent_fen), ([ENTRY, EXIT], 200))

    def test_another_networks_trip_is_left_to_that_network(self):
        card = PurseCard()
        stands(gate("entry", 211), card)
        foreign = {"in_network": b"\x14\x03" + bytes(6), "local": b"\x11" * 29}
        card.records[0] = trips.changed(card.records[0], trips.RAIL, **foreign)
        bus = gate("exit", 322)
        stands(bus, card, 600)
        self.assertEqual(refusal(bus), reason.of_case(decision.DEGRADED))
        self.assertEqual(stands(gate("entry", 322), card, 600), "enter")
        self.assertEqual(trips.RAIL_TRIP.unpack(card.records[0]).local, bytes(29))

    def test_records_that_no_terminal_wrote_count_as_none_and_locked_ones_are_refused(self):
        for changes in ({"in_at": b"\xff" * 7}, {"state": 9}):
            card = PurseCard()
            stands(gate("entry", 211), card)
            card.records[0] = trips.changed(card.records[0], trips.RAIL, **changes)
            self.assertEqual(stands(gate("entry", 322), card, 600), "enter")
        card.records[0] = trips.changed(card.records[0], trips.RAIL, lock=1)
        bus = gate("exit", 322)
        stands(bus, card, 600)
        self.assertEqual(refusal(bus), reason.RIDE_LOCKED)
        card = PurseCard()
        stands(gate("entry", 211), card)
        card.records[0] = trips.changed(card.records[0], trips.RAIL, in_station=b"\xee" * 8)
        bus = gate("exit", 322)
        stands(bus, card, 600)
        self.assertEqual(refusal(bus), reason.of_case(decision.DEGRADED))

    def test_a_card_torn_at_any_exchange_enters_once_and_pays_once(self):
        for number in range(1, EXCHANGES + 1):
            for moment in (BEFORE, AFTER):
                for first, at in (("entry", 0), ("exit", 300)):
                    with self.subTest(number=number, moment=moment, first=first):
                        card = PurseCard()
                        if first == "exit":
                            stands(gate("entry", 211), card)
                        bus = gate(first, 211 if first == "entry" else 322)
                        shown = stands(bus, card, 600, (number, moment))
                        if shown == "tap_again":
                            self.assertEqual(bus.gate.opened, [])
                            stands(bus, card, 3)
                        self.assertIn(bus.panel.last, ("enter", "exit", "recovered"))
                        self.assertEqual((card.spent_fen, len(bus.gate.opened)), (at, 1))
                        done = [body for body, code in taps(bus.journal) if code in PAID]
                        self.assertEqual([(body.amount_fen, body.event) for body in done], [(at, 4 if at else 3)])
                        self.assertEqual(trips.RAIL_TRIP.unpack(card.records[0]).state, 2 if at else 1)


class Desks(unittest.TestCase):
    def desk(self, station, **changes):
        return gate("desk", station, **changes)

    def test_without_an_order_a_card_is_left_alone(self):
        bus, card = self.desk(322), PurseCard()
        stands(bus, card)
        self.assertEqual((refusal(bus), card.records), (reason.NO_REPAIR, [b"", b""]))

    def test_a_missing_entry_is_set_and_the_gate_charges_it(self):
        card, bus = PurseCard(), self.desk(322)
        bus.duty.repair = ("entry", 211)
        self.assertEqual(stands(bus, card), "desk")
        self.assertEqual((trips.RAIL_TRIP.unpack(card.records[0]).state, card.spent_fen), (3, 0))
        self.assertEqual(stands(gate("exit", 322), card, 120), "exit")
        self.assertEqual(card.spent_fen, 300)

    def test_a_missing_exit_is_set_and_charged_at_the_desk(self):
        for station, spent_fen in ((322, 300), (0, 200)):
            card, bus = PurseCard(), self.desk(323)
            stands(gate("entry", 211), card)
            bus.duty.repair = ("exit", station)
            self.assertEqual(stands(bus, card, 3600), "desk")
            body, _ = taps(bus.journal)[0]
            self.assertEqual((card.spent_fen, body.owed_fen, body.event), (spent_fen, spent_fen, wire.MAKE_UP))
            self.assertEqual(trips.RAIL_TRIP.unpack(card.records[0]).state, 4)
            self.assertEqual(stands(gate("entry", 322), card, 3600), "enter")

    def test_a_card_that_cannot_pay_what_it_owes_stays_as_it_is(self):
        card, bus = PurseCard(balance_fen=250), self.desk(323)
        stands(gate("entry", 211), card)
        bus.duty.repair = ("exit", 322)
        stands(bus, card, 3600)
        self.assertEqual((refusal(bus), card.spent_fen), (reason.NOT_ENOUGH_MONEY, 0))
        self.assertEqual(trips.RAIL_TRIP.unpack(card.records[0]).state, 1)

    def test_what_cannot_be_mended_is_refused(self):
        card, bus = PurseCard(), self.desk(322)
        bus.duty.repair = ("exit", 211)
        stands(bus, card)
        self.assertEqual(refusal(bus), reason.of_case(decision.NO_ENTRY))
        stands(gate("entry", 211), card)
        bus.duty.repair = ("entry", 211)
        stands(bus, card)
        self.assertEqual(refusal(bus), reason.of_case(decision.NO_EXIT))


class SegmentBuses(unittest.TestCase):
    def test_on_and_off(self):
        card, bus = PurseCard(), bus_at(1)
        self.assertEqual(stands(bus, card), "board")
        self.assertEqual(bus.panel.shown[-1][1], {"fare_fen": 0, "balance_fen": 5000, "kind": 1, "marked_fen": 400})
        bus.duty.stop = 3
        self.assertEqual(stands(bus, card, 900), "alight")
        body, _ = taps(bus.journal)[1]
        self.assertEqual((card.spent_fen, body.stop_in, body.stop_out, body.line, body.ride_s), (200, 1, 3, 605, 900))
        self.assertEqual([trips.HISTORY.unpack(raw).event for raw in card.history], [4, 3])
        self.assertEqual(bus.tap.card_exchanges, 7)

    def test_who_did_not_tap_off_owes_what_was_marked_and_then_boards_in_one_tap(self):
        card, bus = PurseCard(), bus_at(1)
        stands(bus, card)
        other = bus_at(2, plate=b"B2")
        self.assertEqual(stands(other, card, 3600), "board")
        bodies = [body for body, _ in taps(other.journal)]
        self.assertEqual([(body.event, body.amount_fen, body.owed_fen) for body in bodies], [(8, 400, 400), (3, 0, 0)])
        self.assertEqual((card.spent_fen, other.tap.card_exchanges), (400, 11))
        row = trips.BUS_RIDE.unpack(card.records[1])
        self.assertEqual((row.state, row.in_stop, row.in_vehicle[:2], row.most_fen), (1, 2, b"B2", 300))

    def test_a_made_up_ride_torn_anywhere_is_charged_once_and_the_new_ride_begins_once(self):
        for number in range(1, 12):
            for moment in (BEFORE, AFTER):
                with self.subTest(number=number, moment=moment):
                    card, bus = PurseCard(), bus_at(1)
                    stands(bus, card)
                    other = bus_at(2, plate=b"B2")
                    shown = stands(other, card, 3600, (number, moment))
                    if shown == "tap_again":
                        shown = stands(other, card, 3)
                    self.assertIn(shown, ("board", "recovered"))
                    self.assertEqual((card.spent_fen, trips.BUS_RIDE.unpack(card.records[1]).state), (400, 1))
                    done = [(body.event, body.amount_fen) for body, code in taps(other.journal) if code in PAID]
                    self.assertEqual(done, [(8, 400), (3, 0)])

    def test_a_ride_made_up_at_the_very_stop_where_it_began_is_not_taken_for_this_tap(self):
        for tear in (None, (7, AFTER), (8, BEFORE)):
            card, bus = PurseCard(), bus_at(1)
            stands(bus, card)
            shown = stands(bus, card, 7260, tear)
            if tear:
                shown = stands(bus, card, 3)
            self.assertEqual((shown, card.spent_fen), ("board", 400))
            self.assertEqual(trips.BUS_RIDE.unpack(card.records[1]).state, 1)

    def test_the_dearest_ride_must_be_on_the_card(self):
        card, bus = PurseCard(balance_fen=399), bus_at(1)
        stands(bus, card)
        self.assertEqual((refusal(bus), card.records), (reason.of_case(decision.NO_MONEY), [b"", b""]))

    def test_other_ways_to_end(self):
        for stop, seconds, spent_fen, case in (
            (1, 8, 0, None), (1, 60, 0, decision.SAME_PLACE), (1, 600, 100, decision.SAME_PLACE), (4, 60, 400, 0),
        ):
            with self.subTest(stop=stop, seconds=seconds):
                card, bus = PurseCard(), bus_at(1)
                stands(bus, card)
                bus.duty.stop = stop
                stands(bus, card, seconds)
                self.assertEqual(card.spent_fen, spent_fen)
                if case is None:
                    self.assertEqual(bus.panel.last, "ignored")
                else:
                    self.assertEqual(taps(bus.journal)[1][0].fare_case, case)

    def test_at_the_last_stop_the_driver_turns_round_first(self):
        card, bus = PurseCard(), bus_at(4)
        stands(bus, card)
        self.assertEqual(refusal(bus), reason.of_case(decision.LAST_STOP))


class AtOnce(unittest.TestCase):
    def test_a_flat_tariff_leaves_a_trace_in_the_history(self):
        card, bus = PurseCard(), rides.terminal(rides.flat(), line=605)
        self.assertEqual(stands(bus, card), "paid")
        row = trips.HISTORY.unpack(card.history[0])
        self.assertEqual((row.event, row.amount_fen, row.place.hex(), card.records), (6, 200, "06050000", [b"", b""]))
        self.assertEqual((bus.tap.card_exchanges, taps(bus.journal)[0][0].event), (5, wire.SINGLE))

    def test_companions_pay_the_list_fare(self):
        card, bus = PurseCard(kind=2), rides.terminal(rides.flat())
        bus.duty.riders = 3
        stands(bus, card)
        body, _ = taps(bus.journal)[0]
        self.assertEqual((card.spent_fen, body.riders, body.list_fen, body.discount_fen), (540, 3, 600, 60))
        bus.duty.riders = 21
        stands(bus, PurseCard())
        self.assertEqual(refusal(bus), reason.NO_FARE)

    def test_a_taxi_charges_what_the_meter_shows(self):
        card, bus = PurseCard(), rides.terminal(rides.taxi())
        stands(bus, card)
        self.assertEqual(refusal(bus), reason.METER_NOT_READY)
        bus.duty.meter_fen = 1800
        self.assertEqual(stands(bus, card), "paid")
        self.assertEqual((card.spent_fen, taps(bus.journal)[0][0].industry), (1800, 4))
        bus.duty.meter_fen = 1850
        stands(bus, card)
        self.assertEqual(refusal(bus), reason.NO_FARE)

    def test_a_conductor_is_told_where_to(self):
        card, bus = PurseCard(), rides.terminal(rides.line(), role="conductor", line=12)
        bus.duty.stop, bus.duty.stop_to, bus.duty.riders = 1, 3, 2
        self.assertEqual(stands(bus, card), "paid")
        body, _ = taps(bus.journal)[0]
        self.assertEqual((card.spent_fen, body.stop_in, body.stop_out, body.riders), (400, 1, 3, 2))
        bus.duty.stop_to = 1
        stands(bus, card)
        self.assertEqual(refusal(bus), reason.NO_FARE)

    def test_a_transfer_and_a_month_are_counted_on_the_card_of_the_own_city(self):
        changes = {"transfer": [60, 0, 2, 0, [[2, 2, 500, 0]]], "month": [0, [[2, 100]]]}
        own, foreign = ((200, 100, 90), (0, 0x20, 0x21)), ((200,) * 3, (8,) * 3)
        for city, (spent, granted) in ((rides.CITY, own), (b"\x58\x10", foreign)):
            card = PurseCard(city=city)
            found = []
            for line in (5, 6, 7):
                bus = rides.terminal(rides.flat(**changes), line=line, kept_in=2)
                before_fen = card.spent_fen
                stands(bus, card, 60 + 600 * line)
                found.append((card.spent_fen - before_fen, taps(bus.journal)[0][0].granted))
            self.assertEqual(found, list(zip(spent, granted)))
        month, chain = kept.unpack(card.records[1][102:128])
        self.assertEqual((month, chain), (None, None))

    def test_counters_in_the_other_record_take_one_more_read_and_update(self):
        changes = {"month": [1, [[300, 500]]], "kept_in": 2}
        card = PurseCard()
        for at, spent_fen in ((0, 300), (1, 450)):
            stands(gate("entry", 211, **changes), card, 60 + 20000 * at)
            out = gate("exit", 322, **changes)
            stands(out, card, 600 + 20000 * at)
            self.assertEqual((card.spent_fen, out.tap.card_exchanges), (spent_fen, 9))
        month, _ = kept.unpack(card.records[1][102:128])
        self.assertEqual((month.rides, month.spent_fen), (2, 450))


class FoundInReview(unittest.TestCase):
    def test_a_flash_that_failed_after_the_outcome_does_not_charge_again_when_it_is_back(self):
        card, bus = PurseCard(), rides.terminal(rides.flat())
        stands(bus, card)
        bus.tap._answers._served = []  # the fault came before it was told
        bus.journal.mount()
        bus.tap.resume()
        self.assertEqual(stands(bus, card, 1), "paid")
        self.assertEqual(card.spent_fen, 200)

    def test_a_post_for_both_ways_lets_out_where_exits_are_free(self):
        card, bus = PurseCard(), gate("both", 211)
        stands(bus, card)
        bus.duty.modes = EXIT_FREE
        self.assertEqual((stands(bus, card, 1200), bus.gate.opened), ("passed", [ENTRY, EXIT]))

    def test_a_torn_boarding_that_is_proved_further_on_does_not_swallow_the_alighting(self):
        card, bus = PurseCard(), bus_at(1)
        self.assertEqual(stands(bus, card, 60, (7, AFTER)), "tap_again")
        bus.duty.stop = 2
        self.assertEqual(stands(bus, card, 600), "alight")
        done = [(body.event, body.amount_fen, code) for body, code in taps(bus.journal)]
        self.assertEqual(done, [(3, 0, wire.PROVED), (4, 100, wire.SETTLED)])

    def test_a_torn_entry_that_is_proved_at_a_post_for_both_ways_much_later_leaves(self):
        card, bus = PurseCard(), gate("both", 211)
        stands(bus, card, 60, (7, AFTER))
        self.assertEqual((stands(bus, card, 1200), bus.gate.opened), ("exit", [EXIT]))

    def test_after_a_restart_a_ride_that_was_made_up_is_not_taken_for_the_boarding(self):
        card, bus = PurseCard(), bus_at(1)
        stands(bus, card)
        self.assertEqual(stands(bus, card, 7260, (8, BEFORE)), "tap_again")
        bus.reboot()
        self.assertEqual(stands(bus, card, 1), "board")
        self.assertEqual((card.spent_fen, trips.BUS_RIDE.unpack(card.records[1]).state), (400, 1))

    def test_numbers_that_no_terminal_writes_end_no_program(self):
        card, bus = PurseCard(kind=3), bus_at(1)
        stands(bus, card)
        card.records[1] = trips.changed(card.records[1], trips.BUS, most_fen=0x01000000, direction=1)
        self.assertEqual(stands(bus, card, 600), "board")
        card = PurseCard()
        coding = {"station_coding": "CCLL00SS", "role": "desk"}
        bus = rides.terminal(rides.metro(), **coding)
        bus.duty.stop, bus.duty.repair = 211, ("exit", 0)
        stands(gate("entry", 211), card)
        far = bytes.fromhex("6110999900009999")
        card.records[0] = trips.changed(card.records[0], trips.RAIL, in_station=far)
        stands(bus, card, 600)
        self.assertEqual(taps(bus.journal)[0][0].stop_in, 0)
        changes = {"transfer": [60, 0, 2, 0, [[1, 1, 500, 0]]], "kept_in": 1}
        card, bus = PurseCard(), gate("exit", 322, **changes)
        stands(gate("entry", 211, **changes), card)
        card.records[0] = trips.changed(card.records[0], trips.RAIL, in_at=from_digits("99991231000000"))
        bus.duty.modes = FARE_FREE
        stands(bus, card, 600)
        self.assertEqual((refusal(bus), card.spent_fen), (reason.of_case(decision.NO_ENTRY), 0))

    def test_a_sam_that_was_opened_since_it_signed_leaves_the_proof_unchecked(self):
        card, bus = PurseCard(), gate("entry", 211)
        stands(bus, card, 60, (7, AFTER))
        bus.sam.open()
        self.assertEqual(stands(bus, card, 3), "recovered")
        self.assertEqual([code for _, code in taps(bus.journal)], [wire.PROVED])


class Together(unittest.TestCase):
    def test_the_sam_works_while_the_card_takes_its_updates(self):
        done = []

        class Watched(PurseCard):
            def _update(self, apdu):
                done.append("update")
                return super()._update(apdu)

        bus = gate("entry", 211)
        begin, signed = bus.sam.begin, bus.sam.signed
        bus.sam.begin = lambda *values: (done.append("begin"), begin(*values))
        bus.sam.signed = lambda: (done.append("signed"), signed())[1]
        self.assertEqual(stands(bus, Watched()), "enter")
        self.assertEqual(done, ["begin", "update", "update", "signed"])


class Fitting(unittest.TestCase):
    def test_a_table_that_a_terminal_cannot_charge_by_is_refused_before_any_passenger(self):
        def line_of(codes):
            table = grid.build(grid.ONWARD, codes, [[[None, 100], [None, None]]])
            return Tariff(7, 3, 2, GRID, table, {}, LINE.rules, {})

        def site(role, coding="CCL0000S"):
            return Site(role, rides.CITY, rides.NETWORK, bytes(2), bytes(8), coding, "LLSS", 0)

        for fare, place in (
            (line_of([1, 256]), site("bus")),
            (line_of([0, 1]), site("bus")),
            (rides.metro(), site("bus")),
            (LINE, site("exit")),
            (rides.metro(), site("exit", "CC00000S")),
        ):
            with self.assertRaises(BadInput):
                make(fare, place, None)
        for fare, place in ((LINE, site("bus")), (LINE, site("conductor")), (rides.metro(), site("desk"))):
            make(fare, place, None)


class Wrong(unittest.TestCase):
    def test_a_card_that_refuses_an_update_is_not_charged(self):
        class NoFile(PurseCard):
            def _update(self, apdu):
                return b"\x6a\x82"

        card, bus = NoFile(), gate("entry", 211)
        stands(bus, card)
        self.assertEqual((refusal(bus), taps(bus.journal), card.spent_fen), (reason.CARD_SAYS_NO, [], 0))

    def test_a_wrong_mac2_keeps_the_gate_shut(self):
        card, bus = PurseCard(), gate("entry", 211)
        card.wrong_mac2 = True
        stands(bus, card)
        self.assertEqual((refusal(bus), bus.gate.opened), (reason.NOT_GENUINE, []))

    def test_refusals_have_words(self):
        for number in (reason.NO_FARE, reason.of_case(decision.NO_ENTRY), reason.of_case(decision.LAST_STOP)):
            name, zh, en = reason.words(number)
            self.assertFalse(name.startswith("reason"), (zh, en))
        self.assertIsInstance(Refused(reason.NO_FARE), Exception)


if __name__ == "__main__":
    unittest.main()
