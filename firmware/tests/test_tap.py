"""One tap charges once or not at all, and the journal says exactly what the card did."""

import unittest

from support.bus import DENIED, FARE_FEN, FOREIGN, Bus, MaintenanceSam
from support.nor import NorFlash, PowerCut
from support.purse_card import AFTER, BEFORE, PurseCard
from tunion.card.refusals import Unproven
from tunion.wire import reason
from tunion.wire import tap as wire
from validator.drivers.soft_sam import SoftSam
from validator.ports import ReaderLost, SamLost

HEAP = "2m"  # a flash image and everything compiled on the spot lie in it
PAID_CODES = (wire.SETTLED, wire.PROVED, wire.DISPUTED)
EXCHANGES = 4  # SELECT, READ 17h, INITIALIZE, DEBIT


def entries(journal):
    return [wire.from_wire(entry) for _, entry in journal.pending(1000, 1000000)]


def taps(journal):
    """[(outcome code, body, outcome)] of finished taps."""
    return [(outcome.code, body, outcome) for body, outcome in entries(journal) if body.kind == wire.TAP]


def refusals(journal):
    return [body.reason for body, _ in entries(journal) if body.kind == wire.EVENT and body.code == wire.REFUSED]


class LosesItsSam(SoftSam):
    """Gone when MAC2 is to be checked."""

    def check(self, mac2):
        raise SamLost("pulled out: push it in")


class CountsChecks(SoftSam):
    checks = 0

    def check(self, mac2):
        CountsChecks.checks += 1
        super().check(mac2)


class TapCase(unittest.TestCase):
    def assert_books_match(self, bus, card):
        """Each debit of the card has its one record, with the card's own proof; no other record claims money."""
        booked = {}
        for code, body, outcome in taps(bus.journal):
            if code in PAID_CODES:
                self.assertNotIn(body.counter, booked)
                booked[body.counter] = (body.counter, body.amount_fen, outcome.tac)
        open_ = [claim.tap().counter for claim in bus.journal.open_claims()]
        for entry in card.log:
            if entry[0] not in open_:
                self.assertEqual(booked.pop(entry[0], None), entry)
        self.assertEqual(booked, {})


class Paying(TapCase):
    def test_a_flat_fare_takes_four_card_and_two_sam_exchanges(self):
        bus, card = Bus(), PurseCard()
        self.assertEqual(bus.serve(card), "paid")
        self.assertEqual((bus.tap.card_exchanges, bus.tap.sam_exchanges), (EXCHANGES, 2))
        details = {"fare_fen": 200, "balance_fen": 4800, "kind": 1}
        self.assertEqual((card.spent_fen, bus.panel.shown[-1][1]), (FARE_FEN, details))

    def test_the_record_holds_what_settlement_needs(self):
        bus, card = Bus(), PurseCard(kind=2, limit_fen=800)
        bus.serve(card)
        code, body, outcome = taps(bus.journal)[0]
        self.assertEqual((code, outcome.mac2, outcome.tac), (wire.SETTLED, wire.MAC2_OK, card.log[0][2]))
        self.assertEqual((body.list_fen, body.discount_fen, body.amount_fen), (200, 60, 140))
        self.assertEqual((body.balance_fen, body.limit_fen, body.counter, body.card_kind), (5000, 800, 18, 2))
        self.assertEqual((body.line, body.driver, body.vehicle, body.terminal_seq), (11, 7, 9, 1))
        self.assert_books_match(bus, card)

    def test_file_15h_is_read_where_the_fci_leaves_it_out(self):
        bus, card = Bus(), PurseCard()
        card.fci_has_public = False
        self.assertEqual(bus.serve(card), "paid")
        self.assertEqual(bus.tap.card_exchanges, EXCHANGES + 1)

    def test_the_same_card_at_once_is_shown_again_and_not_charged_again(self):
        bus, card = Bus(), PurseCard()
        bus.serve(card)
        bus.clock.advance_ms(4900)
        bus.reader.present(card)
        bus.tap.serve()
        self.assertEqual((bus.panel.last, card.spent_fen), ("paid", FARE_FEN))
        bus.clock.advance_ms(200)
        bus.reader.present(card)
        bus.tap.serve()
        self.assertEqual(card.spent_fen, 2 * FARE_FEN)

    def test_the_overdraft_is_refused_or_allowed_by_setting(self):
        for overdraft, shown, spent_fen in (("refuse", "refused", 0), ("allow", "paid", FARE_FEN)):
            with self.subTest(overdraft=overdraft):
                bus, card = Bus(overdraft=overdraft), PurseCard(balance_fen=100, limit_fen=800)
                self.assertEqual((bus.serve(card), card.spent_fen), (shown, spent_fen))
                self.assert_books_match(bus, card)


