"""Every write point of an operation is cut, and every write point of the recovery from that; then the books are read.

An operation is a Story. `sweep` boots it, lets the power fail after `cut` units of work, boots again, lets the power
fail after `again` units of that, boots a last time and checks. Units are those of support/nor.py. Torn cells waver,
from a seed; a failure is a Wrong that names story, seed, cut and again, and `replay` runs just that pair.

What must hold is said by a Ledger: a plain account of what passengers, back office and driver were told, which outlives
each power cut.
"""

from support import sets
from support.manual_clock import ManualClock
from support.nor import BACKWARD, FORWARD, Faults, NorFlash, PowerCut
from support.taps import fields
from tunion.fare.flat import FlatFare
from tunion.wire import tap as wire
from validator.journal import Journal
from validator.params import Params, sectors_needed
from validator.ports import FlashFault
from validator.ring import JournalFull
from validator.rules import Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TAC = b"\x62\x4a\x55\x80"
EPOCH = 0xC0FFEE01
BATCH = 5  # entries of an upload; small, so that the journal is read in several goes
ROUNDS_MAX = 1000  # of anything that must come to an end
UNITS_MAX = 1000000  # of one operation
TURNS_ONE_IN = 16  # so many runs end with a whole turn of the ring, the others with one more sector: it takes its time


class Wrong(Exception):
    """The books do not agree after power cuts. The message replays it."""


class Story:
    """One operation on one flash. A subclass says how it starts, what it does, and what must hold.

    start     (flash, ledger) before the operation
    recover   boot, and what the validator then does by itself
    act       the operation, after `recover`; tells the ledger what others were told
    settle    bring everything to its end, with power
    check     after `settle`: raises Wrong

    `seen` is what the recovered validator answers; it must answer the same after one more boot.
    """

    name = ""

    def __init__(self, flash: NorFlash, ledger: "Any") -> None:
        self.flash = flash
        self.ledger = ledger
        self.clock = ManualClock()

    def fork(self) -> "Any":
        """The same moment, to be continued otherwise."""
        return type(self)(self.flash.twin(), self.ledger.twin())

    def boot_until(self, cut: "int | None", work: "Callable[[], None]") -> bool:
        """Power comes, `work` is done, power goes after `cut` units. False if it went too early."""
        self.flash = self.flash.rebooted(cut)
        try:
            work()
        except PowerCut:
            return False
        return True

    def recover_and_act(self) -> None:
        self.recover()
        self.act()

    def finish(self) -> None:
        """The last boot: nothing fails any more."""
        self.boot_until(None, self.recover)
        seen = self.seen()
        self.boot_until(None, self.recover)
        if self.seen() != seen:
            raise Wrong("after one more boot it answers %r, before %r" % (self.seen(), seen))
        self.settle()
        self.check()

    if TYPE_CHECKING:

        def recover(self) -> None: ...

        def act(self) -> None: ...

        def settle(self) -> None: ...

        def check(self) -> None: ...

        def seen(self) -> "Any": ...


class Result:
    """What a sweep did."""

    def __init__(self) -> None:
        self.cuts = 0  # of the operation
        self.pairs = 0  # with a cut of its recovery


def sweep(
    story: "Any",
    seed: int,
    stride: int = 1,
    again_stride: int = 1,
    part: int = 0,
    parts: int = 1,
) -> Result:
    """Cut at each `stride`-th unit, and each recovery at each `again_stride`-th. Raises Wrong.

    The last unit of a program or erase is never left out: there a record may read whole and be torn the next time.
    part, parts   each `parts`-th cut, from `part` on, for several processes
    """
    start = prepared(story, seed)
    done = Result()
    for cut in _cuts(start, stride, 0, True)[part::parts]:
        torn = start.fork()
        over = _run(torn, seed, cut, None, torn.recover_and_act)
        _last(torn.fork(), seed, cut, None)
        if over:
            break
        done.cuts += 1
        for again in _cuts(torn, again_stride, cut, False):
            twice = torn.fork()
            if _run(twice, seed, cut, again, twice.recover):
                break
            _last(twice, seed, cut, again)
            done.pairs += 1
    return done


def _cuts(story: "Any", stride: int, first: int, act: bool) -> "list[int]":
    """Where to cut: each `stride`-th unit, the last unit of each program and erase, and once after all of them."""
    whole = story.fork()
    whole.boot_until(None, whole.recover_and_act if act else whole.recover)
    units, ends = whole.flash.units, whole.flash.ends
    if stride > 1 and not act:
        ends = ends[first % 3 :: 3]
    return sorted(set(range(first % stride, units, stride)) | set([end - 1 for end in ends])) + [UNITS_MAX]


