"""The subset of CBOR (RFC 8949) that validators and the back office exchange.

Integers of 64 bits, byte and text strings, arrays, maps, true, false, null; definite lengths, shortest forms,
map keys in bytewise order (core deterministic encoding, section 4.2.1). One value has one encoding, so a digest
over bytes is a digest over the value. Whatever else arrives is refused by name: floats, tags, indefinite
lengths, a longer form than needed, keys that are no int and no string, keys twice or out of order, nesting beyond
DEPTH_MAX, bytes after the end.
"""

from tunion.compat import const
from tunion.record import BadInput, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes
    from tunion.window import Window

    Source = Bytes | Window

DEPTH_MAX = const(8)  # ours need 4; a bound keeps a hostile message off the stack

_INT = const(0)
_NEGATIVE = const(1)
_BYTES = const(2)
_TEXT = const(3)
ARRAY = const(4)
MAP = const(5)
_TAG = const(6)
_SIMPLE = const(7)


class BadCbor(BadInput):
    """Not CBOR, or not this subset. Refuse the message; nothing of it was used."""


def encode(value: "Any") -> bytes:
    """CBOR of ints, bytes, str, list, tuple, dict, bool and None; raises BadInput for anything else."""
    out = bytearray()
    _encode(out, value, 0)
    return bytes(out)


def bytes_head(size: int) -> bytes:
    """What stands before a byte string of `size` bytes, for who writes the bytes himself."""
    out = bytearray()
    _head(out, _BYTES, size)
    return bytes(out)


def array_head(count: int) -> bytes:
    """What stands before the `count` items of an array."""
    out = bytearray()
    _head(out, ARRAY, count)
    return bytes(out)


def decode(blob: "Bytes") -> "Any":
    """The one value that `blob` holds, arrays as lists, maps as dicts; raises BadCbor."""
    value, end = _decode(memoryview(blob), 0, 0)
    if end != len(blob):
        raise BadCbor("%d bytes follow the value" % (len(blob) - end))
    return value


def item(source: "Source", at: int) -> "tuple[Any, int]":
    """(value, where the next one starts) of the value at `at`. Raises BadCbor.

    Byte strings of a window stay where they lie: each is given as a window of its own.
    """
    return _decode(source, at, 0)


def opened(source: "Source", at: int, major: int) -> "tuple[int, int]":
    """(items or pairs, where the first starts) of the ARRAY or MAP at `at`, to be read by pieces. Raises BadCbor."""
    if at >= len(source):
        raise BadCbor("ends early")
    first = source[at]
    if first >> 5 != major:
        raise BadCbor("an array or a map is missing")
    return _number(source, at + 1, first & 31)


