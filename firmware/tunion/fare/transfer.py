"""Transfer discount (换乘优惠): window, count, direction, from which mode to which."""

from collections import namedtuple

from tunion.compat import const
from tunion.fare.granted import FROM_MAX
from tunion.record import BadInput, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SINCE_FIRST, SINCE_LAST = const(0), const(1)  # what the window counts from: the chain's first tap, or its last
ANY_LINE, NOT_BACK, OTHER_LINE = const(0), const(1), const(2)  # ANY_LINE; not the same line back; not the same line
PAIRS_MAX = const(16)

# A chain of rides as the card keeps it. first_s: the tap that began it; last_s: its newest tap, an exit counts
Chain = namedtuple("Chain", ("mode", "line", "direction", "first_s", "last_s", "transfers"))
Leg = namedtuple("Leg", ("mode", "line", "direction", "at_s"))  # the ride that begins; at_s: its boarding or entry
Given = namedtuple("Given", ("permille", "off_fen", "chain"))  # the discount, and the chain with this ride in it


class Transfers:
    """One city's rule. Raises BadInput.

    window_min  from the first or the last tap of the chain to this one, inclusive
    count_max   discounted rides in one chain
    pairs       [from mode, to mode, permille, off_fen]: percent, an amount, or both (percent first)
    """

    def __init__(self, window_min: int, since: int, count_max: int, lines: int, pairs: "list[list[int]]") -> None:
        if not _within(window_min, 1, 1440) or since not in (SINCE_FIRST, SINCE_LAST):
            raise BadInput("a transfer's window is 1 to 1440 minutes from 0 the first or 1 the last tap")
        if not _within(count_max, 1, 255) or lines not in (ANY_LINE, NOT_BACK, OTHER_LINE):
            raise BadInput("transfers: 1 to 255 in a chain; lines 0 any, 1 not the same back, 2 others only")
        if not isinstance(pairs, list) or not 1 <= len(pairs) <= PAIRS_MAX:
            raise BadInput("transfers name 1 to %d pairs of modes" % PAIRS_MAX)
        offers: dict[tuple[int, int], tuple[int, int]] = {}
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 4 or not _within(pair[0], 1, FROM_MAX):
                raise BadInput("a transfer is [from mode 1 to %d, to mode, permille, off_fen]" % FROM_MAX)
            if not _within(pair[1], 1, 255) or not _within(pair[2], 0, 1000) or not _within(pair[3], 0, 0xFFFFFF):
                raise BadInput("a transfer's permille is 0 to 1000, its amount 0 to 16777215 fen")
            if (pair[0], pair[1]) in offers:
                raise BadInput("the transfer from mode %d to mode %d stands twice" % (pair[0], pair[1]))
            offers[(pair[0], pair[1])] = (pair[2], pair[3])
        self._window_s = 60 * window_min
        self._since = since
        self._count_max = count_max
        self._lines = lines
        self._offers = offers

    def give(self, chain: "Chain | None", leg: Leg) -> Given:
        """What a ride gets, by the rides before it. A ride that gets nothing begins a chain of its own."""
        offer = self._offer(chain, leg)
        if chain is None or offer is None:
            return Given(0, 0, Chain(leg.mode, leg.line, leg.direction, leg.at_s, leg.at_s, 0))
        grown = Chain(leg.mode, leg.line, leg.direction, chain.first_s, leg.at_s, chain.transfers + 1)
        return Given(offer[0], offer[1], grown)

    def offer(self, from_mode: int, to_mode: int) -> "tuple[int, int] | None":
        """(permille, off_fen) between two modes, None: nothing."""
        return self._offers.get((from_mode, to_mode))

    def _offer(self, chain: "Chain | None", leg: Leg) -> "Any":
        if chain is None or chain.transfers >= self._count_max:
            return None
        since_s = leg.at_s - (chain.first_s if self._since == SINCE_FIRST else chain.last_s)
        if leg.at_s < chain.last_s or since_s > self._window_s:  # before the last tap: a clock is wrong
            return None
        if (chain.mode, chain.line) == (leg.mode, leg.line):
            if self._lines == OTHER_LINE or (self._lines == NOT_BACK and chain.direction != leg.direction):
                return None
        return self.offer(chain.mode, leg.mode)


def ended(chain: Chain, at_s: int) -> Chain:
    """The chain when its newest ride was tapped off."""
    return Chain(chain.mode, chain.line, chain.direction, chain.first_s, max(chain.last_s, at_s), chain.transfers)


def _within(value: "Any", low: int, high: int) -> bool:
    return is_int(value) and low <= value <= high
