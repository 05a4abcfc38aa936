"""A dry run: the taps of one day under a set that is not in force, so that a person sees what it would have done."""

import sqlite3
from typing import Any

from tunion.fare import decision, granted, segment, trip
from tunion.fare.flat import FlatFare
from tunion.fare.grid import NoFare
from tunion.fare.month import Month
from tunion.fare.tariff import FLAT, METER, Tariff, is_by_stop
from tunion.fare.transfer import Given
from tunion.record import BadInput
from tunion.wire import tap
from tunion.wire.params import ParamSet

_HERE = b"here"  # network, city and vehicle: one card, one operator
_RICH_FEN = 1 << 40


class Untold(Exception):
    """The record does not say what this table asks for, or the table has no such ride."""


def replay(db: sqlite3.Connection, found: ParamSet, day: str) -> dict[str, Any]:
    """Figures of a day's taps in the set's scope.

    taps, before_fen, after_fen   what was debited, and what would have been
    kinds                         card kind -> [taps, before_fen, after_fen]
    refused                       taps of issuers that the set does not accept; they count nothing after
    untold, untold_fen            taps that the new table cannot price: a flat fare named no stops, a station is gone;
                                  they are in none of the above
    """
    accepted = {issuer.hex().upper() for issuer in found.home_issuers + found.issuers}
    kinds: dict[str, list[int]] = {}
    refused = untold = untold_fen = 0
    for row in db.execute(
        "SELECT txn.* FROM txn JOIN device USING (device_id) "
        "WHERE device.operator = ? AND txn.accept_day = ? AND txn.state <> 'VOID' "
        "AND txn.event >> 4 = 0",  # a set's fare is the national application's
        (found.scope, day),
    ):
        try:
            after_fen = again_fen(found.fare, row)
        except Untold:
            untold += 1
            untold_fen += row["amount_fen"]
            continue
        counted = kinds.setdefault(str(row["card_kind"]), [0, 0, 0])
        counted[0] += 1
        counted[1] += row["amount_fen"]
        if row["issuer_id"][:8] in accepted:
            counted[2] += after_fen
        else:
            refused += 1
    taps, before_fen, after_fen = (sum(counted[i] for counted in kinds.values()) for i in range(3))
    return {
        "day": day,
        "taps": taps,
        "before_fen": before_fen,
        "after_fen": after_fen,
        "refused": refused,
        "untold": untold,
        "untold_fen": untold_fen,
        "kinds": dict(sorted(kinds.items())),
    }


def again_fen(fare: FlatFare | Tariff, row: sqlite3.Row) -> int:
    """What the tap would have debited. Raises Untold."""
    event = row["event"] & 15
    if isinstance(fare, FlatFare):
        if event not in (0, tap.SINGLE) or row["stop_in"] or row["riders"] > 1:
            raise Untold
        return int(fare.price(row["card_kind"]).amount_fen)
    try:
        if event in (0, tap.SINGLE):
            return _single_fen(fare, row)
        if fare.grid is None:
            raise Untold
        if event == tap.BOARD:
            return _missing_fen(fare) if row["owed_fen"] and fare.rules["ride"]["missing_exit"] else 0
        if event == tap.MAKE_UP:
            return int(row["owed_fen"])  # what was marked by the table of that boarding, or taken at the desk
        return _ended_fen(fare, row)
    except (NoFare, BadInput) as problem:
        raise Untold from problem


def _single_fen(fare: Tariff, row: sqlite3.Row) -> int:
    riders = row["riders"] or 1
    if fare.scheme == FLAT:
        if row["stop_in"]:
            raise Untold
        list_fen = fare.list_fen()
    elif fare.scheme == METER:
        list_fen = fare.list_fen(end=row["list_fen"] // riders)
    else:
        list_fen = fare.list_fen(row["layer"], row["stop_in"], row["stop_out"])
    return _price_fen(fare, row, list_fen, riders)


def _ended_fen(fare: Tariff, row: sqlite3.Row) -> int:
    """An exit or alighting, decided again from where the ride began."""
    assert fare.grid is not None
    at_s, began_s, ride = row["at_s"], row["at_s"] - row["ride_s"], fare.rules["ride"]
    start, end, layer = row["stop_in"], row["stop_out"], row["layer"]
    if is_by_stop(fare):
        marked_fen = fare.grid.onward_fen(layer, start)
        turned = row["fare_case"] == decision.WRONG_ORDER
        was = segment.Ride(segment.ON_BOARD, _HERE, 1, _HERE, layer, start, began_s, marked_fen)
        here = segment.Here(_HERE, 1, _HERE, -1 if turned else layer, end, at_s)
        again = {**ride, "again_s": -1}  # it was no second tap
        decided = segment.tap(fare.grid, again, was, here, _RICH_FEN)
        if decided.act == decision.BEGIN:  # by this table the ride took too long, and boards again
            return int(decided.owed_fen)
    else:
        inside = trip.Trip(trip.INSIDE[0], _HERE, start, layer, began_s)
        modes = row["modes"] & (trip.TIME_FREE | trip.FARE_FREE)
        decided = trip.gate(fare.grid, ride, trip.EXIT, inside, trip.Here(_HERE, end, layer, at_s, modes), _RICH_FEN)
    if decided.act != decision.END:
        raise Untold
    return _price_fen(fare, row, decided.fare_fen, 1) + int(decided.owed_fen)


def _price_fen(fare: Tariff, row: sqlite3.Row, list_fen: int, riders: int) -> int:
    """With the discounts that the card brought along, at what the new table gives for them."""
    tier, visitor, transfer_from = granted.unpack(row["granted"])
    so_far, given = None, None
    tiers = fare.rules["month"][1] if fare.rules["month"] else []
    if tier and tiers:
        from_count = tiers[min(tier, len(tiers)) - 1][0]
        so_far = Month(0, from_count, from_count)
    if transfer_from and fare.transfers is not None:
        offer = fare.transfers.offer(transfer_from, fare.mode)
        given = Given(offer[0], offer[1], None) if offer is not None else None
    price = fare.price(list_fen, row["card_kind"], row["at_s"] - row["ride_s"], not visitor, so_far, given, riders)
    return int(price.amount_fen)


def _missing_fen(fare: Tariff) -> int:
    assert fare.grid is not None
    return int(fare.rules["ride"]["missing_exit_fen"] or fare.grid.lowest_fen)
