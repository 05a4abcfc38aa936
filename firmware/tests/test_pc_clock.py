"""The clock of boards on a PC: an offset that the server sets, and how far it can be trusted."""

import unittest

from boards.pc.clock import SystemClock

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
        self.assertEqual(clock.set(1764000090), 90)
        self.assertEqual(clock.now_s(), 1764000090)
        self.assertEqual(clock.set(1764000080), -10)
        time.now_s += 5
        self.assertEqual(clock.now_s(), 1764000085)

    def test_quality_falls_with_the_age_of_the_last_sync(self):
        time = MovedTime(1764000000)
        clock = SystemClock(time)
        self.assertEqual(clock.quality(), 1)
        clock.set(1764000000)
        for age_ms, quality in ((0, 3), (HOUR_MS, 3), (HOUR_MS + 1, 2), (24 * HOUR_MS, 2), (24 * HOUR_MS + 1, 1)):
            with self.subTest(age_ms=age_ms):
                time.ms = (1 << 30) - 5 + age_ms
                self.assertEqual(clock.quality(), quality)

    def test_a_system_clock_that_was_never_set_is_known_as_such(self):
        clock = SystemClock(MovedTime(86400))
        self.assertEqual(clock.quality(), 0)
        clock.set(1764000000)
        self.assertEqual(clock.quality(), 3)

    def test_milliseconds_count_across_the_wrap(self):
        time = MovedTime(0)
        clock = SystemClock(time)
        then = clock.ticks_ms()
        time.ms += 12
        self.assertEqual(clock.since_ms(then), 12)


if __name__ == "__main__":
    unittest.main()
