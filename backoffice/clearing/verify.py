"""TAC verdicts. CHECKED -> VERIFIED (NOTED where no money moved), or SUSPECT; and which of two records under one key is
the true one.

The keys stay with the key service; only `ok` goes on. A verdict `unavailable` changes nothing: the next run asks
again. The key service is asked outside of any transaction, so that intake goes on meanwhile.
"""

import sqlite3
from collections.abc import Callable

from backoffice.clearing.product import NO_TAC_KEY, UNVERIFIED_LEGACY, waits_for_key
from backoffice.keys.service import BAD, BATCH_MAX, NO_KEY, OK, UNAVAILABLE, KeyService, TacRequest
from backoffice.store import products, records, states
from backoffice.store.engine import Store
from tunion.wire import tap

BAD_TAC = "TX-06"
CLONE = "KM-03"  # two true purchases under one key, or a card that proves itself to its issuer and not to the SAM


def verify(store: Store, keys: KeyService, now_s: int) -> None:
    """Ask for the verdict of every record that waits for one."""
    _by_chain(store, now_s)
    _in_batches(store, keys, (states.CHECKED,), (), lambda db, txn, verdict: _judge(db, txn, verdict, now_s))
    waiting = (NO_TAC_KEY, UNVERIFIED_LEGACY)
    _in_batches(store, keys, (states.SUSPECT,), waiting, lambda db, txn, verdict: _judge(db, txn, verdict, now_s))
    _in_batches(
        store, keys, (states.HELD,), ("TX-03", "TX-11"), lambda db, txn, verdict: _weigh(db, txn, verdict, now_s)
    )


def _by_chain(store: Store, now_s: int) -> None:
    """Grey records that the card's next purchase proved: there is no TAC to ask for."""
    with store.transaction() as db:
        for txn in records.in_states(db, [states.CHECKED]):
            if txn["proof"] == "chain":
                states.move(db, txn["id"], _proven(txn), "grey resolved", "verify", now_s)


def _in_batches(
    store: Store,
    keys: KeyService,
    wanted: tuple[str, ...],
    reasons: tuple[str, ...],
    act: Callable[[sqlite3.Connection, sqlite3.Row, str], None],
) -> None:
    """`act(db, record, verdict)` for each record in a state; each batch is one transaction."""
    with store.reading() as db:
        waiting = records.ids_in_states(db, wanted, reasons)
    for start in range(0, len(waiting), BATCH_MAX):
        ids = waiting[start : start + BATCH_MAX]
        with store.reading() as db:
            requests = [_request(db, records.by_id(db, txn_id)) for txn_id in ids]
        verdicts = keys.tac_verify_batch(requests)
        with store.transaction() as db:
            for txn_id, verdict in zip(ids, verdicts, strict=True):
                txn = records.by_id(db, txn_id)
                if txn["state"] in wanted:  # another process may have been here meanwhile
                    act(db, txn, verdict)


def _judge(db: sqlite3.Connection, txn: sqlite3.Row, verdict: str, now_s: int) -> None:
    outcome, _ = records.effective_tac(db, txn)
    if verdict == UNAVAILABLE:
        return
    if verdict == OK and outcome != tap.DISPUTED:
        records.set_proof(db, txn["id"], "tac")
        states.move(db, txn["id"], _proven(txn), "", "verify", now_s)
        return
    # DISPUTED and proven to the issuer: the SAM was shown another session key, and the gate stayed shut
    reason = {OK: CLONE, BAD: BAD_TAC, NO_KEY: waits_for_key(products.of(txn))}[verdict]
    states.move(db, txn["id"], states.SUSPECT, reason, "verify", now_s)


def _proven(txn: sqlite3.Row) -> str:
    """Where a proven record goes on: what has no money in it enters no run."""
    return states.VERIFIED if txn["amount_fen"] else states.NOTED


def _weigh(db: sqlite3.Connection, txn: sqlite3.Row, verdict: str, now_s: int) -> None:
    """A second record under a key. The one whose TAC verifies wins; both: something was cloned, a person decides.

    The first was judged before, in this run or an earlier one.
    """
    if verdict == BAD:
        states.move(db, txn["id"], states.SUSPECT, BAD_TAC, "verify", now_s)
    if verdict != OK:
        return
    first = records.by_id(db, txn["rival_id"])
    if first["state"] in (states.VERIFIED, states.CLEARED, states.NOTED):
        states.move(db, txn["id"], states.HELD, CLONE, "verify", now_s)
    elif first["reason"] == BAD_TAC or first["state"] == states.VOID:
        spender = products.card_key(txn["card"], txn["event"])
        holder = records.card_key_holder(db, spender, txn["counter"])
        if holder is None or holder["id"] in (first["id"], txn["id"]):
            records.take_card_key(db, spender, txn["counter"], txn["id"])
            states.move(db, txn["id"], states.UNIQUE, "won by TAC", "verify", now_s)


def _request(db: sqlite3.Connection, txn: sqlite3.Row) -> TacRequest:
    _, tac = records.effective_tac(db, txn)
    return TacRequest(
        issuer=bytes.fromhex(txn["issuer_id"]),
        card=bytes.fromhex(txn["card"]),
        algorithm=txn["algorithm"],
        amount_fen=txn["amount_fen"],
        type=txn["type"],
        terminal=bytes.fromhex(txn["terminal"]),
        terminal_seq=txn["terminal_seq"],
        at_s=txn["at_s"],
        tac=tac,
        product=products.of(txn),
        version=txn["key_version"],
    )
