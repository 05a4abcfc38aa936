"""What kinds of keys there are, who they lead down to, and what each state lets them do. No values in here.

Purposes, levels and states: backoffice/docs/keys.md. The factors of the steps are data: `div_schemes/*.json`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from backoffice.keys.backend import (
    ACTIVE,
    COMPROMISED,
    DESTROYED,
    GENERATED,
    RETIRED,
    VERIFY_ONLY,
    KeyInfo,
    KeysError,
)  # fmt: skip

NATION, PROVINCE, ISSUER, CARD = "nation", "province", "issuer", "card"
DEVICE, SIGN, CHIP = "device", "sign", "chip"

_DOWN = (NATION, PROVINCE, ISSUER)  # a card's own key is derived and never kept
OF_CARDS = ("purchase", "load", "unload", "tac", "maintenance")  # purposes whose keys a card carries one of, each
OF_CHIPS = ("control", "card_maintenance", "transport")
LEVELS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(OF_CARDS, _DOWN),
    **dict.fromkeys(OF_CHIPS, (CHIP,)),
    "zone": (CHIP,),  # between two centres: its subject names the other one
    "device": (DEVICE,),
    "params": (SIGN,),
}
PURPOSES = tuple(LEVELS)
ALGORITHMS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(OF_CARDS, ("3DES", "SM4")),
    **dict.fromkeys((*OF_CHIPS, "zone"), ("3DES", "AES")),
    "device": ("HMAC",),
    "params": ("ES256",),
}
KEY_BYTES = {"3DES": 16, "SM4": 16, "AES": 16, "HMAC": 32, "ES256": 32}
FACTOR_BYTES = 8
PRODUCTS = tuple(str(number) for number in range(1, 16))

STATES = (GENERATED, ACTIVE, VERIFY_ONLY, RETIRED, DESTROYED, COMPROMISED)
# What a state may turn into. A destroyed key stays so; a compromised one is never used for anything new again.
NEXT: dict[str, tuple[str, ...]] = {
    GENERATED: (ACTIVE, DESTROYED, COMPROMISED),
    ACTIVE: (VERIFY_ONLY, RETIRED, COMPROMISED),
    VERIFY_ONLY: (RETIRED, COMPROMISED),
    RETIRED: (DESTROYED, COMPROMISED),
    COMPROMISED: (DESTROYED,),
    DESTROYED: (),
}
# activates_s of a version that PSAMs take already and no card yet: as far away as a second can be written
NOT_IN_CARDS_S = 0xFFFFFFFF

SCHEMES = Path(__file__).parent / "div_schemes"
SCHEME = "two_steps"  # where nothing else is said

_NAME_LETTERS_MAX = 64
_NUMBER_MAX = 255
_TIME_S_MAX = 0xFFFFFFFF


class Unfit(KeysError):
    """Such a key there is not. The message names the field."""


class BadScheme(KeysError):
    """This file does not say how keys are derived. The message says what it lacks."""


def check(info: KeyInfo) -> None:
    """Raises Unfit where purpose, algorithm, level, subject or a number do not go together."""
    if not info.key_id or len(info.key_id) > _NAME_LETTERS_MAX or not info.key_id.isprintable():
        raise Unfit(f"a key's name has 1 to {_NAME_LETTERS_MAX} letters")
    name = f"key {info.key_id}"
    if info.purpose not in PURPOSES:
        raise Unfit(f"{name}: no such purpose; one of {', '.join(PURPOSES)}")
    if info.level not in LEVELS[info.purpose]:
        raise Unfit(f"{name}: a {info.purpose} key is of level {' or '.join(LEVELS[info.purpose])}")
    if info.algorithm not in ALGORITHMS[info.purpose]:
        raise Unfit(f"{name}: a {info.purpose} key is of {' or '.join(ALGORITHMS[info.purpose])}")
    if info.state not in STATES:
        raise Unfit(f"{name}: no such state; one of {', '.join(STATES)}")
    for field in ("version", "index"):
        value = getattr(info, field)
        if type(value) is not int or not 0 <= value <= _NUMBER_MAX:
            raise Unfit(f"{name}: its {field} is a number from 0 to {_NUMBER_MAX}")
    for field in ("created_s", "activates_s", "retires_s", "destroys_s", "compromised_s"):
        value = getattr(info, field)
        if type(value) is not int or not 0 <= value <= _TIME_S_MAX:
            raise Unfit(f"{name}: {field} is a time in seconds, 0 where it is not set")
    if info.state == COMPROMISED and not info.compromised_s:
        raise Unfit(f"{name}: a compromised key has the date since when")
    _check_subject(info, name)


def _check_subject(info: KeyInfo, name: str) -> None:
    subject = info.subject
    if info.level == DEVICE and not (subject.isascii() and subject.isdigit()):
        raise Unfit(f"{name}: its subject is the device's number")
    if info.level in (SIGN, NATION) and subject:
        raise Unfit(f"{name}: a key of level {info.level} has no subject")
    if info.level == PROVINCE and subject and not _is_factor(subject):
        raise Unfit(f"{name}: its subject is the province's factor or an issuer, 16 hex digits in capitals, or nothing")
    if info.level == ISSUER:
        product, colon, rest = subject.partition(":")
        if not _is_factor(rest if colon and product in PRODUCTS else subject):
            raise Unfit(f"{name}: its subject is an issuer identifier, 16 hex digits in capitals")
    if info.level == CHIP and (len(subject) > _NAME_LETTERS_MAX or not subject.isprintable()):
        raise Unfit(f"{name}: its subject is the short name of a batch or a centre, or nothing")


def _is_factor(text: str) -> bool:
    return len(text) == 2 * FACTOR_BYTES and all(digit in "0123456789ABCDEF" for digit in text)


def may_make(info: KeyInfo) -> bool:
    """Something new: a MAC, a card's or a PSAM's key."""
    return info.state == ACTIVE


def may_verify(info: KeyInfo, at_s: int) -> bool:
    """A proof that was made at `at_s`."""
    return info.state in (ACTIVE, VERIFY_ONLY) or (info.state == COMPROMISED and at_s < info.compromised_s)


def may_be_in_cards(info: KeyInfo, now_s: int) -> bool:
    """Cards are made with this version: every PSAM has it."""
    return info.state == ACTIVE and info.activates_s <= now_s


def why_not(info: KeyInfo) -> str:
    """For a refusal: what its state means."""
    return {
        GENERATED: "it is generated and not yet in use: `ykt keys state` makes it active",
        VERIFY_ONLY: "it is kept to verify old records and makes nothing new",
        RETIRED: "it is retired",
        DESTROYED: "it is destroyed",
        COMPROMISED: "it is compromised",
    }.get(info.state, "it is active")


def depth(info: KeyInfo, steps: int, has_province: bool = False) -> str:
    """Level of what lies `steps` below a kept key of the card purposes.

    has_province  the scheme has that step below the nation's keys. A backend knows no scheme and leaves it False; the
                  keyring looks again.
    """
    if steps and info.level == NATION and not has_province:
        steps += 1
    below = (*_DOWN, CARD)
    return below[min(below.index(info.level) + steps, len(below) - 1)]


class Scheme(NamedTuple):
    """How keys are diversified on the way down."""

    name: str
    steps: dict[str, tuple[dict[str, Any], ...]]  # level -> parts of its factor

    def factor(self, level: str, issuer: bytes = b"", card: bytes = b"") -> bytes:
        """8 bytes: what a key is diversified by to reach the level. card: the last 8 bytes of the card's number."""
        inputs = {"issuer": issuer, "card": card}
        out = b""
        for part in self.steps[level]:
            if "hex" in part:
                out += bytes.fromhex(part["hex"])
            else:
                out += inputs[part["take"]][part["from"] : part["from"] + part["bytes"]]
        if len(out) != FACTOR_BYTES:
            raise Unfit(f"scheme {self.name}: the {level} step wants {' and '.join(inputs)} of 8 bytes")
        return out

    def below(self, level: str, issuer: bytes) -> tuple[bytes, ...]:
        """The factors from a kept key of `level` down to that of an issuer."""
        steps = [step for step in _DOWN if step in self.steps and _DOWN.index(step) > _DOWN.index(level)]
        return tuple(self.factor(step, issuer) for step in steps)

    def level(self, info: KeyInfo, steps: int) -> str:
        """Level of what lies `steps` below a kept key of the card purposes."""
        return depth(info, steps, PROVINCE in self.steps)

    def subjects(self, issuer: bytes, product: int) -> Sequence[tuple[str, str]]:
        """(level, subject) of the keys that may lead to an issuer's, its own first.

        Of a regional product the issuer's own key only: whether its cards have a level above, nobody told us.
        """
        name = issuer.hex().upper()
        if product:
            return ((ISSUER, f"{product}:{name}"),)
        found = [(ISSUER, name), (PROVINCE, name)]
        if PROVINCE in self.steps:
            found.append((PROVINCE, self.factor(PROVINCE, issuer).hex().upper()))
        return (*found, (PROVINCE, ""), (NATION, ""))


