"""Holders' money moves once, wherever a card is pulled: replacement, refund, bad cards, extension, stock cards."""

import shutil
from pathlib import Path

import pytest

from backoffice.cards import legacy, rules, service
from backoffice.cards.epurse import BlockedCard, NotThisCard, OpenTrip, Unproven
from backoffice.cards.line import CardGone
from backoffice.cards.service import EXCHANGE, REFUND, REPLACE, Desk, NotYet
from backoffice.keys.backend import KeyInfo, KeyPath
from backoffice.keys.service import NoKey
from backoffice.store import card_money, card_states, cards
from backoffice.store.card_money import CaseRefused, LoadUnknown, NeedsSecond
from simulator.card import SimCard
from simulator.image import COMPOUND
from simulator.personalise import LEGACY_MASTERS, example_legacy
from tools.tests.card_office import FIRST, ChipLine
from tools.tests.test_cards_load import Counter, fresh
from tools.tests.test_cards_load import ready as ready  # noqa: F401, PLC0414  (a fixture)

SECOND = str(int(FIRST) + 1)
LOAD_FEN, OLD_FEN = 5000, 3000
DAY_S = 86400


class WithLegacy:
    """The office's keys, and those of the stock cards beside: product 1."""

    def __init__(self, keys, load_key: bool = True) -> None:
        self._keys = keys
        self._load_key = load_key

    def __getattr__(self, name):
        return getattr(self._keys, name)

    def path(self, purpose, algorithm, version, issuer=b"", *below, product=0):
        if not product:
            return self._keys.path(purpose, algorithm, version, issuer, *below)
        if purpose == "load" and not self._load_key:
            raise NoKey("no key of the scheme before")
        return KeyPath(f"old {purpose}", below)


class Service(Counter):
    """Card 1 is out with 50 yuan, card 2 in stock, and a stock card with 30 yuan."""

    def desk(self, actor: str = "ann") -> Desk:
        return Desk(self.store, self.keys, rules.read(), self.loader(), actor, legacy.SAMPLE, self.clock)

    def with_legacy(self, load_key: bool = True) -> None:
        true_value, true_info = self.keys.value, self.keys._info

        def value(path):
            if not path.key_id.startswith("old "):
                return true_value(path)
            from tunion.crypto.keys import suite

            return suite(0).diversify(getattr(LEGACY_MASTERS, path.key_id[4:]), path.factors[0])

        def info(key_id):
            if key_id.startswith("old "):
                return KeyInfo(key_id, key_id[4:], "3DES", "issuer", "1:", "000000", 1)
            return true_info(key_id)

        self.keys.value, self.keys._info = value, info
        self.keys = WithLegacy(self.keys, load_key)
        self.old = SimCard(example_legacy(OLD_FEN))

    def money_on(self, *chips) -> int:
        return sum(chip.card.image.balance_fen for chip in chips)


@pytest.fixture(scope="module")
def out(ready, tmp_path_factory) -> Service:    # noqa: F811
    folder = tmp_path_factory.mktemp("out") / "counter"
    counter = fresh(ready, folder)
    counter.issue(ChipLine(counter.chips[0]), LOAD_FEN)
    counter.store.close()
    return counter


def again(out: Service, folder: Path, **more) -> Service:
    shutil.copytree(out.path.parent, folder)
    desk = Service(folder)
    desk.copy_chips(out)
    desk.with_legacy(**more)
    return desk


@pytest.fixture
def place(out: Service, tmp_path: Path):
    place = again(out, tmp_path / "place")
    yield place
    place.store.close()


# --- replacement


def test_a_card_is_replaced_and_its_money_moves_once(place: Service):
    old, new = place.chips
    case_id = place.desk().retire(REPLACE, ChipLine(old))
    assert old.card.image.blocked == "permanent"
    loaded = place.desk().complete(case_id, ChipLine(new))
    assert loaded and loaded.amount_fen == LOAD_FEN and new.card.image.balance_fen == LOAD_FEN
    assert place.desk().complete(case_id, ChipLine(new)) is None
    first, second = (place.look(cards.by_number, number) for number in (FIRST, SECOND))
    assert (first["state"], second["state"]) == ("replaced", "active")
    assert (first["deposit_fen"], second["deposit_fen"]) == (0, 2000)
    assert place.accounts()["purses"] == LOAD_FEN and place.problems() == []
    linked = place.look(card_money.linked, second["card_id"])
    assert [one["old_card"] for one in linked] == [first["card_id"]]
    with pytest.raises(BlockedCard, match="for good"):
        place.desk().retire(REPLACE, ChipLine(old))


