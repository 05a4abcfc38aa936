"""One upload's entries into the store: each is new, a replay, in conflict, or refused by name.

The rules: backoffice/docs/intake.md. The device key (device, epoch, seq) is the identity; the card key (card, counter)
says that a card spends a counter once. Same key and same content: nothing is stored again. Same key and other content:
both are kept, the first stands, the second waits (HELD) until their TACs tell which one is true.
"""

import sqlite3
from typing import Any, NamedTuple

from backoffice.intake import commands
from backoffice.intake.content import content_hash
from backoffice.store import products, records, states
from backoffice.store.days import clearing_day
from tunion.record import BadInput
from tunion.wire import tap

MALFORMED = "TX-04"
CONFLICT = "TX-03"
TWO_TERMINALS = "TX-11"  # one counter of a card spent at two terminals
GREY_RECORD = "TX-20"

COPIES_MAX = 4  # entries kept under one device key: evidence for a person, not a way to fill the disk

_CONFIRMED = (tap.SETTLED, tap.PROVED, tap.DISPUTED)


class Source(NamedTuple):
    device_id: int
    epoch: int
    received_at_s: int


class Taken(NamedTuple):
    """What became of an upload's entries."""

    acked: list[int]  # sequence numbers durably stored, now or before
    rejected: list[list[int | str]]  # [seq, code]


class _Rejected(Exception):
    def __init__(self, seq: int, code: str) -> None:
        super().__init__(code)
        self.seq = seq
        self.code = code


def take(db: sqlite3.Connection, source: Source, record_entries: list[bytes], event_entries: list[bytes]) -> Taken:
    """Store what is new, inside the caller's transaction."""
    taken = Taken([], [])
    counts = {"taps": 0, "taps_fen": 0, "replays": 0}
    placed: list[tuple[bytes, tuple[int, ...]]] = [(entry, (tap.TAP, tap.AMEND)) for entry in record_entries]
    placed += [(entry, (tap.EVENT,)) for entry in event_entries]
    for entry, kinds in placed:
        try:
            body, outcome = _parsed(entry, kinds)
            stored = _store(db, source, entry, body, outcome)
        except _Rejected as refused:
            taken.rejected.append([refused.seq, refused.code])
            continue
        taken.acked.append(body.seq)
        counts["replays"] += not stored
        if stored and body.kind == tap.TAP:
            counts["taps"] += 1
            counts["taps_fen"] += body.amount_fen
    day = clearing_day(source.received_at_s)
    records.count_intake(db, day, source.device_id, rejects=len(taken.rejected), **counts)
    return taken


def _parsed(entry: bytes, kinds: tuple[int, ...]) -> tuple[Any, Any]:
    try:
        body, outcome = tap.from_wire(entry)
    except BadInput:
        raise _Rejected(_seq_of(entry), MALFORMED) from None
    if body.kind not in kinds:
        raise _Rejected(body.seq, MALFORMED)
    return body, outcome


def _seq_of(entry: bytes) -> int:
    """The number a broken entry seems to carry, so that the device can find it; 0 where it carries none."""
    whole = entry[:6] + bytes(6)
    return int.from_bytes(whole[2:6], "big") if entry[:1] in (b"\x01", b"\x02", b"\x03") else 0


def _store(db: sqlite3.Connection, source: Source, raw: bytes, body: Any, outcome: Any) -> bool:
    """True where the entry was stored, False for a replay."""
    said = content_hash(body, outcome)
    earlier = records.copies(db, source.device_id, source.epoch, body.seq)
    if any(copy["content_hash"] == said for copy in earlier):
        return False
    if len(earlier) >= COPIES_MAX:
        raise _Rejected(body.seq, CONFLICT)
    holder = None
    if body.kind == tap.TAP and outcome.code in _CONFIRMED:
        holder = records.card_key_holder(db, products.card_key(body.card.hex(), body.event), body.counter)
        if holder is not None and holder["content_hash"] == said:
            return False  # a journal that was lost and read back, sent under new numbers
    device = (source.device_id, source.epoch)
    entry_id = records.insert_entry(db, device, body, len(earlier), said, raw, source.received_at_s)
    if body.kind == tap.EVENT:
        records.insert_event(db, entry_id, body)
        if body.code == tap.COMMAND_DONE:
            commands.done(db, source.device_id, body, source.received_at_s)
    elif body.kind == tap.AMEND:
        records.insert_amend(db, entry_id, body, outcome)
    else:
        standing = _standing(earlier, holder, body, outcome)
        _store_tap(db, source, entry_id, len(earlier), body, outcome, standing)
    if earlier and body.kind != tap.TAP:
        states.flag(db, CONFLICT, f"entry {entry_id}", 0, "", source.received_at_s)
    return True


def _store_tap(
    db: sqlite3.Connection,
    source: Source,
    entry_id: int,
    copy: int,
    body: Any,
    outcome: Any,
    standing: tuple[str, str, int | None],
) -> None:
    state, reason, _ = standing
    day = clearing_day(source.received_at_s)
    records.insert_tap(db, entry_id, (source.device_id, source.epoch), copy, day, body, outcome, standing)
    if state == states.UNIQUE:
        records.take_card_key(db, products.card_key(body.card.hex(), body.event), body.counter, entry_id)
    states.born(db, entry_id, state, reason, source.received_at_s)


def _standing(
    earlier: list[sqlite3.Row], holder: sqlite3.Row | None, body: Any, outcome: Any
) -> tuple[str, str, int | None]:
    """(state, reason, rival) of a tap that is new."""
    if outcome.code == tap.VOID:
        return states.VOID, "no debit", None
    if earlier:
        return states.HELD, CONFLICT, earlier[0]["id"]
    if outcome.code == tap.GREY:
        return states.GREY, GREY_RECORD, None
    if holder is not None:
        same_terminal = holder["terminal"] == body.terminal.hex()
        return states.HELD, CONFLICT if same_terminal else TWO_TERMINALS, holder["id"]
    return states.UNIQUE, "", None
