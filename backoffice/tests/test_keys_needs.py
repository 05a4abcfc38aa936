"""Who needs a version, out of the tables that SAMs and cards are kept in."""

import pytest

from backoffice.keys import needs
from backoffice.keys.roll import Needs
from backoffice.store import card_states
from backoffice.tests.forge import City
from backoffice.tests.test_sams_life import installed, received
from backoffice.tests.test_sams_make import Depot


@pytest.fixture
def depot(city: City) -> Depot:
    return Depot(city.store)


def needed(depot: Depot, purpose: str, version: int) -> Needs:
    with depot.store.reading() as db:
        return needs.of_registry(db)(purpose, "3DES", version)


def test_nobody_needs_anything_at_first(depot: Depot) -> None:
    assert needed(depot, "purchase", 1) == Needs(0, 0)
    assert needed(depot, "maintenance", 1) == Needs(0, 0)


def test_sams_at_work_need_a_version_they_lack(depot: Depot) -> None:
    installed(depot, 2)
    received(depot, 1)
    assert needed(depot, "purchase", 1) == Needs(0, 0)
    assert needed(depot, "purchase", 9) == Needs(0, 2)


def test_cards_that_may_pay_need_the_version_they_were_made_with(depot: Depot) -> None:
    states = set(card_states.MOVES) - {""}
    query = "INSERT INTO card (chip_serial, medium, state, bin, number, key_version) VALUES (?, 'legacy', ?, '', ?, 3)"
    with depot.store.transaction() as db:
        for number, state in enumerate(sorted(states)):
            db.execute(query, (f"{number:016X}", state, f"{number:019d}"))
    for purpose in ("purchase", "tac", "load", "maintenance"):
        assert needed(depot, purpose, 3).cards == 5 == len(needs.IN_USE)
        assert needed(depot, purpose, 4).cards == 0
    assert states - set(needs.IN_USE) == {
        card_states.MANUFACTURED, card_states.INITIALISED, card_states.DAMAGED, card_states.REPLACED,
        card_states.RETURNED, card_states.DESTROYED,
    }  # fmt: skip
