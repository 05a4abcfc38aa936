"""SM4, GB/T 32907: 16-byte key, 16-byte block, 32 rounds. Encryption only: no flow of the scheme decrypts."""

from tunion.record import BadInput

_M32 = 0xFFFFFFFF

SBOX = bytes(
    int(pair, 16)
    for pair in (
        "d6 90 e9 fe cc e1 3d b7 16 b6 14 c2 28 fb 2c 05 2b 67 9a 76 2a be 04 c3 aa 44 13 26 49 86 06 99 "
        "9c 42 50 f4 91 ef 98 7a 33 54 0b 43 ed cf ac 62 e4 b3 1c a9 c9 08 e8 95 80 df 94 fa 75 8f 3f a6 "
        "47 07 a7 fc f3 73 17 ba 83 59 3c 19 e6 85 4f a8 68 6b 81 b2 71 64 da 8b f8 eb 0f 4b 70 56 9d 35 "
        "1e 24 0e 5e 63 58 d1 a2 25 22 7c 3b 01 21 78 87 d4 00 46 57 9f d3 27 52 4c 36 02 e7 a0 c4 c8 9e "
        "ea bf 8a d2 40 c7 38 b5 a3 f7 f2 ce f9 61 15 a1 e0 ae 5d a4 9b 34 1a 55 ad 93 32 30 f5 8c b1 e3 "
        "1d f6 e2 2e 82 66 ca 60 c0 29 23 ab 0d 53 4e 6f d5 db 37 45 de fd 8e 2f 03 ff 6a 72 6d 6c 5b 51 "
        "8d 1b af 92 bb dd bc 7f 11 d9 5c 41 1f 10 5a d8 0a c1 31 88 a5 cd 7b bd 2d 74 d0 12 b8 e5 b4 b0 "
        "89 69 97 4a 0c 96 77 7e 65 b9 f1 09 c5 6e c6 84 18 f0 7d ec 3a dc 4d 20 79 ee 5f 3e d7 cb 39 48"
    ).split()
)

_FK = (0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC)


def _substituted(word: int) -> int:
    return SBOX[word >> 24] << 24 | SBOX[word >> 16 & 255] << 16 | SBOX[word >> 8 & 255] << 8 | SBOX[word & 255]


def _turned(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _M32


class Sm4:
    """SM4 under a 16-byte key."""

    block_bytes = 16

    def __init__(self, key: bytes) -> None:
        if len(key) != 16:
            raise BadInput("an SM4 key has 16 bytes")
        k = [int.from_bytes(key[4 * i : 4 * i + 4], "big") ^ _FK[i] for i in range(4)]
        rounds = []
        for i in range(32):
            constant = 0
            for j in range(4):
                constant = constant << 8 | (4 * i + j) * 7 & 255
            mixed = _substituted(k[1] ^ k[2] ^ k[3] ^ constant)
            word = k[0] ^ mixed ^ _turned(mixed, 13) ^ _turned(mixed, 23)
            rounds.append(word)
            k = [k[1], k[2], k[3], word]
        self._rounds = tuple(rounds)

    def encrypt(self, block: bytes) -> bytes:
        """16 bytes to 16 bytes."""
        if len(block) != 16:
            raise BadInput("an SM4 block has 16 bytes")
        a, b, c, d = (int.from_bytes(block[4 * i : 4 * i + 4], "big") for i in range(4))
        for key in self._rounds:
            t = _substituted(b ^ c ^ d ^ key)
            t ^= _turned(t, 2) ^ _turned(t, 10) ^ _turned(t, 18) ^ _turned(t, 24)
            a, b, c, d = b, c, d, a ^ t
        return b"".join(word.to_bytes(4, "big") for word in (d, c, b, a))
