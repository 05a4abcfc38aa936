"""Every entry reaches the office once, whatever the network does, and only the office's word erases one."""

import unittest

from support.bus import PanelNotes, settings
from support.manual_clock import ManualClock
from support.nor import NorFlash
from support.office import DEAF, LOST, Office
from support.taps import fields
from tunion.wire import sync as wire
from tunion.wire import tap
from validator.journal import Journal
from validator.ports import Response
from validator.sync import EPOCH_WAIT_S, Sync

HEAP = "2m"  # a flash image and everything compiled on the spot lie in it
HOUR_MS = 3600 * 1000


class SyncCase(unittest.TestCase):
    def setUp(self):
        self.start()

    def start(self, **changes):
        self.settings = settings(**changes)
        self.clock = ManualClock()
        self.office = Office(self.settings, self.clock)
        self.panel = PanelNotes()
        self.flash = NorFlash(sectors=10, sector_bytes=2048)
        self.draws = []
        self.boot()

    def boot(self):
        self.journal = Journal(self.flash, self.clock, lambda: 0xC0FFEE01)
        while self.journal.idle():
            pass
        self.sync = Sync(
            self.office,
            self.journal,
            self.clock,
            self.panel,
            self.settings,
            {"deny": 3, "fare": 1, "firmware": "0.1.0"},
            self.draw,
            lambda: 100000,
        )

    def draw(self, limit):
        """The longest wait that the jitter allows; the limits are kept."""
        self.draws.append(limit)
        return limit - 1

    def tap(self, number=0):
        self.journal.claim(**fields(number)).settle(b"\x62\x4a\x55\x80", tap.MAC2_OK)
        self.journal.idle()

    def turn(self, turns=4, card_present=False):
        for _ in range(turns):
            self.sync.step(card_present)

    def posts_within(self, wait_ms):
        """How many POSTs go out in the next `wait_ms`, looking every 100 ms."""
        before = len(self.office.bodies)
        until_ms = self.clock.ticks_ms() + wait_ms
        while self.clock.ticks_ms() < until_ms:
            self.turn()
            self.clock.advance_ms(100)
        return len(self.office.bodies) - before


class Sending(SyncCase):
    def test_the_first_contact_is_at_once_and_needs_no_entries(self):
        self.turn()
        upload = self.office.uploads[0]
        self.assertEqual((upload.records, upload.events, upload.msg_seq), ([], [], 1))
        self.assertEqual((upload.device_id, upload.epoch, upload.heap_free), (0x1A01, 0xC0FFEE01, 100000))
        self.assertEqual(upload.versions, {"deny": 3, "fare": 1, "firmware": "0.1.0"})

    def test_taps_and_amends_travel_as_records_and_events_as_events(self):
        self.tap()
        self.journal.event(tap.READER_LOST)
        claim = self.journal.claim(**fields(2))
        claim.give_up()
        claim.prove(b"\x62\x4a\x55\x80", tap.MAC2_UNCHECKED)
        self.turn()
        upload = self.office.uploads[0]
        self.assertEqual([tap.from_wire(entry)[0].seq for entry in upload.records], [1, 3, 4])
        self.assertEqual([tap.from_wire(entry)[0].seq for entry in upload.events], [2])
        self.assertTrue(self.sync.is_drained())

    def test_a_few_entries_wait_for_the_interval_and_many_do_not(self):
        self.turn()
        self.tap()
        self.assertEqual(self.posts_within(299000), 0)
        self.assertEqual(self.posts_within(2000), 1)
        for number in range(16):
            self.tap(number)
        self.assertGreater(self.posts_within(500), 0)
        self.assertTrue(self.sync.is_drained())

    def test_a_backlog_goes_in_batches_without_waiting_between(self):
        for number in range(70):
            self.tap(number)
        self.turn(80)
        self.assertEqual(sorted(self.office.entries), list(range(1, 71)))
        self.assertEqual(self.journal.waiting, 0)
        for body in self.office.bodies:
            self.assertLess(len(body), wire.UPLOAD_BYTES_MAX)

    def test_the_office_may_ask_for_smaller_batches(self):
        self.office.changes["max_batch"] = 3
        self.turn()
        for number in range(16):
            self.tap(number)
        self.turn(40)
        self.assertEqual(max(len(upload.records) for upload in self.office.uploads), 3)

    def test_a_driver_in_a_hurry_does_not_wait(self):
        self.turn()
        self.tap()
        self.sync.hurry = True
        self.turn()
        self.assertEqual(sorted(self.office.entries), [1])

    def test_a_full_journal_does_not_wait(self):
        self.start(sync_entries=10000)
        self.turn()
        number = 0
        while self.journal.fill_permille() < 800:
            self.assertEqual(self.posts_within(100), 0)
            self.tap(number)
            number += 1
        self.assertGreater(self.posts_within(1000), 0)

    def test_an_open_claim_is_not_sent_and_not_erased(self):
        self.journal.claim(**fields(1))
        self.tap(2)
        self.turn()
        self.assertEqual(sorted(self.office.entries), [2])
        self.assertEqual(len(self.journal.open_claims()), 1)
        self.assertTrue(self.sync.is_drained())


