"""The books compared record by record: what the cards wrote down, what the panels showed, what the back office holds.

`findings` is empty where no fen was lost or doubled. A grey record may stay open for ever; then the card's own log
tells whether its debit happened, and the open money must be exactly that of those records.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from simulator.rig.riders import Debit, Rider
from simulator.rig.shift import RIDES, Post, Visit
from tunion import bcd
from tunion.wire import tap

# states of the back office that may remain after clearing
CLEARED, NOTED, GREY, VOID = "CLEARED", "NOTED", "GREY", "VOID"


class Money(NamedTuple):
    """All in fen. debited = cleared + owed; open = owed + doubtful."""

    debited_fen: int
    cleared_fen: int
    open_fen: int
    owed_fen: int           # debits whose record is still open
    doubtful_fen: int       # open records whose debit did not happen


class Books:
    """One database beside the cards and panels that filled it. `findings` are sentences, `money` is the sum."""

    def __init__(self, db: Path, riders: Sequence[Rider], posts: Sequence[Post]) -> None:
        self._db = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
        self._db.row_factory = sqlite3.Row
        try:
            self._taps = self._db.execute(_TAPS, _WITH_TAC).fetchall()
            self.findings: list[str] = []
            self._owed_fen = self._doubtful_fen = 0
            self._compare(riders, posts)
            self.money = Money(
                sum(debit.amount_fen for rider in riders for debit in rider.debits),
                sum(row["amount_fen"] for row in self._taps if row["state"] == CLEARED),
                sum(row["amount_fen"] for row in self._taps if row["state"] not in (CLEARED, VOID)),
                self._owed_fen,
                self._doubtful_fen,
            )
        finally:
            self._db.close()
        money = self.money
        if money.debited_fen != money.cleared_fen + money.owed_fen:
            self._find(f"{money}: what was debited is not cleared and owed")
        if money.open_fen != money.owed_fen + money.doubtful_fen:
            self._find(f"{money}: what is open is not owed and doubtful")

    def _find(self, sentence: str) -> None:
        self.findings.append(sentence)

    def _compare(self, riders: Sequence[Rider], posts: Sequence[Post]) -> None:
        by_card: dict[str, list[sqlite3.Row]] = {}
        for row in self._taps:
            by_card.setdefault(row["card"], []).append(row)
        for rider in riders:
            self._compare_card(rider, by_card.pop(rider.serial.hex(), []))
        for rows in by_card.values():
            self._find(f"{len(rows)} records of a card that nobody has")
        for row in self._taps:
            if row["state"] not in (CLEARED, NOTED, GREY, VOID):
                self._find(f"{_name(row)} ends as {row['state']} {row['reason']}")
            if row["runs"] != (row["state"] == CLEARED):
                self._find(f"{_name(row)} is {row['state']} and in {row['runs']} effective runs")
        for post in posts:
            for number, visit in enumerate(post.visits):
                self._compare_visit(post, visit, post.visits[:number])
        self._look_for_gaps()

    def _compare_card(self, rider: Rider, rows: list[sqlite3.Row]) -> None:
        """Each debit has exactly one record that is not void, and each such record one debit, or it is grey."""
        who = f"rider {rider.number}"
        if rider.spent_fen != sum(debit.amount_fen for debit in rider.debits):
            self._find(f"{who}: the card's debits do not add up to what left it")
        standing = [row for row in rows if row["state"] != VOID]
        for debit in rider.debits:
            mine = [row for row in standing if _is_of(row, debit)]
            # A card torn before its debit, again and again, leaves grey records of one counter: one is the debit's.
            sure = [row for row in mine if row["state"] in (CLEARED, NOTED)] or mine[:1]
            if len(sure) != 1:
                self._find(f"{who}: {len(sure)} records for the debit of {_words(debit)}")
            for row in sure:
                standing.remove(row)
                if row["state"] != CLEARED:
                    self._owed_fen += debit.amount_fen
                if row["proven_tac"] is not None and row["proven_tac"] != debit.tac:
                    self._find(f"{who}: {_name(row)} carries another TAC than the card's debit of {_words(debit)}")
        for row in standing:
            if row["state"] in (CLEARED, NOTED):
                self._find(f"{who}: {_name(row)} was cleared, the card knows of no such debit")
            else:
                self._doubtful_fen += row["amount_fen"]

    def _compare_visit(self, post: Post, visit: Visit, earlier: Iterable[Visit]) -> None:
        """What the panel told a rider is what happened to the card."""
        where = f"{post.bus.name}, rider {visit.rider.number}"
        shown = [line["what"] for line in visit.lines]
        if len(visit.debits) > 1 + ("board" in shown):      # a ride left open is made up before the next begins
            self._find(f"{where}: {len(visit.debits)} debits for one tap")
        told = [line for line in visit.lines if line["what"] in (*RIDES, "recovered")]
        for line in told:
            before = [debit for other in earlier if other.rider is visit.rider for debit in other.debits]
            known = visit.debits or before[-1:]
            if line["what"] == "recovered":
                known = before
            figures = [(debit.amount_fen, debit.balance_fen - debit.amount_fen) for debit in known]
            if (line["fare_fen"], line["balance_fen"]) not in figures:
                self._find(f"{where}: the panel said {line['en']!r}, the card has no such debit here")
        if visit.debits and ("refused" in shown or "recovered" in shown):
            self._find(f"{where}: debited, the panel said {shown}")

    def _look_for_gaps(self) -> None:
        """Every journal number from 1 on, once."""
        for row in self._db.execute(_JOURNALS):
            if row["n"] != row["newest"] or row["copies"]:
                self._find(
                    f"device {row['device_id']:04X}: {row['n']} entries up to {row['newest']}, "
                    f"{row['copies']} in other words"
                )


_WITH_TAC = {"settled": tap.SETTLED, "proved": tap.PROVED, "disputed": tap.DISPUTED}
_TAPS = """
    SELECT txn.*, (SELECT COUNT(*) FROM cleared JOIN clearing_run USING (run_id)
                   WHERE cleared.txn_id = txn.id AND clearing_run.status = 'EFFECTIVE') AS runs,
           CASE WHEN amend.id IS NOT NULL THEN amend.tac
                WHEN txn.outcome IN (:settled, :proved, :disputed) THEN txn.tac END AS proven_tac
    FROM txn LEFT JOIN amend ON amend.id = txn.amend_id
    ORDER BY txn.id
"""

_JOURNALS = """
    SELECT device_id, SUM(copy = 0) AS n, MAX(seq) AS newest, SUM(copy > 0) AS copies
    FROM entry GROUP BY device_id, epoch ORDER BY device_id
"""


def refusals(posts: Sequence[Post]) -> dict[str, int]:
    """Reason -> how often the panels said so."""
    lines = [line for post in posts for visit in post.visits for line in visit.lines if line["what"] == "refused"]
    return dict(Counter(line["reason"] for line in lines))


def _is_of(row: sqlite3.Row, debit: Debit) -> bool:
    stored = (row["counter"], row["balance_fen"], row["amount_fen"], row["terminal"], bcd.stamp(row["at_s"]))
    return stored == (debit.counter, debit.balance_fen, debit.amount_fen, debit.terminal.hex(), debit.at)


def _name(row: sqlite3.Row) -> str:
    return f"record {row['seq']} of device {row['device_id']:04X}"


def _words(debit: Debit) -> str:
    return f"{debit.amount_fen} fen under counter {debit.counter} at {debit.terminal.hex()}"
