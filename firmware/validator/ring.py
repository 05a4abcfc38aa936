"""The ring of flash sectors below the journal: which are in use, in what order, which may be erased.

Has never heard of a tap. Every byte and why: firmware/docs/journal.md.
Sectors are taken in the order of their numbers, round and round. A sector's generation is its place in that endless
row; modulo the number of sectors it is the sector's number, so the newest and the oldest are found by halving.
"""

from tunion.compat import const
from validator.ports import FlashFault
from validator.sector import DONE_AT, DRAINED_AT, NONE_3, RETIRED_AT, RETIRED_MAX, numbers
from validator.sectors import Sectors
from validator.slot import Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from validator.ports import Flash

SPARE_SECTORS = const(2)  # erased ahead: one to go on in, one should the next be spoilt by a power cut
LIVE_MIN = const(3)  # with fewer sectors that are not retired the flash is worn out
HOLES_MAX = const(12)  # sectors in a row that tell nothing: the retired, the spare, one being erased, one more


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
        self._flash = flash
        self._sectors = Sectors(flash)
        self.slots = self._sectors.slots
        self.retired: list[int] = []
        self.worn: list[int] = []
        self.worn_out = False
        newest = self._find_newest()
        self._sectors.refuse_doubt()
        if newest is None:
            newest = self._begin(self._sectors.require_blank(), new_epoch())
        self.newest = newest
        self.epoch: int = newest.epoch
        self.head: int = newest.generation
        self.checkpoint = self._sectors.make_firm(newest)
        if self.checkpoint is not None:
            self.retired = numbers(self.checkpoint.retired, 2)
        self.tail = last(self.head, min(flash.sectors, self.head - flash.sectors + 1), -1, self._waits)
        self._sectors.refuse_doubt()
        self.ready: list[int] = []
        while len(self.ready) < SPARE_SECTORS and self._confirm_ready():
            pass
        if self.tail > self._sectors.count and self.tail - 1 + self._sectors.count > self.head + SPARE_SECTORS + 1:
            self._keep_lost(self.tail - 1)  # not yet so near that it may be void because it is being erased

    def sector(self, generation: int) -> int:
        """Its number."""
        return generation % self._flash.sectors

    def address(self, generation: int, slot: int) -> int:
        """Where a slot lies."""
        return self._sectors.address(generation, slot)

    def generation_of(self, address: int) -> int:
        """The generation from `tail` on whose sector an address lies in; beyond `head`: in none that is in use."""
        return self.tail + (address // self._flash.sector_bytes - self.tail) % self._flash.sectors

    def in_use(self, first: int, end_seq: int) -> "Iterator[tuple[int, int, int, bool]]":
        """(generation, first seq, seq beyond its last, done) from `first` to `head`, which ends before end_seq."""
        before: tuple[int, int, bool] | None = None
        for generation in range(first, self.head + 1):
            use = self._sectors.use_of(generation)
            if use is None:
                continue
            if before is not None:
                yield before[0], before[1], use.first_seq, before[2]
            before = (generation, use.first_seq, self._sectors.header.is_marked(DONE_AT))
        if before is not None:
            yield before[0], before[1], end_seq, before[2]

    def find(self, seq: int) -> int:
        """The generation in use that holds `seq`, or would. By halving."""

        def begins_before(generation: int) -> "bool | None":
            use = self._sectors.use_of(generation)
            return None if use is None else use.first_seq <= seq

        return last(self.tail, self.head - self.tail + 1, 1, begins_before)

    def live(self) -> int:
        """How many sectors are not retired."""
        return self._flash.sectors - len(self.retired)

    def erases(self) -> int:
        """The highest count of erases that a header told of."""
        return self._sectors.erases

    # -- going on -----------------------------------------------------------------------------------------------

    def take(self, first_seq: int, terminal_seq: int, claims: "list[int]", paid: int) -> None:
        """Make the next erased sector the newest; a worn one is passed over. Raises JournalFull, FlashFault.

        claims, paid   slot numbers for its checkpoint
        """
        while self.ready:
            generation = self.ready.pop(0)
            newest = self._sectors.begin(
                generation, first_seq, terminal_seq, claims, paid, self.retired, self._others()
            )
            if newest is not None:
                self.newest = newest
                self.head = generation
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
        if self._confirm_ready():
            return True
        sector = self.sector(generation)
        sectors = self._sectors
        sectors.doubt = ""
        use = sectors.use(sector)
        undrained = use is not None and not sectors.header.is_marked(DRAINED_AT)
        older = undrained and self.head - sectors.count < use.generation < self.tail
        if use is None and not sectors.doubt and sectors.header.is_marked(RETIRED_AT):
            self._note_retired(sector)
        elif older and self._holds_waiting(sector, 0):
            self.tail = use.generation  # a boot that met rotted headers looked past it
            return False
        elif sectors.doubt or undrained != older or (use is None and self._holds_waiting(sector, self._oldest_seq())):
            self._note_retired(sector)  # whatever this is, it is not ours to erase
            self.worn.append(sector)
        elif sectors.erase(sector, self._others()):
            self.ready.append(generation)
        else:
            self._retire(sector)
        return True

    def drain(self) -> None:
        """Nothing in the tail waits: let it go, `tail` moves on. It is erased when its turn comes."""
        if self.tail == self.head:
            raise ValueError("the newest sector is still written to")
        self._sectors.mark(self.tail, DRAINED_AT)
        self.tail += 1
        while self.tail != self.head and self._sectors.use_of(self.tail) is None:
            self._keep_lost(self.tail)
            self.tail += 1

    def mark_done(self, generation: int) -> None:
        """Nothing in this sector waits, though in one before it something does: pass it over from now on."""
        self._sectors.mark(generation, DONE_AT)

    def is_alive(self, but: int) -> bool:
        """The flash takes programming in another sector than `but`: that one is worn, and not the whole flash gone."""
        return self._sectors.is_alive(but, self._others())

    # -- inside -------------------------------------------------------------------------------------------------

    def _find_newest(self) -> "Any":
        """USE of the newest sector, None where no sector is in use."""
        for sector in range(min(HOLES_MAX, self._flash.sectors)):
            first = self._sectors.use(sector)
            if first is not None:
                self.newest = first
                last(first.generation, self._sectors.count - sector, 1, self._is_taken)
                return self.newest
        newest = None
        for sector in range(self._flash.sectors):
            use = self._sectors.use(sector)
            if use is not None and (newest is None or use.generation > newest.generation):
                newest = use
        return newest

    def _is_taken(self, generation: int) -> "bool | None":
        """The sector was taken in this round already."""
        use = self._sectors.use(self.sector(generation))
        if use is None:
            return None
        if use.generation > generation:
            self._sectors.out_of_order()
        if use.generation == generation > self.newest.generation:
            self.newest = use  # as understood here: a second look may show it otherwise
        return bool(use.generation >= generation)

    def _waits(self, generation: int) -> "bool | None":
        """The sector is not drained."""
        return None if self._sectors.use_of(generation) is None else not self._sectors.header.is_marked(DRAINED_AT)

    def _next_live(self) -> int:
        generation = (self.ready[-1] if self.ready else self.head) + 1
        while self.sector(generation) in self.retired:
            generation += 1
        return generation

    def _confirm_ready(self) -> bool:
        """The next sector is erased already: count it."""
        generation = self._next_live()
        if generation >= self.tail + self._sectors.count or not self._sectors.confirm_ready(generation, self._others()):
            return False
        self.ready.append(generation)
        return True

    def _begin(self, sector: int, epoch: int) -> "Any":
        """A new journal on a blank flash, in a sector where nothing was programmed since that was erased."""
        sectors = self._sectors
        sectors.epoch = epoch
        newest = None
        if sectors.format(sector, 0):
            newest = sectors.begin(sectors.count + sector, 1, 0, [], NONE_3, [], [])
        if newest is None:
            raise FlashFault("sector %d does not hold what is programmed: the flash is worn out, replace it" % sector)
        return newest

    def _others(self) -> "list[int]":
        """Sectors to try, whether the flash takes anything: their first bytes over themselves."""
        return [self.head, self.head + 1, self.head + 2, self.head + 3]

    def _retire(self, sector: int) -> None:
        """Skip a worn sector for ever."""
        self._note_retired(sector)
        self.worn.append(sector)
        self._sectors.retire(sector)

    def _note_retired(self, sector: int) -> None:
        if len(self.retired) < min(RETIRED_MAX, self._sectors.count - LIVE_MIN):
            self.retired.append(sector)
        else:
            self.worn_out = True

    def _keep_lost(self, generation: int) -> None:
        """Where a sector's header rotted and something in it waits, it is retired as it is."""
        sector = self.sector(generation)
        if sector not in self.retired and self._sectors.use(sector) is None and self._holds_waiting(sector, 0):
            self._note_retired(sector)
            self.worn.append(sector)

    def _oldest_seq(self) -> int:
        """Of the first entry in use: an entry before it was answered for."""
        use = self._sectors.use_of(self.tail)
        return 0 if use is None else use.first_seq

    def _holds_waiting(self, sector: int, first_seq: int) -> bool:
        """A sector that is not in use holds an entry that waits all the same, from first_seq on: rot took a header."""
        slot = Slot(self._flash)
        for number in range(1, self.slots):
            if slot.load(self._sectors.address(sector, number)) and not slot.is_done() and slot.seq >= first_seq:
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
