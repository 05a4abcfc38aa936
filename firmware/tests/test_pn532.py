"""What the PN532 driver makes of answers that a JT/T 978 card in a quiet field never causes."""

import unittest

from support.manual_clock import ManualClock
from support.pn532_line import ACK, ChipLine, frame
from tunion.card.refusals import LinkLost, NotOurCard
from validator.drivers.pn532 import Pn532
from validator.ports import Target, TwoCards

WOKEN = b""
LET_GO = (ACK + frame(b"\x53\x00"), ACK + frame(b"\x33"), ACK + frame(b"\x33"))
CONFIGURED = (WOKEN, ACK + frame(b"\x15"), ACK + frame(b"\x13"), ACK + frame(b"\x33")) + LET_GO
NO_CARD = ACK + frame(b"\x4b\x00")
CLASSIC = ACK + frame(b"\x4b\x01\x01\x00\x04\x08\x04\xde\xad\xbe\xef")  # SEL_RES 08: no ISO 14443-4
OURS = ACK + frame(b"\x4b\x01\x01\x00\x04\x20\x04\xde\xad\xbe\xef\x05\x78\x80\x70\x02")


def exchanged(content):
    return ACK + frame(b"\x41" + content)


class Pn532Answers(unittest.TestCase):
    def opened(self, *answers):
        clock = ManualClock()
        self.line = ChipLine(clock, CONFIGURED + answers)
        reader = Pn532(self.line, clock)
        reader.open()
        return reader

    def test_an_empty_field_is_looked_at_until_the_time_is_over(self):
        reader = self.opened(*[NO_CARD] * 10)
        started_ms = self.line.clock.ticks_ms()
        self.assertIsNone(reader.poll(100))
        self.assertEqual(self.line.clock.since_ms(started_ms), 100)

    def test_a_card_of_another_kind_is_found_refused_and_seen_leaving(self):
        reader = self.opened(CLASSIC, *(LET_GO + (CLASSIC,) + LET_GO + (NO_CARD,)))
        self.assertEqual(reader.poll(0), Target(b"\xde\xad\xbe\xef"))
        self.assertRaises(NotOurCard, reader.transceive, b"\x00\xa4\x04\x00", 100)
        self.assertFalse(reader.removed(0))
        self.assertTrue(reader.removed(0))

    def test_two_cards_are_said_and_waited_for_until_none_is_left(self):
        two = ACK + frame(b"\x4b\x02" + OURS[len(ACK) + 8 : -2] + b"\x02\x00\x04\x20\x04\xde\xad\xbe\xee")
        answers = (two,) + LET_GO + (two,) + LET_GO + (OURS,) + LET_GO + (NO_CARD,)
        reader = self.opened(*answers)
        self.assertRaises(TwoCards, reader.poll, 0)
        self.assertRaises(LinkLost, reader.transceive, b"\x00\x84\x00\x00\x04", 100)
        self.assertEqual([reader.removed(0) for _ in range(3)], [False, False, True])

    def test_every_error_status_is_a_lost_card(self):
        for status in range(1, 0x40):
            reader = self.opened(OURS, exchanged(bytes((status,)) + b"\x90\x00"))
            reader.poll(0)
            self.assertRaises(LinkLost, reader.transceive, b"\x00\x84\x00\x00\x04", 100)

    def test_an_answer_without_end_or_status_word_is_a_lost_card(self):
        more = exchanged(b"\x40" + bytes(200))
        for name, answers in (
            ("no status byte", [exchanged(b"")]),
            ("nothing", [exchanged(b"\x00")]),
            ("half a status word", [exchanged(b"\x00\x90")]),
            ("endless", [more, more, more]),
            ("endless and empty", [exchanged(b"\x40")] * 3),
        ):
            with self.subTest(name=name):
                reader = self.opened(OURS, *answers)
                reader.poll(0)
                self.assertRaises(LinkLost, reader.transceive, b"\x00\x84\x00\x00\x04", 100)


if __name__ == "__main__":
    unittest.main()
