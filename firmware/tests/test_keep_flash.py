"""The few bytes that outlive a power cut, in two sectors of flash: whole or not at all, wherever the power fails."""

import unittest

from support.nor import NorFlash, PowerCut
from validator.drivers.keep_flash import BYTES_MAX, KeepFlash
from validator.ports import FlashFault

ARM = True
FIRST, SECOND = b"first and longer", b"second"


def flash(**more):
    return NorFlash(sectors=2, sector_bytes=512, **more)


class TestKeepFlash(unittest.TestCase):
    def test_nothing_was_saved_yet(self):
        self.assertEqual(KeepFlash(flash()).load(), b"")

    def test_the_last_one_saved_is_there_after_a_reboot_however_often(self):
        cells = flash()
        for number in range(7):
            blob = bytes((number,)) * (number * 40)
            KeepFlash(cells).save(blob)
            cells = cells.rebooted()
            self.assertEqual(KeepFlash(cells).load(), blob)

    def test_wherever_the_power_fails_it_is_the_old_or_the_new(self):
        cut = 0
        while True:
            cells = flash()
            KeepFlash(cells).save(b"oldest")
            KeepFlash(cells).save(FIRST)
            cells = cells.rebooted(cut_after=cut)
            try:
                KeepFlash(cells).save(SECOND)
            except PowerCut:
                found = KeepFlash(cells.rebooted()).load()
                self.assertTrue(found in (FIRST, SECOND), "cut %d left %r" % (cut, found))
                cut += 1
                continue
            break
        self.assertTrue(cut > len(SECOND), "the sweep cut nothing")

    def test_a_sector_of_something_else_counts_for_nothing(self):
        cells = flash()
        cells.program(0, b"\x00\x00\x00\x07\x00\x00\x00\x04what is this")
        cells.program(512, b"\x00\x00\x00\x09\x00\x00\x02\x00")
        keep = KeepFlash(cells)
        self.assertEqual(keep.load(), b"")
        keep.save(FIRST)
        self.assertEqual(keep.load(), FIRST)

    def test_too_much_is_refused_and_what_was_there_stays(self):
        keep = KeepFlash(flash())
        keep.save(FIRST)
        self.assertRaises(FlashFault, keep.save, bytes(BYTES_MAX + 1))
        keep.save(bytes(BYTES_MAX))
        self.assertEqual(keep.load(), bytes(BYTES_MAX))


if __name__ == "__main__":
    unittest.main()
