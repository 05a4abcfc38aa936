"""Money goes onto a card once, wherever the card is pulled; and nobody is paid back for what may be on it."""

import shutil
from pathlib import Path

import pytest

from backoffice.cards.epurse import Epurse, NotThisCard, Unproven
from backoffice.cards.issue import NotForSale, issue
from backoffice.cards.line import CardGone
from backoffice.cards.load import Loader
from backoffice.store import card_money, card_states, cards
from backoffice.store.card_money import LoadRefused, LoadUnknown
from simulator.blank import blanks, chip_of
from tools.tests.card_office import FIRST, ChipLine, Office

TERMINAL = bytes.fromhex("000000000001")
LOAD_FEN = 5000


class Counter(Office):
    """An office with two cards in stock; `chips` are theirs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.chips = blanks(2, self.profile, self.transport)

    def begin(self) -> None:
        for chip in self.chips:
            assert self.make(ChipLine(chip)).result == "good"

    def copy_chips(self, other: "Counter") -> None:
        self.chips = [chip_of(chip.image.copy()) for chip in other.chips]

    def loader(self) -> Loader:
        return Loader(self.store, TERMINAL, "ann", self.clock)

    def opened(self, line: ChipLine) -> Epurse:
        card = Epurse(line, self.keys)
        card.open()
        return card

    def issue(self, line: ChipLine, load_fen: int = LOAD_FEN, **more):
        return issue(self.store, self.opened(line), self.loader(), load_fen, "ann", self.now_s, **more)

    def problems(self) -> list[str]:
        return self.look(cards.check) + self.look(card_money.check)

    def accounts(self) -> dict[str, int]:
        found: dict[str, int] = self.look(card_money.balances)
        return found


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Counter:
    counter = Counter(tmp_path_factory.mktemp("ready"))
    counter.begin()
    counter.store.close()
    return counter


def fresh(ready: Counter, folder: Path) -> Counter:
    shutil.copytree(ready.path.parent, folder)
    counter = Counter(folder)
    counter.copy_chips(ready)
    return counter


@pytest.fixture
def counter(ready: Counter, tmp_path: Path):
    counter = fresh(ready, tmp_path / "counter")
    yield counter
    counter.store.close()


def test_a_first_load_is_on_the_card_and_in_the_books(counter: Counter):
    line = ChipLine(counter.chips[0])
    done = counter.issue(line)
    assert done.loaded and done.loaded.tac and done.loaded.balance_fen == LOAD_FEN
    image = counter.chips[0].card.image
    assert (image.balance_fen, image.online_counter) == (LOAD_FEN, 1)
    assert counter.accounts() == {
        "cash": 7000, "owed": 0, "purses": 5000, "deposits": 2000, "sales": 0, "bad_debt": 0, "old_scheme": 0,
    }  # fmt: skip
    assert counter.look(cards.by_number, FIRST)["state"] == "active" and counter.problems() == []


def test_pulled_at_every_command_the_money_is_on_it_once(ready: Counter, tmp_path: Path):
    rehearsal = fresh(ready, tmp_path / "rehearsal")
    line = ChipLine(rehearsal.chips[0])
    rehearsal.issue(line)
    rehearsal.store.close()
    assert len(line.sent) == 5
    for number in range(len(line.sent)):
        for moment in ("before", "after"):
            counter = fresh(ready, tmp_path / f"{moment}{number}")
            with pytest.raises((CardGone, LoadUnknown)):
                counter.issue(ChipLine(counter.chips[0], (number, moment)))
            assert counter.problems() == []
            done = counter.issue(ChipLine(counter.chips[0]))
            image = counter.chips[0].card.image
            assert (image.balance_fen, image.online_counter) == (LOAD_FEN, 1), (number, moment)
            assert done.loaded and done.loaded.balance_fen == LOAD_FEN
            assert counter.accounts()["cash"] == 7000 and counter.problems() == []
            counter.store.close()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_no_money_back_while_the_card_may_have_it(counter: Counter, moment: str):
    with pytest.raises(LoadUnknown):
        counter.issue(ChipLine(counter.chips[0], (4, moment)))
    with pytest.raises(LoadUnknown, match="no money back before the card proves"):
        with counter.store.transaction() as db:
            card_money.refund_load(db, 1, "ann", counter.now_s)
    with pytest.raises(LoadUnknown, match="not answered"), counter.store.transaction() as db:
        card_money.authorise(db, 1, {})
    found = counter.loader().resolve(counter.opened(ChipLine(counter.chips[0])))
    assert found == ("NOT_WRITTEN" if moment == "before" else "WRITTEN")
    if moment == "before":
        with counter.store.transaction() as db:
            assert card_money.refund_load(db, 1, "ann", counter.now_s) == LOAD_FEN
        assert counter.accounts()["cash"] == 2000 and counter.accounts()["owed"] == 0
    else:
        with pytest.raises(LoadRefused, match="WRITTEN"), counter.store.transaction() as db:
            card_money.refund_load(db, 1, "ann", counter.now_s)
    assert counter.problems() == []


class Replaying(ChipLine):
    """Somebody between: the answer to INITIALIZE FOR LOAD is one of an hour ago."""

    old: bytes

    def transceive(self, apdu):
        answer = super().transceive(apdu)
        return self.old if apdu[:4] == b"\x80\x50\x00\x02" else answer


def test_an_answer_of_before_the_load_does_not_prove_that_it_never_happened(counter: Counter):
    spy = ChipLine(counter.chips[0])
    spy.power_on()
    spy.transceive(bytes.fromhex("00A4040008A00000063201010500"))
    recorded = spy.transceive(bytes.fromhex("805000020B0100000001") + TERMINAL + b"\x10")
    with pytest.raises(LoadUnknown):
        counter.issue(ChipLine(counter.chips[0], (4, "after")))
    thief = Replaying(counter.chips[0])
    thief.old = recorded
    with pytest.raises(Unproven, match="MAC1 is wrong"):
        counter.loader().resolve(counter.opened(thief))
    assert counter.look(card_money.open_try, FIRST) is not None


def test_a_load_that_the_card_refuses_is_settled_by_its_counter(counter: Counter):
    class Refusing(ChipLine):
        def transceive(self, apdu):
            answer = super().transceive(apdu)
            return b"\x93\x02" if apdu[:2] == b"\x80\x52" else answer     # it was obeyed, and somebody says no

    with pytest.raises(Exception, match="9302"):
        counter.issue(Refusing(counter.chips[0]))
    assert counter.look(card_money.load, 1)["state"] == "WRITTEN" and counter.accounts()["purses"] == LOAD_FEN


def test_a_tac_that_is_wrong_leaves_it_to_the_counter(counter: Counter):
    class Spoilt(ChipLine):
        def transceive(self, apdu):
            answer = super().transceive(apdu)
            return bytes(4) + answer[-2:] if apdu[:2] == b"\x80\x52" else answer

    done = counter.issue(Spoilt(counter.chips[0]))
    assert done.loaded and done.loaded.tac is None
    assert counter.look(card_money.load, 1)["state"] == "WRITTEN"


def test_a_card_is_given_out_once_and_with_one_amount(counter: Counter):
    counter.issue(ChipLine(counter.chips[0]))
    with pytest.raises(NotForSale, match="with 5000 fen, not 6000"):
        counter.issue(ChipLine(counter.chips[0]), 6000)
    assert counter.issue(ChipLine(counter.chips[1]), 0).loaded is None
    with pytest.raises(NotForSale, match="without a load"):
        counter.issue(ChipLine(counter.chips[1]), 100)


def test_an_expired_card_is_not_given_out(counter: Counter):
    counter.now_s += 11 * 366 * 86400
    with pytest.raises(NotForSale, match="out of date since 20350531"):
        counter.issue(ChipLine(counter.chips[0]))
    assert counter.issue(ChipLine(counter.chips[0]), even_expired=True).loaded
    assert counter.problems() == []


def test_another_card_than_the_one_that_was_paid_for(counter: Counter):
    counter.issue(ChipLine(counter.chips[0]), 0)
    with counter.store.transaction() as db:
        load_id = card_money.order(db, "order 1", FIRST, 100, "ann", counter.now_s, "cash")
    with pytest.raises(NotThisCard, match="another card"):
        counter.loader().load(counter.opened(ChipLine(counter.chips[1])), load_id)


def test_a_purse_has_a_limit(counter: Counter):
    counter.issue(ChipLine(counter.chips[0]), 60_000)
    with counter.store.transaction() as db:
        load_id = card_money.order(db, "order 1", FIRST, 60_000, "ann", counter.now_s, "cash")
        with pytest.raises(LoadRefused, match="1 to 100000 fen"):
            card_money.order(db, "order 2", FIRST, 100_001, "ann", counter.now_s, "cash")
        with pytest.raises(LoadRefused, match="ordered already"):
            card_money.order(db, "order 1", FIRST, 50_000, "ann", counter.now_s, "cash")
    with pytest.raises(LoadRefused, match="load less"):
        counter.loader().load(counter.opened(ChipLine(counter.chips[0])), load_id)
    assert counter.chips[0].card.image.balance_fen == 60_000


def test_a_card_that_is_locked_takes_no_money_but_settles_what_is_open(counter: Counter):
    with pytest.raises(LoadUnknown):
        counter.issue(ChipLine(counter.chips[0], (4, "after")))
    with counter.store.transaction() as db:
        card_id = cards.by_number(db, FIRST)["card_id"]
        card_states.move(db, card_id, card_states.LOCKED, "lost", "ann", counter.now_s)
        load_id = card_money.order(db, "order 1", FIRST, 100, "ann", counter.now_s, "cash")
    with pytest.raises(LoadRefused, match="is locked: it takes no money"):
        counter.loader().load(counter.opened(ChipLine(counter.chips[0])), load_id)
    assert counter.look(card_money.load, 1)["state"] == "WRITTEN" and counter.problems() == []
