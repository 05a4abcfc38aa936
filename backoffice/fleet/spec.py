"""A clerk's file as a parameter set: JSON in, the payload that will be signed out.

{"name": "...", "scope": "SAMPLE-BUS-A", "version": 2,
 "effective_at": "2025-06-01 04:00", "expires_at": "2026-06-01 04:00",
 "fare":     {"version": 2, "fare_id": 1, "fare_fen": 250},
 "kinds":    {"version": 1, "discounts": [[2, 300], [3, 500]]},
 "calendar": {"version": 1, "days": [[20251001, 2]]},
 "issuers":  {"version": 1, "home": ["04026110"], "accepted": ["04026110", "04036140"]},
 "device":   {"version": 1, "same_card_s": 5, ...}}

Times are local (UTC+8), or UTC seconds as a number. Sample prices are computed here, with the devices' own code.
"""

import json
from pathlib import Path
from typing import Any

from tunion import bcd
from tunion.record import BadInput
from tunion.wire import params


class FleetRefused(Exception):
    """This cannot be done with a parameter set or a list. The message says why and what to do."""


def person(user: str) -> str:
    """One spelling for one person. Raises FleetRefused."""
    name = user.strip().casefold()
    if not name:
        raise FleetRefused("say who does this: --user NAME")
    return name


def payload_of(path: Path, now_s: int) -> bytes:
    """The payload of the set that a file describes. Raises FleetRefused."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        sections = _sections(content)
        header = {
            "name": content["name"],
            "version": content["version"],
            "scope": content["scope"],
            "created_s": now_s,
            "effective_at_s": time_s(content["effective_at"]),
            "expires_at_s": time_s(content["expires_at"]),
        }
        samples = params.samples_of(params.fare_of(sections), sections["KIND"][1])
        return params.encode(header, samples, sections)
    except OSError as error:
        raise FleetRefused(f"{path.name}: {error.strerror}") from error
    except BadInput as problem:
        raise FleetRefused(f"{path.name}: {problem}") from problem
    except KeyError as missing:
        raise FleetRefused(f"{path.name} lacks {missing}") from missing
    except (TypeError, ValueError, AttributeError) as problem:
        raise FleetRefused(f"{path.name} does not describe a parameter set: {problem}") from problem


def _sections(content: dict[str, Any]) -> dict[str, list[Any]]:
    issuers = [b"".join(sorted(bytes.fromhex(issuer) for issuer in content["issuers"][name])) for name in _LISTS]
    tunables = {name: value for name, value in content["device"].items() if name != "version"}
    return {
        "FARE": [content["fare"]["version"], [content["fare"]["fare_id"], content["fare"]["fare_fen"]]],
        "KIND": [content["kinds"]["version"], sorted(content["kinds"]["discounts"])],
        "CAL": [content["calendar"]["version"], sorted(content["calendar"]["days"])],
        "BIN": [content["issuers"]["version"], issuers],
        "DEV": [content["device"]["version"], tunables],
    }


_LISTS = ("home", "accepted")


def time_s(value: Any) -> int:
    """Seconds of a local time in words, or of seconds. Raises ValueError, TypeError."""
    if type(value) is int:
        return value
    digits = "".join(letter for letter in value if letter.isdigit())
    if len(value) != len("2025-06-01 04:00") or len(digits) != 12:
        raise ValueError("a time is '2025-06-01 04:00', local, or UTC seconds")
    return bcd.at_s(bytes.fromhex(digits + "00"))
