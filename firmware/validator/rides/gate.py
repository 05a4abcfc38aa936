"""Entry and exit with the process record 2701, at gates of metro, intercity rail and toll. Rules: tunion.fare.trip."""

from tunion.card import trips
from tunion.compat import const
from tunion.fare import decision, trip
from tunion.fare.trip import ENTRY, EXIT, INSIDE, Here, Trip
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

_BLANK = Trip(0, b"", 0, 0, 0)
_LAYER_AT = const(26)  # of the city's own bytes: train or vehicle class of the open trip; our own choice
_CODE_MAX = const(0xFFFF)
_ENTERED, _EXITED = const(1), const(2)


class GateRide(Ride):
    """An entry takes 0 fen, or what a missing exit costs; an exit takes the fare."""

    record = trips.RAIL

    def __init__(self, tariff: "Tariff", site: "Site", duty: "Duty | None") -> None:
        """Raises BadInput where a station has more digits than the city's coding has room for."""
        Ride.__init__(self, tariff, site, duty)
        assert tariff.grid is not None
        coding = site.station_coding
        last = tariff.grid.code(tariff.grid.places - 1)
        if last >= 100 ** (coding.count("L") + coding.count("S")):
            raise BadInput("the coding %s has no room for station %d" % (coding, last))

    def decide(
        self, identity: "Identity", records: "Records", now_s: int, balance_fen: int, overdraft: bool
    ) -> Charge:
        """overdraft: the rules let a card go below zero; only those of our own city do, at an exit, once."""
        duty, tariff = self._duty, self._tariff
        assert tariff.grid is not None
        was = self._was(records[0])
        here = Here(self._site.network, duty.stop, duty.layer, now_s, duty.modes)
        event = self._event(was)
        numbers = tariff.rules["ride"]
        if duty.opened and trip.may_have_left(duty.opened, was, numbers):
            here = Here(self._site.network, duty.stop, duty.layer, now_s, duty.modes | trip.CLEARED)
        decided = trip.gate(tariff.grid, numbers, event, was, here, balance_fen)
        if decided.act == decision.END:
            price, told, counters = self._priced(decided.fare_fen, identity, records, was.at_s, now_s)
            decided = trip.affordable(
                decided, price.amount_fen + decided.owed_fen, balance_fen, numbers,
                overdraft and self._is_home(identity),
            )  # fmt: skip
        if decided.act == decision.REFUSE:
            raise Refused(reason.of_case(decided.case))
        if decided.act == decision.IGNORE:
            return nothing("ignored", decided.case, wire.ALIGHT if event == EXIT else wire.BOARD)
        if decided.act == decision.PASS:
            return nothing("passed", decided.case, wire.ALIGHT if event == EXIT else wire.BOARD)
        if decided.act == decision.BEGIN:
            return self._charge(decided, wire.BOARD, "enter", stop_in=duty.stop, layer=duty.layer)
        return self._charge(
            decided, wire.ALIGHT, "exit", price, told, counters, was.station, duty.stop, was.layer,
            ride_s=max(0, now_s - was.at_s),
        )  # fmt: skip

    def fields(self, charge: Charge, balance_fen: int, terminal: bytes, at: bytes) -> "dict[str, Any]":
        """Of record 2701."""
        if charge.event == wire.BOARD:
            fields = self._entered(charge.stop_in, terminal, at)
            fields.update(state=_ENTERED, most_fen=charge.marked_fen)
            fields.update(in_fen=amount_fen(charge), in_balance_fen=max(0, balance_fen))
            return fields
        return self._exited(charge.stop_out, amount_fen(charge), terminal, at)

    def _entered(self, station: int, terminal: bytes, at: bytes) -> "dict[str, Any]":
        """The entry's fields, those of an exit cleared."""
        site = self._site
        return {
            "in_city": site.city, "out_city": bytes(2), "in_network": site.network, "out_network": bytes(8),
            "in_station": self._coded(station), "out_station": bytes(8), "in_terminal": terminal,
            "out_terminal": bytes(8), "in_at": at, "out_at": bytes(7), "in_line": self._line(station) & 0xFF,
            "out_line": 0, "out_fen": 0,
        }  # fmt: skip

    def _exited(self, station: int, paid_fen: int, terminal: bytes, at: bytes) -> "dict[str, Any]":
        site = self._site
        return {
            "state": _EXITED, "out_city": site.city, "out_network": site.network, "out_station": self._coded(station),
            "out_terminal": terminal, "out_at": at, "out_line": self._line(station) & 0xFF, "out_fen": paid_fen,
        }  # fmt: skip

    def _written(self, raw: bytes, fields: "dict[str, Any]", local: bytes) -> bytes:
        """A card that comes from another network leaves that one's bytes behind; a class is kept with the entry."""
        if "in_city" in fields:
            mine = raw and trips.RAIL_TRIP.unpack(raw).in_network == self._site.network
            own = bytearray(raw[trips.LOCAL_AT[trips.RAIL] :] if mine else 29)
            own[_LAYER_AT] = self._duty.layer
            fields["local"] = bytes(own)
        return Ride._written(self, raw, fields, local)

    # -- parts --------------------------------------------------------------------------------------------------

    def _event(self, was: Trip) -> int:
        """Which way the card goes; a post without gates takes it from the card."""
        role = self._site.role
        if role == "both":
            return EXIT if was.state in INSIDE and was.network == self._site.network else ENTRY
        return EXIT if role == "exit" else ENTRY

    def _was(self, raw: bytes) -> Trip:
        """The card's last trip; what no terminal would have written counts as none."""
        if not raw:
            return _BLANK
        row = trips.RAIL_TRIP.unpack(raw)
        if row.lock:
            raise Refused(reason.RIDE_LOCKED)
        inside = row.state in INSIDE
        at_s = seconds(row.in_at if inside else row.out_at)
        if at_s < 0 or not 1 <= row.state <= 4:
            return _BLANK
        network = row.in_network if inside else row.out_network
        station = self._decoded(row.in_station if inside else row.out_station)
        return Trip(row.state, network, station, row.local[_LAYER_AT], at_s)

    def _line(self, station: int) -> int:
        """Where a coding numbers stations on each line, the higher digits; else the line of this terminal."""
        return self._higher(station) or int(self._duty.line)

    def _higher(self, station: int) -> int:
        coding = self._site.station_coding
        return int(station // 100 ** coding.count("S")) if "L" in coding else 0

    def _coded(self, station: int) -> bytes:
        return trips.place(self._site.station_coding, self._site.city, self._higher(station), station)

    def _decoded(self, raw: bytes) -> int:
        """0 for what is no station of ours."""
        coding = self._site.station_coding
        try:
            line, station = trips.read_place(coding, raw)
        except BadInput:
            return 0
        code = int(line * 100 ** coding.count("S") + station)
        return code if code <= _CODE_MAX else 0

    def _place(self, charge: Charge) -> bytes:
        station = charge.stop_out or charge.stop_in
        return trips.place(self._site.place_coding, self._site.city, self._line(station), station)