class Refusing(TapCase):
    def test_each_card_that_must_not_ride_is_refused_under_its_reason_and_charged_nothing(self):
        for expected, card, changes in (
            (reason.INVALID_CARD, PurseCard(application=3), {}),
            (reason.INVALID_CARD, PurseCard(enabled=2), {}),
            (reason.INVALID_CARD, PurseCard(start=bytes(4)), {}),
            (reason.INVALID_CARD, PurseCard(city=b"\xff\xff"), {}),
            (reason.INVALID_CARD, PurseCard(serial=b"\x04\x10" + DENIED[2:]), {}),  # the key is the denied card's
            (reason.NOT_YET_VALID, PurseCard(start=b"\x20\x25\x06\x02"), {}),
            (reason.EXPIRED, PurseCard(expiry=b"\x20\x25\x05\x31"), {}),
            (reason.ISSUER_NOT_ACCEPTED, PurseCard(issuer=b"\x04\x04\x61\x10\xff\xff\xff\xff"), {}),
            (reason.NOT_INTEROPERABLE, PurseCard(issuer=FOREIGN, interoperable=bytes(2)), {}),
            (reason.NOT_INTEROPERABLE, PurseCard(issuer=FOREIGN, kind=9), {}),
            (reason.TEST_CARD, PurseCard(kind=4), {}),
            (reason.DENIED, PurseCard(serial=DENIED), {}),
            (reason.NOT_ENOUGH_MONEY, PurseCard(balance_fen=199), {}),
            (reason.IMPLAUSIBLE_BALANCE, PurseCard(balance_fen=500001), {}),
        ):
            with self.subTest(expected=expected):
                bus = Bus(**changes)
                self.assertEqual(bus.serve(card), "refused")
                self.assertEqual(bus.panel.shown[-1][1]["reason"], expected)
                self.assertEqual((refusals(bus.journal), card.spent_fen), ([expected], 0))
                self.assertEqual(entries(bus.journal)[0][0].card, card.serial)

    def test_cards_at_the_edge_of_a_rule_ride(self):
        for card, changes in (
            (PurseCard(start=b"\x20\x25\x06\x01", expiry=b"\x20\x25\x06\x01"), {}),
            (PurseCard(interoperable=bytes(2), kind=77), {}),
            (PurseCard(issuer=FOREIGN, kind=5), {}),
            (PurseCard(kind=4), {"test_cards": True}),
            (PurseCard(balance_fen=200), {}),
            (PurseCard(balance_fen=500000), {}),
        ):
            bus = Bus(**changes)
            self.assertEqual(bus.serve(card), "paid")

    def test_what_is_no_e_purse_is_refused_without_a_card_number(self):
        class Stranger(PurseCard):
            def transceive(self, apdu):
                return b"\x6a\x82"

        bus = Bus()
        self.assertEqual(bus.serve(Stranger()), "refused")
        event = entries(bus.journal)[0][0]
        self.assertEqual((event.reason, event.value, event.card), (reason.NOT_OUR_CARD, 0x6A82, bytes(10)))

    def test_a_blocked_card_is_refused(self):
        bus, card = Bus(), PurseCard()
        card.blocked = True
        bus.serve(card)
        self.assertEqual(refusals(bus.journal), [reason.BLOCKED])

    def test_nobody_rides_before_the_clock_was_set(self):
        bus, card = Bus(), PurseCard()
        bus.clock.clk_q = 0
        bus.serve(card)
        self.assertEqual((refusals(bus.journal), bus.tap.card_exchanges), ([reason.NO_CLOCK], 0))
        bus = Bus(clock_required=False)
        bus.clock.clk_q = 0
        self.assertEqual(bus.serve(card), "paid")

    def test_a_denied_card_is_blocked_through_the_sam_when_that_is_asked_for(self):
        for block, sam_kind, blocked in (
            (True, MaintenanceSam, True),
            (False, MaintenanceSam, False),
            (True, SoftSam, False),
        ):
            with self.subTest(block=block, blocked=blocked):
                bus, card = Bus(block_denied=block, sam_kind=sam_kind), PurseCard(serial=DENIED)
                bus.serve(card)
                self.assertEqual((card.blocked, refusals(bus.journal)), (blocked, [reason.DENIED]))
                codes = [body.code for body, _ in entries(bus.journal)]
                self.assertEqual(wire.CARD_BLOCKED in codes, blocked)

    def test_a_card_that_refuses_the_debit_leaves_a_void_tap(self):
        class Stubborn(PurseCard):
            def _debit(self, apdu):
                return b"\x93\x02"

        bus, card = Bus(), Stubborn()
        self.assertEqual(bus.serve(card), "refused")
        code, _, outcome = taps(bus.journal)[0]
        self.assertEqual((code, outcome.sw, refusals(bus.journal)), (wire.VOID, 0x9302, [reason.CARD_SAYS_NO]))

    def test_an_issuer_the_sam_has_no_key_for_is_refused_before_any_claim(self):
        bus = Bus(issuers=[b"\x04\x09\x61\x10"])
        card = PurseCard(issuer=b"\x04\x09\x61\x10\xff\xff\xff\xff")
        bus.serve(card)
        self.assertEqual((refusals(bus.journal), taps(bus.journal), card.spent_fen), ([reason.SAM_SAYS_NO], [], 0))

    def test_a_wrong_mac2_is_disputed_and_the_gate_stays_shut(self):
        bus, card = Bus(), PurseCard()
        card.wrong_mac2 = True
        self.assertEqual(bus.serve(card), "refused")
        self.assertEqual([code for code, _, _ in taps(bus.journal)], [wire.DISPUTED])
        self.assertEqual(refusals(bus.journal), [reason.NOT_GENUINE])
        self.assert_books_match(bus, card)

    def test_a_full_journal_refuses_before_any_debit(self):
        bus = Bus(flash=NorFlash(sectors=4, sector_bytes=1024))
        cards = []
        while bus.panel.shown[-1:] != [("refused", {"reason": reason.JOURNAL_FULL, "sw": 0})]:
            cards.append(PurseCard())
            bus.serve(cards[-1])
            bus.journal.idle()
            self.assertLess(len(cards), 100)
        self.assertEqual((cards[-1].spent_fen, cards[-2].spent_fen), (0, FARE_FEN))


