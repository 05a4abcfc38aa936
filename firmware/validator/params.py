"""The parameters in force: two banks on raw flash, one pointer, and the provisioning file as bank zero.

A set is staged in the idle bank, checked, and becomes active at its time, all between taps and in small steps. What is
active stays so until the pointer's next entry is whole; the bank before stays until a card has paid under the new one.
Format and reasons: firmware/docs/params.md.
"""

from hashlib import sha256

from tunion import cose_sign1
from tunion.compat import const
from tunion.crypto.p256 import BadSignature, Verification
from tunion.record import BadInput
from tunion.wire import manifest
from tunion.wire import params as wire
from tunion.wire.limits import SET_BYTES
from tunion.wire.refused import (
    BAD_CONTENT,
    BAD_HASH,
    BAD_SIGNATURE,
    DOWNGRADE,
    EXPIRED,
    FOREIGN_SCOPE,
    TAKES_NO_CARD,
    UNREADABLE,
    Refused,
)
from tunion.wire.tap import PARAMS_ACTIVE, PARAMS_REFUSED, as_value
from validator import pointer, rides
from validator.bank import Bank, sectors_of
from validator.pointer import TRIALS_MAX, Pointer
from validator.ring import JournalFull
from validator.rules import Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from typing import Any

    from validator.journal import Journal
    from validator.ports import Clock, Flash
    from validator.rides.site import Site
    from validator.settings import ParamsArea

ROUNDS_A_STEP = const(4)  # of a signature's 257: some 50 ms on a board, so that a card is noticed at once
HASH_STEP_BYTES = const(4096)
FETCHES_MAX = const(3)  # of one blob whose hash comes out wrong, until the next boot: a gateway that spoils it stays so

_CLOCK_UNKNOWN = const(0)
_PROVISIONED = const(0)  # as a bank


def sectors_needed(flash: "Flash | ParamsArea", set_bytes_max: int = SET_BYTES) -> int:
    """Of a flash with such sectors: the pointer's two and both banks."""
    return pointer.SECTORS + 2 * sectors_of(flash, set_bytes_max)


