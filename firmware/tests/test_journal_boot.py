"""A boot finds newest and oldest sector by halving, wherever they are, and reads little of a large ring."""

import unittest

from support.manual_clock import ManualClock
from support.painted import PaintedRing
from validator.journal import Journal
from validator.ring import last

SIZES = ((64, 6), (512, 9), (4096, 12))  # sectors, and how often they can be halved
HEAD_READS = 2 * 32 + 16 + 2 * 17  # the head's slots twice, its last mark and the ready headers until they are steady
HEADERS_PER_HALVING = 4  # newest and oldest, doubled strides and halves


def boot(flash):
    return Journal(flash, ManualClock(), lambda: 0)


class Reads(unittest.TestCase):
    def test_they_grow_with_the_logarithm_of_the_ring(self):
        for sectors, halvings in SIZES:
            around = 3 * sectors + sectors // 3
            for name, head, tail, entries in (
                ("one entry", sectors, sectors, 1),
                ("a few sectors", sectors + 5, sectors + 2, 31),
                ("nothing waits", around, around, 30),
                ("a day waits", around, around - sectors // 8, 17),
                ("all waits", around, around - sectors + 4, 31),
                ("at the seam", 4 * sectors - 1, 4 * sectors - 3, 2),
            ):
                with self.subTest(sectors=sectors, name=name):
                    flash = PaintedRing(sectors, head, tail, entries)
                    journal = boot(flash)
                    self.assertEqual((journal._ring.head, journal._ring.tail), (head, tail))
                    self.assertEqual(journal.seq, flash.first_seq(head) + entries - 1)
                    self.assertEqual(journal.waiting, journal.seq - flash.first_seq(tail) + 1)
                    self.assertLessEqual(flash.reads, HEAD_READS + HEADERS_PER_HALVING * halvings)

    def test_a_head_and_a_tail_anywhere_are_found(self):
        sectors = 16
        for head in range(sectors, 3 * sectors + 1):
            for back in range(min(sectors - 3, head - sectors + 1)):
                flash = PaintedRing(sectors, head, head - back, 3, sector_bytes=1024)
                ring = boot(flash)._ring
                self.assertEqual((ring.head, ring.tail, len(ring.ready)), (head, head - back, 2))

    def test_sectors_that_tell_nothing_are_passed_over(self):
        sectors = 32
        for first in range(sectors):
            for count in (1, 3, 8):
                holes = [(first + i) % sectors for i in range(count)]
                for head in (2 * sectors + 3, 2 * sectors + 15, 3 * sectors - 1):
                    for back in (0, 9, 20):
                        if head % sectors in holes or (head - back) % sectors in holes:
                            continue
                        flash = PaintedRing(sectors, head, head - back, 3, holes, sector_bytes=1024)
                        ring = boot(flash)._ring
                        self.assertEqual((ring.head, ring.tail), (head, head - back), (holes, head, back))

    def test_a_backlog_is_counted_afterwards_a_sector_at_a_time(self):
        flash = PaintedRing(64, 200, 150, 5, holes=(160 % 64,))
        journal = boot(flash)
        reads = flash.reads
        self.assertTrue(journal.count())
        self.assertLess(flash.reads - reads, 40)
        while journal.count():
            pass
        self.assertEqual(journal.waiting, 49 * 31 + 5)


class Halving(unittest.TestCase):
    def test_it_finds_the_last_of_any_row(self):
        for count in range(1, 40):
            for found in range(count):
                self.assertEqual(last(100, count, 1, lambda at, end=100 + found: at <= end), 100 + found)
                self.assertEqual(last(100, count, -1, lambda at, end=100 - found: at >= end), 100 - found)


if __name__ == "__main__":
    unittest.main()
