"""CCID frames on a line that loses, repeats and garbles; and what the driver makes of a reader's words."""

import unittest

from support.manual_clock import ManualClock
from support.pn532_line import ChipLine
from tunion.card.refusals import LinkLost
from tunion.record import BadInput
from validator.drivers.ccid_frame import DATA_BYTES_MAX, Frames, NoAnswer
from validator.drivers.ccid_serial import CcidReader
from validator.ports import ReaderLost, Target

NAK = b"\x03\x15\x16"
ASK = bytes.fromhex("03066500000000000100000061")  # slot 0, seq 1; 03^06^65^01
HERE = bytes.fromhex("03068100000000000101000084")  # present, without power
XFR, BLOCK = 0x6F, 0x80
ATR_T0 = bytes.fromhex("3B6D0000") + b"YKT TEST PSAM"
ATR_CL = bytes.fromhex("3B80800101")


def framed(code, data=b"", seq=1, slot=0, status=0, error=0, chain=0):
    head = bytes((code, len(data) & 255, len(data) >> 8, 0, 0, slot, seq, status, error, chain))
    raw = b"\x03\x06" + head + data
    check = 0
    for byte in raw:
        check ^= byte
    return raw + bytes((check,))


class Call(unittest.TestCase):
    def over(self, *answers, piece=300, before=b""):
        clock = ManualClock()
        self.line = ChipLine(clock, answers, piece, before)
        return Frames(self.line, clock)

    def status(self, frames, **how):
        frames.call(0x65, 0x81, 0, **how)
        return frames.icc

    def test_a_status_byte_for_byte(self):
        for piece in (1, 2, 5, 300):
            with self.subTest(piece=piece):
                self.assertEqual(self.status(self.over(HERE, piece=piece)), 1)
                self.assertEqual(self.line.written, [ASK])

    def test_data_of_every_length(self):
        for count in list(range(0, 4)) + list(range(252, DATA_BYTES_MAX + 1)):
            data = bytes([at & 255 for at in range(count)])
            with self.subTest(count=count):
                self.assertEqual(bytes(self.over(framed(BLOCK, data)).call(XFR, BLOCK, 0, data)), data)
                self.assertEqual(self.line.written, [framed(XFR, data)])
        self.assertRaises(BadInput, self.over().call, XFR, BLOCK, 0, bytes(DATA_BYTES_MAX + 1))

    def test_garbage_echoes_and_notices_are_stepped_over(self):
        stumps = (b"\x00", b"\x03", b"\x03\x06", b"\x03\x06\x81\x05\x00\x00\x00")
        for garbage in stumps + (b"\x50\x03", b"\x50\x02", ASK, b"U" * 40):
            with self.subTest(garbage=garbage):
                self.assertEqual(self.status(self.over(garbage + HERE)), 1)
                self.assertEqual(len(self.line.written), 1)

    def test_others_answers_are_not_ours(self):
        for other in (
            framed(0x81, seq=0),
            framed(0x81, slot=1),
            framed(0x82),
            framed(0x81, status=0x80),  # more time
            framed(0x81, b"\x01", seq=9),
        ):
            with self.subTest(other=other):
                self.assertEqual(self.status(self.over(other + HERE)), 1)

    def test_a_broken_answer_is_asked_for_once_more(self):
        broken = HERE[:-1] + b"\x00"
        self.assertEqual(self.status(self.over(broken, HERE), repeatable=False), 1)
        self.assertEqual(self.line.written, [ASK, NAK])
        self.assertRaises(NoAnswer, self.status, self.over(broken, broken), repeatable=False)

    def test_what_the_reader_refused_is_said_again_once(self):
        self.assertEqual(self.status(self.over(NAK, HERE), repeatable=False), 1)
        self.assertEqual(self.line.written, [ASK, ASK])
        self.assertRaises(NoAnswer, self.status, self.over(NAK, NAK, HERE), repeatable=False)

    def test_an_echo_of_our_own_nak_is_no_refusal(self):
        """A reader with echo: it would have debited already."""
        broken = HERE[:-1] + b"\x00"
        self.assertRaises(NoAnswer, self.status, self.over(ASK + broken, NAK), repeatable=False)
        self.assertEqual(self.line.written, [ASK, NAK])
        self.assertRaises(NoAnswer, self.status, self.over(ASK + broken, NAK + broken), repeatable=False)
        self.assertEqual(self.line.written, [ASK, NAK])

    def test_what_may_be_a_debit_is_never_said_again(self):
        for answer in (b"", HERE[:-1], b"\x55" * 20):
            self.assertRaises(NoAnswer, self.status, self.over(answer, HERE), repeatable=False, wait_ms=300)
            self.assertEqual(len(self.line.written), 1)

    def test_what_does_no_harm_is(self):
        for answer in (b"", HERE[:-1], b"\x55" * 20):
            self.assertEqual(self.status(self.over(answer, HERE), wait_ms=300), 1)

    def test_a_line_that_babbles_is_no_reader(self):
        self.assertRaises(ReaderLost, self.status, self.over(before=b"\x03\x06" * 5000))

    def test_any_single_flipped_bit_never_gives_another_answer(self):
        for at in range(8 * len(HERE)):
            spoilt = bytearray(HERE)
            spoilt[at // 8] ^= 1 << at % 8
            frames = self.over(bytes(spoilt))
            self.assertRaises(NoAnswer, self.status, frames, repeatable=False, wait_ms=50)


class Script:
    """Answers of a reader in order, with the sequence numbers that the driver will use."""

    def __init__(self):
        self.answers = []

    def add(self, code, data=b"", **how):
        self.answers.append(framed(code, data, seq=len(self.answers) + 1, **how))
        return self


class Reader(unittest.TestCase):
    def opened(self, script):
        clock = ManualClock()
        self.line = ChipLine(clock, script.answers)
        reader = CcidReader(self.line, clock)
        reader.open()
        return reader

    def card(self):
        """Opened, and a card found."""
        script = Script().add(0x81, status=2).add(0x81, status=1)
        return script.add(BLOCK, ATR_CL).add(BLOCK, b"\x04\xa1\xb2\xc3\x90\x00")

    def test_a_card_its_uid_and_an_apdu(self):
        reader = self.opened(self.card().add(BLOCK, b"\x90\x00"))
        self.assertEqual(reader.poll(0), Target(b"\x04\xa1\xb2\xc3"))
        self.assertEqual(reader.transceive(b"\x00\x84\x00\x00\x04", 500), b"\x90\x00")

    def test_a_card_that_does_not_answer_its_reset_is_none(self):
        script = Script().add(0x81, status=2).add(0x81, status=1).add(BLOCK, status=0x41, error=0xFE)
        self.assertIsNone(self.opened(script).poll(0))

    def test_a_reader_that_tells_no_uid(self):
        script = Script().add(0x81, status=2).add(0x81, status=1).add(BLOCK, ATR_CL).add(BLOCK, b"\x6a\x81")
        self.assertEqual(self.opened(script).poll(0), Target(b""))

    def test_an_exchange_that_failed_is_a_lost_card_until_it_is_found_again(self):
        for name, how in (
            ("mute", {"status": 0x42, "error": 0xFE}),
            ("gone", {"data": b"\x90\x00", "status": 2}),
            ("without power", {"data": b"\x90\x00", "status": 1}),
            ("no status word", {"data": b"\x90"}),
            ("a piece of a longer one", {"data": b"\x90\x00", "chain": 1}),
        ):
            with self.subTest(name=name):
                reader = self.opened(self.card().add(BLOCK, **how))
                reader.poll(0)
                for _ in range(2):
                    self.assertRaises(LinkLost, reader.transceive, b"\x00\x84\x00\x00\x04", 500)
                self.assertEqual(len(self.line.written), 5)

    def test_a_sam_in_its_slot(self):
        script = Script().add(0x81, status=2).add(BLOCK, ATR_T0, slot=1).add(0x82, slot=1)
        slot = self.opened(script.add(BLOCK, b"\x61\x08", slot=1)).slot(1)
        slot.open()
        self.assertTrue(slot.activate(500))
        self.assertEqual(slot.transceive(b"\x80\x72\x00\x00\x01\xaa\x08", 500), b"\x61\x08")
        self.assertEqual(self.line.written[2][12:-1], b"\x11\x00\x00\x0a\x00", "Fi and Di, T=0, guard and waiting time")
        self.assertEqual(self.line.written[3][12:-1], b"\x80\x72\x00\x00\x01\xaa", "without Le")

    def test_what_is_no_sam_is_refused(self):
        for atr in (bytes.fromhex("3B8001" + "81"), b"\x3b", b"\x3f\x00"):
            slot = self.opened(Script().add(0x81, status=2).add(BLOCK, atr, slot=1)).slot(1)
            slot.open()
            self.assertRaises(LinkLost, slot.activate, 500)

    def test_a_reader_that_sets_parameters_by_itself_and_one_that_refuses_them(self):
        for error, works in ((0, True), (0x0A, False)):
            script = Script().add(0x81, status=2).add(BLOCK, ATR_T0, slot=1)
            slot = self.opened(script.add(0x82, slot=1, status=0x40, error=error)).slot(1)
            slot.open()
            if works:
                self.assertTrue(slot.activate(500))
            else:
                self.assertRaises(LinkLost, slot.activate, 500)
                self.assertRaises(LinkLost, slot.transceive, b"\x00\x84\x00\x00\x04", 500)


if __name__ == "__main__":
    unittest.main()
