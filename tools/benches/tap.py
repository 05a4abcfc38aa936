"""tap.flat: the terminal's own work in one flat-fare tap, in MicroPython on this machine.

A validator with a PN532 and a soft SAM serves riders through the whole stack; the meter in the firmware adds up its
reader, SAM and flash calls, and the card notes the time that it took itself. What remains is the terminal's.
The reference is the same validator on the plain ciphers, without their native twins.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from simulator.card import SimCard
from simulator.rig.depot import Depot
from simulator.rig.riders import riders
from tools.bench import Figure
from tools.benches import rides
from tools.firmware import build
from tools.paths import BUILD, MICROPYTHON, require

TAPS = 40
HEAP = "1m"     # roomy: this measures work, firmware.heap the smallest heap
SEED = 5
NOBODY = -1
PLAIN = "the same on plain ciphers"


class TimedCard(SimCard):
    """A card that adds up the time it takes, so that it is not taken for the reader driver's."""

    spent_us = 0.0

    def transceive(self, apdu: bytes) -> bytes:
        started_s = time.perf_counter()
        answer = super().transceive(apdu)
        self.spent_us += 1e6 * (time.perf_counter() - started_s)
        return answer


def flat() -> Iterator[Figure]:
    """Milliseconds a tap: all of it, and its parts; then what it takes on the emulated ARM board."""
    require(MICROPYTHON)
    build("x64")
    with tempfile.TemporaryDirectory() as scratch:
        native = _measured(BUILD / "firmware" / "x64", Path(scratch) / "native")
        without = Path(scratch) / "firmware"
        shutil.copytree(BUILD / "firmware" / "x64", without, ignore=shutil.ignore_patterns("*_viper.mpy"))
        plain = _measured(without, Path(scratch) / "plain")
    for part in native:
        yield Figure(f"tap.flat.{part}" if part != "all" else "tap.flat", native[part], "ms", PLAIN, plain[part])
    yield from rides.flat()


def _measured(firmware: Path, folder: Path) -> dict[str, float]:
    people = riders(TAPS, SEED, poor=NOBODY, expired=NOBODY)
    micropython = [str(MICROPYTHON), "-X", f"heapsize={HEAP}"]
    card_us = 0.0
    with Depot(folder, micropython, f"{firmware}:.frozen", settings={"statistics": True}) as depot:
        depot.power_on(depot.second)
        for rider in people:
            rider.card = card = TimedCard(rider.card.image)
            depot.second.tap(rider)
            card_us += card.spent_us
        said = depot.second.figures()
    parts_us = {
        "all": said["tap_us"] - card_us,
        "crypto": said["sam_us"],
        "journal": said["flash_us"],
        "driver": said["reader_us"] - card_us,
    }
    parts_us["rest"] = parts_us["all"] - parts_us["crypto"] - parts_us["journal"] - parts_us["driver"]
    return {part: us / 1000 / TAPS for part, us in parts_us.items()}
