"""What the passenger is told: each message and refusal has words, a large form that fits its display, beep and lamp."""

import unittest

from tunion.fare import decision
from tunion.wire import reason
from validator import messages
from validator.messages import BEEPS, COLUMNS, columns, message

# The most that is ever shown: the card's plausible balance is below 5000 yuan, a fare in 24 bits.
MOST = {"fare_fen": 9999999, "balance_fen": 9999999, "marked_fen": 9999999, "saved_fen": 1, "part": "journal"}
MOST["found"] = 0
LEAST = {"fare_fen": 0, "balance_fen": 0, "marked_fen": 0, "part": "sam", "found": 3}
TAP_PATH = (
    "ready", "paid", "board", "alight", "enter", "exit", "passed", "ignored", "refused", "tap_again", "two_cards",
    "recovered", "desk", "fault", "back", "safe_mode", "self_test", "closed",
)  # fmt: skip
LAMPS = (messages.OFF, messages.GREEN, messages.YELLOW, messages.RED)


def with_reason(details):
    made = dict(details)
    made["reason"] = reason.NO_CLOCK
    return made


def of_case(case):
    return {"reason": reason.of_case(case), "sw": 0}


class EachMessage(unittest.TestCase):
    def check(self, said):
        self.assertTrue(said.zh and said.en)
        self.assertNotIn("%", said.zh + said.en)
        self.assertTrue(any(ord(letter) > 0x2E80 for letter in said.zh))
        self.assertTrue(all(ord(letter) < 0x80 for letter in said.en), said.en)
        for lines in (said.large_zh, said.large_en):
            self.assertEqual(len(lines), 2, lines)
            for line in lines:
                self.assertTrue(line, lines)
                self.assertLessEqual(columns(line), COLUMNS, line)
        self.assertTrue(all(ord(letter) < 0x80 for letter in "".join(said.large_en)))
        self.assertIn(said.beep, BEEPS)
        self.assertIn(said.led, LAMPS)

    def test_every_message_has_all_forms_and_fits_with_the_least_and_the_most_money(self):
        self.assertEqual(sorted(TAP_PATH), sorted(messages.WHAT))
        for what in messages.WHAT:
            for details in (LEAST, MOST):
                with self.subTest(what=what, details=details):
                    self.check(message(what, with_reason(details)))

    def test_every_reason_says_what_it_is_and_what_to_do(self):
        for number in reason.WORDS:
            with self.subTest(number=number):
                said = message("refused", {"reason": number, "sw": 0})
                self.check(said)
                self.assertIn(reason.WORDS[number][1] + "，请", said.zh)
                self.assertIn(reason.WORDS[number][2] + ", ", said.en)
                self.assertEqual((said.beep, said.led), ("long", "red"))
                self.assertNotIn("%d" % number, said.large_en[0])  # words of its own

    def test_every_case_of_a_ride_says_what_it_is_and_what_to_do(self):
        for case in decision.CASES:
            with self.subTest(case=case):
                said = message("refused", of_case(case))
                self.check(said)
                self.assertIn("，请", said.zh)
                self.assertIn(decision.CASES[case][1].split(",")[0], said.zh)
                self.assertNotIn(reason.WORDS[reason.NO_CLOCK][1], said.zh)

    def test_no_two_refusals_show_the_same_large_words_but_those_of_an_empty_card(self):
        shown = [message("refused", {"reason": number}).large_zh for number in reason.WORDS]
        shown += [message("refused", of_case(case)).large_zh for case in decision.CASES]
        self.assertEqual(len(set(shown)), len(shown) - 1)

    def test_a_number_of_a_later_version_is_shown_as_a_number(self):
        said = message("refused", {"reason": 250})
        self.check(said)
        self.assertIn("250", said.zh)
        self.assertIn("250", said.large_en[0])

    def test_an_unknown_message_detail_or_part_is_our_bug(self):
        for what, details in (("hello", {}), ("paid", {"fare_fen": 1}), ("fault", {"part": "horn"}), ("refused", {})):
            with self.subTest(what=what), self.assertRaises(KeyError):
                message(what, details)


class Details(unittest.TestCase):
    def test_amounts_are_yuan(self):
        said = message("paid", {"fare_fen": 200, "balance_fen": 4805})
        self.assertEqual(said.large_zh, ("扣款2.00元", "余额48.05元"))
        self.assertEqual(said.large_en, ("Paid 2.00", "Left 48.05"))

    def test_boarding_says_the_most_that_it_may_cost_and_to_tap_again(self):
        said = message("board", {"marked_fen": 600, "balance_fen": 4805})
        self.assertIn("6.00", said.zh)
        self.assertIn("下车请再刷卡", said.zh)
        self.assertEqual(said.large_zh[0], "下车请再刷卡")

    def test_what_was_saved_and_why_more_was_charged_are_said_behind(self):
        said = message("exit", {"fare_fen": 100, "balance_fen": 0, "saved_fen": 50, "case": decision.OVERTIME})
        self.assertEqual(said.zh[-len("，优惠0.50元（超时）") :], "，优惠0.50元（超时）")
        self.assertIn(", 0.50 yuan saved (too long inside)", said.en)
        plain = message("exit", {"fare_fen": 100, "balance_fen": 0, "saved_fen": 0, "case": 0})
        self.assertNotIn("优惠", plain.zh)

    def test_a_detail_that_no_sentence_names_changes_nothing(self):
        self.assertEqual(message("tap_again", {"trip": "x", "fare_fen": 5}), message("tap_again", {}))

    def test_the_driver_hears_the_kind_of_card(self):
        for kind, beep in ((1, "one"), (2, "two"), (3, "two"), (4, "three"), (5, "three"), (77, "one")):
            with self.subTest(kind=kind):
                self.assertEqual(message("paid", {"fare_fen": 1, "balance_fen": 1, "kind": kind}).beep, beep)
        self.assertEqual(message("paid", {"fare_fen": 1, "balance_fen": 1}).beep, "one")


if __name__ == "__main__":
    unittest.main()
