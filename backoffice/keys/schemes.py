"""How a chip's control key proves, secures and wraps: by the algorithm of that key.

Invented by us, as the command sets that write keys are each vendor's own: backoffice/docs/personalise.md.

           auth(challenge 8)                   command_mac(iv 8, message)                     wrap(key 16)
    3DES   3DES of it, 8 bytes                 ISO 9797-1 algorithm 3 from that iv, 4 bytes   3DES-ECB, 16 bytes
    AES    AES of it and its complement,       CMAC over iv, 8 zeros, message: 4 bytes        RFC 3394, 24 bytes
           the first 8 bytes
"""

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from tunion.crypto.mac import padded

MAC_BYTES = 4


def diversify_aes(key: bytes, factor: bytes) -> bytes:
    """16 bytes: AES over the 8-byte factor and its complement. As the 3DES family does it, in one block."""
    return _aes(key, factor + bytes(byte ^ 0xFF for byte in factor))


def kcv_aes(key: bytes) -> bytes:
    """3 bytes: AES over zeros."""
    return _aes(key, bytes(16))[:3]


def auth(algorithm: str, key: bytes, challenge: bytes) -> bytes:
    if algorithm == "AES":
        return _aes(key, challenge + bytes(byte ^ 0xFF for byte in challenge))[:8]
    return _des3(key, challenge)


def command_mac(algorithm: str, key: bytes, iv: bytes, message: bytes) -> bytes:
    if algorithm == "AES":
        mac = CMAC(AES128(key))
        mac.update(iv + bytes(8) + message)
        return mac.finalize()[:MAC_BYTES]
    blocks = padded(message, 8)
    left = Cipher(TripleDES(key[:8] * 3), modes.CBC(iv)).encryptor().update(blocks[:-8])[-8:] or iv
    last = bytes(a ^ b for a, b in zip(left, blocks[-8:], strict=True))
    return _des3(key, last)[:MAC_BYTES]


def wrap(algorithm: str, key: bytes, target: bytes) -> bytes:
    return aes_key_wrap(key, target) if algorithm == "AES" else _des3(key, target)


def _des3(key: bytes, blocks: bytes) -> bytes:
    return Cipher(TripleDES(key + key[:8]), modes.ECB()).encryptor().update(blocks)


def _aes(key: bytes, blocks: bytes) -> bytes:
    return Cipher(AES128(key), modes.ECB()).encryptor().update(blocks)
