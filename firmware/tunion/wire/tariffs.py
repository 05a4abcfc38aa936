"""The sections of a parameter set that make a tariff. A device that charges flat fares never imports this.

    FARE  [fare_id, scheme, mode, table]   table: fen, a meter, a grid's blob, or [bytes, sha256] of a grid apart
    RULE  {name: value}                    all of tunion.fare.tariff.RULES

A grid apart is a file of its own; the signed set names its size and hash, so it carries no signature.
"""

from hashlib import sha256

from tunion.compat import const
from tunion.fare import samples as prices
from tunion.fare.grid import GRID_BYTES_MAX
from tunion.fare.tariff import GRID, Tariff
from tunion.record import BadInput, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes

TABLE_BYTES_MAX = const(6144)  # of a grid inside the set: 108 stations with 20 prices; larger ones go apart


def tariff_of(
    version: int, content: "Any", rules: "Any", kinds: "dict[int, int]", days: "dict[int, int]", grid: "Bytes | None"
) -> Tariff:
    """The tariff of FARE's version and content and RULE's content. Raises BadInput.

    grid  the blob of a grid apart, None where there is none
    """
    if not isinstance(content, list) or len(content) != 4:
        raise BadInput("FARE of a tariff is [fare_id, scheme, mode, table]")
    fare_id, scheme, mode, table = content
    if scheme == GRID:
        table = _grid_of(table, grid)
    return Tariff(fare_id, version, mode, scheme, table, kinds, rules, days)


def check(tariff: Tariff, samples: "Any") -> None:
    """The sample prices of a set. Raises BadInput."""
    prices.check(tariff, samples)


def _grid_of(table: "Any", grid: "Bytes | None") -> "Bytes":
    """The grid's blob: the table itself, or the one apart that it names by size and hash."""
    if isinstance(table, bytes):
        if len(table) > TABLE_BYTES_MAX:
            raise BadInput("a grid of %d bytes goes apart; a set holds %d" % (len(table), TABLE_BYTES_MAX))
        return table
    if not isinstance(table, list) or len(table) != 2 or not is_int(table[0]) or not 0 < table[0] <= GRID_BYTES_MAX:
        raise BadInput("a grid is its blob, or apart [bytes up to %d, sha256]" % GRID_BYTES_MAX)
    if grid is None:
        raise BadInput("the grid of %d bytes that the set names is not here" % table[0])
    if len(grid) != table[0] or sha256(grid).digest() != table[1]:
        raise BadInput("the grid that is here is not the one that the set names")
    return grid
