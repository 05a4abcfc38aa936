"""The program as a whole: it hangs, breaks, breaks again, its supply sags. What is kept, told, and left off."""

import unittest

from support import sets
from support.bus import settings, soft_sam
from support.nor import NorFlash, PowerCut
from support.office import LOST
from support.purse_card import PurseCard
from test_app import AppCase, FlakySam
from tunion.wire import command, health, reason, sync
from tunion.wire import tap as wire
from tunion.wire.refused import Refused
from validator.cells import ForeignFlash
from validator.crash import BOX, BlackBox
from validator.drivers.keep_nor import KeepNor
from validator.list_stores import sectors_needed
from validator.ports import CarePorts, FlashFault, ReaderLost, Response
from validator.settings import ListsArea
from validator.supervisor import Part

HEAP = "4m"  # a whole validator, compiled on the spot, and its flash images

SECRET = "03104999000000000666"  # what a message might hold
LISTS = {"path": "lists.nor", "sector_bytes": 1024, "deny_max": 300, "delta_max": 40}


class Dog:
    """Counts its feeds."""

    def __init__(self):
        self.timeout_ms = 0
        self.feeds = 0

    def start(self, timeout_ms):
        self.timeout_ms = timeout_ms

    def feed(self):
        assert self.timeout_ms, "it was not started"
        self.feeds += 1


class BadFlash(NorFlash):
    """Its driver has a bug."""

    def read_into(self, address, buffer):
        raise IndexError(SECRET)


class Switchable:
    """A reader whose supply can be cut; that mends it, or does not."""

    def __init__(self, mends_after):
        self.mends_after = mends_after
        self.calls = []

    def open(self):
        self.calls.append("open")
        if self.calls.count("cycle") < self.mends_after:
            raise ReaderLost("it hangs: cut its power")

    def power_cycle(self):
        self.calls.append("cycle")


class CareCase(AppCase):
    def start(self, **changes):
        self.dog = Dog()
        self.cause = health.POWER
        self.failing = lambda: False
        self.box_flash = NorFlash(sectors=2, sector_bytes=1024)
        self.office = None
        AppCase.start(self, **changes)

    def boot(self):
        self.box_flash = self.box_flash.rebooted()
        self.care = CarePorts(
            KeepNor(self.box_flash), self.dog, lambda: self.cause, lambda: self.failing(), lambda: 12100
        )
        old = self.office
        try:
            AppCase.boot(self)
        except BaseException:
            self.office = old
            raise
        self.office.get = self.no_shelf
        if old is not None:
            for name in ("entries", "uploads", "orders", "results", "msg_seq", "epoch", "_base_s", "faults"):
                setattr(self.office, name, getattr(old, name))

    def no_shelf(self, path):
        """Nothing is published."""
        self.office._answer = Response(404, 0, b"")

    def box(self):
        return BlackBox(KeepNor(self.box_flash.rebooted()))

    def crash(self, error=None, cause=health.SOFTWARE):
        """The program breaks in the reader's driver; the board starts again."""
        self.turns(1)
        self.reader.poll = Broken(error or KeyError(SECRET))
        self.assertRaises(type(self.reader.poll.error), self.turns, 3)
        self.cause = cause
        self.boot()

    def sync_turns(self):
        """Until the office has everything."""
        for _ in range(100):
            self.validator.sync.hurry = True
            self.turns(40, 200)
            if self.validator.sync.is_drained():
                return
        raise AssertionError("it does not drain")

    def told(self, code):
        """(reason, value) of these events at the office and in the journal, in order."""
        entries = {seq: entry for seq, entry in self.validator.journal.pending(1000, 100000)}
        for seq in self.office.entries:
            entries[seq] = self.office.entries[seq]
        bodies = [wire.from_wire(entries[seq])[0] for seq in sorted(entries)]
        return [(body.reason, body.value) for body in bodies if body.kind == wire.EVENT and body.code == code]

    def health(self):
        self.sync_turns()
        return self.office.uploads[-1].more[sync.HEALTH]


class Broken:
    """A function that raises."""

    def __init__(self, error):
        self.error = error

    def __call__(self, *arguments, **details):
        raise self.error


