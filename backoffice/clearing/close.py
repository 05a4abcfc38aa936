"""The close of a clearing day: bring records forward, run, check, publish. All state is in the store, so a close that
was killed is simply done again.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple

import cbor2

from backoffice.clearing import fees, grey, ledger
from backoffice.clearing.check import Problem, Tables, check
from backoffice.clearing.run import OUTPUT_VERSION, Carry, Line, LineKey, Ride, RunResult, clear, line_key
from backoffice.clearing.verify import verify
from backoffice.keys.service import KeyService
from backoffice.store import records, runs, states
from backoffice.store.days import clearing_day
from backoffice.store.engine import Store

CODE_VERSION = f"clearing {OUTPUT_VERSION}"

NOT_BALANCED = "ST-01"
ANOTHER_DIGEST = "PL-02"


class DayRefused(Exception):
    """This day cannot be cleared. The message says why."""


class Closing(NamedTuple):
    """How a close ended. `problems` is empty unless it failed."""

    day: str
    run_id: int
    output_digest: str
    new_records: int
    problems: list[str]


Compute = Callable[..., RunResult]


def clear_day(store: Store, keys: KeyService, day: str, now_s: int) -> Closing:
    """Prepare all records, then close the day. Raises DayRefused, Busy."""
    prepare(store, keys, now_s)
    return close_day(store, day, now_s)


def prepare(store: Store, keys: KeyService, now_s: int) -> None:
    """Check, verify and resolve what can be, until nothing moves: a resolved grey record must itself be checked."""
    with store.transaction() as db:
        grey.apply_amends(db, now_s)
    while True:
        with store.transaction() as db:
            check(db, Tables(db), now_s)
        verify(store, keys, now_s)
        with store.transaction() as db:
            resolved = grey.resolve(db, now_s)
            won = records.ids_in_states(db, [states.UNIQUE])
        if not resolved and not won:
            return


def close_day(store: Store, day: str, now_s: int, compute: Compute = clear) -> Closing:
    """The effective run of a day: a first one, the one that is there proved again, or one that supersedes it.

    Records verified since join the day as long as no later day is closed; then they wait for the next day.
    """
    if day > clearing_day(now_s):
        raise DayRefused(f"{day} has not begun: the present clearing day is {clearing_day(now_s)}")
    with store.transaction() as db:
        before = runs.effective(db, day)
        if before is None and runs.latest_day(db) > day:
            raise DayRefused(f"{runs.latest_day(db)} is closed already: records of {day} were or will be cleared later")
        if before is not None:
            digest = _proved(db, before, compute)
            if digest != before["output_digest"]:
                states.flag(db, ANOTHER_DIGEST, f"run {before['run_id']}", 0, "", now_s)
                return Closing(
                    day,
                    before["run_id"],
                    digest,
                    0,
                    [
                        f"{ANOTHER_DIGEST}: run {before['run_id']} of {day} "
                        f"gave {before['output_digest']} and gives {digest} now"
                    ],
                )
        new = _rides(db, runs.ready(db, day), now_s) if runs.latest_day(db) <= day else {}
        if before is not None and not new:
            return Closing(day, before["run_id"], before["output_digest"], 0, [])
        return _publish(db, day, before, new, now_s, compute)


def _publish(
    db: sqlite3.Connection, day: str, before: sqlite3.Row | None, new: dict[int, Ride], now_s: int, compute: Compute
) -> Closing:
    """Store a run, check the stored rows, keep it or leave only the note that it failed."""
    rides = dict(new)
    if before is not None:
        rides |= {txn_id: ride for txn_id, ride in _cleared(db, before)}
    rules = fees.stored_rules(db)
    carries = _opening(db, day)
    version = fees.version(rules)
    result = compute(day, rides.values(), rules, carries, version)
    row = {
        "day": day,
        "at_s": now_s,
        "status": runs.EFFECTIVE,
        "code_version": CODE_VERSION,
        "rules_version": version,
        "rules": fees.to_bytes(rules),
        "input_digest": _input_digest(rides.values(), version, carries),
        "output_digest": result.output_digest,
        "output": result.output_bytes,
        "problem": "",
    }
    db.execute("SAVEPOINT run")
    runs.supersede(db, day)
    run_id = runs.insert(db, row)
    _store_lines(db, run_id, result, rides, fees.RuleBook(rules))
    problems = ledger.problems(db, run_id)
    if problems:
        db.execute("ROLLBACK TO run")
        run_id = runs.insert(db, {**row, "status": runs.FAILED, "problem": "; ".join(problems)})
        states.flag(db, NOT_BALANCED, f"run {run_id}", 0, "", now_s)
        return Closing(day, run_id, result.output_digest, 0, problems)
    for txn_id in new:
        states.move(db, txn_id, states.CLEARED, day, "run", now_s)
    return Closing(day, run_id, result.output_digest, len(new), [])


def _rides(db: sqlite3.Connection, txns: list[sqlite3.Row], now_s: int) -> dict[int, Ride]:
    """Record id -> ride. A record that the registry no longer explains waits again."""
    tables = Tables(db)
    rides = {}
    for txn in txns:
        try:
            rides[txn["id"]] = tables.ride(txn)
        except Problem as problem:
            states.move(db, txn["id"], states.SUSPECT, problem.code, "run", now_s)
    return rides


def _store_lines(
    db: sqlite3.Connection, run_id: int, result: RunResult, rides: dict[int, Ride], book: fees.RuleBook
) -> None:
    numbers = {line.key: number for number, line in enumerate(result.lines)}
    for line, number in zip(result.lines, numbers.values(), strict=True):
        runs.insert_line(db, _line_row(run_id, number, line))
        runs.insert_shares(db, [(run_id, number, *share) for share in line.shares])
    placed = []
    for txn_id, ride in rides.items():
        rule = book.select(ride.level, ride.business, ride.service, ride.acquirer, ride.issuer, ride.at_s)
        placed.append((run_id, txn_id, numbers[line_key(ride, rule)], ride.operator))
    runs.insert_cleared(db, placed)


def _line_row(run_id: int, number: int, line: Line) -> tuple[object, ...]:
    money = (line.fee_fen, line.issuer_fen, line.acquirer_fen, line.centre_fen)
    sums = (line.records, line.amount_fen, *money, *line.carry_in, *line.carry_out)
    return (run_id, number, *line.key[:-1], *sums, line.key.product)


def _opening(db: sqlite3.Connection, day: str) -> dict[LineKey, Carry]:
    """What each line carried out of its last effective day before this one."""
    return {_key(row): _carry(row, "out") for row in runs.lines_before(db, day)}


def _proved(db: sqlite3.Connection, run: sqlite3.Row, compute: Compute) -> str:
    """The digest of a stored run, computed again from its records, its rules and its opening carries."""
    carries = {_key(row): _carry(row, "in") for row in runs.lines(db, run["run_id"])}
    rides = [ride for _, ride in _cleared(db, run)]
    result = compute(run["day"], rides, fees.from_bytes(run["rules"]), carries, run["rules_version"])
    return result.output_digest


def _cleared(db: sqlite3.Connection, run: sqlite3.Row) -> list[tuple[int, Ride]]:
    """(record id, ride) of a stored run, as it was classified then."""
    keys = {row["line_no"]: _key(row) for row in runs.lines(db, run["run_id"])}
    return [(row["id"], _ride_of(row, keys[row["line_no"]])) for row in runs.records_of(db, run["run_id"])]


def _ride_of(row: sqlite3.Row, key: LineKey) -> Ride:
    return Ride(
        key=(row["device_id"], row["epoch"], row["seq"], row["copy"]),
        level=key.level,
        issuer=key.payer,
        acquirer=key.payee,
        operator=row["operator"],
        business=key.business,
        service=key.service,
        test=key.test,
        at_s=row["at_s"],
        amount_fen=row["amount_fen"],
        product=key.product,
    )


def _key(row: sqlite3.Row) -> LineKey:
    return LineKey(*(row[name] for name in LineKey._fields))


def _carry(row: sqlite3.Row, way: str) -> Carry:
    return Carry(*(row[f"{name}_carry_{way}"] for name in Carry._fields))


def _input_digest(rides: Iterable[Ride], rules_version: str, carries: dict[LineKey, Carry]) -> str:
    opening = sorted([[key.said(), list(carry)] for key, carry in carries.items()])
    content = [sorted(ride.said() for ride in rides), rules_version, opening]
    return hashlib.sha256(cbor2.dumps(content, canonical=True)).hexdigest()
