"""A second opinion on taps: each event, each case and each discount by hand, and the finding for each wrong field."""

import unittest
from collections import namedtuple

from tunion.fare import decision, granted, grid, reprice, tariff, trip
from tunion.fare.tariff import FLAT, GRID, METER, Tariff
from tunion.wire.tap import ALIGHT, BOARD, MAKE_UP, SINGLE

PORTABLE = True
ARM = True

NOON_S = 1748750400  # Sunday 2025-06-01 12:00
MADE = {
    "at_s": NOON_S, "type": 9, "industry": 2, "card_kind": 1, "amount_fen": 0, "list_fen": 0, "discount_fen": 0,
    "stop_in": 0, "stop_out": 0, "event": SINGLE, "fare_case": 0, "layer": 0, "riders": 0, "modes": 0, "granted": 0,
    "owed_fen": 0, "ride_s": 0,
}
Tap = namedtuple("Tap", sorted(MADE))

RIDE = {
    "again_s": 10, "elsewhere": 1, "entry_min_fen": 0, "free_repair_min": 20, "max_minutes": 120, "missing_exit": 1,
    "missing_exit_fen": 300, "overdraft_fen": 0, "overtime_fen": 1100, "overtime_mode": decision.REPLACES,
    "same_free_fen": 50, "same_free_min": 5, "slack_s": 30,
}
STUDENT = 2
KINDS = {STUDENT: 500}
ROWS = [[None, 200, 400], [200, None, 300], [400, 300, None]]
DEARER = [[None, 250, 500], [None, None, 350], [None] * 3]
BACK = [[None, 220, 440], [None, None, 310], [None] * 3]


def rules(**changes):
    made = {"cut_fen": 1, "hours": [], "month": [], "ride": {}, "riders_max": 1, "transfer": [], "visitors": 0}
    made.update(changes)
    return made


def made(scheme, table, mode=2, days=None, **changes):
    return Tariff(7, 2, mode, scheme, table, KINDS, rules(**changes), days or {})


def with_ride(**changes):
    return dict(RIDE, **changes)


METRO = made(GRID, grid.build(grid.BOTH_WAYS, [1, 2, 3], [ROWS]), ride=RIDE)
LINE = grid.build(grid.ONWARD, [1, 2, 3], [ROWS, BACK])
BUS = made(GRID, LINE, ride=RIDE)
BUS_BEFORE = made(GRID, grid.build(grid.ONWARD, [1, 2, 3], [DEARER]), ride=RIDE)
CHEAP = made(GRID, grid.build(grid.ONWARD, [1, 2, 3], [[[None, 60, 70], [None, None, 80], [None] * 3]]), ride=RIDE)
CITY = made(
    FLAT, 200, hours=[[-1, 7, 0, 420, 500]], month=[0, [[0, 50], [15, 400]]], riders_max=3, cut_fen=10,
    transfer=[90, 0, 1, 0, [[1, 2, 0, 100]]], visitors=1,
)
TAXI = made(METER, [1000, 5000, 100], riders_max=2)


def tap(**fields):
    """A record whose amount is what the other fields make."""
    found = dict(MADE)
    found.update(fields)
    if "amount_fen" not in fields:
        found["amount_fen"] = found["list_fen"] - found["discount_fen"] + found["owed_fen"]
    return Tap(*[found[name] for name in sorted(MADE)])


class Verdicts(unittest.TestCase):
    def judge(self, table, rows, others=(), **common):
        for number in range(len(rows)):
            wanted, fields = rows[number]
            with self.subTest(row=number + 1, fields=fields):
                found = reprice.verdict(table, tap(**dict(common, **fields)), others)
                self.assertEqual(found and reprice.FINDINGS[found][0], wanted and reprice.FINDINGS[wanted][0])


