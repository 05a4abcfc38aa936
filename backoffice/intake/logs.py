"""Logs that devices send in pieces, because a command asked for them. What a piece adds is answered with an offset."""

import sqlite3
import zlib
from typing import Any

from tunion.wire import command, sync

LOG_BYTES_MAX = 65536  # ours have 2 kB


def take(db: sqlite3.Connection, device_id: int, piece: Any, now_s: int) -> list[list[int | str]]:
    """Store a piece that goes on where the last one ended; `want` of the answer says where that is."""
    if not _is_piece(piece):
        return []
    number, crc, total, offset, content = piece
    asked = db.execute(
        "SELECT 1 FROM command WHERE device_id = ? AND command_id = ? AND name = ?",
        (device_id, number, command.UPLOAD_LOG),
    ).fetchone()
    if asked is None:
        return []
    have = _have(db, device_id, number, crc, total)
    if offset == len(have) and len(have) + len(content) <= total:
        have += content
    if len(have) == total and zlib.crc32(have) != crc:
        have = b""  # two logs mixed, or a device that counts wrongly: once more from the beginning
    db.execute(
        "INSERT OR REPLACE INTO device_log VALUES (?, ?, ?, ?, ?, ?)", (device_id, number, crc, total, have, now_s)
    )
    return [[sync.LOG, number, len(have)]]


def newest(db: sqlite3.Connection, device_id: int) -> sqlite3.Row | None:
    """The newest log that is whole: command_id, content, at_s."""
    row = db.execute(
        "SELECT command_id, content, at_s FROM device_log WHERE device_id = ? AND LENGTH(content) = total "
        "ORDER BY command_id DESC LIMIT 1",
        (device_id,),
    ).fetchone()
    return row if isinstance(row, sqlite3.Row) else None


def _have(db: sqlite3.Connection, device_id: int, number: int, crc: int, total: int) -> bytes:
    """What came of this very log; a device that lost its power has another one now."""
    row = db.execute(
        "SELECT content FROM device_log WHERE device_id = ? AND command_id = ? AND crc = ? AND total = ?",
        (device_id, number, crc, total),
    ).fetchone()
    return b"" if row is None else bytes(row["content"])


def _is_piece(piece: Any) -> bool:
    if not isinstance(piece, list) or len(piece) != 5 or not isinstance(piece[4], bytes):
        return False
    if not all(type(number) is int and 0 <= number <= 0xFFFFFFFF for number in piece[:4]):
        return False
    return bool(piece[2] <= LOG_BYTES_MAX)
