"""The MACs of the e-purse: padding, CBC-MAC, and the retail MAC of secure messaging. JT/T 978.6, PBOC e-purse."""

from tunion.crypto.des import Des
from tunion.crypto.xor import xor_block
from tunion.record import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class BlockCipher(Protocol):
        block_bytes: int

        def encrypt_in_place(self, block: bytearray) -> None: ...


def padded(message: bytes, block_bytes: int) -> bytes:
    """`message` with 80 and zeros up to whole blocks; always at least the 80."""
    return message + b"\x80" + bytes(-(len(message) + 1) % block_bytes)


def chain(cipher: "BlockCipher", blocks: bytes, start: bytes) -> bytes:
    """The last block of CBC encryption over whole blocks, from the initial value `start`."""
    size = cipher.block_bytes
    if len(blocks) % size or len(start) != size:
        raise BadInput("CBC takes whole blocks of %d bytes" % size)
    value = bytearray(start)
    for at in range(0, len(blocks), size):
        xor_block(value, blocks, at)
        cipher.encrypt_in_place(value)
    return bytes(value)


def cbc_mac(cipher: "BlockCipher", message: bytes) -> bytes:
    """4 bytes: padded, zero initial value, leftmost half of a DES block (or quarter of an SM4 block)."""
    return chain(cipher, padded(message, cipher.block_bytes), bytes(cipher.block_bytes))[:4]


def retail_mac_block(key: bytes, blocks: bytes, start: bytes) -> bytes:
    """The 8-byte final block of ISO 9797-1 algorithm 3 over whole blocks.

    key     16 bytes, or 8: then plain single DES CBC
    blocks  already padded, a multiple of 8 bytes
    start   8 bytes, the challenge and zeros in secure messaging
    """
    if len(key) not in (8, 16):
        raise BadInput("a key of the retail MAC has 16 bytes, or 8")
    left = Des(key[:8])
    value = chain(left, blocks, start)
    if len(key) == 8:
        return value
    return left.encrypt(Des(key[8:16]).decrypt(value))


def maintenance_mac(key: bytes, challenge: bytes, command: bytes) -> bytes:
    """4 bytes over a secure command, as APPLICATION BLOCK carries it. JT/T 978.2.

    key        DAMK of the card, 16 bytes (8: the single-length variant)
    challenge  what GET CHALLENGE returned; its first 4 bytes count
    command    CLA INS P1 P2 Lc and data without the MAC; Lc counts the MAC
    """
    return retail_mac_block(key, padded(command, 8), challenge[:4] + bytes(4))[:4]
