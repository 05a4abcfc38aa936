"""Flat fare: prices by card kind, tables that must not load."""

import unittest

from tunion import cbor
from tunion.card import files
from tunion.fare import flat
from tunion.record import BadInput

PORTABLE = True


def table(**changes):
    fields = {"fare_id": 7, "version": 3, "fare_fen": 285, "discounts": [[files.STUDENT, 50], [files.SENIOR, 500]]}
    fields.update(changes)
    return fields


class Prices(unittest.TestCase):
    def test_by_card_kind(self):
        fare = flat.from_map(table())
        for kind, price in (
            (files.ORDINARY, (285, 0, 285)),
            (files.STUDENT, (285, 14, 271)),  # 270.75
            (files.SENIOR, (285, 142, 143)),  # 142.5
            (files.MILITARY, (285, 0, 285)),
            (0xFF, (285, 0, 285)),
        ):
            with self.subTest(kind=kind):
                self.assertEqual(fare.price(kind), price)

    def test_amount_is_list_less_discount_for_every_table(self):
        for fare_fen in (2, 99, 200, 0xFFFFFF):
            for permille in range(0, 1000, 37):
                try:
                    price = flat.FlatFare(1, 1, fare_fen, {1: permille}).price(1)
                except BadInput:
                    self.assertLess(2 * fare_fen * (1000 - permille), 1000)
                    continue
                self.assertEqual(price.list_fen - price.discount_fen, price.amount_fen)
                self.assertGreater(price.amount_fen, 0)

    def test_a_table_survives_the_wire(self):
        fields = table()
        again = flat.from_map(cbor.decode(cbor.encode(flat.from_map(fields).to_map())))
        self.assertEqual(again.to_map(), fields)
        self.assertEqual(again.price(files.STUDENT), flat.from_map(fields).price(files.STUDENT))

    def test_a_table_keeps_its_prices_when_the_map_it_came_from_changes(self):
        discounts = {files.STUDENT: 500}
        fare = flat.FlatFare(1, 1, 200, discounts)
        discounts[files.STUDENT] = 0
        self.assertEqual(fare.price(files.STUDENT).amount_fen, 100)


class Refusals(unittest.TestCase):
    def test_values_out_of_range(self):
        for changes in (
            {"fare_fen": 0}, {"fare_fen": -1}, {"fare_fen": 0x1000000}, {"fare_fen": 2.5}, {"fare_fen": "285"},
            {"fare_fen": True}, {"fare_fen": None}, {"fare_id": -1}, {"fare_id": 0x10000}, {"fare_id": "7"},
            {"version": 0x10000}, {"version": None}, {"discounts": [[1, 1000]]}, {"discounts": [[1, -1]]},
            {"discounts": [[1, 0.5]]}, {"discounts": [["1", 50]]}, {"discounts": [[256, 50]]},
            {"discounts": [[2, 50], [2, 100]]}, {"discounts": [[1, 2, 3]]}, {"discounts": [1]}, {"discounts": 5},
            {"discounts": [[[1], 50]]}, {"discounts": None}, {"fare_fen": 1, "discounts": [[1, 501]]},
        ):
            with self.subTest(changes=changes), self.assertRaises(BadInput):
                flat.from_map(table(**changes))

    def test_missing_fields(self):
        for field in table():
            fields = table()
            del fields[field]
            with self.subTest(field=field), self.assertRaises(BadInput):
                flat.from_map(fields)
        for other in (None, [], "table", 5):
            with self.assertRaises(BadInput):
                flat.from_map(other)


if __name__ == "__main__":
    unittest.main()
