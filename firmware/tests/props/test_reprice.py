"""Whatever the gate, the bus and the conductor charge prices again to itself; no other amount does. CPython only.

The taps are made by tunion.fare itself, from random tables, cards and times. Then each field of the record is changed:
either the second opinion finds it, or the very same money follows from the changed facts.
"""

from collections import namedtuple

from hypothesis import assume, given, note
from hypothesis import strategies as st

from tunion.fare import decision, granted, grid, month, reprice, segment, tariff, trip
from tunion.fare.month import Month
from tunion.fare.tariff import Tariff
from tunion.fare.transfer import Chain, Leg
from tunion.wire.tap import ALIGHT, BOARD, MAKE_UP, SINGLE

FIELDS = (
    "at_s", "type", "industry", "card_kind", "amount_fen", "list_fen", "discount_fen", "line", "stop_in", "stop_out",
    "event", "fare_case", "layer", "riders", "modes", "granted", "owed_fen", "ride_s",
)
MONEY = ("amount_fen", "list_fen", "discount_fen", "owed_fen")
FACTS = [field for field in FIELDS if field not in MONEY]
Tap = namedtuple("Tap", FIELDS)
Card = namedtuple("Card", ("kind", "home", "so_far", "chain"))

OURS = b"a"
PLACES = st.integers(1, 4)
LAYERS = st.integers(0, 1)
START_S = 1_748_736_000  # a Sunday; a week of hours, days of the week and calendar days
TIMES = st.integers(START_S, START_S + 7 * 86400)
RIDE_S = st.one_of(st.integers(0, 900), st.integers(0, 20000), st.integers(0, 0xFFFFFF))
RIDES = st.fixed_dictionaries({
    "again_s": st.just(10), "elsewhere": st.just(1), "entry_min_fen": st.just(0),
    "free_repair_min": st.integers(0, 30), "max_minutes": st.integers(1, 300), "missing_exit": st.integers(0, 1),
    "missing_exit_fen": st.integers(0, 900), "overdraft_fen": st.just(0), "overtime_fen": st.integers(0, 1500),
    "overtime_mode": st.integers(0, 1), "same_free_fen": st.integers(0, 300), "same_free_min": st.integers(0, 30),
    "slack_s": st.just(30),
})
HOURS = st.lists(st.tuples(
    st.integers(-1, 3), st.integers(1, 7), st.integers(0, 1438), st.integers(0, 1000)
).map(lambda row: [row[0], row[1], row[2], 1440, row[3]]), max_size=3)
TIERS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1000)), max_size=7, unique_by=lambda tier: tier[0])


@st.composite
def rules(draw, riders_max=1):
    tiers = sorted([list(tier) for tier in draw(TIERS)])
    pairs = draw(st.dictionaries(st.integers(1, 15), st.tuples(st.integers(0, 1000), st.integers(0, 300)), max_size=3))
    return {
        "cut_fen": draw(st.sampled_from([1, 10])), "hours": draw(HOURS), "month": [0, tiers] if tiers else [],
        "ride": {}, "riders_max": riders_max, "visitors": draw(st.integers(0, 15)),
        "transfer": [90, 0, 3, 0, [[mode, 2, *offer] for mode, offer in pairs.items()]] if pairs else [],
    }


KINDS = st.dictionaries(st.integers(0, 3), st.integers(0, 1000), max_size=3)
FEN = st.integers(0, 1800).map(lambda fen: None if fen > 1600 else fen)


@st.composite
def grids(draw, shape):
    layers = []
    for _ in range(2):
        rows = [[draw(FEN) for _ in range(4)] for _ in range(4)]
        if shape == grid.BOTH_WAYS:
            rows = [[rows[min(i, j)][max(i, j)] for j in range(4)] for i in range(4)]
        layers.append(rows)
    layers[0][0][1] = layers[0][1][0] = 200  # one price at least
    return grid.build(shape, [1, 2, 3, 4], layers)


