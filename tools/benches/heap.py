"""firmware.heap: the smallest heap in which a validator taps without network, then uploads everything over TLS.
heap.sync: how much of it is more than the loaded firmware, where full batches go up while riders tap.

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
from tunion.wire import sync

TAPS = 70           # more than one upload of 64 entries
WAITING = 134       # entries when the cable is plugged in: two full uploads
TAPS_MEANWHILE = 12
FULL = f"{sync.RECORDS_MAX} entries stored"     # what intake's log says of a full upload
GOAL_KIB = 96       # beside loaded code and TLS buffers; mbedtls has its own memory here, outside the heap
SYNC_STEP_KIB = 4
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


def heap_sync() -> Iterator[Figure]:
    """KiB above what the loaded firmware takes before the first card.

    It is live objects, garbage not yet collected and holes between them: what a smaller heap would have refused.
    """
    require(MICROPYTHON)
    build("x64")
    loaded_bytes = _full_batches(MOST_KIB)
    if loaded_bytes is None:
        raise RigFault(f"a validator does not run in {MOST_KIB} KiB")
    loaded_kib = loaded_bytes / 1024
    fails, runs = int(loaded_kib) // SYNC_STEP_KIB, MOST_KIB // SYNC_STEP_KIB
    while runs - fails > 1:
        middle = (fails + runs) // 2
        if _full_batches(middle * SYNC_STEP_KIB) is None:
            fails = middle
        else:
            runs = middle
    yield Figure("heap.sync", runs * SYNC_STEP_KIB - loaded_kib, "KiB", "the goal", GOAL_KIB, goal=1.0)


def _full_batches(heap_kib: int) -> int | None:
    """Bytes in use before the first card; None where the heap is too small to send full batches between taps."""
    people = riders(WAITING + TAPS_MEANWHILE, SEED, poor=NOBODY, expired=NOBODY)
    micropython = [str(MICROPYTHON), "-X", f"heapsize={heap_kib}k"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "depot"
        with Depot(folder, micropython, f"{BUILD / 'firmware' / 'x64'}:.frozen") as depot:
            bus = depot.second
            try:
                depot.power_on(bus)
                loaded_bytes = int(bus.figures()["heap_used"])
                depot.cable.pull()
                bus.tap_all(people[:WAITING])
                depot.cable.plug()
                bus.tap_all(people[WAITING:])
                bus.drain()
            except RigFault:
                return None
        if FULL not in (folder / "centre" / "serve.log").read_text():
            raise RigFault("no full upload was sent: the figure would say nothing")
        return loaded_bytes


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
