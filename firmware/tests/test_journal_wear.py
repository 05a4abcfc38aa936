"""Flash that wears, fills, has large sectors or words, or holds something else: what can be kept is kept."""

import unittest

from support import cuts, flips
from support.flips import ALL, TAC, idle, journal_on, sent, settled
from support.nor import LOUD, SILENT, Faults, NorFlash
from support.taps import fields
from tunion.crc import crc32
from tunion.wire import tap as wire
from validator.cells import ForeignFlash
from validator.journal import ALARM_PERMILLE
from validator.ring import JournalFull
from validator.sector import FORMAT, RETIRED_MAX, numbers
from validator.slot import SLOT_BYTES

HEAP = "2m"  # the flash of four large sectors lies in it


class WordFlash(NorFlash):
    """A flash of words: refuses whatever is not whole ones."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.program_bytes = 4

    def program(self, address, data):
        assert address % 4 == 0 and len(data) % 4 == 0, "not a whole word"
        super().program(address, data)


def events(journal, code):
    """Values of the waiting events of one code."""
    bodies = [wire.from_wire(entry)[0] for entry in sent(journal).values()]
    return [body.value for body in bodies if body.kind == wire.EVENT and body.code == code]


def faulty(mode, sectors=16):
    return NorFlash(sectors=sectors, faults=Faults(1, weak=False, mode=mode))


class WornCells(unittest.TestCase):
    """A cell that does not take its bit, in silence or with a report of the chip: the entry goes elsewhere."""

    def test_a_body_goes_to_the_next_slot(self):
        for mode in (SILENT, LOUD):
            with self.subTest(mode=mode):
                flash = faulty(mode)
                flash.faults.stick(SLOT_BYTES + 20, 0xFF, 1)
                journal = journal_on(flash)
                idle(journal)
                self.assertEqual(settled(journal), 1)
                idle(journal)
                for each in (journal, journal_on(flash.rebooted())):
                    self.assertEqual(events(each, wire.FLASH_WORN), [0])
                    self.assertEqual([each.open_claims(), each.seq, each.waiting], [[], 2, 2])

    def test_an_outcome_becomes_an_amend(self):
        for mode in (SILENT, LOUD):
            with self.subTest(mode=mode):
                flash = faulty(mode)
                flash.faults.stick(SLOT_BYTES + 101, 0xFF, 1)
                journal = journal_on(flash)
                idle(journal)
                settled(journal)
                for each in (journal, journal_on(flash.rebooted())):
                    entries = [wire.from_wire(entry) for _, entry in sorted(sent(each).items())]
                    self.assertEqual([(body.kind, body.seq) for body, _ in entries[:2]], [(1, 1), (wire.AMEND, 2)])
                    self.assertEqual([outcome.code for _, outcome in entries[:2]], [wire.SETTLED, wire.SETTLED])

    def test_a_sector_that_cannot_be_erased_or_taken_is_skipped_for_ever(self):
        for mode in (SILENT, LOUD):
            for name, at, value in (("a slot stays programmed", 300, 0), ("the header takes no bits", 90, 1)):
                with self.subTest(mode=mode, name=name):
                    flash = faulty(mode)
                    flash.faults.stick(5 * 1024 + at, 0x10, value)
                    journal = journal_on(flash)
                    seen = []
                    for number in range(250):  # more than two rounds
                        idle(journal)
                        seen.append(settled(journal, number))
                        if number % 9 == 8:
                            seen += [seq for seq, _ in journal.pending(100, 100000)]
                            journal.ack(ALL)
                        if number % 50 == 49:
                            journal = journal_on(flash.rebooted())
                    self.assertEqual(sorted(set(seen)), list(range(1, max(seen) + 1)))
                    self.assertEqual(journal._ring.retired, [5])
                    self.assertEqual(numbers(journal_on(flash.rebooted())._ring.checkpoint.retired, 2), [5])
                    self.assertEqual(journal.fill_permille() > 0, True)

    def test_a_flash_that_wears_out_is_refused_by_name_and_loses_nothing(self):
        flash = faulty(SILENT)
        for sector in range(3, 3 + RETIRED_MAX + 1):
            flash.faults.stick(sector * 1024 + 512, 0x01, 0)
        journal = journal_on(flash)
        refused = ""
        for number in range(400):
            idle(journal)
            try:
                settled(journal, number)
            except JournalFull as full:
                refused = str(full)
                break
            if journal.fill_permille() < 300:
                continue
            journal.ack([[1, journal.seq - 20]])
        self.assertTrue("worn out" in refused and "%d sectors" % RETIRED_MAX in refused, refused)
        again = journal_on(flash.rebooted())
        self.assertEqual(again.seq, journal.seq)
        self.assertEqual(sent(again), sent(journal))

    def test_sectors_wear_evenly_and_an_entry_costs_little(self):
        flash = NorFlash(sectors=8, sector_bytes=4096)
        journal = journal_on(flash)
        idle(journal)
        programmed, erases, count = flash.programmed_bytes, flash.erases, 31 * 8 * 10
        for number in range(count):
            settled(journal, number % 100)
            if number % 20 == 19:
                journal.ack([[number - 18, number + 1]])
            idle(journal)
        self.assertLess((flash.programmed_bytes - programmed) / count, 1.15 * 128)
        self.assertLess((flash.erases - erases) / count, 1 / 20)
        self.assertLessEqual(max(flash.worn) - min(flash.worn), 1)
        told = [FORMAT.unpack(flash.cells, 4096 * sector).erases for sector in range(8)]
        for sector in range(8):
            with self.subTest(sector=sector):
                self.assertLessEqual(abs(told[sector] - flash.worn[sector]), 1)


class WornLedger(cuts.Ledger):
    """Takes what the journal tells of its flash as well, however often."""

    def twin(self):
        other = WornLedger()
        other.taps = dict(self.taps)
        other.events = dict(self.events)
        other.stored = dict(self.stored)
        return other

    def store(self, batch):
        for seq, entry in batch:
            body, _ = wire.from_wire(entry)
            if body.kind == wire.EVENT and body.code in (wire.FLASH_WORN, wire.FILLING):
                self.events[seq << 8] = cuts.TRIED
                entry = entry[:23] + (seq << 8).to_bytes(4, "big")
            super().store([(seq, wire.to_wire(entry))])
        return [[seq, seq] for seq, _ in batch]


class WornRing(cuts.Tap):
    """Taps over a slot that holds no body, one that holds no outcome, a header that holds nothing, a dirty sector."""

    name = "worn"
    sectors = 9
    modes = {0: SILENT, 1: LOUD}

    @classmethod
    def start(cls, faults, erase_order):
        faults.mode = cls.modes[faults.seed % 2]
        faults.pages = faults.seed % 4 > 1
        flash, old = super().start(faults, erase_order)
        ledger = WornLedger()
        ledger.taps, ledger.events, ledger.stored = old.taps, old.events, old.stored
        journal = journal_on(flash.twin())
        ring = journal._ring
        faults.stick(ring.address(ring.head, journal._next) + 30, 0xFF, 1)
        faults.stick(ring.address(ring.head + 1, 1) + 101, 0xFF, 1)
        faults.stick(ring.address(ring.head + 2, 0) + 76, 0xFF, 1)
        faults.stick(ring.address(ring.head + 3, 3) + 9, 0x10, 0)
        return flash, ledger

    def tap(self, settles=True):
        try:
            return super().tap(settles)
        except JournalFull:  # the sector ahead was worn: refused by name until the next is erased
            self.idle()
            return super().tap(settles)

    def act(self):
        for _ in range(16):
            self.tap()
            self.idle()
            self.upload()


class CutsOnWornFlash(unittest.TestCase):
    def test_retirement_is_cut_and_its_recovery_too(self):
        for seed in range(2):
            done = cuts.sweep(WornRing, seed, 199, 127)
            self.assertGreater(done.cuts, 10)


class Filling(unittest.TestCase):
    def test_at_80_percent_one_event_and_the_claims_that_hold_up_the_rest_go_to_clearing(self):
        journal = journal_on(NorFlash(sectors=8))
        idle(journal)
        journal.claim(**fields(1))
        while journal.fill_permille() < ALARM_PERMILLE:
            self.assertFalse(journal.filling)
            settled(journal)
            journal.ack(ALL)
            idle(journal)
        self.assertTrue(journal.filling)
        self.assertEqual([journal.open_claims(), journal.fill_permille() >= ALARM_PERMILLE], [[], True])
        codes = [wire.from_wire(entry)[1] for _, entry in sorted(sent(journal).items())]
        self.assertEqual([outcome.code if outcome else None for outcome in codes], [wire.GREY, None])
        self.assertEqual(len(events(journal, wire.FILLING)), 1)
        journal.ack(ALL)
        idle(journal)
        self.assertEqual((journal.filling, journal.waiting, len(sent(journal))), (False, 0, 0))

    def test_a_grey_claim_is_forgotten_when_its_sector_is_let_go(self):
        journal = journal_on(NorFlash(sectors=8))
        idle(journal)
        claim = journal.claim(**fields(1))
        claim.give_up()
        for _ in range(20):
            settled(journal, 2)
            journal.ack(ALL)
            idle(journal)
        for each in (journal, journal_on(journal._flash.rebooted())):
            self.assertEqual(each.claims_of(claim.card), [])

    def test_an_open_claim_of_long_ago_is_found_at_boot_by_the_checkpoint(self):
        journal = journal_on(NorFlash(sectors=16))
        idle(journal)
        claims = [journal.claim(**fields(number)) for number in range(10)]
        for _ in range(40):
            journal.event(wire.BOOT)
            idle(journal)
        again = journal_on(journal._flash.rebooted())
        self.assertEqual([claim.seq for claim in again.open_claims()], list(range(1, 11)))
        again.open_claims()[3].prove(TAC, wire.MAC2_UNCHECKED)
        last = journal_on(journal._flash.rebooted())
        self.assertEqual([claim.seq for claim in last.open_claims()], [1, 2, 3, 5, 6, 7, 8, 9, 10])
        self.assertEqual(claims[3].seq, 4)


class Geometry(unittest.TestCase):
    def test_one_layout_for_pages_sectors_and_words_of_every_flash(self):
        for name, flash in (
            ("NOR, and the flash inside RP2040 and ESP32", NorFlash(8, 4096, 256)),
            ("four large sectors of words", WordFlash(4, 65536, 256)),
            ("words, pages as large as a sector", WordFlash(6, 16384, 16384)),
            ("pages of one slot", NorFlash(8, 1024, 128)),
        ):
            with self.subTest(name=name):
                journal = journal_on(flash)
                idle(journal)
                for number in range(40):
                    settled(journal, number % 10)
                    journal.ack([[number - 5, number - 3]] if number > 5 else [])
                    journal.reject([number])
                    idle(journal)
                claim = journal.claim(**fields(77))
                again = journal_on(flash.rebooted())
                if flash.program_bytes == 4:
                    again._flash.program_bytes = 4
                self.assertEqual(sent(again), sent(journal))
                self.assertEqual([each.seq for each in again.open_claims()], [claim.seq])

    def test_a_flash_that_the_layout_does_not_fit_is_refused_by_name(self):
        for changes, words in (
            ({"sectors": 3}, "4 sectors"),
            ({"page_bytes": 64}, "128-byte slots"),
            ({"sector_bytes": 1024 + 128}, "whole pages"),
            ({"program_bytes": 8}, "units of 8"),
            ({"program_bytes": 32}, "units of 32"),
        ):
            with self.subTest(changes=changes):
                flash = NorFlash()
                for name in changes:
                    setattr(flash, name, changes[name])
                with self.assertRaises(ForeignFlash) as refused:
                    journal_on(flash)
                self.assertIn(words, str(refused.exception))


class Images(unittest.TestCase):
    def test_an_image_of_something_else_is_named_and_left_alone(self):
        chance = Faults(5).chance
        used = journal_on(NorFlash())
        idle(used)
        settled(used)
        for name, cells, words in (
            ("zeros", bytearray(8 * 1024), "neither blank nor a journal"),
            ("random", bytearray([chance.byte() for _ in range(8 * 1024)]), "neither blank nor a journal"),
            ("layout 1", with_version(used, 1), "journal layout 1 found, this firmware reads 2"),
            ("layout 3", with_version(used, 3), "journal layout 3 found, this firmware reads 2"),
        ):
            with self.subTest(name=name):
                flash = NorFlash(cells=bytearray(cells))
                with self.assertRaises(ForeignFlash) as refused:
                    journal_on(flash)
                self.assertIn(words, str(refused.exception))
                self.assertEqual(flash.cells, cells)

    def test_one_flipped_bit_invents_nothing_and_hides_little(self):
        flash = flips.used_flash()
        before = sent(journal_on(flash.twin()))
        for bit in range(0, 8 * len(flash.cells), 61):  # all of them: python -m simulator.rig.flips
            flips.check(flash, bit, before)


def with_version(journal, version):
    """The image as another layout's: FORMAT says so, and is whole."""
    cells = bytearray(journal._flash.cells)
    cells[4] = version
    cells[12:16] = crc32(cells[:12]).to_bytes(4, "big")
    return cells


if __name__ == "__main__":
    unittest.main()
