"""The close of a day: what clears, what waits, what a re-run proves."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from backoffice import report, setup
from backoffice.clearing import run
from backoffice.clearing.close import Closing, DayRefused, clear_day, close_day, prepare
from backoffice.keys.keyring import Keyring
from backoffice.keys.service import UNAVAILABLE, TacRequest
from backoffice.tests.forge import DAY, DAY_S, NEXT_DAY, City, Validator, tap_entry
from tunion.wire import tap

# a tap that differs in one thing -> where it ends
ENDS: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "a good tap": ({}, ("CLEARED", DAY)),
    "a card of the other city": ({"issuer": "birch"}, ("CLEARED", DAY)),
    "a student": ({"card_kind": 2, "list_fen": 200, "discount_fen": 100, "amount_fen": 100}, ("CLEARED", DAY)),
    "proved later": ({"outcome": tap.PROVED}, ("CLEARED", DAY)),
    "a wrong TAC": ({"tac": b"\x01\x02\x03\x04"}, ("SUSPECT", "TX-06")),
    "an unknown issuer": ({"issuer": "nobody"}, ("SUSPECT", "TX-05")),
    "an algorithm without a key": ({"algorithm": 1, "tac": b"\x01\x02\x03\x04"}, ("SUSPECT", "TX-07")),
    "SM4": ({"algorithm": 4}, ("CLEARED", DAY)),
    "an unregistered terminal": ({"terminal": bytes(6)}, ("SUSPECT", "TX-22")),
    "a terminal of another operator": ({"terminal": bytes.fromhex("990100000002")}, ("SUSPECT", "TX-22")),
    "MAC2 wrong, TAC right": ({"outcome": tap.DISPUTED}, ("SUSPECT", "KM-03")),
    "MAC2 and TAC wrong": ({"outcome": tap.DISPUTED, "tac": b"\x01\x02\x03\x04"}, ("SUSPECT", "TX-06")),
    "void": ({"outcome": tap.VOID}, ("VOID", "no debit")),
    "grey": ({"outcome": tap.GREY}, ("GREY", "TX-20")),
}


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from backoffice.tests import forge

    monkeypatch.setitem(forge.ISSUERS, "nobody", bytes.fromhex("09999900FFFFFFFF"))


def clear(city: City, day: str = DAY) -> Closing:
    return clear_day(city.store, city.keys, day, city.now_s)


@pytest.mark.parametrize("name", ENDS)
def test_each_tap_ends_where_its_proofs_lead(name: str, city: City, bus: Validator) -> None:
    changed, standing = ENDS[name]
    bus.send([bus.tap(1, **changed)])

    closing = clear(city)

    assert closing.problems == []
    assert city.states() == [standing]
    figures = report.summary(city.db)
    amount = changed.get("amount_fen", 200)
    money = {"CLEARED": "cleared_fen", "VOID": "void_fen"}.get(standing[0], "open_fen")
    assert {key: figures[key] for key in ("cleared_fen", "void_fen", "open_fen")} == {
        "cleared_fen": 0,
        "void_fen": 0,
        "open_fen": 0,
        money: amount,
    }


def test_each_record_keeps_the_history_of_its_states(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1)])
    clear(city)

    assert city.rows("SELECT from_state, to_state, actor FROM txn_event ORDER BY id") == [
        ("", "UNIQUE", "intake"),
        ("UNIQUE", "CHECKED", "check"),
        ("CHECKED", "VERIFIED", "verify"),
        ("VERIFIED", "CLEARED", "run"),
    ]


def test_a_late_table_releases_what_waited_for_it(city: City, bus: Validator, tmp_path: Path) -> None:
    number = "990100000009"
    bus.send([bus.tap(1, terminal=bytes.fromhex(number)), bus.tap(2, issuer="nobody")])
    clear(city)
    assert city.states() == [("SUSPECT", "TX-22"), ("SUSPECT", "TX-05")]
    late = tmp_path / "late.json"
    late.write_text(
        json.dumps(
            {
                "terminals": [{"terminal": number, "operator": "09990111", "acquirer": "09990100"}],
                "issuers": [{"issuer_id": "09999900FFFFFFFF", "org": "09990200"}],
            }
        )
    )
    with city.store.transaction() as db:
        assert setup.load(db, setup.read(late)) == 2

    clear(city)

    assert city.states() == [("CLEARED", DAY)] * 2
    assert city.rows("SELECT code FROM anomaly WHERE closed_at_s IS NULL") == []


def test_a_terminal_registered_for_another_device_of_the_operator_waits(
    city: City, bus: Validator, tmp_path: Path
) -> None:
    owner = {"operator": "09990111", "acquirer": "09990100", "device_id": 7}
    other = tmp_path / "other.json"
    other.write_text(
        json.dumps({"devices": [{"name": "bus 7", **owner}], "terminals": [{"terminal": "9" * 12, **owner}]})
    )
    with city.store.transaction() as db:
        setup.load(db, setup.read(other))
    bus.send([bus.tap(1, terminal=b"\x99" * 6)])

    clear(city)

    assert city.states() == [("SUSPECT", "TX-22")]


@pytest.mark.parametrize(("production", "standing"), [("1", ("REJECTED", "TX-14")), ("0", ("CLEARED", DAY))])
def test_a_test_card_never_clears_in_production(
    production: str, standing: tuple[str, str], city: City, bus: Validator
) -> None:
    with city.store.transaction() as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'production'", (production,))
    bus.send([bus.tap(1, card_kind=4)])

    clear(city)

    assert city.states() == [standing]
    assert [line["test"] for line in report.summary(city.db)["lines"]] == ([1] if production == "0" else [])


def test_a_ride_without_a_fee_rule_waits(folder: Path, tmp_path: Path) -> None:
    sample = json.loads((Path(setup.__file__).parent / "samples" / "two_cities.json").read_text())
    sample["fee_rules"] = [rule for rule in sample["fee_rules"] if rule["level"] == "city"]
    poor = tmp_path / "poor.json"
    poor.write_text(json.dumps(sample))
    (tmp_path / "poor").mkdir()
    city = City(tmp_path / "poor", registry=poor)
    bus = Validator(city)
    bus.send([bus.tap(1), bus.tap(2, issuer="birch")])

    clear(city)

    assert city.states() == [("CLEARED", DAY), ("SUSPECT", "CFG-01")]
    city.store.close()


def test_a_price_that_the_named_table_does_not_give_is_paid_and_flagged(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, list_fen=300, amount_fen=300), bus.tap(2, fare_version=9), bus.tap(3)])

    clear(city)

    assert city.states() == [("CLEARED", DAY)] * 3
    assert city.rows("SELECT code, ref, owner FROM anomaly") == [
        ("TX-16", "txn 1", "09990111"),
        ("TX-16", "txn 2", "09990111"),
    ]


# first tap's TAC, second tap's TAC (same card and counter) -> how both end
RIVALS = {
    "only the first is true": (True, False, [("CLEARED", DAY), ("SUSPECT", "TX-06")]),
    "only the second is true": (False, True, [("SUSPECT", "TX-06"), ("CLEARED", DAY)]),
    "both are true": (True, True, [("CLEARED", DAY), ("HELD", "KM-03")]),
    "none is true": (False, False, [("SUSPECT", "TX-06"), ("SUSPECT", "TX-06")]),
}


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("key", ["device key", "card key"])
def test_of_two_rivals_the_one_whose_tac_verifies_wins(name: str, key: str, city: City, bus: Validator) -> None:
    first_true, second_true, ends = RIVALS[name]
    wrong = {"tac": b"\x01\x02\x03\x04"}
    bus.send([bus.tap(1, **({} if first_true else wrong))])
    seq = 1 if key == "device key" else 2
    bus.send([bus.tap(seq, counter=11, at_s=city.now_s, **({} if second_true else wrong))])

    clear(city)

    assert city.states() == ends


class Away(Keyring):
    """A key service that is not there for a while."""

    def __init__(self, city: City) -> None:
        super().__init__(*city.keys.backends)

    def tac_verify_batch(self, requests: Sequence[TacRequest]) -> list[str]:
        return [UNAVAILABLE] * len(requests)


def test_a_key_service_that_is_away_makes_no_anomaly_and_no_loss(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1)])
    closing = clear_day(city.store, Away(city), DAY, city.now_s)
    assert closing.new_records == 0
    assert city.states() == [("CHECKED", "")]
    assert city.rows("SELECT * FROM anomaly") == []

    assert clear(city).new_records == 1


def test_a_day_run_again_proves_itself_and_takes_in_what_came_since(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, number=1)])
    first = clear(city)
    assert clear(city) == first._replace(new_records=0)

    bus.send([bus.tap(2, number=2)])
    second = clear(city)

    assert second.run_id != first.run_id and second.new_records == 1
    assert city.rows("SELECT status FROM clearing_run ORDER BY run_id") == [("SUPERSEDED",), ("EFFECTIVE",)]
    assert report.summary(city.db)["cleared_fen"] == 400
    assert sum(line["amount_fen"] for line in report.summary(city.db)["lines"]) == 400


def test_carries_go_from_day_to_day_and_a_closed_day_takes_no_more(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, number=1)])
    clear(city)
    city.now_s += DAY_S
    bus.send([bus.tap(2, number=2)])
    clear(city, NEXT_DAY)

    carries = city.rows("SELECT fee_fen, fee_carry_in, fee_carry_out FROM settle_line ORDER BY run_id")
    assert carries == [(1, 0, -40_000), (0, -40_000, 20_000)]  # 0.6 fen a day: 1.0 - 0.4, then 0.2 left
    assert clear(city, DAY).problems == []
    with pytest.raises(DayRefused):
        clear(city, "2025-05-31")
    with pytest.raises(DayRefused):
        clear(city, "2025-06-03")


def test_records_of_a_closed_day_that_verify_late_clear_on_the_next(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, outcome=tap.GREY), bus.tap(2, number=2)])
    clear(city)
    city.now_s += DAY_S
    clear(city, NEXT_DAY)
    bus.send([tap_entry(3, counter=12, balance_fen=4800)])

    assert clear(city, DAY).new_records == 0
    assert clear(city, NEXT_DAY).new_records == 2


def test_the_cut_off_divides_the_days(city: City, bus: Validator) -> None:
    city.now_s += 11 * 3600 - 1
    bus.send([bus.tap(1, number=1)])
    city.now_s += 1
    bus.send([bus.tap(2, number=2)])

    assert city.rows("SELECT accept_day FROM txn ORDER BY id") == [(DAY,), (NEXT_DAY,)]
    assert clear(city).new_records == 1


def test_a_rerun_that_gives_another_digest_is_an_anomaly(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1)])
    first = clear(city)

    def other(*arguments: Any) -> run.RunResult:
        return run.clear(*arguments)._replace(output_digest="0" * 64)

    closing = close_day(city.store, DAY, city.now_s, compute=other)

    assert closing.problems and "PL-02" in closing.problems[0]
    assert city.rows("SELECT code, ref FROM anomaly") == [("PL-02", f"run {first.run_id}")]


def _tampered(**changed: Any) -> Any:
    def compute(*arguments: Any) -> run.RunResult:
        result = run.clear(*arguments)
        line = result.lines[0]
        values = {name: value(line) for name, value in changed.items()}
        return result._replace(lines=(line._replace(**values), *result.lines[1:]))

    return compute


FAULTS = {
    "the amount of a line": ("invariant 5", {"amount_fen": lambda line: line.amount_fen + 1}),
    "the records of a line": ("invariant 5", {"records": lambda line: line.records + 1}),
    "a fee that the operators do not bear": ("invariant 2", {"fee_fen": lambda line: line.fee_fen + 1}),
    "an operator's fee": (
        "invariant 2",
        {"shares": lambda line: tuple(share._replace(fee_fen=share.fee_fen + 1) for share in line.shares)},
    ),
    "a carry above half a fen": ("invariant 6", {"carry_out": lambda line: run.Carry(50_001, 0, 0)}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_run_that_does_not_add_up_publishes_nothing(name: str, city: City, bus: Validator) -> None:
    expected, changed = FAULTS[name]
    bus.send([bus.tap(1, number=1), bus.tap(2, number=2)])
    prepare(city.store, city.keys, city.now_s)

    closing = close_day(city.store, DAY, city.now_s, compute=_tampered(**changed))

    assert any(expected in problem for problem in closing.problems)
    assert city.rows("SELECT status FROM clearing_run") == [("FAILED",)]
    assert city.rows("SELECT * FROM settle_line") == []
    assert city.states() == [("VERIFIED", "")] * 2
    assert close_day(city.store, DAY, city.now_s).problems == []


def test_money_that_arrived_and_is_not_in_the_records_stops_the_close(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1)])
    with city.store.transaction() as db:
        db.execute("UPDATE intake_total SET taps_fen = taps_fen + 1")

    closing = clear(city)

    assert any("invariant 4" in problem for problem in closing.problems)


def test_a_record_in_two_effective_days_stops_the_close(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1)])
    clear(city)
    with city.store.transaction() as db:
        db.execute("UPDATE txn SET state = 'VERIFIED'")
    city.now_s += DAY_S

    closing = clear(city, NEXT_DAY)

    assert any("invariant 7" in problem for problem in closing.problems)


def test_an_empty_day_closes(city: City) -> None:
    assert clear(city).problems == []
    assert clear(city).new_records == 0
