"""The database file: made once, migrated whole or not at all, and its money facts never change."""

import os
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from backoffice import setup
from backoffice.clearing.close import clear_day
from backoffice.clearing.fees import AmbiguousRule
from backoffice.store import engine, schema
from backoffice.store.days import clearing_day, is_day, midnight_s
from backoffice.store.engine import Store, WrongStore
from backoffice.store.registry import RegistryConflict
from backoffice.tests.forge import AUDIENCE, DAY, NOON_S, SAMPLES, City, Validator


def test_commits_are_on_disk_before_they_are_answered(city: City) -> None:
    assert city.rows("PRAGMA journal_mode") == [("wal",)]
    assert city.rows("PRAGMA synchronous") == [(2,)]
    assert city.rows("PRAGMA foreign_keys") == [(1,)]


def test_a_transaction_that_is_left_by_an_error_did_not_happen(city: City) -> None:
    before = city.dump()
    with pytest.raises(LookupError), city.store.transaction() as db:
        db.execute("INSERT INTO meta VALUES ('half', 'done')")
        raise LookupError

    assert city.dump() == before


def test_a_file_that_is_no_database_of_ours_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to have a header of its own" * 3)
    other = tmp_path / "other.db"
    Database(other)["t"].insert({"a": 1})  # type: ignore[union-attr]
    for path in (tmp_path / "missing.db", text, other):
        with pytest.raises(WrongStore):
            Store(path)


def test_a_newer_database_is_refused_and_left_alone(city: City) -> None:
    city.store.close()
    with sqlite3.connect(city.db) as db:
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('backoffice', '999_later', '')"
        )

    with pytest.raises(WrongStore, match="999_later"):
        Store(city.db)


class Deadly(sqlite3.Connection):
    """Kills its process at the n-th statement."""

    at = 0
    count = 0

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        Deadly.count += 1
        if Deadly.count == Deadly.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*arguments)


_NOTES = "_sqlite_migrations"


def test_a_migration_killed_anywhere_leaves_the_version_before_it(tmp_path: Path) -> None:
    """Every fifth statement, and the whole way from an empty file."""
    killed = 0
    for at in range(1, 200, 5):
        path = tmp_path / f"{at}.db"
        path.touch()
        child = os.fork()
        if child == 0:
            try:
                Deadly.at, Deadly.count = at, 0
                engine.migrate(path, Deadly)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
        killed += 1
        with sqlite3.connect(path) as db:
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            noted = {row[0] for row in db.execute("SELECT name FROM _sqlite_migrations")} if _NOTES in tables else set()
        for migration, made in (
            ("001_first_line", {"meta", "txn"}),
            ("005_params", {"params_set", "device_version"}),
            ("007_sync", {"enrolment", "command", "device_health", "device_log"}),
        ):
            assert made & tables == (made if migration in noted else set())
        with pytest.raises(WrongStore):
            Store(path)
        engine.migrate(path)
        Store(path).close()
    assert killed > 5


def test_migrating_twice_changes_nothing(city: City) -> None:
    before = city.dump()
    engine.migrate(city.db)
    assert city.dump() == before


GUARDED = [
    "UPDATE txn SET amount_fen = amount_fen + 1",
    "UPDATE txn SET card = '0'",
    "UPDATE txn SET tac = x'00000000'",
    "DELETE FROM txn",
    "UPDATE entry SET raw = x'00'",
    "DELETE FROM entry",
    "UPDATE txn_event SET reason = ''",
    "UPDATE settle_line SET fee_fen = 0",
    "DELETE FROM settle_line",
    "UPDATE operator_share SET fee_fen = 0",
    "UPDATE cleared SET operator = ''",
    "DELETE FROM cleared",
    "UPDATE clearing_run SET output_digest = ''",
    "DELETE FROM clearing_run",
    "DELETE FROM anomaly",
]


