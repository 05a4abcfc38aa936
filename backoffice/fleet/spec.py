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

import re
from pathlib import Path
from typing import Any

from backoffice.fleet import network
from backoffice.fleet.placed import Place, Placed, at, read, told
from backoffice.store.people import spelled
from tunion import bcd, cbor
from tunion.fare import decision, tariff
from tunion.fare import samples as prices
from tunion.record import BadInput
from tunion.wire import limits, params

_ENVELOPE_BYTES = 128  # what COSE_Sign1 adds to a payload, and some
_EARLIEST_S = 1577808000  # 2020-01-01, local: no set of this system is older


class FleetRefused(Exception):
    """This cannot be done with a parameter set or a list. The message says why and what to do."""


def person(user: str) -> str:
    """One spelling for one person. Raises FleetRefused."""
    name = spelled(user)
    if not name:
        raise FleetRefused("say who does this: --user NAME")
    return name


def payload_of(path: Path, now_s: int) -> bytes:
    """The payload of the set that a file describes. Raises FleetRefused."""
    text = ""
    try:
        text, content = read(path)
        with at():
            return _made(content, path.parent, now_s)
    except OSError as error:
        raise FleetRefused(f"{Path(error.filename or path).name}: {error.strerror}") from error
    except Placed as problem:
        raise FleetRefused(told(path, text, problem)) from problem
    except BadInput as problem:
        raise FleetRefused(str(problem)) from problem


def _made(content: dict[str, Any], folder: Path, now_s: int) -> bytes:
    if now_s < _EARLIEST_S:
        raise BadInput("this machine's clock is wrong: set it first")
    header = {name: content[name] for name in ("name", "version", "scope")}
    header.update(created_s=now_s, effective_at_s=_time_of(content, "effective_at"))
    header.update(expires_at_s=_time_of(content, "expires_at"))
    sections = _sections(content)
    is_tariff = "rules" in content
    if not is_tariff:
        with at("fare"):
            sections["FARE"] = [content["fare"]["version"], [content["fare"]["fare_id"], content["fare"]["fare_fen"]]]
    if is_tariff:
        _add_tariff(sections, content, folder)
    try:
        if is_tariff:
            made = prices.make(params.tariff_of(sections), header["effective_at_s"])
        else:
            made = params.samples_of(params.fare_of(sections), sections["KIND"][1])
        return params.encode(header, made, sections)
    except BadInput as problem:
        raise Placed(_place_of(str(problem)), str(problem)) from problem


def _time_of(content: dict[str, Any], name: str) -> int:
    with at(name):
        found = time_s(content[name])
        if found < _EARLIEST_S:
            raise BadInput(f"{name} is before 2020: a clock at 1970 wrote it")
    return found


def _place_of(problem: str) -> Place:
    """Where in the clerk's file the section or rule is that a refusal names."""
    sections, _, reason = problem.partition(": ")
    if sections in _OF_FARES:
        problem = reason
    row = re.search(r"hours, row ([0-9]+)", problem)
    if row:
        return ("rules", "hours", int(row[1]) - 1)
    for name in decision.RIDE:
        if f"{name} takes" in problem:
            return ("rules", "ride", name)
    found = next((place for words, place in _PLACES if words in problem), ())
    return found or (("fare",) if sections in _OF_FARES else ())


_OF_FARES = ("FARE, KIND, CAL or RULE", "FARE or KIND")  # refusals that name no single section

# words of a refusal -> where to look; the first that occurs
_PLACES: tuple[tuple[str, Place], ...] = (
    ("rules are", ("rules",)),
    ("open ride", ("rules", "ride")), ("ride:", ("rules", "ride")), ("month", ("rules", "month")),
    ("transfer", ("rules", "transfer")), ("cut_fen", ("rules", "cut_fen")), ("riders_max", ("rules", "riders_max")),
    ("visitors", ("rules", "visitors")), ("all riders", ("fare",)), ("RULE is", ("rules",)),
    ("hours", ("rules", "hours")), ("discount", ("kinds",)), ("KIND is", ("kinds",)), ("CAL", ("calendar",)),
    ("BIN", ("issuers",)), ("DEV", ("device",)), ("FARE", ("fare",)), ("scope", ("scope",)), ("name is", ("name",)),
    ("expires before", ("expires_at",)), ("versions begin", ("version",)),
)  # fmt: skip


def refuse_undeliverable(payload: bytes, tariffs: bool, set_bytes: int = limits.SET_BYTES) -> None:
    """Raises FleetRefused for a tariff that nobody says devices charge, and for what is too large for them.

    set_bytes  that each device of the scope takes: the least params.set_bytes_max of their device files
    """
    if params.RULE in cbor.decode(payload)[8] and not tariffs:
        raise FleetRefused(
            "the file is a tariff: devices without `tariffs` in their device file refuse it whole and go on with the "
            "set before. If every device of the scope charges tariffs, build with --tariffs; else leave out rules"
        )
    size = len(payload) + _ENVELOPE_BYTES
    if size > limits.SET_BYTES_MAX:
        raise FleetRefused(f"the set would have {size} bytes, no device takes more than {limits.SET_BYTES_MAX}")
    if size > set_bytes:
        raise FleetRefused(
            f"the set would have {size} bytes, and devices take {set_bytes}: shorten it, or, if params.set_bytes_max "
            f"of every device of the scope is {size} or more, say so with --set-bytes"
        )


def _sections(content: dict[str, Any]) -> dict[str, list[Any]]:
    sections: dict[str, list[Any]] = {}
    with at("issuers"):
        issuers = [b"".join(sorted(bytes.fromhex(issuer) for issuer in content["issuers"][name])) for name in _LISTS]
        sections["BIN"] = [content["issuers"]["version"], issuers]
    with at("device"):
        tunables = {name: value for name, value in content["device"].items() if name != "version"}
        sections["DEV"] = [content["device"]["version"], tunables]
    with at("kinds"):
        sections["KIND"] = [content["kinds"]["version"], sorted(content["kinds"]["discounts"])]
    with at("calendar"):
        sections["CAL"] = [content["calendar"]["version"], sorted(content["calendar"]["days"])]
    return sections


def _add_tariff(sections: dict[str, list[Any]], content: dict[str, Any], folder: Path) -> None:
    """FARE and RULE of a tariff."""
    fare = content["fare"]
    with at("fare"):
        sources = [name for name in _SOURCES if name in fare]
        if len(sources) != 1:
            raise BadInput(f"a tariff's prices come from one of {', '.join(_SOURCES)}")
        scheme, table = _table(sources[0], fare[sources[0]], folder)
        sections["FARE"] = [fare["version"], [fare["fare_id"], scheme, fare["mode"], table]]
    with at("rules"):
        given = {name: value for name, value in content["rules"].items() if name != "version"}
        sections["RULE"] = [content["rules"]["version"], {**_NO_RULES, **given}]


def _table(source: str, said: Any, folder: Path) -> tuple[int, Any]:
    """(scheme, table) of one of _SOURCES."""
    with at(source):
        if source == "fare_fen":
            return tariff.FLAT, said
        if source == "meter":
            return tariff.METER, said
        if source == "network":
            return tariff.GRID, network.of_network(folder / said)
        return tariff.GRID, _GRIDS[source](said)


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
