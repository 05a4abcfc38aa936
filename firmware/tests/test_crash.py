"""The crash record: where, of what type, and nothing of what the exception said. Power may fail while it is written."""

import unittest

from support.bus import PanelNotes
from support.cuts import Story, Wrong, sweep
from support.manual_clock import ManualClock
from support.nor import NorFlash
from tunion import cbor
from tunion.wire import health
from validator.crash import PLACES_MAX, BlackBox, module_of, places_of
from validator.drivers.keep_nor import KeepNor
from validator.ports import CarePorts
from validator.settings import Care
from validator.supervisor import Supervisor

HEAP = "2m"
ARM = "soak"

CARE = Care(60, 3, 600, 900, 43200, 3, 16384)
SPOOF = '3104999000000000666\n  File "validator/tap3104999.py", line 42, in x'


def caught(work):
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


class Places(unittest.TestCase):
    def test_modules_are_named_shortly_wherever_they_lie(self):
        for path, name in (
            ("validator/app.py", "app"),
            ("/rom/validator/drivers/pn532.py", "drivers/pn532"),
            ("firmware/tunion/wire/tap.py", "tunion/wire/tap"),
            ("/x/firmware/boards/pc/console.py", "boards/pc/console"),
            ("/x/validators/app.py", ""),
            ("/usr/lib/python3.11/json/decoder.py", ""),
            ("<stdin>", ""),
            ("", ""),
        ):
            with self.subTest(path=path):
                self.assertEqual(module_of(path), name)

    def test_the_innermost_places_in_our_own_code_come_first(self):
        places = places_of(caught(lambda: cbor.decode(b"\xff")))
        self.assertEqual(places[0][0], "tunion/cbor")
        self.assertTrue(1 <= len(places) <= PLACES_MAX and all([line > 0 for _, line in places]))

    def test_an_exception_from_elsewhere_has_no_place(self):
        self.assertEqual(places_of(caught(lambda: {}["x"])), [])
        self.assertEqual(places_of(KeyError("never raised")), [])

    def test_a_text_that_looks_like_a_place_is_none(self):
        def work():
            raise KeyError(SPOOF)

        error = caught(work)
        self.assertFalse("666" in repr(places_of(error)) or "3104999" in repr(places_of(error)))
        box = BlackBox(None)
        box.record(error, "0.1.0", 5)
        self.assertEqual((box.type, box.places), ("KeyError", []))

    def test_long_names_and_foreign_letters_fit(self):
        class Very_long_name_of_an_exception_that_nobody_would_give(Exception):
            pass

        keep = KeepNor(NorFlash(sectors=2, sector_bytes=1024))
        box = BlackBox(keep)
        box.boots = 9
        box.record(Very_long_name_of_an_exception_that_nobody_would_give(), "版本1.10.100-rc", 1 << 40)
        box.places = [("drivers/" + "x" * 60, 7)] * PLACES_MAX
        self.assertTrue(box.save())
        again = BlackBox(keep)
        self.assertEqual((again.type, again.version), ("Very_long_name_of_an_exc", "??1.10.100-r"))
        self.assertEqual((again.places[0][0][:8], again.crash_up_s), ("drivers/", 0xFFFFFFFF))
        self.assertTrue(all([len(word) <= 32 for word in again.words()]))


class Counted:
    """What is durable, and what may be."""

    def __init__(self):
        self.boots = self.boots_tried = 0
        self.crashes = self.crashes_tried = 0

    def twin(self):
        other = Counted()
        other.boots, other.boots_tried = self.boots, self.boots_tried
        other.crashes, other.crashes_tried = self.crashes, self.crashes_tried
        return other


class Life(Story):
    """Boots that end in crashes, power cuts in between; the box is a sector of four entries and another."""

    name = "blackbox"
    crashes = 4

    @classmethod
    def start(cls, faults, erase_order):
        story = cls(NorFlash(2, 1024, erase_order=erase_order, faults=faults), Counted())
        story.boot_until(None, story.recover)
        return story.flash, story.ledger

    def recover(self):
        told = self.ledger
        told.boots_tried += 1
        ports = CarePorts(KeepNor(self.flash), None, lambda: health.POWER, None, None)
        self.supervisor = Supervisor(ports, CARE, ManualClock(), PanelNotes(), "0.1.0")
        box = self.supervisor.box
        if not told.boots < box.boots <= told.boots_tried:
            raise Wrong("boot %d, of %d to %d" % (box.boots, told.boots + 1, told.boots_tried))
        if not told.crashes <= box.crashes <= told.crashes_tried:
            raise Wrong("%d crashes, of %d to %d" % (box.crashes, told.crashes, told.crashes_tried))
        if box.bad != box.crashes or (box.stage > 0) != (box.crashes >= CARE.crashes_max):
            raise Wrong("stage %d after %d crashes" % (box.stage, box.crashes))
        if (box.type, box.untold & 1) != (("KeyError", 1) if box.crashes else ("", 0)):
            raise Wrong("%d crashes and their record is %r" % (box.crashes, box.words()))
        told.boots, told.crashes = box.boots, box.crashes

    def act(self):
        for _ in range(self.crashes):
            self.ledger.crashes_tried += 1
            self.supervisor.crashed(KeyError("3104999000000000666"))
            self.ledger.crashes += 1
            self.recover()

    def seen(self):
        box = self.supervisor.box
        return box.crashes, box.bad, box.stage, box.words()

    def settle(self):
        self.recover()

    def check(self):
        if self.ledger.crashes > self.ledger.crashes_tried:
            raise Wrong("more crashes than there were")


class Cut(unittest.TestCase):
    def test_no_cut_loses_a_crash_or_a_boot_or_counts_one_twice(self):
        for seed in range(4):
            with self.subTest(seed=seed):
                done = sweep(Life, seed, stride=19, again_stride=101)
                self.assertTrue(done.cuts > 60 and done.pairs > 100)

    def test_a_box_that_counts_before_it_writes_is_found(self):
        class Hasty(Life):
            def act(self):
                self.ledger.crashes_tried += 1
                self.ledger.crashes += 1
                self.supervisor.crashed(KeyError())

        self.assertRaises(Wrong, sweep, Hasty, 1, 3, 1000)


if __name__ == "__main__":
    unittest.main()
