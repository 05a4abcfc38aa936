"""Entries and exits matched by card: what is open, what is TR-02, what open gates explain, what never arrived."""

from typing import Any

import pytest

from backoffice.clearing import rides
from backoffice.clearing.close import prepare
from backoffice.store import fares as tables
from backoffice.store import registry
from backoffice.tests.forge import DAY, DAY_S, NEXT_DAY, NOON_S, City, Validator
from backoffice.tests.test_clearing_tariffs import ENTRY, EXIT, METRO
from tunion.fare import decision, trip
from tunion.wire import tap

BOARD = {**ENTRY, "industry": 2, "fare_id": 22, "stop_in": 1}
ALIGHT = {**EXIT, "industry": 2, "fare_id": 22, "stop_in": 1, "stop_out": 2}
START_S = NOON_S - 7200 + 600  # 10:10


@pytest.fixture(autouse=True)
def _table(city: City) -> None:
    with city.store.transaction() as db:
        registry.add(db, "fare_table", tables.row(METRO, 0))


def sent(bus: Validator, *taps: dict[str, Any]) -> None:
    """A card's records, a minute apart unless they say when; the exit of the second names the first."""
    entries = []
    for number, fields in enumerate(taps):
        entries.append(bus.tap(1 + number, **{"at_s": START_S + 60 * number, **fields}))
    bus.send(entries)


def report(city: City, day: str | None = None) -> dict[str, Any]:
    with city.store.reading() as db:
        return rides.report(db, day, city.now_s)


def kinds(city: City) -> dict[str, int]:
    return {kind: count for kind, count in report(city)["counts"].items() if count}


# what a card's devices sent -> the rides that come of it, two hours after the first
MATCHED: dict[str, tuple[list[dict[str, Any]], dict[str, int]]] = {
    "in and out": ([ENTRY, {**EXIT, "ride_s": 60}], {"matched": 1}),
    "in": ([ENTRY], {"open": 1}),
    "out": ([EXIT], {"no_entry": 1}),
    "out of another ride": ([ENTRY, {**EXIT, "ride_s": 61}], {"no_entry": 1, "open": 1}),
    "out, entered elsewhere": ([ENTRY, {**EXIT, "ride_s": 60, "stop_in": 102}], {"no_entry": 1, "open": 1}),
    "out by a clock that is behind": ([{**ENTRY, "at_s": START_S + 80}, {**EXIT, "ride_s": 0}], {"matched": 1}),
    "twice in and out": (
        [ENTRY, {**EXIT, "ride_s": 60}, {**ENTRY, "stop_in": 102}, {**EXIT, "ride_s": 60, "stop_in": 102}],
        {"matched": 2}),
    "in, the exit lost, in and out": ([ENTRY, ENTRY, {**EXIT, "ride_s": 60}], {"open": 1, "matched": 1}),
    "in again, charged": (
        [ENTRY, {**ENTRY, "fare_case": decision.NO_EXIT, "owed_fen": 300, "amount_fen": 300}],
        {"made_up": 1, "open": 1}),
    "in again at once": ([ENTRY, {**ENTRY, "fare_case": decision.NO_EXIT}], {"forgiven": 1, "open": 1}),
    "in again, gates stood open": ([ENTRY, {**ENTRY, "fare_case": decision.DEGRADED}], {"forgiven": 1, "open": 1}),
    "closed at the desk": (
        [ENTRY, {**ENTRY, "event": tap.MAKE_UP, "fare_case": decision.NO_EXIT}], {"made_up": 1}),
    "entry set at the desk": (
        [{**ENTRY, "event": tap.MAKE_UP, "fare_case": decision.NO_ENTRY}, {**EXIT, "ride_s": 60}], {"matched": 1}),
    "a bus ride made up, another begun": (
        [BOARD, {**BOARD, "event": tap.MAKE_UP, "fare_case": decision.ELSEWHERE, "owed_fen": 9, "amount_fen": 9},
         {**BOARD, "fare_case": decision.ELSEWHERE, "stop_in": 2}],
        {"made_up": 1, "open": 1}),
    "a bus ride within a metro ride": (
        [ENTRY, BOARD, {**ALIGHT, "ride_s": 60}, {**EXIT, "ride_s": 180}], {"matched": 2}),
    "two applications of one card": (
        [ENTRY, {**ENTRY, "event": 16 | tap.BOARD}, {**EXIT, "ride_s": 120}], {"matched": 1, "open": 1}),
    "an exit that did not happen": ([ENTRY, {**EXIT, "ride_s": 60, "outcome": tap.VOID}], {"open": 1}),
    "one tap, one fare": ([{}], {}),
}


@pytest.mark.parametrize("name", MATCHED)
def test_what_becomes_of_each_ride(name: str, city: City, bus: Validator) -> None:
    taps, wanted = MATCHED[name]
    sent(bus, *taps)
    assert kinds(city) == wanted


