"""What a blank chip computes with its control key, by the algorithm of that key. backoffice/docs/personalise.md.

Written from that page a second time, without the back office's library calls for modes: the two check one another.
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import ECB

from tunion.crypto.des import TripleDes
from tunion.crypto.mac import padded, retail_mac_block

KEY_BYTES = 16
MAC_BYTES = 4
FACTOR_BYTES = 8

_AES_BYTES = 16
_CMAC_POLYNOMIAL = 0x87                 # x^128 + x^7 + x^2 + x + 1, SP 800-38B
_WRAP_CHECK = b"\xa6" * 8               # RFC 3394, 2.2.3.1
_WRAP_ROUNDS = 6


class Unwrapped(Exception):
    """What was to be unwrapped was not wrapped under this key."""


class Scheme(NamedTuple):
    """One algorithm of control keys. Keys have 16 bytes.

    auth       8-byte challenge -> 8 bytes
    mac        8-byte initial value, message -> 4 bytes
    unwrap     wrapped key -> 16 bytes; raises Unwrapped
    diversify  8-byte factor -> 16 bytes
    wrapped    bytes of a wrapped key
    """

    auth: Callable[[bytes, bytes], bytes]
    mac: Callable[[bytes, bytes, bytes], bytes]
    unwrap: Callable[[bytes, bytes], bytes]
    diversify: Callable[[bytes, bytes], bytes]
    wrapped: int


def _des_auth(key: bytes, challenge: bytes) -> bytes:
    return TripleDes(key).encrypt(challenge)


def _des_mac(key: bytes, iv: bytes, message: bytes) -> bytes:
    return retail_mac_block(key, padded(message, 8), iv)[:MAC_BYTES]


def _des_unwrap(key: bytes, wrapped: bytes) -> bytes:
    cipher = TripleDes(key)
    return cipher.decrypt(wrapped[:8]) + cipher.decrypt(wrapped[8:])


def _des_diversify(key: bytes, factor: bytes) -> bytes:
    cipher = TripleDes(key)
    return cipher.encrypt(factor) + cipher.encrypt(_complement(factor))


def _aes_auth(key: bytes, challenge: bytes) -> bytes:
    return _aes_diversify(key, challenge)[:8]


def _aes_diversify(key: bytes, factor: bytes) -> bytes:
    return _aes(key, factor + _complement(factor))


def _aes_mac(key: bytes, iv: bytes, message: bytes) -> bytes:
    """CMAC, SP 800-38B, over the initial value, 8 zeros and the message."""
    message = iv + bytes(8) + message
    mask = _doubled(_aes(key, bytes(_AES_BYTES)))
    if len(message) % _AES_BYTES:
        message, mask = padded(message, _AES_BYTES), _doubled(mask)
    blocks = [message[at : at + _AES_BYTES] for at in range(0, len(message), _AES_BYTES)]
    blocks[-1] = _xor(blocks[-1], mask)
    return reduce(lambda chained, block: _aes(key, _xor(chained, block)), blocks, bytes(_AES_BYTES))[:MAC_BYTES]


def _aes_unwrap(key: bytes, wrapped: bytes) -> bytes:
    """RFC 3394, 2.2.2."""
    check, halves = wrapped[:8], [wrapped[8:16], wrapped[16:]]
    for step in range(_WRAP_ROUNDS * len(halves), 0, -1):
        at = (step - 1) % len(halves)
        block = _aes(key, _xor(check, step.to_bytes(8, "big")) + halves[at], backward=True)
        check, halves[at] = block[:8], block[8:]
    if check != _WRAP_CHECK:
        raise Unwrapped
    return b"".join(halves)


def _aes(key: bytes, block: bytes, backward: bool = False) -> bytes:
    cipher = Cipher(AES128(key), ECB())
    return (cipher.decryptor() if backward else cipher.encryptor()).update(block)


def _doubled(block: bytes) -> bytes:
    """Times x in the field of the CMAC."""
    value = int.from_bytes(block, "big") << 1
    if value >> 128:
        value = value & (1 << 128) - 1 ^ _CMAC_POLYNOMIAL
    return value.to_bytes(_AES_BYTES, "big")


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _complement(factor: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in factor)


# By the name of a profile's `scheme`
SCHEMES = {
    "3DES": Scheme(_des_auth, _des_mac, _des_unwrap, _des_diversify, 16),
    "AES": Scheme(_aes_auth, _aes_mac, _aes_unwrap, _aes_diversify, 24),
}
