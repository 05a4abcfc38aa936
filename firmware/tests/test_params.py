"""Parameter banks: staged in pieces, checked, active at their time; a power cut leaves one set or the other."""

import unittest

from support import sets
from support.manual_clock import ManualClock
from support.nor import BACKWARD, FORWARD, NorFlash, PowerCut
from support.signer import Signer
from tunion import cbor
from tunion.fare.flat import FlatFare
from tunion.wire import params as wire
from tunion.wire.limits import SET_BYTES
from tunion.wire.tap import PARAMS_ACTIVE, PARAMS_REFUSED
from validator.bank import HEADER
from validator.params import FETCHES_MAX, Params, sectors_needed
from validator.pointer import POINTER, TRIALS_MAX
from validator.ring import JournalFull
from validator.rules import Rules

HEAP = "1m"  # several flash images

ZERO = Rules(0, FlatFare(1, 1, 200, {}), [sets.HOME], [], 500000, False, 14400, False, 5, None)
BLOBS = {version: sets.sealed(sets.payload(version, fare_fen=200 + 50 * version)) for version in (2, 3, 4)}
LATER_S = sets.EFFECTIVE_S + 1000
SECTOR_BYTES = 1024


class Notes:
    """What a journal would be told: (code, reason, value)."""

    def __init__(self):
        self.events = []
        self.full = False

    def event(self, code, reason=0, card=None, value=0):
        if self.full:
            raise JournalFull("no room")
        self.events.append((code, reason, value))


def make_flash(**options):
    flash = NorFlash(sectors=1, sector_bytes=SECTOR_BYTES, **options)
    return NorFlash(sectors=sectors_needed(flash), sector_bytes=SECTOR_BYTES, **options)


def record(flash):
    """A list that grows by each address that is programmed."""
    programmed = []
    program = flash.program

    def noted(address, data):
        programmed.extend(range(address, address + len(data)))
        program(address, data)

    flash.program = noted
    return programmed


def entry(version):
    return sets.entry(version, BLOBS[version])


