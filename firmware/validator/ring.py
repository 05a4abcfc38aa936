"""The ring of flash sectors below the journal: which are in use, in what order, which may be erased.

Knows sectors, slots and headers; has never heard of a tap. Every byte and why: firmware/docs/journal.md.
Sectors are taken in the order of their numbers, round and round; a generation that only grows says which is newest.
"""

from tunion.compat import const
from tunion.crc import crc32
from tunion.record import Record
from validator.cells import ForeignFlash, is_blank, is_set, may_become, sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from validator.ports import Flash

SLOT_BYTES = const(128)  # one entry; two to a page of 256, so no entry crosses a page
SPARE_SECTORS = const(2)  # erased ahead: one to go on in, one should the next be spoilt by a power cut
SECTORS_MIN = const(4)  # the newest, two spare, one to wait for its acknowledgement
VERSION = const(1)
MAGIC = b"YKTJ"

# Slot 0 of a sector. FORMAT is programmed when an erase has ended, USE, twice, when the sector becomes the newest.
FORMAT = Record(
    "Format",
    16,
    (("magic", "4s"), ("version", "B"), ("slot_bytes", "B"), ("sectors", "H"), ("erases", "I"), ("crc", "I")),
)
USE = Record(
    "Use",
    20,
    (
        ("epoch", "I"),  # random, names this journal
        ("generation", "I"),  # +1 with each sector taken into use
        ("first_seq", "I"),  # of the first entry in this sector
        ("terminal_seq", "I"),  # the SAM's counter in the last tap before this sector, 0: none
        ("crc", "I"),
    ),
)
_USE_AT = (16, 36)
_DRAINED_AT = const(56)  # one byte, 00: every entry of this sector is acknowledged, never look at it again
_HEADER_BYTES = const(57)


class JournalFull(Exception):
    """No erased slot is left, because nothing more is acknowledged. Refuse cards and sync."""


