"""Lists in the whole validator: a card that was denied at the office is refused here, and taps wait for nothing."""

import unittest

from support import card_lists as made
from support import sets
from support.bus import FOREIGN
from support.nor import NorFlash
from support.purse_card import ISSUER, SERIAL, PurseCard
from test_app import AppCase
from test_app_params import OneConnection, StubbornFlash
from test_downlink import LOST, PARAMS, Shelf
from tunion import cose_sign1
from tunion.wire import lists as wire
from tunion.wire import manifest, reason, tap
from validator.list_stores import sectors_needed
from validator.ports import Response
from validator.settings import ListsArea

HEAP = "3m"  # a whole validator, compiled on the spot, and its flash images

CARD = SERIAL
AREA = {"path": "lists.nor", "sector_bytes": 1024, "deny_max": 300, "delta_max": 40}
OTHERS = [made.serial(number) for number in range(1000, 1100)]
OLD = b"".join(OTHERS)
NEW = b"".join(sorted([card for card in OTHERS if card != OTHERS[50]] + [CARD]))
DAY_S = 86400


def full(*arguments):
    """In force as soon as it is here."""
    return made.full(*arguments, effective_at_s=made.CREATED_S)


def delta(*arguments):
    return made.delta(*arguments, effective_at_s=made.CREATED_S)


class ListShelf(Shelf):
    """The office's shelf with lists on it: (kind, version, base) -> blob."""

    def __init__(self):
        super().__init__()
        self.blobs = {}
        self.envelope = b""

    def put(self, blob, version, base=0, name=wire.DENY):
        self.blobs[made.entry(blob, version, base, name)] = blob
        listed = manifest.encode(sets.CREATED_S, list(self.blobs))
        aad = manifest.aad(sets.SCOPE)
        self.envelope = cose_sign1.seal(listed, sets.SIGNER.key, aad, sets.SIGNER.sign)

    def _page(self, path):
        for entry in self.blobs:
            head = manifest.BLOB_PATH + entry.sha256.hex()
            if path.startswith(head):
                first, count = [int(part.split("=")[1]) for part in path[len(head) + 1 :].split("&")]
                return Response(200, 0, self.blobs[entry][first : first + count])
        return super()._page(path)


