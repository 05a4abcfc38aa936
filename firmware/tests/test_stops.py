"""Which stop the bus stands at: distances against a float model, arrivals with hysteresis."""

import math
import unittest

from tunion.record import BadInput
from validator import stops
from validator.stops import StopFinder, Stops

LAT, LON = 228168723, 1083239016
M_E7 = 90  # 1e-7 degree of latitude a metre, 89.8


def row(code, metres_north=0, radius_m=30, line=5, direction=0):
    return [line, direction, code, LAT + M_E7 * metres_north, LON, radius_m]


class Table(unittest.TestCase):
    def test_stops_are_found_by_line_and_direction_in_the_order_of_travel(self):
        table = Stops([row(3), row(1, 500), row(1, 500, direction=1), row(7, line=6)])
        self.assertEqual([stop.code for stop in table.of(5, 0)], [3, 1])
        self.assertEqual([stop.code for stop in table.of(5, 1)], [1])
        self.assertEqual((table.of(9, 0), table.lines), ([], [5, 6]))

    def test_what_is_no_table_is_refused_by_row_and_field(self):
        for rows, words in (
            ({}, "a list"),
            ([row(1)] * 513, "512"),
            ([row(1)[:5]], "stop 0"),
            ([row(1), "x"], "stop 1"),
            ([row(1), row(1, 9)], "twice"),
            ([row(0)], "code"),
            ([row(1, line=65536)], "line"),
            ([row(1, direction=2)], "direction"),
            ([row(1, radius_m=1001)], "radius_m"),
            ([[5, 0, 1, 900000001, 0, 9]], "lat_e7"),
            ([[5, 0, 1, 0, -1800000001, 9]], "lon_e7"),
            ([[5, 0, 1, 1.5, 0, 9]], "stop 0"),
            ([[5, 0, True, 0, 0, 9]], "stop 0"),
        ):
            with self.subTest(words=words):
                try:
                    Stops(rows)
                    found = ""
                except BadInput as problem:
                    found = str(problem)
                self.assertIn(words, found)


class Distance(unittest.TestCase):
    def test_it_is_the_one_of_a_globe_within_two_promille_and_a_metre(self):
        for lat in (0, 18, 23, 40, 53, 66, -23):
            for north_m, east_m in ((0, 30), (30, 0), (400, 900), (-1000, 1000), (-3, 4)):
                cosine = math.cos(math.radians(lat))
                stop = stops.Stop(1, lat * 10000000, LON, 30)
                lat_e7 = stop.lat_e7 + int(north_m * 1e7 / 111320)
                lon_e7 = LON + int(east_m * 1e7 / (111320 * cosine))
                found_m = math.sqrt(stops._away_cm2(stop, lat_e7, lon_e7)) / 100
                wanted_m = math.sqrt(north_m * north_m + east_m * east_m)
                self.assertTrue(abs(found_m - wanted_m) <= 0.002 * wanted_m + 1, (lat, north_m, east_m, found_m))

    def test_it_passes_the_date_line(self):
        stop = stops.Stop(1, 0, 1799999900, 30)
        self.assertTrue(stops._away_cm2(stop, 0, -1799999900) < 100000)
        self.assertTrue(stops._away_cm2(stops.Stop(1, 0, -1799999900, 30), 0, 1799999900) < 100000)


class Finder(unittest.TestCase):
    def setUp(self):
        self.finder = StopFinder()
        self.finder.use(Stops([row(1), row(2, 200), row(3, 400), row(4, 600, radius_m=0)]).of(5, 0))

    def drive(self, metres):
        return [self.finder.at(LAT + M_E7 * north, LON) for north in metres]

    def test_each_stop_is_told_once_when_two_fixes_lie_within_it(self):
        found = self.drive(range(-100, 700, 5))
        self.assertEqual([code for code in found if code], [1, 2, 3])
        self.assertEqual(list(range(-100, 700, 5))[found.index(2)], 180)  # 170 is 30.06 m away

    def test_a_fix_that_jumps_is_no_stop(self):
        self.assertEqual(self.drive((-100, 200, -100, 200, -95)), [0] * 5)

    def test_a_bus_that_stands_at_the_border_of_a_stop_arrives_once(self):
        self.assertEqual(self.drive((28, 29, 32, 28, 33, 29, 29, 44, 29, 28)), [0, 1] + [0] * 8)

    def test_beyond_one_and_a_half_radii_it_has_left_and_may_arrive_again(self):
        self.assertEqual(self.drive((0, 0, 50, 0, 0)), [0, 1, 0, 0, 1])

    def test_where_circles_overlap_the_nearest_counts(self):
        self.finder.use(Stops([row(1, radius_m=100), row(2, 50, radius_m=100)]).of(5, 0))
        self.assertEqual(self.drive((0, 0, 20, 30, 30, 60)), [0, 1, 0, 0, 2, 0])

    def test_another_way_forgets_where_the_bus_was(self):
        self.drive((0, 0))
        self.finder.use(Stops([row(9)]).of(5, 0))
        self.assertEqual(self.drive((0, 0, 0)), [0, 9, 0])
        self.finder.use([])
        self.assertEqual(self.drive((0, 0, 0)), [0, 0, 0])


if __name__ == "__main__":
    unittest.main()
