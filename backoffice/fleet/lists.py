"""The life of a list here: read in, built, approved by another person, signed and published, whole and as deltas."""

import hashlib
import sqlite3
from collections import Counter
from typing import Any

from backoffice.fleet import offer
from backoffice.fleet.spec import FleetRefused, person
from backoffice.keys.service import KeyService
from tunion import cose_sign1
from tunion.wire import lists as wire

DELTAS_MAX = 4  # earlier published versions from which a delta leads to the newest; one further back takes the whole
CONTENTS_KEPT = 8  # versions whose records are kept
_NUMBERS = {text: number for number, text in wire.NAMES.items()}


def take_in(
    db: sqlite3.Connection, scope: str, name: str, records: bytes, source: str, user: str, now_s: int
) -> dict[str, int]:
    """Keep what was read from a file, in place of what was read in before. Returns how it differs from what is
    published. Raises FleetRefused.
    """
    if db.execute("SELECT 1 FROM org WHERE org = ?", (scope,)).fetchone() is None:
        raise FleetRefused(f"scope {scope} is no registered organisation")
    db.execute(
        "INSERT OR REPLACE INTO list_draft VALUES (?, ?, ?, ?, ?, ?)",
        (scope, name, records, source, now_s, person(user)),
    )
    return difference(db, scope, name, records)


def build(
    db: sqlite3.Connection, scope: str, name: str, effective_at_s: int, expires_at_s: int, user: str, now_s: int
) -> int:
    """Make the next version of what was read in; nobody has approved it yet. Raises FleetRefused."""
    draft = db.execute("SELECT * FROM list_draft WHERE scope = ? AND name = ?", (scope, name)).fetchone()
    if draft is None:
        raise FleetRefused(f"no {name} list of {scope} waits: `ykt fleet lists import` reads one in")
    if not effective_at_s < expires_at_s or expires_at_s <= now_s:
        raise FleetRefused("the list expires before it becomes effective, or has expired")
    newest = db.execute(
        "SELECT MAX(version) FROM list_version WHERE scope = ? AND name = ?", (scope, name)
    ).fetchone()[0]
    version: int = (newest or 0) + 1
    records = draft["records"]
    db.execute(
        "INSERT INTO list_version (scope, name, version, created_s, effective_at_s, expires_at_s, count, sha256, "
        "source, imported_by, built_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            scope,
            name,
            version,
            draft["imported_at_s"],
            effective_at_s,
            expires_at_s,
            len(records) // wire.RECORD_BYTES[_NUMBERS[name]],
            hashlib.sha256(records).hexdigest(),
            draft["source"],
            draft["imported_by"],
            person(user),
        ),
    )
    db.execute("INSERT INTO list_content VALUES (?, ?, ?, ?)", (scope, name, version, records))
    db.execute("DELETE FROM list_draft WHERE scope = ? AND name = ?", (scope, name))
    return version


def approve(db: sqlite3.Connection, scope: str, name: str, version: int, user: str, now_s: int) -> None:
    """A second person has looked at it. Raises FleetRefused."""
    row = stored(db, scope, name, version)
    user = person(user)
    if user in (row["built_by"], row["imported_by"]):
        raise FleetRefused(f"{user} read in or built {name} {version} of {scope}: another person approves it")
    if row["approved_by"] is not None:
        raise FleetRefused(f"{name} {version} of {scope} was approved by {row['approved_by']}")
    db.execute(
        "UPDATE list_version SET approved_at_s = ?, approved_by = ? WHERE scope = ? AND name = ? AND version = ?",
        (now_s, user, scope, name, version),
    )


def publish(
    db: sqlite3.Connection, keys: KeyService, key_id: str, scope: str, name: str, version: int, user: str, now_s: int
) -> list[int]:
    """Sign it whole and as deltas, offer it to the devices of the scope. Returns the versions that a delta changes.

    raises  FleetRefused, NoKey
    """
    row = stored(db, scope, name, version)
    user = person(user)
    if row["approved_by"] is None:
        raise FleetRefused(f"{name} {version} of {scope} waits for approval by a second person")
    if row["published_by"] is not None:
        raise FleetRefused(f"{name} {version} of {scope} is published")
    earlier = _published(db, scope, name)
    if earlier and earlier[0] > version:
        raise FleetRefused(f"{name} {earlier[0]} of {scope} is published: devices refuse a lower one")
    if row["expires_at_s"] <= now_s:
        raise FleetRefused(f"{name} {version} of {scope} has expired: build a new one")
    header = {key: row[key] for key in ("version", "scope", "created_s", "effective_at_s", "expires_at_s")}
    records = _records(db, scope, name, version)
    assert records is not None, "an unpublished version keeps its records"
    whole = _signed(keys, key_id, *wire.full(_NUMBERS[name], records, **header))
    blobs = {0: whole}
    for base in earlier[:DELTAS_MAX] if name == wire.NAMES[wire.DENY] else []:
        before = _records(db, scope, name, base)
        if before is not None:
            delta = _signed(keys, key_id, *wire.delta(before, base, records, **header))
            if len(delta) < len(whole):
                blobs[base] = delta
    for base, blob in blobs.items():
        digest = hashlib.sha256(blob).hexdigest()
        db.execute("INSERT INTO list_blob VALUES (?, ?, ?, ?, ?, ?)", (scope, name, version, base, blob, digest))
    db.execute(
        "UPDATE list_version SET published_at_s = ?, published_by = ? WHERE scope = ? AND name = ? AND version = ?",
        (now_s, user, scope, name, version),
    )
    _forget(db, scope, name, [version, *earlier])
    offer.renew(db, keys, key_id, scope, now_s)
    return sorted(blobs)[1:]


