"""Every entry reaches the office once, whatever the network does, and only the office's word erases one."""

import unittest

from support.bus import PanelNotes, settings
from support.manual_clock import ManualClock
from support.nor import NorFlash
from support.office import DEAF, LOST, Office
from support.taps import fields
from tunion import cose
from tunion.wire import command, enrol, tap
from tunion.wire import sync as wire
from validator import bulk
from validator.commands import Commands
from validator.journal import Journal
from validator.log import LOG_BYTES, PIECE_BYTES_MAX, Log
from validator.ports import Response
from validator.sync import EPOCH_WAIT_S, NUMBERS_SKIPPED, Sync
from validator.telemetry import CountingPanel, Health

HEAP = "2m"  # a flash image and everything compiled on the spot lie in it
HOUR_MS = 3600 * 1000


class Kept:
    """The Keep port in RAM."""

    def __init__(self):
        self.blob = b""

    def load(self):
        return self.blob

    def save(self, blob):
        self.blob = blob


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
        self.skipped = 0
        self.keep = Kept()
        self.found = 0  # by a self test
        self.boot()

    def boot(self):
        self.journal = Journal(self.flash, self.clock, lambda: 0xC0FFEE01)
        while self.journal.idle():
            pass
        self.log = Log(self.clock)
        self.health = Health(self.clock)
        self.commands = Commands(
            self.settings.device_id, self.journal, self.clock, self.panel, self.log, self.keep, lambda: self.found
        )
        self.sync = Sync(
            self.office,
            self.journal,
            self.clock,
            self.panel,
            self.settings,
            {"deny": 3, "fare": 1, "firmware": "0.1.0"},
            self.draw,
            lambda: 100000,
            self.commands,
            self.health,
            self.log,
        )

    def draw(self, limit):
        """The longest wait that the jitter allows; the limits are kept."""
        if limit == NUMBERS_SKIPPED:
            return self.skipped
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

    def test_an_ack_with_gaps_keeps_what_lies_in_them_and_sends_it_again(self):
        def holey(body):
            self.office._take(body)
            return self.office.signed(self.office.reply(self.office.uploads[-1], ack=[[2, 3], [5, 5], [9, 20]]))

        for number in range(1, 8):
            self.tap(number)
        self.office.faults = [holey]
        self.turn()
        self.assertEqual([seq for seq, _ in self.journal.pending(9, 9999)], [1, 4, 6, 7])
        self.posts_within(HOUR_MS)
        sent = [tap.from_wire(entry)[0].seq for entry in self.office.uploads[1].records]
        self.assertEqual((sent, self.journal.waiting), ([1, 4, 6, 7], 0))

    def test_the_answer_to_the_upload_before_is_ignored_when_it_comes_late(self):
        self.tap(1)
        self.turn()
        stored = self.office._response
        self.tap(2)
        self.sync.hurry = True
        self.office.faults = [lambda body: stored]
        self.turn()
        self.assertEqual(self.journal.waiting, 1)
        self.posts_within(HOUR_MS)
        self.assertEqual((sorted(self.office.entries), self.journal.waiting), ([1, 2], 0))

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


