"""Money of cards outside rides: loads, entries between accounts, cases. Callers hold the transaction.

Accounts, whole fen. What is paid in goes to `owed` until the card has proved that it is on the purse.

    cash        at the counter               deposits   held for holders
    owed        paid, and not on a card yet  sales      price of cards
    purses      on cards, or ridden away     bad_debt   borne by the issuer
    old_scheme  to be had from who issued the stock cards
"""

import sqlite3
from typing import Any

from backoffice.store import people, states
from backoffice.store.card_states import CardsRefused
from tunion import bcd

CASH, OWED, PURSES, DEPOSITS, SALES, BAD_DEBT = "cash", "owed", "purses", "deposits", "sales", "bad_debt"
OLD_SCHEME = "old_scheme"
ACCOUNTS = (CASH, OWED, PURSES, DEPOSITS, SALES, BAD_DEBT, OLD_SCHEME)
_ASSETS = (CASH, BAD_DEBT, OLD_SCHEME)

PAID, AUTHORISED, WRITTEN, NOT_WRITTEN, REFUNDED = "PAID", "AUTHORISED", "WRITTEN", "NOT_WRITTEN", "REFUNDED"
OPEN, RETIRED, DONE, CLOSED = "OPEN", "RETIRED", "DONE", "CLOSED"
CASE_MOVES = {OPEN: (RETIRED, DONE, CLOSED), RETIRED: (DONE,), DONE: (), CLOSED: ()}

LOAD_FEN_MAX = 100_000  # one load, and what a purse may hold after it: 1000 yuan
_CONFIRMED = (states.VERIFIED, states.CLEARED, states.NOTED)
_UNSETTLED = (states.UNIQUE, states.CHECKED, states.GREY, states.SUSPECT, states.HELD)


class LoadRefused(CardsRefused):
    """This load cannot be done now."""


class LoadUnknown(CardsRefused):
    """MAC2 went out and no answer came. Put the same card on the reader again: it proves what happened."""


class CaseRefused(CardsRefused):
    """This case cannot go on now."""


class NeedsSecond(CaseRefused):
    """Another person must approve first."""


# --- entries


def post(
    db: sqlite3.Connection, number: str, what: str, ref: str, debit: str, credit: str, amount_fen: int, actor: str,
    at_s: int,
) -> None:  # fmt: skip
    """One entry; of nothing none. The same (what, ref) again is a slip: raises sqlite3.IntegrityError."""
    assert debit in ACCOUNTS and credit in ACCOUNTS, (debit, credit)
    if amount_fen:
        _insert(db, "card_entry", {
            "at_s": at_s, "number": number, "what": what, "ref": ref, "debit": debit, "credit": credit,
            "amount_fen": amount_fen, "actor": actor,
        })  # fmt: skip


def balances(db: sqlite3.Connection) -> dict[str, int]:
    """What each account holds: cash, bad debt and the old scheme what we have, the others what we owe."""
    found = dict.fromkeys(ACCOUNTS, 0)
    for row in db.execute("SELECT debit, credit, amount_fen FROM card_entry"):
        found[row["debit"]] += row["amount_fen"]
        found[row["credit"]] -= row["amount_fen"]
    return {name: sum_fen if name in _ASSETS else -sum_fen for name, sum_fen in found.items()}


def entries(db: sqlite3.Connection, number: str) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM card_entry WHERE number = ? ORDER BY id", (number,)).fetchall()


def check(db: sqlite3.Connection) -> list[str]:
    """What does not add up: each sum is formed from the loads, and from the entries."""
    found = []
    kept = balances(db)
    waiting = db.execute("SELECT COALESCE(SUM(amount_fen), 0) FROM card_load WHERE state IN ('PAID', 'AUTHORISED')")
    retired = db.execute(
        "SELECT COALESCE(SUM(COALESCE(final_fen, amount_fen)), 0) FROM card_case WHERE state = 'RETIRED' "
        "AND NOT EXISTS (SELECT 1 FROM card_load WHERE source = 'case ' || case_id)"
    )
    owed_fen = waiting.fetchone()[0] + retired.fetchone()[0]
    if kept[OWED] != owed_fen:
        found.append(f"{kept[OWED]} fen are owed by the entries, {owed_fen} by loads and cases")
    held_fen = db.execute("SELECT COALESCE(SUM(deposit_fen), 0) FROM card").fetchone()[0]
    if kept[DEPOSITS] != held_fen:
        found.append(f"{kept[DEPOSITS]} fen of deposits by the entries, {held_fen} by the cards")
    return found


