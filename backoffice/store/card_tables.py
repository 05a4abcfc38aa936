"""The tables of migration 012: cards from the chip to the holder, and the money on their way. backoffice/docs/cards.md

What counts is a CHECK or a trigger: no statement of ours, or of anybody's, leaves a batch out of balance, gives a
number twice, or changes a fact that was written down.
"""

CARDS = """
-- a delivery of blank chips, and where each of them is now
CREATE TABLE card_batch (
    batch TEXT PRIMARY KEY,
    profile TEXT NOT NULL,              -- command set: backoffice/cards/profiles
    product TEXT NOT NULL,              -- name of what is made of them
    product_json TEXT NOT NULL,         -- and all it said on that day
    vendor TEXT NOT NULL,
    chip TEXT NOT NULL,                 -- maker, 4 hex digits, as GET CHIP tells; '' where any will do
    mask TEXT NOT NULL,                 -- likewise
    transport_version INTEGER NOT NULL, -- of the key under which the chips came
    control_version INTEGER NOT NULL,   -- of the one that takes its place
    kcv_set TEXT NOT NULL,              -- JSON: check values of the keys that go onto the cards, by purpose
    artwork_common TEXT NOT NULL,
    artwork_local TEXT NOT NULL,
    city TEXT NOT NULL,                 -- destination, 4 digits
    operator TEXT NOT NULL,
    start_s INTEGER NOT NULL,
    end_s INTEGER,                      -- closed; then nothing is made of it any more
    ordered INTEGER NOT NULL CHECK (ordered > 0),
    received INTEGER NOT NULL CHECK (received >= 0),
    in_process INTEGER NOT NULL CHECK (in_process >= 0),
    good INTEGER NOT NULL CHECK (good >= 0),
    bad INTEGER NOT NULL CHECK (bad >= 0),
    scrapped INTEGER NOT NULL CHECK (scrapped >= 0),
    stock INTEGER NOT NULL CHECK (stock >= 0),
    shipped INTEGER NOT NULL CHECK (shipped >= 0),
    returned INTEGER NOT NULL CHECK (returned BETWEEN 0 AND bad),  -- of the bad: back to the vendor
    CHECK (received <= ordered),
    CHECK (received = good + bad + scrapped + in_process),
    CHECK (good = stock + shipped),
    CHECK (end_s IS NULL OR in_process = 0)
) STRICT;

-- why the counts of a batch are what they are
CREATE TABLE card_batch_move (
    id INTEGER PRIMARY KEY,
    batch TEXT NOT NULL REFERENCES card_batch,
    at_s INTEGER NOT NULL,
    from_bin TEXT NOT NULL,             -- '' from outside
    to_bin TEXT NOT NULL,
    count INTEGER NOT NULL CHECK (count > 0),
    card_id INTEGER REFERENCES card,
    why TEXT NOT NULL,
    actor TEXT NOT NULL
) STRICT;
CREATE INDEX card_batch_move_batch ON card_batch_move (batch);

-- 19-digit numbers an issuer may give. `next` only grows
CREATE TABLE card_range (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    issuer_id TEXT NOT NULL,            -- 16 hex digits of file 15h
    next INTEGER NOT NULL,
    added_at_s INTEGER NOT NULL,
    added_by TEXT NOT NULL,
    CHECK (first <= last AND next BETWEEN first AND last + 1)
) STRICT;

CREATE TABLE card (
    card_id INTEGER PRIMARY KEY,
    chip_serial TEXT NOT NULL UNIQUE,   -- 16 hex digits
    batch TEXT REFERENCES card_batch,   -- NULL: a stock card of the time before, taken in to be exchanged
    medium TEXT NOT NULL,               -- 'card', 'legacy'
    state TEXT NOT NULL,                -- backoffice/cards/states.py
    bin TEXT NOT NULL,                  -- where its batch counts it: in_process, stock, shipped, bad, scrapped; ''
    begun_1 INTEGER NOT NULL DEFAULT 0, -- times that step 1 was begun
    begun_2 INTEGER NOT NULL DEFAULT 0,
    tried_at_s INTEGER,                 -- its keys were proved before the chip was closed
    -- what it was made to be, with its number; never changed but for the expiry
    number TEXT UNIQUE,                 -- 19 digits
    issuer_id TEXT,
    city TEXT,
    kind INTEGER,
    app_version TEXT,
    key_version INTEGER,
    start TEXT,                         -- YYYYMMDD
    expiry TEXT,
    deposit_fen INTEGER NOT NULL DEFAULT 0 CHECK (deposit_fen >= 0)  -- held for its holder
) STRICT;
CREATE INDEX card_batch_bin ON card (batch, bin);

-- every number that was ever taken, good or scrapped: a second row of one is impossible
CREATE TABLE card_number (
    number TEXT PRIMARY KEY,
    card_id INTEGER NOT NULL UNIQUE REFERENCES card,
    taken_at_s INTEGER NOT NULL,
    taken_by TEXT NOT NULL
) STRICT;

CREATE TABLE card_event (
    id INTEGER PRIMARY KEY,
    card_id INTEGER NOT NULL REFERENCES card,
    at_s INTEGER NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    why TEXT NOT NULL,
    actor TEXT NOT NULL
) STRICT;
CREATE INDEX card_event_card ON card_event (card_id);

-- one run of a step over a card, however it ended
CREATE TABLE card_result (
    id INTEGER PRIMARY KEY,
    card_id INTEGER NOT NULL REFERENCES card,
    step TEXT NOT NULL,                 -- initialise, personalise
    at_s INTEGER NOT NULL,
    outcome TEXT NOT NULL,              -- good, gone: may be put in again, scrapped
    reason TEXT NOT NULL,
    reader TEXT NOT NULL,
    machine TEXT NOT NULL,
    operator TEXT NOT NULL,
    atr TEXT NOT NULL,                  -- hex
    uid TEXT NOT NULL,                  -- hex; '' where it is random or the reader does not tell
    steps TEXT NOT NULL,                -- JSON: [[command, status word], ...]
    readback TEXT NOT NULL,             -- SHA-256 of what was read back; '' before that
    duration_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX card_result_card ON card_result (card_id);
"""

