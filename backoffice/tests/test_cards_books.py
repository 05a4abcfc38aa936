"""Batches that balance and numbers that are given once, whatever happens."""

import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice.cards.watermark import RestoredDatabase, Watermark, beside
from backoffice.store import card_states, cards, engine
from backoffice.store.engine import Store

ISSUER, OTHER = "04026110FFFFFFFF", "04036140FFFFFFFF"
FIRST = "3104840000000000001"
IDENTITY = cards.Identity(ISSUER, "6110", 1, "02", 1, "20250101", "20351231")
NOW_S = 1_750_000_000


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("cards") / "city.db"
    engine.create(path)
    store = Store(path)
    with store.transaction() as db:
        cards.add_batch(db, batch_row("A1", 40))
        cards.add_range(db, FIRST, plus(FIRST, 999), ISSUER, "ann", NOW_S)
    store.close()
    return path.read_bytes()


@pytest.fixture
def store(template: bytes, tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "city.db"
    path.write_bytes(template)
    store = Store(path)
    yield store
    store.close()


def batch_row(name: str, ordered: int) -> dict[str, object]:
    return {
        "batch": name, "profile": "sample_card_3des", "product": "nanning_ordinary", "product_json": "{}",
        "vendor": "sample", "chip": "", "mask": "", "transport_version": 1, "control_version": 1, "kcv_set": "{}",
        "artwork_common": "a", "artwork_local": "b", "city": "6110", "operator": "ann", "start_s": NOW_S,
        "end_s": None, "ordered": ordered,
    }  # fmt: skip


def plus(number: str, count: int) -> str:
    return str(int(number) + count)


def chip(number: int) -> str:
    return f"{number:016X}"


def made(db: sqlite3.Connection, number: int) -> int:
    """A card of batch A1 in stock."""
    card_id = cards.meet(db, chip(number), "A1", "ann", NOW_S)["card_id"]
    for state in (card_states.INITIALISED, card_states.PERSONALISED, card_states.STOCKED):
        card_states.move(db, card_id, state, "test", "ann", NOW_S)
    cards.take_number(db, card_id, IDENTITY, "ann", NOW_S)
    cards.put_away(db, card_id, cards.STOCK, "test", "ann", NOW_S)
    return int(card_id)


# --- numbers


def test_numbers_are_given_in_their_order_and_a_chip_keeps_its_own(store: Store) -> None:
    with store.transaction() as db:
        cards.receive(db, "A1", 3, "ann", NOW_S)
        first = cards.meet(db, chip(1), "A1", "ann", NOW_S)["card_id"]
        second = cards.meet(db, chip(2), "A1", "ann", NOW_S)["card_id"]
        assert cards.take_number(db, first, IDENTITY, "ann", NOW_S) == FIRST
        assert cards.take_number(db, second, IDENTITY, "ann", NOW_S) == plus(FIRST, 1)
        assert cards.take_number(db, first, IDENTITY, "ann", NOW_S) == FIRST


def test_the_number_of_a_scrapped_card_is_never_given_again(store: Store) -> None:
    with store.transaction() as db:
        cards.receive(db, "A1", 2, "ann", NOW_S)
        first = cards.meet(db, chip(1), "A1", "ann", NOW_S)["card_id"]
        cards.take_number(db, first, IDENTITY, "ann", NOW_S)
        cards.scrap(db, first, "broken", "ann", NOW_S)
        second = cards.meet(db, chip(2), "A1", "ann", NOW_S)["card_id"]
        assert cards.take_number(db, second, IDENTITY, "ann", NOW_S) == plus(FIRST, 1)
        assert cards.check(db) == []


def test_a_transaction_that_is_lost_takes_its_number_along(store: Store) -> None:
    with store.transaction() as db:
        cards.receive(db, "A1", 2, "ann", NOW_S)
        card_id = cards.meet(db, chip(1), "A1", "ann", NOW_S)["card_id"]
    with pytest.raises(KeyboardInterrupt), store.transaction() as db:
        cards.take_number(db, card_id, IDENTITY, "ann", NOW_S)
        raise KeyboardInterrupt
    with store.transaction() as db:
        assert cards.take_number(db, card_id, IDENTITY, "ann", NOW_S) == FIRST


@pytest.mark.parametrize(("first", "last", "refusal"), [
    (FIRST, FIRST, "overlaps one of issuer 04026110FFFFFFFF"),
    (plus(FIRST, 999), plus(FIRST, 2000), "overlaps"),
    (plus(FIRST, -1), FIRST, "overlaps"),
    (plus(FIRST, -10), plus(FIRST, 5000), "overlaps"),
    ("31048400", "31048401", "19 digits"),
    ("4104840000000000001", "4104840000000000002", "begins with 310"),
    (plus(FIRST, 2000), plus(FIRST, 1000), "from the lower to the higher"),
    (plus(FIRST, 1000), plus(FIRST, 1000 + cards.RANGE_MAX), "has 1 to"),
])  # fmt: skip
def test_a_range_that_cannot_be_is_refused_by_name(store: Store, first: str, last: str, refusal: str) -> None:
    with pytest.raises(cards.RangeRefused, match=refusal), store.transaction() as db:
        cards.add_range(db, first, last, OTHER, "ann", NOW_S)


def test_even_without_our_code_ranges_do_not_overlap_and_do_not_go_back(store: Store) -> None:
    row = (int(FIRST) + 5, int(FIRST) + 5, OTHER, int(FIRST) + 5, NOW_S, "ann")
    with pytest.raises(sqlite3.IntegrityError, match="overlaps"), store.transaction() as db:
        db.execute("INSERT INTO card_range VALUES (?, ?, ?, ?, ?, ?)", row)
    with pytest.raises(sqlite3.IntegrityError, match="not given back"), store.transaction() as db:
        db.execute("UPDATE card_range SET next = next + 5")
        db.execute("UPDATE card_range SET next = next - 1")


def test_a_range_over_numbers_that_were_given_otherwise_is_a_duplicate(store: Store) -> None:
    number = plus(FIRST, 5000)
    with store.transaction() as db:
        cards.take_in(db, chip(99), number, IDENTITY, "ann", NOW_S)
    with pytest.raises(cards.DuplicateNumber, match="were given before"), store.transaction() as db:
        cards.add_range(db, number, number, ISSUER, "ann", NOW_S)


def test_a_number_that_was_taken_is_a_named_refusal(store: Store) -> None:
    with store.transaction() as db:
        cards.take_in(db, chip(98), FIRST, IDENTITY, "ann", NOW_S)
        cards.receive(db, "A1", 1, "ann", NOW_S)
        card_id = cards.meet(db, chip(1), "A1", "ann", NOW_S)["card_id"]
    with pytest.raises(cards.DuplicateNumber, match=r"310484\*\*\*\*\*\*\*\*\*0001 was taken before"):
        with store.transaction() as db:
            cards.take_number(db, card_id, IDENTITY, "ann", NOW_S)
    with store.transaction() as db:
        cards.skip_numbers(db, FIRST, plus(FIRST, 1))
        assert cards.take_number(db, card_id, IDENTITY, "ann", NOW_S) == plus(FIRST, 1)


def test_a_spent_range_says_so_and_the_next_one_goes_on(store: Store) -> None:
    other = IDENTITY._replace(issuer_id=OTHER)
    with store.transaction() as db:
        cards.receive(db, "A1", 2, "ann", NOW_S)
        ids = [cards.meet(db, chip(n), "A1", "ann", NOW_S)["card_id"] for n in (1, 2)]
        with pytest.raises(cards.NumbersSpent, match="ykt cards range add"):
            cards.take_number(db, ids[0], other, "ann", NOW_S)
        for first in ("3104840100000000007", "3104840100000000009"):
            cards.add_range(db, first, first, OTHER, "ann", NOW_S)
        numbers = [cards.take_number(db, card_id, other, "ann", NOW_S) for card_id in ids]
    assert numbers == ["3104840100000000007", "3104840100000000009"]


WRITER = """
import sys
from pathlib import Path
from backoffice.store import cards
from backoffice.store.engine import Store
from backoffice.tests.test_cards_books import IDENTITY, NOW_S, chip
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 10):
    with store.transaction() as db:
        card_id = cards.meet(db, chip(number), "A1", "ann", NOW_S)["card_id"]
        cards.take_number(db, card_id, IDENTITY, "ann", NOW_S)
"""


def test_processes_side_by_side_never_take_the_same_number(store: Store) -> None:
    with store.transaction() as db:
        cards.receive(db, "A1", 40, "ann", NOW_S)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(store.path), str(start)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
        for start in (0, 10, 20, 30)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout and writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.close()
    assert [writer.wait() for writer in writers] == [0] * 4
    with store.reading() as db:
        numbers = [row[0] for row in db.execute("SELECT number FROM card ORDER BY number")]
        assert numbers == [plus(FIRST, at) for at in range(40)]
        assert cards.check(db) == []


# --- a database that was put back


def next_number(store: Store, mark: Watermark, number: int, lost: bool = False) -> str:
    with store.transaction() as db:
        card_id = cards.meet(db, chip(number), "A1", "ann", NOW_S)["card_id"]
        mark.before(db)
        taken = cards.take_number(db, card_id, IDENTITY, "ann", NOW_S)
        mark.after(db)
        if lost:
            raise _Lost
        return taken


def test_a_database_put_back_gives_no_number_twice(store: Store) -> None:
    mark = Watermark(beside(store.path))
    with store.transaction() as db:
        cards.receive(db, "A1", 40, "ann", NOW_S)
    copy = list(store._db.iterdump())
    numbers = [next_number(store, mark, at) for at in range(3)]
    with pytest.raises(_Lost):
        next_number(store, mark, 3, lost=True)
    assert next_number(store, mark, 3) == plus(FIRST, 4)  # one number was lost in the crash
    later = [next_number(store, mark, at) for at in range(4, 25)]
    again = store.path.with_name("again.db")
    with sqlite3.connect(again) as old:
        old.executescript("\n".join(copy))
    old.close()
    restored = Store(again)
    with pytest.raises(RestoredDatabase, match="range skip --first … --next 3104840000000000027"):
        next_number(restored, mark, 30)
    with restored.transaction() as db:
        cards.skip_numbers(db, FIRST, "3104840000000000027")
    assert next_number(restored, mark, 30) not in {*numbers, *later}
    restored.close()


def test_a_line_that_was_cut_short_is_none(store: Store) -> None:
    path = beside(store.path)
    path.write_text(f"{FIRST} {plus(FIRST, 2)}\n{FIRST} {plus(FIRST, 9)}"[:-3])
    with store.transaction() as db:
        cards.receive(db, "A1", 4, "ann", NOW_S)
    assert next_number(store, Watermark(path), 1) == plus(FIRST, 2)
    assert next_number(store, Watermark(path), 2) == plus(FIRST, 3)
    assert path.read_text().splitlines()[-1] == f"{FIRST} {plus(FIRST, 4)}"


# --- batches


def test_more_chips_than_were_ordered_or_received_are_refused(store: Store) -> None:
    with store.transaction() as db:
        with pytest.raises(cards.OutOfBalance, match="40 were ordered"):
            cards.receive(db, "A1", 41, "ann", NOW_S)
        cards.receive(db, "A1", 1, "ann", NOW_S)
        cards.meet(db, chip(1), "A1", "ann", NOW_S)
        with pytest.raises(cards.OutOfBalance, match="accounted for"):
            cards.meet(db, chip(2), "A1", "ann", NOW_S)


@pytest.mark.parametrize("statement", [
    "UPDATE card_batch SET good = good + 1",
    "UPDATE card_batch SET good = good + 1, in_process = in_process - 1",
    "UPDATE card_batch SET in_process = -1, received = -1",
    "UPDATE card_batch SET returned = 1",
])  # fmt: skip
def test_even_without_our_code_a_batch_stays_in_balance(store: Store, statement: str) -> None:
    with store.transaction() as db:
        cards.receive(db, "A1", 3, "ann", NOW_S)
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"), store.transaction() as db:
        db.execute(statement)


@pytest.mark.parametrize("statement", [
    "UPDATE card_number SET number = '1'", "DELETE FROM card_number", "DELETE FROM card", "DELETE FROM card_batch",
    "UPDATE card SET number = NULL", "UPDATE card SET chip_serial = 'x'", "UPDATE card_event SET why = ''",
    "UPDATE card_batch_move SET count = 9", "DELETE FROM card_range", "UPDATE card SET kind = 3",
])  # fmt: skip
def test_what_was_written_down_stays(store: Store, statement: str) -> None:
    with store.transaction() as db:
        cards.receive(db, "A1", 3, "ann", NOW_S)
        made(db, 1)
    with pytest.raises(sqlite3.IntegrityError), store.transaction() as db:
        db.execute(statement)


def test_a_check_tells_what_no_constraint_sees(store: Store) -> None:
    with store.transaction() as db:
        cards.receive(db, "A1", 3, "ann", NOW_S)
        card_id = made(db, 1)
        assert cards.check(db) == []
        db.execute("UPDATE card SET state = 'active' WHERE card_id = ?", (card_id,))
        db.execute("UPDATE card SET bin = 'shipped' WHERE card_id = ?", (card_id,))
        found = " ".join(cards.check(db))
    assert "its history says stocked" in found and "1 chips stock, and 0 cards" in found


def test_closing_a_batch_accounts_for_every_chip(store: Store) -> None:
    with store.transaction() as db:
        cards.receive(db, "A1", 5, "ann", NOW_S)
        made(db, 1)
        cards.meet(db, chip(2), "A1", "ann", NOW_S)
        assert cards.close_batch(db, "A1", "ann", NOW_S) == 4
        row = cards.batch(db, "A1")
        assert [row[name] for name in ("received", "good", "bad", "scrapped", "in_process")] == [5, 1, 3, 1, 0]
        with pytest.raises(card_states.CardsRefused, match="is closed"):
            cards.receive(db, "A1", 1, "ann", NOW_S)
        with pytest.raises(card_states.CardsRefused, match="is closed"):
            cards.meet(db, chip(7), "A1", "ann", NOW_S)
        assert cards.check(db) == []


def test_every_move_of_a_card_is_of_the_table(store: Store) -> None:
    with store.transaction() as db:
        cards.receive(db, "A1", 3, "ann", NOW_S)
        card_id = made(db, 1)
        with pytest.raises(card_states.WrongMove, match="it may become active, damaged, not returned"):
            card_states.move(db, card_id, card_states.RETURNED, "test", "ann", NOW_S)
        card_states.move(db, card_id, card_states.ACTIVE, "issued", "ann", NOW_S)
        assert [row["to_state"] for row in cards.events(db, card_id)] == [
            "manufactured", "initialised", "personalised", "stocked", "active",
        ]  # fmt: skip


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["receive", "meet", "number", "stock", "ship", "unship", "scrap", "bad", "back", "close"]),
        st.integers(0, 5), st.booleans(),
    ),
    max_size=30,
)  # fmt: skip


