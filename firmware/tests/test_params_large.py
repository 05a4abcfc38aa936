"""Sets with a grid of many kB: staged with several chunks of marks, checked in small steps, read in place."""

import unittest

from support import large_sets, sets
from support.large_sets import SET_BYTES_MAX, SITE, price_fen
from support.manual_clock import ManualClock
from support.nor import NorFlash, PowerCut
from test_params import LATER_S, SECTOR_BYTES, ZERO, Notes, record
from tunion.fare.grid import NoFare
from tunion.window import Window
from tunion.wire import params as wire
from tunion.wire.limits import SET_BYTES
from tunion.wire.tap import PARAMS_ACTIVE, PARAMS_REFUSED
from validator.bank import CHUNK_BYTES
from validator.params import HASH_STEP_BYTES, Params, sectors_needed

HEAP = "4m"  # flash images of 50 kB, and sets

BLOBS = {version: sets.sealed(large_sets.payload(version)) for version in (2, 3)}
SMALL = sets.sealed(sets.payload(4))
BANK_1 = 2 * SECTOR_BYTES
READ_A_STEP_MAX = 6 * 1024  # the longest section, or a piece of the hash, and what looks at the bank
CELL = 3 * CHUNK_BYTES + 9000  # somewhere in the cells of a blob


def make_flash(set_bytes_max=SET_BYTES_MAX, **options):
    needed = sectors_needed(NorFlash(sectors=1, sector_bytes=SECTOR_BYTES), set_bytes_max)
    return NorFlash(sectors=needed, sector_bytes=SECTOR_BYTES, **options)