def replay(story: "Any", seed: int, cut: int, again: "int | None") -> None:
    """One pair of a sweep. Raises Wrong if it still fails."""
    torn = prepared(story, seed)
    _run(torn, seed, cut, None, torn.recover_and_act)
    if again is not None:
        _run(torn, seed, cut, again, torn.recover)
    _last(torn, seed, cut, again)


def prepared(story: "Any", seed: int) -> "Any":
    """The story before its operation, with power off."""
    flash, ledger = story.start(Faults(seed, pages=seed % 2 == 1), BACKWARD if seed % 4 > 1 else FORWARD)
    return story(flash, ledger)


def _run(story: "Any", seed: int, cut: int, again: "int | None", work: "Callable[[], None]") -> bool:
    story.flash.faults.chance.state = (seed * 7919 + cut * 65539 + (0 if again is None else again + 1)) & 0xFFFFFFFF
    try:
        return bool(story.boot_until(cut if again is None else again, work))
    except Exception as error:
        raise _named(story, seed, cut, again, error)


def _last(story: "Any", seed: int, cut: int, again: "int | None") -> None:
    try:
        story.finish()
    except Exception as error:
        raise _named(story, seed, cut, again, error)


def _named(story: "Any", seed: int, cut: int, again: "int | None", error: Exception) -> Wrong:
    return Wrong(
        "--only %s --seed %d --cut %d%s: %s %s"
        % (
            story.name,
            seed,
            cut,
            "" if again is None else " --again %d" % again,
            "" if isinstance(error, Wrong) else type(error).__name__,
            error,
        )
    )


# -- the journal ------------------------------------------------------------------------------------------------

TRIED = 0  # the claim was begun: the entry may be missing
CLAIMED = 1  # durable: it is there, whatever becomes of the debit
SETTLED = 2  # the passenger was let in: it is there with its proof


class Ledger:
    """What passengers and back office know. Taps by the number of their card, which is another one each time."""

    def __init__(self) -> None:
        self.taps: dict[int, int] = {}  # number -> TRIED, CLAIMED, SETTLED
        self.events: dict[int, int] = {}  # value -> TRIED, CLAIMED
        self.stored: dict[int, bytes] = {}  # the back office: seq -> entry

    def twin(self) -> "Ledger":
        other = Ledger()
        other.taps = dict(self.taps)
        other.events = dict(self.events)
        other.stored = dict(self.stored)
        return other

    def store(self, batch: "list[tuple[int, bytes]]") -> "list[list[int]]":
        """As the back office does: by seq, once. Returns the ranges to be acknowledged."""
        for seq, entry in batch:
            if self.stored.setdefault(seq, entry) != entry:
                raise Wrong("entry %d was stored and now comes with other bytes" % seq)
        return [[seq, seq] for seq, _ in batch]

    def check(self) -> None:
        """Everything is stored: each tap and event that is told of exactly once, and no other."""
        for seq in range(1, len(self.stored) + 1):
            if seq not in self.stored:
                raise Wrong("the sequence has gaps: %d is missing" % seq)
        taps: dict[int, int] = {}  # number -> seq
        events: list[int] = []
        outcomes: dict[int, int] = {}  # seq -> code, the last one
        for seq in sorted(self.stored):
            body, outcome = wire.from_wire(self.stored[seq])
            if body.kind == wire.TAP:
                number = body.terminal_seq
                if number in taps or number not in self.taps:
                    raise Wrong("tap %d is stored twice, or nobody made it" % number)
                if body.card != fields(number)["card"]:
                    raise Wrong("tap %d has another card's number" % number)
                taps[number] = seq
                outcomes[seq] = outcome.code
            elif body.kind == wire.EVENT and body.code == wire.BOOT:  # others are the journal's own words
                if body.value in events or body.value not in self.events:
                    raise Wrong("event %d is stored twice, or nobody made it" % body.value)
                events.append(body.value)
            elif body.kind == wire.AMEND and body.of_seq not in outcomes:
                raise Wrong("entry %d amends what is no tap" % seq)
            elif body.kind == wire.AMEND:
                outcomes[body.of_seq] = outcome.code
        for number in self.taps:
            state = self.taps[number]
            if state != TRIED and number not in taps:
                raise Wrong("tap %d is lost" % number)
            if state == SETTLED and outcomes[taps[number]] not in (wire.SETTLED, wire.PROVED):
                raise Wrong("tap %d lost its proof" % number)
        for value in self.events:
            if self.events[value] == CLAIMED and value not in events:
                raise Wrong("event %d is lost" % value)


