"""Grey records: what the validator learnt later and what the card's next purchase tells."""

from typing import Any

import pytest

from backoffice import report
from backoffice.clearing import grey
from backoffice.clearing.close import clear_day
from backoffice.tests.forge import DAY, DAY_S, City, Validator, amend_entry, tap_entry, true_tac
from tunion.wire import tap

OTHER_TERMINAL: dict[str, Any] = {"terminal": bytes.fromhex("990100000002")}

# The torn tap: seq 1, counter 11, balance 5000, amount 200. Then what the card did next -> the grey record's end.
WITNESSES: dict[str, tuple[dict[str, Any] | None, str]] = {
    "never seen again": (None, "GREY"),
    "the counter is spent by another purchase": ({"counter": 11, "balance_fen": 5000}, "VOID"),
    "next counter, balance less the fare": ({"counter": 12, "balance_fen": 4800}, "CLEARED"),
    "next counter, balance untouched": ({"counter": 12, "balance_fen": 5000}, "VOID"),
    "next counter, a load came between": ({"counter": 12, "balance_fen": 9800}, "GREY"),
    "a later counter, what came between is unknown": ({"counter": 13, "balance_fen": 4600}, "GREY"),
    "an earlier counter": ({"counter": 10, "balance_fen": 5200}, "GREY"),
    "another card": ({"counter": 12, "balance_fen": 4800, "number": 2}, "GREY"),
    "a purchase that is not proven": ({"counter": 12, "balance_fen": 4800, "tac": b"\x01\x02\x03\x04"}, "GREY"),
    "a tap that was void": ({"counter": 12, "balance_fen": 4800, "outcome": tap.VOID}, "GREY"),
    "a purchase without a key to prove it": (
        {"counter": 12, "balance_fen": 4800, "algorithm": 1, "tac": b"abcd"},
        "GREY",
    ),
}


@pytest.mark.parametrize("name", WITNESSES)
@pytest.mark.parametrize("order", ["grey first", "witness first"])
def test_the_cards_next_purchase_tells_whether_the_debit_happened(
    name: str, order: str, city: City, bus: Validator
) -> None:
    changed, end = WITNESSES[name]
    torn = [bus.tap(1, outcome=tap.GREY)]
    seen = [Validator(city, 2).tap(2, **changed)] if changed else []
    other = Validator(city, 2)
    for sender, entries in ((bus, torn), (other, seen)) if order == "grey first" else ((other, seen), (bus, torn)):
        if entries:
            sender.send(entries)

    clear_day(city.store, city.keys, DAY, city.now_s)

    assert city.rows("SELECT state FROM txn WHERE device_id = 1") == [(end,)]


AMENDS: dict[str, tuple[int, bool, tuple[str, str]]] = {
    "proved": (tap.PROVED, True, ("CLEARED", DAY)),
    "settled": (tap.SETTLED, True, ("CLEARED", DAY)),
    "proved, with a wrong TAC": (tap.PROVED, False, ("SUSPECT", "TX-06")),
    "void": (tap.VOID, False, ("VOID", grey.AMENDED_VOID)),
    "disputed": (tap.DISPUTED, True, ("SUSPECT", "KM-03")),
    "still grey": (tap.GREY, False, ("GREY", "TX-20")),
}


def _tac_of(entry: bytes) -> bytes:
    """What the card would prove of a grey tap."""
    body, _ = tap.from_wire(entry)
    return true_tac(body._asdict())


@pytest.mark.parametrize("name", AMENDS)
def test_an_amend_says_what_became_of_a_grey_tap(name: str, city: City, bus: Validator) -> None:
    outcome, true, standing = AMENDS[name]
    torn = bus.tap(1, outcome=tap.GREY)
    tac = bytes(4) if outcome in (tap.VOID, tap.GREY) else _tac_of(torn) if true else b"\x01\x02\x03\x04"
    bus.send([torn])
    bus.send([amend_entry(2, 1, outcome, tac)])

    clear_day(city.store, city.keys, DAY, city.now_s)

    assert city.states() == [standing]


def test_an_amend_may_arrive_long_after_its_tap_was_asked_about(city: City, bus: Validator) -> None:
    torn = bus.tap(1, outcome=tap.GREY)
    bus.send([torn])
    clear_day(city.store, city.keys, DAY, city.now_s)
    assert city.states() == [("GREY", "TX-20")]

    city.now_s += DAY_S
    bus.send([amend_entry(2, 1, tap.PROVED, _tac_of(torn))])
    closing = clear_day(city.store, city.keys, "2025-06-02", city.now_s)

    assert closing.new_records == 1
    assert city.states() == [("CLEARED", "2025-06-02")]
    assert report.summary(city.db)["grey"] == {"opened": 1, "resolved": 1, "open": 0, "how": {"amended_paid": 1}}


