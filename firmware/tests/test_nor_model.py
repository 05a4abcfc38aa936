"""The flash model does what it is told, and what it does wrong comes from its seed alone."""

import unittest

from support.nor import (
    BACKWARD,
    FORWARD,
    HALF_WAY,
    HARDLY_BEGUN,
    LOUD,
    NEARLY_DONE,
    SILENT,
    Chance,
    Faults,
    NorFlash,
    PowerCut,
)
from validator.ports import FlashFault

HEAP = "512k"  # what each byte of a sector reads

READS = 20


def read(flash, address, count=1):
    out = bytearray(count)
    flash.read_into(address, out)
    return bytes(out)


def readings(flash, address, count=1):
    """The different answers of many reads."""
    return set([read(flash, address, count) for _ in range(READS)])


def cut_program(seed, cut, data=bytes(16), address=0, progress=HALF_WAY, **faults):
    """A flash under new power, after a program that was cut."""
    flash = NorFlash(cut_after=cut, faults=Faults(seed, progress=progress, **faults))
    try:
        flash.program(address, data)
    except PowerCut:
        return flash.rebooted()
    raise AssertionError("the power did not fail")


def cut_erase(seed, cut, progress=HALF_WAY, **options):
    faults = Faults(seed, progress=progress)
    flash = NorFlash(cells=bytearray(b"\xa5" * 8192), cut_after=cut, faults=faults, **options)
    try:
        flash.erase(1)
    except PowerCut:
        return flash.rebooted()
    raise AssertionError("the power did not fail")


class Rules(unittest.TestCase):
    def test_programming_clears_bits_and_never_sets_one(self):
        flash = NorFlash()
        flash.program(5, b"\xf0\x0f")
        flash.program(5, b"\x30\x0f")
        self.assertEqual(read(flash, 4, 4), b"\xff\x30\x0f\xff")
        with self.assertRaises(FlashFault):
            flash.program(5, b"\x31")
        flash.erase(0)
        self.assertEqual(read(flash, 4, 4), b"\xff\xff\xff\xff")

    def test_borders_are_refused(self):
        flash = NorFlash(sectors=2, sector_bytes=1024, page_bytes=256)
        for refused in (
            lambda: flash.program(255, b"\x00\x00"),
            lambda: flash.program(2047, b"\x00\x00"),
            lambda: flash.program(-1, b"\x00"),
            lambda: flash.erase(2),
            lambda: flash.erase(-1),
            lambda: flash.read_into(2047, bytearray(2)),
        ):
            with self.assertRaises(FlashFault):
                refused()
        self.assertEqual((flash.programs, flash.erases, flash.reads), (0, 0, 0))

    def test_costs_are_counted_and_wear_outlives_the_power(self):
        flash = NorFlash(sectors=4)
        flash.program(0, bytes(10))
        flash.erase(0)
        flash.erase(3)
        read(flash, 0, 100)
        read(flash, 7, 1)
        self.assertEqual((flash.programs, flash.programmed_bytes, flash.erases), (1, 10, 2))
        self.assertEqual((flash.reads, flash.read_bytes, flash.worn), (2, 101, [1, 0, 0, 1]))
        flash = flash.rebooted()
        self.assertEqual((flash.programs, flash.erases, flash.reads, flash.worn), (0, 0, 0, [1, 0, 0, 1]))

    def test_a_twin_goes_its_own_way(self):
        flash = cut_program(3, 4)
        twin = flash.twin()
        twin.erase(0)
        twin.faults.stick(9, 1, 0)
        self.assertEqual((flash.worn[0], twin.worn[0], read(flash, 0)), (0, 1, b"\x00"))
        self.assertTrue(flash.faults.wavering and not twin.faults.wavering and not flash.faults.stuck_at_0)


