"""A reader between STX and ETX on a line that loses, repeats and garbles; and what a profile may not say."""

import json
import unittest
from binascii import hexlify

from support.manual_clock import ManualClock
from support.pn532_line import ChipLine
from tunion.card.refusals import LinkLost, NotOurCard
from tunion.record import BadInput
from validator.drivers.stx_etx import StxEtx
from validator.drivers.stx_etx_frame import Frames, NoAnswer
from validator.drivers.stx_etx_profile import Profile
from validator.ports import ReaderLost, Target, TwoCards

FOLDER = __file__.rsplit("/", 2)[0] + "/validator/profiles/readers/"

# Worked out by hand from firmware/docs/readers.md. Binary: 02 address length body XOR 03.
ASK = bytes.fromhex("02 00 02 20 52 70 03".replace(" ", ""))
FOUND = bytes.fromhex("02 00 0A 20 00 00 04 20 04 04 A1 B2 C3 DE 03".replace(" ", ""))
NOTHING_THERE = bytes.fromhex("02 00 02 20 01 23 03".replace(" ", ""))
BROKEN = FOUND[:-2] + b"\x00\x03"
UID = bytes.fromhex("04A1B2C3")


def values_of(name):
    with open(FOLDER + name + ".json") as file:
        return json.load(file)


def binary(body):
    """A frame of the first sample."""
    body = bytes.fromhex(body)
    check = len(body)
    for byte in body:
        check ^= byte
    return b"\x02\x00" + bytes((len(body),)) + body + bytes((check, 3))


OPENED = (binary("1000"), binary("1200"), binary("1200"), binary("1200"))  # two to open, field off, field on


