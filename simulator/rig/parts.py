"""SAMs with test keys for terminals of the rig."""

import secrets
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

from simulator.image import PsamImage
from simulator.personalise import TEST_MASTERS, psam_image
from simulator.rig.provision import Bus
from simulator.rig.riders import ISSUERS
from tunion.bcd import from_digits
from tunion.crypto.keys import suite
from tunion.wire.soft_sam import make_blob

START, EXPIRY = from_digits("20240101"), from_digits("20351231")     # of all SAMs


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
