"""`ykt fleet lists` as a clerk types it: every step, every refusal, and no card number on the screen."""

import json
from pathlib import Path

import pytest

from backoffice.tests.forge import PASSPHRASE, City
from tools import cli


def number(index: int) -> str:
    return f"310499990{index:010d}"


def test_a_list_from_the_first_file_to_the_second_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YKT_VAULT_PASSPHRASE", PASSPHRASE.decode())
    city = City(tmp_path)
    assert cli.main(["fleet", "key", "new", "--vault", str(city.vault)]) == 0
    scope = str(city.rows("SELECT operator FROM device WHERE device_id = 1")[0][0])
    capsys.readouterr()
    path = tmp_path / "lost.csv"
    path.write_text(f"卡号\n{number(5)}\n{number(6)}\n", encoding="utf-8")
    at = ["--db", str(city.db), "--scope", scope]

    def ykt(*arguments: str) -> str:
        code = cli.main(["fleet", "lists", *arguments])
        said = capsys.readouterr()
        assert number(5)[4:] not in said.out + said.err
        return said.out if code == 0 else f"{code} {said.err}"

    assert json.loads(ykt("import", *at, "--file", str(path), "--user", "wang", "--json"))["added"] == 2
    assert json.loads(ykt("build", *at, "--user", "wang", "--json"))["version"] == 1
    assert "03104999: 2" in ykt("show", *at, "--version", "1")
    assert ykt("approve", *at, "--version", "1", "--user", "Wang").startswith("1 ykt fleet: wang")
    assert "已复核" in ykt("approve", *at, "--version", "1", "--user", "li")
    vault = ["--vault", str(city.vault)]
    assert "已发布" in ykt("publish", *at, *vault, "--version", "1", "--user", "li")
    path.write_text(f"{number(5)}\n", encoding="utf-8")
    assert "+0 -1" in ykt("import", *at, "--file", str(path), "--user", "wang")
    assert ykt("build", *at, "--user", "wang", "--effective", "soon").startswith("1 ykt fleet: --effective")
    ykt("build", *at, "--user", "wang", "--effective", "2025-06-01 04:00", "--days", "9999")
    ykt("approve", *at, "--version", "2", "--user", "li")
    assert json.loads(ykt("publish", *at, *vault, "--version", "2", "--user", "li", "--json"))["deltas_from"] == []
    (first, second) = json.loads(ykt("status", "--db", str(city.db), "--json"))
    assert (first["published_by"], second["count"], second["running"], second["old"]) == (
        "li", 1, 0, second["devices"])  # fmt: skip
    assert "过旧" in ykt("status", "--db", str(city.db))
    assert ykt("show", *at, "--version", "9").startswith("1 ykt fleet: ")
    path.write_text("123\n")
    assert "line 1" in ykt("import", *at, "--file", str(path), "--user", "wang")
    cities = tmp_path / "cities.csv"
    cities.write_text("6110,2025-06-01,\n")
    assert json.loads(ykt("import", *at, "--name", "city", "--file", str(cities), "--user", "wang", "--json"))
    ykt("build", *at, "--name", "city", "--user", "wang")
    assert "6110  2025-06-01 00:00 — …" in ykt("show", *at, "--name", "city", "--version", "1")
    assert json.loads(ykt("show", *at, "--name", "city", "--version", "1", "--json"))["records"][0][0] == "6110"
