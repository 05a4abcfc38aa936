"""The life of a parameter set here: built, looked at, approved by a second person, signed and published.

Publishing puts the fare table into the registry in the same transaction, so clearing knows it before any bus does.
"""

import hashlib
import json
import sqlite3
from typing import Any

from backoffice.fleet import offer
from backoffice.fleet.spec import FleetRefused, person
from backoffice.keys.service import KeyService
from backoffice.store import fares, registry
from tunion import cose_sign1
from tunion.wire import limits, params


def build(db: sqlite3.Connection, payload: bytes, dry_run: dict[str, Any], user: str, now_s: int) -> params.ParamSet:
    """Store a set that nobody has approved yet. Raises FleetRefused."""
    found = params.decode(payload, True)
    if db.execute("SELECT 1 FROM org WHERE org = ?", (found.scope,)).fetchone() is None:
        raise FleetRefused(f"scope {found.scope} is no registered organisation")
    newest = db.execute("SELECT MAX(version) FROM params_set WHERE scope = ?", (found.scope,)).fetchone()[0] or 0
    if found.version <= newest:
        raise FleetRefused(f"{found.scope} has version {newest} already: build version {newest + 1}")
    _is_known_fare(db, found)
    db.execute(
        "INSERT INTO params_set (scope, version, effective_at_s, expires_at_s, payload, dry_run, built_at_s, built_by) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            found.scope,
            found.version,
            found.effective_at_s,
            found.expires_at_s,
            payload,
            json.dumps(dry_run),
            now_s,
            person(user),
        ),
    )
    return found


def approve(db: sqlite3.Connection, scope: str, version: int, user: str, now_s: int) -> None:
    """A second person has looked at it. Raises FleetRefused."""
    row = stored(db, scope, version)
    user = person(user)
    if user == row["built_by"]:
        raise FleetRefused(f"{user} built version {version} of {scope}: another person approves it")
    if row["approved_by"] is not None:
        raise FleetRefused(f"version {version} of {scope} was approved by {row['approved_by']}")
    db.execute(
        "UPDATE params_set SET approved_at_s = ?, approved_by = ? WHERE scope = ? AND version = ?",
        (now_s, user, scope, version),
    )


def publish(
    db: sqlite3.Connection, keys: KeyService, key_id: str, scope: str, version: int, user: str, now_s: int
) -> None:
    """Sign it, tell clearing its fare table, offer it to the devices of the scope. Raises FleetRefused, NoKey."""
    row = stored(db, scope, version)
    user = person(user)
    if row["approved_by"] is None:
        raise FleetRefused(f"version {version} of {scope} waits for approval by a second person")
    if row["published_by"] is not None:
        raise FleetRefused(f"version {version} of {scope} is published")
    newest = db.execute(
        "SELECT MAX(version) FROM params_set WHERE scope = ? AND published_by IS NOT NULL", (scope,)
    ).fetchone()[0]
    if newest is not None and newest > version:
        raise FleetRefused(f"version {newest} of {scope} is published: devices refuse a lower one")
    if row["expires_at_s"] <= now_s:
        raise FleetRefused(f"version {version} of {scope} has expired: build a new one")
    found = params.decode(row["payload"], True)
    if not _is_known_fare(db, found):
        registry.add(db, "fare_table", fares.row(found.fare, found.effective_at_s))
    public = keys.public_key(key_id)
    blob = cose_sign1.seal(row["payload"], public, params.AAD, lambda digest: keys.sign(key_id, digest))
    if len(blob) > limits.SET_BYTES_MAX:
        raise FleetRefused(f"the set has {len(blob)} bytes, devices take {limits.SET_BYTES_MAX}")
    db.execute(
        "UPDATE params_set SET published_at_s = ?, published_by = ?, blob = ?, sha256 = ? "
        "WHERE scope = ? AND version = ?",
        (now_s, user, blob, hashlib.sha256(blob).hexdigest(), scope, version),
    )
    offer.renew(db, keys, key_id, scope, now_s)


def stored(db: sqlite3.Connection, scope: str, version: int) -> sqlite3.Row:
    """A set's row. Raises FleetRefused where there is none."""
    row = db.execute("SELECT * FROM params_set WHERE scope = ? AND version = ?", (scope, version)).fetchone()
    if row is None:
        raise FleetRefused(f"{scope} has no version {version}: `ykt fleet params status` lists what there is")
    assert isinstance(row, sqlite3.Row)
    return row


def _is_known_fare(db: sqlite3.Connection, found: params.ParamSet) -> bool:
    """Clearing knows this table. Raises FleetRefused where it knows another one under the same number."""
    row = fares.row(found.fare, found.effective_at_s)
    known = db.execute(
        "SELECT payload FROM fare_table WHERE fare_id = ? AND version = ?", (row["fare_id"], row["version"])
    ).fetchone()
    if known is not None and known["payload"] != row["payload"]:
        raise FleetRefused(
            f"fare {row['fare_id']} version {row['version']} is known with other prices: "
            "give FARE a new version whenever fare or discounts change"
        )
    return known is not None
