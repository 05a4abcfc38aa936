"""One tap: seen, judged, priced, claimed, debited, settled. Power, card and SAM may go at any line.

    card            SAM        flash
    SELECT                                 file 15h comes with the answer
    READ 17h                               kind, city, interoperability
    READ 1Ah                               the open ride, where the tariff has one
    INITIALIZE      8070                   nothing has changed on the card yet
    UPDATE 1Ah 1Eh             claim       buffered by the card; from the claim on the debit may have happened
    DEBIT           8072       outcome     the panel tells, and a gate opens, when the outcome is durable

What a tap comes to say validator/rides; the debit itself is validator/purchase. A card that left between DEBIT and its
answer is asked first thing when it returns (GET TRANSACTION PROVE), before any other check: that ride is paid, or was
never debited. Rules and reasons: firmware/docs/tap.md.
"""

from tunion import bcd
from tunion.card import files, purse
from tunion.card.apdu import Card
from tunion.card.refusals import Blocked, CardRefused, LinkLost, NotOurCard
from tunion.compat import const
from tunion.record import BadInput
from tunion.wire import reason
from tunion.wire import tap as wire
from validator import checks, rides
from validator.ports import ENTRY, EXIT, Identity
from validator.purchase import Purchases, own_fen
from validator.rides.charge import Refused, amount_fen
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.claim import Claim
    from validator.denylist import DenyList
    from validator.duty import Duty
    from validator.gate import GateKeeper
    from validator.journal import Journal
    from validator.list_views import DenyView
    from validator.ports import Clock, Panel, Reader, Sam
    from validator.rules import Rules
    from validator.settings import Settings

_BY_SFI = const(0x80)  # P1 of READ BINARY
_LOG_P2 = const(0xC4)  # of READ RECORD: of file 18h, by number; 1 is the newest
_NO_PROOF = const(0x9406)  # what a card says that proves nothing
_COUNTER_MASK = const(0xFFFF)
_CLOCK_UNKNOWN = const(0)
_NO_CARD = bytes(10)
_RICH_FEN = const(0x3FFFFFFF)  # a ride is decided before the balance is known, and again with it
_BLOCK_HEAD = b"\x84\x1e\x00\x00\x04"  # what the MAC of APPLICATION BLOCK covers
_DATE_FREE = const(8)  # of a station's modes: cards past their last day ride
_SHOWN = {wire.BOARD: "board", wire.ALIGHT: "alight"}  # of a ride that is proved, where it is no plain "paid"


