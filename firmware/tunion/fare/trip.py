"""The metro gate's trip machine: (card's record 2701, event, station, time) -> decision. Also rail and toll lanes.

Facts about a tap are bits; the first row of ROWS whose event, card state and facts all hold decides. Nothing else does.
Cases TR-01 to TR-08: tunion.fare.decision.
"""

from collections import namedtuple

from tunion.compat import const
from tunion.fare import decision
from tunion.fare.decision import BEGIN, END, IGNORE, PASS, REFUSE, SET_BEGIN, SET_END, Decision
from tunion.fare.grid import SQUARE, NoFare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.fare.grid import Grid

# The card's record: state as on the card, then network (acquirer), station, layer and time of its last event.
# A blank record is Trip(0, b"", 0, 0, 0).
Trip = namedtuple("Trip", ("state", "network", "station", "layer", "at_s"))
# Where and when the card is now. layer: train or vehicle class; modes: degraded modes in force, the bits below
Here = namedtuple("Here", ("network", "station", "layer", "at_s", "modes"))

INSIDE = (1, 3)  # states of the card with an open trip: entered, entry set by the desk
OUTSIDE = (2, 4)

ENTRY, EXIT = const(1), const(2)

# Degraded modes (降级模式) of a station
ENTRY_FREE = const(1)  # entry gates stand open; an exit without entry passes
EXIT_FREE = const(2)  # exit gates stand open
TIME_FREE = const(4)  # no overtime
DATE_FREE = const(8)  # cards past their last day pass: for the card check, not for this table
FARE_FREE = const(16)  # exits cost nothing
CLEARED = const(32)  # the trip on the card may have ended at open gates: `may_have_left`

# Facts. The degraded modes are facts, too: the lowest six bits.
_SAME = const(1 << 16)  # the card's last event was at this station
_AGAIN = const(1 << 6)  # and within again_s
_SHORT = const(1 << 7)  # within free_repair_min
_FREE = const(1 << 8)  # within same_free_min
_OVER = const(1 << 9)  # longer than max_minutes
_FOREIGN = const(1 << 10)  # the card's record is another network's
_BEFORE = const(1 << 11)  # the card's last event is later than now
_POOR = const(1 << 12)  # less than entry_min_fen on the card
_OWING = const(1 << 15)  # less than entry_min_fen once the missing exit is paid
_UNKNOWN = const(1 << 13)  # the table has no price for this ride
_CHARGED = const(1 << 14)  # by configuration, a missing exit is charged at the gate

_ANY, _IN, _OUT = const(0), const(1), const(2)

# What is paid: (owed, fare)
_NOTHING, _MISSING, _FARE, _LONG, _FREE_FARE = const(0), const(1), const(2), const(3), const(4)

