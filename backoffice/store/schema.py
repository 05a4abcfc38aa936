"""The tables, as numbered migrations. A name once released never changes; a new need is a new number.

Each migration and the note that it was applied share one transaction, so a process killed midway leaves the
database at the version before. Layout and reasons: backoffice/docs/store.md.

Money is integer fen, times are UTC seconds, days are clearing days 'YYYY-MM-DD'.
"""

from sqlite_utils import Database, Migrations

from backoffice.store import card_tables
from backoffice.store.device_tables import SYNC
from backoffice.store.sam_tables import SAM_APPEND_ONLY, SAM_FACTS, SAM_GUARDS, SAM_NEVER_DELETED, SAMS

MIGRATIONS = Migrations("backoffice")

_REGISTRY = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE org (
    org TEXT PRIMARY KEY,
    name_zh TEXT NOT NULL,
    name_en TEXT NOT NULL,
    city TEXT NOT NULL,
    province TEXT NOT NULL
) STRICT;

-- the whitelist: issuer identifier of file 15h -> issuing company, at trade time
CREATE TABLE bin_range (
    issuer_id TEXT NOT NULL,
    org TEXT NOT NULL REFERENCES org,
    from_s INTEGER NOT NULL,
    to_s INTEGER NOT NULL,
    PRIMARY KEY (issuer_id, from_s)
) STRICT;

CREATE TABLE device (
    device_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    operator TEXT NOT NULL REFERENCES org,
    acquirer TEXT NOT NULL REFERENCES org,
    epoch INTEGER,              -- of its journal; NULL until its first upload, and again when it is re-enrolled
    msg_seq INTEGER NOT NULL,   -- highest message stored
    msg_digest BLOB,            -- SHA-256 of that message's payload
    response BLOB               -- the bytes it was answered with
) STRICT;

-- journals that a re-enrolment ended: their old messages are refused for ever
CREATE TABLE retired_epoch (
    device_id INTEGER NOT NULL REFERENCES device,
    epoch INTEGER NOT NULL,
    retired_at_s INTEGER NOT NULL,
    PRIMARY KEY (device_id, epoch)
) STRICT;

-- by the SAM's number, 12 digits; device_id NULL where any device of the operator may hold it
CREATE TABLE terminal (
    terminal TEXT NOT NULL,
    operator TEXT NOT NULL REFERENCES org,
    acquirer TEXT NOT NULL REFERENCES org,
    device_id INTEGER REFERENCES device,
    from_s INTEGER NOT NULL,
    to_s INTEGER NOT NULL,
    PRIMARY KEY (terminal, from_s)
) STRICT;

-- rates in parts per 100 000; NULL means any
CREATE TABLE fee_rule (
    rule_id TEXT PRIMARY KEY,
    level TEXT NOT NULL,
    business INTEGER,
    service INTEGER,
    acquirer TEXT REFERENCES org,
    issuer TEXT REFERENCES org,
    charge_rate INTEGER NOT NULL,
    issuer_rate INTEGER NOT NULL,
    acquirer_rate INTEGER NOT NULL,
    from_s INTEGER NOT NULL,
    to_s INTEGER NOT NULL
) STRICT;

CREATE TABLE fare_table (
    fare_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    from_s INTEGER NOT NULL,
    scheme TEXT NOT NULL,
    payload TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (fare_id, version)
) STRICT;
"""

_RECORDS = """
-- one journal entry as it arrived. copy 0 is the first under its number; higher ones said something else
CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    device_id INTEGER NOT NULL REFERENCES device,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    copy INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    content_hash BLOB NOT NULL,
    raw BLOB NOT NULL,
    received_at_s INTEGER NOT NULL,
    UNIQUE (device_id, epoch, seq, copy)
) STRICT;

CREATE TABLE txn (
    id INTEGER PRIMARY KEY REFERENCES entry,
    device_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    copy INTEGER NOT NULL,
    accept_day TEXT NOT NULL,
    at_s INTEGER NOT NULL,
    clk_q INTEGER NOT NULL,
    type INTEGER NOT NULL,
    industry INTEGER NOT NULL,
    card TEXT NOT NULL,
    issuer_id TEXT NOT NULL,
    city TEXT NOT NULL,
    card_kind INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    balance_fen INTEGER NOT NULL,
    limit_fen INTEGER NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen >= 0),
    list_fen INTEGER NOT NULL,
    discount_fen INTEGER NOT NULL,
    terminal TEXT NOT NULL,
    terminal_seq INTEGER NOT NULL,
    key_index INTEGER NOT NULL,
    key_version INTEGER NOT NULL,
    algorithm INTEGER NOT NULL,
    fare_id INTEGER NOT NULL,
    fare_version INTEGER NOT NULL,
    line INTEGER NOT NULL,
    stop_in INTEGER NOT NULL,
    stop_out INTEGER NOT NULL,
    driver INTEGER NOT NULL,
    vehicle INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    mac2 INTEGER NOT NULL,
    sw INTEGER NOT NULL,
    tac BLOB NOT NULL,
    -- what may change, by backoffice/store/states.py only
    state TEXT NOT NULL,
    reason TEXT NOT NULL,                       -- anomaly code of SUSPECT, HELD and REJECTED, else how it got here
    proof TEXT NOT NULL DEFAULT 'none',         -- none, tac, or chain: the card's next purchase
    amend_id INTEGER REFERENCES amend,          -- the later outcome that replaced the one above
    rival_id INTEGER REFERENCES txn             -- of a HELD record: the first that came under the same key
) STRICT;
CREATE INDEX txn_state ON txn (state);
CREATE INDEX txn_card ON txn (card, counter);

