"""BCD digits, dates and times: China Standard Time from seconds and back, impossible dates refused."""

import unittest

from tunion import bcd
from tunion.record import BadInput

PORTABLE = True
ARM = True

# Stamp in China Standard Time, seconds since 1970-01-01 UTC.
STAMPS = (
    ("19700101080000", 0),
    ("19700101000000", -28800),
    ("19991231235959", 946655999),
    ("20000229120000", 951796800),
    ("20000301000000", 951840000),
    ("20240229235959", 1709222399),
    ("20240301000000", 1709222400),
    ("20250601071000", 1748733000),
    ("20380119111407", 0x7FFFFFFF),  # the last second of 31 bits
    ("20380119111408", 0x80000000),
    ("20991231235959", 4102415999),
    ("21000228235959", 4107513599),
    ("21000301000000", 4107513600),  # 2100 is no leap year
    ("21060207142815", 0xFFFFFFFF),  # the last second of 32 bits
)

IMPOSSIBLE = (
    "00000000", "20250000", "20250100", "20251301", "20250132", "20250229", "20240230", "21000229", "20250431",
    "20250631", "20250931", "20251131",
)


class Digits(unittest.TestCase):
    def test_digits_and_bytes(self):
        self.assertEqual(bcd.from_digits("0123456789"), b"\x01\x23\x45\x67\x89")
        self.assertEqual(bcd.to_digits(b"\x01\x23\x45\x67\x89"), "0123456789")
        self.assertEqual(bcd.to_int(b"\x01\x23"), 123)
        self.assertEqual((bcd.from_digits(""), bcd.to_digits(b""), bcd.to_int(b"")), (b"", "", 0))

    def test_only_the_ten_digits_are_digits(self):
        for text in ("1", "123", "1a", "-1", " 1", "1 ", "\u0663\u0663", "\u00b2\u00b2", "0x", "1\n"):
            with self.subTest(text=text), self.assertRaises(BadInput):
                bcd.from_digits(text)

    def test_each_half_byte_counts(self):
        for value in range(256):
            raw = bytes((0x12, value))
            good = value >> 4 < 10 and value & 15 < 10
            self.assertEqual(bcd.is_bcd(raw), good)
            if not good:
                with self.assertRaises(BadInput):
                    bcd.to_digits(raw)
                with self.assertRaises(BadInput):
                    bcd.to_int(raw)


class Time(unittest.TestCase):
    def test_stamps_both_ways(self):
        for digits, at_s in STAMPS:
            with self.subTest(digits=digits):
                self.assertEqual(bcd.to_digits(bcd.stamp(at_s)), digits)
                self.assertEqual(bcd.at_s(bcd.from_digits(digits)), at_s)

    def test_every_day_of_150_years_follows_the_one_before(self):
        at_s = bcd.at_s(bcd.from_digits("19700101000000"))
        lengths = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
        for year in range(1970, 2107):
            leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
            for month in range(1, 13):
                first = "%04d%02d01000000" % (year, month)
                self.assertEqual(bcd.to_digits(bcd.stamp(at_s)), first)
                at_s += 86400 * (lengths[month - 1] + (1 if leap and month == 2 else 0))

    def test_impossible_dates_are_refused(self):
        for digits in IMPOSSIBLE:
            with self.subTest(digits=digits):
                self.assertFalse(bcd.is_date(bcd.from_digits(digits)))
                with self.assertRaises(BadInput):
                    bcd.at_s(bcd.from_digits(digits + "120000"))

    def test_impossible_times_are_refused(self):
        for time in ("240000", "236000", "235960", "999999"):
            with self.subTest(time=time), self.assertRaises(BadInput):
                bcd.at_s(bcd.from_digits("20250601" + time))

    def test_dates_that_a_card_uses_for_no_value_are_no_dates(self):
        for raw in (bytes(4), b"\xff" * 4, b"\x20\x25\x06\x0a", b"\x20\x25\x06", b"\x20\x25\x06\x01\x00", b""):
            self.assertFalse(bcd.is_date(raw))
        for digits in ("19700101", "20240229", "20250601", "20991231"):
            self.assertTrue(bcd.is_date(bcd.from_digits(digits)))

    def test_other_lengths_are_refused(self):
        for raw in (b"", bytes.fromhex("202506010710"), bytes.fromhex("2025060107100000")):
            with self.assertRaises(BadInput):
                bcd.at_s(raw)

    def test_bcd_stamps_sort_as_time_does(self):
        stamps = [bcd.stamp(at_s) for _, at_s in sorted(STAMPS, key=lambda row: row[1])]
        self.assertEqual(stamps, sorted(stamps))


if __name__ == "__main__":
    unittest.main()
