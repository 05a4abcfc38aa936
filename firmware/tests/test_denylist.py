"""The deny list finds every card on it and no other, and is refused where searching it would not."""

import unittest

from tunion.bcd import from_digits
from tunion.record import BadInput
from validator import denylist

HEAP = "2m"  # a flash image and everything compiled on the spot lie in it


def serials(numbers):
    return b"".join([from_digits("%020d" % number) for number in numbers])


class Lists(unittest.TestCase):
    def test_every_card_on_the_list_is_found_and_its_neighbours_are_not(self):
        for count in (0, 1, 2, 3, 8, 100):
            numbers = [3104999000000000000 + 3 * i for i in range(count)]
            found = denylist.from_bytes(7, serials(numbers))
            self.assertEqual((found.version, found.count), (7, count))
            for number in numbers:
                self.assertTrue(serials([number]) in found)
                self.assertFalse(serials([number - 1]) in found)
                self.assertFalse(serials([number + 1]) in found)

    def test_a_look_up_reads_few_records(self):
        numbers = range(1, 1025)
        blob = serials(numbers)
        reads = []

        def record(index):
            reads.append(index)
            return blob[10 * index : 10 * index + 10]

        found = denylist.DenyList(1, 1024, record)
        del reads[:]
        self.assertTrue(serials([1000]) in found)
        self.assertLessEqual(len(reads), 11)

    def test_a_list_that_would_let_cards_through_is_refused(self):
        for name, blob in (
            ("unsorted", serials([5, 4])),
            ("a card twice", serials([4, 4])),
            ("half a number", serials([4])[:-1]),
        ):
            with self.subTest(name=name), self.assertRaises(BadInput):
                denylist.from_bytes(1, blob)

    def test_a_list_longer_than_the_limit_is_refused_unread(self):
        with self.assertRaises(BadInput):
            denylist.DenyList(1, denylist.SERIALS_MAX + 1, lambda index: self.fail("read"))


if __name__ == "__main__":
    unittest.main()
