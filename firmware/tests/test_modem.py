"""A connection through a modem: dialled, hung up, found in every state it may be in, restarted when nothing helps."""

import json
import unittest

from support.manual_clock import ManualClock
from support.modem_line import ModemLine
from tunion.record import BadInput
from validator.drivers.modem import FAILURES_MAX, Modem
from validator.drivers.modem_profile import ModemProfile
from validator.ports import NetLost, ReaderLost

with open(__file__.rsplit("/", 2)[0] + "/validator/profiles/modems/sample_modem_transparent.json") as file:
    SAMPLE = json.load(file)
OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
ASK = "AT+CEREG?"
ATTACH = "AT+NETOPEN"
DIAL = 'AT+CIPOPEN=0,"TCP","192.0.2.7",8443'
HANG_UP = "AT+CIPCLOSE=0"
FIRST_CALL = ["AT", HANG_UP, "ATE0", "AT+CMEE=1", "AT+CIPMODE=1", ASK, ATTACH, DIAL]
STEPS_MAX = 2000
STEP_MS = 50


def words(**changes):
    """What a modem that is well says to each command."""
    said = {
        "AT": OK,
        "ATE0": b"ATE0\r" + OK,
        "AT+CMEE=1": OK,
        "AT+CIPMODE=1": OK,
        ASK: b"\r\n+CEREG: 0,1\r\n" + OK,
        ATTACH: OK + b"\r\n+NETOPEN: 0\r\n",
        DIAL: b"\r\nCONNECT 115200\r\n",
        HANG_UP: ERROR,
    }
    for name in changes:
        said[{"ask": ASK, "attach": ATTACH, "dial": DIAL, "at": "AT"}[name]] = changes[name]
    return said


class Rig:
    def __init__(self, answers=None, power=True):
        self.clock = ManualClock()
        self.line = ModemLine(self.clock, answers or words())
        self.switched = []
        self.modem = Modem(
            self.line, self.clock, ModemProfile(SAMPLE), "192.0.2.7", 8443, self.switched.append if power else None
        )

    def step(self):
        self.clock.advance_ms(STEP_MS)
        return self.modem.step()

    def dial(self):
        for _ in range(STEPS_MAX):
            stream = self.step()
            if stream is not None:
                return stream
        raise AssertionError("no connection in %d steps; heard %s" % (STEPS_MAX, self.line.commands))

    def refusal(self):
        for _ in range(STEPS_MAX):
            try:
                self.step()
            except NetLost as error:
                return str(error)
        raise AssertionError("no refusal in %d steps" % STEPS_MAX)


def read(stream, count=64):
    buffer = bytearray(count)
    got = stream.readinto(buffer)
    return got if got is None or got < 0 else bytes(buffer[:got])


