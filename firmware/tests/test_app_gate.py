"""The whole validator at a gate: closed where it cannot let anybody through; two cards in the field."""

import unittest

from support import rides
from support.flaps import Flaps
from support.office import LOST
from support.purse_card import PurseCard
from test_app import AppCase, FlakySam
from tunion.bcd import from_digits
from tunion.fare.trip import EXIT_FREE
from tunion.wire import command, reason
from tunion.wire import tap as wire
from validator.ports import ENTRY, EXIT

HEAP = "3m"


class Kept:
    """The Keep port in RAM."""

    def __init__(self):
        self.blob = b""

    def load(self):
        return self.blob

    def save(self, blob):
        self.blob = blob


class GateCase(AppCase):
    def start(self, **changes):
        self.walls = Kept()
        AppCase.start(self, **changes)

    def boot(self):
        self.keep = self.walls
        if self.settings.site.role != "bus":
            self.gate = Flaps(self.clock)
        AppCase.boot(self)
        self.validator.duty.stop = 211

    def gate_of(self, role="entry"):
        self.start(
            fare=rides.metro().to_map(), role=role, city=rides.CITY, network=rides.NETWORK, place_coding="L0S0",
            same_card_s=2,
        )  # fmt: skip
        self.turns(2)

    def refusals(self):
        found = [wire.from_wire(entry)[0] for _, entry in self.validator.journal.pending(1000, 100000)]
        return [body.reason for body in found if body.kind == wire.EVENT and body.code == wire.REFUSED]


class Gates(GateCase):
    def test_a_card_enters_and_the_flaps_open_for_one(self):
        self.gate_of()
        self.assertEqual(self.gate.is_open, 0)
        card = PurseCard()
        self.tap(card)
        self.assertEqual((self.shown(), self.gate.is_open), (["ready", "enter", "ready"], ENTRY))
        self.assertTrue(self.gate.walk(ENTRY))
        self.turns()
        self.tap(card)
        self.assertEqual((self.shown()[-2:], self.gate.is_open), (["refused", "ready"], 0))

    def test_a_card_that_stays_while_its_permit_lapses_is_not_read_again_and_opens_when_it_comes_back(self):
        self.gate_of()
        card = PurseCard()
        self.reader.present(card)
        self.turns(80)
        self.assertEqual((self.shown(), self.gate.is_open), (["ready", "enter"], 0))
        self.reader.card = None
        self.turns(2)
        self.tap(card)
        self.assertEqual((self.shown()[-2], self.gate.is_open), ("enter", ENTRY))

    def test_without_its_sam_or_its_flaps_it_is_closed_and_says_so_once(self):
        self.gate_of()
        FlakySam.out = True
        self.tap(PurseCard())
        self.turns(10)
        self.assertEqual(self.shown(), ["ready", "fault", "closed"])
        FlakySam.out = False
        self.turns(100)
        self.assertEqual(self.shown()[3:], ["back", "ready"])
        self.gate.jam(True)
        self.turns(10)
        card = PurseCard(serial=from_digits("03104999000000000777"))
        self.tap(card)
        self.assertEqual((self.shown()[5:], card.records[0]), (["fault", "closed"], b""))
        self.gate.jam(False)
        self.tap(card)
        self.assertEqual(self.shown()[7:], ["back", "ready", "enter", "ready"])

    def test_with_a_full_journal_it_is_closed(self):
        self.gate_of()
        self.office.faults = [LOST] * 1000
        while not self.validator.journal.full:
            self.validator.journal.event(wire.BOOT)
            self.validator.journal.idle()
        self.turns(2)
        self.assertEqual(sorted(self.shown()), ["closed", "fault", "ready"])
        card = PurseCard()
        self.tap(card)
        self.assertEqual((card.records[0], self.gate.is_open), (b"", 0))

    def test_in_a_fire_nobody_is_told_that_it_is_closed(self):
        self.gate_of()
        self.gate.burn(True)
        self.turns(10)
        self.assertEqual((self.shown(), self.gate.walk(EXIT)), (["ready", "passed"], True))
        self.gate.burn(False)
        self.turns(10)
        self.assertEqual(self.shown(), ["ready", "passed", "ready"])

    def test_as_many_as_may_pass_have_paid_and_the_next_card_waits(self):
        self.gate_of()
        for number in range(9):
            card = PurseCard(serial=from_digits("0310499900%010d" % number))
            self.reader.present(card)
            self.turns(2, 10)
            self.reader.card = None
            self.turns(2, 10)
        self.assertEqual((self.shown().count("enter"), self.shown().count("refused"), card.records[0]), (8, 0, b""))
        self.gate.walk(ENTRY)
        self.reader.present(card)
        self.turns(2, 10)
        self.assertEqual(self.shown()[-1], "enter")

    def test_the_office_orders_modes_and_a_restart_keeps_them(self):
        self.gate_of("exit")
        self.office.orders = [[1, command.SET_MODES, EXIT_FREE], [2, command.SET_MODES, 32]]
        self.validator.sync.hurry = True
        self.turns(3100)
        self.assertEqual(self.office.results, {1: command.DONE, 2: command.BAD_ARGUMENT})
        self.assertEqual((self.validator.duty.modes, self.gate.is_open), (EXIT_FREE, EXIT))
        opened = list(self.validator.duty.opened)
        self.flash = self.flash.rebooted()
        self.boot()
        self.turns(2)
        self.assertEqual((self.validator.duty.modes, self.gate.is_open), (EXIT_FREE, EXIT))
        self.assertEqual((self.validator.duty.opened, len(opened)), (opened, 1))

    def test_a_bus_has_no_modes(self):
        self.office.orders = [[1, command.SET_MODES, 1]]
        self.validator.sync.hurry = True
        self.turns(3100)
        self.assertEqual((self.office.results, self.validator.duty.modes), ({1: command.UNKNOWN}, 0))

    def test_people_are_counted_against_taps(self):
        self.gate_of()
        self.tap(PurseCard())
        self.gate.follow(ENTRY)
        self.turns(1)
        health = self.validator.sync._health.figures(0)
        found = [health.get(name, 0) for name in ("gate_permits", "gate_in", "gate_out", "gate_intruders")]
        self.assertEqual(found, [1, 2, 0, 1])


class TwoCards(GateCase):
    def test_neither_is_charged_until_both_have_gone(self):
        self.turns(1)
        card = PurseCard()
        self.reader.present(card)
        self.reader.crowd = True
        self.turns(50)
        self.assertEqual((self.shown(), card.spent_fen), (["ready", "two_cards"], 0))
        self.assertEqual(self.refusals(), [reason.TWO_CARDS])
        self.reader.crowd = False  # one of them has gone
        self.turns(50)
        self.assertEqual((self.shown(), card.spent_fen), (["ready", "two_cards"], 0))
        self.reader.card = None
        self.turns(2)
        self.tap(card)
        self.assertEqual((self.shown()[-3:], card.spent_fen), (["ready", "paid", "ready"], 200))


if __name__ == "__main__":
    unittest.main()
