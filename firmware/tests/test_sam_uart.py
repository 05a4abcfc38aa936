"""T=0 on a scripted line: what goes out after each byte that comes in, and what no SAM should say."""

import unittest

from support.manual_clock import ManualClock
from tunion.card.refusals import LinkLost
from tunion.record import BadInput
from validator.drivers.sam_uart import SamLine, SamUart
from validator.ports import ReaderLost

ATR = bytes.fromhex("3B6D0000") + b"YKT TEST PSAM"
READ = b"\x00\xb0\x96\x00\x06"
WRITE = b"\x80\x72\x00\x00\x04\x01\x02\x03\x04"


class Wire:
    """A line whose SAM says the next of `answers` after each write; `resets` are what it says when RST goes high."""

    def __init__(self, clock, resets, answers=()):
        self.clock = clock
        self.resets = list(resets)
        self.answers = list(answers)
        self.said = []
        self.pins = []
        self.speeds = []
        self.known = (9600, 38400, 115200)
        self.echo = False
        self.closed = False
        self._coming = b""

    def open(self):
        if self.closed:
            raise ReaderLost("closed: open it")

    def set(self, slot, power, run):
        self.pins.append((slot, power, run))
        self._coming = b""
        if power and run and self.resets:
            self._coming = self.resets.pop(0)

    def set_speed(self, bits_per_s):
        if bits_per_s in self.known:
            self.speeds.append(bits_per_s)
        return bits_per_s in self.known

    def write(self, data):
        if self.closed:
            raise ReaderLost("closed: open it")
        self.said.append(bytes(data))
        self._coming += bytes(data) if self.echo else b""
        if self.answers:
            self._coming += self.answers.pop(0)

    def read_into(self, buffer, wait_ms):
        count = min(len(buffer), len(self._coming))
        buffer[:count] = self._coming[:count]
        self._coming = self._coming[count:]
        if not count:
            self.clock.advance_ms(wait_ms)
        return count


