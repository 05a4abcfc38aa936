"""How devices fare: the newest heartbeat of each, and what in it wants a person. Derived when asked, never stored."""

import json
import sqlite3
from typing import Any

FIGURES_MAX = 64  # names in one heartbeat that are kept: more is no validator of ours
_CHARACTERS_MAX = 32

NO_CONTACT = "no_contact"
QUEUE = "queue"
CLOCK = "clock"
SAM = "sam"
LIST_AGE = "list_age"
SAFE_MODE = "safe_mode"
CRASHED = "crashed"
SELF_TEST = "self_test"
SLOW = "slow"

CONTACT_S_MAX = 26 * 3600  # a bus that stands a day in its depot is well; two hours more are a fault
QUEUE_MAX = 10_000  # entries that wait in a device
CRASH_BOOTS_MAX = 7  # starts since the last crash: some days of a bus
LIST_AGE_S_MAX = 48 * 3600  # a deny list is made each day; a bus may miss one

# alarm -> (中文, English)
WORDS = {
    NO_CONTACT: ("失联", "no contact for 26 h"),
    QUEUE: ("积压超过一万条", "more than 10 000 entries wait"),
    CLOCK: ("时钟未校准", "the clock was never set"),
    SAM: ("PSAM故障", "SAM lost"),
    LIST_AGE: ("名单过旧", "a list is over 48 h old"),
    SAFE_MODE: ("安全模式，不受理卡片", "safe mode: it takes no cards"),
    CRASHED: ("程序崩溃", "its program crashed lately"),
    SELF_TEST: ("自检异常", "its self-test found something"),
    SLOW: ("响应过慢，接近看门狗时限", "a turn took over half of what its watchdog allows"),
}


def saw(db: sqlite3.Connection, device_id: int, upload: Any, figures: Any, now_s: int) -> None:
    """Keep the newest heartbeat. Figures that no validator of ours would send are left out."""
    kept = _checked(figures)
    kept["heap_free"] = upload.heap_free
    db.execute(
        "INSERT OR REPLACE INTO device_health VALUES (?, ?, ?, ?)",
        (device_id, now_s, min(upload.clk_q, 3), json.dumps(kept, sort_keys=True)),
    )


def devices(db: sqlite3.Connection, now_s: int) -> list[dict[str, Any]]:
    """Every device: who it is, its journal, what it runs, its newest heartbeat, its alarms."""
    rows = db.execute(
        "SELECT device.device_id, name, operator, acquirer, epoch, msg_seq, seen_at_s, clk_q, health FROM device "
        "LEFT JOIN device_health USING (device_id) ORDER BY device_id"
    ).fetchall()
    found = []
    for row in rows:
        device = dict(row)
        device["health"] = json.loads(row["health"]) if row["health"] else {}
        device["versions"] = {
            version["what"]: version["value"]
            for version in db.execute(
                "SELECT what, value FROM device_version WHERE device_id = ? ORDER BY what", (row["device_id"],)
            )
        }
        device["alarms"] = alarms(device, now_s)
        found.append(device)
    return found


def alarms(device: dict[str, Any], now_s: int) -> list[str]:
    """What of a device wants a person. One that was never heard of is new, and silent about the rest."""
    if device["seen_at_s"] is None:
        return []
    health = device["health"]
    made = [int(value) for what, value in device["versions"].items() if what.endswith("_made_s") and value.isdigit()]
    found = {
        NO_CONTACT: now_s - device["seen_at_s"] > CONTACT_S_MAX,
        QUEUE: health.get("queue", 0) > QUEUE_MAX,
        CLOCK: device["clk_q"] == 0,
        SAM: health.get("sam", 0) > 0,
        SAFE_MODE: _figure(health, "safe") > 0,
        CRASHED: 0 < _figure(health, "crash_boot") >= _figure(health, "boots") - CRASH_BOOTS_MAX,
        SELF_TEST: _figure(health, "self_test") > 0,
        SLOW: 2 * _figure(health, "turn_ms") > _figure(health, "watchdog_ms") > 0,
        LIST_AGE: any(now_s - made_s > LIST_AGE_S_MAX for made_s in made if made_s),
    }
    return [name for name, raised in found.items() if raised]


def events(db: sqlite3.Connection, device_id: int, count: int) -> list[dict[str, Any]]:
    """The newest `count` events of a device, oldest first. Card numbers are left out."""
    rows = db.execute(
        "SELECT epoch, seq, at_s, event.clk_q, code, reason, value FROM event JOIN entry USING (id) "
        "WHERE device_id = ? ORDER BY id DESC LIMIT ?",
        (device_id, count),
    ).fetchall()
    return [dict(row) for row in reversed(rows)]


def _figure(health: dict[str, Any], name: str) -> int:
    """A number of a heartbeat, 0 where there is none: devices write these figures."""
    value = health.get(name)
    return value if isinstance(value, int) else 0


def _checked(figures: Any) -> dict[str, Any]:
    """Numbers by name, numbers by number (refusals by reason), lists of names; nothing deeper, nothing longer."""
    kept: dict[str, Any] = {}
    if not isinstance(figures, dict):
        return kept
    for name, value in list(figures.items())[:FIGURES_MAX]:
        if not isinstance(name, str) or len(name) > _CHARACTERS_MAX:
            continue
        if _is_number(value):
            kept[name] = value
        elif isinstance(value, dict) and len(value) <= FIGURES_MAX and all(map(_is_number, [*value, *value.values()])):
            kept[name] = value
        elif isinstance(value, list) and len(value) <= FIGURES_MAX and all(_is_name(item) for item in value):
            kept[name] = value
    return kept


def _is_number(value: Any) -> bool:
    return type(value) is int and abs(value) <= 0xFFFFFFFF


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _CHARACTERS_MAX
