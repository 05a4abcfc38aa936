"""What a storm tries, drawn from its seed round by round: a plan is the same whatever the machine does."""

import random
from typing import NamedTuple

from simulator.field import AFTER, BEFORE

RIDERS = 240            # with money for some 20 rides each: ten minutes
REGULARS = 32           # every other round only these ride: torn cards come back soon, on either bus
ROUND_TAPS = 8          # of each bus
ROUND_S = 6.0           # about; what happens ashore is spread over it
LATE_MS_MAX = 700       # a power cut by the clock: from before the card is seen to after the panel has spoken
CALM = 0.6              # of the taps, and of the rounds ashore

TEAR, POWER_CUT, LATE_POWER_CUT = "card torn", "validator killed at an exchange", "validator killed by the clock"
PCSCD, PSAM, LINE = "pcscd killed", "PSAM pulled out", "PN532 unplugged"
CABLE, OFFICE, CLEAR = "network cable pulled", "back office killed", "day cleared in between"

EXCHANGES = ("select", "read-binary", "init", "debit", "debit", "debit", "prove")   # most of all where it hurts
_ON_FIRST = (TEAR, TEAR, POWER_CUT, LATE_POWER_CUT, PCSCD, PSAM)
_ON_SECOND = (TEAR, TEAR, POWER_CUT, LATE_POWER_CUT, LINE)


class Accident(NamedTuple):
    """What happens to one tap: at an exchange, or `late_ms` after the card was held there."""

    kind: str
    exchange: str = ""
    moment: str = AFTER
    late_ms: int = 0


class Ashore(NamedTuple):
    """What happens away from the buses, so many seconds into the round, and how long it lasts."""

    begins_s: float
    kind: str
    lasts_s: float


class Round(NamedTuple):
    """Of each bus its riders in order, each with an accident or none; and one thing ashore or nothing."""

    buses: tuple[list[tuple[int, Accident | None]], ...]
    ashore: Ashore | None


def planned(seed: int, number: int) -> Round:
    """The round of this number. No rider is on both buses in the same one."""
    chance = random.Random(f"{seed}/{number}")
    out = chance.sample(range(REGULARS if number % 2 else RIDERS), 2 * ROUND_TAPS)
    buses = tuple(
        [(rider, _accident(chance, kinds)) for rider in mine]
        for mine, kinds in ((out[:ROUND_TAPS], _ON_FIRST), (out[ROUND_TAPS:], _ON_SECOND))
    )
    if chance.random() < CALM:
        return Round(buses, None)
    begins_s, lasts_s = chance.uniform(0, ROUND_S / 2), chance.uniform(0, ROUND_S / 2)
    return Round(buses, Ashore(begins_s, chance.choice((CABLE, OFFICE, CLEAR)), lasts_s))


def _accident(chance: random.Random, kinds: tuple[str, ...]) -> Accident | None:
    if chance.random() < CALM:
        return None
    kind = chance.choice(kinds)
    if kind == LATE_POWER_CUT:
        return Accident(kind, late_ms=chance.randrange(LATE_MS_MAX))
    return Accident(kind, chance.choice(EXCHANGES), chance.choice((BEFORE, AFTER)))