class JournalStory(Story):
    """The journal on a small ring: 7 entries a sector."""

    sectors = 6

    @classmethod
    def start(cls, faults: Faults, erase_order: "Any") -> "tuple[NorFlash, Ledger]":
        flash = NorFlash(cls.sectors, erase_order=erase_order, faults=faults)
        story = cls(flash, Ledger())
        story.boot_until(None, story.recover)
        story.prepare()
        return story.flash, story.ledger

    def recover(self) -> None:
        self.journal = Journal(self.flash, self.clock, lambda: EPOCH)
        self.idle()

    def idle(self) -> None:
        for _ in range(ROUNDS_MAX):
            if not self.journal.idle():
                return
        raise Wrong("idle has always more to do")

    def prepare(self) -> None:
        """From an empty journal to where the operation starts."""

    def seen(self) -> "Any":
        """Epoch, last sequence, open claims, and (seq, kind, outcome) of what the back office does not have yet.

        What it has may be sent again or not: that is for a torn mark to say.
        """
        waiting = []
        for seq, entry in self.journal.pending(ROUNDS_MAX, 1000000):
            if seq not in self.ledger.stored:
                body, outcome = wire.from_wire(entry)
                waiting.append((seq, body.kind, outcome and outcome.code))
        claims = [(claim.seq, claim.grey) for claim in self.journal.open_claims()]
        return self.journal.epoch, self.journal.seq, claims, waiting

    def settle(self) -> None:
        """The cards never come back; everything is uploaded; then the ring goes on."""
        for claim in self.journal.open_claims():
            claim.give_up()
        self.upload()
        self.idle()
        rounds = self.sectors if self.flash.faults.chance.below(TURNS_ONE_IN) == 0 else 1
        for _ in range(2 * rounds):
            for _ in range(4):
                self.tap()
            self.upload()
            self.idle()

    def check(self) -> None:
        self.ledger.check()
        if self.journal.waiting:
            raise Wrong("%d entries wait after everything was acknowledged" % self.journal.waiting)

    def upload(self) -> None:
        for _ in range(ROUNDS_MAX):
            batch = self.journal.pending(BATCH, 1000000)
            if not batch:
                return
            self.journal.ack(self.ledger.store(batch))
        raise Wrong("the upload has no end")

    def tap(self, settles: bool = True) -> "Any":
        """One ride; its claim."""
        taps = self.ledger.taps
        number = len(taps) + 1
        taps[number] = TRIED
        try:
            claim = self.journal.claim(**fields(number, terminal_seq=number))
        except JournalFull:
            del taps[number]  # refused by name: nothing was written
            raise
        taps[number] = CLAIMED
        if settles:
            claim.settle(TAC, wire.MAC2_OK)
            taps[number] = SETTLED
        return claim

    def event(self) -> None:
        value = len(self.ledger.events) + 1
        self.ledger.events[value] = TRIED
        self.journal.event(wire.BOOT, value=value)
        self.ledger.events[value] = CLAIMED


class Tap(JournalStory):
    """A tap in the last slot of a sector, one in a new sector, an event, a torn card that proves itself later."""

    name = "tap"

    def prepare(self) -> None:
        for _ in range(6):
            self.tap()

    def act(self) -> None:
        self.tap()
        self.tap()
        self.event()
        number = len(self.ledger.taps) + 1
        claim = self.tap(settles=False)
        claim.give_up()
        claim.prove(TAC, wire.MAC2_UNCHECKED)
        self.ledger.taps[number] = SETTLED


class Open(JournalStory):
    """Claims without outcome, from before a boot: one is proved by its card, one voided, one given up and proved."""

    name = "open"

    def prepare(self) -> None:
        for _ in range(3):
            self.tap(settles=False)
        self.tap()

    def act(self) -> None:
        """A card that was told of its proof has it in the books; what was cut short may have either outcome."""
        claims = self.journal.open_claims()
        outcomes = (
            lambda claim: claim.prove(TAC, wire.MAC2_UNCHECKED),
            lambda claim: claim.void(0),
            lambda claim: claim.give_up(),
        )
        for i in range(len(claims)):
            outcomes[i](claims[i])
            if i == 0:
                self.ledger.taps[1] = SETTLED
        claims[2].prove(TAC, wire.MAC2_UNCHECKED)
        self.ledger.taps[3] = SETTLED


