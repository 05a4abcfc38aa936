"""Fields of a JSON object, each checked as it is taken, so that a slip is named by its place and not by a traceback."""

from collections.abc import Collection, Sequence
from typing import Any

_REQUIRED: Any = object()


class ImageError(ValueError):
    """The image cannot be used. The message names the file, the field and what it must be; never a value."""


class Fields:
    """One JSON object. Take its fields by kind; `no_more` refuses what was not asked for, such as a misspelt name."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise ImageError(f"{where}: must be an object {{…}}")
        self.where = where
        self._value = value
        self._taken: set[str] = set()

    def whole(self, name: str, low: int, high: int, default: Any = _REQUIRED) -> Any:
        value = self._take(name, default)
        if not _is_int(value) or not low <= value <= high:
            raise self._wrong(name, f"a whole number from {low} to {high}")
        return value

    def wholes(self, name: str, low: int, high: int, default: Any = _REQUIRED) -> tuple[int, ...]:
        value = self._take(name, default)
        if not isinstance(value, list | tuple) or not all(_is_int(one) and low <= one <= high for one in value):
            raise self._wrong(name, f"a list of whole numbers from {low} to {high}")
        return tuple(value)

    def flag(self, name: str, default: Any = _REQUIRED) -> Any:
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def choice(self, name: str, choices: Sequence[str], default: Any = _REQUIRED) -> Any:
        value = self._take(name, default)
        if value not in choices:
            raise self._wrong(name, " or ".join(f'"{choice}"' for choice in choices))
        return value

    def text(self, name: str) -> str:
        value = self._take(name, _REQUIRED)
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def octets(self, name: str, sizes: Collection[int], default: Any = _REQUIRED) -> Any:
        """Bytes from hex digits; `sizes` are the byte counts allowed. A default of None allows null."""
        value = self._take(name, default)
        if value is default:
            return value
        return self._bytes(name, value, sizes)

    def octet_list(self, name: str, count_max: int, sizes: Collection[int]) -> list[bytes]:
        """A list of hex texts, at most `count_max`; an absent one is empty."""
        value = self._take(name, [])
        if not isinstance(value, list) or len(value) > count_max:
            raise self._wrong(name, f"a list of at most {count_max} hex texts")
        return [self._bytes(f"{name}[{at}]", one, sizes) for at, one in enumerate(value)]

    def inner(self, name: str, default: Any = _REQUIRED) -> Any:
        """A nested object; a default of None allows null."""
        value = self._take(name, default)
        return None if value is None and default is None else Fields(value, f"{self.where}: {name}")

    def object(self, name: str) -> Any:
        """A nested object as it is, None where there is none."""
        return self._take(name, None)

    def inners(self, name: str, least: int = 1) -> "list[Fields]":
        """A list of nested objects, at least one; with `least` 0 it may be empty."""
        value = self._take(name, _REQUIRED)
        if not isinstance(value, list) or len(value) < least:
            raise self._wrong(name, "a list with at least one object" if least else "a list of objects")
        return [Fields(one, f"{self.where}: {name}[{at}]") for at, one in enumerate(value)]

    def no_more(self) -> None:
        strangers = sorted(set(self._value) - self._taken)
        if strangers:
            raise ImageError(f"{self.where}: does not know {', '.join(strangers)}; see simulator/docs/image.md")

    def _take(self, name: str, default: Any) -> Any:
        self._taken.add(name)
        if name not in self._value:
            if default is _REQUIRED:
                raise ImageError(f"{self.where}: {name} is missing")
            return default
        return self._value[name]

    def _bytes(self, name: str, value: Any, sizes: Collection[int]) -> bytes:
        try:
            raw = bytes.fromhex(value)
        except (TypeError, ValueError):
            raise self._wrong(name, "hex digits") from None     # the value may be a key: not even quoted
        if len(raw) not in sizes:
            wanted = f"{sizes.start} to {sizes.stop - 1}" if isinstance(sizes, range) else " or ".join(map(str, sizes))
            raise self._wrong(name, f"{wanted} bytes in hex, not {len(raw)}")
        return raw

    def _wrong(self, name: str, wanted: str) -> ImageError:
        return ImageError(f"{self.where}: {name} must be {wanted}")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
