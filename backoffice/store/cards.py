"""Batches, number ranges and cards as rows. Callers hold the transaction; whoever refuses changed nothing."""

import json
import sqlite3
from typing import Any, NamedTuple

from backoffice.store import card_states
from backoffice.store.card_states import CardsRefused, masked

NUMBER_DIGITS = 19
NUMBER_HEAD = "310"  # of every card of the scheme
RANGE_MAX = 10_000_000  # cards in one range; more is a slip of the finger
ORDERED_MAX = 1_000_000  # chips in one delivery, likewise
ATTEMPTS_MAX = 4  # times a step is begun with one chip that is pulled each time

IN_PROCESS, STOCK, SHIPPED, BAD, SCRAPPED = "in_process", "stock", "shipped", "bad", "scrapped"
_GOOD = (STOCK, SHIPPED)
BIN_MOVES = {
    "": (IN_PROCESS,),
    IN_PROCESS: (STOCK, BAD, SCRAPPED),
    STOCK: (SHIPPED, BAD, SCRAPPED),
    SHIPPED: (STOCK, BAD, SCRAPPED),
    BAD: (SCRAPPED,),
    SCRAPPED: (),
}


class NoSuchBatch(CardsRefused):
    """No batch of this name."""


class NoSuchCard(CardsRefused):
    """No card of this number."""


class RangeRefused(CardsRefused):
    """This range of numbers cannot be added."""


class RangeOverlaps(RangeRefused):
    """Some of its numbers belong to a range that is there already."""


class NumbersSpent(CardsRefused):
    """No range of this issuer has a number left."""


class DuplicateNumber(CardsRefused):
    """This number was taken before. A number is used once, for ever."""


class OutOfBalance(CardsRefused):
    """The counts of a batch do not allow this."""


class Identity(NamedTuple):
    """What a card is made to be, with its number."""

    issuer_id: str
    city: str
    kind: int
    app_version: str
    key_version: int
    start: str
    expiry: str


# --- batches


def add_batch(db: sqlite3.Connection, row: dict[str, Any]) -> None:
    """A new batch, with nothing received yet. Raises CardsRefused where the name is taken or a figure is wrong."""
    if not 0 < row["ordered"] <= ORDERED_MAX:
        raise CardsRefused(f"a batch has 1 to {ORDERED_MAX} chips, not {row['ordered']}")
    if db.execute("SELECT 1 FROM card_batch WHERE batch = ?", (row["batch"],)).fetchone():
        raise CardsRefused(f"batch {row['batch']} exists already: choose another name")
    counts = dict.fromkeys(("received", IN_PROCESS, "good", BAD, SCRAPPED, STOCK, SHIPPED, "returned"), 0)
    _insert(db, "card_batch", {**row, **counts})


def batch(db: sqlite3.Connection, name: str) -> sqlite3.Row:
    """Raises NoSuchBatch."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM card_batch WHERE batch = ?", (name,)).fetchone()
    if row is None:
        raise NoSuchBatch(f"there is no batch {name}: `ykt cards batch list` shows them")
    return row


def batches(db: sqlite3.Connection) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM card_batch ORDER BY start_s, batch").fetchall()


def receive(db: sqlite3.Connection, name: str, count: int, actor: str, at_s: int) -> None:
    """Blank chips came from the vendor."""
    row = batch(db, name)
    if count < 1 or row["received"] + count > row["ordered"]:
        raise OutOfBalance(f"batch {name}: {row['ordered']} were ordered and {row['received']} came: {count} is wrong")
    _open(row)
    move_chips(db, name, "", IN_PROCESS, count, "received", actor, at_s)


def move_chips(
    db: sqlite3.Connection, name: str, from_bin: str, to_bin: str, count: int, why: str, actor: str, at_s: int,
    card_id: int | None = None,
) -> None:  # fmt: skip
    """From one count of a batch to another. Raises OutOfBalance; the table's own CHECKs stand behind."""
    row = batch(db, name)
    if to_bin not in BIN_MOVES[from_bin] or count < 1:
        raise OutOfBalance(f"batch {name}: chips do not go from {from_bin or 'outside'} to {to_bin}")
    if from_bin and row[from_bin] < count:
        raise OutOfBalance(f"batch {name} has {row[from_bin]} chips {from_bin}, not {count}")
    change = dict.fromkeys((from_bin or "received", to_bin), 0)
    if from_bin:
        change[from_bin] -= count
    else:
        change["received"] += count
    change[to_bin] += count
    good = (to_bin in _GOOD) - (from_bin in _GOOD)
    if good:
        change["good"] = good * count
    sets = ", ".join(f"{column} = {column} + ?" for column in change)
    db.execute(f"UPDATE card_batch SET {sets} WHERE batch = ?", (*change.values(), name))
    _insert(db, "card_batch_move", {
        "batch": name, "at_s": at_s, "from_bin": from_bin, "to_bin": to_bin, "count": count, "card_id": card_id,
        "why": why, "actor": actor,
    })  # fmt: skip


