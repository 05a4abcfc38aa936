"""The Keep port over two sectors of raw flash, for a board without a file system. Power may fail at any byte.

    slot   0  KEPT, 124     124..127  blank

What is saved goes into the next blank slot; when the sector is full the other one is erased and takes its place. The
newest whole slot counts. 32 saves cost one erase where a sector has 4096 bytes: a bus saves at each stop.
"""

from tunion.compat import const
from tunion.crc import crc32
from tunion.record import Record
from validator.cells import is_blank, may_become, sealed
from validator.ports import FlashFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.ports import Flash

SLOT_BYTES = const(128)
SECTORS = const(2)
BYTES_MAX = const(112)
MAGIC = b"YK"
LAYOUT = const(1)

KEPT = Record(
    "Kept",
    124,
    (
        ("magic", "2s"),
        ("layout", "B"),
        ("length", "B"),  # bytes of the blob that count
        ("generation", "I"),  # +1 with each save
        ("blob", "112s"),  # zeros behind
        ("crc", "I"),
    ),
)
_VOID = bytes(KEPT.size)


class KeepFlash:
    """Two sectors from `first_sector` on, in a flash that the caller shares with nobody's slots there."""

    def __init__(self, flash: "Flash", first_sector: int = 0) -> None:
        """Reads them. Raises FlashFault."""
        self._flash = flash
        self._first_sector = first_sector
        self._slots = flash.sector_bytes // SLOT_BYTES
        self._slot = bytearray(SLOT_BYTES)
        self._entry: Any = None
        self._sector = 0
        self._next = self._slots  # full: the first save ever erases a sector, too
        at = -1
        for sector in range(SECTORS):
            for slot in range(self._slots):
                entry = self._read(sector, slot)
                if entry is None:
                    self._void(sector, slot)
                elif self._entry is None or entry.generation > self._entry.generation:
                    self._entry, self._sector, at = entry, sector, slot
        if self._entry is not None:
            # One slot is passed over after each boot: a program that had hardly begun may read as blank, today.
            self._next = min(self._first_blank(at) + 1, self._slots)
            self._flash.program(self._address(self._sector, at), self._packed(self._entry.generation, self.load()))

    def load(self) -> bytes:
        """What was saved last, b"" for nothing."""
        return bytes(self._entry.blob[: self._entry.length]) if self._entry is not None else b""

    def save(self, blob: bytes) -> None:
        """Durable on return. Erases a sector now and then: never in a tap. Raises FlashFault."""
        if len(blob) > BYTES_MAX:
            raise FlashFault("%d bytes are kept at most, not %d: our bug" % (BYTES_MAX, len(blob)))
        sector, slot = self._sector, self._next
        if slot == self._slots:
            sector, slot = 1 - sector, 0
            self._flash.erase(self._first_sector + sector)
        packed = self._packed(1 + (self._entry.generation if self._entry is not None else 0), blob)
        self._flash.program(self._address(sector, slot), packed)
        self._entry = KEPT.unpack(packed)
        self._sector, self._next = sector, slot + 1

    def _first_blank(self, at: int) -> int:
        """The slot after the last one of the sector that is not blank: a torn one is not used again."""
        slot = self._slots
        while slot > at + 1:
            self._flash.read_into(self._address(self._sector, slot - 1), self._slot)
            if not is_blank(self._slot):
                break
            slot -= 1
        return slot

    def _void(self, sector: int, slot: int) -> None:
        """A torn slot, just read, is none for ever: its cells might read whole at another boot.

        Only where nothing but such a slot can be: this may be somebody else's flash.
        """
        whole = memoryview(self._slot)
        torn = whole[: KEPT.size]
        if not is_blank(torn) and may_become(torn, MAGIC) and is_blank(whole[KEPT.size :]):
            self._flash.program(self._address(sector, slot), _VOID)

    def _read(self, sector: int, slot: int) -> "Any":
        """KEPT of a slot, None where none is whole; `_slot` holds its bytes."""
        self._flash.read_into(self._address(sector, slot), self._slot)
        entry = KEPT.unpack(self._slot)
        if entry.magic != MAGIC or entry.layout != LAYOUT or entry.length > BYTES_MAX:
            return None
        return entry if entry.crc == crc32(memoryview(self._slot)[: KEPT.size - 4]) else None

    def _packed(self, generation: int, blob: bytes) -> bytes:
        padded = blob + bytes(BYTES_MAX - len(blob))
        return sealed(KEPT, magic=MAGIC, layout=LAYOUT, length=len(blob), generation=generation, blob=padded)

    def _address(self, sector: int, slot: int) -> int:
        return (self._first_sector + sector) * self._flash.sector_bytes + slot * SLOT_BYTES
