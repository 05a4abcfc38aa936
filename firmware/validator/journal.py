"""The journal: a tap's claim in flash before the debit, its outcome after, until the back office has it.

Entries are tunion.wire.tap bodies in slots of the ring (validator/ring.py). Layout and why: firmware/docs/journal.md.

    slot   0  body, 96      100  outcome, 8      112  acked     113  rejected     114  retired
          96  CRC-32        108  CRC-32               one byte each, FF not set, 00 set; 115..127 reserved, FF
"""

from tunion.card.refusals import CardRefused, Unproven
from tunion.compat import const
from tunion.crc import crc32
from tunion.wire import tap as wire
from validator.cells import is_blank, is_set
from validator.ports import FlashFault
from validator.ring import SLOT_BYTES, JournalFull, Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any

    from validator.ports import Clock, Flash

INTENT_MAX = const(10)  # claims remembered by card; transactions 10, terminal.intent_table
AMEND_RESERVE = const(10)  # slots kept free for amends: each remembered claim can still be given an outcome
ALARM_PERMILLE = const(800)  # sync first, tell the driver; platform 19.4

_BODY_CRC_AT = const(96)
_OUTCOME_AT = const(100)
_OUTCOME_CRC_AT = const(108)
_MARKS_AT = const(112)
_ACKED_AT = const(112)
_REJECTED_AT = const(113)
_RETIRED_AT = const(114)
_NO_CARD = bytes(10)
_NO_TAC = bytes(4)


class Claim:
    """One tap from its claim to its outcome, a context manager around the debit.

    A block that ends well must have settled. Leaving it by CardRefused before `debited` voids the claim, by Unproven
    disputes it; leaving it by LinkLost or anything else leaves it open until the card, or clearing, tells.
    """

    def __init__(self, journal: "Journal", seq: int, address: int, card: bytes) -> None:
        self._journal = journal
        self._tac: bytes | None = None
        self.seq = seq
        self.address = address
        self.card = card
        self.clean = True  # the outcome's bytes were never programmed
        self.grey = False  # given up and sent as grey; a late proof still amends it

    def __enter__(self) -> "Claim":
        return self

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        if kind is None:
            assert not self._journal.remembers(self), "a claim was left without an outcome"
        elif isinstance(error, Unproven) and self._tac is not None:
            self.dispute(self._tac)
        elif isinstance(error, CardRefused) and self._tac is None:
            self.void(error.sw)

    def tap(self) -> "Any":
        """The claim's body as TAP_V1, read from flash."""
        return self._journal.tap(self)

    def debited(self, tac: bytes) -> None:
        """The card answered DEBIT: from here on no refusal, of the SAM say, may void the claim."""
        self._tac = tac

    def settle(self, tac: bytes, mac2: int) -> None:
        """The debit happened. mac2: MAC2_OK, MAC2_UNCHECKED. Durable on return, as are the others."""
        self._journal.finish(self, wire.SETTLED, mac2, 0, tac)

    def prove(self, tac: bytes, mac2: int) -> None:
        """The card proved later that the debit happened."""
        self._journal.finish(self, wire.PROVED, mac2, 0, tac)

    def void(self, sw: int) -> None:
        """The debit did not happen. sw: what the card said."""
        self._journal.finish(self, wire.VOID, wire.MAC2_UNCHECKED, sw, _NO_TAC)

    def dispute(self, tac: bytes) -> None:
        """The debit happened and MAC2 is wrong."""
        self._journal.finish(self, wire.DISPUTED, wire.MAC2_WRONG, 0, tac)

    def give_up(self) -> None:
        """Nobody will know here: the tap goes to clearing as grey. The claim is remembered while there is room."""
        self._journal.finish(self, wire.GREY, wire.MAC2_UNCHECKED, 0, _NO_TAC)


