"""The header of a journal's sector, slot 0: what the sector is, and what a boot must know to look no further back.

    0  FORMAT    16  CHECKPOINT    72  USE    92  USE    112  drained    116  done    120  retired    124..127 FF

Knows bytes, not order: which sector is the newest is validator/ring.py's. Why: firmware/docs/journal.md.
"""

from tunion.compat import const
from tunion.crc import crc32
from tunion.record import Record
from validator.cells import is_blank, is_marked, read_steady, sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes
    from validator.ports import Flash

HEADER_BYTES = const(128)  # a slot, as all others
VERSION = const(2)
MAGIC = b"YKTJ"
CLAIMS_MAX = const(10)
RETIRED_MAX = const(8)

FORMAT = Record(
    "Format",
    16,
    (
        ("magic", "4s"),
        ("version", "B"),
        ("slot_bytes", "B"),
        ("sectors", "H"),  # of this flash
        ("erases", "I"),  # of this sector
        ("crc", "I"),
    ),
)
CHECKPOINT = Record(
    "Checkpoint",
    56,
    (
        ("claims", "30s"),  # CLAIMS_MAX slot numbers of 3 bytes: taps without a final outcome; FFFFFF none
        ("paid", "T"),  # slot number of the newest tap that paid, FFFFFF none
        ("retired", "16s"),  # RETIRED_MAX sector numbers of 2 bytes, FFFF none
        ("reserved", "3s"),  # zero
        ("crc", "I"),
    ),
)
USE = Record(
    "Use",
    20,
    (
        ("epoch", "I"),  # random, names this journal
        ("generation", "I"),  # place in the endless row of sectors: modulo `sectors` it is the sector's number
        ("first_seq", "I"),  # of the first entry in this sector
        ("terminal_seq", "I"),  # the SAM's counter in the last tap before this sector, 0: none
        ("crc", "I"),
    ),
)
FORMAT_AT = const(0)
CHECKPOINT_AT = const(16)
USE_AT = (72, 92)
DRAINED_AT = const(112)  # mark: nothing in this sector and in all before it waits
DONE_AT = const(116)  # mark: nothing in this sector waits
RETIRED_AT = const(120)  # mark: worn, skipped for ever
VOID_BYTES = const(112)  # programmed to 00 before an erase
NONE_3 = const(0xFFFFFF)
NONE_2 = const(0xFFFF)


class Header:
    """The header of the sector read last."""

    def __init__(self, flash: "Flash") -> None:
        self._flash = flash
        self.bytes = bytearray(HEADER_BYTES)
        self._view = memoryview(self.bytes)

    def read(self, sector: int) -> None:
        """Another sector's."""
        self._flash.read_into(sector * self._flash.sector_bytes, self.bytes)

    def read_steady(self, sector: int) -> None:
        """Another sector's, of which something blank is to be relied on."""
        read_steady(self._flash, sector * self._flash.sector_bytes, self.bytes)

    @property
    def format(self) -> "Any":
        """FORMAT of whatever version, None where it is not whole: the erase has not ended, or the bits rotted."""
        found = self._whole(FORMAT, FORMAT_AT)
        return found if found is not None and found.magic == MAGIC else None

    @property
    def use(self) -> "Any":
        """USE from the first copy that is whole; None where neither is."""
        return self._whole(USE, USE_AT[0]) or self._whole(USE, USE_AT[1])

    @property
    def checkpoint(self) -> "Any":
        """CHECKPOINT, None where it is not whole."""
        return self._whole(CHECKPOINT, CHECKPOINT_AT)

    def is_marked(self, mark_at: int) -> bool:
        """One of DRAINED_AT, DONE_AT, RETIRED_AT is set."""
        return is_marked(self.bytes, mark_at)

    def is_ready(self) -> bool:
        """Erased, the erase has ended, and nothing was programmed since."""
        return self.format is not None and is_blank(self._view[CHECKPOINT_AT:])

    def is_blank(self) -> bool:
        """Every byte FF: never used, or an erase was cut short."""
        return is_blank(self._view)

    def _whole(self, record: "Record", at: int) -> "Any":
        end = at + record.size - 4
        found = self._view[at : at + record.size]
        return record.unpack(found) if crc32(self._view[at:end]) == _int(self.bytes, end) else None


def packed_format(sectors: int, erases: int) -> bytes:
    """FORMAT of this version."""
    return sealed(
        FORMAT, magic=MAGIC, version=VERSION, slot_bytes=HEADER_BYTES, sectors=sectors, erases=erases
    )


def packed_checkpoint(claims: "list[int]", paid: int, retired: "list[int]") -> bytes:
    """CHECKPOINT of at most CLAIMS_MAX slot numbers, one slot number or NONE_3, at most RETIRED_MAX sectors."""
    return sealed(
        CHECKPOINT,
        claims=_row(claims, 3, CLAIMS_MAX),
        paid=paid,
        retired=_row(retired, 2, RETIRED_MAX),
        reserved=bytes(3),
    )


def numbers(row: "Bytes", width: int) -> "list[int]":
    """The numbers of a row of CHECKPOINT, width bytes each, without those that say none."""
    found = [int.from_bytes(row[at : at + width], "big") for at in range(0, len(row), width)]
    return [number for number in found if number != (1 << 8 * width) - 1]


def _row(values: "list[int]", width: int, count: int) -> bytes:
    return b"".join([value.to_bytes(width, "big") for value in values]) + b"\xff" * (width * (count - len(values)))


def _int(blob: bytearray, at: int) -> int:
    return blob[at] << 24 | blob[at + 1] << 16 | blob[at + 2] << 8 | blob[at + 3]
