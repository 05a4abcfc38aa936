"""How many SAMs there are, and where: counted from what happened, held against what each row says.

    given  = unfinished + scrapped + issued
    issued = installed + stock + destroyed + lost

`issued` counts the SAMs that ever passed their check; the right side counts states. Both come from the events, the
rows of `sam` have to agree, and the table of closed days refuses what does not balance. backoffice/docs/sams.md
"""

import sqlite3
from typing import NamedTuple

from backoffice.keys.sam_orders import person
from backoffice.store import sam_tables as tables
from backoffice.store.days import is_day, midnight_s
from backoffice.store.sam_tables import SamRefused

_DAY_S = 86400


class Unbalanced(SamRefused):
    """The stock does not add up: rows and events differ. Somebody changed the database."""


class Stock(NamedTuple):
    """Of one operator and kind."""

    operator: str
    kind: str
    given: int = 0
    unfinished: int = 0  # ordered, in process, made
    scrapped: int = 0
    issued: int = 0
    installed: int = 0
    stock: int = 0  # checked, shipped, received, blocked
    destroyed: int = 0
    lost: int = 0
    states: tuple[tuple[str, int], ...] = ()  # of tables.STATES, in their order


class Coverage(NamedTuple):
    """Which of the installed SAMs have a key."""

    installed: int
    have: int
    lacking: list[str]  # SAM numbers
    stock_lacking: list[str]  # in stock and not blocked: they are updated before they are linked


class NotCovered(SamRefused):
    """A SAM in the field lacks the key: cards made with it would be refused there."""


def stock(db: sqlite3.Connection, before_s: int | None = None) -> list[Stock]:
    """Now, or of all that was written down before a time. Raises Unbalanced."""
    past = "WHERE at_s < ?" if before_s is not None else ""
    limit = (before_s,) if before_s is not None else ()
    counted: dict[tuple[str, str], dict[str, int]] = {}
    rows = db.execute(
        "SELECT sam.sam_no, sam.operator, sam.kind, sam.state, last.to_state, checked.sam_no IS NOT NULL AS issued "
        f"FROM (SELECT sam_no, MAX(id) AS id FROM sam_event {past} GROUP BY sam_no) AS newest "
        "JOIN sam_event AS last ON last.id = newest.id JOIN sam ON sam.sam_no = newest.sam_no "
        f"LEFT JOIN (SELECT DISTINCT sam_no FROM sam_event {past} {'AND' if past else 'WHERE'} "
        f"to_state = '{tables.CHECKED}') AS checked ON checked.sam_no = sam.sam_no",
        limit + limit,
    )
    seen = 0
    for row in rows:
        if before_s is None and row["state"] != row["to_state"]:
            raise Unbalanced(f"SAM {row['sam_no']} is {row['state']}, its last event says {row['to_state']}")
        if row["issued"] != (row["to_state"] in tables.ISSUED):
            raise Unbalanced(f"SAM {row['sam_no']} is {row['to_state']}, and its events do not lead there")
        place = counted.setdefault((row["operator"], row["kind"]), dict.fromkeys((*tables.STATES, "issued"), 0))
        place[row["to_state"]] += 1
        place["issued"] += row["issued"]
        seen += 1
    if before_s is None and seen != db.execute("SELECT COUNT(*) FROM sam").fetchone()[0]:
        raise Unbalanced("a SAM has no event: restore the database from a copy")
    found = [_stock(operator, kind, places) for (operator, kind), places in sorted(counted.items())]
    for one in found:
        if not balances(one):
            raise Unbalanced(f"the stock of {one.operator}, {one.kind}, does not balance")
    return found


def balances(one: Stock) -> bool:
    return (
        one.given == one.unfinished + one.scrapped + one.issued
        and one.issued == one.installed + one.stock + one.destroyed + one.lost
    )


def total(rows: list[Stock]) -> Stock:
    """All operators and kinds together."""
    places = {state: sum(dict(row.states)[state] for row in rows) for state in tables.STATES}
    return _stock("", "", {**places, "issued": sum(row.issued for row in rows)})


def close_day(db: sqlite3.Connection, day: str, user: str, now_s: int) -> list[Stock]:
    """Write down the stock at the end of a day, once. Raises SamRefused, Unbalanced."""
    user = person(user)
    if not is_day(day):
        raise SamRefused(f"{day} is no day: YYYY-MM-DD")
    end_s = midnight_s(day) + _DAY_S
    if end_s > now_s:
        raise SamRefused(f"{day} is not over: close it tomorrow")
    if db.execute("SELECT 1 FROM sam_day WHERE day >= ?", (day,)).fetchone() is not None:
        raise SamRefused(f"the stock of {day} or of a later day is closed already")
    stock(db)  # refuses where rows and events differ
    found = stock(db, end_s)
    for one in found:
        db.execute(
            "INSERT INTO sam_day (day, operator, kind, given, unfinished, scrapped, issued, installed, stock, "
            "destroyed, lost, closed_at_s, closed_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (day, *one[:10], now_s, user),
        )
    return found


def coverage(db: sqlite3.Connection, version: int, purpose: str = "purchase", algorithm: str = "3DES") -> Coverage:
    """How many installed SAMs have this version: the gate of a roll-over. Soft SAMs count as all others."""
    rows = db.execute(
        "SELECT sam.sam_no, sam.state, sam_key.sam_no IS NOT NULL AS has FROM sam LEFT JOIN sam_key ON "
        "sam_key.sam_no = sam.sam_no AND purpose = ? AND algorithm = ? AND version = ? "
        "WHERE sam.kind <> ? AND sam.state IN (?, ?, ?, ?) ORDER BY sam.sam_no",
        (purpose, algorithm, version, tables.ISAM, tables.INSTALLED, tables.CHECKED, tables.SHIPPED, tables.RECEIVED),
    ).fetchall()
    installed = [row for row in rows if row["state"] == tables.INSTALLED]
    return Coverage(
        len(installed),
        sum(row["has"] for row in installed),
        [row["sam_no"] for row in installed if not row["has"]],
        [row["sam_no"] for row in rows if row["state"] != tables.INSTALLED and not row["has"]],
    )


def refuse_uncovered(db: sqlite3.Connection, version: int, purpose: str = "purchase", algorithm: str = "3DES") -> None:
    """Before cards are made with `version`, or the one before it is retired. Raises NotCovered."""
    found = coverage(db, version, purpose, algorithm)
    if found.lacking:
        raise NotCovered(
            f"{len(found.lacking)} of {found.installed} installed SAMs lack {purpose} version {version}, the first is "
            f"{found.lacking[0]}: update them with `ykt keys sams update`, or block them"
        )


def _stock(operator: str, kind: str, places: dict[str, int]) -> Stock:
    states = tuple((state, places[state]) for state in tables.STATES)
    return Stock(
        operator,
        kind,
        given=sum(number for _, number in states),
        unfinished=sum(places[state] for state in tables.UNFINISHED),
        scrapped=places[tables.SCRAPPED],
        issued=places["issued"],
        installed=places[tables.INSTALLED],
        stock=sum(places[state] for state in tables.STOCK),
        destroyed=places[tables.DESTROYED],
        lost=places[tables.LOST],
        states=states,
    )
