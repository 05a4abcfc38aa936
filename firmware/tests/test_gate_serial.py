"""A gate on a line that loses, repeats and garbles: a permit is given once, an event is told once."""

import unittest

from support.manual_clock import ManualClock
from validator import ports
from validator.drivers.gate_serial import (
    COMMANDS_MAX,
    EVENTS_MAX,
    QUIET_MS,
    REPEAT_MS,
    TRIES_MAX,
    SerialGate,
    framed,
    frames_in,
)
from validator.ports import ENTRY, EXIT, GateLost, ReaderLost, Seen

OPEN, DONE, PASSED, LAPSED, BOOTED, HELLO, HEARD = 79, 75, 80, 84, 66, 72, 65


class Wire:
    """A line; the test says what comes and sees what went."""

    def __init__(self):
        self.written = []
        self.coming = b""
        self.closed = False

    def open(self):
        self._must()
        self.coming = b""

    def write(self, data):
        self._must()
        self.written.append(bytes(data))

    def read_into(self, buffer, wait_ms):
        self._must()
        assert not wait_ms, "a gate is never waited for"
        count = min(len(buffer), len(self.coming))
        buffer[:count] = self.coming[:count]
        self.coming = self.coming[count:]
        return count

    def _must(self):
        if self.closed:
            raise ReaderLost("closed at the other end")


class Frames(unittest.TestCase):
    def test_a_frame_byte_for_byte(self):
        # O 01 02: 4F + 30 + 31 + 30 + 32 = 112
        self.assertEqual(framed(OPEN, 1, 2), b":O010212\n")
        self.assertEqual(frames_in(bytearray(b":O010212\n")), [(OPEN, 1, 2)])

    def test_a_frame_in_garbage_is_found_wherever_it_is_cut(self):
        good = framed(PASSED, 7, 1)
        stumps = (b":P0701", b":O010213\n", b":o010212\n", good[:8] + b"x")
        for garbage in (b"", b"\x00\xff", b":", b"::::", b"\n\n") + stumps:
            for cut in range(len(garbage) + 10):
                buffer, raw = bytearray(), garbage + good
                found = []
                for piece in (raw[:cut], raw[cut:]):
                    buffer.extend(piece)
                    found += frames_in(buffer)
                self.assertEqual((found, bytes(buffer)), ([(PASSED, 7, 1)], b""), (garbage, cut))

    def test_a_byte_that_changes_makes_no_frame(self):
        good = framed(PASSED, 7, 1)
        for at in range(len(good)):
            for bit in range(8):
                spoilt = bytearray(good)
                spoilt[at] ^= 1 << bit
                self.assertEqual(frames_in(spoilt), [])


class Lines(unittest.TestCase):
    def gate(self):
        self.clock, self.wire = ManualClock(), Wire()
        gate = SerialGate(self.wire, self.clock, 5)
        gate.connect()
        self.says(framed(DONE, 1, 0))
        self.assertIsNone(gate.step())
        self.assertEqual(self.wire.written, [framed(HELLO, 1, 5)])
        return gate

    def says(self, *frames):
        self.wire.coming += b"".join(frames)

    def test_a_permit_is_repeated_until_it_is_answered_and_the_next_one_waits(self):
        gate = self.gate()
        gate.open(EXIT)
        gate.open(EXIT)
        self.clock.advance_ms(REPEAT_MS)
        gate.step()
        self.assertEqual(self.wire.written[1:], [framed(OPEN, 2, EXIT)] * 2)
        self.says(framed(DONE, 1, 0), framed(DONE, 2, 0), framed(DONE, 2, 0))
        gate.step()
        self.assertEqual(self.wire.written[3:], [framed(OPEN, 3, EXIT)])
        self.says(framed(DONE, 3, 0))
        gate.step()
        self.clock.advance_ms(REPEAT_MS)
        gate.step()
        self.assertEqual(len(self.wire.written), 4)

    def test_an_event_that_comes_again_is_told_once_and_answered_each_time(self):
        gate = self.gate()
        self.says(framed(PASSED, 1, EXIT), framed(PASSED, 1, EXIT), framed(PASSED, 2, EXIT))
        found = [gate.step() for _ in range(3)]
        self.assertEqual(found, [Seen(ports.PASSED, EXIT), Seen(ports.PASSED, EXIT), None])
        self.assertEqual(self.wire.written[1:], [framed(HEARD, 1, 0), framed(HEARD, 1, 0), framed(HEARD, 2, 0)])

    def test_events_that_nobody_takes_come_again(self):
        gate = self.gate()
        for number in range(1, EVENTS_MAX + 3):
            self.says(framed(PASSED, number, ENTRY))
            gate._listen()
        self.assertEqual((len(gate._seen), self.wire.written[-1]), (EVENTS_MAX, framed(HEARD, EVENTS_MAX, 0)))

    def test_a_gate_that_does_not_answer_is_lost(self):
        gate = self.gate()
        gate.open(ENTRY)
        for _ in range(TRIES_MAX - 1):
            self.clock.advance_ms(REPEAT_MS)
            gate.step()
        self.clock.advance_ms(REPEAT_MS)
        self.assertRaises(GateLost, gate.step)
        self.assertRaises(GateLost, gate.step)
        self.assertRaises(GateLost, gate.open, ENTRY)
        gate.connect()
        self.assertIsNone(gate.step())

    def test_a_gate_with_nothing_to_tell_is_asked_whether_it_is_there(self):
        gate = self.gate()
        self.clock.advance_ms(QUIET_MS)
        gate.step()
        self.assertEqual(self.wire.written[-1][1:2], b"Q")
        for _ in range(TRIES_MAX - 1):
            self.clock.advance_ms(REPEAT_MS)
            gate.step()
        self.clock.advance_ms(REPEAT_MS)
        self.assertRaises(GateLost, gate.step)

    def test_a_gate_that_started_again_has_no_permits(self):
        gate = self.gate()
        self.says(framed(BOOTED, 0, 0))
        self.assertRaises(GateLost, gate.step)

    def test_a_closed_line_is_a_lost_gate(self):
        gate = self.gate()
        self.wire.closed = True
        self.assertRaises(GateLost, gate.step)
        self.assertRaises(GateLost, gate.connect)

    def test_a_gate_that_answers_nothing_is_not_told_for_ever(self):
        gate = self.gate()
        for _ in range(COMMANDS_MAX):
            gate.open(ENTRY)
        self.assertRaises(GateLost, gate.open, ENTRY)

    def test_what_was_under_way_before_the_hello_is_not_told(self):
        gate = self.gate()
        gate.connect()
        self.says(framed(LAPSED, 9, 1), framed(DONE, 2, 0), framed(PASSED, 10, 1))
        self.assertEqual([gate.step(), gate.step()], [Seen(ports.PASSED, 1), None])


if __name__ == "__main__":
    unittest.main()
