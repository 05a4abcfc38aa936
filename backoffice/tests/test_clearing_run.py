"""The arithmetic of a run: the examples of the fee chapter, and equality of digests whatever the order."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice.clearing import fees
from backoffice.clearing.fees import Rule, RuleBook, rounded
from backoffice.clearing.run import (
    NO_CARRY,
    Carry,
    Contradiction,
    LineKey,
    Ride,
    RunResult,
    Sums,
    clear,
    close,
    shared_out,
)

DAY = "2025-06-01"
LONG = 1 << 40


def rule(rule_id: str = "r", rates: tuple[int, int, int] = (600, 300, 200), **named: Any) -> Rule:
    fields: dict[str, Any] = {"level": "province", "business": None, "service": None, "acquirer": None, "issuer": None}
    fields.update({"from_s": 0, "to_s": LONG}, **named)
    return Rule(rule_id=rule_id, charge_rate=rates[0], issuer_rate=rates[1], acquirer_rate=rates[2], **fields)


def ride(seq: int, amount_fen: int, issuer: str = "G", acquirer: str = "S", **changed: Any) -> Ride:
    fields: dict[str, Any] = {"level": "province", "operator": acquirer + "1", "business": 1, "service": 1}
    fields.update({"test": 0, "at_s": 1000}, **changed)
    return Ride(key=(1, 1, seq, 0), issuer=issuer, acquirer=acquirer, amount_fen=amount_fen, **fields)


def one_line(amounts_fen: list[int], carry: Carry = NO_CARRY, rates: tuple[int, int, int] = (600, 300, 200)) -> Any:
    rides = [ride(seq, fen) for seq, fen in enumerate(amounts_fen)]
    key = LineKey("province", "G", "S", 1, 1, 0, "r")
    return clear(DAY, rides, [rule(rates=rates)], {key: carry}, "v").lines[0]


def figures(line: Any) -> tuple[int, ...]:
    return (line.amount_fen, line.fee_fen, line.issuer_fen, line.acquirer_fen, line.centre_fen)


def test_example_1_five_records_with_a_reversal() -> None:
    line = one_line([190, 285, 600, -285, 200])

    assert figures(line) == (990, 6, 3, 2, 1)
    assert (line.pays_fen, line.receives_fen) == (987, 986)


def test_example_2_five_days_with_carry() -> None:
    days = (
        ((3, 2, 1, 0), (42_000, -29_000, 14_000)),
        ((4, 1, 1, 2), (-16_000, 42_000, 28_000)),
        ((3, 2, 1, 0), (26_000, 13_000, 42_000)),
        ((4, 2, 2, 0), (-32_000, -16_000, -44_000)),
        ((3, 2, 1, 0), (10_000, -45_000, -30_000)),
    )
    carry = NO_CARRY
    for expected, carried in days:
        line = one_line([190] * 3, carry)
        assert figures(line)[1:] == expected
        assert line.carry_out == carried
        carry = line.carry_out


def test_example_3_one_big_line() -> None:
    line = one_line([123_456_789])

    assert figures(line) == (123_456_789, 740_741, 370_370, 246_914, 123_457)
    assert (line.pays_fen, line.receives_fen) == (123_086_419, 122_962_962)


def test_example_4_three_cities_net_to_three_instructions() -> None:
    amounts = {
        ("G", "S"): 1_200_000,
        ("S", "G"): 900_000,
        ("G", "F"): 300_050,
        ("F", "G"): 410_075,
        ("S", "F"): 77_777,
        ("F", "S"): 66_666,
    }
    rides = [ride(seq, fen, *pair) for seq, (pair, fen) in enumerate(amounts.items())]

    result = clear(DAY, rides, [rule()], {}, "v")

    got = {(line.key.payer, line.key.payee): (line.pays_fen, line.receives_fen) for line in result.lines}
    assert got == {
        ("G", "S"): (1_196_400, 1_195_200),
        ("S", "G"): (897_300, 896_400),
        ("G", "F"): (299_150, 298_850),
        ("F", "G"): (408_845, 408_435),
        ("S", "F"): (77_544, 77_466),
        ("F", "S"): (66_466, 66_399),
    }
    assert result.nets_fen == {"G": -190_715, "S": 286_755, "F": -98_995, "centre:province": 2_955}


def test_example_5_the_national_legs() -> None:
    line = one_line([1_000_000], rates=(400, 150, 150))

    assert figures(line) == (1_000_000, 4_000, 1_500, 1_500, 1_000)
    assert (line.pays_fen, line.receives_fen) == (998_500, 997_500)
    agency_fen, carry = rounded(1_000_000 * 50, 0)  # each province keeps its agency share
    assert (agency_fen, carry) == (500, 0)
    assert line.receives_fen - agency_fen == 997_000
    assert line.pays_fen + agency_fen - 2 * agency_fen - line.centre_fen == 997_000


@pytest.mark.parametrize(
    ("xfen", "fen"), [(150_000, 2), (-150_000, -2), (49_999, 0), (-49_999, 0), (50_000, 1), (-50_000, -1)]
)
def test_halves_go_away_from_zero_on_both_sides(xfen: int, fen: int) -> None:
    assert rounded(xfen, 0) == (fen, xfen - fen * 100_000)


def test_the_centre_may_be_a_fen_short_on_a_tiny_line() -> None:
    assert figures(one_line([100], rates=(400, 500, 0)))[1:] == (0, 1, 0, -1)


def test_a_sum_beyond_64_bits_is_an_error_and_never_wraps() -> None:
    with pytest.raises(fees.SumTooLarge):
        one_line([1 << 54] * 2)


# rules in the table, the one that must win for issuer G, acquirer S, service 1, business 1
SELECTION: list[tuple[list[Rule], str]] = [
    ([rule("any"), rule("issuer", issuer="G")], "issuer"),
    ([rule("issuer", issuer="G"), rule("acquirer", acquirer="S")], "acquirer"),
    ([rule("service", service=1), rule("issuer", issuer="G")], "issuer"),
    ([rule("business", business=1), rule("service", service=1)], "service"),
    ([rule("acquirer", acquirer="S"), rule("two", service=1, business=1)], "two"),
    ([rule("other", acquirer="X"), rule("any")], "any"),
    ([rule("city", acquirer="S", level="city"), rule("any")], "any"),
    ([rule("past", acquirer="S", to_s=1000), rule("any")], "any"),
    ([rule("future", acquirer="S", from_s=1001), rule("any")], "any"),
    ([rule("from now", acquirer="S", from_s=1000), rule("any")], "from now"),
]


@pytest.mark.parametrize(("rules", "winner"), SELECTION, ids=[winner for _, winner in SELECTION])
def test_the_most_specific_rule_valid_at_trade_time_wins(rules: list[Rule], winner: str) -> None:
    for order in (rules, rules[::-1]):
        assert RuleBook(order).select("province", 1, 1, "S", "G", 1000).rule_id == winner


def test_without_a_rule_there_is_no_fee_of_zero() -> None:
    with pytest.raises(fees.NoRule):
        clear(DAY, [ride(1, 200)], [rule(acquirer="X")], {}, "v")


def test_two_rules_that_fit_alike_are_refused_when_saved() -> None:
    fees.refuse_ambiguous([rule("a", to_s=100), rule("b", from_s=100), rule("c", service=1)])
    with pytest.raises(fees.AmbiguousRule, match="a and b"):
        fees.refuse_ambiguous([rule("a", to_s=101), rule("b", from_s=100)])


def test_rules_survive_their_bytes_and_are_named_alike_in_any_order() -> None:
    rules = [rule("b", issuer="G"), rule("a")]
    assert fees.from_bytes(fees.to_bytes(rules)) == rules[::-1]
    assert fees.version(rules) == fees.version(rules[::-1]) != fees.version(rules[:1])


def test_test_money_never_nets_with_other_money() -> None:
    result = clear(DAY, [ride(1, 1000), ride(2, 500, test=1)], [rule()], {}, "v")

    assert len(result.lines) == 2
    assert sum(fen for party, fen in result.nets_fen.items() if party.startswith("test/")) == 0
    assert result.nets_fen["test/G"] == -498 and result.nets_fen["G"] == -997


def test_one_identity_with_two_contents_is_refused() -> None:
    with pytest.raises(Contradiction):
        clear(DAY, [ride(1, 200), ride(1, 300)], [rule()], {}, "v")


@pytest.mark.parametrize(
    ("total", "amounts", "parts"),
    [
        (10, {"a": 1, "b": 1, "c": 1}, {"a": 4, "b": 3, "c": 3}),
        (2, {"a": 100, "b": 200, "c": 300}, {"a": 0, "b": 1, "c": 1}),
        (-3, {"a": 100, "b": 100}, {"a": -1, "b": -2}),
        (5, {"a": 300, "b": -100}, {"a": 8, "b": -3}),
        (5, {"a": -300, "b": 100}, {"a": 8, "b": -3}),
        (1, {"b": 100, "a": -100}, {"a": 1, "b": 0}),
    ],
)
def test_the_largest_remainders_get_the_missing_fen(total: int, amounts: dict[str, int], parts: dict[str, int]) -> None:
    assert shared_out(total, amounts) == parts


orgs = st.sampled_from("GSF")
rides = st.builds(
    ride,
    seq=st.integers(1, 1 << 32),
    amount_fen=st.integers(-5000, 5000),
    issuer=orgs,
    acquirer=orgs,
    operator=st.sampled_from(("x", "y", "z")),
    service=st.integers(1, 2),
    test=st.integers(0, 1),
    at_s=st.integers(0, 2000),
)
days = st.lists(rides, max_size=40, unique_by=lambda one: one.key)
carries = st.builds(Carry, *[st.integers(-50_000, 50_000)] * 3)
RULES = [rule("any"), rule("S", (500, 100, 50), acquirer="S"), rule("G2", (333, 111, 99), issuer="G", service=2)]


def opening(rides: list[Ride], carry: Carry) -> dict[LineKey, Carry]:
    return {line.key: carry for line in clear(DAY, rides, RULES, {}, "v").lines}


@settings(max_examples=200, deadline=None)
@given(days, carries, st.randoms(use_true_random=False), st.integers(1, 4))
def test_order_repeats_and_partition_change_no_byte(
    day: list[Ride], carry: Carry, shuffled: random.Random, workers: int
) -> None:
    opened = opening(day, carry)
    expected = clear(DAY, day, RULES, opened, "v")
    again = day + shuffled.sample(day, len(day) // 2)
    shuffled.shuffle(again)
    assert clear(DAY, again, RULES, opened, "v").output_bytes == expected.output_bytes

    parts = [Sums(RuleBook(RULES)) for _ in range(workers)]
    for one in day:
        parts[shuffled.randrange(workers)].add(one)
    shuffled.shuffle(parts)
    for part in parts[1:]:
        parts[0].merge(part)
    assert close(DAY, parts[0], opened, "v").output_bytes == expected.output_bytes


@settings(max_examples=300, deadline=None)
@given(days, carries)
def test_the_invariants_hold_with_reversals_and_carries(day: list[Ride], carry: Carry) -> None:
    result: RunResult = clear(DAY, day, RULES, opening(day, carry), "v")

    assert sum(result.nets_fen.values()) == 0
    assert sum(line.amount_fen for line in result.lines) == sum(one.amount_fen for one in day)
    assert sum(line.records for line in result.lines) == len(day)
    for line in result.lines:
        assert line.pays_fen == line.receives_fen + line.centre_fen
        assert all(abs(part) <= 50_000 for part in line.carry_out)
        assert sum(share.amount_fen - share.fee_fen for share in line.shares) == line.receives_fen
        assert sum(share.records for share in line.shares) == line.records


@settings(max_examples=200, deadline=None)
@given(days, carries)
def test_another_rule_carry_or_ride_is_another_digest(day: list[Ride], carry: Carry) -> None:
    first = clear(DAY, day, RULES, {}, "v")
    assert clear(DAY, [*day, ride(0, 1)], RULES, {}, "v").output_digest != first.output_digest
    assert clear(DAY, day, RULES, {}, "w").output_digest != first.output_digest
    if day and carry != NO_CARRY:
        assert clear(DAY, day, RULES, opening(day, carry), "v").output_digest != first.output_digest
