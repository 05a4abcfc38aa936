"""What happens to a SAM after it was made: shipped, received, linked to a terminal, blocked, lost, destroyed.

Linking writes the registry's `terminal` rows, by which clearing knows a SAM; blocking ends them, and records from then
on are refused as TX-22. Linking, unlinking and destroying take two people: the first asks, the second does the same.
"""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from backoffice.clearing.check import UNREGISTERED
from backoffice.keys.sam_orders import OrderKey, of_batch, person
from backoffice.keys.service import KeyService
from backoffice.store import sam_tables as tables
from backoffice.store import states
from backoffice.store.registry import ALWAYS_S
from backoffice.store.sam_tables import SamRefused

SHORT_BOX = "KM-04"  # anomaly: SAMs of a shipment did not arrive. Our own number; the operator answers for it
BLOCKED_SAM = "sam_blocked"  # detail of the TX-22 of a record that was cleared before the block was known
BOX_MAX = 1000
ALL = "all"
REASON_LETTERS_MAX = 200


class Box(NamedTuple):
    box_id: int
    note: str  # JSON, what is printed and laid into the box
    digest: str
    key_id: str
    signature: bytes


class Blocked(NamedTuple):
    """What a block did to records that were here already."""

    refused: int  # not yet cleared: now TX-22
    flagged: int  # cleared before: their day stays, an anomaly is open for each


def ship(
    db: sqlite3.Connection, sam_nos: Sequence[str], user: str, now_s: int, keys: KeyService | None = None,
    key_id: str = "",
) -> Box:  # fmt: skip
    """Put good SAMs of one operator into a box. With `key_id` the note's digest is signed. Raises SamRefused, NoKey."""
    user = person(user)
    if not 1 <= len(sam_nos) <= BOX_MAX or len(set(sam_nos)) != len(sam_nos):
        raise SamRefused(f"a box holds 1 to {BOX_MAX} SAMs, each named once")
    rows = [tables.sam(db, sam_no) for sam_no in sorted(sam_nos)]
    for row in rows:
        if row["state"] != tables.CHECKED:
            raise SamRefused(f"SAM {row['sam_no']} is {row['state']}: only checked ones are shipped")
        if row["operator"] != rows[0]["operator"]:
            raise SamRefused(f"SAM {row['sam_no']} is for {row['operator']}: a box goes to one operator")
    box_id = int(db.execute("SELECT COALESCE(MAX(box_id), 0) + 1 FROM sam_box").fetchone()[0])
    note = json.dumps(
        {
            "box": box_id,
            "operator": rows[0]["operator"],
            "shipped_at_s": now_s,
            "shipped_by": user,
            "protection": _protection({row["kind"] for row in rows}),
            "sams": [_packed(db, row) for row in rows],
        },
        ensure_ascii=False,
        sort_keys=True,
    )
    digest = hashlib.sha256(note.encode())
    signature = keys.sign(key_id, digest.digest()) if keys is not None and key_id else b""
    db.execute(
        "INSERT INTO sam_box VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (box_id, rows[0]["operator"], note, digest.hexdigest(), key_id, signature, now_s, user),
    )
    for row in rows:
        db.execute("UPDATE sam SET box_id = ? WHERE sam_no = ?", (box_id, row["sam_no"]))
        tables.move(db, row["sam_no"], tables.SHIPPED, "shipped", user, now_s, f"box {box_id}")
    return Box(box_id, note, digest.hexdigest(), key_id, signature)


def receive(db: sqlite3.Connection, box_id: int, found: Sequence[str], user: str, now_s: int) -> list[str]:
    """The operator has counted a box: `found`, or ALL. Those still missing, in an anomaly of the operator's.

    Raises SamRefused for a SAM that is not of this box.
    """
    user = person(user)
    box = db.execute("SELECT * FROM sam_box WHERE box_id = ?", (box_id,)).fetchone()
    if box is None:
        raise SamRefused(f"no box {box_id}: `ykt keys sams list --boxes` shows them")
    if user == box["shipped_by"]:
        raise SamRefused(f"{user} shipped box {box_id}: another person receives it")
    rows = db.execute("SELECT sam_no, state FROM sam WHERE box_id = ? ORDER BY sam_no", (box_id,)).fetchall()
    held = {row["sam_no"]: row["state"] for row in rows}
    waiting = {sam_no for sam_no, state in held.items() if state == tables.SHIPPED}
    arrived = waiting if list(found) == [ALL] else set(found)
    for sam_no in sorted(arrived - waiting):
        why = f"is {held[sam_no]} already" if sam_no in held else "is not of this box"
        raise SamRefused(f"SAM {sam_no} {why}: count box {box_id} again")
    for sam_no in sorted(arrived):
        tables.move(db, sam_no, tables.RECEIVED, "received", user, now_s, f"box {box_id}")
    missing = sorted(waiting - arrived)
    ref = f"box {box_id}"
    if missing:
        states.flag(db, SHORT_BOX, ref, 0, box["operator"], now_s, f"{len(missing)} missing")
    else:
        settle_short_box(db, box_id, now_s)
    return missing


