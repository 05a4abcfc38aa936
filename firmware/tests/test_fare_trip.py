"""The trip machine: each case TR-01 to TR-08, each at the edge of its time, and that some row takes every tap."""

import unittest

from tunion.fare import decision, grid, trip
from tunion.fare.decision import BEGIN, END, IGNORE, PASS, REFUSE, SET_BEGIN, SET_END
from tunion.fare.trip import ENTRY, EXIT, Here, Trip

PORTABLE = True
ARM = True

OURS, THEIRS = b"\x14\x02\x61\x10", b"\x14\x03\x61\x40"
NOON_S = 1748750400
BLANK = Trip(0, b"", 0, 0, 0)

# Three stations: 200 to the next, 400 to the last, 1100 nowhere but in the table
ROWS = [[None, 200, 400], [200, None, 1100], [400, 1100, None]]
NETWORK = grid.Grid(grid.build(grid.BOTH_WAYS, [101, 102, 203], [ROWS]))

# Guangzhou's times as published on older pages; the rest is our own choice
RIDE = {
    "again_s": 10, "elsewhere": 0, "entry_min_fen": 200, "free_repair_min": 20, "max_minutes": 240,
    "missing_exit": 1, "missing_exit_fen": 0, "overdraft_fen": 800, "overtime_fen": 1100,
    "overtime_mode": decision.REPLACES, "same_free_fen": 0, "same_free_min": 5, "slack_s": 30,
}


def ride(**changes):
    numbers = dict(RIDE)
    numbers.update(changes)
    return numbers


def tap(event, was, station=101, after_s=3600, balance_fen=5000, modes=0, **changes):
    """(act, case, owed, fare) of a tap so long after the card's last event."""
    here = Here(OURS, station, 0, NOON_S + after_s, modes)
    return tuple(trip.gate(NETWORK, ride(**changes), event, was, here, balance_fen))[:4]


INSIDE = Trip(1, OURS, 101, 0, NOON_S)
OUTSIDE = Trip(2, OURS, 101, 0, NOON_S)


class PlainRides(unittest.TestCase):
    def test_in_and_out(self):
        for was in (BLANK, OUTSIDE, Trip(4, OURS, 101, 0, NOON_S), Trip(2, THEIRS, 7, 0, NOON_S + 9999)):
            self.assertEqual(tap(ENTRY, was), (BEGIN, 0, 0, 0))
        self.assertEqual(tap(EXIT, INSIDE, 203), (END, 0, 0, 400))
        self.assertEqual(tap(EXIT, Trip(3, OURS, 102, 0, NOON_S), 203), (END, 0, 0, 1100))

    def test_entry_marks_the_most_that_any_trip_in_the_network_may_come_to(self):
        marked = trip.gate(NETWORK, RIDE, ENTRY, BLANK, Here(OURS, 101, 0, NOON_S, 0), 5000).marked_fen
        self.assertEqual(marked, 1100)
        self.assertEqual(trip.gate(NETWORK, RIDE, EXIT, INSIDE, Here(OURS, 203, 0, NOON_S, 0), 5000).marked_fen, 0)

    def test_the_states_are_those_of_the_card(self):
        self.assertEqual((trip.INSIDE, trip.OUTSIDE), ((1, 3), (2, 4)))
        modes = (trip.ENTRY_FREE, trip.EXIT_FREE, trip.TIME_FREE, trip.DATE_FREE, trip.FARE_FREE, trip.CLEARED)
        self.assertEqual(modes, (1, 2, 4, 8, 16, 32))

    def test_a_card_with_too_little_does_not_get_in(self):
        self.assertEqual(tap(ENTRY, BLANK, balance_fen=199), (REFUSE, decision.NO_MONEY, 0, 0))
        self.assertEqual(tap(ENTRY, BLANK, balance_fen=200), (BEGIN, 0, 0, 0))


