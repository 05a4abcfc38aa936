"""Segment fare: boarding, alighting, and all that goes wrong between."""

import unittest

from tunion.fare import decision, grid, segment
from tunion.fare.decision import BEGIN, END, IGNORE, REFUSE
from tunion.fare.segment import Here, Ride

PORTABLE = True
ARM = True

CITY, OTHER = b"\x61\x10", b"\x61\x40"
BUS_1, BUS_2 = b"A-101", b"A-102"
NOON_S = 1748750400

# Four stops out, four back; the way back costs 50 more
OUT = [[None, 100, 200, 350], [None, None, 100, 200], [None, None, None, 100], [None] * 4]
BACK = [[None if fen is None else fen + 50 for fen in row] for row in OUT]
LINE = grid.Grid(grid.build(grid.ONWARD, [1, 2, 3, 4], [OUT, BACK]))

RIDE = {
    "again_s": 10, "elsewhere": 1, "entry_min_fen": 100, "free_repair_min": 0, "max_minutes": 120,
    "missing_exit": 1, "missing_exit_fen": 0, "overdraft_fen": 0, "overtime_fen": 0, "overtime_mode": 0,
    "same_free_fen": 0, "same_free_min": 3, "slack_s": 30,
}
BLANK = Ride(0, b"", 0, b"", 0, 0, 0, 0)


def aboard(state=segment.ON_BOARD, city=CITY, line=207, vehicle=BUS_1, direction=0, stop=2, marked_fen=200):
    return Ride(state, city, line, vehicle, direction, stop, NOON_S, marked_fen)


def tap(was, stop, direction=0, after_s=600, balance_fen=5000, vehicle=BUS_1, line=207, **changes):
    """(act, case, owed, fare, marked) so long after the card's last tap."""
    numbers = dict(RIDE)
    numbers.update(changes)
    here = Here(CITY, line, vehicle, direction, stop, NOON_S + after_s)
    return tuple(segment.tap(LINE, numbers, was, here, balance_fen))


class PlainRides(unittest.TestCase):
    def test_boarding_marks_the_fare_to_the_end_and_takes_nothing(self):
        for direction, stop, marked_fen in ((0, 1, 350), (0, 2, 200), (0, 3, 100), (1, 1, 400), (1, 3, 150)):
            self.assertEqual(tap(BLANK, stop, direction), (BEGIN, 0, 0, 0, marked_fen))
            alighted = aboard(segment.ALIGHTED)
            self.assertEqual(tap(alighted, stop, direction), (BEGIN, 0, 0, 0, marked_fen))

    def test_alighting_takes_the_fare_of_the_stops(self):
        self.assertEqual(tap(aboard(), 3), (END, 0, 0, 100, 0))
        self.assertEqual(tap(aboard(), 4), (END, 0, 0, 200, 0))
        self.assertEqual(tap(aboard(direction=1, marked_fen=250), 4, 1), (END, 0, 0, 250, 0))

    def test_never_more_than_was_marked_even_when_the_table_changed_on_the_way(self):
        self.assertEqual(tap(aboard(marked_fen=80), 4), (END, 0, 0, 80, 0))

    def test_the_card_must_hold_what_is_marked(self):
        self.assertEqual(tap(BLANK, 1, balance_fen=350)[0], BEGIN)
        self.assertEqual(tap(BLANK, 1, balance_fen=349), (REFUSE, decision.NO_MONEY, 0, 0, 0))
        self.assertEqual(tap(BLANK, 3, balance_fen=199, entry_min_fen=200), (REFUSE, decision.NO_MONEY, 0, 0, 0))
        self.assertEqual(tap(aboard(), 4, balance_fen=0), (END, 0, 0, 200, 0))


class WhatGoesWrong(unittest.TestCase):
    def test_no_tap_off_owes_what_was_marked(self):
        self.assertEqual(tap(aboard(), 1, after_s=7200), (END, decision.WRONG_ORDER, 0, 200, 0))
        self.assertEqual(tap(aboard(), 1, after_s=7201), (BEGIN, decision.NO_EXIT, 200, 0, 350))
        self.assertEqual(tap(aboard(), 1, vehicle=BUS_2), (BEGIN, decision.ELSEWHERE, 200, 0, 350))
        self.assertEqual(tap(aboard(), 1, vehicle=BUS_2, balance_fen=550)[0], BEGIN)
        self.assertEqual(tap(aboard(), 1, vehicle=BUS_2, balance_fen=549)[:2], (REFUSE, decision.NO_MONEY))

    def test_on_another_line_as_configured_and_in_another_city_nothing(self):
        self.assertEqual(tap(aboard(line=9), 1), (BEGIN, decision.ELSEWHERE, 200, 0, 350))
        self.assertEqual(tap(aboard(line=9), 1, elsewhere=0), (BEGIN, decision.ELSEWHERE, 0, 0, 350))
        self.assertEqual(tap(aboard(), 1, vehicle=BUS_2, elsewhere=0)[2], 200)
        self.assertEqual(tap(aboard(city=OTHER), 1), (BEGIN, decision.ELSEWHERE, 0, 0, 350))

    def test_wrong_order_pays_what_was_marked(self):
        self.assertEqual(tap(aboard(), 1), (END, decision.WRONG_ORDER, 0, 200, 0))
        self.assertEqual(tap(aboard(), 3, 1), (END, decision.WRONG_ORDER, 0, 200, 0))
        self.assertEqual(tap(aboard(), 99), (END, decision.WRONG_ORDER, 0, 200, 0))

    def test_the_same_stop(self):
        self.assertEqual(tap(aboard(), 2, after_s=11), (END, decision.SAME_PLACE, 0, 0, 0))
        self.assertEqual(tap(aboard(), 2, after_s=180, same_free_fen=50), (END, decision.SAME_PLACE, 0, 50, 0))
        self.assertEqual(tap(aboard(), 2, after_s=181), (END, decision.SAME_PLACE, 0, 100, 0))
        self.assertEqual(tap(aboard(stop=4, marked_fen=70), 4), (END, decision.SAME_PLACE, 0, 70, 0))

    def test_the_same_tap_again_changes_nothing(self):
        for state in (segment.ON_BOARD, segment.ALIGHTED):
            self.assertEqual(tap(aboard(state), 2, after_s=10), (IGNORE, decision.TWICE, 0, 0, 0))
        self.assertEqual(tap(aboard(segment.ALIGHTED), 2, after_s=11)[0], BEGIN)
        self.assertEqual(tap(aboard(), 3, after_s=10)[0], END)

    def test_nobody_boards_where_no_ride_leads_on(self):
        for stop, direction in ((4, 0), (4, 1), (99, 0), (1, 2)):
            self.assertEqual(tap(BLANK, stop, direction), (REFUSE, decision.LAST_STOP, 0, 0, 0))

    def test_a_ride_that_begins_in_the_future_is_charged_to_nobody(self):
        self.assertEqual(tap(aboard(), 3, after_s=-30), (END, 0, 0, 100, 0))
        self.assertEqual(tap(aboard(), 3, after_s=-31), (BEGIN, decision.CLOCK, 0, 0, 100))


class Sums(unittest.TestCase):
    def test_two_segments_never_cost_less_than_a_ride_through_in_this_table(self):
        for direction in (0, 1):
            for i in range(1, 5):
                for j in range(i + 1, 5):
                    for k in range(j + 1, 5):
                        through = LINE.fen(direction, i, k)
                        parts = LINE.fen(direction, i, j) + LINE.fen(direction, j, k)
                        self.assertTrue(through <= parts + 50)


if __name__ == "__main__":
    unittest.main()
