"""Cards and fields that do harm, for every kind of ride: money that left a card has its one record, and no other has.

The field is between the tap path and cards that check MAC1. What each attack may cost and what it must not: tap.md.
"""

import unittest

from support import rides
from support.bus import FOREIGN, Bus
from support.purse_card import AFTER, BEFORE, ISSUER, FieldReader, PurseCard
from support.rides import Post
from test_rides import bus_at, gate, stands
from tunion.bcd import from_digits
from tunion.card.refusals import LinkLost
from tunion.wire import reason
from tunion.wire import tap as wire

HEAP = "3m"
OTHER = from_digits("03104999000000000555")
CLAIMING = (wire.SETTLED, wire.PROVED, wire.DISPUTED, wire.GREY)
PAID = (wire.SETTLED, wire.PROVED)
LET_IN = ("paid", "board", "alight", "enter", "exit", "desk", "recovered")
PANEL = LET_IN + ("tap_again", "refused", "ignored")
FLIP_STEP = 11  # of all bytes of a tap's answers, each with one bit; coprime to 8
BACK_S = 3
_KEYED = 2  # the first two bytes of a serial are in no key: nobody knows offline whether they are the card's


class HostileField(FieldReader):
    """A reader whose every answer an attack may change. `answers` are those that the tap path got."""

    def __init__(self):
        super().__init__()
        self.attack = None
        self.answers = []

    def present(self, card, tear=None):
        super().present(card, tear)
        self.answers = []

    def transceive(self, apdu, wait_ms):
        if self.attack is None or self.card is None:
            answer = super().transceive(apdu, wait_ms)
        else:
            self.exchanges += 1
            answer = self.attack.answer(self.exchanges, apdu, self)
        self.answers.append(answer)
        return answer


class Attack:
    """On exchange `number`."""

    def __init__(self, number):
        self.number = number

    def answer(self, number, apdu, field):
        if number != self.number:
            return field.card.transceive(apdu)
        return self.harm(apdu, field)


class Stale(Attack):
    """The answer before comes again; the card has done the command."""

    def harm(self, apdu, field):
        field.card.transceive(apdu)
        return field.answers[-1] if field.answers else b"\x90\x00"


class Swallowed(Attack):
    """The answer before comes again; the card never saw the command."""

    def harm(self, apdu, field):
        return field.answers[-1] if field.answers else b"\x90\x00"


class Late(Attack):
    """From here on each answer is that of the command before."""

    def __init__(self, number):
        super().__init__(number)
        self.kept = None

    def answer(self, number, apdu, field):
        answer = field.card.transceive(apdu)
        if number < self.number:
            return answer
        late, self.kept = self.kept, answer
        return late if late is not None else field.answers[-1] if field.answers else b"\x90\x00"


class Twice(Attack):
    """The card hears the command twice."""

    def harm(self, apdu, field):
        field.card.transceive(apdu)
        return field.card.transceive(apdu)


class Cut(Attack):
    """Only so many bytes of the answer."""

    def __init__(self, number, size):
        super().__init__(number)
        self.size = size

    def harm(self, apdu, field):
        return field.card.transceive(apdu)[: self.size]


class Relay(Attack):
    """All that the card says is written down; the last answer is kept back."""

    def __init__(self, number):
        super().__init__(number)
        self.held = []

    def answer(self, number, apdu, field):
        self.held.append(field.card.transceive(apdu))
        return b"" if number == self.number else self.held[-1]


class Flip(Attack):
    """One bit of the answer."""

    def __init__(self, number, at):
        super().__init__(number)
        self.at = at

    def harm(self, apdu, field):
        answer = bytearray(field.card.transceive(apdu))
        if self.at < len(answer):
            answer[self.at] ^= 1 << self.at % 8
        return bytes(answer)


UNSELECTED, SELECTED, MIRRORED = range(3)


