"""CCID messages on a serial line, framed as the GemPC Twin does: SYNC, ACK, message, and the XOR of all before.

    message  03 06  type  length 4, little endian  slot  seq  3 bytes  data  XOR
    NAK      03 15 16

Knows nothing of cards. An echo of our own frames is no answer and is stepped over, so readers with and without echo
are the same. Sources: USB CCID 1.1, section 6; the frames are those that Debian's libccidtwin sends and takes.
"""

from tunion.compat import const
from tunion.record import BadInput
from validator.ports import ReaderLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes
    from validator.drivers.pn532_frame import Line
    from validator.ports import Clock

DATA_BYTES_MAX = const(261)  # the longest short APDU
_HEAD_BYTES = const(10)
_FRAME_BYTES_MAX = const(274)  # two before, 10 of head, 261 of data, one behind
_RECEIVE_BYTES = const(300)
_DRAIN_MAX = const(8)
_GAP_MS = const(100)  # silence that ends half a frame

_SYNC = const(0x03)
_ACK = const(0x06)
_NAK = const(0x15)
_NAK_FRAME = b"\x03\x15\x16"
_FAILED = const(1)  # command status, bits 6 and 7 of bStatus
_MORE_TIME = const(2)

_NOTHING = const(0)  # what _receive found: the time was over,
_REFUSED = const(1)  # a NAK,
_BROKEN = const(2)  # frames whose check is wrong and no other,
_DATA = const(3)  # or a whole one
_HALF = const(4)  # what _frame found besides: one that is not whole yet


class NoAnswer(ReaderLost):
    """No whole answer came. Whether the reader did what it was told is unknown."""