class Ack(JournalStory):
    """What two sectors hold is acknowledged, in the back office's ranges; an open claim stays between them."""

    name = "ack"

    def prepare(self) -> None:
        for number in range(16):
            self.tap(settles=number != 4)
            self.idle()

    def act(self) -> None:
        batch = self.journal.pending(12, 1000000)
        self.ledger.store(batch)
        self.journal.ack([[1, 4], [6, 12]])
        self.journal.reject([13])


class Collect(JournalStory):
    """Idle time after a full ring was acknowledged: sectors are let go, erased, made ready; then a tap."""

    name = "gc"

    def prepare(self) -> None:
        """The spares are used up, everything but the newest sector is acknowledged, nothing is erased yet."""
        for _ in range(7 * 6):
            self.idle()
            self.tap()
            self.upload()
        while True:
            try:
                self.tap()
            except JournalFull:
                break
        self.upload()

    def act(self) -> None:
        self.tap()


class Birth(JournalStory):
    """The first boot on a blank chip, and a first tap."""

    name = "birth"

    @classmethod
    def start(cls, faults: Faults, erase_order: "Any") -> "tuple[NorFlash, Ledger]":
        return NorFlash(cls.sectors, erase_order=erase_order, faults=faults), Ledger()

    def act(self) -> None:
        self.tap()


# -- a flash that wears out -------------------------------------------------------------------------------------

ENDURANCE = 15  # erases: a life in a second
REFUSALS_MAX = 6  # in a row: nothing can be written any more
STICKS_ONE_IN = 15  # rounds in which one more bit, anywhere, sticks
_IDLE_UNITS = 900  # more than the work between two uploads


class Life:
    """What a flash did until it was worn out."""

    def __init__(self) -> None:
        self.rounds = 0
        self.boots = 0
        self.faults = 0
        self.taps = 0


def wear_out(seed: int, mode: int, sticks: bool) -> Life:
    """Ride and upload, with power cuts at random, until the flash takes nothing more. Then the books are read.

    mode, sticks   SILENT or LOUD; whether single bits stick as well, at 0 or 1
    raises         Wrong, naming the seed
    """
    faults = Faults(seed, pages=seed % 2 == 1, endurance=ENDURANCE, mode=mode)
    chance = faults.chance
    story = Tap(*Tap.start(faults, FORWARD))
    story.boot_until(None, story.recover)
    life = Life()
    refused = 0
    try:
        while refused < REFUSALS_MAX and life.rounds < ROUNDS_MAX:
            life.rounds += 1
            if sticks and chance.below(STICKS_ONE_IN) == 0:
                faults.stick(chance.below(len(story.flash.cells)), 1 << chance.below(8), chance.below(2))
            story.flash.cut_after = None if chance.below(3) else chance.below(_IDLE_UNITS)
            try:
                story.upload()
                story.idle()
                for _ in range(1 + chance.below(3)):
                    story.tap()
                refused = 0
                continue
            except PowerCut:
                life.boots += 1
                refused = 0
            except JournalFull:
                refused += 1
            except FlashFault:
                life.faults += 1
                refused += 1
            while not story.boot_until(chance.below(_IDLE_UNITS) if chance.below(2) else None, story.recover):
                life.boots += 1
        story.boot_until(None, story.recover)
        for claim in story.journal.open_claims():
            claim.give_up()
        story.upload()
        story.ledger.check()
    except Exception as error:
        raise Wrong("wear_out(%d, %d, %r), round %d: %r" % (seed, mode, sticks, life.rounds, error))
    life.taps = len(story.ledger.taps)
    return life


# -- parameter banks --------------------------------------------------------------------------------------------

LATER_S = sets.EFFECTIVE_S + 1000
SECTOR_BYTES = 1024
OLD, NEW = 2, 3
BLOBS: "dict[int, bytes]" = {}  # made when first asked for: signing takes its time
RULES_0 = Rules(0, FlatFare(1, 1, 200, {}), [sets.HOME], [], 500000, False, 14400, False, 5, None)


def price_fen(version: int) -> int:
    return 200 + 50 * version


def blob_of(version: int) -> bytes:
    if version not in BLOBS:
        BLOBS[version] = sets.sealed(sets.payload(version, fare_fen=price_fen(version)))
    return BLOBS[version]


