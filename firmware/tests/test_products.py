"""Two applications on a terminal and on a card: the chosen one decides keys, fare and record, and one alone pays."""

import unittest

from support import rides
from support.bus import DENIED, FARE_FEN, Bus, settings
from support.nor import NorFlash, PowerCut
from support.purse_card import AFTER, BEFORE, ISSUER, SERIAL, PurseCard
from support.two_cards import (
    LEGACY_FEN,
    LEGACY_ISSUER,
    LEGACY_SERIAL,
    LEGACY_TERMINAL,
    LONG,
    DualBus,
    LegacyCard,
    TwoCard,
    applications,
    long_numbered,
)
from tunion.bcd import from_digits
from tunion.card import files, product
from tunion.card.sample_products import LEGACY
from tunion.record import BadInput
from tunion.wire import reason
from tunion.wire import tap as wire
from validator.applications import product_of
from validator.ports import SamLost
from validator.rules import Rules, provisioned
from validator.settings import BadSettings

HEAP = "3m"  # a flash image and everything compiled on the spot lie in it
RULES = (
    "version", "fare", "home_issuers", "issuers", "balance_max_fen", "block_denied", "grey_after_s", "overdraft",
    "same_card_s", "cities",
)  # fmt: skip
PAID = (wire.SETTLED, wire.PROVED)
EXPIRED = b"\x20\x24\x12\x31"
LEGACY_EXCHANGES = 4  # SELECT, READ 05h, INITIALIZE, DEBIT
NATIONAL_EXCHANGES = 5  # SELECT of the regional one, then the four of a flat fare


def taps(bus):
    """[(outcome code, body, outcome)] of finished taps."""
    found = [wire.from_wire(entry) for _, entry in bus.journal.pending(1000, 1000000)]
    return [(outcome.code, body, outcome) for body, outcome in found if body.kind == wire.TAP]


def refusals(bus):
    found = [wire.from_wire(entry)[0] for _, entry in bus.journal.pending(1000, 1000000)]
    return [body.reason for body in found if body.kind == wire.EVENT and body.code == wire.REFUSED]


class ProductCase(unittest.TestCase):
    def assert_paid_once(self, bus, card):
        """One of the purses was debited, once, and the one record says which."""
        paid = [(body.event >> 4, body.amount_fen, outcome.tac) for code, body, outcome in taps(bus) if code in PAID]
        debits = [(0, amount_fen, tac) for _, amount_fen, tac in card.national.log]
        debits += [(1, amount_fen, tac) for _, amount_fen, tac in card.legacy.log]
        self.assertEqual(len(debits), 1)
        self.assertEqual(paid, debits)
        self.assertEqual(bus.journal.open_claims(), [])


