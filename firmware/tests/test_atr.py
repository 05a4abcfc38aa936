"""Answers to reset, whole, in pieces and broken. Built by hand from ISO/IEC 7816-3."""

import unittest

from validator.drivers.atr import BadAtr, parse, size

SIMPLE = bytes.fromhex("3B6D0000") + b"YKT TEST PSAM"  # TB1, TC1, 13 historical bytes
FAST = bytes.fromhex("3B1018")  # TA1: 372 / 12


def with_check(text):
    raw = bytes.fromhex(text)
    check = 0
    for byte in raw[1:]:
        check ^= byte
    return raw + bytes((check,))


T1_FIRST = with_check("3B80" "80" "01")  # TD1: T=0 and TD2 follows; TD2: T=1
T1_ONLY = with_check("3B80" "01")
TWICE_T0 = bytes.fromhex("3B90188000")  # TA1 18, TD1 80: TD2 00
TA2 = bytes.fromhex("3B90181000")  # TA1 18, TD1 10: TA2 00
SLOW = bytes.fromhex("3BC0054040")  # TC1 5, TD1 40: TC2 40h


class Answers(unittest.TestCase):
    def test_what_each_says(self):
        for raw, protocols, specific, ta1, guard, wi in (
            (SIMPLE, (0,), -1, 0x11, 0, 10),
            (FAST, (0,), -1, 0x18, 0, 10),
            (T1_FIRST, (0, 1), -1, 0x11, 0, 10),
            (T1_ONLY, (1,), -1, 0x11, 0, 10),
            (TWICE_T0, (0,), -1, 0x18, 0, 10),
            (TA2, (0,), 0, 0x18, 0, 10),
            (SLOW, (0,), -1, 0x11, 5, 64),
        ):
            with self.subTest(raw=raw):
                found = parse(raw)
                self.assertEqual((found.protocols, found.specific, found.ta1), (protocols, specific, ta1))
                self.assertEqual((found.guard, found.wi), (guard, wi))

    def test_speeds(self):
        for code, fi, di in (("11", 372, 1), ("18", 372, 12), ("95", 512, 16), ("96", 512, 32), ("70", 0, 0)):
            found = parse(bytes.fromhex("3B10" + code))
            self.assertEqual((found.fi, found.di), (fi, di))

    def test_historical_bytes_are_kept_without_the_check(self):
        self.assertEqual(parse(SIMPLE).historical, b"YKT TEST PSAM")
        self.assertEqual(parse(with_check("3B82" "01" "4142")).historical, b"AB")

    def test_its_size_is_known_as_it_comes(self):
        """Never more is asked for than comes, and never less than the whole."""
        for raw in (SIMPLE, FAST, T1_FIRST, T1_ONLY, TWICE_T0, TA2, SLOW):
            count = 0
            while count < size(raw[:count]):
                count += 1
                self.assertTrue(count <= len(raw), raw)
            self.assertEqual(count, len(raw))

    def test_broken_ones_are_refused(self):
        whole = (SIMPLE[:-1], SIMPLE + b"\x00", T1_ONLY[:-1] + b"\x00")
        for raw in whole + (b"", b"\x3b", b"\x3f\x00", b"\x03\x00", b"\xff\x00"):
            with self.subTest(raw=raw), self.assertRaises(BadAtr):
                parse(raw)

    def test_one_without_end_is_refused(self):
        endless = b"\x3b\xf0" + b"\x00\x00\x00\xf0" * 10
        with self.assertRaises(BadAtr):
            for count in range(len(endless)):
                size(endless[:count])

    def test_any_flipped_bit_is_another_answer_or_none(self):
        for at in range(8, 8 * len(T1_FIRST)):
            spoilt = bytearray(T1_FIRST)
            spoilt[at // 8] ^= 1 << at % 8
            try:
                self.assertNotEqual(parse(bytes(spoilt)), parse(T1_FIRST))
            except BadAtr:
                continue


if __name__ == "__main__":
    unittest.main()
