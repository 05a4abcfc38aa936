"""Who is who: organisations, issuers, terminals, devices, fee rules, fare tables.

Rows are dated and only ever added. A row that says something else under a key already taken is refused by name,
so a registry file may be loaded twice, and a longer one later.
"""

import json
import sqlite3
from typing import Any, NamedTuple

ALWAYS_S = (0, 1 << 40)  # valid from, valid to: for rows that name no period


class RegistryConflict(Exception):
    """A row contradicts one that is there, or names something that is not. Nothing was loaded."""


class Device(NamedTuple):
    device_id: int
    name: str
    operator: str
    acquirer: str
    epoch: int | None
    msg_seq: int
    msg_digest: bytes | None
    response: bytes | None


# table -> (key columns, other columns)
_TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "org": (("org",), ("name_zh", "name_en", "city", "province")),
    "bin_range": (("issuer_id", "from_s"), ("org", "to_s")),
    "device": (("device_id",), ("name", "operator", "acquirer")),
    "terminal": (("terminal", "from_s"), ("operator", "acquirer", "device_id", "to_s")),
    "fee_rule": (
        ("rule_id",),
        (
            "level",
            "business",
            "service",
            "acquirer",
            "issuer",
            "charge_rate",
            "issuer_rate",
            "acquirer_rate",
            "from_s",
            "to_s",
        ),
    ),
    "fare_table": (("fare_id", "version"), ("from_s", "scheme", "payload", "sha256")),
}


def add(db: sqlite3.Connection, table: str, row: dict[str, Any]) -> bool:
    """Insert one row; False where the very same row is there already. Raises RegistryConflict."""
    keys, others = _TABLES[table]
    where = " AND ".join(f"{key} = ?" for key in keys)
    found = db.execute(f"SELECT {', '.join(others)} FROM {table} WHERE {where}", [row[key] for key in keys]).fetchone()
    label = f"{table} {' '.join(str(row[key]) for key in keys)}"
    if found is not None:
        differing = [other for other in others if found[other] != row[other]]
        if differing:
            raise RegistryConflict(f"{label} is known with another {', '.join(differing)}")
        return False
    columns = [*keys, *others] + (["msg_seq"] if table == "device" else [])
    values = [row[column] if column != "msg_seq" else 0 for column in columns]
    try:
        db.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", values)
    except sqlite3.IntegrityError as error:
        raise RegistryConflict(f"{label} names an organisation or device that is not registered") from error
    return True


def device(db: sqlite3.Connection, device_id: int) -> Device | None:
    row = db.execute("SELECT * FROM device WHERE device_id = ?", (device_id,)).fetchone()
    return None if row is None else Device(**dict(row))


def devices(db: sqlite3.Connection) -> list[Device]:
    return [Device(**dict(row)) for row in db.execute("SELECT * FROM device ORDER BY device_id")]


def is_retired(db: sqlite3.Connection, device_id: int, epoch: int) -> bool:
    """The journal `epoch` of this device was ended by a re-enrolment."""
    query = "SELECT 1 FROM retired_epoch WHERE device_id = ? AND epoch = ?"
    return db.execute(query, (device_id, epoch)).fetchone() is not None


def has_ended_one(db: sqlite3.Connection, device_id: int) -> bool:
    """A journal of this device was ended: another one has to be enrolled before it uploads."""
    return db.execute("SELECT 1 FROM retired_epoch WHERE device_id = ?", (device_id,)).fetchone() is not None


def retire(db: sqlite3.Connection, device_id: int, epoch: int, at_s: int) -> None:
    """Close a journal of this device for ever."""
    db.execute("INSERT OR IGNORE INTO retired_epoch VALUES (?, ?, ?)", (device_id, epoch, at_s))


def re_enrol(db: sqlite3.Connection, device_id: int, at_s: int) -> None:
    """Let the device enrol its next journal without a clerk; its present one is refused from now on."""
    known = device(db, device_id)
    if known is None:
        raise RegistryConflict(f"device {device_id} is not registered")
    if known.epoch is not None:
        retire(db, device_id, known.epoch, at_s)
    db.execute(
        "UPDATE device SET epoch = NULL, msg_seq = 0, msg_digest = NULL, response = NULL WHERE device_id = ?",
        (device_id,),
    )


def remember_message(
    db: sqlite3.Connection, device_id: int, epoch: int, msg_seq: int, digest: bytes, response: bytes
) -> None:
    """The new high-water mark of a device and the bytes that answer a repeat."""
    db.execute(
        "UPDATE device SET epoch = ?, msg_seq = ?, msg_digest = ?, response = ? WHERE device_id = ?",
        (epoch, msg_seq, digest, response, device_id),
    )


def meta(db: sqlite3.Connection, key: str) -> str:
    """One setting made at init; an unknown key is our bug."""
    return str(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()["value"])


def set_meta(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (key, value))


def is_production(db: sqlite3.Connection) -> bool:
    return meta(db, "production") == "1"


def scheme(db: sqlite3.Connection) -> dict[str, Any] | None:
    """How keys of cards are derived, as backoffice/keys/div_schemes say it; None in a database that was never told."""
    row = db.execute("SELECT value FROM meta WHERE key = 'scheme'").fetchone()
    found: dict[str, Any] | None = row and json.loads(row["value"])
    return found
