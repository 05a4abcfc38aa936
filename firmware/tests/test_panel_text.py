"""What the passenger reads, as lines that a program reads too."""

import json
import unittest

from tunion.wire import reason
from validator.drivers.panel_text import PanelText


class MovedClock:
    def ticks_ms(self):
        return 5120


class TestPanelText(unittest.TestCase):
    def shown(self, what, **details):
        lines = []
        PanelText(lines.append, MovedClock()).show(what, **details)
        self.assertEqual(len(lines), 1)
        self.assertEqual(lines[0][-1], "\n")
        return json.loads(lines[0])

    def test_a_paid_fare_is_yuan_in_both_languages_and_fen_for_programs(self):
        message = self.shown("paid", fare_fen=200, balance_fen=4805)
        self.assertEqual(message["zh"], "扣款2.00元，余额48.05元")
        self.assertEqual(message["en"], "Paid 2.00 yuan, 48.05 yuan left")
        self.assertEqual((message["fare_fen"], message["balance_fen"], message["at_ms"]), (200, 4805, 5120))
        self.assertEqual((message["beep"], message["led"]), ("one", "green"))

    def test_every_refusal_has_words_in_both_languages(self):
        for number in reason.WORDS:
            with self.subTest(number=number):
                message = self.shown("refused", reason=number)
                self.assertEqual(message["reason"], reason.name(number))
                self.assertIn(reason.WORDS[number][1], message["zh"])
                self.assertIn(reason.WORDS[number][2], message["en"])

    def test_a_reason_of_a_later_version_is_still_shown(self):
        self.assertEqual(self.shown("refused", reason=250)["en"], "Not accepted: reason 250, tell the driver")

    def test_every_other_message_has_words(self):
        for what, details in (
            ("ready", {}),
            ("tap_again", {}),
            ("recovered", {"fare_fen": 100, "balance_fen": 0}),
            ("fault", {"part": "reader"}),
            ("back", {"part": "sam"}),
        ):
            with self.subTest(what=what):
                message = self.shown(what, **details)
                self.assertEqual(message["what"], what)
                self.assertTrue(message["zh"] and message["en"])
                self.assertNotIn("%", message["zh"] + message["en"])

    def test_an_unknown_message_is_our_bug(self):
        self.assertRaises(KeyError, self.shown, "hello")
        self.assertRaises(KeyError, self.shown, "paid", fare_fen=200)


if __name__ == "__main__":
    unittest.main()
