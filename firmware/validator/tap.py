"""One tap: seen, judged, priced, claimed, debited, settled. Power, card and SAM may go at any line.

    card            SAM        flash
    SELECT                                 file 15h comes with the answer
    READ 17h                               kind, city, interoperability
    INITIALIZE      8070       claim       from here on the debit may have happened
    DEBIT           8072       outcome     the panel says "paid" when the outcome is durable

A card that left between DEBIT and its answer is asked first thing when it returns (GET TRANSACTION PROVE), before any
other check: that ride is paid, or was never debited. Rules and reasons: firmware/docs/tap.md.
"""

from tunion import bcd
from tunion.card import files, purse
from tunion.card.apdu import WAIT_MS, Card
from tunion.card.refusals import Blocked, CardRefused, LinkLost, NotEnoughMoney, NotOurCard, Unproven
from tunion.compat import const
from tunion.crypto.keys import PURCHASE
from tunion.record import BadInput
from tunion.wire import reason
from tunion.wire import tap as wire
from validator import checks
from validator.ports import Identity, SamLost
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.claim import Claim
    from validator.denylist import DenyList
    from validator.duty import Duty
    from validator.journal import Journal
    from validator.list_views import DenyView
    from validator.ports import Clock, Panel, Reader, Sam
    from validator.rules import Rules
    from validator.settings import Settings

_BY_SFI = const(0x80)  # P1 of READ BINARY
_LOG_P2 = const(0xC4)  # of READ RECORD: of file 18h, by number; 1 is the newest
_NO_PROOF = const(0x9406)  # what a card says that proves nothing
_COUNTER_MASK = const(0xFFFF)
_BALANCE_MASK = const(0x7FFFFFFF)  # bit 31 of a balance is reserved
_CLOCK_UNKNOWN = const(0)
_NO_CARD = bytes(10)
_BLOCK_HEAD = b"\x84\x1e\x00\x00\x04"  # what the MAC of APPLICATION BLOCK covers
_MORE_TO_COME = (0x61, 0x6C)  # of a status word: ask again. Never for DEBIT: it may have happened


class Refused(Exception):
    """This card does not ride now. `reason` of tunion.wire.reason; `sw` where a card or SAM gave one, else 0."""

    def __init__(self, reason: int, sw: int = 0) -> None:
        self.reason = reason
        self.sw = sw
        super().__init__("refused, reason %d, status word %04X" % (reason, sw))


