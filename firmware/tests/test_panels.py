"""Displays, beeper and lamp as panels: one that fails keeps no message from the others."""

import unittest

from support.manual_clock import ManualClock
from validator.drivers.buzzer import Buzzer, Leds
from validator.drivers.lcd_hd44780 import Hd44780
from validator.drivers.lcd_st7920 import St7920, encoded
from validator.drivers.panels import OPEN_WAIT_MS, Panels, ScreenPanel, SignalPanel
from validator.messages import BEEPS
from validator.ports import PanelLost


class Glass:
    """A Screen that shows what it is told, or is unplugged."""

    def __init__(self, rows, chinese):
        self.rows, self.columns, self.chinese = rows, 16, chinese
        self.lines = None
        self.opened = 0
        self.unplugged = False

    def open(self):
        if self.unplugged:
            raise PanelLost("unplugged")
        self.opened += 1

    def show(self, lines):
        if self.unplugged:
            raise PanelLost("unplugged")
        self.lines = lines


class Bus:
    """Takes bytes, or answers as a bus without a device."""

    def __init__(self):
        self.taken = b""
        self.dead = False

    def write(self, data):
        if self.dead:
            raise OSError(19)
        self.taken += data


class Notes:
    def __init__(self):
        self.heard = []
        self.colour = ""

    def sound(self, pattern_ms):
        self.heard.append(pattern_ms)

    def light(self, colour):
        self.colour = colour


class OnScreens(unittest.TestCase):
    def test_each_display_gets_the_words_it_can_show(self):
        for rows, chinese, lines in (
            (2, False, ("Paid 2.00", "Left 48.05")),
            (2, True, ("扣款2.00元", "余额48.05元")),
            (4, True, ("扣款2.00元", "余额48.05元", "Paid 2.00", "Left 48.05")),
        ):
            glass = Glass(rows, chinese)
            ScreenPanel(glass, ManualClock()).show("paid", fare_fen=200, balance_fen=4805)
            self.assertEqual((glass.lines, glass.opened), (lines, 1))

    def test_one_that_is_lost_is_opened_again_later_and_keeps_nothing_from_the_others(self):
        clock = ManualClock()
        bad, good = Glass(2, False), Glass(2, False)
        panel = Panels((ScreenPanel(bad, clock), ScreenPanel(good, clock)))
        bad.unplugged = True
        panel.show("ready")
        panel.show("tap_again")
        self.assertEqual((panel.lost, bad.lines, good.lines[0]), (1, None, "Tap again"))
        clock.advance_ms(OPEN_WAIT_MS - 1)
        bad.unplugged = False
        panel.show("ready")
        self.assertEqual(bad.lines, None)
        clock.advance_ms(1)
        panel.show("passed")
        self.assertEqual((panel.lost, bad.lines, bad.opened), (1, good.lines, 1))

    def test_an_unknown_message_is_our_bug_on_each_panel(self):
        for panel in (ScreenPanel(Glass(2, False), ManualClock()), SignalPanel(Notes(), Notes())):
            self.assertRaises(KeyError, panel.show, "hello")

    def test_a_bus_without_a_display_is_a_lost_panel(self):
        for kind in (Hd44780, St7920):
            bus = Bus()
            bus.dead = True
            screen = kind(bus, lambda wait_us: None)
            self.assertRaises(PanelLost, screen.open)
            self.assertRaises(PanelLost, screen.show, ("x",))


class Bytes(unittest.TestCase):
    def test_a_letter_on_the_character_display_is_two_strobes(self):
        bus = Bus()
        Hd44780(bus, lambda wait_us: None).show(("A",))
        self.assertEqual(bus.taken[:12], bytes.fromhex("888c88 080c08 494d49 191d19"))  # address 80h, then 41h
        self.assertEqual(len(bus.taken), 2 * 6 * 17)

    def test_a_character_on_the_graphic_display_is_its_two_bytes_of_gb2312(self):
        bus = Bus()
        St7920(bus, lambda wait_us: None).show(("扣",))
        self.assertEqual(bus.taken[:9], bytes.fromhex("f88000 fab0f0 fad0b0"))  # address 80h, BFDB
        self.assertEqual(len(bus.taken), 3 * 4 * 17)

    def test_every_line_has_sixteen_bytes(self):
        for text in ("", "1扣", "扣" * 9, "1" * 20, "龍"):
            self.assertEqual(len(encoded(text, 16)), 16)
        self.assertEqual(encoded("1扣", 16)[:4], b"1 \xbf\xdb")


class Signals(unittest.TestCase):
    def test_a_message_is_a_beep_and_a_colour(self):
        notes = Notes()
        panel = SignalPanel(notes, notes)
        for what, details, colour, beep in (
            ("paid", {"fare_fen": 1, "balance_fen": 1, "kind": 2}, "green", "two"),
            ("refused", {"reason": 9}, "red", "long"),
            ("tap_again", {}, "yellow", "again"),
        ):
            panel.show(what, **details)
            self.assertEqual((notes.colour, notes.heard[-1]), (colour, BEEPS[beep]))

    def test_ready_does_not_cut_the_beep_before(self):
        notes = Notes()
        SignalPanel(notes, notes).show("ready")
        self.assertEqual((notes.heard, notes.colour), ([], "off"))

    def test_the_buzzer_sounds_its_pattern(self):
        clock = ManualClock()
        edges = []
        buzzer = Buzzer(lambda on: edges.append((clock.ticks_ms(), on)), clock)
        buzzer.sound((100, 100, 400))
        for _ in range(100):
            clock.advance_ms(10)
            buzzer.step()
        self.assertEqual(edges, [(0, False), (0, True), (100, False), (200, True), (600, False)])

    def test_a_step_that_comes_late_cuts_nothing_short(self):
        clock = ManualClock()
        edges = []
        buzzer = Buzzer(lambda on: edges.append((clock.ticks_ms(), on)), clock)
        buzzer.sound((100, 100, 100))
        for late_ms in (300, 99, 1, 100, 500):
            clock.advance_ms(late_ms)
            buzzer.step()
        self.assertEqual(edges, [(0, False), (0, True), (300, False), (400, True), (500, False)])

    def test_a_new_sound_drops_the_one_before_and_none_is_silence(self):
        clock = ManualClock()
        pin = []
        buzzer = Buzzer(pin.append, clock)
        buzzer.sound((800,))
        buzzer.sound(())
        clock.advance_ms(1000)
        buzzer.step()
        self.assertEqual(pin, [False, True, False])

    def test_a_red_and_a_green_led_are_yellow(self):
        lit = {}
        leds = Leds(lambda on: lit.update(red=on), lambda on: lit.update(green=on))
        for colour, red, green in (
            ("off", False, False), ("green", False, True), ("yellow", True, True), ("red", True, False),
        ):  # fmt: skip
            leds.light(colour)
            self.assertEqual((lit["red"], lit["green"]), (red, green))
        self.assertRaises(KeyError, leds.light, "blue")


if __name__ == "__main__":
    unittest.main()
