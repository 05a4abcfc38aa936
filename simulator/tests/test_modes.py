"""Every mode once, on real parts, as its scenario file tells it; and what is wrong in such a file is named."""

import json
import sqlite3
from pathlib import Path

import pytest

from backoffice.fleet import devices
from simulator.rig import story
from simulator.rig.modes import StoryFailed, Street
from simulator.tests.on_micropython import FIRMWARE, UNIX

MICROPYTHON = [UNIX[0], "-X", "heapsize=1m"]


def street(scenario, folder):
    return Street(scenario, folder / scenario.name, MICROPYTHON, f"{FIRMWARE}:.frozen")


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


def test_a_coach_brings_home_the_taps_of_four_days(tmp_path: Path):
    with street(scenario_of("coach"), tmp_path) as made:
        figures = made.run()
    db = sqlite3.connect(f"file:{figures['db']}?mode=ro", uri=True)
    ages = db.execute(
        "SELECT (entry.received_at_s - txn.at_s) / 86400, COUNT(*) FROM txn JOIN entry USING (id) "
        "WHERE txn.state <> 'VOID' GROUP BY 1 ORDER BY 1"
    ).fetchall()
    db.close()
    assert ages == [(0, 2), (1, 2), (2, 3), (3, 4)]


def test_every_profile_is_in_a_story():
    used = {device.profile for name in story.names() for device in scenario_of(name).devices}
    assert used == set(devices.names())


@pytest.mark.parametrize(("changes", "words"), [
    ({"costs_fen": 1}, "step 1 .*: wanted 1, seen 200"),
    ({"shows": "refused"}, "step 1 .*: wanted {'what': 'refused'}, seen {'what': 'paid'}"),
    ({"panel": {"balance_fen": 1}}, "step 1 .*: wanted .*'balance_fen': 1}, seen .*'balance_fen': 4800}"),
])  # fmt: skip
def test_a_story_that_comes_out_otherwise_stops_there(tmp_path: Path, changes, words):
    told = scenario_of("ferry")
    told.story[:] = [{**told.story[0], **changes}]
    with street(told, tmp_path) as made, pytest.raises(StoryFailed, match=words):
        made.run()


def test_another_end_is_not_ok(tmp_path: Path):
    told = scenario_of("ferry")
    told.story[1:] = []
    with street(told, tmp_path) as made:
        figures = made.run()
    assert figures["balanced"] and not figures["ok"] and figures["cleared_fen"] == 200


GOOD = {
    "about": "中 | en", "devices": {"pier": {"profile": "ferry", "reader": "pn532"}},
    "cards": {"Li": {"balance_fen": 100}}, "story": [],
    "end": {"cleared_fen": 0, "grey": 0, "rides": {}, "anomalies": {}},
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), [
    ({"story": [{"at": "pier"}]}, "step 1: it has none of card, say"),
    ({"story": [{"at": "pier", "card": "Li"}]}, "step 1: beside card it takes at, costs_fen, panel, shows, tear"),
    ({"story": [{"at": "boat", "card": "Li", "shows": "paid"}]}, "step 1: at: no device boat"),
    ({"story": [{"at": "pier", "card": "Wu", "shows": "paid"}]}, "step 1: card: nobody is called Wu"),
    ({"story": [{"network": "cut"}]}, "step 1: network takes pull or plug"),
    ({"story": [{"at": "pier", "say": "help", "shows": "ok"}]}, "step 1: beside say it takes answer, at, duty"),
    ({"devices": {"pier": {"profile": "ferry", "reader": "nfc"}}}, "devices.pier: reader takes pn532"),
    ({"devices": {"pier": {"reader": "pn532"}}}, "missing .*argument: 'profile'"),
    ({"cards": {"Li": {"balance_fen": 100, "kind": "dog"}}}, "cards.Li: kind takes"),
    ({"end": {}}, "end takes cleared_fen, grey, rides, anomalies"),
    ({"more": 1}, "keys that no scenario has"),
])  # fmt: skip
def test_a_wrong_scenario_is_refused_by_name(tmp_path: Path, change, words):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(story.ScenarioRefused, match=f"^mine.json: .*{words}"):
        story.read(path)


def test_a_scenario_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path):
    with pytest.raises(story.ScenarioRefused, match="absent.json: No such file.*there are bus_flat, .*toll"):
        story.read(tmp_path / "absent.json")