def settle_short_box(db: sqlite3.Connection, box_id: int | None, now_s: int) -> None:
    """Close the anomaly of a box of which nothing is on its way any more: it arrived, or is known to be lost."""
    query = "SELECT 1 FROM sam WHERE box_id = ? AND state = ?"
    if box_id is None or db.execute(query, (box_id, tables.SHIPPED)).fetchone() is not None:
        return
    db.execute(
        "UPDATE anomaly SET closed_at_s = ?, resolution = 'nothing is missing any more' "
        "WHERE code = ? AND ref = ? AND closed_at_s IS NULL",
        (now_s, SHORT_BOX, f"box {box_id}"),
    )


def link(
    db: sqlite3.Connection, sam_no: str, device_id: int, user: str, now_s: int, from_s: int | None = None
) -> bool:
    """Register a SAM as a device's: True where the second person has done it, False where it waits for one.

    `from_s`: it was there before today, which both people say alike. Raises SamRefused.
    """
    row = tables.sam(db, sam_no)
    if row["kind"] == tables.ISAM:
        raise SamRefused(f"SAM {sam_no} is a load SAM: it stays in the back office")
    if row["state"] != tables.RECEIVED:
        raise SamRefused(f"SAM {sam_no} is {row['state']}: only a received one is linked")
    device = db.execute("SELECT * FROM device WHERE device_id = ?", (device_id,)).fetchone()
    if device is None:
        raise SamRefused(f"no device {device_id} in the registry: `ykt backoffice load --org FILE` adds one")
    if device["operator"] != row["operator"]:
        raise SamRefused(f"device {device_id} is of {device['operator']}, SAM {sam_no} of {row['operator']}")
    _refuse_other_device(db, row, device_id)
    slots = of_batch(db, row["batch_id"])["slots"]
    there = db.execute("SELECT COUNT(*) FROM sam WHERE device_id = ?", (device_id,)).fetchone()[0]
    if there >= slots:
        raise SamRefused(f"device {device_id} has {slots} slots, and SAMs in all of them: unlink one first")
    lacking = _lacking(db, sam_no)
    if lacking:
        raise SamRefused(
            f"SAM {sam_no} lacks {lacking[0][0]} version {lacking[0][1]} of all installed ones: update it first"
        )
    last = db.execute(
        "SELECT from_s, to_s FROM terminal WHERE terminal = ? ORDER BY from_s DESC LIMIT 1", (row["terminal"],)
    ).fetchone()
    if last is not None and last["to_s"] > (now_s if from_s is None else from_s):
        raise SamRefused(f"terminal {row['terminal']} is registered until later: end that registration first")
    since = "now" if from_s is None else str(from_s)
    if not second(db, sam_no, "link", f"device {device_id} from {since}", user, now_s):
        return False
    since_s = now_s if from_s is None else from_s
    if last is not None and since_s <= last["from_s"]:
        since_s = last["from_s"] + 1  # linked, unlinked and linked within a second: its row has a place of its own
    db.execute(
        "INSERT INTO terminal (terminal, operator, acquirer, device_id, from_s, to_s) VALUES (?, ?, ?, ?, ?, ?)",
        (row["terminal"], row["operator"], row["acquirer"], device_id, since_s, ALWAYS_S[1]),
    )
    db.execute("UPDATE sam SET device_id = ? WHERE sam_no = ?", (device_id, sam_no))
    tables.move(db, sam_no, tables.INSTALLED, "linked", person(user), now_s, f"device {device_id}")
    return True


def unlink(db: sqlite3.Connection, sam_no: str, user: str, now_s: int) -> bool:
    """Take a SAM out of its device and back into the store: True where the second person has done it."""
    row = tables.sam(db, sam_no)
    if row["state"] != tables.INSTALLED:
        raise SamRefused(f"SAM {sam_no} is {row['state']}: it is in no device")
    if not second(db, sam_no, "unlink", f"device {row['device_id']}", user, now_s):
        return False
    _end_terminal(db, row["terminal"], now_s)
    db.execute("UPDATE sam SET device_id = NULL WHERE sam_no = ?", (sam_no,))
    tables.move(db, sam_no, tables.RECEIVED, "unlinked", person(user), now_s, f"device {row['device_id']}")
    return True


def block(
    db: sqlite3.Connection, sam_no: str, reason: str, user: str, now_s: int, from_s: int | None = None
) -> Blocked:
    """Refuse a SAM's records from a time on, now if none is given, for good. One person may: it cannot wait."""
    return _stop(db, sam_no, tables.BLOCKED, "blocked", reason, user, now_s, from_s)