@pytest.mark.parametrize("statement", GUARDED)
def test_no_statement_changes_a_money_fact(statement: str, city: City, bus: Validator) -> None:
    bus.send([bus.tap(1), bus.tap(2, tac=b"\x01\x02\x03\x04")])
    clear_day(city.store, city.keys, DAY, city.now_s)
    before = city.dump()

    with pytest.raises(sqlite3.IntegrityError, match="append-only"), city.store.transaction() as db:
        db.execute(statement)

    assert city.dump() == before


def test_every_column_of_a_tap_that_is_not_its_standing_is_guarded(city: City) -> None:
    columns = {row[1] for row in city.rows("PRAGMA table_info(txn)")}
    assert set(schema._MUTABLE_OF_TXN) < columns
    (sql,) = city.rows("SELECT sql FROM sqlite_master WHERE name = 'txn_keeps_update'")[0]
    guarded = set(sql.split("UPDATE OF ")[1].split(" ON ")[0].split(", "))
    assert guarded == columns - set(schema._MUTABLE_OF_TXN)


def test_init_leaves_nothing_behind_when_it_refuses(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    for text in ("{", "[]", '{"orgs": [{"org": "1"}]}', '{"issuers": [{"issuer_id": "00", "org": "1"}]}'):
        broken.write_text(text)
        with pytest.raises(RegistryConflict):
            setup.init(tmp_path / "new.db", AUDIENCE, False, [broken])
    broken.write_text('{"issuers": [{"issuer_id": "0000000000000000", "org": "nobody"}]}')
    with pytest.raises(RegistryConflict, match="not registered"):
        setup.init(tmp_path / "new.db", AUDIENCE, False, [broken])
    assert [path.name for path in tmp_path.iterdir()] == ["broken.json"]


def test_init_touches_no_file_that_is_there(city: City) -> None:
    before = city.dump()
    with pytest.raises(WrongStore, match="exists already"):
        setup.init(city.db, AUDIENCE, False, [])
    assert city.dump() == before


def test_a_registry_may_be_loaded_twice_and_contradicted_never(city: City, tmp_path: Path) -> None:
    sample = SAMPLES / "two_cities.json"
    changed = tmp_path / "changed.json"
    changed.write_text(sample.read_text().replace('"city": "9902"', '"city": "9903"'))
    before = city.dump()
    with city.store.transaction() as db:
        assert setup.load(db, setup.read(sample)) == 0
    with pytest.raises(RegistryConflict, match="org 09990200 .* city"), city.store.transaction() as db:
        setup.load(db, setup.read(changed))
    assert city.dump() == before


def test_an_ambiguous_fee_rule_is_not_saved(city: City, tmp_path: Path) -> None:
    twin = tmp_path / "twin.json"
    rates = '"charge_rate": 1, "issuer_rate": 0, "acquirer_rate": 0'
    twin.write_text('{"fee_rules": [{"rule_id": "city-2", "level": "city", ' + rates + "}]}")
    before = city.dump()

    with pytest.raises(AmbiguousRule, match="city-1 and city-2"), city.store.transaction() as db:
        setup.load(db, setup.read(twin))

    assert city.dump() == before


def test_a_copy_of_the_folder_is_a_copy_of_the_back_office(city: City, bus: Validator, tmp_path: Path) -> None:
    bus.send([bus.tap(1)])
    city.store.close()
    copied = City(Path(shutil.copytree(city.db.parent, tmp_path / "copy")))

    assert copied.states() == [("UNIQUE", "")]
    copied.store.close()


def test_a_day_ends_at_eleven_at_night() -> None:
    assert clearing_day(NOON_S) == DAY
    assert clearing_day(NOON_S + 11 * 3600 - 1) == DAY
    assert clearing_day(NOON_S + 11 * 3600) == "2025-06-02"
    assert midnight_s(DAY) == NOON_S - 12 * 3600
    assert [is_day(text) for text in (DAY, "2025-6-1", "2025-02-30", "2025-06-011", "", "２０２５-06-01")] == [
        True,
        *[False] * 5,
    ]
