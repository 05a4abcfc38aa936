"""Prices of a tariff as the office computed them, computed again by each device before it takes the tariff.

    sample   [layer, start, end, kind, home, at_s, riders, rides, spent_fen, pair, list_fen, discount_fen, amount_fen]

home 1 or 0; rides -1: no monthly counters; pair: row of the transfer pairs that the ride before gives, -1: none. Each
rule that the tariff has must occur, so that no firmware can take a tariff that it computes differently.
"""

from tunion.compat import const
from tunion.fare import month, when
from tunion.fare.grid import ONWARD, SQUARE, NoFare
from tunion.fare.tariff import GRID, METER
from tunion.fare.transfer import Chain, Leg
from tunion.record import BadInput, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tunion.fare.month import Month
    from tunion.fare.tariff import Tariff
    from tunion.fare.transfer import Given

SAMPLES_MAX = const(112)  # 32 kinds and one more, 16 hours, 7 tiers, 16 pairs, 2 for each of 16 layers, 2
KEY = const(10)  # numbers before the prices
_SEARCH_DAYS = const(400)
_STEP_SAMPLES = const(4)  # checked between two yields


def make(tariff: "Tariff", from_s: int) -> "list[list[int]]":
    """The samples of a tariff in force from `from_s`, as few as cover it; for the office.

    raises  BadInput for a row of `hours` that never counts, because of the rows above it or the calendar
    """
    kinds = sorted(tariff.kinds)
    rules = tariff.rules
    other = _other_kind(tariff)
    start = _rides(tariff, 0)[-1]  # dear: rounding hides less
    keys = [start + [kind, 1, from_s, 1, -1, 0, -1] for kind in kinds + [other]]
    keys.append(start + [(kinds or [other])[0], 0, from_s, 1, 0, 0, -1])
    if rules["riders_max"] > 1:
        keys.append(start + [(kinds or [other])[0], 1, from_s, rules["riders_max"], -1, 0, -1])
    for row in range(len(rules["hours"])):
        kind = rules["hours"][row][0]
        kind = other if kind == -1 else kind
        keys.append(start + [kind, 1, _hour_s(tariff, row, kind, from_s), 1, -1, 0, -1])
    if rules["month"]:
        for tier in rules["month"][1]:
            by_rides = rules["month"][0] == month.RIDES
            if tier[0] > 0xFFFF and by_rides:
                raise BadInput("a month's tier begins at %d rides; a card counts 65535" % tier[0])
            keys.append(start + [other, 1, from_s, 1, tier[0] if by_rides else 0, 0 if by_rides else tier[0], -1])
    for pair in range(len(rules["transfer"][4]) if rules["transfer"] else 0):
        keys.append(start + [other, 1, from_s, 1, -1, 0, pair])
    for layer in range(tariff.grid.layers if tariff.grid else 0):
        for ride in _rides(tariff, layer):
            keys.append(ride + [other, 1, from_s, 1, -1, 0, -1])
    if tariff.scheme == METER:
        keys.append([0, 0, tariff.high_fen, other, 1, from_s, 1, -1, 0, -1])
    return [key + list(price(tariff, key)) for key in keys]


def checking(tariff: "Tariff", samples: "Any") -> "Iterator[None]":
    """Every price comes out the same here, and every rule occurs; a little between two yields.

    raises  BadInput, naming the sample or the rule
    """
    if not isinstance(samples, list) or len(samples) > SAMPLES_MAX:
        raise BadInput("a tariff carries at most %d sample prices" % SAMPLES_MAX)
    missing = _marks(tariff)
    for at in range(len(samples)):
        if at % _STEP_SAMPLES == 0:
            yield
        sample = samples[at]
        if not isinstance(sample, list) or len(sample) != KEY + 3 or not all([is_int(part) for part in sample]):
            raise BadInput("sample price %d has %d numbers" % (at + 1, KEY + 3))
        try:
            found = list(price(tariff, sample))
        except (NoFare, BadInput) as problem:
            raise BadInput("sample price %d: %s" % (at + 1, problem))
        if found != sample[KEY:]:
            raise BadInput("sample price %d is not what this firmware computes" % (at + 1))
        for mark in _marks_of(tariff, sample):
            if mark in missing:
                missing.remove(mark)
    if missing:
        raise BadInput("no sample price of %s %d" % missing[0])