class Enrolling(SyncCase):
    def setUp(self):
        super().setUp()
        self.office.epoch = 1  # the journal before the flash was lost
        self.office.msg_seq = 57

    def test_a_new_journal_proves_itself_then_waits_for_a_clerk(self):
        self.tap()
        self.turn(8)
        self.assertEqual((len(self.office.bodies), len(self.office.questions)), (1, 2))
        self.assertEqual(self.panel.shown, [("fault", {"part": "net"})])
        self.assertEqual(self.posts_within(1000 * (EPOCH_WAIT_S - 5)), 0)
        self.office.enrol_state = enrol.ENROLLED
        self.posts_within(20000)
        self.assertEqual((self.panel.last, self.journal.waiting), ("back", 0))
        self.assertEqual(self.office.uploads[0].msg_seq, 1)

    def test_no_question_carries_the_answer_before_it_was_asked(self):
        self.turn(8)
        nonces = []
        for body in self.office.questions:
            nonces.append(enrol.open_request(cose.unseal(body)[1]).nonce)
        self.assertEqual((nonces[0], len(nonces[1])), (b"", 16))

    def test_lost_questions_and_answers_and_power_cuts_cost_repeats_and_nothing_else(self):
        self.office.enrol_state = enrol.ENROLLED
        for faults in ([LOST], [None, LOST], [None, DEAF], [None, None, LOST], [None, None, DEAF], [None, 503, DEAF]):
            for cut in (False, True):
                with self.subTest(faults=faults, cut=cut):
                    self.start()
                    self.setUp()
                    self.office.enrol_state = enrol.ENROLLED
                    self.tap()
                    self.office.faults = list(faults)
                    self.turn(6)
                    if cut:
                        self.flash = self.flash.rebooted()
                        self.boot()
                    self.posts_within(HOUR_MS)
                    self.assertEqual((sorted(self.office.entries), self.journal.waiting), ([1], 0))

    def test_a_journal_that_is_closed_is_a_fault_and_a_long_wait(self):
        self.office.enrol_state = enrol.CLOSED
        self.tap()
        self.turn(8)
        self.assertEqual(self.panel.last, "fault")
        self.posts_within(HOUR_MS)
        self.assertLess(len(self.office.questions), 12)
        self.assertEqual(self.journal.waiting, 1)

    def test_an_answer_of_another_is_ignored(self):
        def forged(body):
            answer = enrol.Answer(1, self.settings.device_id, self.journal.epoch, enrol.ENROLLED, b"")
            sealed = cose.seal(enrol.encode(answer), wire.kid(self.settings.device_id), b"other", self.office.mac)
            return Response(200, 0, sealed)

        def playback(body):
            return Response(200, 0, body)

        for fault in (forged, playback, lambda body: Response(404, 0, b"")):
            self.setUp()
            self.office.faults = [None, fault]
            self.turn(8)
            self.assertEqual((len(self.office.questions), self.panel.shown), (1, []))


