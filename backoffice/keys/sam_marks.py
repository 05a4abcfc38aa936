"""How far SAM numbers were given, beside the database: so that one put back from a copy gives none twice.

`<db>.sams`, a line for each giving: city and next number, on disk before the commit. What a crash took is left out.
"""

import os
import sqlite3
from pathlib import Path


def reached(db: sqlite3.Connection, city: str) -> int:
    """The next number of a city as far as the file tells; 0 where it tells nothing. A line cut short is none."""
    path = _beside(db)
    said = path.read_bytes() if path is not None and path.exists() else b""
    found = [line.split() for line in said[: said.rfind(b"\n") + 1].splitlines()]
    ours = [words[1] for words in found if len(words) == 2 and words[0] == city.encode()]
    return max((int(word) for word in ours if word.isdigit()), default=0)


def write(db: sqlite3.Connection, city: str, following: int) -> None:
    """To be called within the transaction that gives the numbers."""
    path = _beside(db)
    if path is None:
        return
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as out:
        size = out.seek(0, os.SEEK_END)
        out.seek(max(0, size - 1))
        is_whole = out.read() in (b"", b"\n")
        out.write(b"\n" * (not is_whole) + f"{city} {following}\n".encode())
        out.flush()
        os.fsync(out.fileno())


def _beside(db: sqlite3.Connection) -> Path | None:
    """None of a database in memory."""
    name = next(row[2] for row in db.execute("PRAGMA database_list") if row[1] == "main")
    return Path(f"{name}.sams") if name else None
