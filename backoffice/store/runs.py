"""Clearing runs as rows: the run, its lines, its operators' shares, its records."""

import sqlite3
from collections.abc import Iterable
from typing import Any

EFFECTIVE = "EFFECTIVE"
SUPERSEDED = "SUPERSEDED"
FAILED = "FAILED"


def effective(db: sqlite3.Connection, day: str) -> sqlite3.Row | None:
    row = db.execute("SELECT * FROM clearing_run WHERE day = ? AND status = ?", (day, EFFECTIVE)).fetchone()
    assert row is None or isinstance(row, sqlite3.Row)
    return row


def latest_day(db: sqlite3.Connection) -> str:
    """The last day that has an effective run; '' where none has."""
    row = db.execute("SELECT MAX(day) FROM clearing_run WHERE status = ?", (EFFECTIVE,)).fetchone()
    return row[0] or ""


def supersede(db: sqlite3.Connection, day: str) -> None:
    db.execute("UPDATE clearing_run SET status = ? WHERE day = ? AND status = ?", (SUPERSEDED, day, EFFECTIVE))


def insert(db: sqlite3.Connection, run: dict[str, Any]) -> int:
    """The id of a new run; `run` has every column but run_id."""
    marks = ", ".join("?" * len(run))
    run_id = db.execute(f"INSERT INTO clearing_run ({', '.join(run)}) VALUES ({marks})", list(run.values())).lastrowid
    assert run_id is not None
    return run_id


def insert_line(db: sqlite3.Connection, line: tuple[Any, ...]) -> None:
    """Columns of settle_line in their order."""
    db.execute(f"INSERT INTO settle_line VALUES ({', '.join('?' * 22)})", line)


def insert_shares(db: sqlite3.Connection, shares: Iterable[tuple[Any, ...]]) -> None:
    """Rows of (run, line, operator, count, amount, fee)."""
    db.executemany("INSERT INTO operator_share VALUES (?, ?, ?, ?, ?, ?)", shares)


def insert_cleared(db: sqlite3.Connection, rows: Iterable[tuple[int, int, int, str]]) -> None:
    """Rows of (run, record, line, operator)."""
    db.executemany("INSERT INTO cleared VALUES (?, ?, ?, ?)", rows)


def lines(db: sqlite3.Connection, run_id: int) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM settle_line WHERE run_id = ? ORDER BY line_no", (run_id,)).fetchall()


def lines_before(db: sqlite3.Connection, day: str) -> Iterable[sqlite3.Row]:
    """Lines of all effective runs of earlier days, oldest first."""
    return db.execute(
        "SELECT settle_line.* FROM settle_line JOIN clearing_run USING (run_id) "
        "WHERE clearing_run.status = ? AND clearing_run.day < ? ORDER BY clearing_run.day",
        (EFFECTIVE, day),
    )


def records_of(db: sqlite3.Connection, run_id: int) -> Iterable[sqlite3.Row]:
    """The records of a run, each with the line and operator that it was counted under."""
    return db.execute(
        "SELECT txn.*, cleared.line_no, cleared.operator FROM cleared JOIN txn ON txn.id = cleared.txn_id "
        "WHERE cleared.run_id = ? ORDER BY txn.id",
        (run_id,),
    )


def ready(db: sqlite3.Connection, day: str) -> list[sqlite3.Row]:
    """Verified records accepted up to a day that no run has cleared yet."""
    return db.execute("SELECT * FROM txn WHERE state = 'VERIFIED' AND accept_day <= ? ORDER BY id", (day,)).fetchall()
