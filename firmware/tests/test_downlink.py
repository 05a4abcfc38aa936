"""Parameter sets come down over a network that fails at every step, between taps, and behind uploads."""

import unittest

from support import sets
from support.bus import settings
from support.manual_clock import ManualClock
from support.signer import Signer
from test_params import BLOBS, ZERO, Notes, make_flash
from tunion import cose_sign1
from tunion.wire import manifest
from validator.downlink import Downlink
from validator.params import Params
from validator.ports import NetLost, Response

HEAP = "1m"

PARAMS = {"path": "params.nor", "sector_bytes": 1024, "sectors": 20, "scope": sets.SCOPE, "keys": [sets.SIGNER.key]}
LOST_AT_ONCE = "lost at once"
LOST = "lost"


def signed(versions, scope=sets.SCOPE, signer=sets.SIGNER, blobs=BLOBS):
    listed = manifest.encode(sets.CREATED_S, [sets.entry(version, blobs[version]) for version in versions])
    return cose_sign1.seal(listed, signer.key, manifest.aad(scope), signer.sign)


SIGNED = {versions: signed(versions) for versions in ((), (2,), (3,), (2, 3))}


class Shelf:
    """The office's side of the Net port. `faults`: one for each request, as support.office has them."""

    def __init__(self):
        self.envelope = SIGNED[(2,)]
        self.blobs = BLOBS
        self.faults = []
        self.asked = []
        self._answer = None

    def get(self, path):
        self.asked.append(path)
        fault = self.faults.pop(0) if self.faults else None
        if fault == LOST_AT_ONCE:
            raise NetLost("no route")
        if fault == LOST:
            self._answer = NetLost("broke off")
        elif isinstance(fault, int):
            self._answer = Response(fault, 30 if fault == 503 else 0, b"<html>gateway</html>")
        elif fault is not None:
            self._answer = Response(200, 0, fault)
        else:
            self._answer = self._page(path)

    def step(self):
        answer, self._answer = self._answer, None
        if isinstance(answer, NetLost):
            raise answer
        return answer

    def _page(self, path):
        if path == manifest.manifest_path(sets.SCOPE):
            return Response(200, 0, self.envelope) if self.envelope else Response(404, 0, b"")
        for version in self.blobs:
            entry = sets.entry(version, self.blobs[version])
            head = manifest.BLOB_PATH + entry.sha256.hex()
            if path.startswith(head):
                first, count = [int(part.split("=")[1]) for part in path[len(head) + 1 :].split("&")]
                return Response(200, 0, self.blobs[version][first : first + count])
        return Response(404, 0, b"")


class DownlinkCase(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock(now_s=sets.CREATED_S)
        self.notes = Notes()
        self.flash = make_flash()
        self.shelf = Shelf()
        self.settings = settings(params=PARAMS)
        self.boot()

    def boot(self):
        self.flash = self.flash.rebooted()
        self.params = Params(self.flash, ZERO, sets.SCOPE, [sets.SIGNER.key], self.notes, self.clock)
        self.downlink = Downlink(self.shelf, [self.params], self.clock, self.settings, lambda limit: limit - 1)

    def turns(self, count, card_present=False, each_ms=100):
        for _ in range(count):
            self.downlink.step(card_present)
            if not card_present:
                self.params.step()
            self.clock.advance_ms(each_ms)

    def until_staged(self, version, hours=6):
        for _ in range(hours * 360):
            self.turns(1, each_ms=10000)
            if self.params.staged_version == version:
                return True
        return False


class Fetching(DownlinkCase):
    def test_a_published_set_is_staged_and_not_asked_for_again(self):
        self.assertTrue(self.until_staged(2))
        self.assertEqual(len(self.shelf.asked), 2)
        self.turns(200, each_ms=60000)
        self.assertEqual(self.params.staged_version, 2)
        later = self.shelf.asked[2:]
        self.assertEqual(set(later), {manifest.manifest_path(sets.SCOPE)})
        self.assertTrue(2 <= len(later) <= 5)  # each hour, give or take a quarter

    def test_the_network_lost_at_every_step_delays_and_nothing_else(self):
        for at in range(2):
            for fault in (LOST_AT_ONCE, LOST, 500, 503, 404, b"", b"half", b"x" * 2048, signed((2,), "OTHER"),
                          signed((3,), signer=Signer(9))):
                with self.subTest(at=at, fault=fault if isinstance(fault, (str, int)) else len(fault)):
                    self.setUp()
                    self.shelf.faults = [None] * at + [fault]
                    self.assertTrue(self.until_staged(2))
                    self.assertEqual(self.notes.events, [])

    def test_a_boot_at_every_turn_of_a_download_goes_on_where_it_was(self):
        for at in range(60):
            self.setUp()
            self.clock.advance_ms(6000)
            self.turns(at)
            self.boot()
            self.assertTrue(self.until_staged(2))

    def test_a_silent_network_is_asked_ever_less(self):
        self.shelf.faults = [LOST] * 100
        self.turns(3600, each_ms=1000)
        self.assertTrue(5 <= len(self.shelf.asked) <= 13)

    def test_with_a_card_present_nothing_is_begun_and_an_answer_is_taken_in(self):
        self.turns(200, card_present=True)
        self.assertEqual(self.shelf.asked, [])
        while not self.downlink.busy:
            self.turns(1)
        before = bytes(self.flash.cells)
        self.turns(50, card_present=True)
        self.assertEqual((self.downlink.busy, len(self.shelf.asked)), (False, 1))
        self.assertEqual(bytes(self.flash.cells), before)
        self.assertTrue(self.until_staged(2))

    def test_an_office_that_has_nothing_is_asked_at_the_usual_time(self):
        self.shelf.envelope = b""
        self.turns(720, each_ms=10000)
        self.assertTrue(1 <= len(self.shelf.asked) <= 3)
        self.shelf.envelope = SIGNED[()]
        self.turns(720, each_ms=10000)
        self.shelf.envelope = SIGNED[(2,)]
        self.assertTrue(self.until_staged(2))

    def test_a_correction_published_before_its_time_replaces_what_is_staged(self):
        self.assertTrue(self.until_staged(2))
        self.clock.set(sets.CREATED_S)
        self.shelf.envelope = SIGNED[(3,)]
        self.assertTrue(self.until_staged(3, 3))


if __name__ == "__main__":
    unittest.main()