class Obeying(SyncCase):
    def order(self, *orders):
        """The office wants these; they are taken with the next answer and confirmed with the one after."""
        self.office.orders = [[i + 1, name, argument] for i, (name, argument) in enumerate(orders)]
        self.posts_within(700000)

    def test_each_command_ends_with_its_result(self):
        self.order(
            (command.RECONNECT, 0),
            (command.SET_INTERVAL, 60),
            (command.SET_INTERVAL, 86401),
            (command.LOCK, 1),
            ("fly", 0),
            (command.SELF_TEST, 0),
        )
        self.assertEqual(
            self.office.results,
            {
                1: command.DONE,
                2: command.DONE,
                3: command.BAD_ARGUMENT,
                4: command.BAD_ARGUMENT,
                5: command.UNKNOWN,
                6: command.DONE,
            },
        )
        self.assertEqual((self.office.reconnects, self.commands.interval_s), (1, 60))
        self.assertGreater(self.posts_within(HOUR_MS), 55)

    def test_a_self_test_names_what_it_found(self):
        self.found = command.SAM | command.MEMORY
        self.order((command.SELF_TEST, 0))
        self.assertEqual(self.office.results, {1: command.TEST_FAILED | command.SAM | command.MEMORY})

    def test_lock_and_interval_outlive_a_power_cut_and_a_torn_note_is_none(self):
        self.order((command.LOCK, 0), (command.SET_INTERVAL, 60))
        self.assertEqual(self.panel.last, "fault")
        self.boot()
        self.assertEqual((self.commands.locked, self.commands.interval_s), (True, 60))
        whole = self.keep.blob
        for blob in (b"", whole[:-1], b"\xff" * 30, bytes([whole[0] ^ 1]) + whole[1:]):
            self.keep.blob = blob
            self.boot()
            self.assertEqual((self.commands.locked, self.commands.interval_s), (False, 0))

    def test_a_board_that_keeps_nothing_says_so(self):
        self.keep = None
        self.boot()
        self.order((command.LOCK, 0))
        self.assertEqual(self.office.results, {1: command.NOT_KEPT})

    def test_a_reboot_happens_once(self):
        self.office.orders = [[1, command.REBOOT, 0]]
        boots = 0
        for _ in range(5):
            self.posts_within(700000)
            if self.commands.reboot:
                boots += 1
                self.flash = self.flash.rebooted()
                self.boot()
        self.assertEqual((boots, self.office.results), (1, {1: command.DONE}))

    def test_commands_wait_until_nothing_else_waits_so_that_none_runs_twice(self):
        """A reboot with a backlog: the first upload after it does not carry the reboot's COMMAND_DONE yet."""
        self.flash = NorFlash(sectors=24, sector_bytes=2048)
        self.boot()
        self.turn()
        for number in range(140):
            self.tap(number)
        self.office.orders = [[1, command.REBOOT, 0]]
        boots = 0
        for _ in range(400):
            self.turn(1)
            self.journal.idle()
            self.clock.advance_ms(5000)
            if self.commands.reboot:
                boots += 1
                self.flash = self.flash.rebooted()
                self.boot()
                for number in range(140):
                    self.tap(number)
        self.assertEqual((boots, self.office.results), (1, {1: command.DONE}))

    def test_a_command_that_ended_while_an_upload_was_under_way_does_not_run_again(self):
        self.office.orders = [[1, command.RECONNECT, 0]]
        self.turn(3, card_present=True)
        self.sync.hurry = True
        self.tap()
        self.sync.step(True)  # the upload is made, without the command's COMMAND_DONE
        self.assertTrue(self.sync.busy)
        self.sync.step(False)  # the card leaves: the command runs, then the answer brings it again
        self.posts_within(HOUR_MS)
        self.assertEqual((self.office.reconnects, self.office.results), (1, {1: command.DONE}))

    def test_nothing_runs_while_a_card_is_in_the_field(self):
        self.office.orders = [[1, command.LOCK, 0]]
        self.turn(10, card_present=True)
        self.assertFalse(self.commands.locked)
        self.turn(1)
        self.assertTrue(self.commands.locked)

    def test_the_answer_to_an_upload_from_before_a_power_cut_does_not_bring_its_commands_again(self):
        """Found by the schedules: both uploads had one number, and a command ran twice."""
        under_way = []

        def is_slow(body):
            under_way.append(body)
            return Response(502, 0, b"")

        self.office.orders = [[1, command.RECONNECT, 0]]
        self.turn(2, card_present=True)  # the command is here, and waits for the card to go
        self.tap()
        self.sync.hurry = True
        self.office.faults = [is_slow]
        self.sync.step(True)
        self.turn(2)
        self.assertEqual((self.office.reconnects, len(under_way)), (1, 1))
        self.flash = self.flash.rebooted()
        self.skipped = 7
        self.boot()
        self.office.faults = [None, lambda body: self.office._take(under_way[0])]
        self.posts_within(HOUR_MS)
        self.assertEqual((self.office.reconnects, self.office.results), (1, {1: command.DONE}))

    def test_what_is_no_command_is_left_out_and_acks_count_all_the_same(self):
        self.office.changes["commands"] = [1, [1], [0, "lock", 0], [-1, "lock", 0], ["1", "lock", 0], [1, 7, 0],
                                           [1, "lock", "now"], [True, "lock", 0], [1 << 31, "lock", 0]]
        self.tap()
        self.posts_within(HOUR_MS)
        self.assertEqual((self.commands.locked, self.journal.waiting), (False, 0))

    def test_re_enrol_proves_the_journal_afresh_and_goes_on(self):
        self.office.enrol_state = enrol.ENROLLED
        self.order((command.RE_ENROL, 0))
        self.tap()
        self.posts_within(HOUR_MS)
        self.assertEqual((len(self.office.questions), self.journal.waiting), (2, 0))
        self.assertEqual(self.office.results, {1: command.DONE})


