"""The few bytes that outlive a power cut, on raw flash: cut at every unit of work, in its cells and in its erases."""

import unittest

from support.cuts import Story, Wrong, sweep
from support.nor import LOUD, SILENT, Faults, NorFlash
from tunion.record import BadInput
from validator.drivers.keep_nor import HEAD, SLOT_BYTES, KeepNor
from validator.ports import FlashFault

HEAP = "2m"
ARM = "soak"
BYTES_MAX = SLOT_BYTES - HEAD.size


def flash(**changes):
    return NorFlash(sectors=2, sector_bytes=1024, **changes)


def blob(number):
    return bytes([number]) * (20 + number * 7 % 160)


class Told:
    """What the saver knows: the number that is durable, and the one that was tried after it."""

    def __init__(self):
        self.durable = 0
        self.tried = 0

    def twin(self):
        other = Told()
        other.durable, other.tried = self.durable, self.tried
        return other


class Saves(Story):
    """Six saves over a sector's end; slots are four to a sector."""

    name = "keep"

    @classmethod
    def start(cls, faults, erase_order):
        story = cls(flash(erase_order=erase_order, faults=faults), Told())
        story.boot_until(None, story.recover)
        for _ in range(6):
            story.save()
        return story.flash, story.ledger

    def recover(self):
        self.keep = KeepNor(self.flash)
        self.found = self.keep.load()
        told = self.ledger
        if told.tried and self.found == blob(told.tried):
            told.durable = told.tried
        if self.found != (blob(told.durable) if told.durable else b""):
            raise Wrong("%d was durable, %d was tried, neither is there" % (told.durable, told.tried))

    def save(self):
        self.ledger.tried = self.ledger.durable + 1
        self.keep.save(blob(self.ledger.tried))
        self.ledger.durable = self.ledger.tried

    def act(self):
        for _ in range(6):
            self.save()

    def seen(self):
        return self.keep.load()

    def settle(self):
        self.act()
        self.recover()

    def check(self):
        if self.keep.load() != blob(self.ledger.durable):
            raise Wrong("the last save is not there")


class TestKeepNor(unittest.TestCase):
    def test_nothing_was_saved_yet(self):
        self.assertEqual(KeepNor(flash()).load(), b"")

    def test_the_last_one_saved_is_there_for_the_next_boot_round_after_round(self):
        for geometry in ({}, {"page_bytes": 128}):
            chip = flash(**geometry)
            for number in range(1, 40):
                KeepNor(chip).save(blob(number))
                chip = chip.rebooted()
                self.assertEqual(KeepNor(chip).load(), blob(number))

    def test_the_longest_blob_and_one_that_is_too_long(self):
        keep = KeepNor(flash())
        keep.save(bytes(BYTES_MAX))
        self.assertRaises(BadInput, keep.save, bytes(BYTES_MAX + 1))
        self.assertEqual(keep.load(), bytes(BYTES_MAX))

    def test_no_cut_of_a_save_or_of_its_recovery_loses_what_was_durable(self):
        for seed in range(4):
            with self.subTest(seed=seed):
                done = sweep(Saves, seed, stride=2, again_stride=23)
                self.assertTrue(done.cuts > 100)

    def test_eight_sectors_of_somebody_else_are_written_to_in_two_only(self):
        chip = NorFlash(sectors=8, sector_bytes=1024, cells=bytearray(b"photos!!" * 1024))
        keep = KeepNor(chip, 3)
        self.assertEqual(keep.load(), b"")
        keep.save(b"mine")
        self.assertEqual(KeepNor(chip.rebooted(), 3).load(), b"mine")
        self.assertEqual(bytes(chip.cells[: 3 * 1024]), b"photos!!" * 384)
        self.assertEqual(bytes(chip.cells[5 * 1024 :]), b"photos!!" * 384)

    def test_cells_that_wear_out_are_passed_over_and_the_last_good_save_stays(self):
        for mode in (SILENT, LOUD):
            chip = flash(faults=Faults(11, weak=False, endurance=30, mode=mode))
            keep, last, refused = KeepNor(chip), b"", 0
            for number in range(1, 2000):
                try:
                    keep.save(blob(number % 200 + 1))
                    last = blob(number % 200 + 1)
                except FlashFault:
                    refused += 1
                    self.assertEqual(KeepNor(chip.rebooted()).load(), last)
                    if refused > 20:
                        break
            self.assertTrue(last and refused)


if __name__ == "__main__":
    unittest.main()
