"""CRC-32 as Ethernet and zlib use it: what a flash slot carries to tell whole from torn."""

from binascii import crc32 as _crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes


def crc32(data: "Bytes") -> int:
    """0..0xFFFFFFFF over `data`. Source: ISO/IEC 8802-3, reflected, initial and final 0xFFFFFFFF."""
    crc: int = _crc32(data)
    return crc & 0xFFFFFFFF
