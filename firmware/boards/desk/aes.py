"""AES-128-CBC of the library cryptography, in the shape that tunion.wire.soft_sam takes."""

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC


def cbc_decrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """Whole blocks of 16 bytes to the same."""
    worker = Cipher(AES128(key), CBC(iv)).decryptor()
    return worker.update(blocks) + worker.finalize()


def cbc_encrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """Whole blocks of 16 bytes to the same."""
    worker = Cipher(AES128(key), CBC(iv)).encryptor()
    return worker.update(blocks) + worker.finalize()