class Journal:
    """All entries not yet erased. `epoch` names the journal, `seq` is the last one used, 0 none.

    Raises ForeignFlash when made over a flash that holds something else, FlashFault from any method that writes:
    then what the flash holds is to be read anew, by `mount`, before the next write.
    """

    def __init__(self, flash: "Flash", clock: "Clock", new_epoch: "Callable[[], int]") -> None:
        self._flash = flash
        self._clock = clock
        self._slot = bytearray(SLOT_BYTES)
        self._body = memoryview(self._slot)[:_BODY_CRC_AT]
        self._record = memoryview(self._slot)[:_OUTCOME_AT]
        self._outcome = memoryview(self._slot)[_OUTCOME_AT:_OUTCOME_CRC_AT]
        self._sealed_outcome = memoryview(self._slot)[_OUTCOME_AT:_MARKS_AT]
        self._new_epoch = new_epoch
        self.mount()

    def mount(self) -> None:
        """Read the flash: at boot, and after a FlashFault."""
        self._claims: list[Claim] = []  # oldest first, at most INTENT_MAX
        self._ring = Ring(self._flash, self._new_epoch)
        self.epoch = self._ring.epoch
        self.waiting = 0  # entries the back office has neither acknowledged nor rejected, open claims included
        self.rejected = 0
        self.seq: int = self._ring.newest.first_seq - 1
        self._terminal_seq: int = self._ring.newest.terminal_seq
        # before the flash was read: card, seconds, fare, balance before it
        self.last_paid: tuple[bytes, int, int, int] | None = None
        self._next = 1  # slot of the head to write to
        for sector, _ in self._ring.in_use():
            self._recall(sector)

    # -- writing ------------------------------------------------------------------------------------------------

    def claim(self, **fields: "Any") -> Claim:
        """Program a tap's body; the debit may be sent when this returns.

        fields   of TAP_V1 but kind, version, seq and reserved
        raises   JournalFull, with nothing written; BadInput for a field out of range
        """
        self._require_room()
        if len(self._claims) >= INTENT_MAX:
            self._forget_one()
        seq = self.seq + 1
        body = wire.TAP_V1.pack(kind=wire.TAP, version=wire.VERSION, seq=seq, reserved=bytes(12), **fields)
        claim = Claim(self, seq, self._append(body), fields["card"])
        self._terminal_seq = fields["terminal_seq"]
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
        if claim.clean:
            claim.clean = False  # first: a fault half way leaves it torn
            self._outcome[:] = outcome
            self._slot[_OUTCOME_CRC_AT:_MARKS_AT] = crc32(self._outcome).to_bytes(4, "big")
            self._flash.program(claim.address + _OUTCOME_AT, self._sealed_outcome)
        else:
            self._amend(claim, outcome)
        if code == wire.GREY:
            claim.grey = True
        else:
            self._claims.remove(claim)

    def idle(self) -> bool:
        """Erase a sector ahead where one is due; True if it did. Takes an erase's time: never with a card present."""
        return self._ring.prepare()

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
        self._load(claim.address)
        return wire.TAP_V1.unpack(self._slot)

    def last_terminal_seq(self) -> int:
        """The SAM's counter in the newest tap, 0 for none: where a soft SAM goes on."""
        return self._terminal_seq

    # -- the back office's side ---------------------------------------------------------------------------------

    def pending(self, entries_max: int, bytes_max: int) -> "list[tuple[int, bytes]]":
        """(seq, wire bytes) in order of seq: finished, not acknowledged, not rejected. Goes around open claims."""
        out: list[tuple[int, bytes]] = []
        for address in self._entries(0, 0xFFFFFFFF):
            if self._is_done() or self._is_open():
                continue
            seq = self._seq()
            entry = self._wire_form(address)
            bytes_max -= len(entry)
            if bytes_max < 0 or len(out) >= entries_max:
                break
            out.append((seq, entry))
        return out

    def ack(self, ranges: "list[list[int]]") -> None:
        """Mark [[from, to], ...], inclusive, as stored by the back office. Seqs unknown or open are left alone."""
        for first, last in ranges:
            self._mark(first, last, _ACKED_AT)
        self._let_go()

    def reject(self, seqs: "list[int]") -> None:
        """Mark as refused by name: kept until the ring comes round, not sent again."""
        for seq in seqs:
            self._mark(seq, seq, _REJECTED_AT)
        self._let_go()

    def fill_permille(self) -> int:
        """0 to 1000: how much of the flash cannot be erased, because something in it waits. 1000: JournalFull."""
        ring = self._ring
        per_sector = ring.slots - 1
        used = (ring.sectors_in_use() - 1) * per_sector + self._next - 1
        return min(1000, 1000 * used // (self._flash.sectors * per_sector - AMEND_RESERVE))

    # -- inside -------------------------------------------------------------------------------------------------

    def _recall(self, sector: int) -> None:
        """Take in one sector at boot: counts, sequence, claims without outcome. Retires slots torn by a power cut."""
        head = sector == self._ring.head
        for slot in range(1, self._ring.slots):
            address = self._ring.address(sector, slot)
            whole = self._load(address)
            if not whole and is_blank(self._slot):
                continue
            if head:
                self._next = slot + 1
            if not whole:
                self._recall_spoilt(address)
                continue
            self.seq = self._seq()
            if not self._is_done():
                self.waiting += 1
            if is_set(self._slot[_REJECTED_AT]):
                self.rejected += 1
            if self._slot[0] == wire.TAP:
                self._recall_tap(address)
            elif self._slot[0] == wire.AMEND:
                of_seq = wire.AMEND_V1.unpack(self._slot).of_seq
                self._claims = [claim for claim in self._claims if claim.seq != of_seq]

    def _recall_spoilt(self, address: int) -> None:
        """A body torn by a power cut was never acted on: its seq is free. One that rotted later has used it up."""
        if self._is_done() or not is_blank(self._sealed_outcome):
            self.seq += 1
        if not is_set(self._slot[_RETIRED_AT]):
            self._flash.program(address + _RETIRED_AT, b"\x00")

    def _recall_tap(self, address: int) -> None:
        tap = wire.TAP_V1.unpack(self._slot)
        self._terminal_seq = tap.terminal_seq
        outcome = self._stored_outcome()
        if outcome is not None and outcome[0] != wire.GREY:
            if outcome[0] in (wire.SETTLED, wire.PROVED):
                self.last_paid = (tap.card, tap.at_s, tap.amount_fen, tap.balance_fen)
            return
        claim = Claim(self, tap.seq, address, tap.card)
        claim.grey = outcome is not None
        claim.clean = is_blank(self._sealed_outcome)
        self._claims.append(claim)
        if len(self._claims) > INTENT_MAX:
            for older in self._claims:
                if older.grey:
                    self._claims.remove(older)
                    break

    def _require_room(self) -> None:
        room = self._ring.slots - self._next + self._ring.ready * (self._ring.slots - 1)
        if room <= AMEND_RESERVE:
            raise JournalFull("%d entries wait for the back office: sync before more rides" % self.waiting)

    def _forget_one(self) -> None:
        """Make room in the table of claims: the oldest grey one, else the oldest open one, which becomes grey."""
        for claim in self._claims:
            if claim.grey:
                self._claims.remove(claim)
                return
        oldest = self._claims[0]
        oldest.give_up()
        self._claims.remove(oldest)

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
        """Program a body with the next seq into the next slot; returns its address."""
        if self._next == self._ring.slots:
            self._ring.take(self.seq + 1, self._terminal_seq)
            self._next = 1
        address = self._ring.address(self._ring.head, self._next)
        self._next += 1  # first: a slot that failed half way is not used again
        self._body[:] = body
        self._slot[_BODY_CRC_AT:_OUTCOME_AT] = crc32(self._body).to_bytes(4, "big")
        self._flash.program(address, self._record)
        self.seq += 1
        self.waiting += 1
        return address

    def _entries(self, first: int, last: int) -> "Iterator[int]":
        """Addresses of whole entries with first <= seq <= last, in order; each is loaded when it is yielded."""
        sectors = list(self._ring.in_use())
        for i in range(len(sectors)):
            sector, first_seq = sectors[i]
            if first_seq > last:
                return
            if i + 1 < len(sectors) and sectors[i + 1][1] <= first:
                continue
            for slot in range(1, self._ring.slots):
                address = self._ring.address(sector, slot)
                if self._load(address) and first <= self._seq() <= last:
                    yield address

    def _load(self, address: int) -> bool:
        """Read a slot; True if it holds a whole entry."""
        self._flash.read_into(address, self._slot)
        if is_set(self._slot[_RETIRED_AT]) or not wire.TAP <= self._slot[0] <= wire.AMEND:
            return False
        return crc32(self._body) == _int(self._slot, _BODY_CRC_AT)

    def _seq(self) -> int:
        return _int(self._slot, 2)

    def _is_done(self) -> bool:
        return is_set(self._slot[_ACKED_AT]) or is_set(self._slot[_REJECTED_AT])

    def _is_open(self) -> bool:
        """The loaded entry is a tap whose outcome is still to come."""
        if self._slot[0] != wire.TAP:
            return False
        seq = self._seq()
        for claim in self._claims:
            if claim.seq == seq:
                return not claim.grey
        return False

    def _stored_outcome(self) -> "bytes | None":
        """The loaded tap's outcome, None where it is blank or torn."""
        if crc32(self._outcome) != _int(self._slot, _OUTCOME_CRC_AT):
            return None
        return bytes(self._outcome)

    def _wire_form(self, address: int) -> bytes:
        """What is sent of the loaded entry. A tap whose outcome is torn takes it from its first amend."""
        if self._slot[0] != wire.TAP:
            return wire.to_wire(self._body)
        outcome = self._stored_outcome()
        if outcome is not None:
            return wire.to_wire(self._body, outcome)
        return wire.to_wire(bytes(self._body), self._amended(self._seq()))

    def _amended(self, of_seq: int) -> bytes:
        for _ in self._entries(of_seq + 1, self.seq):
            if self._slot[0] == wire.AMEND:
                amend = wire.AMEND_V1.unpack(self._slot)
                if amend.of_seq == of_seq:
                    return bytes(amend.outcome)
        raise FlashFault("the outcome of entry %d cannot be read any more" % of_seq)

    def _mark(self, first: int, last: int, mark_at: int) -> None:
        for address in self._entries(first, last):
            if not self._is_done() and not self._is_open():
                self._flash.program(address + mark_at, b"\x00")
                self.waiting -= 1
                if mark_at == _REJECTED_AT:
                    self.rejected += 1

    def _let_go(self) -> None:
        """Give sectors back to the ring, oldest first, as far as nothing in them waits."""
        while self._ring.tail != self._ring.head and self._is_drained(self._ring.tail):
            self._ring.drain()

    def _is_drained(self, sector: int) -> bool:
        for slot in range(1, self._ring.slots):
            if self._load(self._ring.address(sector, slot)) and not self._is_done():
                return False
        return True


def _int(blob: bytearray, at: int) -> int:
    return blob[at] << 24 | blob[at + 1] << 16 | blob[at + 2] << 8 | blob[at + 3]
