"""The service counter: entry or exit that is missing on a card, set by a person who asked the passenger."""

from tunion.fare import decision, trip
from tunion.fare.trip import Here
from tunion.wire import reason
from tunion.wire import tap as wire
from validator.rides.charge import Charge, Refused, amount_fen
from validator.rides.gate import GateRide

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.ports import Identity
    from validator.rides.ride import Records

_SET_ENTRY, _SET_EXIT = 3, 4  # states of the card


class DeskRide(GateRide):
    """Does what `duty.repair` says to the next card: ("entry", station), ("exit", station), ("exit", 0): unknown."""

    def decide(
        self, identity: "Identity", records: "Records", now_s: int, balance_fen: int, overdraft: bool
    ) -> Charge:
        """A case that the counter cannot mend is refused under its own name."""
        duty, tariff = self._duty, self._tariff
        assert tariff.grid is not None
        if not duty.repair:
            raise Refused(reason.NO_REPAIR)
        what, station = duty.repair
        was = self._was(records[0])
        here = Here(self._site.network, duty.stop, duty.layer, now_s, duty.modes)
        if what == "entry":
            decided = trip.repair_entry(tariff.grid, was, station, here)
            if decided.act == decision.REFUSE:
                raise Refused(reason.of_case(decided.case))
            return self._charge(decided, wire.MAKE_UP, "desk", stop_in=station, layer=duty.layer)
        decided = trip.repair_exit(tariff.grid, tariff.rules["ride"], was, here, station or None)
        if decided.act == decision.REFUSE:
            raise Refused(reason.of_case(decided.case))
        return self._charge(
            decided, wire.MAKE_UP, "desk", stop_in=was.station, stop_out=station or duty.stop, layer=was.layer,
            ride_s=max(0, now_s - was.at_s),
        )  # fmt: skip

    def fields(self, charge: Charge, balance_fen: int, terminal: bytes, at: bytes) -> "dict[str, Any]":
        """Of record 2701; states 03 and 04 say that a person set them."""
        if charge.case == decision.NO_ENTRY:
            fields = self._entered(charge.stop_in, terminal, at)
            fields.update(state=_SET_ENTRY, most_fen=charge.marked_fen, in_fen=0, in_balance_fen=max(0, balance_fen))
            return fields
        fields = self._exited(charge.stop_out, amount_fen(charge), terminal, at)
        fields["state"] = _SET_EXIT
        return fields
