"""denylist.lookup: one card looked up among 100 000 denied ones, on the emulated Cortex-M3.

Instructions are counted there, those of a flash driver among them: a command of four bytes and four calls of built-in
functions. To these comes the time of the bytes on the bus, computed for SPI at 20 MHz, and instructions at the 56 a us
that an RP2040 does. The reference is the same list searched by halves alone, one record a read.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools import board
from tools.bench import Figure
from tunion import bcd

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
CELLS = uctypes.bytearray_at(LIST_AT, COUNT * SIZE)

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


def lookup() -> Iterator[Figure]:
    """Reads, bytes and time of a look-up, and what it holds in RAM."""
    with tempfile.TemporaryDirectory() as folder:
        rom = board.image(Path(folder))
        list_at = board.ROM_AT + rom.stat().st_size
        program = f"LIST_AT = {list_at:#x}\n" + PROGRAM
        with rom.open("ab") as image:  # the list lies behind the modules
            image.write(b"".join(_serials()))
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


def _serials() -> Iterator[bytes]:
    """100 000 cards of one issuer, with gaps: two numbers in five are denied."""
    number = 0
    for _ in range(100000):
        yield bcd.from_digits(f"0310499900{number:010d}")
        number += 2 + (number & 1)


def _worst_reads_us(row: list[int]) -> float:
    """Of the flash reads of one look-up: the bus, and the driver's instructions."""
    _, _, _, _, _, reads, size, spent = row
    return (COMMAND_BYTES * reads + size) * 8 / SPI_MHZ + spent / INSTRUCTIONS_A_US