class Wired(AppCase):
    def setUp(self):
        StubbornFlash.failing = False
        self.shelf = ListShelf()
        super().setUp()

    def start(self, **changes):
        params = dict(PARAMS)
        params["interval_s"] = 60
        bare = NorFlash(sectors=1, sector_bytes=1024)
        self.made_flash = StubbornFlash(
            sectors=sectors_needed(bare, AREA["deny_max"], AREA["delta_max"]), sector_bytes=1024
        )
        self.made_params = NorFlash(sectors=20, sector_bytes=1024)
        super().start(params=params, lists=AREA, **changes)

    def boot(self):
        self.lists_flash = self.made_flash
        self.params_flash = self.made_params
        super().boot()

    def network(self):
        self.net = OneConnection(self.office, self.shelf)
        return self.net

    def until(self, version, place=0):
        for _ in range(4000):
            self.turns(1)
            if self.validator.lists.stores[place].version == version:
                return
        self.fail("version %d did not come" % version)

    def refused(self, card=None):
        """What a card is told: 0 when it pays."""
        before = len(self.panel.shown)
        self.tap(card or PurseCard())
        told = [details.get("reason", 0) for what, details in self.panel.shown[before:] if what in ("paid", "refused")]
        self.assertEqual(len(told), 1)
        return told[0]

    def test_a_card_denied_at_the_office_is_refused_after_a_delta_and_not_before(self):
        self.shelf.put(full(4, OLD), 4)
        self.until(4)
        self.assertEqual(self.refused(), 0)
        self.shelf.put(full(5, NEW), 5)
        self.shelf.put(delta(4, OLD, 5, NEW), 5, 4)
        self.until(5)
        self.assertEqual(self.refused(), reason.DENIED)
        self.turns(400, each_ms=1000)
        said = self.office.uploads[-1].versions
        self.assertEqual((said["deny"], said["city"], said["bin"]), (5, 0, 0))
        self.assertEqual(said["deny_made_s"], made.CREATED_S)
        bodies = [tap.from_wire(self.office.entries[seq])[0] for seq in sorted(self.office.entries)]
        told = [body.value for body in bodies if body.kind == tap.EVENT and body.code == tap.LIST_ACTIVE]
        self.assertEqual(told, [4, 5])
        delta_path = manifest.BLOB_PATH + made.entry(delta(4, OLD, 5, NEW), 5, 4).sha256.hex()
        self.assertTrue([path for path in self.shelf.asked if path.startswith(delta_path)])
        self.boot()
        self.turns(50)
        self.assertEqual(self.refused(), reason.DENIED)

    def test_a_list_without_the_card_lets_it_ride_again(self):
        self.shelf.put(full(5, NEW), 5)
        self.until(5)
        self.assertEqual(self.refused(), reason.DENIED)
        self.shelf.put(delta(5, NEW, 6, OLD), 6, 5)
        self.until(6)
        self.assertEqual(self.refused(), 0)

    def test_issuers_join_and_leave_by_their_list(self):
        now_s = self.clock.now_s()
        issuer = ISSUER[:4]
        content = wire.dated(issuer, now_s + DAY_S, now_s + 2 * DAY_S)
        self.settings.home_issuers.clear()
        self.validator.params.rules.home_issuers.clear()
        self.assertEqual(self.refused(PurseCard(interoperable=b"\x00\x01")), 0)
        self.shelf.put(full(1, content, wire.BIN), 1, 0, wire.BIN)
        self.until(1, 2)
        self.clock.advance_ms(10000)  # the same card again, and not so soon
        for days, expected in ((0, reason.ISSUER_NOT_ACCEPTED), (1, 0), (1, reason.ISSUER_NOT_ACCEPTED)):
            self.clock.advance_ms(1000 * days * DAY_S)
            self.assertEqual(self.refused(PurseCard(interoperable=b"\x00\x01")), expected)

    def test_a_city_that_is_not_on_its_list_is_refused_for_cards_from_elsewhere(self):
        content = wire.dated(b"\x61\x40", made.CREATED_S, wire.NEVER_S)
        self.shelf.put(full(1, content, wire.CITY), 1, 0, wire.CITY)
        self.until(1, 1)
        self.assertEqual(self.refused(PurseCard()), 0)  # one of our own
        self.assertEqual(self.refused(PurseCard(made.serial(1), FOREIGN)), reason.NOT_INTEROPERABLE)
        self.assertEqual(self.refused(PurseCard(made.serial(2), FOREIGN, city=b"\x61\x40")), 0)

    def test_the_network_lost_at_any_answer_delays_and_nothing_else(self):
        self.shelf.put(full(4, OLD), 4)
        for at in range(4):
            self.boot()
            self.shelf.faults = [None] * at + [LOST, 503]
            self.turns(30)
        self.until(4)
        self.assertEqual([code for code in self.codes() if code == tap.LIST_REFUSED], [])

    def test_a_flash_that_fails_is_read_again(self):
        self.shelf.put(full(4, OLD), 4)
        self.turns(80)
        StubbornFlash.failing = True
        self.turns(100)
        self.assertIn("fault", self.shown())
        StubbornFlash.failing = False
        self.turns(30, each_ms=1000)
        self.until(4)
        self.assertEqual(self.refused(), 0)

    def test_with_a_card_present_the_lists_flash_is_left_alone(self):
        self.shelf.put(full(4, OLD), 4)
        self.turns(100)
        self.reader.present(PurseCard(), None)
        self.turns(3)
        before = bytes(self.made_flash.cells)
        self.turns(200)
        self.assertEqual(bytes(self.made_flash.cells) == before, True)
        self.reader.card = None
        self.until(4)

    def test_an_area_without_a_size_takes_what_it_needs(self):
        sectors = self.made_flash.sectors
        self.assertEqual(self.settings.lists, ListsArea("lists.nor", 1024, 256, sectors, 300, 40, 172800))


del AppCase  # its tests run in their own module


if __name__ == "__main__":
    unittest.main()