class Cuts(unittest.TestCase):
    def test_without_faults_a_torn_byte_has_half_its_bits(self):
        flash = NorFlash(cut_after=2)
        with self.assertRaises(PowerCut):
            flash.program(0, bytes(4))
        with self.assertRaises(PowerCut):
            read(flash, 0)
        self.assertEqual(readings(flash.rebooted(), 0, 4), set([b"\x00\x00\x55\xff"]))

    def test_a_torn_byte_wavers_and_those_around_it_do_not(self):
        wavered = 0
        for seed in range(20):
            flash = cut_program(seed, 4)
            self.assertEqual(readings(flash, 0, 4), set([bytes(4)]))
            self.assertEqual(readings(flash, 5, 11), set([b"\xff" * 11]))
            wavered += len(readings(flash, 4)) > 1
        self.assertTrue(wavered > 15)

    def test_bits_that_were_not_to_be_cleared_stay(self):
        for seed in range(20):
            for value in readings(cut_program(seed, 0, b"\x5a"), 0):
                self.assertEqual(value[0] & 0x5A, 0x5A)

    def test_a_page_may_be_torn_everywhere_at_once(self):
        torn = set()
        for seed in range(20):
            flash = cut_program(seed, 4, pages=True)
            self.assertEqual(readings(flash, 0, 4), set([bytes(4)]))
            self.assertEqual(read(flash, 16, 4), b"\xff" * 4)
            for at in range(4, 16):
                if len(readings(flash, at)) > 1:
                    torn.add(at)
        self.assertEqual(torn, set(range(4, 16)))

    def test_a_program_hardly_begun_reads_blank_at_times_and_one_nearly_done_whole(self):
        for progress, value in ((HARDLY_BEGUN, b"\xff"), (NEARLY_DONE, b"\x00")):
            wavered = 0
            for seed in range(20):
                found = readings(cut_program(seed, 0, progress=progress, pages=True), 0, 16)
                if len(found) > 1:
                    wavered += 1
                    self.assertTrue(max([each.count(value) for each in found]) >= 14)
                else:
                    self.assertEqual(found, set([value * 16]))
            self.assertTrue(5 < wavered < 20)

    def test_programming_again_makes_firm_what_it_clears_and_nothing_else(self):
        for seed in range(20):
            flash = cut_program(seed, 0, pages=True)
            flash.program(0, bytes([byte & 0xF0 for byte in flash.cells[:16]]))
            low = [bytes([byte & 0x0F for byte in value]) for value in readings(flash, 0, 16)]
            self.assertEqual(set(low), set([bytes(16)]))
            self.assertTrue(len(readings(flash, 0, 16)) > 1)
            flash.program(0, bytes(16))
            self.assertEqual(readings(flash, 0, 16), set([bytes(16)]))
            self.assertEqual(flash.faults.wavering, {})

    def test_a_second_cut_at_the_same_byte(self):
        flash = cut_program(1, 0)
        for seed in range(20):
            twin = flash.twin(cut_after=0)
            twin.faults.chance.state = seed
            with self.assertRaises(PowerCut):
                twin.program(0, b"\x00")
            twin = twin.rebooted()
            twin.program(0, b"\x00")
            self.assertEqual(readings(twin, 0), set([b"\x00"]))

    def test_an_erase_cut_short_leaves_every_kind_of_cell(self):
        for cut in range(len(FORWARD)):
            flash = cut_erase(7, cut)
            self.assertEqual(readings(flash, 0, 1024), set([b"\xa5" * 1024]))
            self.assertEqual(readings(flash, 2048, 1024), set([b"\xa5" * 1024]))
            weak, firm = self.kinds(flash, 1024 + 64 * cut, 2048)
            self.assertEqual(firm, set([b"\xa5", b"\x00", b"\xff"]))
            self.assertTrue(weak > 0)
            if cut:
                weak, firm = self.kinds(flash, 1024, 1024 + 64 * cut)
                self.assertTrue(0 < weak < 64 * cut // 8)
                self.assertEqual(firm, set([b"\xff"]))
            flash.erase(1)
            self.assertEqual(readings(flash, 1024, 1024), set([b"\xff" * 1024]))

    def kinds(self, flash, first, last):
        """(how many bytes waver, what the others read)."""
        weak, firm = 0, set()
        for address in range(first, last):
            found = readings(flash, address)
            if len(found) > 1:
                weak += 1
            else:
                firm.add(found.pop())
        return weak, firm

    def test_an_erase_hardly_begun_reads_as_before_in_most_cells(self):
        flash = cut_erase(7, 0, progress=HARDLY_BEGUN)
        kept = [at for at in range(1024) if readings(flash, 1024 + at) == set([b"\xa5"])]
        self.assertTrue(900 < len(kept) < 1020)

    def test_an_erase_that_was_not_verified_reads_blank_in_most_cells(self):
        flash = cut_erase(7, len(FORWARD))
        weak, firm = self.kinds(flash, 1024, 2048)
        self.assertTrue(20 < weak < 100)
        self.assertEqual(firm, set([b"\xff"]))

    def test_the_order_of_an_erase_is_kept(self):
        flash = cut_erase(7, 1, erase_order=BACKWARD)
        self.assertIn(b"\xa5", readings(flash, 1024, 64).pop())
        self.assertFalse(b"\xa5" in readings(flash, 2048 - 64, 64).pop())


class Wear(unittest.TestCase):
    def test_stuck_bits_are_wrong_in_silence_or_reported(self):
        for mode in (SILENT, LOUD):
            flash = NorFlash(faults=Faults(1, mode=mode))
            flash.faults.stick(5, 0x10, 1)
            flash.faults.stick(1030, 0x03, 0)
            self.assertEqual(self.reported(flash.program, 0, bytes(10)), mode == LOUD)
            self.assertEqual(read(flash, 0, 10), bytes(5) + b"\x10" + bytes(4))
            self.assertFalse(self.reported(flash.erase, 0))
            self.assertEqual(read(flash, 5), b"\xff")
            self.assertEqual(self.reported(flash.erase, 1), mode == LOUD)
            self.assertEqual(read(flash, 1029, 3), b"\xff\xfc\xff")
            self.assertEqual(self.reported(flash.program, 1030, b"\xff"), mode == LOUD)
            self.assertFalse(self.reported(flash.program, 1030, b"\xf0"))

    def reported(self, operation, *arguments):
        try:
            operation(*arguments)
        except FlashFault:
            return True
        return False

    def test_a_worn_sector_loses_one_bit_an_erase_and_no_other_sector_does(self):
        flash = NorFlash(sectors=3, faults=Faults(9, endurance=10))
        for _ in range(10):
            flash.erase(1)
        self.assertEqual(read(flash, 1024, 1024), b"\xff" * 1024)
        for _ in range(20):
            flash.erase(1)
            flash = flash.rebooted()
        spoilt = [byte for byte in read(flash, 1024, 1024) if byte != 0xFF]
        self.assertTrue(15 < len(spoilt) <= 20)
        self.assertEqual(read(flash, 0, 1024) + read(flash, 2048, 1024), b"\xff" * 2048)

    def test_some_stuck_bits_anywhere(self):
        faults = Faults(4)
        faults.stick_some(50, 8192)
        addresses = list(faults.stuck_at_0) + list(faults.stuck_at_1)
        self.assertTrue(45 < len(addresses) <= 50 and 0 <= min(addresses) < 2048 and 6144 < max(addresses) < 8192)


class Seeds(unittest.TestCase):
    def test_a_seed_replays_and_another_one_differs(self):
        def story(seed):
            flash = cut_erase(seed, 5)
            return [read(flash, 1024, 1024) for _ in range(3)]

        self.assertEqual(story(1), story(1))
        self.assertNotEqual(story(1), story(2))

    def test_the_draws_are_those_of_both_interpreters(self):
        chance = Chance(978)
        self.assertEqual([chance.byte() for _ in range(6)], [94, 156, 216, 42, 221, 5])
        self.assertEqual([chance.below(1000) for _ in range(4)], [722, 870, 76, 160])
        self.assertEqual(set([chance.below(7) for _ in range(200)]), set(range(7)))


if __name__ == "__main__":
    unittest.main()