class Tearing(TapCase):
    def test_a_card_torn_at_any_exchange_pays_once_when_it_comes_back(self):
        for number in range(1, EXCHANGES + 1):
            for moment in (BEFORE, AFTER):
                with self.subTest(number=number, moment=moment):
                    bus, card = Bus(), PurseCard()
                    self.assertEqual(bus.serve(card, (number, moment)), "tap_again")
                    debited = (number, moment) == (EXCHANGES, AFTER)
                    self.assertEqual(bus.serve(card), "recovered" if debited else "paid")
                    self.assertEqual((card.spent_fen, bus.journal.open_claims()), (FARE_FEN, []))
                    self.assert_books_match(bus, card)

    def test_a_card_torn_again_while_it_recovers_still_pays_once(self):
        for number in range(1, 6):
            for moment in (BEFORE, AFTER):
                for first in (BEFORE, AFTER):
                    bus, card = Bus(), PurseCard()
                    bus.serve(card, (EXCHANGES, first))
                    shown = bus.serve(card, (number, moment))
                    if shown == "tap_again":
                        bus.serve(card)
                    self.assertIn(bus.panel.last, ("paid", "recovered"))
                    self.assertEqual(card.spent_fen, FARE_FEN)
                    self.assert_books_match(bus, card)

    def test_a_restart_keeps_the_claim_and_the_proof_is_taken_without_mac2(self):
        bus, card = Bus(), PurseCard()
        bus.serve(card, (EXCHANGES, AFTER))
        bus.reboot()
        self.assertEqual(bus.serve(card), "recovered")
        code, _, outcome = taps(bus.journal)[0]
        self.assertEqual((code, outcome.mac2, outcome.tac), (wire.PROVED, wire.MAC2_UNCHECKED, card.log[0][2]))

    def test_mac2_of_a_proof_reaches_the_sam_only_if_it_signed_nothing_since(self):
        for others, mac2, checks in ((0, wire.MAC2_OK, 1), (1, wire.MAC2_UNCHECKED, 1)):
            with self.subTest(others=others):
                bus, card = Bus(sam_kind=CountsChecks), PurseCard()
                CountsChecks.checks = 0
                bus.serve(card, (EXCHANGES, AFTER))
                for _ in range(others):
                    bus.serve(PurseCard(serial=DENIED[:9] + b"\x01"))
                bus.serve(card)
                proved = [outcome for code, _, outcome in taps(bus.journal) if code == wire.PROVED]
                self.assertEqual(([outcome.mac2 for outcome in proved], CountsChecks.checks), ([mac2], checks))

    def test_a_sign_that_failed_makes_the_sam_forget_the_torn_purchase(self):
        bus, card = Bus(issuers=[b"\x04\x09\x61\x10"]), PurseCard()
        bus.serve(card, (EXCHANGES, AFTER))
        bus.serve(PurseCard(serial=DENIED[:9] + b"\x01", issuer=b"\x04\x09\x61\x10\xff\xff\xff\xff"))
        self.assertEqual(bus.serve(card), "recovered")
        self.assertEqual(taps(bus.journal)[0][2].mac2, wire.MAC2_UNCHECKED)

    def test_the_debit_is_never_sent_twice(self):
        for stump in (b"", b"\x90", b"\x61\x08", b"\x6c\x08", b"\x12\x34\x90\x00"):
            with self.subTest(stump=stump):

                class Mumbler(PurseCard):
                    def _debit(self, apdu, stump=stump):
                        PurseCard._debit(self, apdu)
                        return stump

                bus, card = Bus(), Mumbler()
                self.assertEqual(bus.serve(card), "tap_again")
                self.assertEqual(bus.reader.commands.count(0x54), 1)
                self.assertEqual(bus.serve(card), "recovered")
                self.assertEqual(card.spent_fen, FARE_FEN)

    def test_a_card_that_paid_elsewhere_meanwhile_goes_to_clearing_as_grey(self):
        bus, card, other = Bus(), PurseCard(), Bus()
        bus.serve(card, (EXCHANGES, AFTER))
        other.serve(card)
        self.assertEqual(bus.serve(card), "paid")
        self.assertEqual([code for code, _, _ in taps(bus.journal)], [wire.GREY, wire.SETTLED])

    def test_a_card_given_up_proves_its_old_ride_and_pays_the_new_one(self):
        bus, card = Bus(), PurseCard()
        bus.serve(card, (EXCHANGES, AFTER))
        bus.journal.open_claims()[0].give_up()
        self.assertEqual(bus.serve(card), "paid")
        self.assertEqual(card.spent_fen, 2 * FARE_FEN)
        kinds = [(body.kind, outcome.code) for body, outcome in entries(bus.journal) if outcome]
        self.assertEqual(kinds, [(wire.TAP, wire.GREY), (wire.AMEND, wire.PROVED), (wire.TAP, wire.SETTLED)])
        self.assertEqual(bus.journal.claims_of(card.serial), [])

    def test_a_card_given_up_that_was_not_debited_is_forgotten(self):
        bus, card = Bus(), PurseCard()
        bus.serve(card, (EXCHANGES, BEFORE))
        bus.journal.open_claims()[0].give_up()
        self.assertEqual(bus.serve(card), "paid")
        self.assertEqual((card.spent_fen, bus.journal.claims_of(card.serial)), (FARE_FEN, []))

    def test_a_sam_lost_between_debit_and_mac2_settles_unchecked_and_is_reported(self):
        bus, card = Bus(sam_kind=LosesItsSam), PurseCard()
        with self.assertRaises(SamLost):
            bus.serve(card)
        code, _, outcome = taps(bus.journal)[0]
        self.assertEqual((code, outcome.mac2, bus.panel.last), (wire.SETTLED, wire.MAC2_UNCHECKED, "paid"))
        self.assert_books_match(bus, card)

    def test_a_reader_lost_in_the_debit_leaves_the_claim_open(self):
        class Dies(PurseCard):
            def _debit(self, apdu):
                PurseCard._debit(self, apdu)
                raise ReaderLost("unplugged")

        bus, card = Bus(), Dies()
        with self.assertRaises(ReaderLost):
            bus.serve(card)
        self.assertEqual(len(bus.journal.open_claims()), 1)
        self.assertEqual(bus.serve(card), "recovered")
        self.assert_books_match(bus, card)

    def test_a_recovered_card_with_a_wrong_mac2_is_disputed(self):
        bus, card = Bus(), PurseCard()
        card.wrong_mac2 = True
        bus.serve(card, (EXCHANGES, AFTER))
        self.assertEqual(bus.serve(card), "refused")
        self.assertEqual([code for code, _, _ in taps(bus.journal)], [wire.DISPUTED])


