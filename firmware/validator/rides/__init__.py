"""What a tap comes to, one module for each way to charge: `plain`, `flat`, `segment`, `gate`, `desk`.

    read(card, identity)                               -> the card's records that the ride needs
    decide(identity, records, now_s, balance_fen, overdraft) -> Charge; raises Refused
    images(charge, records, balance_fen, terminal, at) -> [(p1, p2, bytes)] to be written with the debit

Pure but for `read`: nothing is remembered from one card to the next. Rules: firmware/docs/rides.md.
"""

from tunion.record import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.duty import Duty
    from validator.rides.site import Site


def make(fare: "Any", site: "Site", duty: "Duty | None") -> "Any":
    """The way to charge that a fare table asks for, at a terminal of this role.

    duty    None: only to see whether it fits
    raises  BadInput for a table that this terminal cannot charge by


    Only the modules that it needs are loaded: a bus of flat fares has no room for the others.
    """
    if not hasattr(fare, "scheme"):
        from validator.rides.plain import PlainRide

        return PlainRide(fare, site, duty)
    from tunion.fare.tariff import is_by_stop

    if fare.grid is None or site.role == "conductor":
        from validator.rides.flat import FlatRide

        return FlatRide(fare, site, duty)
    by_stop = is_by_stop(fare)
    if by_stop != (site.role == "bus"):
        wanted = "a line's table, with prices onward only" if site.role == "bus" else "a network's table, not a line's"
        raise BadInput("a terminal of role %s takes %s" % (site.role, wanted))
    if by_stop:
        from validator.rides.segment import SegmentRide

        return SegmentRide(fare, site, duty)
    if site.role == "desk":
        from validator.rides.desk import DeskRide

        return DeskRide(fare, site, duty)
    from validator.rides.gate import GateRide

    return GateRide(fare, site, duty)
