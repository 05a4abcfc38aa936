"""Records: fixed layouts that refuse what does not fit."""

import unittest

from tunion.record import BadInput, Record

PORTABLE = True
ARM = True

ALL = Record("All", 25, (("b", "B"), ("h", "H"), ("t", "T"), ("i", "I"), ("q", "Q"), ("signed", "i"), ("s", "3s")))
ROW = {"b": 0x01, "h": 0x0203, "t": 0x040506, "i": 0x0708090A, "q": 0x0B0C0D0E0F101112, "signed": -2, "s": b"abc"}
BYTES = bytes(range(1, 19)) + b"\xff\xff\xff\xfe" + b"abc"
NUMBERS = (("b", 0, 0xFF), ("h", 0, 0xFFFF), ("t", 0, 0xFFFFFF), ("i", 0, 0xFFFFFFFF), ("q", 0, 0xFFFFFFFFFFFFFFFF),
           ("signed", -0x80000000, 0x7FFFFFFF))


def pack(**changes):
    row = dict(ROW)
    row.update(changes)
    return ALL.pack(**row)


class Layout(unittest.TestCase):
    def test_fields_lie_in_declared_order_most_significant_byte_first(self):
        self.assertEqual(ALL.pack(**ROW), BYTES)

    def test_unpack_gives_the_packed_values_by_name(self):
        row = ALL.unpack(BYTES)
        for name in ROW:
            self.assertEqual(getattr(row, name), ROW[name])

    def test_unpack_reads_at_an_offset_and_leaves_what_follows(self):
        self.assertEqual(ALL.unpack(b"??" + BYTES + b"!", 2), ALL.unpack(BYTES))

    def test_unpack_takes_any_kind_of_bytes(self):
        self.assertEqual(ALL.unpack(memoryview(BYTES)), ALL.unpack(BYTES))
        self.assertEqual(ALL.unpack(bytearray(BYTES)), ALL.unpack(BYTES))
        self.assertEqual(pack(s=memoryview(b"abc")), BYTES)

    def test_ends_of_each_range_go_there_and_back(self):
        for name, low, high in NUMBERS:
            for value in (low, high):
                with self.subTest(field=name, value=value):
                    self.assertEqual(getattr(ALL.unpack(pack(**{name: value})), name), value)

    def test_a_slip_in_the_declared_size_fails_where_it_is_declared(self):
        for size in (1, 3):
            with self.assertRaises(BadInput):
                Record("Slip", size, (("h", "H"),))


class Refusals(unittest.TestCase):
    def test_one_beyond_each_range_names_the_field(self):
        for name, low, high in NUMBERS:
            for value in (low - 1, high + 1):
                with self.subTest(field=name, value=value), self.assertRaises(BadInput) as refused:
                    pack(**{name: value})
                self.assertIn("All." + name, str(refused.exception))

    def test_another_type_names_the_field(self):
        for name, value in (("b", True), ("b", None), ("h", "1"), ("i", b"1"), ("i", 1.0), ("s", "abc"), ("s", None),
                            ("s", 3), ("s", (1, 2, 3)), ("s", [1, 2, 3])):
            with self.subTest(field=name, value=value), self.assertRaises(BadInput) as refused:
                pack(**{name: value})
            self.assertIn("All." + name, str(refused.exception))

    def test_bytes_of_another_length_are_neither_cut_nor_filled(self):
        for value in (b"", b"ab", b"abcd"):
            with self.subTest(value=value), self.assertRaises(BadInput):
                pack(s=value)

    def test_a_missing_field_is_named(self):
        row = dict(ROW)
        del row["t"]
        with self.assertRaises(BadInput) as refused:
            ALL.pack(**row)
        self.assertIn("All.t is missing", str(refused.exception))

    def test_an_unknown_field_is_named(self):
        with self.assertRaises(BadInput) as refused:
            pack(fare=1)
        self.assertIn("fare", str(refused.exception))

    def test_a_refusal_does_not_show_the_value(self):
        with self.assertRaises(BadInput) as refused:
            pack(s=b"secret")
        self.assertNotIn("secret", str(refused.exception))

    def test_a_short_blob_is_refused_at_every_length(self):
        for length in range(len(BYTES)):
            with self.assertRaises(BadInput):
                ALL.unpack(BYTES[:length])
        with self.assertRaises(BadInput):
            ALL.unpack(BYTES, 1)
        with self.assertRaises(BadInput):
            ALL.unpack(BYTES, len(BYTES) + 7)

    def test_unpack_whole_takes_its_own_length_only(self):
        self.assertEqual(ALL.unpack_whole(BYTES), ALL.unpack(BYTES))
        for blob in (BYTES[:-1], BYTES + b"\x00"):
            with self.assertRaises(BadInput):
                ALL.unpack_whole(blob)


if __name__ == "__main__":
    unittest.main()
