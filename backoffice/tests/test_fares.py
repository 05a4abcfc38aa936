"""Networks, lines and clerk's files as tariffs: shortest ways, samples for every mode, named refusals."""

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from backoffice.fleet import network, spec
from tunion import cbor
from tunion.fare.distance import GUANGZHOU
from tunion.fare.grid import GRID_BYTES_MAX, Grid, NoFare
from tunion.fare.tariff import Tariff
from tunion.record import BadInput
from tunion.wire import limits, params

NOW_S = 1748700000
SAMPLES = Path(spec.__file__).parents[1] / "samples" / "fares"
NETWORK = json.loads((SAMPLES / "metro_network.json").read_text(encoding="utf-8"))
BANDS = NETWORK["bands"]
SPECS = sorted(path for path in SAMPLES.glob("*.json") if path.stem != "metro_network")
TRIANGLE: dict[str, Any] = {
    "bands": {"start_m": 1000, "start_fen": 100, "steps": [[1000, 1, 1]]},     # past 1 km a fen a metre
    "stations": {"1": "A", "2": "B", "3": "C", "4": "D"},
    "lines": [
        {"name": "ring", "stations": [1, 2, 3], "metres": [1100, 1200, 5000], "ring": True},
        {"name": "spur", "stations": [3, 4], "metres": [1300]},
    ],
    "walks": [[1, 3, 2000]],
}


def grid_of(folder: Path, content: Any) -> Grid:
    path = folder / "network.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return Grid(network.of_network(path))


def test_ways_are_the_shortest_over_lines_rings_and_walks(tmp_path: Path) -> None:
    found = grid_of(tmp_path, TRIANGLE)
    for start, end, metres in ((1, 2, 1100), (2, 3, 1200), (1, 3, 2000), (1, 4, 3300), (2, 4, 2500)):
        assert found.fen(0, start, end) == found.fen(0, end, start) == 100 + metres - 1000
    without_walk = grid_of(tmp_path, {**TRIANGLE, "walks": []})
    assert without_walk.fen(0, 1, 3) == 100 + 2300 - 1000


def test_every_pair_of_the_sample_network_by_another_search(tmp_path: Path) -> None:
    ways = {int(code): {int(code): 0} for code in NETWORK["stations"]}
    for line in NETWORK["lines"]:
        for start, end, metres in zip(line["stations"][:-1], line["stations"][1:], line["metres"], strict=True):
            ways[start][end] = ways[end][start] = metres
    for middle, start, end in itertools.product(ways, repeat=3):        # Floyd and Warshall
        if middle in ways[start] and end in ways[middle]:
            metres = ways[start][middle] + ways[middle][end]
            ways[start][end] = min(metres, ways[start].get(end, metres))
    found = grid_of(tmp_path, NETWORK)
    assert found.places == len(ways) == 39
    for start, end in itertools.permutations(ways, 2):
        assert found.fen(0, start, end) == GUANGZHOU.fen(ways[start][end])


def changed(**parts: Any) -> dict[str, Any]:
    return {**copy.deepcopy(TRIANGLE), **parts}


