"""DES in plain Python: the reference that the viper twin must equal. FIPS 46-3.

    schedule   32 words: for each of 16 turns the subkeys of S boxes 1 3 5 7, then those of 2 4 6 8, six bits in a byte
"""

from tunion.crypto.des_tables import PC1, PC2, SP, TURNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array

    from tunion.record import Bytes


def expand_key(key: "Bytes", schedule: "array[int]") -> None:
    """Fill `schedule` (32 words) from an 8-byte key. Parity bits are ignored."""
    bits = int.from_bytes(key, "big")
    chosen = [(bits >> (63 - bit)) & 1 for bit in PC1]
    for turn in range(16):
        turned = TURNS[turn]
        words = [0, 0]
        for group in range(8):
            six = 0
            for bit in PC2[6 * group : 6 * group + 6]:
                half = 28 if bit >= 28 else 0
                six = six << 1 | chosen[half + (bit - half + turned) % 28]
            words[group & 1] = words[group & 1] << 8 | six
        schedule[2 * turn] = words[0]
        schedule[2 * turn + 1] = words[1]


def crypt_block(source: "Bytes", target: bytearray, schedule: "array[int]", backward: int) -> None:
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
        at = 2 * (15 - turn if backward else turn)
        # The expansion E reads right in groups of six that overlap by two; the ends wrap round.
        ring = (right & 1) << 33 | right << 1 | right >> 31
        mixed = 0
        for group in range(8):
            subkey = schedule[at + (group & 1)] >> (24 - 8 * (group >> 1)) & 63
            six = ring >> (28 - 4 * group) & 63 ^ subkey
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
