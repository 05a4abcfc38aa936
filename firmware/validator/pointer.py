"""Which parameter bank is active: a log of two sectors, its newest whole entry counts. Power may fail at any byte.

    slot   0  POINTER, 24   32  served   33  told   34..49  cards that came before the first one paid, a byte each

An entry goes into the next blank slot; when the sector is full the other one is erased and takes its place. Until the
first entry of that is whole, the newest of the full sector counts. Bytes and reasons: firmware/docs/params.md.
"""

from tunion.compat import const
from tunion.crc import crc32
from tunion.record import Record
from validator.cells import is_blank, is_set, may_become, sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.ports import Flash

SLOT_BYTES = const(64)
SECTORS = const(2)
TRIALS_MAX = const(16)  # cards that may come under a new set before one has paid: it takes no card, so it is wrong
MAGIC = b"YP"
LAYOUT = const(1)

POINTER = Record(
    "Pointer",
    24,
    (
        ("magic", "2s"),
        ("layout", "B"),
        ("bank", "B"),  # active: 0 the provisioning file, 1 or 2 a bank
        ("previous", "B"),  # active before, to fall back to
        ("why", "B"),  # 0: its time had come; else why the one before it was left, a code of tunion.wire.params
        ("reserved", "2s"),  # zero
        ("generation", "I"),  # +1 with each entry
        ("version", "I"),  # of the active set
        ("floor", "I"),  # highest version that was ever active: none below it comes again
        ("crc", "I"),
    ),
)
_VOID = bytes(POINTER.size)
_SERVED_AT = const(32)
_TOLD_AT = const(33)
_TRIALS_AT = const(34)


class Pointer:
    """The newest entry.

    entry    POINTER, or None where none was ever made
    served   a card paid under it
    told     it is in the journal
    trials   cards that came before one paid
    """

    def __init__(self, flash: "Flash", first_sector: int) -> None:
        self._flash = flash
        self._first_sector = first_sector
        self._slots = flash.sector_bytes // SLOT_BYTES
        self._slot = bytearray(SLOT_BYTES)
        self.mount()

    def mount(self) -> None:
        """Read the flash: at boot, and after a FlashFault."""
        self.entry: Any = None
        self.served = True
        self.told = True
        self.trials = 0
        self._sector = 0  # of the two
        self._at = -1  # slot of `entry`
        self._next = self._slots  # full: the first entry ever erases a sector, too
        for sector in range(SECTORS):
            for slot in range(self._slots):
                entry = self._read(sector, slot)
                if entry is None:
                    self._void(sector, slot)
                elif self.entry is None or entry.generation > self.entry.generation:
                    self._take(entry, sector, slot)
        if self.entry is not None:
            # One slot is passed over after each boot: a program that had hardly begun may read as blank, today.
            self._next = min(self._first_blank() + 1, self._slots)
            self._make_firm()

    def set(self, bank: int, version: int, why: int = 0) -> None:
        """Make `bank` the active one; it is when this returns. Erases a sector now and then: never in a tap.

        raises  FlashFault; then `mount` before the next call
        """
        before = self.entry
        sector, slot = self._sector, self._next
        if slot == self._slots:
            sector, slot = 1 - sector, 0
            self._flash.erase(self._first_sector + sector)
        entry = _packed(
            bank,
            before.bank if before is not None else 0,
            why,
            before.generation + 1 if before is not None else 1,
            version,
            max(version, before.floor) if before is not None else version,
        )
        self._flash.program(self._address(sector, slot), entry)
        self._slot[:] = b"\xff" * SLOT_BYTES
        self._take(POINTER.unpack(entry), sector, slot)
        self._next = slot + 1

    def serve(self) -> None:
        """A card paid under the active bank: the other one may be erased."""
        self._flash.program(self._address(self._sector, self._at) + _SERVED_AT, b"\x00")
        self.served = True

    def tell(self) -> None:
        """The entry is in the journal."""
        self._flash.program(self._address(self._sector, self._at) + _TOLD_AT, b"\x00")
        self.told = True

    def try_card(self) -> None:
        """A card came and none has paid yet under the active bank."""
        self._flash.program(self._address(self._sector, self._at) + _TRIALS_AT + self.trials, b"\x00")
        self.trials += 1

    def _take(self, entry: "Any", sector: int, slot: int) -> None:
        self.entry = entry
        self._sector = sector
        self._at = slot
        self.served = is_set(self._slot[_SERVED_AT])
        self.told = is_set(self._slot[_TOLD_AT])
        self.trials = 0
        while self.trials < TRIALS_MAX and is_set(self._slot[_TRIALS_AT + self.trials]):
            self.trials += 1

    def _void(self, sector: int, slot: int) -> None:
        """A torn entry, just read, is none for ever: its cells might read whole at another boot.

        Only where nothing but such an entry can be: this may be somebody else's flash.
        """
        whole = memoryview(self._slot)
        torn = whole[: POINTER.size]
        if not is_blank(torn) and may_become(torn, MAGIC) and is_blank(whole[POINTER.size :]):
            self._flash.program(self._address(sector, slot), _VOID)

    def _make_firm(self) -> None:
        """Program once more what a power cut may have left half done and what reads whole now: it might not, next time.

        An entry that was told was read at an earlier boot and made firm there.
        """
        entry = self.entry
        address = self._address(self._sector, self._at)
        if not self.told:
            again = _packed(entry.bank, entry.previous, entry.why, entry.generation, entry.version, entry.floor)
            self._flash.program(address, again)
        if self.served:
            self._flash.program(address + _SERVED_AT, b"\x00")

    def _first_blank(self) -> int:
        """The slot after the last one of the sector that is not blank: a torn one is not used again."""
        slot = self._slots
        while slot > self._at + 1:
            self._flash.read_into(self._address(self._sector, slot - 1), self._slot)
            if not is_blank(self._slot):
                break
            slot -= 1
        return slot

    def _read(self, sector: int, slot: int) -> "Any":
        """POINTER of a slot, None where none is whole; `_slot` holds its bytes."""
        self._flash.read_into(self._address(sector, slot), self._slot)
        entry = POINTER.unpack(self._slot)
        if entry.magic != MAGIC or entry.layout != LAYOUT:
            return None
        return entry if entry.crc == crc32(memoryview(self._slot)[: POINTER.size - 4]) else None

    def _address(self, sector: int, slot: int) -> int:
        return (self._first_sector + sector) * self._flash.sector_bytes + slot * SLOT_BYTES


def _packed(bank: int, previous: int, why: int, generation: int, version: int, floor: int) -> bytes:
    return sealed(
        POINTER,
        magic=MAGIC,
        layout=LAYOUT,
        bank=bank,
        previous=previous,
        why=why,
        reserved=bytes(2),
        generation=generation,
        version=version,
        floor=floor,
    )
