"""Looks for keys in files and in what programs say, however they are written.

A key is cut into pieces of 8 bytes; each piece is looked for at every byte of every way to read the data. So half a
key is found as well as a whole one, halves that were swapped, and a key that a page's end cuts in two. Ways to read:
as it is, bytes backwards, UTF-16, hex in any case and grouping, base64 at any alignment, the escapes of a Python or
JSON text, a list of numbers; the streams and the text of a PDF; the words of SLIP-39, whose checksum tells a share.
"""

import binascii
import contextlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pypdf import PdfReader
from pypdf.errors import PyPdfError
from pypdf.generic import StreamObject
from shamir_mnemonic import MnemonicError, Share
from shamir_mnemonic.wordlist import WORDLIST

from backoffice.keys.components import SHARE_WORDS

PIECE_BYTES = 8
PLAIN = 4           # so few different bytes in a piece may stand anywhere: zeros, an erased flash
_WORDS = frozenset(word.encode() for word in WORDLIST)
_FILLER = re.compile(rb"\xff{64,}|\x00{64,}")       # no key is in it; what is left may stand closer together
_ESCAPE = re.compile(rb"\\(?:x|u00)([0-9A-Fa-f]{2})")
_BETWEEN = re.compile(rb"0x|\\x|\\u00|\\n|[\s:;,.|/'\"_\-\[\](){}]+")     # digits of a key
_HEX = re.compile(rb"[0-9A-Fa-f]{%d,}" % (2 * PIECE_BYTES))
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{11,}")
_NUMBERS = re.compile(rb"\d{1,3}(?:\s*,\s*\d{1,3}){7,}")
_WORD = re.compile(rb"[a-z]+|[^a-z\s\d.,:|]+")


class Leak(NamedTuple):
    """Names, never the key."""

    key: str
    way: str


class KeySearch:
    """Keys and secret texts by names; `in_` one piece of data after another."""

    def __init__(self, keys: Mapping[str, bytes], texts: Mapping[str, str] | None = None) -> None:
        self._pieces: dict[bytes, str] = {}
        self._texts = {text.encode(): name for name, text in (texts or {}).items()}
        for name, key in keys.items():
            for at in range(0, len(key) - PIECE_BYTES + 1, PIECE_BYTES):
                piece = key[at : at + PIECE_BYTES]
                if len(set(piece)) > PLAIN:
                    self._pieces[piece] = self._pieces[piece[::-1]] = name

    def __len__(self) -> int:
        """Pieces, each forwards and backwards."""
        return len(self._pieces)

    def in_(self, data: bytes) -> set[Leak]:
        """What is found in a file's content."""
        found: set[Leak] = set()
        for way, content in _contents(data):
            for how, text in _readings(content):
                found |= {Leak(name, way + how) for name in self._in_bytes(text)}
            if _shares(content):
                found.add(Leak("a share of SLIP-39", way + "words"))
        return found

    def _in_bytes(self, text: bytes) -> Iterator[str]:
        pieces = self._pieces
        for at in range(len(text) - PIECE_BYTES + 1):
            if text[at : at + PIECE_BYTES] in pieces:
                yield pieces[text[at : at + PIECE_BYTES]]
        for secret, name in self._texts.items():
            if secret in text:
                yield name


def numbers_in(data: bytes, numbers: Iterable[str]) -> set[str]:
    """Which of these card numbers stand in a text, whatever is between their digits."""
    wanted = {number.encode() for number in numbers}
    sizes = {len(number) for number in wanted}
    found: set[bytes] = set()
    for text in (data, data.replace(b"\0", b"")):
        for run in re.findall(rb"\d{%d,}" % min(sizes), re.sub(rb"[ \-._]", b"", text)):
            for size in sizes:
                found |= {run[at : at + size] for at in range(len(run) - size + 1)} & wanted
    return {number.decode() for number in found}


def _contents(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The data; what a PDF holds in compressed form, and says."""
    yield "", _FILLER.sub(lambda run: run[0][:64], data)
    if data.startswith(b"%PDF"):
        try:
            reader = PdfReader(io.BytesIO(data))
            for number in {*reader.xref_objStm, *(number for known in reader.xref.values() for number in known)}:
                one = reader.get_object(number)
                if isinstance(one, StreamObject):
                    yield "PDF stream, ", one.get_data()
            yield "PDF text, ", "\n".join(page.extract_text() for page in reader.pages).encode()
        except (PyPdfError, zlib.error) as error:
            raise AssertionError("a PDF that cannot be read cannot be searched") from error


def _readings(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "raw", content
    text = content.replace(b"\0", b"")
    if len(text) != len(content):
        yield "UTF-16", text
    if b"\\" in text:
        yield "escapes", _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), text)
    for run in _HEX.findall(_BETWEEN.sub(b"", text)):
        for start in (0, 1):
            whole = run[start : start + (len(run) - start) // 2 * 2]
            yield "hex", bytes.fromhex(whole.decode())
    packed = re.sub(rb"\s+|\\n", b"", text)
    for run in _BASE64.findall(packed.replace(b"-", b"+").replace(b"_", b"/")):
        for start in range(4):
            yield "base64", _unbase64(run[start:])
    for run in _NUMBERS.findall(text):
        numbers = [int(number) for number in run.split(b",")]
        yield "numbers", bytes(number for number in numbers if number < 256)


def _unbase64(run: bytes) -> bytes:
    return binascii.a2b_base64(run[: len(run) // 4 * 4] if len(run) % 4 == 1 else run + b"=" * (-len(run) % 4))


def _shares(content: bytes) -> bool:
    """A share stands in a text: 20 words of the list in a row, and their checksum holds."""
    words = _WORD.findall(content.replace(b"\0", b"").lower())
    row: list[bytes] = []
    for word in words:
        row = [*row[-SHARE_WORDS + 1 :], word] if word in _WORDS else []
        if len(row) == SHARE_WORDS:
            with contextlib.suppress(MnemonicError):
                Share.from_mnemonic(b" ".join(row).decode())
                return True
    return False
