"""NOR flash over the board's memory that a reset leaves alone, and who has which part of it.

    00000000   64 KiB  device    boards/common/device_file
    00010000    8 KiB  keep      what the office ordered, drivers/keep_nor
    00012000    8 KiB  duty      who drives where, the same
    00014000    8 KiB  care      the supervisor's, the same
    00020000  896 KiB  journal
    00100000    1 MiB  params
    00200000    6 MiB  lists
    00800000    8 MiB  no flash; its last words are the emulator's

The emulator keeps the memory in a file, so that killing it is a power cut. A program clears bits, an erase sets a
sector to FF; nothing else is possible here either.
"""

import uctypes

from tunion.compat import const
from validator.ports import FlashFault
from validator.settings import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes

FLASH_AT = const(0x21000000)
PARTS = {  # name: (offset, bytes)
    "device": (0x000000, 0x10000),
    "keep": (0x010000, 0x2000),
    "duty": (0x012000, 0x2000),
    "care": (0x014000, 0x2000),
    "journal": (0x020000, 0xE0000),
    "params": (0x100000, 0x100000),
    "lists": (0x200000, 0x600000),
}


class NorFlash:
    """One part of the flash. Raises BadSettings for a name or a size that the board has not."""

    def __init__(self, name: str, sector_bytes: int, page_bytes: int, sectors: int) -> None:
        if name not in PARTS:
            raise BadSettings("%s is no part of this board's flash: %s" % (name, ", ".join(sorted(PARTS))))
        start, room = PARTS[name]
        if sectors * sector_bytes > room:
            raise BadSettings("%s has %d bytes of flash: too few for %d sectors" % (name, room, sectors))
        self.sector_bytes = sector_bytes
        self.page_bytes = page_bytes
        self.program_bytes = 1
        self.sectors = sectors
        self._cells = memoryview(uctypes.bytearray_at(FLASH_AT + start, sectors * sector_bytes))
        self._blank = b"\xff" * page_bytes

    def read_into(self, address: int, buffer: "bytearray | memoryview") -> None:
        """Fill `buffer` from `address`. Raises FlashFault past the end."""
        buffer[:] = self._at(address, len(buffer))

    def program(self, address: int, data: "Bytes") -> None:
        """Clear bits so that `data` stands at `address`, within one page. Raises FlashFault."""
        count = len(data)
        cells = self._at(address, count)
        if address % self.page_bytes + count > self.page_bytes:
            raise FlashFault("programming %d bytes at %d crosses a page" % (count, address))
        for i in range(count):
            if data[i] & ~cells[i]:
                raise FlashFault("programming at %d would set a bit: erase the sector first" % (address + i))
        cells[:] = data

    def erase(self, sector: int) -> None:
        """Set sector number `sector` to FF. Raises FlashFault."""
        if not 0 <= sector < self.sectors:
            raise FlashFault("no sector %d in a flash of %d" % (sector, self.sectors))
        start = sector * self.sector_bytes
        for address in range(start, start + self.sector_bytes, self.page_bytes):
            self._cells[address : address + self.page_bytes] = self._blank

    def _at(self, address: int, count: int) -> memoryview:
        if address < 0 or address + count > len(self._cells):
            raise FlashFault("%d bytes at %d lie outside the flash of %d bytes" % (count, address, len(self._cells)))
        return self._cells[address : address + count]
