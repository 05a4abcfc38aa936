"""The ring of flash sectors below the journal: which are in use, in what order, which may be erased.

Knows sectors and headers; has never heard of a tap. Every byte and why: firmware/docs/journal.md.
Sectors are taken in the order of their numbers, round and round. A sector's generation is its place in that endless
row; modulo the number of sectors it is the sector's number, so the newest and the oldest are found by halving.
"""

from tunion.compat import const
from validator.cells import MARK_BYTES, SET, ForeignFlash, is_blank, may_become, program, sealed
from validator.ports import FlashFault
from validator.sector import (
    CHECKPOINT_AT,
    DONE_AT,
    DRAINED_AT,
    MAGIC,
    NONE_3,
    RETIRED_AT,
    RETIRED_MAX,
    USE,
    USE_AT,
    VERSION,
    VOID_BYTES,
    Header,
    numbers,
    packed_checkpoint,
    packed_format,
)
from validator.slot import SLOT_BYTES, Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from validator.ports import Flash

SPARE_SECTORS = const(2)  # erased ahead: one to go on in, one should the next be spoilt by a power cut
SECTORS_MIN = const(4)  # the newest, two spare, one to wait for its acknowledgement
LIVE_MIN = const(3)  # with fewer sectors that are not retired the flash is worn out
HOLES_MAX = const(12)  # sectors in a row that tell nothing: the retired ones, the spare ones, one being erased, one more
_BLANK_SLOT = b"\xff" * SLOT_BYTES


class JournalFull(Exception):
    """No erased slot is left, because nothing more is acknowledged. Refuse cards and sync."""


