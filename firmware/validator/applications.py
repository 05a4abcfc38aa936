"""The applications a terminal takes, from its device file: for devices that take more than the national one.

Each is checked by name, as every setting is. Bytes and reasons: firmware/docs/products.md.
"""

from tunion.bcd import is_bcd
from tunion.card import product as products
from tunion.compat import const
from tunion.crypto.keys import COMPOUND, PURCHASE
from tunion.record import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

APPLICATIONS_MAX = const(4)

_SFI_MAX = const(30)
_AID_MIN, _AID_MAX = const(5), const(16)
_FILE_MAX = const(255)
# fact -> bytes at most; the first two must have a place, in the first file
_SIZES = {
    "serial": 10, "issuer": 8, "application": 1, "enabled": 1, "start": 4, "expiry": 4, "city": 2, "kind": 1,
    "interoperable": 2,
}  # fmt: skip
_FACTS = ("issuer", "serial", "application", "enabled", "start", "expiry", "city", "kind", "interoperable")  # of Facts
_COMPARED = ("application", "enabled", "interoperable")
_EXACT = ("application", "enabled", "start", "expiry", "city", "kind", "interoperable")
_KEYS = (
    "number", "name", "aid", "files", "fci_tag", "places", "wanted", "city", "kind", "test_kind", "factors",
    "key_index", "types", "log_sfi", "head",
)  # fmt: skip


def read(device: "Any", values: "list[Any]", made: "Any") -> "tuple[Any, ...]":
    """The applications of a device file.

    device  its Settings, as far as they are read
    made    (where, map) to the map with fare and SAM made
    raises  BadInput, naming what is wrong
    """
    from validator.settings import Application

    if len(values) > APPLICATIONS_MAX:
        raise BadInput("applications takes at most %d" % APPLICATIONS_MAX)
    taken: list[Any] = []
    slots = [_slot_of(device.sam)]
    for index in range(len(values)):
        where = "applications[%d]." % index
        found = made(where, values[index])
        try:
            product = product_of(found["product"])
        except BadInput as problem:
            raise BadInput("%sproduct%s%s" % (where, "" if str(problem)[:1] == "." else " ", problem))
        if found["issuers"] and not product.number:
            raise BadInput("%sissuers: national ones stand in home_issuers and issuers" % where)
        if product.number and not found["issuers"]:
            raise BadInput("%sissuers takes those whose cards are accepted" % where)
        fare, sam = found["fare"], found["sam"]
        simple = not hasattr(fare or device.fare, "scheme") and (fare is not None or not device.tariffs)
        if COMPOUND not in product.types and not simple:
            raise BadInput("%sfare takes a flat fare of its own: this product can do nothing else" % where)
        if sam is not None:
            device.check_sam(where + "sam", sam)
            if _slot_of(sam) in slots:
                raise BadInput("%ssam is the same as another: leave it out to share it" % where)
            slots.append(_slot_of(sam))
        taken.append(Application(product, found["issuers"] or None, fare, sam))
    check_together(taken)
    return tuple(taken)


def _slot_of(sam: "Any") -> "tuple[Any, ...]":
    return sam.driver, sam.name, sam.path, sam.slot, sam.blob


def product_of(value: "Any") -> "products.Product":
    """0, the national product, or a map of Product's fields. Raises BadInput, naming the field."""
    if value == 0 and isinstance(value, int):
        return products.NATIONAL
    if not isinstance(value, dict):
        raise BadInput("takes 0, the national application, or a map")
    for key in value:
        if key not in _KEYS:
            raise BadInput(".%s is no field of a product; known are %s" % (key, ", ".join(_KEYS)))
    made = products.Product(
        _number(value, "number", 1, products.NUMBER_MAX),
        _text(value, "name"),
        _bytes(value, "aid", _AID_MIN, _AID_MAX),
        _files(value),
        _number(value, "fci_tag", 0, 0xFFFF, 0),
        _places(value),
        _wanted(value, "application"),
        _wanted(value, "enabled"),
        _wanted(value, "interoperable"),
        _bytes(value, "city", 2, 2, bytes(2)),
        _number(value, "kind", 0, 255, 0),
        _number(value, "test_kind", -1, 255, -1),
        _factors(value),
        _number(value, "key_index", 0, 255, 0),
        _types(value),
        _number(value, "log_sfi", 0, _SFI_MAX, 0),
        _bytes(value, "head", 0, 2, b""),
    )
    if not is_bcd(made.city):
        raise BadInput(".city takes 2 bytes BCD")
    return made


def check_together(taken: "list[Any]") -> None:
    """Several products on one terminal can be told apart, and have a SAM each where they ask for one."""
    for index in range(len(taken)):
        for other in range(index):
            mine, theirs = taken[index].product, taken[other].product
            if mine.number == theirs.number:
                raise BadInput("applications[%d].product.number: %d is taken already" % (index, mine.number))
            if mine.aid.startswith(theirs.aid) or theirs.aid.startswith(mine.aid):
                raise BadInput("applications[%d].product.aid begins as another's: a card answers to either" % index)