class FramesOfTheSamples(unittest.TestCase):
    def over(self, *answers, piece=600, before=b"", name="sample_binary_xor", **changes):
        clock = ManualClock()
        self.line = ChipLine(clock, answers, piece, before)
        values = values_of(name)
        values.update(changes)
        return Frames(self.line, clock, Profile(values))

    def test_a_binary_frame_byte_for_byte(self):
        for piece in (1, 2, 5, 600):
            with self.subTest(piece=piece):
                frames = self.over(FOUND, piece=piece)
                self.assertEqual(bytes(frames.call(b"\x20\x52")), b"\x00\x04\x20\x04" + UID)
                self.assertEqual((frames.word, self.line.written), ("ok", [ASK]))

    def test_a_frame_of_nibbles_byte_for_byte(self):
        # 0005 counts sequence, body and two more; low byte first. CRC-16/CCITT-FALSE over what is sent, behind 03.
        sent = b"\x02" + b"\x30\x35\x30\x30" + b"\x30\x31" + b"\x30\x31\x30\x31" + b"\x03"
        answer = b"\x02" + b"\x30\x39\x30\x30" + b"\x30\x31" + b"\x30\x30\x30\x30"
        answer += b"\x30\x34\x3a\x31\x3b\x32\x3c\x33" + b"\x03"
        frames = self.over(answer + bytes.fromhex("3e3d373f"), name="sample_nibble_crc")
        self.assertEqual(bytes(frames.call(b"\x01\x01")), UID)
        self.assertEqual(self.line.written, [sent + bytes.fromhex("3530303d")])

    def test_an_answer_of_every_length(self):
        for count in list(range(0, 6)) + list(range(240, 254)):
            with self.subTest(count=count):
                data = bytes([at & 255 for at in range(count)])
                frames = self.over(binary("2200" + hexlify(data).decode()))
                self.assertEqual(bytes(frames.call(b"\x22")), data)

    def test_the_longest_command_and_one_byte_more(self):
        frames = self.over(binary("2200"))
        frames.call(b"\x22", bytes(254))
        self.assertEqual(self.line.written[0][2], 255)
        self.assertRaises(BadInput, frames.call, b"\x22", bytes(255))

    def test_a_check_of_every_kind(self):
        # One body, 31 32 .. 39, under the check values that everybody gives for "123456789".
        for kind, more, check in (
            ("sum", {}, "DD"),
            ("sum", {"negated": True}, "23"),
            ("xor", {"first": "FF"}, "CE"),
            ("crc16", {"poly": "1021", "first": "FFFF"}, "29B1"),
            ("crc16", {"poly": "1021"}, "31C3"),
            ("crc16", {"poly": "1021", "first": "FFFF", "reflected": True, "final": "FFFF"}, "906E"),
            ("crc16", {"poly": "8005", "first": "FFFF", "reflected": True, "order": "little"}, "374B"),
        ):
            with self.subTest(kind=kind, more=more):
                rule = {"kind": kind, "covers": ["body"]}
                rule.update(more)
                frames = self.over(check=rule)
                self.assertRaises(NoAnswer, frames.call, b"\x31", b"23456789", 100, False)
                self.assertEqual(self.line.written[0][12:-1], bytes.fromhex(check))

    def test_garbage_before_frames_is_stepped_over(self):
        stumps = (b"\x00", b"\x02", b"\x02\x02\x02", b"\x02\x00\x05\x77", b"\x02\x00\xff\x20")
        for garbage in stumps + (b"\x03" * 40, BROKEN):
            with self.subTest(garbage=garbage):
                self.assertEqual(bytes(self.over(garbage + FOUND).call(b"\x20\x52")[4:]), UID)
                self.assertEqual(len(self.line.written), 1)

    def test_garbage_in_a_frame_makes_none_of_it(self):
        for at in range(1, len(FOUND)):
            frames = self.over(FOUND[:at] + b"\x5a" + FOUND[at:])
            self.assertRaises(NoAnswer, frames.call, b"\x20\x52", b"", 200, False)

    def test_an_end_of_garbage_is_dropped_before_the_next_command(self):
        frames = self.over(FOUND + b"\x02\x00\x44", NOTHING_THERE)
        frames.call(b"\x20\x52")
        frames.call(b"\x20\x52")
        self.assertEqual(frames.word, "no_card")

    def test_half_an_answer_is_no_answer(self):
        for end in range(len(FOUND)):
            self.assertRaises(NoAnswer, self.over(FOUND[:end]).call, b"\x20\x52", b"", 200, False)

    def test_a_broken_answer_is_asked_for_again_where_the_reader_can(self):
        frames = self.over(BROKEN, FOUND)
        self.assertEqual(bytes(frames.call(b"\x20\x52", b"", 500, False)[4:]), UID)
        self.assertEqual(self.line.written, [ASK, b"\x15"])

    def test_what_does_no_harm_is_said_again_once(self):
        for first in (b"", BROKEN, b"\x15", FOUND[:4]):
            with self.subTest(first=first):
                frames = self.over(first, FOUND, again="")
                self.assertEqual(bytes(frames.call(b"\x20\x52")[4:]), UID)
                self.assertEqual(self.line.written, [ASK, ASK])
        self.assertRaises(NoAnswer, self.over(b"", b"", FOUND, again="").call, b"\x20\x52")

    def test_what_may_be_a_debit_is_never_said_again(self):
        for first in (b"", BROKEN, b"\x15", FOUND[:4]):
            with self.subTest(first=first):
                frames = self.over(first, binary("22009000"), again="")
                self.assertRaises(NoAnswer, frames.call, b"\x22", b"\x80\x54", 500, False)
                self.assertEqual(len(self.line.written), 1)

    def test_a_late_answer_is_nobodys(self):
        late = binary("22006985")
        frames = self.over(b"", late + binary("22009000"), again="")
        self.assertRaises(NoAnswer, frames.call, b"\x22", b"\x80\x54", 500, False)
        line = self.line
        line._coming = late  # it arrives before the next command leaves
        waited_ms = line.clock.ticks_ms()
        line.answers = [binary("22009000")]
        self.assertEqual(bytes(frames.call(b"\x22", b"\x80\x5c")), b"\x90\x00")
        self.assertEqual(line.clock.ticks_ms() - waited_ms, 200, "late_ms of silence went before")

    def test_an_answer_to_another_command_is_not_ours(self):
        frames = self.over(binary("22009000") + NOTHING_THERE)
        frames.call(b"\x20\x52")
        self.assertEqual(frames.word, "no_card")

    def test_an_answer_that_comes_twice_counts_once(self):
        frames = self.over(FOUND + FOUND, NOTHING_THERE)
        frames.call(b"\x20\x52")
        frames.call(b"\x20\x52")
        self.assertEqual(frames.word, "no_card")

    def test_another_address_is_another_reader(self):
        other = bytearray(FOUND)
        other[1] ^= 1
        other[-2] ^= 1
        self.assertRaises(NoAnswer, self.over(bytes(other)).call, b"\x20\x52", b"", 200, False)

    def test_a_line_that_babbles_is_no_reader(self):
        self.assertRaises(ReaderLost, self.over(before=b"\x02\x00" * 5000).call, b"\x20")

    def test_any_single_flipped_bit_never_gives_another_answer(self):
        for at in range(8 * len(FOUND)):
            spoilt = bytearray(FOUND)
            spoilt[at // 8] ^= 1 << at % 8
            frames = self.over(bytes(spoilt), again="")
            self.assertRaises(NoAnswer, frames.call, b"\x20\x52", b"", 100, False)

    def test_a_profile_without_length_ends_at_its_end(self):
        frames = self.over(
            b"\x02201\x0302" + b"\x02" + b"200004200404A1B2C3" + b"\x03" + b"D7",
            layout=["start", "body", "end", "check"],
            length={},
            address="",
            check={"kind": "xor", "covers": ["body", "end"], "of": "plain"},
            nibbles={"fields": ["body", "check"]},
        )
        self.assertEqual(bytes(frames.call(b"\x20\x52", b"", 500, False)[3:]), UID)
        self.assertEqual(self.line.written, [b"\x022052\x0371"])


class Profiles(unittest.TestCase):
    def refusal(self, **changes):
        values = values_of("sample_binary_xor")
        values.update(changes)
        try:
            Profile(values)
        except BadInput as problem:
            return str(problem)
        return ""

    def test_each_bad_key_is_refused_under_its_name(self):
        commands = values_of("sample_binary_xor")["commands"]

        def but(**changes):
            out = dict(commands)
            out.update(changes)
            return out

        for named, changes in (
            ("gap is no key", {"gap": 5}),
            ("speed", {"speed": 50}),
            ("speed", {"speed": True}),
            ("speed takes one of", {"speed": 10000}),
            ("start", {"start": "2"}),
            ("start", {"start": ""}),
            ("end", {"end": 3}),
            ("layout", {"layout": ["body", "start"]}),
            ("layout", {"layout": ["start", "start", "body"]}),
            ("layout", {"layout": "start"}),
            ("address", {"address": ""}),
            ("length", {"length": {}}),
            ("length.counts", {"length": {"counts": ["address"]}}),
            ("length.counts", {"length": {"counts": ["body", "sequence"]}}),
            ("length.order", {"length": {"counts": ["body"], "order": "pdp"}}),
            ("check.kind", {"check": {"kind": "md5"}}),
            ("check.poly", {"check": {"kind": "crc16", "covers": ["body"]}}),
            ("check.covers", {"check": {"kind": "xor", "covers": ["end"]}}),
            ("nibbles.letters", {"nibbles": {"fields": ["body"], "letters": "0123"}}),
            ("nibbles.fields", {"nibbles": {"fields": ["start"]}}),
            ("end is one of", {"nibbles": {"fields": ["body"]}, "end": "41"}),
            ("length is missing", {"layout": ["start", "address", "body", "check", "end"], "length": {}, "check":
             {"kind": "xor", "covers": ["body"]}}),
            ("none says ok", {"status": {"00": "lost"}}),
            ("status.00", {"status": {"00": "fine"}}),
            ("of one size", {"status": {"00": "ok", "0001": "lost"}}),
            ("commands.open", {"commands": but(open=[])}),
            ("commands.poll", {"commands": but(poll=None)}),
            ("field_off", {"commands": but(field_off=None)}),
            ("start afresh", {"commands": but(field_off=None, field_on=None)}),
            ("sam_power", {"commands": but(sam_power=None)}),
            ("uid.from", {"uid": {"from": "activate"}, "commands": but(activate=None)}),
        ):
            with self.subTest(named=named):
                self.assertIn(named, self.refusal(**changes))

    def test_the_samples_are_taken_and_say_that_they_are_invented(self):
        for name in ("sample_binary_xor", "sample_nibble_crc"):
            Profile(values_of(name))
            self.assertIn("Invented", values_of(name)["about"])


class Reader(unittest.TestCase):
    def made(self, *answers, power=None, **changes):
        self.clock = ManualClock()
        self.line = ChipLine(self.clock, answers)
        values = values_of("sample_binary_xor")
        values.update(changes)
        return StxEtx(self.line, self.clock, Profile(values), power)

    def opened(self, *answers):
        reader = self.made(*(OPENED + answers))
        reader.open()
        return reader

    def test_an_empty_field_is_looked_at_until_the_time_is_over(self):
        reader = self.opened(*[NOTHING_THERE] * 10)
        started_ms = self.clock.ticks_ms()
        self.assertIsNone(reader.poll(100))
        self.assertEqual(self.clock.since_ms(started_ms), 100)

    def test_two_cards_are_said_and_waited_for_until_none_is_left(self):
        letting_go = [binary("1200")] * 2
        answers = [binary("2004")] + letting_go + [binary("2004")] + letting_go + [FOUND, binary("2100")] + letting_go
        reader = self.opened(*(answers + [NOTHING_THERE]))
        self.assertRaises(TwoCards, reader.poll, 0)
        self.assertRaises(LinkLost, reader.transceive, b"\x00\x84\x00\x00\x04", 100)
        self.assertEqual([reader.removed(0) for _ in range(3)], [False, False, True])

    def test_a_card_of_another_kind_is_found_and_refused(self):
        reader = self.opened(binary("200000040804DEADBEEF"))
        self.assertEqual(reader.poll(0), Target(b"\xde\xad\xbe\xef"))
        self.assertRaises(NotOurCard, reader.transceive, b"\x00\xa4\x04\x00", 100)

    def test_every_status_but_ok_is_a_lost_card(self):
        for status in range(1, 256):
            reader = self.opened(FOUND, binary("2100"), binary("22%02X9000" % status))
            reader.poll(0)
            self.line.answers.append(binary("22009000"))
            for _ in range(2):
                self.assertRaises(LinkLost, reader.transceive, b"\x00\x84\x00\x00\x04", 100)
            self.assertEqual(self.line.written[-1], binary("220084000004"), "said once, and then not again")
            self.assertEqual(self.line.written[-2], binary("21"))

    def test_an_apdu_without_answer_is_said_once(self):
        reader = self.opened(FOUND, binary("2100"), b"", binary("22009000"))
        reader.poll(0)
        for _ in range(2):
            self.assertRaises(LinkLost, reader.transceive, b"\x80\x54\x01\x00", 100)
        self.assertEqual(self.line.written.count(binary("2280540100")), 1)

    def test_half_a_status_word_is_a_lost_card(self):
        for answer in ("2200", "220090"):
            reader = self.opened(FOUND, binary("2100"), binary(answer))
            reader.poll(0)
            self.assertRaises(LinkLost, reader.transceive, b"\x00\x84\x00\x00\x04", 100)

    def test_a_uid_that_is_cut_off_is_no_reason_to_fail(self):
        reader = self.opened(binary("200000042007DEAD"), binary("2100"))
        self.assertEqual(reader.poll(0), Target(b"\xde\xad"))

    def test_a_reader_that_refuses_its_settings_has_another_profile(self):
        reader = self.made(binary("10EE"))
        try:
            reader.open()
        except ReaderLost as lost:
            self.assertIn("profile", str(lost))
        else:
            self.fail("it was opened")

    def test_its_power_is_cut_when_it_fails_again(self):
        switched = []

        def power(on):
            switched.append(on)
            if on:
                self.line.answers = list(OPENED)

        reader = self.made(power=power)
        self.assertRaises(ReaderLost, reader.open)
        self.assertEqual(switched, [])
        started_ms = self.clock.ticks_ms()
        reader.open()
        self.assertEqual(switched, [False, True])
        self.assertTrue(self.clock.since_ms(started_ms) >= 1500, "off, and then its time to boot")
        self.line.answers = [NOTHING_THERE]
        self.assertIsNone(reader.poll(0))

    def test_a_sam_in_its_slot(self):
        reader = self.made(*(OPENED + (binary("30003B6D"), binary("31009000"), binary("3106"))))
        slot = reader.slot(2)
        slot.open()
        self.assertTrue(slot.activate(100))
        self.assertEqual(slot.transceive(b"\x00\x84\x00\x00\x04", 100), b"\x90\x00")
        self.assertRaises(LinkLost, slot.transceive, b"\x00\x84\x00\x00\x04", 100)
        self.assertEqual(self.line.written[-3:], [binary("3002"), binary("31020084000004"), binary("31020084000004")])

    def test_an_empty_slot_holds_no_sam(self):
        slot = self.made(*(OPENED + (binary("3006"),))).slot(1)
        slot.open()
        self.assertFalse(slot.activate(100))
        self.assertRaises(LinkLost, slot.transceive, b"\x00\x84\x00\x00\x04", 100)


if __name__ == "__main__":
    unittest.main()
