"""DES: published answers, tables derived from the standard's own, and the native twin against the plain reference."""

import sys
import unittest
from array import array

from tunion.crypto import des, des_plain, des_tables, xor, xor_plain
from tunion.crypto.des import Des, TripleDes
from tunion.record import BadInput

try:
    from tunion.crypto import des_viper, xor_viper
except (ImportError, SyntaxError):
    des_viper = xor_viper = None

PORTABLE = True
ARM = True

# NIST SP 500-20 / 800-17: key, plaintext, ciphertext. The first 19 reach every entry of every S box.
ANSWERS = (
    "7CA110454A1A6E57 01A1D6D039776742 690F5B0D9A26939B",
    "0131D9619DC1376E 5CD54CA83DEF57DA 7A389D10354BD271",
    "07A1133E4A0B2686 0248D43806F67172 868EBB51CAB4599A",
    "3849674C2602319E 51454B582DDF440A 7178876E01F19B2A",
    "04B915BA43FEB5B6 42FD443059577FA2 AF37FB421F8C4095",
    "0113B970FD34F2CE 059B5E0851CF143A 86A560F10EC6D85B",
    "0170F175468FB5E6 0756D8E0774761D2 0CD3DA020021DC09",
    "43297FAD38E373FE 762514B829BF486A EA676B2CB7DB2B7A",
    "07A7137045DA2A16 3BDD119049372802 DFD64A815CAF1A0F",
    "04689104C2FD3B2F 26955F6835AF609A 5C513C9C4886C088",
    "37D06BB516CB7546 164D5E404F275232 0A2AEEAE3FF4AB77",
    "1F08260D1AC2465E 6B056E18759F5CCA EF1BF03E5DFA575A",
    "584023641ABA6176 004BD6EF09176062 88BF0DB6D70DEE56",
    "025816164629B007 480D39006EE762F2 A1F9915541020B56",
    "49793EBC79B3258F 437540C8698F3CFA 6FBF1CAFCFFD0556",
    "4FB05E1515AB73A7 072D43A077075292 2F22E49BAB7CA1AC",
    "49E95D6D4CA229BF 02FE55778117F12A 5A6B612CC26CCE4A",
    "018310DC409B26D6 1D9D5C5018F728C2 5F4C038ED12B2E41",
    "1C587F1C13924FEF 305532286D6F295A 63FAC0D034D9F793",
    "0101010101010101 8000000000000000 95F8A5E5DD31D900",
    "0101010101010101 4000000000000000 DD7F121CA5015619",
    "0101010101010101 0800000000000000 20B9E767B2FB1456",
    "8001010101010101 0000000000000000 95A8D72813DAA94D",
    "4001010101010101 0000000000000000 0EEC1487DD8C26D5",
    "1046913489980131 0000000000000000 88D55E54F54C97B4",
    "133457799BBCDFF1 0123456789ABCDEF 85E813540F0AB405",
    "0123456789ABCDEF 4E6F772069732074 3FA40E8A984D4815",
)