def _encode(out: bytearray, value: "Any", depth: int) -> None:
    if depth > DEPTH_MAX:
        raise BadInput("nested deeper than %d" % DEPTH_MAX)
    if value is None:
        out.append(0xF6)
    elif value is True:
        out.append(0xF5)
    elif value is False:
        out.append(0xF4)
    elif isinstance(value, int):
        if value >= 0:
            _head(out, _INT, value)
        else:
            _head(out, _NEGATIVE, -1 - value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        _head(out, _BYTES, len(value))
        out.extend(value)
    elif isinstance(value, str):
        if _utf8_bytes(value) < 0:
            raise BadInput("a text that has no UTF-8")
        raw = value.encode()
        _head(out, _TEXT, len(raw))
        out.extend(raw)
    elif isinstance(value, (list, tuple)):
        _head(out, ARRAY, len(value))
        for item in value:
            _encode(out, item, depth + 1)
    elif isinstance(value, dict):
        _head(out, MAP, len(value))
        for key, item in sorted((_key(key), item) for key, item in value.items()):
            out.extend(key)
            _encode(out, item, depth + 1)
    else:
        raise BadInput("CBOR here has no %s" % type(value).__name__)


def _key(key: "Any") -> bytes:
    # True, 1 and 1.0 are one key to a dict and would be three encodings.
    if not is_int(key) and not isinstance(key, (bytes, str)):
        raise BadInput("a map key is an int or a string")
    return encode(key)


def _head(out: bytearray, major: int, number: int) -> None:
    major <<= 5
    if number < 24:
        out.append(major | number)
    elif number < 0x100:
        out.append(major | 24)
        out.append(number)
    elif number < 0x10000:
        out.append(major | 25)
        out.extend(number.to_bytes(2, "big"))
    elif number < 0x100000000:
        out.append(major | 26)
        out.extend(number.to_bytes(4, "big"))
    elif number < 0x10000000000000000:
        out.append(major | 27)
        out.extend(number.to_bytes(8, "big"))
    else:
        raise BadInput("an integer of more than 64 bits")


def _decode(blob: "Source", at: int, depth: int) -> "tuple[Any, int]":
    if depth > DEPTH_MAX:
        raise BadCbor("nested deeper than %d" % DEPTH_MAX)
    if at >= len(blob):
        raise BadCbor("ends early")
    major, info = blob[at] >> 5, blob[at] & 31
    if major == _SIMPLE:
        if info in (20, 21, 22):
            return (False, True, None)[info - 20], at + 1
        raise BadCbor("a float or a simple value of no use here")
    if major == _TAG:
        raise BadCbor("a tag")
    number, at = _number(blob, at + 1, info)
    if major == _INT:
        return number, at
    if major == _NEGATIVE:
        return -1 - number, at
    if major in (_BYTES, _TEXT):
        if number > len(blob) - at:
            raise BadCbor("a string ends early")
        if major == _BYTES and hasattr(blob, "part"):
            return blob.part(at, number), at + number
        raw = bytes(blob[at : at + number])
        return raw if major == _BYTES else _text(raw), at + number
    if number > len(blob) - at:
        raise BadCbor("more items declared than bytes left")
    if major == ARRAY:
        items = []
        for _ in range(number):
            item, at = _decode(blob, at, depth + 1)
            items.append(item)
        return items, at
    return _map(blob, at, number, depth)


def _map(blob: "Source", at: int, number: int, depth: int) -> "tuple[dict[Any, Any], int]":
    pairs = {}
    previous = b""
    for _ in range(number):
        start = at
        if start < len(blob) and blob[start] >> 5 >= ARRAY:
            raise BadCbor("a map key that is no int and no string")
        key, at = _decode(blob, at, depth + 1)
        raw = bytes(blob[start:at])
        if raw <= previous:
            raise BadCbor("map keys twice or out of order")
        previous = raw
        pairs[key], at = _decode(blob, at, depth + 1)
    return pairs, at


def _number(blob: "Source", at: int, info: int) -> "tuple[int, int]":
    if info < 24:
        return info, at
    if info > 27:
        raise BadCbor("an indefinite or reserved length")
    width = 1 << (info - 24)
    if width > len(blob) - at:
        raise BadCbor("ends early")
    number = int.from_bytes(bytes(blob[at : at + width]), "big")
    if number < 24 or width > 1 and number >> (4 * width) == 0:
        raise BadCbor("an integer in a longer form than needed")
    return number, at + width


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeError:
        raise BadCbor("a text that is not UTF-8")
    if _utf8_bytes(text) != len(raw):
        raise BadCbor("a text that is not UTF-8")
    return text


def _utf8_bytes(text: str) -> int:
    """How long `text` is in UTF-8, -1 where it has none by RFC 3629.

    MicroPython also codes surrogates, numbers beyond 10FFFF, and decodes forms longer than needed.
    """
    size = 0
    for character in text:
        number = ord(character)
        if 0xD800 <= number < 0xE000 or number > 0x10FFFF:
            return -1
        size += 1 if number < 0x80 else 2 if number < 0x800 else 3 if number < 0x10000 else 4
    return size
