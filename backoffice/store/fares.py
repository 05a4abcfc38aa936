"""Fare tables as the registry keeps them: a flat fare or a whole tariff, found by (fare_id, version)."""

import hashlib
import json
import sqlite3
from typing import Any

from tunion.fare import flat, tariff
from tunion.fare.flat import FlatFare
from tunion.fare.tariff import Tariff

Fare = FlatFare | Tariff

FLAT, TARIFF = "flat", "tariff"


def row(fare: Fare, from_s: int) -> dict[str, Any]:
    """The row of `fare_table`."""
    table = fare.to_map()
    payload = json.dumps(table, sort_keys=True)
    return {
        "fare_id": table["fare_id"],
        "version": table["version"],
        "from_s": from_s,
        "scheme": TARIFF if isinstance(fare, Tariff) else FLAT,
        "payload": payload,
        "sha256": hashlib.sha256(payload.encode()).hexdigest(),
    }


def of_map(table: dict[str, Any]) -> Fare:
    """The inverse of to_map of either kind. Raises BadInput."""
    return tariff.from_map(table) if "scheme" in table else flat.from_map(table)


def stored(db: sqlite3.Connection) -> dict[tuple[int, int], Fare]:
    """All tables. They were checked before they were stored."""
    return {
        (table["fare_id"], table["version"]): of_map(json.loads(table["payload"]))
        for table in db.execute("SELECT * FROM fare_table")
    }