def sweep(out: Service, tmp_path: Path, kind: str, old_of, end) -> int:
    """Cut each command on either card, then do it again: what is on the new card, and in the books, is right."""
    rehearsal = again(out, tmp_path / "rehearsal")
    first, second = ChipLine(old_of(rehearsal)), ChipLine(rehearsal.chips[1])
    case_id = rehearsal.desk().retire(kind, first)
    rehearsal.desk().complete(case_id, second if end else None)
    rehearsal.store.close()
    counts = (len(first.sent), len(second.sent) if end else 0)
    assert counts[0] > 6
    for which in (0, 1):
        for number in range(counts[which]):
            for moment in ("before", "after"):
                place = again(out, tmp_path / f"{kind}{which}{moment}{number}")
                cuts = [(number, moment) if which == at else None for at in (0, 1)]
                done = tries = 0
                while not done:
                    tries += 1
                    assert tries < 4, (which, number, moment)
                    try:
                        row = place.look(lambda db: card_money.cases(db))
                        case_id = place.desk().retire(
                            kind, ChipLine(old_of(place), cuts[0]), row[-1]["case_id"] if row else None
                        )
                        place.desk().complete(case_id, ChipLine(place.chips[1], cuts[1]) if end else None)
                        done = 1
                    except (CardGone, LoadUnknown):
                        cuts = [None, None]
                    assert place.problems() == [], (which, number, moment)
                check_moved(place, kind, old_of(place), end, (which, number, moment))
                place.store.close()
    return sum(counts)


def check_moved(place: Service, kind: str, old, end: bool, at) -> None:
    new = place.chips[1].card.image
    image = old.image if kind == EXCHANGE else old.card.image
    assert image.blocked in ("permanent", "application"), at
    accounts = place.accounts()
    if kind == EXCHANGE:
        assert (new.balance_fen, accounts["old_scheme"], accounts["purses"]) == (OLD_FEN, OLD_FEN, 8000), at
    elif end:
        assert (new.balance_fen, accounts["purses"]) == (LOAD_FEN, LOAD_FEN), at
    else:
        assert (accounts["cash"], accounts["purses"], accounts["deposits"]) == (0, 0, 0), at
    assert accounts["owed"] == 0, at
    cases = place.look(card_money.cases)
    assert [case["state"] for case in cases if case["state"] != "CLOSED"] == ["DONE"], at


def test_a_replacement_pulled_anywhere_moves_the_money_once(out: Service, tmp_path: Path):
    assert sweep(out, tmp_path, REPLACE, lambda place: place.chips[0], True) > 15


def test_an_exchange_pulled_anywhere_moves_the_money_once(out: Service, tmp_path: Path):
    assert sweep(out, tmp_path, EXCHANGE, lambda place: place.old, True) > 12


def test_a_refund_pulled_anywhere_pays_once(out: Service, tmp_path: Path):
    assert sweep(out, tmp_path, REFUND, lambda place: place.chips[0], False) > 10


def test_a_card_that_rode_between_two_tries_is_read_anew(out: Service, tmp_path: Path):
    """Pulled before it was blocked, it went for a ride: the case with the old balance is closed."""
    place = again(out, tmp_path / "ridden")
    old, new = place.chips
    line = ChipLine(old)
    with pytest.raises(CardGone):
        place.desk().retire(REPLACE, ChipLine(old, (8, "before")))
    (case,) = place.look(card_money.cases)
    assert (case["state"], case["amount_fen"]) == ("OPEN", LOAD_FEN)
    image = old.card.image.copy()
    image.balance_fen -= 200
    old._stored_by_card(image)
    old.card.image = image
    case_id = place.desk().retire(REPLACE, line, case["case_id"])
    assert [one["state"] for one in place.look(card_money.cases)] == ["CLOSED", "RETIRED"]
    assert place.desk().complete(case_id, ChipLine(new)).amount_fen == LOAD_FEN - 200
    assert place.problems() == []
    place.store.close()


