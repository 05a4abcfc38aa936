"""What a card that does not answer is worth: after its last proved ride, and what was loaded later."""

import pytest

from backoffice.cards import rules
from backoffice.cards.load import Loader
from backoffice.cards.service import Desk, NotYet
from backoffice.clearing.close import clear_day, prepare
from backoffice.store import card_money, cards
from backoffice.tests.forge import DAY, NOON_S, City, Validator
from tunion import bcd
from tunion.wire import tap

NUMBER = "3100000000000000001"  # card 1 of the forge
DAY_S = 86400
IDENTITY = cards.Identity("09990100FFFFFFFF", "9901", 1, "02", 1, "20200101", "20351231")


@pytest.fixture
def bus(city: City) -> Validator:
    with city.store.transaction() as db:
        cards.take_in(db, "00000000000000A1", NUMBER, IDENTITY, "ann", NOON_S)
    return Validator(city)


def loaded(city: City, counter: int, amount_fen: int, at_s: int) -> None:
    with city.store.transaction() as db:
        load_id = card_money.order(db, f"order {counter}", NUMBER, amount_fen, "ann", at_s, card_money.CASH)
        try_id = card_money.authorise(db, load_id, {
            "counter": counter, "balance_fen": 0, "terminal": "000000000001", "at": bcd.to_digits(bcd.stamp(at_s)),
            "key_version": 1, "algorithm": 0,
        })  # fmt: skip
        card_money.written(db, try_id, bytes(4), "ann", at_s)


def shadow(city: City) -> int:
    with city.store.reading() as db:
        return card_money.shadow_fen(db, NUMBER)


def desk(city: City) -> Desk:
    loader = Loader(city.store, bytes(6), "ann", lambda: city.now_s)
    return Desk(city.store, city.keys, rules.read(), loader, "ann", clock=lambda: city.now_s)


def close_next(city: City, days: int) -> None:
    for day in range(1, days + 1):
        clear_day(city.store, city.keys, f"2025-06-{day:02d}", city.now_s)


def test_without_rides_it_is_what_was_loaded(city: City, bus: Validator) -> None:
    assert shadow(city) == 0
    loaded(city, 0, 5000, NOON_S)
    loaded(city, 1, 1000, NOON_S + 60)
    assert shadow(city) == 6000


def test_the_last_proved_ride_and_later_loads_count(city: City, bus: Validator) -> None:
    loaded(city, 0, 5000, NOON_S - 2 * DAY_S)
    bus.send([bus.tap(1, balance_fen=5000), bus.tap(2, balance_fen=4800)])
    prepare(city.store, city.keys, city.now_s)
    assert shadow(city) == 4600
    loaded(city, 1, 1000, NOON_S)
    assert shadow(city) == 5600


def test_a_forged_ride_takes_nothing_away(city: City, bus: Validator) -> None:
    loaded(city, 0, 5000, NOON_S - 2 * DAY_S)
    bus.send([bus.tap(1, balance_fen=5000, tac=b"fake")])
    prepare(city.store, city.keys, city.now_s)
    assert shadow(city) == 5000


def test_nothing_is_paid_while_a_record_is_open_and_stragglers_are_the_issuers(city: City, bus: Validator) -> None:
    loaded(city, 0, 5000, NOON_S - 2 * DAY_S)
    bus.send([bus.tap(1, balance_fen=5000), bus.tap(2, outcome=tap.GREY, balance_fen=4800)])
    case_id = desk(city).open_bad(NUMBER)
    city.now_s += 12 * DAY_S
    close_next(city, 8)
    with pytest.raises(NotYet, match="1 records of this card are not settled"):
        desk(city).pay_bad(case_id, None)
    bus.send([bus.tap(3, balance_fen=4600, counter=13, at_s=NOON_S)])
    prepare(city.store, city.keys, city.now_s)
    desk(city).pay_bad(case_id, None)
    with city.store.reading() as db:
        assert card_money.planned_fen(db, case_id) == 4400
        assert card_money.balances(db)["bad_debt"] == 0
    city.now_s += DAY_S
    bus.send([bus.tap(4, balance_fen=4400, counter=14, at_s=NOON_S + 60)])
    prepare(city.store, city.keys, city.now_s)
    assert desk(city).bear_stragglers() == 1 and desk(city).bear_stragglers() == 0
    with city.store.reading() as db:
        accounts = card_money.balances(db)
        assert (accounts["bad_debt"], accounts["purses"], accounts["owed"]) == (200, 800, 0)
        assert card_money.check(db) == []
    assert DAY == "2025-06-01"
