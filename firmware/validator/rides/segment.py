"""A bus with tap on and tap off: record 2702 holds the open ride. The rules are tunion.fare.segment's."""

from tunion.card import trips
from tunion.compat import const
from tunion.fare import decision, segment
from tunion.fare.decision import Decision
from tunion.fare.grid import FARE_FEN_MAX
from tunion.record import BadInput
from tunion.wire import reason
from tunion.wire import tap as wire
from validator.rides.charge import Charge, Refused, amount_fen, nothing
from validator.rides.ride import Ride, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.fare.tariff import Tariff
    from validator.duty import Duty
    from validator.ports import Identity
    from validator.rides.ride import Records
    from validator.rides.site import Site

_STOP_MAX = const(255)
_BLANK = segment.Ride(0, b"", 0, b"", 0, 0, 0, 0)


class SegmentRide(Ride):
    """Boarding takes nothing and marks the most; alighting takes the fare; a ride left open is made up first."""

    record = trips.BUS

    def __init__(self, tariff: "Tariff", site: "Site", duty: "Duty | None") -> None:
        """Raises BadInput where a stop has a code that the card has no room for."""
        Ride.__init__(self, tariff, site, duty)
        assert tariff.grid is not None
        if not 0 < tariff.grid.code(0) <= tariff.grid.code(tariff.grid.places - 1) <= _STOP_MAX:
            raise BadInput("a line's stops have codes from 1 to %d: a card keeps one byte" % _STOP_MAX)

    def decide(
        self, identity: "Identity", records: "Records", now_s: int, balance_fen: int, overdraft: bool
    ) -> Charge:
        """A card that left a ride open is charged that first; the record it then has boards as any other."""
        duty, tariff = self._duty, self._tariff
        assert tariff.grid is not None
        row = trips.BUS_RIDE.unpack(records[0]) if records[0] else None
        was = _BLANK if row is None else _was(row)
        here = segment.Here(self._site.city, duty.line, self._site.plate, duty.layer, duty.stop, now_s)
        decided = segment.tap(tariff.grid, tariff.rules["ride"], was, here, balance_fen)
        if decided.act == decision.REFUSE:
            raise Refused(reason.of_case(decided.case))
        if decided.act == decision.IGNORE:
            return nothing("ignored", decided.case, wire.BOARD)
        if decided.act == decision.BEGIN:
            if decided.owed_fen:
                owed = Decision(decision.END, decided.case, decided.owed_fen, 0, 0)
                return self._charge(owed, wire.MAKE_UP, "board", stop_in=was.stop, layer=was.direction, more=True)
            return self._charge(decided, wire.BOARD, "board", stop_in=duty.stop, layer=duty.layer)
        price, told, counters = self._priced(decided.fare_fen, identity, records, was.at_s, now_s)
        return self._charge(
            decided, wire.ALIGHT, "alight", price, told, counters, was.stop, duty.stop, was.direction,
            ride_s=max(0, now_s - was.at_s),
        )

    def fields(self, charge: Charge, balance_fen: int, terminal: bytes, at: bytes) -> "dict[str, Any]":
        """Of record 2702."""
        site, duty = self._site, self._duty
        if charge.event == wire.BOARD:
            return {
                "state": segment.ON_BOARD, "in_city": site.city, "in_network": site.network,
                "in_operator": site.operator, "in_line": duty.line, "in_stop": duty.stop, "in_vehicle": site.plate,
                "in_terminal": terminal, "in_at": at, "most_fen": charge.marked_fen, "direction": duty.layer,
                "out_city": bytes(2), "out_network": bytes(8), "out_operator": bytes(2), "out_line": 0, "out_stop": 0,
                "out_vehicle": bytes(8), "out_terminal": bytes(8), "out_at": bytes(7), "out_fen": 0, "distance": 0,
            }  # fmt: skip
        fields = {
            "state": segment.ALIGHTED, "out_city": site.city, "out_network": site.network,
            "out_operator": site.operator, "out_terminal": terminal, "out_at": at, "out_fen": amount_fen(charge),
            "out_line": duty.line, "out_stop": duty.stop, "out_vehicle": site.plate,
        }  # fmt: skip
        if charge.event == wire.MAKE_UP:  # where the ride ended nobody knows
            fields.update(out_line=0, out_stop=0, out_vehicle=bytes(8))
        return fields

    def _marked_fen(self, charge: Charge) -> int:
        marked: int = charge.marked_fen
        return marked


def _was(row: "Any") -> segment.Ride:
    """The card's last bus ride; what no terminal would have written counts as none. Raises Refused for a locked one."""
    if row.lock:
        raise Refused(reason.RIDE_LOCKED)
    if row.state == segment.ON_BOARD:
        at_s = seconds(row.in_at)
        found = (row.in_city, row.in_line, row.in_vehicle, row.direction, row.in_stop, at_s, row.most_fen)
    else:
        at_s = seconds(row.out_at)
        found = (row.out_city, row.out_line, row.out_vehicle, row.direction, row.out_stop, at_s, row.most_fen)
    if at_s < 0 or row.most_fen > FARE_FEN_MAX or row.state not in (segment.ON_BOARD, segment.ALIGHTED):
        return _BLANK
    return segment.Ride(row.state, *found)
