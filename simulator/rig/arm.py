"""A bus whose validator runs on the emulated ARM board: its firmware, frozen, in QEMU.

Its serial lines end at a PN532, a PSAM in a T=0 slot with its pins, and a modem whose connections are real. Its flash
is a file: killing QEMU is a power cut.
"""

import struct
import zlib
from pathlib import Path
from typing import Any

from simulator.modem import SimModem, load_profile
from simulator.personalise import TEST_MASTERS, psam_image
from simulator.pn532_chip import Pn532Chip
from simulator.psam import SimPsam
from simulator.rig.program import Program
from simulator.rig.provision import Bus, write_device_file
from simulator.rig.riders import ISSUERS
from simulator.rig.shift import Post
from simulator.t0_sam import Contact, T0Sams
from tunion.bcd import from_digits

# As firmware/boards/qemu_mps2/flash.py and its port have them.
FLASH_BYTES = 8 << 20
MEMORY_BYTES = 16 << 20
STARTS_AT = 0x21FFFFF8      # 1: the validator; else the board waits at its prompt
HEAP_BYTES_AT = 0x21FFFFFC
DEVICE_MAGIC = b"YKTD"
HEAP_BYTES = 192 << 10      # what MicroPython leaves of an RP2040
MODEM_OFF, MODEM_ON = 0x50, 0x51
GUARD_MS = 100              # of our modem's escape; a second on most
START, EXPIRY = from_digits("20240101"), from_digits("20351231")


class ArmBus:
    """One bus: `post` takes riders once it is powered on. `chip`, `sams`, `psam` and `modem` may be broken and mended.

    elf         what `ykt firmware freeze` made
    server      address, port and pin of the back office
    denied      application serial numbers on the deny list
    settings    device settings beside those of provision.write_device_file
    """

    def __init__(
        self,
        bus: Bus,
        elf: Path,
        server: dict[str, Any],
        denied: tuple[bytes, ...] = (),
        settings: dict[str, Any] | None = None,
        heap_bytes: int = HEAP_BYTES,
    ) -> None:
        self.bus = bus
        self._elf, self._heap_bytes = elf, heap_bytes
        folder = bus.folder
        self.flash = folder / "memory.nor"
        self.profile = {**load_profile(), "guard_ms": GUARD_MS, "boot_ms": 200}
        self.psam = SimPsam(
            psam_image(
                TEST_MASTERS, bus.terminal, issuer=ISSUERS[0].identifier, start=START, expiry=EXPIRY, start_counter=1
            )
        )
        write_device_file(
            bus,
            {"driver": "pn532", "path": "uart:1"},
            {"driver": "uart", "path": "uart:2", "pins": "uart:4"},
            server,
            list(denied),
            {
                "flash": {"path": "journal", "sectors": 64},
                "modem": {"path": "uart:3", "profile": self.profile},
                **(settings or {}),
            },
        )
        self.write_flash()
        self.chip = Pn532Chip(folder / "reader")
        self.modem = SimModem(self.profile, folder / "modem")
        self.sams = T0Sams([Contact(self.psam)], (folder / "sam", folder / "pins"), others=self._switched)
        self.post = Post(bus, self.chip, lambda bus: Program(f"ARM board {bus.name}", self.command(), self.log))

    @property
    def log(self) -> Path:
        """What QEMU itself had to say."""
        return self.bus.folder / "qemu.log"

    def command(self, starts: bool = True) -> list[str]:
        """QEMU with this bus's memory and lines. It starts the validator, or waits at its prompt."""
        lines = [self.chip.path, self.sams.paths[0], self.modem.path, self.sams.paths[1]]
        argv = [
            "qemu-system-arm", "-machine", "mps2-an385,memory-backend=nor", "-object",
            f"memory-backend-file,id=nor,size={MEMORY_BYTES},mem-path={self.flash},share=on",
            "-display", "none", "-monitor", "none", "-semihosting", "-action", "watchdog=reset",
            "-kernel", str(self._elf),
            "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
        ]  # fmt: skip
        for number, path in enumerate(lines, 1):
            argv += ["-chardev", f"serial,id=line{number},path={path}", "-serial", f"chardev:line{number}"]
        words = {HEAP_BYTES_AT: self._heap_bytes}
        if starts:
            words[STARTS_AT] = 1
        for address, value in words.items():
            argv += ["-device", f"loader,data={value},data-len=4,addr={address:#x}"]
        return argv

    def write_flash(self) -> None:
        """An empty flash with the device file in it."""
        blob = self.bus.device_file.read_bytes()
        device = struct.pack(">4sII", DEVICE_MAGIC, len(blob), zlib.crc32(blob)) + blob
        with self.flash.open("wb") as file:
            file.write(device + b"\xff" * (FLASH_BYTES - len(device)))
            file.truncate(MEMORY_BYTES)

    def close(self) -> None:
        """The board stops first: a device that goes away under it would be a fault."""
        if hasattr(self.post, "validator"):
            self.post.validator.kill()
        for part in (self.chip, self.modem, self.sams):
            part.close()

    def _switched(self, byte: int) -> None:
        if byte in (MODEM_OFF, MODEM_ON):
            self.modem.power(byte == MODEM_ON)