# FIPS 46-3, appendix 1: S boxes by row, permutation P, permuted choices and key turns, all as printed, from 1.
S_BOXES = (
    "14 4 13 1 2 15 11 8 3 10 6 12 5 9 0 7 0 15 7 4 14 2 13 1 10 6 12 11 9 5 3 8 "
    "4 1 14 8 13 6 2 11 15 12 9 7 3 10 5 0 15 12 8 2 4 9 1 7 5 11 3 14 10 0 6 13",
    "15 1 8 14 6 11 3 4 9 7 2 13 12 0 5 10 3 13 4 7 15 2 8 14 12 0 1 10 6 9 11 5 "
    "0 14 7 11 10 4 13 1 5 8 12 6 9 3 2 15 13 8 10 1 3 15 4 2 11 6 7 12 0 5 14 9",
    "10 0 9 14 6 3 15 5 1 13 12 7 11 4 2 8 13 7 0 9 3 4 6 10 2 8 5 14 12 11 15 1 "
    "13 6 4 9 8 15 3 0 11 1 2 12 5 10 14 7 1 10 13 0 6 9 8 7 4 15 14 3 11 5 2 12",
    "7 13 14 3 0 6 9 10 1 2 8 5 11 12 4 15 13 8 11 5 6 15 0 3 4 7 2 12 1 10 14 9 "
    "10 6 9 0 12 11 7 13 15 1 3 14 5 2 8 4 3 15 0 6 10 1 13 8 9 4 5 11 12 7 2 14",
    "2 12 4 1 7 10 11 6 8 5 3 15 13 0 14 9 14 11 2 12 4 7 13 1 5 0 15 10 3 9 8 6 "
    "4 2 1 11 10 13 7 8 15 9 12 5 6 3 0 14 11 8 12 7 1 14 2 13 6 15 0 9 10 4 5 3",
    "12 1 10 15 9 2 6 8 0 13 3 4 14 7 5 11 10 15 4 2 7 12 9 5 6 1 13 14 0 11 3 8 "
    "9 14 15 5 2 8 12 3 7 0 4 10 1 13 11 6 4 3 2 12 9 5 15 10 11 14 1 7 6 0 8 13",
    "4 11 2 14 15 0 8 13 3 12 9 7 5 10 6 1 13 0 11 7 4 9 1 10 14 3 5 12 2 15 8 6 "
    "1 4 11 13 12 3 7 14 10 15 6 8 0 5 9 2 6 11 13 8 1 4 10 7 9 5 0 15 14 2 3 12",
    "13 2 8 4 6 15 11 1 10 9 3 14 5 0 12 7 1 15 13 8 10 3 7 4 12 5 6 11 0 14 9 2 "
    "7 11 4 1 9 12 14 2 0 6 10 13 15 3 5 8 2 1 14 7 4 10 8 13 15 12 9 0 3 5 6 11",
)
P = "16 7 20 21 29 12 28 17 1 15 23 26 5 18 31 10 2 8 24 14 32 27 3 9 19 13 30 6 22 11 4 25"
PC_1 = (
    "57 49 41 33 25 17 9 1 58 50 42 34 26 18 10 2 59 51 43 35 27 19 11 3 60 52 44 36 "
    "63 55 47 39 31 23 15 7 62 54 46 38 30 22 14 6 61 53 45 37 29 21 13 5 28 20 12 4"
)
PC_2 = (
    "14 17 11 24 1 5 3 28 15 6 21 10 23 19 12 4 26 8 16 7 27 20 13 2 "
    "41 52 31 37 47 55 30 40 51 45 33 48 44 49 39 56 34 53 46 42 50 36 29 32"
)
TURNED_BY = "1 1 2 2 2 2 2 2 1 2 2 2 2 2 2 1"


def numbers(text):
    return [int(word) for word in text.split()]


def answers():
    return [[bytes.fromhex(word) for word in line.split()] for line in ANSWERS]


def new_schedule():
    return array("I", bytes(128))


class Random:
    """Reproducible bytes, the same on both interpreters (xorshift, 32 bits)."""

    def __init__(self, seed):
        self._x = seed

    def take(self, size):
        out = bytearray()
        while len(out) < size:
            self._x = (self._x ^ self._x << 13) & 0xFFFFFFFF
            self._x ^= self._x >> 17
            self._x = (self._x ^ self._x << 5) & 0xFFFFFFFF
            out.append(self._x >> 11 & 255)
        return bytes(out)


class KnownAnswers(unittest.TestCase):
    def test_single_des_both_ways(self):
        for key, plain, secret in answers():
            with self.subTest(key=key.hex()):
                self.assertEqual(Des(key).encrypt(plain), secret)
                self.assertEqual(Des(key).decrypt(secret), plain)

    def test_the_plain_reference_too(self):
        schedule, out = new_schedule(), bytearray(8)
        for key, plain, secret in answers():
            des_plain.expand_key(key, schedule)
            des_plain.crypt_block(plain, out, schedule, 0)
            self.assertEqual(out, secret)
            des_plain.crypt_block(secret, out, schedule, 1)
            self.assertEqual(out, plain)

    def test_a_thousand_encryptions_of_their_own_result(self):
        # Result of a second implementation (PyCryptodome).
        cipher, block = Des(bytes.fromhex("0123456789ABCDEF")), bytes(8)
        for _ in range(1000):
            block = cipher.encrypt(block)
        self.assertEqual(block, bytes.fromhex("BA5C69A88E8392ED"))

    def test_triple_des_is_three_of_them_and_undoes_itself(self):
        random = Random(1)
        left, right, block = (random.take(8) for _ in range(3))
        secret = Des(left).encrypt(Des(right).decrypt(Des(left).encrypt(block)))
        self.assertEqual(TripleDes(left + right).encrypt(block), secret)
        self.assertEqual(TripleDes(left + right).decrypt(secret), block)

    def test_parity_bits_of_a_key_do_not_count(self):
        for key, plain, secret in answers()[:3]:
            self.assertEqual(Des(bytes(byte ^ 1 for byte in key)).encrypt(plain), secret)

    def test_source_and_target_may_be_one_buffer(self):
        key, plain, secret = answers()[0]
        schedule, block = new_schedule(), bytearray(plain)
        des.expand_key(key, schedule)
        des.crypt_block(block, block, schedule, 0)
        self.assertEqual(block, secret)

    def test_other_lengths_are_refused(self):
        for length in (0, 7, 9, 16, 24):
            with self.assertRaises(BadInput):
                Des(bytes(length))
            with self.assertRaises(BadInput):
                Des(bytes(8)).encrypt(bytes(length))
        for length in (0, 7, 9, 15, 17, 24):
            with self.assertRaises(BadInput):
                TripleDes(bytes(length))


