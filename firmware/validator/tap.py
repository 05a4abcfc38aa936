"""One tap: seen, judged, priced, claimed, debited, settled. Power, card and SAM may go at any line.

    card            SAM        flash
    SELECT                                 file 15h comes with the answer; each application of the device file in turn
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
from tunion.card import product, purse
from tunion.card.apdu import Card
from tunion.card.refusals import Blocked, CardRefused, LinkLost, NotOurCard
from tunion.compat import const
from tunion.record import BadInput
from tunion.wire import reason
from tunion.wire import tap as wire
from validator import checks, rides
from validator.answers import Answers
from validator.ports import Identity
from validator.purchase import Purchases, own_fen
from validator.rides.charge import Refused, amount_fen
from validator.ring import JournalFull
from validator.torn import Torn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.denylist import DenyList
    from validator.duty import Duty
    from validator.gate import GateKeeper
    from validator.journal import Journal
    from validator.list_views import DenyView
    from validator.ports import Clock, Panel, Reader, Sam
    from validator.rules import Rules
    from validator.sams import Sams
    from validator.settings import Settings

_CLOCK_UNKNOWN = const(0)
_NO_CARD = bytes(10)
_RICH_FEN = const(0x3FFFFFFF)  # a ride is decided before the balance is known, and again with it
_BLOCK_HEAD = b"\x84\x1e\x00\x00\x04"  # what the MAC of APPLICATION BLOCK covers
_DATE_FREE = const(8)  # of a station's modes: cards past their last day ride


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
        sams: "Sams | None" = None,
    ) -> None:
        """sams: where applications have SAMs of their own; `sam` is then the common one."""
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
        self._sam = sam
        self._sams = sams
        self._taken = settings.applications
        self._seen_here: list[tuple[int, bytes]] = []  # (product, serial) of the applications of the card at hand
        self.card_exchanges = 0
        self.paid = False
        self._torn = Torn(self._card, self._purchases, journal, clock, duty, settings.site.role)
        self._answers = Answers(panel, clock, gate, settings.site.role)
        self.use(rules)
        self.resume()

    @property
    def again(self) -> bool:
        """As above."""
        return self._answers.again

    @property
    def sam_exchanges(self) -> int:
        """As above."""
        return self._purchases.sam_exchanges

    def resume(self) -> None:
        """The journal was read, at boot or after a fault: who paid last may not have been told."""
        self._answers.resume(self._journal, self._rules.same_card_s)

    def use(self, rules: "Rules") -> None:
        """From the next card on. Between taps."""
        self._rules = rules
        self._rides = [rides.make(one.fare or rules.fare, self._settings.site, self._duty) for one in self._taken]
        self._take(0)

    def serve(self) -> None:
        """The card that the reader has just reported, from SELECT to what the panel shows.

        raises  ReaderLost, SamLost, FlashFault: what is claimed stays claimed, call again when the part is back
        """
        self._serial = _NO_CARD
        self._seen_here = []
        self._torn.unanswered = []
        self._purchases.begin()
        self.card_exchanges = 0
        self.paid = False
        self._answers.again = False
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

    # -- the steps ----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        if self._clock.quality() == _CLOCK_UNKNOWN and self._settings.clock_required:
            raise Refused(reason.NO_CLOCK)
        if not self._duty.ready:
            raise Refused(reason.NOT_ON_DUTY)
        passed = None  # over: why the first application that the card has does not ride
        several = len(self._taken) > 1
        for index in range(len(self._taken)):
            if several:
                self._take(index)
            try:
                found = self._seen()
                if self._answers.repeated(self._product.number, self._serial, self._rules.same_card_s):
                    return
                if self._recovered() or (several and self._recovered_elsewhere(index)):
                    return
                now_s = self._clock.now_s()
                card = self._judged(found, bcd.stamp(now_s)[:4])
            except Refused as refused:
                if not self._goes_on(refused.reason):
                    raise
                if passed is None or passed[0].reason == reason.NOT_OUR_CARD:
                    passed = (refused, self._serial)
                self._torn.unanswered = []  # they stay open: the next application's counter says nothing of them
                continue
            self._purchases.prepare(card)
            self._carry(card, now_s)
            return
        assert passed is not None
        self._serial = passed[1]
        raise passed[0]

    def _take(self, index: int) -> None:
        """An application: its facts, its SAM, its fare."""
        taken = self._taken[index]
        self._product = taken.product
        self._ride = self._rides[index]
        self._fare = taken.fare or self._rules.fare
        self._issuers = taken.issuers
        if self._sams is not None:
            self._purchases.use(self._sams.take(index))

    def _seen(self) -> "dict[int, bytes]":
        """The first file of the application. Raises Refused for a card that has it not, or blocked."""
        self._serial = _NO_CARD
        try:
            found = product.opened(self._product, self._card)
            self._serial = product.serial_of(self._product, found)
        except Blocked as refusal:
            raise Refused(reason.BLOCKED, refusal.sw)
        except NotOurCard as refusal:
            raise Refused(reason.NOT_OUR_CARD, refusal.sw)
        except CardRefused as refusal:
            raise Refused(reason.INVALID_CARD, refusal.sw)
        except BadInput:
            raise Refused(reason.INVALID_CARD)
        self._seen_here.append((self._product.number, self._serial))
        return found

    def _goes_on(self, why: int) -> bool:
        """The card's next application may ride, though this one does not.

        Never beside an open claim of this application: whether it is this card's nobody can tell then.
        """
        if len(self._taken) == 1 or why > reason.TEST_CARD:
            return False
        if why == reason.NOT_OUR_CARD:
            return True
        if self._settings.application_choice != "may_ride":
            return False
        return self._serial != _NO_CARD or self._product.number not in self._torn.products()

    def _recovered_elsewhere(self, index: int) -> bool:
        """As _recovered, of applications later in the order: none is charged while a claim of another was not asked.

        Those before this one were asked when their turn was.
        """
        claimed = self._torn.products()
        own = self._torn.unanswered
        asked = False
        for other in range(index + 1, len(self._taken)):
            if self._taken[other].product.number not in claimed:
                continue
            asked = True
            self._torn.unanswered = []  # without proof they stay open: no INITIALIZE here tells that card's counter
            self._take(other)
            try:
                self._seen()
                if self._recovered():
                    return True
            except Refused as refused:
                if refused.reason != reason.NOT_OUR_CARD:
                    raise  # nor passed by where it does not open
        self._torn.unanswered = own
        if asked:
            self._take(index)
            self._seen()
        return False

    def _recovered(self) -> bool:
        """This card has proved that its ride is paid, and was told so."""
        tap = self._torn.ask(self._product, self._serial)
        if tap is None:
            return False
        self._answers.recovered(tap, self._seen_here)
        return True

    def _judged(self, found: "dict[int, bytes]", today: bytes) -> Identity:
        """The card's identity, if it may ride. Raises Refused."""
        try:
            product.read_on(self._product, self._card, found)
            facts = product.facts(self._product, found)
        except Blocked as refusal:
            raise Refused(reason.BLOCKED, refusal.sw)
        except CardRefused as refusal:
            raise Refused(reason.INVALID_CARD, refusal.sw)
        except BadInput:
            raise Refused(reason.INVALID_CARD)
        rules = self._rules
        home, others = (rules.home_issuers, rules.issuers) if self._issuers is None else ((), self._issuers)
        why = checks.refusal(facts, self._product, today, home, others, self._settings.test_cards, rules.cities)
        if why and not (why == reason.EXPIRED and self._duty.modes & _DATE_FREE):
            raise Refused(why)
        identity = Identity(facts.serial, facts.issuer, facts.city, facts.kind, self._product)
        has_sam = self._sams is None or self._sams.is_up()
        if facts.serial in self._deny:
            if rules.block_denied and has_sam:
                self._block(identity)
            raise Refused(reason.DENIED)
        if not has_sam:
            raise Refused(reason.NO_SAM)
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
                self._answers.without_debit(charge, card.serial)
                return
            if charge.type not in self._product.types:
                raise Refused(reason.NO_FARE)  # a tariff has come where the device file had a flat fare
            debit_fen = amount_fen(charge)
            offer = self._purchases.offered(charge.type, debit_fen, self._product)
            self._torn.close(offer.counter)
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
        self._answers.say(charge.shown, details, self._seen_here)

    def _fixed(self, ride: "Any") -> "dict[str, Any]":
        """What a claim says of terminal and tariff."""
        duty = self._duty
        fare = self._fare
        return {
            "industry": ride.mode or self._settings.industry,
            "fare_id": fare.fare_id,
            "fare_version": fare.version,
            "line": duty.line,
            "driver": duty.driver,
            "vehicle": duty.vehicle,
        }

    # -- parts of the steps -------------------------------------------------------------------------------------

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

    def _refuse(self, refused: Refused) -> None:
        try:
            self._journal.event(wire.REFUSED, refused.reason, self._serial, refused.sw)
        except JournalFull:
            pass  # taps have the first call on the last slots; the panel still tells
        self._panel.show("refused", reason=refused.reason, sw=refused.sw)
