"""The SQLite engine: one file, WAL, every commit on disk before it is answered.

    with store.transaction() as db:      BEGIN IMMEDIATE ... COMMIT, or ROLLBACK whatever goes wrong
    with store.reading() as db:          a consistent view

Statements are plain SQL with `?`, integers only and no division, so that another engine can run them.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from backoffice.store.schema import MIGRATIONS

WAIT_FOR_WRITER_S = 5  # another server on this file commits in milliseconds; a device would rather hear "busy"

_PASSING = {  # errors of the machine, not of ours: nothing was stored, the same request may succeed later
    sqlite3.SQLITE_BUSY: "another process is writing",
    sqlite3.SQLITE_LOCKED: "another process is writing",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk reports an error",
    sqlite3.SQLITE_READONLY: "the database may not be written",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
}


class Busy(Exception):
    """The store cannot do this now. Nothing was stored: send the same again later."""


class WrongStore(Exception):
    """No database of ours at this path, or one of another version. The message says what to do."""


class Store:
    """One open database, shared by the threads of a process. Processes share the file."""

    def __init__(self, path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection) -> None:
        """Open an existing database; `factory` makes the connection. Raises WrongStore or Busy."""
        if not path.exists():
            raise WrongStore(f"{path} does not exist: make it with `ykt backoffice init --db {path}`")
        if not path.is_file():
            raise WrongStore(f"{path} is no file: name the database")
        self.path = path
        self._lock = threading.Lock()
        self._db = _connect(path, factory)
        try:
            _check_version(self._db, path)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when the block is left. Raises Busy; then nothing was stored."""
        with self._begun("BEGIN IMMEDIATE") as db:
            yield db

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the database. Raises Busy."""
        with self._begun("BEGIN") as db:
            yield db

    @contextmanager
    def _begun(self, begin: str) -> Iterator[sqlite3.Connection]:
        if not self._lock.acquire(timeout=WAIT_FOR_WRITER_S):
            raise Busy("another request is writing")
        try:
            self._db.execute(begin)
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if _passing(error):
                raise Busy(_passing(error)) from error
            raise
        finally:
            try:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            finally:
                self._lock.release()


def create(path: Path) -> None:
    """Make a new database with the newest schema. Raises WrongStore where something is in the way."""
    if path.exists():
        raise WrongStore(f"{path} exists already: move it away or choose another name")
    path.touch(mode=0o600)
    migrate(path)


def files(path: Path) -> tuple[Path, Path, Path]:
    """The database and what SQLite may leave beside it."""
    return path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def migrate(path: Path, factory: type[sqlite3.Connection] = sqlite3.Connection) -> None:
    """Bring a database to the newest schema; does nothing when it is there already. Raises WrongStore or Busy."""
    db = _connect(path, factory)
    try:
        MIGRATIONS.apply(Database(db))
    except sqlite3.OperationalError as error:
        if _passing(error):
            raise Busy(_passing(error)) from error
        raise
    finally:
        db.close()


def _connect(path: Path, factory: type[sqlite3.Connection]) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(
            os.fspath(path),
            timeout=WAIT_FOR_WRITER_S,
            isolation_level=None,
            check_same_thread=False,
            factory=factory,
        )
        db.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            db.execute("PRAGMA " + pragma)
    except sqlite3.DatabaseError as error:
        if _passing(error):
            raise Busy(_passing(error)) from error
        raise WrongStore(f"{path} is not a database of the back office") from error
    return db


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    ours = Database(db)
    known = {migration.name for migration in MIGRATIONS._migrations}
    applied = {migration.name for migration in MIGRATIONS.applied(ours)}
    if not applied:
        raise WrongStore(f"{path} is not a database of the back office")
    if applied - known:
        newest = max(applied - known)
        raise WrongStore(f"{path} was written by a newer version ({newest}): update this program first")
    if known - applied:
        raise WrongStore(f"{path} is older than this program: run `ykt backoffice migrate --db {path}`")


def _passing(error: sqlite3.DatabaseError) -> str:
    """What hinders us for now, or '' for an error that will not pass."""
    return _PASSING.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