@pytest.mark.parametrize("content, words", [
    (changed(lines=[{"name": "1", "stations": [1, 2, 9], "metres": [5, 5]}]), "line 1: station 9 is not among"),
    (changed(lines=[{"name": "1", "stations": [1, 2], "metres": [5, 5]}]), "line 1 has 1 steps .* 2 distances"),
    (changed(lines=[{"name": "1", "stations": [1, 2], "metres": [-5]}]), "line 1, from station 1 to 2: a distance"),
    (changed(lines=[{"name": "1", "stations": [1, 2], "metres": [0.5]}]), "line 1, from station 1 to 2: a distance"),
    (changed(lines=[{"name": "1", "stations": [1, 1], "metres": [5]}]), "station 1 follows itself"),
    (changed(stations={**TRIANGLE["stations"], "5": "E"}), "station 5 is on no line"),
    (changed(stations={**TRIANGLE["stations"], "x": "E"}), "station 'x'"),
    (changed(stations={**TRIANGLE["stations"], "65536": "E"}), "station '65536'"),
    (changed(walks=[[1, 7, 5]]), "walks: station 7"),
    (changed(walks=[], lines=[{"name": "1", "stations": [1, 2], "metres": [5]},
                              {"name": "2", "stations": [3, 4], "metres": [5]}]), "no way leads from station 1 to"),
    (changed(bands={**BANDS, "steps": [[5000, 4000, 100]]}), "step 1 begins at 5000 m"),
])
def test_a_bad_network_is_refused_with_line_and_reason(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        grid_of(tmp_path, content)


def test_a_network_of_300_stations_fits_a_set_where_devices_have_room(tmp_path: Path) -> None:
    lines = [
        {"name": str(number), "stations": list(range(1 + 20 * number, 21 + 20 * number)), "metres": [1300] * 19}
        for number in range(15)
    ]
    walks = [[10 + 20 * number, 30 + 20 * number, 500] for number in range(14)]
    stations = {str(code): str(code) for code in range(1, 301)}
    path = tmp_path / "network.json"
    path.write_text(json.dumps({"bands": BANDS, "stations": stations, "lines": lines, "walks": walks}))
    blob = network.of_network(path)
    assert 300 * 299 // 2 + 600 < len(blob) < 45_600 < GRID_BYTES_MAX
    assert Grid(blob).fen(0, 1, 300) == GUANGZHOU.fen(9 * 1300 + 14 * 500 + 10 * 1300)

    large = changed_spec("metro", fare={"version": 2, "fare_id": 11, "mode": 1, "network": "network.json"})
    payload = spec.payload_of(written(tmp_path, large), NOW_S)
    assert isinstance(params.decode(payload, True).fare, Tariff)
    size = len(payload) + 128
    for room, words in ((limits.SET_BYTES, "with --set-bytes"), (size - 1, f"{size} or more")):
        with pytest.raises(spec.FleetRefused, match=words):
            spec.refuse_undeliverable(payload, tariffs=True, set_bytes=room)
    spec.refuse_undeliverable(payload, tariffs=True, set_bytes=size)


def test_no_room_is_enough_for_more_than_devices_can_have() -> None:
    payload = cbor.encode([0] * 7 + [bytes(limits.SET_BYTES_MAX), {}])
    with pytest.raises(spec.FleetRefused, match="no device takes more than 73728"):
        spec.refuse_undeliverable(payload, tariffs=True, set_bytes=1 << 20)


def test_directions_of_a_line_may_have_different_numbers_of_stops() -> None:
    bands = {"start_m": 1000, "start_fen": 100, "steps": [[1000, 1000, 100]]}
    found = Grid(network.of_line({"bands": bands, "directions": [[900, 900, 900], [2500]]}))
    assert [found.fen(0, 1, stop) for stop in (2, 3, 4)] == [100, 200, 300]
    assert found.fen(1, 1, 2) == 300
    for start, end in ((2, 3), (1, 3)):
        with pytest.raises(NoFare):
            found.fen(1, start, end)
    with pytest.raises(BadInput, match="direction 1, from stop 1"):
        network.of_line({"bands": bands, "directions": [[900], [-1]]})


def changed_spec(name: str, **parts: Any) -> dict[str, Any]:
    return {**json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8")), **parts}


def written(folder: Path, content: Any) -> Path:
    path = folder / "set.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_each_sample_of_a_mode_makes_a_set_that_a_device_takes(path: Path) -> None:
    assert "origin" in json.loads(path.read_text(encoding="utf-8"))
    payload = spec.payload_of(path, NOW_S)
    assert isinstance(params.decode(payload, True).fare, Tariff)
    with pytest.raises(params.BadParams, match="flat fares only"):
        params.decode(payload)
    with pytest.raises(spec.FleetRefused, match="build with --tariffs"):
        spec.refuse_undeliverable(payload, tariffs=False)
    spec.refuse_undeliverable(payload, tariffs=True)


def test_the_samples_cover_seven_modes() -> None:
    modes = {json.loads(path.read_text(encoding="utf-8"))["fare"]["mode"] for path in SPECS}
    assert modes == {1, 2, 4, 8, 9, 10, 12}


@pytest.mark.parametrize("parts, words", [
    ({"fare": {"version": 2, "fare_id": 1, "mode": 2}}, "one of fare_fen, meter, network"),
    ({"fare": {"version": 2, "fare_id": 1, "mode": 2, "fare_fen": 200, "meter": [1, 2, 1]}}, "one of fare_fen"),
    ({"fare": {"version": 2, "fare_id": 1, "mode": 2, "fare_fen": 0}}, "a flat fare is 1 to"),
    ({"fare": {"version": 2, "fare_id": 1, "mode": 1, "network": "none.json"}}, "No such file"),
    ({"rules": {"version": 1, "gift": 1}}, "rules are cut_fen"),
    ({"rules": {"version": 1, "hours": [[-1, 7, 0, 1440, 100], [2, 7, 60, 120, 500]]}}, "hours, row 2 never counts"),
    ({"rules": {"version": 1, "month": [0, [[5, 100], [5, 200]]]}}, "tier from 5"),
    ({"rules": {"version": 1, "month": [0, [[70000, 100]]]}}, "a card counts 65535"),
])
def test_a_bad_clerk_file_is_refused_with_the_reason(tmp_path: Path, parts: Any, words: str) -> None:
    with pytest.raises(spec.FleetRefused, match=words):
        spec.payload_of(written(tmp_path, changed_spec("bus_hours", **parts)), NOW_S)


def test_a_row_for_holidays_counts_only_where_the_calendar_has_one(tmp_path: Path) -> None:
    rules = {"version": 1, "hours": [[-1, 4, 0, 1440, 100]]}
    assert spec.payload_of(written(tmp_path, changed_spec("bus_hours", rules=rules)), NOW_S)
    without = changed_spec("bus_hours", rules=rules, calendar={"version": 1, "days": []})
    with pytest.raises(spec.FleetRefused, match="hours, row 1 never counts"):
        spec.payload_of(written(tmp_path, without), NOW_S)
