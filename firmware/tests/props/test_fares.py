"""Fares over all inputs: what must hold for every table, card, time and tap. CPython only."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tunion.fare import decision, discount, grid, kept, month, segment, transfer, trip, when
from tunion.fare.distance import Bands
from tunion.fare.month import Month
from tunion.fare.transfer import Chain, Leg, Transfers

FEN = st.integers(0, 0xFFFFFF)
PERMILLES = st.lists(st.integers(0, 1000), max_size=4)
METRES = st.integers(0, 200_000)
TIMES = st.integers(0, 0xFFFFFFFF)


@st.composite
def bands(draw):
    start_m, at_m = draw(st.integers(0, 9000)), 0
    steps = []
    at_m = start_m
    for _ in range(draw(st.integers(0, 4))):
        step_m = draw(st.integers(1, 9000))
        steps.append((at_m, step_m, draw(st.integers(0, 900))))
        at_m += step_m * draw(st.integers(1, 5))
    start_fen = draw(st.integers(0, 900))
    return Bands(start_m, start_fen, tuple(steps), draw(st.sampled_from([0, start_fen + 700])))


@given(bands(), METRES, METRES)
def test_a_longer_way_never_costs_less_and_no_way_more_than_the_cap(table, one, other):
    near, far = sorted((one, other))
    assert table.start_fen <= table.fen(near) <= table.fen(far)
    assert not table.cap_fen or table.fen(far) <= table.cap_fen


@given(st.integers(1, 9000), st.integers(1, 900), METRES, METRES)
def test_two_rides_never_cost_less_than_one_through(step_m, add_fen, one, other):
    """For one kind of step: the started step of each part counts, and so does the first price."""
    table = Bands(4000, 200, ((4000, step_m, add_fen),))
    assert table.fen(one + other) <= table.fen(one) + table.fen(other) + add_fen * -(-4000 // step_m)


@given(FEN, PERMILLES, FEN, st.integers(1, 100), st.integers(1, 20))
def test_a_discount_never_raises_a_fare_nor_turns_it_negative(list_fen, permilles, off_fen, cut_fen, riders):
    found = discount.price(list_fen, permilles, off_fen, cut_fen, riders)
    assert found.list_fen == riders * list_fen
    assert (riders - 1) * list_fen <= found.amount_fen <= found.list_fen
    assert found.list_fen - found.discount_fen == found.amount_fen


@given(FEN, st.permutations([50, 400, 125, 0]), FEN)
def test_the_order_of_percentages_does_not_matter(list_fen, permilles, off_fen):
    assert discount.price(list_fen, permilles, off_fen) == discount.price(list_fen, sorted(permilles), off_fen)


@given(FEN, PERMILLES)
def test_the_one_rounding_is_half_away_from_the_exact_product(list_fen, permilles):
    exact = Fraction(list_fen)
    for permille in permilles:
        exact *= Fraction(1000 - permille, 1000)
    assert Fraction(-1, 2) < discount.price(list_fen, permilles).amount_fen - exact <= Fraction(1, 2)


@given(FEN, PERMILLES, st.integers(0, 1000))
def test_one_discount_more_never_makes_it_dearer(list_fen, permilles, more):
    assert discount.price(list_fen, permilles + [more]).amount_fen <= discount.price(list_fen, permilles).amount_fen


@given(st.integers(2, 12).flatmap(lambda n: st.lists(
    st.one_of(st.none(), st.integers(0, 250)), min_size=n * (n - 1) // 2, max_size=n * (n - 1) // 2)))
def test_a_grid_gives_back_every_price_that_it_was_built_of(cells):
    count = next(n for n in range(2, 13) if n * (n - 1) // 2 == len(cells))
    rows: list[list[int | None]] = [[None] * count for _ in range(count)]
    at = 0
    for j in range(count):
        for i in range(j):
            rows[i][j] = cells[at]
            at += 1
    if all(cell is None for cell in cells):
        return
    codes = [7 * i for i in range(count)]
    found = grid.Grid(grid.build(grid.ONWARD, codes, [rows]))
    for i in range(count):
        onward = [fen for fen in rows[i] if fen is not None]
        for j in range(count):
            try:
                assert found.fen(0, 7 * i, 7 * j) == rows[i][j]
            except grid.NoFare:
                assert i >= j or rows[i][j] is None
        try:
            assert (found.least_fen(0, 7 * i), found.onward_fen(0, 7 * i)) == (min(onward), max(onward))
        except grid.NoFare:
            assert not onward


RIDES = st.fixed_dictionaries({name: st.integers(low, min(high, 3000)) for name, (low, high) in decision.RIDE.items()})
NETWORK = grid.Grid(grid.build(grid.BOTH_WAYS, [1, 2, 3], [[[None, 200, 500], [200, None, 900], [500, 900, None]]]))
LINE = grid.Grid(grid.build(grid.ONWARD, [1, 2, 3], [[[None, 200, 500], [None, None, 300], [None] * 3]] * 2))
PLACES = st.integers(0, 4)
NEAR_S = st.integers(1_748_700_000, 1_748_800_000)
TRIPS = st.builds(trip.Trip, st.integers(0, 5), st.sampled_from([b"a", b"b"]), PLACES, st.just(0), NEAR_S)
HERES = st.builds(trip.Here, st.just(b"a"), PLACES, st.just(0), NEAR_S, st.integers(0, 63))


@given(RIDES, st.sampled_from([trip.ENTRY, trip.EXIT]), TRIPS, HERES, st.integers(-500, 5000))
def test_a_gate_decides_every_tap_and_takes_money_only_where_a_trip_begins_or_ends(ride, event, was, here, balance):
    found = trip.gate(NETWORK, ride, event, was, here, balance)
    inside = was.state in trip.INSIDE
    assert found.owed_fen >= 0 and found.fare_fen >= 0
    if found.act == decision.END:
        assert event == trip.EXIT and inside and was.network == here.network
        most_fen = max(NETWORK.highest_fen, ride["same_free_fen"])
        assert found.fare_fen <= most_fen and found.owed_fen in (0, ride["overtime_fen"])
    elif found.act == decision.BEGIN:
        assert event == trip.ENTRY and found.fare_fen == 0 and found.marked_fen <= NETWORK.highest_fen
        assert inside or found.owed_fen == 0
        if not inside:
            assert balance >= ride["entry_min_fen"]
    else:
        assert (found.owed_fen, found.fare_fen, found.marked_fen) == (0, 0, 0)
    if found.act in (decision.REFUSE, decision.IGNORE, decision.PASS):
        assert found.case in decision.CASES


BOARDED = st.builds(
    segment.Ride, st.integers(0, 3), st.sampled_from([b"a", b"b"]), st.integers(1, 2), st.sampled_from([b"x", b"y"]),
    st.integers(0, 1), PLACES, NEAR_S, st.integers(0, 900),
)
STOPS = st.builds(segment.Here, st.just(b"a"), st.just(1), st.just(b"x"), st.integers(0, 1), PLACES, NEAR_S)


@given(RIDES, BOARDED, STOPS, st.integers(-500, 5000))
def test_a_bus_never_takes_more_than_was_marked_nor_lets_a_card_board_that_cannot_pay(ride, was, here, balance):
    found = segment.tap(LINE, ride, was, here, balance)
    assert found.act in (decision.REFUSE, decision.IGNORE, decision.BEGIN, decision.END)
    assert 0 <= found.fare_fen <= was.marked_fen and 0 <= found.owed_fen <= was.marked_fen
    if found.act == decision.BEGIN:
        assert balance >= found.owed_fen + found.marked_fen and found.fare_fen == 0
    if was.state != segment.ON_BOARD or was.city != here.city:
        assert found.owed_fen == found.fare_fen == 0


RULES = st.builds(
    Transfers, st.integers(1, 180), st.integers(0, 1), st.integers(1, 3), st.integers(0, 2),
    st.just([[1, 2, 100, 50], [2, 2, 500, 0], [2, 1, 0, 100]]),
)
LEGS = st.lists(st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(0, 1), st.integers(0, 4000)), max_size=20)


@given(RULES, LEGS)
def test_a_chain_of_transfers_is_never_longer_than_its_count_nor_its_window(rules, legs):
    chain = None
    at_s = 1_748_700_000
    for mode, line, direction, wait_s in legs:
        at_s += wait_s
        found = rules.give(chain, Leg(mode, line, direction, at_s))
        assert found.chain.transfers <= rules._count_max
        assert (found.permille, found.off_fen) == (0, 0) or found.chain.transfers > 0
        if rules._since == transfer.SINCE_FIRST:
            assert found.chain.last_s - found.chain.first_s <= rules._window_s
        chain = found.chain


COUNTED = st.builds(Month, st.integers(197001, 210612), st.integers(0, 0xFFFF), FEN)
CHAINS = st.builds(
    Chain, st.integers(1, 255), st.integers(0, 0xFFFF), st.integers(0, 255), TIMES, TIMES, st.integers(0, 255)
)


@given(st.one_of(st.none(), COUNTED), st.one_of(st.none(), CHAINS), st.integers(0, 25), st.integers(1, 255))
def test_what_a_card_keeps_comes_back_and_a_torn_byte_never_gives_a_discount(counted, chain, at, flip):
    raw = bytearray(kept.pack(counted, chain))
    assert kept.unpack(raw) == (counted, chain)
    raw[at] ^= flip
    assert kept.unpack(raw) == (None, None)


@given(COUNTED, st.integers(197001, 210612), FEN)
def test_a_month_counts_up_and_never_back(counted, now, amount_fen):
    so_far = month.of_month(counted, now)
    assert so_far.month == max(counted.month, now)
    after = month.after(so_far, amount_fen)
    assert after.rides >= so_far.rides and after.spent_fen >= so_far.spent_fen


@given(TIMES)
def test_a_day_is_what_the_calendar_of_python_says(at_s):
    from datetime import datetime, timedelta, timezone

    local = datetime.fromtimestamp(at_s, timezone(timedelta(hours=8)))
    assert when.day_type(at_s, {}) == (when.WEEKEND if local.weekday() >= 5 else when.WORKDAY)
    assert when.minute(at_s) == 60 * local.hour + local.minute
    assert when.month(at_s) == 100 * local.year + local.month