def test_an_amend_that_contradicts_what_the_card_told_changes_nothing_and_is_flagged(
    city: City, bus: Validator
) -> None:
    torn = bus.tap(1, outcome=tap.GREY)
    bus.send([torn])
    Validator(city, 2).send([tap_entry(2, counter=12, balance_fen=5000, **OTHER_TERMINAL)])
    clear_day(city.store, city.keys, DAY, city.now_s)
    bus.send([amend_entry(3, 1, tap.PROVED, _tac_of(torn))])

    clear_day(city.store, city.keys, DAY, city.now_s)

    assert city.states()[0] == ("VOID", grey.CHAIN_VOID)
    assert city.rows("SELECT code FROM anomaly WHERE closed_at_s IS NULL") == [("TX-03",)]


def test_an_amended_tap_whose_counter_is_spent_waits(city: City, bus: Validator) -> None:
    torn = bus.tap(1, outcome=tap.GREY)
    bus.send([torn])
    Validator(city, 2).send([tap_entry(2, counter=11, **OTHER_TERMINAL)])
    bus.send([amend_entry(3, 1, tap.PROVED, _tac_of(torn))])

    clear_day(city.store, city.keys, DAY, city.now_s)

    assert city.states() == [("HELD", "KM-03"), ("CLEARED", DAY)]


def test_a_counter_that_an_unproven_purchase_claims_is_not_given_to_a_grey_tap(city: City, bus: Validator) -> None:
    bus.send(
        [
            bus.tap(1, outcome=tap.GREY, counter=11),
            bus.tap(2, counter=11, tac=b"\x01\x02\x03\x04"),
            bus.tap(3, counter=12, balance_fen=4800),
        ]
    )

    clear_day(city.store, city.keys, DAY, city.now_s)

    assert city.states() == [("GREY", "TX-20"), ("SUSPECT", "TX-06"), ("CLEARED", DAY)]


def test_a_chain_of_torn_taps_resolves_from_its_end(city: City, bus: Validator) -> None:
    bus.send(
        [
            bus.tap(1, outcome=tap.GREY, counter=11, balance_fen=5000),
            bus.tap(2, outcome=tap.GREY, counter=12, balance_fen=4800),
            bus.tap(3, outcome=tap.GREY, counter=13, balance_fen=4600),
            bus.tap(4, counter=14, balance_fen=4400),
        ]
    )

    clear_day(city.store, city.keys, DAY, city.now_s)

    assert city.states() == [("CLEARED", DAY)] * 4
    figures = report.summary(city.db)
    assert figures["cleared_fen"] == 800 and figures["open_fen"] == 0
    assert figures["grey"]["how"] == {"chain_paid": 3}


def test_of_taps_torn_at_one_counter_only_the_last_can_have_happened(city: City, bus: Validator) -> None:
    other = Validator(city, 2)
    bus.send([bus.tap(1, outcome=tap.GREY, counter=11, at_s=city.now_s - 90)])
    other.send([other.tap(1, outcome=tap.GREY, counter=11, at_s=city.now_s - 60)])
    bus.send([bus.tap(2, counter=12, balance_fen=4800, at_s=city.now_s - 30)])

    clear_day(city.store, city.keys, DAY, city.now_s)

    assert city.states() == [("VOID", grey.CHAIN_VOID), ("CLEARED", DAY), ("CLEARED", DAY)]
    assert report.summary(city.db)["cleared_fen"] == 400


def test_a_grey_tap_of_an_unregistered_terminal_waits_like_any_other(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, outcome=tap.GREY, terminal=bytes(6)), bus.tap(2, counter=12, balance_fen=4800)])

    clear_day(city.store, city.keys, DAY, city.now_s)

    assert city.states() == [("SUSPECT", "TX-22"), ("CLEARED", DAY)]


def test_after_thirty_days_a_grey_tap_is_void_for_the_passenger(city: City, bus: Validator) -> None:
    bus.send([bus.tap(1, outcome=tap.GREY)])
    with city.store.transaction() as db:
        assert grey.expire(db, city.now_s + 30 * DAY_S - 1) == 0
        assert grey.expire(db, city.now_s + 30 * DAY_S) == 1

    assert city.states() == [("VOID", grey.EXPIRED)]
    assert report.summary(city.db)["open_fen"] == 0