class Watched(CareCase):
    def test_the_watchdog_is_started_before_anything_else_and_fed_once_each_turn(self):
        self.assertEqual((self.dog.timeout_ms, self.dog.feeds), (60000, 0))
        self.turns(7)
        self.assertEqual(self.dog.feeds, 7)

    def test_a_turn_that_did_not_end_feeds_nobody(self):
        self.turns(3)
        self.reader.poll = Broken(MemoryError())
        self.assertRaises(MemoryError, self.turns, 1)
        self.assertEqual(self.dog.feeds, 3)

    def test_it_is_fed_while_the_flash_is_out_and_while_the_supply_sags(self):
        self.turns(3)
        self.failing = lambda: True
        self.turns(5)
        self.assertEqual(self.dog.feeds, 8)

    def test_no_watchdog_where_the_settings_want_none(self):
        self.dog = Dog()
        self.start(care={"watchdog_s": 0})
        self.turns(3)
        self.assertEqual((self.dog.timeout_ms, self.dog.feeds), (0, 0))

    def test_a_reset_by_the_watchdog_is_told_and_counted(self):
        self.turns(2)
        self.cause = health.WATCHDOG_BIT
        self.boot()
        self.assertEqual(self.told(wire.BOOT), [(health.POWER, 0), (health.WATCHDOG_BIT, 0)])
        self.assertEqual((self.told(wire.WATCHDOG), self.box().resets, self.box().bad), ([(0, 1)], 1, 1))

    def test_a_board_that_resets_by_its_watchdog_after_a_crash_counts_once(self):
        self.crash(cause=health.WATCHDOG_BIT)
        self.assertEqual((self.box().bad, self.box().crashes, self.box().resets), (1, 1, 0))