class Swap(Attack):
    """Another card from here on, or for this exchange only. It may have been selected, or have heard every command."""

    def __init__(self, number, other, how, comes_back=False):
        super().__init__(number)
        self.other = other
        self.how = how
        self.comes_back = comes_back

    def answer(self, number, apdu, field):
        if number == 1:
            self.first = apdu
        swapped = number == self.number if self.comes_back else number >= self.number
        if self.how == SELECTED and number == self.number:
            self.other.power_on()
            self.other.transceive(self.first)
        if self.how == MIRRORED and not swapped:
            self.other.transceive(apdu)
        return (self.other if swapped else field.card).transceive(apdu)


# -- what is ridden -------------------------------------------------------------------------------------------------


def plain():
    return Bus(), PurseCard()


def flat():
    return rides.terminal(rides.flat(), line=605), PurseCard()


def boarding():
    return bus_at(1), PurseCard()


def alighting():
    bus, card = bus_at(1), PurseCard()
    stands(bus, card)
    bus.clock.advance_ms(600000)
    bus.duty.stop = 3
    return bus, card


def made_up():
    card = PurseCard()
    stands(bus_at(1), card)
    other = bus_at(2, plate=b"B2")
    other.clock.advance_ms(3600000)
    return other, card


def entry():
    return gate("entry", 211), PurseCard()


def leaving():
    card, bus = PurseCard(), gate("exit", 322)
    stands(gate("entry", 211), card)
    bus.clock.advance_ms(600000)
    return bus, card


def desk():
    card, bus = PurseCard(), gate("desk", 323)
    stands(gate("entry", 211), card)
    bus.clock.advance_ms(3600000)
    bus.duty.repair = ("exit", 322)
    return bus, card


# name -> (terminal and card, fen, exchanges, times the passenger is let in)
KINDS = {
    "plain": (plain, 200, 4), "flat": (flat, 200, 5), "boarding": (boarding, 0, 7), "alighting": (alighting, 200, 7),
    "made up": (made_up, 400, 11), "entry": (entry, 0, 7), "exit": (leaving, 300, 7), "desk": (desk, 300, 7),
}  # fmt: skip


class Scene:
    """One ride under attack, and its books."""

    def __init__(self, kind):
        make, self.fare_fen, self.exchanges = KINDS[kind]
        self.bus, self.card = make()
        self.field = HostileField()
        self.bus.reader = self.field
        self.bus.tap._reader = self.field
        self.cards = [self.card]
        self.before = {}  # serial -> debits that happened elsewhere
        self.old = self.last_seq()
        self.opened = len(self.bus.gate.opened) if hasattr(self.bus, "gate") else 0
        self.shown = []
        self.note(self.card)

    def note(self, card):
        """This card's debits count from now on."""
        self.before[card.serial] = len(card.log)
        if card not in self.cards:
            self.cards.append(card)
        return card

    def last_seq(self):
        return self.bus.journal.seq

    def tap(self, card=None, attack=None, tear=None, seconds=BACK_S):
        self.bus.clock.advance_ms(1000 * seconds)
        self.field.attack = attack
        self.field.present(card or self.card, tear)
        count = len(self.bus.panel.shown)
        self.bus.tap.serve()
        self.field.attack = self.field.card = None
        shown = self.bus.panel.shown[count:]
        assert len(shown) == 1, "one card, one message: %s" % shown
        self.shown.append(shown[0][0])
        return shown[0][0]

    def records(self):
        """seq -> [body, outcome code, mac2] of taps made here under attack; an amend counts for its tap."""
        found = {}
        for seq, entry in self.bus.journal.pending(1000, 1000000):
            body, outcome = wire.from_wire(entry)
            if body.kind == wire.TAP and seq > self.old:
                found[seq] = [body, outcome.code, outcome.tac]
            elif body.kind == wire.AMEND and body.of_seq in found:
                found[body.of_seq][1:] = [outcome.code, outcome.tac]
        return [found[seq] for seq in sorted(found)]

    def debits(self):
        return [(card.serial, entry) for card in self.cards for entry in card.log[self.before[card.serial] :]]

    def check(self, exact=True):
        """exact: nobody forged the bytes of a TAC or balance on their way."""
        open_ = [claim.tap() for claim in self.bus.journal.open_claims()]
        claims = [_named(body) for body, code, _ in self.records() if code in CLAIMING]
        claims += [_named(body) for body in open_]
        paid = [body for body, code, _ in self.records() if code in PAID]
        debits = [(serial[_KEYED:], counter, amount_fen) for serial, (counter, amount_fen, _) in self.debits()]
        for debit in debits:
            assert claims.count(debit) == 1, "a debit has %d records: %s" % (claims.count(debit), self.shown)
        for body in paid:
            assert _named(body) in debits, "a record of a debit that never was"
        if exact:
            for serial, (counter, _, tac) in self.debits():
                for body, code, proof in self.records():
                    if (body.card, body.counter) == (serial, counter) and code in PAID:
                        assert proof == tac, "another card's proof"
        let_in = [shown for shown in self.shown if shown in LET_IN]
        rides_paid = [body for body in paid if body.event != wire.MAKE_UP or "desk" in let_in]
        assert len(let_in) <= max(len(rides_paid), len(paid)), "let in %s, paid %d" % (let_in, len(paid))
        if hasattr(self.bus, "gate"):
            passes = 0 if self.bus.settings.site.role == "desk" else len(let_in)
            assert len(self.bus.gate.opened) - self.opened == passes, "the gate"
        for shown in self.shown:
            assert shown in PANEL, shown

    def spent_fen(self, card=None):
        card = card or self.card
        return sum(entry[1] for entry in card.log[self.before[card.serial] :])

    def disputed(self):
        return [body for body, code, _ in self.records() if code == wire.DISPUTED]


