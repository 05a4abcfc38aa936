"""Orders of SAMs: asked for by one person, approved by another, who gives them their numbers and key set.

A number is city (4 digits) and a count of 8: the terminal number in every MAC. The SAM's own number has the kind of
SAM in between. Both are used once for ever; a chip that fails takes its number with it, and its batch gets another.
"""

import hashlib
import sqlite3
from pathlib import Path
from typing import NamedTuple

from backoffice.cards import profile as profiles
from backoffice.cards.profile import Profile
from backoffice.keys import sam_marks
from backoffice.keys.backend import ACTIVE, KeyPath
from backoffice.keys.service import KeyService, NoKey
from backoffice.store import people
from backoffice.store import sam_tables as tables
from backoffice.store.sam_tables import SamRefused
from tunion import bcd
from tunion.record import BadInput

QUANTITY_MAX = 100_000  # of one order: a province's buses; more is a slip of the finger
BATCH_MAX = 1000  # one clerk, one day
SLOTS_MAX = 8  # validators have 2 to 4
SEQUENCE_MAX = 99_999_999
VERSIONS_MAX = 8  # key versions on one SAM; two must fit, chips have room for few more
KIND_DIGITS = {tables.PSAM: "01", tables.ISAM: "02", tables.SOFT: "03"}
MADE_UP_CARD = bytes(8)  # a factor that stands for any card, to find what lies above


class Order(NamedTuple):
    """What is ordered."""

    kind: str
    operator: str  # organisation that will hold them
    acquirer: str  # under whom their records are cleared
    quantity: int
    slots: int  # SAM slots of the terminals they are for
    issuer: bytes  # 8, of file 17h
    start: str  # YYYYMMDD
    expiry: str
    profile: str = ""  # a sample's name, or a file; '' of an ISAM or a soft SAM


class OrderKey(NamedTuple):
    purpose: str
    algorithm: str
    key_index: int
    version: int
    kcv: str


class NumberUsed(SamRefused):
    """This number was given before, and is never given again."""


def person(user: str) -> str:
    """One spelling for one person. Raises SamRefused."""
    name = people.spelled(user)
    if not name or len(name) > 64:
        raise SamRefused("say who does this: --user NAME")
    return name


def order(db: sqlite3.Connection, keys: KeyService, wanted: Order, user: str, now_s: int) -> int:
    """Store an order that nobody has approved yet: its number. Raises SamRefused, ProfileError, NoKey."""
    user = person(user)
    _check(db, wanted)
    profile = text = None
    transport = control = 0
    if wanted.kind == tables.PSAM:
        profile, text = _profile(wanted.profile)
        if profile.medium != tables.PSAM:
            raise SamRefused(f"profile {profile.name} is for a {profile.medium}: name one for a psam")
        strange = [row.purpose for row in profile.keys if row.purpose not in ("purchase", "maintenance")]
        if strange or all(row.purpose != "purchase" for row in profile.keys):
            raise SamRefused(f"profile {profile.name}: a PSAM has purchase and maintenance keys only")
        transport = newest(keys, "transport", profile.scheme)
        control = newest(keys, "control", profile.scheme)
    elif wanted.profile:
        raise SamRefused(f"a SAM of kind {wanted.kind} is not written by a profile: leave --profile out")
    found = key_set(keys, wanted, profile)
    city = db.execute("SELECT city FROM org WHERE org = ?", (wanted.operator,)).fetchone()["city"]
    if len(city) != 4 or not city.isdigit() or not city.isascii():
        raise SamRefused(f"city {city} of {wanted.operator} has not 4 digits: numbers begin with it")
    order_id = db.execute(
        "INSERT INTO sam_order (kind, operator, acquirer, city, quantity, slots, issuer_id, start, expiry, profile, "
        "profile_sha256, transport_version, control_version, ordered_at_s, ordered_by) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            wanted.kind, wanted.operator, wanted.acquirer, city, wanted.quantity, wanted.slots,
            wanted.issuer.hex().upper(), wanted.start, wanted.expiry, wanted.profile,
            hashlib.sha256(text or b"").hexdigest(), transport, control, now_s, user,
        ),
    ).lastrowid  # fmt: skip
    assert order_id
    for key in found:
        db.execute("INSERT INTO sam_order_key VALUES (?, ?, ?, ?, ?, ?)", (order_id, *key))
    return order_id


