"""A dry run: the taps of one day under a set that is not in force, so that a person sees what it would have done."""

import sqlite3
from typing import Any

from tunion.wire.params import ParamSet


def replay(db: sqlite3.Connection, found: ParamSet, day: str) -> dict[str, Any]:
    """Figures of a day's taps in the set's scope.

    taps, before_fen, after_fen   what was debited, and what would have been
    kinds                         card kind -> [taps, before_fen, after_fen]
    refused                       taps of issuers that the set does not accept; they count nothing after
    """
    accepted = {issuer.hex().upper() for issuer in found.home_issuers + found.issuers}
    kinds: dict[str, list[int]] = {}
    refused = 0
    for tap in db.execute(
        "SELECT txn.card_kind, txn.amount_fen, txn.issuer_id FROM txn JOIN device USING (device_id) "
        "WHERE device.operator = ? AND txn.accept_day = ? AND txn.state <> 'VOID'",
        (found.scope, day),
    ):
        counted = kinds.setdefault(str(tap["card_kind"]), [0, 0, 0])
        counted[0] += 1
        counted[1] += tap["amount_fen"]
        if tap["issuer_id"][:8] in accepted:
            counted[2] += found.fare.price(tap["card_kind"]).amount_fen
        else:
            refused += 1
    taps, before_fen, after_fen = (sum(counted[i] for counted in kinds.values()) for i in range(3))
    return {
        "day": day,
        "taps": taps,
        "before_fen": before_fen,
        "after_fen": after_fen,
        "refused": refused,
        "kinds": dict(sorted(kinds.items())),
    }