def give_back(db: sqlite3.Connection, name: str, count: int) -> None:
    """Bad chips went back to their vendor."""
    row = batch(db, name)
    if count < 1 or row["returned"] + count > row[BAD]:
        raise OutOfBalance(f"batch {name}: {row[BAD]} bad chips, {row['returned']} of them went back: not {count} more")
    db.execute("UPDATE card_batch SET returned = returned + ? WHERE batch = ?", (count, name))


def close_batch(db: sqlite3.Connection, name: str, actor: str, at_s: int) -> int:
    """End it: what is in process and was never begun is counted bad, what was begun is scrapped. How many that were.

    Chips without a row never met a reader: they lie in the box.
    """
    row = batch(db, name)
    _open(row)
    begun = db.execute("SELECT card_id FROM card WHERE batch = ? AND bin = ?", (name, IN_PROCESS)).fetchall()
    for card in begun:
        scrap(db, card["card_id"], "batch closed", actor, at_s)
    left = int(batch(db, name)[IN_PROCESS])
    if left:
        move_chips(db, name, IN_PROCESS, BAD, left, "batch closed", actor, at_s)
    db.execute("UPDATE card_batch SET end_s = ? WHERE batch = ?", (at_s, name))
    return len(begun) + left


def check(db: sqlite3.Connection) -> list[str]:
    """One sentence for each thing that does not add up. What the CHECKs see, and what they cannot."""
    found = []
    for row in batches(db):
        name = row["batch"]
        if row["received"] != row["good"] + row[BAD] + row[SCRAPPED] + row[IN_PROCESS]:
            found.append(f"batch {name}: received is not good + bad + scrapped + in process")
        if row["good"] != row[STOCK] + row[SHIPPED]:
            found.append(f"batch {name}: good is not stock + shipped")
        moved = {bin: 0 for bin in BIN_MOVES if bin}
        for step in db.execute("SELECT from_bin, to_bin, count FROM card_batch_move WHERE batch = ?", (name,)):
            moved[step["to_bin"]] += step["count"]
            if step["from_bin"]:
                moved[step["from_bin"]] -= step["count"]
        found += [f"batch {name}: {bin} is {row[bin]}, its history says {count}"
                  for bin, count in moved.items() if row[bin] != count]  # fmt: skip
        cards = dict(db.execute("SELECT bin, COUNT(*) FROM card WHERE batch = ? GROUP BY bin", (name,)).fetchall())
        for bin in (STOCK, SHIPPED):
            if row[bin] != cards.get(bin, 0):
                found.append(f"batch {name}: {row[bin]} chips {bin}, and {cards.get(bin, 0)} cards")
        # Of the others some may never have met a reader.
        found += [f"batch {name}: {row[bin]} chips {bin}, and {cards[bin]} cards" for bin in (IN_PROCESS, BAD, SCRAPPED)
                  if cards.get(bin, 0) > row[bin]]  # fmt: skip
    found += [f"card {masked(row['number'])}: its number was never taken" for row in db.execute(
        "SELECT number FROM card LEFT JOIN card_number USING (number) "
        "WHERE card.number IS NOT NULL AND card.batch IS NOT NULL AND card_number.number IS NULL")]  # fmt: skip
    found += [f"card {row['card_id']} is {row['state']}, its history says {row['to_state']}" for row in db.execute(
        "SELECT card.card_id, state, to_state FROM card JOIN card_event ON card_event.id = "
        "(SELECT MAX(id) FROM card_event WHERE card_event.card_id = card.card_id) WHERE state <> to_state"
    )]  # fmt: skip
    return found


# --- numbers