class AsData(unittest.TestCase):
    def test_the_national_product_stands_where_the_standard_has_it(self):
        public = bytes(range(0x40, 0x40 + 30))
        management = bytes(range(0x80, 0x80 + 60))
        made = product.facts(product.NATIONAL, {0x15: public, 0x17: management})
        row = files.PUBLIC.unpack(public)
        self.assertEqual(
            (made.issuer, made.application[0], made.enabled[0], made.serial, made.start, made.expiry),
            (row.issuer, row.application, row.enabled, row.serial, row.start, row.expiry),
        )
        row = files.MANAGEMENT.unpack(management)
        self.assertEqual((made.city, made.interoperable, made.kind), (row.city, row.interoperable, row.kind))

    def test_factors_stand_from_the_card_upwards_in_one_two_and_three_levels(self):
        serial, issuer, region = SERIAL, ISSUER, bytes.fromhex("5800ffffffffffff")
        for levels, expected in (
            (["card"], serial[2:]),
            (["card", "issuer"], serial[2:] + issuer),
            (["card", "issuer", region], serial[2:] + issuer + region),
        ):
            made = product_of(dict(LEGACY, factors=levels))
            self.assertEqual(product.factors(made, serial, issuer), expected)

    def test_a_fact_with_no_value_that_is_wanted_is_not_compared(self):
        rows = applications(product=dict(LEGACY, wanted={}))
        bus, card = DualBus(applications=rows), LegacyCard()
        card.files[0x05] = card.files[0x05][:7] + b"\x77" + card.files[0x05][8:]
        self.assertEqual(bus.serve(card), "paid")
        self.assertEqual(DualBus().serve(card), "refused")

    def test_a_file_that_ends_too_early_is_no_card_of_ours(self):
        made = product_of(LEGACY)
        self.assertRaises(BadInput, product.facts, made, {0x05: bytes(23)})
        self.assertEqual(product.facts(made, {0x05: bytes(24)}).issuer, bytes(4) + b"\xff" * 4)

    def test_what_a_product_or_application_lacks_is_named(self):
        for change, named in (
            ({"number": 0}, "applications[0].product.number"),
            ({"number": 16}, "product.number takes a number from 1 to 15"),
            ({"aid": b"\xf0ab"}, "product.aid takes 5 to 16 bytes"),
            ({"aid": files.EPURSE_AID + b"\x00"}, "begins as another's"),
            ({"files": [[0x15, 30]]}, "takes [SFI, offset, bytes] inside one of the files"),
            ({"places": dict(LEGACY["places"], colour=[5, 0, 1])}, "colour is no fact"),
            ({"places": dict(LEGACY["places"], serial=[5, 30, 8])}, "product.places.serial"),
            ({"wanted": {"interoperable": b"\x00\x01"}}, "product.wanted"),
            ({"wanted": {"enabled": b"\x00\x01"}}, "product.wanted.enabled takes 1 bytes"),
            ({"factors": ["issuer", "card"]}, "the card first"),
            ({"factors": ["card", b"abc"]}, "product.factors takes 'card', 'issuer', or 8 bytes"),
            ({"types": [9]}, "product.types takes [6]"),
            ({"colour": 1}, "product.colour is no field"),
        ):
            with self.subTest(named=named):
                self.assert_refused(named, applications(product=dict(LEGACY, **change)))
        for rows, named in (
            (applications("national legacy", product=dict(LEGACY, aid=files.EPURSE_AID + b"!")), "begins as another's"),
            (applications(issuers=[]), "applications[0].issuers takes"),
            (applications("national legacy", issuers=[b"abc"]), "applications[1].issuers takes"),
            (applications(sam={"driver": "soft", "blob": b"blob", "storage_key": bytes(32)}), "is the same as another"),
            (applications(sam={"driver": "none"}), "applications[0].sam.driver takes one of"),
            (applications(sam={"driver": "reader"}), "applications[0].sam.driver takes reader only"),
            (applications("legacy legacy", sam={}), "number: 1 is taken already"),
            (applications("legacy " * 5), "at most 4"),
            ([{"product": 3}], "applications[0].product takes 0"),
            ([{"product": 0, "issuers": [ISSUER[:4]]}], "applications[0].issuers"),
            ([{"produkt": 0}], "applications[0].produkt is no setting"),
        ):
            with self.subTest(named=named):
                self.assert_refused(named, rows)

    def test_plain_purchases_take_a_flat_fare_of_their_own_where_tariffs_come(self):
        self.assert_refused("applications[0].fare takes a flat fare", applications(fare={}), tariffs=True)
        settings(applications=applications(fare={}))

    def test_a_tariff_that_comes_later_is_not_charged_where_only_plain_purchases_are_possible(self):
        bus = DualBus(applications=applications(fare={}), city=rides.CITY, network=rides.NETWORK)
        values = [getattr(provisioned(bus.settings), name) for name in RULES]
        values[1] = rides.flat()
        bus.tap.use(Rules(*values))
        self.assertEqual((bus.serve(LegacyCard()), refusals(bus)), ("refused", [reason.NO_FARE]))
        self.assertEqual(bus.serve(PurseCard()), "paid")

    def assert_refused(self, named, rows, **changes):
        with self.assertRaises(BadSettings) as caught:
            settings(applications=rows, **changes)
        self.assertTrue(named in str(caught.exception), str(caught.exception))