class OneTap(Verdicts):
    def test_a_flat_fare_with_every_discount(self):
        morning_s = NOON_S - 6 * 3600
        self.judge(CITY, (
            (0, {"list_fen": 200}), (0, {"list_fen": 200, "layer": 1, "modes": 63}),
            (0, {"list_fen": 200, "discount_fen": 100, "card_kind": STUDENT}),
            (0, {"list_fen": 200, "discount_fen": 100, "at_s": morning_s}),
            (0, {"list_fen": 200, "discount_fen": 10, "granted": granted.pack(1, False, 0)}),
            (0, {"list_fen": 200, "discount_fen": 80, "granted": granted.pack(2, False, 0)}),
            (0, {"list_fen": 200, "discount_fen": 100, "granted": granted.pack(0, False, 1)}),
            (0, {"list_fen": 200, "discount_fen": 180, "granted": granted.pack(2, False, 1)}),
            (0, {"list_fen": 200, "discount_fen": 0, "at_s": morning_s, "granted": granted.pack(0, True, 0)}),
            (0, {"list_fen": 200, "discount_fen": 100, "card_kind": STUDENT, "granted": granted.pack(7, True, 9)}),
            (0, {"list_fen": 600, "discount_fen": 100, "card_kind": STUDENT, "riders": 3}),
            (reprice.WRONG_DISCOUNT, {"list_fen": 200, "discount_fen": 1}),
            (reprice.WRONG_DISCOUNT, {"list_fen": 600, "discount_fen": 300, "card_kind": STUDENT, "riders": 3}),
            (reprice.NOT_ENTITLED, {"list_fen": 200, "granted": granted.pack(3, False, 0)}),
            (reprice.NOT_ENTITLED, {"list_fen": 200, "granted": granted.pack(0, False, 2)}),
            (reprice.WRONG_FARE, {"list_fen": 201}),
            (reprice.WRONG_FARE, {"list_fen": 200, "amount_fen": 199}),
            (reprice.WRONG_FARE, {"list_fen": 200, "riders": 2}),
            (reprice.TOO_MANY_RIDERS, {"list_fen": 800, "riders": 4}),
            (reprice.WRONG_OWED, {"list_fen": 200, "owed_fen": 1}),
            (reprice.WRONG_CASE, {"list_fen": 200, "fare_case": decision.OVERTIME}),
            (reprice.WRONG_CASE, {"list_fen": 200, "ride_s": 1}),
            (reprice.NO_SUCH_TAP, {"list_fen": 200, "stop_in": 1}),
            (reprice.NO_SUCH_TAP, {"list_fen": 200, "event": ALIGHT}),
            (reprice.NO_SUCH_TAP, {"list_fen": 200, "event": 0}),
            (reprice.OTHER_MODE, {"list_fen": 200, "industry": 1}),
        ))

    def test_a_meter_and_a_conductor(self):
        self.judge(TAXI, (
            (0, {"list_fen": 1000}), (0, {"list_fen": 5000}), (0, {"list_fen": 2400, "riders": 2}),
            (reprice.WRONG_FARE, {"list_fen": 900}), (reprice.WRONG_FARE, {"list_fen": 5100}),
            (reprice.WRONG_FARE, {"list_fen": 1050}), (reprice.WRONG_FARE, {"list_fen": 2401, "riders": 2}),
        ))
        self.judge(BUS, (
            (0, {"list_fen": 400, "stop_in": 1, "stop_out": 3}),
            (0, {"list_fen": 310, "stop_in": 2, "stop_out": 3, "layer": 1}),
            (reprice.NO_SUCH_RIDE, {"list_fen": 400, "stop_in": 3, "stop_out": 1}),
            (reprice.NO_SUCH_RIDE, {"list_fen": 400, "stop_in": 1, "stop_out": 9}),
            (reprice.NO_SUCH_RIDE, {"list_fen": 400, "stop_in": 1, "stop_out": 3, "layer": 2}),
        ))


