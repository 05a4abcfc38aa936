"""One bank of the parameter store: a blob on raw flash, staged in pieces, whole and proven or not used at all.

    chunk 0   header: HEADER, programmed when the bank was erased, at 56 `proven`, at 60 `refused`
    chunk 1.. marks: one byte for each chunk of the blob that is durable; a chunk of them for each 16 kB of blob
    then      the blob

How long the blob is decides where it starts, so a small set lies in a large bank as in a small one.

A chunk is programmed, then its mark. After a power cut the first chunk without a mark is programmed again: the same
bytes on top of themselves, which NOR flash takes. Every byte and why: firmware/docs/params.md.
"""

from hashlib import sha256

from tunion.compat import const
from tunion.crc import crc32
from tunion.record import Record
from validator.cells import is_set, sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes
    from validator.ports import Flash
    from validator.settings import ParamsArea

CHUNK_BYTES = const(128)  # divides the pages of every flash that the journal takes
VERSION = const(1)
MAGIC = b"YKTP"

HEADER = Record(
    "ParamsBank",
    52,
    (
        ("magic", "4s"),
        ("layout", "B"),
        ("reserved", "3s"),  # zero
        ("version", "I"),  # of the parameter set, as the manifest names it
        ("bytes", "I"),  # of the blob
        ("sha256", "32s"),  # of the blob
        ("crc", "I"),
    ),
)
_PROVEN_AT = const(56)  # one byte, 00: hash, signature, sections and prices were checked
_REFUSED_AT = const(60)  # FF, or why this blob must never become active
_MARKS_AT = CHUNK_BYTES
_BLANK = const(0xFF)


