"""Where a rig's SAMs come from: sample ones with test keys, here; or a key room."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

from simulator.field import Card
from simulator.image import PsamImage
from simulator.pcscd import Pcscd
from simulator.personalise import TEST_MASTERS, psam_image
from simulator.psam import SimPsam
from simulator.rig.provision import Bus
from simulator.rig.riders import ISSUERS
from tunion.bcd import from_digits
from tunion.crypto.keys import suite
from tunion.wire.soft_sam import make_blob

START, EXPIRY = from_digits("20240101"), from_digits("20351231")     # of all SAMs


class Supply(Protocol):
    """Who makes what a depot puts into its terminals.

    soft  the terminals without PC/SC get soft SAMs; else PSAMs
    """

    soft: bool

    def make(self, db: Path, pcscd: Pcscd, fleet: Sequence[Bus]) -> None:
        """Before the first device file is written; `fleet` in the order of Depot.posts. Terminal numbers may change."""

    def denied(self) -> list[bytes]:
        """Application serial numbers on the deny list of every device."""

    def psam(self, bus: Bus) -> Card: ...

    def soft_sam(self, bus: Bus) -> dict[str, Any]:
        """The setting `sam` of its device file."""


class Samples:
    """SAMs with the test keys of the sample cards."""

    soft = True

    def __init__(self, denied: Sequence[bytes] = ()) -> None:
        self._denied = list(denied)

    def make(self, db: Path, pcscd: Pcscd, fleet: Sequence[Bus]) -> None:
        """They are made when they are asked for."""

    def denied(self) -> list[bytes]:
        return self._denied

    def psam(self, bus: Bus) -> Card:
        return SimPsam(make_psam(bus))

    def soft_sam(self, bus: Bus) -> dict[str, Any]:
        return make_soft_sam(bus)


def make_psam(bus: Bus) -> PsamImage:
    """A PSAM with root test keys, and the bus's number."""
    return psam_image(
        TEST_MASTERS, bus.terminal, issuer=ISSUERS[0].identifier, start=START, expiry=EXPIRY, start_counter=1
    )


def make_soft_sam(bus: Bus) -> dict[str, Any]:
    """Issuer-level test keys for a validator without a SAM slot."""
    ciphers = suite(0)
    storage_key = secrets.token_bytes(32)
    blob = make_blob(
        storage_key,
        _aes_cbc_encrypt,
        secrets.token_bytes(16),
        {issuer.identifier: ciphers.diversify(TEST_MASTERS.purchase, issuer.identifier) for issuer in ISSUERS},
        bus.terminal,
        1,
        START,
        EXPIRY,
    )
    return {"driver": "soft", "blob": blob, "storage_key": storage_key}


def _aes_cbc_encrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    encryptor = Cipher(AES128(key), CBC(iv)).encryptor()
    return encryptor.update(blocks) + encryptor.finalize()