class Gates(Verdicts):
    def test_entries(self):
        self.judge(METRO, (
            (0, {}), (0, {"fare_case": decision.DEGRADED, "modes": trip.CLEARED}),
            (0, {"fare_case": decision.NO_EXIT}), (0, {"fare_case": decision.NO_EXIT, "owed_fen": 300}),
            (reprice.WRONG_OWED, {"owed_fen": 300}),
            (reprice.WRONG_OWED, {"fare_case": decision.NO_EXIT, "owed_fen": 200}),
            (reprice.WRONG_DISCOUNT, {"fare_case": decision.NO_EXIT, "owed_fen": 300, "discount_fen": 1}),
            (reprice.WRONG_CASE, {"fare_case": decision.OVERTIME}), (reprice.WRONG_FARE, {"list_fen": 200}),
            (reprice.WRONG_CASE, {"modes": trip.ENTRY_FREE}), (0, {"modes": trip.EXIT_FREE | trip.FARE_FREE}),
            (reprice.NO_SUCH_RIDE, {"stop_in": 9}), (reprice.NO_SUCH_RIDE, {"layer": 1}),
            (reprice.NO_SUCH_TAP, {"stop_out": 2}), (reprice.NO_SUCH_TAP, {"ride_s": 9}),
            (reprice.NO_SUCH_TAP, {"type": 6}), (reprice.NO_SUCH_TAP, {"riders": 2}),
        ), event=BOARD, stop_in=1)
        free = made(GRID, METRO.table, ride=with_ride(missing_exit=0))
        self.judge(free, ((reprice.WRONG_OWED, {"owed_fen": 300}), (0, {})),
                   event=BOARD, stop_in=1, fare_case=decision.NO_EXIT)
        lowest = made(GRID, METRO.table, ride=with_ride(missing_exit_fen=0))
        self.judge(lowest, ((0, {"owed_fen": 200}), (reprice.WRONG_OWED, {"owed_fen": 300})),
                   event=BOARD, stop_in=1, fare_case=decision.NO_EXIT)

    def test_exits(self):
        over = {"ride_s": 7201, "fare_case": decision.OVERTIME}
        same = {"stop_out": 1, "fare_case": decision.SAME_PLACE}
        free = {"modes": trip.FARE_FREE, "fare_case": decision.DEGRADED}
        self.judge(METRO, (
            (0, {"list_fen": 400}), (0, {"list_fen": 400, "ride_s": 7200}),
            (0, {"list_fen": 400, "discount_fen": 200, "card_kind": STUDENT}),
            (0, {"list_fen": 400, "ride_s": 9999, "modes": trip.TIME_FREE}),
            (0, dict(over, owed_fen=1100)), (0, dict(same, list_fen=50, ride_s=300)),
            (0, dict(same, list_fen=200, ride_s=301)), (0, free), (0, dict(free, stop_in=77, ride_s=99999)),
            (reprice.WRONG_CASE, {"list_fen": 400, "ride_s": 7201}),
            (reprice.WRONG_CASE, {"list_fen": 200, "stop_out": 1}),
            (reprice.WRONG_CASE, dict(over, owed_fen=1100, modes=trip.TIME_FREE)),
            (reprice.WRONG_CASE, {"list_fen": 400, "fare_case": decision.SAME_PLACE}),
            (reprice.WRONG_CASE, {"fare_case": decision.DEGRADED}),
            (reprice.WRONG_CASE, dict(free, fare_case=0, list_fen=400)),
            (reprice.WRONG_CASE, {"list_fen": 400, "at_s": 100}),
             # a clock at 1970: the ride began before there was time
            (reprice.WRONG_CASE, {"list_fen": 400, "modes": trip.EXIT_FREE}),
            (reprice.WRONG_CASE, dict(free, modes=trip.EXIT_FREE | trip.FARE_FREE)),
            (reprice.WRONG_OWED, over), (reprice.WRONG_OWED, {"list_fen": 400, "owed_fen": 1}),
            (reprice.WRONG_OWED, dict(free, owed_fen=1100)), (reprice.WRONG_FARE, dict(free, list_fen=400)),
            (reprice.WRONG_FARE, dict(over, owed_fen=1100, list_fen=400)), (reprice.WRONG_FARE, {"list_fen": 300}),
            (reprice.NO_SUCH_RIDE, {"list_fen": 400, "stop_out": 9}),
        ), event=ALIGHT, stop_in=1, stop_out=3, ride_s=600)
        adds = made(GRID, METRO.table, ride=with_ride(overtime_mode=decision.ADDS))
        self.judge(adds, ((0, dict(over, owed_fen=1100, list_fen=400)),
        (reprice.WRONG_FARE, dict(over, owed_fen=1100))),
                   event=ALIGHT, stop_in=1, stop_out=3)

    def test_hours_are_those_of_the_entry(self):
        early = made(GRID, METRO.table, ride=RIDE, hours=[[-1, 7, 0, 720, 500]])
        self.judge(early, (
            (0, {"list_fen": 400, "discount_fen": 200, "ride_s": 1}), (0, {"list_fen": 400, "ride_s": 0}),
            (reprice.WRONG_DISCOUNT, {"list_fen": 400, "discount_fen": 200, "ride_s": 0}),
            (0, {"list_fen": 400, "ride_s": 0, "at_s": NOON_S - 30}),  # the entry's clock was 30 s ahead
            (reprice.WRONG_DISCOUNT, {"list_fen": 400, "ride_s": 0, "at_s": NOON_S - 31}),
        ), event=ALIGHT, stop_in=1, stop_out=3)

    def test_the_desk(self):
        self.judge(METRO, (
            (0, {"fare_case": decision.NO_ENTRY}), (0, {"fare_case": decision.NO_EXIT}),
            (0, {"fare_case": decision.NO_EXIT, "owed_fen": 300}),
            (0, {"fare_case": decision.NO_EXIT, "owed_fen": 400, "stop_out": 3}),
            (reprice.WRONG_OWED, {"fare_case": decision.NO_ENTRY, "owed_fen": 1}),
            (0, {"fare_case": decision.NO_EXIT, "owed_fen": 300, "stop_out": 9, "ride_s": 999}),
            (reprice.NO_SUCH_RIDE, {"fare_case": decision.NO_EXIT, "owed_fen": 400}),
            (reprice.WRONG_OWED, {"fare_case": decision.NO_EXIT, "owed_fen": 200, "stop_out": 3}),
            (reprice.WRONG_CASE, {}), (reprice.WRONG_FARE, {"fare_case": decision.NO_EXIT, "list_fen": 300}),
            (reprice.NO_SUCH_RIDE, {"fare_case": decision.NO_ENTRY, "stop_in": 9}),
        ), event=MAKE_UP, stop_in=1)


