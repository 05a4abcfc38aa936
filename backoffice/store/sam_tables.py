"""The tables of migration 011: purchase SAMs from the order to their end. backoffice/docs/sams.md

A SAM is a row that never goes away, so its numbers are used once for ever. How it came to its state is said by
events that are only added; `sam.state` is their last word, and `stock` compares the two.
"""

import sqlite3

ORDERED = "ordered"  # a number that waits for its chip
IN_PROCESS = "in_process"  # a chip is being written, or was pulled out and waits
MADE = "made"  # written whole, not tried yet
CHECKED = "checked"  # good: from here on it is issued
SHIPPED = "shipped"  # on its way to the operator
RECEIVED = "received"  # in the operator's store
INSTALLED = "installed"  # linked to a terminal
BLOCKED = "blocked"  # at hand, never to be used again: its records are refused
DESTROYED = "destroyed"
LOST = "lost"  # nobody knows where; blocked as well
SCRAPPED = "scrapped"  # never became good; its number is gone with it

STATES = (
    ORDERED, IN_PROCESS, MADE, CHECKED, SHIPPED, RECEIVED, INSTALLED, BLOCKED, DESTROYED, LOST, SCRAPPED,
)  # fmt: skip
STOCK = (CHECKED, SHIPPED, RECEIVED, BLOCKED)  # issued, at hand, in no terminal
ISSUED = (*STOCK, INSTALLED, DESTROYED, LOST)
UNFINISHED = (ORDERED, IN_PROCESS, MADE)

NEXT: dict[str, tuple[str, ...]] = {
    ORDERED: (IN_PROCESS, CHECKED),  # straight to checked: a load SAM that somebody else has made
    IN_PROCESS: (MADE, SCRAPPED),
    MADE: (CHECKED, SCRAPPED),
    CHECKED: (SHIPPED, BLOCKED, DESTROYED, LOST),
    SHIPPED: (RECEIVED, BLOCKED, LOST),
    RECEIVED: (INSTALLED, BLOCKED, DESTROYED, LOST),
    INSTALLED: (RECEIVED, BLOCKED, LOST),
    BLOCKED: (DESTROYED, LOST),
    LOST: (BLOCKED,),  # found again
    DESTROYED: (),
    SCRAPPED: (),
}

PSAM, ISAM, SOFT = "psam", "isam", "soft"
KINDS = (PSAM, ISAM, SOFT)

_STATES = ", ".join(f"'{state}'" for state in STATES)
_KINDS = ", ".join(f"'{kind}'" for kind in KINDS)

