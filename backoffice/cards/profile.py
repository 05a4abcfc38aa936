"""A profile: how one kind of blank is written. Fields: backoffice/docs/personalise.md."""

import json
from collections.abc import Collection
from pathlib import Path
from string import hexdigits
from typing import Any, NamedTuple

PROFILES = Path(__file__).with_name("profiles")
PROFILE_BYTES_MAX = 64 << 10  # ours have 2 KB

MEDIA = ("card", "psam")
SCHEMES = ("3DES", "AES")
COMMANDS = (
    "select_mf", "get_chip", "get_challenge", "external_authenticate", "write_key", "create_application",
    "create_file", "update_binary", "end_stage",
)  # fmt: skip
USAGES = ("control", "purchase", "load", "tac", "maintenance")
PURPOSES = USAGES[1:]  # of the keys that are written; the control key is replaced by the program
ALGORITHMS = ("3DES", "SM4", "AES")
KINDS = {"transparent": 1, "cyclic": 2, "variable": 3}
NAME_LETTERS_MAX, TEXT_LETTERS_MAX = 40, 200
FILES_MAX, KEYS_MAX = 30, 32  # an SFI has 5 bits, of which 31 is reserved; keys: far above any card's
AID_BYTES = range(5, 17)

_FIELDS = ("name", "about", "origin", "medium", "scheme", "commands", "usages", "algorithms", "aid", "version",
           "files", "keys")  # fmt: skip


class ProfileError(ValueError):
    """The profile cannot be used. The message names the file, the field and what it must be."""


class FileRow(NamedTuple):
    sfi: int
    kind: str  # KINDS
    units: int  # `count` of the profile: bytes of a transparent file, else records
    record_bytes: int  # 0 for a transparent one


class KeyRow(NamedTuple):
    usage: str
    purpose: str  # of backoffice.keys
    key_index: int
    algorithm: str


class Profile(NamedTuple):
    name: str
    about: str
    origin: str
    medium: str
    scheme: str
    commands: dict[str, bytes]  # name -> head, 4 bytes
    usages: dict[str, int]
    algorithms: dict[str, int]
    aid: bytes
    version: int
    files: tuple[FileRow, ...]
    keys: tuple[KeyRow, ...]

    def file(self, sfi: int) -> FileRow:
        """Raises ProfileError where the profile has none."""
        for row in self.files:
            if row.sfi == sfi:
                return row
        raise ProfileError(f"{self.name}: files: lacks {sfi:02X}")


def names(medium: str = "") -> list[str]:
    """Of the samples; of one medium where it is given."""
    found = [path.stem for path in PROFILES.glob("*.json")]
    return sorted(name for name in found if not medium or sample(name).medium == medium)


def sample(name: str) -> Profile:
    """One of ours by its name. Raises ProfileError."""
    path = PROFILES / f"{name}.json"
    if path.parent != PROFILES or not path.is_file():
        raise ProfileError(f"no profile {name}: choose one of backoffice/cards/profiles, or give a file")
    return read(path)


def named(text: str) -> Profile:
    """A sample's name or a file, as a clerk gives it. Raises ProfileError."""
    return read(Path(text)) if "/" in text or text.endswith(".json") else sample(text)


def read(path: Path) -> Profile:
    """Raises ProfileError, which names file and field."""
    try:
        if path.stat().st_size > PROFILE_BYTES_MAX:
            raise ProfileError(f"{path.name}: is too long for a profile")
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except ProfileError as error:
        raise ProfileError(str(error) if path.name in str(error) else f"{path.name}: {error}") from error
    except OSError as error:
        raise ProfileError(f"{path.name}: {error.strerror}: name a file that can be read") from error
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{path.name}: is not JSON: {error}") from error
    return parse(content, path.name)


