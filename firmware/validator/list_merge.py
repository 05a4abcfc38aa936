"""A deny list's delta, worked into a new list: base and delta are read side by side, the result comes in order.

Nothing is kept of how far it came: after a power cut it starts again, passes over what is durable, and makes the same
bytes as before. firmware/docs/lists.md.
"""

from tunion.compat import const
from tunion.wire import lists as wire
from validator.list_bank import CHUNK_BYTES, UNIT_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.list_bank import ListBank

SERIAL_BYTES = const(10)
WINDOW_RECORDS = const(25)  # 250 bytes: one read
RECORDS_A_STEP = const(8)  # compared one by one, where the delta says something


class Window:
    """Records of a bank one after the other, from `first` until before `last`, read some at a time."""

    def __init__(self, bank: "ListBank", first: int, last: int) -> None:
        self._bank = bank
        self._next = first  # to be read
        self._last = last
        self._buffer = bytearray(WINDOW_RECORDS * SERIAL_BYTES)
        self._at = 0
        self._end = 0
        self.head = b""  # the record at hand; b"": none is left
        self._load()

    def advance(self) -> None:
        """To the next record."""
        self._at += SERIAL_BYTES
        self._load()

    def take_below(self, limit: bytes) -> bytes:
        """All records at hand if they are below `limit` (b"": none is), in one go; else b""."""
        if self._at == self._end:
            return b""
        if limit and bytes(self._buffer[self._end - SERIAL_BYTES : self._end]) >= limit:
            return b""
        taken = bytes(self._buffer[self._at : self._end])
        self._at = self._end
        self._load()
        return taken

    def _load(self) -> None:
        if self._at == self._end:
            count = min(WINDOW_RECORDS, self._last - self._next)
            self._at = 0
            self._end = count * SERIAL_BYTES
            if count:
                self._bank.read_into(self._next * SERIAL_BYTES, memoryview(self._buffer)[: self._end])
                self._next += count
        self.head = bytes(self._buffer[self._at : self._at + SERIAL_BYTES]) if self._end else b""


class Merge:
    """`next()` gives a little more of the result until `done`. Raises BadList for a delta of another list.

    base   bank with the list that the delta changes
    delta  bank with the delta, checked
    """

    def __init__(self, base: "ListBank", delta: "ListBank") -> None:
        header = delta.header
        self._base = Window(base, 0, base.header.count)
        self._removed = Window(delta, 0, header.removed)
        self._added = Window(delta, header.removed, header.count)

    @property
    def done(self) -> bool:
        """Nothing is left."""
        return not (self._base.head or self._removed.head or self._added.head)

    def next(self) -> bytes:
        """0 to 250 bytes of the result."""
        base, removed, added = self._base, self._removed, self._added
        limit = removed.head
        if added.head and (not limit or added.head < limit):
            limit = added.head
        run = base.take_below(limit)
        if run:
            return run
        out = b""
        for _ in range(RECORDS_A_STEP):
            head = base.head
            if removed.head and (not head or removed.head < head):
                raise wire.BadList(wire.WRONG_BASE, "the delta removes a number that the list does not have")
            if added.head and (not head or added.head <= head):
                if added.head == head:
                    raise wire.BadList(wire.WRONG_BASE, "the delta adds a number that the list has")
                out += added.head
                added.advance()
            elif not head:
                break
            elif removed.head == head:
                removed.advance()
                base.advance()
            else:
                out += head
                base.advance()
        return out


class Joining:
    """A merge into the bank that the result is for: `step` until that is whole. Raises BadList, as Merge does."""

    def __init__(self, base: "ListBank", delta: "ListBank", into: "ListBank") -> None:
        self._merge = Merge(base, delta)
        self._into = into
        self._rest = b""  # of the result, not yet a whole chunk
        self._passed = 0  # bytes of the result so far

    def step(self) -> bool:
        """One page or two of the result; False where what lies in the flash cannot become it."""
        self._rest += self._merge.next()
        done = self._merge.done
        self._pass_over()
        into = self._into
        view = memoryview(self._rest)
        at = 0
        while len(view) - at >= CHUNK_BYTES or (done and len(view) > at):
            count = 0 if into.is_whole else into.stage(view, at)
            if count < 0:
                return False
            if count == 0:
                break
            at += count
        self._rest = bytes(view[at:])
        self._passed += at
        if done and (self._rest or not into.is_whole):
            raise wire.BadList(wire.WRONG_RESULT, "the delta gives another number of records than was signed")
        if len(self._rest) >= UNIT_BYTES:
            raise wire.BadList(wire.WRONG_RESULT, "the delta gives more records than were signed")
        return True

    def _pass_over(self) -> None:
        """What an earlier try has made durable is not programmed again."""
        over = min(len(self._rest), self._into.staged - self._passed)
        if over > 0:
            self._rest = self._rest[over:]
            self._passed += over
