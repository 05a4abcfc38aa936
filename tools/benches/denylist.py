"""denylist.lookup: one card looked up among 100 000 denied ones; denylist.step: the longest step of a list's update.

Both on the emulated Cortex-M3.

Instructions are counted there, those of a flash driver among them: a command of four bytes and four calls of built-in
functions. To these comes the time of the bytes on the bus, computed for SPI at 20 MHz, and instructions at the 56 a us
that an RP2040 does. The reference is the same list searched by halves alone, one record a read.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from backoffice.keys import signing
from tools import board
from tools.bench import Figure
from tunion import bcd, cose_sign1
from tunion.wire import lists as wire

SPI_MHZ = 20
COMMAND_BYTES = 4           # 03h and an address of 24 bits
INSTRUCTIONS_A_US = 56      # RP2040 at 133 MHz
READS_US_MAX = 1000         # what the flash may cost a tap
RAM_BYTES_MAX = 16 << 10
HALVING = "halving alone"

PROGRAM = """
import gc, uctypes
from validator.deny_store import Sorted

COUNT, SIZE, LOOKUPS = 100000, 10, 100
CELLS = memoryview(uctypes.bytearray_at(LIST_AT, COUNT * SIZE))

class Spi:
    sector_bytes, page_bytes, sectors = 4096, 256, 256
    reads = bytes = spent = 0

    def __init__(self):
        self._command = bytearray(4)
        self.metered = False

    def read_into(self, address, buffer):
        since = instructions() if self.metered else 0
        command = self._command
        command[0] = 3
        command[1] = address >> 16
        command[2] = address >> 8 & 0xFF
        command[3] = address & 0xFF
        len(command)                                     # chip select
        len(command)                                     # the command goes out
        buffer[:] = CELLS[address : address + len(buffer)]
        len(command)                                     # chip select
        if self.metered:
            self.spent += spent(since)
            self.reads += 1
            self.bytes += len(buffer)

class Halving:
    def __init__(self, flash):
        self._flash = flash
        self._one = bytearray(SIZE)

    def find(self, serial):
        low, high = 0, COUNT
        while low < high:
            middle = (low + high) // 2
            self._flash.read_into(middle * SIZE, self._one)
            found = bytes(self._one)
            if found == serial:
                return found
            if found < serial:
                low = middle + 1
            else:
                high = middle
        return b""

flash = Spi()
gc.collect()
before = gc.mem_alloc()
found = Sorted(flash, SIZE, COUNT)
found.open(0, COUNT)
while not found.fill():
    pass
gc.collect()
print("ram", gc.mem_alloc() - before)
seed = 20251
for name, search in (("sorted", found), ("halving", Halving(flash))):
    worst_reads = worst_bytes = worst_spent = reads = total_bytes = flash_spent = all_spent = hits = 0
    for i in range(LOOKUPS):
        seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
        at = (seed >> 3) % COUNT * SIZE
        serial = bytearray(CELLS[at : at + SIZE])
        if i % 2:
            serial[9] ^= 1                               # a neighbour, mostly not denied
        serial = bytes(serial)
        flash.reads = flash.bytes = flash.spent = 0
        gc.collect()
        since = instructions()
        search.find(serial)
        all_spent += spent(since)
        flash.metered = True
        hit = search.find(serial) == serial
        flash.metered = False
        hits += hit
        if not i % 2:
            assert hit, i
        reads += flash.reads
        total_bytes += flash.bytes
        flash_spent += flash.spent
        worst_reads = max(worst_reads, flash.reads)
        worst_bytes = max(worst_bytes, flash.bytes)
        worst_spent = max(worst_spent, flash.spent)
    assert LOOKUPS // 2 <= hits < LOOKUPS
    print(name, LOOKUPS, reads, total_bytes, flash_spent, all_spent, worst_reads, worst_bytes, worst_spent)
"""

UPDATE = """
from validator.list_update import ListStore, sectors_of
from tunion.wire.manifest import Entry

class Flash:
    # What is assigned to is as long as what comes: a slice of a larger array would be moved whole, to its end.
    sector_bytes, page_bytes, sectors = 4096, 256, 64

    def __init__(self):
        self.cells = memoryview(uctypes.bytearray_at(FLASH_AT, 64 * 4096))

    def read_into(self, address, buffer):
        buffer[:] = self.cells[address : address + len(buffer)]

    def program(self, address, data):
        self.cells[address : address + len(data)][:] = data

    def erase(self, sector):
        self.cells[sector * 4096 : (sector + 1) * 4096][:] = b"\\xff" * 4096

class Clock:
    def now_s(self):
        return 1748741010

    def quality(self):
        return 3

class Notes:
    def event(self, code, reason=0, card=None, value=0):
        assert reason == 0, reason

import gc, uctypes
flash = Flash()
for sector in range(64):
    flash.erase(sector)
