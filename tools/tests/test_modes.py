"""Every mode once, on real parts, as its scenario file tells it; `ykt rig modes`."""

import json
import sqlite3
from pathlib import Path

import pytest

from simulator.rig import story
from simulator.rig.modes import StoryFailed, Street
from tools.clerk import in_process
from tools.cli import main
from tools.paths import FIRMWARE, MICROPYTHON

INTERPRETER = [str(MICROPYTHON), "-X", "heapsize=1m"]      # firmware compiled on the spot


def street(scenario, folder):
    return Street(scenario, folder / scenario.name, INTERPRETER, f"{FIRMWARE}:.frozen", clerk=in_process)


def scenario_of(name):
    return story.read(story.SCENARIOS / f"{name}.json")


@pytest.mark.parametrize("name", story.names())
def test_a_mode_comes_out_as_it_is_told_and_balances(name: str, tmp_path: Path):
    with street(scenario_of(name), tmp_path) as made:
        figures = made.run()
    assert figures["findings"] == []
    assert {key: figures[key] for key in figures["expected"]} == figures["expected"]
    assert figures["balanced"] and figures["ok"] and figures["debited_fen"] == figures["cleared_fen"] > 0
    assert figures["taps"] - figures["void"] == sum(len(rider.debits) for rider in made.riders.values())
    if name == "coach":
        assert ages_in_days(figures) == [(0, 2), (1, 2), (2, 3), (3, 5)]    # of four days, offline till the last


def ages_in_days(figures):
    """(days from tap to arrival, taps) of what is not void."""
    db = sqlite3.connect(f"file:{figures['db']}?mode=ro", uri=True)
    try:
        return db.execute(
            "SELECT (entry.received_at_s - txn.at_s) / 86400, COUNT(*) FROM txn JOIN entry USING (id) "
            "WHERE txn.state <> 'VOID' GROUP BY 1 ORDER BY 1"
        ).fetchall()
    finally:
        db.close()


@pytest.mark.parametrize(("changes", "words"), [
    ({"costs_fen": 1}, "step 1 .*: wanted 1, seen 200"),
    ({"shows": "refused"}, "step 1 .*: wanted {'what': 'refused'}, seen {'what': 'paid'}"),
    ({"panel": {"balance_fen": 1}}, "step 1 .*: wanted .*'balance_fen': 1}, seen .*'balance_fen': 4800}"),
])  # fmt: skip
def test_a_story_that_comes_out_otherwise_stops_there(tmp_path: Path, changes, words):
    told = scenario_of("ferry")._replace(delivered=False)
    told.story[:] = [{**told.story[0], **changes}]
    with street(told, tmp_path) as made, pytest.raises(StoryFailed, match=words):
        made.run()


def test_another_end_is_not_ok(tmp_path: Path):
    told = scenario_of("ferry")._replace(delivered=False)
    told.story[1:] = []
    with street(told, tmp_path) as made:
        figures = made.run()
    assert figures["balanced"] and not figures["ok"] and figures["cleared_fen"] == 200


def test_the_command_says_which_mode_did_not_come_out(tmp_path: Path, capsys):
    other = json.loads((story.SCENARIOS / "toll.json").read_text(encoding="utf-8"))
    other["end"]["cleared_fen"] += 1
    (tmp_path / "other.json").write_text(json.dumps(other))
    argv = ["rig", "modes", "toll", str(tmp_path / "other.json"), "--folder", str(tmp_path / "runs")]
    assert main([*argv, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [(each["mode"], each["ok"], each["balanced"]) for each in said["modes"]] == [
        ("toll", True, True), ("other", False, True)
    ]  # fmt: skip
    assert not said["ok"]


def test_the_command_refuses_what_is_no_scenario(capsys):
    assert main(["rig", "modes", "submarine"]) == 1
    assert "there are bus_flat" in capsys.readouterr().err
