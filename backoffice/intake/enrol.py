"""A device that is known comes with another journal: its flash was lost or replaced. Rules: backoffice/docs/intake.md.

A nonce of ours shows that the question is asked now. A device whose journal a clerk has ended beforehand is enrolled at
once, any other waits for a clerk. The journal before it is closed for ever; its records stand by (device, epoch, seq).
"""

import secrets
import sqlite3
from typing import Any

from backoffice.store import registry
from tunion.wire import enrol, sync

_CHALLENGED, _WAITING, _ENROLLED, _CLOSED = "CHALLENGED", "WAITING", "ENROLLED", "CLOSED"


def answer(db: sqlite3.Connection, request: Any, now_s: int) -> "enrol.Answer":
    """What to tell the device, inside the caller's transaction. Any question may come any number of times."""
    device = registry.device(db, request.device_id)
    assert device is not None, "its MAC was right"
    if registry.is_retired(db, device.device_id, request.epoch):
        return _say(request, enrol.CLOSED)
    found = _row(db, request.device_id, request.epoch)
    if found is None or not found["nonce"] or found["nonce"] != request.nonce:
        return _say(request, enrol.CHALLENGE, _challenged(db, request, found, now_s))
    if device.epoch != request.epoch:
        if _is_followed(db, found):  # this question was under way when the flash was lost again
            registry.retire(db, device.device_id, request.epoch, now_s)
            _decide(db, device.device_id, request.epoch, _CLOSED, "", now_s)
            return _say(request, enrol.CLOSED)
        _close_earlier(db, device, found, now_s)
        if device.epoch is not None:
            _set(db, request, _WAITING, now_s)
            return _say(request, enrol.WAITING)
        _bind(db, device.device_id, request.epoch, "", now_s)
    db.execute(  # used up: the next question gets another nonce
        "UPDATE enrolment SET state = ?, nonce = NULL, asked_at_s = ? WHERE device_id = ? AND epoch = ?",
        (_ENROLLED, now_s, request.device_id, request.epoch),
    )
    return _say(request, enrol.ENROLLED)


def accept(db: sqlite3.Connection, device_id: int, epoch: int, user: str, now_s: int) -> None:
    """A clerk takes the journal that waits; the one before is closed. Raises RegistryConflict."""
    device = registry.device(db, device_id)
    if device is None:
        raise registry.RegistryConflict(f"device {device_id} is not registered")
    found = _row(db, device_id, epoch)
    if found is None or found["state"] != _WAITING:
        known = ", ".join(f"{row['epoch']:08X}" for row in waiting(db) if row["device_id"] == device_id) or "none"
        raise registry.RegistryConflict(f"journal {epoch:08X} of device {device_id} does not wait; waiting: {known}")
    registry.re_enrol(db, device_id, now_s)
    _bind(db, device_id, epoch, user, now_s)


def waiting(db: sqlite3.Connection) -> list[sqlite3.Row]:
    """Journals that a clerk has to decide about: device_id, name, epoch, asked_at_s, last_seq."""
    return db.execute(
        "SELECT device_id, name, enrolment.epoch, asked_at_s, last_seq FROM enrolment JOIN device USING (device_id) "
        "WHERE state = ? ORDER BY device_id, asked_at_s",
        (_WAITING,),
    ).fetchall()


def _say(request: Any, state: str, nonce: bytes = b"") -> "enrol.Answer":
    return enrol.Answer(sync.PROTO, request.device_id, request.epoch, state, nonce)


def _row(db: sqlite3.Connection, device_id: int, epoch: int) -> Any:
    return db.execute("SELECT * FROM enrolment WHERE device_id = ? AND epoch = ?", (device_id, epoch)).fetchone()


def _challenged(db: sqlite3.Connection, request: Any, found: Any, now_s: int) -> bytes:
    """The nonce of this journal, the same until it is used: a lost answer costs one repeat."""
    if found is not None and found["nonce"]:
        return bytes(found["nonce"])
    nonce = secrets.token_bytes(enrol.NONCE_BYTES)
    db.execute(
        "INSERT INTO enrolment (device_id, epoch, place, state, nonce, last_seq, asked_at_s) "
        "VALUES (?, ?, (SELECT COUNT(*) + 1 FROM enrolment WHERE device_id = ?), ?, ?, ?, ?) "
        "ON CONFLICT (device_id, epoch) DO UPDATE SET nonce = excluded.nonce",
        (request.device_id, request.epoch, request.device_id, _CHALLENGED, nonce, request.last_seq, now_s),
    )
    return nonce


def _set(db: sqlite3.Connection, request: Any, state: str, now_s: int) -> None:
    db.execute(
        "UPDATE enrolment SET state = ?, last_seq = ?, asked_at_s = ? WHERE device_id = ? AND epoch = ?",
        (state, request.last_seq, now_s, request.device_id, request.epoch),
    )


def _is_followed(db: sqlite3.Connection, found: Any) -> bool:
    """A journal that asked later has proven itself. One that only asked may be a capture played back."""
    row = db.execute(
        "SELECT 1 FROM enrolment WHERE device_id = ? AND place > ? AND state IN (?, ?)",
        (found["device_id"], found["place"], _WAITING, _ENROLLED),
    ).fetchone()
    return row is not None


def _close_earlier(db: sqlite3.Connection, device: registry.Device, found: Any, now_s: int) -> None:
    """The flash was lost again: what asked before cannot come back."""
    rows = db.execute(
        "SELECT epoch FROM enrolment WHERE device_id = ? AND place < ? AND state IN (?, ?)",
        (device.device_id, found["place"], _CHALLENGED, _WAITING),
    ).fetchall()
    for row in rows:
        if row["epoch"] != device.epoch:
            registry.retire(db, device.device_id, row["epoch"], now_s)
            _decide(db, device.device_id, row["epoch"], _CLOSED, "", now_s)


def _bind(db: sqlite3.Connection, device_id: int, epoch: int, user: str, now_s: int) -> None:
    db.execute("UPDATE device SET epoch = ?, msg_seq = 0 WHERE device_id = ?", (epoch, device_id))
    _decide(db, device_id, epoch, _ENROLLED, user, now_s)


def _decide(db: sqlite3.Connection, device_id: int, epoch: int, state: str, user: str, now_s: int) -> None:
    db.execute(
        "UPDATE enrolment SET state = ?, decided_at_s = ?, decided_by = ? WHERE device_id = ? AND epoch = ?",
        (state, now_s, user, device_id, epoch),
    )
