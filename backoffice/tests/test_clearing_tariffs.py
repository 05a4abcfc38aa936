"""Clearing prices a tariff's taps again, and what has no money in it is proven, noted and never settled."""

from typing import Any

import pytest

from backoffice import export, report
from backoffice.clearing.close import Closing, clear_day
from backoffice.store import fares, registry
from backoffice.tests.forge import DAY, NOON_S, City, Validator
from tunion.fare import decision, granted, grid
from tunion.fare.tariff import FLAT, GRID, Tariff
from tunion.wire import tap

RIDE = {
    "again_s": 10, "elsewhere": 1, "entry_min_fen": 0, "free_repair_min": 20, "max_minutes": 120, "missing_exit": 1,
    "missing_exit_fen": 300, "overdraft_fen": 0, "overtime_fen": 1100, "overtime_mode": decision.REPLACES,
    "same_free_fen": 0, "same_free_min": 5, "slack_s": 30,
}
RULES: dict[str, Any] = {
    "cut_fen": 1, "hours": [], "month": [0, [[0, 50]]], "ride": {}, "riders_max": 1, "transfer": [], "visitors": 0,
}
ROWS: list[list[int | None]] = [[None, 200, 400], [200, None, 300], [400, 300, None]]
METRO = Tariff(
    21, 1, 1, GRID, grid.build(grid.BOTH_WAYS, [101, 102, 103], [ROWS]), {2: 500}, {**RULES, "ride": RIDE}, {}
)
LINE = Tariff(22, 1, 2, GRID, grid.build(grid.ONWARD, [1, 2, 3], [ROWS]), {}, {**RULES, "ride": RIDE}, {})
CHEAP: list[list[int | None]] = [[None, 100, 150], [100, None, 90], [150, 90, None]]
LINE_2 = Tariff(22, 2, 2, GRID, grid.build(grid.ONWARD, [1, 2, 3], [CHEAP]), {}, {**RULES, "ride": RIDE}, {})
FERRY = Tariff(23, 1, 9, FLAT, 500, {3: 1000}, {**RULES, "riders_max": 4}, {})

GATE = {"type": 9, "industry": 1, "fare_id": 21, "list_fen": 0, "amount_fen": 0}
ENTRY = {**GATE, "event": tap.BOARD, "stop_in": 101}
EXIT = {**GATE, "event": tap.ALIGHT, "stop_in": 101, "stop_out": 103, "ride_s": 600, "list_fen": 400, "amount_fen": 400}
BUS = {**GATE, "industry": 2, "fare_id": 22, "fare_version": 2}
FERRIES = {"type": 9, "industry": 9, "fare_id": 23, "event": tap.SINGLE}

# a tap -> what is flagged: (code, word)
JUDGED: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "an exit": (EXIT, []),
    "a student's exit": ({**EXIT, "card_kind": 2, "discount_fen": 200, "amount_fen": 200}, []),
    "an exit in the monthly tier": (
        {**EXIT, "granted": granted.pack(1, False, 0), "discount_fen": 20, "amount_fen": 380}, []),
    "a tier that the table does not have": (
        {**EXIT, "granted": granted.pack(2, False, 0)}, [("TX-25", "not_entitled")]),
    "a discount for nothing": ({**EXIT, "discount_fen": 200, "amount_fen": 200}, [("TX-25", "wrong_discount")]),
    "a dearer exit": ({**EXIT, "list_fen": 500, "amount_fen": 500}, [("TX-16", "wrong_fare")]),
    "overtime": (
        {**EXIT, "ride_s": 9999, "fare_case": decision.OVERTIME, "list_fen": 0, "owed_fen": 1100, "amount_fen": 1100},
        []),
    "overtime that was none": (
        {**EXIT, "fare_case": decision.OVERTIME, "list_fen": 0, "owed_fen": 1100, "amount_fen": 1100},
        [("TX-16", "wrong_case")]),
    "an exit at an unknown station": ({**EXIT, "stop_out": 999}, [("TX-16", "no_such_ride")]),
    "a version that nobody published": ({**EXIT, "fare_version": 9}, [("TX-16", "no_table")]),
    "a bus ride marked by the table before": (
        {**BUS, "event": tap.MAKE_UP, "fare_case": decision.NO_EXIT, "stop_in": 1, "owed_fen": 400, "amount_fen": 400},
        []),
    "a bus ride marked by no table": (
        {**BUS, "event": tap.MAKE_UP, "fare_case": decision.NO_EXIT, "stop_in": 1, "owed_fen": 401, "amount_fen": 401},
        [("TX-16", "wrong_owed")]),
    "four riders, one of them free": (
        {**FERRIES, "riders": 4, "card_kind": 3, "list_fen": 2000, "discount_fen": 500, "amount_fen": 1500}, []),
    "five riders": ({**FERRIES, "riders": 5, "list_fen": 2500, "amount_fen": 2500}, [("TX-16", "too_many_riders")]),
    "a bus's tap by the ferry's table": (
        {**FERRIES, "industry": 2, "list_fen": 500, "amount_fen": 500}, [("TX-16", "other_mode")]),
}


