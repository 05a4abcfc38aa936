"""The sectors below the ring, one at a time: what their headers say, erasing and taking into use, each read back.

Knows nothing of their order but that a generation modulo their number is a sector's number. Every byte and why:
firmware/docs/journal.md.
"""

from tunion.compat import const
from validator.cells import MARK_BYTES, SET, ForeignFlash, is_blank, may_become, program, sealed
from validator.ports import FlashFault
from validator.sector import (
    CHECKPOINT_AT,
    DRAINED_AT,
    RETIRED_AT,
    USE,
    USE_AT,
    VERSION,
    VOID_BYTES,
    Header,
    packed_checkpoint,
    packed_format,
)
from validator.slot import SLOT_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.ports import Flash

SECTORS_MIN = const(4)  # the newest, two spare, one to wait for its acknowledgement
_BLANK_SLOT = b"\xff" * SLOT_BYTES
_ASK = "copy the image for the back office, then erase it"


class Sectors:
    """`header` is the one read last. `epoch` names the journal, -1 before one was found.

    doubt   why a header is of no sector of this journal, "" where there is none such: of those read since it was ""
    """

    def __init__(self, flash: "Flash") -> None:
        """Raises ForeignFlash for a flash that the layout does not fit."""
        _check_geometry(flash)
        self._flash = flash
        self._prefix = packed_format(flash.sectors, 0)[:8]
        self.erases = 0  # the highest known; sectors wear evenly, so it stands in for one that is lost
        self.header = Header(flash)
        self.count = flash.sectors
        self.slots = flash.sector_bytes // SLOT_BYTES  # slot 0 is the header
        self.epoch = -1
        self.doubt = ""

    def address(self, generation: int, slot: int) -> int:
        """Where a slot lies."""
        return generation % self.count * self._flash.sector_bytes + slot * SLOT_BYTES

    # -- what is there ------------------------------------------------------------------------------------------

    def use(self, sector: int) -> "Any":
        """USE of a sector, None where it has none of this journal."""
        header = self.header
        header.read(sector)
        if header.bytes[:8] != self._prefix:
            found = header.format
            if found is not None:
                self.doubt = self._other(found)
                return None
        use = header.use
        if use is None:
            return None
        if self.epoch < 0:
            self.epoch = use.epoch
        if use.epoch != self.epoch:
            self.doubt = "two journals on one flash: " + _ASK
        elif use.generation % self.count != sector:
            self.out_of_order()
        else:
            return use
        return None

    def use_of(self, generation: int) -> "Any":
        """USE of just this generation, None where its sector has another or none."""
        use = self.use(generation % self.count)
        return use if use is not None and use.generation == generation else None

    def out_of_order(self) -> None:
        """Say so in `doubt`."""
        self.doubt = "sectors out of order: " + _ASK

    def refuse_doubt(self) -> None:
        """Raises ForeignFlash where a header of something else was met."""
        if self.doubt:
            raise ForeignFlash(self.doubt)

    def require_blank(self) -> int:
        """No sector is in use. Returns the first blank sector; raises ForeignFlash where something could be lost.

        Every byte must be FF, but for the headers before that sector, where beginnings were cut short: their first
        bytes are CHECKPOINT_AT times FF, or FORMAT with some zero bits not yet programmed.
        """
        begun = packed_format(self.count, 0)
        first = 0
        slot = bytearray(SLOT_BYTES)
        for sector in range(self.count):
            for number in range(self.slots):
                self._flash.read_into(self.address(sector, number), slot)
                if slot == _BLANK_SLOT:
                    continue
                torn = may_become(slot, begun) and is_blank(memoryview(slot)[DRAINED_AT:])
                if number or first != sector or sector == self.count - 1 or not torn:
                    raise ForeignFlash(
                        "neither blank nor a journal (sector %d): name another flash area, or erase this one" % sector
                    )
                first = sector + 1
        return first

    # -- programming --------------------------------------------------------------------------------------------

    def erase(self, sector: int, others: "list[int]") -> bool:
        """Erase, then say that the erase has ended: blank to the eye is not proof. False where the cells hold neither.

        The header goes first: an erase cut short may leave any bits, and must not leave an old header.
        others   generations of sectors that hold, to tell one worn sector from a flash that is gone: then FlashFault
        """
        self.header.read(sector)
        found = self.header.format
        erases = max(1, self.erases) if found is None else 1 + found.erases
        self.erases = max(self.erases, erases)
        address = sector * self._flash.sector_bytes
        try:
            if not self.header.is_blank() and not program(self._flash, address, bytes(VOID_BYTES)):
                return False
            self._flash.erase(sector)
            slot = bytearray(SLOT_BYTES)
            for number in range(self.slots):
                self._flash.read_into(address + number * SLOT_BYTES, slot)
                if slot != _BLANK_SLOT:
                    return False
            return self.format(sector, erases)
        except FlashFault:
            if not self.is_alive(sector, others):
                raise
            return False

    def format(self, sector: int, erases: int) -> bool:
        """Say that the erase of a sector has ended. False where the cells do not hold it."""
        return program(self._flash, self.address(sector, 0), packed_format(self.count, erases))

    def begin(
        self,
        generation: int,
        first_seq: int,
        terminal_seq: int,
        claims: "list[int]",
        paid: int,
        retired: "list[int]",
        others: "list[int]",
    ) -> "Any":
        """Take a sector into use: CHECKPOINT, then USE, so that a whole USE has a CHECKPOINT. Returns USE.

        None where the cells do not hold them; retired, others: sector numbers, generations.
        """
        address = self.address(generation, 0)
        checkpoint = packed_checkpoint(claims, paid, retired)
        use = sealed(
            USE, epoch=self.epoch, generation=generation, first_seq=first_seq, terminal_seq=terminal_seq
        )
        try:
            if not program(self._flash, address + CHECKPOINT_AT, checkpoint):
                return None
            if not program(self._flash, address + USE_AT[0], use + use):
                return None
        except FlashFault:
            if not self.is_alive(generation % self.count, others):
                raise
            return None
        return USE.unpack(use)

    def confirm_ready(self, generation: int, others: "list[int]") -> bool:
        """The sector is ready; it is said once more, since FORMAT may have been cut short."""
        header = self.header
        header.read(generation % self.count)
        if not header.is_ready():
            return False
        header.read_steady(generation % self.count)
        if header.bytes[:8] != self._prefix or not header.is_ready():
            return False
        try:
            self._flash.program(self.address(generation, 0), header.bytes[:CHECKPOINT_AT])
        except FlashFault:
            if not self.is_alive(generation % self.count, others):
                raise
            return False
        return True

    def make_firm(self, newest: "Any") -> "Any":
        """Program the head's header once more, as it was understood. Returns its CHECKPOINT, None where it rotted."""
        header = self.header
        header.read(newest.generation % self.count)
        checkpoint = header.checkpoint
        found = header.format
        if found is not None:
            self.erases = found.erases
        row = dict(zip(USE.names[:-1], newest))
        use = sealed(USE, **row)
        for at, firm in ((CHECKPOINT_AT, header.bytes[CHECKPOINT_AT : USE_AT[0]]), (USE_AT[0], use), (USE_AT[1], use)):
            try:
                self._flash.program(self.address(newest.generation, 0) + at, firm)
            except FlashFault:
                continue  # a rotted bit of one copy: the other counts. A flash that is gone says so at the next write
        return checkpoint

    def mark(self, generation: int, mark_at: int) -> None:
        """DRAINED_AT or DONE_AT. Raises FlashFault."""
        self._flash.program(self.address(generation, 0) + mark_at, SET)

    def retire(self, sector: int) -> None:
        """Its own header says that it is worn, as well as it can."""
        for at, data in ((RETIRED_AT, SET), (0, bytes(VOID_BYTES))):
            try:
                self._flash.program(self.address(sector, 0) + at, data)
            except FlashFault:
                continue  # it is worn. If it takes neither, a boot before the next checkpoint finds that out anew

    def is_alive(self, but: int, others: "list[int]") -> bool:
        """The flash takes programming in another sector than `but`: that one is worn, and not the whole flash gone."""
        for generation in others:
            if generation % self.count != but:
                self.header.read(generation % self.count)
                try:
                    self._flash.program(self.address(generation, 0), self.header.bytes[:CHECKPOINT_AT])
                    return True
                except FlashFault:
                    continue
        return False

    def _other(self, found: "Any") -> str:
        if found.version != VERSION or found.slot_bytes != SLOT_BYTES:
            advice = "sync with the firmware that wrote it, then erase"
            return "journal layout %d found, this firmware reads %d: %s" % (found.version, VERSION, advice)
        return "a journal of %d sectors in a flash of %d: correct the flash settings" % (found.sectors, self.count)


def _check_geometry(flash: "Flash") -> None:
    """Raises ForeignFlash for a flash that this layout does not fit."""
    if flash.page_bytes % SLOT_BYTES or flash.sector_bytes % flash.page_bytes or flash.sectors < SECTORS_MIN:
        raise ForeignFlash(
            "the journal needs %d sectors of whole pages, pages of whole %d-byte slots: correct the flash settings"
            % (SECTORS_MIN, SLOT_BYTES)
        )
    if MARK_BYTES % flash.program_bytes:
        raise ForeignFlash(
            "the journal programs marks of %d bytes, this flash units of %d: name a flash with smaller ones"
            % (MARK_BYTES, flash.program_bytes)
        )
