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


def lists(db: sqlite3.Connection, old_after_s: int, now_s: int) -> list[dict[str, Any]]:
    """Every version of every list: who did what, its coverage, and how many devices of the scope run an old one.

    old   devices that run a deny list made more than `old_after_s` ago, or with none from here
    """
    rows = db.execute(
        "SELECT scope, name, version, count, created_s, effective_at_s, imported_by, built_by, approved_by, "
        "published_by FROM list_version ORDER BY scope, name, version"
    ).fetchall()
    return [
        {
            **dict(row),
            **_coverage(db, row["scope"], row["version"], row["name"]),
            "old": _old(db, row["scope"], row["name"], now_s - old_after_s),
        }
        for row in rows
    ]


def _old(db: sqlite3.Connection, scope: str, name: str, since_s: int) -> int:
    """Of the deny list only: the others say themselves until when they hold."""
    if name != "deny":
        return 0
    values = db.execute(
        "SELECT value FROM device LEFT JOIN device_version "
        "ON device_version.device_id = device.device_id AND what = 'deny_made_s' WHERE operator = ?",
        (scope,),
    )
    return sum(not (row["value"] or "").isdigit() or int(row["value"]) < since_s for row in values)


def _coverage(db: sqlite3.Connection, scope: str, version: int, what: str = "params") -> dict[str, Any]:
    devices = db.execute(
        "SELECT device.device_id, value FROM device LEFT JOIN device_version "
        "ON device_version.device_id = device.device_id AND what = ? WHERE operator = ?",
        (what, scope),
    ).fetchall()
    running = [row for row in devices if (row["value"] or "").isdigit() and int(row["value"]) >= version]
    return {"devices": len(devices), "running": len(running)}
