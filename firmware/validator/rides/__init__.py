"""What a tap comes to, one module for each way to charge: `plain`, `flat`, `segment`, `gate`, `desk`.

    read(card, identity)                               -> the card's records that the ride needs
    decide(identity, records, now_s, balance_fen, overdraft) -> Charge; raises Refused
    images(charge, records, balance_fen, terminal, at) -> [(p1, p2, bytes)] to be written with the debit

Pure but for `read`: nothing is remembered from one card to the next. Rules: firmware/docs/rides.md.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.duty import Duty
    from validator.rides.site import Site


def make(fare: "Any", site: "Site", duty: "Duty") -> "Any":
    """The way to charge that a fare table asks for, at a terminal of this role. Raises BadInput where it has none.

    Only the modules that it needs are loaded: a bus of flat fares has no room for the others.
    """
    if not hasattr(fare, "scheme"):
        from validator.rides.plain import PlainRide

        return PlainRide(fare, site, duty)
    from tunion.fare.tariff import is_by_stop

    if fare.grid is None or site.role == "conductor":
        from validator.rides.flat import FlatRide

        return FlatRide(fare, site, duty)
    if is_by_stop(fare):
        from validator.rides.segment import SegmentRide

        return SegmentRide(fare, site, duty)
    if site.role == "desk":
        from validator.rides.desk import DeskRide

        return DeskRide(fare, site, duty)
    from validator.rides.gate import GateRide

    return GateRide(fare, site, duty)
