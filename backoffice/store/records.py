"""Journal entries as rows: insert, find by key, find by state."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from tunion.wire import tap

_INSERT_ENTRY = (
    "INSERT INTO entry (device_id, epoch, seq, copy, kind, content_hash, raw, received_at_s) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


def copies(db: sqlite3.Connection, device_id: int, epoch: int, seq: int) -> list[sqlite3.Row]:
    """The entries under a device key, first one first: usually none or one."""
    query = "SELECT id, content_hash FROM entry WHERE device_id = ? AND epoch = ? AND seq = ? ORDER BY copy"
    return db.execute(query, (device_id, epoch, seq)).fetchall()


def insert_entry(
    db: sqlite3.Connection,
    device: tuple[int, int],
    body: Any,
    copy: int,
    content_hash: bytes,
    raw: bytes,
    received_at_s: int,
) -> int:
    """The id of a new entry. `device` is (device_id, epoch)."""
    row = (*device, body.seq, copy, body.kind, content_hash, raw, received_at_s)
    inserted = db.execute(_INSERT_ENTRY, row).lastrowid
    assert inserted is not None
    return inserted


def insert_tap(
    db: sqlite3.Connection,
    entry_id: int,
    device: tuple[int, int],
    copy: int,
    accept_day: str,
    body: Any,
    outcome: Any,
    standing: tuple[str, str, int | None],
) -> None:
    """A tap in its first standing: (state, reason, rival)."""
    state, reason, rival_id = standing
    _insert(
        db,
        "txn",
        {
            "id": entry_id,
            "device_id": device[0],
            "epoch": device[1],
            "seq": body.seq,
            "copy": copy,
            "accept_day": accept_day,
            **{name: getattr(body, name) for name in _AS_THEY_ARE},
            "card": body.card.hex(),
            "issuer_id": body.issuer.hex().upper(),
            "city": body.city.hex(),
            "terminal": body.terminal.hex(),
            "outcome": outcome.code,
            "mac2": outcome.mac2,
            "sw": outcome.sw,
            "tac": outcome.tac,
            "state": state,
            "reason": reason,
            "rival_id": rival_id,
        },
    )


_TEXT = ("card", "issuer", "city", "terminal")
_AS_THEY_ARE = tuple(
    field[0]
    for field in tap.TAP_V1.fields
    if field[0] not in ("kind", "version", "seq", "reserved") and field[0] not in _TEXT
)


def insert_event(db: sqlite3.Connection, entry_id: int, body: Any) -> None:
    row = {name: getattr(body, name) for name in ("at_s", "clk_q", "code", "reason", "value")}
    _insert(db, "event", {"id": entry_id, "card": body.card.hex(), **row})


def insert_amend(db: sqlite3.Connection, entry_id: int, body: Any, outcome: Any) -> None:
    row = {"at_s": body.at_s, "of_seq": body.of_seq, "outcome": outcome.code}
    _insert(db, "amend", {"id": entry_id, **row, "mac2": outcome.mac2, "tac": outcome.tac})


def _insert(db: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def ids_in_states(db: sqlite3.Connection, states: Sequence[str], reasons: Sequence[str] = ()) -> list[int]:
    """As in_states, the numbers only: a day may have millions."""
    return [row["id"] for row in _select(db, "id", states, reasons)]


def card_key_holder(db: sqlite3.Connection, card: str, counter: int) -> sqlite3.Row | None:
    """The confirmed tap that spent this counter of the card, with its content hash."""
    row = db.execute(
        "SELECT txn.*, entry.content_hash FROM card_key JOIN txn ON txn.id = card_key.txn_id "
        "JOIN entry ON entry.id = txn.id WHERE card_key.card = ? AND card_key.counter = ?",
        (card, counter),
    ).fetchone()
    return row if row is None else _row(row)


def take_card_key(db: sqlite3.Connection, card: str, counter: int, txn_id: int) -> None:
    """Give the counter to a tap, from the one that had it if any."""
    db.execute(
        "INSERT INTO card_key (card, counter, txn_id) VALUES (?, ?, ?) "
        "ON CONFLICT (card, counter) DO UPDATE SET txn_id = excluded.txn_id",
        (card, counter, txn_id),
    )


def in_states(db: sqlite3.Connection, states: Sequence[str], reasons: Sequence[str] = ()) -> list[sqlite3.Row]:
    """Taps in one of the states and, where reasons are given, for one of them; by id."""
    return _select(db, "*", states, reasons)


def _select(db: sqlite3.Connection, columns: str, states: Sequence[str], reasons: Sequence[str]) -> list[sqlite3.Row]:
    query = f"SELECT {columns} FROM txn WHERE state IN ({', '.join('?' * len(states))})"
    if reasons:
        query += f" AND reason IN ({', '.join('?' * len(reasons))})"
    return db.execute(query + " ORDER BY id", [*states, *reasons]).fetchall()


def by_id(db: sqlite3.Connection, txn_id: int) -> sqlite3.Row:
    """One tap; that it is there is our own promise."""
    return _row(db.execute("SELECT * FROM txn WHERE id = ?", (txn_id,)).fetchone())


def set_proof(db: sqlite3.Connection, txn_id: int, proof: str) -> None:
    db.execute("UPDATE txn SET proof = ? WHERE id = ?", (proof, txn_id))


def effective_tac(db: sqlite3.Connection, txn: sqlite3.Row) -> tuple[int, bytes]:
    """(outcome, TAC) of a tap: its own, or those of the AMEND that replaced them."""
    if txn["amend_id"] is None:
        return txn["outcome"], txn["tac"]
    row = db.execute("SELECT outcome, tac FROM amend WHERE id = ?", (txn["amend_id"],)).fetchone()
    return row["outcome"], row["tac"]


def count_intake(
    db: sqlite3.Connection, day: str, device_id: int, taps: int, taps_fen: int, replays: int, rejects: int
) -> None:
    """Add to what arrived on a day."""
    db.execute(
        "INSERT INTO intake_total VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (day, device_id) DO UPDATE SET "
        "taps = taps + excluded.taps, taps_fen = taps_fen + excluded.taps_fen, "
        "replays = replays + excluded.replays, rejects = rejects + excluded.rejects",
        (day, device_id, taps, taps_fen, replays, rejects),
    )


def _row(row: Any) -> sqlite3.Row:
    assert isinstance(row, sqlite3.Row)
    return row
