"""Prices between places: metro stations, stops of a line, toll plazas. One byte a pair.

A grid is one blob, its cells read in place, in flash for instance; nothing is unpacked. Big-endian:

    0   4   "YKTG"
    4   1   layout, 1
    5   1   shape
    6   2   places, n
    8   1   layers: directions of a line, train or vehicle classes
    9   1   levels: how many different prices
    10  2   zero
    12  4   for each level, fen, growing
        2   for each place, its code, growing; a record's stop_in and stop_out
            for each layer: a byte for each cell, the number of its level, or FF: no such ride

    BOTH_WAYS   n(n-1)/2 cells; i to j costs as j to i                   metro
    ONWARD      n(n-1)/2 cells; only from i to a later j                 a line's stops, layer = direction
    SQUARE      n*n cells; from i to j, also i to i                      toll plazas

The cell of i < j in the first two is j(j-1)/2 + i: a new last place moves no cell.
"""

from struct import unpack_from

from tunion.compat import const
from tunion.record import BadInput, Record, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunion.record import Bytes
    from tunion.window import Window

BOTH_WAYS, ONWARD, SQUARE = const(0), const(1), const(2)
NO_RIDE = const(0xFF)
LEVELS_MAX = const(255)
LAYERS_MAX = const(16)
FARE_FEN_MAX = const(0xFFFFFF)  # a record's list_fen has three bytes
GRID_BYTES_MAX = const(65536)  # 300 metro stations with 20 prices are 45 542 bytes

_MAGIC = b"YKTG"
_NO_RIDES = b"\xff"
_LAYOUT = const(1)
_CHECKED_AT_ONCE = const(256)  # cells: so many are copied to RAM, where max() runs natively
_STEP_CELLS = const(2048)  # checked between two yields: 0.4 million instructions, 1.7 where a ride is missing

HEAD = Record(
    "GridHead",
    12,
    (
        ("magic", "4s"),
        ("layout", "B"),
        ("shape", "B"),
        ("places", "H"),
        ("layers", "B"),
        ("levels", "B"),
        ("reserved", "2s"),
    ),
)


class NoFare(Exception):
    """The table has no price for this ride. Charge nothing; the passenger goes to the desk."""


