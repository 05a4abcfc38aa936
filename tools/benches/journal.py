"""journal.*: what a record costs the flash, beside littlefs 2 on the same simulated chip; what a boot reads; how long
the flash lives.

The chip is the model of the firmware's own tests, 4 KiB sectors and 256-byte pages, and counts for both. A record is a
claim, its outcome and the back office's acknowledgement; littlefs appends the same 128 bytes to a file and syncs it.
Counts are exact; only journal.append is time. firmware/docs/journal.md names these figures.
"""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import littlefs

import simulator.fakes  # noqa: F401
from support.manual_clock import ManualClock
from support.nor import NorFlash
from support.taps import fields
from tools.bench import Figure
from tunion.wire import tap as wire
from validator import sector as header
from validator.cells import SET, sealed
from validator.drivers.nor_file import NorFile
from validator.journal import Journal
from validator.ring import SPARE_SECTORS
from validator.slot import SLOT_BYTES

SECTOR_BYTES, PAGE_BYTES = 4096, 256
PER_SECTOR = SECTOR_BYTES // SLOT_BYTES - 1
SECTORS = 32            # of the ring that turns; the littlefs area has as many
TURNS = 4               # steady state: the first turn, on blank flash, is not counted
BATCH = 64              # taps between two uploads
APPENDS = 2000
RINGS = (64, 256, 1024, 4096)
BOOT_READS_A_DOUBLING = 3       # newest, oldest, and room for one more search
TAPS_A_DAY, CYCLES = 3000, 100_000
TAC = bytes(4)
LITTLEFS_ROTATE = 512   # records in a file before it begins anew: half the area


class Cost(NamedTuple):
    """Of one record."""

    programmed_bytes: float
    erases: float


def journal_programmed() -> Iterator[Figure]:
    """Bytes programmed a record, against its size and against littlefs."""
    ours, theirs = journal_cost(), littlefs_cost()
    yield Figure("journal.programmed", ours.programmed_bytes, "B", "the record's size", SLOT_BYTES, goal=1.15)
    yield Figure("journal.programmed.littlefs", ours.programmed_bytes, "B", "littlefs 2", theirs.programmed_bytes)


def journal_erases() -> Iterator[Figure]:
    """Erases a record, against littlefs; and the years until the first sector has had its cycles."""
    ours, theirs = journal_cost(), littlefs_cost()
    yield Figure("journal.erases", ours.erases, "erases", "littlefs 2", theirs.erases, goal=1 / 20)
    for sectors in (32, *RINGS):
        yield Figure(f"journal.life.{sectors}", life_years(ours, sectors), "years", f"littlefs 2, {sectors} sectors",
                     life_years(theirs, sectors))


