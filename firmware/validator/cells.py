"""What raw NOR cells say after programming that a power cut may have cut short. Shared by all that lives in flash.

An erase sets a sector to FF, programming only clears bits: a mark is one byte, FF or 00; a record ends in its CRC.
"""

from tunion.compat import const
from tunion.crc import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes, Record
    from validator.ports import Flash

MARK_BYTES = const(4)  # of a mark in the journal: one program unit of every flash that it takes
SET = bytes(MARK_BYTES)
_LOOKS = const(16)


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


def is_marked(blob: "bytearray | memoryview", at: int) -> bool:
    """A mark of MARK_BYTES: FF not set, 00 set. Cut short, two zero bits make it set; one bit that rotted does not."""
    zeros = 0
    for i in range(at, at + MARK_BYTES):
        mark = blob[i]
        while mark != 0xFF:
            zeros += 1
            mark |= mark + 1
    return zeros > 1


def read_steady(flash: "Flash", address: int, buffer: bytearray) -> None:
    """Read so often that a cell between 0 and 1 shows its 0: what reads blank then was not begun to be programmed."""
    look = bytearray(len(buffer))
    flash.read_into(address, buffer)
    for _ in range(_LOOKS - 1):
        flash.read_into(address, look)
        for i in range(len(look)):
            buffer[i] &= look[i]


def holds(flash: "Flash", address: int, data: "Bytes") -> bool:
    """What `flash` gives back at `address` is `data`."""
    found = bytearray(len(data))
    flash.read_into(address, found)
    return found == data


def program(flash: "Flash", address: int, data: "Bytes") -> bool:
    """Program and read back; False where the cells do not hold it. Raises FlashFault where the flash says so itself."""
    flash.program(address, data)
    return holds(flash, address, data)