def approve(
    db: sqlite3.Connection, order_id: int, user: str, now_s: int, batch_size: int = BATCH_MAX, first: int | None = None
) -> list[int]:
    """A second person agrees: numbers are given, batches are opened. Their ids. Raises SamRefused, NumberUsed."""
    row = stored(db, order_id)
    user = person(user)
    if row["approved_by"] is not None:
        raise SamRefused(f"order {order_id} was approved by {row['approved_by']}")
    if user == row["ordered_by"]:
        raise SamRefused(f"{user} placed order {order_id}: another person approves it")
    if not 1 <= batch_size <= BATCH_MAX:
        raise SamRefused(f"a batch has 1 to {BATCH_MAX} SAMs")
    db.execute("UPDATE sam_order SET approved_at_s = ?, approved_by = ? WHERE order_id = ?", (now_s, user, order_id))
    batches = []
    sequences = give(db, row["city"], row["quantity"], first)
    for at in range(0, len(sequences), batch_size):
        part = sequences[at : at + batch_size]
        batch_id = db.execute(
            "INSERT INTO sam_batch (order_id, quantity, opened_at_s) VALUES (?, ?, ?)", (order_id, len(part), now_s)
        ).lastrowid
        assert batch_id
        for sequence in part:
            _insert(db, row, batch_id, sequence, user, now_s)
        batches.append(batch_id)
    return batches


def replace(db: sqlite3.Connection, batch_id: int, user: str, now_s: int) -> str:
    """One more number for a batch, in place of a scrapped one. Raises SamRefused."""
    row = of_batch(db, batch_id)
    return _insert(db, row, batch_id, give(db, row["city"], 1)[0], user, now_s)


def give(db: sqlite3.Connection, city: str, count: int, first: int | None = None) -> list[int]:
    """The next `count` numbers of a city. `first`: begin there, leaving out what lies before for ever.

    Numbers that the registry holds from elsewhere, or that a lost database gave, are passed by. Raises NumberUsed,
    SamRefused.
    """
    db.execute("INSERT INTO sam_range (city, next) VALUES (?, 1) ON CONFLICT (city) DO NOTHING", (city,))
    place = db.execute("SELECT next FROM sam_range WHERE city = ?", (city,)).fetchone()["next"]
    place = max(place, sam_marks.reached(db, city))
    if first is not None:
        if first < place:
            raise NumberUsed(f"number {first} of city {city} was given or passed by: begin at {place} or above")
        clash = db.execute("SELECT 1 FROM terminal WHERE terminal = ?", (terminal_number(city, first),)).fetchone()
        if clash is not None:
            raise NumberUsed(f"terminal number {terminal_number(city, first)} is registered: begin at another one")
        place = first
    registered = db.execute("SELECT terminal FROM terminal WHERE terminal LIKE ?", (city + "%",))
    taken = {row["terminal"] for row in registered}
    found: list[int] = []
    while len(found) < count:
        if place > SEQUENCE_MAX:
            raise SamRefused(f"city {city} has no {count} numbers left: order under another city's code")
        if terminal_number(city, place) not in taken:
            found.append(place)
        place += 1
    db.execute("UPDATE sam_range SET next = ? WHERE city = ?", (place, city))
    sam_marks.write(db, city, place)
    return found


def terminal_number(city: str, sequence: int) -> str:
    return f"{city}{sequence:08d}"


def sam_number(city: str, kind: str, sequence: int) -> str:
    return f"{city}{KIND_DIGITS[kind]}00{sequence:08d}"


def key_set(keys: KeyService, wanted: Order, profile: Profile | None) -> list[OrderKey]:
    """Every version that is active, of each key the kind carries, with its check value. Raises NoKey, SamRefused."""
    if profile is not None:
        rows = [(row.purpose, row.algorithm, row.key_index) for row in profile.keys]
    else:
        rows = [("load" if wanted.kind == tables.ISAM else "purchase", "3DES", 1)]
    found = []
    for purpose, algorithm, key_index in rows:
        versions = active(keys, purpose, algorithm)
        if len(versions) > VERSIONS_MAX:
            raise SamRefused(f"{len(versions)} versions of {purpose} are active: a SAM takes {VERSIONS_MAX}")
        for version in versions:
            path = above_issuers(keys, purpose, algorithm, version, wanted.issuer)
            found.append(OrderKey(purpose, algorithm, key_index, version, keys.kcv(path)))
    return found


def active(keys: KeyService, purpose: str, algorithm: str) -> list[int]:
    """Versions that make something new. Raises NoKey where there is none."""
    wanted = (purpose, algorithm, ACTIVE)
    versions = {info.version for info in keys.infos() if (info.purpose, info.algorithm, info.state) == wanted}
    if not versions:
        raise NoKey(f"no active {algorithm} key of purpose {purpose}: see `ykt keys list`")
    return sorted(versions)


def newest(keys: KeyService, purpose: str, algorithm: str) -> int:
    return active(keys, purpose, algorithm)[-1]


