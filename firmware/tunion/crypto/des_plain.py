"""DES in plain Python: the reference that the viper twin must equal. FIPS 46-3.

    schedule   128 bytes: 16 rounds of 8 six-bit subkeys, one a byte
"""

from tunion.crypto.des_tables import PC1, PC2, SP, TURNS


def expand_key(key: bytes, schedule: bytearray) -> None:
    """Fill `schedule` (128 bytes) from an 8-byte key. Parity bits are ignored."""
    bits = int.from_bytes(key, "big")
    chosen = [(bits >> (63 - bit)) & 1 for bit in PC1]
    for turn in range(16):
        turned = TURNS[turn]
        for group in range(8):
            six = 0
            for bit in PC2[6 * group : 6 * group + 6]:
                half = 28 if bit >= 28 else 0
                six = six << 1 | chosen[half + (bit - half + turned) % 28]
            schedule[8 * turn + group] = six


def crypt_block(source: bytes, target: bytearray, schedule: bytearray, backward: int) -> None:
    """Encrypt (`backward` 0) or decrypt (1) the 8 bytes of `source` into `target`."""
    left = int.from_bytes(source[:4], "big")
    right = int.from_bytes(source[4:8], "big")
    # Initial permutation, as swaps of ever smaller squares of bits.
    t = (left >> 4 ^ right) & 0x0F0F0F0F
    right ^= t
    left ^= t << 4
    t = (left >> 16 ^ right) & 0x0000FFFF
    right ^= t
    left ^= t << 16
    t = (right >> 2 ^ left) & 0x33333333
    left ^= t
    right ^= t << 2
    t = (right >> 8 ^ left) & 0x00FF00FF
    left ^= t
    right ^= t << 8
    t = (left >> 1 ^ right) & 0x55555555
    right ^= t
    left ^= t << 1
    for turn in range(16):
        at = 8 * (15 - turn if backward else turn)
        # The expansion E reads right in groups of six that overlap by two; the ends wrap round.
        ring = (right & 1) << 33 | right << 1 | right >> 31
        mixed = 0
        for group in range(8):
            six = ring >> (28 - 4 * group) & 63 ^ schedule[at + group]
            entry = 4 * (64 * group + six)
            mixed ^= int.from_bytes(SP[entry : entry + 4], "big")
        left, right = right, left ^ mixed
    left, right = right, left
    # Final permutation: the same swaps, backwards.
    t = (left >> 1 ^ right) & 0x55555555
    right ^= t
    left ^= t << 1
    t = (right >> 8 ^ left) & 0x00FF00FF
    left ^= t
    right ^= t << 8
    t = (right >> 2 ^ left) & 0x33333333
    left ^= t
    right ^= t << 2
    t = (left >> 16 ^ right) & 0x0000FFFF
    right ^= t
    left ^= t << 16
    t = (left >> 4 ^ right) & 0x0F0F0F0F
    right ^= t
    left ^= t << 4
    target[:4] = left.to_bytes(4, "big")
    target[4:8] = right.to_bytes(4, "big")
