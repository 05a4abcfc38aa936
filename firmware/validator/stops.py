"""The stops of the lines, and which of them the bus stands at by its position. Integers only: 1e-7 degree and cm.

A row is [line, direction, code, lat_e7, lon_e7, radius_m], in the order of travel. radius_m 0: no position is known,
the driver's key reaches it.
"""

from collections import namedtuple

from tunion.compat import const
from tunion.record import BadInput, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Stop = namedtuple("Stop", ("code", "lat_e7", "lon_e7", "radius_m"))

ROWS_MAX = const(512)  # of all lines; a city bus has some 40 stops each way
RADIUS_MAX_M = const(1000)
CONFIRM = const(2)  # fixes within a stop before it counts: a single one jumps
_LEAVE_PERCENT = const(150)  # of the radius: farther away the stop is left

_LAT_MAX = const(900000000)
_LON_MAX = const(1800000000)
_TURN_E7 = const(3600000000)
_CM_E4 = const(11132)  # of 1e-7 degree along a meridian: 1.1132 cm
_QUARTER = const(324000000)  # (180 degrees)^2 in hundredths


class Stops:
    """A table of stops, checked."""

    def __init__(self, rows: "Any") -> None:
        """Raises BadInput naming the row and what it takes."""
        if not isinstance(rows, list) or len(rows) > ROWS_MAX:
            raise BadInput("stops takes a list of up to %d rows" % ROWS_MAX)
        self._ways: dict[tuple[int, int], list[Stop]] = {}
        for number, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != 6 or not all([is_int(value) for value in row]):
                raise BadInput("stop %d takes [line, direction, code, lat_e7, lon_e7, radius_m]" % number)
            line, direction, code, lat_e7, lon_e7, radius_m = row
            for name, value, low, high in (
                ("line", line, 0, 0xFFFF),
                ("direction", direction, 0, 1),
                ("code", code, 1, 0xFFFF),
                ("lat_e7", lat_e7, -_LAT_MAX, _LAT_MAX),
                ("lon_e7", lon_e7, -_LON_MAX, _LON_MAX),
                ("radius_m", radius_m, 0, RADIUS_MAX_M),
            ):
                if not low <= value <= high:
                    raise BadInput("stop %d: %s takes %d to %d" % (number, name, low, high))
            way = self._ways.setdefault((line, direction), [])
            if code in [stop.code for stop in way]:
                raise BadInput("stop %d: line %d has stop %d twice in this direction" % (number, line, code))
            way.append(Stop(code, lat_e7, lon_e7, radius_m))

    def of(self, line: int, direction: int) -> "list[Stop]":
        """In the order of travel; [] where the table has none."""
        return self._ways.get((line, direction), [])

    @property
    def lines(self) -> "list[int]":
        """Lines that have stops."""
        return sorted(set([line for line, _ in self._ways]))


class StopFinder:
    """Which stop of a way the bus is at, fix by fix."""

    def __init__(self) -> None:
        self._way: list[Stop] = []
        self._inside: Stop | None = None
        self._candidate: Stop | None = None
        self._seen = 0

    def use(self, way: "list[Stop]") -> None:
        """From now on these stops; forgets where the bus was."""
        self._way = way
        self._inside = self._candidate = None
        self._seen = 0

    def at(self, lat_e7: int, lon_e7: int) -> int:
        """Code of a stop just reached, 0 for none. Each arrival is told once.

        A stop is reached with the second fix in a row within its radius, and left beyond one and a half radii. Where
        circles overlap, the nearest counts.
        """
        if self._inside is not None:
            radius_cm = self._inside.radius_m * _LEAVE_PERCENT
            if _away_cm2(self._inside, lat_e7, lon_e7) > radius_cm * radius_cm:
                self._inside = None
        found: Stop | None = None
        found_cm2 = 0
        for stop in self._way:
            away_cm2 = _away_cm2(stop, lat_e7, lon_e7)
            if stop.radius_m and away_cm2 <= (100 * stop.radius_m) ** 2 and (found is None or away_cm2 < found_cm2):
                found, found_cm2 = stop, away_cm2
        if found is None or found is self._inside:
            self._candidate, self._seen = None, 0
            return 0
        self._seen = self._seen + 1 if found is self._candidate else 1
        self._candidate = found
        if self._seen < CONFIRM:
            return 0
        self._inside, self._candidate, self._seen = found, None, 0
        return int(found.code)


def _away_cm2(stop: Stop, lat_e7: int, lon_e7: int) -> int:
    """Square of the distance. A flat earth is good to 0.2 % over a stop's radius, far less than a fix's own error."""
    across_e7 = lon_e7 - stop.lon_e7
    if across_e7 > _LON_MAX:
        across_e7 -= _TURN_E7
    elif across_e7 < -_LON_MAX:
        across_e7 += _TURN_E7
    up_cm = (lat_e7 - stop.lat_e7) * _CM_E4 // 10000
    across_cm = across_e7 * _CM_E4 // 10000 * _cosine_permille(stop.lat_e7) // 1000
    return int(up_cm * up_cm + across_cm * across_cm)


def _cosine_permille(lat_e7: int) -> int:
    """Bhaskara's rational cosine, wrong by less than 2 permille at any latitude."""
    x = abs(lat_e7) // 100000  # hundredths of a degree
    return 1000 * (_QUARTER - 4 * x * x) // (_QUARTER + x * x)
