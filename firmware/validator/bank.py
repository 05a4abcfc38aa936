"""One bank of the parameter store: a blob on raw flash, staged in pieces, whole and proven or not used at all.

    chunk 0   header: HEADER, programmed when the bank was erased, at 56 `proven`, at 60 `refused`
    chunk 1   marks: one byte for each chunk of the blob that is durable
    chunk 2.. the blob

A chunk is programmed, then its mark. After a power cut the first chunk without a mark is programmed again: the same
bytes on top of themselves, which NOR flash takes. Every byte and why: firmware/docs/params.md.
"""

from hashlib import sha256

from tunion.compat import const
from tunion.crc import crc32
from tunion.record import Record
from tunion.wire.params import BLOB_BYTES_MAX
from validator.cells import is_set, sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes
    from validator.ports import Flash
    from validator.settings import ParamsArea

CHUNK_BYTES = const(128)  # divides the pages of every flash that the journal takes
BANK_BYTES = 2 * CHUNK_BYTES + BLOB_BYTES_MAX
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
_BLOB_AT = 2 * CHUNK_BYTES
_BLANK = const(0xFF)


class Bank:
    """Bank at `first_sector`. After `mount`: `header` is None or HEADER, `staged` bytes of its blob are durable."""

    def __init__(self, flash: "Flash", first_sector: int) -> None:
        self._flash = flash
        self._first_sector = first_sector
        self._start = first_sector * flash.sector_bytes
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
        if header.magic != MAGIC or header.layout != VERSION or not 0 < header.bytes <= BLOB_BYTES_MAX:
            return
        self.header = header
        self.proven = is_set(self._chunk[_PROVEN_AT])
        self.refused = self._chunk[_REFUSED_AT] ^ _BLANK
        self._load(1)
        while self.staged < header.bytes and is_set(self._chunk[self.staged // CHUNK_BYTES]):
            self.staged = min(header.bytes, self.staged + CHUNK_BYTES)

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
        self._unerased = sectors_of(self._flash)

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
        self.header = HEADER.unpack(header)

    def stage(self, data: "Bytes") -> int:
        """Program the next chunk from the start of `data`; how many of its bytes are durable now.

        Only a whole chunk is taken, or the blob's end.
        """
        count: int = min(CHUNK_BYTES, self.header.bytes - self.staged)
        if len(data) < count:
            return 0
        self._flash.program(self._start + _BLOB_AT + self.staged, data[:count])
        self._flash.program(self._start + _MARKS_AT + self.staged // CHUNK_BYTES, b"\x00")
        self.staged += count
        return count

    # -- the whole blob -----------------------------------------------------------------------------------------

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the blob."""
        out = bytearray(count)
        self._flash.read_into(self._start + _BLOB_AT + offset, out)
        return bytes(out)

    def hash_into(self, context: "Any", offset: int, count: int) -> None:
        """Bytes of the blob into a SHA-256, without holding them."""
        while count:
            part = memoryview(self._chunk)[: min(CHUNK_BYTES, count)]
            self._flash.read_into(self._start + _BLOB_AT + offset, part)
            context.update(part)
            offset += len(part)
            count -= len(part)

    def is_intact(self) -> bool:
        """The blob hashes to what the header says: 8 kB take some 10 ms on a board."""
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
        self._flash.program(self._start + _MARKS_AT, bytes((header.bytes + CHUNK_BYTES - 1) // CHUNK_BYTES))

    def refuse(self, why: int) -> None:
        """Never make this blob active. `why` is 1..254."""
        if not self.refused:
            self._flash.program(self._start + _REFUSED_AT, bytes((why ^ _BLANK,)))
            self.refused = why

    def _load(self, chunk: int) -> None:
        self._flash.read_into(self._start + chunk * CHUNK_BYTES, self._chunk)


def sectors_of(flash: "Flash | ParamsArea") -> int:
    """How many sectors one bank takes on this flash."""
    return (BANK_BYTES + flash.sector_bytes - 1) // flash.sector_bytes


def _packed(version: int, size: int, digest: bytes) -> bytes:
    return sealed(HEADER, magic=MAGIC, layout=VERSION, reserved=bytes(3), version=version, bytes=size, sha256=digest)
