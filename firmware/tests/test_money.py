"""Whole fen: the one division, and how an amount is shown."""

import unittest

from tunion.money import after_discount_fen, divide_half_away, yuan

PORTABLE = True

XFEN = 100000  # a clearing line sums amount * rate in 10^-5 fen


def carried_days(rate, days, amount_fen=570):
    """(fen out, xfen carried) of a line of three rides of 1.90 a day."""
    carry = 0
    out = []
    for _ in range(days):
        exact = amount_fen * rate + carry
        fen = divide_half_away(exact, XFEN)
        carry = exact - fen * XFEN
        out.append((fen, carry))
    return out


class Division(unittest.TestCase):
    def test_half_goes_away_from_zero_on_both_sides(self):
        for value, divisor, fen in (
            (3, 2, 2), (-3, 2, -2), (1, 2, 1), (-1, 2, -1), (0, 7, 0), (1, 3, 0), (2, 3, 1), (-1, 3, 0), (-2, 3, -1),
            (149999, XFEN, 1), (150000, XFEN, 2), (-149999, XFEN, -1), (-150000, XFEN, -2), (5, 1, 5), (-5, 1, -5),
        ):
            with self.subTest(value=value, divisor=divisor):
                self.assertEqual(divide_half_away(value, divisor), fen)

    def test_line_of_five_records_one_reversed(self):
        amounts_fen = (190, 285, 600, -285, 200)
        self.assertEqual(sum(amounts_fen), 990)
        for rate, fen in ((600, 6), (300, 3), (200, 2)):
            self.assertEqual(divide_half_away(sum(amount * rate for amount in amounts_fen), XFEN), fen)
        self.assertEqual([divide_half_away(amount * 600, XFEN) for amount in amounts_fen], [1, 2, 4, -2, 1])

    def test_carry_keeps_a_line_within_half_a_fen_for_ever(self):
        self.assertEqual(carried_days(600, 5), [(3, 42000), (4, -16000), (3, 26000), (4, -32000), (3, 10000)])
        self.assertEqual(carried_days(300, 5), [(2, -29000), (1, 42000), (2, 13000), (2, -16000), (2, -45000)])
        self.assertEqual(carried_days(200, 5), [(1, 14000), (1, 28000), (1, 42000), (2, -44000), (1, -30000)])

    def test_a_line_larger_than_small_integers(self):
        for rate, fen in ((600, 740741), (300, 370370), (200, 246914)):
            self.assertEqual(divide_half_away(123456789 * rate, XFEN), fen)
            self.assertEqual(divide_half_away(-123456789 * rate, XFEN), -fen)
        self.assertEqual(divide_half_away(15 * 10**15 * 600, XFEN), 9 * 10**13)


class Discount(unittest.TestCase):
    def test_half_a_fen_goes_to_the_operator(self):
        for fare_fen, permille, left_fen in (
            (400, 50, 380),  # a published scheme: 5 % off the first 15 rides, 40 % off from the 16th
            (400, 400, 240),
            (285, 50, 271),  # 270.75
            (250, 125, 219),  # 218.75
            (1, 500, 1),
            (1, 501, 0),
            (200, 0, 200),
            (200, 1000, 0),
        ):
            with self.subTest(fare_fen=fare_fen, permille=permille):
                self.assertEqual(after_discount_fen(fare_fen, permille), left_fen)


class Yuan(unittest.TestCase):
    def test_fen_as_a_display_shows_them(self):
        for fen, text in ((0, "0.00"), (5, "0.05"), (250, "2.50"), (100000, "1000.00"), (-5, "-0.05"), (-250, "-2.50")):
            self.assertEqual(yuan(fen), text)


if __name__ == "__main__":
    unittest.main()