store = ListStore(flash, 0, 1, 2000, 300, SCOPE, [KEY], 172800, Notes(), Clock())
for version, base, at, size, digest in BLOBS:
    blob = uctypes.bytearray_at(at, size)
    entry = Entry("deny", version, size, digest, 1748741000, base)
    assert store.choose([entry]) is entry
    store.begin(entry)
    longest = {}
    done = False
    while not done:
        offset = store.next_offset()
        if offset >= 0:
            store.feed(bytes(blob[offset : offset + 2048]))
        if store._erasing:
            what = "erase"
        elif store._head:
            what = "head"
        elif store._piece:
            what = "program"
        elif store._merge:
            what = "merge"
        else:
            what = "check"
        gc.collect()
        since = instructions()
        done = store.step()
        longest[what] = max(longest.get(what, 0), spent(since))
    for what in longest:
        print(what, longest[what])
assert store.version == 2
"""
STEP_US_MAX = 10000         # a card that comes meanwhile waits no longer


def step() -> Iterator[Figure]:
    """Microseconds of the longest step of each kind, the flash's own time not among them."""
    old = b"".join(list(_serials(2000)))
    new = b"".join(sorted(set(wire.split(old)) - set(wire.split(old)[::20]) | {_serial(7000 + i) for i in range(90)}))
    header = {"scope": "BENCH", "created_s": 1748700000, "effective_at_s": 1748741000, "expires_at_s": 1800000000}
    key = signing.new()
    blobs = [
        (1, 0, _sealed(key, *wire.full(wire.DENY, old, version=1, **header))),
        (2, 1, _sealed(key, *wire.delta(old, 1, new, version=2, **header))),
    ]
    with tempfile.TemporaryDirectory() as folder:
        rom = board.image(Path(folder))
        at = board.ROM_AT + rom.stat().st_size
        rows = []
        with rom.open("ab") as image:
            for version, base, blob in blobs:
                image.write(blob)
                rows.append((version, base, at, len(blob), hashlib.sha256(blob).digest()))
                at += len(blob)
        head = f"FLASH_AT, SCOPE, KEY, BLOBS = {at + 4096:#x}, 'BENCH', {signing.public_key(key)!r}, {rows!r}\n"
        said = [line.split() for line in board.run(head + UPDATE, rom).splitlines()]
    longest: dict[str, int] = {}
    for what, count in said:
        longest[what] = max(longest.get(what, 0), int(count))
    for what, goal in (("program", 1.0), ("check", 1.0), ("merge", 1.0), ("head", None)):
        us = longest[what] / INSTRUCTIONS_A_US
        yield Figure(f"denylist.step.{what}", us, "us", "what a card may wait", STEP_US_MAX, goal)


def _sealed(key: bytes, payload: bytes, content: bytes) -> bytes:
    envelope = cose_sign1.seal(payload, signing.public_key(key), wire.AAD, lambda digest: signing.sign(key, digest))
    return wire.blob(envelope, content)


def lookup() -> Iterator[Figure]:
    """Reads, bytes and time of a look-up, and what it holds in RAM."""
    with tempfile.TemporaryDirectory() as folder:
        rom = board.image(Path(folder))
        list_at = board.ROM_AT + rom.stat().st_size
        program = f"LIST_AT = {list_at:#x}\n" + PROGRAM
        with rom.open("ab") as image:  # the list lies behind the modules
            image.write(b"".join(_serials(100000)))
        said = [line.split() for line in board.run(program, rom).splitlines()]
    found = {line[0]: [int(word) for word in line[1:]] for line in said}
    ours, plain = found["sorted"], found["halving"]
    ours_us, plain_us = _worst_reads_us(ours), _worst_reads_us(plain)
    yield Figure("denylist.lookup.reads", ours[1] / ours[0], "reads", HALVING, plain[1] / plain[0])
    yield Figure("denylist.lookup.bytes", ours[2] / ours[0], "B", HALVING, plain[2] / plain[0])
    yield Figure("denylist.lookup.all", ours[4] / ours[0], "instr", HALVING, plain[4] / plain[0])
    yield Figure("denylist.lookup.worst", ours_us, "us", HALVING, plain_us)
    yield Figure("denylist.lookup", ours_us, "us", "what flash reads may take", READS_US_MAX, goal=1.0)
    yield Figure("denylist.lookup.ram", found["ram"][0], "B", "what a list may take", RAM_BYTES_MAX, goal=1.0)


def _serial(number: int) -> bytes:
    return bcd.from_digits(f"0310499900{number:010d}")


def _serials(count: int) -> Iterator[bytes]:
    """Cards of one issuer, with gaps: two numbers in five are denied."""
    number = 0
    for _ in range(count):
        yield _serial(number)
        number += 2 + (number & 1)


def _worst_reads_us(row: list[int]) -> float:
    """Of the flash reads of one look-up: the bus, and the driver's instructions."""
    _, _, _, _, _, reads, size, spent = row
    return (COMMAND_BYTES * reads + size) * 8 / SPI_MHZ + spent / INSTRUCTIONS_A_US
