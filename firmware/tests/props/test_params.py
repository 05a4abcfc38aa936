"""The sweep of test_params at every byte, and random lives of a parameter store against a plain model."""

from hypothesis import example, given
from hypothesis import strategies as st

import test_params as unit
from support.nor import BACKWARD, FORWARD, PowerCut
from validator.pointer import TRIALS_MAX


class EveryByte(unit.PowerCuts):
    stride = 1

    def test_every_cut_leaves_one_whole_set_in_force_and_ends_well(self):
        for order in (FORWARD, BACKWARD):
            assert self.sweep(order, 389) > 500


del unit.PowerCuts  # it runs in its own module

ACTS = st.one_of(
    st.tuples(st.just("offer"), st.sampled_from([2, 3, 4])),
    st.tuples(st.just("part"), st.sampled_from([2, 3, 4])),
    st.tuples(st.just("time"), st.just(0)),
    st.tuples(st.just("pay"), st.just(0)),
    st.tuples(st.just("refuse"), st.integers(1, 2 * TRIALS_MAX)),
    st.tuples(st.just("cut"), st.integers(0, 900)),
)


@given(st.lists(ACTS, max_size=14))
@example([("time", 0), ("offer", 2), ("cut", 276), ("refuse", 16), ("offer", 4)])  # staging over a staged set
def test_in_any_life_what_is_in_force_is_whole_and_grows_unless_it_fell_back(acts):
    case = unit.Case()
    case.setUp()
    highest = 0
    for act, value in acts:
        before = case.params.version
        fell = False
        try:
            if act == "offer":
                case.work([unit.entry(value)])
            elif act == "part":
                case.work([unit.entry(value)], steps=5)
            elif act == "time":
                case.reach()
                case.params.step()
            elif act == "pay":
                case.params.card_came()
                case.params.card_paid()
            elif act == "refuse":
                for _ in range(value):
                    case.params.card_came()
                fell = case.params.step()
            elif act == "cut":
                case.boot(value)
                case.work([unit.entry(version) for version in (2, 3, 4)])
                case.reach()
                case.params.step()
            case.boot()
        except PowerCut:
            case.boot()
        after = case.params.version
        assert case.params.rules.fare.price(1).amount_fen == 200 + (50 * after if after else 0)
        assert after >= before or fell
        if fell and after < before:
            highest = max(highest, before)
        if after > before:
            assert after > highest
        highest = max(highest, after)