class Slots(unittest.TestCase):
    def made(self, *answers, resets=(ATR,), speed_max=115200, echo=False, number=0):
        self.clock = ManualClock()
        self.wire = Wire(self.clock, resets, answers)
        self.wire.echo = echo
        slot = SamUart(SamLine(self.wire, self.wire, self.clock, speed_max=speed_max, echo=echo), self.clock, number)
        slot.open()
        return slot

    def active(self, *answers, **wire):
        slot = self.made(*answers, **wire)
        self.assertTrue(slot.activate(2000))
        return slot

    def test_a_cold_reset(self):
        self.active(number=2)
        self.assertEqual(self.wire.pins, [(2, False, False), (2, True, False), (2, True, True)])
        self.assertEqual(self.wire.speeds[0], 38400)

    def test_silence_at_every_speed_is_an_empty_slot_without_power(self):
        self.assertFalse(self.made(resets=()).activate(2000))
        self.assertEqual(self.wire.speeds, [38400, 9600])
        self.assertEqual(self.wire.pins[-1], (0, False, False))

    def test_garbage_at_one_speed_and_sense_at_the_other(self):
        slot = self.active(resets=(b"\xfe\x80", b"\xfe\x80", ATR))
        self.assertEqual((slot.atr.historical, self.wire.speeds[-1]), (b"YKT TEST PSAM", 9600))

    def test_garbage_at_both_is_a_broken_sam(self):
        self.assertRaises(LinkLost, self.made(resets=(b"\xfe",) * 4).activate, 2000)

    def test_what_is_agreed_on(self):
        fast = bytes.fromhex("3B1018")
        for name, atr, answer, asked, speed in (
            ("nothing offered", ATR, b"", [], 9600),
            ("taken", fast, b"\xff\x10\x18\xf7", [b"\xff\x10\x18\xf7"], 115200),
            ("speed left out", fast, b"\xff\x00\xff", [b"\xff\x10\x18\xf7"], 9600),
            ("no speed of this line", bytes.fromhex("3B1012"), b"", [], 9600),
        ):
            with self.subTest(name=name):
                slot = self.active(answer, resets=(b"\xfe", b"\xfe", atr))
                self.assertEqual((self.wire.said, slot._speed), (asked, speed))

    def test_a_sam_that_knows_no_pps_is_reset_and_left_alone(self):
        fast = bytes.fromhex("3B1018")
        for answer in (b"", b"\xff", b"\xff\x10\x18\xf6", b"\x6e\x00"):
            with self.subTest(answer=answer):
                slot = self.active(answer, b"\x6d\x00", resets=(b"\xfe", b"\xfe", fast, b"\xfe", b"\xfe", fast))
                self.assertEqual(slot._speed, 9600)
                self.assertEqual(slot.transceive(READ, 1000), b"\x6d\x00")

    def test_a_speed_above_the_lines_is_not_asked_for(self):
        self.active(resets=(b"\xfe", b"\xfe", bytes.fromhex("3B1018")), speed_max=57600)
        self.assertEqual(self.wire.said, [])

    def test_a_sam_that_changes_by_itself(self):
        slot = self.active(resets=(b"\xfe", b"\xfe", bytes.fromhex("3B90181000")))
        self.assertEqual((self.wire.said, slot._speed), ([], 115200))
        slot = self.made(resets=(b"\xfe", b"\xfe", bytes.fromhex("3B90121000")))
        self.assertRaises(LinkLost, slot.activate, 2000)

    def test_no_t0_is_refused(self):
        self.assertRaises(LinkLost, self.made(resets=(bytes.fromhex("3B800181"),)).activate, 2000)

    def test_a_sam_is_left_to_its_work(self):
        slot = self.active(b"\x72", b"\x60\x60")
        slot.start(WRITE, 1000)
        self.assertEqual(self.wire.said, [WRITE[:5], WRITE[5:]])
        self.wire._coming += b"\x90\x00"
        self.assertEqual(slot.finish(), b"\x90\x00")

    def test_an_answer_that_nobody_took_is_taken_before_the_next_command(self):
        slot = self.active(b"\x72", b"\x93\x02", b"\xb0ABCDEF\x90\x00")
        slot.start(WRITE, 1000)
        self.assertEqual(slot.transceive(READ, 1000), b"ABCDEF\x90\x00")

    def test_an_answer_that_has_come_counts_however_late_it_is_asked_for(self):
        slot = self.active(b"\x72", b"\x90\x00", b"\xb0ABCDEF\x90\x00")
        slot.start(WRITE, 1000)
        self.clock.advance_ms(60000)
        self.assertEqual(slot.transceive(READ, 1000), b"ABCDEF\x90\x00")

    def test_two_slots_of_one_line_wait_for_each_other(self):
        self.clock = ManualClock()
        self.wire = Wire(self.clock, [ATR, ATR], [])
        line = SamLine(self.wire, self.wire, self.clock)
        one, other = SamUart(line, self.clock, 0), SamUart(line, self.clock, 1)
        for slot in (one, other):
            slot.open()
            self.assertTrue(slot.activate(2000))
        self.wire.answers = [b"\x72", b"\x90\x00", b"\xb0ABCDEF\x90\x00", b"\xb0GHIJKL\x90\x00"]
        one.start(WRITE, 1000)  # nobody collects it: the card left
        self.assertEqual(other.transceive(READ, 1000), b"ABCDEF\x90\x00")
        self.assertEqual(one.transceive(READ, 1000), b"GHIJKL\x90\x00")

    def test_a_sam_that_refuses_before_it_has_all_data(self):
        slot = self.active(b"\x6a\x86", b"\xb0ABCDEF\x90\x00")
        slot.start(WRITE, 1000)
        self.assertEqual(slot.finish(), b"\x6a\x86")
        self.assertEqual(slot.transceive(READ, 1000), b"ABCDEF\x90\x00")

    def test_a_sam_that_falls_silent_while_it_works(self):
        slot = self.active(b"\x72")
        slot.start(WRITE, 1000)
        self.assertRaises(LinkLost, slot.finish)
        self.assertRaises(LinkLost, slot.transceive, READ, 1000)

    def test_reading(self):
        for answer in (b"\xb0ABCDEF\x90\x00", b"\x60\x60\xb0ABCDEF\x90\x00", b"\x4fA\x4fB\xb0CDEF\x90\x00"):
            with self.subTest(answer=answer):
                self.assertEqual(self.active(answer).transceive(READ, 1000), b"ABCDEF\x90\x00")
                self.assertEqual(self.wire.said, [READ])

    def test_writing(self):
        head, data = WRITE[:5], WRITE[5:]
        self.assertEqual(self.active(b"\x72", b"\x90\x00").transceive(WRITE, 1000), b"\x90\x00")
        self.assertEqual(self.wire.said, [head, data])
        self.assertEqual(self.active(b"\x8d", b"\x60\x8d", b"\x72", b"\x61\x08").transceive(WRITE, 1000), b"\x61\x08")
        self.assertEqual(self.wire.said, [head, data[:1], data[1:2], data[2:]])

    def test_le_behind_data_stays_here_and_four_bytes_get_a_p3(self):
        self.active(b"\x72", b"\x90\x00").transceive(WRITE + b"\x08", 1000)
        self.assertEqual(self.wire.said, [WRITE[:5], WRITE[5:]])
        self.active(b"\x90\x00").transceive(b"\x00\x84\x00\x00", 1000)
        self.assertEqual(self.wire.said, [b"\x00\x84\x00\x00\x00"])

    def test_a_status_may_come_at_any_time(self):
        self.assertEqual(self.active(b"\x6c\x06").transceive(READ, 1000), b"\x6c\x06")
        self.assertEqual(self.active(b"\x6d\x00").transceive(WRITE, 1000), b"\x6d\x00")
        self.assertEqual(self.active(b"\x8d", b"\x67\x00").transceive(WRITE, 1000), b"\x67\x00")

    def test_the_longest_answer(self):
        data = bytes([at & 255 for at in range(256)])
        self.assertEqual(self.active(b"\xb0" + data + b"\x90\x00").transceive(b"\x00\xb0\x96\x00\x00", 1000)[:-2], data)

    def test_what_no_sam_says_ends_it_until_it_is_activated_again(self):
        for name, answers in (
            ("silence", (b"",)),
            ("garbage", (b"\x55",)),
            ("half a status word", (b"\x90",)),
            ("half the data", (b"\xb0ABC",)),
            ("more data than asked for", (b"\xb0ABCDEF\xb0",)),
            ("thinks for ever", (b"\x60" * 3,)),
        ):
            with self.subTest(name=name):
                slot = self.active(*answers)
                self.assertRaises(LinkLost, slot.transceive, READ, 500)
                self.wire.answers = [b"\x90\x00"]
                self.assertRaises(LinkLost, slot.transceive, READ, 500)
                self.assertEqual(self.wire.said, [READ], "nothing is said twice")
                self.wire.resets = [ATR]
                self.assertTrue(slot.activate(2000))
                self.assertEqual(slot.transceive(READ, 500), b"\x90\x00")

    def test_its_waiting_time_is_kept(self):
        slot = self.active(b"", resets=(bytes.fromhex("3BC0004005"),))  # TC2 5: 4800 etu at 38400 bit/s
        started_ms = self.clock.ticks_ms()
        self.assertRaises(LinkLost, slot.transceive, READ, 3000)
        self.assertEqual(self.clock.since_ms(started_ms), 125 + 50)

    def test_extra_guard_time_goes_byte_by_byte(self):
        slot = self.active(b"", b"", b"", b"", b"\x90\x00", resets=(bytes.fromhex("3B4020"),))
        started_ms = self.clock.ticks_ms()
        self.assertEqual(slot.transceive(READ, 500), b"\x90\x00")
        self.assertEqual(self.wire.said, [b"\x00", b"\xb0", b"\x96", b"\x00", b"\x06"])
        self.assertEqual(self.clock.since_ms(started_ms), 4, "32 etu at 38400 bit/s are 1 ms, rounded up")
        self.assertEqual(self.active(resets=(bytes.fromhex("3B40FF"),))._gap_ms, 0)

    def test_an_echo_that_differs_is_a_short_circuit(self):
        slot = self.active(b"\xb0ABCDEF\x90\x00", echo=True)
        self.assertEqual(slot.transceive(READ, 500), b"ABCDEF\x90\x00")
        self.wire.echo = False
        self.wire.answers = [b"\xb0ABCDEF\x90\x00"]
        self.assertRaises(LinkLost, slot.transceive, READ, 500)

    def test_what_t0_cannot_carry_is_our_own_bug(self):
        slot = self.active()
        for apdu in (b"\x00", READ + b"\x00", b"\x00\x6a\x00\x00\x00", WRITE[:-1], WRITE + b"\x00\x00"):
            with self.subTest(apdu=apdu), self.assertRaises(BadInput):
                slot.transceive(apdu, 500)

    def test_a_line_that_closes_is_opened_again(self):
        slot = self.active()
        self.wire.closed = True
        self.assertRaises(ReaderLost, slot.transceive, READ, 500)
        self.assertRaises(ReaderLost, slot.open)
        self.wire.closed = False
        self.wire.resets, self.wire.answers = [ATR], [b"\x90\x00"]
        slot.open()
        self.assertTrue(slot.activate(2000))
        self.assertEqual(slot.transceive(READ, 500), b"\x90\x00")

    def test_two_slots_on_one_line_take_turns_at_their_own_speeds(self):
        clock = ManualClock()
        wire = Wire(clock, [ATR, b"\xfe", b"\xfe", ATR])
        line = SamLine(wire, wire, clock)
        fast, slow = SamUart(line, clock, 0), SamUart(line, clock, 1)
        for slot in (fast, slow):
            slot.open()
            self.assertTrue(slot.activate(2000))
        wire.answers = [b"\x90\x00"] * 3
        del wire.speeds[:]
        for slot in (fast, slow, fast):
            slot.transceive(READ, 500)
        self.assertEqual(wire.pins[-3:], [(0, True, True), (1, True, True), (0, True, True)])
        self.assertEqual(wire.speeds, [38400, 9600, 38400])


if __name__ == "__main__":
    unittest.main()
