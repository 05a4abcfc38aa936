"""DES as native code: the twin of des_plain, same names, same bytes. Importable only where viper compiles.

Viper integers are as wide as the machine, 64 bits on unix and 32 on the boards. Nothing here looks at a bit above the
32nd: what is shifted right is masked to the bits that it had, so signs and leftovers up there do not matter. Masks
beyond 30 bits are built at run time, since their literals are no small integers on a board.
The first three arguments live in registers, so they are the names that the loops use most, whatever was passed.
"""
# ruff: noqa: F821 - ptr8 and ptr32 are viper's own names

from array import array

import micropython

from tunion.crypto.des_tables import PC1, PC2, SP, TURNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes


def _sp_words() -> "array[int]":
    """SP in the machine's own byte order, 2 KB: viper reads a word with one load. Turned left by one bit, as the
    halves are while they go through the turns: so the groups of six lie at whole bytes.
    """
    words = array("I")
    for at in range(0, len(SP), 4):
        word = int.from_bytes(SP[at : at + 4], "big")
        words.append((word << 1 | word >> 31) & 0xFFFFFFFF)
    return words


def _choices() -> "array[int]":
    """Permuted choice 2 by four key bits at a time, 0.9 KB: for each half seven tables of 16 words.

    A word holds the four groups of six that the half gives, the two for even groups of S boxes above those for odd.
    """
    words = array("I", bytes(4 * 2 * 7 * 16))
    for place in range(48):
        half = place // 24
        from_right = 27 + 28 * half - PC2[place]
        group = place % 24 // 6
        wanted = 1 << ((24, 8, 16, 0)[group] + 5 - place % 6)
        table = 112 * half + 16 * (from_right // 4)
        for four in range(16):
            if four >> from_right % 4 & 1:
                words[table + four] |= wanted
    return words


_SP_WORDS = _sp_words()
_CHOICES = _choices()


@micropython.viper
def _expand(choices: ptr32, x: int, y: int, schedule: ptr32, key: ptr8, pc1: ptr8, turns: ptr8):
    c = 0
    d = 0
    i = 0
    while i < 28:
        x = pc1[i]
        c = (c << 1) | ((key[x >> 3] >> (7 - (x & 7))) & 1)
        x = pc1[i + 28]
        d = (d << 1) | ((key[x >> 3] >> (7 - (x & 7))) & 1)
        i += 1
    i = 0
    while i < 16:
        by = turns[i]
        back = 28 - by
        x = (c << by) | (c >> back)
        y = choices[x & 15] | choices[16 + ((x >> 4) & 15)] | choices[32 + ((x >> 8) & 15)]
        y |= choices[48 + ((x >> 12) & 15)] | choices[64 + ((x >> 16) & 15)] | choices[80 + ((x >> 20) & 15)]
        high = y | choices[96 + ((x >> 24) & 15)]
        x = (d << by) | (d >> back)
        y = choices[112 + (x & 15)] | choices[128 + ((x >> 4) & 15)] | choices[144 + ((x >> 8) & 15)]
        y |= choices[160 + ((x >> 12) & 15)] | choices[176 + ((x >> 16) & 15)] | choices[192 + ((x >> 20) & 15)]
        y |= choices[208 + ((x >> 24) & 15)]
        x = i + i
        schedule[x] = ((high >> 16) << 16) | (y >> 16)
        schedule[x + 1] = ((high & 0xFFFF) << 16) | (y & 0xFFFF)
        i += 1


@micropython.viper
def _crypt(sp: ptr32, u: int, v: int, schedule: ptr32, at: int, source: ptr8, target: ptr8):
    left = (source[0] << 24) | (source[1] << 16) | (source[2] << 8) | source[3]
    right = (source[4] << 24) | (source[5] << 16) | (source[6] << 8) | source[7]
    m1 = 0x5555
    m1 = (m1 << 16) | m1
    m31 = 0x7FFF
    m31 = (m31 << 16) | 0xFFFF
    u = ((left >> 4) ^ right) & 0x0F0F0F0F
    right ^= u
    left ^= u << 4
    u = ((left >> 16) ^ right) & 0xFFFF
    right ^= u
    left ^= u << 16
    u = ((right >> 2) ^ left) & 0x33333333
    left ^= u
    right ^= u << 2
    u = ((right >> 8) ^ left) & 0x00FF00FF
    left ^= u
    right ^= u << 8
    u = ((left >> 1) ^ right) & m1
    right ^= u
    left ^= u << 1
    left = (left << 1) | ((left >> 31) & 1)
    right = (right << 1) | ((right >> 31) & 1)
    step = -2 if at else 2
    turns = 8
    while turns:
        v = (((right >> 4) & 0x0FFFFFFF) | (right << 28)) ^ schedule[at]
        u = right ^ schedule[at + 1]
        at += step
        left ^= (
            sp[(v >> 24) & 63] ^ sp[64 + ((u >> 24) & 63)] ^ sp[128 + ((v >> 16) & 63)] ^ sp[192 + ((u >> 16) & 63)]
            ^ sp[256 + ((v >> 8) & 63)] ^ sp[320 + ((u >> 8) & 63)] ^ sp[384 + (v & 63)] ^ sp[448 + (u & 63)]
        )  # fmt: skip
        v = (((left >> 4) & 0x0FFFFFFF) | (left << 28)) ^ schedule[at]
        u = left ^ schedule[at + 1]
        at += step
        right ^= (
            sp[(v >> 24) & 63] ^ sp[64 + ((u >> 24) & 63)] ^ sp[128 + ((v >> 16) & 63)] ^ sp[192 + ((u >> 16) & 63)]
            ^ sp[256 + ((v >> 8) & 63)] ^ sp[320 + ((u >> 8) & 63)] ^ sp[384 + (v & 63)] ^ sp[448 + (u & 63)]
        )  # fmt: skip
        turns -= 1
    u = ((right >> 1) & m31) | (right << 31)
    right = ((left >> 1) & m31) | (left << 31)
    left = u
    u = ((left >> 1) ^ right) & m1
    right ^= u
    left ^= u << 1
    u = ((right >> 8) ^ left) & 0x00FF00FF
    left ^= u
    right ^= u << 8
    u = ((right >> 2) ^ left) & 0x33333333
    left ^= u
    right ^= u << 2
    u = ((left >> 16) ^ right) & 0xFFFF
    right ^= u
    left ^= u << 16
    u = ((left >> 4) ^ right) & 0x0F0F0F0F
    right ^= u
    left ^= u << 4
    target[0] = left >> 24
    target[1] = left >> 16
    target[2] = left >> 8
    target[3] = left
    target[4] = right >> 24
    target[5] = right >> 16
    target[6] = right >> 8
    target[7] = right


def expand_key(key: "Bytes", schedule: "array[int]") -> None:
    """As des_plain.expand_key."""
    _expand(_CHOICES, 0, 0, schedule, key, PC1, TURNS)


def crypt_block(source: "Bytes", target: bytearray, schedule: "array[int]", backward: int) -> None:
    """As des_plain.crypt_block."""
    _crypt(_SP_WORDS, 0, 0, schedule, 30 if backward else 0, source, target)