def _named(body):
    """Whose money, which purchase."""
    return body.card[_KEYED:], body.counter, body.amount_fen


class HostileCase(unittest.TestCase):
    def each(self, made, kinds=()):
        """Run made(kind, number) for each exchange of each kind; an assertion names both."""
        for kind in kinds or sorted(KINDS):
            for number in range(1, KINDS[kind][2] + 1):
                with self.subTest(kind=kind, number=number):
                    made(kind, number)

    def ends_well(self, scene, exact=True):
        """Let in, or the passenger comes back with his card to an honest field: charged once, or a proof was spoilt.

        exact  the card's files were read as they are: then the price is right, too
        """
        scene.check(exact)
        if scene.shown[-1] not in LET_IN:
            scene.tap()
            scene.check(exact)
        allowed = scene.fare_fen + sum(body.amount_fen for body in scene.disputed())
        self.assertLessEqual(scene.spent_fen(), allowed)
        if not scene.disputed():
            self.assertIn(scene.shown[-1], LET_IN)
            if exact:
                self.assertEqual(scene.spent_fen(), scene.fare_fen)


class Fields(HostileCase):
    def test_the_rides_as_they_are_without_harm(self):
        for kind in sorted(KINDS):
            scene = Scene(kind)
            self.assertIn(scene.tap(), LET_IN)
            self.assertEqual((scene.spent_fen(), len(scene.field.answers)), (scene.fare_fen, scene.exchanges))
            scene.check()

    def test_a_card_that_leaves(self):
        for moment in (BEFORE, AFTER):

            def torn(kind, number, moment=moment):
                scene = Scene(kind)
                self.assertEqual(scene.tap(tear=(number, moment)), "tap_again")
                self.ends_well(scene)

            self.each(torn)

    def test_answers_that_come_late_or_again_and_commands_heard_twice(self):
        for attack in (Stale, Swallowed, Late, Twice):

            def late(kind, number, attack=attack):
                scene = Scene(kind)
                scene.tap(attack=attack(number))
                self.ends_well(scene, exact=False)

            self.each(late)

    def test_answers_that_are_cut_anywhere(self):
        def cut(kind, number):
            honest = Scene(kind)
            honest.tap()
            for size in sorted({0, 2, 8, len(honest.field.answers[number - 1]) - 1}):
                scene = Scene(kind)
                scene.tap(attack=Cut(number, size))
                self.ends_well(scene)

        self.each(cut)

    def test_a_bit_that_flips_in_any_answer(self):
        for kind in sorted(KINDS):
            honest = Scene(kind)
            honest.tap()
            place = 0
            for number in range(1, honest.exchanges + 1):
                for at in range(len(honest.field.answers[number - 1])):
                    place += 1
                    if place % FLIP_STEP and not (kind == "exit" and number == 7):
                        continue
                    with self.subTest(kind=kind, number=number, at=at):
                        scene = Scene(kind)
                        scene.tap(attack=Flip(number, at))
                        scene.check(exact=False)

    def test_a_wrong_mac2_is_disputed_and_opens_nothing(self):
        for kind in sorted(KINDS):
            scene = Scene(kind)
            scene.card.wrong_mac2 = True
            self.assertEqual(scene.tap(), "refused")
            self.assertEqual(scene.bus.panel.shown[-1][1]["reason"], reason.NOT_GENUINE)
            scene.check()
            self.assertEqual(len(scene.disputed()), 1)


