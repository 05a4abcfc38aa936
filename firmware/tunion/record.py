"""Fixed binary layouts, declared once, checked on every pack.

A `Record` is a table of rows `(field, code)`. Big-endian. The size is written out beside the rows, so a slip
fails at import. MicroPython's `struct` truncates in silence and fills missing values with 0: it is handed only what
was checked.

    code   bytes  value
    B H    1 2    int, unsigned
    T I    3 4    int, unsigned
    Q      8      int, unsigned
    i      4      int, signed, two's complement
    7s     7      bytes of exactly that length
"""

import struct
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Bytes = bytes | bytearray | memoryview

_StructError = getattr(struct, "error", ValueError)  # MicroPython's has none
_WIDTHS = {"B": 1, "H": 2, "T": 3, "I": 4, "Q": 8, "i": 4}


class BadInput(ValueError):
    """A value does not fit its field, or a blob its layout. From a peer: refuse it. From us: our bug."""


def is_int(value: "Any") -> bool:
    """An int and no bool, which is an int on CPython only."""
    return isinstance(value, int) and value is not True and value is not False


class Record:
    """One layout. `pack(**fields) -> bytes`, `unpack(blob, offset=0) -> namedtuple`; `names` in their order.

    What only an error asks for is not kept: the rows say it, which lie in a board's ROM.
    """

    def __init__(self, name: str, size: int, rows: "tuple[tuple[str, str], ...]") -> None:
        triples = []  # which are numbers of three bytes: those pass through struct as bytes
        types: list[type] = []
        layout = ">"
        offset = 0
        for _, code in rows:
            if code == "T":
                triples.append(len(types))
            types.append(bytes if code[-1] == "s" else int)
            layout += "3s" if code == "T" else code
            offset += _width(code)
        if offset != size:
            raise BadInput("%s: rows make %d bytes, declared %d" % (name, offset, size))
        self.name = name
        self.size = size
        self.names = tuple([row[0] for row in rows])
        self._rows = rows
        self._types = tuple(types)
        self._triples = tuple(triples)
        self._layout = layout
        make_row: Any = namedtuple  # the checker wants literal names
        self._row = make_row(name, self.names)

    @property
    def fields(self) -> "list[tuple[str, str, int, int]]":
        """(name, kind, offset, width) of each; for whoever describes a layout."""
        found = []
        offset = 0
        for field, code in self._rows:
            found.append((field, code[-1], offset, _width(code)))
            offset += _width(code)
        return found

    def pack(self, **values: "Any") -> bytes:
        """The layout's bytes. Every field must be given, no other may be; raises BadInput naming the field."""
        row: list[Any] = [values.get(name) for name in self.names]
        # What struct truncated does not come back as it was: one comparison instead of a check for each field.
        if len(values) == len(row) and tuple(map(type, row)) == self._types:
            for at in self._triples:
                if not 0 <= row[at] <= 0xFFFFFF:
                    return self._slowly(values)
                row[at] = row[at].to_bytes(3, "big")
            try:
                raw = struct.pack(self._layout, *row)
            except (_StructError, OverflowError):  # CPython's does not truncate
                return self._slowly(values)
            if struct.unpack(self._layout, raw) == tuple(row):
                return raw
        return self._slowly(values)

    def _slowly(self, values: "dict[str, Any]") -> bytes:
        """With a check for each field, for what is wrong or no plain bytes."""
        row: list[Any] = []
        for field, code in self._rows:
            if field not in values:
                raise BadInput("%s.%s is missing" % (self.name, field))
            value = values[field]
            width = _width(code)
            if code[-1] == "s":
                if not isinstance(value, (bytes, bytearray, memoryview)) or len(value) != width:
                    raise BadInput("%s.%s takes %d bytes" % (self.name, field, width))
                if isinstance(value, memoryview):
                    value = bytes(value)
            else:
                least = -(1 << (8 * width - 1)) if code == "i" else 0
                if type(value) is not int or not least <= value < least + (1 << (8 * width)):  # a bool is no int here
                    raise BadInput("%s.%s takes an int that fits %d bytes" % (self.name, field, width))
            row.append(value)
        if len(values) != len(row):
            strangers = sorted([name for name in values if name not in self.names])
            raise BadInput("%s takes no %s" % (self.name, ", ".join(strangers)))
        for at in self._triples:
            row[at] = row[at].to_bytes(3, "big")
        return struct.pack(self._layout, *row)

    def unpack(self, blob: "Bytes", offset: int = 0) -> "Any":
        """The fields of `blob[offset : offset + size]`; raises BadInput when it is shorter."""
        if len(blob) < offset + self.size:
            raise BadInput("%s takes %d bytes, got %d" % (self.name, self.size, len(blob) - offset))
        row = struct.unpack_from(self._layout, blob, offset)
        if self._triples:
            changed = list(row)
            for at in self._triples:
                changed[at] = int.from_bytes(changed[at], "big")
            row = tuple(changed)
        return self._row(*row)

    def unpack_whole(self, blob: "Bytes") -> "Any":
        """As unpack, of a blob that holds exactly one record; raises BadInput for any other length."""
        if len(blob) != self.size:
            raise BadInput("%s takes %d bytes, got %d" % (self.name, self.size, len(blob)))
        return self.unpack(blob)


def _width(code: str) -> int:
    return int(code[:-1]) if code[-1] == "s" else _WIDTHS[code]