class Crashes(CareCase):
    def test_whatever_leaves_the_loop_is_noted_first_and_journaled_at_the_next_boot(self):
        kinds = [Refused(1), PowerCut()]
        kinds += [kind(SECRET) for kind in (KeyError, OSError, AssertionError, ValueError, RuntimeError, MemoryError)]
        kinds += [kind(SECRET) for kind in (FlashFault, ReaderLost, NotImplementedError, StopIteration, GeneratorExit)]
        for number, error in enumerate(kinds):
            for where in ("reader", "removed", "sam", "clock", "net", "panel", "commands"):
                with self.subTest(where=where, error=type(error).__name__):
                    self.start()
                    self.turns(3)
                    before = self.box().crashes
                    self.break_in(where, error)
                    try:
                        self.tap(PurseCard())
                        self.turns(4, 400000)
                        left = None
                    except BaseException as gone:
                        left = gone
                    box = self.box()
                    self.assertEqual(box.crashes - before, 0 if left is None else 1)
                    if left is None:
                        continue
                    self.assertTrue(left is error)
                    self.assertEqual(box.type, type(error).__name__)
                    self.assertTrue(box.places, number)
                    self.assertFalse(SECRET.encode() in bytes(self.box_flash.cells))

    def break_in(self, where, error):
        if where == "reader":
            self.reader.transceive = Broken(error)
        elif where == "removed":
            self.reader.removed = Broken(error)
        elif where == "sam":
            self.validator._sam.sign = Broken(error)
        elif where == "clock":
            self.clock.quality = Broken(error)
        elif where == "net":
            self.office.step = Broken(error)
        elif where == "panel":
            self.panel.show = Broken(error)
        else:
            self.validator.commands.step = Broken(error)

    def test_who_ends_the_program_crashes_nothing(self):
        for kind in (KeyboardInterrupt, SystemExit):
            self.start()
            self.turns(3)
            self.reader.poll = Broken(kind())
            self.assertRaises(kind, self.turns, 1)
            self.assertEqual(self.box().crashes, 0)

    def test_the_office_hears_type_and_place_and_telemetry_has_the_rest(self):
        self.turns(150)
        self.crash()
        (found,) = self.told(wire.CRASH)
        box = self.box()
        module, line = box.places[0]
        self.assertEqual((module, box.type, box.version, box.untold), ("app", "KeyError", "0.1.0", 0))
        self.assertEqual(found[0], health.number_of("KeyError"))
        self.assertEqual(health.unplaced(found[1]), (health.module_number("app"), line))
        figures = self.health()
        self.assertEqual((figures["crashes"], figures["boots"], figures["crash_boot"]), (1, 2, 1))
        self.assertEqual(figures["crash"][:3], ["0.1.0", "KeyError", "app:%d" % line])
        self.assertEqual((figures["crash_up_s"], figures["reset"]), (15, health.SOFTWARE))
        self.assertTrue(all([len(word) <= 32 for word in figures["crash"]]))

    def test_a_crash_waits_for_room_in_a_full_journal(self):
        self.office.faults = [LOST] * 100000
        self.turns(3)
        while True:
            try:
                self.validator.journal.event(wire.BOOT)
                self.validator.journal.idle()
            except Exception:
                break
        self.crash()
        self.assertEqual((self.told(wire.CRASH), self.box().untold), ([], 1))
        self.office.faults = []
        self.turns(6000)
        self.assertEqual((len(self.told(wire.CRASH)), self.box().untold), (1, 0))

    def test_a_boot_that_breaks_is_noted_and_one_with_a_foreign_flash_is_not(self):
        self.flash = BadFlash(sectors=8, sector_bytes=4096)
        self.assertRaises(IndexError, self.boot)
        self.assertEqual((self.box().type, self.box().crashes), ("IndexError", 1))
        self.flash = NorFlash(sectors=8, sector_bytes=4096, cells=bytearray(8 * 4096))
        self.assertRaises(ForeignFlash, self.boot)
        self.assertEqual(self.box().crashes, 1)

    def test_a_box_that_is_torn_or_foreign_begins_anew(self):
        blob = bytearray(BOX.size)
        for other in (b"", b"YB", bytes(BOX.size), bytes(244)):
            self.assertEqual(BlackBox(Holding(other)).boots, 0)
        keep = Holding(b"")
        box = BlackBox(keep)
        box.boots = 7
        box.save()
        self.assertEqual(BlackBox(keep).boots, 7)
        for at in range(BOX.size):
            blob[:] = keep.blob
            blob[at] ^= 0x10
            self.assertEqual(BlackBox(Holding(bytes(blob))).boots, 0)

    def test_a_box_that_nobody_can_write_stops_nothing_and_is_found(self):
        self.start()
        self.care = CarePorts(Refusing(), None, None, None, None)
        AppCase.boot(self)
        self.turns(5)
        self.assertEqual(self.shown(), ["ready", "self_test"])
        self.assertEqual(self.panel.shown[-1][1]["found"], health.KEEP_FORGETS)
        self.tap(PurseCard())
        self.assertEqual(self.shown()[-2:], ["paid", "ready"])


class Holding:
    """A Keep in memory."""

    def __init__(self, blob):
        self.blob = blob

    def load(self):
        return self.blob

    def save(self, blob):
        self.blob = blob


class Refusing(Holding):
    def __init__(self):
        Holding.__init__(self, b"")

    def save(self, blob):
        raise FlashFault("write-protected: remove the jumper")