def add_range(db: sqlite3.Connection, first: str, last: str, issuer_id: str, actor: str, at_s: int) -> None:
    """Numbers that an issuer may give. Raises RangeRefused, RangeOverlaps."""
    for number in (first, last):
        if len(number) != NUMBER_DIGITS or not (number.isascii() and number.isdecimal()):
            raise RangeRefused(f"a card number has {NUMBER_DIGITS} digits")
        if not number.startswith(NUMBER_HEAD):
            raise RangeRefused(f"a card number begins with {NUMBER_HEAD}")
    count = int(last) - int(first) + 1
    if not 0 < count <= RANGE_MAX:
        raise RangeRefused(f"a range has 1 to {RANGE_MAX} numbers, from the lower to the higher")
    meets = db.execute(
        "SELECT issuer_id FROM card_range WHERE first <= ? AND last >= ?", (int(last), int(first))
    ).fetchone()
    if meets:
        raise RangeOverlaps(
            f"the range overlaps one of issuer {meets['issuer_id']}: `ykt cards range list` shows what is given already"
        )
    taken = db.execute(
        "SELECT COUNT(*) FROM card_number WHERE number BETWEEN ? AND ?", (first, last)
    ).fetchone()[0]
    if taken:  # not through a range: a stock card that was taken in
        raise DuplicateNumber(f"{taken} numbers of this range were given before: choose another range")
    row = {"first": int(first), "last": int(last), "issuer_id": issuer_id, "next": int(first)}
    _insert(db, "card_range", {**row, "added_at_s": at_s, "added_by": actor})


def ranges(db: sqlite3.Connection) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM card_range ORDER BY first").fetchall()


def skip_numbers(db: sqlite3.Connection, first: str, next_number: str) -> None:
    """Leave numbers out for ever: they were given by a database that is lost."""
    row = db.execute("SELECT * FROM card_range WHERE first = ?", (int(first),)).fetchone()
    if row is None or not row["next"] <= int(next_number) <= row["last"] + 1:
        raise RangeRefused("no such range, or the number is not ahead in it: `ykt cards range list` shows them")
    db.execute("UPDATE card_range SET next = ? WHERE first = ?", (int(next_number), int(first)))


def take_number(db: sqlite3.Connection, card_id: int, identity: Identity, actor: str, at_s: int) -> str:
    """The number of this chip for ever: the one it has, or the next of its issuer. Durable with the transaction.

    Raises NumbersSpent, DuplicateNumber.
    """
    had = db.execute("SELECT number FROM card WHERE card_id = ?", (card_id,)).fetchone()["number"]
    if had:
        return str(had)
    row = db.execute(
        "SELECT first, next FROM card_range WHERE issuer_id = ? AND next <= last ORDER BY first LIMIT 1",
        (identity.issuer_id,),
    ).fetchone()
    if row is None:
        raise NumbersSpent(f"issuer {identity.issuer_id} has no number left: add one with `ykt cards range add`")
    db.execute("UPDATE card_range SET next = next + 1 WHERE first = ?", (row["first"],))
    number = str(row["next"])
    give_number(db, card_id, number, identity, actor, at_s)
    return number


def give_number(
    db: sqlite3.Connection, card_id: int, number: str, identity: Identity, actor: str, at_s: int
) -> None:
    """Tie a number to a chip. Raises DuplicateNumber where it is tied to one already, this or another."""
    try:
        _insert(db, "card_number", {"number": number, "card_id": card_id, "taken_at_s": at_s, "taken_by": actor})
    except sqlite3.IntegrityError as error:
        raise DuplicateNumber(
            f"number {masked(number)} was taken before: a number is used once, for ever; "
            "see `ykt cards range list`, and leave out what is given with `ykt cards range skip`"
        ) from error
    fields = {"number": number, **identity._asdict()}
    sets = ", ".join(f"{name} = ?" for name in fields)
    db.execute(f"UPDATE card SET {sets} WHERE card_id = ?", (*fields.values(), card_id))


# --- cards


def meet(db: sqlite3.Connection, chip_serial: str, batch_name: str, actor: str, at_s: int) -> sqlite3.Row:
    """The row of a chip on a reader; a new one where it was never seen. Raises OutOfBalance, CardsRefused.

    A new one takes a place among the batch's chips in process.
    """
    found: sqlite3.Row | None = db.execute("SELECT * FROM card WHERE chip_serial = ?", (chip_serial,)).fetchone()
    if found is not None:
        if found["batch"] != batch_name:
            raise CardsRefused(f"this chip is of batch {found['batch']}, not of {batch_name}: put it into its own box")
        return found
    row = batch(db, batch_name)
    _open(row)
    begun = db.execute(
        "SELECT COUNT(*) FROM card WHERE batch = ? AND bin = ?", (batch_name, IN_PROCESS)
    ).fetchone()[0]
    if begun >= row[IN_PROCESS]:
        raise OutOfBalance(
            f"batch {batch_name}: all {row['received']} chips that were received are accounted for; "
            "book what came with `ykt cards receive`"
        )
    inserted = _insert(db, "card", {
        "chip_serial": chip_serial, "batch": batch_name, "medium": "card", "state": card_states.MANUFACTURED,
        "bin": IN_PROCESS,
    })  # fmt: skip
    card_states.born(db, inserted, card_states.MANUFACTURED, batch_name, actor, at_s)
    return card(db, inserted)


