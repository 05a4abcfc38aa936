"""The Keep port over two sectors of NOR flash: a few bytes that are replaced whole or not at all.

    at the start of each sector   number 4, +1 with each saving   length 4   the bytes   CRC-32 of all before it, 4

What is saved goes into the sector that does not hold the newest; until it is whole, the newest counts.
"""

import struct

from tunion.compat import const
from tunion.crc import crc32
from validator.ports import FlashFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.ports import Flash

BYTES_MAX = const(256)
_HEAD = ">II"
_HEAD_BYTES = const(8)
_CRC_BYTES = const(4)
_SECTORS = const(2)
_NONE = const(0xFFFFFFFF)


class KeepFlash:
    """`flash` has two sectors and nothing else in them."""

    def __init__(self, flash: "Flash") -> None:
        self._flash = flash

    def load(self) -> bytes:
        """What was saved last; b"" where nothing was. Raises FlashFault."""
        number, _, blob = self._newest()
        return blob if number else b""

    def save(self, blob: bytes) -> None:
        """Durable on return. Raises FlashFault."""
        if len(blob) > BYTES_MAX:
            raise FlashFault("%d bytes are too many to keep, %d are the most" % (len(blob), BYTES_MAX))
        number, sector, _ = self._newest()
        sector = (sector + 1) % _SECTORS
        whole = struct.pack(_HEAD, number + 1, len(blob)) + blob
        whole += crc32(whole).to_bytes(_CRC_BYTES, "big")
        self._flash.erase(sector)
        page_bytes = self._flash.page_bytes
        start = sector * self._flash.sector_bytes
        for at in range(0, len(whole), page_bytes):
            self._flash.program(start + at, whole[at : at + page_bytes])

    def _newest(self) -> "tuple[int, int, bytes]":
        """Number, sector and bytes; number 0: none is whole."""
        newest = (0, _SECTORS - 1, b"")
        for sector in range(_SECTORS):
            start = sector * self._flash.sector_bytes
            head = bytearray(_HEAD_BYTES)
            self._flash.read_into(start, head)
            number, size = struct.unpack(_HEAD, head)
            if number == _NONE or number <= newest[0] or size > BYTES_MAX:
                continue
            rest = bytearray(size + _CRC_BYTES)
            self._flash.read_into(start + _HEAD_BYTES, rest)
            if crc32(bytes(head) + rest[:size]) == int.from_bytes(rest[size:], "big"):
                newest = (number, sector, bytes(rest[:size]))
        return newest
