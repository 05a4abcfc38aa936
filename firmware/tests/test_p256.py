"""ECDSA over P-256: published answers, the corners of the arithmetic, and each malformed input refused by name."""

import unittest
from hashlib import sha256

from support.signer import BASE, Signer, add, inverse, key_of, pair, times
from tunion.crypto import p256
from tunion.crypto.p256 import BadKey, BadSignature, N, P, Verification, verify
from tunion.record import BadInput

PORTABLE = True

# RFC 6979, A.2.5: the key, then message, r, s.
RFC_KEY = bytes.fromhex(
    "0460FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
    "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
)
RFC_6979 = (
    (b"sample", "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
     "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"),
    (b"test", "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
     "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"),
)
DIGEST = sha256(b"a fare table").digest()


def is_good(key, digest, signature):
    try:
        verify(key, digest, signature)
    except BadSignature:
        return False
    return True


class Answers(unittest.TestCase):
    def test_signatures_of_rfc_6979(self):
        for message, r, s in RFC_6979:
            with self.subTest(message=message):
                signature = bytes.fromhex(r + s)
                verify(RFC_KEY, sha256(message).digest(), signature)
                verify(memoryview(RFC_KEY), sha256(message).digest(), bytearray(signature))
                self.assertFalse(is_good(RFC_KEY, sha256(message + b".").digest(), signature))

    def test_the_multiples_of_the_base_point_are_what_the_curve_says(self):
        for i in range(4):
            self.assertEqual(p256._BASE[i], times(2 * i + 1, BASE) + (1,))

    def test_the_second_implementation_signs_what_this_one_takes(self):
        signer = Signer()
        for number in range(5):
            digest = sha256(bytes([number])).digest()
            verify(signer.key, digest, signer.sign(digest))

    def test_in_steps_of_any_size_the_verdict_is_the_same(self):
        signature = bytes.fromhex(RFC_6979[0][1] + RFC_6979[0][2])
        for rounds in (1, 7, 64, 300):
            for message, good in ((b"sample", True), (b"simple", False)):
                verification = Verification(RFC_KEY, sha256(message).digest(), signature)
                steps = 1
                while not verification.step(rounds):
                    self.assertFalse(verification.good)
                    steps += 1
                self.assertEqual(verification.good, good)
                self.assertTrue(steps <= (p256.ROUNDS_MAX + 4) // rounds + 1)  # preparing is as long as four


class Corners(unittest.TestCase):
    def test_keys_that_are_small_multiples_of_the_base_point(self):
        # Their tables and the base point's hold the same points and each other's negatives.
        for secret in (1, 2, 3, 5, 7, N - 1, N - 2, N - 3, N - 7):
            with self.subTest(secret=secret):
                signer = Signer(secret)
                for message in (b"a", b"b"):
                    digest = sha256(message).digest()
                    verify(signer.key, digest, signer.sign(digest))

    def test_equal_and_opposite_terms(self):
        # With key = base and r = digest both scalars are the same: every addition meets its own table.
        for scalar in (1, 2, 3, 4, 9, 0x5555, N - 1, N // 2):
            x = times(2 * scalar, BASE)
            number = x[0] % N if x else 1
            s = number * inverse(scalar, N) % N
            self.assertTrue(is_good(key_of(BASE), number.to_bytes(32, "big"), pair(number, s)))
            # And with the opposite key the sum is infinity, which has no x.
            opposite = key_of((BASE[0], P - BASE[1]))
            self.assertFalse(is_good(opposite, number.to_bytes(32, "big"), pair(number, s)))

    def test_a_digest_of_zero_and_one_beyond_the_order(self):
        signer = Signer()
        for number in (0, N - 1, N, N + 1, (1 << 256) - 1):
            digest = number.to_bytes(32, "big")
            signature = signer.sign(digest)
            verify(signer.key, digest, signature)
            if number >= N:
                verify(signer.key, (number - N).to_bytes(32, "big"), signature)

    def test_an_x_beyond_the_order_is_reduced(self):
        # x = r + N is on the curve for some small r: find the key that makes this the sum's x.
        for r in range(1, 50):
            x = r + N
            y = pow(x * x * x - 3 * x + p256._B, (P + 1) // 4, P)
            if (y * y - x * x * x + 3 * x - p256._B) % P == 0:
                break
        number = int.from_bytes(DIGEST, "big")
        minus = times(N - number % N, BASE)
        point = times(inverse(r, N), add((x, y), minus))  # s = 1
        self.assertTrue(is_good(key_of(point), DIGEST, pair(r, 1)))
        self.assertFalse(is_good(key_of(point), DIGEST, pair(r + 1, 1)))

    def test_r_plus_the_order_is_not_tried_beyond_the_field(self):
        # r = x mod P of a sum, with r + N > P: a reduction by P instead of the check would let r - (P - N) through.
        signature = bytes.fromhex(RFC_6979[0][1] + RFC_6979[0][2])
        r = int.from_bytes(signature[:32], "big")
        self.assertFalse(is_good(RFC_KEY, sha256(b"sample").digest(), pair((r + P - N) % N, 1)))


class Refusals(unittest.TestCase):
    def setUp(self):
        self.signer = Signer()
        self.signature = self.signer.sign(DIGEST)

    def test_numbers_outside_the_group(self):
        r = int.from_bytes(self.signature[:32], "big")
        s = int.from_bytes(self.signature[32:], "big")
        for bad in ((0, s), (r, 0), (0, 0), (N, s), (r, N), (N + 1, s), (r, N + 1), (P, s), ((1 << 256) - 1, s)):
            with self.subTest(bad=bad), self.assertRaises(BadSignature):
                verify(self.signer.key, DIGEST, pair(*bad))
        for short in (self.signature[:63], self.signature + b"\x00", b"", b"\x30\x45" + self.signature):
            with self.assertRaises(BadSignature):
                verify(self.signer.key, DIGEST, short)

    def test_the_other_s_of_the_same_signature_is_a_signature_too(self):
        # ECDSA as the standard has it: nothing here takes the signature's bytes for an identity.
        s = int.from_bytes(self.signature[32:], "big")
        verify(self.signer.key, DIGEST, self.signature[:32] + (N - s).to_bytes(32, "big"))

    def test_keys_that_are_no_points(self):
        x, y = self.signer.key[1:33], self.signer.key[33:]
        too_large = (int.from_bytes(x, "big") + P).to_bytes(33, "big")[1:]
        for bad in (
            b"",
            b"\x00",  # infinity, as SEC 1 writes it
            bytes(65),
            b"\x04" + bytes(64),
            b"\x02" + x,
            b"\x06" + x + y,
            b"\x04" + x + y[:-1],
            b"\x04" + x + y + b"\x00",
            b"\x04" + y + x,
            b"\x04" + x + y[:-1] + bytes([y[-1] ^ 1]),
            b"\x04" + too_large + y,
            b"\x04" + b"\xff" * 64,
            b"\x04" + P.to_bytes(32, "big") + y,
        ):
            with self.subTest(bad=bad[:3]), self.assertRaises(BadKey):
                verify(bad, DIGEST, self.signature)

    def test_a_digest_of_another_length_is_refused(self):
        for digest in (b"", DIGEST[:-1], DIGEST + b"\x00"):
            with self.assertRaises(BadInput):
                verify(self.signer.key, digest, self.signature)

    def test_a_bit_flipped_in_signature_digest_or_key_is_refused(self):
        # Some here, where a verification is slow; all of them in props/test_p256.py.
        for at in range(0, 8 * 64, 37):
            flipped = bytearray(self.signature)
            flipped[at // 8] ^= 1 << at % 8
            self.assertFalse(is_good(self.signer.key, DIGEST, flipped))
        for at in range(0, 8 * 32, 37):
            flipped = bytearray(DIGEST)
            flipped[at // 8] ^= 1 << at % 8
            self.assertFalse(is_good(self.signer.key, flipped, self.signature))
        self.assertFalse(is_good(Signer(12345).key, DIGEST, self.signature))


if __name__ == "__main__":
    unittest.main()
