"""params.large: a metro of 300 stations on the emulated Cortex-M3, its grid read in place from flash.

Instructions of the longest step of each kind, for which a card may have to wait; what a price costs; RAM. An emulated
flash answers at once: on a chip each read adds its own time.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from backoffice.fleet import spec
from backoffice.keys import signing
from simulator.networks import metro
from tools import board
from tools.bench import Figure
from tools.benches.fares import SAMPLES
from tunion import cose_sign1
from tunion.wire import params

STEP_INSTRUCTIONS_MAX = 3_000_000  # 54 ms at 56 a us: what a card may wait
SEED = 4
SET_BYTES_MAX = 49152
NOW_S = 1748700000  # before the sample comes into force

PROGRAM = """
import gc, uctypes
from tunion.fare.flat import FlatFare
from tunion.fare.grid import Grid
from tunion.wire import params as wire
from tunion.wire import tariffs
from tunion.wire.manifest import Entry
from validator.params import Params, sectors_needed
from validator.rides import gate
from validator.rides.site import Site
from validator.rules import Rules

class Flash:
    # What is assigned to is as long as what comes: a slice of a larger array would be moved whole, to its end.
    sector_bytes, page_bytes, program_bytes, sectors = 4096, 256, 1, 64

    def __init__(self):
        self.cells = memoryview(uctypes.bytearray_at(FLASH_AT, 64 * 4096))

    def read_into(self, address, buffer):
        buffer[:] = self.cells[address : address + len(buffer)]

    def program(self, address, data):
        self.cells[address : address + len(data)][:] = data

    def erase(self, sector):
        self.cells[sector * 4096 : (sector + 1) * 4096][:] = b"\\xff" * 4096

class Clock:
    at_s = EFFECTIVE_S - 100

    def now_s(self):
        return self.at_s

    def quality(self):
        return 3

class Notes:
    def event(self, code, reason=0, card=None, value=0):
        assert reason == 0, (code, reason)

zero = Rules(0, FlatFare(1, 1, 200, {}), [], [], 500000, False, 14400, False, 5, None)
site = Site("both", b"\\x61\\x10", bytes(8), bytes(2), b"", "CCL0000S", "L0S0", 0)
clock = Clock()
flash = Flash()
assert sectors_needed(flash, SET_BYTES_MAX) <= flash.sectors
for sector in range(flash.sectors):
    flash.erase(sector)

def made():
    return Params(flash, zero, SCOPE, [KEY], Notes(), clock, site, SET_BYTES_MAX)

params = made()
blob = uctypes.bytearray_at(BLOB_AT, SIZE)
entry = Entry("params", VERSION, SIZE, DIGEST, EFFECTIVE_S, 0)
assert params.choose([entry]) is entry
params.begin(entry)
longest = {}
steps = {}
most = 0

def note(what, since):
    count = spent(since)
    longest[what] = max(longest.get(what, 0), count)
    steps[what] = steps.get(what, 0) + 1

def step():
    global most
    gc.collect()
    most = max(most, gc.mem_alloc() - idle)
    since = instructions()
    done = params.step()
    return since, done

changed = False
gc.collect()
idle = gc.mem_alloc()
pieces = 0
while params.staged_version != VERSION:
    offset = params.next_offset()
    if offset >= 0:
        params.feed(bytes(blob[offset : offset + 2048]))
        pieces += 1
    what = "erase" if params._erasing else "program" if params._piece else "check"
    since, changed = step()
    note(what, since)
clock.at_s = EFFECTIVE_S
while not changed:
    since, changed = step()
    note("activate", since)
assert params.version == VERSION
since = instructions()
assert params.is_intact()
note("intact", since)
del blob
gc.collect()
print("held", gc.mem_alloc() - idle, 0)
print("most", most, 0)
for what in longest:
    print(what, longest[what], steps[what])
print("pieces", pieces, 0)

params = None
gc.collect()
since = instructions()
params = made()
print("boot", spent(since), 1)
assert params.version == VERSION
fare = params.rules.fare
grid = fare.grid
gc.collect()
table = memoryview(uctypes.bytearray_at(BLOB_AT + GRID_AT, len(fare.table)))
beside = Grid(table)
places = [grid.code(i) for i in range(0, grid.places, 37)]

def dearest(work):
    most = 0
    for start in places:
        for end in places:
            if start != end:
                gc.collect()
                since = instructions()
                work(start, end)
                most = max(most, spent(since))
    return most

for name, of in (("flash", grid), ("ram", beside)):
    print("pair_" + name, dearest(lambda start, end: of.fen(0, start, end)), 1)
    print("least_" + name, dearest(lambda start, end: of.least_fen(0, start)), 1)
"""


def large() -> Iterator[Figure]:
    """Steps, boot and prices in instructions, RAM in bytes: held between two steps at most, and what stays."""
    with tempfile.TemporaryDirectory() as folder:
        payload = _payload(Path(folder))
        key = signing.new()
        found = params.decode(payload, True)
        blob = cose_sign1.seal(
            payload, signing.public_key(key), params.AAD, lambda digest: signing.sign(key, digest)
        )
        rom = board.image(Path(folder))
        at = board.ROM_AT + rom.stat().st_size
        with rom.open("ab") as image:
            image.write(blob)
        head = (
            f"BLOB_AT, SIZE, FLASH_AT = {at:#x}, {len(blob)}, {at + (len(blob) + 8191 & ~4095):#x}\n"
            f"GRID_AT = {blob.index(b'YKTG')}\n"
            f"KEY, DIGEST, SCOPE = {signing.public_key(key)!r}, {hashlib.sha256(blob).digest()!r}, {found.scope!r}\n"
            f"VERSION, EFFECTIVE_S, SET_BYTES_MAX = {found.version}, {found.effective_at_s}, {SET_BYTES_MAX}\n"
        )
        lines = [line.split() for line in board.run(head + PROGRAM, rom).splitlines()]
    said = {what: int(count) for what, count, _ in lines}
    steps = {what: int(count) for what, _, count in lines}
    limit = "what a card may wait"
    for what in ("erase", "program", "check", "activate"):
        yield Figure(f"params.large.{what}", said[what], "instr", limit, STEP_INSTRUCTIONS_MAX, 1.0)
        yield Figure(f"params.large.{what}.steps", steps[what], "steps", "pieces of 2048 bytes", said["pieces"])
    yield Figure("params.large.boot", said["boot"], "instr", limit, STEP_INSTRUCTIONS_MAX)
    yield Figure("params.large.self_test", said["intact"], "instr", limit, STEP_INSTRUCTIONS_MAX)
    for what in ("pair", "least"):
        yield Figure(f"params.large.{what}", said[f"{what}_flash"], "instr", "grid in RAM", said[f"{what}_ram"])
    yield Figure("params.large.ram.most", said["most"], "B", "the blob", len(blob))
    yield Figure("params.large.ram", said["held"], "B", "the blob", len(blob))


def _payload(folder: Path) -> bytes:
    """The sample metro's set with another network."""
    content = json.loads((SAMPLES / "metro.json").read_text(encoding="utf-8"))
    content["fare"]["network"] = "network.json"
    (folder / "network.json").write_text(json.dumps(metro(SEED)), encoding="utf-8")
    (folder / "metro.json").write_text(json.dumps(content), encoding="utf-8")
    return spec.payload_of(folder / "metro.json", NOW_S)