class TheLog(SyncCase):
    def test_a_log_goes_up_in_pieces_through_losses(self):
        for number in range(200):
            self.log.note("word_%d" % number, number)
        self.assertLessEqual(len(self.log.text()), LOG_BYTES)
        self.office.orders = [[4, command.UPLOAD_LOG, 0]]
        self.office.faults = [None, None, LOST, DEAF, None, DEAF]
        self.posts_within(HOUR_MS)
        self.assertEqual(self.office.results, {4: command.DONE})
        self.assertIn(b" word_199 199\n", self.office.log)
        self.assertGreater(len(self.office.log), 3 * PIECE_BYTES_MAX)

    def test_a_power_cut_in_the_middle_begins_anew(self):
        for number in range(200):
            self.log.note("before", number)
        self.office.orders = [[4, command.UPLOAD_LOG, 0]]
        self.turn(9)
        self.assertGreater(len(self.office.log), 0)
        self.assertEqual(self.office.results, {})
        self.flash = self.flash.rebooted()
        self.boot()
        self.log.note("after", 1)
        self.office.log_id = 0  # as the back office, which sees another CRC
        self.posts_within(HOUR_MS)
        self.assertEqual(self.office.results, {4: command.DONE})
        self.assertIn(b" after 1\n", self.office.log)

    def test_a_log_for_the_night_waits_for_this_devices_minutes(self):
        self.log.note("word", 1)
        self.office.orders = [[4, command.UPLOAD_LOG, 1]]
        self.clock.set(self.clock.now_s() + bulk.wait_s(self.settings.device_id, self.clock.now_s()) - 1000)
        self.office.ahead_s = self.clock.now_s() - self.office.now_s()
        wait_s = bulk.wait_s(self.settings.device_id, self.clock.now_s())
        self.assertEqual(wait_s, 1000)
        self.posts_within(1000 * (wait_s - 10))
        self.assertEqual(self.office.log, b"")
        self.posts_within(1000 * (10 + bulk.SLOT_S))
        self.assertIn(b" word 1\n", self.office.log)

    def test_the_slots_of_a_fleet_spread_over_the_night(self):
        devices = [0] * bulk.SLOTS
        for device_id in range(2400):
            devices[bulk.slot_of(device_id)] += 1
        self.assertGreater(min(devices), 60)
        self.assertLess(max(devices), 140)


class TheHeartbeat(SyncCase):
    def test_counters_since_boot_travel_with_each_upload(self):
        panel = CountingPanel(self.panel, self.health, self.log)
        panel.show("paid", fare_fen=200, balance_fen=1)
        panel.show("refused", reason=9, sw=0)
        panel.show("refused", reason=9, sw=0)
        panel.show("fault", part="sam", detail="no SAM")
        self.clock.advance_ms(5500)
        self.office.faults = [LOST]
        self.turn()
        self.tap()
        self.posts_within(HOUR_MS)
        health = self.office.uploads[-1].more[wire.HEALTH]
        self.assertEqual((health["paid"], health["refused"], health["sam"], health["down"]), (1, {9: 2}, 1, ["sam"]))
        self.assertEqual((health["retries"], health["heap_min"], health["locked"]), (1, 100000, 0))
        self.assertGreater(health["up_s"], 3000)
        panel.show("back", part="sam")
        self.posts_within(HOUR_MS)
        self.assertNotIn("down", self.office.uploads[-1].more[wire.HEALTH])

    def test_the_log_holds_words_of_ours_and_numbers_only(self):
        panel = CountingPanel(self.panel, self.health, self.log)
        panel.show("fault", part="sam", detail="6110 0000 0042")
        self.assertEqual(self.log.text(), b"1748740200 fault_sam 0\n")


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

    def test_half_a_second_is_slewed_even_with_a_card_and_more_waits_for_it_to_go(self):
        for ahead_ms, moved in ((400, 400), (-400, -400), (501, 0), (-700, 0)):
            with self.subTest(ahead_ms=ahead_ms):
                self.start()
                self.office.ahead_ms = ahead_ms
                before_ms = self.clock.now_ms() - self.clock.ticks_ms()
                self.turn(card_present=True)
                self.assertEqual(self.clock.now_ms() - self.clock.ticks_ms() - before_ms, moved)
                self.turn()
                self.assertEqual(self.clock.now_ms(), self.office.now_ms())

    def test_a_clock_that_drifts_is_found_out(self):
        self.turn()
        for _ in range(48):
            self.posts_within(300000)
            self.office.ahead_ms += 15  # 50 ppm of five minutes
        self.assertEqual(abs(self.clock.drift_ppm - 50) <= 5, True)
        self.assertEqual(self.office.uploads[-1].more[wire.HEALTH]["drift_ppm"], self.clock.drift_ppm)

    def test_the_clock_does_not_step_while_a_card_is_in_the_field(self):
        self.office.ahead_s = 1000
        self.turn(card_present=True)
        self.assertEqual(self.clock.now_s(), self.office.now_s() - 1000)
        self.clock.advance_ms(5000)
        self.turn()
        self.assertEqual(self.clock.now_s(), self.office.now_s())


if __name__ == "__main__":
    unittest.main()