def test_the_counter_orders_what_clocks_confuse(city: City, bus: Validator) -> None:
    """Two devices upload in any order; the exit's clock is an hour behind the entry's."""
    bus.send([bus.tap(1, **{**EXIT, "counter": 12, "ride_s": 0}, at_s=START_S - 3600)])
    bus.send([bus.tap(2, **ENTRY, counter=11, at_s=START_S)])
    assert kinds(city) == {"matched": 1}


def test_two_cards_do_not_mix(city: City, bus: Validator) -> None:
    sent(bus, ENTRY, {**EXIT, "ride_s": 60, "number": 2})
    assert kinds(city) == {"no_entry": 1, "open": 1}


@pytest.mark.parametrize(("age_s", "kind"), [(7200, "open"), (7201, "no_exit")])
def test_an_entry_is_a_candidate_of_tr02_once_its_tables_time_is_over(
    age_s: int, kind: str, city: City, bus: Validator
) -> None:
    sent(bus, ENTRY)
    city.now_s = START_S + age_s
    assert kinds(city) == {kind: 1}
    assert report(city)["unsolved"][0]["age_s"] == age_s


def test_without_its_table_an_entry_waits_a_day(city: City, bus: Validator) -> None:
    sent(bus, {**ENTRY, "fare_version": 9})
    for now_s, kind in ((START_S + DAY_S, "open"), (START_S + DAY_S + 1, "no_exit")):
        city.now_s = now_s
        assert kinds(city) == {kind: 1}


@pytest.mark.parametrize(("modes", "at_s", "kind"), [
    (trip.EXIT_FREE, START_S + 7000, "degraded"),
    (trip.EXIT_FREE | trip.TIME_FREE, START_S - 60, "degraded"),     # in the hour of the entry itself
    (trip.EXIT_FREE, START_S - 3601, "no_exit"),                     # before it
    (trip.EXIT_FREE, START_S + 7200 + 3600, "no_exit"),              # after the last minute that it may last
    (trip.TIME_FREE, START_S + 3600, "no_exit"),                     # gates were not open
])
def test_open_gates_explain_what_may_have_ended_there(
    modes: int, at_s: int, kind: str, city: City, bus: Validator
) -> None:
    sent(bus, ENTRY, {**ENTRY, "number": 2, "stop_in": 103, "at_s": at_s, "modes": modes,
                      "fare_case": decision.DEGRADED})
    city.now_s = NOON_S + DAY_S
    found = report(city)
    mine = [line for line in found["unsolved"] if line["ref"] == "txn 1"]
    assert mine[0]["kind"] == kind
    assert [(hour["stop"], hour["modes"]) for hour in found["degraded_hours"]] == [(103, rides.names(modes))]
    assert (found["degraded_hours"][0]["rides"] > 0) == (
        kind == "degraded" or bool(modes & trip.EXIT_FREE)  # the second entry itself may have ended there
    )


def test_hours_of_another_day_are_left_out(city: City, bus: Validator) -> None:
    sent(bus, {**ENTRY, "modes": trip.EXIT_FREE},
         {**ENTRY, "number": 2, "at_s": START_S + DAY_S, "modes": trip.TIME_FREE})
    city.now_s = NOON_S + 3 * DAY_S
    hours = {day: [hour["modes"] for hour in report(city, day)["degraded_hours"]] for day in (DAY, NEXT_DAY, None)}
    assert hours == {DAY: [["exit_free"]], NEXT_DAY: [["time_free"]], None: [["exit_free"], ["time_free"]]}


def test_open_gates_of_another_operator_explain_nothing(city: City, bus: Validator) -> None:
    sent(bus, ENTRY)
    other = Validator(city, 2)
    other.send([other.tap(1, **{**ENTRY, "modes": trip.EXIT_FREE, "number": 2}, at_s=START_S)])
    operators = {row[0] for row in city.rows("SELECT operator FROM device WHERE device_id IN (1, 2)")}
    assert len(operators) == 2
    city.now_s = NOON_S + DAY_S
    assert [line["kind"] for line in report(city)["unsolved"] if line["ref"] == "txn 1"] == ["no_exit"]


def test_the_day_is_that_of_the_entry(city: City, bus: Validator) -> None:
    sent(bus, {**ENTRY, "at_s": NOON_S + 11 * 3600}, {**EXIT, "at_s": NOON_S + 13 * 3600, "ride_s": 7200},
         {**ENTRY, "at_s": NOON_S + DAY_S})
    city.now_s = NOON_S + 2 * DAY_S
    assert report(city, DAY)["counts"]["matched"] == 1 and not report(city, DAY)["unsolved"]
    assert report(city, NEXT_DAY)["counts"]["no_exit"] == 1 and report(city, NEXT_DAY)["counts"]["matched"] == 0


def test_the_report_moves_no_money_and_stores_nothing(city: City, bus: Validator) -> None:
    sent(bus, ENTRY, EXIT)
    prepare(city.store, city.keys, city.now_s)
    before = city.dump()
    report(city)
    assert city.dump() == before
