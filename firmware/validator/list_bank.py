"""One bank of a list store: a sorted list, or a delta, on raw flash; staged in pieces, whole or not used at all.

    0     HEADER, programmed when the bank was erased
    192   proven: 00 when every check has passed
    193   refused: FF, or FF xor the reason
    194   old: 00 when it was told that this list is old
    256   marks: one byte for each unit of the content that is durable
    1280  the content

A unit is programmed in chunks, then its mark. After a power cut the first unit without a mark is programmed again: the
same bytes on top of themselves. Every byte and why: firmware/docs/lists.md.
"""

from tunion.compat import const
from tunion.crc import crc32
from tunion.record import Record
from tunion.wire import lists as wire
from validator.cells import is_set, may_become, sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes
    from validator.ports import Flash
    from validator.settings import ListsArea

CHUNK_BYTES = const(128)  # divides the pages of every flash that the journal takes
UNIT_BYTES = const(2048)  # one piece of a download: what a power cut costs at most
META_BYTES = const(1280)
LAYOUT = const(1)
MAGIC = b"YKTL"
WHOLE, DELTA = const(0), const(1)  # what a bank holds

HEADER = Record(
    "ListBank",
    140,
    (
        ("magic", "4s"),
        ("layout", "B"),
        ("name", "B"),  # DENY, CITY, BIN
        ("holds", "B"),  # WHOLE, DELTA
        ("reserved", "B"),  # zero
        ("version", "I"),
        ("base", "I"),  # of a delta
        ("created_s", "I"),
        ("effective_at_s", "I"),
        ("expires_at_s", "I"),
        ("removed", "I"),  # records of a delta's content, those before `count`
        ("count", "I"),  # records of the content
        ("sha256", "32s"),  # of the content
        ("result_count", "I"),
        ("result_sha256", "32s"),
        ("blob", "32s"),  # SHA-256 of what was downloaded, as the manifest names it
        ("crc", "I"),
    ),
)
VARYING = tuple([name for name in HEADER.names if name not in ("magic", "layout", "reserved", "crc")])
_PROVEN_AT = const(192)
_REFUSED_AT = const(193)
_OLD_AT = const(194)
_MARKS_AT = const(256)
_MARKS_MAX = META_BYTES - 256
_BLANK = const(0xFF)