class TapPath:
    """Serves one presented card after the other.

    card_exchanges, sam_exchanges   of the last card
    paid                            it paid, now
    """

    def __init__(
        self,
        reader: "Reader",
        sam: "Sam",
        journal: "Journal",
        clock: "Clock",
        panel: "Panel",
        deny: "DenyList | DenyView",
        rules: "Rules",
        settings: "Settings",
        duty: "Duty",
    ) -> None:
        self._reader = reader
        self._sam = sam
        self._journal = journal
        self._clock = clock
        self._panel = panel
        self._deny = deny
        self._rules = rules
        self._settings = settings
        self._duty = duty
        self._card = Card(self)
        self._serial = _NO_CARD  # of the card at hand, for the journal
        self._signed_seq = 0  # the claim of the SAM's last `sign`, 0: none that the SAM still remembers
        self._unanswered: list[tuple[Claim, int]] = []  # claims this card did not prove, and what it said
        self._sam_fault: SamLost | None = None
        self._served = _NO_CARD  # the last card that paid, when, and what it was shown
        self._served_ms = 0
        self._shown: tuple[str, dict[str, int | str]] = ("ready", {})
        self.card_exchanges = 0
        self.sam_exchanges = 0
        self.paid = False
        self._resume()

    def use(self, rules: "Rules") -> None:
        """From the next card on. Between taps."""
        self._rules = rules

    def serve(self) -> None:
        """The card that the reader has just reported, from SELECT to what the panel shows.

        raises  ReaderLost, SamLost, FlashFault: what is claimed stays claimed, call again when the part is back
        """
        self._serial = _NO_CARD
        self._unanswered = []
        self._sam_fault = None
        self.card_exchanges = 0
        self.sam_exchanges = 0
        self.paid = False
        try:
            self._serve()
        except LinkLost:
            self._panel.show("tap_again")
        except Refused as refused:
            self._refuse(refused)
        except JournalFull:
            self._refuse(Refused(reason.JOURNAL_FULL))
        if self._sam_fault is not None:
            raise self._sam_fault

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        """The reader as a link, counted."""
        self.card_exchanges += 1
        return self._reader.transceive(apdu, wait_ms)

    def _resume(self) -> None:
        """The power may have failed between the last outcome and "paid": that passenger will hold the card there again.

        Not charged twice within `same_card_s` of the ride, as far as the clock can tell.
        """
        last = self._journal.last_paid
        if last is None or self._clock.quality() == _CLOCK_UNKNOWN:
            return
        card, at_s, fare_fen, balance_fen = last
        if 0 <= self._clock.now_s() - at_s < self._rules.same_card_s:
            self._served = card
            self._served_ms = self._clock.ticks_ms()
            self._shown = ("paid", {"fare_fen": fare_fen, "balance_fen": balance_fen - fare_fen})

    # -- the steps ----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        if self._clock.quality() == _CLOCK_UNKNOWN and self._settings.clock_required:
            raise Refused(reason.NO_CLOCK)
        if not self._duty.ready:
            raise Refused(reason.NOT_ON_DUTY)
        public = self._seen()
        if self._was_just_served(public.serial):
            self._panel.show(self._shown[0], **self._shown[1])
            return
        if self._recovered():
            return
        now_s = self._clock.now_s()
        identity = self._judged(public, bcd.stamp(now_s)[:4])
        self._purchase(identity, now_s)

    def _seen(self) -> "Any":
        """File 15h of the card. Raises Refused for what is no e-purse, or a blocked one."""
        try:
            fci = self._card.send(files.SELECT, raw=files.EPURSE_AID)
            public = files.public_file(fci)
            if public is None:
                public = files.PUBLIC.unpack(self._read(files.PUBLIC_SFI, files.PUBLIC.size))
        except Blocked as refusal:
            raise Refused(reason.BLOCKED, refusal.sw)
        except NotOurCard as refusal:
            raise Refused(reason.NOT_OUR_CARD, refusal.sw)
        except CardRefused as refusal:
            raise Refused(reason.INVALID_CARD, refusal.sw)
        except BadInput:
            raise Refused(reason.INVALID_CARD)
        self._serial = public.serial
        return public

    def _was_just_served(self, serial: bytes) -> bool:
        """The passenger holds on, or comes again at once: show again what was shown, charge nothing."""
        if serial != self._served:
            return False
        return bool(self._clock.since_ms(self._served_ms) < 1000 * self._rules.same_card_s)

    def _recovered(self) -> bool:
        """Ask the card about claims without an answer. True if one of them was debited and is this ride."""
        paid = False
        for claim in self._journal.claims_of(self._serial):
            tap = claim.tap()
            this_ride = not claim.grey
            try:
                proof = self._card.send(
                    purse.GET_TRANSACTION_PROVE, p2=tap.type, counter=tap.counter + 1 & _COUNTER_MASK
                )
            except CardRefused as refusal:
                self._unanswered.append((claim, refusal.sw))
                continue
            if self._is_of_another(tap):
                self._unanswered.append((claim, _NO_PROOF))
                continue
            mac2 = self._verdict(claim, proof.mac2)
            if mac2 == wire.MAC2_WRONG:
                claim.dispute(proof.tac)
                raise Refused(reason.NOT_GENUINE)
            claim.prove(proof.tac, mac2)
            if this_ride:
                paid = True
                self._show_paid("recovered", tap.amount_fen, tap.balance_fen - tap.amount_fen)
        return paid

    def _is_of_another(self, tap: "Any") -> bool:
        """The card's log names another terminal or time for its last transaction: what it proves is not this claim.

        A card torn before its debit spends the same counter elsewhere, and proves that. A card whose log cannot be
        read is believed; clearing still has the TAC.
        """
        try:
            raw = self._card.send(files.READ_RECORD, p1=1, p2=_LOG_P2, le=files.LOG_ENTRY.size)
            last = files.LOG_ENTRY.unpack(raw)
        except (CardRefused, BadInput):
            return False
        if raw.count(raw[:1]) == len(raw):  # never written: all 00, or all FF
            return False
        return (last.terminal, last.at) != (tap.terminal, bcd.stamp(tap.at_s))

    def _judged(self, public: "Any", today: bytes) -> Identity:
        """The card's identity, if it may ride. Raises Refused."""
        try:
            management = files.MANAGEMENT.unpack(self._read(files.MANAGEMENT_SFI, files.MANAGEMENT_BYTES))
        except Blocked as refusal:
            raise Refused(reason.BLOCKED, refusal.sw)
        except CardRefused as refusal:
            raise Refused(reason.INVALID_CARD, refusal.sw)
        except BadInput:
            raise Refused(reason.INVALID_CARD)
        rules = self._rules
        found = checks.refusal(
            public, management, today, rules.home_issuers, rules.issuers, self._settings.test_cards, rules.cities
        )
        if found:
            raise Refused(found)
        identity = Identity(public.serial, public.issuer, management.city, management.kind)
        if public.serial in self._deny:
            if rules.block_denied:
                self._block(identity)
            raise Refused(reason.DENIED)
        return identity

    def _purchase(self, card: Identity, now_s: int) -> None:
        price = self._rules.fare.price(card.kind)
        offer = self._offered(price.amount_fen)
        self._close_unanswered(offer.counter)
        balance_fen = (offer.balance_fen & _BALANCE_MASK) - offer.limit_fen
        self._check_balance(balance_fen, offer.limit_fen, price.amount_fen)
        at = bcd.stamp(now_s)
        self._signed_seq = 0
        self.sam_exchanges += 1
        try:
            signed = self._sam.sign(offer, card, price.amount_fen, PURCHASE, at)
        except CardRefused as refusal:
            raise Refused(reason.SAM_SAYS_NO, refusal.sw)
        try:
            with self._claim(card, price, offer, balance_fen, signed.terminal_seq, now_s) as claim:
                self._signed_seq = claim.seq
                reply = self._debited(terminal_seq=signed.terminal_seq, at=at, mac1=signed.mac1)
                claim.debited(reply.tac)
                mac2 = self._verdict(claim, reply.mac2)
                if mac2 == wire.MAC2_WRONG:
                    raise Unproven("MAC2 is wrong")
                claim.settle(reply.tac, mac2)
        except CardRefused as refusal:
            raise Refused(reason.CARD_SAYS_NO, refusal.sw)
        except Unproven:
            raise Refused(reason.NOT_GENUINE)
        self.paid = True
        self._show_paid("paid", price.amount_fen, balance_fen - price.amount_fen)

    # -- parts of the steps -------------------------------------------------------------------------------------

    def _read(self, sfi: int, size: int) -> bytes:
        raw: bytes = self._card.send(files.READ_BINARY, p1=_BY_SFI | sfi, le=size)
        return raw

    def _offered(self, amount_fen: int) -> "Any":
        """INITIALIZE FOR PURCHASE. Raises Refused."""
        try:
            return self._card.send(
                purse.INITIALIZE_FOR_PURCHASE,
                key_index=self._sam.key_index,
                amount_fen=amount_fen,
                terminal=self._sam.terminal,
            )
        except NotEnoughMoney as refusal:
            raise Refused(reason.NOT_ENOUGH_MONEY, refusal.sw)
        except Blocked as refusal:
            raise Refused(reason.BLOCKED, refusal.sw)
        except CardRefused as refusal:
            raise Refused(reason.CARD_SAYS_NO, refusal.sw)

    def _close_unanswered(self, counter: int) -> None:
        """Claims the card did not prove: where its counter stands as it did, no debit happened.

        Where it has moved on, the card proves only its last transaction, and whether ours came before that nobody
        can tell here: the claim goes to clearing as grey.
        """
        for claim, sw in self._unanswered:
            if claim.grey:
                self._journal.forget(claim)
            elif claim.tap().counter == counter:
                claim.void(sw)
            else:
                claim.give_up()
                self._journal.forget(claim)
        self._unanswered = []

    def _check_balance(self, balance_fen: int, limit_fen: int, amount_fen: int) -> None:
        if balance_fen > self._rules.balance_max_fen or balance_fen + limit_fen < amount_fen:
            raise Refused(reason.IMPLAUSIBLE_BALANCE)  # it took INITIALIZE for more than it says it holds
        if balance_fen < amount_fen and not self._rules.overdraft:
            raise Refused(reason.NOT_ENOUGH_MONEY)

    def _claim(
        self, card: Identity, price: "Any", offer: "Any", balance_fen: int, terminal_seq: int, now_s: int
    ) -> "Claim":
        """Everything settlement needs but the TAC, in flash. Raises JournalFull."""
        return self._journal.claim(
            at_s=now_s,
            clk_q=self._clock.quality(),
            type=PURCHASE,
            industry=self._settings.industry,
            card=card.serial,
            issuer=card.issuer,
            city=card.city,
            card_kind=card.kind,
            counter=offer.counter,
            balance_fen=balance_fen,
            limit_fen=offer.limit_fen,
            amount_fen=price.amount_fen,
            list_fen=price.list_fen,
            discount_fen=price.discount_fen,
            terminal=self._sam.terminal,
            terminal_seq=terminal_seq,
            key_index=self._sam.key_index,
            key_version=offer.key_version,
            algorithm=offer.algorithm,
            fare_id=self._rules.fare.fare_id,
            fare_version=self._rules.fare.version,
            line=self._duty.line,
            stop_in=0,
            stop_out=0,
            driver=self._duty.driver,
            vehicle=self._duty.vehicle,
            **wire.FLAT,
        )

    def _debited(self, **values: "Any") -> "Any":
        """DEBIT FOR PURCHASE, sent once: unlike Card.send this never repeats a command."""
        response = self.transceive(purse.DEBIT_FOR_PURCHASE.encode(**values), WAIT_MS)
        if len(response) == 2 and response[0] in _MORE_TO_COME:
            raise LinkLost("DEBIT: the answer stayed in the card")
        return purse.DEBIT_FOR_PURCHASE.decode(response)

    def _verdict(self, claim: "Claim", mac2: bytes) -> int:
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
        except SamLost as fault:
            self._sam_fault = fault
            return wire.MAC2_UNCHECKED
        return wire.MAC2_OK

    def _block(self, card: Identity) -> None:
        """Block a denied card through the SAM. A card that does not let itself be blocked is refused all the same."""
        self._signed_seq = 0
        try:
            challenge = self._card.send(purse.GET_CHALLENGE).random
            self.sam_exchanges += 1
            mac = self._sam.block_mac(card, challenge, _BLOCK_HEAD)
            if mac is None:
                return
            self._card.send(purse.APPLICATION_BLOCK, mac=mac)
            self._journal.event(wire.CARD_BLOCKED, reason.DENIED, card.serial)
        except CardRefused as refusal:
            raise Refused(reason.DENIED, refusal.sw)
        except LinkLost:
            raise Refused(reason.DENIED)

    def _show_paid(self, what: str, fare_fen: int, balance_fen: int) -> None:
        self._served = self._serial
        self._served_ms = self._clock.ticks_ms()
        self._shown = (what, {"fare_fen": fare_fen, "balance_fen": balance_fen})
        self._panel.show(what, fare_fen=fare_fen, balance_fen=balance_fen)

    def _refuse(self, refused: Refused) -> None:
        try:
            self._journal.event(wire.REFUSED, refused.reason, self._serial, refused.sw)
        except JournalFull:
            pass  # taps have the first call on the last slots; the panel still tells
        self._panel.show("refused", reason=refused.reason, sw=refused.sw)
