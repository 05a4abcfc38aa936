"""A flat fare as a plain purchase (type 06): the fewest exchanges, and no trace on the card but its log."""

from tunion.crypto.keys import PURCHASE
from validator.rides.charge import Charge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.card.apdu import Card
    from tunion.fare.flat import FlatFare
    from validator.duty import Duty
    from validator.ports import Identity
    from validator.rides.site import Site


class PlainRide:
    """The price depends on the card's kind alone."""

    judges_balance = False
    mode = 0  # the industry is the settings'

    def __init__(self, fare: "FlatFare", site: "Site", duty: "Duty | None") -> None:
        self._fare = fare

    def read(self, card: "Card", identity: "Identity") -> "tuple[bytes, ...]":
        """Nothing."""
        return ()

    def decide(
        self, identity: "Identity", records: "tuple[bytes, ...]", now_s: int, balance_fen: int, overdraft: bool
    ) -> Charge:
        """The fare, whatever is on the card."""
        price = self._fare.price(identity.kind)
        return Charge(
            PURCHASE, price.list_fen, price.discount_fen, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "paid", False, 0, b""
        )

    def images(
        self, charge: Charge, records: "tuple[bytes, ...]", balance_fen: int, terminal: bytes, at: bytes
    ) -> "list[tuple[int, int, bytes]]":
        """A plain purchase writes none."""
        return []


if TYPE_CHECKING:
    _: Any = PlainRide
