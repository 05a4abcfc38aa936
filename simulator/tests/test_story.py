"""Scenario files: each has its profiles, and what is wrong in one is named."""

import json
from pathlib import Path

import pytest

from backoffice.fleet import devices
from simulator.rig import story


def test_every_profile_is_in_a_story():
    told = [story.read(story.SCENARIOS / f"{name}.json") for name in story.names()]
    assert {device.profile for scenario in told for device in scenario.devices} == set(devices.names())


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
