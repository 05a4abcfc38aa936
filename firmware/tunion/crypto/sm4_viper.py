"""SM4 as native code: the twin of sm4_plain, same names, same bytes. Importable only where viper compiles.

Widths as in des_viper: what is shifted right was masked to 32 bits. A rotation is two shifts xored; the bits that
a 64-bit machine keeps above are masked off once a round.
"""
# ruff: noqa: F821 - ptr8, ptr32 and uint are viper's own names

import micropython

from tunion.crypto.sm4_tables import FK, SBOX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array

    from tunion.record import Bytes


@micropython.viper
def _expand(key: ptr8, schedule: ptr32, sbox: ptr8, fk: ptr32):
    low = uint(0xFFFF)
    all32 = (low << 16) | low
    a = uint(((key[0] << 24) | (key[1] << 16) | (key[2] << 8) | key[3]) ^ fk[0])
    b = uint(((key[4] << 24) | (key[5] << 16) | (key[6] << 8) | key[7]) ^ fk[1])
    c = uint(((key[8] << 24) | (key[9] << 16) | (key[10] << 8) | key[11]) ^ fk[2])
    d = uint(((key[12] << 24) | (key[13] << 16) | (key[14] << 8) | key[15]) ^ fk[3])
    i = 0
    while i < 32:
        n = 28 * i
        t = uint(((n & 255) << 24) | ((n + 7 & 255) << 16) | ((n + 14 & 255) << 8) | (n + 21 & 255))
        t = (t ^ b ^ c ^ d) & all32
        m = uint(sbox[int(t >> 24)] << 24) | uint(sbox[int((t >> 16) & 255)] << 16)
        m = (m | uint(sbox[int((t >> 8) & 255)] << 8) | uint(sbox[int(t & 255)])) & all32
        t = (a ^ m ^ (m << 13) ^ (m >> 19) ^ (m << 23) ^ (m >> 9)) & all32
        a = b
        b = c
        c = d
        d = t
        schedule[i] = int(t)
        i += 1


@micropython.viper
def _crypt(source: ptr8, target: ptr8, schedule: ptr32, sbox: ptr8):
    low = uint(0xFFFF)
    all32 = (low << 16) | low
    a = uint((source[0] << 24) | (source[1] << 16) | (source[2] << 8) | source[3])
    b = uint((source[4] << 24) | (source[5] << 16) | (source[6] << 8) | source[7])
    c = uint((source[8] << 24) | (source[9] << 16) | (source[10] << 8) | source[11])
    d = uint((source[12] << 24) | (source[13] << 16) | (source[14] << 8) | source[15])
    i = 0
    while i < 32:
        t = (uint(schedule[i]) ^ b ^ c ^ d) & all32
        m = uint(sbox[int(t >> 24)] << 24) | uint(sbox[int((t >> 16) & 255)] << 16)
        m = (m | uint(sbox[int((t >> 8) & 255)] << 8) | uint(sbox[int(t & 255)])) & all32
        t = a ^ m ^ (m << 2) ^ (m >> 30) ^ (m << 10) ^ (m >> 22)
        t = (t ^ (m << 18) ^ (m >> 14) ^ (m << 24) ^ (m >> 8)) & all32
        a = b
        b = c
        c = d
        d = t
        i += 1
    i = 0
    while i < 4:
        shift = uint(24 - 8 * i)
        target[i] = int(d >> shift) & 255
        target[4 + i] = int(c >> shift) & 255
        target[8 + i] = int(b >> shift) & 255
        target[12 + i] = int(a >> shift) & 255
        i += 1


def expand_key(key: bytes, schedule: "array[int]") -> None:
    """As sm4_plain.expand_key."""
    _expand(key, schedule, SBOX, FK)


def crypt_block(source: "Bytes", target: bytearray, schedule: "array[int]") -> None:
    """As sm4_plain.crypt_block."""
    _crypt(source, target, schedule, SBOX)