def _number(value: "dict[str, Any]", key: str, low: int, high: int, default: "int | None" = None) -> int:
    found = value.get(key, default)
    if not isinstance(found, int) or isinstance(found, bool) or not low <= found <= high:
        raise BadInput(".%s takes a number from %d to %d" % (key, low, high))
    return found


def _text(value: "dict[str, Any]", key: str) -> str:
    found = value.get(key)
    if not isinstance(found, str) or not 0 < len(found) <= 32:
        raise BadInput(".%s takes a text of at most 32 letters" % key)
    return found


def _bytes(value: "dict[str, Any]", key: str, low: int, high: int, default: "bytes | None" = None) -> bytes:
    found = value.get(key, default)
    if not isinstance(found, bytes) or not low <= len(found) <= high:
        raise BadInput(".%s takes %d to %d bytes" % (key, low, high))
    return found


def _files(value: "dict[str, Any]") -> "tuple[tuple[int, int], ...]":
    found = value.get("files")
    if not isinstance(found, list) or not found:
        raise BadInput(".files takes a list of [SFI, bytes]")
    for row in found:
        if not _is_row(row, 2) or not 1 <= row[0] <= _SFI_MAX or not 1 <= row[1] <= _FILE_MAX:
            raise BadInput(".files takes a list of [SFI 1 to %d, bytes 1 to %d]" % (_SFI_MAX, _FILE_MAX))
    if len({row[0] for row in found}) != len(found):
        raise BadInput(".files names a file twice")
    return tuple([(row[0], row[1]) for row in found])


def _places(value: "dict[str, Any]") -> "tuple[Any, ...]":
    found = value.get("places")
    sizes = {sfi: size for sfi, size in _files(value)}
    first = _files(value)[0][0]
    if not isinstance(found, dict):
        raise BadInput(".places takes a map: fact to [SFI, offset, bytes]")
    for fact in found:
        row = found[fact]
        if fact not in _SIZES:
            raise BadInput(".places.%s is no fact; known are %s" % (fact, ", ".join(sorted(_SIZES))))
        if not _is_row(row, 3) or row[0] not in sizes or row[1] < 0 or row[1] + row[2] > sizes[row[0]]:
            raise BadInput(".places.%s takes [SFI, offset, bytes] inside one of the files" % fact)
        least = _SIZES[fact] if fact in _EXACT else 4
        if not least <= row[2] <= _SIZES[fact]:
            raise BadInput(".places.%s takes %d to %d bytes" % (fact, least, _SIZES[fact]))
    for fact in ("serial", "issuer"):
        if fact not in found:
            raise BadInput(".places.%s is missing" % fact)
    if found["serial"][0] != first:
        raise BadInput(".places.serial stands in the first of the files: a torn card is known by it")
    for fact in _COMPARED:
        if _wanted(value, fact) is None:
            found = {name: found[name] for name in found if name != fact}
    rows = [found.get(fact) for fact in _FACTS]
    return tuple([None if row is None else (row[0], row[1], row[1] + row[2]) for row in rows])


def _wanted(value: "dict[str, Any]", fact: str) -> "bytes | None":
    wanted = value.get("wanted", {})
    if not isinstance(wanted, dict):
        raise BadInput(".wanted takes a map: fact to bytes")
    for key in wanted:
        if key not in _COMPARED or key not in value["places"]:
            raise BadInput(".wanted takes application, enabled and interoperable, where they have a place")
    want = wanted.get(fact)
    if want is not None and (not isinstance(want, bytes) or len(want) != _SIZES[fact]):
        raise BadInput(".wanted.%s takes %d bytes" % (fact, _SIZES[fact]))
    return want


def _factors(value: "dict[str, Any]") -> "tuple[Any, ...]":
    found = value.get("factors")
    if not isinstance(found, list) or not 1 <= len(found) <= products.LEVELS_MAX or found[0] != products.CARD:
        raise BadInput(".factors takes 1 to %d levels, the card first" % products.LEVELS_MAX)
    for factor in found[1:]:
        fits = len(factor) == products.FACTOR_BYTES if isinstance(factor, bytes) else factor == products.ISSUER
        if not fits:
            raise BadInput(".factors takes 'card', 'issuer', or %d bytes" % products.FACTOR_BYTES)
    return tuple(found)


def _types(value: "dict[str, Any]") -> "tuple[int, ...]":
    found = value.get("types")
    if found not in ([PURCHASE], [PURCHASE, COMPOUND]):
        raise BadInput(".types takes [6], or [6, 9] where the card can write the records of file 1Ah")
    return tuple(found)


def _is_row(row: "Any", size: int) -> bool:
    return isinstance(row, list) and len(row) == size and all(isinstance(item, int) for item in row)