# --- loads


def order(
    db: sqlite3.Connection, source: str, number: str, amount_fen: int, actor: str, at_s: int, funded_by: str | None
) -> int:
    """A load that was paid for. `funded_by`: the account it comes from; None: it is owed already.

    Ordered again under the same source: the one that is there. Raises LoadRefused.
    """
    if not 0 < amount_fen <= LOAD_FEN_MAX:
        raise LoadRefused(f"a load is 1 to {LOAD_FEN_MAX} fen, not {amount_fen}")
    there = db.execute("SELECT * FROM card_load WHERE source = ?", (source,)).fetchone()
    if there:
        if (there["number"], there["amount_fen"]) != (number, amount_fen):
            raise LoadRefused(f"{source} is ordered already, for another card or amount")
        return int(there["load_id"])
    load_id = _insert(db, "card_load", {
        "source": source, "number": number, "amount_fen": amount_fen, "state": PAID, "paid_at_s": at_s,
        "paid_by": actor,
    })  # fmt: skip
    if funded_by:
        post(db, number, "load paid", f"load {load_id}", funded_by, OWED, amount_fen, actor, at_s)
    return load_id


def load(db: sqlite3.Connection, load_id: int) -> sqlite3.Row:
    """Raises LoadRefused."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM card_load WHERE load_id = ?", (load_id,)).fetchone()
    if row is None:
        raise LoadRefused(f"there is no load {load_id}")
    return row


def by_source(db: sqlite3.Connection, source: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute("SELECT * FROM card_load WHERE source = ?", (source,)).fetchone()
    return row


def loads_of(db: sqlite3.Connection, number: str, state: str | None = None) -> list[sqlite3.Row]:
    return db.execute(
        "SELECT * FROM card_load WHERE number = ? AND (? IS NULL OR state = ?) ORDER BY load_id", (number, state, state)
    ).fetchall()


def open_try(db: sqlite3.Connection, number: str) -> sqlite3.Row | None:
    """The MAC2 of this card of which nobody knows whether it was obeyed."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM card_load_try WHERE number = ? AND state = ?", (number, AUTHORISED)
    ).fetchone()
    return row


def authorise(db: sqlite3.Connection, load_id: int, row: dict[str, Any]) -> int:
    """Write a MAC2 down before it is sent. Raises LoadUnknown where one is out already, LoadRefused."""
    ordered = load(db, load_id)
    if ordered["state"] == AUTHORISED:
        raise LoadUnknown(f"load {load_id} was sent and not answered: put the same card on the reader again")
    if ordered["state"] != PAID:
        raise LoadRefused(f"load {load_id} is {ordered['state']}: order another")
    spent = db.execute(
        "SELECT load_id FROM card_load_try WHERE number = ? AND counter = ? AND state <> ?",
        (ordered["number"], row["counter"], NOT_WRITTEN),
    ).fetchone()
    if spent:
        raise LoadUnknown(f"load {spent['load_id']} of this card is open under the same counter: resolve it first")
    db.execute("UPDATE card_load SET state = ? WHERE load_id = ?", (AUTHORISED, load_id))
    return _insert(db, "card_load_try", {
        "load_id": load_id, "number": ordered["number"], "state": AUTHORISED, **row,
    })  # fmt: skip


def written(db: sqlite3.Connection, try_id: int, tac: bytes | None, actor: str, at_s: int) -> None:
    """The card proved that it holds the money."""
    row = one_try(db, try_id)
    amount_fen = load(db, row["load_id"])["amount_fen"]
    db.execute(
        "UPDATE card_load_try SET state = ?, tac = ?, ended_at_s = ? WHERE try_id = ?", (WRITTEN, tac, at_s, try_id)
    )
    db.execute("UPDATE card_load SET state = ? WHERE load_id = ?", (WRITTEN, row["load_id"]))
    post(db, row["number"], "loaded", f"load {row['load_id']}", OWED, PURSES, amount_fen, actor, at_s)


def not_written(db: sqlite3.Connection, try_id: int, at_s: int) -> None:
    """The card proved that its counter did not advance: another MAC2 may be made, or the money paid back."""
    row = one_try(db, try_id)
    db.execute("UPDATE card_load_try SET state = ?, ended_at_s = ? WHERE try_id = ?", (NOT_WRITTEN, at_s, try_id))
    db.execute("UPDATE card_load SET state = ? WHERE load_id = ?", (PAID, row["load_id"]))