class ModemTest(unittest.TestCase):
    def test_it_is_set_up_once_and_carries_bytes_both_ways(self):
        rig = Rig()
        stream = rig.dial()
        self.assertEqual(rig.line.commands, FIRST_CALL)
        self.assertIsNone(read(stream))
        self.assertEqual(stream.write(b"hello"), 5)
        self.assertEqual(rig.line.sent, b"hello")
        rig.line.coming = b"well"
        self.assertEqual(read(stream, 3), b"wel")
        self.assertEqual(read(stream), b"l")

    def test_the_connections_first_bytes_right_behind_its_line_are_not_lost(self):
        rig = Rig(words(dial=b"\r\nCONNECT 115200\r\n\x16\x03\x03"))
        self.assertEqual(read(rig.dial()), b"\x16\x03\x03")

    def test_a_second_call_is_asked_out_of_the_first_and_needs_no_set_up(self):
        rig = Rig()
        old = rig.dial()
        rig.modem.close()
        new = rig.dial()
        self.assertEqual(rig.line.commands[len(FIRST_CALL) :], ["AT", HANG_UP, DIAL])
        self.assertEqual(old.write(b"late"), -5)
        self.assertEqual(read(old), -5)
        self.assertEqual(new.write(b"x"), 1)

    def test_a_modem_left_in_a_call_by_a_firmware_that_died_is_found(self):
        rig = Rig()
        rig.line.in_call = True
        rig.dial()
        self.assertEqual(rig.line.sent, b"AT\r")
        self.assertEqual(rig.line.commands, FIRST_CALL)

    def test_noise_echo_and_words_nobody_asked_for_do_no_harm(self):
        noise = b"\r\nRDY\r\n\x00\xff\xfe+++\r\n\r\n"
        said = words()
        for name in said:
            said[name] = noise + name.encode() + b"\r\r\n" + said[name] if name != HANG_UP else said[name]
        rig = Rig(said)
        self.assertIsNotNone(rig.dial())

    def test_it_waits_for_the_network_and_goes_on_when_it_has_come(self):
        searching = b"\r\n+CEREG: 0,2\r\n" + OK
        rig = Rig(words(ask=[searching, searching, b"\r\n+CEREG: 0,5\r\n" + OK]))
        before = rig.modem.advanced
        self.assertIsNotNone(rig.dial())
        self.assertEqual(rig.line.commands.count(ASK), 3)
        self.assertTrue(rig.modem.advanced > before + len(FIRST_CALL), "a long way does not look like silence")

    def test_each_refusal_is_named(self):
        for changes, said in (
            (dict(ask=b"\r\n+CEREG: 0,3\r\n" + OK), "refuses its SIM"),
            (dict(ask=b"\r\n+CEREG: 0,2\r\n" + OK), "no network after 60 s"),
            (dict(ask=ERROR), "it refuses AT+CEREG? (ERROR)"),
            (dict(ask=b""), "does not answer AT+CEREG?"),
            (dict(at=b""), "does not answer AT"),
            (dict(dial=b"\r\nCONNECT FAIL\r\n"), "answers AT+CIPOPEN with"),
            (dict(dial=b"\r\n+CME ERROR: 4\r\n"), "answers AT+CIPOPEN with +CME ERROR: 4"),
            (dict(dial=OK), "no answer to AT+CIPOPEN"),
            (dict(attach=OK), "no answer to AT+NETOPEN"),
        ):
            with self.subTest(said=said):
                self.assertTrue(said in Rig(words(**changes)).refusal())

    def test_a_network_that_is_attached_to_already_is_no_failure(self):
        self.assertIsNotNone(Rig(words(attach=ERROR)).dial())

    def test_after_failures_in_a_row_its_power_is_cut_and_it_boots(self):
        rig = Rig()
        rig.line.deaf = True
        for _ in range(FAILURES_MAX):
            self.assertEqual(rig.switched, [])
            self.assertTrue("does not answer AT" in rig.refusal())
        self.assertEqual(rig.switched, [False])
        since_ms = rig.clock.ticks_ms()
        rig.line.deaf = False
        rig.dial()
        self.assertEqual(rig.switched, [False, True])
        self.assertEqual(rig.line.commands, FIRST_CALL)
        self.assertTrue(rig.clock.since_ms(since_ms) >= SAMPLE["boot_ms"])

    def test_without_a_switch_it_is_told_to_restart(self):
        rig = Rig(words(dial=ERROR), power=False)
        for _ in range(FAILURES_MAX):
            self.assertTrue("AT+CRESET" not in rig.line.commands)
            rig.refusal()
        self.assertEqual(rig.line.commands[-1], "AT+CRESET")

    def test_a_call_that_works_forgives_the_failures_before_it(self):
        rig = Rig(words(dial=[ERROR, ERROR, b"\r\nCONNECT\r\n", ERROR, ERROR, b"\r\nCONNECT\r\n"]))
        for _ in range(2):
            rig.refusal()
            rig.refusal()
            rig.dial()
            rig.modem.close()
        self.assertEqual(rig.switched, [])

    def test_a_line_that_is_gone_is_a_lost_net_and_opened_again(self):
        rig = Rig()
        rig.dial()
        rig.modem.close()

        def broken(buffer, wait_ms):
            raise ReaderLost("unplugged")

        good, rig.line.read_into = rig.line.read_into, broken
        self.assertTrue("unplugged" in rig.refusal())
        rig.line.read_into = good
        rig.line.in_call = False
        rig.dial()
        self.assertEqual(rig.line.opened, 2)

    def test_letting_go_while_it_is_set_up_does_not_begin_anew(self):
        rig = Rig()
        while ASK not in rig.line.commands:
            rig.step()
            rig.modem.close()
        rig.dial()
        self.assertEqual(rig.line.commands, FIRST_CALL)


class ProfileTest(unittest.TestCase):
    def test_the_sample_is_a_profile(self):
        profile = ModemProfile(SAMPLE)
        self.assertEqual(profile.dials("192.0.2.7", 8443).send, DIAL)

    def test_each_slip_is_refused_by_name(self):
        for key, value, said in (
            ("speed", 115201, "speed takes one of"),
            ("speed", "fast", "speed takes a number"),
            ("escape", "", "escape takes a text"),
            ("ok", 7, "ok takes a text"),
            ("failed", [], "failed takes a list of 1"),
            ("failed", ["A\r"], "failed takes a list of 1"),
            ("setup", ["x" * 121], "setup takes a list"),
            ("register", None, "register takes a map"),
            ("register", {"ask": "AT"}, "register.home takes a text"),
            ("attach", {"send": "AT", "untill": "OK"}, "attach.untill is nothing"),
            ("attach", {"send": "AT", "until": ""}, "attach.until takes a text"),
            ("dial", {"send": "ATD"}, "dial.send must name {host} and {port}"),
            ("dial", {"send": "ATD{host}{port}", "wait_ms": 0}, "dial.wait_ms takes a number"),
            ("hang_up", {}, "hang_up.send takes a text"),
            ("restart", "", "restart takes a text"),
            ("guard", 5, "guard is nothing"),
        ):
            with self.subTest(key=key, said=said):
                values = dict(SAMPLE)
                values[key] = value
                try:
                    ModemProfile(values)
                except BadInput as refusal:
                    self.assertTrue(said in str(refusal), str(refusal))
                else:
                    self.fail("taken")

    def test_an_address_cannot_end_its_quotes(self):
        self.assertRaises(BadInput, ModemProfile(SAMPLE).dials, 'x",1\rAT+CFUN=0', 1)


if __name__ == "__main__":
    unittest.main()
