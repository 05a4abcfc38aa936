"""The sections of a parameter set that make a tariff. A device that charges flat fares never imports this.

    FARE  [fare_id, scheme, mode, table]   table: fen, a meter, or a grid's blob, which is read in place
    RULE  {name: value}                    all of tunion.fare.tariff.RULES
"""

from tunion import cbor
from tunion.compat import const
from tunion.fare import samples as prices
from tunion.fare.grid import GRID_BYTES_MAX
from tunion.fare.tariff import GRID, Tariff
from tunion.record import BadInput
from tunion.window import Window

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any

# At most so many bytes are read to RAM to decode one part; a longer part is none of a set.
_PART_BYTES = const(136)  # a text of 32 characters, or a number
_SAMPLE_BYTES = const(120)  # 13 numbers
_SECTION_BYTES = const(1536)  # 128 days, 16 hours
_ISSUERS_BYTES = const(4224)  # of BIN: two lists of 512
_STEP_SAMPLES = const(16)  # decoded between two yields
_SAMPLES_AT, _PARTS = const(7), const(9)


def fields(payload: "Window") -> "Generator[None, None, list[Any]]":
    """What cbor.decode gives of a payload, but the table of FARE stays where it lies; a little between two yields.

    raises  BadInput
    """
    count, at = cbor.opened(payload, 0, cbor.ARRAY)
    if count != _PARTS:
        raise BadInput("a parameter set has %d parts" % _PARTS)
    found: list[Any] = []
    while len(found) < _SAMPLES_AT:
        part, at = _item(payload, at, _PART_BYTES)
        found.append(part)
    count, at = cbor.opened(payload, at, cbor.ARRAY)
    if count > prices.SAMPLES_MAX:
        raise BadInput("a tariff carries at most %d sample prices" % prices.SAMPLES_MAX)
    samples = []
    for number in range(count):
        if number % _STEP_SAMPLES == 0:
            yield
        sample, at = _item(payload, at, _SAMPLE_BYTES)
        samples.append(sample)
    count, at = cbor.opened(payload, at, cbor.MAP)
    sections: dict[Any, Any] = {}
    before = b""
    for _ in range(count):
        yield
        start = at
        name, at = _item(payload, at, _PART_BYTES)
        raw = bytes(payload[start:at])
        if not isinstance(name, str) or raw <= before:
            raise BadInput("sections are named by texts, each once, in order")
        before = raw
        if name == "FARE":
            sections[name], at = cbor.item(payload, at)
        else:
            sections[name], at = _item(payload, at, _ISSUERS_BYTES if name == "BIN" else _SECTION_BYTES)
    if at != len(payload):
        raise BadInput("%d bytes follow the set" % (len(payload) - at))
    yield
    return found + [samples, sections]


def tariff_of(version: int, content: "Any", rules: "Any", kinds: "dict[int, int]", days: "dict[int, int]") -> Tariff:
    """The tariff of FARE's version and content and RULE's content; the cells of a grid are left to `checking`.

    raises  BadInput
    """
    if not isinstance(content, list) or len(content) != 4:
        raise BadInput("FARE of a tariff is [fare_id, scheme, mode, table]")
    fare_id, scheme, mode, table = content
    if grid_bytes(content) > GRID_BYTES_MAX:
        raise BadInput("the grid has %d bytes, devices take %d" % (len(table), GRID_BYTES_MAX))
    return Tariff(fare_id, version, mode, scheme, table, kinds, rules, days, False)


def checking(tariff: Tariff, samples: "Any") -> "Iterator[None]":
    """Each cell of a grid, and the sample prices; None for those: they are about to be made. Raises BadInput."""
    if tariff.grid is not None:
        yield from tariff.grid.checking()
    if samples is not None:
        yield from prices.checking(tariff, samples)


def grid_bytes(content: "Any") -> int:
    """Of FARE's content: how long its grid is, 0 where it has none."""
    if not isinstance(content, list) or len(content) != 4 or content[1] != GRID:
        return 0
    return len(content[3]) if isinstance(content[3], (bytes, Window)) else 0


def _item(payload: "Window", at: int, bytes_max: int) -> "tuple[Any, int]":
    """The value at `at`, read to RAM as a whole, and where the next one starts."""
    value, used = cbor.item(memoryview(payload[at : at + bytes_max]), 0)
    return value, at + used