class Choosing(ProductCase):
    def test_each_card_pays_by_its_own_application_keys_fare_and_sam(self):
        bus = DualBus()
        for card, exchanges, fare_id, amount_fen, event in (
            (LegacyCard(), LEGACY_EXCHANGES, 51, LEGACY_FEN, 0x10),
            (PurseCard(), NATIONAL_EXCHANGES, 1, FARE_FEN, 0),
            (TwoCard(), LEGACY_EXCHANGES, 51, LEGACY_FEN, 0x10),
        ):
            self.assertEqual(bus.serve(card), "paid")
            _, body, outcome = taps(bus)[-1]
            self.assertEqual((body.event, body.fare_id, body.amount_fen), (event, fare_id, amount_fen))
            self.assertEqual((card.spent_fen, outcome.mac2), (amount_fen, wire.MAC2_OK))
            self.assertEqual((bus.tap.card_exchanges, bus.tap.sam_exchanges), (exchanges, 2))

    def test_the_record_holds_number_issuer_city_and_terminal_of_the_application(self):
        bus, card = DualBus(), TwoCard()
        bus.serve(card)
        _, body, _ = taps(bus)[0]
        self.assertEqual((body.card, body.issuer), (bytes(2) + LEGACY_SERIAL, LEGACY_ISSUER + b"\xff" * 4))
        self.assertEqual((body.city, body.card_kind, body.fare_version), (b"\x58\x00", 7, 4))
        self.assertEqual((body.terminal, body.key_index), (LEGACY_TERMINAL, 2))

    def test_a_terminal_of_one_application_takes_it_in_four_exchanges_and_knows_no_other(self):
        bus = Bus()
        self.assertEqual((bus.serve(PurseCard()), bus.tap.card_exchanges), ("paid", 4))
        self.assertEqual((bus.serve(LegacyCard()), refusals(bus)), ("refused", [reason.NOT_OUR_CARD]))

    def test_a_second_application_costs_a_card_of_the_first_nothing_but_while_a_claim_is_open(self):
        for order, exchanges, beside_a_claim in (("national legacy", 4, 6), ("legacy national", 5, 5)):
            bus = DualBus(order)
            self.assertEqual((bus.serve(PurseCard()), bus.tap.card_exchanges), ("paid", exchanges))
            torn = LegacyCard()
            bus.serve(torn, (4 if order[0] == "l" else 5, BEFORE))
            self.assertEqual(len(bus.journal.open_claims()), 1)
            self.assertEqual((bus.serve(PurseCard()), bus.tap.card_exchanges), ("paid", beside_a_claim))

    def test_the_order_says_which_application_of_a_card_with_both_pays(self):
        for order, number in (("legacy national", 1), ("national legacy", 0)):
            bus, card = DualBus(order), TwoCard()
            self.assertEqual(bus.serve(card), "paid")
            self.assertEqual(taps(bus)[0][1].event >> 4, number)
            self.assert_paid_once(bus, card)

    def test_a_first_application_that_may_not_ride_leaves_it_to_the_next_or_ends_it_as_the_device_file_says(self):
        for why, legacy in (
            (reason.EXPIRED, LegacyCard(expiry=EXPIRED)),
            (reason.ISSUER_NOT_ACCEPTED, LegacyCard(issuer=bytes.fromhex("10209999"))),
            (reason.BLOCKED, LegacyCard()),
        ):
            legacy.blocked = why == reason.BLOCKED
            with self.subTest(why=why):
                bus, card = DualBus(), TwoCard(legacy=legacy)
                self.assertEqual((bus.serve(card), card.national.spent_fen), ("paid", FARE_FEN))
                self.assert_paid_once(bus, card)
                bus, card = DualBus(application_choice="answers"), TwoCard(legacy=legacy)
                self.assertEqual((bus.serve(card), refusals(bus), card.spent_fen), ("refused", [why], 0))

    def test_where_none_may_ride_the_first_that_is_there_says_why(self):
        bus = DualBus()
        bus.serve(TwoCard(PurseCard(kind=4), LegacyCard(expiry=EXPIRED)))
        bus.serve(PurseCard(kind=4))
        self.assertEqual(refusals(bus), [reason.EXPIRED, reason.TEST_CARD])

    def test_a_denied_or_poor_first_application_does_not_leave_it_to_the_next(self):
        denied = {"version": 3, "serials": bytes(2) + LEGACY_SERIAL + DENIED}
        for why, changes, legacy in (
            (reason.DENIED, {"deny": denied}, LegacyCard()),
            (reason.NOT_ENOUGH_MONEY, {}, LegacyCard(balance_fen=10)),
        ):
            bus, card = DualBus(**changes), TwoCard(legacy=legacy)
            self.assertEqual((bus.serve(card), refusals(bus), card.spent_fen), ("refused", [why], 0))

    def test_a_regional_application_is_not_asked_whether_it_is_good_in_the_country(self):
        bus = DualBus()
        self.assertEqual((bus.serve(LegacyCard()), bus.serve(PurseCard(kind=9))), ("paid", "paid"))

    def test_one_sam_may_serve_both(self):
        """Its key is by issuer: the blob of a soft SAM holds the regional issuer's beside the others."""
        bus = Bus(applications=applications(sam={}))
        card = TwoCard(legacy=LegacyCard(expiry=EXPIRED))
        self.assertEqual((bus.serve(card), card.national.spent_fen), ("paid", FARE_FEN))
        self.assertEqual((bus.serve(LegacyCard()), refusals(bus)), ("refused", [reason.SAM_SAYS_NO]))