ROWS = (
    # event, card, facts that hold, act, case, pay
    (EXIT, _ANY, EXIT_FREE, PASS, decision.DEGRADED, _NOTHING),
    (ENTRY, _ANY, ENTRY_FREE, PASS, decision.DEGRADED, _NOTHING),
    (ENTRY, _IN, _FOREIGN, BEGIN, decision.DEGRADED, _NOTHING),  # the other network's loss; nobody here may charge it
    (ENTRY, _IN, CLEARED, BEGIN, decision.DEGRADED, _NOTHING),
    (ENTRY, _IN, _SAME | _AGAIN, IGNORE, decision.TWICE, _NOTHING),
    (ENTRY, _IN, _BEFORE, REFUSE, decision.CLOCK, _NOTHING),
    (ENTRY, _IN, _SAME | _SHORT | _POOR, REFUSE, decision.NO_MONEY, _NOTHING),
    (ENTRY, _IN, _SAME | _SHORT, BEGIN, decision.NO_EXIT, _NOTHING),
    (ENTRY, _IN, _CHARGED | _OWING, REFUSE, decision.NO_MONEY, _NOTHING),
    (ENTRY, _IN, _CHARGED, BEGIN, decision.NO_EXIT, _MISSING),
    (ENTRY, _IN, 0, REFUSE, decision.NO_EXIT, _NOTHING),
    (ENTRY, _OUT, _POOR, REFUSE, decision.NO_MONEY, _NOTHING),
    (ENTRY, _OUT, 0, BEGIN, 0, _NOTHING),
    (EXIT, _OUT, _SAME | _AGAIN, IGNORE, decision.TWICE, _NOTHING),
    (EXIT, _OUT, ENTRY_FREE, PASS, decision.DEGRADED, _NOTHING),
    (EXIT, _OUT, 0, REFUSE, decision.NO_ENTRY, _NOTHING),
    (EXIT, _IN, _FOREIGN, REFUSE, decision.DEGRADED, _NOTHING),
    (EXIT, _IN, FARE_FREE, END, decision.DEGRADED, _NOTHING),
    (EXIT, _IN, _BEFORE, REFUSE, decision.CLOCK, _NOTHING),
    (EXIT, _IN, _UNKNOWN, REFUSE, decision.DEGRADED, _NOTHING),
    (EXIT, _IN, _OVER, END, decision.OVERTIME, _LONG),
    (EXIT, _IN, _SAME | _FREE, END, decision.SAME_PLACE, _FREE_FARE),
    (EXIT, _IN, _SAME, END, decision.SAME_PLACE, _FARE),
    (EXIT, _IN, 0, END, 0, _FARE),
)


def gate(grid: "Grid", ride: "dict[str, int]", event: int, trip: Trip, here: Here, balance_fen: int) -> Decision:
    """The decision of one tap at a gate.

    ride         the numbers of tunion.fare.decision.RIDE
    balance_fen  true balance, without overdraft; exits are judged by `affordable`, once the discounts are known
    """
    inside = trip.state in INSIDE
    fare_fen, facts = _priced(grid, trip, here) if event == EXIT and inside else (0, 0)
    missing_fen = ride["missing_exit_fen"] or grid.lowest_fen
    facts |= here.modes & 63 | _facts(ride, trip, here)
    if balance_fen < ride["entry_min_fen"]:
        facts |= _POOR
    if balance_fen < ride["entry_min_fen"] + missing_fen:
        facts |= _OWING
    for row_event, card, needed, act, case, pay in ROWS:
        if row_event == event and card != (_OUT if inside else _IN) and facts & needed == needed:
            owed_fen, fare_fen = _payment(pay, ride, missing_fen, fare_fen)
            return Decision(act, case, owed_fen, fare_fen, grid.highest_fen if act == BEGIN else 0)
    raise AssertionError("the last row of each event and state takes every tap")


def may_have_left(opened: "list[tuple[int, int]]", trip: Trip, ride: "dict[str, int]") -> bool:
    """Whether a trip could have ended at exit gates that stood open.

    opened  (from_s, to_s) of each time that a station of this network was EXIT_FREE
    """
    for from_s, to_s in opened:
        if from_s - 60 * ride["max_minutes"] <= trip.at_s <= to_s:
            return True
    return False


def affordable(
    decided: Decision, amount_fen: int, balance_fen: int, ride: "dict[str, int]", overdraft: bool
) -> Decision:
    """The decision, or TR-04 where the card cannot pay `amount_fen`.

    overdraft  the issuer permits it, and the card is not below zero yet; the national card never
    """
    limit_fen = ride["overdraft_fen"] if overdraft and balance_fen >= 0 else 0
    if amount_fen > 0 and balance_fen + limit_fen < amount_fen:
        return Decision(REFUSE, decision.NO_MONEY, 0, 0, 0)
    return decided