class TapPath:
    """Serves one presented card after the other.

    card_exchanges, sam_exchanges   of the last card
    paid                            it paid, now
    again                           the panel showed the same card its last answer again
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
        gate: "GateKeeper | None" = None,
    ) -> None:
        self._reader = reader
        self._journal = journal
        self._clock = clock
        self._panel = panel
        self._deny = deny
        self._settings = settings
        self._duty = duty
        self._gate = gate
        self._card = Card(self)
        self._purchases = Purchases(self, self._card, sam, journal, clock)
        self._serial = _NO_CARD  # of the card at hand, for the journal
        self._unanswered: list[tuple[Claim, int]] = []  # claims this card did not prove, and what it said
        self._served = _NO_CARD  # the last card that paid, when, and what it was shown
        self._served_ms = 0
        self._shown: tuple[str, dict[str, int | str]] = ("ready", {})
        self.card_exchanges = 0
        self.paid = False
        self.again = False
        self.use(rules)
        self._resume()

    @property
    def sam_exchanges(self) -> int:
        """As above."""
        return self._purchases.sam_exchanges

    def use(self, rules: "Rules") -> None:
        """From the next card on. Between taps."""
        self._rules = rules
        self._ride = rides.make(rules.fare, self._settings.site, self._duty)

    def serve(self) -> None:
        """The card that the reader has just reported, from SELECT to what the panel shows.

        raises  ReaderLost, SamLost, FlashFault: what is claimed stays claimed, call again when the part is back
        """
        self._serial = _NO_CARD
        self._unanswered = []
        self._purchases.begin()
        self.card_exchanges = 0
        self.paid = False
        self.again = False
        try:
            self._serve()
        except LinkLost:
            self._panel.show("tap_again")
        except Refused as refused:
            self._refuse(refused)
        except JournalFull:
            self._refuse(Refused(reason.JOURNAL_FULL))
        if self._purchases.sam_fault is not None:
            raise self._purchases.sam_fault

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
        card, at_s, fare_fen, balance_fen, event, kind = last
        if 0 <= self._clock.now_s() - at_s < self._rules.same_card_s:
            self._served = card
            self._served_ms = self._clock.ticks_ms()
            details: dict[str, Any] = {"fare_fen": fare_fen, "balance_fen": balance_fen - fare_fen, "kind": kind}
            self._shown = (self._name_of(event), details)

    # -- the steps ----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        if self._clock.quality() == _CLOCK_UNKNOWN and self._settings.clock_required:
            raise Refused(reason.NO_CLOCK)
        if not self._duty.ready:
            raise Refused(reason.NOT_ON_DUTY)
        public = self._seen()
        if self._gate is not None and self._gate.again(public.serial):
            self._show_again(public.serial)
            return
        if self._was_just_served(public.serial):
            if self._gate is not None:
                self._gate.stay_shut()
            self._show_again(public.serial)
            return
        if self._recovered():
            return
        now_s = self._clock.now_s()
        self._carry(self._judged(public, bcd.stamp(now_s)[:4]), now_s)

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
            this_ride = not claim.grey and not self._is_made_up(tap)
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
            mac2 = self._purchases.verdict(claim, proof.mac2)
            if mac2 == wire.MAC2_WRONG:
                claim.dispute(proof.tac)
                raise Refused(reason.NOT_GENUINE)
            claim.prove(proof.tac, mac2)
            if this_ride:
                paid = True
                details = {"fare_fen": tap.amount_fen, "balance_fen": tap.balance_fen - tap.amount_fen}
                self._say("recovered", details, self._name_of(tap.event))
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
        if found and not (found == reason.EXPIRED and self._duty.modes & _DATE_FREE):
            raise Refused(found)
        identity = Identity(public.serial, public.issuer, management.city, management.kind)
        if public.serial in self._deny:
            if rules.block_denied:
                self._block(identity)
            raise Refused(reason.DENIED)
        return identity

    # -- the ride -----------------------------------------------------------------------------------------------

    def _carry(self, card: Identity, now_s: int) -> None:
        """What this tap comes to: a debit, two where an earlier ride is owed, or none. Raises Refused."""
        ride = self._ride
        records = ride.read(self._card, card)
        while True:
            overdraft = self._rules.overdraft
            charge = ride.decide(card, records, now_s, _RICH_FEN, overdraft)
            if self._gate is not None:
                self._gate.judge(card.serial, charge)
            if not charge.type:
                self._without_debit(card, charge.shown)
                return
            debit_fen = amount_fen(charge)
            offer = self._purchases.offered(charge.type, debit_fen)
            self._close_unanswered(offer.counter)
            balance_fen = own_fen(offer)
            self._check_balance(balance_fen, offer.limit_fen, debit_fen)
            if ride.judges_balance:
                charge = ride.decide(card, records, now_s, balance_fen, overdraft)
                assert amount_fen(charge) == debit_fen, "a balance may refuse a ride, not change its price"
            images = self._purchases.debit(card, charge, offer, ride, records, self._fixed(ride), now_s)
            if not charge.more:
                break
            records = (images[0][2], records[1])
        self.paid = True
        details = {"fare_fen": debit_fen, "balance_fen": balance_fen - debit_fen, "kind": card.kind}
        if charge.discount_fen:
            details["saved_fen"] = charge.discount_fen
        if charge.event == wire.BOARD:
            details["marked_fen"] = charge.marked_fen
        self._say(charge.shown, details)

    def _fixed(self, ride: "Any") -> "dict[str, Any]":
        """What a claim says of terminal and tariff."""
        duty = self._duty
        fare = self._rules.fare
        return {
            "industry": ride.mode or self._settings.industry,
            "fare_id": fare.fare_id,
            "fare_version": fare.version,
            "line": duty.line,
            "driver": duty.driver,
            "vehicle": duty.vehicle,
        }

    # -- parts of the steps -------------------------------------------------------------------------------------

    def _read(self, sfi: int, size: int) -> bytes:
        raw: bytes = self._card.send(files.READ_BINARY, p1=_BY_SFI | sfi, le=size)
        return raw

    def _is_made_up(self, tap: "Any") -> bool:
        """A debit for an earlier ride: this card's own ride is not decided by it."""
        return bool(tap.event & 15 == wire.MAKE_UP and self._settings.site.role != "desk")

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

    def _block(self, card: Identity) -> None:
        """Block a denied card through the SAM. A card that does not let itself be blocked is refused all the same."""
        try:
            challenge = self._card.send(purse.GET_CHALLENGE).random
            mac = self._purchases.block_mac(card, challenge, _BLOCK_HEAD)
            if mac is None:
                return
            self._card.send(purse.APPLICATION_BLOCK, mac=mac)
            self._journal.event(wire.CARD_BLOCKED, reason.DENIED, card.serial)
        except CardRefused as refusal:
            raise Refused(reason.DENIED, refusal.sw)
        except LinkLost:
            raise Refused(reason.DENIED)

    def _say(self, what: str, details: "dict[str, Any]", ride: str = "") -> None:
        """The outcome is durable: tell, and open a gate. The same card is told again for a while.

        ride  what it came to, where the panel says something else
        """
        self._served = self._serial
        self._served_ms = self._clock.ticks_ms()
        self._shown = (what, details)
        self._panel.show(what, **details)
        self._let_through(ride or what)

    def _name_of(self, event: int) -> str:
        """What the panel said of a tap with this event."""
        gates = self._settings.site.role in ("entry", "exit", "both") and self._ride.record == 1
        names = {wire.BOARD: "enter", wire.ALIGHT: "exit"} if gates else _SHOWN
        return names.get(event & 15, "paid")

    def _let_through(self, shown: str) -> None:
        """Open the gate after a ride that begins or ends, or where a mode says so."""
        if self._gate is not None and shown in ("enter", "exit", "passed"):
            out = shown == "exit" or (shown == "passed" and self._settings.site.role == "exit")
            self._gate.permit(EXIT if out else ENTRY, self._serial)

    def _without_debit(self, card: Identity, shown: str) -> None:
        """Let through by a mode; or the same tap again, which opens a gate that has just started. Raises Refused."""
        if shown == "ignored" and self._gate is not None:
            self._gate.ignored(EXIT if self._settings.site.role == "exit" else ENTRY, card.serial)
            shown = "passed"
        elif shown == "passed":
            self._let_through(shown)
        self._panel.show(shown)

    def _show_again(self, serial: bytes) -> None:
        """What the last card was shown; an earlier one, for which a gate opens again, that it may pass."""
        self.again = True
        if serial == self._served:
            self._panel.show(self._shown[0], **self._shown[1])
        else:
            self._panel.show("passed")

    def _refuse(self, refused: Refused) -> None:
        try:
            self._journal.event(wire.REFUSED, refused.reason, self._serial, refused.sw)
        except JournalFull:
            pass  # taps have the first call on the last slots; the panel still tells
        self._panel.show("refused", reason=refused.reason, sw=refused.sw)
