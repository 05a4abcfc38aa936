"""Where in a clerk's JSON file something is wrong: its line, so that he finds it.

    with at("rules", "hours", 1):      whatever is refused inside is wrong at this place of the file
        ...
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunion.record import BadInput

Place = tuple[str | int, ...]  # keys and indexes from the file's root

_SPACE = re.compile(r"[ \t\r\n]*")
_VALUE = json.JSONDecoder()


class Placed(BadInput):
    """A refusal with its place."""

    def __init__(self, place: Place, problem: str) -> None:
        super().__init__(problem)
        self.place = place


@contextmanager
def at(*place: str | int) -> Iterator[None]:
    """Raises Placed for what is refused inside; places nest."""
    try:
        yield
    except Placed as problem:
        raise Placed(place + problem.place, str(problem)) from problem
    except BadInput as problem:
        raise Placed(place, str(problem)) from problem
    except KeyError as missing:
        raise Placed(place, f"{_name(place)} lacks {missing}") from missing
    except (TypeError, ValueError, AttributeError, IndexError) as problem:
        raise Placed(place, f"{_name(place)} has another shape: {problem}") from problem


def read(path: Path) -> tuple[str, Any]:
    """(text, content) of a JSON file. Raises BadInput with the line; OSError passes."""
    try:
        text = path.read_text(encoding="utf-8")
        return text, json.loads(text, object_pairs_hook=_once)
    except UnicodeDecodeError as problem:
        raise BadInput(f"{path.name} is no text in UTF-8") from problem
    except json.JSONDecodeError as problem:
        raise BadInput(f"{path.name}, line {problem.lineno}: no JSON: {problem.msg}") from problem
    except Placed as problem:
        raise BadInput(f"{path.name}: {problem}") from problem


def told(path: Path, text: str, problem: Placed) -> str:
    """File, line and reason."""
    return f"{path.name}, line {line_of(text, problem.place)}: {problem}"


def line_of(text: str, place: Place) -> int:
    """The line, from 1, on which a value begins; of one that is missing, where what should hold it begins."""
    start = _space(text, 0)
    for part in place:
        found = next((value for key, value in _children(text, start) if key == part), None)
        if found is None:
            break
        start = found
    return text.count("\n", 0, start) + 1


def _children(text: str, start: int) -> Iterator[tuple[str | int, int]]:
    """(key or index, where its value begins) of an object or array; nothing of another value."""
    kind, start = text[start : start + 1], _space(text, start + 1)
    index = 0
    while kind in ("{", "[") and text[start] not in "}]":
        key: str | int = index
        if kind == "{":
            key, start = _VALUE.raw_decode(text, start)
            start = _space(text, _space(text, start) + 1)
        yield key, start
        _, start = _VALUE.raw_decode(text, start)
        start = _space(text, start)
        if text[start] == ",":
            start = _space(text, start + 1)
        index += 1


def _space(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    assert found is not None
    return found.end()


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Placed((), f"{twice!r} stands twice in one place")
    return found


def _name(place: Place) -> str:
    return ".".join(str(part) for part in place) or "the file"
