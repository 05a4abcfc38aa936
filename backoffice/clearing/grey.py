"""Grey records (灰记录): a DEBIT was sent and its answer lost. Did it happen?

Two witnesses: the validator, which may have met the card again (AMEND), and the card's own next purchase anywhere.
A purchase is a witness only when it is proven, by TAC or by the chain itself.

    witness                                             the grey debit
    proven purchase, same counter                       did not happen: VOID
    proven purchase, counter + 1, balance less amount   happened: clears without a TAC
    proven purchase, counter + 1, balance unchanged     did not happen: VOID
    proven purchase, counter + 1, any other balance     unknown (a load came between): stays open
    no such purchase                                    unknown: stays open, VOID by `expire` after 30 days

A chain of grey records resolves from its last one backwards. Several under one counter are the trace of a card torn
again and again: the last one in time is the one that can have happened, and by the balance their amounts are equal.
"""

import sqlite3

from backoffice.store import products, records, states
from tunion.wire import tap

EXPIRE_AFTER_S = 30 * 86400  # TX-20: then it is void in the passenger's favour

_CONFIRMED = (tap.SETTLED, tap.PROVED, tap.DISPUTED)

AMENDED_PAID = "amended: debited"
AMENDED_VOID = "amended: no debit"
CHAIN_PAID = "chain: debited"
CHAIN_VOID = "chain: no debit"
EXPIRED = "expired"


def apply_amends(db: sqlite3.Connection, now_s: int) -> None:
    """What validators learnt later. One that contradicts a record already decided opens TX-03 and changes nothing."""
    for amend in db.execute(_AMENDS).fetchall():
        if amend["state"] == states.GREY:
            _apply(db, amend, now_s)
        elif _contradicts(amend):
            states.flag(db, "TX-03", f"entry {amend['amend']}", amend["amount_fen"], amend["acquirer"], now_s)


# the first copy of each AMEND not yet applied, with the tap that it speaks of
_AMENDS = """
    SELECT amend.id AS amend, amend.outcome AS outcome, txn.id AS txn, txn.state AS state, txn.card AS card,
           txn.event AS event, txn.counter AS counter, txn.terminal AS terminal,
           txn.amount_fen AS amount_fen, device.acquirer AS acquirer
    FROM amend
    JOIN entry AS said ON said.id = amend.id
    JOIN entry AS first
        ON first.device_id = said.device_id AND first.epoch = said.epoch AND first.seq = amend.of_seq AND first.copy = 0
    JOIN txn ON txn.id = first.id
    JOIN device ON device.device_id = said.device_id
    WHERE said.copy = 0 AND (txn.amend_id IS NULL OR txn.amend_id <> amend.id)
    ORDER BY amend.id
"""


def _apply(db: sqlite3.Connection, amend: sqlite3.Row, now_s: int) -> None:
    txn_id = amend["txn"]
    if amend["outcome"] == tap.VOID:
        db.execute("UPDATE txn SET amend_id = ? WHERE id = ?", (amend["amend"], txn_id))
        states.move(db, txn_id, states.VOID, AMENDED_VOID, "grey", now_s)
    elif amend["outcome"] in _CONFIRMED:
        db.execute("UPDATE txn SET amend_id = ? WHERE id = ?", (amend["amend"], txn_id))
        spender = products.card_key(amend["card"], amend["event"])
        holder = records.card_key_holder(db, spender, amend["counter"])
        if holder is None:
            records.take_card_key(db, spender, amend["counter"], txn_id)
            states.move(db, txn_id, states.UNIQUE, AMENDED_PAID, "grey", now_s)
        else:
            db.execute("UPDATE txn SET rival_id = ? WHERE id = ?", (holder["id"], txn_id))
            reason = "TX-03" if holder["terminal"] == amend["terminal"] else "TX-11"
            states.move(db, txn_id, states.HELD, reason, "grey", now_s)


def _contradicts(amend: sqlite3.Row) -> bool:
    if amend["outcome"] == tap.GREY:
        return False
    says_paid = amend["outcome"] in _CONFIRMED
    is_void: bool = amend["state"] == states.VOID
    return says_paid == is_void


def resolve(db: sqlite3.Connection, now_s: int) -> int:
    """Settle what the cards' next purchases tell; returns how many records. Repeats until nothing more follows."""
    resolved = 0
    while True:
        step = [(txn["id"], _verdict(db, txn)) for txn in _latest_first(db)]
        step = [(txn_id, verdict) for txn_id, verdict in step if verdict]
        taken: set[tuple[str, int]] = set()
        moved = 0
        for txn_id, verdict in step:
            moved += _settle(db, txn_id, verdict, taken, now_s)
        resolved += moved
        if not moved:
            return resolved


def expire(db: sqlite3.Connection, now_s: int, after_s: int = EXPIRE_AFTER_S) -> int:
    """Void grey records that nothing resolved in time, in the passenger's favour; returns how many."""
    old = [row["id"] for row in db.execute(_OLD_GREY, (states.GREY, now_s - after_s)).fetchall()]
    for txn_id in old:
        states.move(db, txn_id, states.VOID, EXPIRED, "grey", now_s)
    return len(old)


_OLD_GREY = """
    SELECT txn.id FROM txn JOIN entry ON entry.id = txn.id
    WHERE txn.state = ? AND entry.received_at_s <= ?
    ORDER BY txn.id
"""


def _latest_first(db: sqlite3.Connection) -> list[sqlite3.Row]:
    return db.execute(
        "SELECT * FROM txn WHERE state = ? ORDER BY at_s DESC, device_id DESC, epoch DESC, seq DESC", (states.GREY,)
    ).fetchall()


def _settle(db: sqlite3.Connection, txn_id: int, verdict: str, taken: set[tuple[str, int]], now_s: int) -> int:
    """1 where the record moved. Of several greys under one counter only the latest may have happened."""
    txn = records.by_id(db, txn_id)
    key = (products.card_key(txn["card"], txn["event"]), txn["counter"])
    if verdict == CHAIN_VOID:
        states.move(db, txn_id, states.VOID, CHAIN_VOID, "grey", now_s)
        return 1
    if key in taken:  # the next round finds the counter spent
        return 0
    taken.add(key)
    records.take_card_key(db, *key, txn_id)
    records.set_proof(db, txn_id, "chain")
    states.move(db, txn_id, states.UNIQUE, CHAIN_PAID, "grey", now_s)
    return 1


_WITNESSES = """
    SELECT counter, balance_fen FROM txn
    WHERE card = ? AND counter IN (?, ?) AND id <> ? AND proof <> 'none' AND event >> 4 = ?
    ORDER BY counter, id
"""


def _verdict(db: sqlite3.Connection, grey: sqlite3.Row) -> str:
    """CHAIN_PAID, CHAIN_VOID, or '' while nobody can tell."""
    counter = grey["counter"]
    rows = db.execute(_WITNESSES, (grey["card"], counter, counter + 1, grey["id"], products.of(grey))).fetchall()
    if any(row["counter"] == counter for row in rows):
        return CHAIN_VOID
    balances = {row["balance_fen"] for row in rows}
    if len(balances) != 1:
        return ""
    (balance_fen,) = balances
    if records.card_key_holder(db, products.card_key(grey["card"], grey["event"]), counter) is not None:
        return ""  # another purchase claims this counter and is not proven yet
    if balance_fen == grey["balance_fen"] - grey["amount_fen"]:
        return CHAIN_PAID
    return CHAIN_VOID if balance_fen == grey["balance_fen"] else ""