class Tables(unittest.TestCase):
    def test_sp_is_each_s_box_run_through_p(self):
        permutation = numbers(P)
        self.assertEqual(len(des_tables.SP), 4 * 64 * 8)
        for box, text in enumerate(S_BOXES):
            rows = numbers(text)
            for six in range(64):
                row, column = (six >> 5) << 1 | six & 1, six >> 1 & 15
                unpermuted = rows[16 * row + column] << (28 - 4 * box)
                word = 0
                for bit in permutation:
                    word = word << 1 | unpermuted >> (32 - bit) & 1
                at = 4 * (64 * box + six)
                self.assertEqual(des_tables.SP[at : at + 4], word.to_bytes(4, "big"))

    def test_key_tables_are_those_of_the_standard(self):
        self.assertEqual(list(des_tables.PC1), [bit - 1 for bit in numbers(PC_1)])
        self.assertEqual(list(des_tables.PC2), [bit - 1 for bit in numbers(PC_2)])
        turned, turns = 0, []
        for by in numbers(TURNED_BY):
            turned += by
            turns.append(turned)
        self.assertEqual(list(des_tables.TURNS), turns)


class Twin(unittest.TestCase):
    def setUp(self):
        if des_viper is None:
            self.skipTest("no viper here")

    def test_same_schedule_and_same_blocks_on_thousands_of_random_inputs(self):
        plain_schedule, native_schedule = new_schedule(), new_schedule()
        plain, native = bytearray(8), bytearray(8)
        random = Random(2)
        for _ in range(300):
            key = random.take(8)
            des_plain.expand_key(key, plain_schedule)
            des_viper.expand_key(key, native_schedule)
            self.assertEqual(native_schedule, plain_schedule)
            for turn in range(10):
                block, backward = random.take(8), turn & 1
                des_plain.crypt_block(block, plain, plain_schedule, backward)
                des_viper.crypt_block(block, native, native_schedule, backward)
                self.assertEqual(native, plain)

    def test_same_blocks_at_the_edges(self):
        plain_schedule, native_schedule = new_schedule(), new_schedule()
        plain, native = bytearray(8), bytearray(8)
        edges = [bytes(8), b"\xff" * 8] + [(1 << bit).to_bytes(8, "big") for bit in range(64)]
        for key in edges[:2]:
            des_plain.expand_key(key, plain_schedule)
            des_viper.expand_key(key, native_schedule)
            for block in edges:
                des_plain.crypt_block(block, plain, plain_schedule, 0)
                des_viper.crypt_block(block, native, native_schedule, 0)
                self.assertEqual(native, plain)


class Xor(unittest.TestCase):
    def test_the_block_at_an_offset_goes_into_the_target(self):
        random = Random(3)
        for twin in (xor_plain, xor_viper):
            for size in (8, 16):
                before, source = random.take(size), random.take(3 * size)
                target = bytearray(before)
                if twin is not None:
                    twin.xor_block(target, source, size)
                    self.assertEqual(target, bytes(before[i] ^ source[size + i] for i in range(size)))


class Choice(unittest.TestCase):
    def test_native_code_is_in_use_wherever_it_compiles(self):
        chosen = des_plain if des_viper is None else des_viper
        self.assertIs(des.crypt_block, chosen.crypt_block)
        self.assertIs(des.expand_key, chosen.expand_key)
        self.assertIs(xor.xor_block, (xor_viper or xor_plain).xor_block)

    def test_native_code_compiles_on_unix(self):
        if sys.implementation.name != "micropython" or sys.platform != "linux":
            self.skipTest("MicroPython unix only")
        self.assertIsNotNone(des_viper)


if __name__ == "__main__":
    unittest.main()
