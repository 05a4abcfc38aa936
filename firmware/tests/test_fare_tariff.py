"""Every mode as a configuration of the same functions: prices, rules in their order, tariffs that must not load."""

import unittest

from tunion import bcd, cbor
from tunion.fare import decision, grid, segment, tariff, trip, when
from tunion.fare.month import Month
from tunion.fare.tariff import FLAT, GRID, METER, Tariff
from tunion.fare.transfer import Chain, Leg
from tunion.record import BadInput

PORTABLE = True
ARM = True

ORDINARY, STUDENT, SENIOR = 1, 2, 3
SUNDAY_S = bcd.at_s(bcd.from_digits("20250601120000"))
MONDAY_S = SUNDAY_S + 86400

RIDE = {
    "again_s": 10, "elsewhere": 0, "entry_min_fen": 200, "free_repair_min": 20, "max_minutes": 240,
    "missing_exit": 1, "missing_exit_fen": 0, "overdraft_fen": 0, "overtime_fen": 1100,
    "overtime_mode": decision.REPLACES, "same_free_fen": 0, "same_free_min": 5, "slack_s": 30,
}


def rules(**changes):
    made = {"cut_fen": 1, "hours": [], "month": [], "ride": {}, "riders_max": 1, "transfer": [], "visitors": 0}
    made.update(changes)
    return made


def made(scheme, table, mode=tariff.BUS, kinds=None, days=None, **changes):
    return Tariff(7, 3, mode, scheme, table, kinds or {}, rules(**changes), days or {})


def square(prices):
    return grid.build(grid.SQUARE, [i + 1 for i in range(len(prices))], [prices])


LINE = grid.build(grid.ONWARD, [1, 2, 3], [[[None, 100, 250], [None, None, 150], [None] * 3]])
CITY = made(
    FLAT, 250,
    kinds={STUDENT: 500, SENIOR: 1000},
    days={20250602: when.HOLIDAY},
    hours=[[STUDENT, 1, 0, 1440, 200], [-1, 7, 600, 840, 100]],
    month=[0, [[0, 50], [15, 400]]],
    transfer=[90, 0, 1, 1, [[tariff.BUS, tariff.BUS, 0, 100]]],
    riders_max=3,
    cut_fen=10,
    visitors=tariff.OF_HOURS,
)


class Rules(unittest.TestCase):
    GIVEN = CITY.transfers.give(Chain(tariff.BUS, 9, 0, SUNDAY_S, SUNDAY_S, 0), Leg(tariff.BUS, 8, 0, SUNDAY_S + 60))

    def test_all_discounts_of_a_ride_in_their_order(self):
        first, later = Month(202506, 0, 0), Month(202506, 15, 0)
        for kind, at_s, home, so_far, given, riders, amount_fen in (
            (ORDINARY, SUNDAY_S - 7200 - 60, True, None, None, 1, 250),
            (ORDINARY, SUNDAY_S, True, None, None, 1, 220),  # 225, cut
            (ORDINARY, SUNDAY_S, True, first, None, 1, 210),  # 213.75
            (ORDINARY, SUNDAY_S, True, later, None, 1, 130),  # 135
            (ORDINARY, SUNDAY_S, True, later, self.GIVEN, 1, 30),  # 135 - 100
            (STUDENT, SUNDAY_S, True, later, self.GIVEN, 1, 0),  # 67.5 - 100
            (STUDENT, SUNDAY_S, True, None, None, 1, 110),  # 112.5
            (STUDENT, MONDAY_S + 86400, True, None, None, 1, 100),  # a workday: 250 * 0.5 * 0.8
            (STUDENT, MONDAY_S, True, None, None, 1, 110),  # a holiday
            (SENIOR, SUNDAY_S, True, None, None, 1, 0),
            (SENIOR, SUNDAY_S, True, None, None, 3, 500),
            (SENIOR, SUNDAY_S, False, later, self.GIVEN, 1, 220),  # a visitor gets the hours only
        ):
            with self.subTest(kind=kind, at_s=at_s, home=home):
                found = CITY.price(CITY.list_fen(), kind, at_s, home, so_far, given, riders)
                self.assertEqual(found.amount_fen, amount_fen)
                self.assertEqual(found.list_fen, 250 * riders)

    def test_a_visitor_gets_what_the_table_grants_and_nothing_else(self):
        later = Month(202506, 15, 0)
        for visitors, amount_fen in ((0, 250), (1, 125), (2, 225), (4, 150), (8, 150), (15, 0)):
            found = made(
                FLAT, 250, kinds={STUDENT: 500}, hours=[[-1, 7, 600, 840, 100]], month=[0, [[0, 50], [15, 400]]],
                transfer=[90, 0, 1, 1, [[tariff.BUS, tariff.BUS, 0, 100]]], visitors=visitors,
            )
            self.assertEqual(found.price(250, STUDENT, SUNDAY_S, False, later, self.GIVEN).amount_fen, amount_fen)
            self.assertEqual(found.price(250, STUDENT, SUNDAY_S, True, later, self.GIVEN).amount_fen, 0)  # 67.5 - 100

    def test_no_more_riders_than_the_table_allows(self):
        for riders in (0, 4):
            with self.assertRaises(BadInput):
                CITY.price(250, ORDINARY, SUNDAY_S, riders=riders)

    def test_hours_begin_with_their_first_minute_and_end_before_their_last(self):
        for minute, row in ((599, None), (600, 1), (839, 1), (840, None)):
            self.assertEqual(CITY.hours_row(ORDINARY, SUNDAY_S + 60 * (minute - 720)), row)

    def test_a_tariff_survives_the_wire(self):
        for found in (CITY, made(GRID, LINE, ride=dict(RIDE)), made(METER, [1000, 50000, 10], tariff.TAXI)):
            fields = cbor.decode(cbor.encode(found.to_map()))
            again = tariff.from_map(fields)
            self.assertEqual(again.to_map(), found.to_map())


