"""A clerk's file as a parameter set: JSON in, the payload that will be signed out.

{"name": "...", "scope": "SAMPLE-BUS-A", "version": 2,
 "effective_at": "2025-06-01 04:00", "expires_at": "2026-06-01 04:00",
 "fare":     {"version": 2, "fare_id": 1, "fare_fen": 250},
 "kinds":    {"version": 1, "discounts": [[2, 300], [3, 500]]},
 "calendar": {"version": 1, "days": [[20251001, 2]]},
 "issuers":  {"version": 1, "home": ["04026110"], "accepted": ["04026110", "04036140"]},
 "device":   {"version": 1, "same_card_s": 5, ...}}

With "rules" the fare is a tariff, and says where its prices come from, by one of fare_fen, meter, network (a file
beside this one), line or prices (backoffice.fleet.network):

 "fare":     {"version": 2, "fare_id": 1, "mode": 1, "network": "metro.json"},
 "rules":    {"version": 1, "ride": {...}, "hours": [...], ...}       what is left out is none (tunion.fare.tariff)

Times are local (UTC+8), or UTC seconds as a number. Sample prices are computed here, with the devices' own code.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from backoffice.fleet import network
from tunion import bcd, cbor
from tunion.fare import samples as prices
from tunion.fare import tariff
from tunion.record import BadInput
from tunion.wire import params
from tunion.wire.tariffs import TABLE_BYTES_MAX


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
    return with_grid(path, now_s)[0]


def with_grid(path: Path, now_s: int) -> tuple[bytes, bytes | None]:
    """The payload of the set that a file describes, and its grid where that lies apart. Raises FleetRefused."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        header = {
            "name": content["name"],
            "version": content["version"],
            "scope": content["scope"],
            "created_s": now_s,
            "effective_at_s": time_s(content["effective_at"]),
            "expires_at_s": time_s(content["expires_at"]),
        }
        sections = _sections(content)
        if "rules" not in content:
            sections["FARE"] = [content["fare"]["version"], [content["fare"]["fare_id"], content["fare"]["fare_fen"]]]
            samples = params.samples_of(params.fare_of(sections), sections["KIND"][1])
            return params.encode(header, samples, sections), None
        grid = _add_tariff(sections, content, path.parent)
        found = params.tariff_of(sections, grid)
        return params.encode(header, prices.make(found, header["effective_at_s"]), sections, grid), grid
    except OSError as error:
        raise FleetRefused(f"{path.name}: {error.strerror}") from error
    except BadInput as problem:
        raise FleetRefused(f"{path.name}: {problem}") from problem
    except KeyError as missing:
        raise FleetRefused(f"{path.name} lacks {missing}") from missing
    except (TypeError, ValueError, AttributeError) as problem:
        raise FleetRefused(f"{path.name} does not describe a parameter set: {problem}") from problem


def refuse_tariff(payload: bytes) -> None:
    """Raises FleetRefused for a set that no device charges yet: nobody could replay, publish or clear it."""
    if params.RULE in cbor.decode(payload)[8]:
        raise FleetRefused("the file is a good tariff, and no device charges tariffs yet: leave out rules")


def _sections(content: dict[str, Any]) -> dict[str, list[Any]]:
    issuers = [b"".join(sorted(bytes.fromhex(issuer) for issuer in content["issuers"][name])) for name in _LISTS]
    tunables = {name: value for name, value in content["device"].items() if name != "version"}
    return {
        "KIND": [content["kinds"]["version"], sorted(content["kinds"]["discounts"])],
        "CAL": [content["calendar"]["version"], sorted(content["calendar"]["days"])],
        "BIN": [content["issuers"]["version"], issuers],
        "DEV": [content["device"]["version"], tunables],
    }


def _add_tariff(sections: dict[str, list[Any]], content: dict[str, Any], folder: Path) -> bytes | None:
    """FARE and RULE of a tariff; returns the grid where it lies apart."""
    fare = content["fare"]
    sources = [name for name in _SOURCES if name in fare]
    if len(sources) != 1:
        raise BadInput(f"a tariff's prices come from one of {', '.join(_SOURCES)}")
    source = sources[0]
    apart = None
    if source == "fare_fen":
        scheme, table = tariff.FLAT, fare[source]
    elif source == "meter":
        scheme, table = tariff.METER, fare[source]
    else:
        scheme = tariff.GRID
        table = network.of_network(folder / fare[source]) if source == "network" else _GRIDS[source](fare[source])
        if len(table) > TABLE_BYTES_MAX:
            apart, table = table, [len(table), hashlib.sha256(table).digest()]
    sections["FARE"] = [fare["version"], [fare["fare_id"], scheme, fare["mode"], table]]
    given = {name: value for name, value in content["rules"].items() if name != "version"}
    sections["RULE"] = [content["rules"]["version"], {**_NO_RULES, **given}]
    return apart


_LISTS = ("home", "accepted")
_SOURCES = ("fare_fen", "meter", "network", "line", "prices")
_GRIDS = {"line": network.of_line, "prices": network.of_prices}
_NO_RULES: dict[str, Any] = {
    "cut_fen": 1, "hours": [], "month": [], "ride": {}, "riders_max": 1, "transfer": [], "visitors": 0,
}


def time_s(value: Any) -> int:
    """Seconds of a local time in words, or of seconds. Raises ValueError, TypeError."""
    if type(value) is int:
        return value
    digits = "".join(letter for letter in value if letter.isdigit())
    if len(value) != len("2025-06-01 04:00") or len(digits) != 12:
        raise ValueError("a time is '2025-06-01 04:00', local, or UTC seconds")
    return bcd.at_s(bytes.fromhex(digits + "00"))
