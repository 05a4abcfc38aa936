"""Make card and PSAM images from test master keys. The examples are those of the test vectors.

`python -m simulator.personalise` writes them to simulator/images.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from simulator.image import (
    BALANCE_MAX_FEN,
    COMPOUND,
    HISTORY,
    LEGACY_PROFILE,
    LOCAL,
    LOG,
    CardImage,
    CardSettings,
    Key,
    PsamImage,
    PsamSettings,
)  # fmt: skip
from tunion.card.files import EPURSE_AID, HOLDER_BYTES, MANAGEMENT, MANAGEMENT_BYTES, ORDINARY, PUBLIC
from tunion.card.psam import APPLICATION, IDENTITY
from tunion.card.sample_products import LEGACY_AID, LEGACY_KEY_INDEX, LEGACY_SFI, legacy_file
from tunion.crypto.keys import card_key, suite

IMAGES = Path(__file__).parent / "images"

PURCHASE_VERSION = 1        # key version in every public trace
MAINTENANCE_VERSION = 2     # P2 of the one INIT FOR DESCRYPT that has been seen
_CHINA = bytes.fromhex("00000156")


@dataclass(frozen=True)
class MasterKeys:
    """Root keys, 16 bytes each. Test keys only: production keys never leave their vault."""

    purchase: bytes = field(repr=False)
    load: bytes = field(repr=False)
    tac: bytes = field(repr=False)
    maintenance: bytes = field(repr=False)


# Invented, and public with the test vectors.
TEST_MASTERS = MasterKeys(
    purchase=bytes.fromhex("11111111222222223333333344444444"),
    load=bytes.fromhex("55555555666666667777777788888888"),
    tac=bytes.fromhex("99999999AAAAAAAABBBBBBBBCCCCCCCC"),
    maintenance=bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"),
)


# Of the invented regional application: one level, so the master key is the one above the card's.
LEGACY_MASTERS = MasterKeys(
    purchase=bytes.fromhex("A1A1A1A1B2B2B2B2C3C3C3C3D4D4D4D4"),
    load=bytes.fromhex("A5A5A5A5B6B6B6B6C7C7C7C7D8D8D8D8"),
    tac=bytes.fromhex("E5E5E5E5F6F6F6F60707070718181818"),
    maintenance=bytes.fromhex("0F1E2D3C4B5A69788796A5B4C3D2E1F0"),
)


LEGACY_ISSUER = bytes.fromhex("10200058")


def card_image(
    masters: MasterKeys,
    issuer: bytes,
    serial: bytes,
    *,
    city: bytes,
    province: bytes,
    start: bytes,
    expiry: bytes,
    kind: int = ORDINARY,
    balance_fen: int = 0,
    limit_fen: int = 0,
    interoperable: bool = True,
    algorithm: int = 0,
    uid: bytes | None = None,
) -> CardImage:
    """A freshly issued card.

    issuer          8-byte issuer identifier
    serial          10 bytes BCD, 0 and the 19 digits of the card number
    city, province  2 bytes BCD each
    start, expiry   4 bytes BCD YYYYMMDD, inclusive
    kind            1..5, card.files
    algorithm       00 3DES, 04 SM4
    uid             4 or 7 bytes; None: a random one in every field, as wallets have it
    """
    if not -limit_fen <= balance_fen <= BALANCE_MAX_FEN - limit_fen:
        raise ValueError("the balance must lie between the overdraft limit and what the purse can count")
    public = PUBLIC.pack(
        issuer=issuer, application=2, enabled=1, serial=serial, start=start, expiry=expiry, own=bytes(2)
    )
    management = MANAGEMENT.pack(
        country=_CHINA, province=province, city=city, interoperable=bytes((0, interoperable)), kind=kind
    )
    proprietary = b"\x9f\x08\x01\x02" + _tlv(b"\x9f\x0c", public)
    ciphers = suite(algorithm)

    def derived(master: bytes, version: int = PURCHASE_VERSION, algorithm: int = algorithm) -> list[Key]:
        return [Key(1, version, algorithm, card_key(ciphers, master, issuer, serial))]

    return CardImage(
        aid=EPURSE_AID,
        fci=_tlv(b"\x6f", _tlv(b"\x84", EPURSE_AID) + _tlv(b"\xa5", proprietary)),
        uid=uid,
        files={0x15: public, 0x16: bytes(HOLDER_BYTES), 0x17: management + bytes(MANAGEMENT_BYTES - len(management))},
        records={LOG: [], LOCAL: [b"", b""], COMPOUND: [b"", b""], HISTORY: []},
        balance_fen=balance_fen,
        limit_fen=limit_fen,
        offline_counter=0,
        online_counter=0,
        keys={
            "purchase": derived(masters.purchase),
            "load": derived(masters.load),
            "tac": derived(masters.tac),
            # Secure messaging is described for DES keys only, so an SM4 card has a DES one here.
            "maintenance": [
                Key(1, MAINTENANCE_VERSION, 0, card_key(suite(0), masters.maintenance, issuer, serial))
            ],
        },
    )


def legacy_image(
    masters: MasterKeys,
    issuer: bytes,
    serial: bytes,
    *,
    city: bytes,
    start: bytes,
    expiry: bytes,
    kind: int = ORDINARY,
    balance_fen: int = 0,
    uid: bytes | None = None,
) -> CardImage:
    """The invented regional application, freshly issued: alone on a card, or another card's `second`.

    issuer  4 bytes BCD
    serial  8 bytes BCD, which are the key's only factor
    """

    def derived(master: bytes, version: int = PURCHASE_VERSION) -> list[Key]:
        return [Key(LEGACY_KEY_INDEX, version, 0, suite(0).diversify(master, serial))]

    return CardImage(
        aid=LEGACY_AID,
        fci=_tlv(b"\x6f", _tlv(b"\x84", LEGACY_AID)),
        uid=uid,
        files={LEGACY_SFI: legacy_file(city, issuer, kind, serial, start, expiry)},
        records={LOG: [], LOCAL: [], COMPOUND: [], HISTORY: []},
        balance_fen=balance_fen,
        limit_fen=0,
        offline_counter=0,
        online_counter=0,
        keys={
            "purchase": derived(masters.purchase),
            "load": derived(masters.load),
            "tac": derived(masters.tac),
            "maintenance": derived(masters.maintenance, MAINTENANCE_VERSION),
        },
        settings=CardSettings(compound=False),
        profile=LEGACY_PROFILE,
    )


def psam_image(
    masters: MasterKeys,
    terminal: bytes,
    *,
    issuer: bytes,
    start: bytes,
    expiry: bytes,
    start_counter: int = 0,
    algorithm: int = 0,
    key_index: int = 1,
    settings: PsamSettings | None = None,
) -> PsamImage:
    """A PSAM with root keys of purchase and maintenance.

    terminal       6 bytes BCD, the SAM's number
    issuer         8-byte identifier of whoever issued the PSAM
    start_counter  the next terminal counter
    """
    return PsamImage(
        files={
            0x15: IDENTITY.pack(serial=bytes(4) + terminal, version=1, key_card=1, commands=1, fci=1),
            0x16: terminal,
            0x17: APPLICATION.pack(key_index=key_index, issuer=issuer, receiver=issuer, start=start, expiry=expiry),
        },
        terminal_counter=start_counter,
        keys={
            "purchase": [Key(key_index, PURCHASE_VERSION, algorithm, masters.purchase)],
            "maintenance": [Key(key_index, MAINTENANCE_VERSION, 0, masters.maintenance)],
        },
        settings=settings or PsamSettings(),
    )


def example_card(algorithm: int = 0) -> CardImage:
    """The card of the test vectors before the first of them: 50.00 yuan, purchase 12h and load 3 come next."""
    image = card_image(
        TEST_MASTERS,
        issuer=bytes.fromhex("04026110FFFFFFFF"),
        serial=bytes.fromhex("03104999000000000017"),
        city=b"\x61\x10",
        province=b"\x61\x00",
        start=bytes.fromhex("20250101"),
        expiry=bytes.fromhex("20351231"),
        balance_fen=5000,
        algorithm=algorithm,
        uid=bytes.fromhex("04A1B2C3"),
    )
    image.offline_counter = 0x12
    image.online_counter = 0x03
    return image


def example_psam(algorithm: int = 0) -> PsamImage:
    """The PSAM of the test vectors; its next counter is 64h."""
    return psam_image(
        TEST_MASTERS,
        terminal=bytes.fromhex("611000000042"),
        issuer=bytes.fromhex("04026110FFFFFFFF"),
        start=bytes.fromhex("20250101"),
        expiry=bytes.fromhex("20351231"),
        start_counter=0x64,
        algorithm=algorithm,
    )


def example_legacy(balance_fen: int = 3000) -> CardImage:
    """A card of the invented regional application."""
    return legacy_image(
        LEGACY_MASTERS,
        issuer=LEGACY_ISSUER,
        serial=bytes.fromhex("5800010000000017"),
        city=b"\x58\x00",
        start=bytes.fromhex("20200101"),
        expiry=bytes.fromhex("20351231"),
        balance_fen=balance_fen,
        uid=bytes.fromhex("04A1B2C4"),
    )


def example_dual() -> CardImage:
    """The card of the test vectors with the regional application beside."""
    image = example_card()
    image.second = example_legacy()
    return image


def example_legacy_psam() -> PsamImage:
    """A PSAM for the regional application alone: one level."""
    return psam_image(
        LEGACY_MASTERS,
        terminal=bytes.fromhex("580000000007"),
        issuer=LEGACY_ISSUER + b"\xff" * 4,
        start=bytes.fromhex("20250101"),
        expiry=bytes.fromhex("20351231"),
        start_counter=0x10,
        key_index=LEGACY_KEY_INDEX,
        settings=PsamSettings(levels=1),
    )


EXAMPLES: dict[str, Callable[[], CardImage | PsamImage]] = {
    "card.json": example_card,
    "psam.json": example_psam,
    "dual.json": example_dual,
    "legacy_psam.json": example_legacy_psam,
}


def _tlv(tag: bytes, value: bytes) -> bytes:
    if len(value) > 127:
        raise ValueError("an FCI of this size needs a long length; ours has none")
    return tag + bytes((len(value),)) + value


if __name__ == "__main__":
    for name, make in EXAMPLES.items():
        make().save(IMAGES / name)
        print(IMAGES / name)
