"""What a kind of terminal is set to, as data: backoffice/samples/devices. One file, one kind; no code beside it.

{"about": "...", "tariff": "metro",
 "settings": {"role": "entry", "city": "6110", "tariffs": true, "duty": {"stop": 101, ...}, ...}}

`settings` are keys of the device file (validator/settings.py) that do not differ from one device of a kind to the next;
bytes are hex. `tariff` names a file of backoffice/samples/fares. A taxi meter's profile is named by its file in
validator/profiles/meters.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from backoffice.fleet.spec import FleetRefused

SAMPLES = Path(__file__).parents[1] / "samples"
FARES, DEVICES = SAMPLES / "fares", SAMPLES / "devices"
METERS = Path(__file__).parents[2] / "firmware" / "validator" / "profiles" / "meters"

_KEYS = ("about", "tariff", "settings")
_BYTES = ("city", "network", "operator", "plate")
# Of one device, never of a kind; and what the tariff brings.
_OWN = ("device_id", "key", "host", "server", "reader", "sam", "flash", "fare", "deny")


class Profile(NamedTuple):
    """One kind of terminal."""

    name: str
    about: str
    tariff: Path
    settings: dict[str, Any]        # as in the device file


def names() -> list[str]:
    """Of all samples."""
    return sorted(path.stem for path in DEVICES.glob("*.json"))


def read(path: Path) -> Profile:
    """A profile. Raises FleetRefused, which names file and key; the device itself checks the values."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FleetRefused(f"{path.name}: {error.strerror}") from error
    except ValueError as error:
        raise FleetRefused(f"{path.name}: not JSON: {error}") from error
    if not isinstance(content, dict) or sorted(content) != sorted(_KEYS) or not isinstance(content["settings"], dict):
        raise FleetRefused(f"{path.name}: a profile has {', '.join(_KEYS)}, and settings is a map")
    tariff = FARES / f"{content['tariff']}.json"
    if not tariff.is_file():
        raise FleetRefused(f"{path.name}: tariff: {FARES.name} has no {content['tariff']}.json")
    settings = dict(content["settings"])
    for name in _OWN:
        if name in settings:
            raise FleetRefused(f"{path.name}: settings.{name} is one device's own, or the tariff's: leave it out")
    for name in _BYTES:
        if name in settings:
            settings[name] = _octets(path, name, settings[name])
    meter = settings.get("duty", {}).get("meter")
    if meter:
        settings["duty"] = {**settings["duty"], "meter": {**meter, "profile": _meter(path, meter.get("profile"))}}
    return Profile(path.stem, str(content["about"]), tariff, settings)


def _octets(path: Path, name: str, text: Any) -> bytes:
    try:
        return bytes.fromhex(text)
    except (TypeError, ValueError) as error:
        raise FleetRefused(f"{path.name}: settings.{name} takes bytes in hex") from error


def _meter(path: Path, name: Any) -> Any:
    try:
        return json.loads((METERS / str(name)).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FleetRefused(f"{path.name}: settings.duty.meter.profile: no such profile as {name}") from error
