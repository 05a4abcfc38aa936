"""Cards with a second, regional application, and a terminal that takes both. The regional one is invented."""

from support.aes import cbc_decrypt, cbc_encrypt
from support.bus import STORAGE_KEY, Bus, soft_sam
from support.purse_card import PurseCard
from tunion.bcd import from_digits
from tunion.card.sample_products import LEGACY, LEGACY_AID, LEGACY_KEY_INDEX, LEGACY_SFI, legacy_file
from tunion.crypto import keys
from tunion.wire.soft_sam import make_blob
from validator.drivers.soft_sam import SoftSam
from validator.ports import SamLost

LEGACY_MPK = bytes.fromhex("a1a1a1a1b2b2b2b2c3c3c3c3d4d4d4d4")  # invented
LEGACY_MTK = bytes.fromhex("e5e5e5e5f6f6f6f60707070718181818")
LEGACY_ISSUER = bytes.fromhex("10200058")
LEGACY_SERIAL = bytes.fromhex("5800010000000017")
LEGACY_TERMINAL = from_digits("580000000007")
LEGACY_FEN = 150


class LegacyCard(PurseCard):
    """The invented application, alone on a card. `serial` is as a tap has it: 10 bytes."""

    aid = LEGACY_AID
    key_index = LEGACY_KEY_INDEX

    def __init__(self, serial=LEGACY_SERIAL, issuer=LEGACY_ISSUER, expiry=b"\x20\x35\x12\x31", balance_fen=3000):
        super().__init__(balance_fen=balance_fen)
        self.serial = bytes(10 - len(serial)) + serial
        self.files = {LEGACY_SFI: legacy_file(b"\x58\x00", issuer, 7, serial, b"\x20\x20\x01\x01", expiry)}
        self.fci_has_public = False
        suite = keys.suite(0)
        self._dpk = suite.diversify(LEGACY_MPK, self.serial[2:])
        self._tac_key = suite.tac_key(suite.diversify(LEGACY_MTK, self.serial[2:]))


# The invented application with numbers of 10 bytes, which may be those of a national card.
LONG = dict(LEGACY, places=dict(LEGACY["places"], serial=[LEGACY_SFI, 16, 10]))
del LONG["places"]["start"], LONG["places"]["expiry"]


def long_numbered(number):
    """A card of LONG."""
    card = LegacyCard(serial=number[2:])
    card.serial = number
    card.files[LEGACY_SFI] = card.files[LEGACY_SFI][:16] + number + bytes(6)
    return card


class TwoCard:
    """Both on one card: SELECT by name says which is spoken to, and what the other had begun is gone."""

    def __init__(self, national=None, legacy=None):
        self.national = national or PurseCard()
        self.legacy = legacy or LegacyCard()
        self.power_on()

    @property
    def spent_fen(self):
        return self.national.spent_fen + self.legacy.spent_fen

    def power_on(self):
        self.national.power_on()
        self.legacy.power_on()
        self.at = self.national

    def transceive(self, apdu):
        if apdu[:4] == b"\x00\xa4\x04\x00":
            for one in (self.national, self.legacy):
                if apdu[5 : 5 + apdu[4]] == one.aid:
                    self.power_on()
                    self.at = one
        return self.at.transceive(apdu)


class LegacySam(SoftSam):
    """Goes out where `out` says so."""

    out = False

    def open(self):
        if self.out:
            raise SamLost("pulled out: push it in")
        super().open()

    def check(self, mac2):
        if self.out:
            raise SamLost("pulled out: push it in")
        super().check(mac2)


def legacy_sam(clock, next_seq):
    blob = make_blob(
        STORAGE_KEY,
        cbc_encrypt,
        bytes(16),
        {LEGACY_ISSUER + b"\xff" * 4: LEGACY_MPK},
        LEGACY_TERMINAL,
        1,
        from_digits("20250101"),
        from_digits("20351231"),
        key_index=LEGACY_KEY_INDEX,
    )
    return LegacySam(blob, STORAGE_KEY, cbc_decrypt, clock, next_seq)


def applications(order="legacy national", **changes):
    """The setting of that name."""
    legacy = {
        "product": LEGACY,
        "issuers": [LEGACY_ISSUER],
        "sam": {"driver": "soft", "blob": b"legacy blob", "storage_key": STORAGE_KEY},
        "fare": {"fare_id": 51, "version": 4, "fare_fen": LEGACY_FEN, "discounts": []},
    }
    legacy.update(changes)
    rows = {"legacy": legacy, "national": {"product": 0}}
    return [rows[name] for name in order.split()]


class DualBus(Bus):
    """A Bus that takes both, with a SAM for each."""

    def __init__(self, order="legacy national", **changes):
        changes.setdefault("applications", applications(order))
        Bus.__init__(self, **changes)

    def make_sams(self):
        from validator.sams import Sams

        self.legacy_sam = legacy_sam(self.clock, self.journal.last_terminal_seq() + 1)
        serving = [0 if taken.sam is None else 1 for taken in self.settings.applications]
        opens = [(sam, sam, sam.open) for sam in (self.sam, self.legacy_sam)]
        sams = Sams(opens, serving, self.journal, self.clock, self.panel)
        sams.revive()
        return sams


__all__ = ["LEGACY_MTK", "DualBus", "LegacyCard", "TwoCard", "applications", "legacy_sam", "soft_sam"]
