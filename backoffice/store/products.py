"""Which application of a card paid, and the key under which that application spends a counter once.

The two applications of a card have a counter each, and may have the same number.
"""

import sqlite3

from tunion.card.product import number_in

NATIONAL = 0


def of(txn: sqlite3.Row) -> int:
    """0 JT/T 978, 1 to 15 regional."""
    return number_in(txn["event"])


def card_key(card: str, event: int) -> str:
    """What `card_key.card` holds: the serial number, before it the product where it is not the national one."""
    number = number_in(event)
    return f"{number}:{card}" if number != NATIONAL else card