def test_a_trip_that_has_not_ended_is_settled_first(place: Service):
    image = place.chips[0].card.image
    image.records[COMPOUND][0] = bytes.fromhex("27017D0101000000000000000001").ljust(14, b"\0") + b"\x01" + bytes(113)
    with pytest.raises(OpenTrip, match="service desk"):
        place.desk().retire(REFUND, ChipLine(place.chips[0]))
    assert place.look(card_money.cases) == []


def test_much_money_wants_two_people(place: Service):
    with place.store.transaction() as db:
        load_id = card_money.order(db, "order 1", FIRST, 40_000, "ann", place.now_s, "cash")
    place.loader().load(place.opened(ChipLine(place.chips[0])), load_id)
    with pytest.raises(NeedsSecond, match="ykt cards approve --case 1"):
        place.desk().retire(REFUND, ChipLine(place.chips[0]))
    assert place.chips[0].card.image.blocked == "no"
    with pytest.raises(NeedsSecond, match="another person"), place.store.transaction() as db:
        card_money.approve(db, 1, "ann", place.now_s)
    with place.store.transaction() as db:
        card_money.approve(db, 1, "bob", place.now_s)
    case_id = place.desk().retire(REFUND, ChipLine(place.chips[0]))
    place.desk().complete(case_id, None)
    assert place.accounts() == dict.fromkeys(card_money.ACCOUNTS, 0) and place.problems() == []


def test_a_refund_gives_the_deposit_back(place: Service):
    case_id = place.desk().retire(REFUND, ChipLine(place.chips[0]))
    place.desk().complete(case_id, None)
    assert place.look(cards.by_number, FIRST)["state"] == "returned"
    assert place.accounts() == dict.fromkeys(card_money.ACCOUNTS, 0) and place.problems() == []
    with place.store.transaction() as db:
        service.destroy(db, FIRST, "ann", place.now_s)


def test_the_wrong_cards_at_the_counter(place: Service):
    old, new = place.chips
    case_id = place.desk().retire(REPLACE, ChipLine(old))
    with pytest.raises(BlockedCard):
        place.desk().complete(case_id, ChipLine(old))
    with pytest.raises(CaseRefused, match="goes onto a new card"):
        place.desk().complete(case_id, None)
    with pytest.raises(CaseRefused, match="is a replace"):
        place.desk().retire(REFUND, ChipLine(old), case_id)
    place.desk().complete(case_id, ChipLine(new))
    assert new.card.image.balance_fen == LOAD_FEN


def test_another_blocked_card_does_not_stand_for_the_one_of_the_case(place: Service):
    old, new = place.chips
    with pytest.raises(CardGone):
        place.desk().retire(REPLACE, ChipLine(old, (8, "before")))
    place.opened(ChipLine(new)).block(2)
    with pytest.raises(NotThisCard, match="another card"):
        place.desk().retire(REPLACE, ChipLine(new), 1)
    assert place.look(card_money.case, 1)["state"] == "OPEN" and place.accounts()["owed"] == 0


# --- stock cards


def test_a_stock_card_is_exchanged_and_its_history_linked(place: Service):
    case_id = place.desk().retire(EXCHANGE, ChipLine(place.old))
    loaded = place.desk().complete(case_id, ChipLine(place.chips[1]))
    assert loaded and loaded.balance_fen == OLD_FEN == place.chips[1].card.image.balance_fen
    assert place.old.image.blocked == "permanent"
    row = place.look(cards.by_number, "0005800010000000017")
    assert (row["state"], row["medium"]) == ("replaced", "legacy")
    assert place.look(card_money.case_of, row["card_id"])["new_card"] == place.look(cards.by_number, SECOND)["card_id"]
    assert place.problems() == []


def test_a_stock_card_whose_balance_nobody_can_prove_wants_two_people(out: Service, tmp_path: Path):
    place = again(out, tmp_path / "unproved", load_key=False)
    with pytest.raises(NeedsSecond):
        place.desk().retire(EXCHANGE, ChipLine(place.old))
    with place.store.transaction() as db:
        card_money.approve(db, 1, "bob", place.now_s)
    case_id = place.desk().retire(EXCHANGE, ChipLine(place.old))
    assert place.desk().complete(case_id, ChipLine(place.chips[1])).balance_fen == OLD_FEN
    place.store.close()


# --- a card that does not answer


