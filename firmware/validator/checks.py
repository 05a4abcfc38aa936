"""Which cards may ride: a terminal's checks of what a card says of itself, in their usual order. Pure. JT/T 978.2."""

from tunion import bcd
from tunion.card import files
from tunion.wire import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Any


def refusal(
    facts: "Any",
    product: "Any",
    today: bytes,
    home_issuers: "Container[bytes]",
    issuers: "Container[bytes]",
    test_cards: bool,
    cities: "Container[bytes] | None" = None,
) -> int:
    """0, or the reason (tunion.wire.reason) why this card does not ride.

    facts, product      of tunion.card.product. Where a card is good is asked only of a product that says so on the card
    today               4 bytes BCD YYYYMMDD, China Standard Time
    home_issuers        issuer identifiers, 4 bytes, whose cards need not be interoperable
    issuers             further issuer identifiers that are accepted
    test_cards          cards of kind 04 ride
    cities              city codes that have joined, 2 bytes BCD; None: no list says
    """
    if facts.application != product.application or facts.enabled != product.enabled:
        return reason.INVALID_CARD
    if not (facts.start is None or bcd.is_date(facts.start)) or not (facts.expiry is None or bcd.is_date(facts.expiry)):
        return reason.INVALID_CARD
    if not bcd.is_bcd(facts.serial) or not bcd.is_bcd(facts.issuer[:4]) or not bcd.is_bcd(facts.city):
        return reason.INVALID_CARD
    if facts.start is not None and today < facts.start:
        return reason.NOT_YET_VALID
    if facts.expiry is not None and today > facts.expiry:
        return reason.EXPIRED
    if facts.serial[: len(product.head)] != product.head:
        return reason.INVALID_CARD
    home = facts.issuer[:4] in home_issuers
    if not home and facts.issuer[:4] not in issuers:
        return reason.ISSUER_NOT_ACCEPTED
    if not home and product.interoperable is not None:
        if facts.interoperable != product.interoperable or not files.ORDINARY <= facts.kind <= files.MILITARY:
            return reason.NOT_INTEROPERABLE
        if cities is not None and facts.city not in cities:
            return reason.NOT_INTEROPERABLE
    if facts.kind == product.test_kind and not test_cards:
        return reason.TEST_CARD
    return 0