class Ring:
    """Sectors in use, `tail` to `head`, and `ready` erased ones ahead. Sector numbers wrap."""

    def __init__(self, flash: "Flash", new_epoch: "Callable[[], int]") -> None:
        """Find the ring on the flash; a blank flash gets a new one. Raises ForeignFlash, FlashFault."""
        if flash.page_bytes % SLOT_BYTES or flash.sector_bytes % flash.page_bytes or flash.sectors < SECTORS_MIN:
            raise ForeignFlash(
                "the journal needs %d sectors of whole pages, pages of whole %d-byte slots: correct the flash settings"
                % (SECTORS_MIN, SLOT_BYTES)
            )
        self._flash = flash
        self._header = bytearray(_HEADER_BYTES)
        self._erases = 0  # the highest known; sectors wear evenly, so it stands in for one that is lost
        self.slots = flash.sector_bytes // SLOT_BYTES  # slot 0 is the header
        self.ready = 0
        self.newest = self._find_newest()
        if self.newest is None:
            self._require_blank()
            self._begin(new_epoch())
        self.epoch: int = self.newest.epoch
        self.tail = self._find_tail()
        while self.ready < flash.sectors - 1 and self._is_ready(self._after(self.head, 1 + self.ready)):
            self.ready += 1

    def address(self, sector: int, slot: int) -> int:
        """Where a slot lies."""
        return sector * self._flash.sector_bytes + slot * SLOT_BYTES

    def in_use(self) -> "Iterator[tuple[int, int]]":
        """(sector, first_seq) from `tail` to `head`: the sectors that may hold entries to be sent."""
        sector = self.tail
        while True:
            self._read(sector)
            use = self._use()
            if use is not None:
                yield sector, use.first_seq
            if sector == self.head:
                return
            sector = self._after(sector, 1)

    def sectors_in_use(self) -> int:
        """How many sectors lie from `tail` to `head`."""
        return (self.head - self.tail) % self._flash.sectors + 1

    def take(self, first_seq: int, terminal_seq: int) -> None:
        """Make the next erased sector the newest. Raises JournalFull, FlashFault; may be tried again after either."""
        if self.ready == 0:
            raise JournalFull("no erased sector: sync, then wait a moment")
        sector = self._after(self.head, 1)
        self._program_use(sector, self.epoch, self.newest.generation + 1, first_seq, terminal_seq)
        self.ready -= 1

    def prepare(self) -> bool:
        """Erase one sector ahead if it is wanted and holds nothing unacknowledged. Slow: never during a tap."""
        sector = self._after(self.head, 1 + self.ready)
        if self.ready >= SPARE_SECTORS or sector == self.head:
            return False
        if self._is_ready(sector):
            self.ready += 1
            return True
        if self._use() is not None:
            if not is_set(self._header[_DRAINED_AT]):
                return False
            # Void the header first: an erase cut short may leave any bits, and must not leave an old header.
            self._flash.program(self.address(sector, 0), bytes(_DRAINED_AT))
        self._erase(sector)
        self.ready += 1
        return True

    def drain(self) -> None:
        """The tail is acknowledged to its last entry: let it go, `tail` moves on. It is erased when its turn comes."""
        if self.tail == self.head:
            raise ValueError("the newest sector is still written to")
        self._flash.program(self.address(self.tail, 0) + _DRAINED_AT, b"\x00")
        self.tail = self._after(self.tail, 1)

    def _after(self, sector: int, count: int) -> int:
        return (sector + count) % self._flash.sectors

    def _read(self, sector: int) -> None:
        self._flash.read_into(self.address(sector, 0), self._header)

    def _find_newest(self) -> "Any":
        """USE of the newest sector, None where no sector is in use. Sets `head`."""
        newest = None
        for sector in range(self._flash.sectors):
            self._read(sector)
            self._format()
            use = self._use()
            if use is None:
                continue
            if newest is not None and use.epoch != newest.epoch:
                raise ForeignFlash("two journals on one flash: copy the image for the back office, then erase it")
            if newest is None or use.generation > newest.generation:
                newest = use
                self.head = sector
        return newest

    def _find_tail(self) -> int:
        """The oldest sector not drained. Generations must grow on the way to the head."""
        tail = self.head
        found = False
        generation = 0
        for step in range(1, self._flash.sectors + 1):
            sector = self._after(self.head, step)
            self._read(sector)
            use = self._use()
            if use is None:
                continue
            if use.generation <= generation:
                raise ForeignFlash("sectors out of order: copy the image for the back office, then erase it")
            generation = use.generation
            if not found and not is_set(self._header[_DRAINED_AT]):
                tail = sector
                found = True
        return tail

    def _is_ready(self, sector: int) -> bool:
        self._read(sector)
        return self._format() is not None and is_blank(memoryview(self._header)[_USE_AT[0] :])

    def _format(self) -> "Any":
        """FORMAT of the header at hand, None where it is not whole; raises ForeignFlash for another layout."""
        found = FORMAT.unpack(self._header)
        if found.crc != crc32(memoryview(self._header)[: FORMAT.size - 4]):
            return None
        if found.magic != MAGIC or found.version != VERSION or found.slot_bytes != SLOT_BYTES:
            raise ForeignFlash(
                "journal layout %d found, this firmware reads %d: sync with the firmware that wrote it, then erase"
                % (found.version, VERSION)
            )
        if found.sectors != self._flash.sectors:
            raise ForeignFlash(
                "a journal of %d sectors in a flash of %d: correct the flash settings"
                % (found.sectors, self._flash.sectors)
            )
        self._erases = max(self._erases, found.erases)
        return found

    def _use(self) -> "Any":
        """USE of the header at hand, from the first copy that is whole; None where neither is."""
        for at in _USE_AT:
            found = USE.unpack(self._header, at)
            if found.crc == crc32(memoryview(self._header)[at : at + USE.size - 4]):
                return found
        return None

    def _require_blank(self) -> None:
        """No sector is in use. Raises ForeignFlash unless nothing can be lost by beginning a journal here.

        That is: every byte FF, but for the header of sector 0, where a first beginning may have been cut short;
        then its first bytes are FORMAT's magic with some zero bits not yet programmed.
        """
        slot = bytearray(SLOT_BYTES)
        for sector in range(self._flash.sectors):
            for number in range(self.slots):
                self._flash.read_into(self.address(sector, number), slot)
                begun = sector == 0 and number == 0 and may_become(slot, MAGIC)
                if not is_blank(memoryview(slot)[_DRAINED_AT:] if begun else slot):
                    raise ForeignFlash(
                        "neither blank nor a journal (sector %d): name another flash area, or erase this one" % sector
                    )

    def _begin(self, epoch: int) -> None:
        self._erase(0)
        self._program_use(0, epoch, 1, 1, 0)

    def _erase(self, sector: int) -> None:
        """Erase, then say that the erase has ended: blank to the eye is not proof."""
        self._flash.erase(sector)
        self._erases += 1
        ended = sealed(
            FORMAT,
            magic=MAGIC,
            version=VERSION,
            slot_bytes=SLOT_BYTES,
            sectors=self._flash.sectors,
            erases=self._erases,
        )
        self._flash.program(self.address(sector, 0), ended)

    def _program_use(self, sector: int, epoch: int, generation: int, first_seq: int, terminal_seq: int) -> None:
        use = sealed(USE, epoch=epoch, generation=generation, first_seq=first_seq, terminal_seq=terminal_seq)
        self._flash.program(self.address(sector, 0) + _USE_AT[0], use + use)
        self.newest = USE.unpack(use)
        self.head = sector
