"""What raw NOR cells say after programming that a power cut may have cut short. Shared by all that lives in flash.

An erase sets a sector to FF, programming only clears bits: a mark is one byte, FF or 00; a record ends in its CRC.
"""

from tunion.crc import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Record


class ForeignFlash(Exception):
    """The flash holds no journal of this version and size. Nothing was changed; the message says what to do."""


def sealed(record: "Record", **fields: "Any") -> bytes:
    """The record's bytes, its last field `crc` computed over those before it."""
    blob = record.pack(crc=0, **fields)
    return blob[:-4] + crc32(memoryview(blob)[:-4]).to_bytes(4, "big")


def is_set(mark: int) -> bool:
    """A mark byte: FF not set, 00 set. A power cut may leave it half way, where the majority of bits decides."""
    zeros = 0
    while mark != 0xFF:
        zeros += 1
        mark |= mark + 1
    return zeros > 4


def is_blank(area: "bytearray | memoryview") -> bool:
    """Every byte is FF."""
    for byte in area:
        if byte != 0xFF:
            return False
    return True


def may_become(area: "bytearray | memoryview", wanted: bytes) -> bool:
    """Programming, which clears bits only, could still turn the first bytes of `area` into `wanted`."""
    for i in range(len(wanted)):
        if area[i] & wanted[i] != wanted[i]:
            return False
    return True
