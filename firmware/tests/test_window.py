"""Bytes read in place: as a bytes object answers, and no more is read than was asked for."""

import unittest

from tunion.window import Window

PORTABLE = True
ARM = True

FLASH = bytes([(7 * i) & 255 for i in range(100)])


class Reads:
    """Flash that counts."""

    def __init__(self):
        self.count = 0

    def read_into(self, offset, buffer):
        assert 0 <= offset and offset + len(buffer) <= len(FLASH)
        self.count += len(buffer)
        buffer[:] = FLASH[offset : offset + len(buffer)]


class Windows(unittest.TestCase):
    def setUp(self):
        self.reads = Reads()
        self.window = Window(self.reads.read_into, 10, 50)
        self.bytes = FLASH[10:60]

    def test_it_answers_as_bytes_do(self):
        self.assertEqual(len(self.window), 50)
        self.assertEqual([self.window[i] for i in range(50)], list(self.bytes))
        for start in (None, 0, 1, 49, 50, 60, -1, -50, -60):
            for end in (None, 0, 1, 49, 50, 60, -1, -50):
                self.assertEqual(self.window[start:end], self.bytes[start:end])

    def test_beyond_its_ends_is_nothing(self):
        for at in (-1, 50, 1000):
            with self.assertRaises(IndexError):
                self.window[at]

    def test_a_part_is_a_window_and_reading_it_whole_fills_a_buffer(self):
        part = self.window.part(5, 20)
        self.assertEqual((len(part), bytes(part[:]), part[19]), (20, self.bytes[5:25], self.bytes[24]))
        buffer = bytearray(4)
        part.read_into(2, buffer)
        self.assertEqual(buffer, self.bytes[7:11])

    def test_only_what_is_asked_for_is_read(self):
        self.window.part(3, 4)
        self.assertEqual(self.reads.count, 0)
        self.window[3]
        self.window[4:10]
        self.window[9:9]
        self.assertEqual(self.reads.count, 7)


if __name__ == "__main__":
    unittest.main()
