"""TAC verdicts in bulk: many rows at once in C, each lane its own key. How and why: backoffice/docs/tac.md.

`make setup` compiles build/native/libyktac.so. Without it, or where it is not of these sources, `load` gives None,
`state` says why, and the caller's plain path gives the same verdicts, some forty times slower.
"""

import ctypes
import logging
import secrets
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from backoffice.keys.backend import KeysError
from backoffice.keys.native import build
from backoffice.keys.service import ROW_VERDICTS, TAC_ROW, TacRequest
from tunion import bcd
from tunion.record import BadInput

PORTABLE, AVX2 = "portable", "avx2"
KEY_BYTES = 16
ROWS_MAX = (1 << 32) - 1  # numbers of rows have 32 bits
COUNTERS, SHARED = 1 << 20, 4  # of CardCounts: so many, a power of two, for each of the ways of a card (tac.c)
DES3 = 0  # the algorithm identifier that is done here

_OK, _BAD, _NO_KEY, _UNAVAILABLE = sorted(ROW_VERDICTS)
_ASK_PLAIN, _CHECK = 0xFE, 0xFF  # of a tag: verdicts come from elsewhere, from the lanes
_VARIANTS = {PORTABLE: 1, AVX2: 2}
_SPARE = (19, 46, 47)
_UNSTAMPED = struct.Struct(">8s8sBBBxIB6sII3x4s2x")  # TAC_ROW with the seconds where its stamp begins
_KNOWN = (  # an issuer's key, a row of it with its TAC: the plain purchase of the card vectors
    bytes.fromhex("5595BCFD3FBFA626861E90E475594108"),
    bytes.fromhex(
        "04026110FFFFFFFF 4999000000000017 00000100 000000C8066110000000420000006420250601071000 624A5580 0000"
    ),
)

_log = logging.getLogger(__name__)


class BadRows(KeysError):
    """This is no row after row of TAC_ROW. The message says where; no row of it got a verdict."""


class Tag(NamedTuple):
    """What decides on the key of a row, but for the card."""

    issuer: bytes
    product: int
    algorithm: int
    version: int


class Plain:
    """What `resolve` answers where the rows of a tag take another path."""


PLAIN = Plain()
Resolve = Callable[[Tag], bytes | Plain | None]
Rows = Callable[[bytes], bytes]