def close_days_until(place: Service, day: str) -> None:
    with place.store.transaction() as db:
        db.execute(
            "INSERT INTO clearing_run (day, at_s, status, code_version, rules_version, rules, input_digest, "
            "output_digest, output) VALUES (?, 0, 'EFFECTIVE', '', '', x'', '', '', x'')", (day,)
        )  # fmt: skip


def test_a_bad_card_is_paid_after_the_waiting_time_and_the_last_straggler(place: Service):
    case_id = place.desk().open_bad(FIRST)
    case = place.look(card_money.case, case_id)
    assert (case["amount_fen"], case["due_s"]) == (LOAD_FEN, place.now_s - 12 * 3600 + 10 * DAY_S)     # a weekend in it
    assert place.desk().open_bad(FIRST) == case_id
    with pytest.raises(NotYet, match="2025-06-11 00:00:00"):
        place.desk().pay_bad(case_id, None)
    place.now_s += 12 * DAY_S
    with pytest.raises(NotYet, match="the day after 2025-06-06 must be cleared"):
        place.desk().pay_bad(case_id, None)
    close_days_until(place, "2025-06-06")
    with pytest.raises(NotYet, match="the day after 2025-06-06"):
        place.desk().pay_bad(case_id, None)
    close_days_until(place, "2025-06-07")
    loaded = place.desk().pay_bad(case_id, ChipLine(place.chips[1]))
    assert loaded and loaded.balance_fen == LOAD_FEN
    assert place.look(cards.by_number, FIRST)["state"] == "replaced" and place.problems() == []
    assert place.desk().pay_bad(case_id, ChipLine(place.chips[1])) is None


def test_a_bad_card_over_the_counter_keeps_the_deposit(place: Service):
    case_id = place.desk().open_bad(FIRST)
    place.now_s += 12 * DAY_S
    close_days_until(place, "2025-06-30")
    place.desk().pay_bad(case_id, None)
    assert place.accounts() == dict.fromkeys(card_money.ACCOUNTS, 0) | {"cash": 2000, "sales": 2000}
    assert place.problems() == [] and place.desk().bear_stragglers() == 0


# --- a card out of date


def test_a_card_is_extended_and_reads_back(place: Service):
    place.now_s += 10 * 366 * DAY_S
    with pytest.raises(CaseRefused, match="must be from today"):
        place.desk().extend(ChipLine(place.chips[0]), "20350101")
    with pytest.raises(CaseRefused, match="must be from today"):
        place.desk().extend(ChipLine(place.chips[0]), "20990101")
    assert place.desk().extend(ChipLine(place.chips[0]), "20400531") == FIRST
    assert place.chips[0].card.image.files[0x15][24:28].hex() == "20400531"
    row = place.look(cards.by_number, FIRST)
    assert (row["state"], row["expiry"]) == ("active", "20400531")
    states = [one["to_state"] for one in place.look(cards.events, row["card_id"])]
    assert states[-2:] == ["expired", "active"]


def test_an_extension_pulled_anywhere_is_there_once(out: Service, tmp_path: Path):
    rehearsal = again(out, tmp_path / "rehearsal")
    line = ChipLine(rehearsal.chips[0])
    rehearsal.desk().extend(line, "20350601")
    rehearsal.store.close()
    for number in range(len(line.sent)):
        for moment in ("before", "after"):
            place = again(out, tmp_path / f"{moment}{number}")
            with pytest.raises(CardGone):
                place.desk().extend(ChipLine(place.chips[0], (number, moment)), "20350601")
            place.desk().extend(ChipLine(place.chips[0]), "20350601")
            assert place.chips[0].card.image.files[0x15][24:28].hex() == "20350601"
            assert len(place.look(card_money.cases)) == 1 and place.problems() == []
            place.store.close()


def test_states_of_the_table_only(place: Service):
    with pytest.raises(card_states.WrongMove), place.store.transaction() as db:
        service.destroy(db, FIRST, "ann", place.now_s)


class Unblocking(ChipLine):
    """A card, or somebody between, that says yes to APPLICATION BLOCK and does nothing."""

    def transceive(self, apdu):
        return b"\x90\x00" if apdu[:2] == b"\x84\x1e" else super().transceive(apdu)


def test_nothing_is_owed_for_a_card_that_only_says_it_is_blocked(place: Service):
    with pytest.raises(NotThisCard, match="is not blocked"):
        place.desk().retire(REPLACE, Unblocking(place.chips[0]))
    assert place.look(card_money.case, 1)["state"] == "OPEN" and place.accounts()["owed"] == 0
    assert place.look(cards.by_number, FIRST)["state"] == "active" and place.problems() == []