SAMS = f"""
CREATE TABLE sam_order (
    order_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ({_KINDS})),
    operator TEXT NOT NULL REFERENCES org,
    acquirer TEXT NOT NULL REFERENCES org,
    city TEXT NOT NULL,                 -- 4 digits: its numbers begin so
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    slots INTEGER NOT NULL CHECK (slots > 0),   -- SAM slots of the terminals it is for
    issuer_id TEXT NOT NULL,            -- of file 17h, 16 hex digits
    start TEXT NOT NULL,                -- YYYYMMDD, inclusive
    expiry TEXT NOT NULL,
    profile TEXT NOT NULL,              -- '' where nothing is written by us
    profile_sha256 TEXT NOT NULL,
    transport_version INTEGER NOT NULL,
    control_version INTEGER NOT NULL,
    ordered_at_s INTEGER NOT NULL,
    ordered_by TEXT NOT NULL,
    approved_at_s INTEGER,
    approved_by TEXT,
    CHECK (approved_by IS NULL OR approved_by <> ordered_by)
) STRICT;

-- the key set of an order: each key by name, version and check value
CREATE TABLE sam_order_key (
    order_id INTEGER NOT NULL REFERENCES sam_order,
    purpose TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_index INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kcv TEXT NOT NULL,
    PRIMARY KEY (order_id, purpose, algorithm, key_index, version)
) STRICT;

CREATE TABLE sam_batch (
    batch_id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES sam_order,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    opened_at_s INTEGER NOT NULL
) STRICT;

-- the numbers of a city: `next` only grows
CREATE TABLE sam_range (
    city TEXT PRIMARY KEY,
    next INTEGER NOT NULL
) STRICT;

-- a box on its way to an operator
CREATE TABLE sam_box (
    box_id INTEGER PRIMARY KEY,
    operator TEXT NOT NULL REFERENCES org,
    note TEXT NOT NULL,                 -- JSON: what the box holds
    digest TEXT NOT NULL,               -- SHA-256 of the note
    key_id TEXT NOT NULL,               -- that signed the digest; '' without a signing key
    signature BLOB NOT NULL,
    shipped_at_s INTEGER NOT NULL,
    shipped_by TEXT NOT NULL
) STRICT;

CREATE TABLE sam (
    sam_no TEXT PRIMARY KEY,            -- 16 digits
    terminal TEXT NOT NULL UNIQUE,      -- 12 digits: the number in every MAC and record
    kind TEXT NOT NULL CHECK (kind IN ({_KINDS})),
    batch_id INTEGER NOT NULL REFERENCES sam_batch,
    operator TEXT NOT NULL REFERENCES org,
    acquirer TEXT NOT NULL REFERENCES org,
    -- what may change, by backoffice/keys only
    state TEXT NOT NULL CHECK (state IN ({_STATES})),
    chip TEXT UNIQUE,                   -- serial number, 16 hex digits; NULL: none yet. Once written it stays
    box_id INTEGER REFERENCES sam_box,
    device_id INTEGER REFERENCES device,        -- that holds it; NULL: none
    blocked_from_s INTEGER,             -- its records from here on are refused; NULL: it is not blocked
    checked_at_s INTEGER                -- when it became good; once written it stays
) STRICT;
CREATE INDEX sam_batch_state ON sam (batch_id, state);
CREATE INDEX sam_device ON sam (device_id);

CREATE TABLE sam_event (
    id INTEGER PRIMARY KEY,
    sam_no TEXT NOT NULL REFERENCES sam,
    at_s INTEGER NOT NULL,
    what TEXT NOT NULL,
    from_state TEXT NOT NULL,           -- '' of the first
    to_state TEXT NOT NULL,             -- the same where only something is noted
    detail TEXT NOT NULL,
    user TEXT NOT NULL
) STRICT;
CREATE INDEX sam_event_sam ON sam_event (sam_no);

-- which keys are on it; a roll adds rows
CREATE TABLE sam_key (
    sam_no TEXT NOT NULL REFERENCES sam,
    purpose TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_index INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kcv TEXT NOT NULL,
    written_at_s INTEGER NOT NULL,
    PRIMARY KEY (sam_no, purpose, algorithm, key_index, version)
) STRICT;

-- what one person asked for and another one does
CREATE TABLE sam_request (
    request_id INTEGER PRIMARY KEY,
    sam_no TEXT NOT NULL REFERENCES sam,
    what TEXT NOT NULL,                 -- link, unlink, destroy, scrap
    detail TEXT NOT NULL,               -- to be the same from both
    asked_at_s INTEGER NOT NULL,
    asked_by TEXT NOT NULL,
    settled_at_s INTEGER,
    settled_by TEXT,
    dropped INTEGER NOT NULL DEFAULT 0, -- 1: something else was asked for since
    CHECK (settled_by IS NULL OR settled_by <> asked_by)
) STRICT;
CREATE UNIQUE INDEX sam_request_open ON sam_request (sam_no) WHERE settled_by IS NULL AND dropped = 0;

-- the stock at the end of a day; the table itself refuses one that does not balance
CREATE TABLE sam_day (
    day TEXT NOT NULL,
    operator TEXT NOT NULL REFERENCES org,
    kind TEXT NOT NULL,
    given INTEGER NOT NULL,
    unfinished INTEGER NOT NULL,
    scrapped INTEGER NOT NULL,
    issued INTEGER NOT NULL,
    installed INTEGER NOT NULL,
    stock INTEGER NOT NULL,
    destroyed INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    closed_at_s INTEGER NOT NULL,
    closed_by TEXT NOT NULL,
    PRIMARY KEY (day, operator, kind),
    CHECK (given = unfinished + scrapped + issued),
    CHECK (issued = installed + stock + destroyed + lost)
) STRICT;

-- the blobs of soft SAMs that were made; the blob itself goes to its device alone
CREATE TABLE sam_blob (
    sam_no TEXT NOT NULL REFERENCES sam,
    generation INTEGER NOT NULL,
    device_id INTEGER NOT NULL REFERENCES device,
    sha256 TEXT NOT NULL,
    made_at_s INTEGER NOT NULL,
    PRIMARY KEY (sam_no, generation)
) STRICT
"""

