"""Who makes which keys where: the plan of a ceremony, read from JSON, and the rules it must keep.

Fields: backoffice/docs/ceremony.md. A plan that breaks a rule is refused as a whole, before anybody comes.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from backoffice.keys import hierarchy
from backoffice.keys.backend import KeyInfo, KeysError
from backoffice.keys.components import (
    ALGORITHMS,
    COMPONENTS_MIN,
    METHODS,
    SHARES_MAX,
    SLIP39,
    XOR,
    BadPart,
    parse_kcv,
)

MASTER, CUSTODIAN, AUDITOR, WITNESS, HSM_ADMIN = "master", "custodian", "auditor", "witness", "hsm_admin"
ROLES = (MASTER, CUSTODIAN, AUDITOR, WITNESS, HSM_ADMIN)
_SEATS = (MASTER, CUSTODIAN, AUDITOR, WITNESS)  # nobody has two of these
CUSTODIANS_MIN = 3

# enter: parts that exist, from envelopes; split: a new key, of which each custodian takes a part home;
# make: a new key that is never seen
ENTER, SPLIT, MAKE = "enter", "split", "make"
ORIGINS = (ENTER, SPLIT, MAKE)

PURPOSES = (*hierarchy.OF_CARDS, *hierarchy.OF_CHIPS, "zone")  # those of 16 bytes
LEVELS = (hierarchy.NATION, hierarchy.PROVINCE, hierarchy.ISSUER, hierarchy.CHIP)
KEYS_MAX = 200
PERSONS_MAX = 50
PLAN_BYTES_MAX = 1 << 20
_TEXT_MAX = 120
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class BadPlan(KeysError):
    """The plan is not one, or lacks something. The message names the place; mend the file."""


class RuleBroken(BadPlan):
    """The plan would let somebody know or do too much. The message names persons and keys."""


class Person(NamedTuple):
    person_id: str
    name: str
    number: str  # of the staff card or identity card, by which a person is one person
    organisation: str
    roles: tuple[str, ...]


class Device(NamedTuple):
    kind: str
    serial: str


class PlannedKey(NamedTuple):
    key_id: str
    purpose: str
    algorithm: str
    level: str
    subject: str
    version: int
    index: int  # type: ignore[assignment]  # a tuple's own method has that name
    origin: str
    method: str
    threshold: int  # shares needed; 0 with XOR, where all are
    custodians: tuple[str, ...]  # person ids, in the order of their turns
    envelopes: dict[str, str]  # person id -> number of the envelope
    part_kcvs: dict[str, str]  # person id -> check value, where it was told beforehand
    kcv: str  # expected of the whole, or ''


class Plan(NamedTuple):
    title_zh: str
    title_en: str
    place_zh: str
    place_en: str
    date: str
    test: bool
    video: str  # where the recording is kept; '' until the end
    persons: tuple[Person, ...]
    devices: tuple[Device, ...]
    keys: tuple[PlannedKey, ...]
    text: str  # the whole plan as canonical JSON

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def person(self, person_id: str) -> Person:
        return next(person for person in self.persons if person.person_id == person_id)

    def key(self, key_id: str) -> PlannedKey:
        return next(key for key in self.keys if key.key_id == key_id)

    def of_role(self, role: str) -> list[Person]:
        return [person for person in self.persons if role in person.roles]


def read(path: Path) -> Plan:
    """Raises BadPlan, RuleBroken."""
    try:
        if path.stat().st_size > PLAN_BYTES_MAX:
            raise BadPlan(f"{path} is too long for a plan")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadPlan(f"{path} does not exist: name the plan's file") from error
    except (ValueError, RecursionError) as error:
        raise BadPlan(f"{path} is no readable JSON: {error.__class__.__name__}") from error
    return plan_of(content)


def plan_of(content: object) -> Plan:
    """The plan that JSON content describes. Raises BadPlan, RuleBroken."""
    whole = _Fields(content, "plan")
    title, place = whole.map("title"), whole.map("place")
    plan = Plan(
        title_zh=title.text("zh"),
        title_en=title.text("en"),
        place_zh=place.text("zh"),
        place_en=place.text("en"),
        date=_day(whole.text("date")),
        test=whole.flag("test"),
        video=whole.text("video", ""),
        persons=tuple(_person(row) for row in whole.rows("persons", PERSONS_MAX)),
        devices=tuple(_device(row) for row in whole.rows("devices", PERSONS_MAX)),
        keys=tuple(_key(row) for row in whole.rows("keys", KEYS_MAX)),
        text=json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
    )
    _check_persons(plan)
    _check_keys(plan)
    return plan


def _check_persons(plan: Plan) -> None:
    _refuse_twice([person.person_id for person in plan.persons], "persons", "id")
    _refuse_twice(
        [re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", person.number)).upper() for person in plan.persons],
        "persons",
        "number: one person under two names",
    )
    for person in plan.persons:
        seats = [role for role in person.roles if role in _SEATS]
        if len(seats) > 1:
            raise RuleBroken(f"{person.name} is {' and '.join(seats)}: these are different persons; name another")
        if CUSTODIAN in person.roles and HSM_ADMIN in person.roles:
            raise RuleBroken(f"{person.name} is custodian and HSM administrator: name another custodian")
    for role in (MASTER, AUDITOR, WITNESS):
        if len(plan.of_role(role)) != 1:
            raise RuleBroken(f"a ceremony has one {role}; this plan has {len(plan.of_role(role))}")
    if len(plan.of_role(CUSTODIAN)) < CUSTODIANS_MIN:
        raise RuleBroken(f"a ceremony has {CUSTODIANS_MIN} custodians or more; this plan has fewer")


def _check_keys(plan: Plan) -> None:
    if not plan.keys:
        raise BadPlan("the plan names no key")
    _refuse_twice([key.key_id for key in plan.keys], "keys", "key_id")
    places = Counter((key.purpose, key.algorithm, key.level, key.subject, key.version, key.index) for key in plan.keys)
    for place, count in places.items():
        if count > 1:
            raise BadPlan(f"keys: two are {' '.join(map(str, place))}; a version and index belong to one key")
    custodians = {person.person_id for person in plan.of_role(CUSTODIAN)}
    for key in plan.keys:
        where = f"key {key.key_id}"
        strangers = [each for each in key.custodians if each not in custodians]
        if strangers:
            raise RuleBroken(f"{where}: {strangers[0]} is no custodian of this plan")
        if len(set(key.custodians)) != len(key.custodians):
            raise RuleBroken(f"{where}: one person would hold two parts of it; name another custodian")
        for name, told in (("envelopes", key.envelopes), ("part_kcvs", key.part_kcvs)):
            if not set(told) <= set(key.custodians):
                raise BadPlan(f"{where}: {name} names somebody who holds no part of it")
        _check_parts(key, where)
    numbers = [number for key in plan.keys for number in key.envelopes.values()]
    _refuse_twice(numbers, "keys", "envelope number")


def _check_parts(key: PlannedKey, where: str) -> None:
    count = len(key.custodians)
    if key.origin == MAKE:
        if count or key.kcv:
            raise BadPlan(f"{where}: made unseen, so it has neither custodians nor a check value told beforehand")
    elif key.method == XOR:
        if count < CUSTODIANS_MIN:
            raise RuleBroken(f"{where}: XOR components have {CUSTODIANS_MIN} custodians or more")
        if key.threshold:
            raise BadPlan(f"{where}: XOR needs all components; only {SLIP39} has a threshold")
    else:
        if not 2 <= key.threshold <= SHARES_MAX or not key.threshold <= count <= SHARES_MAX:
            raise RuleBroken(f"{where}: threshold is 2 or more, and no more than it has custodians")
        if key.origin == SPLIT and count < COMPONENTS_MIN:
            raise RuleBroken(f"{where}: a key is split among {CUSTODIANS_MIN} custodians or more")
    if key.origin == SPLIT and (key.kcv or key.part_kcvs):
        raise BadPlan(f"{where}: a new key has no check value yet")


def _refuse_twice(values: list[str], what: str, field: str) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise RuleBroken(f"{what}: {value} stands there twice as {field}")


def _person(row: "_Fields") -> Person:
    roles = row.texts("roles")
    if not roles or not set(roles) <= set(ROLES):
        raise BadPlan(f"{row.where}: roles are of {', '.join(ROLES)}")
    return Person(row.id("id"), row.text("name"), row.text("number"), row.text("organisation", ""), tuple(roles))


def _device(row: "_Fields") -> Device:
    return Device(row.text("kind"), row.text("serial"))


def _key(row: "_Fields") -> PlannedKey:
    key = PlannedKey(
        key_id=row.id("key_id"),
        purpose=row.choice("purpose", PURPOSES),
        algorithm=row.choice("algorithm", ALGORITHMS),
        level=row.choice("level", LEVELS),
        subject=row.text("subject", ""),
        version=row.byte("version"),
        index=row.byte("index"),
        origin=row.choice("origin", ORIGINS),
        method=row.choice("method", METHODS, XOR),
        threshold=row.byte("threshold", 0),
        custodians=tuple(row.texts("custodians", [])),
        envelopes=row.map("envelopes", {}).all_texts(),
        part_kcvs={name: _kcv(row, text) for name, text in row.map("part_kcvs", {}).all_texts().items()},
        kcv=_kcv(row, row.text("kcv", "")),
    )
    info = KeyInfo(key.key_id, key.purpose, key.algorithm, key.level, key.subject, "", key.version, key.index)
    try:
        hierarchy.check(info)
    except hierarchy.Unfit as error:
        raise BadPlan(f"{row.where}: {error}") from error
    return key


def _kcv(row: "_Fields", text: str) -> str:
    try:
        return parse_kcv(text) if text else ""
    except BadPart as error:
        raise BadPlan(f"{row.where}: {error}") from error


def _day(text: str) -> str:
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise BadPlan("plan: date is a day, 2026-01-31")


class _Fields:
    """A JSON object that is read strictly; `where` names it in refusals."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, dict):
            raise BadPlan(f"{where}: a JSON object was expected")
        self._content: dict[str, Any] = content
        self.where = where

    def _get(self, name: str, kind: type, default: Any) -> Any:
        if name not in self._content and default is not None:
            return default
        value = self._content.get(name)
        if type(value) is not kind:
            raise BadPlan(f"{self.where}: {name} is missing, or of another kind")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        text: str = self._get(name, str, default)
        if default is None and not text.strip():
            raise BadPlan(f"{self.where}: {name} is empty")
        if len(text) > _TEXT_MAX or not text.isprintable():
            raise BadPlan(f"{self.where}: {name} has at most {_TEXT_MAX} printable characters, on one line")
        return text

    def id(self, name: str) -> str:
        text = self.text(name)
        if not _ID.fullmatch(text):
            raise BadPlan(f"{self.where}: {name} has letters, digits, dot, hyphen, underscore; at most 40")
        return text

    def choice(self, name: str, of: tuple[str, ...], default: str | None = None) -> str:
        text = self.text(name, default)
        if text not in of:
            raise BadPlan(f"{self.where}: {name} is one of {', '.join(of)}")
        return text

    def byte(self, name: str, default: int | None = None) -> int:
        value: int = self._get(name, int, default)
        if not 0 <= value <= 255:
            raise BadPlan(f"{self.where}: {name} is 0 to 255")
        return value

    def flag(self, name: str) -> bool:
        value: bool = self._get(name, bool, None)
        return value

    def texts(self, name: str, default: list[str] | None = None) -> list[str]:
        values: list[str] = self._get(name, list, default)
        if any(not isinstance(value, str) for value in values):
            raise BadPlan(f"{self.where}: {name} is a list of texts")
        return values

    def map(self, name: str, default: dict[str, Any] | None = None) -> "_Fields":
        return _Fields(self._get(name, dict, default), f"{self.where}: {name}")

    def all_texts(self) -> dict[str, str]:
        return {name: self.text(name) for name in self._content}

    def rows(self, name: str, most: int) -> list["_Fields"]:
        values = self._get(name, list, None)
        if len(values) > most:
            raise BadPlan(f"{self.where}: {name} has at most {most} rows")
        return [_Fields(value, f"{name} {at + 1}") for at, value in enumerate(values)]
