"""The journal keeps what it acknowledged, wherever the power fails."""

import unittest

from support.manual_clock import ManualClock
from support.nor import BACKWARD, FORWARD, NorFlash, PowerCut
from support.taps import fields
from tunion.card.refusals import LinkLost, NotEnoughMoney, Unproven
from tunion.wire import tap as wire
from validator.cells import ForeignFlash
from validator.journal import ALARM_PERMILLE, AMEND_RESERVE, INTENT_MAX, Journal
from validator.ring import JournalFull

ARM = "soak"  # a minute
TAC = b"\x62\x4a\x55\x80"
EPOCH = 0xC0FFEE01
ALL = [[1, 0xFFFFFFFF]]
# Erases whose first parts are all that says a sector is history, 1/1024: the header's marks, the slots' marks.
MARKS_FIRST = ((112, 124),) + tuple((slot + 100, slot + 128) for slot in range(128, 1024, 128)) + FORWARD


def journal_on(flash, epoch=EPOCH):
    return Journal(flash, ManualClock(), lambda: epoch)


def fresh(sectors=8):
    """A journal with its sectors erased ahead, on 7 entries a sector."""
    journal = journal_on(NorFlash(sectors=sectors))
    while journal.idle():
        pass
    return journal


def cut_after(journal, count):
    """The journal, whose flash takes `count` more bytes or parts of an erase before the power fails."""
    journal._flash.cut_after = count
    return journal


def pending(journal):
    """{seq: (kind, outcome code or None)} of everything to be sent."""
    found = {}
    for seq, entry in journal.pending(1000, 1000000):
        body, outcome = wire.from_wire(entry)
        assert body.seq == seq
        found[seq] = (body.kind, outcome.code if outcome else None)
    return found


def state(journal):
    """All that a journal answers for."""
    while journal.count():
        pass
    return pending(journal), [claim.seq for claim in journal.open_claims()], journal.waiting, journal.epoch


def settled(journal, number=0, **changes):
    claim = journal.claim(**fields(number, **changes))
    claim.settle(TAC, wire.MAC2_OK)
    return claim.seq


class Entries(unittest.TestCase):
    def test_a_settled_tap_is_pending_with_its_proof_and_survives_a_reboot(self):
        journal = fresh()
        settled(journal, number=5, amount_fen=180)

        again = journal_on(journal._flash.rebooted())
        body, outcome = wire.from_wire(again.pending(10, 1000)[0][1])

        self.assertEqual((body.seq, body.amount_fen, body.card[-1]), (1, 180, 5))
        self.assertEqual((outcome.code, outcome.tac, outcome.mac2), (wire.SETTLED, TAC, wire.MAC2_OK))
        self.assertEqual((again.epoch, again.seq, again.waiting), (EPOCH, 1, 1))

    def test_the_way_a_block_is_left_decides_the_outcome(self):
        for error, code in ((NotEnoughMoney(0x9401), wire.VOID), (Unproven(), None), (LinkLost(), None)):
            with self.subTest(error=error):
                journal = fresh()
                with self.assertRaises(type(error)):
                    with journal.claim(**fields()):
                        raise error
                self.assertEqual(pending(journal), {1: (wire.TAP, code)} if code else {})
                self.assertEqual(len(journal.open_claims()), 0 if code else 1)

    def test_a_refusal_after_the_debit_voids_nothing(self):
        journal = fresh()
        with self.assertRaises(NotEnoughMoney):
            with journal.claim(**fields()) as claim:
                claim.debited(TAC)
                raise NotEnoughMoney(0x6901)
        self.assertEqual([claim.seq for claim in journal.open_claims()], [1])

    def test_a_wrong_mac2_after_the_debit_disputes_with_the_tac(self):
        journal = fresh()
        with self.assertRaises(Unproven):
            with journal.claim(**fields()) as claim:
                claim.debited(TAC)
                raise Unproven()
        _, outcome = wire.from_wire(journal.pending(1, 1000)[0][1])
        self.assertEqual((outcome.code, outcome.mac2, outcome.tac), (wire.DISPUTED, wire.MAC2_WRONG, TAC))

    def test_a_block_that_forgets_its_outcome_is_our_bug(self):
        with self.assertRaises(AssertionError):
            with fresh().claim(**fields()):
                pass

    def test_taps_events_and_amends_share_one_gapless_sequence(self):
        journal = fresh()
        settled(journal)
        journal.event(wire.READER_LOST)
        grey = journal.claim(**fields(3))
        grey.give_up()
        grey.prove(TAC, wire.MAC2_UNCHECKED)
        self.assertEqual(
            pending(journal),
            {
                1: (wire.TAP, wire.SETTLED),
                2: (wire.EVENT, None),
                3: (wire.TAP, wire.GREY),
                4: (wire.AMEND, wire.PROVED),
            },
        )

    def test_a_field_out_of_range_is_refused_before_anything_is_written(self):
        journal = fresh()
        written = journal._flash.programmed_bytes
        with self.assertRaises(ValueError):
            journal.claim(**fields(amount_fen=1 << 32))
        self.assertEqual((journal._flash.programmed_bytes, journal.seq), (written, 0))
        self.assertEqual(settled(journal), 1)

    def test_the_last_terminal_sequence_outlives_its_sector(self):
        journal = fresh()
        settled(journal, terminal_seq=4711)
        for _ in range(10 * 7):
            journal.event(wire.BOOT)
            journal.ack(ALL)
            journal.idle()
        self.assertEqual(journal_on(journal._flash.rebooted()).last_terminal_seq(), 4711)