def stored(db: sqlite3.Connection, scope: str, name: str, version: int) -> sqlite3.Row:
    """A version's row. Raises FleetRefused where there is none."""
    row = db.execute(
        "SELECT * FROM list_version WHERE scope = ? AND name = ? AND version = ?", (scope, name, version)
    ).fetchone()
    if row is None:
        raise FleetRefused(f"{scope} has no {name} {version}: `ykt fleet lists status` lists what there is")
    assert isinstance(row, sqlite3.Row)
    return row


def seen(db: sqlite3.Connection, scope: str, name: str, version: int) -> dict[str, Any]:
    """What a second person looks at: facts, the difference from what is published, how many records of which issuer.

    A whole card number never leaves: of a deny list the first 8 digits are counted.
    """
    row = stored(db, scope, name, version)
    said = {key: row[key] for key in row.keys()}  # noqa: SIM118, a Row iterates over values
    records = _records(db, scope, name, version)
    if records is None:
        return said
    said.update(difference(db, scope, name, records))
    size = wire.RECORD_BYTES[_NUMBERS[name]]
    split = [records[at : at + size] for at in range(0, len(records), size)]
    if name == wire.NAMES[wire.DENY]:
        said["issuers"] = dict(sorted(Counter(record[:4].hex() for record in split).items()))
    else:
        digits = 4 if name == wire.NAMES[wire.CITY] else 8
        said["records"] = [
            [record.hex()[:digits], int.from_bytes(record[4:8], "big"), _end(record)] for record in split
        ]
    return said


def difference(db: sqlite3.Connection, scope: str, name: str, records: bytes) -> dict[str, int]:
    """Records added and removed since the version that is published; of a first list all are added."""
    published = _published(db, scope, name)
    before = _records(db, scope, name, published[0]) if published else b""
    size = wire.RECORD_BYTES[_NUMBERS[name]]
    sets = [{part[at : at + size] for at in range(0, len(part), size)} for part in (before or b"", records)]
    return {"count": len(sets[1]), "added": len(sets[1] - sets[0]), "removed": len(sets[0] - sets[1])}


def _end(record: bytes) -> int | None:
    to_s = int.from_bytes(record[8:12], "big")
    return None if to_s == wire.NEVER_S else to_s


def _signed(keys: KeyService, key_id: str, payload: bytes, content: bytes) -> bytes:
    public = keys.public_key(key_id)
    return wire.blob(
        cose_sign1.seal(payload, public, wire.AAD, lambda digest: keys.sign(key_id, digest)), content
    )


def _published(db: sqlite3.Connection, scope: str, name: str) -> list[int]:
    """Published versions, the newest first."""
    rows = db.execute(
        "SELECT version FROM list_version WHERE scope = ? AND name = ? AND published_by IS NOT NULL "
        "ORDER BY version DESC",
        (scope, name),
    )
    return [row["version"] for row in rows]


def _records(db: sqlite3.Connection, scope: str, name: str, version: int) -> bytes | None:
    row = db.execute(
        "SELECT records FROM list_content WHERE scope = ? AND name = ? AND version = ?", (scope, name, version)
    ).fetchone()
    return None if row is None else bytes(row["records"])


def _forget(db: sqlite3.Connection, scope: str, name: str, published: list[int]) -> None:
    """Records that no delta will start from, and blobs that nobody is offered: of the last version those stay, for
    devices that are in the middle of one.
    """
    for table, kept in (("list_content", CONTENTS_KEPT), ("list_blob", 2)):
        for version in published[kept:]:
            db.execute(
                f"DELETE FROM {table} WHERE scope = ? AND name = ? AND version = ?", (scope, name, version)
            )
