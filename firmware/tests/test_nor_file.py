"""The file-backed flash keeps the rules of a NOR chip."""

import os
import unittest

from validator.drivers.nor_file import NorFile
from validator.ports import FlashFault

PATH = "/tmp/ykt-nor-%s.bin" % os.urandom(6).hex()  # two interpreters may test at once


def remove_image():
    for name in (PATH, PATH + ".new"):
        try:
            os.remove(name)
        except OSError as error:
            if error.args[0] != 2:  # ENOENT
                raise


def content(flash, address, count):
    out = bytearray(count)
    flash.read_into(address, out)
    return bytes(out)


class TestNorFile(unittest.TestCase):
    def setUp(self):
        self.addCleanup(remove_image)
        self.flash = NorFile(PATH, sectors=4)

    def tearDown(self):
        self.flash.close()

    def test_a_new_flash_is_erased(self):
        self.assertEqual(content(self.flash, 0, 4 * 4096), b"\xff" * (4 * 4096))

    def test_what_was_programmed_is_there_for_the_next_program_that_opens_the_image(self):
        self.flash.program(4096 + 17, b"claim")
        other = NorFile(PATH, sectors=4)  # no close before: the first one may have been killed
        self.assertEqual(content(other, 4096 + 17, 5), b"claim")
        other.close()

    def test_program_clears_bits_and_refuses_to_set_one(self):
        self.flash.program(100, b"\xf0\x3c")
        self.flash.program(100, b"\x30\x3c")
        with self.assertRaises(FlashFault):
            self.flash.program(100, b"\x30\x3d")
        self.assertEqual(content(self.flash, 100, 2), b"\x30\x3c")

    def test_erase_sets_one_sector_and_leaves_its_neighbours(self):
        for sector in range(3):
            self.flash.program(sector * 4096, b"\x00")
            self.flash.program(sector * 4096 + 4095, b"\x00")
        self.flash.erase(1)
        self.assertEqual(content(self.flash, 4096, 4096), b"\xff" * 4096)
        for address in (0, 4095, 2 * 4096, 3 * 4096 - 1):
            self.assertEqual(content(self.flash, address, 1), b"\x00")

    def test_what_a_chip_cannot_do_is_refused(self):
        for name, attempt in (
            ("crosses a page", lambda: self.flash.program(255, b"\x00\x00")),
            ("longer than a page", lambda: self.flash.program(0, bytes(257))),
            ("programs past the end", lambda: self.flash.program(4 * 4096 - 1, b"\x00\x00")),
            ("programs before the start", lambda: self.flash.program(-1, b"\x00")),
            ("reads past the end", lambda: self.flash.read_into(4 * 4096 - 1, bytearray(2))),
            ("erases behind the last sector", lambda: self.flash.erase(4)),
            ("erases sector -1", lambda: self.flash.erase(-1)),
        ):
            with self.subTest(name=name):
                self.assertRaises(FlashFault, attempt)
        self.assertEqual(content(self.flash, 0, 4 * 4096), b"\xff" * (4 * 4096))

    def test_an_image_of_another_size_is_not_touched(self):
        with self.assertRaises(FlashFault):
            NorFile(PATH, sectors=8)
        self.assertEqual(content(self.flash, 0, 4 * 4096), b"\xff" * (4 * 4096))

    def test_a_folder_that_is_not_there_is_named(self):
        with self.assertRaises(FlashFault) as caught:
            NorFile("no/such/folder/image.bin")
        self.assertIn("no/such/folder/image.bin", str(caught.exception))

    def test_a_full_disk_is_a_flash_fault(self):
        try:
            os.stat("/dev/full")
        except OSError:
            self.skipTest("needs /dev/full")
        self.flash._file.close()
        self.flash._file = open("/dev/full", "r+b", buffering=0)  # reads zeros, takes nothing
        self.assertRaises(FlashFault, self.flash.program, 0, b"\x00")


if __name__ == "__main__":
    unittest.main()
