"""firmware/budget.toml: what the firmware may take of the emulated ARM board, measured and held against it.

Instructions are those of one tap, exact and the same in every run: card, flash and SAM are in the same process, and
what they do is counted apart. `ykt firmware sizes --budget` writes the file anew; `make test` refuses what exceeds it.
"""

import tempfile
import tomllib
from pathlib import Path

from simulator.rig.arm import HEAP_BYTES, ArmBus
from simulator.rig.centre import Centre
from simulator.rig.provision import buses
from simulator.rig.riders import riders
from tools import board
from tools.paths import BOARD, FIRMWARE, FIRMWARE_TESTS, require

BUDGET = FIRMWARE / "budget.toml"
HEADROOM_PERCENT = 3        # a limit stands so far above what was measured: other compilers, a log line more
ROUND_TO = {"bytes": 1 << 10, "instructions": 1000}
SEED = 6
NOBODY = -1
TAPS = 6

# name -> statements that set `bus` and `card`, and, after a first tap, what happens between it and the one measured
TAPS_MEASURED = {
    "tap.flat": "bus, card = Bus(), PurseCard()",
}
PROGRAM = """
import gc
from support.bus import Bus
from support.nor import NorFlash
from support.purse_card import PurseCard

apart = {{"card": 0, "flash": 0, "sam": 0}}

def outside(name, function):
    def counted(*arguments):
        since = instructions()
        try:
            return function(*arguments)
        finally:
            apart[name] += spent(since)
    return counted

for method in ("program", "erase", "read_into"):
    setattr(NorFlash, method, outside("flash", getattr(NorFlash, method)))
{setting}
bus.reader.transceive = outside("card", bus.reader.transceive)
bus.sam.sign = outside("sam", bus.sam.sign)
bus.sam.check = outside("sam", bus.sam.check)
assert bus.serve(card) == "paid"
for part in apart:
    apart[part] = 0
bus.clock.advance_ms(60000)
bus.reader.present(card)
gc.collect()
since = instructions()
bus.tap.serve()
whole = spent(since)
assert bus.panel.last == "paid"
print(whole - apart["card"] - apart["flash"] - apart["sam"], apart["sam"])
"""


def measure() -> dict[str, dict[str, int]]:
    """{section: {name: value}}, as in the file."""
    elf = board.frozen()
    code = board.code_bytes(elf)
    boot, peak = _heap(elf)
    return {
        "bytes": {
            "frozen": code,
            "frozen_of_ours": code - board.code_bytes(require(BOARD / "firmware.elf", "make test")),
            "heap_after_boot": boot,
            "heap_at_peak": peak,
        },
        "instructions": _instructions(),
    }


def limits(path: Path = BUDGET) -> dict[str, dict[str, int]]:
    """The file. Raises OSError where there is none."""
    found: dict[str, dict[str, int]] = tomllib.loads(path.read_text())["qemu_mps2"]
    return found


def exceeded(measured: dict[str, dict[str, int]], allowed: dict[str, dict[str, int]]) -> list[str]:
    """One sentence for each figure above its limit, or without one."""
    found = []
    for section, figures in measured.items():
        for name, value in figures.items():
            limit = allowed.get(section, {}).get(name)
            if limit is None or value > limit:
                what = "has no limit" if limit is None else f"may be {limit}"
                found.append(f"{name}: {value} {section}, {what}; if that is right, run ykt firmware sizes --budget")
    return found


def write(measured: dict[str, dict[str, int]], path: Path = BUDGET) -> None:
    """The file, with HEADROOM_PERCENT above what was measured."""
    lines = [
        "# What the firmware may take of the emulated ARM board, qemu_mps2. Written by `ykt firmware sizes --budget`,",
        f"# {HEADROOM_PERCENT} % above what it measured, which is the figure behind each; `make test` enforces it.",
    ]
    for section, figures in measured.items():
        lines += ["", f"[qemu_mps2.{section}]"]
        for name, value in figures.items():
            step = ROUND_TO[section]
            limit = -(-value * (100 + HEADROOM_PERCENT) // 100 // step) * step
            lines.append(f'{f"{chr(34)}{name}{chr(34)}":<20} = {limit:<8} # {value}')
    path.write_text("\n".join(lines) + "\n")


def _instructions() -> dict[str, int]:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        rom = board.image(Path(folder), sorted((FIRMWARE_TESTS / "support").glob("*.py")))
        for name, setting in TAPS_MEASURED.items():
            said = board.run(PROGRAM.format(setting=setting), rom, board.HEAP_BYTES_MAX).split()
            found[name], found[name + ".soft_sam"] = int(said[0]), int(said[1])
    return found


def _heap(elf: Path) -> tuple[int, int]:
    """Bytes in use when cards are taken, and the most after any collection of a shift with uploads."""
    people = riders(TAPS, SEED, poor=NOBODY, expired=NOBODY)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        centre, fleet = Centre(folder / "centre"), buses(folder)
        centre.prepare(fleet)
        centre.open()
        bus = ArmBus(fleet[0], elf, {"address": "127.0.0.1", "port": centre.port, "pin": centre.pin})
        try:
            bus.post.power_on()
            boot = int(bus.post.figures()["heap_used"])
            bus.post.tap_all(people)
            bus.post.drain()
            return boot, int(bus.post.figures()["heap_peak"])
        finally:
            bus.close()
            centre.close()


assert HEAP_BYTES == board.DEVICE_HEAP_BYTES
