"""One purchase, plain or compound: INITIALIZE, the SAM's MAC1, a claim in flash, DEBIT, MAC2, the outcome.

Power, card and SAM may go at any line. What a compound purchase writes on the card is buffered there and comes about
with the debit or not at all. JT/T 978.2; why in this order: firmware/docs/tap.md.
"""

from tunion import bcd
from tunion.card import purse
from tunion.card.apdu import WAIT_MS
from tunion.card.product import of_product
from tunion.card.refusals import Blocked, CardRefused, LinkLost, NotEnoughMoney, Unproven
from tunion.compat import const
from tunion.crypto.keys import PURCHASE
from tunion.wire import reason
from tunion.wire import tap as wire
from validator.ports import Forgotten, SamLost
from validator.rides.charge import Refused, amount_fen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.card.apdu import Card, Link
    from tunion.card.product import Product
    from validator.claim import Claim
    from validator.journal import Journal
    from validator.ports import Clock, Identity, Sam
    from validator.rides.charge import Charge

_BALANCE_MASK = const(0x7FFFFFFF)  # bit 31 of a balance is reserved
_NOT_DEBITED = (b"\x93\x02", b"\x94\x01")  # what DEBIT answers when nothing has happened: wrong MAC1, too poor
_DONE = b"\x90\x00"
_REPLY_BYTES = const(10)  # of DEBIT: TAC, MAC2, status word


