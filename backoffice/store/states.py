"""The state of a tap record, and the only code that changes it. State machine: backoffice/docs/clearing.md.

Each change leaves a row of history; a record that stops being on its way opens an anomaly, and one that goes on
closes its own.
"""

import sqlite3

UNIQUE = "UNIQUE"  # stored, the first under its keys
CHECKED = "CHECKED"  # issuer, terminal and fee rule are known
VERIFIED = "VERIFIED"  # the debit is proven; enters the next run
CLEARED = "CLEARED"  # in the effective run of a day
NOTED = "NOTED"  # proven, and no money in it: an entry, a boarding, a free ride
GREY = "GREY"  # 灰记录: nobody knows yet whether the debit happened
SUSPECT = "SUSPECT"  # `reason` says what must be settled first
HELD = "HELD"  # the second record under a key
REJECTED = "REJECTED"  # never clears
VOID = "VOID"  # no debit happened, or it was given up in the passenger's favour

OPEN = (UNIQUE, CHECKED, VERIFIED, GREY, SUSPECT, HELD, REJECTED)  # money neither cleared nor void

_STOPPED = (SUSPECT, HELD, REJECTED, GREY)


def born(db: sqlite3.Connection, txn_id: int, state: str, reason: str, at_s: int) -> None:
    """History and anomaly of a record just inserted in `state`."""
    _note(db, txn_id, "", state, reason, "intake", at_s)


def move(db: sqlite3.Connection, txn_id: int, to_state: str, reason: str, actor: str, at_s: int) -> None:
    """Change the state of a record; does nothing where state and reason stay the same."""
    row = db.execute("SELECT state, reason FROM txn WHERE id = ?", (txn_id,)).fetchone()
    if (row["state"], row["reason"]) == (to_state, reason):
        return
    db.execute("UPDATE txn SET state = ?, reason = ? WHERE id = ?", (to_state, reason, txn_id))
    if row["state"] in _STOPPED:
        db.execute(
            "UPDATE anomaly SET closed_at_s = ?, resolution = ? WHERE code = ? AND ref = ?",
            (at_s, f"{to_state} {reason}".strip(), row["reason"], f"txn {txn_id}"),
        )
    _note(db, txn_id, row["state"], to_state, reason, actor, at_s)


def flag(
    db: sqlite3.Connection, code: str, ref: str, amount_fen: int, owner: str, at_s: int, detail: str = ""
) -> None:
    """Open an anomaly, once for each code and reference; one that was closed stays closed."""
    db.execute(
        "INSERT INTO anomaly (code, ref, amount_fen, owner, opened_at_s, detail) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (code, ref) DO NOTHING",
        (code, ref, amount_fen, owner, at_s, detail),
    )


def _note(db: sqlite3.Connection, txn_id: int, before: str, after: str, reason: str, actor: str, at_s: int) -> None:
    db.execute(
        "INSERT INTO txn_event (txn_id, at_s, from_state, to_state, reason, actor) VALUES (?, ?, ?, ?, ?, ?)",
        (txn_id, at_s, before, after, reason, actor),
    )
    if after in _STOPPED:
        row = db.execute(
            "SELECT txn.amount_fen, device.acquirer FROM txn JOIN device USING (device_id) WHERE txn.id = ?", (txn_id,)
        ).fetchone()
        ref = f"txn {txn_id}"
        db.execute("UPDATE anomaly SET closed_at_s = NULL, resolution = '' WHERE code = ? AND ref = ?", (reason, ref))
        flag(db, reason, ref, row["amount_fen"], row["acquirer"], at_s)