class Torn(ProductCase):
    def test_a_card_with_both_torn_at_any_exchange_pays_once(self):
        for expiry, exchanges, at_debit in ((b"\x20\x35\x12\x31", 4, 4), (EXPIRED, 6, 6)):
            for number in range(1, exchanges + 1):
                for moment in (BEFORE, AFTER):
                    with self.subTest(expiry=expiry, number=number, moment=moment):
                        bus, card = DualBus(), TwoCard(legacy=LegacyCard(expiry=expiry))
                        self.assertEqual(bus.serve(card, (number, moment)), "tap_again")
                        last = (number, moment) == (at_debit, AFTER)
                        self.assertEqual(bus.serve(card), "recovered" if last else "paid")
                        self.assert_paid_once(bus, card)

    def test_a_card_torn_in_one_application_is_asked_there_before_the_other_is_charged(self):
        """Between the two taps the device file changed its order: the other application would be taken now."""
        for order, other in (("national legacy", "legacy national"), ("legacy national", "national legacy")):
            for moment in (BEFORE, AFTER):
                bus, card = DualBus(order), TwoCard()
                self.assertEqual(bus.serve(card, (4, moment)), "tap_again")
                bus.settings = settings(applications=applications(other))
                bus.reboot()
                shown = bus.serve(card)
                with self.subTest(order=order, moment=moment):
                    self.assertEqual(shown, "recovered" if moment == AFTER else "paid")
                    self.assertEqual(len(card.national.log) + len(card.legacy.log), 1)
                    self.assertEqual(len([code for code, _, _ in taps(bus) if code in PAID]), 1)

    def test_recovery_across_applications_torn_again_at_any_exchange_pays_once(self):
        for number in range(1, 9):
            for moment in (BEFORE, AFTER):
                bus, card = DualBus("national legacy"), TwoCard()
                bus.serve(card, (4, AFTER))
                bus.settings = settings(applications=applications("legacy national"))
                bus.reboot()
                if bus.serve(card, (number, moment)) == "tap_again":
                    bus.serve(card)
                with self.subTest(number=number, moment=moment):
                    self.assert_paid_once(bus, card)

    def test_an_open_claim_of_an_application_that_does_not_open_now_is_not_passed_by(self):
        bus, card = DualBus(), TwoCard()
        self.assertEqual(bus.serve(card, (4, AFTER)), "tap_again")
        card.legacy.blocked = True
        self.assertEqual((bus.serve(card), refusals(bus)), ("refused", [reason.BLOCKED]))
        self.assertEqual(card.spent_fen, LEGACY_FEN)
        card.legacy.blocked = False
        self.assertEqual(bus.serve(card), "recovered")
        self.assert_paid_once(bus, card)

    def test_nor_one_that_comes_later_in_the_order(self):
        bus, card = DualBus(), TwoCard()
        self.assertEqual(bus.serve(card, (4, AFTER)), "tap_again")
        bus.settings = settings(applications=applications("national legacy"))
        bus.reboot()
        card.legacy.blocked = True
        self.assertEqual((bus.serve(card), refusals(bus), card.national.spent_fen), ("refused", [reason.BLOCKED], 0))
        self.assertEqual(bus.serve(PurseCard()), "paid")

    def test_the_counter_of_another_application_says_nothing_of_a_torn_claim(self):
        bus, card = DualBus(), TwoCard()
        self.assertEqual(bus.serve(card, (4, AFTER)), "tap_again")
        DualBus().serve(card)  # elsewhere: the proof of the first debit is gone
        card.legacy.files = LegacyCard(expiry=EXPIRED).files
        self.assertEqual(card.national.counter, bus.journal.open_claims()[0].tap().counter)
        self.assertEqual(bus.serve(card), "paid")
        self.assertEqual((card.national.spent_fen, len(bus.journal.open_claims())), (FARE_FEN, 1))

    def test_the_proof_of_the_other_purse_under_the_same_number_and_counter_is_none(self):
        """Torn before its debit in the one, paid elsewhere under the same counter in the other."""
        number = from_digits("03100000000000000042")
        card = TwoCard(PurseCard(serial=number), long_numbered(number))
        bus = DualBus(applications=applications(product=LONG))
        self.assertEqual(bus.serve(card, (4, BEFORE)), "tap_again")
        self.assertEqual(Bus().serve(card), "paid")
        bus.settings = settings(applications=applications("national legacy", product=LONG))
        bus.reboot()
        self.assertEqual(bus.serve(card), "paid")
        self.assertEqual((len(card.national.log), len(card.legacy.log)), (2, 0))
        self.assertEqual(len(bus.journal.open_claims()), 1)  # that of the other: it was asked, and said nothing

    def test_both_under_one_number_and_counter_prove_only_their_own_claims(self):
        """The claim of one application is neither settled nor voided by what the other one's purse says."""
        number = from_digits("03100000000000000042")
        card = TwoCard(PurseCard(serial=number), long_numbered(number))
        bus = DualBus(applications=applications(product=LONG))
        self.assertEqual(bus.serve(card, (4, AFTER)), "tap_again")
        bus.settings = settings(applications=applications("national legacy", product=LONG))
        bus.reboot()
        self.assertEqual(bus.serve(card), "recovered")
        self.assert_paid_once(bus, card)
        self.assertEqual(taps(bus)[0][1].event >> 4, 1)

    def test_power_lost_at_any_byte_and_the_other_application_first_after_it_charges_once(self):
        for order, other in (("legacy national", "national legacy"), ("national legacy", "legacy national")):
            debited = set()
            for cut in range(1, 200, 5):
                flash = NorFlash(sectors=8, sector_bytes=4096)
                bus, card = DualBus(order, flash=flash), TwoCard()
                flash.cut_after = cut
                try:
                    bus.serve(card)
                    break
                except PowerCut:
                    pass
                debited.add(card.spent_fen)
                bus.settings = settings(applications=applications(other))
                bus.reboot()
                shown = bus.serve(card)
                with self.subTest(order=order, cut=cut):
                    self.assertEqual(shown in ("recovered", "paid"), True)
                    self.assert_paid_once(bus, card)
            self.assertEqual(len(debited), 2)  # it was cut before the debit, and after it


