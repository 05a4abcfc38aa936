"""Tariffs from a clerk's file to clearing, through the command line: explained, tried, published; bad ones refused."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backoffice.clearing.close import clear_day
from backoffice.fleet import spec
from backoffice.keys import signing, vault
from backoffice.store import fares
from backoffice.tests.forge import DAY, PASSPHRASE, City, Validator
from tools import cli
from tunion.fare.tariff import Tariff
from tunion.wire import limits, tap

SAMPLES = Path(spec.__file__).parents[1] / "samples" / "fares"
SCOPE = "09990111"
RIDE = json.loads((SAMPLES / "metro.json").read_text(encoding="utf-8"))["rules"]["ride"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    City(folder).store.close()
    return folder


@pytest.fixture
def city(template: Path, tmp_path: Path) -> Iterator[City]:
    city = City(Path(shutil.copytree(template, tmp_path / "city")))
    yield city
    city.store.close()


@pytest.fixture
def bus(city: City) -> Validator:
    return Validator(city)


def folder_with(tmp_path: Path, name: str, network: Any = None, **changes: Any) -> Path:
    """The clerk's file of a sample, changed, with the scope of the test's city; one value a line."""
    content = {**json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8")), "scope": SCOPE, **changes}
    content["issuers"] = {"version": 1, "home": ["09990100"], "accepted": ["09990100", "09990200"]}
    if network is None:
        network = json.loads((SAMPLES / "metro_network.json").read_text(encoding="utf-8"))
    (tmp_path / "metro_network.json").write_text(json.dumps(network, indent=1), encoding="utf-8")
    path = tmp_path / "set.json"
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def fleet(*words: object) -> int:
    return cli.main(["fleet", "params", *(str(word) for word in words)])


def build(city: City, path: Path, *more: str) -> int:
    return fleet("build", "--db", city.db, "--file", path, "--user", "wang", "--day", DAY, "--tariffs", *more)


def rules(name: str, **changes: Any) -> dict[str, Any]:
    return {**json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))["rules"], **changes}


def sample(name: str) -> dict[str, Any]:
    return dict(json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8")))


NETWORK = json.loads((SAMPLES / "metro_network.json").read_text(encoding="utf-8"))
BANDS = NETWORK["bands"]
LINE = {"bands": BANDS, "directions": [[700, 800]]}


def network(**changes: Any) -> dict[str, Any]:
    return {**NETWORK, **changes}


def first_line(**changes: Any) -> list[Any]:
    return [{**NETWORK["lines"][0], **changes}, *NETWORK["lines"][1:]]


def fare(name: str, **changes: Any) -> dict[str, Any]:
    return {"version": 2, "fare_id": 9, "mode": sample(name)["fare"]["mode"], **changes}


def prices(**changes: Any) -> dict[str, Any]:
    made = {"shape": "both_ways", "places": [1, 2, 3], "layers": [[[None, 1, 2], [1, None, 3], [2, 3, None]]]}
    return fare("toll", prices={**made, **changes})


# what is wrong -> sample, changes of the clerk's file, where (a key and its file), words of the reason
BAD: dict[str, tuple[str, dict[str, Any], str, str, str]] = {
    "bands with a gap": (
        "metro", {"network": network(bands={**BANDS, "steps": [[5000, 4000, 100]]})},
        "metro_network.json", '"steps": [', "step 1 begins at 5000 m: a gap or an overlap"),
    "bands that overlap": (
        "metro", {"network": network(bands={**BANDS, "steps": [[4000, 4000, 100], [3000, 1000, 100]]})},
        "metro_network.json", "3000", "step 2 begins at 3000 m: a gap or an overlap"),
    "bands that begin within a step": (
        "metro", {"network": network(bands={**BANDS, "steps": [[4000, 4000, 100], [9000, 1000, 100]]})},
        "metro_network.json", "9000", "step 2 begins inside a step"),
    "a cap below the first price": (
        "bus_segment", {"fare": fare("bus_segment", line={**LINE, "bands": {**BANDS, "cap_fen": 100}})},
        "set.json", '"bands"', "the cap no lower than the first price"),
    "a price beyond what a record holds": (
        "metro", {"network": network(bands={**BANDS, "start_fen": 1 << 24})},
        "metro_network.json", "{", "a price is 0 to 16777215 fen"),
    "riders beyond what a record holds": (
        "ferry", {"fare": fare("ferry", fare_fen=0xFFFFFF), "rules": rules("ferry", riders_max=2)},
        "set.json", '"fare"', "more than a record holds"),
    "a flat fare of nothing": (
        "ferry", {"fare": fare("ferry", fare_fen=0)}, "set.json", '"fare"', "a flat fare is 1 to"),
    "a meter that goes backwards": (
        "taxi", {"fare": fare("taxi", meter=[900, 800, 100])}, "set.json", '"fare"', "from its low to its high"),
    "a station that is none": (
        "metro", {"network": network(lines=first_line(stations=[101, 999], metres=[5]))},
        "metro_network.json", '"lines": [', "station 999 is not among the stations"),
    "a walk to a station that is none": (
        "metro", {"network": network(walks=[[101, 201, 0], [101, 999, 5]])},
        "metro_network.json", "999", "walks: station 999"),
    "a station on no line": (
        "metro", {"network": network(stations={**NETWORK["stations"], "999": "nowhere"})},
        "metro_network.json", '"999"', "station 999 is on no line"),
    "a station number too high": (
        "metro", {"network": network(stations={**NETWORK["stations"], "65536": "far"})},
        "metro_network.json", '"65536"', "a code is 0 to 65535"),
    "a line with a distance too few": (
        "metro", {"network": network(lines=first_line(metres=[5]))}, "metro_network.json", "{", "distances"),
    "a line of one station": (
        "metro", {"network": network(lines=first_line(stations=[101], metres=[]))},
        "metro_network.json", '"lines": [', "fewer than two stations"),
    "a line twice": (
        "metro", {"network": network(lines=[NETWORK["lines"][0], NETWORK["lines"][0]])},
        "metro_network.json", '"name": "1"', "stands twice"),
    "no line at all": (
        "metro", {"network": network(lines=[])}, "metro_network.json", '"101"', "is on no line"),
    "a line that does not exist": (
        "bus_segment", {"fare": fare("bus_segment", line="607")}, "set.json", '"line"', "another shape"),
    "a network that does not exist": (
        "metro", {"fare": fare("metro", network="607.json")}, "607.json", "", "No such file"),
    "a direction without stops": (
        "bus_segment", {"fare": fare("bus_segment", line={**LINE, "directions": [[700], []]})},
        "set.json", '"directions"', "each direction two stops"),
    "a distance below zero": (
        "bus_segment", {"fare": fare("bus_segment", line={**LINE, "directions": [[700, -1]]})},
        "set.json", "-1", "direction 0, from stop 2: a distance"),
    "a matrix with a row too few": (
        "toll", {"fare": prices(layers=[[[None, 1, 2], [1, None, 3]]])}, "set.json", '"layers"', "rows and columns"),
    "a matrix with a price too many": (
        "toll", {"fare": prices(layers=[[[None, 1, 2], [1, None, 3, 4], [2, 3, None]]])},
        "set.json", '"layers"', "rows and columns"),
    "a matrix that differs each way": (
        "toll", {"fare": prices(layers=[[[None, 1, 2], [9, None, 3], [2, 3, None]]])},
        "set.json", '"layers"', "cost differently each way"),
    "places out of order": (
        "toll", {"fare": prices(places=[1, 3, 2])}, "set.json", '"layers"', "place 2 stands twice or too late"),
    "a shape that is none": ("toll", {"fare": prices(shape="round")}, "set.json", '"prices"', "a shape is one of"),
    "hours that overlap to nothing": (
        "bus_hours", {"rules": {"version": 1, "hours": [[-1, 7, 0, 1440, 100], [2, 7, 60, 120, 500]]}},
        "set.json", "60,", "hours, row 2 never counts"),
    "hours across midnight": (
        "bus_hours", {"rules": {"version": 1, "hours": [[-1, 7, 1380, 60, 100]]}},
        "set.json", "1380", "across midnight takes two rows"),
    "tiers that do not grow": (
        "bus_hours", {"rules": {"version": 1, "month": [0, [[5, 100], [5, 200]]]}},
        "set.json", '"month"', "see the tier from 5"),
    "eight tiers": (
        "bus_hours", {"rules": {"version": 1, "month": [0, [[i, 100] for i in range(8)]]}},
        "set.json", '"month"', "are 1 to 7"),
    "a transfer from mode 16": (
        "bus_hours", {"rules": {"version": 1, "transfer": [90, 0, 1, 0, [[16, 2, 0, 100]]]}},
        "set.json", '"transfer"', "from mode 1 to 15"),
    "a time limit of nothing": (
        "metro", {"rules": rules("metro", ride={**RIDE, "max_minutes": 0})},
        "set.json", '"max_minutes"', "max_minutes takes 1 to 20160"),
    "an open ride's number too few": (
        "metro", {"rules": rules("metro", ride={"again_s": 1})}, "set.json", '"ride"', "an open ride's numbers are"),
    "a discount above all": (
        "bus_hours", {"kinds": {"version": 1, "discounts": [[2, 1001]]}}, "set.json", '"kinds"', "0 to 1000"),
    "a day that is none": (
        "bus_hours", {"calendar": {"version": 1, "days": [[20250230, 2]]}},
        "set.json", '"calendar"', "a day that is none"),
    "a clock at 1970": (
        "metro", {"effective_at": "1970-01-01 08:00"}, "set.json", '"effective_at"', "a clock at 1970"),
    "a clock at zero": ("metro", {"effective_at": 0}, "set.json", '"effective_at"', "a clock at 1970"),
    "an end in 1970": ("metro", {"expires_at": 86400}, "set.json", '"expires_at"', "a clock at 1970"),
    "an end before the beginning": (
        "metro", {"expires_at": "2025-06-01 04:00"}, "set.json", '"expires_at"', "expires before"),
    "no rules at all": ("metro", {"rules": None}, "set.json", '"rules"', "another shape"),
    "a rule that is none": (
        "metro", {"rules": rules("metro", gift=1)}, "set.json", '"rules"', "rules are cut_fen"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_line_and_reason(
    name: str, city: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, changes, file, where, words = BAD[name]
    path = folder_with(tmp_path, base, **changes)

    assert build(city, path) == 1

    said = capsys.readouterr().err
    assert words in said
    if where:
        lines = (tmp_path / file).read_text(encoding="utf-8").splitlines()
        number = int(said.split(f"{file}, line ")[1].split(":")[0])
        nearby = lines[max(0, number - 2) : number + 4]     # the value, or the list in which it stands
        assert any(where in line for line in nearby), f"line {number}: {nearby}"
    assert city.rows("SELECT COUNT(*) FROM params_set") == [(0,)]


@pytest.mark.parametrize(("text", "words"), [
    ('{"name": 1,\n "x": }', "set.json, line 2: no JSON"),
    ('{"fare": 1,\n "fare": 2}', "'fare' stands twice"),
    ("[]", "set.json, line 1: the file has another shape"),
    ('{"name": "n", "version": 1}', "lacks 'scope'"),
])
def test_what_is_no_set_at_all_is_refused(
    text: str, words: str, city: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "set.json"
    path.write_text(text)
    assert build(city, path) == 1
    assert words in capsys.readouterr().err


def test_a_tariff_needs_somebody_who_says_that_devices_charge_it(
    city: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder_with(tmp_path, "metro")
    assert fleet("build", "--db", city.db, "--file", path, "--user", "wang") == 1
    assert "build with --tariffs" in capsys.readouterr().err
    assert build(city, path) == 0


def test_a_network_too_large_for_a_set_needs_somebody_who_says_that_devices_have_room(
    city: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stations = list(range(1, 121))
    large = {
        "bands": BANDS, "stations": {str(code): str(code) for code in stations},
        "lines": [{"name": "1", "stations": stations, "metres": [900] * 119}],
    }
    path = folder_with(tmp_path, "metro", network=large)
    assert build(city, path) == 1
    assert "and devices take 8192" in capsys.readouterr().err
    said = ("build", "--db", city.db, "--file", path, "--user", "wang", "--tariffs", "--set-bytes")
    assert fleet(*said, 8200) == 1
    assert "with --set-bytes" in capsys.readouterr().err
    assert fleet(*said, 16384) == 0


# a sample -> words that its explanation has, 中文 and English
EXPLAINED = {
    "metro": ("地铁 metro", "2.00 × 109", "双向同价 both ways alike", "超时 overtime: 14.00 代替票价", "减 40% off",
              "公交 bus → 地铁 metro: 减 less 0.50", "补收 charges 2.00"),
    "bus_segment": ("沿线 along a line", "层 layer 1", "未刷卡下车 not tapped off", "换乘自 after 地铁 metro",
                    "5 人 riders: 15.00 - 1.50 = 13.50"),
    "bus_hours": ("一票制 flat", "时段 hours 1", "工作日 workdays"),
    "taxi": ("计价器 meter", "出租 taxi"), "ferry": ("轮渡 ferry",), "toll": ("按方向 each way its own",),
    "rail": ("城际 intercity rail",), "coach": ("客运 coach",),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPLAINED)
def test_show_explains_each_mode_to_a_clerk(
    name: str, city: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(city, folder_with(tmp_path, name)) == 0
    capsys.readouterr()
    assert fleet("show", "--db", city.db, "--scope", SCOPE, "--version", 2) == 0
    said = capsys.readouterr().out
    for words in EXPLAINED[name]:
        assert words in said
    assert max(map(len, said.splitlines())) < 500
    assert fleet("show", "--db", city.db, "--scope", SCOPE, "--version", 2, "--json") == 0
    assert EXPLAINED[name][0] in "\n".join(json.loads(capsys.readouterr().out)["explained"])


def test_from_the_clerks_file_to_clearing(
    city: City, bus: Validator, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = vault.open_vault(city.vault, PASSPHRASE)
    key = signing.new()
    opened.add(vault.KeyInfo("params", "params", "ES256", "sign", "", vault.kcv("ES256", key)), key)
    opened.save()
    monkeypatch.setenv("YKT_VAULT_PASSPHRASE", PASSPHRASE.decode())
    exit_by_it = {
        "type": 9, "industry": 1, "fare_id": 11, "fare_version": 2, "event": tap.ALIGHT, "stop_in": 101,
        "stop_out": 102, "ride_s": 600, "list_fen": 200, "amount_fen": 200,
    }
    bus.send([bus.tap(1, **exit_by_it)])
    path = folder_with(tmp_path, "metro", expires_at="2099-01-01 00:00")
    assert build(city, path) == 0
    one = ("--db", city.db, "--scope", SCOPE, "--version", 2)
    assert fleet("approve", *one, "--user", "li", "--day", DAY) == 0
    assert "1 笔 taps, 2.00 → 2.00" in capsys.readouterr().out
    assert fleet("publish", *one, "--user", "li", "--vault", city.vault) == 0

    with city.store.reading() as db:
        stored = fares.stored(db)[11, 2]
        blob = db.execute("SELECT blob FROM params_set").fetchone()[0]
    assert isinstance(stored, Tariff)
    assert len(blob) <= limits.SET_BYTES
    bus.send([bus.tap(2, **{**exit_by_it, "list_fen": 300, "amount_fen": 300})])
    assert clear_day(city.store, city.keys, DAY, city.now_s).problems == []
    assert city.rows("SELECT code, ref, detail FROM anomaly") == [("TX-16", "txn 2", "wrong_fare")]


def test_a_days_taps_that_the_table_cannot_price_are_told_apart(
    city: City, bus: Validator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bus.send([bus.tap(1), bus.tap(2, type=9, industry=1, fare_id=11, event=tap.ALIGHT, stop_in=101, stop_out=102)])
    assert build(city, folder_with(tmp_path, "metro"), "--json") == 0
    effect = json.loads(capsys.readouterr().out)
    told = [effect[name] for name in ("taps", "before_fen", "after_fen", "untold", "untold_fen")]
    assert told == [1, 200, 200, 1, 200]
    assert fleet("show", "--db", city.db, "--scope", SCOPE, "--version", 2) == 0
    assert "无法试算 1 笔 2.00 元" in capsys.readouterr().out


def test_a_set_too_large_for_devices_is_refused_when_it_is_built(
    city: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stations = list(range(1, 107))
    large = {
        "bands": BANDS, "stations": {str(code): str(code) for code in stations},
        "lines": [{"name": "1", "stations": stations, "metres": [900] * 105}],
    }
    path = folder_with(tmp_path, "metro", network=large)
    assert build(city, path) == 0  # 106 stations fit
    content = json.loads(path.read_text(encoding="utf-8"))
    content["issuers"]["accepted"] = [f"{number:08d}" for number in range(1, 513)]
    path.write_text(json.dumps({**content, "version": 3, "fare": {**content["fare"], "version": 3}}))
    assert build(city, path) == 1
    assert "devices take 8192" in capsys.readouterr().err
