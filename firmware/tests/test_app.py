"""The whole validator, turn by turn: parts fail and come back, taps and sync go on."""

import unittest

from support.bus import DENIED, Bus, PanelNotes, settings, soft_sam
from support.manual_clock import ManualClock
from support.nor import NorFlash
from support.office import LOST, Office
from support.purse_card import AFTER, FieldReader, PurseCard
from tunion.wire import command, reason
from tunion.wire import tap as wire
from validator import app
from validator.drivers.soft_sam import SoftSam
from validator.ports import FlashFault, SamLost
from validator.statistics import Meter

HEAP = "2m"  # a flash image and everything compiled on the spot lie in it
ARM = True


class FlakySam(SoftSam):
    """Pulled out and pushed in by the test."""

    out = False

    def open(self):
        if FlakySam.out:
            raise SamLost("no SAM in its slot: insert it")
        super().open()

    def sign(self, offer, card, amount_fen, type, at):
        if FlakySam.out:
            raise SamLost("no SAM in its slot: insert it")
        return super().sign(offer, card, amount_fen, type, at)

    check_dies = False

    def check(self, mac2):
        if FlakySam.check_dies:
            raise SamLost("no SAM in its slot: insert it")
        super().check(mac2)


class FailingFlash(NorFlash):
    """A program fails when the test says so, before anything was written or after everything was."""

    failing = False
    writes_first = False

    def program(self, address, data):
        if not FailingFlash.failing or FailingFlash.writes_first:
            super().program(address, data)
        if FailingFlash.failing:
            raise FlashFault("the flash does not answer")


class ByMilliseconds:
    def __init__(self, clock):
        self._clock = clock

    def ticks_us(self):
        return 1000 * self._clock.ticks_ms()

    def since_us(self, then_us):
        return 1000 * self._clock.ticks_ms() - then_us


class AppCase(unittest.TestCase):
    def setUp(self):
        FlakySam.out = False
        FailingFlash.failing = False
        FailingFlash.writes_first = False
        self.start()

    def start(self, **changes):
        self.settings = settings(**changes)
        self.clock = ManualClock()
        self.flash = FailingFlash(sectors=8, sector_bytes=4096)
        self.params_flash = None
        self.lists_flash = None
        self.keep = None
        self.gate = None
        self.collected = 0
        self.duty = None
        self.care = None
        self.boot()

    def collect(self):
        self.collected += 1
        return 1 << 20

    def boot(self):
        self.reader = FieldReader()
        self.office = Office(self.settings, self.clock)
        self.panel = PanelNotes()
        self.meter = Meter(ByMilliseconds(self.clock)) if self.settings.statistics else None
        ports = app.Ports(
            reader=self.reader,
            sam=self.make_sam,
            flash=self.flash,
            params_flash=self.params_flash,
            lists_flash=self.lists_flash,
            clock=self.clock,
            net=self.network(),
            panel=self.panel,
            below=lambda limit: limit - 1,
            heap_free=self.collect,
            meter=self.meter,
            keep=self.keep,
            gate=self.gate,
            duty=self.duty,
            care=self.care,
        )
        self.validator = app.build(ports, self.settings)

    def make_sam(self, next_seq, part=None):
        """As a board does."""
        return soft_sam(self.clock, next_seq, FlakySam)

    def network(self):
        """What the validator is given for a network."""
        return self.office

    def turns(self, count=5, each_ms=100):
        for _ in range(count):
            self.validator.step()
            self.clock.advance_ms(each_ms)

    def tap(self, card, tear=None):
        """Hold a card to the reader for some turns, then take it away."""
        self.reader.present(card, tear)
        self.turns()
        self.reader.card = None
        self.turns()

    def shown(self):
        return [what for what, _ in self.panel.shown]

    def codes(self):
        entries = [wire.from_wire(entry)[0] for _, entry in self.validator.journal.pending(1000, 100000)]
        return [body.code for body in entries if body.kind == wire.EVENT]


class OnDuty(AppCase):
    def test_without_a_driver_no_card_is_charged_and_with_one_the_shift_counts(self):
        self.start(duty={"login": True, "lines": [12]}, line=11, driver=0)
        self.turns(1)
        self.assertEqual(self.shown(), ["closed"])
        card = PurseCard(balance_fen=1000)
        self.tap(card)
        self.assertEqual((self.panel.shown[1][1]["reason"], card.spent_fen), (reason.NOT_ON_DUTY, 0))
        self.validator.duty.login(1234)
        self.validator.duty.to_line(12)
        self.turns(1)
        self.assertEqual(self.shown()[-1], "ready")
        self.tap(card)
        self.tap(card)  # within same_card_s: shown again
        self.clock.advance_ms(10000)
        self.tap(card)
        self.assertEqual((card.spent_fen, self.shown().count("paid")), (400, 3))
        totals = self.validator.duty.logout()
        self.assertEqual((totals.served, totals.amount_fen), (2, 400))
        self.turns(1)
        self.assertEqual(self.shown()[-1], "closed")
        entries = [wire.from_wire(entry)[0] for _, entry in self.validator.journal.pending(1000, 100000)]
        taps = [body for body in entries if body.kind == wire.TAP]
        self.assertEqual([(tap.line, tap.driver, tap.vehicle) for tap in taps], [(12, 1234, 9)] * 2)

    def test_a_tap_is_counted_although_the_sam_dies_behind_it(self):
        self.validator.duty.login(1234)
        self.turns(1)
        card = PurseCard(balance_fen=1000)
        FlakySam.check_dies = True
        try:
            self.tap(card)
        finally:
            FlakySam.check_dies = False
        self.assertEqual((card.spent_fen, self.validator.duty.totals.amount_fen), (200, 200))


