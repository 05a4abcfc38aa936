"""Each sample profile is a terminal that starts: the device's own settings take it together with its tariff."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from backoffice.fleet import devices, spec
from support.bus import settings
from tunion.wire import params
from validator import rides
from validator.rides.desk import DeskRide
from validator.rides.flat import FlatRide
from validator.rides.gate import GateRide
from validator.rides.segment import SegmentRide
from validator.rides.site import ROLES
from validator.settings import BadSettings

CHARGES = {
    "bus_flat": FlatRide, "bus_segment": SegmentRide, "coach": SegmentRide, "ferry": FlatRide, "taxi": FlatRide,
    "metro_entry": GateRide, "metro_exit": GateRide, "metro_desk": DeskRide, "rail_gate": GateRide,
    "rail_conductor": FlatRide, "toll_entry": GateRide, "toll_exit": GateRide,
}  # fmt: skip
EACH = pytest.mark.parametrize("name", devices.names())


def profile_of(name: str) -> devices.Profile:
    return devices.read(devices.DEVICES / f"{name}.json")


def fare_of(profile: devices.Profile) -> Any:
    return params.decode(spec.payload_of(profile.tariff, int(time.time())), True).fare


def started(profile: devices.Profile, **changes: Any) -> Any:
    make: Any = settings
    return make(**{**profile.settings, "fare": fare_of(profile).to_map(), **changes})


def test_every_mode_role_and_tariff_has_a_profile() -> None:
    profiles = [profile_of(name) for name in devices.names()]
    assert set(devices.names()) == set(CHARGES)
    assert {profile.settings["role"] for profile in profiles} == set(ROLES)
    tariffs = {path for path in devices.FARES.glob("*.json") if "rules" in json.loads(path.read_text(encoding="utf-8"))}
    assert {profile.tariff for profile in profiles} == tariffs


@EACH
def test_a_device_starts_with_profile_and_tariff(name: str) -> None:
    profile = profile_of(name)
    found = started(profile)
    ride = rides.make(found.fare, found.site, None)
    assert type(ride) is CHARGES[name]
    assert (found.tariffs, found.site.role, found.industry) == (True, profile.settings["role"], found.fare.mode)
    assert profile.about.startswith("Invented")


@EACH
def test_its_stops_and_its_layer_are_those_of_the_tariff(name: str) -> None:
    found = started(profile_of(name))
    grid = found.fare.grid
    if grid is None:
        return
    places = {grid.code(index) for index in range(grid.places)}
    rows = profile_of(name).settings["duty"].get("stops", [])
    for direction in (0, 1):
        assert {stop.code for stop in found.duty.stops.of(found.line, direction)} in (set(), places)
    assert {row[2] for row in rows} == (places if rows else set())
    if found.site.role != "conductor":
        assert rows or found.duty.stop in places
    assert found.duty.layer < grid.layers


@EACH
def test_every_station_of_the_tariff_fits_the_coding_and_comes_back(name: str) -> None:
    found = started(profile_of(name))
    ride = rides.make(found.fare, found.site, None)
    if not isinstance(ride, GateRide):
        return
    for index in range(found.fare.grid.places):
        code = found.fare.grid.code(index)
        assert ride._decoded(ride._coded(code)) == code


def test_a_coding_without_room_for_a_station_is_refused() -> None:
    with pytest.raises(BadSettings, match="has no room for station 224"):
        started(profile_of("metro_entry"), station_coding="CC00000S")


def test_a_line_at_a_gate_is_refused() -> None:
    with pytest.raises(BadSettings, match="network's table"):
        started(profile_of("coach"), role="entry")


@pytest.mark.parametrize(("change", "words"), [
    ({"tariff": "nothing"}, "no nothing.json"),
    ({"settings": {"device_id": 1}}, "settings.device_id is one device's own"),
    ({"settings": {"city": "61 1x"}}, "settings.city takes bytes in hex"),
    ({"settings": {"plate": 5}}, "settings.plate takes bytes in hex"),
    ({"settings": []}, "settings is a map"),
    ({"more": 1}, "a profile has about, tariff, settings"),
    ({"settings": {"duty": {"meter": {"path": "/dev/ttyS2", "profile": "none.json"}}}}, "no such profile as none.json"),
])  # fmt: skip
def test_a_wrong_profile_is_refused_by_name(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"about": "mine", "tariff": "taxi", "settings": {}, **change}))
    with pytest.raises(spec.FleetRefused, match=f"^mine.json: .*{words}"):
        devices.read(path)


def test_what_is_no_json_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    for name, words in (("broken", "not JSON"), ("absent", "No such file")):
        with pytest.raises(spec.FleetRefused, match=words):
            devices.read(tmp_path / f"{name}.json")