def above_issuers(keys: KeyService, purpose: str, algorithm: str, version: int, issuer: bytes) -> KeyPath:
    """The key that a SAM holds: it gives a card's by the two factors issuer and card. Raises NoKey."""
    path = keys.path(purpose, algorithm, version, issuer, MADE_UP_CARD)
    if path.factors[-2:] == (issuer, MADE_UP_CARD):
        return KeyPath(path.key_id, path.factors[:-2])
    for info in keys.infos():
        found = (info.purpose, info.algorithm, info.version, info.level, info.state)
        if found == (purpose, algorithm, version, "province", ACTIVE):
            return KeyPath(info.key_id)
    raise NoKey(f"the {purpose} key of version {version} is this issuer's own: a SAM takes the one above all issuers")


def stored(db: sqlite3.Connection, order_id: int) -> sqlite3.Row:
    row = db.execute("SELECT * FROM sam_order WHERE order_id = ?", (order_id,)).fetchone()
    if row is None:
        raise SamRefused(f"no order {order_id}: `ykt keys sams list --orders` shows them")
    assert isinstance(row, sqlite3.Row)
    return row


def of_batch(db: sqlite3.Connection, batch_id: int) -> sqlite3.Row:
    """The order of a batch, with `batch_quantity`. Raises SamRefused."""
    row = db.execute(
        "SELECT sam_order.*, sam_batch.quantity AS batch_quantity FROM sam_batch JOIN sam_order USING (order_id) "
        "WHERE batch_id = ?",
        (batch_id,),
    ).fetchone()
    if row is None:
        raise SamRefused(f"no batch {batch_id}: `ykt keys sams list --orders` shows them")
    assert isinstance(row, sqlite3.Row)
    return row


def keys_of(db: sqlite3.Connection, order_id: int) -> list[OrderKey]:
    query = "SELECT purpose, algorithm, key_index, version, kcv FROM sam_order_key WHERE order_id = ?"
    return sorted(OrderKey(*row) for row in db.execute(query, (order_id,)))


def profile_of(row: sqlite3.Row) -> Profile:
    """The profile of an order, as it was approved. Raises SamRefused, ProfileError."""
    if row["kind"] != tables.PSAM:
        raise SamRefused(
            f"order {row['order_id']} is of kind {row['kind']}, for which no profile writes a chip: "
            + ("use `ykt keys sams soft`" if row["kind"] == tables.SOFT else "use `ykt keys sams enter`")
        )
    profile, text = _profile(row["profile"])
    if hashlib.sha256(text).hexdigest() != row["profile_sha256"]:
        raise SamRefused(f"profile {row['profile']} was changed since order {row['order_id']}: order anew")
    return profile


def _profile(name: str) -> tuple[Profile, bytes]:
    if not name:
        raise SamRefused(f"say which profile writes them: --profile {' or '.join(profiles.names('psam'))}")
    found = profiles.named(name)
    path = profiles.PROFILES / f"{name}.json"
    return found, (path if path.is_file() else Path(name)).read_bytes()


def _check(db: sqlite3.Connection, wanted: Order) -> None:
    if wanted.kind not in tables.KINDS:
        raise SamRefused(f"kind must be {' or '.join(tables.KINDS)}")
    for org in (wanted.operator, wanted.acquirer):
        if db.execute("SELECT 1 FROM org WHERE org = ?", (org,)).fetchone() is None:
            raise SamRefused(f"{org} is no registered organisation: `ykt backoffice load --org FILE` adds one")
    if not 1 <= wanted.quantity <= QUANTITY_MAX:
        raise SamRefused(f"an order is of 1 to {QUANTITY_MAX} SAMs")
    if not 1 <= wanted.slots <= SLOTS_MAX:
        raise SamRefused(f"terminals have 1 to {SLOTS_MAX} SAM slots")
    if len(wanted.issuer) != 8:
        raise SamRefused("an issuer identifier has 8 bytes, 16 hex digits")
    try:
        dates = [bcd.from_digits(day) for day in (wanted.start, wanted.expiry)]
    except BadInput:
        dates = []
    if not dates or not all(bcd.is_date(date) for date in dates) or dates[0] > dates[1]:
        raise SamRefused("start and expiry are days YYYYMMDD, and expiry is not before start")


def _insert(db: sqlite3.Connection, row: sqlite3.Row, batch_id: int, sequence: int, user: str, now_s: int) -> str:
    sam_no = sam_number(row["city"], row["kind"], sequence)
    try:
        db.execute(
            "INSERT INTO sam (sam_no, terminal, kind, batch_id, operator, acquirer, state) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                sam_no, terminal_number(row["city"], sequence), row["kind"], batch_id, row["operator"],
                row["acquirer"], tables.ORDERED,
            ),
        )  # fmt: skip
    except sqlite3.IntegrityError as error:
        raise NumberUsed(f"SAM number {sam_no} was given before: begin at a higher one with --first") from error
    tables.born(db, sam_no, user, now_s)
    return sam_no