class SameCard(ProductCase):
    def at_once(self, bus, card):
        bus.clock.advance_ms(2000)
        bus.reader.present(card)
        bus.tap.serve()
        return bus.panel.last

    def test_a_card_that_paid_in_one_application_is_not_charged_at_once_in_the_other(self):
        bus, card = DualBus(), TwoCard()
        bus.serve(card)
        card.legacy.files = LegacyCard(expiry=EXPIRED).files  # it would be the national one's turn
        self.assertEqual(self.at_once(bus, card), "paid")
        self.assert_paid_once(bus, card)

    def test_a_card_that_paid_in_its_second_application_is_known_by_its_first(self):
        bus, card = DualBus(), TwoCard(legacy=LegacyCard(expiry=EXPIRED))
        bus.serve(card)
        card.legacy.files = LegacyCard().files
        self.assertEqual(self.at_once(bus, card), "paid")
        self.assert_paid_once(bus, card)

    def test_after_a_reboot_by_the_application_that_paid(self):
        for expiry in (EXPIRED, b"\x20\x35\x12\x31"):
            bus, card = DualBus(), TwoCard(legacy=LegacyCard(expiry=expiry))
            bus.serve(card)
            bus.reboot()
            self.assertEqual(self.at_once(bus, card), "paid")
            self.assert_paid_once(bus, card)

    def test_two_cards_under_one_number_in_different_products_both_pay(self):
        number = from_digits("03100000000000000042")
        bus = DualBus(applications=applications(product=LONG))
        one, other = PurseCard(serial=number), long_numbered(number)
        bus.serve(one)
        self.at_once(bus, other)
        self.assertEqual((one.spent_fen, other.spent_fen), (FARE_FEN, LEGACY_FEN))


