"""How much each caller asked for, and how often one card was asked about: limits, and an alarm.

Counts lie in a small SQLite file beside the vault, so that many short programs are counted like one long one.
"""

import hashlib
import json
import random
import secrets
import sqlite3
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from backoffice.keys import native
from backoffice.keys.backend import KeysError
from backoffice.keys.service import TAC_ROW

CARD_CHECKS_MAX = 1000  # of one card a day; more is somebody who guesses
# The cards of a longer call are counted in this program only: a clearing run of millions would else write as many rows
# as it verifies. But those that a sample of so many rows meets so often are written down, too: who guesses in short
# programs sends hundreds of rows of one card a call.
CALL_ROWS_KEPT = 500
SAMPLE_ROWS, SAMPLE_HITS = 200, 3
CARDS_COUNTED_MAX, CARD_CHECKS_KEPT = 500_000, 5  # in memory; then those that were seen less often are forgotten
DAY_S = 86400
_CST_OFFSET_S = 8 * 3600
# operation -> most in a minute, most in a day; 0: any number. A province's design day has 60 million records, and
# may be cleared again.
Limits = dict[str, tuple[int, int]]
LIMITS: Limits = {"tac_verify": (0, 200_000_000), "device_mac": (0, 0), "*": (60_000, 10_000_000)}
_CARDS = struct.Struct("8x8s32x")  # of service.TAC_ROW
_CHANCE = random.Random(secrets.randbits(64))  # of the places in a sample; the system's source takes ten times as long
_SUFFIX = ".meter"
_LIMITS_SUFFIX = ".limits.json"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS day (day INTEGER PRIMARY KEY, salt BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS used (caller TEXT, operation TEXT, minute INTEGER, in_minute INTEGER, in_day INTEGER,
    PRIMARY KEY (caller, operation));
CREATE TABLE IF NOT EXISTS card (name BLOB PRIMARY KEY, checks INTEGER NOT NULL) WITHOUT ROWID;
"""


class RateLimited(KeysError):
    """The caller asked for more than it may. Nothing was done; the message says when to ask again."""


class BadLimits(KeysError):
    """The file of limits is none. The message says what it should hold."""


def beside(vault: Path) -> Path:
    """The counts of a vault."""
    return vault.with_name(vault.name + _SUFFIX)


def limits_beside(vault: Path) -> dict[str, Limits]:
    """caller (or '*') -> limits, from a file beside the vault; {} without one. Raises BadLimits."""
    path = vault.with_name(vault.name + _LIMITS_SUFFIX)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            caller: {operation: (int(most["minute"]), int(most["day"])) for operation, most in operations.items()}
            for caller, operations in content.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        example = '{"clear": {"tac_verify": {"minute": 0, "day": 1000000}}}'
        raise BadLimits(f"{path} is no file of limits; one looks like this: {example}") from error


class Meter:
    """Counts for one caller. path None: for this program alone, not kept."""

    def __init__(
        self, path: Path | None, caller: str, limits: Limits | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.caller = caller
        self._path = path
        self._limits = {**LIMITS, **(limits or {})}
        self._clock = clock
        self._mutex = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        self._day = -1
        self._salt = b""
        self._seen: native.CardCounts | _Counts = _Counts()
        self._told: set[bytes] = set()

    def take(self, operation: str, count: int = 1) -> None:
        """Raises RateLimited; then nothing is counted."""
        per_minute, per_day = self._limits.get(operation, self._limits["*"])
        if not per_minute and not per_day:
            return
        with self._mutex, self._db() as db:
            self._today(db)
            minute = int(self._clock()) // 60
            row = db.execute(
                "SELECT minute, in_minute, in_day FROM used WHERE caller = ? AND operation = ?",
                (self.caller, operation),
            ).fetchone() or (minute, 0, 0)
            in_minute = count + (row[1] if row[0] == minute else 0)
            in_day = count + row[2]
            if per_day and in_day > per_day:
                raise RateLimited(f"{self.caller} may do {operation} {per_day} times a day: ask again tomorrow")
            if per_minute and in_minute > per_minute:
                raise RateLimited(f"{self.caller} may do {operation} {per_minute} times a minute: ask again soon")
            db.execute(
                "INSERT OR REPLACE INTO used VALUES (?, ?, ?, ?, ?)",
                (self.caller, operation, minute, in_minute, in_day),
            )

    def cards(self, rows: bytes) -> int:
        """Count the cards of rows of service.TAC_ROW; returns how many passed CARD_CHECKS_MAX just now."""
        with self._mutex, self._db() as db:
            self._today(db)
            over = self._seen.add(rows)
            longer = len(rows) > CALL_ROWS_KEPT * TAC_ROW.size
            few = _often(rows) if longer else Counter(chain.from_iterable(_CARDS.iter_unpack(rows)))
            many = {card for card, checks in few.items() if self._kept(db, card, checks) > CARD_CHECKS_MAX} - self._told
            self._told |= many
            return max(len(many), over) if longer else len(many)

    def _kept(self, db: sqlite3.Connection, card: bytes, count: int) -> int:
        """Checks of the card today, by all programs. It is named by a hash whose salt changes each day."""
        name = hashlib.sha256(self._salt + card).digest()[:12]
        query = (
            "INSERT INTO card VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET checks = checks + excluded.checks "
            "RETURNING checks"
        )
        return int(db.execute(query, (name, count)).fetchone()[0])

    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            try:
                db = sqlite3.connect(self._path or ":memory:", timeout=30.0, check_same_thread=False)
                db.execute("PRAGMA synchronous = OFF")  # counts of a day; power lost is counts lost
                db.executescript(_SCHEMA)
            except sqlite3.Error as error:
                raise KeysError(f"{self._path}: {error}; the counts of callers cannot be kept there") from error
            if self._path is not None:
                self._path.chmod(0o600)
            self._opened = db
        return self._opened

    def _today(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        day = (int(self._clock()) + _CST_OFFSET_S) // DAY_S
        row = db.execute("SELECT salt FROM day WHERE day = ?", (day,)).fetchone()
        if row is None:
            row = (secrets.token_bytes(16),)
            for table in ("day", "card"):
                db.execute(f"DELETE FROM {table}")
            db.execute("UPDATE used SET in_day = 0")
            db.execute("INSERT INTO day VALUES (?, ?)", (day, row[0]))
        if day != self._day or row[0] != self._salt:
            self._seen = _card_counts()
            self._told.clear()
        self._day, self._salt = day, row[0]


def _often(rows: bytes) -> Counter[bytes]:
    """Of a longer call the cards that are a good part of it, which a sample nobody can foresee shows."""
    size = TAC_ROW.size
    places = _CHANCE.choices(range(0, len(rows), size), k=SAMPLE_ROWS)
    seen = Counter([rows[place + 8 : place + 16] for place in places])
    often = {card for card, hits in seen.items() if hits >= SAMPLE_HITS}
    if not often:
        return Counter()
    return Counter(card for (card,) in _CARDS.iter_unpack(rows) if card in often)


class _Counts:
    """Where there is no native code, as native.CardCounts."""

    def __init__(self) -> None:
        self._seen: Counter[bytes] = Counter()
        self._told: set[bytes] = set()

    def add(self, rows: bytes) -> int:
        cards = list(chain.from_iterable(_CARDS.iter_unpack(rows)))
        self._seen.update(cards)
        over = {card for card in cards if self._seen[card] > CARD_CHECKS_MAX} - self._told
        self._told |= over
        if len(self._seen) > CARDS_COUNTED_MAX:
            often = {card: checks for card, checks in self._seen.items() if checks >= CARD_CHECKS_KEPT}
            self._seen = Counter(often if len(often) < CARDS_COUNTED_MAX else {})
        return len(over)


def _card_counts() -> native.CardCounts | _Counts:
    library = native.load()
    return _Counts() if library is None else library.cards_over(CARD_CHECKS_MAX)