def journal_boot() -> Iterator[Figure]:
    """Reads at boot of a ring in steady state, against one a sector; and how they grow, against its doublings."""
    reads = {sectors: boot_reads(turned_ring(sectors)) for sectors in RINGS}
    for sectors in RINGS:
        yield Figure(f"journal.boot.{sectors}", reads[sectors], "reads", "one a sector", sectors)
    least, most = RINGS[0], RINGS[-1]
    yield Figure("journal.boot.growth", reads[most] - reads[least], "reads", f"doublings, {least} to {most} sectors",
                 math.log2(most // least), goal=BOOT_READS_A_DOUBLING)


def journal_append() -> Iterator[Figure]:
    """Microseconds a tap in a file on this machine, against the bare writes of its bytes; CPython."""
    with tempfile.TemporaryDirectory() as folder:
        journal_us, bare_us = _append_us(Path(folder))
    yield Figure("journal.append", journal_us, "us", "the same programs, bare", bare_us)


# -- counts -----------------------------------------------------------------------------------------------------


def journal_cost() -> Cost:
    """Taps are settled one by one, uploaded in batches, and idle time follows each tap; several turns of the ring."""
    flash = NorFlash(SECTORS, SECTOR_BYTES, PAGE_BYTES)
    journal = _journal(flash)
    per_turn = SECTORS * PER_SECTOR
    _ride(journal, per_turn)
    programmed_bytes, erases = flash.programmed_bytes, flash.erases
    _ride(journal, TURNS * per_turn)
    records = TURNS * per_turn
    return Cost((flash.programmed_bytes - programmed_bytes) / records, (flash.erases - erases) / records)


def littlefs_cost() -> Cost:
    """The same number of records, appended and synced; a full file gives way to the next one."""
    flash = NorFlash(SECTORS, SECTOR_BYTES, PAGE_BYTES)
    system = littlefs.LittleFS(
        context=Chip(flash), mount=False, block_size=SECTOR_BYTES, block_count=SECTORS,
        read_size=16, prog_size=16, cache_size=PAGE_BYTES, lookahead_size=16,
    )  # fmt: skip
    system.format()
    system.mount()
    records = TURNS * SECTORS * PER_SECTOR
    programmed_bytes, erases = flash.programmed_bytes, flash.erases
    for first in range(0, records, LITTLEFS_ROTATE):
        with system.open("taps", "wb", buffering=0) as taps:
            for _ in range(min(LITTLEFS_ROTATE, records - first)):
                taps.write(bytes(SLOT_BYTES))
                taps.flush()
    return Cost((flash.programmed_bytes - programmed_bytes) / records, (flash.erases - erases) / records)


class Chip(littlefs.UserContext):
    """littlefs on the simulated chip. A program is split at pages, as a driver does."""

    def __init__(self, flash: NorFlash) -> None:
        self._flash = flash

    def read(self, config: Any, block: int, offset: int, size: int) -> bytearray:
        found = bytearray(size)
        self._flash.read_into(block * config.block_size + offset, found)
        return found

    def prog(self, config: Any, block: int, offset: int, data: bytes) -> int:
        address = block * config.block_size + offset
        while data:
            count = min(len(data), PAGE_BYTES - address % PAGE_BYTES)
            self._flash.program(address, data[:count])
            address, data = address + count, data[count:]
        return 0

    def erase(self, config: Any, block: int) -> int:
        self._flash.erase(block)
        return 0

    def sync(self, config: Any) -> int:
        return 0


def life_years(cost: Cost, sectors: int) -> float:
    """Until the sectors of an evenly worn area have had their cycles."""
    return sectors * CYCLES / (cost.erases * TAPS_A_DAY * 365.25)


def boot_reads(flash: NorFlash) -> int:
    """Reads of the next boot, when a batch has been acknowledged and another one waits."""
    journal = _journal(flash)
    _ride(journal, BATCH)
    for _ in range(BATCH):
        _tap(journal)
    again = flash.rebooted()
    Journal(again, ManualClock(), lambda: 1)
    return again.reads


def turned_ring(sectors: int) -> NorFlash:
    """A ring in its third turn, everything acknowledged. Only its headers are made: the taps would take hours."""
    flash = NorFlash(sectors, SECTOR_BYTES, PAGE_BYTES)
    head = sectors * 3 // 8
    checkpoint = header.packed_checkpoint([], header.NONE_3, [])
    for sector in range(sectors):
        start = sector * SECTOR_BYTES
        flash.program(start, header.packed_format(sectors, 2))
        if head < sector <= head + SPARE_SECTORS:
            continue
        generation = sector + (2 * sectors if sector <= head else sectors)
        use = sealed(header.USE, epoch=1, generation=generation, first_seq=1 + PER_SECTOR * (generation - sectors),
                     terminal_seq=100)
        flash.program(start + header.CHECKPOINT_AT, checkpoint)
        for at in header.USE_AT:
            flash.program(start + at, use)
        if sector != head:
            flash.program(start + header.DRAINED_AT, SET)
    return flash


def _journal(flash: Any) -> Journal:
    journal = Journal(flash, ManualClock(), lambda: 1)
    while journal.idle():
        pass
    return journal


def _tap(journal: Journal) -> None:
    journal.claim(**FIELDS).settle(TAC, wire.MAC2_OK)


def _ride(journal: Journal, taps: int) -> None:
    for number in range(1, taps + 1):
        _tap(journal)
        if number % BATCH == 0 or number == taps:
            journal.ack([[1, journal.seq]])
        journal.idle()


FIELDS = fields(1)


# -- time -------------------------------------------------------------------------------------------------------


def _append_us(folder: Path) -> tuple[float, float]:
    """(a tap's, its bare programs'): medians of many, taken in turn, so that a busy machine slows down both."""
    journal = _journal(_file(folder / "journal.bin"))
    bare = _file(folder / "bare.bin")
    ours, theirs = [], []
    for number in range(APPENDS):
        ours.append(_each_us(lambda: _tap(journal)))
        theirs.append(_each_us(partial(_program_bare, bare, number)))
        journal.idle()
    return statistics.median(ours), statistics.median(theirs)


def _file(path: Path) -> NorFile:
    return NorFile(str(path), SECTOR_BYTES, PAGE_BYTES, 2 * APPENDS * SLOT_BYTES // SECTOR_BYTES)


def _program_bare(flash: NorFile, number: int) -> None:
    """The two programs of a tap, 100 and 12 bytes, with nothing around them."""
    flash.program(number * SLOT_BYTES, bytes(100))
    flash.program(number * SLOT_BYTES + 100, bytes(12))


def _each_us(work: Callable[[], None]) -> float:
    started_s = time.perf_counter()
    work()
    return 1e6 * (time.perf_counter() - started_s)