SAM_APPEND_ONLY = ("sam_order_key", "sam_batch", "sam_box", "sam_event", "sam_key", "sam_day", "sam_blob")
SAM_NEVER_DELETED = ("sam_order", "sam", "sam_range", "sam_request")
SAM_FACTS = {
    "sam_order": "order_id, kind, operator, acquirer, city, quantity, slots, issuer_id, start, expiry, profile, "
    "profile_sha256, transport_version, control_version, ordered_at_s, ordered_by",
    "sam": "sam_no, terminal, kind, batch_id, operator, acquirer",
    "sam_request": "request_id, sam_no, what, detail, asked_at_s, asked_by",
}
# What may be said once, and what may only grow
SAM_GUARDS = (
    "CREATE TRIGGER sam_keeps_chip BEFORE UPDATE OF chip ON sam WHEN OLD.chip IS NOT NULL AND NEW.chip IS NOT OLD.chip "
    "BEGIN SELECT RAISE(ABORT, 'sam: a number keeps its chip'); END",
    "CREATE TRIGGER sam_keeps_checked BEFORE UPDATE OF checked_at_s ON sam "
    "WHEN OLD.checked_at_s IS NOT NULL AND NEW.checked_at_s IS NOT OLD.checked_at_s "
    "BEGIN SELECT RAISE(ABORT, 'sam: what was issued stays issued'); END",
    "CREATE TRIGGER sam_range_grows BEFORE UPDATE ON sam_range WHEN NEW.next <= OLD.next OR NEW.city <> OLD.city "
    "BEGIN SELECT RAISE(ABORT, 'sam_range: a number is never given twice'); END",
    "CREATE TRIGGER sam_order_approved_once BEFORE UPDATE OF approved_by, approved_at_s ON sam_order "
    "WHEN OLD.approved_by IS NOT NULL BEGIN SELECT RAISE(ABORT, 'sam_order is approved already'); END",
)  # fmt: skip


class SamRefused(Exception):
    """This cannot be done with the SAM, order or box. The message says what to do."""


def sam(db: sqlite3.Connection, sam_no: str) -> sqlite3.Row:
    """Raises SamRefused where there is none."""
    row = db.execute("SELECT * FROM sam WHERE sam_no = ?", (sam_no,)).fetchone()
    if row is None:
        raise SamRefused(f"no SAM {sam_no}: `ykt keys sams list` shows them")
    assert isinstance(row, sqlite3.Row)
    return row


def move(
    db: sqlite3.Connection, sam_no: str, to_state: str, what: str, user: str, now_s: int, detail: str = ""
) -> None:
    """Change a SAM's state, with its event. Raises SamRefused where that step does not exist."""
    row = sam(db, sam_no)
    if to_state not in NEXT[row["state"]]:
        raise SamRefused(f"SAM {sam_no} is {row['state']}: it cannot be {what}")
    if to_state == CHECKED:
        db.execute("UPDATE sam SET checked_at_s = ? WHERE sam_no = ?", (now_s, sam_no))
    db.execute("UPDATE sam SET state = ? WHERE sam_no = ?", (to_state, sam_no))
    _event(db, sam_no, row["state"], to_state, what, user, now_s, detail)


def note(db: sqlite3.Connection, sam_no: str, what: str, user: str, now_s: int, detail: str = "") -> None:
    """Say something of a SAM that leaves its state alone."""
    state = sam(db, sam_no)["state"]
    _event(db, sam_no, state, state, what, user, now_s, detail)


def born(db: sqlite3.Connection, sam_no: str, user: str, now_s: int) -> None:
    """The first event of a SAM just inserted as `ordered`."""
    _event(db, sam_no, "", ORDERED, "ordered", user, now_s, "")


def noted(db: sqlite3.Connection, sam_no: str, what: str) -> bool:
    query = "SELECT 1 FROM sam_event WHERE sam_no = ? AND what = ?"
    return db.execute(query, (sam_no, what)).fetchone() is not None


def _event(
    db: sqlite3.Connection, sam_no: str, before: str, after: str, what: str, user: str, now_s: int, detail: str
) -> None:
    db.execute(
        "INSERT INTO sam_event (sam_no, at_s, what, from_state, to_state, detail, user) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (sam_no, now_s, what, before, after, detail, user),
    )
