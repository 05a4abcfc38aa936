"""NOR flash of an ESP32-S3: the partitions of `partitions.csv` by their names, without a file system."""

import esp32
from tunion.compat import const
from validator.ports import FlashFault
from validator.settings import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes

SECTOR_BYTES = const(4096)
PAGE_BYTES = const(256)
PARTS = {"device": (0, 0x10000)}  # the size of the one that is read before any settings are known
_NAMES = ("device", "keep", "duty", "care", "journal", "params", "lists")
_BYTES_AT = const(3)  # in Partition.info()
_ERASE = const(6)


class NorFlash:
    """One part of the flash. Raises BadSettings for a name or a size that the board has not."""

    def __init__(self, name: str, sector_bytes: int, page_bytes: int, sectors: int) -> None:
        found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=name) if name in _NAMES else []
        if not found:
            raise BadSettings("%s is no part of this board's flash: %s" % (name, ", ".join(_NAMES)))
        if sector_bytes != SECTOR_BYTES or page_bytes != PAGE_BYTES:
            raise BadSettings("this flash has sectors of %d and pages of %d bytes" % (SECTOR_BYTES, PAGE_BYTES))
        room = found[0].info()[_BYTES_AT]
        if sectors * sector_bytes > room:
            raise BadSettings("%s has %d bytes of flash: too few for %d sectors" % (name, room, sectors))
        self.sector_bytes = sector_bytes
        self.page_bytes = page_bytes
        self.program_bytes = 1
        self.sectors = sectors
        self._device = found[0]
        self._before = bytearray(page_bytes)

    def read_into(self, address: int, buffer: "bytearray | memoryview") -> None:
        """Fill `buffer` from `address`. Raises FlashFault past the end."""
        self._check(address, len(buffer))
        self._device.readblocks(address // SECTOR_BYTES, buffer, address % SECTOR_BYTES)

    def program(self, address: int, data: "Bytes") -> None:
        """Clear bits so that `data` stands at `address`, within one page. Raises FlashFault."""
        count = len(data)
        self._check(address, count)
        if address % PAGE_BYTES + count > PAGE_BYTES:
            raise FlashFault("programming %d bytes at %d crosses a page" % (count, address))
        before = memoryview(self._before)[:count]
        self.read_into(address, before)
        for i in range(count):
            if data[i] & ~before[i]:
                raise FlashFault("programming at %d would set a bit: erase the sector first" % (address + i))
        self._device.writeblocks(address // SECTOR_BYTES, data, address % SECTOR_BYTES)
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
