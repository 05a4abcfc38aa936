"""One slot of the journal: an entry's body, a tap's outcome, and marks. Programs, reads back, reads.

      0  body, 96      100  outcome, 8      112  acked     116  rejected     120  retired
     96  CRC-32        108  CRC-32               four bytes each, FF not set, 00 set; 124..127 reserved, FF

Bodies and outcomes are those of tunion/wire/tap.py. Why: firmware/docs/journal.md.
"""

from tunion.compat import const
from tunion.crc import crc32
from tunion.wire import tap as wire
from validator.cells import MARK_BYTES, SET, is_blank, is_marked, program, read_steady
from validator.ports import FlashFault

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.ports import Flash

SLOT_BYTES = const(128)  # two to a page of 256, so no slot crosses a page
BODY_CRC_AT = const(96)
OUTCOME_AT = const(100)
OUTCOME_CRC_AT = const(108)
ACKED_AT = const(112)
REJECTED_AT = const(116)
RETIRED_AT = const(120)


class Slot:
    """The slot loaded or programmed last: `address`, its `body` and `outcome`, views of one buffer."""

    def __init__(self, flash: "Flash") -> None:
        self._flash = flash
        self.bytes = bytearray(SLOT_BYTES)
        whole = memoryview(self.bytes)
        self.body = whole[:BODY_CRC_AT]
        self.outcome = whole[OUTCOME_AT:OUTCOME_CRC_AT]
        self.record = whole[:OUTCOME_AT]  # the body with its CRC
        self._sealed_outcome = whole[OUTCOME_AT:ACKED_AT]
        self.address = 0

    # -- reading ------------------------------------------------------------------------------------------------

    def load(self, address: int) -> bool:
        """Read a slot; True if it holds a whole entry."""
        self.address = address
        self._flash.read_into(address, self.bytes)
        if self.is_marked(RETIRED_AT) or not wire.TAP <= self.bytes[0] <= wire.AMEND:
            return False
        return crc32(self.body) == _int(self.bytes, BODY_CRC_AT)

    @property
    def kind(self) -> int:
        """TAP, EVENT, AMEND of a whole entry."""
        return self.bytes[0]

    @property
    def seq(self) -> int:
        """Of a whole entry."""
        return _int(self.bytes, 2)

    @property
    def stored_outcome(self) -> "bytes | None":
        """The tap's own outcome, None where it is blank or torn."""
        if crc32(self.outcome) != _int(self.bytes, OUTCOME_CRC_AT):
            return None
        return bytes(self.outcome)

    def is_marked(self, mark_at: int) -> bool:
        """One of ACKED_AT, REJECTED_AT, RETIRED_AT is set."""
        return is_marked(self.bytes, mark_at)

    def is_done(self) -> bool:
        """The back office has answered for it."""
        return self.is_marked(ACKED_AT) or self.is_marked(REJECTED_AT)

    def is_blank(self) -> bool:
        """Every byte FF."""
        return is_blank(self.bytes)

    def is_being_retired(self, address: int) -> bool:
        """A boot began to retire this slot, whatever its cells say at a single look."""
        mark = bytearray(MARK_BYTES)
        read_steady(self._flash, address + RETIRED_AT, mark)
        return is_marked(mark, 0)

    def has_outcome_bytes(self) -> bool:
        """The outcome was programmed, whole or torn."""
        return not is_blank(self._sealed_outcome)

    # -- programming --------------------------------------------------------------------------------------------

    def write_body(self, address: int, body: bytes) -> bool:
        """Program a body; False where it does not read back. Raises FlashFault."""
        self.address = address
        self.body[:] = body
        self.bytes[BODY_CRC_AT:OUTCOME_AT] = crc32(self.body).to_bytes(4, "big")
        return program(self._flash, address, self.record)

    def write_outcome(self, address: int, outcome: bytes) -> bool:
        """Program the outcome of the tap at `address`; False where it does not read back. Raises FlashFault."""
        self.outcome[:] = outcome
        self.bytes[OUTCOME_CRC_AT:ACKED_AT] = crc32(self.outcome).to_bytes(4, "big")
        return program(self._flash, address + OUTCOME_AT, self._sealed_outcome)

    def mark(self, mark_at: int) -> None:
        """Set a mark of this slot. Raises FlashFault."""
        self._flash.program(self.address + mark_at, SET)

    def retire(self) -> bool:
        """Never an entry again, whatever its cells say later; False where the cells do not take that."""
        try:
            return program(self._flash, self.address + RETIRED_AT, SET)
        except FlashFault:
            return False

    # -- making firm what was understood at boot ----------------------------------------------------------------

    def make_outcome_firm(self) -> None:
        """A whole outcome is programmed over itself, a torn one to 00, which no outcome is."""
        if not self.has_outcome_bytes():
            return
        if self.stored_outcome is None:
            self._sealed_outcome[:] = bytes(len(self._sealed_outcome))
        self._flash.program(self.address + OUTCOME_AT, self._sealed_outcome)

    def make_marks_firm(self) -> None:
        """A mark that a power cut left half way and that counts as set is set."""
        for mark_at in (ACKED_AT, REJECTED_AT):
            if self.is_marked(mark_at) and self.bytes[mark_at : mark_at + MARK_BYTES] != SET:
                self.mark(mark_at)


def _int(blob: bytearray, at: int) -> int:
    return blob[at] << 24 | blob[at + 1] << 16 | blob[at + 2] << 8 | blob[at + 3]