@st.composite
def of_grid(draw, *shapes, riders_max=1):
    table = draw(grids(draw(st.sampled_from(shapes))))
    found = {**draw(rules(riders_max)), "ride": draw(RIDES)}
    return Tariff(7, 2, 2, tariff.GRID, table, draw(KINDS), found, {START_S // 86400: 2})


CARDS = st.builds(
    Card, st.integers(0, 4), st.booleans(),
    st.one_of(st.none(), st.builds(Month, st.just(202506), st.integers(0, 50), st.just(0))),
    st.one_of(st.none(), st.builds(Chain, st.integers(1, 16), st.just(9), st.just(0), TIMES, TIMES, st.integers(0, 4))),
)


def made(table, card, event, at_s, decided, ride_s=0, riders=1, **facts):
    """The record of a decision, as the tap path writes it."""
    began_s = at_s - ride_s
    given_here = None
    from_mode = 0
    if table.transfers is not None:
        given_here = table.transfers.give(card.chain, Leg(table.mode, 1, 0, began_s))
        from_mode = card.chain.mode if given_here.chain.transfers else 0
    tier = 0
    if card.so_far is not None and table.rules["month"]:
        tier = month.tier(*table.rules["month"], card.so_far)
    price = table.price(decided.fare_fen, card.kind, began_s, card.home, card.so_far, given_here, riders)
    if event in (BOARD, MAKE_UP):
        assert price.list_fen == 0
    fields = {
        "at_s": at_s, "type": 9, "industry": table.mode, "card_kind": card.kind, "list_fen": price.list_fen,
        "discount_fen": price.discount_fen, "amount_fen": price.amount_fen + decided.owed_fen, "line": 1, "stop_in": 0,
        "stop_out": 0, "event": event, "fare_case": decided.case, "layer": 0, "riders": riders if riders > 1 else 0,
        "modes": 0, "granted": granted.pack(tier, not card.home, from_mode), "owed_fen": decided.owed_fen,
        "ride_s": ride_s,
    }
    return Tap(**{**fields, **facts})


def gate_exit(table, card, stop_in, stop_out, layer, at_s, ride_s, modes):
    here = trip.Here(OURS, stop_out, layer, at_s, modes)
    decided = trip.gate(
        table.grid, table.rules["ride"], trip.EXIT, trip.Trip(1, OURS, stop_in, layer, at_s - ride_s), here, 99999999
    )
    if decided.act != decision.END:
        return None
    facts = {"stop_in": stop_in, "stop_out": stop_out, "layer": layer, "modes": modes}
    return made(table, card, ALIGHT, at_s, decided, ride_s, **facts)


def alight(table, card, marked_fen, was, stop_out, direction, at_s, ride_s):
    stop_in, layer = was
    here = segment.Here(OURS, 1, b"v", direction, stop_out, at_s)
    ride = segment.Ride(1, OURS, 1, b"v", layer, stop_in, at_s - ride_s, marked_fen)
    decided = segment.tap(table.grid, table.rules["ride"], ride, here, 99999999)
    if decided.act != decision.END:
        return None
    return made(table, card, ALIGHT, at_s, decided, ride_s, stop_in=stop_in, stop_out=stop_out, layer=layer)


def marked(table, layer, stop):
    try:
        return table.grid.onward_fen(layer, stop)
    except grid.NoFare:
        return None


def wrong_money(tap):
    """Every change of an amount is found, alone or with the sum made right again."""
    for field in ("list_fen", "discount_fen", "owed_fen"):
        for step in (1, -1):
            value = getattr(tap, field) + step
            amount_fen = tap.amount_fen + (-step if field == "discount_fen" else step)
            if value >= 0 and amount_fen >= 0:
                for other in (tap._replace(**{field: value}), tap._replace(**{field: value, "amount_fen": amount_fen})):
                    yield field, other
    both = tap._replace(list_fen=tap.list_fen + 1, discount_fen=tap.discount_fen + 1)
    yield "list_fen", both
    yield "amount_fen", tap._replace(amount_fen=tap.amount_fen + 1)


GATES = of_grid(grid.BOTH_WAYS, grid.SQUARE)


@given(GATES, CARDS, PLACES, PLACES, LAYERS, TIMES, RIDE_S, st.integers(0, 63))
def test_an_exit_prices_to_itself_and_to_nothing_else(table, card, stop_in, stop_out, layer, at_s, ride_s, modes):
    tap = gate_exit(table, card, stop_in, stop_out, layer, at_s, ride_s, modes)
    if tap is None:
        return
    assert reprice.verdict(table, tap) == 0
    for field, other in wrong_money(tap):
        note(field)
        assert reprice.verdict(table, other) != 0


@given(GATES, CARDS, PLACES, PLACES, LAYERS, TIMES, RIDE_S, st.integers(0, 63), st.sampled_from(FACTS),
       st.sampled_from([-2, -1, 1, 2]))
def test_an_exit_with_another_fact_is_found_or_costs_the_same(
    table, card, stop_in, stop_out, layer, at_s, ride_s, modes, field, step
):
    tap = gate_exit(table, card, stop_in, stop_out, layer, at_s, ride_s, modes)
    if tap is None or getattr(tap, field) + step < 0:
        return
    value = getattr(tap, field) + step
    other = tap._replace(**{field: value})
    if reprice.verdict(table, other):
        return
    if field in ("type", "industry", "event", "fare_case"):
        raise AssertionError(f"{field} {value} is taken")
    tier, visitor, from_mode = granted.unpack(other.granted)
    tiers = table.rules["month"][1] if table.rules["month"] else []
    so_far = Month(202506, tiers[tier - 1][0], 0) if 0 < tier <= len(tiers) else None
    began_s = other.at_s - other.ride_s
    chain = Chain(from_mode, 9, 0, began_s, began_s, 0) if from_mode else None
    same = Card(other.card_kind, not visitor, so_far, chain)
    facts = (other.stop_in, other.stop_out, other.layer, other.at_s, other.ride_s, other.modes & 63)
    again = gate_exit(table, same, *facts)
    assert again is not None
    assert [getattr(again, name) for name in MONEY] == [getattr(tap, name) for name in MONEY]


@given(GATES, PLACES, PLACES, TIMES, RIDE_S, st.booleans(), LAYERS)
def test_an_entry_carries_what_is_owed_and_nothing_else(table, stop, before, at_s, since_s, inside, layer):
    was = trip.Trip(1 if inside else 2, OURS, before, layer, at_s - since_s)
    here = trip.Here(OURS, stop, layer, at_s, 0)
    decided = trip.gate(table.grid, table.rules["ride"], trip.ENTRY, was, here, 99999999)
    if decided.act != decision.BEGIN:
        return
    card = Card(0, True, None, None)
    tap = made(table, card, BOARD, at_s, decided, stop_in=stop, layer=layer)
    assert reprice.verdict(table, tap) == 0
    missing_fen = table.rules["ride"]["missing_exit_fen"] or table.grid.lowest_fen
    for field, other in wrong_money(tap):
        adds_up = other.amount_fen == other.owed_fen
        forgiven = other.fare_case == decision.NO_EXIT and other.owed_fen in (0, missing_fen)
        assert reprice.verdict(table, other) != 0 or (field == "owed_fen" and adds_up and forgiven)


BUSES = of_grid(grid.ONWARD)


@given(BUSES, BUSES, CARDS, PLACES, PLACES, LAYERS, LAYERS, TIMES, RIDE_S, st.booleans())
def test_an_alighting_prices_to_itself_also_where_an_older_table_marked_it(
    table, older, card, stop_in, stop_out, layer, direction, at_s, ride_s, by_older
):
    marking = older if by_older else table
    marked_fen = marked(marking, layer, stop_in)
    if marked_fen is None:
        return
    tap = alight(table, card, marked_fen, (stop_in, layer), stop_out, direction, at_s, ride_s)
    if tap is None:
        return
    assert reprice.verdict(table, tap, (older,)) == 0
    if not by_older:
        assert reprice.verdict(table, tap) == 0
        turned = tap.fare_case == decision.WRONG_ORDER
        for field, other in wrong_money(tap):
            if not turned or field in ("discount_fen", "amount_fen"):
                assert reprice.verdict(table, other) != 0
    most_fen = max(table.high_fen, older.high_fen, table.rules["ride"]["same_free_fen"])
    above = tap._replace(list_fen=most_fen + 1, amount_fen=tap.amount_fen + most_fen + 1 - tap.list_fen)
    assert reprice.verdict(table, above, (older,)) != 0


@given(BUSES, BUSES, PLACES, PLACES, LAYERS, LAYERS, TIMES, RIDE_S, st.booleans(), st.booleans())
def test_a_ride_left_open_is_made_up_by_what_was_marked(
    table, older, stop_in, stop, layer, direction, at_s, since_s, by_older, other_bus
):
    marking = older if by_older else table
    marked_fen = marked(marking, layer, stop_in)
    if marked_fen is None:
        return
    ride = segment.Ride(1, OURS, 1, b"w" if other_bus else b"v", layer, stop_in, at_s - since_s, marked_fen)
    here = segment.Here(OURS, 1, b"v", direction, stop, at_s)
    decided = segment.tap(table.grid, table.rules["ride"], ride, here, 99999999)
    if decided.act != decision.BEGIN:
        return
    card = Card(0, True, None, None)
    if decided.owed_fen:
        tap = made(table, card, MAKE_UP, at_s, decided, stop_in=stop_in, layer=layer)
        assert reprice.verdict(table, tap, (older,)) == 0
        most_fen = max(table.high_fen, older.high_fen)
        assert reprice.verdict(table, tap._replace(owed_fen=most_fen + 1, amount_fen=most_fen + 1), (older,)) != 0
    free = decided._replace(owed_fen=0)
    tap = made(table, card, BOARD, at_s, free, stop_in=stop, layer=direction)
    assert reprice.verdict(table, tap, (older,)) == 0
    for _, other in wrong_money(tap):
        assert reprice.verdict(table, other, (older,)) != 0


@given(GATES, PLACES, PLACES, PLACES, LAYERS, TIMES, RIDE_S, st.booleans())
def test_the_desk_prices_to_itself(table, stop_in, stop_out, station, layer, at_s, since_s, named):
    ride = table.rules["ride"]
    card = Card(0, True, None, None)
    here = trip.Here(OURS, station, layer, at_s, 0)
    was = trip.Trip(1, OURS, stop_in, layer, at_s - since_s)
    ended = trip.repair_exit(table.grid, ride, was, here, stop_out if named else None)
    if ended.act == decision.SET_END:
        tap = made(table, card, MAKE_UP, at_s, ended, stop_in=stop_in, stop_out=stop_out if named else 0, layer=layer)
        assert reprice.verdict(table, tap) == 0
        most_fen = max(table.high_fen, ride["missing_exit_fen"])
        assert reprice.verdict(table, tap._replace(owed_fen=most_fen + 1, amount_fen=most_fen + 1)) != 0
    begun = trip.repair_entry(table.grid, trip.Trip(0, b"", 0, 0, 0), stop_in, here)
    if begun.act == decision.SET_BEGIN:
        nothing = decision.Decision(begun.act, begun.case, 0, 0, 0)
        tap = made(table, card, MAKE_UP, at_s, nothing, stop_in=stop_in, layer=layer)
        assert reprice.verdict(table, tap) == 0
        assert reprice.verdict(table, tap._replace(owed_fen=1, amount_fen=1)) != 0


@st.composite
def singles(draw):
    """(tariff, list fare of one, facts)."""
    which = draw(st.sampled_from(["flat", "meter", "grid"]))
    if which == "grid":
        table = draw(of_grid(grid.BOTH_WAYS, grid.ONWARD, grid.SQUARE, riders_max=5))
        stop_in, stop_out, layer = draw(PLACES), draw(PLACES), draw(LAYERS)
        try:
            list_fen = table.list_fen(layer, stop_in, stop_out)
        except grid.NoFare:
            assume(False)
        return table, list_fen, {"stop_in": stop_in, "stop_out": stop_out, "layer": layer}
    found = draw(rules(riders_max=5))
    if which == "flat":
        fen = draw(st.integers(1, 2000))
        return Tariff(7, 2, 2, tariff.FLAT, fen, draw(KINDS), found, {}), fen, {}
    steps = draw(st.integers(0, 20))
    return Tariff(7, 2, 2, tariff.METER, [800, 800 + 20 * 50, 50], draw(KINDS), found, {}), 800 + 50 * steps, {}


@given(singles(), CARDS, TIMES, st.integers(1, 5))
def test_a_fare_taken_at_once_prices_to_itself_and_to_nothing_else(single, card, at_s, riders):
    table, list_fen, facts = single
    decided = decision.Decision(decision.END, 0, 0, list_fen, 0)
    tap = made(table, card, SINGLE, at_s, decided, riders=riders, **facts)
    assert reprice.verdict(table, tap) == 0
    for _, other in wrong_money(tap):
        assert reprice.verdict(table, other) != 0
    for other in (tap._replace(riders=6), tap._replace(industry=1), tap._replace(fare_case=3), tap._replace(event=0)):
        assert reprice.verdict(table, other) != 0


@given(st.one_of(GATES, BUSES), st.fixed_dictionaries({name: st.integers(0, 255) for name in FIELDS}))
def test_no_record_raises_anything(table, fields):
    assert reprice.verdict(table, Tap(**fields)) in (0, *reprice.FINDINGS)
