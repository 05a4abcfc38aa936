"""The signed manifest of a scope: which parameter sets and lists its devices should have now."""

import sqlite3

from backoffice.keys.service import KeyService
from tunion import cose_sign1
from tunion.wire import lists, manifest

_SETS_MAX = 8  # parameter sets at once; with three lists and their deltas an answer stays below what a device takes


def renew(db: sqlite3.Connection, keys: KeyService, key_id: str, scope: str, now_s: int) -> None:
    """Sign what is published now. Raises NoKey."""
    listed = manifest.encode(now_s, _sets(db, scope) + _lists(db, scope))
    public = keys.public_key(key_id)
    envelope = cose_sign1.seal(listed, public, manifest.aad(scope), lambda digest: keys.sign(key_id, digest))
    db.execute("INSERT OR REPLACE INTO params_manifest VALUES (?, ?)", (scope, envelope))


def _sets(db: sqlite3.Connection, scope: str) -> list[manifest.Entry]:
    """Published sets that no later version replaces: none with a higher number is effective as early."""
    rows = db.execute(
        "SELECT * FROM params_set WHERE scope = ? AND published_by IS NOT NULL ORDER BY version DESC", (scope,)
    ).fetchall()
    entries: list[manifest.Entry] = []
    for row in rows:
        if not entries or row["effective_at_s"] < entries[-1].effective_at_s:
            digest = bytes.fromhex(row["sha256"])
            size = len(row["blob"])
            entries.append(manifest.Entry(manifest.PARAMS, row["version"], size, digest, row["effective_at_s"], 0))
    return entries[:_SETS_MAX][::-1]


def _lists(db: sqlite3.Connection, scope: str) -> list[manifest.Entry]:
    """Of each list the newest version: whole, and as deltas."""
    entries = []
    for name in lists.NAMES.values():
        rows = db.execute(
            "SELECT version, base, LENGTH(blob) AS size, list_blob.sha256, effective_at_s "
            "FROM list_blob JOIN list_version USING (scope, name, version) WHERE scope = ? AND name = ? AND version = "
            "(SELECT MAX(version) FROM list_blob WHERE scope = ? AND name = ?) ORDER BY base",
            (scope, name, scope, name),
        )
        for row in rows:
            digest = bytes.fromhex(row["sha256"])
            entries.append(
                manifest.Entry(name, row["version"], row["size"], digest, row["effective_at_s"], row["base"])
            )
    return entries
