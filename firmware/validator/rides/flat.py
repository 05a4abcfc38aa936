"""One tap, one fare, with a record in the card's history: flat, by the meter, or a ride that a conductor is told."""

from tunion.fare import decision
from tunion.fare.decision import Decision
from tunion.fare.grid import NoFare
from tunion.fare.tariff import METER
from tunion.record import BadInput
from tunion.wire import reason
from tunion.wire import tap as wire
from validator.rides.charge import Charge, Refused
from validator.rides.ride import Ride

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.ports import Identity
    from validator.rides.ride import Records

_AT_ONCE = Decision(decision.END, 0, 0, 0, 0)


class FlatRide(Ride):
    """Taken at once, for one rider or several."""

    judges_balance = False

    def decide(
        self, identity: "Identity", records: "Records", now_s: int, balance_fen: int, overdraft: bool
    ) -> Charge:
        """The fare of flat table, meter or named ride. Raises Refused where there is none."""
        tariff, duty = self._tariff, self._duty
        start, end = (duty.stop, duty.stop_to) if tariff.grid is not None else (0, 0)
        try:
            if tariff.scheme == METER:
                if not duty.meter_fen:
                    raise Refused(reason.METER_NOT_READY)
                list_fen = tariff.list_fen(0, 0, duty.meter_fen)
            else:
                list_fen = tariff.list_fen(duty.layer, start, end)
            riders = duty.riders or 1
            price, told, counters = self._priced(list_fen, identity, records, now_s, now_s, riders)
        except (NoFare, BadInput):
            raise Refused(reason.NO_FARE)
        return self._charge(
            _AT_ONCE, wire.SINGLE, "paid", price, told, counters, start, end, duty.layer, riders if riders > 1 else 0
        )