def test_a_balance_that_is_made_up_is_not_believed(place: Service):
    class Rich(ChipLine):
        def transceive(self, apdu):
            answer = super().transceive(apdu)
            return b"\x00\x01\x00\x00" + answer[4:] if apdu[:4] == b"\x80\x50\x00\x02" else answer

    with pytest.raises(Unproven, match="MAC1 is wrong"):
        place.desk().retire(REFUND, Rich(place.chips[0]))
    assert place.look(card_money.cases) == []


# --- somebody who wants more than is theirs


@pytest.mark.parametrize("name", ["Ann", " ann ", "ANN", "ａｎｎ", "a nn", "ann\u3000", ""])
def test_a_second_person_is_not_the_first_in_another_spelling(place: Service, name: str):
    with place.store.transaction() as db:
        row = cards.by_number(db, FIRST)
        case_id = card_money.open_case(db, REFUND, row["card_id"], 40_000, 0, 0, "ann", place.now_s, "{}")
    with pytest.raises(CaseRefused), place.store.transaction() as db:
        card_money.approve(db, case_id, name, place.now_s)
    with place.store.transaction() as db:
        card_money.approve(db, case_id, "Bob", place.now_s)


def test_a_card_that_was_never_sold_is_no_bad_card_of_a_holder(place: Service):
    """Else a new card is had for nothing, and stock counts a card that is damaged."""
    with pytest.raises(CaseRefused, match="is stocked: no holder has it"):
        place.desk().open_bad(SECOND)
    assert place.look(card_money.cases) == [] and place.look(cards.by_number, SECOND)["state"] == "stocked"


def test_a_bad_card_is_not_cut_up_before_it_is_paid(place: Service):
    case_id = place.desk().open_bad(FIRST)
    with pytest.raises(CaseRefused, match=f"case {case_id} .* is OPEN"), place.store.transaction() as db:
        service.destroy(db, FIRST, "ann", place.now_s)
    place.now_s += 12 * DAY_S
    close_days_until(place, "2025-06-30")
    place.desk().pay_bad(case_id, None)
    with place.store.transaction() as db:
        service.destroy(db, FIRST, "ann", place.now_s)


def test_a_card_that_dies_while_it_is_replaced_is_a_bad_card(place: Service):
    with pytest.raises(CardGone):
        place.desk().retire(REPLACE, ChipLine(place.chips[0], (8, "before")))
    case_id = place.desk().open_bad(FIRST)
    assert [one["state"] for one in place.look(card_money.cases)] == ["CLOSED", "OPEN"]
    place.now_s += 12 * DAY_S
    close_days_until(place, "2025-06-30")
    assert place.desk().pay_bad(case_id, ChipLine(place.chips[1])).balance_fen == LOAD_FEN
    assert place.problems() == []


def test_a_case_goes_on_with_its_own_card_only(place: Service):
    place.issue(ChipLine(place.chips[1]), 7000)
    with pytest.raises(CardGone):
        place.desk().retire(REPLACE, ChipLine(place.chips[0], (8, "before")))
    with pytest.raises(NotThisCard, match="another card"):
        place.desk().retire(REPLACE, ChipLine(place.chips[1]), 1)
    assert place.chips[1].card.image.blocked == "no" and place.look(cards.by_number, SECOND)["state"] == "active"
    assert [one["old_card"] for one in place.look(card_money.cases)] == [1]


class Swapped(ChipLine):
    """From its power-on of that number on, another card lies on the reader."""

    def __init__(self, chip, other, at: int) -> None:
        super().__init__(chip)
        self.other, self.left = other, at

    def power_on(self):
        self.left -= 1
        if self.left < 0:
            self.chip = self.other
        return super().power_on()


def test_a_card_that_was_swapped_after_a_reset_is_not_the_one_that_was_extended(place: Service):
    place.issue(ChipLine(place.chips[1]), 0)
    place.desk().extend(ChipLine(place.chips[1]), "20350601")
    with pytest.raises(NotThisCard, match="another card"):
        place.desk().extend(Swapped(place.chips[0], place.chips[1], 1), "20350601")
    assert place.look(cards.by_number, FIRST)["expiry"] != "20350601"
    place.desk().extend(ChipLine(place.chips[0]), "20350601")


