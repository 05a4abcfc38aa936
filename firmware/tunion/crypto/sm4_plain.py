"""SM4 in plain Python: the reference that the viper twin must equal. GB/T 32907.

    schedule   array("I") of 32 round keys
"""

from tunion.crypto.sm4_tables import FK, SBOX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array

    from tunion.record import Bytes


def expand_key(key: bytes, schedule: "array[int]") -> None:
    """Fill `schedule` from a 16-byte key."""
    a, b, c, d = (int.from_bytes(key[4 * i : 4 * i + 4], "big") ^ FK[i] for i in range(4))
    for i in range(32):
        constant = 0
        for j in range(4):
            constant = constant << 8 | (4 * i + j) * 7 & 255
        mixed = _substituted(b ^ c ^ d ^ constant)
        a, b, c, d = b, c, d, a ^ mixed ^ _turned(mixed, 13) ^ _turned(mixed, 23)
        schedule[i] = d


def crypt_block(source: "Bytes", target: bytearray, schedule: "array[int]") -> None:
    """Encrypt the 16 bytes of `source` into `target`."""
    a, b, c, d = (int.from_bytes(source[4 * i : 4 * i + 4], "big") for i in range(4))
    for key in schedule:
        t = _substituted(b ^ c ^ d ^ key)
        t ^= _turned(t, 2) ^ _turned(t, 10) ^ _turned(t, 18) ^ _turned(t, 24)
        a, b, c, d = b, c, d, a ^ t
    target[:] = b"".join(word.to_bytes(4, "big") for word in (d, c, b, a))


def _substituted(word: int) -> int:
    return SBOX[word >> 24] << 24 | SBOX[word >> 16 & 255] << 16 | SBOX[word >> 8 & 255] << 8 | SBOX[word & 255]


def _turned(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & 0xFFFFFFFF
