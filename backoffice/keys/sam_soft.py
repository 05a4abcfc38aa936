"""Soft SAMs: a number of their own and a place in the stock, but a blob for one device in place of a chip.

A blob is made, opened again and compared before its SAM counts as good, in one transaction: there is no half-made one.
A new generation, with the versions that are active then, is how a roll-over reaches them.
"""

import hashlib
import hmac
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES128

from backoffice.keys import sam_orders as orders
from backoffice.keys.sam_orders import OrderKey
from backoffice.keys.service import KeyService
from backoffice.keys.suites import SUITES
from backoffice.store import sam_tables as tables
from backoffice.store.sam_tables import SamRefused
from tunion import bcd
from tunion.wire import soft_sam

STORAGE_KEY_BYTES = 32
_RENEWABLE = (tables.CHECKED, tables.SHIPPED, tables.RECEIVED, tables.INSTALLED)


class BlobWrong(SamRefused):
    """The blob does not hold what was asked for. Nothing was stored."""


class SoftSam(NamedTuple):
    sam_no: str
    terminal: str
    generation: int
    keys: list[OrderKey]
    blob: bytes


def make(
    db: sqlite3.Connection, keys: KeyService, batch_id: int, device_id: int, storage_key: bytes,
    issuers: Sequence[bytes], user: str, now_s: int,
) -> SoftSam:  # fmt: skip
    """The next soft SAM of a batch, for one device. `issuers` beside the order's own. Raises SamRefused, NoKey."""
    user = orders.person(user)
    order = orders.of_batch(db, batch_id)
    if order["kind"] != tables.SOFT:
        raise SamRefused(f"batch {batch_id} is of {order['kind']}s: order soft ones with --kind soft")
    row = db.execute(
        "SELECT * FROM sam WHERE batch_id = ? AND state = ? ORDER BY sam_no LIMIT 1", (batch_id, tables.ORDERED)
    ).fetchone()
    if row is None:
        raise SamRefused(f"batch {batch_id} has all its SAMs")
    made = _blob(db, keys, order, row, device_id, storage_key, issuers)
    for state, what in ((tables.IN_PROCESS, "begun"), (tables.MADE, "made"), (tables.CHECKED, "checked")):
        tables.move(db, row["sam_no"], state, what, user, now_s, f"device {device_id}")
    _store(db, made, device_id, now_s)
    return made


def renew(
    db: sqlite3.Connection, keys: KeyService, sam_no: str, storage_key: bytes, issuers: Sequence[bytes], user: str,
    now_s: int,
) -> SoftSam:  # fmt: skip
    """The next generation of a soft SAM, for the device it was made for. Raises SamRefused, NoKey."""
    user = orders.person(user)
    row = tables.sam(db, sam_no)
    if row["kind"] != tables.SOFT or row["state"] not in _RENEWABLE:
        raise SamRefused(f"SAM {sam_no} is a {row['kind']}, {row['state']}: only a good soft one is renewed")
    device_id = db.execute("SELECT device_id FROM sam_blob WHERE sam_no = ?", (sam_no,)).fetchone()["device_id"]
    made = _blob(db, keys, orders.of_batch(db, row["batch_id"]), row, device_id, storage_key, issuers)
    tables.note(db, sam_no, "blob renewed", user, now_s, f"generation {made.generation}")
    _store(db, made, device_id, now_s)
    return made


def _blob(
    db: sqlite3.Connection, keys: KeyService, order: sqlite3.Row, row: sqlite3.Row, device_id: int,
    storage_key: bytes, issuers: Sequence[bytes],
) -> SoftSam:  # fmt: skip
    device = db.execute("SELECT operator FROM device WHERE device_id = ?", (device_id,)).fetchone()
    if device is None or device["operator"] != row["operator"]:
        raise SamRefused(f"device {device_id} is no registered device of {row['operator']}")
    if len(storage_key) != STORAGE_KEY_BYTES:
        raise SamRefused(f"a storage key has {STORAGE_KEY_BYTES} bytes, 64 hex digits")
    own = bytes.fromhex(order["issuer_id"])
    wanted = sorted({own, *issuers})
    if len(wanted) > soft_sam.ISSUERS_MAX or any(len(issuer) != 8 for issuer in wanted):
        raise SamRefused(f"a soft SAM is for 1 to {soft_sam.ISSUERS_MAX} issuers, 16 hex digits each")
    versions = orders.active(keys, "purchase", "3DES")
    found = [
        OrderKey("purchase", "3DES", 1, version, keys.kcv(keys.path("purchase", "3DES", version, own)))
        for version in versions
    ]
    generation = 1 + db.execute(
        "SELECT COALESCE(MAX(generation), 0) FROM sam_blob WHERE device_id = ?", (device_id,)
    ).fetchone()[0]
    terminal = bcd.from_digits(row["terminal"])
    blob = keys.soft_sam_blob(
        storage_key, wanted, terminal, generation, bcd.from_digits(order["start"]), bcd.from_digits(order["expiry"]),
        versions,
    )  # fmt: skip
    _check(keys, blob, storage_key, terminal, generation, wanted, versions)
    return SoftSam(row["sam_no"], row["terminal"], generation, found, blob)


def _check(
    keys: KeyService, blob: bytes, storage_key: bytes, terminal: bytes, generation: int, issuers: Sequence[bytes],
    versions: Sequence[int],
) -> None:  # fmt: skip
    """Open it as the device does. Raises BlobWrong."""
    opened = soft_sam.open_blob(blob, storage_key, _aes_cbc_decrypt)
    if (opened.head.terminal, opened.head.generation) != (terminal, generation):
        raise BlobWrong("the blob has another terminal number or generation than was asked for: report this")
    if bool(opened.head.flags & soft_sam.FLAG_TEST) != keys.test:
        raise BlobWrong("the blob is not marked as what its keys are, test or production: report this")
    for version in versions:
        held = opened.keys.get(version, {})
        for issuer in issuers:
            said = SUITES["3DES"].kcv(held[issuer]).hex().upper() if issuer in held else ""
            if not hmac.compare_digest(said, keys.kcv(keys.path("purchase", "3DES", version, issuer))):
                raise BlobWrong(f"the blob has a wrong key of version {version}: report this")


def _store(db: sqlite3.Connection, made: SoftSam, device_id: int, now_s: int) -> None:
    db.execute(
        "INSERT INTO sam_blob VALUES (?, ?, ?, ?, ?)",
        (made.sam_no, made.generation, device_id, hashlib.sha256(made.blob).hexdigest(), now_s),
    )
    for key in made.keys:
        db.execute(
            "INSERT INTO sam_key VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (made.sam_no, *key, now_s)
        )


def _aes_cbc_decrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    return Cipher(AES128(key), modes.CBC(iv)).decryptor().update(blocks)
