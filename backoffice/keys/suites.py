"""What keys do, with library ciphers: tunion.crypto.keys is the reference, too slow here.

A TAC check of the 3DES family is two derivations and one CBC-MAC.
"""

from typing import Protocol

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from tunion.crypto.mac import padded


class Suite(Protocol):
    def diversify(self, key: bytes, factor: bytes) -> bytes: ...

    def tac(self, card_key: bytes, message: bytes) -> bytes: ...

    def session_mac(self, card_key: bytes, block: bytes, message: bytes) -> bytes: ...

    def kcv(self, key: bytes) -> bytes: ...


class TripleDesSuite:
    """Two-key 3DES; single DES under the xored halves for the TAC."""

    def diversify(self, key: bytes, factor: bytes) -> bytes:
        """16 bytes."""
        return _encrypted(TripleDES(key + key[:8]), factor + _complement(factor))

    def tac(self, card_key: bytes, message: bytes) -> bytes:
        """4 bytes."""
        single = bytes(a ^ b for a, b in zip(card_key[:8], card_key[8:], strict=True))
        blocks = padded(message, 8)
        return _cbc(TripleDES(single * 3), blocks, 8)[-8:-4]

    def session_mac(self, card_key: bytes, block: bytes, message: bytes) -> bytes:
        """4 bytes."""
        session = _encrypted(TripleDES(card_key + card_key[:8]), block)
        return _cbc(TripleDES(session * 3), padded(message, 8), 8)[-8:-4]

    def kcv(self, key: bytes) -> bytes:
        """3 bytes."""
        return _encrypted(TripleDES(key + key[:8]), bytes(8))[:3]


class Sm4Suite:
    """SM4 throughout, inferred (transactions section 6.5)."""

    def diversify(self, key: bytes, factor: bytes) -> bytes:
        """16 bytes."""
        return _encrypted(SM4(key), factor + _complement(factor))

    def tac(self, card_key: bytes, message: bytes) -> bytes:
        """4 bytes."""
        return _cbc(SM4(card_key), padded(message, 16), 16)[-16:-12]

    def session_mac(self, card_key: bytes, block: bytes, message: bytes) -> bytes:
        """4 bytes."""
        return self.tac(_encrypted(SM4(card_key), block + _complement(block)), message)

    def kcv(self, key: bytes) -> bytes:
        """3 bytes."""
        return _encrypted(SM4(key), bytes(16))[:3]


# by the algorithm identifier of the card; names as the vault writes them
ALGORITHMS: dict[int, str] = {0x00: "3DES", 0x04: "SM4"}
SUITES: dict[str, Suite] = {"3DES": TripleDesSuite(), "SM4": Sm4Suite()}


def _encrypted(cipher: TripleDES | SM4, blocks: bytes) -> bytes:
    return Cipher(cipher, modes.ECB()).encryptor().update(blocks)


def _cbc(cipher: TripleDES | SM4, blocks: bytes, block_bytes: int) -> bytes:
    return Cipher(cipher, modes.CBC(bytes(block_bytes))).encryptor().update(blocks)


def _complement(block: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in block)
