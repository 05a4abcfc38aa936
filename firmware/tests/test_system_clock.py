"""The clock of boards on a PC: an offset that the server sets, and how far it can be trusted."""

import unittest

from boards.common.clock import SystemClock

HOUR_MS = 3600 * 1000


class MovedTime:
    """A module `time` that the test moves. Ticks wrap at 30 bits, as on a board."""

    def __init__(self, now_s):
        self.now_s = now_s
        self.ms = (1 << 30) - 5

    def time(self):
        return self.now_s + 0.75

    def ticks_ms(self):
        return self.ms & 0x3FFFFFFF

    def ticks_diff(self, new, old):
        return ((new - old + 0x20000000) & 0x3FFFFFFF) - 0x20000000


class TestSystemClock(unittest.TestCase):
    def test_the_server_moves_the_clock_and_nothing_else(self):
        time = MovedTime(1764000000)
        clock = SystemClock(time)
        clock.step(90000)
        self.assertEqual((clock.now_s(), clock.now_ms()), (1764000090, 1764000090750))
        clock.step(-10000)
        time.now_s += 5
        self.assertEqual(clock.now_s(), 1764000085)

    def test_quality_falls_with_the_age_of_the_last_sync(self):
        time = MovedTime(1764000000)
        clock = SystemClock(time)
        self.assertEqual(clock.quality(), 1)
        clock.slew(0)
        for age_ms, quality in ((0, 3), (HOUR_MS, 3), (HOUR_MS + 1, 2), (24 * HOUR_MS, 2), (24 * HOUR_MS + 1, 1)):
            with self.subTest(age_ms=age_ms):
                time.ms = (1 << 30) - 5 + age_ms
                self.assertEqual(clock.quality(), quality)

    def test_a_system_clock_that_was_never_set_is_known_as_such(self):
        clock = SystemClock(MovedTime(86400))
        self.assertEqual(clock.quality(), 0)
        clock.step(1764000000000)
        self.assertEqual(clock.quality(), 3)

    def test_a_clock_that_drifts_is_worth_less_sooner(self):
        time = MovedTime(1764000000)
        clock = SystemClock(time)
        clock.slew(0)
        clock.drifts(-400)  # a second in 42 minutes, half a minute in 21 hours
        for age_ms, quality in ((2490000, 3), (2510000, 2), (20 * HOUR_MS, 2), (21 * HOUR_MS, 1)):
            with self.subTest(age_ms=age_ms):
                time.ms = (1 << 30) - 5 + age_ms
                self.assertEqual(clock.quality(), quality)

    def test_an_old_sync_does_not_look_young_again_when_the_ticks_wrap(self):
        time = MovedTime(1764000000)
        clock = SystemClock(time)
        clock.slew(0)
        for age_ms in (25 * HOUR_MS, (1 << 29) + 10, (1 << 30) + 10):
            time.ms = (1 << 30) - 5 + age_ms
            self.assertEqual(clock.quality(), 1)

    def test_a_slew_takes_no_second_back_that_was_read(self):
        time = MovedTime(1764000000)
        clock = SystemClock(time)
        clock.slew(300)  # 01.050
        self.assertEqual(clock.now_s(), 1764000001)
        clock.slew(-500)  # 00.550
        self.assertEqual((clock.now_s(), clock.now_ms()), (1764000001, 1764000000550))
        time.now_s += 1
        self.assertEqual(clock.now_s(), 1764000001)
        time.now_s += 1
        self.assertEqual(clock.now_s(), 1764000002)

    def test_a_clock_that_was_set_back_from_outside_is_followed(self):
        time = MovedTime(1764000000)
        clock = SystemClock(time)
        self.assertEqual(clock.now_s(), 1764000000)
        time.now_s -= 5
        self.assertEqual(clock.now_s(), 1763999995)

    def test_milliseconds_count_across_the_wrap(self):
        time = MovedTime(0)
        clock = SystemClock(time)
        then = clock.ticks_ms()
        time.ms += 12
        self.assertEqual(clock.since_ms(then), 12)


if __name__ == "__main__":
    unittest.main()