def scheme(named: str = SCHEME) -> Scheme:
    """A scheme by its name, or by the path of a file. Raises BadScheme."""
    return of_map(json.loads(content(named)))


def content(named: str) -> str:
    """The JSON of a scheme by its name, or by the path of a file, checked. Raises BadScheme."""
    path = SCHEMES / f"{named}.json" if "/" not in named and not named.endswith(".json") else Path(named)
    try:
        text = path.read_text(encoding="utf-8")
        of_map(json.loads(text))
        return text
    except FileNotFoundError as error:
        raise BadScheme(f"no scheme {named}: there are {', '.join(schemes())}, or name a file") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise BadScheme(f"{path} is no JSON") from error


def schemes() -> list[str]:
    return sorted(path.stem for path in SCHEMES.glob("*.json"))


def of_map(content: Any) -> Scheme:
    """Of what a file says. Raises BadScheme."""
    if not isinstance(content, dict) or not isinstance(content.get("steps"), list):
        raise BadScheme("a scheme has a name and a list of steps")
    steps = {}
    for step in content["steps"]:
        if not isinstance(step, dict) or step.get("to") not in (PROVINCE, ISSUER, CARD) or step["to"] in steps:
            raise BadScheme("a step leads to province, issuer or card, each once")
        parts = step.get("factor")
        if not isinstance(parts, list) or sum(map(_part_bytes, parts)) != FACTOR_BYTES:
            raise BadScheme(f"the factor of the {step['to']} step has {FACTOR_BYTES} bytes")
        steps[step["to"]] = tuple(parts)
    if ISSUER not in steps or CARD not in steps:
        raise BadScheme("a scheme has at least the steps issuer and card")
    return Scheme(str(content.get("name", "")), steps)


def _part_bytes(part: Any) -> int:
    if isinstance(part, dict) and isinstance(part.get("hex"), str):
        try:
            return len(bytes.fromhex(part["hex"]))
        except ValueError as error:
            raise BadScheme("a fixed part of a factor is hex") from error
    if isinstance(part, dict) and part.get("take") in ("issuer", "card"):
        start, size = part.get("from"), part.get("bytes")
        if type(start) is int and type(size) is int and 0 <= start <= start + size <= FACTOR_BYTES:
            return size
    raise BadScheme("a part of a factor is hex, or so many bytes of the issuer identifier or of the card's last 8")
