"""A list store with an office beside it, and the sweep that cuts its power wherever it writes."""

from support import card_lists as made
from support import sets
from support.manual_clock import ManualClock
from support.nor import FORWARD, NorFlash, PowerCut
from tunion.wire import lists as wire
from validator.list_update import ListStore, sectors_of
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SECTOR_BYTES = 1024
COUNT_MAX = 600
DELTA_MAX = 200
STEPS_MAX = 20000  # of any piece of work here: more is a livelock


OLD = made.records(range(0, 900, 3))
NEW = made.records([n for n in range(0, 900, 3) if n % 27] + [n for n in range(1, 900, 30)])
NEXT = made.records(range(5, 400))
BLOBS = {
    (3, 0): made.full(3, NEXT),
    (4, 0): made.full(4, OLD),
    (5, 0): made.full(5, NEW),
    (5, 4): made.delta(4, OLD, 5, NEW),
    (6, 0): made.full(6, NEXT),
    (6, 5): made.delta(5, NEW, 6, NEXT),
}
UPDATES = {"list-full": (5, 0), "list-delta": (5, 4)}  # what a sweep does to version 4


class Notes:
    """What a journal would be told: (code, reason, value)."""

    def __init__(self):
        self.events = []
        self.full = False

    def event(self, code, reason=0, card=None, value=0):
        if self.full:
            raise JournalFull("no room")
        self.events.append((code, reason, value))


class Life:
    """`store` over `flash`. Blobs that the office has: version and base -> bytes."""

    def __init__(
        self, name=wire.DENY, count_max=COUNT_MAX, delta_max=DELTA_MAX, blobs=None, erase_order=FORWARD, faults=None
    ):
        self.name = name
        self.count_max = count_max
        self.delta_max = delta_max
        self.blobs = blobs or {}
        self.clock = ManualClock(now_s=made.EFFECTIVE_S + 10)
        self.notes = Notes()
        self.keys = [sets.SIGNER.key]
        self.scope = sets.SCOPE
        self.old_after_s = 48 * 3600
        self.erase_order = erase_order
        self.faults = faults
        bare = NorFlash(sectors=1, sector_bytes=SECTOR_BYTES)
        self.sectors = sectors_of(bare, name, count_max, delta_max)
        self.use(None)

    def use(self, flash):
        """Go on with a copy of this flash, None: a new one."""
        if flash is not None:
            self.flash = flash.twin()
        else:
            self.flash = NorFlash(
                self.sectors, SECTOR_BYTES, erase_order=self.erase_order, faults=self.faults
            )
        return self.boot()

    def kept(self) -> "Any":
        """A copy of the flash as it is, for `use`."""
        return self.flash.twin()

    def boot(self, cut_after=None):
        self.flash = self.flash.rebooted(cut_after)
        self.store = ListStore(
            self.flash, 0, self.name, self.count_max, self.delta_max, self.scope, self.keys, self.old_after_s,
            self.notes, self.clock,
        )
        return self.store

    def offer(self, *versions):
        """Manifest entries of (version, base)."""
        return [made.entry(self.blobs[pair], pair[0], pair[1], self.name) for pair in versions]

    def fetch(self, entries, blobs=None):
        """As the download does, until nothing more happens. Returns the bytes asked for."""
        store = self.store
        chosen = store.choose(entries)
        fetched = 0
        quiet = 0
        if chosen is not None:
            store.begin(chosen)
            blob = (blobs or self.blobs)[chosen.version, chosen.base]
        for _ in range(STEPS_MAX):
            offset = store.next_offset()
            if offset >= 0:
                piece = blob[offset : offset + 2048]
                fetched += len(piece)
                store.feed(piece)
                quiet = 0
            quiet += 1
            if store.step() or quiet > 2500:
                break
            if not store.is_staging and self.is_calm():
                break
        return fetched

    def is_calm(self):
        """Nothing but the audit is left."""
        store = self.store
        return not (
            store.next_offset() >= 0 or store._erasing or store._is_delta_due() or not store._is_filled
            or (store._is_candidate(store._banks[store._idle]) and not store.staged_version)
        )

    def settle(self, entries):
        """Fetch again and again, as the next manifests make it do."""
        for _ in range(8):
            self.fetch(entries)
            self.turns(3)

    def turns(self, count):
        for _ in range(count):
            self.store.step()

    def content(self):
        """The list in force, read through the look-up's own eyes: each record that it finds."""
        if not self.store.version:
            return b""
        bank = self.store._active
        raw = bytearray(bank.content_bytes)
        bank.read_into(0, raw)
        return bytes(raw)


def at_version_4(erase_order: "Any", faults: "Any") -> "Life":
    """A life in which version 4 is in force, and 3 lies in the other bank."""
    life = Life(blobs=BLOBS, erase_order=erase_order, faults=faults)
    life.settle(life.offer((3, 0)))
    life.settle(life.offer((4, 0)))
    return life


def sweep(name, erase_order, faults, stride=1, again_stride=1, phase=0):
    """Cut the power at every `stride`-th point of an update, then again while that is recovered from.

    name      of UPDATES
    returns   how many points there were
    """
    life = at_version_4(erase_order, faults)
    start = life.kept()
    cut = phase
    while cut_at(life, start, name, cut, again_stride)[0]:
        cut += stride
    return cut


def cut_at(
    life: "Life", start: "Any", name: str, cut: int, again_stride: int
) -> "tuple[bool, int]":
    """One point of a sweep, with every `again_stride`-th of its recovery.

    At any boot one of both lists is in force, whole; in the end, with power, the new one is.

    start     the flash before
    returns   False where the update ends before this point; how often the recovery was cut
    """
    entries = life.offer(UPDATES[name])
    allowed = {4: OLD, 5: NEW}
    life.use(start)
    failed = cut_short = _cut_short(life, cut, entries)
    reached = _check(life, allowed)
    torn = life.kept()
    again = cut % again_stride
    pairs = 0
    while failed:
        pairs += 1
        life.use(torn)
        failed = _cut_short(life, again, entries)
        assert _check(life, allowed) >= reached, "cut at %d and %d: an older list came back" % (cut, again)
        again += again_stride
    if cut_short:
        life.use(torn)
    life.settle(entries)
    assert _check(life, allowed) == 5, "cut at %d: the update did not end" % cut
    return cut_short, pairs


def _cut_short(life, cut, entries):
    try:
        life.boot(cut)
        life.settle(entries)
    except PowerCut:
        return True
    return False


def _check(life, allowed):
    """Boot; what is in force is one of `allowed`, whole, and found by the look-up."""
    life.boot()
    version = life.store.version
    assert version in allowed, "version %d is in force" % version
    expected = allowed[version]
    assert life.content() == expected, "version %d is not what was signed" % version
    for at in range(0, len(expected), 370):
        serial = expected[at : at + 10]
        assert life.store.find(serial) == serial
    assert not life.store.damaged
    return version