class SeveralSams(ProductCase):
    def test_a_lost_sam_refuses_its_own_cards_and_leaves_the_others_alone(self):
        bus = DualBus()
        bus.legacy_sam.out = True
        card = LegacyCard()
        self.assertRaises(SamLost, bus.serve, card)  # at MAC2: the card has paid
        self.assertEqual(card.spent_fen, LEGACY_FEN)
        bus.tap._sams.fail(SamLost("gone"))
        dual = TwoCard()
        self.assertEqual((bus.serve(PurseCard()), bus.serve(dual)), ("paid", "refused"))
        self.assertEqual((refusals(bus), dual.spent_fen), ([reason.NO_SAM], 0))
        self.assertTrue(bus.tap._sams.up and not bus.tap._sams.whole)
        bus.legacy_sam.out = False
        bus.clock.advance_ms(10000)
        bus.tap._sams.revive()
        self.assertEqual((bus.serve(dual), dual.legacy.spent_fen), ("paid", LEGACY_FEN))

    def test_after_a_boot_no_soft_sam_goes_back_behind_its_own_counter(self):
        bus = DualBus()
        for _ in range(5):
            bus.serve(LegacyCard())
        bus.serve(PurseCard())
        used = {body.terminal: body.terminal_seq for _, body, _ in taps(bus)}
        bus.reboot()
        bus.serve(LegacyCard())
        bus.serve(PurseCard())
        for _, body, _ in taps(bus)[-2:]:
            self.assertTrue(body.terminal_seq > used[body.terminal])

    def test_nor_where_its_last_tap_lies_in_an_older_sector(self):
        bus = DualBus()
        bus.legacy_sam._seq = 500
        bus.serve(LegacyCard())
        for _ in range(40):  # a sector holds 31
            bus.serve(PurseCard())
            bus.journal.idle()
        bus.reboot()
        bus.serve(LegacyCard())
        self.assertTrue(taps(bus)[-1][1].terminal_seq > 500)


if __name__ == "__main__":
    unittest.main()