class Case(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock()
        self.notes = Notes()
        self.flash = make_flash()
        self.boot()

    def boot(self, cut_after=None, set_bytes_max=SET_BYTES_MAX):
        self.flash = self.flash.rebooted(cut_after)
        self.params = Params(
            self.flash, ZERO, sets.SCOPE, [sets.SIGNER.key], self.notes, self.clock, SITE, set_bytes_max
        )
        return self.params

    def work(self, offer, blob, steps=2000):
        """Download and check, until it waits for its time or `steps` are over; the most bytes read in a step."""
        chosen = self.params.choose([offer])
        if chosen is not None:
            self.params.begin(chosen)
        most = 0
        for _ in range(steps):
            offset = self.params.next_offset()
            if offset >= 0:
                self.params.feed(blob[offset : offset + 2048])
            before = self.flash.read_bytes
            self.params.step()
            most = max(most, self.flash.read_bytes - before)
            if offset < 0 and self.params.staged_version == offer.version:
                break
        return most

    def reach(self):
        """Until the staged set is active; the most bytes read in a step."""
        self.clock.advance_ms(1000 * max(0, LATER_S - self.clock.now_s()))
        most = 0
        for _ in range(100):
            before = self.flash.read_bytes
            changed = self.params.step()
            most = max(most, self.flash.read_bytes - before)
            if changed:
                break
        return most

    def activate(self, version):
        self.work(sets.entry(version, BLOBS[version]), BLOBS[version])
        self.reach()
        self.assertEqual(self.params.version, version)

    def serve(self):
        self.params.step()
        self.params.card_came()
        self.params.card_paid()

    def charged(self):
        return self.params.rules.fare.list_fen(0, 1, 2)


class Life(Case):
    def test_a_large_set_becomes_active_in_small_steps_and_its_grid_stays_in_flash(self):
        self.assertTrue(len(BLOBS[2]) > 128 * CHUNK_BYTES)
        most = self.work(sets.entry(2, BLOBS[2]), BLOBS[2])
        self.assertTrue(HASH_STEP_BYTES <= most <= READ_A_STEP_MAX)
        self.assertTrue(self.reach() <= READ_A_STEP_MAX)
        self.assertEqual((self.params.version, self.charged()), (2, price_fen(2)))
        self.assertTrue(isinstance(self.params.rules.fare.table, Window))
        reads = self.flash.read_bytes
        for place in (2, 95, large_sets.PLACES):
            self.assertTrue(price_fen(2) <= self.params.rules.fare.list_fen(0, 1, place) < price_fen(2) + 2000)
        self.assertEqual(self.flash.read_bytes - reads, 3)
        self.params.step()
        self.assertEqual(self.notes.events, [(PARAMS_ACTIVE, 0, 2)])
        self.assertEqual((self.boot().version, self.charged()), (2, price_fen(2)))

    def test_every_price_is_that_of_the_blob_in_ram(self):
        self.activate(2)
        there = self.params.rules.fare.grid
        here = wire.decode(large_sets.payload(2), True).fare.grid
        for i in range(1, large_sets.PLACES + 1, 7):
            for j in range(1, large_sets.PLACES + 1, 11):
                if i != j:
                    self.assertEqual(there.fen(0, i, j), here.fen(0, i, j))
            self.assertEqual(there.least_fen(0, i), here.least_fen(0, i))
            self.assertEqual(there.onward_fen(0, i), here.onward_fen(0, i))

    def test_marks_take_as_many_chunks_as_the_blob_needs_and_a_small_set_lies_as_in_a_small_bank(self):
        blob = BLOBS[2]
        self.work(sets.entry(2, blob), blob)
        start = BANK_1 + 3 * CHUNK_BYTES
        self.assertEqual(self.flash.cells[start : start + len(blob)], blob)
        marks = (len(blob) + CHUNK_BYTES - 1) // CHUNK_BYTES
        self.assertEqual(bytes(self.flash.cells[BANK_1 + 128 : start]), bytes(marks) + b"\xff" * (256 - marks))
        images = []
        for set_bytes_max in (SET_BYTES, SET_BYTES_MAX):
            self.flash = make_flash(set_bytes_max)
            self.boot(set_bytes_max=set_bytes_max)
            self.work(sets.entry(4, SMALL), SMALL)
            self.assertEqual(self.params.staged_version, 4)
            images.append(bytes(self.flash.cells[BANK_1 : BANK_1 + 256 + SET_BYTES]))
        self.assertEqual(images[0], images[1])
        self.assertEqual(images[0][256 : 256 + len(SMALL)], SMALL)

    def test_all_marks_are_programmed_again_before_the_set_is_relied_on(self):
        self.work(sets.entry(2, BLOBS[2]), BLOBS[2])
        programmed = record(self.flash)
        self.reach()
        marks = (len(BLOBS[2]) + CHUNK_BYTES - 1) // CHUNK_BYTES
        self.assertTrue(set(range(BANK_1 + 128, BANK_1 + 128 + marks)) <= set(programmed))

    def test_a_default_bank_takes_as_many_sectors_as_ever(self):
        for sector_bytes, sectors in ((512, 36), (1024, 20), (4096, 8), (65536, 4)):
            self.assertEqual(sectors_needed(NorFlash(sectors=1, sector_bytes=sector_bytes)), sectors)

    def test_a_large_set_gives_way_to_a_small_one_and_back(self):
        self.activate(2)
        self.serve()
        small = sets.sealed(sets.payload(3))
        self.work(sets.entry(3, small), small)
        self.reach()
        self.assertEqual((self.params.version, self.params.rules.fare.price(1).amount_fen), (3, 250))


class Refusals(Case):
    def test_a_set_that_does_not_fit_the_bank_is_never_fetched(self):
        self.flash = make_flash(SET_BYTES)
        self.boot(set_bytes_max=SET_BYTES)
        for _ in range(2):
            self.assertEqual(self.params.choose([sets.entry(2, BLOBS[2])]), None)
        self.assertEqual(self.notes.events, [(PARAMS_REFUSED, wire.TOO_LARGE, 2)])

    def test_a_bank_of_a_larger_device_file_is_none_of_a_smaller(self):
        self.activate(2)
        self.boot(set_bytes_max=SET_BYTES)
        self.assertEqual(self.params.version, 0)

    def test_wrong_sizes_and_a_spoilt_byte_anywhere_are_refused(self):
        blob = BLOBS[2]
        for count in (len(blob) - 1, len(blob) - CHUNK_BYTES, 17000, 100, 30):
            self.refused(sets.entry(2, blob, bytes=count), blob[:count], wire.BAD_HASH)
            self.refused(sets.entry(2, blob[:count]), blob[:count], wire.BAD_CONTENT)
        for at in (30, 5000, len(blob) - 100):
            spoilt = bytearray(blob)
            spoilt[at] ^= 1
            self.refused(sets.entry(2, blob), bytes(spoilt), wire.BAD_HASH)
            self.refused(sets.entry(2, bytes(spoilt)), bytes(spoilt), wire.BAD_SIGNATURE)

    def test_a_signed_grid_with_a_bad_cell_is_refused(self):
        payload = bytearray(large_sets.payload(2))
        payload[payload.index(b"YKTG") + 12000] = large_sets.LEVELS
        blob = sets.sealed(bytes(payload))
        self.refused(sets.entry(2, blob), blob, wire.BAD_CONTENT)

    def test_a_terminal_of_flat_fares_refuses_it(self):
        self.params = Params(
            self.flash, ZERO, sets.SCOPE, [sets.SIGNER.key], self.notes, self.clock, None, SET_BYTES_MAX
        )
        self.work(sets.entry(2, BLOBS[2]), BLOBS[2])
        self.assertEqual(self.notes.events, [(PARAMS_REFUSED, wire.BAD_CONTENT, 2)])

    def refused(self, offer, blob, why):
        self.notes.events.clear()
        self.flash = make_flash()
        self.boot()
        self.work(offer, blob, steps=500)
        self.reach()
        self.assertEqual((self.params.version, self.notes.events[:1]), (0, [(PARAMS_REFUSED, why, 2)]))


class Damage(Case):
    def damage(self, bank, value=None):
        """One cell of the grid in a bank: a bit of it, or another value."""
        start = BANK_1 + (bank - 1) * (self.flash.sectors - 2) // 2 * SECTOR_BYTES
        at = start + CELL
        self.flash.cells[at] = self.flash.cells[at] ^ 1 if value is None else value

    def test_a_grid_damaged_in_flash_is_found_at_boot_and_the_set_before_comes_back(self):
        self.activate(2)
        self.serve()
        self.activate(3)
        self.assertEqual((self.charged(), self.params.is_intact()), (price_fen(3), True))
        self.damage(2)
        self.assertFalse(self.params.is_intact())
        self.assertEqual((self.boot().version, self.charged()), (2, price_fen(2)))
        self.params.step()
        self.assertEqual(self.notes.events[-1], (PARAMS_ACTIVE, wire.UNREADABLE, 2))
        self.damage(1)
        self.assertEqual(self.boot().version, 0)

    def test_a_grid_damaged_before_its_time_does_not_become_active(self):
        self.work(sets.entry(2, BLOBS[2]), BLOBS[2])
        self.damage(1)
        self.reach()
        self.assertEqual((self.params.version, self.notes.events), (0, [(PARAMS_REFUSED, wire.UNREADABLE, 2)]))

    def test_a_cell_that_names_no_price_any_more_is_no_ride(self):
        self.activate(2)
        start = BANK_1 + 3 * CHUNK_BYTES + BLOBS[2].index(b"YKTG")
        first = start + 12 + 4 * large_sets.LEVELS + 2 * large_sets.PLACES
        self.assertEqual(self.charged(), price_fen(2))
        for value in (large_sets.LEVELS, 0xFE, 0xFF):
            self.flash.cells[first] = value
            with self.assertRaises(NoFare):
                self.charged()


class PowerCuts(Case):
    """The power fails while a large set is staged over an older one, checked and activated."""

    def test_what_was_staged_is_gone_on_with_and_one_whole_set_is_in_force(self):
        self.activate(2)
        self.serve()
        self.work(sets.entry(9, SMALL), SMALL, steps=60)  # so that there is something to be erased
        start = bytes(self.flash.cells)
        start_s = sets.EFFECTIVE_S - 100
        self.run_story(start, start_s, None)
        ends = self.flash.ends
        border = self.border_units
        cuts = list(range(100, ends[-1], 1709)) + [border + by for by in (-130, -129, -1, 0, 1, 127, 128, 129)]
        resumed = 0
        for cut in cuts:
            with self.subTest(cut=cut):
                self.assertTrue(self.run_story(start, start_s, cut))
                self.boot()
                version = self.params.version
                self.assertIn(version, (2, 3))
                self.assertEqual(self.charged(), price_fen(version))
                offer = sets.entry(3, BLOBS[3])
                chosen = self.params.choose([offer])
                if chosen is not None:
                    self.params.begin(chosen)
                    resumed += self.params.next_offset() > 128 * CHUNK_BYTES
                if version == 2:
                    self.work(offer, BLOBS[3])
                    self.reach()
                self.assertEqual((self.params.version, self.charged()), (3, price_fen(3)))
                self.assertEqual((self.boot().version, self.charged()), (3, price_fen(3)))
        self.assertTrue(resumed >= 1)

    def run_story(self, start, start_s, cut):
        """True if the power failed."""
        self.clock.set(start_s)
        self.flash = make_flash(cells=bytearray(start))
        self.border_units = 0
        try:
            self.boot(cut)
            offer = sets.entry(3, BLOBS[3])
            self.params.begin(self.params.choose([offer]))
            while self.params.is_staging:
                offset = self.params.next_offset()
                if offset >= 0:
                    self.params.feed(BLOBS[3][offset : offset + 2048])
                    if offset <= 128 * CHUNK_BYTES:
                        self.border_units = self.flash.units  # at last: where the second chunk of marks begins
                self.params.step()
            self.work(offer, BLOBS[3])
            self.reach()
        except PowerCut:
            return True
        return False


if __name__ == "__main__":
    unittest.main()
