"""What a boot learns from the flash: the head's slots, and what its checkpoint says of those before it.

What was read as whole or torn is made so, before anything is built on it: cells that a power cut left half way may read
otherwise next time. Layout and why: firmware/docs/journal.md.
"""

from collections import namedtuple

from tunion.wire import tap as wire
from validator.claim import Claim
from validator.ports import FlashFault
from validator.sector import CLAIMS_MAX, NONE_3, numbers
from validator.slot import REJECTED_AT, RETIRED_AT, SLOT_BYTES, Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.journal import Journal
    from validator.ports import Flash
    from validator.ring import Ring

# The newest tap that was paid. balance_fen: before it
Paid = namedtuple("Paid", ("seq", "card", "at_s", "fare_fen", "balance_fen", "event", "kind"))


class Recall:
    """Found by `Recall(...)`:

    claims        taps without a final outcome, oldest first
    seq           the last one used
    terminal_seq  the highest counter of a SAM, 0 none
    paid          slot number of the newest tap that paid, NONE_3
    last_paid     Paid, of that tap; None
    next          slot of the head to write to
    waiting, rejected   entries of the head alone
    """

    def __init__(self, journal: "Journal", flash: "Flash", ring: "Ring", slot: Slot) -> None:
        """Raises FlashFault."""
        self._flash = flash
        self._journal = journal
        self._ring = ring
        self._slot = slot
        self._worn = False
        self.claims: list[Claim] = []
        self.seq: int = ring.newest.first_seq - 1
        self.terminal_seq: int = ring.newest.terminal_seq
        self.paid: int = NONE_3
        self.last_paid: Paid | None = None
        self.next = 1
        self.waiting = 0
        self.rejected = 0
        if ring.checkpoint is None:
            self._read_all()
        else:
            self.paid = ring.checkpoint.paid
            for number in numbers(ring.checkpoint.claims, 3):
                self._read_claim(number * SLOT_BYTES)
        self._read_head()
        self._read_paid()
        if self._worn:
            self.next = ring.slots

    def _read_claim(self, address: int) -> None:
        """A tap that had no outcome when the head was begun. Its sector may have been drained since."""
        if self._ring.generation_of(address) >= self._ring.head or not self._slot.load(address):
            return
        if self._slot.kind == wire.TAP and self._slot.seq <= self.seq:
            self._firm(self._slot.make_outcome_firm)
            self._read_tap()

    def _read_all(self) -> None:
        """The checkpoint rotted: look at all that is in use."""
        for generation, first_seq, end_seq, _ in self._ring.in_use(self._ring.tail, self.seq + 1):
            if generation == self._ring.head:
                return
            for number in range(1, self._ring.slots):
                if self._slot.load(self._ring.address(generation, number)) and first_seq <= self._slot.seq < end_seq:
                    self._read_entry()

    def _read_head(self) -> None:
        newest = 0
        record = b""
        self.next = self._first_blank()
        for number in range(1, self.next):
            address = self._ring.address(self._ring.head, number)
            if number == self.next - 1 and self._slot.is_being_retired(address):
                self._slot.address = address
                self._worn = not self._slot.retire()
            if not self._slot.load(address):
                if number == self.next - 1 or not self._slot.is_blank():
                    self._read_spoilt()
                continue
            newest = address
            record = bytes(self._slot.record)
            if self._slot.kind == wire.TAP:
                self.terminal_seq = max(self.terminal_seq, wire.TAP_V1.unpack(self._slot.bytes).terminal_seq)
                self._firm(self._slot.make_outcome_firm)
            self._firm(self._slot.make_marks_firm)
            self.seq = self._slot.seq
            self.waiting += not self._slot.is_done()
            self.rejected += self._slot.is_marked(REJECTED_AT)
            self._read_entry()
        if newest:  # what was understood, not what a second look shows
            self._firm(lambda: self._flash.program(newest, record))

    def _first_blank(self) -> int:
        """The head's slot after the last one that was programmed."""
        number = self._ring.slots
        while number > 1:
            self._slot.load(self._ring.address(self._ring.head, number - 1))
            if not self._slot.is_blank():
                break
            number -= 1
        return number

    def _read_spoilt(self) -> None:
        """A body torn by a power cut was never acted on: its seq is free. One that rotted later has used it up."""
        if self._slot.is_done() or self._slot.has_outcome_bytes():
            self.seq += 1
        if not self._slot.is_marked(RETIRED_AT) and not self._slot.retire():
            self._worn = True

    def _read_entry(self) -> None:
        if self._slot.kind == wire.TAP:
            self._read_tap()
        elif self._slot.kind == wire.AMEND:
            of_seq = wire.AMEND_V1.unpack(self._slot.bytes).of_seq
            self.claims = [claim for claim in self.claims if claim.seq != of_seq]

    def _read_tap(self) -> None:
        slot = self._slot
        outcome = slot.stored_outcome
        if outcome is None and slot.is_done():
            return  # it rotted after it was sent
        if outcome is not None and outcome[0] != wire.GREY:
            if outcome[0] in (wire.SETTLED, wire.PROVED):
                self.paid = slot.address // SLOT_BYTES
            return
        claim = Claim(self._journal, slot.seq, slot.address, wire.TAP_V1.unpack(slot.bytes).card)
        claim.grey = outcome is not None
        claim.clean = not slot.has_outcome_bytes()
        self.claims.append(claim)
        if len(self.claims) > CLAIMS_MAX:
            for older in self.claims:
                if older.grey:
                    self.claims.remove(older)
                    break

    def _read_paid(self) -> None:
        """The slot may have been erased since."""
        if self.paid == NONE_3 or not self._slot.load(self.paid * SLOT_BYTES) or self._slot.kind != wire.TAP:
            return
        outcome = self._slot.stored_outcome
        if outcome is not None and outcome[0] in (wire.SETTLED, wire.PROVED):
            tap = wire.TAP_V1.unpack(self._slot.bytes)
            self.last_paid = Paid(
                tap.seq, tap.card, tap.at_s, tap.amount_fen, tap.balance_fen, tap.event, tap.card_kind
            )

    def _firm(self, program: "Callable[[], None]") -> None:
        """Where the cells do not take it, what they hold counts: they are stuck, so it will not change."""
        try:
            program()
        except FlashFault:
            if not self._ring.is_alive(self._ring.sector(self._ring.head)):
                raise