def take_in(
    db: sqlite3.Connection, chip_serial: str, number: str, identity: Identity, actor: str, at_s: int
) -> sqlite3.Row:
    """A stock card of the time before, known from now on. Its number may be of another scheme."""
    inserted = _insert(db, "card", {
        "chip_serial": chip_serial, "batch": None, "medium": "legacy", "state": card_states.ACTIVE, "bin": "",
    })  # fmt: skip
    card_states.born(db, inserted, card_states.ACTIVE, "stock card", actor, at_s)
    give_number(db, inserted, number, identity, actor, at_s)
    return card(db, inserted)


def card(db: sqlite3.Connection, card_id: int) -> sqlite3.Row:
    row: sqlite3.Row = db.execute("SELECT * FROM card WHERE card_id = ?", (card_id,)).fetchone()
    return row


def by_number(db: sqlite3.Connection, number: str) -> sqlite3.Row:
    """Raises NoSuchCard."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM card WHERE number = ?", (number,)).fetchone()
    if row is None:
        raise NoSuchCard(f"no card {masked(number)} was made here: check the number")
    return row


def listed(db: sqlite3.Connection, batch_name: str | None, state: str | None) -> list[sqlite3.Row]:
    return db.execute(
        "SELECT * FROM card WHERE (? IS NULL OR batch = ?) AND (? IS NULL OR state = ?) ORDER BY card_id",
        (batch_name, batch_name, state, state),
    ).fetchall()


def events(db: sqlite3.Connection, card_id: int) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM card_event WHERE card_id = ? ORDER BY id", (card_id,)).fetchall()


def results(db: sqlite3.Connection, card_id: int) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM card_result WHERE card_id = ? ORDER BY id", (card_id,)).fetchall()


def put_away(db: sqlite3.Connection, card_id: int, to_bin: str, why: str, actor: str, at_s: int) -> None:
    """The card's place in the counts of its batch."""
    row = card(db, card_id)
    move_chips(db, row["batch"], row["bin"], to_bin, 1, why, actor, at_s, card_id)
    db.execute("UPDATE card SET bin = ? WHERE card_id = ?", (to_bin, card_id))


def leave_stock(db: sqlite3.Connection, card_id: int, why: str, actor: str, at_s: int) -> None:
    """A card that was sold; one that was shipped has left before."""
    if card(db, card_id)["bin"] == STOCK:
        put_away(db, card_id, SHIPPED, why, actor, at_s)


def scrap(db: sqlite3.Connection, card_id: int, why: str, actor: str, at_s: int, to_bin: str = SCRAPPED) -> None:
    """A card that will not be one. Its number, if it had one, goes with it. Again: no effect."""
    row = card(db, card_id)
    if row["bin"] in (BAD, SCRAPPED):
        return
    card_states.move(db, card_id, card_states.DAMAGED, why, actor, at_s)
    put_away(db, card_id, to_bin, why, actor, at_s)


def begin_attempt(db: sqlite3.Connection, card_id: int, step: int) -> int:
    """How often this step, 1 or 2, was begun with this chip, this time included."""
    column = f"begun_{step}"
    db.execute(f"UPDATE card SET {column} = {column} + 1 WHERE card_id = ?", (card_id,))
    return int(card(db, card_id)[column])


def note_tried(db: sqlite3.Connection, card_id: int, at_s: int) -> None:
    """Its keys were proved: only now may the chip be closed."""
    db.execute("UPDATE card SET tried_at_s = ? WHERE card_id = ?", (at_s, card_id))


def add_result(db: sqlite3.Connection, row: dict[str, Any]) -> None:
    _insert(db, "card_result", {**row, "steps": json.dumps(row["steps"], separators=(",", ":"))})


def set_expiry(db: sqlite3.Connection, card_id: int, expiry: str) -> None:
    db.execute("UPDATE card SET expiry = ? WHERE card_id = ?", (expiry, card_id))


def set_deposit(db: sqlite3.Connection, card_id: int, deposit_fen: int) -> None:
    db.execute("UPDATE card SET deposit_fen = ? WHERE card_id = ?", (deposit_fen, card_id))


def _open(row: sqlite3.Row) -> None:
    if row["end_s"] is not None:
        raise CardsRefused(f"batch {row['batch']} is closed: make a new one")


def _insert(db: sqlite3.Connection, table: str, row: dict[str, Any]) -> int:
    marks = ", ".join("?" * len(row))
    inserted = db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values())).lastrowid
    assert inserted is not None
    return inserted
