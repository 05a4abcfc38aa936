"""The device file in a part of a board's flash: "YKTD", its length, its CRC-32, 4 bytes each, big-endian; the CBOR map.

The firmware holds none: one firmware for all devices, and no key in it.
"""

import struct

from tunion.compat import const
from tunion.crc import crc32
from validator.settings import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.ports import Flash

_MAGIC = b"YKTD"
_HEAD = ">4sII"
_HEAD_BYTES = const(12)


def load(flash: "Flash") -> bytearray:
    """The file. Raises BadSettings where the flash holds none, or not all of it."""
    head = bytearray(_HEAD_BYTES)
    flash.read_into(0, head)
    magic, size, check = struct.unpack(_HEAD, head)
    if bytes(magic) != _MAGIC or size > flash.sectors * flash.sector_bytes - _HEAD_BYTES:
        raise BadSettings("the flash holds no device file: write one")
    blob = bytearray(size)
    flash.read_into(_HEAD_BYTES, blob)
    if crc32(blob) != check:
        raise BadSettings("the device file in the flash is broken: write it again")
    return blob