@pytest.fixture(autouse=True)
def _tables(city: City) -> None:
    with city.store.transaction() as db:
        for fare in (METRO, LINE, LINE_2, FERRY):
            registry.add(db, "fare_table", fares.row(fare, 0))


def clear(city: City) -> Closing:
    return clear_day(city.store, city.keys, DAY, city.now_s)


def test_a_tariff_comes_out_of_the_registry_as_it_went_in(city: City) -> None:
    with city.store.reading() as db:
        found = fares.stored(db)
    for fare in (METRO, LINE, LINE_2, FERRY):
        assert found[fare.fare_id, fare.version].to_map() == fare.to_map()
    assert city.rows("SELECT scheme FROM fare_table ORDER BY fare_id") == [("flat",)] + [("tariff",)] * 4


@pytest.mark.parametrize("name", JUDGED)
def test_each_tap_is_priced_again_and_paid_all_the_same(name: str, city: City, bus: Validator) -> None:
    changed, flags = JUDGED[name]
    bus.send([bus.tap(1, **changed)])

    assert clear(city).problems == []

    assert city.states() == [("CLEARED", DAY)]
    assert city.rows("SELECT code, detail FROM anomaly") == flags


def test_an_entry_is_proven_noted_and_in_no_line(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, **ENTRY), bus.tap(2, **EXIT, at_s=NOON_S)])

    first = clear(city)

    assert (first.problems, first.new_records) == ([], 1)
    assert city.states() == [("NOTED", ""), ("CLEARED", DAY)]
    assert city.rows("SELECT count, amount_fen FROM settle_line") == [(1, 400)]
    assert city.rows("SELECT proof FROM txn") == [("tac",)] * 2
    moves = city.rows("SELECT from_state, to_state FROM txn_event WHERE txn_id = 1 ORDER BY id")
    assert moves[-1] == ("CHECKED", "NOTED")
    figures = report.summary(city.db)
    assert (figures["cleared_fen"], figures["open_fen"], figures["anomalies"]) == (400, 0, {})
    with city.store.reading() as db:
        rows = list(export.table(db, "records")[1])
    assert [(row["event"], row["amount_fen"], row["state"]) for row in rows] == [(3, 0, "NOTED"), (4, 400, "CLEARED")]


def test_entries_change_no_digest(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, **EXIT)])
    alone = clear(city)
    bus.send([bus.tap(2, **ENTRY), bus.tap(3, **ENTRY, card_kind=3)])

    again = clear(city)

    assert (again.run_id, again.output_digest, again.problems) == (alone.run_id, alone.output_digest, [])
    assert [state for state, _ in city.states()] == ["CLEARED", "NOTED", "NOTED"]


def test_a_day_of_entries_only_closes_and_says_so(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, **ENTRY)])
    closing = clear(city)
    assert (closing.problems, closing.new_records) == ([], 0)
    assert city.rows("SELECT COUNT(*) FROM settle_line") == [(0,)]
    assert clear(city).output_digest == closing.output_digest


@pytest.mark.parametrize(("changed", "standing"), [
    ({"tac": b"\x01\x02\x03\x04"}, ("SUSPECT", "TX-06")),
    ({"outcome": tap.DISPUTED}, ("SUSPECT", "KM-03")),
    ({"terminal": bytes(6)}, ("SUSPECT", "TX-22")),
    ({"outcome": tap.VOID}, ("VOID", "no debit")),
    ({"outcome": tap.GREY}, ("GREY", "TX-20")),
])
def test_an_entry_must_prove_itself_like_a_fare(
    changed: dict[str, Any], standing: tuple[str, str], city: City, bus: Validator
) -> None:
    bus.send([bus.tap(1, **ENTRY, **changed)])
    assert clear(city).problems == []
    assert city.states() == [standing]


def test_an_entry_needs_no_fee_rule(city: City, bus: Validator) -> None:
    with city.store.transaction() as db:
        db.execute("DELETE FROM fee_rule")
    bus.send([bus.tap(1, **ENTRY), bus.tap(2, **EXIT)])
    assert clear(city).problems == []
    assert city.states() == [("NOTED", ""), ("SUSPECT", "CFG-01")]


def test_a_torn_entry_is_told_by_the_exit(city: City, bus: Validator) -> None:
    """Its balance tells nothing; that the exit has the next counter does."""
    bus.send([bus.tap(1, **ENTRY, outcome=tap.GREY), bus.tap(2, **EXIT)])
    assert clear(city).problems == []
    assert city.states() == [("NOTED", "grey resolved"), ("CLEARED", DAY)]


def test_a_torn_entry_that_did_not_happen_is_void(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, **ENTRY, outcome=tap.GREY), bus.tap(2, **EXIT, counter=11)])
    assert clear(city).problems == []
    assert city.states() == [("VOID", "chain: no debit"), ("CLEARED", DAY)]


def test_two_entries_under_one_counter_are_weighed_by_their_tac(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, **ENTRY), bus.tap(2, **ENTRY, counter=11)])
    assert clear(city).problems == []
    assert city.states() == [("NOTED", ""), ("HELD", "KM-03")]