class Purchases:
    """Debits cards, and judges their MAC2.

    sam_exchanges   of the card at hand
    sam_fault       the SAM was lost after a debit: reported when its outcome is durable
    """

    def __init__(self, link: "Link", card: "Card", sam: "Sam", journal: "Journal", clock: "Clock") -> None:
        """link: as `card` has it, for the one command that is never sent twice."""
        self._link = link
        self._card = card
        self._sam = sam
        self._journal = journal
        self._clock = clock
        self._signed_seq = 0  # the claim of the SAM's last `sign`, 0: none that the SAM still remembers
        self.sam_exchanges = 0
        self.sam_fault: SamLost | None = None

    def use(self, sam: "Sam") -> None:
        """From now on: of the application at hand."""
        self._sam = sam

    def begin(self) -> None:
        """Another card."""
        self.sam_exchanges = 0
        self.sam_fault = None

    def prepare(self, card: "Identity") -> None:
        """This card may ride: what the SAM can derive before the card has begun a purchase."""
        self._sam.prepare(card)

    def offered(self, type: int, debit_fen: int, product: "Product") -> "Any":
        """INITIALIZE FOR (CAPP) PURCHASE; nothing has changed on the card. Raises Refused."""
        key_index = product.key_index or self._sam.key_index
        command = purse.INITIALIZE_FOR_PURCHASE if type == PURCHASE else purse.INITIALIZE_FOR_COMPOUND
        try:
            return self._card.send(command, key_index=key_index, amount_fen=debit_fen, terminal=self._sam.terminal)
        except NotEnoughMoney as refusal:
            raise Refused(reason.NOT_ENOUGH_MONEY, refusal.sw)
        except Blocked as refusal:
            raise Refused(reason.BLOCKED, refusal.sw)
        except CardRefused as refusal:
            raise Refused(reason.CARD_SAYS_NO, refusal.sw)

    def debit(
        self, card: "Identity", charge: "Charge", offer: "Any", ride: "Any", records: "Any", fixed: "dict[str, Any]",
        now_s: int,
    ) -> "list[tuple[int, int, bytes]]":
        """Charge what was offered, and write what the ride leaves on the card; returns that.

        ride, records  of validator.rides
        fixed          fields of the claim that are the terminal's: fare_id, line, driver ...
        raises         Refused; LinkLost and FlashFault, with the claim left open where the debit may have happened
        """
        debit_fen = amount_fen(charge)
        at = bcd.stamp(now_s)
        balance_fen = own_fen(offer)
        self._signed_seq = 0
        self.sam_exchanges += 1
        try:
            self._sam.begin(offer, card, debit_fen, charge.type, at)
        except CardRefused as refusal:
            raise Refused(reason.SAM_SAYS_NO, refusal.sw)
        images: list[tuple[int, int, bytes]] = ride.images(  # the SAM works while the card takes these
            charge, records, balance_fen - debit_fen, self._sam.terminal, at
        )
        try:
            for p1, p2, data in images:
                self._card.send(purse.UPDATE_COMPOUND, p1=p1, p2=p2, raw=data)
            signed = self._mac1()
            with self._claim(card, charge, offer, balance_fen, signed.terminal_seq, now_s, fixed) as claim:
                self._signed_seq = claim.seq
                reply = self._debited(terminal_seq=signed.terminal_seq, at=at, mac1=signed.mac1)
                claim.debited(reply.tac)
                mac2 = self.verdict(claim, reply.mac2)
                if mac2 == wire.MAC2_WRONG:
                    raise Unproven("MAC2 is wrong")
                claim.settle(reply.tac, mac2)
        except CardRefused as refusal:
            raise Refused(reason.CARD_SAYS_NO, refusal.sw)
        except Unproven:
            raise Refused(reason.NOT_GENUINE)
        return images

    def block_mac(self, card: "Identity", challenge: bytes, head: bytes) -> "bytes | None":
        """The SAM's MAC of a command that blocks; None where it holds no such key."""
        self._signed_seq = 0
        self.sam_exchanges += 1
        return self._sam.block_mac(card, challenge, head)

    def verdict(self, claim: "Claim", mac2: bytes) -> int:
        """MAC2_OK, MAC2_WRONG, or MAC2_UNCHECKED where the SAM has signed something else since, or is gone.

        A SAM that is gone is reported after the outcome is durable: the card has paid.
        """
        if self._signed_seq != claim.seq:
            return wire.MAC2_UNCHECKED
        self._signed_seq = 0
        self.sam_exchanges += 1
        try:
            self._sam.check(mac2)
        except Unproven:
            return wire.MAC2_WRONG
        except Forgotten:
            return wire.MAC2_UNCHECKED
        except SamLost as fault:
            self.sam_fault = fault
            return wire.MAC2_UNCHECKED
        return wire.MAC2_OK

    def _mac1(self) -> "Any":
        """What the SAM was asked for. Raises Refused."""
        try:
            return self._sam.signed()
        except CardRefused as refusal:
            raise Refused(reason.SAM_SAYS_NO, refusal.sw)

    def _claim(
        self, card: "Identity", charge: "Charge", offer: "Any", balance_fen: int, terminal_seq: int, now_s: int,
        fixed: "dict[str, Any]",
    ) -> "Claim":
        """Everything settlement needs but the TAC, in flash. Raises JournalFull."""
        return self._journal.claim(
            at_s=now_s,
            clk_q=self._clock.quality(),
            type=charge.type,
            card=card.serial,
            issuer=card.issuer,
            city=card.city,
            card_kind=card.kind,
            counter=offer.counter,
            balance_fen=balance_fen,
            limit_fen=offer.limit_fen,
            amount_fen=amount_fen(charge),
            list_fen=charge.list_fen,
            discount_fen=charge.discount_fen,
            owed_fen=charge.owed_fen,
            terminal=self._sam.terminal,
            terminal_seq=terminal_seq,
            key_index=card.product.key_index or self._sam.key_index,
            key_version=offer.key_version,
            algorithm=offer.algorithm,
            stop_in=charge.stop_in,
            stop_out=charge.stop_out,
            event=of_product(card.product.number, charge.event),
            fare_case=charge.case,
            layer=charge.layer,
            riders=charge.riders,
            modes=charge.modes,
            granted=charge.granted,
            ride_s=min(charge.ride_s, 0xFFFFFF),
            **fixed,
        )

    def _debited(self, **values: "Any") -> "Any":
        """DEBIT FOR PURCHASE, sent once: unlike Card.send this never repeats a command.

        Whatever is neither a whole answer nor one of two refusals says nothing: a stump, the rest of it still in the
        card (61xx), another command's answer. The claim stays open, and the card is asked when it returns.
        """
        response = self._link.transceive(purse.DEBIT_FOR_PURCHASE.encode(**values), WAIT_MS)
        if response not in _NOT_DEBITED and (len(response) != _REPLY_BYTES or response[-2:] != _DONE):
            raise LinkLost("DEBIT: no answer to it")
        return purse.DEBIT_FOR_PURCHASE.decode(response)


def own_fen(offer: "Any") -> int:
    """The true balance of an INITIALIZE answer: the overdraft limit taken off."""
    return int(offer.balance_fen & _BALANCE_MASK) - int(offer.limit_fen)
