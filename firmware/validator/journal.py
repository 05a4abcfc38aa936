"""The journal: a tap's claim in flash before the debit, its outcome after, until the back office has it.

Entries are tunion.wire.tap bodies in slots (validator/slot.py) of the ring (validator/ring.py); what the back office
has not answered for is validator/backlog.py's. Layout and why: firmware/docs/journal.md.
"""

from tunion.compat import const
from tunion.wire import tap as wire
from validator.backlog import Backlog
from validator.claim import Claim
from validator.ports import FlashFault
from validator.recall import Recall
from validator.ring import JournalFull, Ring
from validator.sector import CLAIMS_MAX
from validator.slot import ACKED_AT, REJECTED_AT, SLOT_BYTES, Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.ports import Clock, Flash

INTENT_MAX = CLAIMS_MAX  # claims remembered by card; transactions 10, terminal.intent_table
AMEND_RESERVE = const(10)  # slots kept free for amends: each remembered claim can still be given an outcome
ALARM_PERMILLE = const(800)  # sync first, tell the driver; platform 19.4
CALM_PERMILLE = const(700)  # below this the alarm is over
APPEND_TRIES = const(8)  # slots in a row that do not hold an entry, before the flash is given up

_NO_CARD = bytes(10)


class Journal:
    """All entries not yet erased. `epoch` names the journal, `seq` is the last one used, 0 none.

    last_paid   as found when the flash was read: validator.recall.Paid, or None
    filling     ALARM_PERMILLE was reached, and not CALM_PERMILLE since

    Raises ForeignFlash when made over a flash that holds something else, FlashFault from any method that writes:
    then what the flash holds is to be read anew, by `mount`, before the next write.
    """

    def __init__(self, flash: "Flash", clock: "Clock", new_epoch: "Callable[[], int]") -> None:
        self._flash = flash
        self._clock = clock
        self._slot = Slot(flash)
        self._new_epoch = new_epoch
        self.mount()
        self.filling = self.fill_permille() >= ALARM_PERMILLE  # told before this boot, and not again at each one

    def mount(self) -> None:
        """Read the flash: at boot, and after a FlashFault."""
        ring = Ring(self._flash, self._new_epoch)
        found = Recall(self, self._flash, ring, self._slot)
        self._ring = ring
        self._claims = found.claims  # oldest first, at most INTENT_MAX
        self.epoch = ring.epoch
        self.seq = found.seq
        self.last_paid = found.last_paid
        self._terminal_seq = found.terminal_seq
        self._paid = found.paid  # slot number
        self._next = found.next  # slot of the head to write to
        self._backlog = Backlog(self, self._flash, ring, self._slot)
        self._backlog.begin(found.waiting, found.rejected)

    @property
    def waiting(self) -> int:
        """Entries the back office has neither acknowledged nor rejected, open claims included.

        After a boot too high until `idle` has counted: what was acknowledged out of order is not known before.
        """
        return self._backlog.waiting

    @property
    def rejected(self) -> int:
        """Entries the back office refused by name, as far as they were counted."""
        return self._backlog.rejected

    @property
    def erases(self) -> int:
        """How often the most worn sector was erased, as far as the headers tell."""
        return self._ring.erases()

    @property
    def retired(self) -> int:
        """Sectors that are skipped for ever, because they are worn."""
        return len(self._ring.retired)

    @property
    def full(self) -> bool:
        """The next claim would be refused."""
        return self._room() <= AMEND_RESERVE

    # -- writing ------------------------------------------------------------------------------------------------

    def claim(self, **fields: "Any") -> Claim:
        """Program a tap's body; the debit may be sent when this returns.

        fields   of TAP_V1 but kind, version and seq
        raises   JournalFull, with nothing written; BadInput for a field out of range
        """
        self._require_room()
        if len(self._claims) >= INTENT_MAX:
            self._forget_one()
        seq = self.seq + 1
        body = wire.TAP_V1.pack(kind=wire.TAP, version=wire.VERSION, seq=seq, **fields)
        claim = Claim(self, seq, self._append(body), fields["card"])
        self._terminal_seq = max(self._terminal_seq, fields["terminal_seq"])
        self._claims.append(claim)
        return claim

    def event(self, code: int, reason: int = 0, card: bytes = _NO_CARD, value: int = 0) -> None:
        """Program an event; codes of tunion.wire.tap, reasons of tunion.wire.reason. Raises JournalFull."""
        self._require_room()
        self._append(
            wire.EVENT_V1.pack(
                kind=wire.EVENT,
                version=wire.VERSION,
                seq=self.seq + 1,
                at_s=self._clock.now_s(),
                clk_q=self._clock.quality(),
                code=code,
                reason=reason,
                card=card,
                value=value,
                reserved=bytes(69),
            )
        )

    def finish(self, claim: Claim, code: int, mac2: int, sw: int, tac: bytes) -> None:
        """Program a claim's outcome, as an amend where the outcome's own bytes are no longer blank."""
        assert claim in self._claims and not (claim.grey and code == wire.GREY), "this claim has its outcome"
        outcome = wire.OUTCOME_V1.pack(code=code, mac2=mac2, sw=sw, tac=tac)
        if not self._program_outcome(claim, outcome):
            claim.amended = True
            self._amend(claim, outcome)
        elif code in (wire.SETTLED, wire.PROVED):
            self._paid = claim.address // SLOT_BYTES
        if code == wire.GREY:
            claim.grey = True
        else:
            self._claims.remove(claim)

    def idle(self) -> bool:
        """Erase a sector ahead where one is due, or count one; True if it did. Also tells of worn and filling flash.

        Takes an erase's time: never with a card present.
        """
        self._backlog.tidy()
        tail = self._ring.tail
        worked = self._ring.prepare()
        if self._ring.tail < tail:
            self._backlog.begin_anew()
        self._tell_worn()
        self._watch_filling()
        return worked or self._backlog.count()

    def count(self) -> bool:
        """Make `waiting` right for one more sector; False when it is right."""
        return self._backlog.count()

    # -- claims -------------------------------------------------------------------------------------------------

    def open_claims(self) -> "list[Claim]":
        """Claims without an outcome, oldest first."""
        return [claim for claim in self._claims if not claim.grey]

    def claims_of(self, card: bytes) -> "list[Claim]":
        """Claims of this card that a proof could still resolve: open ones and, while remembered, grey ones."""
        return [claim for claim in self._claims if claim.card == card]

    def forget(self, claim: Claim) -> None:
        """A grey claim that its card cannot prove any more."""
        assert claim.grey, "an open claim is not forgotten"
        self._claims.remove(claim)

    def remembers(self, claim: Claim) -> bool:
        """The claim has no outcome yet, or is grey."""
        return claim in self._claims

    def tap(self, claim: Claim) -> "Any":
        """The claim's body as TAP_V1."""
        self._slot.load(claim.address)
        return wire.TAP_V1.unpack(self._slot.bytes)

    def last_terminal_seq(self) -> int:
        """The highest counter of any SAM here in a tap, 0 for none: where a soft SAM goes on."""
        return self._terminal_seq

    # -- the back office's side ---------------------------------------------------------------------------------

    def pending(self, entries_max: int, bytes_max: int) -> "list[tuple[int, bytes]]":
        """(seq, wire bytes) in order of seq: finished, not acknowledged, not rejected. Goes around open claims."""
        return self._backlog.pending(entries_max, bytes_max)

    def ack(self, ranges: "list[list[int]]") -> None:
        """Mark [[from, to], ...], inclusive, as stored by the back office. Seqs unknown or open are left alone."""
        for first, last in ranges:
            self._backlog.mark(first, last, ACKED_AT)
        self._backlog.let_go()

    def reject(self, seqs: "list[int]") -> None:
        """Mark as refused by name: kept until the ring comes round, not sent again."""
        for seq in seqs:
            self._backlog.mark(seq, seq, REJECTED_AT)
        self._backlog.let_go()

    def fill_permille(self) -> int:
        """0 to 1000: how much of the flash cannot be erased, because something in it waits. 1000: JournalFull."""
        ring = self._ring
        per_sector = ring.slots - 1
        used = (ring.head - ring.tail) * per_sector + self._next - 1
        return min(1000, 1000 * used // (ring.live() * per_sector - AMEND_RESERVE))

    # -- for the parts below ------------------------------------------------------------------------------------

    def forget_in(self, generation: int) -> None:
        """The sector is let go: grey claims in it cannot be proved any more, the flash holds their taps no longer."""
        for claim in list(self._claims):
            if self._ring.generation_of(claim.address) == generation:
                self._claims.remove(claim)

    def reopen(self, address: int, body: bytes) -> None:
        """A tap whose outcome rotted: it is open again, as far as there is room to remember it."""
        if len(self._claims) < INTENT_MAX:
            tap = wire.TAP_V1.unpack(body)
            claim = Claim(self, tap.seq, address, tap.card)
            claim.clean = False
            self._claims.append(claim)
            self._claims.sort(key=lambda each: each.seq)

    # -- inside -------------------------------------------------------------------------------------------------

    def _room(self) -> int:
        """Slots that can be written before the next erase."""
        ring = self._ring
        return ring.slots - self._next + len(ring.ready) * (ring.slots - 1)

    def _require_room(self) -> None:
        if self.full:
            raise JournalFull("%d entries wait for the back office: %s" % (self.waiting, self._ring.advice()))

    def _forget_one(self) -> None:
        """Make room in the table of claims: the oldest grey one, else the oldest open one, which becomes grey."""
        for claim in self._claims:
            if claim.grey:
                self._claims.remove(claim)
                return
        oldest = self._claims[0]
        oldest.give_up()
        self._claims.remove(oldest)

    def _tell_worn(self) -> None:
        """One event for each sector found worn. A full journal tells later."""
        worn = self._ring.worn
        while worn:
            try:
                self.event(wire.FLASH_WORN, value=worn[0])
            except JournalFull:
                return
            worn.pop(0)

    def _watch_filling(self) -> None:
        """At ALARM_PERMILLE one event; and open claims of the oldest sector go to clearing: they hold up all else."""
        permille = self.fill_permille()
        if permille < ALARM_PERMILLE:
            self.filling = self.filling and permille >= CALM_PERMILLE
            return
        try:
            if not self.filling:
                self.filling = True
                self.event(wire.FILLING, value=permille)
            for claim in self.open_claims():
                if self._ring.generation_of(claim.address) == self._ring.tail < self._ring.head:
                    claim.give_up()
        except JournalFull:
            return  # taps have the first call on the last slots; `filling` still tells

    def _amend(self, claim: Claim, outcome: bytes) -> None:
        self._append(
            wire.AMEND_V1.pack(
                kind=wire.AMEND,
                version=wire.VERSION,
                seq=self.seq + 1,
                at_s=self._clock.now_s(),
                clk_q=self._clock.quality(),
                of_seq=claim.seq,
                outcome=outcome,
                reserved=bytes(73),
            )
        )

    def _append(self, body: bytes) -> int:
        """Program a body with the next seq into the next slot that holds it; returns its address."""
        for _ in range(APPEND_TRIES):
            if self._next >= self._ring.slots:
                self._take()
            address = self._ring.address(self._ring.head, self._next)
            self._next += 1  # first: a slot that failed half way is not used again
            if self._program_body(address, body):
                self.seq += 1
                self._backlog.waiting += 1
                return address
        raise FlashFault("%d slots in a row do not hold an entry: the flash is worn out, replace it" % APPEND_TRIES)

    def _take(self) -> None:
        """Go on in the next sector."""
        left = self._ring.head
        claims = [claim.address // SLOT_BYTES for claim in self._claims if not claim.amended]
        self._ring.take(self.seq + 1, self._terminal_seq, claims, self._paid)
        self._next = 1
        self._backlog.leave(left)

    def _program_body(self, address: int, body: bytes) -> bool:
        """False where the slot does not hold it: it is retired."""
        sector = self._ring.sector(self._ring.head)
        try:
            if self._slot.write_body(address, body):
                return True
        except FlashFault:
            if not self._ring.is_alive(sector):
                raise
        if sector not in self._ring.worn:
            self._ring.worn.append(sector)
        if not self._slot.retire():
            self._next = self._ring.slots  # nothing holds here: go on in the next sector
        return False

    def _program_outcome(self, claim: Claim, outcome: bytes) -> bool:
        """False where it has to be an amend: the outcome's own bytes are not blank, or do not hold it."""
        if not claim.clean:
            return False
        claim.clean = False  # first: a fault half way leaves it torn
        sector = claim.address // self._flash.sector_bytes
        try:
            if self._slot.write_outcome(claim.address, outcome):
                return True
        except FlashFault:
            if not self._ring.is_alive(sector):
                raise
        if sector not in self._ring.worn:
            self._ring.worn.append(sector)
        return False
