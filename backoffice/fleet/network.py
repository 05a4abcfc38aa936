"""Networks and lines as grids: shortest ways once, here, so that no gate ever searches one.

A network file (metro, intercity rail; one price both ways):

    {"origin": "who says so", "bands": {...}, "stations": {"101": "name", ...},
     "lines": [{"name": "1", "stations": [101, 102, 103], "metres": [1200, 900], "ring": false}, ...],
     "walks": [[103, 201, 0], ...]}

A station on several lines has one code there, or several with a walk between them. Ways are the shortest by metres.

A line (segment bus, coach): stops are numbered from 1 in the order of their direction, directions are layers.

    {"bands": {...}, "directions": [[1200, 900, 700], [700, 950, 1200]]}      metres from stop to stop

Prices by hand (toll, train classes, zones):

    {"shape": "square", "places": [1, 2], "layers": [[[500, 1500], [2500, null]]]}

Bands: {"start_m": 4000, "start_fen": 200, "steps": [[4000, 4000, 100], ...], "cap_fen": 0}, see tunion.fare.distance.
"""

import heapq
import re
from pathlib import Path
from typing import Any

from backoffice.fleet.placed import Placed, at, read, told
from tunion.fare import grid
from tunion.fare.distance import Bands
from tunion.record import BadInput

SHAPES = {"both_ways": grid.BOTH_WAYS, "onward": grid.ONWARD, "square": grid.SQUARE}

Ways = dict[int, dict[int, int]]    # station -> neighbour -> metres


def of_network(path: Path) -> bytes:
    """The grid of a network file. Raises BadInput, naming the file's line, the metro line and the station; OSError."""
    text, content = read(path)
    try:
        with at():
            return _of_network(content)
    except Placed as problem:
        raise BadInput(told(path, text, problem)) from problem


def _of_network(content: dict[str, Any]) -> bytes:
    ways = _ways(content)
    bands = _bands(content["bands"])
    codes = sorted(ways)
    matrix: list[list[int | None]] = []
    for start in codes:
        metres = shortest(ways, start)
        for end in codes:
            if end not in metres:
                raise BadInput(f"no way leads from station {start} to station {end}: a line or a walk is missing")
        matrix.append([None if end == start else bands.fen(metres[end]) for end in codes])
    return grid.build(grid.BOTH_WAYS, codes, [matrix])


def of_line(content: dict[str, Any]) -> bytes:
    """The grid of a line. Raises BadInput."""
    bands = _bands(content["bands"])
    directions = content["directions"]
    with at("directions"):
        if not directions or not all(directions):
            raise BadInput("a line has a direction, and each direction two stops")
        count = max(len(metres) for metres in directions) + 1
    layers: list[list[list[int | None]]] = []
    for number, metres in enumerate(directions):
        at_m = [0]
        for stop, step_m in enumerate(metres):
            with at("directions", number, stop):
                at_m.append(at_m[-1] + _metres(step_m, f"direction {number}, from stop {stop + 1}"))
        stops = range(count)
        layers.append(
            [[bands.fen(at_m[j] - at_m[i]) if i < j < len(at_m) else None for j in stops] for i in stops]
        )
    return grid.build(grid.ONWARD, list(range(1, count + 1)), layers)


def of_prices(content: dict[str, Any]) -> bytes:
    """The grid of prices written by hand. Raises BadInput."""
    if content["shape"] not in SHAPES:
        raise BadInput(f"a shape is one of {', '.join(SHAPES)}")
    with at("layers"):
        return grid.build(SHAPES[content["shape"]], content["places"], content["layers"])


def shortest(ways: Ways, start: int) -> dict[int, int]:
    """Metres of the shortest way to each station that can be reached (Dijkstra)."""
    found: dict[int, int] = {}
    waiting = [(0, start)]
    while waiting:
        metres, station = heapq.heappop(waiting)
        if station in found:
            continue
        found[station] = metres
        for neighbour, step_m in ways[station].items():
            if neighbour not in found:
                heapq.heappush(waiting, (metres + step_m, neighbour))
    return found


def _ways(content: dict[str, Any]) -> Ways:
    with at("stations"):
        ways: Ways = {_code(code): {} for code in content["stations"]}
    names: list[str] = []
    for number, line in enumerate(content["lines"]):
        with at("lines", number):
            name = f"line {line['name']}"
            if name in names:
                raise BadInput(f"{name} stands twice")
            names.append(name)
            _add_line(ways, name, line)
    for number, (start, end, step_m) in enumerate(content.get("walks", [])):
        with at("walks", number):
            _join(ways, start, end, step_m, "walks")
    for code, steps in ways.items():
        if not steps:
            raise Placed(("stations", str(code)), f"station {code} is on no line")
    return ways


def _add_line(ways: Ways, name: str, line: dict[str, Any]) -> None:
    stations, metres = line["stations"], line["metres"]
    after = stations[1:] + (stations[:1] if line.get("ring", False) else [])
    if len(stations) < 2:
        raise BadInput(f"{name} has fewer than two stations")
    if len(metres) != len(after):
        raise BadInput(f"{name} has {len(after)} steps from station to station, and {len(metres)} distances")
    for start, end, step_m in zip(stations[: len(after)], after, metres, strict=True):
        _join(ways, start, end, step_m, name)


def _join(ways: Ways, start: int, end: int, step_m: Any, where: str) -> None:
    for station in (start, end):
        if station not in ways:
            raise BadInput(f"{where}: station {station} is not among the stations")
    if start == end:
        raise BadInput(f"{where}: station {start} follows itself")
    metres = _metres(step_m, f"{where}, from station {start} to {end}")
    metres = min(metres, ways[start].get(end, metres))
    ways[start][end] = ways[end][start] = metres


def _metres(value: Any, where: str) -> int:
    if type(value) is not int or not 0 <= value <= 1_000_000:
        raise BadInput(f"{where}: a distance is 0 to 1000000 whole metres")
    return value


def _code(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 0xFFFF:
        raise Placed((text,), f"station {text!r}: a code is 0 to 65535")
    return int(text)


def _bands(content: dict[str, Any]) -> Bands:
    with at("bands"):
        steps = tuple((from_m, step_m, add_fen) for from_m, step_m, add_fen in content["steps"])
        try:
            return Bands(content["start_m"], content["start_fen"], steps, content.get("cap_fen", 0))
        except BadInput as problem:
            row = re.match(r"step ([0-9]+) ", str(problem))
            raise Placed(("steps", int(row[1]) - 1) if row else (), str(problem)) from problem