class Modes(unittest.TestCase):
    def test_modes_are_the_industries_of_the_card(self):
        modes = (tariff.METRO, tariff.BUS, tariff.TAXI, tariff.COACH, tariff.FERRY, tariff.INTERCITY, tariff.TOLL)
        self.assertEqual(modes, (1, 2, 4, 8, 9, 10, 12))

    def test_the_ends_of_every_range_are_good(self):
        for at in (0, 0xFFFF):
            self.assertEqual(Tariff(at, at, 255, FLAT, 0xFFFFFF, {0: 0, 255: 1000}, rules(), {}).fare_id, at)
        made(FLAT, 1, month=[1, [[i, 1000] for i in range(6)] + [[0xFFFFFF, 0]]])
        made(FLAT, 1, month=[0, [[0, 0]]])
        for window_min, count in ((1, 1), (1440, 255)):
            made(FLAT, 1, transfer=[window_min, 0, count, 0, [[15, 255, 1000, 0xFFFFFF]]])

    def test_taxi_takes_what_the_meter_shows_within_its_bounds(self):
        taxi = made(METER, [1003, 50003, 10], tariff.TAXI)
        self.assertEqual((taxi.low_fen, taxi.high_fen), (1003, 50003))
        for shown_fen in (1003, 1013, 50003):
            self.assertEqual(taxi.price(taxi.list_fen(end=shown_fen), SENIOR, SUNDAY_S), (shown_fen, 0, shown_fen))
        for shown_fen in (0, 993, 1000, 1007, 1010, 50000, 50013, -1003, 1003.5, None):
            with self.assertRaises(BadInput):
                taxi.list_fen(end=shown_fen)

    def test_rural_coach_is_a_line_of_stops(self):
        coach = made(GRID, LINE, tariff.COACH, ride=dict(RIDE))
        self.assertTrue(tariff.is_by_stop(coach))
        here = segment.Here(b"\x61\x10", 12, b"C-1", 0, 1, SUNDAY_S)
        blank = segment.Ride(0, b"", 0, b"", 0, 0, 0, 0)
        begun = segment.tap(coach.grid, coach.rules["ride"], blank, here, 5000)
        self.assertEqual((begun.act, begun.marked_fen), (decision.BEGIN, 250))
        open_ride = segment.Ride(1, b"\x61\x10", 12, b"C-1", 0, 1, SUNDAY_S, 250)
        off = segment.Here(b"\x61\x10", 12, b"C-1", 0, 2, SUNDAY_S + 3000)
        self.assertEqual(segment.tap(coach.grid, coach.rules["ride"], open_ride, off, 5000).fare_fen, 100)

    def test_intercity_rail_is_station_pair_by_train_class(self):
        slow = [[None, 1000, 2200], [1000, None, 1500], [2200, 1500, None]]
        fast = [[None, 1400, 3000], [1400, None, None], [3000, None, None]]
        rail = made(GRID, grid.build(grid.BOTH_WAYS, [11, 12, 13], [slow, fast]), tariff.INTERCITY, ride=dict(RIDE))
        self.assertFalse(tariff.is_by_stop(rail))
        for layer, fen in ((0, 2200), (1, 3000)):
            was = trip.Trip(1, b"R", 11, layer, SUNDAY_S)
            here = trip.Here(b"R", 13, 0, SUNDAY_S + 3600, 0)
            self.assertEqual(trip.gate(rail.grid, rail.rules["ride"], trip.EXIT, was, here, 9999).fare_fen, fen)
        was = trip.Trip(1, b"R", 12, 1, SUNDAY_S)  # the fast train does not run there
        decided = trip.gate(rail.grid, rail.rules["ride"], trip.EXIT, was, here, 9999)
        self.assertEqual(decided[:2], (decision.REFUSE, decision.DEGRADED))

    def test_a_ferry_is_flat(self):
        ferry = made(FLAT, 200, tariff.FERRY, kinds={STUDENT: 500})
        self.assertEqual(ferry.price(ferry.list_fen(), STUDENT, SUNDAY_S), (200, 100, 100))

    def test_a_toll_is_entry_by_exit_and_vehicle_class(self):
        prices = [[500, 1500], [2500, 500]]
        toll = made(GRID, grid.build(grid.SQUARE, [1, 2], [prices, [[1000, 3000], [5000, 1000]]]), tariff.TOLL,
                    ride=dict(RIDE, same_free_min=0))
        for layer, start, end, fen in ((0, 1, 2, 1500), (0, 2, 1, 2500), (1, 1, 2, 3000), (1, 1, 1, 1000)):
            was = trip.Trip(1, b"E", start, layer, SUNDAY_S)
            here = trip.Here(b"E", end, layer, SUNDAY_S + 3600, 0)
            self.assertEqual(trip.gate(toll.grid, toll.rules["ride"], trip.EXIT, was, here, 9999).fare_fen, fen)