class Cases(unittest.TestCase):
    def test_tr01_exit_without_entry(self):
        for was in (BLANK, OUTSIDE, Trip(4, OURS, 203, 0, NOON_S)):
            self.assertEqual(tap(EXIT, was), (REFUSE, decision.NO_ENTRY, 0, 0))
        here = Here(OURS, 203, 0, NOON_S, 0)
        self.assertEqual(trip.repair_entry(NETWORK, BLANK, 101, here)[:4], (SET_BEGIN, decision.NO_ENTRY, 0, 400))
        self.assertEqual(tap(EXIT, Trip(3, OURS, 101, 0, NOON_S), 203, 60), (END, 0, 0, 400))
        self.assertEqual(trip.repair_entry(NETWORK, INSIDE, 101, here), (REFUSE, decision.NO_EXIT, 0, 0, 0))
        self.assertEqual(trip.repair_entry(NETWORK, BLANK, 999, here), (REFUSE, decision.DEGRADED, 0, 0, 0))
        same = trip.repair_entry(NETWORK, BLANK, 203, here)
        self.assertEqual(same, (SET_BEGIN, decision.NO_ENTRY, 0, 400, 1100))

    def test_tr02_entry_while_inside(self):
        self.assertEqual(tap(ENTRY, INSIDE, 101, 1200), (BEGIN, decision.NO_EXIT, 0, 0))
        self.assertEqual(tap(ENTRY, INSIDE, 101, 1200, 199), (REFUSE, decision.NO_MONEY, 0, 0))
        self.assertEqual(tap(ENTRY, INSIDE, 101, 1200, 200), (BEGIN, decision.NO_EXIT, 0, 0))
        self.assertEqual(tap(ENTRY, INSIDE, 101, 1201), (BEGIN, decision.NO_EXIT, 200, 0))
        self.assertEqual(tap(ENTRY, INSIDE, 102, 600), (BEGIN, decision.NO_EXIT, 200, 0))
        self.assertEqual(tap(ENTRY, INSIDE, 102, missing_exit_fen=350), (BEGIN, decision.NO_EXIT, 350, 0))
        self.assertEqual(tap(ENTRY, INSIDE, 102, missing_exit=0), (REFUSE, decision.NO_EXIT, 0, 0))
        self.assertEqual(tap(ENTRY, INSIDE, 102, balance_fen=399), (REFUSE, decision.NO_MONEY, 0, 0))
        self.assertEqual(tap(ENTRY, INSIDE, 102, balance_fen=400), (BEGIN, decision.NO_EXIT, 200, 0))

    def test_tr02_at_the_desk(self):
        for station, after_s, named, said in (
            (101, 1200, None, (SET_END, decision.NO_EXIT, 0, 0)),
            (101, 1201, None, (SET_END, decision.NO_EXIT, 200, 0)),
            (102, 60, None, (SET_END, decision.NO_EXIT, 200, 0)),
            (102, 60, 203, (SET_END, decision.NO_EXIT, 400, 0)),
            (102, 60, 999, (REFUSE, decision.DEGRADED, 0, 0)),
            (101, -31, None, (REFUSE, decision.CLOCK, 0, 0)),
        ):
            here = Here(OURS, station, 0, NOON_S + after_s, 0)
            self.assertEqual(trip.repair_exit(NETWORK, RIDE, INSIDE, here, named), said + (0,))
        here = Here(OURS, 101, 0, NOON_S, 0)
        self.assertEqual(trip.repair_exit(NETWORK, RIDE, OUTSIDE, here, None), (REFUSE, decision.NO_ENTRY, 0, 0, 0))
        foreign = Trip(1, THEIRS, 101, 0, NOON_S)
        said = trip.repair_exit(NETWORK, RIDE, foreign, here, None)
        self.assertEqual(said, (REFUSE, decision.DEGRADED, 0, 0, 0))

    def test_tr03_overtime(self):
        self.assertEqual(tap(EXIT, INSIDE, 203, 240 * 60), (END, 0, 0, 400))
        self.assertEqual(tap(EXIT, INSIDE, 203, 240 * 60 + 1), (END, decision.OVERTIME, 1100, 0))
        self.assertEqual(
            tap(EXIT, INSIDE, 203, 240 * 60 + 1, overtime_mode=decision.ADDS), (END, decision.OVERTIME, 1100, 400)
        )
        self.assertEqual(tap(EXIT, INSIDE, 203, 240 * 60 + 1, modes=trip.TIME_FREE), (END, 0, 0, 400))

    def test_tr04_not_enough_at_the_exit(self):
        decided = trip.gate(NETWORK, RIDE, EXIT, INSIDE, Here(OURS, 203, 0, NOON_S, 0), 100)
        self.assertEqual(decided.act, END)
        for amount_fen, balance_fen, overdraft, opens in (
            (400, 400, False, True), (400, 399, False, False), (400, 399, True, True), (900, 100, True, True),
            (901, 100, True, False), (800, 0, True, True), (801, 0, True, False),
            (1, -1, True, False), (0, -1, False, True), (0, 0, False, True),
        ):
            with self.subTest(amount_fen=amount_fen, balance_fen=balance_fen):
                judged = trip.affordable(decided, amount_fen, balance_fen, RIDE, overdraft)
                self.assertEqual(judged, decided if opens else (REFUSE, decision.NO_MONEY, 0, 0, 0))

    def test_tr05_same_station(self):
        self.assertEqual(tap(EXIT, INSIDE, 101, 300), (END, decision.SAME_PLACE, 0, 0))
        self.assertEqual(tap(EXIT, INSIDE, 101, 300, same_free_fen=200), (END, decision.SAME_PLACE, 0, 200))
        self.assertEqual(tap(EXIT, INSIDE, 101, 301), (END, decision.SAME_PLACE, 0, 200))
        at_203 = Trip(1, OURS, 203, 0, NOON_S)
        self.assertEqual(tap(EXIT, at_203, 203, 301), (END, decision.SAME_PLACE, 0, 400))
        self.assertEqual(tap(EXIT, INSIDE, 101, 240 * 60 + 1), (END, decision.OVERTIME, 1100, 0))
        self.assertEqual(
            tap(EXIT, INSIDE, 101, 240 * 60 + 1, overtime_mode=decision.ADDS), (END, decision.OVERTIME, 1100, 200)
        )

    def test_tr06_degraded_modes_and_other_networks(self):
        for modes, event, was, station, said in (
            (trip.EXIT_FREE, EXIT, INSIDE, 203, (PASS, decision.DEGRADED, 0, 0)),
            (trip.EXIT_FREE, EXIT, BLANK, 203, (PASS, decision.DEGRADED, 0, 0)),
            (trip.EXIT_FREE, ENTRY, BLANK, 203, (BEGIN, 0, 0, 0)),
            (trip.ENTRY_FREE, ENTRY, INSIDE, 203, (PASS, decision.DEGRADED, 0, 0)),
            (trip.ENTRY_FREE, EXIT, BLANK, 203, (PASS, decision.DEGRADED, 0, 0)),
            (trip.ENTRY_FREE, EXIT, INSIDE, 203, (END, 0, 0, 400)),
            (trip.FARE_FREE, EXIT, INSIDE, 203, (END, decision.DEGRADED, 0, 0)),
            (trip.FARE_FREE, EXIT, BLANK, 203, (REFUSE, decision.NO_ENTRY, 0, 0)),
            (trip.DATE_FREE, EXIT, INSIDE, 203, (END, 0, 0, 400)),
            (trip.CLEARED, ENTRY, INSIDE, 203, (BEGIN, decision.DEGRADED, 0, 0)),
            (trip.CLEARED, EXIT, INSIDE, 203, (END, 0, 0, 400)),
        ):
            with self.subTest(modes=modes, event=event):
                self.assertEqual(tap(event, was, station, modes=modes), said)
        foreign = Trip(1, THEIRS, 101, 0, NOON_S)
        self.assertEqual(tap(EXIT, foreign, 203), (REFUSE, decision.DEGRADED, 0, 0))
        self.assertEqual(tap(ENTRY, foreign, 203), (BEGIN, decision.DEGRADED, 0, 0))
        self.assertEqual(tap(EXIT, INSIDE, 999), (REFUSE, decision.DEGRADED, 0, 0))
        self.assertEqual(tap(EXIT, Trip(1, OURS, 999, 0, NOON_S), 999), (REFUSE, decision.DEGRADED, 0, 0))

    def test_tr06_a_trip_that_may_have_ended_at_open_gates(self):
        for from_s, to_s, left in (
            (NOON_S, NOON_S + 60, True), (NOON_S - 60, NOON_S, True), (NOON_S - 60, NOON_S - 1, False),
            (NOON_S + 240 * 60, NOON_S + 250 * 60, True), (NOON_S + 240 * 60 + 1, NOON_S + 250 * 60, False),
        ):
            self.assertEqual(trip.may_have_left([(0, 1), (from_s, to_s)], INSIDE, RIDE), left)

    def test_tr07_exit_before_entry(self):
        self.assertEqual(tap(EXIT, INSIDE, 203, -30), (END, 0, 0, 400))
        self.assertEqual(tap(EXIT, INSIDE, 203, -31), (REFUSE, decision.CLOCK, 0, 0))
        self.assertEqual(tap(ENTRY, INSIDE, 203, -31), (REFUSE, decision.CLOCK, 0, 0))

    def test_tr08_the_same_tap_again(self):
        self.assertEqual(tap(ENTRY, INSIDE, 101, 10), (IGNORE, decision.TWICE, 0, 0))
        self.assertEqual(tap(ENTRY, INSIDE, 101, 11), (BEGIN, decision.NO_EXIT, 0, 0))
        self.assertEqual(tap(ENTRY, INSIDE, 102, 10)[0], BEGIN)
        self.assertEqual(tap(EXIT, OUTSIDE, 101, 10), (IGNORE, decision.TWICE, 0, 0))
        self.assertEqual(tap(EXIT, OUTSIDE, 101, 11), (REFUSE, decision.NO_ENTRY, 0, 0))
        self.assertEqual(tap(ENTRY, OUTSIDE, 101, 1), (BEGIN, 0, 0, 0))


class Table(unittest.TestCase):
    def test_the_last_row_of_each_event_and_state_takes_every_tap(self):
        for event in (ENTRY, EXIT):
            for card in (trip._IN, trip._OUT):
                rows = [row for row in trip.ROWS if row[0] == event and row[1] in (card, trip._ANY)]
                self.assertEqual((rows[-1][1], rows[-1][2]), (card, 0))

    def test_no_row_is_shadowed_by_one_above_it(self):
        for at in range(len(trip.ROWS)):
            event, card, needed = trip.ROWS[at][:3]
            for above in trip.ROWS[:at]:
                if above[0] == event and above[1] in (trip._ANY, card):
                    self.assertNotEqual(above[2] & needed, above[2])

    def test_only_beginnings_and_ends_take_money(self):
        for _, _, _, act, _, pay in trip.ROWS:
            self.assertTrue(pay == trip._NOTHING or act in (BEGIN, END))

    def test_each_case_has_words_in_both_languages(self):
        for row in trip.ROWS:
            if row[4]:
                self.assertEqual(len(decision.CASES[row[4]]), 3)


if __name__ == "__main__":
    unittest.main()
