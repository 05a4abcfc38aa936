"""One list of a validator: two banks and a pointer, and for the deny list a small area for deltas.

A full list is staged in the idle bank; a delta is staged beside, then merged with the active list into the idle bank.
Either is checked whole before the pointer changes, between taps and in small steps. Which bank is idle does not change
while anything is staged. Format and reasons: firmware/docs/lists.md.
"""

from tunion.compat import const
from tunion.wire import lists as wire
from tunion.wire.refused import BAD_CONTENT, BAD_HASH, DOWNGRADE, EXPIRED, FOREIGN_SCOPE, Refused
from validator import list_bank, list_checks, pointer
from validator.deny_store import Sorted
from validator.list_bank import WHOLE, ListBank, sectors_for
from validator.list_merge import Joining
from validator.list_told import Told
from validator.pointer import Pointer
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from validator.journal import Journal
    from validator.ports import Clock, Flash
    from validator.settings import ListsArea

CHUNKS_A_STEP = const(4)  # two pages: some 1 ms of a NOR flash, and 1 ms of an RP2040
FETCHES_MAX = const(3)  # of one blob whose hash comes out wrong, until the next boot
LEFT_MAX = const(8)  # blobs that are remembered as hopeless, until the next boot

_CLOCK_UNKNOWN = const(0)
_DELTA_CHECKED = const(3)  # as `_checked`, beside the banks' numbers


def sectors_of(flash: "Flash | ListsArea", name: int, count_max: int, delta_max: int) -> int:
    """Of one list with its pointer, both banks, and the delta's area."""
    banks = 2 * sectors_for(flash, count_max * wire.RECORD_BYTES[name])
    return pointer.SECTORS + banks + (sectors_for(flash, delta_max * wire.RECORD_BYTES[name]) if delta_max else 0)