def lose(
    db: sqlite3.Connection, sam_no: str, reason: str, user: str, now_s: int, from_s: int | None = None
) -> Blocked:
    """Nobody knows where it is, since that time; it is blocked as well."""
    return _stop(db, sam_no, tables.LOST, "lost", reason, user, now_s, from_s)


def find(db: sqlite3.Connection, sam_no: str, reason: str, user: str, now_s: int) -> None:
    """A lost one is at hand again. It stays blocked: nobody knows where it was."""
    if tables.sam(db, sam_no)["state"] != tables.LOST:
        raise SamRefused(f"SAM {sam_no} is {tables.sam(db, sam_no)['state']}: only a lost one is found")
    tables.move(db, sam_no, tables.BLOCKED, "found", person(user), now_s, _reason(reason))


def destroy(db: sqlite3.Connection, sam_no: str, user: str, now_s: int) -> bool:
    """The chip is broken in front of two people: True where the second one has said so."""
    row = tables.sam(db, sam_no)
    if tables.DESTROYED not in tables.NEXT[row["state"]]:
        raise SamRefused(f"SAM {sam_no} is {row['state']}: it cannot be destroyed")
    if not second(db, sam_no, "destroy", "", user, now_s):
        return False
    tables.move(db, sam_no, tables.DESTROYED, "destroyed", person(user), now_s)
    return True


def drop_request(db: sqlite3.Connection, sam_no: str, user: str, now_s: int) -> None:
    """What was asked for and waits for a second person is not wanted any more."""
    found = _open_request(db, sam_no)
    if found is None:
        raise SamRefused(f"nothing waits for SAM {sam_no}")
    db.execute("UPDATE sam_request SET dropped = 1 WHERE request_id = ?", (found["request_id"],))
    tables.note(db, sam_no, "request dropped", person(user), now_s, f"{found['what']} {found['detail']}".strip())


def enter(db: sqlite3.Connection, batch_id: int, chip: str, user: str, now_s: int) -> str:
    """A load SAM that its maker has personalised: it takes the next number of an ISAM batch, which is returned."""
    user = person(user)
    order = of_batch(db, batch_id)
    if order["kind"] != tables.ISAM:
        raise SamRefused(f"batch {batch_id} is of {order['kind']}s, which are made here")
    chip = chip.upper()
    if len(chip) != 16 or any(digit not in "0123456789ABCDEF" for digit in chip):
        raise SamRefused("a chip's serial number has 16 hex digits")
    known = db.execute("SELECT sam_no FROM sam WHERE chip = ?", (chip,)).fetchone()
    if known is not None:
        raise SamRefused(f"this chip is SAM {known['sam_no']} already")
    row = db.execute(
        "SELECT sam_no FROM sam WHERE batch_id = ? AND state = ? ORDER BY sam_no LIMIT 1", (batch_id, tables.ORDERED)
    ).fetchone()
    if row is None:
        raise SamRefused(f"batch {batch_id} has all its SAMs")
    db.execute("UPDATE sam SET chip = ? WHERE sam_no = ?", (chip, row["sam_no"]))
    tables.move(db, row["sam_no"], tables.CHECKED, "entered", user, now_s, "made elsewhere")
    return str(row["sam_no"])


def _stop(
    db: sqlite3.Connection, sam_no: str, to_state: str, what: str, reason: str, user: str, now_s: int,
    from_s: int | None,
) -> Blocked:  # fmt: skip
    row = tables.sam(db, sam_no)
    reason = _reason(reason)
    since_s = now_s if from_s is None else from_s
    if since_s > now_s:
        raise SamRefused("a SAM is blocked from now on or from an earlier time")
    if row["blocked_from_s"] is not None:
        since_s = min(since_s, row["blocked_from_s"])
    open_request = _open_request(db, sam_no)
    if open_request is not None:
        drop_request(db, sam_no, user, now_s)
    db.execute("UPDATE sam SET blocked_from_s = ?, device_id = NULL WHERE sam_no = ?", (since_s, sam_no))
    tables.move(db, sam_no, to_state, what, person(user), now_s, f"from {since_s}: {reason}")
    settle_short_box(db, row["box_id"], now_s)
    _end_terminal(db, row["terminal"], since_s)
    return _refuse_records(db, row["terminal"], since_s, now_s)


def _end_terminal(db: sqlite3.Connection, terminal: str, to_s: int) -> None:
    db.execute(
        "UPDATE terminal SET to_s = MAX(from_s, ?) WHERE terminal = ? AND to_s > ?", (to_s, terminal, to_s)
    )


