"""The tables of migration 007: what is known of devices beside their records. backoffice/docs/store.md"""

SYNC = """
-- journals that a known device asked to bring; nonce NULL: used up
CREATE TABLE enrolment (
    device_id INTEGER NOT NULL REFERENCES device,
    epoch INTEGER NOT NULL,
    place INTEGER NOT NULL,         -- 1, 2, ... as the device's journals first asked: a later one follows an earlier
    state TEXT NOT NULL,            -- CHALLENGED, WAITING, ENROLLED, CLOSED
    nonce BLOB,
    last_seq INTEGER NOT NULL,      -- newest entry of the journal when it asked
    asked_at_s INTEGER NOT NULL,
    decided_at_s INTEGER,
    decided_by TEXT,                -- '' where nobody had to
    PRIMARY KEY (device_id, epoch)
) STRICT;

CREATE TABLE command (
    device_id INTEGER NOT NULL REFERENCES device,
    command_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    argument INTEGER NOT NULL,
    issued_at_s INTEGER NOT NULL,
    issued_by TEXT NOT NULL,
    sent_at_s INTEGER,              -- first answer that carried it
    done_at_s INTEGER,
    result INTEGER,
    PRIMARY KEY (device_id, command_id)
) STRICT;
CREATE INDEX command_open ON command (device_id) WHERE done_at_s IS NULL;

-- the newest heartbeat of each device
CREATE TABLE device_health (
    device_id INTEGER PRIMARY KEY REFERENCES device,
    seen_at_s INTEGER NOT NULL,
    clk_q INTEGER NOT NULL,
    health TEXT NOT NULL            -- JSON
) STRICT;

CREATE TABLE device_log (
    device_id INTEGER NOT NULL REFERENCES device,
    command_id INTEGER NOT NULL,
    crc INTEGER NOT NULL,           -- of the whole log
    total INTEGER NOT NULL,         -- its bytes; it is whole when so many are here
    content BLOB NOT NULL,
    at_s INTEGER NOT NULL,
    PRIMARY KEY (device_id, command_id)
) STRICT;
"""