class Notes:
    """The journal, as far as parameters need it."""

    def event(self, code: int, reason: int = 0, card: "bytes | None" = None, value: int = 0) -> None:
        pass


class Force:
    """What the driver saw: the highest version that was in force, never left again."""

    def __init__(self, version: int) -> None:
        self.version = version

    def twin(self) -> "Force":
        return Force(self.version)


class ParamsStory(Story):
    """Version 2 has served, the other bank holds something old, 3 is on its way."""

    @classmethod
    def start(cls, faults: Faults, erase_order: "Any") -> "tuple[NorFlash, Force]":
        flash = NorFlash(sectors=1, sector_bytes=SECTOR_BYTES)
        flash = NorFlash(sectors_needed(flash), SECTOR_BYTES, erase_order=erase_order, faults=faults)
        story = cls(flash, Force(0))
        story.boot()
        story.work(OLD)
        story.clock.advance_ms(1000 * (LATER_S - story.clock.now_s()))
        story.params.step()
        story.params.step()
        story.params.card_came()
        story.params.card_paid()
        story.ledger.version = story.params.version
        story.prepare()
        return story.flash, story.ledger

    def __init__(self, flash: NorFlash, ledger: Force) -> None:
        Story.__init__(self, flash, ledger)
        self.clock.advance_ms(1000 * (sets.CREATED_S - self.clock.now_s()))

    def boot(self) -> None:
        self.params = Params(self.flash, RULES_0, sets.SCOPE, [sets.SIGNER.key], Notes(), self.clock)

    if TYPE_CHECKING:

        def prepare(self) -> None: ...

    def recover(self) -> None:
        self.boot()
        self.in_force()

    def in_force(self) -> None:
        """The version in force is whole, one of the two, and no older than one before."""
        version = self.params.version
        if version not in (OLD, NEW) or version < self.ledger.version:
            raise Wrong("version %d is in force, %d was" % (version, self.ledger.version))
        if self.params.rules.fare.price(1).amount_fen != price_fen(version):
            raise Wrong("version %d with another one's price" % version)
        self.ledger.version = version

    def work(self, version: int, steps: int = ROUNDS_MAX) -> None:
        """As the download does: choose, begin, feed, step."""
        blob = blob_of(version)
        chosen = self.params.choose([sets.entry(version, blob)])
        if chosen is not None:
            self.params.begin(chosen)
        for _ in range(steps):
            if self.params.staged_version == version or self.params.version == version:
                return
            offset = self.params.next_offset()
            if offset >= 0:
                self.params.feed(blob[offset : offset + 2048])
            self.params.step()

    def seen(self) -> "Any":
        return self.params.version, self.params.staged_version, self.params.next_offset()

    def settle(self) -> None:
        self.work(NEW)
        self.clock.advance_ms(1000 * max(0, LATER_S - self.clock.now_s()))
        for _ in range(3):
            self.params.step()
        self.params.card_came()
        self.params.card_paid()
        self.recover()

    def check(self) -> None:
        if self.params.version != NEW:
            raise Wrong("version %d in the end" % self.params.version)


class Stage(ParamsStory):
    """A bank is voided, erased and filled with the new set, up to its last mark."""

    name = "stage"

    def prepare(self) -> None:
        self.work(9, steps=6)

    def act(self) -> None:
        params = self.params
        blob = blob_of(NEW)
        params.begin(params.choose([sets.entry(NEW, blob)]))
        while params.is_staging:
            offset = params.next_offset()
            if offset >= 0:
                params.feed(blob[offset : offset + 2048])
            params.step()

    def recover(self) -> None:
        """Boot, and go on for two chunks."""
        ParamsStory.recover(self)
        self.work(NEW, steps=2)

    def seen(self) -> "Any":
        return self.params.version


class Activate(ParamsStory):
    """A proven set becomes active, is told, and serves a card."""

    name = "params"

    def prepare(self) -> None:
        self.work(NEW)

    def act(self) -> None:
        self.clock.advance_ms(1000 * (LATER_S - self.clock.now_s()))
        self.params.step()
        self.in_force()
        self.params.step()
        for _ in range(3):
            self.params.card_came()
        self.params.card_paid()


# Another durable part adds its stories here; `python -m simulator.rig.cuts` and test_cuts.py run all of them.
STORIES = {story.name: story for story in (Birth, Tap, Open, Ack, Collect, Stage, Activate)}