def parse(content: Any, where: str) -> Profile:
    """A profile of what JSON gave; `where` opens each message. Raises ProfileError."""
    _names(content, where, _FIELDS)
    medium = _choice(content["medium"], f"{where}: medium", MEDIA)
    commands = _names(content["commands"], f"{where}: commands", COMMANDS)
    usages = _names(content["usages"], f"{where}: usages", USAGES)
    algorithms = _names(content["algorithms"], f"{where}: algorithms", ALGORITHMS)
    profile = Profile(
        name=_text(content["name"], f"{where}: name", NAME_LETTERS_MAX),
        about=_text(content["about"], f"{where}: about", TEXT_LETTERS_MAX),
        origin=_text(content["origin"], f"{where}: origin", TEXT_LETTERS_MAX),
        medium=medium,
        scheme=_choice(content["scheme"], f"{where}: scheme", SCHEMES),
        commands={name: _octets(commands[name], f"{where}: commands.{name}", (4,)) for name in COMMANDS},
        usages={name: _whole(usages[name], f"{where}: usages.{name}", 0, 255) for name in USAGES},
        algorithms={name: _whole(algorithms[name], f"{where}: algorithms.{name}", 0, 255) for name in ALGORITHMS},
        aid=_octets(content["aid"], f"{where}: aid", AID_BYTES),
        version=_octets(content["version"], f"{where}: version", (1,))[0],
        files=tuple(_files(content["files"], f"{where}: files")),
        keys=tuple(_keys(content["keys"], f"{where}: keys")),
    )
    _distinct(list(profile.usages.values()), f"{where}: usages")
    _distinct(list(profile.algorithms.values()), f"{where}: algorithms")
    _distinct([row.sfi for row in profile.files], f"{where}: files")
    _distinct([row[:1] + row[2:3] for row in profile.keys], f"{where}: keys")
    return profile


def _files(value: Any, where: str) -> list[FileRow]:
    rows = []
    for at, one in enumerate(_list(value, where, FILES_MAX)):
        here = f"{where}[{at}]"
        _names(one, here, ("sfi", "kind", "count", "bytes"))
        sfi = _octets(one["sfi"], f"{here}.sfi", (1,))[0]
        if not 1 <= sfi <= 30:
            raise ProfileError(f"{here}.sfi: must be from 01 to 1E")
        kind = _choice(one["kind"], f"{here}.kind", tuple(KINDS))
        count = _whole(one["count"], f"{here}.count", 1, 0xFFFF)
        low, high = (0, 0) if kind == "transparent" else (1, 255)
        rows.append(FileRow(sfi, kind, count, _whole(one["bytes"], f"{here}.bytes", low, high)))
    return rows


def _keys(value: Any, where: str) -> list[KeyRow]:
    rows = []
    for at, one in enumerate(_list(value, where, KEYS_MAX)):
        here = f"{where}[{at}]"
        _names(one, here, ("usage", "purpose", "index", "algorithm"))
        usage = _choice(one["usage"], f"{here}.usage", PURPOSES)
        purpose = _choice(one["purpose"], f"{here}.purpose", PURPOSES)
        index = _whole(one["index"], f"{here}.index", 0, 255)
        rows.append(KeyRow(usage, purpose, index, _choice(one["algorithm"], f"{here}.algorithm", ALGORITHMS[:2])))
    return rows


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are each said once; JSON itself would take the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = sorted({name for name, _ in pairs if [name for name, _ in pairs].count(name) > 1})
        raise ProfileError(f"says {', '.join(twice)} twice in one object")
    return found


def _names(value: Any, where: str, wanted: Collection[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ProfileError(f"{where}: must be an object with {', '.join(wanted)}")
    strangers, missing = sorted(set(value) - set(wanted)), sorted(set(wanted) - set(value))
    if strangers:
        raise ProfileError(f"{where}: does not know {', '.join(strangers)}; take it out, or spell it right")
    if missing:
        raise ProfileError(f"{where}: lacks {', '.join(missing)}")
    return value


def _list(value: Any, where: str, count_max: int) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= count_max:
        raise ProfileError(f"{where}: must be a list of 1 to {count_max} objects")
    return value


def _text(value: Any, where: str, letters_max: int) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > letters_max or not value.isprintable():
        raise ProfileError(f"{where}: must be a text of 1 to {letters_max} letters")
    return value


def _choice(value: Any, where: str, choices: Collection[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise ProfileError(f"{where}: must be {' or '.join(choices)}")
    return value


def _whole(value: Any, where: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ProfileError(f"{where}: must be a whole number from {low} to {high}")
    return value


def _octets(value: Any, where: str, sizes: Collection[int]) -> bytes:
    digits = value if isinstance(value, str) and set(value) <= set(hexdigits) else ""
    if len(digits) % 2 or len(digits) // 2 not in sizes:
        span = f"{min(sizes)}" if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"
        raise ProfileError(f"{where}: must be {span} bytes in hex")
    return bytes.fromhex(digits)


def _distinct(values: list[Any], where: str) -> None:
    if len(set(values)) != len(values):
        raise ProfileError(f"{where}: the same is said twice")
