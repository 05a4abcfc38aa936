"""Entries and exits matched by card, for a clerk. A report: no money moves by it, nothing is stored.

An exit names its entry: the same card and application, the same station, `ride_s` before. What does not match:

    open          an entry whose exit may still come: max_minutes are not over
    no_exit       TR-02: an entry whose time is over, and no exit came
    degraded      TR-06: the same, and gates of its network stood open when the ride may have ended; to clear free
    no_entry      an exit whose entry never arrived here: a device has still to upload, or lost its journal

Records of a card are taken in the order of its counter: cards count rightly, clocks do not.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from backoffice.export import masked
from backoffice.store import fares, states
from backoffice.store.days import local, midnight_s
from tunion.fare import decision, trip
from tunion.fare.tariff import BUS, COACH, Tariff
from tunion.wire import tap

MATCHED, MADE_UP, FORGIVEN = "matched", "made_up", "forgiven"
OPEN, NO_EXIT, DEGRADED, NO_ENTRY = "open", "no_exit", "degraded", "no_entry"
UNSOLVED = (OPEN, NO_EXIT, DEGRADED, NO_ENTRY)

WORDS = {
    MATCHED: ("已配对", "entry and exit"),
    MADE_UP: ("已补收", "made up: charged later, or closed at the desk"),
    FORGIVEN: ("已免收", "let off: again at the same place, or by a degraded mode"),
    OPEN: ("行程中", "still under way"),
    NO_EXIT: ("TR-02 无出站", "no exit came"),
    DEGRADED: ("TR-06 降级模式", "no exit came, gates stood open: to clear free"),
    NO_ENTRY: ("无进站记录", "its entry never arrived here"),
}

MINUTES_WITHOUT_TABLE = 1440  # max_minutes of an entry whose table nobody has here
_HOUR_S = 3600
_DAY_S = 86400
_BY_STOP = (BUS, COACH)  # their open ride stands in the card's record 2702, all others' in 2701
_SLACK_S_MAX = decision.RIDE["slack_s"][1]

# what is sure to have happened, or waits for a table only
_STANDING = (states.UNIQUE, states.CHECKED, states.VERIFIED, states.CLEARED, states.NOTED, states.SUSPECT)


class Tap(NamedTuple):
    """One end of a ride."""

    id: int
    device_id: int
    operator: str
    card: str
    counter: int
    at_s: int
    industry: int
    event: int
    fare_case: int
    line: int
    stop_in: int
    stop_out: int
    modes: int
    ride_s: int
    amount_fen: int
    owed_fen: int
    fare_id: int
    fare_version: int


class Ride(NamedTuple):
    """What became of an entry, or of an exit without one. `end` of one made up or let off: the record that says so."""

    kind: str
    begin: Tap | None
    end: Tap | None


class Hour(NamedTuple):
    """An hour in which a station reported a degraded mode."""

    operator: str
    stop: int
    from_s: int


def report(db: sqlite3.Connection, day: str | None, now_s: int) -> dict[str, Any]:
    """Of rides that began, or whose exit came without an entry, on a local day; None: all that there are.

    counts          of each kind
    unsolved        the records of those that are not solved, oldest first, card numbers masked
    degraded_hours  operator, stop, hour and modes, and how many of the open rides may have ended at open gates then;
                    those of the day, and those that explain one of its rides
    """
    minutes = {
        key: fare.rules["ride"]["max_minutes"]
        for key, fare in fares.stored(db).items()
        if isinstance(fare, Tariff) and fare.rules["ride"]
    }
    opened = degraded_hours(db)
    free = dict.fromkeys(opened, 0)
    counts = dict.fromkeys(WORDS, 0)
    unsolved = []
    for ride in match(taps(db)):
        end = ride.begin or ride.end
        assert end is not None
        if not _is_of_day(end.at_s, day):
            continue
        limit_s = 60 * minutes.get((end.fare_id, end.fare_version), MINUTES_WITHOUT_TABLE)
        kind, hours = _aged(ride, end, opened, limit_s, now_s)
        counts[kind] += 1
        for hour in hours:
            free[hour] += 1
        if kind in UNSOLVED:
            unsolved.append(_line(kind, end, now_s))
    unsolved.sort(key=lambda line: -line["age_s"])
    degraded = [
        {"operator": hour.operator, "stop": hour.stop, "from": local(hour.from_s), "modes": names(modes),
         "rides": free[hour]}
        for hour, modes in opened.items()
        if free[hour] or _is_of_day(hour.from_s, day)
    ]  # fmt: skip
    return {"counts": counts, "unsolved": unsolved, "degraded_hours": degraded}


def _is_of_day(at_s: int, day: str | None) -> bool:
    return day is None or midnight_s(day) <= at_s < midnight_s(day) + _DAY_S


def _line(kind: str, end: Tap, now_s: int) -> dict[str, Any]:
    return {
        "kind": kind, "ref": f"txn {end.id}", "card": masked(end.card), "operator": end.operator,
        "industry": end.industry, "line": end.line, "stop_in": end.stop_in, "stop_out": end.stop_out,
        "at": local(end.at_s), "age_s": max(0, now_s - end.at_s), "amount_fen": end.amount_fen,
    }  # fmt: skip


def taps(db: sqlite3.Connection) -> Iterator[Tap]:
    """Every end of a ride, by card and counter."""
    columns = ", ".join(f"txn.{name}" for name in Tap._fields if name != "operator")
    marks = ", ".join("?" * len(_STANDING))
    rows = db.execute(
        f"SELECT {columns}, device.operator FROM txn JOIN device USING (device_id) "
        f"WHERE txn.state IN ({marks}) AND (txn.event & 15) IN (?, ?, ?) ORDER BY txn.card, txn.counter, txn.id",
        (*_STANDING, tap.BOARD, tap.ALIGHT, tap.MAKE_UP),
    )
    for row in rows:
        yield Tap(*(row[name] for name in Tap._fields))


def match(records: Iterable[Tap]) -> Iterator[Ride]:
    """What became of each entry; `records` by card and counter. Entries nothing is known of are `open`."""
    card = ""
    opens: dict[tuple[int, bool], Tap] = {}  # of each application's two records, the entry without an exit yet
    for record in records:
        if record.card != card:
            yield from (Ride(OPEN, begin, None) for begin in opens.values())
            card, opens = record.card, {}
        yield from _next(opens, record)
    yield from (Ride(OPEN, begin, None) for begin in opens.values())


def _next(opens: dict[tuple[int, bool], Tap], record: Tap) -> Iterator[Ride]:
    place, event = (record.event >> 4, record.industry in _BY_STOP), record.event & 15
    begin = opens.get(place)
    if event == tap.ALIGHT:
        if begin is not None and _is_of(begin, record):
            del opens[place]
            yield Ride(MATCHED, begin, record)
        else:
            yield Ride(NO_ENTRY, None, record)
    elif event == tap.MAKE_UP and record.fare_case != decision.NO_ENTRY:
        if begin is not None and begin.stop_in == record.stop_in:
            del opens[place]
            yield Ride(MADE_UP, begin, record)
    else:  # an entry, or one that the desk has set
        if begin is not None:
            yield Ride(_given_up(record), begin, record if record.fare_case else None)
        opens[place] = record


def _is_of(begin: Tap, end: Tap) -> bool:
    """The exit names this entry. Clocks that differ show as an exit of 0 seconds."""
    if begin.stop_in != end.stop_in:
        return False
    return begin.at_s == end.at_s - end.ride_s or (end.ride_s == 0 and 0 <= begin.at_s - end.at_s <= _SLACK_S_MAX)


def _given_up(record: Tap) -> str:
    """What a new entry says of the one before it."""
    if record.owed_fen:
        return MADE_UP
    if record.fare_case:
        return FORGIVEN
    return OPEN  # by the card it had ended: the exit's record has not come


def degraded_hours(db: sqlite3.Connection) -> dict[Hour, int]:
    """Station and hour -> all modes that its records carry."""
    found: dict[Hour, int] = {}
    rows = db.execute(
        "SELECT device.operator, txn.event, txn.stop_in, txn.stop_out, txn.at_s, txn.modes "
        "FROM txn JOIN device USING (device_id) WHERE txn.modes <> 0 ORDER BY txn.id"
    )
    for row in rows:
        stop = row["stop_out"] if row["event"] & 15 == tap.ALIGHT else row["stop_in"]
        hour = Hour(row["operator"], stop, row["at_s"] - row["at_s"] % _HOUR_S)
        found[hour] = found.get(hour, 0) | row["modes"]
    return dict(sorted(found.items()))


def _aged(ride: Ride, end: Tap, opened: dict[Hour, int], limit_s: int, now_s: int) -> tuple[str, list[Hour]]:
    """The kind of a ride; of an open one by its age, with the hours in which it may have ended at open gates."""
    if ride.kind != OPEN or now_s - end.at_s <= limit_s:
        return ride.kind, []
    hours = may_have_left(end, opened, limit_s)
    return (DEGRADED, hours) if hours else (NO_EXIT, [])


def may_have_left(begin: Tap, opened: dict[Hour, int], limit_s: int) -> list[Hour]:
    """The hours of its operator in which exits stood open and this ride may have ended."""
    return [
        hour
        for hour, modes in opened.items()
        if modes & trip.EXIT_FREE
        and hour.operator == begin.operator
        and hour.from_s - limit_s <= begin.at_s < hour.from_s + _HOUR_S
    ]


MODES = (
    (trip.ENTRY_FREE, "entry_free", "进站免检"), (trip.EXIT_FREE, "exit_free", "出站免检"),
    (trip.TIME_FREE, "time_free", "时间免检"), (trip.DATE_FREE, "date_free", "日期免检"),
    (trip.FARE_FREE, "fare_free", "车费免检"), (trip.CLEARED, "cleared", "行程清除"),
)  # fmt: skip


def names(modes: int) -> list[str]:
    """Degraded modes by name."""
    return [name for bit, name, _ in MODES if modes & bit]
