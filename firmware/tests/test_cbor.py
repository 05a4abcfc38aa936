"""The CBOR subset: RFC 8949 appendix A where it falls inside, a refusal by name where it falls outside."""

import unittest

from tunion import cbor
from tunion.record import BadInput
from tunion.window import Window

PORTABLE = True
ARM = True

# RFC 8949, appendix A: what this subset has.
EXAMPLES = (
    (0, "00"),
    (1, "01"),
    (10, "0a"),
    (23, "17"),
    (24, "1818"),
    (25, "1819"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (-1, "20"),
    (-10, "29"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("a", "6161"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ([], "80"),
    ([1, 2, 3], "83010203"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    (["a", {"b": "c"}], "826161a161626163"),
    ({"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}, "a56161614161626142616361436164614461656145"),
)

# The rest of appendix A, and whatever else must not pass: bytes, and a word of the refusal.
OUTSIDE = (
    ("c249010000000000000000", "a tag"),  # bignum
    ("c349010000000000000000", "a tag"),
    ("c074323031332d30332d32315432303a30343a30305a", "a tag"),
    ("c11a514b67b0", "a tag"),
    ("d74401020304", "a tag"),
    ("d818456449455446", "a tag"),
    ("d82076687474703a2f2f7777772e6578616d706c652e636f6d", "a tag"),
    ("f90000", "a float"),
    ("f93c00", "a float"),
    ("fa47c35000", "a float"),
    ("fb3ff199999999999a", "a float"),
    ("f97e00", "a float"),
    ("f7", "a simple value"),  # undefined
    ("f0", "a simple value"),
    ("f818", "a simple value"),
    ("f8ff", "a simple value"),
    ("ff", "a simple value"),  # break, alone
    ("5f42010243030405ff", "indefinite"),
    ("7f657374726561646d696e67ff", "indefinite"),
    ("9fff", "indefinite"),
    ("9f018202039f0405ffff", "indefinite"),
    ("bf61610161629f0203ffff", "indefinite"),
    ("1c", "reserved"),
    ("3d", "reserved"),
    ("5e", "reserved"),
    ("1800", "longer form"),
    ("1817", "longer form"),
    ("190017", "longer form"),
    ("1900ff", "longer form"),
    ("1a0000ffff", "longer form"),
    ("1b00000000ffffffff", "longer form"),
    ("3800", "longer form"),
    ("5800", "longer form"),
    ("7801" + "61", "longer form"),
    ("9800", "longer form"),
    ("b800", "longer form"),
    ("a2010101" + "02", "out of order"),  # a key twice
    ("a203010101", "out of order"),
    ("a2616201" + "616101", "out of order"),
    ("a2200118" + "6401", "out of order"),  # bytewise: 18 64 comes before 20
    ("a1f501", "map key"),
    ("a1f601", "map key"),
    ("a1800" + "1", "map key"),
    ("a1a001", "map key"),
    ("", "ends early"),
    ("18", "ends early"),
    ("19ff", "ends early"),
    ("1bffffffffffffff", "ends early"),
    ("41", "ends early"),
    ("5affffffff00", "ends early"),
    ("62c3", "ends early"),
    ("8201", "more items"),
    ("820118", "ends early"),
    ("9bffffffffffffffff", "more items"),
    ("bbffffffffffffffff", "more items"),
    ("a201010218", "ends early"),
    ("0000", "follow"),
    ("8000", "follow"),
    ("61ff", "UTF-8"),
    ("62c328", "UTF-8"),
    ("62c080", "UTF-8"),  # longer than needed
    ("63e08080", "UTF-8"),
    ("63eda080", "UTF-8"),  # a surrogate
    ("64f4908080", "UTF-8"),  # beyond 10FFFF
    ("61c3", "UTF-8"),
)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


class Subset(unittest.TestCase):
    def test_examples_of_the_standard_both_ways(self):
        for value, text in EXAMPLES:
            with self.subTest(text=text):
                self.assertEqual(cbor.encode(value).hex(), text)
                decoded = cbor.decode(bytes.fromhex(text))
                self.assertEqual(decoded, value)
                self.assertIs(type(decoded), type(value))

    def test_arrays_come_from_tuples_too_and_blobs_may_be_views(self):
        self.assertEqual(cbor.encode((1, bytearray(b"a"), memoryview(b"b"))), cbor.encode([1, b"a", b"b"]))
        self.assertEqual(cbor.decode(memoryview(b"\x82\x01\x02")), [1, 2])

    def test_map_keys_go_out_in_bytewise_order_whatever_the_dict_does(self):
        keys = (10, 100, -1, "z", "aa", b"\x01")
        in_order = "a6" + "0a00" + "186400" + "2000" + "410100" + "617a00" + "62616100"
        for shift in range(len(keys)):
            value = {}
            for key in keys[shift:] + keys[:shift]:
                value[key] = 0
            self.assertEqual(cbor.encode(value).hex(), in_order)

    def test_nesting_has_a_limit_both_ways(self):
        deepest = nested(cbor.DEPTH_MAX)
        self.assertEqual(cbor.decode(cbor.encode(deepest)), deepest)
        with self.assertRaises(BadInput):
            cbor.encode(nested(cbor.DEPTH_MAX + 1))
        with self.assertRaises(cbor.BadCbor):
            cbor.decode(b"\x81" * (cbor.DEPTH_MAX + 1) + b"\x01")
        with self.assertRaises(cbor.BadCbor):
            cbor.decode(b"\x81" * 5000 + b"\x01")


class Pieces(unittest.TestCase):
    def test_a_value_at_a_place_and_where_the_next_one_starts(self):
        raw = cbor.encode([1, [2, "a"], b"xyz"]) + b"\x07"
        count, at = cbor.opened(raw, 0, cbor.ARRAY)
        self.assertEqual((count, at), (3, 1))
        for value in (1, [2, "a"], b"xyz", 7):
            found, at = cbor.item(raw, at)
            self.assertEqual(found, value)
        self.assertEqual(at, len(raw))
        self.assertEqual(cbor.opened(cbor.encode({"a": 1}), 0, cbor.MAP), (1, 1))
        for at, major in ((1, cbor.ARRAY), (0, cbor.MAP), (len(raw), cbor.ARRAY)):
            with self.assertRaises(cbor.BadCbor):
                cbor.opened(raw, at, major)

    def test_what_is_read_in_place_is_the_same_but_byte_strings_stay_there(self):
        for value, text in EXAMPLES:
            found, at = cbor.item(window(bytes.fromhex(text)), 0)
            if isinstance(value, bytes):
                self.assertTrue(isinstance(found, Window))
                found = bytes(found[:])
            self.assertEqual((found, at), (value, len(text) // 2))

    def test_what_is_outside_is_refused_in_place_too(self):
        for text, _ in OUTSIDE:
            raw = window(bytes.fromhex(text))
            with self.subTest(text=text), self.assertRaises(cbor.BadCbor):
                if cbor.item(raw, 0)[1] != len(raw):  # bytes that follow are for who asked for one value
                    raise cbor.BadCbor("more")


def window(raw):
    def read_into(offset, buffer):
        buffer[:] = raw[offset : offset + len(buffer)]

    return Window(read_into, 0, len(raw))


class Refusals(unittest.TestCase):
    def test_what_is_outside_is_refused_by_name(self):
        for text, word in OUTSIDE:
            with self.subTest(text=text), self.assertRaises(cbor.BadCbor) as refused:
                cbor.decode(bytes.fromhex(text))
            self.assertIn(word, str(refused.exception), text)

    def test_every_truncation_of_every_example_is_refused(self):
        for _, text in EXAMPLES:
            whole = bytes.fromhex(text)
            for length in range(len(whole)):
                with self.assertRaises(cbor.BadCbor):
                    cbor.decode(whole[:length])

    def test_ten_thousand_zeros_are_one_zero_and_a_refusal(self):
        with self.assertRaises(cbor.BadCbor):
            cbor.decode(bytes(10000))

    def test_what_has_no_encoding_here_is_not_encoded(self):
        for value in (1.5, {1.5: 0}, object(), {1, 2}, 1 << 64, -(1 << 64) - 1, {True: 1}, {None: 1}, {(1,): 1},
                      [1, [2.5]], chr(0xD800)):
            with self.subTest(value=repr(value)), self.assertRaises(BadInput):
                cbor.encode(value)


if __name__ == "__main__":
    unittest.main()