class Native:
    """The compiled library. Methods may run in several threads; the interpreter is free meanwhile."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
        library.tac_tags.argtypes = [ctypes.c_char_p, size, ctypes.c_uint64, pointer, pointer]
        library.tac_tags.restype = number
        library.tac_verify.argtypes = [ctypes.c_int, ctypes.c_char_p, size, pointer, size, pointer, pointer, pointer]
        library.tac_verify.restype = number
        library.tac_count.argtypes = [ctypes.c_char_p, size, ctypes.c_uint64, pointer, size, ctypes.c_uint16]
        library.tac_count.restype = size
        library.tac_stamp.argtypes = [pointer, size]
        library.tac_stamp.restype = None
        library.tac_wipe.argtypes = [pointer, size]
        library.tac_wipe.restype = None
        self._library = library
        found = library.tac_variants()
        self.variants = [name for name, bit in _VARIANTS.items() if found & bit]  # the fastest last

    def verify_rows(self, rows: bytes, resolve: Resolve, plain: Rows, variant: str = "") -> bytes:
        """As `verify_rows` of this module. `variant`: one of `variants`, the fastest where it is empty."""
        count = checked(rows)
        tags = (ctypes.c_uint32 * count)()
        first = (ctypes.c_uint32 * count)()
        found = self._library.tac_tags(rows, count, secrets.randbits(64), tags, first)
        if found < 0:
            raise MemoryError("no memory to number the tags of so many rows: send fewer in one call")
        keys = (ctypes.c_uint8 * (KEY_BYTES * found))()
        of_tag = bytearray(found)
        verdicts = (ctypes.c_uint8 * count)()
        try:
            for number in range(found):
                of_tag[number] = _enter(resolve, tag_at(rows, first[number]), keys, number)
            code = _VARIANTS[variant or self.variants[-1]]
            ways = (ctypes.c_uint8 * found).from_buffer(of_tag) if found else None
            answered = self._library.tac_verify(code, rows, count, tags, found, keys, ways, verdicts)
        finally:
            self._library.tac_wipe(keys, ctypes.sizeof(keys))
        if answered != count:
            raise AssertionError(f"{answered} of {count} rows have a verdict")
        made = bytes(verdicts)
        return _with_plain(made, rows, plain) if _ASK_PLAIN in of_tag else made

    def cards_over(self, most: int, counters: int = COUNTERS) -> "CardCounts":
        """Counts of cards, none yet."""
        return CardCounts(self._library, most, counters)

    def stamp(self, rows: bytearray) -> None:
        """The seconds since 1970 in each row become the card's date and time."""
        if rows:
            self._library.tac_stamp((ctypes.c_uint8 * len(rows)).from_buffer(rows), len(rows) // TAC_ROW.size)


class CardCounts:
    """How often each card came, in 8 MB for any number of them: never too few, seldom a little too many.

    The error is hardly ever above the number of all rows over `counters`: 60 for 60 million rows. Not for several
    threads.
    """

    def __init__(self, library: ctypes.CDLL, most: int, counters: int) -> None:
        self._library = library
        self._counters = counters
        self._most = most
        self._seed = secrets.randbits(64)  # nobody can choose cards that share counters
        self._counts = (ctypes.c_uint16 * (SHARED * counters))()

    def add(self, rows: bytes) -> int:
        """How many cards of these rows came more than `most` times just now."""
        count = checked(rows)
        return int(self._library.tac_count(rows, count, self._seed, self._counts, self._counters, self._most))


def verify_rows(rows: bytes, resolve: Resolve, plain: Rows) -> bytes:
    """A verdict a row of service.TAC_ROW, in their order: service.ROW_VERDICTS.

    resolve  called once for each distinct tag: the issuer's 16-byte key, None where there is none, or PLAIN. It is not
             asked about what is not 3DES
    plain    gives the verdicts of the rows that go another way, and of all where there is no library
    raises   BadRows
    """
    native = load()
    if native is None:
        checked(rows)
        return plain(rows)
    return native.verify_rows(rows, resolve, plain)


def pack_rows(requests: Sequence[TacRequest], native: Native | None) -> bytes:
    """TAC_ROWs, one after another; `native`: what `load` gave. Raises BadInput for a field that does not fit."""
    pack = _UNSTAMPED.pack
    packed = []
    try:
        for issuer, card, algorithm, fare_fen, kind, terminal, terminal_seq, at_s, tac, product, version in requests:
            if len(issuer) != 8 or len(card) != 10 or len(terminal) != 6 or len(tac) != 4:
                raise BadInput("a TAC request has 8 bytes of issuer, 10 of card, 6 of terminal, 4 of TAC")
            row = pack(
                issuer, card[2:], product, algorithm, version, fare_fen, kind, terminal, terminal_seq, at_s, tac
            )
            packed.append(row)
    except struct.error as error:
        raise BadInput(f"a field of a TAC request does not fit its row: {error}") from error
    rows = bytearray(b"".join(packed))
    if native is None:
        for at in range(35, len(rows), TAC_ROW.size):
            rows[at : at + 7] = bcd.stamp(int.from_bytes(rows[at : at + 4], "big"))
    else:
        native.stamp(rows)
    return bytes(rows)


def checked(rows: bytes) -> int:
    """How many rows these are. Raises BadRows."""
    if not isinstance(rows, bytes):
        raise BadRows("rows come as bytes: what may change meanwhile is not verified")
    count, rest = divmod(len(rows), TAC_ROW.size)
    if rest:
        raise BadRows(f"{len(rows)} bytes are no whole rows of {TAC_ROW.size}: send the last one whole")
    if count > ROWS_MAX:
        raise BadRows(f"{count} rows are too many for one call: at most {ROWS_MAX}")
    for offset in _SPARE:
        spare = rows[offset :: TAC_ROW.size]
        if spare.count(0) != count:
            number = len(spare) - len(spare.lstrip(b"\0"))
            raise BadRows(f"row {number}: its byte {offset} is not 0, so it is of a form unknown here: pack it anew")
    return count


def tag_at(rows: bytes, number: int) -> Tag:
    """The tag of that row."""
    at = TAC_ROW.size * number
    return Tag(rows[at : at + 8], rows[at + 16], rows[at + 17], rows[at + 18])


@lru_cache(maxsize=1)
def load() -> Native | None:
    """The library, or None: `state` says why. The reason is logged once."""
    native, reason = _open(build.LIBRARY)
    if native is None:
        _log.warning("TAC verdicts go the slow way: %s", reason)
    return native


def state() -> str:
    """For `ykt keys list`: which variant gives TAC verdicts, or why none does."""
    native, reason = _open(build.LIBRARY)
    return reason if native is None else f"native, {native.variants[-1]}"


def _open(path: Path) -> tuple[Native | None, str]:
    """The library at `path`, or None and why."""
    fault = build.fault(path)
    if fault:
        return None, fault
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return None, f"{path.name} does not load ({error.__class__.__name__}): run `make setup`"
    native = Native(library)
    key, row = _KNOWN
    wrong = row[:-3] + bytes((row[-3] ^ 1,)) + row[-2:]
    for variant in native.variants:
        if native.verify_rows(row + wrong, lambda tag: key, bytes, variant) != bytes((_OK, _BAD)):
            return None, f"{path.name} fails the published vector ({variant}): run `make setup`, then report it"
    return native, ""


def _enter(resolve: Resolve, tag: Tag, keys: "ctypes.Array[ctypes.c_uint8]", number: int) -> int:
    """Where the verdicts of a tag come from; its key into `keys`."""
    if tag.algorithm != DES3:
        return _ASK_PLAIN
    key = resolve(tag)
    if key is None:
        return _NO_KEY
    if isinstance(key, Plain):
        return _ASK_PLAIN
    if len(key) != KEY_BYTES:
        raise ValueError(f"a TAC key of an issuer has {KEY_BYTES} bytes")
    ctypes.memmove(ctypes.addressof(keys) + KEY_BYTES * number, key, KEY_BYTES)
    return _CHECK


def _with_plain(verdicts: bytes, rows: bytes, plain: Rows) -> bytes:
    """The rows left over, in their order, to the other path; its verdicts into their places."""
    size = TAC_ROW.size
    numbers = [number for number, verdict in enumerate(verdicts) if verdict == _ASK_PLAIN]
    answers = plain(b"".join(rows[size * number : size * (number + 1)] for number in numbers))
    if len(answers) != len(numbers) or any(answer not in ROW_VERDICTS for answer in answers):
        raise AssertionError(f"{len(answers)} verdicts for {len(numbers)} rows")
    whole = bytearray(verdicts)
    for number, answer in zip(numbers, answers, strict=True):
        whole[number] = answer
    return bytes(whole)