class Swaps(HostileCase):
    def test_another_card_between_two_commands(self):
        for issuer in (ISSUER, FOREIGN):
            for how in (UNSELECTED, SELECTED, MIRRORED):
                for comes_back in (False, True):
                    if issuer == FOREIGN and (comes_back or how == UNSELECTED):
                        continue

                    def swapped(kind, number, issuer=issuer, how=how, comes_back=comes_back):
                        scene = Scene(kind)
                        other = scene.note(PurseCard(serial=OTHER, issuer=issuer))
                        other.records = list(scene.card.records)
                        before = scene.card.balance_fen, other.balance_fen
                        shown = scene.tap(attack=Swap(number, other, how, comes_back))
                        scene.check()
                        moved = (before[0] - scene.card.balance_fen, before[1] - other.balance_fen)
                        self.assertTrue(0 in moved, "two cards paid for one ride")
                        if shown in LET_IN:
                            payer = scene.card if scene.debits()[0][0] == scene.card.serial else other
                            self.assertEqual([body.card for body, _, _ in scene.records()][-1], payer.serial)
                        if scene.debits():
                            return
                        self.ends_well(scene)

                    self.each(swapped, ("plain", "boarding", "made up", "entry", "exit"))

    def test_another_card_while_a_torn_one_is_asked_for_its_proof(self):
        for moment in (BEFORE, AFTER):
            for number in (1, 2, 3):
                for how in (UNSELECTED, SELECTED):
                    with self.subTest(moment=moment, number=number, how=how):
                        scene = Scene("exit")
                        other = scene.note(PurseCard(serial=OTHER))
                        scene.tap(tear=(7, moment))
                        scene.tap(attack=Swap(number, other, how))
                        scene.check()
                        self.assertEqual(scene.spent_fen(other), 0)


class Copy(PurseCard):
    """Card A's files on a card with another card's keys."""

    def __init__(self, of):
        super().__init__(serial=OTHER)
        self.files = dict(of.files)
        self.records = list(of.records)


class Forger(PurseCard):
    """Card A's files, no keys at all: it says yes to whatever it is told. `proves`: also to a claim it never saw."""

    proves = False

    def __init__(self, of):
        super().__init__(serial=of.serial, issuer=ISSUER)
        self.files = dict(of.files)
        self.records = list(of.records)
        self.counter = of.counter
        self.balance_fen = of.balance_fen

    def transceive(self, apdu):
        if apdu[:2] == b"\x80\x5a" and self.proves:
            return bytes(8) + b"\x90\x00"
        return super().transceive(apdu)

    def _debit(self, apdu):
        return b"\x11\x22\x33\x44\x55\x66\x77\x88\x90\x00"


class Replayer(Forger):
    """It says what card A said to the same terminal."""

    said = ()

    def _initialize(self, apdu):
        answer = super()._initialize(apdu)
        return self.said[0] if len(answer) > 2 else answer

    def _debit(self, apdu):
        return self.said[1]