class Case(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock()
        self.notes = Notes()
        self.flash = make_flash()
        self.boot()

    def boot(self, cut_after=None, keys=(sets.SIGNER.key,), scope=sets.SCOPE):
        self.flash = self.flash.rebooted(cut_after)
        self.params = Params(self.flash, ZERO, scope, keys, self.notes, self.clock)
        return self.params

    def work(self, entries, blobs=None, steps=2000):
        """As the download does: choose, begin, feed, step, until nothing more happens. Returns bytes fetched."""
        blobs = blobs or BLOBS
        params = self.params
        chosen = params.choose(entries)
        fetched = 0
        if chosen is not None:
            params.begin(chosen)
        for _ in range(steps):
            offset = params.next_offset()
            if offset >= 0:
                piece = blobs[chosen.version][offset : offset + 2048]
                fetched += len(piece)
                params.feed(piece)
            if params.step():
                break
        return fetched

    def reach(self, at_s=LATER_S):
        self.clock.advance_ms(1000 * max(0, at_s - self.clock.now_s()))

    def activate(self, version):
        self.work([entry(version)])
        self.reach()
        self.params.step()
        self.assertEqual(self.params.version, version)


class Life(Case):
    def test_a_set_is_staged_checked_and_active_at_its_time_and_not_before(self):
        self.assertEqual((self.params.version, self.params.rules.fare.price(1).amount_fen), (0, 200))
        self.assertEqual(self.work([entry(2)]), len(BLOBS[2]))
        self.assertEqual((self.params.version, self.params.staged_version), (0, 2))
        self.reach(sets.EFFECTIVE_S - 1)
        self.assertFalse(self.params.step())
        self.assertEqual(self.params.version, 0)
        self.reach(sets.EFFECTIVE_S)
        self.assertTrue(self.params.step())
        self.assertEqual((self.params.version, self.params.staged_version), (2, 0))
        self.assertEqual([self.params.rules.fare.price(kind).amount_fen for kind in (1, 2)], [300, 210])
        self.assertEqual(self.params.rules.issuers, [sets.HOME, sets.FOREIGN])
        self.params.step()
        self.assertEqual(self.notes.events, [(PARAMS_ACTIVE, 0, 2)])
        self.boot().step()
        self.assertEqual((self.params.version, self.notes.events), (2, [(PARAMS_ACTIVE, 0, 2)]))

    def test_what_is_staged_survives_a_boot_and_needs_no_second_download(self):
        self.work([entry(2)])
        self.boot()
        self.assertEqual((self.params.staged_version, self.params.choose([entry(2)])), (2, None))
        self.reach()
        self.params.step()
        self.assertEqual(self.params.version, 2)

    def test_a_clock_that_was_never_set_activates_nothing(self):
        self.work([entry(2)])
        self.reach()
        self.clock.clk_q = 0
        self.assertFalse(self.params.step())
        self.clock.clk_q = 2
        self.assertTrue(self.params.step())

    def test_a_clock_set_back_leaves_the_active_set_active(self):
        self.activate(2)
        self.clock.set(sets.EFFECTIVE_S - 5000)
        self.boot().step()
        self.assertEqual(self.params.version, 2)

    def test_the_set_before_stays_until_a_card_has_paid_under_the_new_one(self):
        self.activate(2)
        self.params.card_came()
        self.params.card_paid()
        self.activate(3)
        self.assertEqual(self.params.choose([entry(4)]), None)
        self.boot()
        self.assertEqual(self.params.choose([entry(4)]), None)
        self.params.card_came()
        self.params.card_paid()
        self.assertEqual(self.params.choose([entry(4)]), entry(4))
        self.activate(4)

    def test_a_set_under_which_no_card_can_pay_is_left_for_the_one_before(self):
        self.activate(2)
        self.params.card_came()
        self.params.card_paid()
        self.activate(3)
        for number in range(TRIALS_MAX):
            self.params.step()
            self.assertEqual(self.params.version, 3)
            self.params.card_came()
            if number % 3 == 0:
                self.boot()
        self.params.card_came()  # one more before the next turn
        self.assertTrue(self.params.step())
        self.assertEqual((self.params.version, self.params.rules.fare.price(1).amount_fen), (2, 300))
        self.params.step()
        self.assertEqual(self.notes.events[-1], (PARAMS_ACTIVE, wire.TAKES_NO_CARD, 2))
        self.boot()
        self.assertEqual((self.params.version, self.params.choose([entry(2), entry(3)])), (2, None))
        self.assertEqual(self.params.choose([entry(3), entry(4)]), entry(4))
        self.activate(4)

    def test_the_first_set_falls_back_to_the_provisioning_file(self):
        self.activate(2)
        for _ in range(TRIALS_MAX):
            self.params.card_came()
        self.assertTrue(self.params.step())
        self.assertEqual((self.params.version, self.boot().version), (0, 0))
        self.assertEqual(self.params.choose([entry(2)]), None)
        self.activate(3)

    def test_fifteen_refused_cards_and_one_that_pays_prove_a_set(self):
        self.activate(2)
        for _ in range(TRIALS_MAX):
            self.params.card_came()
        self.params.card_paid()
        self.params.step()
        self.assertEqual((self.params.version, self.boot().version), (2, 2))

    def test_many_sets_one_after_the_other_use_both_pointer_sectors(self):
        version = 1
        for _ in range(3 * SECTOR_BYTES // 64):
            version += 1
            blob = sets.sealed(sets.payload(version), signer=FAST)
            self.boot(keys=(FAST.key,))
            self.work([sets.entry(version, blob)], {version: blob})
            self.reach()
            self.params.step()
            self.assertEqual(self.params.version, version)
            self.params.card_came()
            self.params.card_paid()
        self.assertEqual(self.boot(keys=(FAST.key,)).version, version)


class FastSigner(Signer):
    """The same signature for one digest is made once; secret 1 makes a short key derivation."""

    def __init__(self):
        super().__init__(1)


FAST = FastSigner()


class Choice(Case):
    def test_what_comes_first_is_staged_first_and_not_given_up_for_later(self):
        both = [entry(3), entry(2)]
        self.assertEqual(self.params.choose(both), entry(2))
        self.work(both)
        self.assertEqual((self.params.staged_version, self.params.choose(both)), (2, None))

    def test_a_later_version_replaces_a_staged_one_that_is_no_longer_offered(self):
        self.work([entry(2)])
        self.work([entry(3)])
        self.assertEqual(self.params.staged_version, 3)

    def test_other_kinds_and_impossible_sizes_are_passed_over(self):
        for strange in (
            sets.entry(2, BLOBS[2], kind="firmware"),
            sets.entry(2, BLOBS[2], bytes=0),
        ):
            self.assertEqual(self.params.choose([strange]), None)
        self.assertEqual((self.params.choose([]), self.notes.events), (None, []))

    def test_a_set_larger_than_a_bank_is_refused_by_name_once_and_the_next_one_taken(self):
        large = sets.entry(2, BLOBS[2], bytes=SET_BYTES + 1)
        for _ in range(3):
            self.assertEqual(self.params.choose([large]), None)
            self.assertEqual(self.params.choose([large, entry(3)]), entry(3))
        self.assertEqual(self.notes.events, [(PARAMS_REFUSED, wire.TOO_LARGE, 2)])
        self.notes.full = True
        self.boot().choose([large])
        self.notes.full = False
        self.params.choose([large])
        self.assertEqual(self.notes.events, 2 * [(PARAMS_REFUSED, wire.TOO_LARGE, 2)])

    def test_a_downgrade_is_refused_by_name_once(self):
        self.activate(3)
        self.notes.events.clear()
        for _ in range(3):
            self.assertEqual(self.params.choose([entry(2)]), None)
        self.assertEqual(self.notes.events, [(PARAMS_REFUSED, wire.DOWNGRADE, 2)])


class Refusals(Case):
    def refused(self, blob, version=2, **boot):
        """Offer a blob; returns the refusal that was journaled. It is never fetched again, not even after a boot."""
        self.notes.events.clear()
        self.boot(**boot)
        offer = sets.entry(version, blob)
        self.work([offer], {version: blob})
        self.reach()
        self.params.step()
        self.assertEqual((self.params.version, len(self.notes.events)), (0, 1))
        self.boot(**boot)
        self.assertEqual(self.params.choose([offer]), None)
        self.params.step()
        code, reason, value = self.notes.events[0]
        self.assertEqual((code, value, len(self.notes.events)), (PARAMS_REFUSED, version, 1))
        return reason

    def test_a_foreign_key_a_flipped_signature_and_a_flipped_byte(self):
        self.assertEqual(self.refused(sets.sealed(sets.payload(), Signer(77))), wire.BAD_SIGNATURE)
        blob = BLOBS[2]
        for at in (len(blob) - 1, len(blob) - 40, 40, 100):
            flipped = bytearray(blob)
            flipped[at] ^= 4
            self.assertEqual(self.refused(bytes(flipped)), wire.BAD_SIGNATURE)

    def test_a_signed_blob_that_is_no_set(self):
        self.assertEqual(self.refused(sets.sealed(b"\x80")), wire.BAD_CONTENT)
        self.assertEqual(self.refused(b"\x00" * 300), wire.BAD_CONTENT)
        self.assertEqual(self.refused(b"\x84"), wire.BAD_CONTENT)

    def test_a_sample_price_that_comes_out_differently(self):
        fields = cbor.decode(sets.payload())
        fields[7][0][3] += 1
        self.assertEqual(self.refused(sets.sealed(cbor.encode(fields))), wire.BAD_CONTENT)

    def test_a_set_of_another_scope(self):
        self.assertEqual(self.refused(BLOBS[2], scope="OTHER"), wire.FOREIGN_SCOPE)

    def test_a_set_that_says_another_version_than_its_manifest(self):
        self.assertEqual(self.refused(BLOBS[2], version=5), wire.BAD_CONTENT)

    def test_an_old_set_under_a_new_number_is_a_downgrade(self):
        self.activate(3)
        self.params.card_came()
        self.params.card_paid()
        self.work([sets.entry(5, BLOBS[2])], {5: BLOBS[2]})
        self.assertEqual(self.notes.events[-1], (PARAMS_REFUSED, wire.DOWNGRADE, 5))
        self.assertEqual(self.params.version, 3)

    def test_a_set_that_expired_before_its_time_came(self):
        blob = sets.sealed(sets.payload(expires_at_s=sets.EFFECTIVE_S + 10))
        self.assertEqual(self.refused(blob), wire.EXPIRED)

    def test_a_second_key_is_taken_while_one_is_replaced(self):
        self.boot(keys=(Signer(77).key, sets.SIGNER.key))
        self.activate(2)

    def test_a_spoilt_download_is_fetched_again_some_times_and_then_left(self):
        offer = entry(2)
        spoilt = {2: BLOBS[2][:-1] + b"\x00"}
        for _ in range(FETCHES_MAX):
            self.assertEqual(self.work([offer], spoilt), len(BLOBS[2]))
        self.assertEqual(self.params.choose([offer]), None)
        self.assertEqual(self.notes.events, [(PARAMS_REFUSED, wire.BAD_HASH, 2)] * FETCHES_MAX)
        self.boot()
        self.activate(2)

    def test_a_full_journal_delays_words_and_nothing_else(self):
        self.notes.full = True
        self.activate(2)
        self.params.step()
        self.assertEqual(self.notes.events, [])
        self.notes.full = False
        self.params.step()
        self.assertEqual(self.notes.events, [(PARAMS_ACTIVE, 0, 2)])

    def test_an_active_set_that_the_flash_lost_is_left_for_the_one_before(self):
        self.activate(2)
        self.params.card_came()
        self.params.card_paid()
        self.activate(3)
        start = (2 + (sectors_needed(self.flash) - 2) // 2) * SECTOR_BYTES
        self.flash.cells[start + 256 + 50] ^= 1  # the second bank's blob
        self.boot()
        self.assertEqual(self.params.version, 2)
        self.params.step()
        self.assertEqual(self.notes.events[-1], (PARAMS_ACTIVE, wire.UNREADABLE, 2))
        self.flash.cells[2 * SECTOR_BYTES + 256 + 50] ^= 1  # and the first
        self.boot()
        self.assertEqual(self.params.version, 0)

    def test_a_set_that_was_left_for_good_does_not_come_back_when_the_one_after_it_is_lost(self):
        self.activate(2)
        self.params.card_came()
        self.params.card_paid()
        self.activate(3)
        for _ in range(TRIALS_MAX):
            self.params.card_came()
        self.params.step()
        self.assertEqual(self.params.version, 2)
        self.flash.cells[2 * SECTOR_BYTES + 256 + 50] ^= 1
        self.assertEqual(self.boot().version, 0)

    def test_a_staged_set_that_the_flash_lost_does_not_become_active(self):
        self.work([entry(2)])
        self.flash.cells[2 * SECTOR_BYTES + 256 + 50] ^= 1
        self.reach()
        self.assertFalse(self.params.step())
        self.assertEqual((self.params.version, self.notes.events), (0, [(PARAMS_REFUSED, wire.UNREADABLE, 2)]))


class PowerCuts(Case):
    """The power fails at every byte programmed and every part erased, and again while that is recovered from."""

    def story(self):
        """Version 2 has served; 3 is staged, checked, activated, told, and serves."""
        self.work([entry(3)])
        self.reach()
        self.params.step()
        self.params.step()
        self.params.card_came()
        self.params.card_paid()

    def prepared(self, erase_order):
        self.flash = make_flash(erase_order=erase_order)
        self.boot()
        self.activate(2)
        self.params.step()
        self.params.card_came()
        self.params.card_paid()
        # The other bank held something, so that there is something to be erased.
        self.work([sets.entry(9, BLOBS[4])], {9: BLOBS[4]})
        return bytes(self.flash.cells)

    def cut_story(self, cut):
        """True if the power failed. Whatever happened, what is in force is 2 or 3, whole."""
        try:
            self.boot(cut)
            self.story()
        except PowerCut:
            failed = True
        else:
            failed = False
        return failed

    def check_in_force(self, allowed):
        self.boot()
        self.assertIn(self.params.version, allowed)
        self.assertEqual(self.params.rules.fare.price(1).amount_fen, 200 + 50 * self.params.version)
        return self.params.version

    def sweep(self, erase_order, again_each):
        start = self.prepared(erase_order)
        start_s = self.clock.now_s()
        cut = 0
        failed = True
        while failed:
            self.clock.set(start_s)
            self.notes.events.clear()
            self.flash = make_flash(cells=bytearray(start), erase_order=erase_order)
            failed = self.cut_story(cut)
            reached = self.check_in_force((2, 3))
            torn = bytes(self.flash.cells)
            for again in range(cut % again_each, 400 if failed else 0, again_each):
                self.flash = make_flash(cells=bytearray(torn), erase_order=erase_order)
                failed_again = self.cut_story(again)
                self.assertTrue(self.check_in_force((2, 3)) >= reached)
                if not failed_again:
                    break
            self.story()  # and with power it always ends well
            self.assertEqual(self.check_in_force((3,)), 3)
            self.assertIn((PARAMS_ACTIVE, 0, 3), self.notes.events)
            cut += self.stride
        return cut

    def test_a_pointer_entry_torn_at_any_byte_is_stepped_over_by_another_set(self):
        for cut in range(POINTER.size):
            self.flash = make_flash()
            self.notes.events.clear()
            self.clock = ManualClock()
            self.boot()
            self.activate(2)
            self.params.step()
            self.params.card_came()
            self.params.card_paid()
            self.clock.set(sets.EFFECTIVE_S - 100)
            self.work([entry(3)])
            self.reach()
            self.boot()
            self.flash.cut_after = HEADER.size + 1 + (len(BLOBS[3]) + 127) // 128 + cut  # the bank is made firm first
            with self.assertRaises(PowerCut):
                for _ in range(3):
                    self.params.step()
            self.boot()
            if self.params.version == 3:  # the last byte lacked no bit
                self.params.card_paid()
            self.work([entry(4)])
            self.params.step()
            self.assertEqual((self.params.version, self.boot().version), (4, 4))

    def test_what_a_cut_left_and_what_reads_whole_is_programmed_again_before_it_is_relied_on(self):
        self.work([entry(2)])
        per_bank = (sectors_needed(self.flash) - 2) // 2
        bank_at, pointer_at = 2 * SECTOR_BYTES, SECTOR_BYTES
        self.assertTrue(per_bank > 1)
        self.reach()
        programmed = record(self.flash)
        self.params.step()  # active
        for at in (bank_at, bank_at + 51, bank_at + 56, bank_at + 128):  # header, proven, the first mark
            self.assertIn(at, programmed)
        self.flash = self.flash.rebooted()
        programmed = record(self.flash)
        self.params = Params(self.flash, ZERO, sets.SCOPE, [sets.SIGNER.key], self.notes, self.clock)
        self.assertEqual(programmed, list(range(pointer_at, pointer_at + POINTER.size)))
        self.params.card_paid()
        self.params.step()
        self.flash = self.flash.rebooted()
        programmed = record(self.flash)
        self.params = Params(self.flash, ZERO, sets.SCOPE, [sets.SIGNER.key], self.notes, self.clock)
        self.assertEqual(programmed, [pointer_at + 32])

    def test_a_torn_pointer_entry_is_voided_once_and_foreign_bytes_are_left_alone(self):
        self.work([entry(2)])
        self.reach()
        self.flash.cut_after = HEADER.size + 1 + (len(BLOBS[2]) + 127) // 128 + 16 + POINTER.size - 2  # and an erase
        with self.assertRaises(PowerCut):
            self.params.step()
        self.flash = self.flash.rebooted()
        programmed = record(self.flash)
        for _ in range(2):
            self.params = Params(self.flash, ZERO, sets.SCOPE, [sets.SIGNER.key], self.notes, self.clock)
            self.assertEqual(programmed, list(range(SECTOR_BYTES, SECTOR_BYTES + POINTER.size)))
        self.assertEqual(self.params.version, 0)
        foreign = (b"No validator wrote this, nor YP. " * 2)[:64]
        self.flash.cells[: 2 * SECTOR_BYTES] = foreign * (2 * SECTOR_BYTES // 64)
        Params(self.flash, ZERO, sets.SCOPE, [sets.SIGNER.key], self.notes, self.clock)
        self.assertEqual(len(programmed), POINTER.size)

    stride = 29  # every byte in tests/props/test_params.py

    def test_every_cut_leaves_one_whole_set_in_force_and_ends_well(self):
        for order in (FORWARD, BACKWARD):
            self.assertTrue(self.sweep(order, 97) > 500)


if __name__ == "__main__":
    unittest.main()