def _refuse_records(db: sqlite3.Connection, terminal: str, since_s: int, now_s: int) -> Blocked:
    """Records of the time after the block that were judged before it was known."""
    rows = db.execute(
        "SELECT txn.id, txn.state, txn.amount_fen, device.acquirer FROM txn JOIN device USING (device_id) "
        "WHERE terminal = ? AND at_s >= ? AND state IN (?, ?, ?)",
        (terminal, since_s, states.CHECKED, states.VERIFIED, states.CLEARED),
    ).fetchall()
    refused = flagged = 0
    for row in rows:
        if row["state"] == states.CLEARED:
            states.flag(db, UNREGISTERED, f"txn {row['id']}", row["amount_fen"], row["acquirer"], now_s, BLOCKED_SAM)
            flagged += 1
        else:
            states.move(db, row["id"], states.SUSPECT, UNREGISTERED, "sam", now_s)
            refused += 1
    return Blocked(refused, flagged)


def second(db: sqlite3.Connection, sam_no: str, what: str, detail: str, user: str, now_s: int) -> bool:
    """Whether a second person says what a first one asked for; the first one's word is stored. Raises SamRefused."""
    user = person(user)
    found = _open_request(db, sam_no)
    if found is None:
        db.execute(
            "INSERT INTO sam_request (sam_no, what, detail, asked_at_s, asked_by) VALUES (?, ?, ?, ?, ?)",
            (sam_no, what, detail, now_s, user),
        )
        return False
    asked = f"{found['asked_by']} asked to {found['what']} SAM {sam_no} {found['detail']}".strip()
    if (found["what"], found["detail"]) != (what, detail):
        raise SamRefused(f"{asked}: do the same, or drop it with `ykt keys sams drop`")
    if found["asked_by"] == user:
        raise SamRefused(f"{asked}: another person does it")
    db.execute(
        "UPDATE sam_request SET settled_at_s = ?, settled_by = ? WHERE request_id = ?",
        (now_s, user, found["request_id"]),
    )
    return True


def _open_request(db: sqlite3.Connection, sam_no: str) -> sqlite3.Row | None:
    row = db.execute(
        "SELECT * FROM sam_request WHERE sam_no = ? AND settled_by IS NULL AND dropped = 0", (sam_no,)
    ).fetchone()
    assert row is None or isinstance(row, sqlite3.Row)
    return row


def _refuse_other_device(db: sqlite3.Connection, row: sqlite3.Row, device_id: int) -> None:
    made_for = db.execute(
        "SELECT device_id FROM sam_blob WHERE sam_no = ? ORDER BY generation DESC LIMIT 1", (row["sam_no"],)
    ).fetchone()
    if made_for is not None and made_for["device_id"] != device_id:
        raise SamRefused(f"soft SAM {row['sam_no']} was made for device {made_for['device_id']}, no other opens it")


def _lacking(db: sqlite3.Connection, sam_no: str) -> list[tuple[str, int]]:
    """Keys that every installed SAM of its kind has and this one has not: (purpose, version)."""
    rows = db.execute(
        "SELECT purpose, version FROM sam_key JOIN sam AS other ON other.sam_no = sam_key.sam_no "
        "WHERE other.state = ? AND other.kind = (SELECT kind FROM sam WHERE sam_no = ?) AND NOT EXISTS "
        "(SELECT 1 FROM sam_key AS own WHERE own.sam_no = ? AND own.purpose = sam_key.purpose "
        "AND own.algorithm = sam_key.algorithm AND own.version = sam_key.version) "
        "GROUP BY purpose, sam_key.algorithm, version HAVING COUNT(DISTINCT other.sam_no) = "
        "(SELECT COUNT(*) FROM sam WHERE state = ? AND kind = (SELECT kind FROM sam WHERE sam_no = ?))",
        (tables.INSTALLED, sam_no, sam_no, tables.INSTALLED, sam_no),
    )
    return [(row["purpose"], row["version"]) for row in rows]


def _packed(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, object]:
    found = db.execute(
        "SELECT purpose, algorithm, key_index, version, kcv FROM sam_key WHERE sam_no = ?", (row["sam_no"],)
    )
    keys = sorted(OrderKey(*key) for key in found)
    return {
        "sam_no": row["sam_no"],
        "terminal": row["terminal"],
        "chip": row["chip"] or "",
        "keys": [f"{key.purpose} {key.algorithm} {key.version} {key.kcv}" for key in keys],
    }


def _protection(kinds: set[str]) -> str:
    """What keeps a stolen box useless. The sample profiles know no PIN."""
    said = {
        tables.PSAM: "control key diversified by chip, no PIN; its records are refused until it is linked",
        tables.ISAM: "as its maker says",
        tables.SOFT: "wrapped under the storage key of one device",
    }
    return "; ".join(said[kind] for kind in sorted(kinds))


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not reason or len(reason) > REASON_LETTERS_MAX or not reason.isprintable():
        raise SamRefused(f"say why, in 1 to {REASON_LETTERS_MAX} letters: --reason TEXT")
    return reason
