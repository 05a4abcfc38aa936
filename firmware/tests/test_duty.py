"""Who drives, where: the driver's keys, receiver and meter, totals of a shift, and what a power cut leaves of it."""

import json
import unittest

from support.bus import settings
from support.cuts import Story, Wrong, sweep
from support.manual_clock import ManualClock
from support.nor import NorFlash
from support.spoken_line import SpokenLine
from test_nmea import sentence
from test_taxi_meter import SAMPLE, frame
from tunion.wire import tap as wire
from validator import duty_words, messages
from validator.drivers.driver_panels import DriverScreen, DriverText
from validator.drivers.keep_nor import KeepNor
from validator.drivers.nmea import FIX_OLD_MS, Nmea
from validator.drivers.taxi_meter import TaxiMeter
from validator.duty import KEEP_WAIT_MS, KEPT, Duty, DutyParts, DutyRefused, Shift
from validator.journal import Journal
from validator.messages import COLUMNS, columns
from validator.ports import FlashFault, PanelLost
from validator.recall import Paid
from validator.ring import JournalFull

HEAP = "2m"

LAT, LON = 228000000, 1083000000
STOPS = [
    [11, 0, 101, LAT, LON, 40],
    [11, 0, 102, LAT + 50000, LON, 40],
    [11, 0, 103, LAT + 100000, LON, 40],
    [11, 1, 103, LAT + 100000, LON, 40],
    [11, 1, 101, LAT, LON, 40],
    [12, 0, 201, LAT, LON + 90000, 0],
    [12, 0, 202, LAT, LON + 180000, 0],
]
BUS = {"lines": [11, 12], "progress": "key", "stops": STOPS}
PAID = ("paid", {"fare_fen": 200, "balance_fen": 800})


class Memory:
    """The Keep port in memory. `failing`: the flash behind it refuses."""

    def __init__(self, blob=b""):
        self.blob = blob
        self.saves = 0
        self.failing = False

    def load(self):
        return self.blob

    def save(self, blob):
        if self.failing:
            raise FlashFault("the flash does not answer")
        self.blob = blob
        self.saves += 1


class Events:
    """A journal that takes events only."""

    def __init__(self):
        self.told = []
        self.full = False
        self.last_paid = None
        self.seq = 40

    def event(self, code, reason=0, card=bytes(10), value=0):
        if self.full:
            raise JournalFull
        self.told.append((code, reason, value))