class ListBank:
    """Bank of `sectors` at `first_sector`. After `mount`: `header` is None or HEADER, `staged` bytes are durable."""

    def __init__(self, flash: "Flash", first_sector: int, sectors: int) -> None:
        self._flash = flash
        self._first_sector = first_sector
        self._sectors = sectors
        self._start = first_sector * flash.sector_bytes
        self._chunk = bytearray(CHUNK_BYTES)
        self._unerased = 0
        self.content_at = self._start + META_BYTES  # address in the flash
        self.mount()

    def mount(self) -> None:
        """Read the flash: at boot, and after a FlashFault."""
        self.header: Any = None
        self.content_bytes = 0  # of what is held, or being staged
        self.staged = 0
        self.proven = False
        self.refused = 0
        self.old_told = False
        self._is_firm = False  # what was read at boot was programmed again
        self._is_doubtful = True  # cells behind `staged` may hold something
        raw = bytearray(HEADER.size)
        self._flash.read_into(self._start, raw)
        header = HEADER.unpack(raw)
        if header.crc != crc32(memoryview(raw)[: HEADER.size - 4]):
            return
        if header.magic != MAGIC or header.layout != LAYOUT or header.name not in wire.NAMES:
            return
        content_bytes = header.count * wire.RECORD_BYTES[header.name]
        if content_bytes > self.room:
            return
        self.header = header
        self.content_bytes = content_bytes
        self._flash.read_into(self._start + _PROVEN_AT, self._chunk)
        self.proven = is_set(self._chunk[0])
        self.refused = self._chunk[_REFUSED_AT - _PROVEN_AT] ^ _BLANK
        self.old_told = is_set(self._chunk[_OLD_AT - _PROVEN_AT])
        units = self._units()
        unit = 0
        while unit < units:
            self._flash.read_into(self._start + _MARKS_AT + unit, self._chunk)
            here = 0
            while here < CHUNK_BYTES and unit + here < units and is_set(self._chunk[here]):
                here += 1
            unit += here
            if here < CHUNK_BYTES:
                break
        self.staged = min(self.content_bytes, unit * UNIT_BYTES)

    @property
    def room(self) -> int:
        """Bytes of content that fit."""
        return min(self._sectors * self._flash.sector_bytes - META_BYTES, _MARKS_MAX * UNIT_BYTES)

    @property
    def is_whole(self) -> bool:
        """Every byte is durable. Whether they are the right ones the hash tells."""
        return self.header is not None and self.staged == self.content_bytes

    def holds(self, blob: bytes) -> bool:
        """This is, or becomes, the content of that blob."""
        return self.header is not None and bool(self.header.blob == blob)

    # -- staging ------------------------------------------------------------------------------------------------

    def void(self, content_bytes: int) -> None:
        """Begin to erase: the header goes first, since an erase cut short may leave any bits of it."""
        self._program(self._start, bytes(HEADER.size))
        self.header = None
        self.staged = 0
        self.proven = False
        self.refused = 0
        self.old_told = False
        self._unerased = (META_BYTES + content_bytes + self._flash.sector_bytes - 1) // self._flash.sector_bytes
        assert self._unerased <= self._sectors, "the list does not fit, and nobody noticed"

    def erase(self) -> bool:
        """Erase one sector; True when none is left. Slow: never with a card present."""
        if self._unerased:
            self._flash.erase(self._first_sector + self._unerased - 1)
            self._unerased -= 1
        return self._unerased == 0

    def begin(self, **fields: "Any") -> None:
        """Say what will be staged here, in a bank that was just erased. fields: those of HEADER that vary."""
        assert self.header is None and self._unerased == 0, "the bank was not erased"
        header = _packed(**fields)
        self._program(self._start, header)
        self.header = HEADER.unpack(header)
        self.content_bytes = self.header.count * wire.RECORD_BYTES[self.header.name]
        self._is_firm = True
        self._is_doubtful = False

    def stage(self, data: "memoryview", at: int) -> int:
        """Program the next chunk from `data[at:]`; how many of its bytes are in flash now, -1: none ever will.

        Only a whole chunk is taken, or the content's end. -1: what a power cut left there is something else.
        """
        count = min(CHUNK_BYTES, self.content_bytes - self.staged)
        if len(data) - at < count:
            return 0
        part = data[at : at + count]
        if not self._is_firm:
            self.make_firm()
        if self._is_doubtful:
            self._flash.read_into(self.content_at + self.staged, self._chunk)
            if not may_become(self._chunk, bytes(part)):
                return -1
        self._flash.program(self.content_at + self.staged, part)
        self.staged += count
        if self.staged % UNIT_BYTES == 0 or self.staged == self.content_bytes:
            self._flash.program(self._start + _MARKS_AT + (self.staged - 1) // UNIT_BYTES, b"\x00")
            self._is_doubtful = False
        return count

    # -- the whole content --------------------------------------------------------------------------------------

    def read_into(self, offset: int, buffer: "bytearray | memoryview") -> None:
        """Bytes of the content."""
        self._flash.read_into(self.content_at + offset, buffer)

    def prove(self) -> None:
        """Everything about this list was checked. What was read at boot is programmed once more before that."""
        self.make_firm()
        self._flash.program(self._start + _PROVEN_AT, b"\x00")
        self.proven = True

    def make_firm(self) -> None:
        """Program once more what a power cut may have left half done and what was read whole: from what was read then.

        It might read otherwise, next time.
        """
        header = self.header
        self._program(self._start, _packed(**{name: getattr(header, name) for name in VARYING}))
        self._program(self._start + _MARKS_AT, bytes((self.staged + UNIT_BYTES - 1) // UNIT_BYTES))
        if self.proven:
            self._flash.program(self._start + _PROVEN_AT, b"\x00")
        self._is_firm = True

    def refuse(self, why: int) -> None:
        """Never make this blob active. `why` is 1..254."""
        if not self.refused:
            self._flash.program(self._start + _REFUSED_AT, bytes((why ^ _BLANK,)))
            self.refused = why

    def tell_old(self) -> None:
        """It was told that this list is old."""
        self._flash.program(self._start + _OLD_AT, b"\x00")
        self.old_told = True

    def _units(self) -> int:
        return (self.content_bytes + UNIT_BYTES - 1) // UNIT_BYTES

    def _program(self, address: int, data: "Bytes") -> None:
        """Across page borders. Both are multiples of CHUNK_BYTES apart from a bank's start."""
        for at in range(0, len(data), CHUNK_BYTES):
            self._flash.program(address + at, bytes(data[at : at + CHUNK_BYTES]))


def sectors_for(flash: "Flash | ListsArea", content_bytes: int) -> int:
    """How many sectors a bank with that much room takes on this flash."""
    return (META_BYTES + content_bytes + flash.sector_bytes - 1) // flash.sector_bytes


def _packed(**fields: "Any") -> bytes:
    return sealed(HEADER, magic=MAGIC, layout=LAYOUT, reserved=0, **fields)


def fields_for(head: "Any", blob: bytes) -> "dict[str, Any]":
    """What the header of a bank says of a blob with this head. blob: its hash, as the manifest names it."""
    return {
        "name": head.name,
        "holds": DELTA if head.base else WHOLE,
        "version": head.version,
        "base": head.base,
        "created_s": head.created_s,
        "effective_at_s": head.effective_at_s,
        "expires_at_s": head.expires_at_s,
        "removed": head.removed,
        "count": head.removed + head.added,
        "sha256": head.sha256,
        "result_count": head.result_count,
        "result_sha256": head.result_sha256,
        "blob": blob,
    }


def fields_of_result(delta: "Any") -> "dict[str, Any]":
    """What the header of a bank says of the list that a delta, by the header of its bank, leads to."""
    fields = {name: getattr(delta, name) for name in VARYING}
    fields["holds"] = WHOLE
    fields["removed"] = 0
    fields["count"] = delta.result_count
    fields["sha256"] = delta.result_sha256
    return fields
