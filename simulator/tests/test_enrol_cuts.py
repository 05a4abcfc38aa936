"""A sample of the power cuts in a re-enrolment; all of them: `make soak`."""

import pytest

from simulator.rig import enrol_cuts
from simulator.rig.schedules import Failed, office


def test_a_sample_of_cuts_loses_doubles_and_invents_nothing():
    sums = enrol_cuts.sweep(stride=29, again_stride=307)

    assert sums["cuts"] > 15
    assert sums["pairs"] > 2 * sums["cuts"]


def test_a_replayed_pair_is_just_that_pair():
    assert enrol_cuts.sweep(1, 1, only=(100, 50)) == {"cuts": 1, "pairs": 1}


def test_a_ride_that_never_arrives_is_noticed():
    with office() as store:
        pair = enrol_cuts.Reenrolment(store, 0, (100, 50))
        pair.happen()
        pair.buses[0].told.add("0310" + 16 * "9")

        with pytest.raises(Failed, match="missing"):
            pair.compare()