CREATE TABLE txn_event (
    id INTEGER PRIMARY KEY,
    txn_id INTEGER NOT NULL REFERENCES txn,
    at_s INTEGER NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL
) STRICT;
CREATE INDEX txn_event_txn ON txn_event (txn_id);

-- who spent a card's counter: one confirmed purchase, and no second
CREATE TABLE card_key (
    card TEXT NOT NULL,
    counter INTEGER NOT NULL,
    txn_id INTEGER NOT NULL REFERENCES txn,
    PRIMARY KEY (card, counter)
) STRICT;

CREATE TABLE event (
    id INTEGER PRIMARY KEY REFERENCES entry,
    at_s INTEGER NOT NULL,
    clk_q INTEGER NOT NULL,
    code INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    card TEXT NOT NULL,
    value INTEGER NOT NULL
) STRICT;

CREATE TABLE amend (
    id INTEGER PRIMARY KEY REFERENCES entry,
    at_s INTEGER NOT NULL,
    of_seq INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    mac2 INTEGER NOT NULL,
    tac BLOB NOT NULL
) STRICT;

-- counted where entries arrive, so that a close can compare it with what the records add up to
CREATE TABLE intake_total (
    day TEXT NOT NULL,
    device_id INTEGER NOT NULL REFERENCES device,
    taps INTEGER NOT NULL,
    taps_fen INTEGER NOT NULL,
    replays INTEGER NOT NULL,
    rejects INTEGER NOT NULL,
    PRIMARY KEY (day, device_id)
) STRICT;

