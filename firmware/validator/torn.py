"""Claims without an answer: a card that returns is asked about them before anything else. Why: firmware/docs/tap.md."""

from tunion import bcd
from tunion.card import files, product, purse
from tunion.card.refusals import CardRefused
from tunion.compat import const
from tunion.record import BadInput
from tunion.wire import reason
from tunion.wire import tap as wire
from validator.rides.charge import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.card.apdu import Card
    from tunion.card.product import Product
    from validator.claim import Claim
    from validator.duty import Duty
    from validator.journal import Journal
    from validator.ports import Clock
    from validator.purchase import Purchases

_BY_NUMBER = const(4)  # low three bits of P2 of READ RECORD; record 1 is the newest
_NO_PROOF = const(0x9406)  # what a card says that proves nothing
_COUNTER_MASK = const(0xFFFF)
_SAME_TAP_S = const(60)  # at a post for both ways: who comes later comes for the other


class Torn:
    """What one card after the other says of its open and grey claims."""

    def __init__(
        self, card: "Card", purchases: "Purchases", journal: "Journal", clock: "Clock", duty: "Duty", role: str
    ) -> None:
        self._card = card
        self._purchases = purchases
        self._journal = journal
        self._clock = clock
        self._duty = duty
        self._role = role
        self.unanswered: list[tuple[Claim, int]] = []  # claims this card did not prove, and what it said

    def products(self) -> "list[int]":
        """Those with open claims, of whatever card."""
        return [product.number_in(claim.tap().event) for claim in self._journal.open_claims()]

    def ask(self, application: "Product", serial: bytes) -> "Any":
        """GET TRANSACTION PROVE for each claim of this card and application. The tap that is this ride; None: none is.

        raises  Refused for a card whose proof is wrong
        """
        paid = None
        for claim in self._journal.claims_of(serial):
            tap = claim.tap()
            if product.number_in(tap.event) != application.number:
                continue  # another application under the same number
            this_ride = not claim.grey and self._is_now(tap)
            counter = tap.counter + 1 & _COUNTER_MASK
            try:
                proof = self._card.send(purse.GET_TRANSACTION_PROVE, p2=tap.type, counter=counter)
            except CardRefused as refusal:
                self.unanswered.append((claim, refusal.sw))
                continue
            if self._is_of_another(application, tap):
                self.unanswered.append((claim, _NO_PROOF))
                continue
            mac2 = self._purchases.verdict(claim, proof.mac2)
            if mac2 == wire.MAC2_WRONG:
                claim.dispute(proof.tac)
                raise Refused(reason.NOT_GENUINE)
            claim.prove(proof.tac, mac2)
            if this_ride:
                paid = tap
        return paid

    def _is_now(self, tap: "Any") -> bool:
        """What the card proves is what this tap is for. Else it is proved, and the tap is decided as any other.

        A debit for an earlier ride never is, but at a service counter. On a bus that has gone on the card alights
        now; at a post for both ways it leaves.
        """
        event = tap.event & 15
        if event == wire.MAKE_UP:
            return self._role == "desk"
        if self._role == "bus" and event in (wire.BOARD, wire.ALIGHT):
            stop = tap.stop_in if event == wire.BOARD else tap.stop_out
            return bool((tap.line, stop) == (self._duty.line, self._duty.stop))
        if self._role == "both":
            return bool(self._clock.now_s() - tap.at_s <= _SAME_TAP_S)
        return True

    def close(self, counter: int) -> None:
        """Claims the card did not prove: where its counter stands as it did, no debit happened.

        Where it has moved on, the card proves only its last transaction, and whether ours came before that nobody
        can tell here: the claim goes to clearing as grey.
        """
        for claim, sw in self.unanswered:
            if claim.grey:
                self._journal.forget(claim)
            elif claim.tap().counter == counter:
                claim.void(sw)
            else:
                claim.give_up()
                self._journal.forget(claim)
        self.unanswered = []

    def _is_of_another(self, application: "Product", tap: "Any") -> bool:
        """The card's log names another terminal or time for its last transaction: what it proves is not this claim.

        A card torn before its debit spends the same counter elsewhere, and proves that. A card whose log cannot be
        read is believed; clearing still has the TAC.
        """
        if not application.log_sfi:
            return False
        try:
            p2 = application.log_sfi << 3 | _BY_NUMBER
            raw = self._card.send(files.READ_RECORD, p1=1, p2=p2, le=files.LOG_ENTRY.size)
            last = files.LOG_ENTRY.unpack(raw)
        except (CardRefused, BadInput):
            return False
        if raw.count(raw[:1]) == len(raw):  # never written: all 00, or all FF
            return False
        return (last.terminal, last.at) != (tap.terminal, bcd.stamp(tap.at_s))
