"""Monthly accumulation (月累计): what was ridden or spent so far this month decides the discount of the next ride."""

from collections import namedtuple

from tunion.compat import const
from tunion.record import BadInput, is_int

RIDES, SPENT = const(0), const(1)  # what is counted
TIERS_MAX = const(7)  # a tap names the one that held in three bits: tunion.fare.granted

Month = namedtuple("Month", ("month", "rides", "spent_fen"))  # YYYYMM; spent after all discounts

_RIDES_MAX = const(0xFFFF)
_SPENT_MAX = const(0xFFFFFF)


def check_tiers(counts: int, tiers: "list[list[int]]") -> None:
    """`tiers` are [from, permille], from growing: with `from` rides or fen before this ride. Raises BadInput."""
    if counts not in (RIDES, SPENT) or not isinstance(tiers, list) or not 1 <= len(tiers) <= TIERS_MAX:
        raise BadInput("monthly tiers count 0 rides or 1 fen, and are 1 to %d" % TIERS_MAX)
    before = -1
    for tier in tiers:
        if not isinstance(tier, list) or len(tier) != 2 or not is_int(tier[0]) or not is_int(tier[1]):
            raise BadInput("a monthly tier is [from, permille]")
        if not before < tier[0] <= _SPENT_MAX or not 0 <= tier[1] <= 1000:
            raise BadInput("monthly tiers grow, their permille is 0 to 1000; see the tier from %d" % tier[0])
        before = tier[0]


def of_month(kept: "Month | None", month: int) -> Month:
    """The counters as they stand for a ride in `month`.

    A later month begins at zero. An earlier one is a slow clock: the counters are kept, not lost.
    """
    if kept is None or kept.month < month:
        return Month(month, 0, 0)
    return kept


def tier(counts: int, tiers: "list[list[int]]", so_far: Month) -> int:
    """The tier of the next ride, from 1; 0: none. A ride that crosses a line pays the old price."""
    count = so_far.rides if counts == RIDES else so_far.spent_fen
    found = 0
    while found < len(tiers) and count >= tiers[found][0]:
        found += 1
    return found


def permille(counts: int, tiers: "list[list[int]]", so_far: Month) -> int:
    """The discount of the next ride, by what stands before it."""
    row = tier(counts, tiers, so_far)
    off: int = tiers[row - 1][1] if row else 0
    return off


def after(so_far: Month, amount_fen: int) -> Month:
    """The counters after a ride was paid. They stop at what the card can hold."""
    return Month(
        so_far.month, min(so_far.rides + 1, _RIDES_MAX), min(so_far.spent_fen + amount_fen, _SPENT_MAX)
    )