class Ring:
    """Sectors in use, generations `tail` to `head`, and `ready`, generations of erased ones ahead.

    newest      USE of the head
    checkpoint  CHECKPOINT of the head as found at boot, None where it rotted
    retired     sectors that are never used again, at most RETIRED_MAX
    worn        sectors found worn since boot and not yet journaled
    """

    def __init__(self, flash: "Flash", new_epoch: "Callable[[], int]") -> None:
        """Find the ring on the flash; a blank flash gets a new one. Raises ForeignFlash, FlashFault."""
        _check_geometry(flash)
        self._flash = flash
        self._header = Header(flash)
        self._prefix = packed_format(flash.sectors, 0)[:8]
        self._doubt = ""  # why the header read last is none of this ring's
        self._erases = 0  # the highest known; sectors wear evenly, so it stands in for one that is lost
        self.slots = flash.sector_bytes // SLOT_BYTES  # slot 0 is the header
        self.epoch = -1
        self.retired: list[int] = []
        self.worn: list[int] = []
        self.worn_out = False
        newest = self._find_newest()
        self._refuse_doubt()
        if newest is None:
            _require_blank(flash, self.slots)
            newest = self._begin(new_epoch())
        self.newest = newest
        self.head: int = newest.generation
        self._make_head_firm()
        self.tail = last(self.head, min(flash.sectors, self.head - flash.sectors + 1), -1, self._waits)
        self._refuse_doubt()
        self.ready: list[int] = []
        while len(self.ready) < SPARE_SECTORS and self._take_as_ready():
            pass

    def sector(self, generation: int) -> int:
        """Its number."""
        return generation % self._flash.sectors

    def address(self, generation: int, slot: int) -> int:
        """Where a slot lies."""
        return self.sector(generation) * self._flash.sector_bytes + slot * SLOT_BYTES

    def generation_of(self, address: int) -> int:
        """The generation from `tail` on whose sector an address lies in; beyond `head`: in none that is in use."""
        return self.tail + (address // self._flash.sector_bytes - self.tail) % self._flash.sectors

    def in_use(self, first: int, end_seq: int) -> "Iterator[tuple[int, int, int, bool]]":
        """(generation, first seq, seq beyond its last, done) from generation `first` to `head`, which ends at end_seq."""
        before: tuple[int, int, bool] | None = None
        for generation in range(first, self.head + 1):
            use = self._use_of(generation)
            if use is None:
                continue
            if before is not None:
                yield before[0], before[1], use.first_seq, before[2]
            before = (generation, use.first_seq, self._header.is_marked(DONE_AT))
        if before is not None:
            yield before[0], before[1], end_seq, before[2]

    def find(self, seq: int) -> int:
        """The generation in use that holds `seq`, or would. By halving."""

        def begins_before(generation: int) -> "bool | None":
            use = self._use_of(generation)
            return None if use is None else use.first_seq <= seq

        return last(self.tail, self.head - self.tail + 1, 1, begins_before)

    def live(self) -> int:
        """How many sectors are not retired."""
        return self._flash.sectors - len(self.retired)

    # -- going on -----------------------------------------------------------------------------------------------

    def take(self, first_seq: int, terminal_seq: int, claims: "list[int]", paid: int) -> None:
        """Make the next erased sector the newest; a worn one is passed over. Raises JournalFull, FlashFault.

        claims, paid   slot numbers for its checkpoint
        """
        while self.ready:
            generation = self.ready.pop(0)
            if self._program_use(generation, first_seq, terminal_seq, claims, paid):
                return
            self._retire(self.sector(generation))
        raise JournalFull("no erased sector: %s" % self.advice())

    def advice(self) -> str:
        """What to do where nothing is ready."""
        if self.worn_out:
            return "the flash is worn out, %d sectors are retired: sync, then replace the device" % len(self.retired)
        return "sync, then wait a moment"

    def prepare(self) -> bool:
        """Erase one sector ahead if it is wanted and holds nothing unacknowledged. Slow: never during a tap.

        True if there was something to do.
        """
        if len(self.ready) >= SPARE_SECTORS or self.worn_out:
            return False
        generation = self._next_live()
        if generation >= self.tail + self._flash.sectors:
            return False
        if self._take_as_ready():
            return True
        sector = self.sector(generation)
        self._doubt = ""
        use = self._use(sector)
        if self._header.is_marked(RETIRED_AT) and use is None and not self._doubt:
            self._note_retired(sector)
        elif use is not None and not self._header.is_marked(DRAINED_AT) and self._is_older(use):
            self.tail = use.generation  # a boot that met rotted headers looked past it
            return False
        elif self._doubt or (use is not None and use.generation >= self.tail) or self._holds_unsent(sector, use):
            self._note_retired(sector)  # whatever this is, it is not ours to erase
            self.worn.append(sector)
        elif self._erase(sector):
            self.ready.append(generation)
        else:
            self._retire(sector)
        return True

    def drain(self) -> None:
        """Nothing in the tail waits: let it go, `tail` moves on. It is erased when its turn comes."""
        if self.tail == self.head:
            raise ValueError("the newest sector is still written to")
        self._flash.program(self.address(self.tail, 0) + DRAINED_AT, SET)
        self.tail += 1
        while self.tail != self.head and self._use_of(self.tail) is None:
            self.tail += 1

    def mark_done(self, generation: int) -> None:
        """Nothing in this sector waits, though in one before it something does: pass it over from now on."""
        self._flash.program(self.address(generation, 0) + DONE_AT, SET)

    def is_alive(self, but: int) -> bool:
        """The flash takes programming in another sector than `but`, so that `but` is worn, and not the whole flash gone."""
        for generation in [self.head] + self.ready + [self.tail]:
            if self.sector(generation) != but:
                self._header.read(self.sector(generation))
                try:
                    self._flash.program(self.address(generation, 0), self._header.bytes[:CHECKPOINT_AT])
                    return True
                except FlashFault:
                    continue
        return False

    # -- finding ------------------------------------------------------------------------------------------------

    def _find_newest(self) -> "Any":
        """USE of the newest sector, None where no sector is in use."""
        for sector in range(min(HOLES_MAX, self._flash.sectors)):
            first = self._use(sector)
            if first is not None:
                count = self._flash.sectors - sector
                return self._use(self.sector(last(first.generation, count, 1, self._is_taken)))
        newest = None
        for sector in range(self._flash.sectors):
            use = self._use(sector)
            if use is not None and (newest is None or use.generation > newest.generation):
                newest = use
        return newest

    def _use(self, sector: int) -> "Any":
        """USE of a sector, None where it has none of this ring; then `_doubt` says if it has another's."""
        header = self._header
        header.read(sector)
        if header.bytes[:8] != self._prefix:
            found = header.format
            if found is not None:
                self._doubt = self._other(found)
                return None
        use = header.use
        if use is None:
            return None
        if self.epoch < 0:
            self.epoch = use.epoch
        if use.epoch != self.epoch:
            self._doubt = "two journals on one flash: copy the image for the back office, then erase it"
        elif use.generation % self._flash.sectors != sector:
            self._doubt = "sectors out of order: copy the image for the back office, then erase it"
        else:
            return use
        return None

    def _use_of(self, generation: int) -> "Any":
        use = self._use(self.sector(generation))
        return use if use is not None and use.generation == generation else None

    def _other(self, found: "Any") -> str:
        if found.version != VERSION or found.slot_bytes != SLOT_BYTES:
            return "journal layout %d found, this firmware reads %d: sync with the firmware that wrote it, then erase" % (
                found.version,
                VERSION,
            )
        return "a journal of %d sectors in a flash of %d: correct the flash settings" % (
            found.sectors,
            self._flash.sectors,
        )

    def _refuse_doubt(self) -> None:
        if self._doubt:
            raise ForeignFlash(self._doubt)

    def _is_taken(self, generation: int) -> "bool | None":
        """The sector was taken in this round already."""
        use = self._use(self.sector(generation))
        if use is None:
            return None
        if use.generation > generation:
            self._doubt = "sectors out of order: copy the image for the back office, then erase it"
        return bool(use.generation >= generation)

    def _waits(self, generation: int) -> "bool | None":
        """The sector is not drained."""
        return None if self._use_of(generation) is None else not self._header.is_marked(DRAINED_AT)

    def _is_older(self, use: "Any") -> bool:
        """Before the tail, and not so long that its sector was taken again since."""
        return bool(self.head - self._flash.sectors < use.generation < self.tail)

    def _next_live(self) -> int:
        generation = (self.ready[-1] if self.ready else self.head) + 1
        while self.sector(generation) in self.retired:
            generation += 1
        return generation

    # -- programming --------------------------------------------------------------------------------------------

    def _make_head_firm(self) -> None:
        """Program once more what a power cut may have left half done and what reads whole now."""
        self._header.read(self.sector(self.head))
        self.checkpoint = self._header.checkpoint
        found = self._header.format
        if found is not None:
            self._erases = found.erases
        if self.checkpoint is not None:
            self.retired = numbers(self.checkpoint.retired, 2)
        row = dict([(field[0], value) for field, value in zip(USE.fields[:-1], self.newest)])
        use = sealed(USE, **row)
        for at, firm in ((CHECKPOINT_AT, self._header.bytes[CHECKPOINT_AT : USE_AT[0]]), (USE_AT[0], use), (USE_AT[1], use)):
            try:
                self._flash.program(self.address(self.head, 0) + at, firm)
            except FlashFault:
                continue  # a rotted bit of one copy, the other one counts; a flash that is gone says so at the next write

    def _take_as_ready(self) -> bool:
        """The next sector is ready: say so once more, and count it."""
        generation = self._next_live()
        header = self._header
        header.read(self.sector(generation))
        if generation >= self.tail + self._flash.sectors or header.bytes[:8] != self._prefix or not header.is_ready():
            return False
        try:
            self._flash.program(self.address(generation, 0), header.bytes[:CHECKPOINT_AT])
        except FlashFault:
            if not self.is_alive(self.sector(generation)):
                raise
            return False
        self.ready.append(generation)
        return True

    def _begin(self, epoch: int) -> "Any":
        self.epoch = epoch
        self.tail = self.head = self._flash.sectors
        self.ready = []
        if self._erase(0) and self._program_use(self.head, 1, 0, [], NONE_3):
            return self.newest
        raise FlashFault("sector 0 does not hold what is programmed: the flash is worn out, replace it")

    def _erase(self, sector: int) -> bool:
        """Erase, then say that the erase has ended: blank to the eye is not proof. False where the cells do not hold it.

        The header goes first: an erase cut short may leave any bits, and must not leave an old header.
        """
        self._header.read(sector)
        found = self._header.format
        erases = 1 + (found.erases if found is not None else self._erases)
        self._erases = max(self._erases, erases)
        address = sector * self._flash.sector_bytes
        try:
            if not self._header.is_blank() and not program(self._flash, address, bytes(VOID_BYTES)):
                return False
            self._flash.erase(sector)
            slot = bytearray(SLOT_BYTES)
            for number in range(self.slots):
                self._flash.read_into(address + number * SLOT_BYTES, slot)
                if slot != _BLANK_SLOT:
                    return False
            return program(self._flash, address, packed_format(self._flash.sectors, erases))
        except FlashFault:
            if not self.is_alive(sector):
                raise
            return False

    def _program_use(self, generation: int, first_seq: int, terminal_seq: int, claims: "list[int]", paid: int) -> bool:
        """CHECKPOINT, then USE, so that a whole USE has a CHECKPOINT. False where the cells do not hold them."""
        address = self.address(generation, 0)
        checkpoint = packed_checkpoint(claims, paid, self.retired)
        use = sealed(
            USE, epoch=self.epoch, generation=generation, first_seq=first_seq, terminal_seq=terminal_seq
        )
        try:
            if not program(self._flash, address + CHECKPOINT_AT, checkpoint):
                return False
            if not program(self._flash, address + USE_AT[0], use + use):
                return False
        except FlashFault:
            if not self.is_alive(self.sector(generation)):
                raise
            return False
        self.newest = USE.unpack(use)
        self.head = generation
        return True

    def _retire(self, sector: int) -> None:
        """Skip a worn sector for ever. Its own header says so as well as it can, the next checkpoint for certain."""
        self._note_retired(sector)
        self.worn.append(sector)
        address = sector * self._flash.sector_bytes
        try:
            self._flash.program(address, bytes(VOID_BYTES))
            self._flash.program(address + RETIRED_AT, SET)
        except FlashFault:
            pass  # it is worn; until the next checkpoint a boot finds that out anew

    def _note_retired(self, sector: int) -> None:
        if len(self.retired) < min(RETIRED_MAX, self._flash.sectors - LIVE_MIN):
            self.retired.append(sector)
        else:
            self.worn_out = True

    def _holds_unsent(self, sector: int, use: "Any") -> bool:
        """A sector without a header holds an entry that waits: rot took the header, or the ring does not know itself."""
        if use is not None:
            return False
        oldest = self._use_of(self.tail)
        slot = Slot(self._flash)
        for number in range(1, self.slots):
            if slot.load(sector * self._flash.sector_bytes + number * SLOT_BYTES) and not slot.is_done():
                if oldest is None or slot.seq >= oldest.first_seq:
                    return True
        return False


def last(first: int, count: int, step: int, test: "Callable[[int], bool | None]") -> int:
    """Of `count` generations from `first` on, each `step` further, the last one that test holds for, by halving.

    test is True up to some generation and False beyond it; None where a sector tells nothing, then the one before it
    is asked, at most HOLES_MAX of them: behind so many nothing was ever used. For `first` it holds.
    """
    found = low = 0  # from `found` to `low` are only holes
    high = count  # from here on it does not hold
    width = 1  # strides that double, since what is looked for is often near
    while high - low > 1:
        middle = min(low + width, (low + high) // 2)
        width *= 2
        at = middle
        said = test(first + step * at)
        while said is None and at - 1 > low and middle - at < HOLES_MAX - 1:
            at -= 1
            said = test(first + step * at)
        if said:
            found = at
            low = middle
        elif said is None and at - 1 == low:
            low = middle
        else:
            high = at
    return first + step * found


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


def _require_blank(flash: "Flash", slots: int) -> None:
    """No sector is in use. Raises ForeignFlash unless nothing can be lost by beginning a journal here.

    That is: every byte FF, but for the header of sector 0, where a first beginning may have been cut short;
    then its first bytes are FORMAT's magic with some zero bits not yet programmed.
    """
    slot = bytearray(SLOT_BYTES)
    for number in range(flash.sectors * slots):
        flash.read_into(number * SLOT_BYTES, slot)
        if slot == _BLANK_SLOT:
            continue
        if number or not may_become(slot, MAGIC) or not is_blank(memoryview(slot)[DRAINED_AT:]):
            raise ForeignFlash(
                "neither blank nor a journal (sector %d): name another flash area, or erase this one"
                % (number // slots)
            )
