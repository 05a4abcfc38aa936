"""Flat fare (一票制) with a discount for each card kind."""

from collections import namedtuple

from tunion.money import after_discount_fen
from tunion.record import BadInput, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Price = namedtuple("Price", ("list_fen", "discount_fen", "amount_fen"))  # amount = list - discount


class FlatFare:
    """One version of a flat fare table.

    fare_id, version   0..0xFFFF, named in each record so that clearing re-prices with the same table
    fare_fen           1..0xFFFFFF
    discounts          card kind -> permille, 0..999; a kind not named pays the full fare

    Raises BadInput where a price would come to less than 1 fen: a plain purchase carries at least 1.
    """

    def __init__(self, fare_id: int, version: int, fare_fen: int, discounts: "dict[int, int]") -> None:
        if not _within(fare_id, 0, 0xFFFF) or not _within(version, 0, 0xFFFF):
            raise BadInput("a fare table's id and version are 0 to 65535")
        if not _within(fare_fen, 1, 0xFFFFFF):
            raise BadInput("a flat fare is 1 to 16777215 fen")
        for kind, permille in discounts.items():
            if not _within(kind, 0, 0xFF) or not _within(permille, 0, 999):
                raise BadInput("a discount is a card kind, 0 to 255, and its permille, 0 to 999")
            if after_discount_fen(fare_fen, permille) < 1:
                raise BadInput("the discount of card kind %d leaves less than 1 fen" % kind)
        self.fare_id = fare_id
        self.version = version
        self._fare_fen = fare_fen
        self._discounts = dict(discounts)

    def price(self, kind: int) -> Price:
        """The price for a card kind (file 17h offset 10). Half a fen goes to the operator."""
        amount_fen = after_discount_fen(self._fare_fen, self._discounts.get(kind, 0))
        return Price(self._fare_fen, self._fare_fen - amount_fen, amount_fen)

    def to_map(self) -> "dict[str, Any]":
        """The table as CBOR and JSON carry it."""
        return {
            "fare_id": self.fare_id,
            "version": self.version,
            "fare_fen": self._fare_fen,
            "discounts": [[kind, self._discounts[kind]] for kind in sorted(self._discounts)],
        }


def from_map(table: "dict[str, Any]") -> FlatFare:
    """The inverse of to_map; raises BadInput for a table of another shape."""
    try:
        pairs = [(kind, permille) for kind, permille in table["discounts"]]
        discounts = dict(pairs)
        fare_id, version, fare_fen = table["fare_id"], table["version"], table["fare_fen"]
    except (KeyError, TypeError, ValueError) as problem:
        raise BadInput("not a flat fare table: %r" % problem)
    if len(discounts) != len(pairs):
        raise BadInput("a card kind has two discounts")
    return FlatFare(fare_id, version, fare_fen, discounts)


def _within(value: "Any", low: int, high: int) -> bool:
    return is_int(value) and low <= value <= high