class OpenClaims(unittest.TestCase):
    def test_later_entries_are_sent_around_an_open_claim(self):
        journal = fresh()
        settled(journal)
        claim = journal.claim(**fields(1))
        settled(journal)
        self.assertEqual(sorted(pending(journal)), [1, 3])

        claim.prove(TAC, wire.MAC2_UNCHECKED)
        self.assertEqual(sorted(pending(journal)), [1, 2, 3])

    def test_an_ack_erases_neither_an_open_claim_nor_an_unknown_entry(self):
        journal = fresh()
        journal.claim(**fields())
        journal.ack(ALL)
        self.assertEqual((len(journal.open_claims()), journal.waiting), (1, 1))
        settled(journal, 2)
        self.assertEqual(sorted(pending(journal)), [2])

    def test_a_claim_is_found_by_its_card_also_after_a_reboot(self):
        journal = fresh()
        claim = journal.claim(**fields(7, counter=19))
        again = journal_on(journal._flash.rebooted())
        found = again.claims_of(claim.card)
        self.assertEqual([(each.seq, each.tap().counter) for each in found], [(1, 19)])
        self.assertEqual(again.claims_of(bytes(10)), [])

    def test_the_eleventh_open_claim_makes_the_oldest_grey(self):
        journal = fresh()
        for number in range(INTENT_MAX + 1):
            journal.claim(**fields(number))
        self.assertEqual(pending(journal), {1: (wire.TAP, wire.GREY)})
        self.assertEqual([claim.seq for claim in journal.open_claims()], list(range(2, INTENT_MAX + 2)))

    def test_a_grey_claim_gives_way_before_an_open_one(self):
        journal = fresh()
        claims = [journal.claim(**fields(number)) for number in range(INTENT_MAX)]
        claims[4].give_up()
        journal.claim(**fields(99))
        self.assertEqual(pending(journal), {5: (wire.TAP, wire.GREY)})
        self.assertEqual(journal.claims_of(claims[4].card), [])

    def test_a_grey_claim_is_remembered_over_a_reboot_until_amended(self):
        journal = fresh()
        claim = journal.claim(**fields(1))
        claim.give_up()

        again = journal_on(journal._flash.rebooted())
        self.assertEqual([each.grey for each in again.claims_of(claim.card)], [True])
        self.assertEqual(again.open_claims(), [])
        again.claims_of(claim.card)[0].prove(TAC, wire.MAC2_UNCHECKED)

        last = journal_on(again._flash.rebooted())
        self.assertEqual(last.claims_of(claim.card), [])


class Acknowledgement(unittest.TestCase):
    def test_ranges_with_gaps_leave_the_gaps(self):
        journal = fresh()
        for _ in range(6):
            settled(journal)
        journal.ack([[1, 2], [4, 4], [6, 900]])
        for each in (journal, journal_on(journal._flash.rebooted())):
            self.assertEqual((sorted(pending(each)), each.waiting), ([3, 5], 2))

    def test_a_rejected_entry_is_kept_and_not_sent_again(self):
        journal = fresh()
        settled(journal)
        settled(journal)
        journal.reject([2, 77])
        for each in (journal, journal_on(journal._flash.rebooted())):
            self.assertEqual((sorted(pending(each)), each.rejected), ([1], 1))

    def test_pending_stops_at_either_limit(self):
        journal = fresh()
        for _ in range(5):
            settled(journal)
        one = len(journal.pending(1, 1000)[0][1])
        self.assertEqual([seq for seq, _ in journal.pending(3, 10000)], [1, 2, 3])
        self.assertEqual([seq for seq, _ in journal.pending(64, 2 * one)], [1, 2])
        self.assertEqual(journal.pending(64, one - 1), [])