class Refusals(unittest.TestCase):
    def test_bad_tables(self):
        for scheme, table in (
            (FLAT, 0), (FLAT, 1 << 24), (FLAT, 2.5), (FLAT, None), (GRID, b""), (GRID, "4154"), (GRID, None), (3, 200),
            (METER, [0, 100, 1]), (METER, [100, 50, 1]), (METER, [100, 205, 10]), (METER, [100, 200]), (METER, 5),
            (METER, [100, 200, 0]),
        ):
            with self.subTest(table=table), self.assertRaises(BadInput):
                made(scheme, table, ride=dict(RIDE) if scheme == GRID else {})

    def test_bad_rules_are_named(self):
        for word, changes in (
            ("cut_fen", {"cut_fen": 0}), ("cut_fen", {"cut_fen": 101}), ("riders", {"riders_max": 0}),
            ("riders", {"riders_max": 21}), ("visitors", {"visitors": 16}), ("hours", {"hours": 5}),
            ("row 2", {"hours": [[-1, 7, 0, 60, 100], [-1, 7, 60, 60, 100]]}),
            ("row 1", {"hours": [[-1, 8, 0, 60, 100]]}), ("row 1", {"hours": [[-2, 7, 0, 60, 100]]}),
            ("row 1", {"hours": [[1, 7, 0, 1441, 100]]}), ("row 1", {"hours": [[1, 7, 0, 60, 1001]]}),
            ("hours", {"hours": [[-1, 7, 0, 60, 100]] * 17}), ("tiers", {"month": [0, []]}), ("month", {"month": [0]}),
            ("month", {"month": {}}), ("transfer", {"transfer": [90]}), ("transfer", {"transfer": None}),
            ("ride", {"ride": dict(RIDE)}), ("more than a record", {"riders_max": 20, "table": 838861}),
            ("rules", {"gift": 1}),
        ):
            with self.subTest(changes=changes):
                with self.assertRaises(BadInput) as caught:
                    made(FLAT, changes.pop("table", 200), **changes)
                self.assertIn(word, str(caught.exception))

    def test_a_record_holds_the_dearest_ride_of_all_riders_and_overtime(self):
        made(FLAT, 838860, riders_max=20)  # 16777200
        dear = square([[0xFFFFFF, 1], [1, 1]])
        made(GRID, dear, ride=dict(RIDE, overtime_fen=0))
        for changes in ({"ride": dict(RIDE, overtime_fen=1)}, {"ride": dict(RIDE, overtime_fen=0), "riders_max": 2}):
            with self.assertRaises(BadInput):
                made(GRID, dear, **changes)

    def test_an_open_ride_has_all_its_numbers_each_in_its_range(self):
        for name in decision.RIDE:
            low, high = decision.RIDE[name]
            for value, good in ((low, True), (high, True), (low - 1, False), (high + 1, False), ("1", False)):
                numbers = dict(RIDE)
                numbers[name] = value
                try:
                    made(GRID, LINE, ride=numbers)
                    said = ""
                except BadInput as problem:
                    said = str(problem)
                self.assertEqual(said == "", good)
                self.assertTrue(good or name in said)
        for numbers in ({}, None, dict(RIDE, more=1)):
            with self.assertRaises(BadInput):
                made(GRID, LINE, ride=numbers)

    def test_bad_kinds_and_numbers(self):
        for kinds in ({256: 1}, {1: 1001}, {1: -1}, {"1": 5}, {1: 0.5}):
            with self.assertRaises(BadInput):
                made(FLAT, 200, kinds=kinds)
        for mode in (0, 256, None):
            with self.assertRaises(BadInput):
                made(FLAT, 200, mode=mode)

    def test_other_shapes(self):
        good = CITY.to_map()
        for field in good:
            fields = dict(good)
            del fields[field]
            with self.subTest(field=field), self.assertRaises(BadInput):
                tariff.from_map(fields)
        for field, value in (("scheme", "gift"), ("discounts", [1]), ("days", 5), ("table", "x"), ("rules", [])):
            with self.subTest(field=field), self.assertRaises(BadInput):
                tariff.from_map(dict(good, **{field: value}))


if __name__ == "__main__":
    unittest.main()
