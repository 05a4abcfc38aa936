"""The Keep port over raw NOR flash, for boards without a file system: a log of two sectors, its newest entry counts.

    slot of 256 or 128 bytes   0  HEAD, 12   12  what was saved, at most 244 or 116 bytes

An entry goes into the next blank slot and is read back; when the sector is full the other one is erased and takes its
place. The sector of the newest entry is never erased. Bytes and reasons: firmware/docs/supervisor.md.
"""

from tunion.compat import const
from tunion.crc import crc32
from tunion.record import BadInput, Record
from validator.cells import holds, is_blank, may_become
from validator.ports import FlashFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes
    from validator.ports import Flash

SLOT_BYTES = const(256)
SECTORS = const(2)
TRIES = const(4)  # slots in a row that do not hold an entry, before the flash is given up
MAGIC = b"YK"
HEAD = Record("KeepHead", 12, (("magic", "2s"), ("size", "H"), ("generation", "I"), ("crc", "I")))
_SUMMED = const(8)  # bytes of the head before its CRC
_VOID = bytes(HEAD.size)


class KeepNor:
    """Sectors `first_sector` and the one after it. Raises FlashFault from `load` and `save`."""

    def __init__(self, flash: "Flash", first_sector: int = 0, slot_bytes: int = SLOT_BYTES) -> None:
        """slot_bytes: 128 for what is saved often and has at most 116 bytes; half as many erases."""
        self._flash = flash
        self._first_sector = first_sector
        self._slots = flash.sector_bytes // slot_bytes
        self._slot = bytearray(slot_bytes)
        self._mounted = False
        self._blob = b""
        self._generation = 0  # of the newest entry, 0: there is none
        self._newest = 0  # its sector, of the two
        self._sector = 0  # to write to
        self._next = self._slots  # slot to write to; full: the first entry ever erases a sector, too

    def load(self) -> bytes:
        """What was saved last, b"" for nothing."""
        if not self._mounted:
            self._mount()
        return self._blob

    def save(self, blob: bytes) -> None:
        """Durable on return; erases a sector now and then."""
        if len(blob) > len(self._slot) - HEAD.size:
            raise BadInput("a slot keeps at most %d bytes" % (len(self._slot) - HEAD.size))
        if not self._mounted:
            self._mount()
        entry = _entry(self._generation + 1, blob)
        for _ in range(TRIES):
            if self._next == self._slots:
                self._sector = 1 - self._newest
                self._flash.erase(self._first_sector + self._sector)
                self._next = 0
            address = self._address(self._sector, self._next)
            self._next += 1  # first: a slot that failed half way is not used again
            self._program(address, entry)
            if holds(self._flash, address, entry):
                self._generation += 1
                self._newest = self._sector
                self._blob = bytes(blob)
                return
        raise FlashFault("%d slots in a row do not hold what is kept: the flash is worn out, replace it" % TRIES)

    def _mount(self) -> None:
        at = -1
        for sector in range(SECTORS):
            for slot in range(self._slots):
                self._flash.read_into(self._address(sector, slot), self._slot)
                head = HEAD.unpack(self._slot)
                if not _is_whole(head, self._slot):
                    self._void(sector, slot)
                elif head.generation > self._generation:
                    self._generation = head.generation
                    self._newest = sector
                    self._blob = bytes(self._slot[HEAD.size : HEAD.size + head.size])
                    at = slot
        if self._generation:
            # Programmed once more: a power cut may have left it half done, and next time it might not read whole.
            self._program(self._address(self._newest, at), _entry(self._generation, self._blob))
            # One slot is passed over: a program that had hardly begun may read as blank, today.
            self._sector = self._newest
            self._next = min(self._first_blank(at) + 1, self._slots)
        self._mounted = True

    def _void(self, sector: int, slot: int) -> None:
        """A torn entry, just read, is none for ever: its cells might read whole at another boot."""
        head = memoryview(self._slot)[: HEAD.size]
        if not is_blank(head) and may_become(head, MAGIC):
            self._flash.program(self._address(sector, slot), _VOID)

    def _first_blank(self, at: int) -> int:
        """The slot after the last one of the sector that is not blank: a torn one is not used again."""
        slot = self._slots
        while slot > at + 1:
            self._flash.read_into(self._address(self._newest, slot - 1), self._slot)
            if not is_blank(self._slot):
                break
            slot -= 1
        return slot

    def _program(self, address: int, entry: bytes) -> None:
        """In as many goes as the pages make it, and in whole program units."""
        unit = self._flash.program_bytes
        entry += b"\xff" * (-len(entry) % unit)
        page = self._flash.page_bytes
        done = 0
        while done < len(entry):
            count = min(len(entry) - done, page - (address + done) % page)
            self._flash.program(address + done, entry[done : done + count])
            done += count

    def _address(self, sector: int, slot: int) -> int:
        return (self._first_sector + sector) * self._flash.sector_bytes + slot * len(self._slot)


def _entry(generation: int, blob: bytes) -> bytes:
    head = HEAD.pack(magic=MAGIC, size=len(blob), generation=generation, crc=0)[:_SUMMED]
    return head + crc32(head + blob).to_bytes(4, "big") + blob


def _is_whole(head: "Any", slot: "Bytes") -> bool:
    if head.magic != MAGIC or head.size > len(slot) - HEAD.size:
        return False
    return bool(head.crc == crc32(bytes(slot[:_SUMMED]) + bytes(slot[HEAD.size : HEAD.size + head.size])))
