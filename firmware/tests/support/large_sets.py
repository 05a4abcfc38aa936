"""Parameter sets with a grid that fills more than one chunk of a bank's marks. All prices are invented."""

from support import sets
from support.nor import Chance
from support.rides import RIDE, RULES
from tunion.fare import grid, samples
from tunion.fare.tariff import GRID, METRO
from tunion.wire import params as wire
from validator.rides.site import Site

SITE = Site("both", b"\x61\x10", bytes.fromhex("14026110ffffffff"), b"\x00\x01", b"", "CCL0000S", "L0S0", 0)
SET_BYTES_MAX = 24576
PLACES = 190  # 17 955 cells
LEVELS = 20
KINDS = [[2, 300]]


def grid_of(version):
    """Stations 1, 2, ...; prices drawn from the version, the first ride's told by `price_fen`."""
    chance = Chance(version)
    cells = bytearray([chance.below(LEVELS) for _ in range(PLACES * (PLACES - 1) // 2)])
    cells[0] = 0
    head = grid.HEAD.pack(
        magic=b"YKTG", layout=1, shape=grid.BOTH_WAYS, places=PLACES, layers=1, levels=LEVELS, reserved=b"\x00\x00"
    )
    prices = b"".join([(price_fen(version) + 100 * level).to_bytes(4, "big") for level in range(LEVELS)])
    return head + prices + b"".join([(i + 1).to_bytes(2, "big") for i in range(PLACES)]) + bytes(cells)


def price_fen(version):
    """From station 1 to 2."""
    return 200 + 50 * version


def payload(version):
    """A set with the grid of its version."""
    made = sets.sections(
        version, KIND=[1, KINDS], RULE=[1, dict(RULES, ride=dict(RIDE))],
        FARE=[version, [7, GRID, METRO, grid_of(version)]],
    )  # fmt: skip
    tariff = wire.tariff_of(made)
    # By hand what samples.make finds by looking at each ride.
    keys = [[0, 1, PLACES, kind, home, sets.EFFECTIVE_S, riders, -1, 0, -1]
            for kind, home, riders in ((2, 1, 1), (0, 1, 1), (2, 0, 1), (2, 1, RULES["riders_max"]))]
    listed = [key + list(samples.price(tariff, key)) for key in keys]
    return wire.encode(sets.header(version), listed, made)
