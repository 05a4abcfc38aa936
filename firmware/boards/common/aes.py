"""AES-128-CBC as MicroPython's cryptolib has it, in the shape that tunion.wire.soft_sam takes."""

import cryptolib

_MODE_CBC = 2


def cbc_decrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """Whole blocks of 16 bytes to the same."""
    return cryptolib.aes(key, _MODE_CBC, iv).decrypt(blocks)


def cbc_encrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    """Whole blocks of 16 bytes to the same."""
    return cryptolib.aes(key, _MODE_CBC, iv).encrypt(blocks)
