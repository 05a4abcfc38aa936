"""A validator's parts in process, for tests of the tap path: real SAM code, real journal, a card that checks MAC1."""

from support.aes import cbc_decrypt, cbc_encrypt
from support.manual_clock import ManualClock
from support.nor import NorFlash
from support.purse_card import ISSUER, MAMK, MPK, FieldReader
from tunion import cbor
from tunion.bcd import from_digits
from tunion.crypto import keys
from tunion.crypto.mac import maintenance_mac
from tunion.wire.soft_sam import make_blob
from validator.drivers.soft_sam import SoftSam
from validator.duty import Duty
from validator.journal import Journal
from validator.rules import provisioned
from validator.settings import Settings
from validator.tap import TapPath

TERMINAL = from_digits("611000000042")
FARE_FEN = 200
FOREIGN = bytes.fromhex("04036140ffffffff")  # an issuer accepted, not our own
DENIED = from_digits("03104999000000000666")
STORAGE_KEY = bytes(range(32))  # a test key


def device_map(**changes):
    """A provisioning file's map. All keys are test keys."""
    values = {
        "device_id": 0x1A01,
        "key": bytes(range(32)),
        "host": "clearing.sample.invalid",
        "server": {"address": "127.0.0.1", "port": 8443, "pin": bytes(32), "cert": b""},
        "reader": {"driver": "pcsc", "name": "reader 00 00"},
        "sam": {"driver": "soft", "blob": b"blob", "storage_key": STORAGE_KEY},
        "flash": {"path": "journal.nor", "sector_bytes": 4096, "page_bytes": 256, "sectors": 8},
        "fare": {"fare_id": 1, "version": 1, "fare_fen": FARE_FEN, "discounts": [[2, 300], [3, 500]]},
        "line": 11,
        "vehicle": 9,
        "driver": 7,
        "home_issuers": [ISSUER[:4]],
        "issuers": [ISSUER[:4], FOREIGN[:4]],
        "deny": {"version": 3, "serials": DENIED},
        "sync_interval_s": 300,
        "backoff_first_s": 5,
        "backoff_max_s": 900,
    }
    for name in changes:
        values[name] = changes[name]
    return values


def settings(**changes):
    return Settings(cbor.encode(device_map(**changes)))


class MaintenanceSam(SoftSam):
    """A soft SAM that could block cards, as one in a slot can; `reset` forgets the purchase, as a reset does."""

    def block_mac(self, card, challenge, command):
        suite = keys.suite(0)
        return maintenance_mac(keys.card_key(suite, MAMK, card.issuer, card.serial), challenge, command)


def soft_sam(clock, next_seq, kind=MaintenanceSam):
    suite = keys.suite(0)
    issuers = {issuer: suite.diversify(MPK, issuer) for issuer in (ISSUER, FOREIGN)}
    blob = make_blob(
        STORAGE_KEY,
        cbc_encrypt,
        bytes(16),
        issuers,
        TERMINAL,
        1,
        from_digits("20250101"),
        from_digits("20351231"),
    )
    sam = kind(blob, STORAGE_KEY, cbc_decrypt, clock, next_seq)
    sam.open()
    return sam


class PanelNotes:
    """What was shown, oldest first: (what, details)."""

    def __init__(self):
        self.shown = []

    def show(self, what, **details):
        self.shown.append((what, details))

    @property
    def last(self):
        return self.shown[-1][0]


class Bus:
    """One tap path with everything it needs. `reboot` keeps the flash's cells and nothing else."""

    def __init__(self, flash=None, sam_kind=MaintenanceSam, **changes):
        self.settings = settings(**changes)
        self.clock = ManualClock()
        self.reader = FieldReader()
        self.panel = PanelNotes()
        self.sam_kind = sam_kind
        self.duty = None
        self.flash = flash or NorFlash(sectors=8, sector_bytes=4096)
        self._wire_up()

    def _wire_up(self):
        self.journal = Journal(self.flash, self.clock, lambda: 0xC0FFEE01)
        while self.journal.idle():
            pass
        self.sam = soft_sam(self.clock, self.journal.last_terminal_seq() + 1, self.sam_kind)
        if self.duty is None:  # what the test set outlives a reboot
            self.duty = Duty(self.settings, self.journal, self.clock)
        self.tap = self.tap_path()

    def tap_path(self):
        return TapPath(
            self.reader,
            self.sam,
            self.journal,
            self.clock,
            self.panel,
            self.settings.deny,
            provisioned(self.settings),
            self.settings,
            self.duty,
            sams=self.make_sams(),
        )

    def make_sams(self):
        """One SAM serves all."""
        return None

    def reboot(self):
        self.flash = self.flash.rebooted()
        self._wire_up()

    def serve(self, card, tear=None):
        """Present the card, some time after the last; returns what the panel showed last."""
        self.clock.advance_ms(60000)
        self.reader.present(card, tear)
        self.tap.serve()
        self.reader.card = None
        return self.panel.last
