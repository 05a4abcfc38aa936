"""Discounts that only the card knew, in one byte of a tap: so the office can price the ride again.

    bits 0-2   the monthly tier that held: its row in the tariff, from 1; 0: none held
    bit 3      the card is of another city
    bits 4-7   the mode of the ride before, which gave a transfer discount; 0: none was given
"""

from tunion.compat import const
from tunion.record import BadInput, is_int

TIER_MAX = const(7)  # tunion.fare.month has no more tiers
FROM_MAX = const(15)  # tunion.fare.transfer takes no higher mode to come from


def pack(tier: int, visitor: bool, transfer_from: int) -> int:
    """The byte. Raises BadInput."""
    if not is_int(tier) or not 0 <= tier <= TIER_MAX:
        raise BadInput("a monthly tier is row 1 to %d, or 0" % TIER_MAX)
    if not is_int(transfer_from) or not 0 <= transfer_from <= FROM_MAX:
        raise BadInput("a transfer comes from mode 1 to %d, or 0" % FROM_MAX)
    return transfer_from << 4 | (8 if visitor else 0) | tier


def unpack(granted: int) -> "tuple[int, bool, int]":
    """(tier, visitor, transfer_from) of a byte: each byte is some."""
    return granted & 7, bool(granted & 8), granted >> 4 & 15