class Frames:
    """Messages and answers over one line. Buffers are made once; an answer is good until the next `call`.

    Of the last answer: `icc` 0 active, 1 present without power, 2 none; `failed`, and why: `error`; `chained`.
    """

    def __init__(self, line: "Line", clock: "Clock") -> None:
        self._line = line
        self._clock = clock
        self._out = memoryview(bytearray(_FRAME_BYTES_MAX))
        self._in = memoryview(bytearray(_RECEIVE_BYTES))
        self._filled = 0  # bytes in _in
        self._used = 0  # of them, done with
        self._message = self._in[:0]
        self._half = False
        self._seq = 0
        self.icc = 0
        self.error = 0
        self.failed = False
        self.chained = False

    def open(self) -> None:
        """Raises ReaderLost."""
        self._line.open()

    def call(
        self,
        code: int,
        reply: int,
        slot: int,
        data: "Bytes" = b"",
        more: int = 0,
        wait_ms: int = 1000,
        repeatable: bool = True,
    ) -> memoryview:
        """Send one message; the data of its answer.

        code, reply  message types of command and answer
        more         the first of the three bytes that each type has for itself
        repeatable   said again, once, where no whole answer came: never for what moves money
        raises       NoAnswer; ReaderLost; BadInput for data that no message holds
        """
        self._drain()
        self._seq = (self._seq + 1) & 0xFF
        frame = self._framed(code, slot, data, more)
        self._line.write(frame)
        since = self._clock.ticks_ms()
        asked_again = resent = False
        while True:
            found = self._receive(since, wait_ms)
            if found == _DATA:
                answer = self._answer(reply, slot)
                if answer is not None:
                    return answer
            elif found == _BROKEN and not asked_again:
                asked_again = True
                self._line.write(_NAK_FRAME)
            elif not resent and (repeatable or found == _REFUSED and not asked_again):
                resent = True  # refused is not done; an echo of our own NAK is no refusal
                self._line.write(frame)
                since = self._clock.ticks_ms()
            else:
                raise NoAnswer("the CCID reader gave no whole answer to message %02X: check cable and speed" % code)

    def pause(self, wait_ms: int) -> None:
        """What comes meanwhile is nobody's. Raises ReaderLost at once where the line closes."""
        self._line.read_into(self._in, wait_ms)

    def _drain(self) -> None:
        self._filled = self._used = 0
        for _ in range(_DRAIN_MAX):
            if not self._line.read_into(self._in, 0):
                return
        raise ReaderLost("the line babbles: check the cable, the path and the speed")

    def _framed(self, code: int, slot: int, data: "Bytes", more: int) -> memoryview:
        count = len(data)
        if count > DATA_BYTES_MAX:
            raise BadInput("%d bytes fit no CCID message here" % count)
        out = self._out
        out[0:12] = bytes((_SYNC, _ACK, code, count & 0xFF, count >> 8, 0, 0, slot, self._seq, more, 0, 0))
        end = 2 + _HEAD_BYTES + count
        out[12:end] = data
        out[end] = _xor(out[:end])
        return out[: end + 1]

    def _answer(self, reply: int, slot: int) -> "memoryview | None":
        """The data; None for an echo, a late answer, a request for more time."""
        message = self._message
        if message[0] != reply or message[5] != slot or message[6] != self._seq:
            return None
        status = message[7]
        if status >> 6 == _MORE_TIME:
            return None
        self.icc = status & 3
        self.failed = status >> 6 == _FAILED
        self.error = message[8]
        self.chained = message[9] != 0
        return message[_HEAD_BYTES:]

    def _receive(self, since: int, wait_ms: int) -> int:
        """The next frame's kind; its message in `_message`. Waits until `wait_ms` after `since`."""
        broken = False
        while True:
            found = self._parse()
            if found == _BROKEN:
                broken = True
                continue
            if found != _NOTHING:
                return found
            left_ms = max(wait_ms - self._clock.since_ms(since), 0)
            short_ms = min(left_ms, _GAP_MS) if self._half or broken else left_ms
            self._make_room()
            got = self._line.read_into(self._in[self._filled :], short_ms)
            self._filled += got
            if got:
                continue
            if self._half:  # it began no frame, or the rest is lost
                self._used += 1
            elif broken:
                return _BROKEN
            elif not left_ms:
                return _NOTHING

    def _make_room(self) -> None:
        rest = self._filled - self._used
        if self._used:
            self._in[:rest] = bytes(self._in[self._used : self._filled])
        self._filled, self._used = rest, 0

    def _parse(self) -> int:
        """Take one frame off the front. Steps over bytes that begin none: noise, and notices of cards that moved."""
        self._half = False
        while self._used < self._filled:
            found = self._frame(self._used)
            if found == _HALF:
                self._half = True
                return _NOTHING
            if found != _NOTHING:
                return found
            self._used += 1
        return _NOTHING

    def _frame(self, at: int) -> int:
        """What begins at `at`; steps behind it where that is a frame."""
        bytes_in = self._in
        there = self._filled - at
        if bytes_in[at] != _SYNC:
            return _NOTHING
        if there < 3:
            return _HALF if there < 2 or bytes_in[at + 1] in (_ACK, _NAK) else _NOTHING
        if bytes_in[at + 1] == _NAK and bytes_in[at + 2] == _SYNC ^ _NAK:
            self._used = at + 3
            return _REFUSED
        if bytes_in[at + 1] != _ACK:
            return _NOTHING
        if there < 7:
            return _HALF
        count = bytes_in[at + 3] | bytes_in[at + 4] << 8
        if count > DATA_BYTES_MAX or bytes_in[at + 5] or bytes_in[at + 6]:
            return _NOTHING
        end = at + 2 + _HEAD_BYTES + count
        if self._filled <= end:
            return _HALF
        if _xor(bytes_in[at : end + 1]):
            self._used = at + 1  # what looks like it may hold the real one
            return _BROKEN
        self._used = end + 1
        self._message = bytes_in[at + 2 : end]
        return _DATA


def _xor(data: memoryview) -> int:
    out = 0
    for byte in data:
        out ^= byte
    return out
