"""DES as native code: the twin of des_plain, same names, same bytes. Importable only where viper compiles.

Viper integers are as wide as the machine, 64 bits on unix and 32 on the boards, so every right shift works on a
value that was masked to 32 bits, and the mask is built at run time (its literal is no small int on a board).
The first three arguments live in registers, so they are the ones the loops use most.
"""
# ruff: noqa: F821 - ptr8, ptr32 and uint are viper's own names

from array import array

import micropython

from tunion.crypto.des_tables import PC1, PC2, SP, TURNS

# Words in the machine's own byte order, 2 KB: viper reads them with one load.
_SP_WORDS = array("I", (int.from_bytes(SP[i : i + 4], "big") for i in range(0, len(SP), 4)))
# Scratch for the chosen key bits, one a byte. Each half stands there twice, so that no turn has to wrap round.
_BITS = bytearray(112)


@micropython.viper
def _expand(bits: ptr8, pc2: ptr8, schedule: ptr8, key: ptr8, pc1: ptr8, turns: ptr8):
    i = 0
    while i < 56:
        bit = pc1[i]
        at = i if i < 28 else i + 28
        bits[at] = bits[at + 28] = (key[bit >> 3] >> (7 - (bit & 7))) & 1
        i += 1
    turn = 0
    at = 0
    while turn < 16:
        half = turns[turn]
        i = 0
        while i < 48:
            if i == 24:
                half += 28
            six = (bits[half + pc2[i]] << 5) | (bits[half + pc2[i + 1]] << 4) | (bits[half + pc2[i + 2]] << 3)
            six |= (bits[half + pc2[i + 3]] << 2) | (bits[half + pc2[i + 4]] << 1) | bits[half + pc2[i + 5]]
            schedule[at] = six
            at += 1
            i += 6
        turn += 1


@micropython.viper
def _crypt(sp: ptr32, schedule: ptr8, at: int, source: ptr8, target: ptr8):
    low = uint(0xFFFF)
    all32 = (low << 16) | low
    left = uint((source[0] << 24) | (source[1] << 16) | (source[2] << 8) | source[3]) & all32
    right = uint((source[4] << 24) | (source[5] << 16) | (source[6] << 8) | source[7]) & all32
    m2 = uint(0x3333)
    m2 = (m2 << 16) | m2
    m1 = uint(0x5555)
    m1 = (m1 << 16) | m1
    m4 = uint(0x0F0F)
    m4 = (m4 << 16) | m4
    m8 = uint(0xFF)
    m8 = (m8 << 16) | m8
    t = ((left >> 4) ^ right) & m4
    right ^= t
    left ^= t << 4
    t = ((left >> 16) ^ right) & low
    right ^= t
    left = (left ^ (t << 16)) & all32
    t = ((right >> 2) ^ left) & m2
    left ^= t
    right ^= t << 2
    t = ((right >> 8) ^ left) & m8
    left ^= t
    right ^= t << 8
    t = ((left >> 1) ^ right) & m1
    right ^= t
    left ^= t << 1
    step = -8 if at else 8
    turn = 0
    while turn < 16:
        mixed = uint(sp[int(((right & 1) << 5) | (right >> 27)) ^ schedule[at]])
        mixed ^= uint(sp[64 + (int((right >> 23) & 63) ^ schedule[at + 1])])
        mixed ^= uint(sp[128 + (int((right >> 19) & 63) ^ schedule[at + 2])])
        mixed ^= uint(sp[192 + (int((right >> 15) & 63) ^ schedule[at + 3])])
        mixed ^= uint(sp[256 + (int((right >> 11) & 63) ^ schedule[at + 4])])
        mixed ^= uint(sp[320 + (int((right >> 7) & 63) ^ schedule[at + 5])])
        mixed ^= uint(sp[384 + (int((right >> 3) & 63) ^ schedule[at + 6])])
        mixed ^= uint(sp[448 + (int(((right & 31) << 1) | (right >> 31)) ^ schedule[at + 7])])
        t = (left ^ mixed) & all32
        left = right
        right = t
        at += step
        turn += 1
    t = left
    left = right
    right = t
    t = ((left >> 1) ^ right) & m1
    right ^= t
    left ^= t << 1
    t = ((right >> 8) ^ left) & m8
    left ^= t
    right ^= t << 8
    t = ((right >> 2) ^ left) & m2
    left ^= t
    right ^= t << 2
    t = ((left >> 16) ^ right) & low
    right ^= t
    left = (left ^ (t << 16)) & all32
    t = ((left >> 4) ^ right) & m4
    right ^= t
    left ^= t << 4
    i = 0
    while i < 4:
        target[i] = int(left >> uint(24 - 8 * i)) & 255
        target[4 + i] = int(right >> uint(24 - 8 * i)) & 255
        i += 1


def expand_key(key: bytes, schedule: bytearray) -> None:
    """As des_plain.expand_key."""
    _expand(_BITS, PC2, schedule, key, PC1, TURNS)


def crypt_block(source: bytes, target: bytearray, schedule: bytearray, backward: int) -> None:
    """As des_plain.crypt_block."""
    _crypt(_SP_WORDS, schedule, 120 if backward else 0, source, target)
