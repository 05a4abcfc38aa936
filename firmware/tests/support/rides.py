"""A terminal that charges a tariff, in process, and the small networks it charges by. All prices are invented."""

from support.bus import Bus, device_map
from tunion.fare import decision, grid
from tunion.fare.tariff import FLAT, GRID, METER, Tariff
from tunion.wire import reason
from validator.rides.charge import Refused

CITY = b"\x61\x10"
NETWORK = bytes.fromhex("14026110ffffffff")

RIDE = {
    "again_s": 10, "elsewhere": 1, "entry_min_fen": 200, "free_repair_min": 20, "max_minutes": 120, "missing_exit": 1,
    "missing_exit_fen": 0, "overdraft_fen": 0, "overtime_fen": 900, "overtime_mode": 0, "same_free_fen": 0,
    "same_free_min": 5, "slack_s": 300,
}  # fmt: skip
RULES = {"cut_fen": 1, "hours": [], "month": [], "ride": {}, "riders_max": 20, "transfer": [], "visitors": 1}

METRO_STATIONS = [211, 212, 322, 323]
METRO_FEN = [[None, 200, 300, 900], [200, None, 200, 400], [300, 200, None, 200], [900, 400, 200, None]]
STOPS = [1, 2, 3, 4]
UP_FEN = [[None, 100, 200, 400], [None, None, 100, 300], [None, None, None, 200], [None] * 4]
DOWN_FEN = UP_FEN


class Post:
    """A gate that only counts."""

    def __init__(self):
        self.opened = []

    def permit(self, way, card):
        self.opened.append(way)

    def again(self, card):
        return False

    def ignored(self, way, card):
        self.stay_shut()

    def stay_shut(self):
        raise Refused(reason.of_case(decision.TWICE))

    def judge(self, card, charge):
        pass


def metro(**changes):
    """Four stations of two lines."""
    return _tariff(1, GRID, grid.build(grid.BOTH_WAYS, METRO_STATIONS, [METRO_FEN]), dict(RIDE), changes)


def line(**changes):
    """Four stops; the layer is the direction."""
    return _tariff(2, GRID, grid.build(grid.ONWARD, STOPS, [UP_FEN, DOWN_FEN]), dict(RIDE), changes)


def flat(fare_fen=200, **changes):
    return _tariff(2, FLAT, fare_fen, {}, changes)


def taxi(**changes):
    return _tariff(4, METER, [800, 99900, 100], {}, changes)


def _tariff(mode, scheme, table, ride, changes):
    rules = dict(RULES, ride=ride)
    kinds = changes.pop("kinds", {2: 300, 3: 1000})
    for name in changes:
        if name in RIDE:
            ride[name] = changes[name]
        else:
            rules[name] = changes[name]
    return Tariff(7, 3, mode, scheme, table, kinds, rules, {})


def terminal(tariff, role="bus", **changes):
    """A Bus that charges `tariff`. `duty` says line, stop, direction and the rest."""
    settings = {
        "fare": tariff.to_map(), "role": role, "city": CITY, "network": NETWORK, "operator": b"\x00\x01",
        "plate": b"A12345D", "same_card_s": 2, "place_coding": "LLSS" if role == "bus" else "L0S0",
    }  # fmt: skip
    settings.update(changes)
    return Bus(**settings)  # flash and sam_kind among them


__all__ = ["Bus", "Post", "device_map", "flat", "line", "metro", "taxi", "terminal"]
