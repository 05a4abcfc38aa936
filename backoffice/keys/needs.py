"""Who needs which version of a key, counted in the registry of SAMs and cards: what a roll-over waits for."""

import sqlite3

from backoffice.keys import sam_stock
from backoffice.keys.roll import Counted, Needs
from backoffice.store import card_states

# A card in these states pays, or may again; the others never do.
IN_USE = (
    card_states.PERSONALISED, card_states.STOCKED, card_states.ACTIVE, card_states.LOCKED, card_states.EXPIRED,
)  # fmt: skip
_CARDS = f"SELECT COUNT(*) FROM card WHERE key_version = ? AND state IN ({', '.join('?' * len(IN_USE))})"
_MAINTAINED = f"""
    SELECT COUNT(*) FROM card LEFT JOIN card_batch USING (batch)
    WHERE COALESCE(NULLIF(json_extract(product_json, '$.maintenance_version'), 0), key_version) = ?
    AND card.state IN ({", ".join("?" * len(IN_USE))})
"""


def of_registry(db: sqlite3.Connection) -> Counted:
    """Counts while `db` is open."""

    def counted(purpose: str, algorithm: str, version: int) -> Needs:
        query = _MAINTAINED if purpose == "maintenance" else _CARDS
        cards = int(db.execute(query, (version, *IN_USE)).fetchone()[0])
        found = sam_stock.coverage(db, version, "purchase", algorithm)
        return Needs(cards, len(found.lacking))  # one in stock is not linked before it is updated

    return counted
