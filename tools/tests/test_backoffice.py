"""`ykt backoffice` in the hands of a clerk who slips: one line that helps, nothing left behind, no file quoted."""

import csv
import json
import os
import subprocess
import sys

import pytest

from backoffice import export
from backoffice.setup import init

ENVIRONMENT = {**os.environ, "YKT_VAULT_PASSPHRASE": "clerk"}
WAIT_S = 60


def ykt(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "tools.cli", "backoffice", *map(str, arguments)], env=ENVIRONMENT,
                          stderr=subprocess.PIPE, text=True, timeout=WAIT_S, **options)


@pytest.fixture
def db(tmp_path):
    path = tmp_path / "clearing.sqlite"
    init(path, "localhost", False, [])
    return path


@pytest.mark.parametrize("arguments", [
    ("init", "--db", "{here}/none/new.sqlite"),
    ("init", "--db", "{here}/new.sqlite", "--org", "{here}"),
    ("export", "--db", "{db}", "--out", "{here}/none/lines.csv"),
    ("export", "--db", "{db}", "--out", "{here}"),
    ("serve", "--db", "{db}", "--vault", "{here}/vault", "--ready-file", "{here}/none/ready"),
    ("status", "--db", "{here}"),
    ("status", "--db", "{here}/none.sqlite"),
])
def test_a_place_that_cannot_be_is_one_line_that_names_it(arguments, db, tmp_path):
    before = sorted(tmp_path.iterdir())

    done = ykt(*(argument.format(here=tmp_path, db=db) for argument in arguments))

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and str(tmp_path) in done.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("arguments", [
    ("void-grey", "--days", "-1"),
    ("void-grey", "--days", "0"),
    ("device", "re-enrol", "--id", "4294967296"),
    ("device", "re-enrol", "--id", "-1"),
    ("device", "enrol", "--id", "1", "--epoch", "12", "--user", "li"),
    ("command", "1", "explode", "--user", "li"),
    ("command", "1", "set_interval", "86401", "--user", "li"),
    ("command", "1", "lock"),
    ("serve", "--vault", "v", "--port", "65536"),
])
def test_a_number_out_of_range_is_wrong_usage(arguments, db):
    assert ykt(*arguments, "--db", db).returncode == 2


def test_a_full_disk_is_one_line(db):
    with open("/dev/full", "w") as full:
        done = ykt("export", "--db", db, "--format", "json", stdout=full)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "room on the disk" in done.stderr


def test_a_file_that_is_no_registry_is_not_quoted(tmp_path):
    secret = tmp_path / "registry.json"
    secret.write_bytes(b'{"keys": "5EC2E7\xff"}')

    done = ykt("init", "--db", tmp_path / "new.sqlite", "--org", secret)

    assert done.returncode == 1
    assert str(secret) in done.stderr and "5EC2E7" not in done.stderr


@pytest.mark.parametrize("what", export.WHATS)
def test_an_empty_table_has_its_column_names(what, db, tmp_path):
    table = tmp_path / "table.csv"

    assert ykt("export", "--db", db, "--what", what, "--out", table).returncode == 0

    columns, *rows = csv.reader(table.open(encoding="utf-8", newline=""))
    assert len(columns) > 5 and rows == []


def test_an_empty_database_says_so(db):
    assert "no taps yet" in ykt("status", "--db", db, stdout=subprocess.PIPE).stdout


def test_orders_are_written_down_with_who_gave_them(db):
    where = ("--db", db)
    init_row = {"org": "99", "name_zh": "示例", "name_en": "Sample", "city": "9901", "province": "9900"}
    registry = db.parent / "registry.json"
    registry.write_text(json.dumps({"orgs": [init_row]}), encoding="utf-8")
    ykt("load", *where, "--org", registry)
    ykt("device", "add", *where, "--id", "7", "--name", "bus 7", "--operator", "99", "--acquirer", "99")

    assert ykt("command", *where, "--user", "王", "8", "lock").returncode == 1
    done = ykt("command", *where, "--user", "王", "7", "set_interval", "60", stdout=subprocess.PIPE)
    assert done.returncode == 0 and "60" not in done.stderr

    row = json.loads(ykt("commands", *where, "--json", stdout=subprocess.PIPE).stdout)
    told = {"device_id": 7, "command_id": 1, "name": "set_interval", "argument": 60, "issued_by": "王", "result": None}
    assert told.items() <= row.items()
    assert "set_interval 60" in ykt("commands", *where, stdout=subprocess.PIPE).stdout
    device = json.loads(ykt("device", "list", *where, "--json", stdout=subprocess.PIPE).stdout)["devices"][0]
    assert device["alarms"] == [] and device["seen_at_s"] is None
    refused = ykt("device", "enrol", *where, "--id", "7", "--epoch", "0000000A", "--user", "li")
    assert refused.returncode == 1 and "waiting: none" in refused.stderr
    assert "has sent no log" in ykt("device", "log", *where, "--id", "7").stderr
