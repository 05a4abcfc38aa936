"""`ykt backoffice rides`: what a clerk reads, and what a program does."""

import json
from pathlib import Path

import pytest

from backoffice.tests.forge import City, Validator
from backoffice.tests.test_clearing_tariffs import ENTRY, EXIT
from tools import cli
from tunion.fare import trip


def test_the_command_speaks_to_clerks_and_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    city = City(tmp_path)
    bus = Validator(city)
    bus.send([bus.tap(1, **ENTRY), bus.tap(2, **EXIT, number=2), bus.tap(3, **ENTRY, number=3, modes=trip.EXIT_FREE)])
    assert cli.main(["backoffice", "rides", "--db", str(city.db)]) == 0
    said = capsys.readouterr().out
    assert "TR-06 降级模式" in said and "无进站记录" in said and "出站免检 exit_free" in said
    assert "31" + "0" * 15 not in said and "*********" in said

    assert cli.main(["backoffice", "rides", "--db", str(city.db), "--open", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [line["kind"] for line in found["unsolved"]] == ["degraded", "degraded"]
    assert found["counts"]["no_entry"] == 1

    assert cli.main(["backoffice", "rides", "--db", str(city.db), "--day", "2024-01-01"]) == 0
    assert "没有进出站记录" in capsys.readouterr().out
    city.store.close()
