"""What yesterday's taps would have debited under a tariff, tap by tap; and where in a file something stands."""

import json
from typing import Any

import pytest

from backoffice.fleet import placed, replay
from backoffice.tests.forge import NOON_S
from backoffice.tests.test_fares import SAMPLES
from tunion.fare import decision, granted, grid
from tunion.fare.flat import FlatFare
from tunion.fare.tariff import FLAT, GRID, METER, Tariff
from tunion.wire import tap

RIDE = json.loads((SAMPLES / "metro.json").read_text(encoding="utf-8"))["rules"]["ride"]
NOTHING: dict[str, Any] = {
    "cut_fen": 1, "hours": [], "month": [], "ride": {}, "riders_max": 1, "transfer": [], "visitors": 0,
}
ROWS: list[list[int | None]] = [[None, 200, 400], [200, None, 300], [400, 300, None]]
METRO = Tariff(9, 3, 1, GRID, grid.build(grid.BOTH_WAYS, [101, 102, 103], [ROWS]), {2: 500}, {
    **NOTHING, "ride": {**RIDE, "missing_exit_fen": 250, "max_minutes": 60, "overtime_fen": 900, "same_free_fen": 50},
    "month": [0, [[0, 100], [9, 500]]], "transfer": [90, 0, 1, 0, [[2, 1, 0, 30]]], "visitors": 1,
}, {})
BUS = Tariff(9, 4, 2, GRID, grid.build(grid.ONWARD, [1, 2, 3], [ROWS]), {}, {
    **NOTHING, "ride": {**RIDE, "max_minutes": 60}}, {})
EXIT = {"event": tap.ALIGHT, "stop_in": 101, "stop_out": 103, "ride_s": 600, "card_kind": 1, "at_s": NOON_S}
ALIGHT = {**EXIT, "stop_in": 1, "stop_out": 2}
# name -> table, record, what it would have debited; None: the table cannot tell
AGAIN: dict[str, tuple[FlatFare | Tariff, dict[str, Any], int | None]] = {
    "an exit": (METRO, EXIT, 400),
    "a student's": (METRO, {**EXIT, "card_kind": 2}, 200),
    "a visitor's, who gets the kind": (METRO, {**EXIT, "card_kind": 2, "granted": granted.pack(2, True, 2)}, 200),
    "with a tier and a transfer": (METRO, {**EXIT, "granted": granted.pack(1, False, 2)}, 330),
    "with a tier that the table does not have": (METRO, {**EXIT, "granted": granted.pack(7, False, 0)}, 200),
    "with a transfer that the table does not have": (METRO, {**EXIT, "granted": granted.pack(0, False, 5)}, 400),
    "too long by this table": (METRO, {**EXIT, "ride_s": 3601}, 900),
    "too long at a station without times": (METRO, {**EXIT, "ride_s": 3601, "modes": 4}, 400),
    "where it began": (METRO, {**EXIT, "stop_out": 101, "ride_s": 60}, 50),
    "free by the mode": (METRO, {**EXIT, "modes": 16}, 0),
    "a station that is gone": (METRO, {**EXIT, "stop_out": 109}, None),
    "an entry": (METRO, {"event": tap.BOARD, "stop_in": 101}, 0),
    "an entry that paid for a missing exit": (METRO, {"event": tap.BOARD, "stop_in": 101, "owed_fen": 200}, 250),
    "the desk's": (METRO, {"event": tap.MAKE_UP, "stop_in": 101, "owed_fen": 77}, 77),
    "a flat fare at gates": (METRO, {"event": tap.SINGLE}, None),
    "alighting": (BUS, ALIGHT, 200),
    "alighting too early": (BUS, {**ALIGHT, "stop_in": 2, "stop_out": 1, "fare_case": decision.WRONG_ORDER}, 300),
    "alighting in the other direction": (BUS, {**ALIGHT, "stop_out": 3, "fare_case": decision.WRONG_ORDER}, 400),
    "alighting too late by this table": (BUS, {**ALIGHT, "ride_s": 3601}, 400),
    "told by a conductor": (BUS, {"event": tap.SINGLE, "stop_in": 1, "stop_out": 3}, 400),
    "a meter": (Tariff(9, 1, 4, METER, [800, 900, 50], {}, {**NOTHING, "riders_max": 2}, {}),
                {"event": tap.SINGLE, "list_fen": 1700, "riders": 2}, 1700),
    "a meter beyond its bounds": (Tariff(9, 1, 4, METER, [800, 900, 50], {}, NOTHING, {}),
                                  {"event": tap.SINGLE, "list_fen": 950}, None),
    "more riders than it takes": (
        Tariff(9, 1, 2, FLAT, 300, {}, NOTHING, {}), {"event": tap.SINGLE, "riders": 2}, None),
    "a plain flat fare under a tariff": (Tariff(9, 1, 2, FLAT, 300, {}, NOTHING, {}), {"event": 0}, 300),
    "a flat fare": (FlatFare(1, 1, 250, {}), {"event": 0}, 250),
    "an exit under a flat fare": (FlatFare(1, 1, 250, {}), EXIT, None),
}


@pytest.mark.parametrize("name", AGAIN)
def test_what_a_tap_would_have_debited(name: str) -> None:
    table, said, wanted = AGAIN[name]
    row: Any = {
        "event": 0, "card_kind": 1, "at_s": NOON_S, "ride_s": 0, "stop_in": 0, "stop_out": 0, "layer": 0, "riders": 0,
        "modes": 0, "granted": 0, "owed_fen": 0, "list_fen": 0, "fare_case": 0, **said,
    }
    try:
        found: int | None = replay.again_fen(table, row)
    except replay.Untold:
        found = None
    assert found == wanted


def test_a_value_is_found_by_its_line() -> None:
    text = '{"a": [1,\n {"b":\n  [true, "x,]}",\n null]}],\n "c": {}, "d":\n []}'
    for place, line in (
        ((), 1), (("a",), 1), (("a", 1), 2), (("a", 1, "b"), 3), (("a", 1, "b", 2), 4), (("c",), 5), (("d",), 6),
        (("a", 7), 1), (("a", 1, "z"), 2), (("c", "y"), 5), (("d", 0), 6), (("e",), 1),
    ):
        assert placed.line_of(text, place) == line, place