class Bank:
    """Bank at `first_sector`. After `mount`: `header` is None or HEADER, `staged` bytes of its blob are durable."""

    def __init__(self, flash: "Flash", first_sector: int, bytes_max: int) -> None:
        """bytes_max: of a blob."""
        self._flash = flash
        self._first_sector = first_sector
        self._start = first_sector * flash.sector_bytes
        self._bytes_max = bytes_max
        self._blob_at = 0  # address of the blob that the header names
        self._chunk = bytearray(CHUNK_BYTES)
        self._unerased = 0  # sectors that `erase` has still to do
        self.mount()

    def mount(self) -> None:
        """Read the flash: at boot, and after a FlashFault."""
        self.header: Any = None
        self.staged = 0
        self.proven = False
        self.refused = 0
        self._load(0)
        header = HEADER.unpack(self._chunk)
        if header.crc != crc32(memoryview(self._chunk)[: HEADER.size - 4]):
            return
        if header.magic != MAGIC or header.layout != VERSION or not 0 < header.bytes <= self._bytes_max:
            return
        self._take(header)
        self.proven = is_set(self._chunk[_PROVEN_AT])
        self.refused = self._chunk[_REFUSED_AT] ^ _BLANK
        self._count_marks(header.bytes)

    def _take(self, header: "Any") -> None:
        self.header = header
        self._blob_at = self._start + CHUNK_BYTES * (1 + _chunks(_chunks(header.bytes)))

    def _count_marks(self, size: int) -> None:
        """`staged`, up to the first chunk without a mark."""
        for number in range(_chunks(size)):
            if number % CHUNK_BYTES == 0:
                self._load(1 + number // CHUNK_BYTES)
            if not is_set(self._chunk[number % CHUNK_BYTES]):
                return
            self.staged = min(size, self.staged + CHUNK_BYTES)

    @property
    def is_whole(self) -> bool:
        """Every byte is durable. Whether they are the right ones the hash tells."""
        return self.header is not None and self.staged == self.header.bytes

    # -- staging ------------------------------------------------------------------------------------------------

    def void(self) -> None:
        """Begin to erase: the header goes first, since an erase cut short may leave any bits of it."""
        self._flash.program(self._start, bytes(_PROVEN_AT))
        self.header = None
        self.staged = 0
        self.proven = False
        self.refused = 0
        self._unerased = sectors_of(self._flash, self._bytes_max)

    def erase(self) -> bool:
        """Erase one sector; True when none is left. Slow: never with a card present."""
        if self._unerased:
            self._flash.erase(self._first_sector + self._unerased - 1)
            self._unerased -= 1
        return self._unerased == 0

    def begin(self, version: int, size: int, digest: bytes) -> None:
        """Say what will be staged here, in a bank that was just erased."""
        assert self.header is None and self._unerased == 0, "the bank was not erased"
        header = _packed(version, size, digest)
        self._flash.program(self._start, header)
        self._take(HEADER.unpack(header))

    def stage(self, data: "Bytes") -> int:
        """Program the next chunk from the start of `data`; how many of its bytes are durable now.

        Only a whole chunk is taken, or the blob's end.
        """
        count: int = min(CHUNK_BYTES, self.header.bytes - self.staged)
        if len(data) < count:
            return 0
        self._flash.program(self._blob_at + self.staged, data[:count])
        self._flash.program(self._start + _MARKS_AT + self.staged // CHUNK_BYTES, b"\x00")
        self.staged += count
        return count

    # -- the whole blob -----------------------------------------------------------------------------------------

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the blob."""
        out = bytearray(count)
        self.read_into(offset, out)
        return bytes(out)

    def read_into(self, offset: int, buffer: "bytearray | memoryview") -> None:
        """Bytes of the blob, as many as the buffer holds."""
        self._flash.read_into(self._blob_at + offset, buffer)

    def hash_into(self, context: "Any", offset: int, count: int) -> None:
        """Bytes of the blob into a SHA-256, without holding them."""
        while count:
            part = memoryview(self._chunk)[: min(CHUNK_BYTES, count)]
            self._flash.read_into(self._blob_at + offset, part)
            context.update(part)
            offset += len(part)
            count -= len(part)

    def is_intact(self) -> bool:
        """The blob hashes to what the header says, in one go: at boot, and in a self-test."""
        if not self.is_whole:
            return False
        context = sha256()
        self.hash_into(context, 0, self.header.bytes)
        return bool(context.digest() == self.header.sha256)

    def prove(self) -> None:
        """Everything about this blob was checked."""
        self._flash.program(self._start + _PROVEN_AT, b"\x00")
        self.proven = True

    def make_firm(self) -> None:
        """Program once more what a power cut may have left half done and what reads whole now. Before it is relied on.

        Chunks are firm: one that was cut short had no mark, and was programmed again.
        """
        header = self.header
        self._flash.program(self._start, _packed(header.version, header.bytes, header.sha256))
        self._flash.program(self._start + _PROVEN_AT, b"\x00")
        marks = _chunks(header.bytes)
        for first in range(0, marks, CHUNK_BYTES):  # a chunk of them never crosses a page
            self._flash.program(self._start + _MARKS_AT + first, bytes(min(CHUNK_BYTES, marks - first)))

    def refuse(self, why: int) -> None:
        """Never make this blob active. `why` is 1..254."""
        if not self.refused:
            self._flash.program(self._start + _REFUSED_AT, bytes((why ^ _BLANK,)))
            self.refused = why

    def _load(self, chunk: int) -> None:
        self._flash.read_into(self._start + chunk * CHUNK_BYTES, self._chunk)


def sectors_of(flash: "Flash | ParamsArea", bytes_max: int) -> int:
    """How many sectors one bank takes on this flash, for blobs of so many bytes."""
    total = CHUNK_BYTES * (1 + _chunks(_chunks(bytes_max))) + bytes_max
    return (total + flash.sector_bytes - 1) // flash.sector_bytes


def _chunks(count: int) -> int:
    """How many chunks take `count` bytes: of a blob, or of its marks."""
    return (count + CHUNK_BYTES - 1) // CHUNK_BYTES


def _packed(version: int, size: int, digest: bytes) -> bytes:
    return sealed(HEADER, magic=MAGIC, layout=VERSION, reserved=bytes(3), version=version, bytes=size, sha256=digest)
