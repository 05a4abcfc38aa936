"""What devices are told to do: written down with who wants it, sent with each answer, done when the device says so."""

import sqlite3
from typing import Any

from backoffice.store import registry
from tunion.wire import command

OPEN_MAX = 64  # of one device; more is a slip of the finger
SENT_MAX = 8  # with one answer


class CommandRefused(Exception):
    """No such command or device, or an argument out of range. Nothing was stored."""


def issue(db: sqlite3.Connection, device_id: int, name: str, argument: int, user: str, now_s: int) -> int:
    """Queue a command; returns its id. Raises CommandRefused."""
    if registry.device(db, device_id) is None:
        raise CommandRefused(f"device {device_id} is not registered")
    if name not in command.ARGUMENTS:
        raise CommandRefused(f"there is no command {name}; there are {', '.join(sorted(command.ARGUMENTS))}")
    low, high = command.ARGUMENTS[name]
    if not low <= argument <= high:
        takes = f"a number from {low} to {high}" if high else "no argument"
        raise CommandRefused(f"{name} takes {takes}")
    (count,) = db.execute(
        "SELECT COUNT(*) FROM command WHERE device_id = ? AND done_at_s IS NULL", (device_id,)
    ).fetchone()
    if count >= OPEN_MAX:
        raise CommandRefused(f"{count} commands wait for device {device_id} already")
    (newest,) = db.execute("SELECT MAX(command_id) FROM command WHERE device_id = ?", (device_id,)).fetchone()
    number = (newest or 0) + 1
    db.execute(
        "INSERT INTO command (device_id, command_id, name, argument, issued_at_s, issued_by) VALUES (?, ?, ?, ?, ?, ?)",
        (device_id, number, name, argument, now_s, user),
    )
    return number


def to_send(db: sqlite3.Connection, device_id: int, now_s: int) -> list[list[int | str]]:
    """What an answer carries: [id, name, argument] of those not known to be done, oldest first."""
    rows = db.execute(
        "SELECT command_id, name, argument, sent_at_s FROM command WHERE device_id = ? AND done_at_s IS NULL "
        "ORDER BY command_id LIMIT ?",
        (device_id, SENT_MAX),
    ).fetchall()
    for row in rows:
        if row["sent_at_s"] is None:
            db.execute(
                "UPDATE command SET sent_at_s = ? WHERE device_id = ? AND command_id = ?",
                (now_s, device_id, row["command_id"]),
            )
    return [[row["command_id"], row["name"], row["argument"]] for row in rows]


def done(db: sqlite3.Connection, device_id: int, event: Any, now_s: int) -> None:
    """The device's COMMAND_DONE was stored."""
    db.execute(
        "UPDATE command SET done_at_s = ?, result = ? WHERE device_id = ? AND command_id = ? AND done_at_s IS NULL",
        (now_s, event.reason, device_id, event.value),
    )


def listing(db: sqlite3.Connection) -> list[sqlite3.Row]:
    """Every command, newest last."""
    return db.execute("SELECT * FROM command ORDER BY issued_at_s, device_id, command_id").fetchall()