class Ordered(AppCase):
    def test_a_locked_validator_takes_no_cards_until_it_is_unlocked(self):
        self.turns(1)
        self.office.orders = [[1, command.LOCK, 0]]
        self.validator.sync.hurry = True
        self.turns(3100)
        self.assertEqual(self.shown(), ["ready", "fault"])
        self.tap(PurseCard())
        self.assertEqual(self.shown(), ["ready", "fault"])
        self.office.orders.append([2, command.UNLOCK, 0])
        self.turns(3100)
        self.tap(PurseCard())
        self.assertEqual(self.shown(), ["ready", "fault", "back", "ready", "paid", "ready"])
        self.assertEqual(self.office.results, {1: command.NOT_KEPT, 2: command.NOT_KEPT})

    def test_a_self_test_sees_the_sam_that_is_out(self):
        self.turns(1)
        FlakySam.out = True
        self.tap(PurseCard())
        self.office.orders = [[1, command.SELF_TEST, 0], [2, command.REBOOT, 0]]
        self.turns(6200)
        self.assertEqual(self.office.results[1], command.TEST_FAILED | command.SAM)
        self.assertTrue(self.validator.commands.reboot)


class Turns(AppCase):
    def test_ready_then_paid_then_ready_and_a_card_that_stays_pays_once(self):
        card = PurseCard()
        self.turns(1)
        self.assertEqual(self.shown(), ["ready"])
        self.reader.present(card)
        self.turns(200)
        self.assertEqual((self.shown(), card.spent_fen, self.validator.taps), (["ready", "paid"], 200, 1))
        self.reader.card = None
        self.turns(2)
        self.assertEqual(self.shown(), ["ready", "paid", "ready"])

    def test_a_tap_reaches_the_office(self):
        self.tap(PurseCard())
        self.turns(3500)
        self.assertEqual((len(self.office.entries), self.validator.journal.waiting), (2, 0))

    def test_taps_go_on_without_a_network(self):
        self.office.faults = [LOST] * 1000
        for _ in range(40):
            self.tap(PurseCard())
        self.assertEqual(self.shown().count("paid"), 40)

    def test_boot_is_journaled_with_the_claims_found_open(self):
        self.tap(PurseCard(), (4, AFTER))
        self.flash = self.flash.rebooted()
        self.boot()
        boots = [wire.from_wire(entry)[0] for _, entry in self.validator.journal.pending(1000, 100000)]
        self.assertEqual([body.value for body in boots if body.code == wire.BOOT][-1:], [1])

    def test_a_claim_whose_card_stays_away_becomes_grey_in_time(self):
        self.start(grey_after_s=60)
        self.tap(PurseCard(), (4, AFTER))
        self.turns(58, 1000)
        self.assertEqual(len(self.validator.journal.open_claims()), 1)
        self.turns(5, 1000)
        self.assertEqual(self.validator.journal.open_claims(), [])

    def test_a_step_of_the_clock_makes_no_claim_old(self):
        self.office.ahead_s = 86400
        self.office.faults = [LOST]
        self.tap(PurseCard(), (4, AFTER))
        self.turns(100)
        self.assertEqual(len(self.validator.journal.open_claims()), 1)

    def test_the_end_of_a_shift_gives_up_what_is_open(self):
        self.tap(PurseCard(), (4, AFTER))
        self.assertEqual((self.validator.give_up_open_claims(), self.validator.give_up_open_claims()), (1, 0))

    def test_nobody_is_called_to_tap_before_the_clock_is_set(self):
        self.clock.clk_q = 0
        self.office.faults = [LOST]
        self.turns(1)
        self.assertEqual(self.shown(), [])
        self.turns(200)
        self.assertEqual(self.shown(), ["ready"])

    def test_sectors_are_erased_ahead_only_without_a_card(self):
        self.turns()
        card = PurseCard()
        self.reader.present(card)
        erases = self.flash.erases
        for _ in range(40):
            self.validator.journal.event(wire.BOOT)
        self.turns(20)
        self.assertEqual(self.flash.erases, erases)
        self.reader.card = None
        self.turns(5)
        self.assertEqual(self.flash.erases, erases + 1)


