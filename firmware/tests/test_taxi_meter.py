"""A taxi meter on a serial line: its profile is checked whole, its frames are found on a bad line."""

import json
import unittest

from support.manual_clock import ManualClock
from support.spoken_line import SpokenLine
from tunion.record import BadInput
from validator.drivers.taxi_meter import REPORT_OLD_MS, MeterProfile, TaxiMeter

with open(__file__.rsplit("/", 2)[0] + "/validator/profiles/meters/sample_taxi_meter.json") as file:
    SAMPLE = json.load(file)
ASCII = {
    "start": "02",
    "bytes": 17,
    "check": {"kind": "sum", "from": 0, "at": 16},
    "state": {"at": 1, "free": "46", "hired": "48", "stopped": "53"},
    "ride": {"at": 2, "bytes": 6, "coding": "ascii"},
    "amount": {"at": 8, "bytes": 8, "coding": "ascii"},
}


def frame(state, ride, jiao):
    body = bytes((state,)) + bytes.fromhex("%06d%06d" % (ride, jiao)) + bytes(5)
    check = 0
    for byte in body:
        check ^= byte
    return b"\xaa\x55" + body + bytes((check, 0x0D))


def changed(**changes):
    made = {}
    for values in (SAMPLE, changes):
        for key in values:
            made[key] = values[key]
    return made


class Profiles(unittest.TestCase):
    def refusal(self, values):
        try:
            MeterProfile(values)
        except BadInput as problem:
            return str(problem)
        return ""

    def test_both_codings_are_taken(self):
        self.assertEqual((MeterProfile(SAMPLE).size, MeterProfile(SAMPLE).speed), (16, 9600))
        self.assertEqual(MeterProfile(ASCII).is_sum, True)

    def test_each_bad_value_is_refused_by_name(self):
        for words, values in (
            ("a map", []),
            ("colour is unknown", changed(colour=1)),
            ("speed", changed(speed=1200)),
            ("speed takes one of", changed(speed=10000)),
            ("bytes", changed(bytes=65)),
            ("bytes", changed(bytes=None)),
            ("start", changed(start="")),
            ("start", changed(start="XY")),
            ("start", changed(start=5)),
            ("end", changed(end="000000")),
            ("check takes a map", changed(check=1)),
            ("check.kind", changed(check={"kind": "crc", "at": 14})),
            ("check.at", changed(check={"kind": "xor", "at": 15})),
            ("check.at", changed(check={"kind": "xor", "at": 1})),
            ("check.from", changed(check={"kind": "xor", "at": 14, "from": 14})),
            ("state.stopped", changed(state={"at": 2, "free": "00", "hired": "01"})),
            ("three different", changed(state={"at": 2, "free": "00", "hired": "01", "stopped": "01"})),
            ("state.at", changed(state={"at": 15, "free": "00", "hired": "01", "stopped": "02"})),
            ("over the check", changed(state={"at": 14, "free": "00", "hired": "01", "stopped": "02"})),
            ("ride.bytes", changed(ride={"at": 3, "bytes": 5, "coding": "bcd"})),
            ("ride takes no unit", changed(ride={"at": 3, "bytes": 3, "coding": "bcd", "unit_fen": 1})),
            ("amount.coding", changed(amount={"at": 6, "bytes": 3, "coding": "hex"})),
            ("amount.unit_fen", changed(amount={"at": 6, "bytes": 3, "coding": "bcd", "unit_fen": 5})),
            ("amount.at", changed(amount={"at": 13, "bytes": 3, "coding": "bcd"})),
            ("amount.at lies over the check", changed(amount={"at": 12, "bytes": 3, "coding": "bcd"})),
            ("amount takes a map", changed(amount=None)),
        ):
            with self.subTest(words=words):
                self.assertIn(words, self.refusal(values))


