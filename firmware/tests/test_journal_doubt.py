"""What a journal makes of cells that waver and of bits that rotted: it decides once, and erases nothing that waits."""

import unittest

from support.flips import ALL, TAC, idle, journal_on, sent, settled
from support.nor import Faults, NorFlash
from support.taps import fields
from tunion.wire import tap as wire
from validator.sector import DRAINED_AT
from validator.slot import OUTCOME_AT, RETIRED_AT, SLOT_BYTES

SEEDS = range(40)


def answers(flash):
    journal = journal_on(flash.rebooted())
    while journal.count():
        pass
    claims = [(claim.seq, claim.grey) for claim in journal.open_claims()]
    return journal.seq, claims, journal.waiting, dict(journal.pending(100, 100000))


class Wavering(unittest.TestCase):
    """Cells that a cut left between 0 and 1: boot after boot says the same, though each reads them otherwise."""

    def check(self, prepare, address, bits):
        said = []
        for seed in SEEDS:
            flash = NorFlash(sectors=8, faults=Faults(seed))
            prepare(flash)
            for at in bits:
                flash.faults.wavering.setdefault((address + at) // 1024, {})[address + at] = bits[at]
            first = answers(flash)
            for _ in range(4):
                self.assertEqual(answers(flash), first, "seed %d" % seed)
            if first not in said:
                said.append(first)
        return said

    def open_tap(self, flash):
        journal = journal_on(flash)
        idle(journal)
        settled(journal)
        journal.claim(**fields(1))

    def test_a_retirement_that_was_begun_is_ended(self):
        mark = 2 * SLOT_BYTES + RETIRED_AT
        said = self.check(self.open_tap, mark, {0: 0x18})
        self.assertEqual([(seq, claims) for seq, claims, _, _ in said], [(1, [])])

    def test_an_outcome_is_whole_or_torn_for_ever(self):
        outcome = 2 * SLOT_BYTES + OUTCOME_AT

        def nearly_settled(flash):
            self.open_tap(flash)
            journal_on(flash).open_claims()[0].settle(TAC, wire.MAC2_OK)
            flash.cells[outcome + 4] |= 0x01  # of the TAC: reads whole where this cell shows 0

        said = self.check(nearly_settled, outcome, {4: 0x01})
        self.assertEqual(sorted([claims for _, claims, _, _ in said]), [[], [(2, False)]])


    def test_a_header_that_may_have_been_begun_is_erased_again(self):
        for seed in SEEDS:
            flash = NorFlash(sectors=8, faults=Faults(seed))
            idle(journal_on(flash))
            flash.faults.wavering[1] = {1024 + 20: 0x03}
            flash = flash.rebooted()
            idle(journal_on(flash))
            self.assertEqual((flash.erases, flash.worn[1]), (1, 2))


class RottenOutcomes(unittest.TestCase):
    def test_after_the_acknowledgement_it_does_not_matter(self):
        flash = NorFlash(sectors=8)
        journal = journal_on(flash)
        idle(journal)
        settled(journal)
        journal.ack(ALL)
        flash.cells[SLOT_BYTES + OUTCOME_AT + 5] ^= 1
        journal = journal_on(flash.rebooted())
        self.assertEqual((journal.open_claims(), journal.waiting, sent(journal)), ([], 0, {}))

    def test_before_it_the_tap_is_open_again_in_whatever_sector(self):
        flash = NorFlash(sectors=8)
        journal = journal_on(flash)
        for number in range(20):
            idle(journal)
            settled(journal, number)
        flash.cells[3 * SLOT_BYTES + OUTCOME_AT + 5] ^= 1
        journal = journal_on(flash.rebooted())
        self.assertEqual(sorted(sent(journal)), [1, 2] + list(range(4, 21)))
        self.assertEqual([claim.seq for claim in journal.open_claims()], [3])
        journal.open_claims()[0].give_up()
        entries = sent(journal)
        self.assertEqual([wire.from_wire(entries[seq])[1].code for seq in (3, 21)], [wire.GREY, wire.GREY])


class RottenHeaders(unittest.TestCase):
    def test_a_sector_that_lost_its_header_is_kept_as_long_as_it_holds_what_waits(self):
        for name, sector, acked in (("the oldest", 1, 7), ("one between", 1, 3), ("the newest", 2, 7)):
            with self.subTest(name=name):
                flash = NorFlash(sectors=8)
                journal = journal_on(flash)
                for number in range(17):
                    idle(journal)
                    settled(journal, number)
                journal.ack([[1, acked]])
                start = 1024 * sector
                flash.cells[start + 80] ^= 1
                flash.cells[start + 100] ^= 1
                entries = bytes(flash.cells[start + SLOT_BYTES : start + 1024])
                journal = journal_on(flash.rebooted())
                for number in range(100):
                    idle(journal)
                    settled(journal, number)
                    journal.ack(ALL)
                self.assertEqual(bytes(flash.cells[start + SLOT_BYTES : start + 1024]), entries)
                self.assertEqual(journal._ring.retired, [sector])

    def test_a_sector_that_a_boot_looked_past_comes_back_with_what_waits_in_it(self):
        flash = NorFlash(sectors=8)
        journal = journal_on(flash)
        for number in range(24):
            idle(journal)
            settled(journal, number)
        before = sent(journal)
        flash.cells[1024 + DRAINED_AT : 1024 + DRAINED_AT + 4] = bytes(4)
        flash.cells[2048 + DRAINED_AT : 2048 + DRAINED_AT + 4] = bytes(4)
        journal = journal_on(flash.rebooted())
        for number in range(60):
            idle(journal)
            settled(journal, number)
            journal.ack([[25, 10000]])
            if 1 in sent(journal):
                break
        for seq in range(1, 8):
            self.assertEqual(sent(journal)[seq], before[seq])

    def test_an_entry_that_its_sector_cannot_hold_is_not_one(self):
        flash = NorFlash(sectors=8)
        journal = journal_on(flash)
        idle(journal)
        for number in range(4):
            settled(journal, number)
        journal._next = journal._ring.slots  # as where the last slots do not even let themselves be retired
        settled(journal, 5)
        flash.cells[5 * SLOT_BYTES : 6 * SLOT_BYTES] = flash.cells[1024 + SLOT_BYTES : 1024 + 2 * SLOT_BYTES]
        journal = journal_on(flash.rebooted())
        idle(journal)
        self.assertEqual([seq for seq, _ in journal.pending(100, 100000)], [1, 2, 3, 4, 5])
        self.assertEqual(journal.waiting, 5)


if __name__ == "__main__":
    unittest.main()
