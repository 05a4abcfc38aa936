"""The whole validator with two applications and a SAM for each: one is lost, and the cards of the other ride on."""

import unittest

from support.purse_card import PurseCard
from support.two_cards import LEGACY_FEN, LegacyCard, TwoCard, applications, legacy_sam
from test_app import AppCase, FlakySam
from tunion.wire import command, reason
from tunion.wire import tap as wire
from validator.settings import Settings

HEAP = "2m"  # a whole validator, compiled on the spot, and its flash images


class TwoSams(AppCase):
    def setUp(self):
        FlakySam.out = False
        self.cycled = []
        self.start(applications=applications(), same_card_s=0)

    def make_sam(self, next_seq, part=None):
        if part is None:
            return super().make_sam(next_seq)
        self.assertEqual(part.blob, b"legacy blob")
        self.legacy_sam = legacy_sam(self.clock, next_seq)
        self.legacy_sam.power_cycle = lambda: self.cycled.append(1)
        return self.legacy_sam

    def events(self):
        entries = [wire.from_wire(entry)[0] for _, entry in self.validator.journal.pending(1000, 100000)]
        return [(body.code, body.value) for body in entries if body.kind == wire.EVENT]

    def self_test(self):
        return self.validator._self_test() & command.SAM

    def test_both_kinds_of_card_ride(self):
        self.turns()
        for card in (PurseCard(), LegacyCard(), TwoCard()):
            self.tap(card)
        self.assertEqual(self.shown().count("paid"), 3)
        self.assertEqual(self.self_test(), 0)

    def test_the_regional_sam_is_lost_and_comes_back_while_national_cards_ride(self):
        self.turns()
        self.legacy_sam.out = True
        legacy, dual = LegacyCard(), TwoCard()
        self.tap(legacy)  # lost at MAC2: this card has paid
        self.assertEqual(legacy.spent_fen, LEGACY_FEN)
        self.tap(PurseCard())
        self.tap(dual)
        self.assertEqual(dual.spent_fen, 0)
        self.assertEqual(self.panel.shown[-2], ("refused", {"reason": reason.NO_SAM, "sw": 0}))
        self.assertEqual(self.self_test(), command.SAM)
        self.assertIn((wire.SAM_LOST, 1), self.events())
        self.legacy_sam.out = False
        self.turns(20, each_ms=1000)
        self.assertIn((wire.SAM_BACK, 1), self.events())
        self.tap(dual)
        self.assertEqual(dual.legacy.spent_fen, LEGACY_FEN)
        self.assertEqual(self.self_test(), 0)

    def test_with_the_common_sam_out_from_the_start_regional_cards_ride(self):
        self.boot()
        FlakySam.out = True
        self.turns()
        legacy, national = LegacyCard(), PurseCard()
        self.tap(legacy)
        self.tap(national)
        self.assertEqual((legacy.spent_fen, national.spent_fen), (LEGACY_FEN, 0))
        self.assertIn("fault", self.shown())

    def test_a_lost_sam_that_does_not_come_back_gets_its_power_cut_as_the_settings_say(self):
        self.start(applications=applications(), care={"power_cycle_after": 2})
        self.legacy_sam.out = True
        self.turns(3, each_ms=300)
        self.assertEqual(self.cycled, [])
        self.turns(40, each_ms=1000)
        sams = self.validator._sams
        self.assertTrue(self.cycled and sams.cycles == len(self.cycled) and sams.tries > 2)

    def test_with_both_out_no_card_is_looked_at(self):
        self.boot()
        FlakySam.out = True
        self.legacy_sam.out = True
        self.turns()
        card = TwoCard()
        self.tap(card)
        self.assertEqual((card.spent_fen, self.validator.taps), (0, 0))

    def test_statistics_measure_both(self):
        self.start(applications=applications(), statistics=True)
        self.turns()
        self.tap(LegacyCard())
        self.tap(PurseCard())
        self.assertEqual(self.meter.figures["sam"][0], 2 * 4)  # each: prepare, begin, signed, check

    def test_one_refuses_test_keys_as_the_other_does(self):
        self.start(applications=applications(), production=True)
        self.turns()
        self.assertEqual(self.shown().count("fault"), 2)
        self.assertNotIn("ready", self.shown())

    def test_settings_name_the_applications_in_their_order(self):
        self.assertIsInstance(self.settings, Settings)
        self.assertEqual([taken.product.number for taken in self.settings.applications], [1, 0])


if __name__ == "__main__":
    unittest.main()
