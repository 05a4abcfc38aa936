"""Which sets there are, and how many devices run them: computed from the versions in uploads, never typed."""

import sqlite3
from typing import Any

VERSIONS_MAX = 16  # names in one upload that are kept: more is no validator of ours
_CHARACTERS_MAX = 32


def saw(db: sqlite3.Connection, device_id: int, versions: dict[Any, Any], now_s: int) -> None:
    """Keep what a device says it runs. What is no name or version of ours is left out."""
    for what, value in list(versions.items())[:VERSIONS_MAX]:
        if isinstance(what, str) and isinstance(value, (int, str)) and len(what) <= _CHARACTERS_MAX:
            db.execute(
                "INSERT OR REPLACE INTO device_version VALUES (?, ?, ?, ?)",
                (device_id, what, str(value)[:_CHARACTERS_MAX], now_s),
            )


def sets(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """Every set: who did what, and its coverage: devices of the scope that run it or a later one, of all."""
    rows = db.execute(
        "SELECT scope, version, effective_at_s, built_by, approved_by, published_by FROM params_set "
        "ORDER BY scope, version"
    )
    return [{**dict(row), **_coverage(db, row["scope"], row["version"])} for row in rows.fetchall()]


def _coverage(db: sqlite3.Connection, scope: str, version: int) -> dict[str, Any]:
    devices = db.execute(
        "SELECT device.device_id, value FROM device LEFT JOIN device_version "
        "ON device_version.device_id = device.device_id AND what = 'params' WHERE operator = ?",
        (scope,),
    ).fetchall()
    running = [row for row in devices if (row["value"] or "").isdigit() and int(row["value"]) >= version]
    return {"devices": len(devices), "running": len(running)}
