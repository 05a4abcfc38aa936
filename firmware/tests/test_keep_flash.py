"""A few bytes in two sectors: the last ones saved or the ones before, wherever the power fails."""

import unittest

from support.cuts import Story, Wrong, sweep
from support.nor import NorFlash
from validator.drivers.keep_flash import BYTES_MAX, SLOT_BYTES, KeepFlash
from validator.ports import FlashFault

HEAP = "1m"
SECTOR_BYTES = 512  # four slots: each story erases


def blob_of(number):
    return b"number %d " % number + bytes(range(number % 100))


class Told:
    """The number that was being saved, and the last whose save returned."""

    def __init__(self, saved, saving):
        self.saved = saved
        self.saving = saving

    def twin(self):
        return Told(self.saved, self.saving)


class Keep(Story):
    """Five saves, from the fifth on: over the border of a sector."""

    name = "keep"

    @staticmethod
    def start(faults, order):
        flash = NorFlash(sectors=2, sector_bytes=SECTOR_BYTES, erase_order=order, faults=faults)
        keep = KeepFlash(flash)
        for number in range(5):
            keep.save(blob_of(number))
        return flash, Told(4, 4)

    def recover(self):
        self.keep = KeepFlash(self.flash)

    def act(self):
        for number in range(5, 10):
            self.ledger.saving = number
            self.keep.save(blob_of(number))
            self.ledger.saved = number

    def seen(self):
        return self.keep.load()

    def settle(self):
        pass

    def check(self):
        if self.keep.load() not in (blob_of(self.ledger.saved), blob_of(self.ledger.saving)):
            raise Wrong("%r is neither what was saved last nor what was being saved" % self.keep.load())
        self.keep.save(b"after")
        if KeepFlash(self.flash).load() != b"after":
            raise Wrong("a save after the cuts does not last")


class TestKeepFlash(unittest.TestCase):
    def test_nothing_was_saved_yet(self):
        self.assertEqual(KeepFlash(NorFlash(sectors=2, sector_bytes=SECTOR_BYTES)).load(), b"")

    def test_the_last_one_saved_is_there_after_each_boot(self):
        flash = NorFlash(sectors=4, sector_bytes=SECTOR_BYTES)
        keep = KeepFlash(flash, first_sector=1)
        for number in range(30):
            keep.save(blob_of(number))
            self.assertEqual(KeepFlash(flash, first_sector=1).load(), blob_of(number))
        other = bytearray(SECTOR_BYTES)
        for sector in (0, 3):
            flash.read_into(sector * SECTOR_BYTES, other)
            self.assertEqual(bytes(other), b"\xff" * SECTOR_BYTES)

    def test_a_cut_leaves_the_new_bytes_or_those_before(self):
        for seed in (1, 2, 3):
            with self.subTest(seed=seed):
                self.assertTrue(sweep(Keep, seed, 29, 53).cuts > 20)

    def test_bytes_of_somebody_else_are_not_taken_and_not_touched(self):
        flash = NorFlash(sectors=2, sector_bytes=SECTOR_BYTES)
        flash.program(0, b"somebody else's")
        before = bytes(flash.cells)
        self.assertEqual(KeepFlash(flash).load(), b"")
        self.assertEqual(bytes(flash.cells), before)

    def test_too_many_bytes_are_refused(self):
        keep = KeepFlash(NorFlash(sectors=2, sector_bytes=SECTOR_BYTES))
        keep.save(bytes(BYTES_MAX))
        self.assertRaises(FlashFault, keep.save, bytes(BYTES_MAX + 1))
        self.assertTrue(BYTES_MAX < SLOT_BYTES)


if __name__ == "__main__":
    unittest.main()