class DutyCase(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock()
        self.journal = Events()
        self.keep = Memory()
        self.gps = self.meter = None
        self.start(**BUS)

    def start(self, line=11, role="bus", **duty):
        self.options = settings(line=line, role=role, duty=duty)
        self.boot()

    def boot(self):
        self.duty = Duty(self.options, self.journal, self.clock, DutyParts(self.keep, self.gps, self.meter))

    def refused(self, act, *arguments):
        try:
            act(*arguments)
        except DutyRefused as refused:
            return refused.word
        return ""

    def where(self):
        return self.duty.line, self.duty.direction, self.duty.stop


class Without(unittest.TestCase):
    def test_a_device_without_duty_is_as_its_file_says(self):
        duty = Duty(settings(), Events(), ManualClock())
        self.assertEqual((duty.line, duty.direction, duty.stop, duty.driver, duty.vehicle), (11, 0, 0, 7, 9))
        self.assertEqual((duty.layer, duty.riders, duty.modes, duty.shift, duty.ready), (0, 1, 0, 0, True))
        self.assertEqual((duty.meter_fen, duty.meter_ride), (0, -1))
        duty.step()
        duty.served(PAID)
        self.assertEqual(duty.totals, Shift(0, 0, 0, 0, 0, 0, 0))


class Keys(DutyCase):
    def test_stops_go_on_and_back_within_the_line(self):
        self.assertEqual(self.where(), (11, 0, 101))
        self.assertEqual(self.refused(self.duty.to_next_stop, -1), "first_stop")
        self.duty.to_next_stop()
        self.duty.to_next_stop()
        self.assertEqual(self.where(), (11, 0, 103))
        self.assertEqual(self.refused(self.duty.to_next_stop), "last_stop")
        self.duty.to_next_stop(-1)
        self.assertEqual((self.where(), self.journal.told), ((11, 0, 102), []))

    def test_the_other_direction_begins_at_its_first_stop_and_is_the_layer(self):
        self.duty.turn()
        self.assertEqual((self.where(), self.duty.layer), ((11, 1, 103), 1))
        self.duty.turn()
        self.assertEqual((self.where(), self.duty.layer), ((11, 0, 101), 0))
        self.assertEqual(self.journal.told, [(wire.DIRECTION_CHANGED, 0, 1), (wire.DIRECTION_CHANGED, 0, 0)])

    def test_lines_are_those_of_the_device_file(self):
        self.duty.turn()
        self.duty.to_line(12)
        self.assertEqual(self.where(), (12, 0, 201))
        self.assertEqual(self.refused(self.duty.to_line, 13), "line_unknown")
        self.duty.to_line(12)
        self.assertEqual(self.journal.told[1:], [(wire.LINE_CHANGED, 0, 12)])
        self.duty.turn()
        self.assertEqual(self.where(), (12, 1, 0))
        self.assertEqual(self.refused(self.duty.to_next_stop), "no_stops")

    def test_a_ring_line_has_one_direction_and_a_station_a_layer_of_its_own(self):
        self.start(directions=1, stop=77, layer=3)
        self.assertEqual(self.refused(self.duty.turn), "one_direction")
        self.assertEqual(self.refused(self.duty.to_next_stop), "no_stops")
        self.assertEqual((self.duty.stop, self.duty.layer), (77, 3))

    def test_several_riders_are_for_one_card(self):
        self.duty.to_riders(3)
        self.assertEqual(self.duty.riders, 3)
        self.duty.served(("refused", {"reason": 9}))
        self.duty.served(("tap_again", {}))
        self.assertEqual(self.duty.riders, 3)
        self.duty.served(PAID)
        self.assertEqual(self.duty.riders, 1)
        for count in (0, 21, -1):
            self.assertEqual(self.refused(self.duty.to_riders, count), "riders")


class Shifts(DutyCase):
    def setUp(self):
        super().setUp()
        self.start(login=True)

    def test_a_driver_logs_in_and_out_and_the_shift_has_totals(self):
        self.assertEqual((self.duty.ready, self.duty.driver, self.duty.shift), (False, 7, 0))
        self.duty.login(0xFFFFFFFF)
        self.assertEqual((self.duty.ready, self.duty.driver, self.duty.shift), (True, 0xFFFFFFFF, 1))
        self.assertEqual(self.refused(self.duty.login, 5), "logged_in")
        for shown, again in (
            (PAID, False),
            (PAID, True),
            (None, False),
            (("recovered", {"fare_fen": 100, "balance_fen": 0}), False),
            (("recovered", {"fare_fen": 100, "balance_fen": 0}), True),
            (("board", {"fare_fen": 0, "marked_fen": 600, "balance_fen": 800}), False),
            (("alight", {"fare_fen": 300, "balance_fen": 500}), False),
            (("refused", {"reason": 10}), False),
            (("tap_again", {}), False),
            (("ignored", {"fare_fen": 300}), False),
        ):
            self.duty.served(shown, again)
        totals = self.duty.logout()
        self.assertEqual(totals, Shift(1, 0xFFFFFFFF, self.clock.now_s(), 4, 1, 1, 600))
        self.assertEqual(
            self.journal.told,
            [
                (wire.LOGIN, 0, -1),
                (wire.SHIFT_BEGIN, 0, 1),
                (wire.SHIFT_END, 0, 600),
                (wire.SHIFT_END, 1, 4),
                (wire.LOGOUT, 0, -1),
            ],
        )
        self.assertEqual((self.duty.ready, self.duty.shift), (False, 0))
        self.assertEqual(self.refused(self.duty.logout), "not_logged_in")
        self.duty.login(5)
        self.assertEqual((self.duty.shift, self.duty.totals.served), (2, 0))

    def test_a_number_that_is_none_is_refused(self):
        for number in (0, -1, 1 << 32):
            self.assertEqual(self.refused(self.duty.login, number), "driver_number")

    def test_a_full_journal_keeps_no_driver_from_his_bus(self):
        self.journal.full = True
        self.duty.login(5)
        self.duty.logout()
        self.assertEqual(self.journal.told, [])


class Kept(DutyCase):
    def test_everything_outlives_a_power_cut_in_the_middle_of_a_line(self):
        self.duty.login(1234)
        self.duty.to_line(12)
        self.duty.to_next_stop()
        self.duty.served(PAID)
        self.duty.step()
        before = (self.where(), self.duty.driver, self.duty.shift, self.duty.totals)
        self.boot()
        self.assertEqual((self.where(), self.duty.driver, self.duty.shift, self.duty.totals), before)
        self.assertEqual(before, ((12, 0, 202), 1234, 1, Shift(1, 1234, self.clock.now_s(), 1, 0, 0, 200)))

    def test_a_tap_is_kept_between_taps_once_and_nothing_where_nothing_changed(self):
        self.duty.login(1234)
        saves = self.keep.saves
        self.duty.served(PAID)
        self.assertEqual(self.keep.saves, saves)
        for _ in range(5):
            self.duty.step()
        self.assertEqual(self.keep.saves, saves + 1)

    def test_bytes_that_are_torn_or_foreign_are_as_none(self):
        self.duty.login(1234)
        self.duty.turn()
        good = self.keep.blob
        self.assertEqual(len(good), KEPT.size)
        for at in range(len(good)):
            for bit in (1, 128):
                torn = bytearray(good)
                torn[at] ^= bit
                self.keep.blob = bytes(torn)
                self.boot()
                self.assertEqual((self.where(), self.duty.driver), ((11, 0, 101), 7))
        for blob in (b"", good[:-1], good + b"\x00", b"\xff" * len(good)):
            self.keep.blob = blob
            self.boot()
            self.assertEqual(self.duty.driver, 7)

    def test_a_line_or_stop_that_the_file_no_longer_has_begins_anew_and_the_driver_stays(self):
        self.duty.login(1234)
        self.duty.to_line(12)
        self.duty.to_next_stop()
        for line, changes, where in (
            (11, {"lines": [11]}, (11, 0, 101)),  # his line is gone
            (11, {"stops": STOPS[:6]}, (12, 0, 201)),  # his stop is gone
            (12, {}, (12, 0, 201)),  # the device serves another line now
            (11, {}, (12, 0, 202)),
        ):
            duty = dict(BUS)
            for name in changes:
                duty[name] = changes[name]
            self.start(line, **duty)
            self.assertEqual((self.where(), self.duty.driver), (where, 1234))
        self.duty.to_line(11)
        self.duty.turn()
        ring = dict(BUS)
        ring["directions"] = 1
        self.start(**ring)
        self.assertEqual(self.where(), (11, 0, 101))

    def test_a_keep_that_fails_is_told_and_tried_again_and_stops_no_bus(self):
        self.keep.failing = True
        self.assertEqual(self.refused(self.duty.login, 1234), "not_kept")
        self.assertEqual((self.duty.driver, self.duty.kept), (1234, False))
        self.duty.step()
        self.keep.failing = False
        self.clock.advance_ms(KEEP_WAIT_MS - 1)
        self.duty.step()
        self.assertEqual((self.duty.kept, self.keep.saves), (False, 0))
        self.clock.advance_ms(1)
        self.duty.step()
        self.assertEqual((self.duty.kept, self.keep.saves), (True, 1))
        self.boot()
        self.assertEqual(self.duty.driver, 1234)


class Told:
    """What the driver was answered last, and what he is asking for."""

    def __init__(self, done, doing):
        self.done = done
        self.doing = doing

    def twin(self):
        return Told(self.done, self.doing)


class Driving(Story):
    """A driver logs in, changes line and direction, advances. State after a cut: as answered, or as asked for."""

    name = "duty"
    acts = ("login 1234", "line 12", "stop +", "line 11", "direction", "stop +", "logout", "login 8", "stop -")

    @staticmethod
    def start(faults, order):
        return NorFlash(sectors=2, sector_bytes=512, erase_order=order, faults=faults), Told(-1, -1)

    def recover(self):
        self.duty = Duty(
            settings(duty=BUS), Events(), self.clock, DutyParts(KeepNor(self.flash, 0, 128), None, None)
        )

    def act(self):
        for number, words in enumerate(self.acts):
            self.ledger.doing = number
            duty_words.said(self.duty, words.split())
            self.ledger.done = number

    def seen(self):
        duty = self.duty
        return duty.line, duty.direction, duty.stop, duty.driver, duty.shift, duty.totals

    def settle(self):
        pass

    def check(self):
        if self.seen() not in (self.model(self.ledger.done), self.model(self.ledger.doing)):
            raise Wrong("%r is neither what was answered nor what was asked for" % (self.seen(),))

    def model(self, last):
        """The same words to a duty that never lost power."""
        model = Driving(None, None)
        model.duty = Duty(settings(duty=BUS), Events(), self.clock, DutyParts(Memory(), None, None))
        for words in self.acts[: last + 1]:
            duty_words.said(model.duty, words.split())
        return model.seen()


class Cuts(unittest.TestCase):
    def test_a_cut_leaves_line_direction_stop_and_driver_as_answered_or_as_asked_for(self):
        for seed in (1, 2):
            with self.subTest(seed=seed):
                self.assertTrue(sweep(Driving, seed, 41, 89).cuts > 20)


class OnGps(DutyCase):
    def setUp(self):
        super().setUp()
        self.seconds = 0
        self.line = SpokenLine()
        self.gps = Nmea(self.line, self.clock)
        duty = dict(BUS)
        duty["progress"] = "gps"
        duty["gps"] = {"path": "/dev/ttyS1"}
        self.start(**duty)
        self.duty.step()

    def drive(self, north_e7):
        """Two fixes there, a second apart."""
        for _ in range(2):
            self.seconds += 1
            self.line.say(self.sentences(north_e7))
            self.clock.advance_ms(1000)
            self.duty.step()
        return self.duty.stop

    def sentences(self, north_e7):
        """One fix, `north_e7` from the first stop, a multiple of 1000."""
        lat_e7 = LAT + north_e7
        minutes = lat_e7 % 10000000 * 6
        return sentence(
            "GNRMC,08%02d%02d.00,A,%02d%02d.%06d,N,10818.00000,E,1,0,211126,,,A"
            % (self.seconds // 60, self.seconds % 60, lat_e7 // 10000000, minutes // 1000000, minutes % 1000000)
        )

    def test_stops_advance_by_position_and_are_kept(self):
        self.assertEqual([self.drive(north) for north in (0, 25000, 50000, 75000, 100000)], [101, 101, 102, 102, 103])
        self.boot()
        self.assertEqual(self.where(), (11, 0, 103))

    def test_the_other_direction_has_its_own_stops(self):
        self.drive(100000)
        self.duty.turn()
        self.assertEqual((self.drive(100000), self.drive(50000), self.drive(0)), (103, 103, 101))

    def test_without_a_fix_the_drivers_key_advances_and_the_next_fix_corrects_it(self):
        self.drive(0)
        self.clock.advance_ms(FIX_OLD_MS + 1)
        self.duty.step()
        self.duty.to_next_stop()
        self.duty.to_next_stop()
        self.assertEqual(self.duty.stop, 103)
        self.assertEqual(self.drive(50000), 102)

    def test_a_receiver_that_is_unplugged_or_talks_nonsense_changes_nothing(self):
        self.drive(50000)
        self.line.say(bytes(range(256)) * 3)
        self.duty.step()
        self.line.unplugged = True
        self.duty.step()
        self.assertEqual(self.duty.stop, 102)

    def test_one_fix_that_jumps_is_no_stop_however_often_it_is_looked_at(self):
        self.drive(0)
        self.seconds += 1
        self.line.say(self.sentences(50000))
        for _ in range(5):
            self.duty.step()
        self.assertEqual(self.duty.stop, 101)

    def test_two_sentences_of_one_second_are_one_fix(self):
        self.drive(0)
        self.seconds += 1
        for _ in range(3):
            self.line.say(self.sentences(50000))
            self.duty.step()
        self.assertEqual(self.duty.stop, 101)

    def test_by_key_the_receiver_moves_no_stop(self):
        duty = dict(BUS)
        duty["gps"] = {"path": "/dev/ttyS1"}
        self.start(**duty)
        self.assertEqual(self.drive(50000), 101)


class OnMeter(DutyCase):
    def setUp(self):
        super().setUp()
        self.line = SpokenLine()
        self.options = settings(duty={"meter": {"path": "/dev/ttyS1", "profile": SAMPLE}})
        self.meter = TaxiMeter(self.line, self.clock, self.options.duty.profile)
        self.boot()
        self.duty.step()

    def hear(self, *frames):
        for each in frames:
            self.line.say(frame(*each))
            self.duty.step()
        return self.duty.meter_ride, self.duty.meter_fen

    def test_a_ride_waits_to_be_paid_when_the_meter_stops_once(self):
        self.assertEqual(self.hear((0, 41, 0), (1, 42, 90), (1, 42, 200)), (-1, 0))
        self.assertEqual(self.hear((2, 42, 257)), (42, 2570))
        self.duty.meter_charged()
        self.assertEqual(self.hear((2, 42, 257), (2, 42, 257)), (42, 0))
        self.assertEqual(self.hear((0, 42, 0), (1, 43, 90), (2, 43, 100)), (43, 1000))

    def test_a_ride_that_was_paid_is_so_wherever_the_power_fails(self):
        self.hear((2, 42, 257))
        self.duty.served(("paid", {"fare_fen": 2570, "balance_fen": 0}))
        self.assertEqual(self.duty.meter_fen, 0)
        self.journal.last_paid = Paid(41, bytes(10), self.clock.now_s(), 2570, 5000, 6, 1)
        self.journal.seq = 41
        self.boot()  # before `step` has kept it
        self.assertEqual(self.hear((2, 42, 257)), (42, 0))
        self.assertEqual(self.hear((2, 43, 100)), (43, 1000))
        self.boot()  # in the same second: the payment was that of the ride before
        self.assertEqual(self.duty.meter_fen, 1000)

    def test_a_refused_card_leaves_the_ride_waiting(self):
        self.hear((2, 42, 257))
        for shown in (("refused", {"reason": 10}), ("tap_again", {}), None):
            self.duty.served(shown)
        self.assertEqual(self.duty.meter_fen, 2570)

    def test_a_power_cut_neither_forgets_a_ride_nor_brings_it_back(self):
        self.hear((2, 42, 257))
        self.boot()
        self.assertEqual(self.hear((2, 42, 257)), (42, 2570))
        self.duty.meter_charged()
        self.duty.step()
        self.boot()
        self.assertEqual(self.hear((2, 42, 257)), (42, 0))

    def test_ride_number_0_is_a_ride_and_no_fare_is_none(self):
        self.assertEqual(self.hear((2, 5, 0)), (-1, 0))
        self.assertEqual(self.hear((2, 0, 90)), (0, 900))
        self.duty.meter_charged()
        self.assertEqual(self.hear((2, 0, 90)), (0, 0))


class Words(DutyCase):
    def said(self, text):
        return duty_words.said(self.duty, text.split())[0]

    def test_each_word_does_what_it_says(self):
        for text in ("login 1234", "line 12", "stop +", "stop -", "direction", "riders 3", "duty", "logout"):
            self.assertEqual(self.said(text), "ok", text)
        self.assertEqual((self.where(), self.duty.driver), ((12, 1, 0), 7))
        self.assertEqual(self.said("help"), "help")

    def test_a_wrong_word_is_refused_by_name_and_changes_nothing(self):
        before = self.duty.changed
        for text, word in (
            ("", "unknown"), ("stop", "unknown"), ("stop 3", "unknown"), ("logout now", "unknown"),
            ("xyzzy", "unknown"),
            ("login", "number"), ("login abc", "number"), ("login -5", "number"), ("login 1 2", "number"),
            ("login ²", "number"), ("line ３", "number"),
            ("login 12345678901", "number"), ("login 9999999999", "driver_number"), ("login 0", "driver_number"),
            ("line x", "number"), ("line 99", "line_unknown"), ("riders 99", "riders"), ("stop -", "first_stop"),
            ("logout", "not_logged_in"),
        ):  # fmt: skip
            with self.subTest(text=text):
                answer = duty_words.said(self.duty, text.split())
                self.assertEqual(answer, (word,) + messages.driver_words(word))
        self.assertEqual((self.duty.changed, self.keep.saves), (before, 0))

    def test_a_service_counter_mends_the_next_card_only(self):
        self.start(role="desk", stop=105)
        for text, repair in (
            ("repair entry 101", ("entry", 101)), ("repair exit 116", ("exit", 116)), ("repair exit 0", ("exit", 0)),
            ("repair off", ()),
        ):  # fmt: skip
            before = self.duty.changed
            self.assertEqual((self.said(text), self.duty.repair), ("ok", repair))
            self.assertTrue(self.duty.changed > before)
        for shown, left in (
            (("tap_again", {}), True), (("refused", {"reason": 15}), False),
            (("desk", {"fare_fen": 0, "balance_fen": 0}), False), (("recovered", {"fare_fen": 0}), False),
        ):  # fmt: skip
            self.said("repair entry 101")
            self.duty.served(shown)
            self.assertEqual(bool(self.duty.repair), left, shown)
        self.said("repair entry 101")
        self.duty.served(("desk", {"fare_fen": 0, "balance_fen": 0}), again=True)
        self.assertEqual(self.duty.repair, ("entry", 101))

    def test_a_conductor_names_the_ride_until_the_next(self):
        self.start(role="conductor")
        self.assertEqual(self.said("ride 11 14"), "ok")
        self.duty.served(PAID)
        self.assertEqual((self.duty.stop, self.duty.stop_to), (11, 14))
        self.boot()
        self.assertEqual((self.duty.stop, self.duty.stop_to), (0, 0))

    def test_what_counter_and_conductor_may_not_say(self):
        for role, text, word in (
            ("bus", "repair entry 1", "no_desk"), ("conductor", "repair off", "no_desk"),
            ("bus", "ride 1 2", "no_conductor"), ("desk", "ride 1 2", "no_conductor"),
            ("desk", "repair", "unknown"), ("desk", "repair both 1", "unknown"), ("desk", "repair entry", "number"),
            ("desk", "repair exit x", "number"), ("desk", "repair exit 1 2", "number"),
            ("desk", "repair entry 0", "station"), ("desk", "repair exit 65536", "station"),
            ("conductor", "ride", "numbers"), ("conductor", "ride 1", "numbers"), ("conductor", "ride 1 ２", "numbers"),
            ("conductor", "ride 0 2", "station"), ("conductor", "ride 2 0", "station"),
            ("conductor", "ride 2 65536", "station"),
        ):  # fmt: skip
            with self.subTest(role=role, text=text):
                self.start(role=role)
                answer = duty_words.said(self.duty, text.split())
                self.assertEqual(answer, (word,) + messages.driver_words(word))
                self.assertEqual((self.duty.changed, self.duty.repair, self.duty.stop_to), (0, (), 0))

    def test_every_first_word_is_told_where_a_word_is_unknown(self):
        for first in duty_words.KNOWN.split():
            self.assertIn(first, messages.driver_words("help")[1] + " help")

    def test_every_answer_is_in_both_languages(self):
        for word in messages.DRIVER:
            zh, en = messages.driver_words(word)
            self.assertTrue(any(ord(letter) > 0x2E80 for letter in zh), word)
            self.assertTrue(en and all(ord(letter) < 0x80 for letter in en), word)


class Glass:
    rows, columns = 2, 16

    def __init__(self, chinese):
        self.chinese = chinese
        self.lines = None
        self.opened = 0
        self.unplugged = False

    def open(self):
        self.opened += 1

    def show(self, lines):
        if self.unplugged:
            raise PanelLost("unplugged")
        self.lines = lines


class DriverPanels(DutyCase):
    def check_fits(self):
        zh, en = duty_words.lines(self.duty)
        self.assertEqual((len(zh), len(en)), (4, 2))
        for line in zh + en:
            self.assertTrue(columns(line) <= COLUMNS, line)
        return zh, en

    def test_the_driver_sees_line_stop_and_totals(self):
        self.duty.login(1234)
        self.duty.served(PAID)
        zh, en = self.check_fits()
        self.assertEqual(zh, ("11路上行", "站101 每卡1人", "司机1234", "1次 2.00元"))
        self.assertEqual(en, ("L11 up S101", "1x 2.00"))

    def test_the_largest_numbers_fit(self):
        rows = [[65535, 1, 65535, LAT, LON, 40]]
        self.start(65535, progress="key", stops=rows, login=True)
        self.duty.turn()
        self.assertIn("请司机登录", self.check_fits()[0])
        self.duty.login(0xFFFFFFFF)
        self.duty.to_riders(20)
        for _ in range(2):
            self.duty.served(("paid", {"fare_fen": 4999999, "balance_fen": 0}))
        self.check_fits()
        self.duty.meter_fen = 0xFFFFFF
        self.assertIn("计价器", self.check_fits()[0])
        self.duty.meter_fen = 0
        self.keep.failing = True
        self.refused(self.duty.turn)
        self.assertIn("未能保存", self.check_fits()[0])

    def test_counter_and_conductor_see_what_they_have_named(self):
        self.start(65535, role="desk", stop=65535)
        self.duty.to_repair("exit", 65535)
        zh, en = self.check_fits()
        self.assertEqual((zh[2:], en[1]), (("补出站", "站65535"), "Mend out S65535"))
        self.duty.to_repair("entry", 1)
        self.assertEqual(self.check_fits()[0][2], "补进站")
        self.start(role="conductor")
        self.duty.to_ride(65535, 65534)
        zh, en = self.check_fits()
        self.assertEqual((zh[:2], en[0]), (("站65535至65534", "每卡1人"), "S65535 to S65534"))

    def test_programs_read_it_as_a_line(self):
        lines = []
        self.duty.login(1234)
        DriverText(lines.append, self.clock).show(self.duty)
        told = json.loads(lines[0])
        self.assertEqual((told["what"], told["line"], told["driver"], told["kept"]), ("duty", 11, 1234, True))
        self.assertEqual(len(told["zh"]), 4)

    def test_a_display_shows_it_and_may_be_unplugged_for_a_while(self):
        for chinese in (True, False):
            glass = Glass(chinese)
            panel = DriverScreen(glass)
            panel.show(self.duty)
            self.assertEqual(glass.lines, duty_words.lines(self.duty)[not chinese])
            glass.unplugged = True
            panel.show(self.duty)
            glass.unplugged = False
            panel.show(self.duty)
            self.assertEqual(glass.opened, 2)


class InTheJournal(unittest.TestCase):
    def test_the_events_are_entries_that_clearing_takes(self):
        clock = ManualClock()
        journal = Journal(NorFlash(sectors=8, sector_bytes=4096), clock, lambda: 1)
        while journal.idle():
            pass
        duty = Duty(settings(duty=BUS), journal, clock)
        for words in ("login 4294967295", "line 12", "direction", "logout"):
            self.assertEqual(duty_words.said(duty, words.split())[0], "ok")
        told = [wire.from_wire(entry)[0] for _, entry in journal.pending(100, 10000)]
        self.assertEqual([body.code for body in told], [48, 50, 52, 53, 51, 51, 49])
        self.assertEqual(told[0].value, -1)


if __name__ == "__main__":
    unittest.main()