class ListStore:
    """`version` is in force, 0: what the device file says. It changes in `mount` and `step` only.

    Raises FlashFault from any method: `mount` before the next call.
    """

    def __init__(
        self,
        flash: "Flash",
        first_sector: int,
        name: int,
        count_max: int,
        delta_max: int,
        scope: str,
        keys: "Sequence[bytes]",
        old_after_s: int,
        journal: "Journal",
        clock: "Clock",
    ) -> None:
        """name: DENY, CITY or BIN. count_max, delta_max: records that there is room for; 0: no deltas are taken.

        keys: those of the office, 65 bytes each; two while one is replaced. old_after_s: 0: it is never old.
        """
        self._name = name
        self._size = wire.RECORD_BYTES[name]
        self._kind = wire.NAMES[name]
        self._count_max = count_max
        self._delta_max = delta_max
        self._scope = scope
        self._keys = keys
        self._old_after_s = old_after_s
        self._clock = clock
        per_bank = sectors_for(flash, count_max * self._size)
        self._pointer = Pointer(flash, first_sector)
        first = first_sector + pointer.SECTORS
        self._banks = {1 + i: ListBank(flash, first + i * per_bank, per_bank) for i in range(2)}
        self._beside: ListBank | None = None
        if delta_max:
            first += 2 * per_bank
            self._beside = ListBank(flash, first, sectors_for(flash, delta_max * self._size))
        self._sorted = Sorted(flash, self._size, count_max)
        self._told = Told(journal, name)
        self._spoilt: dict[bytes, int] = {}  # blob -> how often it came with another hash
        self._left: list[bytes] = []  # blobs whose head was refused
        self._start()

    def mount(self) -> None:
        """Read the flash again, after a FlashFault."""
        self._pointer.mount()
        for bank in self._banks.values():
            bank.mount()
        if self._beside is not None:
            self._beside.mount()
        self._start()

    def _start(self) -> None:
        self._checked = 0  # bank whose content was found good since the boot
        self.damaged = False  # the active list is not what it was: a full list of the same version is welcome
        self._damage_told = False
        self._audit: Iterator[None] | None = None
        self._settle()

    def _settle(self) -> None:
        """The pointer is what it is now: open the active list, find the idle bank, with nothing under way."""
        self._wanted: Any = None  # manifest entry being staged
        self._into: ListBank | None = None  # where; None: its head is not known yet
        self._head = b""
        self._reading_head: Iterator[Any] | None = None
        self._erasing: ListBank | None = None
        self._begin: dict[str, Any] = {}  # header of what the erased bank will hold
        self._piece = b""
        self._piece_at = 0  # so much of it is in flash
        self._checks: Iterator[None] | None = None
        self._merge: Joining | None = None
        self._active = self._find_active()
        self._idle = self._find_idle()
        header = None if self._active is None else self._active.header
        self._sorted.open(0 if self._active is None else self._active.content_at, 0 if header is None else header.count)
        self._is_filled = header is None

    # -- what is in force ---------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """The version in force, 0: as provisioned."""
        return 0 if self._active is None else int(self._active.header.version)

    @property
    def staged_version(self) -> int:
        """A checked list that waits for its time, 0: none."""
        bank = self._banks[self._idle]
        return int(bank.header.version) if self._checked == self._idle and self._is_candidate(bank) else 0

    @property
    def created_s(self) -> int:
        """When the list in force was made, 0: as provisioned."""
        return 0 if self._active is None else int(self._active.header.created_s)

    @property
    def ram_bytes(self) -> int:
        """What a look-up holds."""
        return self._sorted.ram_bytes

    def find(self, record: bytes) -> bytes:
        """The last record in force that is not above `record`, b"": there is none."""
        return self._sorted.find(record)

    # -- the download's side ------------------------------------------------------------------------------------

    def choose(self, entries: "Sequence[Any]") -> "Any":
        """The entry of a manifest to be downloaded now, or gone on with; None: none.

        Of the highest version the one with the fewest bytes that leads from here to there: a delta of the list in
        force, or the whole list.
        """
        ours = [entry for entry in entries if entry.kind == self._kind]
        newest = max([entry.version for entry in ours]) if ours else 0
        if newest < self._floor():
            if newest:
                self._told.downgrade(newest)
            return None
        if newest == self._floor() and not self.damaged or self._is_pending(newest):
            return None
        found = None
        for entry in ours:
            if entry.version == newest and self._is_of_use(entry) and (found is None or entry.bytes < found.bytes):
                found = entry
        return found

    def begin(self, entry: "Any") -> None:
        """Stage this blob, from where it was left off. Only for an entry that was chosen."""
        if self._wanted is not None and self._wanted.sha256 == entry.sha256:
            self._piece = b""
            return
        self._wanted = entry
        self._head = b""
        self._piece = b""
        self._reading_head = None
        self._into = None
        self._erasing = None
        bank = self._bank_for(entry.base)
        if bank.holds(entry.sha256):
            self._into = bank
            if bank.is_whole:
                self._wanted = None

    def next_offset(self) -> int:
        """Where the next piece of the blob starts; -1: none is wanted just now."""
        if self._wanted is None or self._erasing is not None or self._piece or self._head:
            return -1
        if self._into is None:
            return 0
        return -1 if self._into.is_whole else wire.HEAD_BYTES + self._into.staged

    def feed(self, piece: bytes) -> None:
        """The bytes from `next_offset` on."""
        if self._into is None:
            self._head = piece[: wire.HEAD_BYTES]  # the rest comes again, once the head is known to be good
        else:
            self._piece = piece
            self._piece_at = 0

    @property
    def is_staging(self) -> bool:
        """A blob was begun and is not whole."""
        return self._wanted is not None

    # -- between taps -------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """One small thing, if there is one to do; True where another list is in force. Never with a card present."""
        if self._pointer.entry is not None and not self._pointer.told:
            self._told.active(self._pointer)
        if self.damaged and not self._damage_told:
            self._damage_told = self._told.damage(self._pointer.entry.version)
        if not self._is_filled:
            self._is_filled = self._sorted.fill()
        elif self._erasing is not None:
            self._erase(self._erasing)
        elif self._head:
            self._read_head()
        elif self._piece:
            self._program()
        elif self._is_candidate(self._banks[self._idle]):
            return self._go_on_with(self._banks[self._idle])
        elif self._is_delta_due():
            self._go_on_with_delta()
        elif self._active is not None:
            self._watch(self._active)
        return False

    # -- the head -----------------------------------------------------------------------------------------------

    def _read_head(self) -> None:
        """Go on with the head's signature; then it is known where the content goes."""
        if self._reading_head is None:
            self._reading_head = list_checks.head_of(self._head, self._keys)
        try:
            for head in self._reading_head:
                if head is None:
                    return
                self._judge(head)
                self._prepare(head)
        except Refused as refused:
            self._told.refusal(refused.why, self._wanted.version)
            self._leave(self._wanted.sha256)
            self._wanted = None
        except JournalFull:
            return
        self._head = b""
        self._reading_head = None

    def _judge(self, head: "Any") -> None:
        """Raises Refused for a head that is signed and still not for here."""
        entry = self._wanted
        if head.scope != self._scope:
            raise Refused(FOREIGN_SCOPE)
        if head.version < self._floor() or head.version == self._floor() and not self.damaged:
            raise Refused(DOWNGRADE)
        said = (head.name, head.version, head.base, wire.HEAD_BYTES + wire.content_bytes(head))
        if said != (self._name, entry.version, entry.base, entry.bytes):
            raise Refused(BAD_CONTENT)
        if head.base and (head.base != self.version or self.damaged):
            raise Refused(wire.WRONG_BASE)
        room = self._delta_max if head.base else self._count_max
        if head.removed + head.added > room or head.result_count > self._count_max:
            raise Refused(wire.TOO_MANY)

    def _prepare(self, head: "Any") -> None:
        """Erase the bank that the content goes to."""
        self._into = self._bank_for(head.base)
        self._checks = None
        self._merge = None
        if self._into is not self._beside:
            self._checked = 0
        self._erase_for(self._into, list_bank.fields_for(head, self._wanted.sha256))

    def _erase_for(self, bank: ListBank, header: "dict[str, Any]") -> None:
        self._begin = header
        self._erasing = bank
        bank.void(header["count"] * self._size)

    def _erase(self, bank: ListBank) -> None:
        if bank.erase():
            self._erasing = None
            bank.begin(**self._begin)

    # -- the content --------------------------------------------------------------------------------------------

    def _program(self) -> None:
        """A little of the piece at hand."""
        bank = self._into
        assert bank is not None
        view = memoryview(self._piece)
        for _ in range(CHUNKS_A_STEP):
            count = bank.stage(view, self._piece_at)
            if count < 0:
                self._start_again(bank)
                return
            self._piece_at += count
            if not count or self._piece_at == len(view):
                self._piece = b""  # what is left is no whole chunk: it comes again
                break
        if bank.is_whole:
            self._wanted = None
            self._into = None
            self._piece = b""

    def _start_again(self, bank: ListBank) -> None:
        """What lies in the flash cannot become what came now: one of the two is spoilt."""
        header = bank.header
        self._piece = b""
        self._merge = None
        self._erase_for(bank, {name: getattr(header, name) for name in list_bank.VARYING})

    def _go_on_with(self, bank: ListBank) -> bool:
        """A whole list in the idle bank: check it, then make it active at its time; True then."""
        if self._checked != self._idle:
            self._check(bank, self._idle)
            return False
        now_s = self._clock.now_s()
        header = bank.header
        if now_s < header.effective_at_s or self._clock.quality() == _CLOCK_UNKNOWN:
            if self._active is not None and self.is_old():
                self._told.old(self._active)
            return False
        if now_s >= header.expires_at_s:
            self._refuse(bank, EXPIRED)
            return False
        if not bank.proven:
            bank.prove()
            return False
        self._pointer.set(self._idle, header.version)
        self.damaged = False
        self._audit = None
        self._checked = 0
        self._settle()
        return True

    def _check(self, bank: ListBank, mark: int) -> None:
        """Go on with the checks of a whole content; `_checked` is `mark` when it is good."""
        if self._checks is None:
            self._checks = list_checks.read_through(bank, self._name)
        try:
            for _ in self._checks:
                return
        except Refused as refused:
            self._refuse(bank, refused.why)
        else:
            self._checked = mark
        self._checks = None

    # -- deltas -------------------------------------------------------------------------------------------------

    def _is_delta_due(self) -> bool:
        """A whole delta of the list in force waits to be worked in."""
        bank = self._beside
        if bank is None or not bank.is_whole or bank.refused or self._active is None or self.damaged:
            return False
        return bool(bank.header.base == self.version and bank.header.version > self._floor())

    def _go_on_with_delta(self) -> None:
        """Check it, then merge."""
        delta, idle, active = self._beside, self._banks[self._idle], self._active
        assert delta is not None and active is not None
        if self._checked != _DELTA_CHECKED:
            self._check(delta, _DELTA_CHECKED)
        elif not idle.holds(delta.header.blob) or idle.header.holds != WHOLE:
            self._merge = None
            self._erase_for(idle, list_bank.fields_of_result(delta.header))
        else:
            if self._merge is None:
                self._merge = Joining(active, delta, idle)
            try:
                if not self._merge.step():
                    self._start_again(idle)
            except wire.BadList as problem:
                self._refuse(delta, problem.why)

    # -- inside -------------------------------------------------------------------------------------------------

    def _find_active(self) -> "ListBank | None":
        """The bank in force: the pointer's, else the one before it, else none."""
        entry = self._pointer.entry
        if entry is None:
            return None
        for number in (entry.bank, entry.previous):
            bank = self._banks.get(number)
            if bank is not None and bank.is_whole and bank.proven:
                if number != entry.bank:
                    self.damaged = True
                return bank
        self.damaged = True
        return None

    def _find_idle(self) -> int:
        """The bank to stage in: not the active one, and with none active the one that has something."""
        for number in self._banks:
            if self._banks[number] is self._active:
                return 3 - number
        return 2 if not self._is_candidate(self._banks[1]) and self._is_candidate(self._banks[2]) else 1

    def _is_candidate(self, bank: ListBank) -> bool:
        """It holds a whole list that may yet become active."""
        if not bank.is_whole or bank.refused or bank is self._active:
            return False
        floor = self._floor()
        return bool(bank.header.version > floor or bank.header.version == floor and self.damaged)

    def _is_pending(self, version: int) -> bool:
        """It is here and waits for checks, for the merge, or for its time."""
        bank = self._banks[self._idle]
        if self._is_candidate(bank) and bank.header.version == version:
            return True
        return self._beside is not None and self._is_delta_due() and bool(self._beside.header.version == version)

    def _is_of_use(self, entry: "Any") -> bool:
        """It leads from the list in force to its version."""
        content = entry.bytes - wire.HEAD_BYTES
        if self._spoilt.get(entry.sha256, 0) >= FETCHES_MAX or entry.sha256 in self._left or content < 0:
            return False
        if entry.base and (self._beside is None or entry.base != self.version or self.damaged):
            return False
        if content > (self._delta_max if entry.base else self._count_max) * self._size:
            return False
        bank = self._bank_for(entry.base)
        return not (bank.holds(entry.sha256) and bank.refused)

    def _bank_for(self, base: int) -> ListBank:
        if base:
            assert self._beside is not None, "a delta was chosen where there is no room for one"
            return self._beside
        return self._banks[self._idle]

    def _floor(self) -> int:
        """The highest version that was ever active."""
        entry = self._pointer.entry
        return 0 if entry is None else int(entry.floor)

    def _refuse(self, bank: ListBank, why: int) -> None:
        """Say so, then mark the bank; a power cut in between says it twice."""
        merged = bank is not self._beside and bank.header.base
        if merged and why in (BAD_HASH, wire.UNSORTED):
            why = wire.WRONG_RESULT
        try:
            self._told.refusal(why, bank.header.version)
        except JournalFull:
            return  # the same check comes to the same end later
        self._checked = 0
        self._merge = None
        if why == BAD_HASH:
            blob = bank.header.blob
            self._spoilt[blob] = self._spoilt.get(blob, 0) + 1
            bank.void(0)
            return
        blob = bank.header.blob
        bank.refuse(why)
        if merged and self._beside is not None and self._beside.holds(blob):
            self._beside.refuse(why)
        elif bank is self._beside and self._banks[self._idle].holds(blob):
            self._banks[self._idle].void(0)  # half of a result that will not be

    def _leave(self, blob: bytes) -> None:
        """Its head is no good: not asked for again until the next boot."""
        self._left = self._left[-LEFT_MAX + 1 :] + [blob]

    # -- the list in force, in idle time ------------------------------------------------------------------------

    def _watch(self, bank: ListBank) -> None:
        """Once since the boot: is it still what it was. And now and then: is it old."""
        if self._audit is None:
            self._audit = list_checks.read_through(bank, self._name)
        try:
            for _ in self._audit:
                return
        except Refused:
            self.damaged = True
        self._audit = iter(())
        if self.is_old():
            self._told.old(bank)

    def is_old(self) -> bool:
        """Nothing is refused because a list is old; who may be liable is told."""
        if self._active is None or not self._old_after_s or self._clock.quality() == _CLOCK_UNKNOWN:
            return False
        return self._clock.now_s() - self.created_s > self._old_after_s
