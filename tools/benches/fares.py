"""fares: what pricing costs a gate and a bus on the emulated Cortex-M3, against the flat fare."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from backoffice.fleet import spec
from tools import board
from tools.bench import Figure
from tools.paths import ROOT

SAMPLES = ROOT / "backoffice" / "samples" / "fares"

PROGRAM = """
import gc
from binascii import unhexlify
from tunion.fare import segment, trip
from tunion.fare.flat import FlatFare
from tunion.fare.month import Month
from tunion.wire import params

AT = 1748750400
metro = params.decode(unhexlify("{metro}"), True).fare
bus = params.decode(unhexlify("{bus}"), True).fare
flat = FlatFare(1, 1, 250, {{2: 500}})
gate, ride, line = metro.grid, metro.rules["ride"], bus.grid
month = Month(202506, 16, 100)
inside, outside = trip.Trip(1, b"n", 101, 0, AT), trip.Trip(2, b"n", 101, 0, AT)
here = trip.Here(b"n", 224, 0, AT + 3600, 0)
blank, aboard = segment.Ride(0, b"", 0, b"", 0, 0, 0, 0), segment.Ride(1, b"a", 1, b"x", 0, 1, AT, 300)
first, seventh = segment.Here(b"a", 1, b"x", 0, 1, AT), segment.Here(b"a", 1, b"x", 0, 7, AT + 900)

for name, work in (
    ("flat", lambda: flat.price(2)),
    ("pair", lambda: gate.fen(0, 101, 224)),
    ("entry", lambda: trip.gate(gate, ride, trip.ENTRY, outside, here, 5000)),
    ("exit", lambda: trip.gate(gate, ride, trip.EXIT, inside, here, 5000)),
    ("board", lambda: segment.tap(line, bus.rules["ride"], blank, first, 5000)),
    ("alight", lambda: segment.tap(line, bus.rules["ride"], aboard, seventh, 5000)),
    ("discounts", lambda: metro.price(700, 2, AT, True, month)),
):
    work()
    gc.collect()
    since = instructions()
    work()
    print(name, spent(since))
"""


def fares() -> Iterator[Figure]:
    """Each decision and price of the samples in backoffice/samples/fares, in instructions."""
    now_s = int(time.time())
    metro, bus = (spec.payload_of(SAMPLES / name, now_s).hex() for name in ("metro.json", "bus_segment.json"))
    with tempfile.TemporaryDirectory() as folder:
        rom = board.image(Path(folder))
        spent = _counts(board.run(PROGRAM.format(metro=metro, bus=bus), rom))
        for name, count in spent.items():
            if name != "flat":
                yield Figure(f"fares.{name}", count, "instr", "flat fare", spent["flat"])


def _counts(said: str) -> dict[str, int]:
    return {name: int(count) for name, count in (line.split() for line in said.splitlines() if line)}
