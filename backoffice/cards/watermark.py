"""How far numbers were given, beside the database: so that a database put back from a copy gives none twice.

One line for each number, `first of its range, next`, on disk before the number is committed. backoffice/docs/cards.md
"""

import os
import sqlite3
import threading
from pathlib import Path

from backoffice.store import cards
from backoffice.store.card_states import CardsRefused

GAP_MAX = 16  # numbers that crashes may have cost since the last commit: one for each reader


class RestoredDatabase(CardsRefused):
    """The file knows of numbers that the database does not: it was put back from an older copy."""


class Watermark:
    """The file of one database. Used within its transactions only, so by one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read_bytes = 0  # of the file; other processes add to it
        self._found: dict[int, int] = {}

    def before(self, db: sqlite3.Connection) -> None:
        """Leave out what was given and not committed. Raises RestoredDatabase for more than a crash can cost."""
        with self._lock:
            marks = self._marks()
        for row in cards.ranges(db):
            following = _following(marks, row)
            ahead = following - row["next"]
            if ahead > GAP_MAX:
                raise RestoredDatabase(
                    f"{ahead} numbers of a range of issuer {row['issuer_id']} were given by a database that is not "
                    f"this one: leave them out with `ykt cards range skip --first … --next {following}`"
                )
            if ahead > 0:
                cards.skip_numbers(db, str(row["first"]), str(following))

    def after(self, db: sqlite3.Connection) -> None:
        """Write down how far each range is; to be called before the commit."""
        with self._lock:
            marks = self._marks()
            lines = [f"{row['first']} {row['next']}\n" for row in cards.ranges(db)
                     if row["next"] > marks.get(row["first"], row["first"])]  # fmt: skip
            if not lines:
                return
            with open(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as out:
                cut_short = self._path.stat().st_size > self._read_bytes
                out.write("\n" * cut_short + "".join(lines))
                out.flush()
                os.fsync(out.fileno())

    def _marks(self) -> dict[int, int]:
        """First of each range -> next. A last line that a crash cut short was not committed: it is left out."""
        if self._path.exists():
            with self._path.open("rb") as kept:
                kept.seek(self._read_bytes)
                said = kept.read()
            said = said[: said.rfind(b"\n") + 1]
            self._read_bytes += len(said)
            for line in said.splitlines():
                first, _, following = line.partition(b" ")
                if first.isdigit() and following.isdigit():
                    self._found[int(first)] = max(self._found.get(int(first), 0), int(following))
        return self._found


def _following(marks: dict[int, int], row: sqlite3.Row) -> int:
    """The next number of a range that the file knows not to be given, wherever the range began when it was."""
    reached = [following for first, following in marks.items() if first <= row["last"] and following > row["next"]]
    following: int = min(max(reached, default=row["next"]), row["last"] + 1)
    return following


def beside(db: Path) -> Path:
    """The file of a database."""
    return db.with_name(db.name + ".numbers")
