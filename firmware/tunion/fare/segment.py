"""A bus with tap on and tap off (分段计费): (card's record 2702, line, direction, stop, time) -> decision.

Boarding takes nothing and writes the most that the ride may come to; alighting takes the fare, never more than that.
Who does not tap off owes what was written, at the next boarding. A line's grid is ONWARD, its layer the direction.
"""

from collections import namedtuple

from tunion.compat import const
from tunion.fare import decision
from tunion.fare.decision import BEGIN, END, IGNORE, REFUSE, Decision
from tunion.fare.grid import NoFare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.fare.grid import Grid

# The card's record; state as on the card. A blank one is Ride(0, b"", 0, b"", 0, 0, 0, 0).
Ride = namedtuple("Ride", ("state", "city", "line", "vehicle", "direction", "stop", "at_s", "marked_fen"))
Here = namedtuple("Here", ("city", "line", "vehicle", "direction", "stop", "at_s"))

ON_BOARD, ALIGHTED = const(1), const(2)


def tap(grid: "Grid", ride: "dict[str, int]", was: Ride, here: Here, balance_fen: int) -> Decision:
    """The decision of one tap in a bus. `ride`: the numbers of tunion.fare.decision.RIDE."""
    since_s = here.at_s - was.at_s
    aboard = (was.city, was.line, was.vehicle) == (here.city, here.line, here.vehicle)
    again = aboard and abs(since_s) <= ride["again_s"] and (was.direction, was.stop) == (here.direction, here.stop)
    if again and was.state in (ON_BOARD, ALIGHTED):
        return Decision(IGNORE, decision.TWICE, 0, 0, 0)
    if was.state != ON_BOARD or was.city != here.city:  # another city's open ride is not ours to charge
        return _board(grid, ride, here, decision.ELSEWHERE if was.state == ON_BOARD else 0, 0, balance_fen)
    if since_s < -ride["slack_s"]:  # it begins in the future: which clock is wrong, nobody knows; nobody is charged
        return _board(grid, ride, here, decision.CLOCK, 0, balance_fen)
    if not aboard:
        owed_fen = was.marked_fen if was.line == here.line or ride["elsewhere"] else 0
        return _board(grid, ride, here, decision.ELSEWHERE, owed_fen, balance_fen)
    if since_s > 60 * ride["max_minutes"]:
        return _board(grid, ride, here, decision.NO_EXIT, was.marked_fen, balance_fen)
    return _alight(grid, ride, was, here, max(0, since_s))


def _board(
    grid: "Grid", ride: "dict[str, int]", here: Here, case: int, owed_fen: int, balance_fen: int
) -> Decision:
    try:
        marked_fen = grid.onward_fen(here.direction, here.stop)
    except NoFare:
        return Decision(REFUSE, decision.LAST_STOP, 0, 0, 0)
    if balance_fen < owed_fen + max(marked_fen, ride["entry_min_fen"]):
        return Decision(REFUSE, decision.NO_MONEY, 0, 0, 0)
    return Decision(BEGIN, case, owed_fen, 0, marked_fen)


def _alight(grid: "Grid", ride: "dict[str, int]", was: Ride, here: Here, since_s: int) -> Decision:
    if (was.direction, was.stop) == (here.direction, here.stop):
        try:
            least_fen = grid.least_fen(here.direction, here.stop)
        except NoFare:  # the table changed on the way
            least_fen = was.marked_fen
        fare_fen = ride["same_free_fen"] if since_s <= 60 * ride["same_free_min"] else least_fen
        return Decision(END, decision.SAME_PLACE, 0, min(fare_fen, was.marked_fen), 0)
    try:
        if was.direction != here.direction:
            raise NoFare("the direction changed under way")
        fare_fen = grid.fen(here.direction, was.stop, here.stop)
    except NoFare:
        return Decision(END, decision.WRONG_ORDER, 0, was.marked_fen, 0)
    return Decision(END, 0, 0, min(fare_fen, was.marked_fen), 0)
