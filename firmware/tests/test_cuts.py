"""Every durable operation is cut short, its recovery too, and the books agree. A sample of what make soak does."""

import unittest

from support import cuts
from support.cuts import ENDURANCE, STORIES, Ledger, Tap, Wrong, prepared, replay, sweep, wear_out
from support.nor import LOUD, SILENT
from support.taps import fields
from tunion.wire import tap as wire

HEAP = "2m"  # flash images, and parameter sets with their signatures

# story -> each how-many-th unit of its work, and of its recovery's, is cut; primes, so that all phases are met
STRIDES = {
    "birth": (37, 101),
    "tap": (43, 89),
    "open": (23, 97),
    "ack": (29, 97),
    "gc": (41, 89),
    "stage": (53, 67),
    "params": (3, 5),
}


class Sweeps(unittest.TestCase):
    def test_no_cut_loses_doubles_or_invents_a_record_or_half_a_set(self):
        for name in STORIES:
            for seed in (1, 2):
                with self.subTest(story=name, seed=seed):
                    stride, again_stride = STRIDES.get(name, (41, 89))
                    done = sweep(STORIES[name], seed, stride, again_stride)
                    self.assertTrue(done.cuts >= 8)

    def test_a_sweep_replays_to_the_same_cells(self):
        def ending():
            story = prepared(Tap, 5)
            story.flash.faults.chance.state = 9
            story.boot_until(200, story.recover_and_act)
            story.boot_until(40, story.recover)
            return bytes(story.flash.cells)

        self.assertEqual(ending(), ending())
        replay(Tap, 5, 200, 40)


class Wear(unittest.TestCase):
    def test_a_flash_that_wears_out_loses_nothing_and_is_used_to_the_end(self):
        for mode in (SILENT, LOUD):
            for seed in (3, 4):
                life = wear_out(seed, mode, sticks=False)
                self.assertTrue(life.taps > 6 * 7 * ENDURANCE * 4 // 5)
                self.assertTrue(life.boots > 10)

    def test_nor_does_one_with_bits_that_stick_anywhere_at_any_time(self):
        for mode in (SILENT, LOUD):
            for seed in (5, 6):
                life = wear_out(seed, mode, sticks=True)
                self.assertTrue(life.taps > 100)


class Teeth(unittest.TestCase):
    """The harness finds what it is there for."""

    def test_a_passenger_let_in_too_early_is_found(self):
        class Early(Tap):
            name = "early"

            def act(self):
                number = len(self.ledger.taps) + 1
                self.ledger.taps[number] = cuts.SETTLED
                self.journal.claim(**fields(number, terminal_seq=number)).settle(cuts.TAC, wire.MAC2_OK)

        self.assertIn("is lost", self.wrong(Early))

    def test_an_acknowledgement_of_what_was_never_stored_is_found(self):
        class Careless(Tap):
            name = "careless"

            def act(self):
                self.tap()
                self.journal.ack([[1, self.journal.seq]])

        self.assertIn("gaps", self.wrong(Careless))

    def test_a_tap_that_nobody_made_is_found(self):
        class Invented(Tap):
            name = "invented"

            def act(self):
                self.tap()
                del self.ledger.taps[len(self.ledger.taps)]

        self.assertIn("nobody made it", self.wrong(Invented))

    def test_a_failure_says_how_to_replay_it(self):
        class Failing(Tap):
            name = "failing"

            def check(self):
                raise Wrong("on purpose")

        self.assertEqual(self.wrong(Failing, seed=3), "--only failing --seed 3 --cut 0:  on purpose")

    def test_entries_that_change_on_the_way_are_found(self):
        ledger = Ledger()
        ledger.store([(1, b"a"), (2, b"b")])
        ledger.store([(2, b"b")])
        with self.assertRaises(Wrong):
            ledger.store([(2, b"c")])

    def test_an_answer_that_differs_after_one_more_boot_is_found(self):
        class Wavering(Tap):
            name = "wavering"
            boots = 0

            def recover(self):
                Tap.recover(self)
                Wavering.boots += 1
                if Wavering.boots > 1:
                    self.journal.event(wire.BOOT)

            def act(self):
                pass

        self.assertIn("after one more boot", self.wrong(Wavering))

    def wrong(self, story, seed=0):
        try:
            sweep(story, seed, 29, 1000)
        except Wrong as wrong:
            return str(wrong)
        raise AssertionError("nothing was found")


if __name__ == "__main__":
    unittest.main()
