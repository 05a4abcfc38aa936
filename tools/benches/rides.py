"""tap.*: the terminal's own work in one tap of each kind on the emulated Cortex-M3, exact and the same in every run.

Each ride is run once against a card that checks MAC1, in the board's memory, and its answers are noted; then a fresh
terminal serves a card that repeats them, so that what is counted is the terminal's work and no card's. Two SAMs: the
soft one, and a slot that repeats what a PSAM said. The drivers of reader and slot are not in it.
"""

import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools import board
from tools.bench import Figure
from tools.paths import FIRMWARE_TESTS

HEAP_BYTES = 512 << 10  # card, flash and tests' helpers lie in it beside the terminal
# Millions of such instructions a second, firmware/docs/boards.md: the slowest and the fastest board
SLOW, FAST = 56, 117
TAP_MS = 300
PSAM_GOAL, SOFT_GOAL = 0.2, 0.35
AIR_BITS_S = 106_000
# Assumed, not measured: what a card thinks about a command, a PSAM about INIT and CREDIT, a person on the way through
CARD_MS, PSAM_MS, PASS_MS = 8, 60, 1500
# ISO 14443-4 at 106 kbit/s: a block has PCB and CRC (3 bytes), a byte 9 bits; a frame delay each way of about 0.1 ms
BLOCK_BYTES, BITS_A_BYTE, DELAY_MS, BLOCK_DATA_MAX = 3, 9, 0.2, 61
# Card commands that the standard cannot do without: SELECT with file 15h, kind and city of 17h, the open ride where
# there is one, INITIALIZE, its updates, DEBIT
LEAST = {"flat": 4, "board": 7, "alight": 7, "entry": 7, "exit": 7}

PROGRAM = """
import gc, json
from support import rides
from support.purse_card import PurseCard
from support.replay import Flat, Noting, NotingSam, Repeating, RepeatingPsam
from validator.drivers.sam_slot import SamSlot
from validator.drivers.soft_sam import SoftSam

def terminal(kind, sam_kind):
    if kind == "flat":
        return rides.Bus(flash=Flat(4, 2048), sam_kind=sam_kind)
    if kind in ("board", "alight"):
        bus = rides.terminal(rides.line(), flash=Flat(4, 2048), sam_kind=sam_kind, line=605)
        bus.duty.stop = 1 if kind == "board" else 3
        return bus
    bus = rides.terminal(rides.metro(), flash=Flat(4, 2048), sam_kind=sam_kind, role=kind)
    bus.duty.stop = 211 if kind == "entry" else 322
    return bus

def serve(kind, card, sam_kind=SoftSam, signed=None, said=None):
    bus = terminal(kind, sam_kind)
    if signed is not None:
        bus.sam = SamSlot(RepeatingPsam(signed), bus.clock)
        bus.sam.open()
        bus.tap = bus.tap_path()
    bus.clock.advance_ms(600000 if kind in ("exit", "alight") else 60000)
    bus.reader.present(card)
    reader = bus.tap._reader = Noting(bus.reader) if said is None else Repeating(said)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    since = instructions()
    bus.tap.serve()
    count = spent(since)
    taken = gc.mem_alloc() - before
    gc.enable()
    return bus, reader, count, taken

before = {"exit": "entry", "alight": "board"}
for kind in ("flat", "board", "alight", "entry", "exit"):
    card = PurseCard()
    if kind in before:
        serve(before[kind], card)
    bus, noted, _, _ = serve(kind, card, NotingSam)
    row = {"kind": kind, "shown": bus.panel.last, "asked": noted.asked, "said": [len(said) for said in noted.said]}
    signed = bus.sam.replies
    for sam in ("soft", "psam"):
        again, _, count, taken = serve(kind, card, SoftSam, signed if sam == "psam" else None, noted.said)
        assert again.panel.shown == bus.panel.shown, (kind, again.panel.shown)
        row[sam] = count
        row[sam + "_taken"] = taken
    print(json.dumps(row))
"""


def flat() -> Iterator[Figure]:
    """A flat fare as a plain purchase."""
    yield from _figures("flat")


def segment() -> Iterator[Figure]:
    """Boarding and alighting of a segment bus."""
    yield from _figures("board")
    yield from _figures("alight")


def entry() -> Iterator[Figure]:
    """Entry at a gate."""
    yield from _figures("entry")


def leave() -> Iterator[Figure]:
    """Exit at a gate, and how many a minute it sustains."""
    yield from _figures("exit")
    row = measured()["exit"]
    whole_ms = row["psam"] / SLOW / 1000 + air_ms(row) + CARD_MS * len(row["asked"]) + PSAM_MS
    yield Figure("tap.exit.whole", whole_ms, "ms", "a tap", TAP_MS)
    yield Figure("tap.gate_rate", 60_000 / (whole_ms + PASS_MS), "/min", "where a tap takes 300 ms",
                 60_000 / (TAP_MS + PASS_MS))  # fmt: skip


def _figures(kind: str) -> Iterator[Figure]:
    """Exchanges, time over the air, instructions, heap, and the terminal's share of a tap."""
    rows = measured()
    row = rows[kind]
    yield Figure(f"tap.{kind}.exchanges", len(row["asked"]), "", "the least", LEAST[kind])
    yield Figure(f"tap.{kind}.air_bytes", sum(row["asked"]) + sum(row["said"]), "B", "a flat fare",
                 sum(rows["flat"]["asked"]) + sum(rows["flat"]["said"]))  # fmt: skip
    yield Figure(f"tap.{kind}.air", air_ms(row), "ms", "a tap", TAP_MS)
    for sam, goal in (("psam", PSAM_GOAL), ("soft", SOFT_GOAL)):
        taken = sam + "_taken"
        yield Figure(f"tap.{kind}.{sam}", row[sam], "instr", "a flat fare", rows["flat"][sam])
        yield Figure(f"tap.{kind}.{sam}.slow", row[sam] / SLOW / 1000, "ms", f"a tap, {SLOW} MIPS", TAP_MS, goal)
        yield Figure(f"tap.{kind}.{sam}.fast", row[sam] / FAST / 1000, "ms", f"a tap, {FAST} MIPS", TAP_MS)
        yield Figure(f"tap.{kind}.{sam}.heap", row[taken], "B", "a flat fare", rows["flat"][taken])


@functools.cache
def measured() -> dict[str, Any]:
    """kind -> asked and said (bytes of each exchange), instructions and heap taken with each SAM."""
    with tempfile.TemporaryDirectory() as folder:
        rom = board.image(Path(folder), sorted((FIRMWARE_TESTS / "support").glob("*.py")))
        said = board.run(PROGRAM, rom, HEAP_BYTES)
    rows = [json.loads(line) for line in said.splitlines() if line]
    return {row["kind"]: row for row in rows}


def air_ms(row: dict[str, Any]) -> float:
    """Card commands and answers in ISO-DEP blocks at 106 kbit/s, without what the card thinks."""
    total_ms = 0.0
    for size in row["asked"] + row["said"]:
        blocks = -(-size // BLOCK_DATA_MAX)
        total_ms += (size + BLOCK_BYTES * blocks) * BITS_A_BYTE * 1000 / AIR_BITS_S + DELAY_MS * blocks
    return total_ms