class Params:
    """`rules` are in force; they change in `mount` and `step` only. `version` is the set's, 0 the provisioned one.

    Raises FlashFault from any method that writes: `mount` before the next call.
    """

    def __init__(
        self,
        flash: "Flash",
        zero: Rules,
        scope: str,
        keys: "Sequence[bytes]",
        journal: "Journal",
        clock: "Clock",
        site: "Site | None" = None,
        set_bytes_max: int = SET_BYTES,
    ) -> None:
        """keys: those of the office, 65 bytes each; two while one is replaced.

        site           of a terminal that charges more than flat fares; None: tariffs are refused
        set_bytes_max  that a bank holds; larger sets are refused
        """
        self._site = site
        self._set_bytes_max = set_bytes_max
        self._zero = zero
        self._scope = scope
        self._keys = keys
        self._journal = journal
        self._clock = clock
        per_bank = sectors_of(flash, set_bytes_max)
        self._pointer = Pointer(flash, 0)
        self._banks = {1 + i: Bank(flash, pointer.SECTORS + i * per_bank, set_bytes_max) for i in range(2)}
        self._told_of: dict[int, int] = {}  # reason -> version, of what was refused before it was fetched
        self._spoilt: dict[bytes, int] = {}  # hash -> how often the blob came with another one
        self._start()

    def mount(self) -> None:
        """Read the flash again, after a FlashFault."""
        self._pointer.mount()
        for bank in self._banks.values():
            bank.mount()
        self._start()

    def _start(self) -> None:
        self._settle()
        self.rules = self._zero
        self._resume()

    def _settle(self) -> None:
        """The pointer is what it is now: find the bank to stage in, with nothing under way."""
        self._idle = self._find_idle()
        self._wanted: Any = None  # manifest entry being staged
        self._erasing = False
        self._piece = b""  # of the blob, still to be programmed
        self._checks: Iterator[None] | None = None  # of the idle bank: of a whole blob, or before it is in force

    # -- what is in force ---------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """The version in force, 0: as provisioned."""
        version: int = self.rules.version
        return version

    @property
    def staged_version(self) -> int:
        """A proven set that waits for its time, 0: none."""
        bank = self._banks[self._idle]
        return int(bank.header.version) if bank.proven and self._is_candidate(bank) else 0

    def is_intact(self) -> bool:
        """The set in force still reads as it was proven; True where it is the provisioned one. Reads the whole bank."""
        entry = self._pointer.entry
        if not self.version or entry is None:
            return True
        return bool(self._banks[entry.bank].is_intact())

    def card_came(self) -> None:
        """Before each tap."""
        if not self._pointer.served and self._pointer.trials < TRIALS_MAX:
            self._pointer.try_card()

    def card_paid(self) -> None:
        """After a tap that ended in a payment: the set has served."""
        if not self._pointer.served:
            self._pointer.serve()

    # -- the download's side ------------------------------------------------------------------------------------

    def choose(self, entries: "Sequence[Any]") -> "Any":
        """The entry of a manifest to be downloaded now, or gone on with; None: none.

        The lowest version above those that were active comes first: what is effective tomorrow is not given up for
        what is effective next month. The office leaves out what a later version has replaced.
        """
        floor = self._floor()
        for entry in sorted(entries, key=lambda entry: entry.version):
            if entry.kind != manifest.PARAMS or entry.version == floor:
                continue
            if entry.version < floor:
                self._tell_refused(entry.version, DOWNGRADE)
            elif entry.bytes > self._set_bytes_max:
                self._tell_refused(entry.version, wire.TOO_LARGE)
            elif not self._is_hopeless(entry):
                return entry if self._is_wanted(entry) else None
        return None

    def begin(self, entry: "Any") -> None:
        """Stage this blob, from where it was left off. Only for an entry that was chosen."""
        self._wanted = entry
        self._piece = b""
        self._checks = None
        bank = self._banks[self._idle]
        self._erasing = not _is_of(bank, entry)
        if self._erasing:
            bank.void()

    def next_offset(self) -> int:
        """Where the next piece of the blob starts; -1: none is wanted just now."""
        if self._wanted is None or self._erasing or self._piece:
            return -1
        bank = self._banks[self._idle]
        return -1 if bank.is_whole else int(bank.staged)

    def feed(self, piece: bytes) -> None:
        """The bytes from `next_offset` on."""
        self._piece = piece

    @property
    def is_staging(self) -> bool:
        """A blob was begun and is not whole."""
        return self._wanted is not None

    # -- between taps -------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """One small thing, if there is one to do; True where `rules` have changed. Never with a card present."""
        if not self._pointer.told:
            self._tell()
        if not self._pointer.served and self._pointer.trials >= TRIALS_MAX:
            self._fall_back(TAKES_NO_CARD)
            return True
        bank = self._banks[self._idle]
        if self._erasing:
            self._erase(bank)
        elif self._piece:
            self._program(bank)
        elif bank.is_whole and self._is_candidate(bank):
            return self._go_on(bank)
        return False

    def _erase(self, bank: Bank) -> None:
        if bank.erase():
            self._erasing = False
            bank.begin(self._wanted.version, self._wanted.bytes, self._wanted.sha256)

    def _program(self, bank: Bank) -> None:
        count = bank.stage(self._piece)
        self._piece = self._piece[count:] if count else b""  # what is left is no whole chunk: it comes again
        if bank.is_whole:
            self._wanted = None
            self._piece = b""

    def _go_on(self, bank: Bank) -> bool:
        """Go on with what a whole blob waits for: its checks, then its time. True where `rules` have changed."""
        if self._checks is None:
            self._checks = self._activating(bank) if bank.proven else self._checking(bank)
        before = self.rules
        try:
            for _ in self._checks:
                return False
        except Refused as refused:
            self._refuse(bank, refused.why)
        self._checks = None
        return self.rules is not before

    def _checking(self, bank: Bank) -> "Iterator[None]":
        """Every check of a set, a little between two yields. Raises Refused."""
        size = bank.header.bytes
        context = sha256()
        yield from _hashing(bank, context, 0, size)
        if context.digest() != bank.header.sha256:
            raise Refused(BAD_HASH)
        yield
        try:
            name, start, length = cose_sign1.frame(bank.read(0, min(size, cose_sign1.HEAD_BYTES_MAX)), size)
            context = cose_sign1.to_be_signed(length, wire.AAD)
            yield from _hashing(bank, context, start, length)
            tail_at = cose_sign1.tail_at(size)
            signature = cose_sign1.signature(bank.read(tail_at, size - tail_at))
            verification = Verification(cose_sign1.named(name, self._keys), context.digest(), signature)
        except BadSignature:
            raise Refused(BAD_SIGNATURE)
        except BadInput:
            raise Refused(BAD_CONTENT)
        yield
        while not verification.step(ROUNDS_A_STEP):
            yield
        if not verification.good:
            raise Refused(BAD_SIGNATURE)
        yield from self._reading(bank)
        yield
        bank.prove()

    def _activating(self, bank: Bank) -> "Iterator[None]":
        """Wait for a proven set's time, then make it active. Raises Refused."""
        found = yield from self._reading(bank)
        due_s: int = found.effective_at_s
        found = None  # the set in force and this one need not be in RAM together while it waits
        while self._clock.now_s() < due_s or self._clock.quality() == _CLOCK_UNKNOWN:
            yield
        context = sha256()
        yield from _hashing(bank, context, 0, bank.header.bytes)
        if context.digest() != bank.header.sha256:
            raise Refused(UNREADABLE)
        found = yield from self._reading(bank)
        if self._clock.now_s() >= found.expires_at_s:
            raise Refused(EXPIRED)
        bank.make_firm()
        self._pointer.set(self._idle, found.version)
        self._settle()
        self.rules = _rules(found)

    # -- inside -------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """At boot: the rules that the pointer names; where they cannot be read, those before."""
        entry = self._pointer.entry
        if entry is None or entry.bank == _PROVISIONED:
            return
        try:
            self.rules = self._rules_of(entry.bank, entry.version)
        except Refused as refused:
            self._fall_back(refused.why)

    def _rules_of(self, number: int, version: int) -> Rules:
        """Raises Refused where the bank does not hold this version, proven and intact."""
        bank = self._banks[number]
        if not bank.proven or bank.refused or bank.header.version != version:
            raise Refused(UNREADABLE)
        return _rules(self._intact(bank))

    def _intact(self, bank: Bank) -> "Any":
        """The set of a bank whose bytes are what they were. Raises Refused."""
        if not bank.is_intact():
            raise Refused(UNREADABLE)
        steps = self._reading(bank)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    def _reading(self, bank: Bank) -> "Generator[None, None, Any]":
        """The set of a bank, decoded and judged; its grid stays in flash. Raises Refused."""
        size = bank.header.bytes
        try:
            _, start, length = cose_sign1.frame(bank.read(0, min(size, cose_sign1.HEAD_BYTES_MAX)), size)
            if self._site is None:
                found = wire.decode(bank.read(start, min(length, SET_BYTES)))
            else:
                from tunion.window import Window  # here: a bus of flat fares has no use for it

                found = yield from wire.decoding(Window(bank.read_into, start, length), True)
                rides.make(found.fare, self._site, None)
        except BadInput:
            raise Refused(BAD_CONTENT)
        if found.scope != self._scope:
            raise Refused(FOREIGN_SCOPE)
        if found.version != bank.header.version:
            raise Refused(DOWNGRADE if found.version <= self._floor() else BAD_CONTENT)
        return found

    def _fall_back(self, why: int) -> None:
        """Leave the active bank for good: the one before it, else the provisioning file."""
        entry = self._pointer.entry
        number, rules = _PROVISIONED, self._zero
        before = self._banks.get(entry.previous)
        if before is not None and before.header is not None and entry.previous != entry.bank:
            try:
                rules = self._rules_of(entry.previous, before.header.version)
                number = entry.previous
            except Refused:
                pass  # nor can that one be read: the provisioning file is left, and an event tells
        left = self._banks.get(entry.bank)
        if left is not None and left.header is not None:
            left.refuse(why)
        self._pointer.set(number, rules.version, why)
        self._pointer.serve()  # it has, before
        self._settle()
        self.rules = rules

    def _refuse(self, bank: Bank, why: int) -> None:
        """Say so, then mark the bank; a power cut in between says it twice."""
        try:
            self._journal.event(PARAMS_REFUSED, reason=why, value=as_value(bank.header.version))
        except JournalFull:
            return  # the same check comes to the same end later
        if why != BAD_HASH:
            bank.refuse(why)
            return
        self._spoilt[bank.header.sha256] = self._spoilt.get(bank.header.sha256, 0) + 1
        bank.void()

    def _tell(self) -> None:
        """Journal the pointer's newest entry; a power cut may make it two events, never none."""
        entry = self._pointer.entry
        try:
            self._journal.event(PARAMS_ACTIVE, reason=entry.why, value=as_value(entry.version))
        except JournalFull:
            return
        self._pointer.tell()

    def _is_hopeless(self, entry: "Any") -> bool:
        """It will not become active here."""
        if entry.bytes == 0 or self._spoilt.get(entry.sha256, 0) >= FETCHES_MAX:
            return True
        bank = self._banks[self._idle]
        return bool(_is_of(bank, entry) and bank.refused)

    def _is_wanted(self, entry: "Any") -> bool:
        """Its bytes are missing, and there is room: the set before stays until a card has paid under this one."""
        idle = self._idle
        if not self._pointer.served and self._pointer.entry.previous == idle:
            return False
        return not (_is_of(self._banks[idle], entry) and self._banks[idle].is_whole)

    def _tell_refused(self, version: int, why: int) -> None:
        """An older set is offered, or one too large: a manifest played back, or a slip in the office. Once for each."""
        if version == self._told_of.get(why):
            return
        try:
            self._journal.event(PARAMS_REFUSED, reason=why, value=as_value(version))
        except JournalFull:
            return
        self._told_of[why] = version

    def _floor(self) -> int:
        """The highest version that was ever active."""
        entry = self._pointer.entry
        return 0 if entry is None else int(entry.floor)

    def _find_idle(self) -> int:
        """The bank to stage in: not the active one, and with none active the one that has something."""
        active = _PROVISIONED if self._pointer.entry is None else self._pointer.entry.bank
        if active != _PROVISIONED:
            return 3 - int(active)
        return 2 if not self._is_candidate(self._banks[1]) and self._is_candidate(self._banks[2]) else 1

    def _is_candidate(self, bank: Bank) -> bool:
        """It holds a set that may yet become active."""
        return bank.header is not None and not bank.refused and bank.header.version > self._floor()


def _is_of(bank: Bank, entry: "Any") -> bool:
    """The bank is staging, or holds, this blob."""
    header = bank.header
    return header is not None and (header.version, header.bytes, header.sha256) == (
        entry.version,
        entry.bytes,
        entry.sha256,
    )


def _hashing(bank: Bank, context: "Any", offset: int, count: int) -> "Iterator[None]":
    """Bytes of a bank's blob into a SHA-256, some between two yields."""
    while count > HASH_STEP_BYTES:
        bank.hash_into(context, offset, HASH_STEP_BYTES)
        offset += HASH_STEP_BYTES
        count -= HASH_STEP_BYTES
        yield
    bank.hash_into(context, offset, count)


def _rules(found: "Any") -> Rules:
    tunables = found.tunables
    return Rules(
        found.version,
        found.fare,
        found.home_issuers,
        found.issuers,
        tunables["balance_max_fen"],
        bool(tunables["block_denied"]),
        tunables["grey_after_s"],
        bool(tunables["overdraft"]),
        tunables["same_card_s"],
        None,
    )