class Forged(ChipLine):
    """A card that says the number of another one and has none of its keys."""

    def transceive(self, apdu):
        answer = super().transceive(apdu)
        return answer[:12] + bytes(4) + answer[-2:] if apdu[:4] == b"\x80\x50\x00\x02" else answer


@pytest.mark.parametrize("load_fen", [0, 100])
def test_a_forged_card_is_not_sold(place: Service, load_fen: int):
    """Else the true one in stock counts as sold, and the till as paid."""
    before = place.accounts()
    with pytest.raises(Unproven):
        place.issue(Forged(place.chips[1]), load_fen)
    assert place.look(cards.by_number, SECOND)["state"] == "stocked" and place.accounts() == before
    assert place.issue(ChipLine(place.chips[1]), load_fen) and place.problems() == []


def test_a_forged_card_takes_nobodys_deposit(place: Service):
    case_id = place.desk().retire(REPLACE, ChipLine(place.chips[0]))
    with pytest.raises(Unproven):
        place.desk().complete(case_id, Forged(place.chips[1]))
    assert place.look(cards.by_number, SECOND)["state"] == "stocked"
    assert place.look(card_money.case, case_id)["new_card"] is None
    assert place.desk().complete(case_id, ChipLine(place.chips[1])).balance_fen == LOAD_FEN


def test_an_overdraft_limit_is_no_money_of_the_holders(place: Service):
    place.old.image.limit_fen = 800
    case_id = place.desk().retire(EXCHANGE, ChipLine(place.old))
    assert place.look(card_money.case, case_id)["amount_fen"] == OLD_FEN


def test_an_overdrawn_stock_card_is_refused_by_name(place: Service):
    place.old.image.limit_fen, place.old.image.balance_fen = 800, -300
    with pytest.raises(CaseRefused, match="300 fen overdrawn"):
        place.desk().retire(EXCHANGE, ChipLine(place.old))
    assert place.look(card_money.cases) == [] and place.old.image.blocked == "no"


def test_more_than_a_new_card_takes_is_refused_before_the_old_one_is_blocked(place: Service):
    place.old.image.balance_fen = card_money.LOAD_FEN_MAX + 1
    with pytest.raises(CaseRefused, match="more than a new card may hold"):
        place.desk().retire(EXCHANGE, ChipLine(place.old))
    assert place.old.image.blocked == "no" and place.look(card_money.cases) == []


def test_a_card_that_was_sold_is_not_in_stock_any_more(place: Service):
    assert place.counts()["stock"] == 1 and place.counts()["shipped"] == 1


def test_a_card_that_still_gets_another_ones_money_is_not_given_back_before(place: Service):
    """Else the money is owed for ever: it goes onto this card or none."""
    case_id = place.desk().retire(REPLACE, ChipLine(place.chips[0]))
    line = ChipLine(place.chips[1])
    with pytest.raises(CardGone):
        place.desk().complete(case_id, ChipLine(place.chips[1], (3, "before")))
    assert place.look(card_money.case, case_id)["new_card"] is not None
    with pytest.raises(CaseRefused, match=f"of case {case_id} is not on this card yet"):
        place.desk().retire(REFUND, line)
    place.desk().complete(case_id, ChipLine(place.chips[1]))
    assert place.desk().retire(REFUND, ChipLine(place.chips[1])) != case_id and place.problems() == []


def test_a_stock_card_with_the_number_of_a_card_of_ours_is_none(out: Service, tmp_path: Path):
    """No key proves its balance, and what is retired would be somebody else's card."""
    place = again(out, tmp_path / "same", load_key=False)
    product = legacy.SAMPLE.product
    places = tuple((5, 8, 18) if at == 1 else one for at, one in enumerate(product.places))
    scheme = legacy.SAMPLE._replace(product=product._replace(places=places))
    content = place.old.image.files[5]
    place.old.image.files[5] = content[:8] + bytes.fromhex("0" + FIRST) + content[18:]
    desk = Desk(place.store, place.keys, rules.read(), place.loader(), "ann", scheme, place.clock)
    with pytest.raises(NotThisCard, match="the number of a card of ours"):
        desk.retire(EXCHANGE, ChipLine(place.old))
    assert place.look(card_money.cases) == []
    place.store.close()