class Buses(Verdicts):
    def test_boarding(self):
        self.judge(BUS, (
            (0, {}), (0, {"layer": 1}), (0, {"fare_case": decision.ELSEWHERE}), (0, {"fare_case": decision.NO_EXIT}),
            (0, {"fare_case": decision.CLOCK}), (reprice.WRONG_CASE, {"fare_case": decision.OVERTIME}),
            (reprice.WRONG_OWED, {"fare_case": decision.NO_EXIT, "owed_fen": 400}),
            (reprice.NO_SUCH_RIDE, {"stop_in": 3}), (reprice.NO_SUCH_RIDE, {"stop_in": 9}),
        ), event=BOARD, stop_in=1)

    def test_alighting(self):
        self.judge(BUS, (
            (0, {"list_fen": 300}), (0, {"list_fen": 310, "layer": 1}),
            (0, {"list_fen": 300, "discount_fen": 150, "card_kind": STUDENT}),
            (0, {"list_fen": 50, "stop_out": 2, "fare_case": decision.SAME_PLACE, "ride_s": 300}),
            (0, {"list_fen": 300, "stop_out": 2, "fare_case": decision.SAME_PLACE, "ride_s": 301}),
            (0, {"list_fen": 300, "stop_out": 1, "fare_case": decision.WRONG_ORDER}),
            (0, {"list_fen": 310, "stop_out": 1, "fare_case": decision.WRONG_ORDER}),  # the other direction's mark
            (reprice.WRONG_FARE, {"list_fen": 299}), (reprice.WRONG_FARE, {"list_fen": 301}),
            (reprice.WRONG_FARE, {"list_fen": 400, "stop_out": 1, "fare_case": decision.WRONG_ORDER}),
            (reprice.NO_SUCH_RIDE, {"list_fen": 300, "stop_out": 1}),
            (reprice.NO_SUCH_RIDE, {"list_fen": 300, "stop_in": 3}),
            (reprice.WRONG_CASE, {"list_fen": 300, "ride_s": 7201}),
            (reprice.WRONG_CASE, {"list_fen": 300, "fare_case": decision.SAME_PLACE}),
            (reprice.WRONG_CASE, {"list_fen": 300, "fare_case": decision.NO_EXIT}),
            (reprice.WRONG_OWED, {"list_fen": 300, "owed_fen": 1}),
        ), event=ALIGHT, stop_in=2, stop_out=3, ride_s=600)

    def test_never_more_than_was_marked_by_the_table_of_the_boarding(self):
        ride = dict(event=ALIGHT, stop_in=1, stop_out=3, ride_s=600)
        self.judge(BUS, ((0, {"list_fen": 70}), (0, {"list_fen": 400}), (reprice.WRONG_FARE, {"list_fen": 71})),
                   (CHEAP, METRO), **ride)
        self.judge(BUS, ((reprice.WRONG_FARE, {"list_fen": 70}),), **ride)

    def test_a_ride_left_open(self):
        late, elsewhere = {"fare_case": decision.NO_EXIT}, {"fare_case": decision.ELSEWHERE}
        self.judge(BUS, (
            (0, dict(late, owed_fen=400)), (0, dict(late, owed_fen=440)), (0, dict(late, owed_fen=500)),
            (0, dict(elsewhere, owed_fen=500)), (0, dict(elsewhere, owed_fen=123)),
            (reprice.WRONG_OWED, dict(late, owed_fen=300)), (reprice.WRONG_OWED, dict(elsewhere, owed_fen=501)),
            (reprice.WRONG_CASE, {"owed_fen": 400}), (reprice.NO_SUCH_TAP, dict(late, owed_fen=400, stop_out=2)),
            (reprice.WRONG_FARE, dict(late, list_fen=400)), (reprice.NO_SUCH_RIDE, dict(late, owed_fen=400, stop_in=9)),
        ), (BUS_BEFORE,), event=MAKE_UP, stop_in=1)


class Words(unittest.TestCase):
    def test_every_finding_has_its_words(self):
        self.assertEqual(sorted(reprice.FINDINGS), list(range(1, len(reprice.FINDINGS) + 1)))
        self.assertEqual(len({words[0] for words in reprice.FINDINGS.values()}), len(reprice.FINDINGS))
        self.assertEqual(METRO.mode, tariff.BUS)  # the tables above are all of one mode


if __name__ == "__main__":
    unittest.main()