class Grid:
    """A grid over its blob. Raises BadInput, naming what is wrong.

    raw         bytes, or a window on flash: prices and codes are copied (20 prices, 300 places: 692 bytes), cells not
    is_checked  every byte was checked here; False: only the head was, and who asked for that goes through `checking`
    """

    def __init__(self, raw: "Bytes | Window", is_checked: bool = True) -> None:
        head = HEAD.unpack(raw[: HEAD.size])
        if head.magic != _MAGIC or head.layout != _LAYOUT or head.reserved != b"\x00\x00":
            raise BadInput("not a fare grid of layout 1")
        if head.shape > SQUARE or head.places < 2 or head.levels < 1 or not 1 <= head.layers <= LAYERS_MAX:
            raise BadInput("a grid has at least 2 places, 1 to 255 prices, 1 to 16 layers and a known shape")
        places = head.places
        self.shape = head.shape
        self.places = places
        self.layers = head.layers
        self._levels = head.levels
        self._codes_at = HEAD.size + 4 * head.levels
        self._cells_at = self._codes_at + 2 * places
        self._cells = places * places if head.shape == SQUARE else places * (places - 1) // 2
        if len(raw) != self._cells_at + head.layers * self._cells:
            raise BadInput("the grid has %d bytes, its head asks for another size" % len(raw))
        self._raw = raw
        self._table = bytes(raw[: self._cells_at])
        if is_checked:
            for _ in self.checking():
                pass
        self.lowest_fen = self._price(0)
        self.highest_fen = self._price(head.levels - 1)

    def fen(self, layer: int, start: int, end: int) -> int:
        """The price between two places, given by code. Raises NoFare."""
        return self._fen(layer, self.index(start), self.index(end))

    def onward_fen(self, layer: int, start: int) -> int:
        """The highest price from a place to any that can be reached from it: what an open ride may come to."""
        return self._reach(layer, self.index(start))[1]

    def least_fen(self, layer: int, start: int) -> int:
        """The lowest price from a place to any that can be reached from it."""
        return self._reach(layer, self.index(start))[0]

    def layer_cells(self, layer: int) -> bytes:
        """The levels of a layer's cells, in the order of its shape; for the office."""
        start = self._cells_at + layer * self._cells
        return bytes(self._raw[start : start + self._cells])

    def level_fen(self, level: int) -> int:
        """The price of a level."""
        return self._price(level)

    def index(self, code: int) -> int:
        """Where a place stands, from 0. Raises NoFare for a code that no place has."""
        low, high = 0, self.places
        while low < high:
            middle = (low + high) // 2
            if self.code(middle) < code:
                low = middle + 1
            else:
                high = middle
        if low == self.places or self.code(low) != code:
            raise NoFare("place %d is not in the fare table" % code)
        return low

    def code(self, index: int) -> int:
        """The code of the place at an index."""
        at = self._codes_at + 2 * index
        found: int = self._table[at] << 8 | self._table[at + 1]
        return found

    def _fen(self, layer: int, i: int, j: int) -> int:
        if not 0 <= layer < self.layers:
            raise NoFare("the fare table has no layer %d" % layer)
        if self.shape == SQUARE:
            cell = i * self.places + j
        elif i == j or (i > j and self.shape == ONWARD):
            raise NoFare("no ride leads from place %d to place %d" % (self.code(i), self.code(j)))
        else:
            cell = j * (j - 1) // 2 + i if i < j else i * (i - 1) // 2 + j
        level = self._raw[self._cells_at + layer * self._cells + cell]
        if level >= self._levels:  # NO_RIDE, or a cell that the flash lost since it was checked
            raise NoFare("no ride leads from place %d to place %d" % (self.code(i), self.code(j)))
        return self._price(level)

    def _reach(self, layer: int, i: int) -> "tuple[int, int]":
        """The lowest and the highest price from a place. Prices grow with their level, so levels are compared."""
        if not 0 <= layer < self.layers:
            raise NoFare("the fare table has no layer %d" % layer)
        first = self._cells_at + layer * self._cells
        if self.shape == SQUARE:
            levels = bytearray(self._raw[first + i * self.places : first + (i + 1) * self.places])
        else:
            levels = bytearray()
            if self.shape == BOTH_WAYS:
                levels += self._raw[first + i * (i - 1) // 2 : first + i * (i + 1) // 2]
            at = first + i * (i + 1) // 2 + i  # the cell of i and i + 1
            for j in range(i + 1, self.places):
                levels.append(self._raw[at])
                at += j
        ridden = [level for level in levels if level < self._levels]
        if not ridden:
            raise NoFare("no ride leads on from place %d" % self.code(i))
        return self._price(min(ridden)), self._price(max(ridden))

    def _price(self, level: int) -> int:
        fen: int = unpack_from(">I", self._table, HEAD.size + 4 * level)[0]
        return fen

    def checking(self) -> "Iterator[None]":
        """Every byte behind the head, a little between two yields. Raises BadInput."""
        before = -1
        for level in range(self._levels):
            fen = self._price(level)
            if not before < fen <= FARE_FEN_MAX:
                raise BadInput("the grid's prices grow, up to %d fen" % FARE_FEN_MAX)
            before = fen
        yield
        before = -1
        table = self._table
        for at in range(self._codes_at, self._cells_at, 2):
            code = table[at] << 8 | table[at + 1]
            if code <= before:
                raise BadInput("the grid's places grow; place %d stands twice or too late" % code)
            before = code
        buffer = memoryview(bytearray(_CHECKED_AT_ONCE))  # one for all: finding a new one takes longer than the check
        size = len(self._raw)
        for at in range(self._cells_at, size, _CHECKED_AT_ONCE):
            if (at - self._cells_at) % _STEP_CELLS == 0:
                yield
            cells = buffer if at + _CHECKED_AT_ONCE <= size else buffer[: size - at]
            if hasattr(self._raw, "read_into"):
                self._raw.read_into(at, cells)
            else:
                cells[:] = self._raw[at : at + len(cells)]
            if max(cells) >= self._levels and max(bytes(cells).replace(_NO_RIDES, b"\x00")) >= self._levels:
                self._name_cell(at, cells)

    def _name_cell(self, start: int, cells: memoryview) -> None:
        for i in range(len(cells)):
            if cells[i] >= self._levels and cells[i] != NO_RIDE:
                layer, cell = divmod(start + i - self._cells_at, self._cells)
                raise BadInput("cell %d of layer %d names price %d, there is none" % (cell, layer, cells[i]))


def build(shape: int, codes: "list[int]", layers: "list[list[list[int | None]]]") -> bytes:
    """The blob of a grid; for the office and for tests.

    codes   growing
    layers  layer[i][j] is the price from codes[i] to codes[j] in fen, or None; only the cells of the shape are read
    raises  BadInput where the numbers do not fit, or a price of BOTH_WAYS differs between the two ways
    """
    count = len(codes)
    rows: list[list[int | None]] = []
    for layer in layers:
        if len(layer) != count or [len(row) for row in layer] != [count] * count:
            raise BadInput("a layer of %d places has as many rows and columns" % count)
        rows.append(_cells(shape, layer))
    found: set[int] = set()
    for row in rows:
        for fen in row:
            if fen is not None:
                if not is_int(fen) or not 0 <= fen <= FARE_FEN_MAX:
                    raise BadInput("a price is 0 to %d fen" % FARE_FEN_MAX)
                found.add(fen)
    levels = sorted(found)
    if len(levels) > LEVELS_MAX:
        raise BadInput("a grid holds at most %d different prices, here are %d" % (LEVELS_MAX, len(levels)))
    number = {levels[i]: i for i in range(len(levels))}
    raw = bytearray(
        HEAD.pack(
            magic=_MAGIC, layout=_LAYOUT, shape=shape, places=count, layers=len(layers), levels=len(levels),
            reserved=b"\x00\x00",
        )
    )
    for fen in levels:
        raw += fen.to_bytes(4, "big")
    for code in codes:
        if not is_int(code) or not 0 <= code <= 0xFFFF:
            raise BadInput("a place's code is 0 to 65535")
        raw += code.to_bytes(2, "big")
    for row in rows:
        raw += bytes([NO_RIDE if fen is None else number[fen] for fen in row])
    if len(raw) > GRID_BYTES_MAX:
        raise BadInput("the grid has %d bytes, devices take %d" % (len(raw), GRID_BYTES_MAX))
    blob = bytes(raw)
    Grid(blob)
    return blob


def _cells(shape: int, layer: "list[list[int | None]]") -> "list[int | None]":
    """The prices that a shape keeps, in its order."""
    count = len(layer)
    if shape == SQUARE:
        return [fen for row in layer for fen in row]
    cells = []
    for j in range(count):
        for i in range(j):
            if shape == BOTH_WAYS and layer[i][j] != layer[j][i]:
                raise BadInput("rides between places %d and %d cost differently each way" % (i, j))
            cells.append(layer[i][j])
    return cells