class TheRing(unittest.TestCase):
    def test_it_goes_round_many_times_and_sectors_wear_evenly(self):
        journal = fresh()
        for number in range(500):
            self.assertEqual(settled(journal), number + 1)
            journal.ack(ALL)
            journal.idle()
        again = journal_on(journal._flash.rebooted())
        self.assertEqual((again.seq, again.waiting), (500, 0))
        self.assertLess(journal._flash.erases, 500 // 7 + 8)

    def test_nothing_unacknowledged_is_erased_and_a_full_journal_says_so(self):
        journal = fresh(sectors=4)
        alarms = 0
        with self.assertRaises(JournalFull):
            for _ in range(100):
                settled(journal)
                alarms += journal.fill_permille() >= ALARM_PERMILLE
                journal.idle()
        self.assertEqual(sorted(pending(journal)), list(range(1, 4 * 7 - AMEND_RESERVE + 1)))
        self.assertEqual(journal.fill_permille(), 1000)
        self.assertGreater(alarms, 0)

        journal.ack(ALL)
        while journal.idle():
            pass
        self.assertEqual(settled(journal), 4 * 7 - AMEND_RESERVE + 1)
        self.assertLess(journal.fill_permille(), ALARM_PERMILLE)

    def test_a_full_journal_still_resolves_every_claim_it_remembers(self):
        journal = fresh(sectors=4)
        claims = [journal.claim(**fields(number)) for number in range(INTENT_MAX)]
        for claim in claims:
            claim.give_up()
        with self.assertRaises(JournalFull):
            while True:
                journal.event(wire.BOOT)
                journal.idle()
        for claim in claims:
            claim.prove(TAC, wire.MAC2_UNCHECKED)
        self.assertEqual(len(pending(journal)), 4 * 7)

    def test_a_tap_never_erases(self):
        journal = fresh()
        erases = journal._flash.erases
        with self.assertRaises(JournalFull):
            for _ in range(100):
                settled(journal)
                journal.ack(ALL)
        self.assertEqual(journal._flash.erases, erases)

    def test_an_entry_of_a_worn_slot_goes_to_the_next_and_the_wear_is_reported(self):
        journal = fresh()
        journal._flash.cells[128 + 6] = 0  # the first byte of at_s
        self.assertEqual(settled(journal), 1)
        journal.idle()
        for each in (journal, journal_on(journal._flash.rebooted())):
            self.assertEqual(pending(each), {1: (wire.TAP, wire.SETTLED), 2: (wire.EVENT, None)})
        body, _ = wire.from_wire(journal.pending(9, 9999)[1][1])
        self.assertEqual((body.code, body.value), (wire.FLASH_WORN, 0))

    def test_a_rotted_entry_does_not_lend_its_sequence_to_the_next(self):
        journal = fresh()
        settled(journal)
        settled(journal)
        journal._flash.cells[2 * 128 + 40] ^= 0x10
        self.assertEqual(settled(journal_on(journal._flash.rebooted())), 3)

    def test_one_rotted_bit_costs_nothing(self):
        for name, at in (
            ("the newest header's format", 1024 + 3),
            ("the newest header's use", 1024 + 17),
            ("its second copy", 1024 + 37),
            ("an ack mark that is not set", 1024 + 128 + 112),
            ("the drained mark of the oldest", 56),
        ):
            with self.subTest(name=name):
                journal = fresh()
                for number in range(9):
                    settled(journal, number)
                journal._flash.cells[at] &= 0xFF ^ (journal._flash.cells[at] & -journal._flash.cells[at])
                self.assertEqual(state(journal_on(journal._flash.rebooted())), state(journal))

    def test_a_torn_claim_whose_cells_settle_later_stays_forgotten(self):
        journal = fresh()
        flash = journal._flash.rebooted()
        with self.assertRaises(PowerCut):
            cut_after(journal_on(flash), 99).claim(**fields(1))
        again = journal_on(flash.rebooted())
        again.event(wire.BOOT)
        journal.claim(**fields(1))
        again._flash.cells[128:228] = journal._flash.cells[128:228]
        last = journal_on(again._flash.rebooted())
        self.assertEqual((pending(last), last.open_claims()), ({1: (wire.EVENT, None)}, []))


class FirstBoot(unittest.TestCase):
    def test_a_blank_flash_gets_a_journal_and_keeps_its_epoch(self):
        flash = NorFlash()
        journal_on(flash, epoch=1)
        self.assertEqual(journal_on(flash.rebooted(), epoch=2).epoch, 1)

    def test_an_interrupted_first_boot_begins_again_at_any_byte(self):
        for cut in range(1000):
            flash = NorFlash(cut_after=cut)
            try:
                journal_on(flash, epoch=1)
            except PowerCut:
                journal = journal_on(flash.rebooted(), epoch=2)
                while journal.idle():
                    pass
                self.assertEqual(settled(journal), 1)
            else:
                self.assertGreater(cut, 50)
                return
        self.fail("the first boot never ended")

    def test_doubt_never_formats(self):
        for name, at, byte in (
            ("another header", 0, 0x00),
            ("a stray byte in a slot", 3 * 128 + 9, 0x7F),
            ("a stray byte in a later header", 5 * 1024, 0x59),
            ("the last byte", 8 * 1024 - 1, 0xFE),
        ):
            with self.subTest(name=name):
                flash = NorFlash()
                flash.cells[at] = byte
                before = bytes(flash.cells)
                with self.assertRaises(ForeignFlash):
                    journal_on(flash)
                self.assertEqual(bytes(flash.cells), before)

    def test_a_journal_of_another_layout_or_size_is_left_alone(self):
        journal = fresh()
        settled(journal)
        for other in (
            NorFlash(sectors=4, cells=journal._flash.cells[: 4 * 1024]),
            NorFlash(sectors=16, cells=journal._flash.cells + bytearray(b"\xff" * 8 * 1024)),
            NorFlash(page_bytes=64),
            NorFlash(sectors=3),
        ):
            with self.assertRaises(ForeignFlash):
                journal_on(other)

    def test_two_journals_on_one_flash_are_refused(self):
        first = fresh()
        second = journal_on(NorFlash(), epoch=77)
        cells = first._flash.cells[:1024] + first._flash.cells[1024:]
        cells[5 * 1024 : 6 * 1024] = second._flash.cells[:1024]
        with self.assertRaises(ForeignFlash):
            journal_on(NorFlash(cells=cells))

    def test_sectors_out_of_order_are_refused(self):
        journal = fresh()
        for number in range(15):
            settled(journal, number)
            journal.idle()
        cells = journal._flash.cells
        with self.assertRaises(ForeignFlash):
            journal_on(NorFlash(cells=cells[1024:2048] + cells[:1024] + cells[2048:]))


class PowerCuts(unittest.TestCase):
    """Each operation is cut at every byte. After the reboot the journal is as before the operation or as after it."""

    def sweep(self, before, operate, between=None, erase_order=FORWARD):
        """before, operate: functions of a journal. between(state) allows states that are neither."""
        ready = fresh()
        before(ready)
        start = bytes(ready._flash.cells)

        def at_start():
            return NorFlash(cells=bytearray(start), erase_order=erase_order)

        was = state(journal_on(at_start()))
        whole = journal_on(at_start())
        operate(whole)
        becomes = state(whole)
        self.assertEqual(state(journal_on(whole._flash.rebooted())), becomes)

        for cut in range(100000):
            flash = at_start()
            journal = cut_after(journal_on(flash), cut)
            try:
                operate(journal)
            except PowerCut:
                pass
            else:
                self.assertGreater(cut, 0)
                return
            again = journal_on(flash.rebooted())
            now = state(again)
            if now not in (was, becomes) and not (between and between(now)):
                self.fail("cut after %d bytes: %r is neither %r nor %r" % (cut, now, was, becomes))
            self.goes_on(again)
        self.fail("the operation never ended")

    def goes_on(self, journal):
        """After any cut: claims resolve, the next tap has the next number, all is acknowledged."""
        for claim in journal.open_claims():
            claim.give_up()
        while journal.idle():
            pass
        expected = journal.seq + 1
        self.assertEqual(settled(journal), expected)
        journal.ack(ALL)
        self.assertEqual((pending(journal), journal.waiting), ({}, 0))
        again = journal_on(journal._flash.rebooted())
        self.assertEqual((pending(again), again.waiting, again.seq), ({}, 0, expected))

    def some_taps(self, count):
        def before(journal):
            for number in range(count):
                settled(journal, number)
                journal.idle()

        return before

    def open_claim(self, journal):
        settled(journal)
        journal.claim(**fields(1))

    def test_claim(self):
        self.sweep(self.some_taps(2), lambda journal: journal.claim(**fields(9)))

    def test_claim_in_a_new_sector(self):
        self.sweep(self.some_taps(7), lambda journal: journal.claim(**fields(9)))

    def test_event(self):
        self.sweep(self.some_taps(2), lambda journal: journal.event(wire.READER_LOST, value=-5))

    def test_every_outcome(self):
        for name, outcome in (
            ("settle", lambda claim: claim.settle(TAC, wire.MAC2_OK)),
            ("prove", lambda claim: claim.prove(TAC, wire.MAC2_UNCHECKED)),
            ("void", lambda claim: claim.void(0x9406)),
            ("dispute", lambda claim: claim.dispute(TAC)),
            ("give up", lambda claim: claim.give_up()),
        ):
            with self.subTest(name=name):
                self.sweep(self.open_claim, lambda journal, outcome=outcome: outcome(journal.open_claims()[0]))

    def test_amend_of_a_grey_tap(self):
        def before(journal):
            self.open_claim(journal)
            journal.open_claims()[0].give_up()

        self.sweep(before, lambda journal: journal._claims[0].prove(TAC, wire.MAC2_UNCHECKED))

    def test_a_torn_outcome_is_amended_and_the_amend_may_be_torn_too(self):
        def before(journal):
            self.open_claim(journal)
            journal._flash.cells[2 * 128 + 100] = wire.SETTLED  # the outcome's first byte, then darkness

        self.sweep(before, lambda journal: journal.open_claims()[0].settle(TAC, wire.MAC2_OK))

    def test_a_tap_with_a_torn_outcome_is_sent_with_the_amended_one(self):
        journal = fresh()
        self.open_claim(journal)
        journal._flash.cells[2 * 128 + 100] = wire.SETTLED
        again = journal_on(journal._flash.rebooted())
        again.open_claims()[0].settle(TAC, wire.MAC2_OK)
        expected = {1: (wire.TAP, wire.SETTLED), 2: (wire.TAP, wire.SETTLED), 3: (wire.AMEND, wire.SETTLED)}
        for each in (again, journal_on(again._flash.rebooted())):
            self.assertEqual(pending(each), expected)

    def test_ack(self):
        self.sweep(
            self.some_taps(4),
            lambda journal: journal.ack([[1, 1], [3, 4]]),
            between=lambda now: {2} <= set(now[0]) <= {1, 2, 3, 4} and now[2] == len(now[0]),
        )

    def test_ack_that_lets_sectors_go(self):
        self.sweep(
            self.some_taps(16),
            lambda journal: journal.ack(ALL),
            between=lambda now: now[2] == len(now[0]) < 16 and sorted(now[0])[-1] == 16,
        )

    def test_reject(self):
        self.sweep(self.some_taps(2), lambda journal: journal.reject([2]))

    def test_erasing_ahead(self):
        def before(journal):
            for number in range(8 * 7 + 3):
                settled(journal, number)
                if number != 50:
                    journal.ack([[1, number + 1]])
                while number < 8 * 7 and journal.idle():
                    pass
            copy = NorFlash(cells=bytearray(journal._flash.cells))
            journal_on(copy).idle()
            self.assertEqual(copy.erases, 1)

        for order in (FORWARD, BACKWARD, MARKS_FIRST):
            with self.subTest(order=order):
                self.sweep(before, lambda journal: journal.idle(), erase_order=order)

    def test_a_cut_while_recovering_from_a_cut(self):
        journal = fresh()
        self.open_claim(journal)
        flash = journal._flash.rebooted()
        with self.assertRaises(PowerCut):
            cut_after(journal_on(flash), 60).claim(**fields(2))
        torn = bytes(flash.cells)
        for cut in range(1000):
            flash = NorFlash(cells=bytearray(torn), cut_after=cut)
            try:
                journal_on(flash)
            except PowerCut:
                pass
            else:
                self.assertGreater(cut, 0)
                return
            again = journal_on(flash.rebooted())
            self.assertEqual(([claim.seq for claim in again.open_claims()], again.seq), ([2], 2))
            self.goes_on(again)


if __name__ == "__main__":
    unittest.main()
