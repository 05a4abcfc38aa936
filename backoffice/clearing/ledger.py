"""What must hold before a run is published: backoffice/docs/clearing.md.

Each check reads the stored rows, not the run's own memory, so a slip between the two shows.
"""

import sqlite3

from backoffice.clearing.fees import RATE_UNIT
from backoffice.store import states


def problems(db: sqlite3.Connection, run_id: int) -> list[str]:
    """One sentence for each check that fails, by the number of the invariant; nothing: the run may be published."""
    checks = (
        (2, "positions and the centre do not sum to zero", _positions(db, run_id)),
        (4, "what arrived is not what the records add up to", _received(db)),
        (5, "a line's amount is not that of its records", _lines(db, run_id)),
        (6, "a carry exceeds half a fen", _carries(db, run_id)),
        (7, "a record is in two effective lines", _twice(db, run_id)),
    )
    return [f"invariant {number}: {text}" for number, text, holds in checks if not holds]


def _positions(db: sqlite3.Connection, run_id: int) -> bool:
    """Test money and other money apart; and a line's operators together get what the acquirer received."""
    rests = db.execute(
        "SELECT SUM((amount_fen - fee_fen + acquirer_fen) - (amount_fen - issuer_fen) + centre_fen) "
        "FROM settle_line WHERE run_id = ? GROUP BY test",
        (run_id,),
    )
    stated = db.execute(
        "SELECT line_no, amount_fen - fee_fen + acquirer_fen FROM settle_line WHERE run_id = ?", (run_id,)
    )
    operators = db.execute(
        "SELECT line_no, SUM(amount_fen - fee_fen) FROM operator_share WHERE run_id = ? GROUP BY line_no", (run_id,)
    )
    return all(rest[0] == 0 for rest in rests) and _same(stated, operators)


def _received(db: sqlite3.Connection) -> bool:
    """Counted at intake, against the sum over all states."""
    arrived = db.execute("SELECT COALESCE(SUM(taps), 0), COALESCE(SUM(taps_fen), 0) FROM intake_total").fetchone()
    known = (*states.OPEN, states.CLEARED, states.NOTED, states.VOID)
    marks = ", ".join("?" * len(known))
    stored = db.execute(
        f"SELECT COUNT(*), COALESCE(SUM(amount_fen), 0) FROM txn WHERE state IN ({marks})", known
    ).fetchone()
    return tuple(arrived) == tuple(stored)


def _lines(db: sqlite3.Connection, run_id: int) -> bool:
    """Count and amount of each line and of each operator's share, from the records themselves."""
    stated = db.execute("SELECT line_no, operator, count, amount_fen FROM operator_share WHERE run_id = ?", (run_id,))
    actual = db.execute(
        "SELECT cleared.line_no, cleared.operator, COUNT(*), SUM(txn.amount_fen) FROM cleared "
        "JOIN txn ON txn.id = cleared.txn_id WHERE cleared.run_id = ? GROUP BY cleared.line_no, cleared.operator",
        (run_id,),
    )
    lines = db.execute("SELECT line_no, count, amount_fen FROM settle_line WHERE run_id = ?", (run_id,))
    by_line = db.execute(
        "SELECT cleared.line_no, COUNT(*), SUM(txn.amount_fen) FROM cleared "
        "JOIN txn ON txn.id = cleared.txn_id WHERE cleared.run_id = ? GROUP BY cleared.line_no",
        (run_id,),
    )
    return _same(stated, actual) and _same(lines, by_line)


def _same(left: sqlite3.Cursor, right: sqlite3.Cursor) -> bool:
    return {tuple(row) for row in left} == {tuple(row) for row in right}


def _carries(db: sqlite3.Connection, run_id: int) -> bool:
    half = RATE_UNIT // 2
    too_large = db.execute(
        "SELECT COUNT(*) FROM settle_line WHERE run_id = ? AND "
        "(ABS(fee_carry_out) > ? OR ABS(issuer_carry_out) > ? OR ABS(acquirer_carry_out) > ?)",
        (run_id, half, half, half),
    ).fetchone()[0]
    return bool(too_large == 0)


def _twice(db: sqlite3.Connection, run_id: int) -> bool:
    """Against the effective runs of all other days."""
    doubles = db.execute(
        "SELECT COUNT(*) FROM cleared AS mine JOIN cleared AS other ON other.txn_id = mine.txn_id "
        "JOIN clearing_run ON clearing_run.run_id = other.run_id "
        "WHERE mine.run_id = ? AND other.run_id <> ? AND clearing_run.status = 'EFFECTIVE'",
        (run_id, run_id),
    ).fetchone()[0]
    return bool(doubles == 0)