class Forgeries(HostileCase):
    def test_a_copied_file_image_pays_nothing_and_opens_nothing(self):
        for kind in sorted(KINDS):
            for made in (Copy, Forger):
                with self.subTest(kind=kind, made=made):
                    scene = Scene(kind)
                    copy = made(scene.card)
                    self.assertEqual(scene.tap(copy), "refused")
                    self.assertEqual([code for _, code, _ in scene.records() if code in PAID], [])
                    scene.check()
                    self.assertEqual(scene.spent_fen(), 0)
                    self.assertIn(scene.tap(), LET_IN, "the true card rides")
                    self.assertEqual(scene.spent_fen(), scene.fare_fen)

    def test_answers_that_are_played_again_open_nothing(self):
        for kind in ("plain", "flat", "entry", "exit"):
            scene = Scene(kind)
            forger = Replayer(scene.card)
            scene.tap()
            answers = scene.field.answers
            forger.said = ([each for each in answers if len(each) == 17][0], answers[-1])
            shown = scene.tap(forger, seconds=60)
            codes = [code for _, code, _ in scene.records()]
            self.assertEqual((shown, codes), ("refused", [wire.SETTLED, wire.DISPUTED]))

    def test_an_answer_that_was_held_back_is_worth_the_one_ride_that_it_paid(self):
        """The SAM's counter stands still after a torn card, so the old MAC2 fits once more: for the same money."""
        for kind in ("plain", "entry", "exit"):
            scene = Scene(kind)
            forger = Replayer(scene.card)
            relay = Relay(scene.exchanges)
            self.assertEqual(scene.tap(attack=relay), "tap_again")
            forger.said = ([each for each in relay.held if len(each) == 17][0], relay.held[-1])
            self.assertIn(scene.tap(forger), LET_IN)
            scene.check()
            self.assertEqual(scene.spent_fen(), scene.fare_fen)
            self.assertEqual(scene.tap(forger, seconds=60), "refused")
            codes = [code for _, code, _ in scene.records()]
            self.assertEqual((codes[:2], set(codes[2:]) - {wire.DISPUTED}), ([wire.VOID, wire.SETTLED], set()))

    def test_a_forged_proof_is_found_out_by_mac2_while_the_sam_remembers(self):
        for kind in ("plain", "exit"):
            scene = Scene(kind)
            scene.tap(tear=(scene.exchanges, BEFORE))
            forger = Forger(scene.card)
            forger.proves = True
            self.assertEqual(scene.tap(forger), "refused")
            self.assertEqual([code for _, code, _ in scene.records()], [wire.DISPUTED])

    def test_a_forged_proof_that_no_sam_can_check_is_one_ride_under_the_cards_own_number(self):
        """The limit of what is known offline: the issuer finds the TAC wrong, the card goes on the deny list."""
        scene = Scene("plain")
        scene.tap(tear=(4, BEFORE))
        scene.tap(scene.note(PurseCard(serial=OTHER)))
        forger = Forger(scene.card)
        forger.proves = True
        self.assertEqual(scene.tap(forger), "recovered")
        self.assertEqual(scene.tap(forger, seconds=60), "refused", "once for each tear")
        found = [(body.card, code, tac) for body, code, tac in scene.records() if body.card == scene.card.serial]
        self.assertEqual(found[0], (scene.card.serial, wire.PROVED, bytes(4)))

    def test_a_card_that_says_it_holds_more_than_it_may_is_refused(self):
        scene = Scene("plain")
        scene.card.balance_fen = 0x7FFFFFFF
        self.assertEqual((scene.tap(), scene.spent_fen()), ("refused", 0))


class TheFieldOfTheseTests(unittest.TestCase):
    def test_a_card_that_is_gone_does_not_answer(self):
        field = HostileField()
        field.attack = Stale(1)
        self.assertRaises(LinkLost, field.transceive, b"\x00\x84\x00\x00\x04", 100)

    def test_the_post_counts(self):
        post = Post()
        post.permit(1, bytes(10))
        self.assertEqual((post.opened, post.again(bytes(10))), ([1], False))


if __name__ == "__main__":
    unittest.main()
