"""PN532 frames on a line that loses, repeats and garbles."""

import unittest

from support.manual_clock import ManualClock
from support.pn532_line import ACK, NACK, ChipLine, frame
from tunion.record import BadInput
from validator.drivers.pn532_frame import COMMAND_BYTES_MAX, Frames, NoAnswer
from validator.ports import ReaderLost

GET_FIRMWARE_VERSION = b"\x00\x00\xff\x02\xfe\xd4\x02\x2a\x00"  # UM0701-02, example of section 6.2.1
VERSION = b"\x00\x00\xff\x06\xfa\xd5\x03\x32\x01\x06\x07\xe8\x00"
SYNTAX_ERROR = b"\x00\x00\xff\x01\xff\x7f\x81\x00"


class Call(unittest.TestCase):
    def over(self, *answers, piece=300, before=b""):
        clock = ManualClock()
        self.line = ChipLine(clock, answers, piece, before)
        return Frames(self.line, clock)

    def test_the_example_of_the_manual(self):
        for piece in (1, 2, 5, 300):
            with self.subTest(piece=piece):
                self.assertEqual(bytes(self.over(ACK + VERSION, piece=piece).call(0x02)), b"\x32\x01\x06\x07")
                self.assertEqual(self.line.written, [GET_FIRMWARE_VERSION])

    def test_an_answer_of_every_length(self):
        for count in list(range(0, 6)) + list(range(248, 264)):
            with self.subTest(count=count):
                data = bytes((i & 255 for i in range(count)))
                self.assertEqual(bytes(self.over(ACK + frame(b"\x41" + data)).call(0x40)), data)

    def test_the_longest_command_and_one_byte_more(self):
        frames = self.over(ACK + frame(b"\x41"))
        frames.call(0x40, b"\x01", bytes(COMMAND_BYTES_MAX - 2))
        sent = self.line.written[0]
        self.assertEqual((sent[3], sum(sent[3:5]) & 255, sum(sent[5:-1]) & 255), (255, 0, 0))
        self.assertRaises(BadInput, frames.call, 0x40, b"\x01", bytes(COMMAND_BYTES_MAX - 1))

    def test_garbage_around_frames_is_stepped_over(self):
        for garbage in (b"\x00", b"\xff\x00\xff", b"\x00\x00\xff\x05\x77", b"\x00\xff\xff\xff\x07\x00\x00", b"U" * 40):
            with self.subTest(garbage=garbage):
                frames = self.over(garbage + ACK + garbage + VERSION)
                self.assertEqual(bytes(frames.call(0x02)), b"\x32\x01\x06\x07")

    def test_leftovers_of_an_aborted_command_are_dropped(self):
        late = frame(b"\x4b\x01")
        frames = self.over(ACK + late + VERSION, before=late)
        self.assertEqual(bytes(frames.call(0x02)), b"\x32\x01\x06\x07")

    def test_a_broken_answer_is_asked_for_once_more(self):
        broken = VERSION[:-2] + b"\x00\x00"
        self.assertEqual(bytes(self.over(ACK + broken, VERSION).call(0x02)), b"\x32\x01\x06\x07")
        self.assertEqual(self.line.written, [GET_FIRMWARE_VERSION, NACK])

    def test_twice_broken_is_no_answer_and_the_command_is_aborted(self):
        broken = VERSION[:-2] + b"\x00\x00"
        self.assertRaises(NoAnswer, self.over(ACK + broken, broken).call, 0x02)
        self.assertEqual(self.line.written, [GET_FIRMWARE_VERSION, NACK, ACK])

    def test_a_command_that_the_chip_did_not_understand_is_said_again_once(self):
        self.assertEqual(bytes(self.over(NACK, ACK + VERSION).call(0x02)), b"\x32\x01\x06\x07")
        self.assertEqual(self.line.written, [GET_FIRMWARE_VERSION] * 2)
        self.assertRaises(ReaderLost, self.over(NACK, NACK).call, 0x02)

    def test_a_command_without_acknowledgement_is_never_said_again(self):
        """It may have been carried out: it may have been a debit."""
        self.assertRaises(ReaderLost, self.over().call, 0x40)
        self.assertEqual(len(self.line.written), 1)

    def test_silence_after_the_acknowledgement_ends_in_time_and_aborts(self):
        frames = self.over(ACK)
        self.assertRaises(NoAnswer, frames.call, 0x40, b"\x01", b"", 300)
        self.assertEqual(self.line.written[1:], [ACK])
        self.assertEqual(self.line.clock.ticks_ms(), 300)

    def test_half_an_answer_is_no_answer(self):
        for end in range(len(VERSION) - 1):
            self.assertRaises(NoAnswer, self.over(ACK + VERSION[:end]).call, 0x02)

    def test_a_chip_that_knows_no_such_command_is_another_chip(self):
        self.assertRaises(ReaderLost, self.over(ACK + SYNTAX_ERROR).call, 0x02)

    def test_a_line_that_babbles_is_no_reader(self):
        self.assertRaises(ReaderLost, self.over(before=b"\x00\xff" * 5000).call, 0x02)

    def test_any_single_flipped_bit_never_gives_another_answer(self):
        for at in range(8 * len(VERSION)):
            spoilt = bytearray(VERSION)
            spoilt[at // 8] ^= 1 << at % 8
            frames = self.over(ACK + bytes(spoilt), VERSION)
            try:
                self.assertEqual(bytes(frames.call(0x02, wait_ms=50)), b"\x32\x01\x06\x07")
            except NoAnswer:
                continue


if __name__ == "__main__":
    unittest.main()