def price(tariff: "Tariff", key: "list[int]") -> "Any":
    """What the first KEY numbers of a sample come to. Raises BadInput, NoFare."""
    layer, start, end, kind, home, at_s, riders, rides, spent_fen, pair = key[:KEY]
    if not 0 <= kind <= 255 or home not in (0, 1) or not 0 <= at_s <= 0xFFFFFFFF or rides < -1 or spent_fen < 0:
        raise BadInput("a kind, a place or a counter out of range")
    so_far: Month | None = None if rides < 0 else month.Month(when.month(at_s), rides, spent_fen)
    given: Given | None = None
    if pair >= 0:
        if tariff.transfers is None or pair >= len(tariff.rules["transfer"][4]):
            raise BadInput("there is no transfer pair %d" % pair)
        start_mode, end_mode = tariff.rules["transfer"][4][pair][:2]
        given = tariff.transfers.give(Chain(start_mode, 1, 0, at_s, at_s, 0), Leg(end_mode, 2, 0, at_s))
    return tariff.price(tariff.list_fen(layer, start, end), kind, at_s, home == 1, so_far, given, riders)


def _marks(tariff: "Tariff") -> "list[tuple[str, int]]":
    """What must occur, as (rule, row)."""
    rules = tariff.rules
    marks = [("card kind", kind) for kind in sorted(tariff.kinds)] + [("card kind", -1), ("visitors", 0)]
    marks += [("hours", row + 1) for row in range(len(rules["hours"]))]
    if rules["month"]:
        marks += [("month's tier", tier + 1) for tier in range(len(rules["month"][1]))]
    if rules["transfer"]:
        marks += [("transfer pair", pair + 1) for pair in range(len(rules["transfer"][4]))]
    if rules["riders_max"] > 1:
        marks.append(("riders", rules["riders_max"]))
    if tariff.grid is not None:
        marks += [("layer", layer) for layer in range(tariff.grid.layers)]
    return marks


def _marks_of(tariff: "Tariff", sample: "list[int]") -> "list[tuple[str, int]]":
    """What one sample shows."""
    layer, _, _, kind, home, at_s, riders, rides, spent_fen, pair = sample[:KEY]
    marks = [("card kind", kind if kind in tariff.kinds else -1), ("layer", layer), ("riders", riders)]
    if not home:
        return [("visitors", 0)]
    row = tariff.hours_row(kind, at_s)
    if row is not None:
        marks.append(("hours", row + 1))
    if tariff.rules["month"] and rides >= 0:
        counts, tiers = tariff.rules["month"]
        marks.append(("month's tier", month.tier(counts, tiers, month.Month(0, rides, spent_fen))))
    marks.append(("transfer pair", pair + 1))
    return marks


def _other_kind(tariff: "Tariff") -> int:
    """The lowest card kind that no rule names."""
    named = list(tariff.kinds) + [row[0] for row in tariff.rules["hours"]]
    other = 0
    while other in named:
        other += 1
    return other


def _rides(tariff: "Tariff", layer: int) -> "list[list[int]]":
    """[layer, start, end] of the cheapest and of the dearest ride of a layer."""
    if tariff.scheme != GRID or tariff.grid is None:
        return [[0, 0, tariff.low_fen]]
    grid = tariff.grid
    low: tuple[int, int, int] | None = None
    high: tuple[int, int, int] | None = None
    for i in range(grid.places):
        for j in range(i + 1 if grid.shape == ONWARD else 0, grid.places):
            if i != j or grid.shape == SQUARE:
                start, end = grid.code(i), grid.code(j)
                try:
                    ride = (grid.fen(layer, start, end), start, end)
                except NoFare:
                    continue
                low = ride if low is None else min(low, ride)
                high = ride if high is None else max(high, ride)
    if low is None or high is None:
        raise BadInput("layer %d has no ride" % layer)
    return [[layer, ride[1], ride[2]] for ride in (low, high)]


def _hour_s(tariff: "Tariff", row: int, kind: int, from_s: int) -> int:
    """A time at which a row of `hours` counts for a card kind."""
    rows = tariff.rules["hours"]
    minutes = sorted([each[2] for each in rows] + [each[3] for each in rows])
    midnight_s = from_s - 60 * when.minute(from_s) - from_s % 60
    seen: list[int] = []
    for day in range(_SEARCH_DAYS):
        day_type = when.day_type(midnight_s + 86400 * day, tariff.days)
        if day_type in seen:
            continue
        seen.append(day_type)
        for minute in minutes:
            at_s: int = midnight_s + 86400 * day + 60 * minute
            if minute < 1440 and tariff.hours_row(kind, at_s) == row:
                return at_s
    raise BadInput("hours, row %d never counts: rows above it or the calendar leave it no time" % (row + 1))
