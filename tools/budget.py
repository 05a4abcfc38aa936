"""firmware/budget.toml: what the firmware may take of the emulated ARM board, measured and held against it.

Instructions and heap of a tap are those of `ykt bench tap.rides`, exact and the same in every run; heap after boot and
at its peak are those of a short shift with uploads over TLS. `ykt firmware sizes --budget` writes the file anew;
`make test` refuses what exceeds it.
"""

import tempfile
import tomllib
from pathlib import Path

from simulator.rig.arm import HEAP_BYTES, ArmBus
from simulator.rig.centre import Centre
from simulator.rig.provision import buses
from simulator.rig.riders import riders
from tools import board
from tools.benches import rides
from tools.paths import BOARD, FIRMWARE, require

BUDGET = FIRMWARE / "budget.toml"
HEADROOM_PERCENT = 3        # a limit stands so far above what was measured: other compilers, a log line more
ROUND_TO = {"bytes": 256, "instructions": 1000}
SEED = 6
NOBODY = -1
TAPS = 6

SAMS = ("psam", "soft")


def measure() -> dict[str, dict[str, int]]:
    """{section: {name: value}}, as in the file."""
    elf = board.frozen()
    code = board.code_bytes(elf)
    boot, peak = _heap(elf)
    taps = rides.measured()
    return {
        "bytes": {
            "frozen": code,
            "frozen_of_ours": code - board.code_bytes(require(BOARD / "firmware.elf", "make test")),
            "heap_after_boot": boot,
            "heap_at_peak": peak,
            **{f"heap_a_tap.{kind}": max(row[f"{sam}_taken"] for sam in SAMS) for kind, row in taps.items()},
        },
        "instructions": {f"tap.{kind}.{sam}": row[sam] for kind, row in taps.items() for sam in SAMS},
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
            lines.append(f'{f"{chr(34)}{name}{chr(34)}":<22} = {limit:<8} # {value}')
    path.write_text("\n".join(lines) + "\n")


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
