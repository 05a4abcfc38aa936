"""Distances, bands and grids: published prices, every cell, tables that must not load."""

import unittest

from tunion.fare import grid
from tunion.fare.distance import GUANGZHOU, Bands
from tunion.record import BadInput

PORTABLE = True
ARM = True

# Four stops; one price is missing
LINE = [
    [None, 100, 200, 350],
    [None, None, 100, 200],
    [None, None, None, None],
    [None, None, None, None],
]


def both_ways(count=5):
    """Stations 10, 20, ...; a step costs 100 fen, the first 200."""
    codes = [10 * (i + 1) for i in range(count)]
    rows = [[100 + 100 * abs(i - j) if i != j else None for j in range(count)] for i in range(count)]
    return grid.build(grid.BOTH_WAYS, codes, [rows])


class Distances(unittest.TestCase):
    def test_the_published_prices_of_guangzhou(self):
        for metres, fen in (
            (0, 200), (1, 200), (4000, 200), (4001, 300), (8000, 300), (8001, 400), (12000, 400), (12001, 500),
            (18000, 500), (18001, 600), (24000, 600), (24001, 700), (32000, 700), (32001, 800), (54400, 1000),
            (60000, 1100), (80000, 1300),
        ):
            with self.subTest(metres=metres):
                self.assertEqual(GUANGZHOU.fen(metres), fen)

    def test_a_cap_and_a_flat_table(self):
        self.assertEqual(Bands(4000, 200, ((4000, 4000, 100),), cap_fen=350).fen(1000000), 350)
        self.assertEqual(Bands(4000, 200, ()).fen(1000000), 200)

    def test_bands_with_gaps_overlaps_and_fractions_are_refused(self):
        for start_m, start_fen, steps, cap_fen in (
            (4000, 200, ((5000, 4000, 100),), 0),
            (4000, 200, ((3000, 4000, 100),), 0),
            (4000, 200, ((4000, 4000, 100), (4000, 6000, 100)), 0),
            (4000, 200, ((4000, 4000, 100), (11000, 6000, 100)), 0),
            (4000, 200, ((4000, 0, 100),), 0),
            (4000, 200, ((4000, 4000, -100),), 0),
            (4000, 200, (), 100),
            (4.5, 200, (), 0),
            (4000, True, (), 0),
        ):
            with self.subTest(steps=steps), self.assertRaises(BadInput):
                Bands(start_m, start_fen, steps, cap_fen)
        for metres in (-1, 0.5, None, True):
            with self.assertRaises(BadInput):
                GUANGZHOU.fen(metres)


