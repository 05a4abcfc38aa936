"""The file-backed flash under MicroPython, killed at work: what was answered for is in the file."""

import signal
from pathlib import Path

from simulator.tests.on_micropython import Driver
from validator.drivers.nor_file import NorFile

ROUNDS = 8
SLOT_BYTES = 128


def test_a_sigkill_loses_nothing_that_was_programmed(tmp_path: Path) -> None:
    image = tmp_path / "flash.bin"
    answered: list[bytes] = []
    for round_number in range(ROUNDS):
        driver = Driver(["nor", str(image)])
        for _ in range(round_number):
            slot = bytes((len(answered) + 1,)) * SLOT_BYTES
            driver.call("program", SLOT_BYTES * len(answered), slot)
            answered.append(slot)
        driver.call("erase", 15)
        driver.kill(signal.SIGKILL)

    flash = NorFile(str(image), sectors=16)
    content = bytearray(16 * 4096)
    flash.read_into(0, content)
    flash.close()
    written = b"".join(answered)
    assert content == written + b"\xff" * (len(content) - len(written))
