"""What a ride writes on a card: byte for byte as in the published vectors, and nothing from a stranger's record."""

import unittest

from tunion.bcd import from_digits
from tunion.card import trips
from tunion.record import BadInput

CITY = b"\x61\x10"


class Records(unittest.TestCase):
    def test_a_blank_record_begins_anew_and_counts_from_1(self):
        for raw in (b"", bytes(128), b"\xff" * 128, b"\x27\x02\x7d" + bytes(125), b"\x27\x01\x7d"):
            image = trips.changed(raw, trips.RAIL, state=1)
            row = trips.RAIL_TRIP.unpack_whole(image)
            self.assertEqual((row.id, row.length, row.valid, row.flag, row.state), (b"\x27\x01", 125, 1, 1, 1))
            self.assertEqual((row.number, row.local), (from_digits("%016d" % 1), bytes(29)))

    def test_what_is_not_changed_stays(self):
        first = trips.changed(b"", trips.BUS, state=1, in_line=605, local=b"\xaa" * 26)
        row = trips.BUS_RIDE.unpack_whole(trips.changed(first, trips.BUS, state=2))
        self.assertEqual((row.state, row.in_line, row.local, row.number[-1]), (2, 605, b"\xaa" * 26, 2))

    def test_a_running_number_that_is_none_or_at_its_end_begins_anew(self):
        for number, expected in ((b"\xaa" * 8, 1), (b"\x99" * 8, 0)):
            raw = trips.changed(b"", trips.RAIL)
            raw = raw[:6] + number + raw[14:]
            row = trips.RAIL_TRIP.unpack_whole(trips.changed(raw, trips.RAIL))
            self.assertEqual(row.number, from_digits("%016d" % expected))

    def test_a_field_that_a_record_has_not_is_our_bug(self):
        with self.assertRaises(BadInput):
            trips.changed(b"", trips.RAIL, in_vehicle=bytes(8))


class Places(unittest.TestCase):
    def test_a_city_puts_line_and_station_where_it_likes(self):
        for coding, line, station, expected in (
            ("CCL0000S", 2, 211, "6110020000000011"),
            ("L0S0", 8, 819, "08001900"),
            ("LLSS", 605, 3, "06050003"),
            ("LS00", 4, 407, "04070000"),
            ("LLLL", 2, 9, "00000002"),
            ("SSLL", 12345, 67890, "78902345"),
        ):
            with self.subTest(coding=coding):
                self.assertEqual(trips.place(coding, CITY, line, station).hex(), expected)

    def test_a_place_is_read_as_it_was_written(self):
        for coding, line, station in (("CCL0000S", 2, 11), ("LLSS", 605, 3), ("CC0000SS", 0, 9999)):
            raw = trips.place(coding, CITY, line, station)
            self.assertEqual(trips.read_place(coding, raw), (line, station))

    def test_digits_that_are_none_are_refused(self):
        with self.assertRaises(BadInput):
            trips.read_place("LLSS", b"\x00\x0a\x00\x01")

    def test_codings_are_checked(self):
        for coding in ("LLS", "LLSX", "CLSS", "CCCS"):
            with self.assertRaises(BadInput):
                trips.check_coding(coding, 4)


if __name__ == "__main__":
    unittest.main()
