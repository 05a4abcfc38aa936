"""What of the journal the back office has not answered for: which entries, how many; marks them when it has.

A boot does not count them: `waiting` is then what the sequence numbers allow at most, and `count` corrects it, one
sector at a time, when there is time. Layout and why: firmware/docs/journal.md.
"""

from tunion.wire import tap as wire
from validator.slot import REJECTED_AT, Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from validator.journal import Journal
    from validator.ports import Flash
    from validator.ring import Ring


class Backlog:
    """Entries from the ring's tail to its head.

    waiting   entries neither acknowledged nor rejected, open claims included; too high until all is counted
    rejected  entries refused by name, as far as they were counted
    """

    def __init__(self, journal: "Journal", flash: "Flash", ring: "Ring", slot: Slot) -> None:
        self._journal = journal
        self._ring = ring
        self._slot = slot
        self.waiting = 0
        self.rejected = 0
        self._count_at = self._count_to = ring.tail  # generations not counted yet
        self._left = -1  # the head before this one, -1: seen to

    def begin(self, waiting: int, rejected: int) -> None:
        """At boot: these are the head's, all before it is still to be counted."""
        self._count_to = self._ring.head
        self.waiting = waiting + self._ring.newest.first_seq - self._first_seq(self._ring.tail)
        self.rejected = rejected

    def begin_anew(self) -> None:
        """The tail moved back: nothing is counted."""
        self._count_at = self._ring.tail
        self._count_to = self._ring.head + 1
        self.waiting = self._journal.seq + 1 - self._first_seq(self._ring.tail)
        self.rejected = 0

    def count(self) -> bool:
        """Count one sector; False when none was left."""
        if self._count_at >= self._count_to:
            return False
        generation, first_seq, end_seq, done = next(self._ring.in_use(self._count_at, self._journal.seq + 1))
        left = 0
        if not done:
            for _ in self._entries(generation, first_seq, end_seq):
                left += not self._slot.is_done()
                self.rejected += self._slot.is_marked(REJECTED_AT)
        self.waiting -= end_seq - first_seq - left
        self._count_at = generation + 1
        return True

    def pending(self, entries_max: int, bytes_max: int) -> "list[tuple[int, bytes]]":
        """(seq, wire bytes) in order of seq: finished, not acknowledged, not rejected. Goes around open claims."""
        out: list[tuple[int, bytes]] = []
        held = 0
        for generation, first_seq, end_seq, done in self._ring.in_use(self._ring.tail, self._journal.seq + 1):
            if done:
                continue
            for _ in self._entries(generation, first_seq, end_seq):
                if self._slot.is_done():
                    continue
                seq = self._slot.seq
                entry = self._wire_form()
                if entry is None:
                    held += 1
                    continue
                bytes_max -= len(entry)
                if bytes_max < 0 or len(out) >= entries_max:
                    return out
                out.append((seq, entry))
        self.waiting = len(out) + held
        self._count_at = self._count_to
        return out

    def mark(self, first: int, last: int, mark_at: int) -> None:
        """ACKED_AT or REJECTED_AT for first <= seq <= last. Seqs unknown or open are left alone."""
        for generation, first_seq, end_seq, done in self._ring.in_use(self._ring.find(first), self._journal.seq + 1):
            if first_seq > last:
                return
            if done:
                continue
            counted = not self._count_at <= generation < self._count_to
            left = 0
            for _ in self._entries(generation, first_seq, end_seq):
                if self._slot.is_done():
                    continue
                if not first <= self._slot.seq <= last or self._is_open():
                    left += 1
                    continue
                self._slot.mark(mark_at)
                if counted:
                    self.waiting -= 1
                    self.rejected += mark_at == REJECTED_AT
            if left == 0 and self._ring.tail != generation != self._ring.head:
                self._ring.mark_done(generation)

    def let_go(self) -> None:
        """Give sectors back to the ring, oldest first, as far as nothing in them waits."""
        ring = self._ring
        while ring.tail != ring.head and self._is_done(ring.tail):
            if self._count_at == ring.tail:
                self.count()
            self._journal.forget_in(ring.tail)
            ring.drain()
        self._count_at = max(self._count_at, ring.tail)

    def leave(self, generation: int) -> None:
        """This sector is the head no longer."""
        self._left = generation

    def tidy(self) -> None:
        """The sector left last may have been acknowledged while it was the head."""
        generation = self._left
        self._left = -1
        if generation < self._ring.tail:
            return
        if generation == self._ring.tail:
            self.let_go()
        elif self._is_done(generation):
            self._ring.mark_done(generation)

    # -- inside -------------------------------------------------------------------------------------------------

    def _entries(self, generation: int, first_seq: int, end_seq: int) -> "Iterator[int]":
        """Addresses of the sector's whole entries; each is loaded when it is yielded."""
        for number in range(1, self._ring.slots):
            address = self._ring.address(generation, number)
            if self._slot.load(address) and first_seq <= self._slot.seq < end_seq:
                yield address

    def _first_seq(self, generation: int) -> int:
        return next(self._ring.in_use(generation, 0))[1]

    def _is_done(self, generation: int) -> bool:
        """Nothing in this sector waits."""
        found, first_seq, end_seq, done = next(self._ring.in_use(generation, self._journal.seq + 1))
        if not done:
            for _ in self._entries(found, first_seq, end_seq):
                if not self._slot.is_done():
                    return False
        return True

    def _is_open(self) -> bool:
        """The loaded entry is a tap whose outcome is still to come."""
        if self._slot.kind != wire.TAP:
            return False
        seq = self._slot.seq
        for claim in self._journal.open_claims():
            if claim.seq == seq:
                return True
        return False

    def _wire_form(self) -> "bytes | None":
        """What is sent of the loaded entry, None for an open tap. A torn outcome is taken from its first amend."""
        slot = self._slot
        if slot.kind != wire.TAP:
            return wire.to_wire(slot.body)
        if self._is_open():
            return None
        outcome = slot.stored_outcome
        if outcome is not None:
            return wire.to_wire(slot.body, outcome)
        address = slot.address
        body = bytes(slot.body)
        outcome = self._amended(slot.seq)
        if outcome is None:  # it rotted
            self._journal.reopen(address, body)
        slot.load(address)
        return None if outcome is None else wire.to_wire(body, outcome)

    def _amended(self, of_seq: int) -> "bytes | None":
        """The outcome in the first amend that names this tap."""
        for generation, first_seq, end_seq, _ in self._ring.in_use(self._ring.find(of_seq), self._journal.seq + 1):
            for _ in self._entries(generation, first_seq, end_seq):
                if self._slot.kind == wire.AMEND:
                    amend = wire.AMEND_V1.unpack(self._slot.bytes)
                    if amend.of_seq == of_seq:
                        return bytes(amend.outcome)
        return None
