"""Sentences of a satellite receiver: whole ones give a fix, everything else is dropped and counted."""

import unittest

from support.manual_clock import ManualClock
from support.spoken_line import SpokenLine
from validator.drivers.heard_line import OPEN_WAIT_MS
from validator.drivers.nmea import FIX_OLD_MS, SENTENCE_BYTES_MAX, Nmea

HERE = (228168723, 1083239016)  # 22.8168723 N, 108.3239016 E, by hand: 49.01234 / 60 and 19.43410 / 60
RMC = "GNRMC,083015.00,A,2249.01234,N,10819.43410,E,12.5,90.0,211126,,,A"
GGA = "GNGGA,083015.00,2249.01234,N,10819.43410,E,1,09,0.9,80.0,M,-20.0,M,,"


def sentence(words):
    check = 0
    for byte in words.encode():
        check ^= byte
    return b"$%s*%02X\r\n" % (words.encode(), check)


class NmeaCase(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock()
        self.line = SpokenLine()
        self.gps = Nmea(self.line, self.clock)
        self.gps.step()

    def hear(self, data):
        self.line.say(data)
        self.gps.step()
        return self.gps.fix()


class Good(NmeaCase):
    def test_a_position_is_whole_ten_millionths_of_a_degree(self):
        fix = self.hear(sentence(RMC))
        self.assertEqual((fix.lat_e7, fix.lon_e7), HERE)
        self.assertEqual(fix.speed_cm_s, 643)  # 12.5 knots

    def test_every_side_and_every_talker(self):
        for talker in ("GP", "GN", "BD", "GB"):
            for ns, ew, signs in (("N", "E", (1, 1)), ("S", "E", (-1, 1)), ("N", "W", (1, -1)), ("S", "W", (-1, -1))):
                words = talker + RMC[2:].replace(",N,", ",%s," % ns).replace(",E,", ",%s," % ew)
                fix = self.hear(sentence(words))
                self.assertEqual((fix.lat_e7, fix.lon_e7), (signs[0] * HERE[0], signs[1] * HERE[1]))

    def test_gga_keeps_the_speed_of_the_sentence_before(self):
        self.assertEqual(self.hear(sentence(GGA)).speed_cm_s, -1)
        self.hear(sentence(RMC))
        fix = self.hear(sentence(GGA))
        self.assertEqual((fix.lat_e7, fix.lon_e7, fix.speed_cm_s), HERE + (643,))

    def test_digits_are_cut_not_rounded_and_few_are_enough(self):
        for minutes, lat_e7 in (("00.", 220000000), ("00", 220000000), ("30.0", 225000000), ("59.99999999", 229999999)):
            fix = self.hear(sentence(RMC.replace("2249.01234", "22" + minutes)))
            self.assertEqual(fix.lat_e7, lat_e7)

    def test_a_sentence_may_come_in_pieces_and_others_pass_by(self):
        whole = b"noise" + sentence("GPGSV,1,1,00") + sentence(RMC)
        for at in range(len(whole)):
            fix = self.hear(whole[at : at + 1])
        self.assertEqual((fix.lat_e7, self.gps.good, self.gps.bad, self.gps.garbage), (HERE[0], 2, 0, 5))

    def test_a_small_checksum_letter_will_do(self):
        raw = sentence(RMC)
        self.assertTrue(self.hear(raw[:-4] + raw[-4:].lower()))


class NoFix(NmeaCase):
    def test_what_a_receiver_says_without_a_fix_is_none(self):
        for words in (
            RMC.replace(",A,2249", ",V,2249"),
            RMC[:-1] + "N",
            RMC[:-1] + "E",
            RMC[:-1] + "S",
            RMC[:-1],
            GGA.replace(",E,1,", ",E,0,"),
            GGA.replace(",E,1,", ",E,6,"),
            GGA.replace(",E,1,", ",E,8,"),
            "GNRMC,,V,,,,,,,,,,N",
            "GNGGA,,,,,,0,00,99.99,,,,,,",
        ):
            with self.subTest(words=words):
                self.assertTrue(self.hear(sentence(RMC)))
                self.assertEqual(self.hear(sentence(words)), None)
        self.assertEqual(self.gps.bad, 0)

    def test_a_fix_grows_old(self):
        self.hear(sentence(RMC))
        self.clock.advance_ms(FIX_OLD_MS)
        self.assertTrue(self.gps.fix())
        self.clock.advance_ms(1)
        self.assertEqual(self.gps.fix(), None)


class Garbage(NmeaCase):
    def test_a_wrong_checksum_at_any_bit_is_refused(self):
        raw = sentence(RMC)
        for at in range(1, len(raw) - 2):
            for bit in range(8):
                broken = bytearray(raw)
                broken[at] ^= 1 << bit
                if bytes(broken).upper() == raw.upper():
                    continue  # the letter case of the checksum
                gps = Nmea(self.line, self.clock)
                gps.step()
                self.line.say(bytes(broken) + b"\r\n$")
                gps.step()
                self.assertEqual(gps.fix(), None, "byte %d bit %d" % (at, bit))
                self.assertTrue(gps.bad + gps.garbage > 0)

    def test_half_a_sentence_never_counts_and_the_next_one_does(self):
        raw = sentence(RMC)
        for cut in range(1, len(raw) - 1):
            gps = Nmea(self.line, self.clock)
            gps.step()
            self.line.say(raw[:cut])
            gps.step()
            self.assertEqual(gps.fix(), None)
            self.line.say(raw)
            gps.step()
            self.assertEqual(gps.fix().lat_e7, HERE[0])
            self.assertEqual((gps.good, gps.garbage), (1, cut))

    def test_what_cannot_be_is_bad(self):
        for words in (
            RMC.replace("2249.01234", "2260.00000"),
            RMC.replace("2249.01234", "9000.00001"),
            RMC.replace("2249.01234", "2249.0x234"),
            RMC.replace("2249.01234", "-249.01234"),
            RMC.replace("2249.01234", ""),
            RMC.replace("10819.43410", "18000.00001"),
            RMC.replace("10819.43410", "819.43410"),
            RMC.replace(",N,", ",X,"),
            RMC.replace(",N,", ",,"),
            RMC.replace("12.5", "fast"),
            "GNRMC",
            "GNRMC,1",
            "GNGGA,1,2",
        ):
            with self.subTest(words=words):
                bad = self.gps.bad
                self.assertEqual(self.hear(sentence(words)), None)
                self.assertEqual(self.gps.bad, bad + 1)

    def test_a_line_that_babbles_holds_nobody_up(self):
        self.line.say(b"$" + b"A" * 100000)
        self.gps.step()
        self.assertTrue(len(self.line.waiting) > 90000)
        while self.line.waiting:
            self.gps.step()
        self.assertTrue(self.gps.garbage > 100000 - SENTENCE_BYTES_MAX)
        self.assertTrue(self.hear(sentence(RMC)))


class Lost(NmeaCase):
    def test_a_line_that_is_lost_is_opened_again_later(self):
        self.hear(sentence(RMC))
        self.line.unplugged = True
        self.gps.step()
        self.assertTrue(self.gps.lost)
        self.line.unplugged = False
        self.gps.step()
        self.assertEqual(self.line.opened, 1)
        self.clock.advance_ms(OPEN_WAIT_MS)
        self.gps.step()
        self.assertEqual((self.line.opened, self.gps.lost), (2, False))
        self.assertTrue(self.hear(sentence(RMC)))


if __name__ == "__main__":
    unittest.main()
