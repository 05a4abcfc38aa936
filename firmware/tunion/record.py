"""Fixed binary layouts, declared once, checked on every pack.

A `Record` is a table of rows `(field, code)`. Big-endian. The size is written out beside the rows, so a slip
fails at import. MicroPython's `struct` truncates in silence and fills missing values with 0; this does neither.

    code   bytes  value
    B H    1 2    int, unsigned
    T I    3 4    int, unsigned
    Q      8      int, unsigned
    i      4      int, signed, two's complement
    7s     7      bytes of exactly that length
"""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Bytes = bytes | bytearray | memoryview

_WIDTHS = {"B": 1, "H": 2, "T": 3, "I": 4, "Q": 8, "i": 4}


class BadInput(ValueError):
    """A value does not fit its field, or a blob its layout. From a peer: refuse it. From us: our bug."""


def is_int(value: "Any") -> bool:
    """An int and no bool, which is an int on CPython only."""
    return isinstance(value, int) and value is not True and value is not False


class Record:
    """One layout. `pack(**fields) -> bytes`, `unpack(blob, offset=0) -> namedtuple`."""

    def __init__(self, name: str, size: int, rows: "tuple[tuple[str, str], ...]") -> None:
        fields = []
        offset = 0
        for field, code in rows:
            width = int(code[:-1]) if code[-1] == "s" else _WIDTHS[code]
            fields.append((field, code[-1], offset, width))
            offset += width
        if offset != size:
            raise BadInput("%s: rows make %d bytes, declared %d" % (name, offset, size))
        self.name = name
        self.size = size
        self.fields = tuple(fields)
        make_row: Any = namedtuple  # the checker wants literal names
        self._row = make_row(name, [field[0] for field in fields])

    def pack(self, **values: "Any") -> bytes:
        """The layout's bytes. Every field must be given, no other may be; raises BadInput naming the field."""
        out = bytearray(self.size)
        for field, kind, offset, width in self.fields:
            if field not in values:
                raise BadInput("%s.%s is missing" % (self.name, field))
            value = values[field]
            if kind == "s":
                if not isinstance(value, (bytes, bytearray, memoryview)) or len(value) != width:
                    raise BadInput("%s.%s takes %d bytes" % (self.name, field, width))
                out[offset : offset + width] = value
            else:
                low = -(1 << (8 * width - 1)) if kind == "i" else 0
                high = (1 << (8 * width)) + low
                if not is_int(value) or not low <= value < high:
                    raise BadInput("%s.%s takes an int that fits %d bytes" % (self.name, field, width))
                if value < 0:
                    value += 1 << (8 * width)
                out[offset : offset + width] = value.to_bytes(width, "big")
        if len(values) != len(self.fields):
            raise BadInput("%s takes no %s" % (self.name, ", ".join(self._strangers(values))))
        return bytes(out)

    def unpack(self, blob: "Bytes", offset: int = 0) -> "Any":
        """The fields of `blob[offset : offset + size]`; raises BadInput when it is shorter."""
        if len(blob) < offset + self.size:
            raise BadInput("%s takes %d bytes, got %d" % (self.name, self.size, len(blob) - offset))
        values: list[Any] = []
        for _, kind, start, width in self.fields:
            start += offset
            raw = bytes(blob[start : start + width])
            if kind == "s":
                values.append(raw)
            else:
                value = int.from_bytes(raw, "big")
                if kind == "i" and value >> (8 * width - 1):
                    value -= 1 << (8 * width)
                values.append(value)
        return self._row(*values)

    def unpack_whole(self, blob: "Bytes") -> "Any":
        """As unpack, of a blob that holds exactly one record; raises BadInput for any other length."""
        if len(blob) != self.size:
            raise BadInput("%s takes %d bytes, got %d" % (self.name, self.size, len(blob)))
        return self.unpack(blob)

    def _strangers(self, values: "dict[str, Any]") -> "list[str]":
        known = [field[0] for field in self.fields]
        return sorted(name for name in values if name not in known)
