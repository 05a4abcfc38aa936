"""Parameter sets in the whole validator: taps follow the active set, uploads name it, a flash that fails comes back."""

import unittest

from support import rides, sets
from support.nor import NorFlash
from support.purse_card import PurseCard
from test_app import AppCase
from test_downlink import PARAMS, Shelf, signed
from tunion.fare import samples
from tunion.fare.tariff import GRID
from tunion.wire import params as wire
from tunion.wire import tap
from validator.ports import FlashFault

HEAP = "2m"  # a whole validator, compiled on the spot, and its flash images


class StubbornFlash(NorFlash):
    """Refuses to program when the test says so."""

    failing = False

    def program(self, address, data):
        if StubbornFlash.failing:
            raise FlashFault("the flash does not answer")
        super().program(address, data)


class OneConnection:
    """The office and its shelf behind one Net port: a second request while one is under way is a mistake."""

    def __init__(self, office, shelf):
        self._office = office
        self._shelf = shelf
        self._under_way = None
        self.host = office.host
        self.order = []

    def start(self, path, body):
        self._begin(self._office)
        self._office.start(path, body)

    def get(self, path):
        self._begin(self._shelf)
        self._shelf.get(path)

    def step(self):
        answer = self._under_way.step()
        self._under_way = None
        return answer

    def _begin(self, other):
        assert self._under_way is None, "two requests at once"
        self._under_way = other
        self.order.append("up" if other is self._office else "down")


class Wired(AppCase):
    def setUp(self):
        StubbornFlash.failing = False
        self.shelf = Shelf()
        super().setUp()

    def start(self, **changes):
        area = dict(PARAMS)
        area["sectors"] = 20
        self.made_flash = StubbornFlash(sectors=20, sector_bytes=1024)
        super().start(params=area, home_issuers=[sets.HOME], **changes)

    def boot(self):
        self.params_flash = self.made_flash
        super().boot()

    def network(self):
        self.net = OneConnection(self.office, self.shelf)
        return self.net

    def reach(self, at_s):
        self.clock.advance_ms(1000 * max(0, at_s - self.clock.now_s()))

    def taps(self):
        found = [tap.from_wire(self.office.entries[seq])[0] for seq in sorted(self.office.entries)]
        return [(body.fare_version, body.amount_fen) for body in found if body.kind == tap.TAP]

    def test_taps_pay_the_new_fare_from_its_time_on_and_uploads_name_it(self):
        self.clock.set(sets.CREATED_S)
        self.tap(PurseCard())
        self.turns(300)
        self.assertEqual(self.validator.params.staged_version, 2)
        self.tap(PurseCard())
        self.reach(sets.EFFECTIVE_S)
        self.turns(2)
        card = PurseCard()
        self.tap(card)
        self.assertEqual(card.spent_fen, 300)
        self.turns(400, each_ms=1000)
        self.assertEqual(self.taps(), [(1, 200), (1, 200), (2, 300)])
        self.assertEqual((self.office.uploads[-1].versions["params"], self.office.uploads[-1].versions["fare"]), (2, 2))
        self.validator.params.mount()
        self.assertEqual(self.validator.params.version, 2)

    def test_a_terminal_that_takes_tariffs_charges_by_one_from_its_time_on(self):
        made = rides.line(kinds={})
        sections = sets.sections(
            2, KIND=[1, []], CAL=[1, []], RULE=[1, made.rules], FARE=[2, [7, GRID, made.mode, bytes(made.table)]]
        )
        content = wire.encode(sets.header(2), samples.make(made, sets.CREATED_S), sections)
        for takes, version in ((True, 2), (False, 0)):
            with self.subTest(takes=takes):
                self.shelf = Shelf()
                self.shelf.blobs = {2: sets.sealed(content)}
                self.shelf.envelope = signed((2,), blobs=self.shelf.blobs)
                self.start(tariffs=takes, city=rides.CITY, network=rides.NETWORK)
                self.turns(300)
                self.reach(sets.EFFECTIVE_S)
                self.turns(20)  # a tariff is read once more, in small steps
                self.assertEqual(self.validator.params.version, version)
                card = PurseCard()
                self.validator.duty.stop = 1
                self.tap(card)
                self.assertEqual((card.spent_fen, bool(card.records[1])), (0, True) if takes else (200, False))

    def test_uploads_go_first_and_no_request_is_begun_while_one_is_under_way(self):
        self.turns(300)
        self.assertEqual((self.net.order[0], self.net.order.count("down")), ("up", 2))

    def test_a_params_flash_that_fails_is_read_again_and_the_set_arrives(self):
        self.clock.set(sets.CREATED_S)
        self.turns(20)
        StubbornFlash.failing = True
        self.turns(100)
        self.assertIn("fault", self.shown())
        StubbornFlash.failing = False
        self.turns(600, each_ms=1000)
        self.assertEqual((self.shown()[-1], self.validator.params.staged_version), ("ready", 2))


del AppCase  # its tests run in their own module


if __name__ == "__main__":
    unittest.main()