def refund_load(db: sqlite3.Connection, load_id: int, actor: str, at_s: int) -> int:
    """Money back for a load that never went onto the card. Raises LoadUnknown while it may have: then never."""
    row = load(db, load_id)
    if row["state"] == AUTHORISED:
        raise LoadUnknown(
            f"load {load_id} was sent and not answered: no money back before the card proves that it is not on it"
        )
    if row["state"] != PAID:
        raise LoadRefused(f"load {load_id} is {row['state']}: there is nothing to pay back")
    if row["source"].startswith("case "):
        raise LoadRefused(f"load {load_id} belongs to {row['source']}: end that")
    db.execute("UPDATE card_load SET state = ? WHERE load_id = ?", (REFUNDED, load_id))
    post(db, row["number"], "load refunded", f"load {load_id}", OWED, CASH, row["amount_fen"], actor, at_s)
    return int(row["amount_fen"])


def written_try(db: sqlite3.Connection, load_id: int) -> sqlite3.Row:
    """The MAC2 of a load that is on the card, with the load's amount."""
    row: sqlite3.Row = db.execute(
        "SELECT card_load_try.*, amount_fen FROM card_load_try JOIN card_load USING (load_id) "
        "WHERE load_id = ? AND card_load_try.state = ?",
        (load_id, WRITTEN),
    ).fetchone()
    return row


def one_try(db: sqlite3.Connection, try_id: int) -> sqlite3.Row:
    row: sqlite3.Row = db.execute("SELECT * FROM card_load_try WHERE try_id = ?", (try_id,)).fetchone()
    return row


# --- cases


def open_case(
    db: sqlite3.Connection, kind: str, old_card: int, amount_fen: int, deposit_fen: int, due_s: int, actor: str,
    at_s: int, detail: str, new_card: int | None = None,
) -> int:  # fmt: skip
    """Raises CaseRefused where one is open or was done."""
    there = db.execute(
        "SELECT * FROM card_case WHERE old_card = ? AND kind <> 'extend' AND state <> ?", (old_card, CLOSED)
    ).fetchone()
    if there and kind != "extend":
        raise CaseRefused(f"case {there['case_id']} ({there['kind']}) of this card is {there['state']}: go on with it")
    case_id = _insert(db, "card_case", {
        "kind": kind, "old_card": old_card, "new_card": new_card, "amount_fen": amount_fen,
        "deposit_fen": deposit_fen, "due_s": due_s, "state": OPEN, "opened_at_s": at_s, "opened_by": actor,
        "detail": detail,
    })  # fmt: skip
    _note(db, case_id, OPEN, kind, actor, at_s)
    return case_id


def case(db: sqlite3.Connection, case_id: int) -> sqlite3.Row:
    """Raises CaseRefused."""
    row: sqlite3.Row | None = db.execute("SELECT * FROM card_case WHERE case_id = ?", (case_id,)).fetchone()
    if row is None:
        raise CaseRefused(f"there is no case {case_id}: `ykt cards cases` shows them")
    return row


def case_of(db: sqlite3.Connection, old_card: int) -> sqlite3.Row | None:
    """The one that moves this card's money, if any."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM card_case WHERE old_card = ? AND kind <> 'extend' AND state <> ?", (old_card, CLOSED)
    ).fetchone()
    return row


def linked(db: sqlite3.Connection, card_id: int) -> list[sqlite3.Row]:
    """The cases that this card gave its money in, or took another's."""
    return db.execute(
        "SELECT * FROM card_case WHERE old_card = ? OR new_card = ? ORDER BY case_id", (card_id, card_id)
    ).fetchall()


def cases(db: sqlite3.Connection) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM card_case ORDER BY case_id").fetchall()


def move_case(db: sqlite3.Connection, case_id: int, to_state: str, why: str, actor: str, at_s: int) -> None:
    """Raises CaseRefused."""
    row = case(db, case_id)
    if to_state not in CASE_MOVES[row["state"]]:
        raise CaseRefused(f"case {case_id} is {row['state']}: it does not become {to_state}")
    db.execute("UPDATE card_case SET state = ? WHERE case_id = ?", (to_state, case_id))
    _note(db, case_id, to_state, why, actor, at_s)


def fix_amount(db: sqlite3.Connection, case_id: int, amount_fen: int) -> None:
    """Of a card that does not answer: what is paid for it, once."""
    db.execute("UPDATE card_case SET final_fen = ? WHERE case_id = ?", (amount_fen, case_id))


