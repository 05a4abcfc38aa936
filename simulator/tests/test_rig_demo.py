"""The demo with riders of another seed, compared record by record: panels, cards and back office tell one story."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from simulator.rig.books import Books, refusals
from simulator.rig.demo import LATER, RIDERS
from simulator.rig.keyroom import KEYS
from simulator.tests.demo_once import Ended, run_demo

RIDES = {
    "morning, first bus": 9 - 2 + 1,        # riders 0 to 8, one poor, one denied; the torn one
    "morning, second bus": 5 + 1 + 4,       # one of them under a power cut
    "without network, first bus": 10 - 2 + 1,   # one expired; one torn who does not come back
    "without network, second bus": 10,
    "afternoon, first bus": 5,
    "afternoon, second bus": 7,
    "evening, segment bus": 2 * 4,      # each boards for nothing and alights
    "evening, metro": 2 * 4,
    "second morning, both buses": 5 + 4,
    "after the roll-over, old cards in buses": 3 + 3 + 2,
    "after the roll-over, new cards in buses": 2 * 4,
    "after the roll-over, segment bus": 2 * 5,
    "after the roll-over, metro": 2 * 5,
}


@pytest.fixture(scope="module", params=KEYS)
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The demo with its keys in a vault, and in a token."""
    return run_demo(tmp_path_factory, request.param)


def books_of(ended: Ended, db: Path) -> Books:
    return Books(db, ended.demo.riders, ended.demo.depot.posts)


def test_every_ride_of_the_demo_is_cleared_once_and_nothing_else(ended: Ended):
    figures, riders = ended.figures, ended.demo.riders
    books = books_of(ended, Path(figures["db"]))

    assert books.findings == []
    assert figures["balanced"] and figures["debited_fen"] == books.money.debited_fen == books.money.cleared_fen
    assert books.money.open_fen == figures["open_fen"] == figures["void_fen"] == 0
    assert figures["taps"] == sum(RIDES.values()) == sum(len(rider.debits) for rider in riders)
    assert figures["refused"] == refusals(ended.demo.depot.posts) == {"expired": 1, "denied": 1, "not_enough_money": 1}
    assert figures["grey"] == {"opened": 3, "resolved": 3, "open": 0, "how": {"proved": 2, "chain_paid": 1}}
    assert figures["anomalies"] == {}
    assert [device["waiting"] for device in figures["devices"].values()] == [0] * 5
    assert figures["cards"] == {"received": 44, "good": 44, "bad": 0, "scrapped": 0, "in_process": 0}
    assert figures["sams"]["installed"] == figures["sams"]["issued"] == 5


def test_cards_of_both_versions_pay_after_the_roll_over(ended: Ended):
    old, new = ended.demo.riders[:RIDERS], ended.demo.riders[RIDERS:]
    assert len(new) == LATER and all(rider.debits for rider in new)
    with sqlite3.connect(ended.figures["db"]) as db:
        versions = dict(db.execute("SELECT key_version, COUNT(*) FROM txn WHERE state <> 'VOID' GROUP BY key_version"))
    assert versions == {1: sum(len(rider.debits) for rider in old), 2: sum(len(rider.debits) for rider in new)}


@pytest.mark.parametrize("forgery", [
    "DELETE FROM txn WHERE id = :one",
    "UPDATE txn SET state = 'VOID' WHERE id = :one",
    "UPDATE txn SET state = 'GREY' WHERE id = :one",
    "UPDATE txn SET amount_fen = amount_fen + 1 WHERE id = :one",
    "UPDATE txn SET balance_fen = balance_fen - 1 WHERE id = :one",
    "UPDATE txn SET counter = counter + 1 WHERE id = :one",
    "UPDATE txn SET tac = x'00000000' WHERE id = :one",
    "UPDATE txn SET card = '00000000000000000001' WHERE id = :one",
    "UPDATE txn SET at_s = at_s + 1 WHERE id = :one",
    "DELETE FROM cleared WHERE txn_id = :one",
    "DELETE FROM entry WHERE id = :one",
])  # fmt: skip
def test_the_comparison_finds_one_record_that_is_wrong(ended: Ended, tmp_path: Path, forgery: str):
    forged = tmp_path / "clearing.sqlite"
    shutil.copy(ended.figures["db"], forged)
    db = sqlite3.connect(forged)
    for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f"DROP TRIGGER {trigger}")
    (one,) = db.execute("SELECT id FROM txn WHERE outcome = 1 ORDER BY id LIMIT 1 OFFSET 7").fetchone()
    assert db.execute(forgery, {"one": one}).rowcount == 1
    db.commit()
    db.close()

    assert books_of(ended, forged).findings


def test_the_comparison_finds_a_panel_that_lies(ended: Ended):
    visit = next(visit for visit in ended.demo.depot.first.visits if visit.lines and visit.lines[0]["what"] == "paid")
    visit.lines[0]["balance_fen"] += 1
    try:
        assert books_of(ended, Path(ended.figures["db"])).findings
    finally:
        visit.lines[0]["balance_fen"] -= 1
