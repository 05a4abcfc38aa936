"""The sweep as a command: its verdict, its totals, and a failure that can be replayed by what it printed."""

import shlex

import pytest

from simulator.rig.cuts import main
from support import cuts


class Broken(cuts.Activate):
    """Its books never agree once the pointer is programmed."""

    name = "broken"

    def check(self):
        if self.ledger.version == cuts.NEW:
            raise cuts.Wrong("on purpose")


@pytest.fixture
def broken():
    cuts.STORIES["broken"] = Broken
    yield
    del cuts.STORIES["broken"]


def test_a_sound_story_is_0_and_counts_its_cuts(capfd):
    assert main(["--only", "params", "--seed", "6", "--stride", "7", "--again-stride", "5", "--jobs", "2"]) == 0
    out = capfd.readouterr().out
    assert "nothing was lost, doubled or invented, seeds 6 to 6" in out
    name, number, *_ = out.split()
    assert name == "params" and int(number) > 10


def test_a_failure_is_1_and_prints_what_replays_it(broken, capfd):
    assert main(["--only", "broken", "--stride", "40", "--again-stride", "40", "--jobs", "1"]) == 1
    said = next(line for line in capfd.readouterr().out.splitlines() if line.startswith("FAILED"))
    assert "on purpose" in said
    words = shlex.split(said.partition("simulator.rig.cuts ")[2].partition(":")[0])
    assert main(words) == 1
    assert "on purpose" in capfd.readouterr().out


def test_a_pair_that_is_fine_is_0(capfd):
    assert main(["--only", "params", "--seed", "2", "--cut", "80", "--again", "3"]) == 0
    assert "this pair is fine" in capfd.readouterr().out


@pytest.mark.parametrize("words", ["--cut 3", "--only no-such-story", "--stride 0", "--again-stride -1"])
def test_wrong_usage_is_2(words):
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