@given(events=EVENTS)
def test_a_batch_balances_after_any_sequence_of_events(template: bytes, events: list[tuple[str, int, bool]]) -> None:
    """`lost`: the transaction of the event is lost, as in a crash. Against a plain model of where each chip is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "city.db"
        path.write_bytes(template)
        store = Store(path)
        try:
            for what, number, lost in events:
                before = _books(store)
                try:
                    with store.transaction() as db:
                        _do(db, what, number)
                        if lost:
                            raise _Lost
                except (card_states.CardsRefused, _Lost):
                    assert _books(store) == before
                with store.reading() as db:
                    assert cards.check(db) == []
                    given = [row[0] for row in db.execute("SELECT number FROM card_number")]
                    assert len(given) == len(set(given))
                    assert set(given) >= set(before[1])
        finally:
            store.close()


class _Lost(Exception):
    """The process died before the transaction was on disk."""


def _books(store: Store) -> tuple[list[int], list[str]]:
    with store.reading() as db:
        row = cards.batch(db, "A1")
        counts = [row[name] for name in ("received", "in_process", "good", "bad", "scrapped", "stock", "shipped")]
        return counts, [row[0] for row in db.execute("SELECT number FROM card_number ORDER BY number")]


def _do(db: sqlite3.Connection, what: str, number: int) -> None:
    if what == "receive":
        cards.receive(db, "A1", number + 1, "ann", NOW_S)
    elif what == "close":
        cards.close_batch(db, "A1", "ann", NOW_S)
    elif what == "back":
        cards.give_back(db, "A1", number)
    else:
        card_id = cards.meet(db, chip(number), "A1", "ann", NOW_S)["card_id"]
        if what == "number":
            cards.take_number(db, card_id, IDENTITY, "ann", NOW_S)
        elif what in ("scrap", "bad"):
            cards.scrap(db, card_id, what, "ann", NOW_S, cards.BAD if what == "bad" else cards.SCRAPPED)
        elif what != "meet":
            to_bin = {"stock": cards.STOCK, "ship": cards.SHIPPED, "unship": cards.STOCK}[what]
            cards.put_away(db, card_id, to_bin, what, "ann", NOW_S)


@pytest.mark.parametrize(("first", "last"), [(-7, 60), (5, 60), (12, 18)])
def test_numbers_are_not_given_twice_by_a_range_that_begins_elsewhere(store: Store, first: int, last: int) -> None:
    """The copy is of before the range: whoever adds it again may cut it otherwise."""
    path = beside(store.path)
    begin = plus(FIRST, 2000)
    path.write_text(f"{begin} {plus(begin, 20)}\n")  # 20 numbers were given
    with store.transaction() as db:
        cards.skip_numbers(db, FIRST, plus(FIRST, 1000))
        cards.add_range(db, plus(begin, first), plus(begin, last), ISSUER, "ann", NOW_S)
        cards.receive(db, "A1", 2, "ann", NOW_S)
    if last < 20:
        with pytest.raises(cards.NumbersSpent):
            next_number(store, Watermark(path), 1)
        return
    if 20 - first > 16:
        with pytest.raises(RestoredDatabase, match=f"--next {plus(begin, 20)}"):
            next_number(store, Watermark(path), 1)
        with store.transaction() as db:
            cards.skip_numbers(db, plus(begin, first), plus(begin, 20))
    assert next_number(store, Watermark(path), 1) == plus(begin, 20)
