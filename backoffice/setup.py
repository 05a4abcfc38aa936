"""A new back office: database, certificate, registry.

The registry file (`--org`) is JSON; every list may be missing. Layout: backoffice/docs/store.md.
"""

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backoffice.clearing import fees
from backoffice.intake import tls
from backoffice.keys import hierarchy
from backoffice.store import engine, fares, registry
from backoffice.store.days import is_day, midnight_s
from backoffice.store.registry import ALWAYS_S, RegistryConflict
from tunion import bcd
from tunion.record import BadInput

LEVELS = ("city", "province", "nation")


def init(
    db: Path, audience: str, production: bool, registry_files: list[Path], scheme: str = hierarchy.SCHEME
) -> dict[str, Any]:
    """Make a back office at `db`; returns {db, audience, production, pin}. Leaves nothing behind when it refuses.

    scheme  how its cards' keys are derived, a name or a file: hierarchy.scheme
    """
    said = hierarchy.content(scheme)
    registries = [read(path) for path in registry_files]
    for path in (db, tls.key_path(db), tls.certificate_path(db)):
        if path.exists():
            raise engine.WrongStore(f"{path} exists already: move it away or choose another name")
    try:
        engine.create(db)
        pin = tls.make_certificate(db, audience, int(time.time()))
        store = engine.Store(db)
        try:
            with store.transaction() as connection:
                for key, value in (("audience", audience), ("production", str(int(production))), ("tls_pin", pin)):
                    registry.set_meta(connection, key, value)
                registry.set_meta(connection, "scheme", said)
                for rows in registries:
                    load(connection, rows)
        finally:
            store.close()
    except BaseException:
        for path in (*engine.files(db), tls.key_path(db), tls.certificate_path(db)):
            path.unlink(missing_ok=True)
        raise
    return {"db": str(db), "audience": audience, "production": production, "pin": pin}


def read(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """(table, row) of a registry file, in the order in which they can be inserted. Raises RegistryConflict."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [(table, make(row)) for name, table, make in _SECTIONS for row in content.get(name, [])]
    except FileNotFoundError as error:
        raise RegistryConflict(f"{path} does not exist") from error
    except UnicodeDecodeError as error:  # its own words would quote the file
        raise RegistryConflict(f"{path} is no registry file: not UTF-8") from error
    except KeyError as error:
        raise RegistryConflict(f"{path} is no registry file: a row lacks {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise RegistryConflict(f"{path} is no registry file: {error}") from error


def load(db: sqlite3.Connection, rows: list[tuple[str, dict[str, Any]]]) -> int:
    """Insert what is new; returns how many rows. Raises RegistryConflict; then the caller's transaction must fail."""
    added = sum(registry.add(db, table, row) for table, row in rows)
    fees.refuse_ambiguous(fees.stored_rules(db))
    return added


def _org(row: dict[str, Any]) -> dict[str, Any]:
    return {name: str(row[name]) for name in ("org", "name_zh", "name_en", "city", "province")}


def _issuer(row: dict[str, Any]) -> dict[str, Any]:
    return {"issuer_id": _hex(row["issuer_id"], 8), "org": row["org"], **_period(row)}


def _device(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "device_id": _whole(row["device_id"], 0xFFFFFFFF),
        **{name: str(row[name]) for name in ("name", "operator", "acquirer")},
    }


def _terminal(row: dict[str, Any]) -> dict[str, Any]:
    number = str(row["terminal"])
    if len(number) != 12 or not bcd.is_bcd(bytes.fromhex(number)):
        raise BadInput("a terminal number has 12 digits")
    owners = {"operator": row["operator"], "acquirer": row["acquirer"], "device_id": row.get("device_id")}
    return {"terminal": number, **owners, **_period(row)}


def _fee_rule(row: dict[str, Any]) -> dict[str, Any]:
    if row["level"] not in LEVELS:
        raise BadInput("a fee rule has the level city, province or nation")
    rates = {name: _whole(row[name], fees.RATE_UNIT) for name in ("charge_rate", "issuer_rate", "acquirer_rate")}
    keys = {name: row.get(name) for name in ("business", "service", "acquirer", "issuer")}
    return {"rule_id": str(row["rule_id"]), "level": row["level"], **keys, **rates, **_period(row)}


def _fare(row: dict[str, Any]) -> dict[str, Any]:
    return fares.row(fares.of_map(row["table"]), _period(row)["from_s"])


def _period(row: dict[str, Any]) -> dict[str, int]:
    """from and to as UTC seconds, of local days; `to` is the first day on which the row is no longer valid."""
    bounds = dict(zip(("from_s", "to_s"), ALWAYS_S, strict=True))
    for name in ("from", "to"):
        day = row.get(name)
        if day is not None:
            if not is_day(day):
                raise BadInput(f"{name} is a day, 2025-06-01")
            bounds[name + "_s"] = midnight_s(day)
    return bounds


def _hex(text: str, size: int) -> str:
    if len(bytes.fromhex(text)) != size:
        raise BadInput(f"{size} bytes in hex were expected")
    return text.upper()


def _whole(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise BadInput(f"a whole number from 0 to {most} was expected")
    return value


# section of the file, table, row of the file -> row of the table; in the order of their references
_SECTIONS: tuple[tuple[str, str, Callable[[dict[str, Any]], dict[str, Any]]], ...] = (
    ("orgs", "org", _org),
    ("issuers", "bin_range", _issuer),
    ("devices", "device", _device),
    ("terminals", "terminal", _terminal),
    ("fee_rules", "fee_rule", _fee_rule),
    ("fares", "fare_table", _fare),
)
