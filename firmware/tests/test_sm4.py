"""SM4: the standard's two examples, and the native twin against the plain reference."""

import sys
import unittest
from array import array

from tunion.crypto import sm4, sm4_plain
from tunion.crypto.sm4 import Sm4
from tunion.record import BadInput

try:
    from tunion.crypto import sm4_viper
except (ImportError, SyntaxError):
    sm4_viper = None

PORTABLE = True
ARM = True

KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")  # also the plaintext, GB/T 32907 annex A
ROUND_KEYS = ((0, 0xF12186F9), (1, 0x41662B61), (2, 0x5A6AB19A), (31, 0x9124A012))


def schedule_of(key, twin):
    schedule = array("I", bytes(128))
    twin.expand_key(key, schedule)
    return schedule


def repeated(times):
    block = bytearray(KEY)
    schedule = schedule_of(KEY, sm4)
    for _ in range(times):
        sm4.crypt_block(block, block, schedule)
    return bytes(block)


class KnownAnswers(unittest.TestCase):
    def test_first_example_of_the_standard(self):
        self.assertEqual(Sm4(KEY).encrypt(KEY), bytes.fromhex("681EDF34D206965E86B3E94F536E4246"))

    def test_round_keys_of_the_first_example(self):
        schedule = schedule_of(KEY, sm4)
        for index, key in ROUND_KEYS:
            self.assertEqual(schedule[index], key)

    def test_a_thousand_encryptions_of_their_own_result(self):
        # Result of a second implementation (OpenSSL).
        self.assertEqual(repeated(1000), bytes.fromhex("D735E91CC5689CF312BCC1EFB740E813"))

    def test_second_example_of_the_standard_a_million_encryptions(self):
        if sm4_viper is None:
            self.skipTest("a minute in bytecode; native code takes a second")
        self.assertEqual(repeated(1000000), bytes.fromhex("595298C7C6FD271F0402F804C33D3F66"))

    def test_other_lengths_are_refused(self):
        for length in (0, 8, 15, 17, 32):
            with self.assertRaises(BadInput):
                Sm4(bytes(length))
            with self.assertRaises(BadInput):
                Sm4(KEY).encrypt(bytes(length))


class Twin(unittest.TestCase):
    def setUp(self):
        if sm4_viper is None:
            self.skipTest("no viper here")

    def test_same_schedule_and_same_blocks_on_thousands_of_inputs(self):
        plain, native = bytearray(16), bytearray(16)
        key = KEY
        for _ in range(200):
            schedule = schedule_of(key, sm4_plain)
            self.assertEqual(schedule_of(key, sm4_viper), schedule)
            for _ in range(10):  # each result is the next input
                sm4_plain.crypt_block(native, plain, schedule)
                sm4_viper.crypt_block(native, native, schedule)
                self.assertEqual(native, plain)
            key = bytes(native)

    def test_same_blocks_at_the_edges(self):
        plain, native = bytearray(16), bytearray(16)
        for key in (bytes(16), b"\xff" * 16):
            schedule = schedule_of(key, sm4_plain)
            self.assertEqual(schedule_of(key, sm4_viper), schedule)
            for bit in range(128):
                block = (1 << bit).to_bytes(16, "big")
                sm4_plain.crypt_block(block, plain, schedule)
                sm4_viper.crypt_block(block, native, schedule)
                self.assertEqual(native, plain)


class Choice(unittest.TestCase):
    def test_native_code_is_in_use_wherever_it_compiles(self):
        chosen = sm4_plain if sm4_viper is None else sm4_viper
        self.assertIs(sm4.crypt_block, chosen.crypt_block)
        self.assertIs(sm4.expand_key, chosen.expand_key)

    def test_native_code_compiles_on_unix(self):
        if sys.implementation.name != "micropython" or sys.platform != "linux":
            self.skipTest("MicroPython unix only")
        self.assertIsNotNone(sm4_viper)


if __name__ == "__main__":
    unittest.main()