class MeterCase(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock()
        self.line = SpokenLine()
        self.meter = TaxiMeter(self.line, self.clock, MeterProfile(SAMPLE))
        self.meter.step()

    def hear(self, data):
        self.line.say(data)
        self.meter.step()
        return self.meter.state, self.meter.ride, self.meter.amount_fen

    def test_states_ride_and_amount(self):
        self.assertEqual(self.hear(b""), ("", 0, 0))
        self.assertEqual(self.hear(frame(0, 41, 0)), ("free", 41, 0))
        self.assertEqual(self.hear(frame(1, 42, 100)), ("hired", 42, 1000))
        self.assertEqual(self.hear(frame(2, 42, 257)), ("stopped", 42, 2570))

    def test_a_meter_that_is_silent_has_no_state(self):
        self.hear(frame(2, 42, 257))
        self.clock.advance_ms(REPORT_OLD_MS)
        self.assertEqual(self.meter.state, "stopped")
        self.clock.advance_ms(1)
        self.assertEqual(self.meter.state, "")

    def test_ascii_digits_and_a_sum(self):
        meter = TaxiMeter(self.line, self.clock, MeterProfile(ASCII))
        meter.step()
        body = b"\x02S00004200002570"
        self.line.say(body + bytes((sum(body) & 0xFF,)))
        meter.step()
        self.assertEqual((meter.state, meter.ride, meter.amount_fen), ("stopped", 42, 2570))
        body = b"\x02S0000420000257x"
        self.line.say(body + bytes((sum(body) & 0xFF,)))
        meter.step()
        self.assertEqual((meter.frames, meter.bad), (1, 1))

    def test_a_frame_with_any_bit_wrong_is_refused_and_the_next_one_is_found(self):
        whole = frame(2, 42, 257)
        for at in range(len(whole)):
            for bit in range(8):
                broken = bytearray(whole)
                broken[at] ^= 1 << bit
                meter = TaxiMeter(self.line, self.clock, MeterProfile(SAMPLE))
                meter.step()
                self.line.say(bytes(broken) + b"\x00" * 15)
                meter.step()
                self.assertEqual(meter.frames, 0, "byte %d bit %d" % (at, bit))
                self.line.say(whole)
                meter.step()
                self.assertEqual((meter.frames, meter.amount_fen), (1, 2570))

    def test_noise_and_halves_before_a_frame_are_stepped_over(self):
        whole = frame(1, 7, 90)
        for cut in range(len(whole)):
            meter = TaxiMeter(self.line, self.clock, MeterProfile(SAMPLE))
            meter.step()
            for data in (b"\xaa", whole[:cut], b"\xaa\x55\xaa", whole):
                self.line.say(data)
                meter.step()
            self.assertEqual((meter.frames, meter.amount_fen, meter.bad), (1, 900, 4 + cut))

    def test_digits_that_are_none_an_unknown_state_and_too_much_are_refused(self):
        for body in ("03" "000042" "000257", "02" "00004a" "000257", "02" "000042" "0002f7"):
            body = bytes.fromhex(body) + bytes(5)
            check = 0
            for byte in body:
                check ^= byte
            self.hear(b"\xaa\x55" + body + bytes((check, 0x0D)))
        self.assertEqual(self.meter.frames, 0)
        large = changed(amount={"at": 6, "bytes": 4, "coding": "bcd", "unit_fen": 100})
        meter = TaxiMeter(self.line, self.clock, MeterProfile(large))
        meter.step()
        self.line.say(frame(2, 42, 999999))  # 99999900 yuan
        meter.step()
        self.assertEqual(meter.frames, 0)

    def test_a_line_that_is_lost_is_opened_again(self):
        self.hear(frame(1, 7, 90))
        self.line.unplugged = True
        self.meter.step()
        self.assertTrue(self.meter.lost)
        self.line.unplugged = False
        self.clock.advance_ms(5000)
        self.meter.step()
        self.assertEqual(self.hear(frame(1, 7, 91)), ("hired", 7, 910))


if __name__ == "__main__":
    unittest.main()