def planned_fen(db: sqlite3.Connection, case_id: int) -> int:
    """What moves in the end."""
    row = case(db, case_id)
    return int(row["amount_fen"] if row["final_fen"] is None else row["final_fen"])


def give_card(db: sqlite3.Connection, case_id: int, new_card: int) -> None:
    """The card that takes the money; it stays that one. Raises CaseRefused."""
    row = case(db, case_id)
    if row["new_card"] not in (None, new_card):
        raise CaseRefused(f"case {case_id} has another new card: put that one on the reader")
    db.execute("UPDATE card_case SET new_card = ? WHERE case_id = ?", (new_card, case_id))


def approve(db: sqlite3.Connection, case_id: int, actor: str, at_s: int) -> None:
    """By a second person. Raises CaseRefused, NeedsSecond."""
    row = case(db, case_id)
    if row["state"] != OPEN:
        raise CaseRefused(f"case {case_id} is {row['state']}: there is nothing to approve")
    if not people.are_two(row["opened_by"], actor):
        raise NeedsSecond(f"case {case_id} was opened by {actor}: another person must approve it")
    db.execute("UPDATE card_case SET approved_at_s = ?, approved_by = ? WHERE case_id = ?", (at_s, actor, case_id))
    _note(db, case_id, OPEN, "approved", actor, at_s)


def case_events(db: sqlite3.Connection, case_id: int) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM card_case_event WHERE case_id = ? ORDER BY id", (case_id,)).fetchall()


# --- what is known of a card that does not answer


def shadow_fen(db: sqlite3.Connection, number: str) -> int:
    """The balance by the books: after its last confirmed ride, and what was loaded later. Never below 0."""
    marks = ", ".join("?" * len(_CONFIRMED))
    last = db.execute(
        f"SELECT at_s, balance_fen, limit_fen, amount_fen FROM txn WHERE card = ? AND state IN ({marks}) "
        "AND event >> 4 = 0 ORDER BY counter DESC, id DESC LIMIT 1",
        ("0" + number, *_CONFIRMED),
    ).fetchone()
    balance_fen, since = 0, ""
    if last:
        balance_fen = last["balance_fen"] - last["limit_fen"] - last["amount_fen"]
        since = bcd.to_digits(bcd.stamp(last["at_s"]))
    loaded_fen = db.execute(
        "SELECT COALESCE(SUM(amount_fen), 0) FROM card_load JOIN card_load_try USING (load_id, number) "
        "WHERE number = ? AND card_load_try.state = ? AND at > ?",
        (number, WRITTEN, since),
    ).fetchone()[0]
    return max(0, balance_fen + int(loaded_fen))


def unsettled(db: sqlite3.Connection, number: str) -> int:
    """How many records of this card nobody can say yes or no to yet."""
    marks = ", ".join("?" * len(_UNSETTLED))
    found = db.execute(
        f"SELECT COUNT(*) FROM txn WHERE card = ? AND state IN ({marks}) AND event >> 4 = 0",
        ("0" + number, *_UNSETTLED),
    )
    return int(found.fetchone()[0])


def stragglers(db: sqlite3.Connection, number: str, after_s: int) -> list[sqlite3.Row]:
    """Confirmed rides of a card that arrived after its balance was paid out."""
    marks = ", ".join("?" * len(_CONFIRMED))
    return db.execute(
        f"SELECT txn.id, txn.amount_fen FROM txn JOIN entry ON entry.id = txn.id WHERE card = ? "
        f"AND state IN ({marks}) AND event >> 4 = 0 AND received_at_s > ? ORDER BY txn.id",
        ("0" + number, *_CONFIRMED, after_s),
    ).fetchall()


def is_posted(db: sqlite3.Connection, what: str, ref: str) -> bool:
    return db.execute("SELECT 1 FROM card_entry WHERE what = ? AND ref = ?", (what, ref)).fetchone() is not None


def _note(db: sqlite3.Connection, case_id: int, to_state: str, why: str, actor: str, at_s: int) -> None:
    _insert(db, "card_case_event", {
        "case_id": case_id, "at_s": at_s, "to_state": to_state, "why": why, "actor": actor,
    })  # fmt: skip


def _insert(db: sqlite3.Connection, table: str, row: dict[str, Any]) -> int:
    marks = ", ".join("?" * len(row))
    inserted = db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values())).lastrowid
    assert inserted is not None
    return inserted