CREATE TABLE anomaly (
    id INTEGER PRIMARY KEY,
    code TEXT NOT NULL,
    ref TEXT NOT NULL,              -- 'txn 17', 'entry 4', 'run 2'
    amount_fen INTEGER NOT NULL,
    owner TEXT NOT NULL,            -- organisation that answers for it, '' for the back office
    opened_at_s INTEGER NOT NULL,
    closed_at_s INTEGER,
    resolution TEXT NOT NULL DEFAULT '',
    UNIQUE (code, ref)
) STRICT;
"""

_RUNS = """
CREATE TABLE clearing_run (
    run_id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    at_s INTEGER NOT NULL,
    status TEXT NOT NULL,           -- EFFECTIVE, SUPERSEDED, FAILED
    code_version TEXT NOT NULL,
    rules_version TEXT NOT NULL,
    rules BLOB NOT NULL,            -- the rules themselves, so that the run can be proved again
    input_digest TEXT NOT NULL,
    output_digest TEXT NOT NULL,
    output BLOB NOT NULL,
    problem TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX clearing_run_effective ON clearing_run (day) WHERE status = 'EFFECTIVE';

CREATE TABLE settle_line (
    run_id INTEGER NOT NULL REFERENCES clearing_run,
    line_no INTEGER NOT NULL,
    level TEXT NOT NULL,
    payer TEXT NOT NULL REFERENCES org,
    payee TEXT NOT NULL REFERENCES org,
    business INTEGER NOT NULL,
    service INTEGER NOT NULL,
    test INTEGER NOT NULL,
    rule_id TEXT NOT NULL,
    count INTEGER NOT NULL,
    amount_fen INTEGER NOT NULL,
    fee_fen INTEGER NOT NULL,
    issuer_fen INTEGER NOT NULL,
    acquirer_fen INTEGER NOT NULL,
    centre_fen INTEGER NOT NULL,
    fee_carry_in INTEGER NOT NULL,
    issuer_carry_in INTEGER NOT NULL,
    acquirer_carry_in INTEGER NOT NULL,
    fee_carry_out INTEGER NOT NULL,
    issuer_carry_out INTEGER NOT NULL,
    acquirer_carry_out INTEGER NOT NULL,
    PRIMARY KEY (run_id, line_no)
) STRICT;

-- a line's receipt, told apart by operator
CREATE TABLE operator_share (
    run_id INTEGER NOT NULL,
    line_no INTEGER NOT NULL,
    operator TEXT NOT NULL REFERENCES org,
    count INTEGER NOT NULL,
    amount_fen INTEGER NOT NULL,
    fee_fen INTEGER NOT NULL,
    PRIMARY KEY (run_id, line_no, operator),
    FOREIGN KEY (run_id, line_no) REFERENCES settle_line
) STRICT;

CREATE TABLE cleared (
    run_id INTEGER NOT NULL,
    txn_id INTEGER NOT NULL REFERENCES txn,
    line_no INTEGER NOT NULL,
    operator TEXT NOT NULL,
    PRIMARY KEY (run_id, txn_id),
    FOREIGN KEY (run_id, line_no) REFERENCES settle_line
) STRICT;
CREATE INDEX cleared_txn ON cleared (txn_id);
"""

_PARAMS = """
-- one parameter set of a scope (an operator). What it says never changes; who approved and published it is added
CREATE TABLE params_set (
    scope TEXT NOT NULL REFERENCES org,
    version INTEGER NOT NULL,
    effective_at_s INTEGER NOT NULL,
    expires_at_s INTEGER NOT NULL,
    payload BLOB NOT NULL,
    dry_run TEXT NOT NULL,              -- JSON: yesterday's taps under this set
    built_at_s INTEGER NOT NULL,
    built_by TEXT NOT NULL,
    approved_at_s INTEGER,
    approved_by TEXT,
    published_at_s INTEGER,
    published_by TEXT,
    blob BLOB,                          -- signed
    sha256 TEXT,
    PRIMARY KEY (scope, version),
    CHECK (approved_by IS NULL OR approved_by <> built_by),
    CHECK (published_by IS NULL OR approved_by IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX params_set_blob ON params_set (sha256);

-- the newest signed manifest of each scope
CREATE TABLE params_manifest (
    scope TEXT PRIMARY KEY REFERENCES org,
    envelope BLOB NOT NULL
) STRICT;

-- what each device said it runs, in its newest upload
CREATE TABLE device_version (
    device_id INTEGER NOT NULL REFERENCES device,
    what TEXT NOT NULL,
    value TEXT NOT NULL,
    seen_at_s INTEGER NOT NULL,
    PRIMARY KEY (device_id, what)
) STRICT;
"""

_LISTS = """
-- what a clerk read in from a file, until a version is built from it
CREATE TABLE list_draft (
    scope TEXT NOT NULL REFERENCES org,
    name TEXT NOT NULL,                 -- 'deny', 'city' or 'bin'
    records BLOB NOT NULL,              -- sorted, as in tunion.wire.lists
    source TEXT NOT NULL,               -- the file's name
    imported_at_s INTEGER NOT NULL,
    imported_by TEXT NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT;

-- one version of a list. What it says never changes; who approved and published it is added
CREATE TABLE list_version (
    scope TEXT NOT NULL REFERENCES org,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_s INTEGER NOT NULL,
    effective_at_s INTEGER NOT NULL,
    expires_at_s INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sha256 TEXT NOT NULL,               -- of the records
    source TEXT NOT NULL,
    imported_by TEXT NOT NULL,
    built_by TEXT NOT NULL,
    approved_at_s INTEGER,
    approved_by TEXT,
    published_at_s INTEGER,
    published_by TEXT,
    PRIMARY KEY (scope, name, version),
    CHECK (approved_by IS NULL OR (approved_by <> built_by AND approved_by <> imported_by)),
    CHECK (published_by IS NULL OR approved_by IS NOT NULL)
) STRICT;

-- its records, while a delta may still start from them
CREATE TABLE list_content (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    records BLOB NOT NULL,
    PRIMARY KEY (scope, name, version),
    FOREIGN KEY (scope, name, version) REFERENCES list_version
) STRICT;

-- signed, for download: the whole list (base 0) and deltas of earlier versions
CREATE TABLE list_blob (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    base INTEGER NOT NULL,
    blob BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (scope, name, version, base),
    FOREIGN KEY (scope, name, version) REFERENCES list_version
) STRICT;
CREATE UNIQUE INDEX list_blob_sha256 ON list_blob (sha256);
"""

_MUTABLE_OF_TXN = ("state", "reason", "proof", "amend_id", "rival_id")
_APPEND_ONLY = ("entry", "txn_event", "event", "amend", "settle_line", "operator_share", "cleared")
_NEVER_DELETED = ("txn", "clearing_run", "anomaly", "retired_epoch")


@MIGRATIONS(name="001_first_line")
def first_line(db: Database) -> None:
    for script in (_REGISTRY, _RECORDS, _RUNS):
        for statement in _statements(script):
            db.conn.execute(statement)
    for statement in _guards(db):
        db.conn.execute(statement)


@MIGRATIONS(name="005_params")
def params(db: Database) -> None:
    for statement in _statements(_PARAMS):
        db.conn.execute(statement)
    said = "scope, version, effective_at_s, expires_at_s, payload, dry_run, built_at_s, built_by"
    db.conn.execute(_refuse("params_set", "UPDATE OF " + said))
    db.conn.execute(_refuse("params_set", "DELETE"))


@MIGRATIONS(name="006_lists")
def lists(db: Database) -> None:
    for statement in _statements(_LISTS):
        db.conn.execute(statement)
    said = "scope, name, version, created_s, effective_at_s, expires_at_s, count, sha256, source, imported_by, built_by"
    db.conn.execute(_refuse("list_version", "UPDATE OF " + said))
    db.conn.execute(_refuse("list_version", "DELETE"))
    db.conn.execute(_refuse("list_content", "UPDATE"))
    db.conn.execute(_refuse("list_blob", "UPDATE"))


@MIGRATIONS(name="007_sync")
def sync(db: Database) -> None:
    for statement in _statements(SYNC):
        db.conn.execute(statement)
    db.conn.execute(_refuse("command", "UPDATE OF name, argument, issued_at_s, issued_by"))
    db.conn.execute(_refuse("command", "DELETE"))


@MIGRATIONS(name="008_rides")
def rides(db: Database) -> None:
    for name in _RIDE_FACTS:
        db.conn.execute(f"ALTER TABLE txn ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0")
    db.conn.execute("DROP TRIGGER txn_keeps_update")
    db.conn.execute(_guards(db)[0])


@MIGRATIONS(name="009_tariffs")
def tariffs(db: Database) -> None:
    # what was found, in a word for programs: of TX-16 and TX-25 a finding of tunion.fare.reprice
    db.conn.execute("ALTER TABLE anomaly ADD COLUMN detail TEXT NOT NULL DEFAULT ''")


@MIGRATIONS(name="010_products")
def products(db: Database) -> None:
    # which application paid: 0 JT/T 978. Of a tap it stands in `event`
    db.conn.execute("ALTER TABLE settle_line ADD COLUMN product INTEGER NOT NULL DEFAULT 0")


@MIGRATIONS(name="011_sams")
def sams(db: Database) -> None:
    guards = [_refuse(table, f"UPDATE OF {facts}") for table, facts in SAM_FACTS.items()]
    guards += [_refuse(table, "UPDATE") for table in SAM_APPEND_ONLY]
    guards += [_refuse(table, "DELETE") for table in SAM_APPEND_ONLY + SAM_NEVER_DELETED]
    for statement in [*_statements(SAMS), *guards, *SAM_GUARDS]:
        db.conn.execute(statement)


@MIGRATIONS(name="012_cards")
def cards(db: Database) -> None:
    for script in (card_tables.CARDS, card_tables.MONEY):
        for statement in _statements(script):
            db.conn.execute(statement)
    for table in card_tables.APPEND_ONLY:
        db.conn.execute(_refuse(table, "UPDATE"))
    for table, facts in card_tables.FACTS.items():
        db.conn.execute(_refuse(table, "UPDATE OF " + facts))
    for table in (*card_tables.APPEND_ONLY, *card_tables.NEVER_DELETED):
        db.conn.execute(_refuse(table, "DELETE"))
    for guard in card_tables.GUARDS:
        db.conn.execute(guard)


# what a tap says beyond a flat fare, of tunion.wire.tap.FLAT
_RIDE_FACTS = ("event", "fare_case", "layer", "riders", "modes", "granted", "owed_fen", "ride_s")


def _statements(script: str) -> list[str]:
    """One by one: sqlite3's executescript would commit the migration's transaction first."""
    bare = "\n".join(line.split("--")[0] for line in script.splitlines())
    return [statement for statement in bare.split(";") if statement.strip()]


def _guards(db: Database) -> list[str]:
    """Triggers that refuse what no code of ours does: to change or delete a money fact."""
    facts = [column.name for column in db["txn"].columns if column.name not in _MUTABLE_OF_TXN]
    guards = [_refuse("txn", "UPDATE OF " + ", ".join(facts)), _refuse("clearing_run", "UPDATE OF " + _RUN_FACTS)]
    guards += [_refuse(table, "UPDATE") for table in _APPEND_ONLY]
    guards += [_refuse(table, "DELETE") for table in _APPEND_ONLY + _NEVER_DELETED]
    return guards


_RUN_FACTS = "run_id, day, at_s, code_version, rules_version, rules, input_digest, output_digest, output, problem"


def _refuse(table: str, action: str) -> str:
    name = f"{table}_keeps_{action.split()[0].lower()}"
    return (
        f"CREATE TRIGGER {name} BEFORE {action} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: correct it by a new dated entry'); END"
    )
