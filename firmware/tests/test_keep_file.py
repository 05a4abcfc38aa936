"""The few bytes that outlive a power cut: whole or not at all."""

import os
import unittest

from validator.drivers.keep_file import KeepFile
from validator.ports import FlashFault

PATH = "/tmp/ykt-keep-%s" % os.urandom(6).hex()  # two interpreters may test at once


def remove_files():
    for name in (PATH, PATH + ".new"):
        try:
            os.remove(name)
        except OSError as error:
            if error.args[0] != 2:  # ENOENT
                raise


class TestKeepFile(unittest.TestCase):
    def setUp(self):
        self.addCleanup(remove_files)

    def test_nothing_was_saved_yet(self):
        self.assertEqual(KeepFile(PATH).load(), b"")

    def test_the_last_one_saved_is_there_for_the_next_program(self):
        for blob in (b"first and longer", b"second"):
            KeepFile(PATH).save(blob)
            self.assertEqual(KeepFile(PATH).load(), blob)

    def test_a_save_cut_short_leaves_the_one_before(self):
        KeepFile(PATH).save(b"whole")
        with open(PATH + ".new", "wb") as file:
            file.write(b"ha")
        self.assertEqual(KeepFile(PATH).load(), b"whole")
        KeepFile(PATH).save(b"next")
        self.assertEqual(KeepFile(PATH).load(), b"next")

    def test_a_folder_that_is_missing_is_named(self):
        with self.assertRaises(FlashFault) as fault:
            KeepFile("/tmp/ykt-no-such-folder/keep").save(b"x")
        self.assertIn("ykt-no-such-folder", str(fault.exception))


if __name__ == "__main__":
    unittest.main()