MONEY = """
-- one load that was ordered: its amount goes onto one card once, or back
CREATE TABLE card_load (
    load_id INTEGER PRIMARY KEY,
    source TEXT NOT NULL UNIQUE,        -- what it is of: 'issue 17', 'case 4', 'order ABC'
    number TEXT NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    state TEXT NOT NULL,                -- PAID, AUTHORISED, WRITTEN, REFUNDED
    paid_at_s INTEGER NOT NULL,
    paid_by TEXT NOT NULL
) STRICT;
CREATE INDEX card_load_number ON card_load (number);

-- one MAC2 that went out. It is written down before it is sent
CREATE TABLE card_load_try (
    try_id INTEGER PRIMARY KEY,
    load_id INTEGER NOT NULL REFERENCES card_load,
    number TEXT NOT NULL,
    counter INTEGER NOT NULL,           -- online counter before
    balance_fen INTEGER NOT NULL,       -- before, as the card states it
    terminal TEXT NOT NULL,
    at TEXT NOT NULL,                   -- 14 digits, local
    key_version INTEGER NOT NULL,
    algorithm INTEGER NOT NULL,
    state TEXT NOT NULL,                -- AUTHORISED, WRITTEN, NOT_WRITTEN
    tac BLOB,                           -- of WRITTEN, where the card still had it
    ended_at_s INTEGER
) STRICT;
-- a card's load counter is spent once; and no second MAC2 while the first may have been obeyed
CREATE UNIQUE INDEX card_load_try_key ON card_load_try (number, counter) WHERE state <> 'NOT_WRITTEN';
CREATE UNIQUE INDEX card_load_try_open ON card_load_try (load_id) WHERE state <> 'NOT_WRITTEN';

-- money of cards outside rides: each row takes from one account and gives to another
CREATE TABLE card_entry (
    id INTEGER PRIMARY KEY,
    at_s INTEGER NOT NULL,
    number TEXT NOT NULL,
    what TEXT NOT NULL,
    ref TEXT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    actor TEXT NOT NULL,
    UNIQUE (what, ref),
    CHECK (debit <> credit)
) STRICT;
CREATE INDEX card_entry_number ON card_entry (number);

-- what a holder came with: replace, bad, refund, extend, exchange
CREATE TABLE card_case (
    case_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    old_card INTEGER NOT NULL REFERENCES card,
    new_card INTEGER REFERENCES card,
    amount_fen INTEGER NOT NULL CHECK (amount_fen >= 0),   -- balance that moves or is paid, as it was opened
    final_fen INTEGER CHECK (final_fen >= 0),   -- of a card that does not answer: by the books when it was paid
    deposit_fen INTEGER NOT NULL CHECK (deposit_fen >= 0),
    due_s INTEGER NOT NULL,             -- not paid before
    state TEXT NOT NULL,                -- OPEN, RETIRED, DONE, CLOSED
    opened_at_s INTEGER NOT NULL,
    opened_by TEXT NOT NULL,
    approved_at_s INTEGER,
    approved_by TEXT,
    detail TEXT NOT NULL,               -- JSON: what was seen on the card
    CHECK (approved_by IS NULL OR approved_by <> opened_by)
) STRICT;
-- a card's balance moves once
CREATE UNIQUE INDEX card_case_once ON card_case (old_card) WHERE kind <> 'extend' AND state <> 'CLOSED';

CREATE TABLE card_case_event (
    id INTEGER PRIMARY KEY,
    case_id INTEGER NOT NULL REFERENCES card_case,
    at_s INTEGER NOT NULL,
    to_state TEXT NOT NULL,
    why TEXT NOT NULL,
    actor TEXT NOT NULL
) STRICT;
"""

