"""What the office offers for download: a signed list for one scope, and pieces of what it names.

    GET /d/v1/manifest?scope=SCOPE            COSE_Sign1, external AAD "manifest SCOPE"
        payload   [layout, issued_at_s, [[kind, version, bytes, sha256, effective_at_s, base], ...]]
                  base: the version that a delta changes; left out where it is 0
    GET /d/v1/blob/SHA256?off=N&len=N         the bytes, at most PIECE_BYTES_MAX

The blob carries its own signature; the manifest says which one is wanted now.
"""

from collections import namedtuple

from tunion import cbor
from tunion.compat import const
from tunion.record import BadInput, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes

LAYOUT = const(1)
PIECE_BYTES_MAX = const(2048)  # one answer; a mobile link carries it in half a second, a device holds it whole
ENTRIES_MAX = const(16)  # some 50 bytes each: an answer's limit is 4 kB
BLOB_PATH = "/d/v1/blob/"
MANIFEST_PATH = "/d/v1/manifest"
PARAMS = "params"  # a kind of blob: tunion.wire.params; the others are tunion.wire.lists.NAMES

Entry = namedtuple("Entry", ("kind", "version", "bytes", "sha256", "effective_at_s", "base"))


def aad(scope: str) -> bytes:
    """A manifest for one scope is none for another."""
    return ("manifest " + scope).encode()


def manifest_path(scope: str) -> str:
    """The request's path; a scope has letters, digits, '-', '_' and '.' only."""
    return "%s?scope=%s" % (MANIFEST_PATH, scope)


def blob_path(sha256: bytes, offset: int, count: int) -> str:
    """The request's path for one piece."""
    return "%s%s?off=%d&len=%d" % (BLOB_PATH, sha256.hex(), offset, count)


def encode(issued_at_s: int, entries: "list[Entry]") -> bytes:
    """The payload."""
    return cbor.encode([LAYOUT, issued_at_s, [list(entry)[: 6 if entry.base else 5] for entry in entries]])


def decode(payload: "Bytes") -> "tuple[int, list[Entry]]":
    """(issued_at_s, entries). Raises BadInput."""
    fields = cbor.decode(payload)
    if not isinstance(fields, list) or len(fields) != 3 or fields[0] != LAYOUT or not _is_number(fields[1]):
        raise BadInput("not a manifest of layout %d" % LAYOUT)
    if not isinstance(fields[2], list) or len(fields[2]) > ENTRIES_MAX:
        raise BadInput("a manifest has at most %d entries" % ENTRIES_MAX)
    return fields[1], [_entry(row) for row in fields[2]]


def _entry(row: "Any") -> Entry:
    if not isinstance(row, list) or len(row) not in (5, 6) or not isinstance(row[0], str):
        raise BadInput("a manifest entry is [kind, version, bytes, sha256, effective_at_s], and a delta's base")
    if not isinstance(row[3], bytes) or len(row[3]) != 32:
        raise BadInput("a manifest entry has a SHA-256")
    for number in [row[1], row[2]] + row[4:]:
        if not _is_number(number):
            raise BadInput("a manifest entry has numbers of 32 bits")
    return Entry(*(row + [0])[:6])


def _is_number(value: "Any") -> bool:
    return is_int(value) and 0 <= value <= 0xFFFFFFFF
