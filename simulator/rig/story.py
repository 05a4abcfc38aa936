"""A scenario file: who taps where, what the panel must say, what it must cost. Data of simulator/scenarios.

{"about": "中文 | English",
 "devices": {"in-101": {"profile": "metro_entry", "reader": "pn532", "settings": {"duty": {"stop": 101}}}, ...},
 "cards":   {"Li": {"balance_fen": 5000, "kind": "ordinary", "home": true}, ...},
 "tariffs": {"metro": {"rules": {"hours": []}}},          changes of the sample; nothing for most
 "delivered": true,                                      the device files know no tariff: each fetches its set first
 "story":   [{"at": "in-101", "card": "Li", "shows": "enter", "costs_fen": 0}, ...],
 "end":     {"cleared_fen": 570, "grey": 1, "rides": {"matched": 1}, "anomalies": {}}}

A step is one of

    at, card, shows [, costs_fen, tear, panel]    a tap; costs_fen is what leaves the card, 0 if not said
    at, say [, answer, duty]                      words of driver, clerk or conductor; duty: what his panel then shows
    at, meter                                     [state, ride, amount_fen] of the taxi meter
    at, clock_h                                   switched off, and on again with a clock that is so many hours behind
    at, power                                     "cut": killed and started again
    network                                       "pull" or "plug"
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from simulator.rig.riders import KIND_WORDS

SCENARIOS = Path(__file__).parents[1] / "scenarios"
READERS = ("pn532", "sample_binary_xor", "sample_nibble_crc")
KINDS = {en: kind for kind, (_, en) in KIND_WORDS.items()}

_STEPS: tuple[tuple[str, set[str], set[str]], ...] = (      # what names the step, what must stand beside it, what may
    ("card", {"at", "shows"}, {"costs_fen", "tear", "panel"}),
    ("say", {"at"}, {"answer", "duty"}),
    ("meter", {"at"}, set()),
    ("clock_h", {"at"}, set()),
    ("power", {"at"}, set()),
    ("network", set(), set()),
)


class ScenarioRefused(Exception):
    """The file is no scenario. The message names file and place."""


class Device(NamedTuple):
    """One terminal of a story."""

    name: str
    profile: str
    reader: str
    settings: dict[str, Any]    # in place of the profile's; of duty key by key


class Card(NamedTuple):
    """One passenger's."""

    name: str
    balance_fen: int
    kind: int
    home: bool          # of the terminals' own city


class Scenario(NamedTuple):
    """What a file says, checked."""

    name: str
    zh: str
    en: str
    devices: list[Device]
    cards: list[Card]
    tariffs: dict[str, dict[str, Any]]
    delivered: bool
    story: list[dict[str, Any]]
    end: dict[str, Any]


def names() -> list[str]:
    """Of all that there are."""
    return sorted(path.stem for path in SCENARIOS.glob("*.json"))


def read(path: Path) -> Scenario:
    """Raises ScenarioRefused."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        zh, _, en = content["about"].partition(" | ")
        devices = [_device(name, **said) for name, said in content["devices"].items()]
        cards = [_card(name, **said) for name, said in content["cards"].items()]
        story, end, delivered = content["story"], content["end"], content.get("delivered", False)
        if set(content) - {"about", "devices", "cards", "tariffs", "delivered", "story", "end"}:
            raise ValueError("it has keys that no scenario has")
        if set(end) != {"cleared_fen", "grey", "rides", "anomalies"}:
            raise ValueError("end takes cleared_fen, grey, rides, anomalies")
        for number, step in enumerate(story, 1):
            _check(number, step, {device.name for device in devices}, {card.name for card in cards})
        return Scenario(path.stem, zh, en, devices, cards, content.get("tariffs", {}), delivered, story, end)
    except OSError as error:
        raise ScenarioRefused(f"{path.name}: {error.strerror}: there are {', '.join(names())}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ScenarioRefused(f"{path.name}: {error}") from error


def _device(name: str, *, profile: str, reader: str, settings: dict[str, Any] | None = None) -> Device:
    if reader not in READERS:
        raise ValueError(f"devices.{name}: reader takes {', '.join(READERS)}")
    return Device(name, profile, reader, settings or {})


def _card(name: str, *, balance_fen: int, kind: str = "ordinary", home: bool = True) -> Card:
    if kind not in KINDS:
        raise ValueError(f"cards.{name}: kind takes {', '.join(KINDS)}")
    return Card(name, balance_fen, KINDS[kind], home)


def _check(number: int, step: dict[str, Any], devices: set[str], cards: set[str]) -> None:
    for key, needed, more in _STEPS:
        if key in step:
            if set(step) - {key, *more} != needed:
                beside = ", ".join(sorted(needed | more)) or "nothing"
                raise ValueError(f"step {number}: beside {key} it takes {beside}")
            break
    else:
        raise ValueError(f"step {number}: it has none of {', '.join(row[0] for row in _STEPS)}")
    if step.get("at", "") not in {"", *devices}:
        raise ValueError(f"step {number}: at: no device {step['at']}")
    if step.get("card", "") not in {"", *cards}:
        raise ValueError(f"step {number}: card: nobody is called {step['card']}")
    if "network" in step and step["network"] not in ("pull", "plug"):
        raise ValueError(f"step {number}: network takes pull or plug")