APPEND_ONLY = (
    "card_batch_move",
    "card_number",
    "card_event",
    "card_result",
    "card_entry",
    "card_case_event",
)
NEVER_DELETED = ("card_batch", "card_range", "card", "card_load", "card_load_try", "card_case")
FACTS = {  # columns that keep what they said
    "card_batch": "batch, profile, product, product_json, vendor, chip, mask, transport_version, control_version, "
    "kcv_set, artwork_common, artwork_local, city, operator, start_s, ordered",
    "card_range": "first, last, issuer_id, added_at_s, added_by",
    "card": "card_id, chip_serial, batch, medium",
    "card_load": "load_id, source, number, amount_fen, paid_at_s, paid_by",
    "card_load_try": "try_id, load_id, number, counter, balance_fen, terminal, at, key_version, algorithm",
    "card_case": "case_id, kind, old_card, amount_fen, deposit_fen, opened_at_s, opened_by, detail",
}
GUARDS = (
    # a number that a card has, and what it was made to be with it, stay
    """CREATE TRIGGER card_keeps_number
    BEFORE UPDATE OF number, issuer_id, city, kind, app_version, key_version, start ON card
    WHEN OLD.number IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'a card keeps its number and what it was made to be'); END""",
    """CREATE TRIGGER card_range_apart BEFORE INSERT ON card_range
    WHEN EXISTS (SELECT 1 FROM card_range WHERE first <= NEW.last AND last >= NEW.first)
    BEGIN SELECT RAISE(ABORT, 'this range overlaps one that is there'); END""",
    """CREATE TRIGGER card_range_grows BEFORE UPDATE OF next ON card_range WHEN NEW.next < OLD.next
    BEGIN SELECT RAISE(ABORT, 'numbers that were taken are not given back'); END""",
    """CREATE TRIGGER card_case_final BEFORE UPDATE OF final_fen ON card_case WHEN OLD.final_fen IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'what was paid for a card stays so'); END""",
    """CREATE TRIGGER card_load_ends BEFORE UPDATE OF state ON card_load
    WHEN OLD.state IN ('WRITTEN', 'REFUNDED')
    BEGIN SELECT RAISE(ABORT, 'a load that ended stays as it ended'); END""",
    """CREATE TRIGGER card_load_try_ends BEFORE UPDATE OF state, tac ON card_load_try
    WHEN OLD.state <> 'AUTHORISED'
    BEGIN SELECT RAISE(ABORT, 'what a card proved stays proved'); END""",
)