class Littered(AppCase):
    def test_garbage_is_collected_when_the_card_has_gone_and_not_while_it_pays(self):
        self.start()
        self.turns(3)
        before = self.collected
        self.reader.present(PurseCard())
        self.turns(3)
        self.assertEqual(("paid" in self.shown(), self.collected), (True, before))
        self.reader.card = None
        self.turns(2)
        self.assertEqual(self.collected, before + 1)


class Faults(AppCase):
    def test_a_filling_flash_is_said_once_and_cards_are_still_taken(self):
        self.office.faults = [LOST] * 1000
        self.turns()
        while self.validator.journal.fill_permille() < 800:
            self.validator.journal.event(wire.BOOT)
            self.turns(1)
        self.turns(20)
        self.assertEqual((self.shown(), self.panel.shown[1][1]["part"]), (["ready", "fault", "ready"], "journal"))
        self.tap(PurseCard())
        self.assertEqual(self.shown()[3:], ["paid", "ready"])
        self.office.faults = []
        self.turns(6000)
        self.assertEqual((self.shown()[5:], self.validator.journal.waiting), (["back", "ready"], 0))

    def test_a_lost_reader_is_said_once_journaled_looked_for_and_welcomed_back(self):
        self.turns()
        self.reader.broken = True
        self.turns(600)
        self.assertEqual(self.shown(), ["ready", "fault"])
        self.assertEqual(self.panel.shown[-1][1]["part"], "reader")
        self.reader.broken = False
        self.turns(100)
        self.assertEqual(self.shown(), ["ready", "fault", "back", "ready"])
        self.turns(3500)
        self.assertEqual(
            [wire.from_wire(entry)[0].code for entry in self.office.entries.values()],
            [wire.BOOT, wire.READER_LOST, wire.READER_BACK],
        )
        self.tap(PurseCard())
        self.assertEqual(self.shown()[-2:], ["paid", "ready"])

    def test_a_missing_sam_stops_cards_and_not_sync(self):
        FlakySam.out = False
        self.turns()
        FlakySam.out = True
        self.reader.present(PurseCard())
        self.turns(300, 10)
        self.assertEqual((self.shown(), self.codes()[-1]), (["ready", "fault"], wire.SAM_LOST))
        posts = len(self.office.bodies)
        self.turns(3200)
        self.assertGreater(len(self.office.bodies), posts)
        FlakySam.out = False
        self.turns(100)
        self.assertEqual(self.shown(), ["ready", "fault", "back", "ready", "paid"])

    def test_a_flash_fault_takes_no_cards_until_the_journal_is_read_anew(self):
        self.turns()
        card = PurseCard()
        FailingFlash.failing = True
        self.tap(card)
        self.assertEqual((self.shown(), card.spent_fen), (["ready", "fault"], 0))
        FailingFlash.failing = False
        self.turns(30)
        self.tap(card)
        self.assertEqual((self.shown()[2:], card.spent_fen), (["back", "ready", "paid", "ready"], 200))

    def test_a_claim_that_was_written_though_the_flash_said_no_lends_its_number_to_no_other(self):
        self.turns()
        FailingFlash.writes_first = FailingFlash.failing = True
        self.tap(PurseCard())
        FailingFlash.failing = False
        self.turns(30)
        other = PurseCard(serial=DENIED[:9] + b"\x01")
        self.tap(other)
        self.assertEqual(self.shown()[-2:], ["paid", "ready"])
        self.assertEqual([claim.seq for claim in self.validator.journal.open_claims()], [2])
        pending = [seq for seq, _ in self.validator.journal.pending(1000, 100000)]
        self.assertEqual(pending[-1], 3)

    def test_the_soft_sam_goes_on_counting_after_a_reboot(self):
        self.tap(PurseCard())
        self.clock.advance_ms(60000)  # the same card again, as another ride
        self.boot()
        self.tap(PurseCard())
        self.assertEqual((self.shown().count("paid"), self.validator.journal.last_terminal_seq()), (1, 2))

    def test_a_device_for_production_refuses_a_soft_sam_with_test_keys(self):
        self.start(production=True)
        self.turns()
        self.assertEqual(self.shown(), ["fault", "self_test"])
        self.assertEqual(self.panel.shown[0][1]["part"], "sam")


class Statistics(AppCase):
    def test_a_tap_is_split_into_reader_sam_and_flash_only_when_asked(self):
        self.start(statistics=True)
        self.tap(PurseCard())
        times = {name: times for name, (times, _) in self.meter.figures.items()}
        self.assertEqual(times, {"tap": 1, "reader": 4, "sam": 4, "flash": 2})


class TheBusOfTheseTests(unittest.TestCase):
    def test_its_settings_make_a_soft_sam_of_test_keys(self):
        self.assertTrue(Bus().sam.test)


if __name__ == "__main__":
    unittest.main()
