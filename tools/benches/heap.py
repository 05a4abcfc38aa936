"""firmware.heap: the smallest heap in which a validator taps without network, then uploads everything over TLS.

MicroPython's objects have 64 bits here, so a 32-bit board needs about half; and here the compiled modules lie in the
heap, where a board runs them from flash. The reference is what the loaded firmware takes before the first card.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from simulator.rig.depot import Depot
from simulator.rig.program import RigFault
from simulator.rig.riders import riders
from tools.bench import Figure
from tools.firmware import build
from tools.paths import BUILD, MICROPYTHON, require

TAPS = 70           # more than one upload of 64 entries
STEP_KIB = 16
LEAST_KIB, MOST_KIB = 128, 1024
SEED = 6
NOBODY = -1


def firmware_heap() -> Iterator[Figure]:
    """KiB of -X heapsize."""
    require(MICROPYTHON)
    build("x64")
    loaded_bytes = _shift(MOST_KIB)
    if loaded_bytes is None:
        raise RigFault(f"a validator does not run in {MOST_KIB} KiB")
    fails, runs = LEAST_KIB // STEP_KIB, MOST_KIB // STEP_KIB
    while runs - fails > 1:
        middle = (fails + runs) // 2
        if _shift(middle * STEP_KIB) is None:
            fails = middle
        else:
            runs = middle
    yield Figure("firmware.heap", runs * STEP_KIB, "KiB", "loaded, before the first card", loaded_bytes / 1024)


def _shift(heap_kib: int) -> int | None:
    """Bytes in use before the first card; None where the heap is too small for the shift."""
    people = riders(TAPS, SEED, poor=NOBODY, expired=NOBODY)
    micropython = [str(MICROPYTHON), "-X", f"heapsize={heap_kib}k"]
    with tempfile.TemporaryDirectory() as scratch:
        with Depot(Path(scratch) / "depot", micropython, f"{BUILD / 'firmware' / 'x64'}:.frozen") as depot:
            bus = depot.second
            try:
                depot.power_on(bus)
                loaded_bytes = int(bus.figures()["heap_used"])
                depot.cable.pull()
                bus.tap_all(people)
                depot.cable.plug()
                bus.drain()
            except RigFault:
                return None
            return loaded_bytes