class PowerCuts(TapCase):
    def test_power_that_fails_at_any_byte_of_a_tap_leaves_books_that_match_the_card(self):
        cells = bytes(Bus().flash.cells)
        seen = set()
        for cut in range(400):
            flash = NorFlash(sectors=8, sector_bytes=4096, cells=bytearray(cells))
            bus, card = Bus(flash=flash), PurseCard()
            flash.cut_after = cut
            try:
                bus.serve(card)
            except PowerCut:
                pass
            else:
                break
            bus.reboot()
            self.assert_books_match(bus, card)
            seen.add(bus.serve(card))
            self.assertEqual(bus.journal.open_claims(), [])
            self.assertEqual(len(card.log), 1)
            self.assert_books_match(bus, card)
        self.assertEqual(seen, {"paid", "recovered"})
        self.assertGreater(cut, 110)


    def test_a_passenger_who_did_not_see_paid_because_the_power_failed_is_not_charged_again(self):
        bus, card = Bus(same_card_s=5), PurseCard()
        self.assertEqual(bus.serve(card), "paid")
        seen = bus.panel.shown[-1]
        bus.reboot()
        bus.clock.advance_ms(2000)
        bus.reader.present(card, None)
        bus.tap.serve()
        self.assertEqual(bus.panel.shown[-1], seen)
        self.assertEqual(len(taps(bus.journal)), 1)
        bus.reboot()
        self.assertEqual(bus.serve(card), "paid")
        self.assertEqual(len(taps(bus.journal)), 2)


class Verdicts(unittest.TestCase):
    def test_the_sam_in_these_tests_tells_a_wrong_mac2(self):
        bus, card = Bus(), PurseCard()
        bus.serve(card, (EXCHANGES, BEFORE))
        with self.assertRaises(Unproven):
            bus.sam.check(bytes(4))


if __name__ == "__main__":
    unittest.main()