class Safe(CareCase):
    def crashes(self, count):
        for _ in range(count):
            self.crash()

    def stage(self):
        return self.validator._supervisor.stage

    def test_the_third_crash_in_a_row_ends_in_safe_mode_where_no_card_is_taken_and_sync_goes_on(self):
        self.crashes(2)
        self.turns(3)
        self.assertEqual((self.stage(), self.shown()), (health.NORMAL, ["ready"]))
        self.crashes(1)
        self.assertEqual((self.stage(), self.shown()), (health.NO_CARDS, ["safe_mode"]))
        card = PurseCard()
        self.tap(card)
        self.assertEqual(card.spent_fen, 0)
        self.sync_turns()
        self.assertEqual((len(self.told(wire.CRASH)), self.told(wire.SAFE_MODE)), (3, [(health.CRASHED, 1)]))
        self.office.orders = [[1, command.SELF_TEST, 0], [2, command.UPLOAD_LOG, 0]]
        self.turns(10000)
        self.assertEqual(self.office.results[1], command.TEST_FAILED | command.READER | command.SAM)
        self.assertEqual(self.office.results[2], command.DONE)
        self.assertEqual(self.office.uploads[-1].more[sync.HEALTH]["safe"], 1)

    def test_a_clean_run_clears_the_count_and_power_cycles_do_neither(self):
        self.crashes(2)
        self.cause = health.POWER
        for _ in range(20):
            self.turns(200, 1000)  # below clean_s
            self.boot()
        self.assertEqual((self.box().bad, self.stage()), (2, health.NORMAL))
        self.turns(620, 1000)
        self.assertEqual(self.box().bad, 0)
        self.crashes(2)
        self.assertEqual(self.stage(), health.NORMAL)

    def test_the_watchdog_counts_as_a_crash(self):
        for _ in range(3):
            self.turns(3)
            self.cause = health.WATCHDOG_BIT
            self.boot()
        self.assertEqual((self.stage(), self.told(wire.SAFE_MODE)), (1, [(health.STUCK, 1)]))

    def test_it_stays_through_power_cycles_and_reboots(self):
        self.crashes(3)
        for self.cause in (health.POWER, health.SOFTWARE, health.BROWN_OUT_RESET, health.UNKNOWN):
            self.turns(5)
            self.boot()
            self.assertEqual(self.stage(), health.NO_CARDS)

    def test_the_office_ends_it(self):
        self.crashes(3)
        self.office.orders = [[1, command.LEAVE_SAFE_MODE, 0]]
        self.turns(20)
        self.assertEqual((self.office.results, self.validator.reboot), ({}, True))
        self.cause = health.SOFTWARE
        self.boot()
        self.sync_turns()
        self.assertEqual((self.stage(), self.office.results), (health.NORMAL, {1: command.DONE}))
        self.assertEqual(self.told(wire.SAFE_MODE), [(health.CRASHED, 1), (health.ORDERED, 0)])
        self.tap(PurseCard())
        self.assertEqual(self.shown()[-2:], ["paid", "ready"])
        self.crashes(2)
        self.assertEqual(self.stage(), health.NORMAL)

    def test_after_a_quiet_time_a_normal_boot_is_tried_and_a_failed_trial_doubles_the_wait(self):
        self.crashes(3)
        for wait_s in (900, 1800, 3600, 7200, 14400, 28800, 43200, 43200):
            self.turns(wait_s // 10 - 5, 10000)
            self.assertFalse(self.validator.reboot)
            self.turns(10, 10000)
            self.office.uploads, self.office.bodies = [], []
            self.assertTrue(self.validator.reboot)
            self.cause = health.SOFTWARE
            self.boot()
            self.assertEqual(self.stage(), health.NORMAL)
            self.crash()  # one is enough
            self.assertEqual(self.stage(), health.NO_CARDS)
        self.turns(43200 // 10 + 5, 10000)
        self.boot()
        self.turns(610, 1000)
        self.assertEqual((self.box().bad, self.box().trials, self.box().held), (0, 0, 0))
        self.crashes(2)
        self.assertEqual(self.stage(), health.NORMAL)

    def test_a_list_store_that_breaks_at_boot_is_left_off_and_so_are_parameters(self):
        params = {"path": "params.nor", "sector_bytes": 1024, "sectors": 20, "scope": sets.SCOPE,
                  "keys": [sets.SIGNER.key]}  # fmt: skip
        self.settings = settings(params=params, lists=LISTS)
        area = ListsArea("lists.nor", 1024, 256, 0, 300, 40, 86400)
        sectors = sectors_needed(area, 300, 40)
        good_params, good_lists = NorFlash(20, 1024), NorFlash(sectors, 1024)
        self.params_flash, self.lists_flash = good_params, BadFlash(sectors, 1024)
        self.assertEqual(self.boots_until_up(), (4, health.NO_LISTS))
        self.assertTrue(self.validator.lists is None and self.validator.params is not None)
        self.turns(910, 1000)
        self.assertTrue(self.validator.reboot)
        self.assertEqual(self.boots_until_up(), (1, health.NO_LISTS))  # the trial leads back to where it ran well

        self.params_flash = BadFlash(20, 1024)
        self.assertEqual(self.boots_until_up(), (1, health.NO_PARAMS))
        self.assertTrue(self.validator.lists is None and self.validator.params is None)
        self.sync_turns()
        self.assertEqual(len(self.told(wire.CRASH)), 3)  # the last one of each row
        self.assertEqual(self.told(wire.SAFE_MODE)[-1], (health.CRASHED, health.NO_PARAMS))

        self.params_flash, self.lists_flash = good_params, good_lists  # repaired
        self.turns(1810, 1000)
        self.assertTrue(self.validator.reboot)
        self.boot()
        self.turns(3)
        self.assertEqual((self.shown(), self.validator.lists is None), (["ready"], False))

    def boots_until_up(self):
        self.cause = health.SOFTWARE
        for count in range(10):
            try:
                self.boot()
                return count, self.stage()
            except IndexError:
                pass
        raise AssertionError("it never came up")


class PowerFails(CareCase):
    def test_no_tap_is_begun_and_a_card_is_told_to_wait(self):
        self.turns(3)
        card = PurseCard()
        looks = []

        def fails():
            looks.append(1)
            return len(looks) > 1  # between the turn's beginning and the card

        self.failing = fails
        self.tap(card)
        self.assertEqual((self.shown(), card.spent_fen), (["ready", "fault", "refused"], 0))
        self.assertEqual(self.panel.shown[-1][1]["reason"], reason.OUT_OF_SERVICE)
        self.failing = lambda: False
        self.turns(11)
        self.tap(card)
        self.assertEqual((self.shown()[3:], card.spent_fen), (["back", "ready", "paid", "ready"], 200))
        ((_, lasted_ms),) = self.told(wire.BROWN_OUT)
        self.assertEqual(lasted_ms, 1000)

    def test_nothing_is_begun_in_a_turn_in_which_the_supply_begins_to_sag(self):
        self.turns(3)
        self.sync_turns()
        for _ in range(40):
            self.validator.journal.event(wire.BOOT)  # the next sector is due to be erased
        looks = []

        def fails():
            looks.append(1)
            return len(looks) > 1

        self.failing = fails
        self.validator.sync.hurry = True
        posts, units = len(self.office.bodies), self.flash.units
        self.clock.advance_ms(400000)
        self.turns(1)
        self.assertEqual((len(self.office.bodies), self.flash.units, self.shown()[-1]), (posts, units, "fault"))
        self.failing = lambda: False
        self.turns(2)
        self.assertTrue(len(self.office.bodies) > posts and self.flash.units > units)

    def test_no_upload_is_begun(self):
        self.failing = lambda: True
        self.turns(100)
        self.assertEqual(self.office.bodies, [])
        self.failing = lambda: False
        self.turns(30)
        self.assertTrue(self.office.bodies)

    def test_a_reset_by_the_supply_is_told(self):
        self.turns(2)
        self.cause = health.BROWN_OUT_RESET
        self.boot()
        self.assertEqual((self.told(wire.BROWN_OUT), self.box().bad), ([(0, 0)], 0))

    def test_a_supply_that_warns_in_time_never_cuts_a_program_or_an_erase(self):
        warning = 700  # units of work: a tap that opens a sector, the acks of one answer
        for units in range(warning, 7500, 397):
            with self.subTest(units=units):
                self.start()
                self.turns(2)
                self.flash.cut_after = units
                flash = self.flash
                self.failing = lambda flash=flash: flash.cut_after < warning
                paid = 0
                for number in range(60):
                    self.clock.advance_ms(60000)
                    card = PurseCard(serial=bytes([3, 0x10, 0x49, 0x99, 0, 0, 0, 0, number // 10, number % 10]))
                    self.tap(card)
                    paid += card.spent_fen // 200
                self.assertTrue(flash.cut_after >= 0)
                self.assertTrue(paid < 60 and self.failing() and paid == self.shown().count("paid"))
                self.flash = flash.rebooted()
                self.failing = lambda: False
                self.boot()
                self.assertEqual(self.validator.journal.open_claims(), [])


class Tested(CareCase):
    def found(self):
        return [details["found"] for what, details in self.panel.shown if what == "self_test"]

    def test_what_is_in_order_is_not_said(self):
        self.turns(100)
        self.assertEqual((self.found(), self.told(wire.SELF_TEST)), ([], []))
        self.assertFalse("self_test" in self.health())

    def test_each_finding(self):
        self.each(health.SAM | health.SAM_TEST_KEYS, {"production": True})
        self.each(health.HEAP, {"care": {"heap_low_bytes": 1 << 21}})

    def each(self, expected, changes):
        with self.subTest(expected=expected):
            self.start(**changes)
            self.turns(5)
            self.assertEqual(self.found(), [expected])
            self.assertEqual(self.told(wire.SELF_TEST), [(0, expected)])
            self.assertEqual(self.health()["self_test"], expected)

    def test_a_sam_that_expires_soon(self):
        self.turns(3)
        self.clock.set(2066000000)  # 2035-06-20: its last day is 2035-12-31
        self.assertEqual(self.validator.self_test.run(), 0)
        self.clock.set(2080000000)  # 2035-11-29
        self.assertEqual(self.validator.self_test.run(), 0)
        self.clock.set(2081000000)  # 2035-12-11
        self.assertEqual(self.validator.self_test.run(), health.SAM_EXPIRES)
        self.assertEqual(health.folded(health.SAM_EXPIRES) & command.SAM, command.SAM)

    def test_a_clock_from_before_this_firmware_and_one_that_was_never_set(self):
        self.turns(3)
        self.clock.set(1600000000)  # the SAM is not valid yet, either
        self.assertEqual(self.validator.self_test.run(), health.CLOCK_EARLY | health.SAM)
        self.clock.clk_q = 0
        self.turns(10)
        self.assertEqual(self.validator.self_test.run(), health.CLOCK)

    def test_the_first_test_waits_a_minute_for_the_time(self):
        self.start()
        self.clock.clk_q = 0
        self.office.faults = [LOST] * 1000
        self.turns(58, 1000)
        self.assertEqual(self.found(), [])
        self.turns(5, 1000)
        self.assertEqual(self.found(), [health.CLOCK])

    def test_a_reader_and_a_sam_that_are_not_there(self):
        self.turns(5)
        FlakySam.out = self.reader.broken = True  # and nobody has noticed yet
        self.assertEqual(self.validator.self_test.run(), health.READER | health.SAM)
        self.assertEqual(self.shown(), ["ready", "fault", "fault", "self_test"])
        FlakySam.out = self.reader.broken = False
        self.turns(10)
        self.assertEqual(self.validator.self_test.run(), 0)

    def test_the_sam_of_these_tests_says_when_it_expires(self):
        self.assertEqual(soft_sam(self.clock, 1).expiry.hex(), "20351231")


class Recovers(CareCase):
    def part(self, reader, after=3):
        return Part(
            "reader", reader.open, wire.READER_LOST, wire.READER_BACK, self.validator.journal, self.clock, self.panel,
            reader.power_cycle, after,
        )  # fmt: skip

    def test_a_part_that_does_not_open_loses_its_power_each_third_time(self):
        reader = Switchable(mends_after=2)
        part = self.part(reader)
        for _ in range(300):
            part.revive()
            self.clock.advance_ms(500)
        self.assertEqual(reader.calls, ["open"] * 3 + ["cycle"] + ["open"] * 3 + ["cycle", "open"])
        self.assertEqual((part.up, part.tries, part.cycles), (True, 6, 2))

    def test_the_office_hears_how_often(self):
        self.start()
        self.turns(2)
        self.reader.broken = True
        self.turns(100, 1000)
        figures = self.health()
        self.assertTrue(figures["reader_tries"] > 5 and figures["reader"] == 1 and figures["down"] == ["reader"])

    def test_telemetry_has_the_longest_turn_since_the_last_report(self):
        self.turns(2)
        poll = self.reader.poll

        def slow(wait_ms):
            self.clock.advance_ms(7000)
            self.reader.poll = poll
            return None

        self.sync_turns()
        self.reader.poll = slow
        self.turns(2)
        self.validator.journal.event(wire.BOOT)
        figures = self.health()
        self.assertEqual((figures["turn_ms"], figures["watchdog_ms"], figures["voltage_mv"]), (7000, 60000, 12100))
        self.validator.journal.event(wire.BOOT)
        self.assertTrue(self.health().get("turn_ms", 0) < 7000)


if __name__ == "__main__":
    unittest.main()