class Losing(SyncCase):
    def test_lost_requests_and_lost_answers_repeat_the_same_bytes_until_answered(self):
        self.office.faults = [LOST, DEAF, DEAF, 502, None]
        self.tap()
        self.posts_within(HOUR_MS)
        self.assertEqual(len(set(self.office.bodies[:5])), 1)
        self.assertEqual((sorted(self.office.entries), self.journal.waiting), ([1], 0))
        self.assertEqual(len([1 for upload in self.office.uploads if upload.records]), 1)

    def test_taps_during_an_outage_follow_in_the_next_upload(self):
        self.office.faults = [LOST, LOST]
        self.tap(1)
        self.turn()
        self.tap(2)
        self.posts_within(HOUR_MS)
        self.assertEqual(sorted(self.office.entries), [1, 2])

    def test_the_wait_doubles_up_to_its_limit_with_full_jitter(self):
        self.office.faults = [LOST] * 12
        self.posts_within(4 * HOUR_MS)
        self.assertEqual(
            [limit // 1000 for limit in self.draws[:12]], [5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900, 900]
        )

    def test_no_more_is_sent_in_an_outage_than_the_waits_allow(self):
        self.office.faults = [LOST] * 10000
        self.assertLess(self.posts_within(24 * HOUR_MS), 8 + 24 * 4 + 2)

    def test_retry_after_of_a_busy_server_is_kept(self):
        self.draw = lambda limit: 0
        self.boot()
        self.office.faults = [503]
        self.turn()
        self.assertEqual(self.posts_within(29000), 0)
        self.assertEqual(self.posts_within(2000), 1)

    def test_retry_after_of_the_office_is_kept_even_by_a_driver_in_a_hurry(self):
        self.office.changes["retry_after_s"] = 600
        self.turn()
        self.sync.hurry = True
        self.tap()
        self.assertEqual(self.posts_within(595000), 0)
        self.assertEqual(self.posts_within(10000), 1)

    def test_a_reboot_between_upload_and_answer_sends_again_and_the_office_keeps_one(self):
        self.tap()
        self.office.faults = [DEAF]
        self.turn()
        self.flash = self.flash.rebooted()
        self.boot()
        self.posts_within(HOUR_MS)
        self.assertEqual((sorted(self.office.entries), self.journal.waiting), ([1], 0))


class Distrusting(SyncCase):
    def assert_ignored(self, fault):
        self.tap()
        self.office.faults = [fault]
        self.turn()
        self.assertEqual((self.journal.waiting, self.sync.is_drained()), (1, False))
        self.posts_within(HOUR_MS)
        self.assertEqual(self.journal.waiting, 0)

    def test_an_answer_under_another_key_is_ignored(self):
        def forged(body):
            return self.office.signed(self.office.reply(self.office.open(body)), mac=lambda message: bytes(32))

        self.assert_ignored(forged)

    def test_an_answer_to_another_message_device_or_journal_is_ignored(self):
        for name, value in (("msg_seq", 9), ("device_id", 5), ("epoch", 7)):
            with self.subTest(name=name):
                self.start()

                def other(body, name=name, value=value):
                    return self.office.signed(self.office.reply(self.office.open(body), **{name: value}))

                self.assert_ignored(other)

    def test_an_upload_played_back_is_no_answer(self):
        self.assert_ignored(lambda body: Response(200, 0, body))

    def test_a_body_that_is_no_message_is_ignored(self):
        for body in (b"", b"\xff" * 100, b"\x84\x43\xa1\x01\x05"):
            with self.subTest(body=body[:4]):
                self.start()
                self.assert_ignored(lambda _, body=body: Response(200, 0, body))

    def test_an_ack_of_what_was_not_sent_erases_nothing(self):
        def generous(body):
            upload = self.office.open(body)
            self.tap(2)  # settled after the upload was made
            return self.office.signed(self.office.reply(upload, ack=[[1, 0xFFFFFFFF]]))

        self.tap(1)
        self.office.faults = [generous]
        self.turn()
        self.assertEqual([seq for seq, _ in self.journal.pending(9, 9999)], [2])

    def test_an_answer_that_is_silent_about_the_entries_is_not_asked_again_at_once(self):
        self.office.changes["ack"] = []
        for number in range(20):
            self.tap(number)
        self.assertLess(self.posts_within(60000), 5)
        self.assertEqual(self.journal.waiting, 20)

    def test_a_rejected_entry_is_not_sent_again(self):
        self.office.rejects = (2,)
        for number in range(3):
            self.tap(number)
        self.posts_within(HOUR_MS)
        self.assertEqual((self.journal.rejected, self.journal.waiting), (1, 0))
        sent = [tap.from_wire(entry)[0].seq for upload in self.office.uploads for entry in upload.records]
        self.assertEqual(sent, [1, 2, 3])


class Refused(SyncCase):
    def test_a_stale_number_goes_on_after_the_stored_one_at_once(self):
        self.office.msg_seq = 57
        self.tap()
        self.turn(8)
        self.assertEqual(([upload.msg_seq for upload in self.office.uploads], self.journal.waiting), ([58], 0))

    def test_an_office_that_always_says_stale_is_not_asked_without_end(self):
        def stale(body):
            upload = self.office.open(body)
            return self.office.signed(
                wire.Refusal(1, upload.device_id, upload.epoch, upload.msg_seq, wire.STALE, upload.msg_seq), 409
            )

        self.office.faults = [stale] * 1000
        self.assertLess(self.posts_within(HOUR_MS), 40)

    def test_a_journal_that_is_not_enrolled_is_a_fault_on_the_panel_and_a_long_wait(self):
        self.office.epoch = 1
        self.tap()
        self.turn()
        self.assertEqual(self.panel.shown, [("fault", {"part": "net"})])
        self.assertEqual(self.posts_within(1000 * (EPOCH_WAIT_S - 5)), 0)
        self.office.epoch = None
        self.posts_within(20000)
        self.assertEqual((self.panel.last, self.journal.waiting), ("back", 0))


class TheTime(SyncCase):
    def test_the_clock_takes_the_offices_time_and_a_large_step_is_journaled(self):
        self.office.ahead_s = 1000
        self.turn()
        self.assertEqual(self.clock.now_s(), self.office.now_s())
        self.posts_within(HOUR_MS)
        event, _ = tap.from_wire(self.office.entries[1])
        self.assertEqual((event.code, event.value, len(self.office.entries)), (tap.CLOCK_STEP, 1000, 1))

    def test_half_the_round_trip_is_added(self):
        self.office.latency_ms = 1800
        self.office.ahead_s = 50
        self.clock.advance_ms(100)  # the office reads 1000 ms, the answer is here at 1900 ms
        self.turn()
        self.assertEqual(self.clock.now_s(), self.office.now_s())
        self.clock.advance_ms(100)
        self.assertEqual(self.clock.now_s(), self.office.now_s())

    def test_a_slow_answer_says_nothing_about_the_time(self):
        self.office.latency_ms = 2000
        self.office.ahead_s = 1000
        self.turn()
        self.assertEqual(self.clock.now_s(), self.office.now_s() - 1000)

    def test_the_stored_answer_to_a_repeated_upload_says_nothing_about_the_time(self):
        self.office.faults = [DEAF]
        self.posts_within(20000)
        self.assertEqual(len(self.office.bodies), 2)
        self.assertEqual(self.clock.now_s(), self.office.now_s())

    def test_a_clock_that_was_never_set_does_not_wait_for_the_interval(self):
        self.clock.clk_q = 0
        self.office.faults = [DEAF]
        self.posts_within(20000)
        self.assertEqual((self.clock.clk_q, len(self.office.bodies)), (3, 3))

    def test_the_clock_does_not_step_while_a_card_is_in_the_field(self):
        self.office.ahead_s = 1000
        self.turn(card_present=True)
        self.assertEqual(self.clock.now_s(), self.office.now_s() - 1000)
        self.clock.advance_ms(5000)
        self.turn()
        self.assertEqual(self.clock.now_s(), self.office.now_s())


if __name__ == "__main__":
    unittest.main()
