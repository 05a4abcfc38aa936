"""NOR flash of a Pico W: the 848 KiB that its build keeps for a file system, in parts. There is no file system then.

    00000   64 KiB  device    boards/common/device_file
    10000    8 KiB  keep      drivers/keep_nor, as the next two
    12000    8 KiB  duty
    14000    8 KiB  care
    16000  232 KiB  journal
    50000   64 KiB  params
    60000  464 KiB  lists

The chip programs pages of 256 bytes; FF leaves a cell as it is, so a part of a page is programmed with FF around it.
"""

import rp2
from tunion.compat import const
from validator.ports import FlashFault
from validator.settings import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes

SECTOR_BYTES = const(4096)
PAGE_BYTES = const(256)
PARTS = {  # name: (offset, bytes)
    "device": (0x00000, 0x10000),
    "keep": (0x10000, 0x2000),
    "duty": (0x12000, 0x2000),
    "care": (0x14000, 0x2000),
    "journal": (0x16000, 0x3A000),
    "params": (0x50000, 0x10000),
    "lists": (0x60000, 0x74000),
}
_ERASE = const(6)


class NorFlash:
    """One part of the flash. Raises BadSettings for a name or a size that the board has not."""

    def __init__(self, name: str, sector_bytes: int, page_bytes: int, sectors: int) -> None:
        if name not in PARTS:
            raise BadSettings("%s is no part of this board's flash: %s" % (name, ", ".join(sorted(PARTS))))
        start, room = PARTS[name]
        if sector_bytes != SECTOR_BYTES or page_bytes != PAGE_BYTES:
            raise BadSettings("this flash has sectors of %d and pages of %d bytes" % (SECTOR_BYTES, PAGE_BYTES))
        if sectors * sector_bytes > room:
            raise BadSettings("%s has %d bytes of flash: too few for %d sectors" % (name, room, sectors))
        self.sector_bytes = sector_bytes
        self.page_bytes = page_bytes
        self.program_bytes = 1
        self.sectors = sectors
        self._device: Any = rp2.Flash(start=start, len=room)  # type: ignore[call-arg]  # the stubs know neither
        self._page = bytearray(page_bytes)
        self._before = bytearray(page_bytes)

    def read_into(self, address: int, buffer: "bytearray | memoryview") -> None:
        """Fill `buffer` from `address`. Raises FlashFault past the end."""
        self._check(address, len(buffer))
        self._device.readblocks(address // SECTOR_BYTES, buffer, address % SECTOR_BYTES)

    def program(self, address: int, data: "Bytes") -> None:
        """Clear bits so that `data` stands at `address`, within one page. Raises FlashFault."""
        count = len(data)
        self._check(address, count)
        at = address % PAGE_BYTES
        if at + count > PAGE_BYTES:
            raise FlashFault("programming %d bytes at %d crosses a page" % (count, address))
        before = memoryview(self._before)[:count]
        self.read_into(address, before)
        for i in range(count):
            if data[i] & ~before[i]:
                raise FlashFault("programming at %d would set a bit: erase the sector first" % (address + i))
        for i in range(PAGE_BYTES):
            self._page[i] = 0xFF
        self._page[at : at + count] = data
        first = address - at
        self._device.writeblocks(first // SECTOR_BYTES, self._page, first % SECTOR_BYTES)
        self.read_into(address, before)
        if before != data:
            raise FlashFault("the flash does not keep what was programmed at %d: it is worn" % address)

    def erase(self, sector: int) -> None:
        """Set sector number `sector` to FF. Raises FlashFault."""
        if not 0 <= sector < self.sectors:
            raise FlashFault("no sector %d in a flash of %d" % (sector, self.sectors))
        self._device.ioctl(_ERASE, sector)

    def _check(self, address: int, count: int) -> None:
        if address < 0 or address + count > self.sectors * SECTOR_BYTES:
            raise FlashFault("%d bytes at %d lie outside %d sectors" % (count, address, self.sectors))