def repair_entry(grid: "Grid", trip: Trip, station: int, here: Here) -> Decision:
    """TR-01 at the desk of the exit station: the passenger names where he came from. The exit gate charges that fare.

    fare_fen is what it will be. Refused where the card is inside, or the table knows no such ride.
    """
    if trip.state in INSIDE:
        return Decision(REFUSE, decision.NO_EXIT, 0, 0, 0)
    fare_fen, unknown = _priced(grid, Trip(1, here.network, station, here.layer, here.at_s), here)
    if unknown:
        return Decision(REFUSE, decision.DEGRADED, 0, 0, 0)
    return Decision(SET_BEGIN, decision.NO_ENTRY, 0, fare_fen, grid.highest_fen)


def repair_exit(
    grid: "Grid", ride: "dict[str, int]", trip: Trip, here: Here, station: "int | None"
) -> Decision:
    """TR-02 at the desk: closes a trip that was left open.

    station  the exit that the passenger names; None: unknown, missing_exit_fen is owed
    Free within free_repair_min at the station where the trip began: tapped, not entered. Owed is without discounts.
    """
    if trip.state not in INSIDE:
        return Decision(REFUSE, decision.NO_ENTRY, 0, 0, 0)
    if trip.network != here.network:
        return Decision(REFUSE, decision.DEGRADED, 0, 0, 0)
    facts = _facts(ride, trip, here)
    if facts & _BEFORE:
        return Decision(REFUSE, decision.CLOCK, 0, 0, 0)
    if facts & _SAME and facts & _SHORT:
        return Decision(SET_END, decision.NO_EXIT, 0, 0, 0)
    if station is None:
        return Decision(SET_END, decision.NO_EXIT, ride["missing_exit_fen"] or grid.lowest_fen, 0, 0)
    owed_fen, unknown = _priced(grid, trip, Here(here.network, station, here.layer, here.at_s, 0))
    if unknown:
        return Decision(REFUSE, decision.DEGRADED, 0, 0, 0)
    return Decision(SET_END, decision.NO_EXIT, owed_fen, 0, 0)


def list_fen(grid: "Grid", layer: int, start: int, end: int) -> int:
    """The fare between two stations. The same one is no ride of a triangle: the cheapest from there stands in.

    raises  NoFare
    """
    if start == end and grid.shape != SQUARE:
        return grid.least_fen(layer, start)
    return grid.fen(layer, start, end)


def _facts(ride: "dict[str, int]", trip: Trip, here: Here) -> int:
    """What can be said of a card's last event, seen from here and now."""
    facts = _CHARGED if ride["missing_exit"] else 0
    if trip.network != here.network:
        return facts | _FOREIGN
    if trip.station == here.station:
        facts |= _SAME
    since_s = here.at_s - trip.at_s
    if since_s < -ride["slack_s"]:
        return facts | _BEFORE
    since_s = max(0, since_s)
    if since_s <= ride["again_s"]:
        facts |= _AGAIN
    if since_s <= 60 * ride["free_repair_min"]:
        facts |= _SHORT
    if since_s <= 60 * ride["same_free_min"]:
        facts |= _FREE
    if since_s > 60 * ride["max_minutes"] and not here.modes & TIME_FREE:
        facts |= _OVER
    return facts


def _priced(grid: "Grid", trip: Trip, here: Here) -> "tuple[int, int]":
    """(list fare, _UNKNOWN or 0)."""
    try:
        return list_fen(grid, trip.layer, trip.station, here.station), 0  # the class that was entered with
    except NoFare:
        return 0, _UNKNOWN


def _payment(pay: int, ride: "dict[str, int]", missing_fen: int, fare_fen: int) -> "tuple[int, int]":
    """(owed, fare)."""
    if pay == _MISSING:
        return missing_fen, 0
    if pay == _FARE:
        return 0, fare_fen
    if pay == _LONG:
        return ride["overtime_fen"], fare_fen if ride["overtime_mode"] == decision.ADDS else 0
    if pay == _FREE_FARE:
        return 0, ride["same_free_fen"]
    return 0, 0
