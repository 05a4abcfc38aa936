"""A sorted list in flash, searched with few reads and little memory.

Of each block of records the first one's key lies in RAM; a look-up finds the block there, then reads: one record in
the middle of the block, one in the middle of the half, then the quarter as a whole. 100 000 serial numbers take
7.8 kB of RAM and three reads, 340 bytes. The keys are filled in by small steps; until then a look-up finds the block
by reading them, one after the other. Figures and reasons: firmware/docs/lists.md.
"""

from tunion.compat import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.ports import Flash

BLOCK_RECORDS = const(128)
SPAN_RECORDS = const(32)  # read as a whole: 320 bytes of serial numbers
KEYS_A_STEP = const(32)  # reads of one key each: some 2 ms on a board


class Sorted:
    """`count` records of `record_bytes` at `address`, growing; ordered by their bytes.

    find(record)   the last record that is not above `record`, or b""
    """

    def __init__(self, flash: "Flash", record_bytes: int, count_max: int) -> None:
        """Buffers are made here, once; `open` says what is searched."""
        self._flash = flash
        self._size = record_bytes
        blocks_max = (count_max + BLOCK_RECORDS - 1) // BLOCK_RECORDS
        self._keys = bytearray(blocks_max * record_bytes)
        self._span = bytearray(SPAN_RECORDS * record_bytes)
        self._one = memoryview(self._span)[:record_bytes]
        self._address = 0
        self._count = 0
        self._filled = 0

    def open(self, address: int, count: int) -> None:
        """From now on this is searched; `fill` until it says True makes it quick."""
        self._address = address
        self._count = count
        self._filled = 0

    @property
    def ram_bytes(self) -> int:
        """What the look-up holds: keys and span."""
        return len(self._keys) + len(self._span)

    def fill(self) -> bool:
        """Read a few keys more; True when all are there."""
        size = self._size
        blocks = self._blocks()
        keys = memoryview(self._keys)
        for block in range(self._filled, min(blocks, self._filled + KEYS_A_STEP)):
            self._read(block * BLOCK_RECORDS, keys[block * size : (block + 1) * size])
            self._filled = block + 1
        return self._filled == blocks

    def find(self, record: bytes) -> bytes:
        """The last record that is not above `record`; b"": all are above, or there is none."""
        low = self._block_of(record) * BLOCK_RECORDS
        if low < 0:
            return b""
        high = min(self._count, low + BLOCK_RECORDS)
        while high - low > SPAN_RECORDS:
            middle = (low + high) // 2
            self._read(middle, self._one)
            if bytes(self._one) <= record:
                low = middle
            else:
                high = middle
        span = memoryview(self._span)[: (high - low) * self._size]
        self._read(low, span)
        at = max(0, _last_not_above(self._span, self._size, high - low, record))
        return bytes(span[at * self._size : (at + 1) * self._size])

    def _block_of(self, record: bytes) -> int:
        """The last block whose key is not above `record`; -1: none."""
        blocks = self._blocks()
        if self._filled == blocks:
            return _last_not_above(self._keys, self._size, blocks, record)
        low, high = -1, blocks
        while high - low > 1:
            middle = (low + high) // 2
            self._read(middle * BLOCK_RECORDS, self._one)
            if bytes(self._one) <= record:
                low = middle
            else:
                high = middle
        return low

    def _blocks(self) -> int:
        return (self._count + BLOCK_RECORDS - 1) // BLOCK_RECORDS

    def _read(self, index: int, into: "memoryview") -> None:
        self._flash.read_into(self._address + index * self._size, into)


def _last_not_above(records: bytearray, size: int, count: int, record: bytes) -> int:
    """Index of the last of `count` sorted records that is not above `record`; -1: all are."""
    low, high = -1, count
    while high - low > 1:
        middle = low + high >> 1
        at = middle * size
        if records[at : at + size] <= record:
            low = middle
        else:
            high = middle
    return low