class Grids(unittest.TestCase):
    def test_every_pair_both_ways(self):
        found = grid.Grid(both_ways())
        for i in range(5):
            for j in range(5):
                if i != j:
                    self.assertEqual(found.fen(0, 10 * (i + 1), 10 * (j + 1)), 100 + 100 * abs(i - j))
        self.assertEqual((found.lowest_fen, found.highest_fen, found.onward_fen(0, 30)), (200, 500, 300))
        for start, end in ((10, 10), (10, 15), (0, 10), (60, 10), (10, 0xFFFF)):
            with self.assertRaises(grid.NoFare):
                found.fen(0, start, end)
        with self.assertRaises(grid.NoFare):
            found.fen(1, 10, 20)

    def test_the_dearest_and_the_cheapest_ride_from_each_place(self):
        price = [[None, 1, 6, 9], [1, None, 3, 2], [6, 3, None, 7], [9, 2, 7, None]]
        for shape in (grid.BOTH_WAYS, grid.ONWARD, grid.SQUARE):
            found = grid.Grid(grid.build(shape, [1, 2, 3, 4], [price, price]))
            for layer in (0, 1):
                for i in range(3):
                    prices = [fen for fen in price[i][i + 1 if shape == grid.ONWARD else 0 :] if fen is not None]
                    self.assertEqual(found.least_fen(layer, i + 1), min(prices))
                    self.assertEqual(found.onward_fen(layer, i + 1), max(prices))
            with self.assertRaises(grid.NoFare):
                found.onward_fen(2, 1)

    def test_a_line_goes_one_way_in_each_layer(self):
        back = [[None] * 4 for _ in range(4)]
        back[0][1] = 700
        found = grid.Grid(grid.build(grid.ONWARD, [1, 2, 3, 4], [LINE, back]))
        self.assertEqual([found.fen(0, 1, stop) for stop in (2, 3, 4)], [100, 200, 350])
        self.assertEqual((found.onward_fen(0, 1), found.least_fen(0, 1), found.fen(1, 1, 2)), (350, 100, 700))
        for layer, start, end in ((0, 2, 1), (0, 3, 4), (0, 1, 1), (1, 2, 3)):
            with self.assertRaises(grid.NoFare):
                found.fen(layer, start, end)
        for stop in (3, 4):
            with self.assertRaises(grid.NoFare):
                found.onward_fen(0, stop)

    def test_a_square_knows_each_way_and_the_same_place(self):
        found = grid.Grid(grid.build(grid.SQUARE, [7, 9], [[[500, 1500], [2500, None]]]))
        self.assertEqual([found.fen(0, 7, 7), found.fen(0, 7, 9), found.fen(0, 9, 7)], [500, 1500, 2500])
        self.assertEqual(found.onward_fen(0, 7), 1500)
        with self.assertRaises(grid.NoFare):
            found.fen(0, 9, 9)

    def test_every_byte(self):
        blob = grid.build(grid.BOTH_WAYS, [1, 0x0203], [[[None, 300], [300, None]]])
        self.assertEqual(blob.hex(), "594b5447" "01" "00" "0002" "01" "01" "0000" "0000012c" "0001" "0203" "00")

    def test_the_highest_codes_and_prices(self):
        top = 0xFFFFFF
        blob = grid.build(grid.BOTH_WAYS, [0, 0x0203, 0xFFFF], [[[None, 0, top], [0, None, 1], [top, 1, None]]])
        found = grid.Grid(blob)
        self.assertEqual([found.fen(0, 0, 0x0203), found.fen(0, 0xFFFF, 0), found.fen(0, 0x0203, 0xFFFF)], [0, top, 1])
        self.assertEqual((found.lowest_fen, found.highest_fen), (0, top))
        for code in (2, 3, 0x0202, 0x0303):
            with self.assertRaises(grid.NoFare):
                found.index(code)

    def test_a_new_last_place_moves_no_cell(self):
        four, five = both_ways(4), both_ways(5)
        self.assertEqual(five[-10:-4], four[-6:])

    def test_a_window_on_flash_will_do(self):
        class Window:
            def __init__(self, raw):
                self.raw = raw

            def __len__(self):
                return len(self.raw)

            def __getitem__(self, at):
                return self.raw[at]

        for window in (memoryview(both_ways()), bytearray(both_ways()), Window(both_ways())):
            self.assertEqual(grid.Grid(window).fen(0, 10, 50), 500)

    def test_whatever_byte_is_wrong_in_the_head_or_missing_is_refused_or_still_a_whole_grid(self):
        blob = both_ways()
        for size in range(len(blob)):
            with self.assertRaises(BadInput):
                grid.Grid(blob[:size])
        with self.assertRaises(BadInput):
            grid.Grid(blob + b"\x00")
        for at in range(12):
            for bit in range(8):
                other = bytearray(blob)
                other[at] ^= 1 << bit
                if at == 5 and other[5] == grid.ONWARD:
                    continue  # as many cells, another meaning: the signature tells, and the sample prices
                with self.subTest(at=at, bit=bit), self.assertRaises(BadInput):
                    grid.Grid(bytes(other))

    def test_bad_cells_codes_and_prices_are_refused_under_their_name(self):
        blob = both_ways()
        codes_at = 12 + 4 * 4
        for at, value, word in (
            (len(blob) - 1, 4, "cell 9 of layer 0"), (codes_at + 1, 20, "place 20"), (15, 0xFF, ""), (18, 0, "prices"),
        ):
            other = bytearray(blob)
            other[at] = value
            if word:
                with self.assertRaises(BadInput) as caught:
                    grid.Grid(other)
                self.assertIn(word, str(caught.exception))
            else:
                self.assertEqual(grid.Grid(other).lowest_fen, 255)

    def test_what_cannot_be_built(self):
        two = [[None, 300], [300, None]]
        for shape, codes, layers in (
            (grid.BOTH_WAYS, [1, 2], [[[None, 300], [200, None]]]),
            (grid.BOTH_WAYS, [2, 1], [two]),
            (grid.BOTH_WAYS, [1, 1], [two]),
            (grid.BOTH_WAYS, [1, 0x10000], [two]),
            (grid.BOTH_WAYS, [1], [[[None]]]),
            (grid.BOTH_WAYS, [1, 2, 3], [two]),
            (grid.BOTH_WAYS, [1, 2], []),
            (grid.BOTH_WAYS, [1, 2], [two] * 17),
            (3, [1, 2], [two]),
            (grid.BOTH_WAYS, [1, 2], [[[None, -1], [-1, None]]]),
            (grid.BOTH_WAYS, [1, 2], [[[None, 1 << 24], [1 << 24, None]]]),
            (grid.BOTH_WAYS, [1, 2], [[[None, 2.5], [2.5, None]]]),
            (grid.BOTH_WAYS, [1, 2], [[[None, None], [None, None]]]),
        ):
            with self.subTest(codes=codes), self.assertRaises(BadInput):
                grid.build(shape, codes, layers)
        many = [[100 * (17 * i + j) for j in range(17)] for i in range(17)]
        with self.assertRaises(BadInput):
            grid.build(grid.SQUARE, [i for i in range(17)], [many])


if __name__ == "__main__":
    unittest.main()
