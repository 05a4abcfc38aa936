"""Frames of the PN532 on its high-speed UART: preamble, lengths, checksums, ACK and NACK.

    normal    00 00 FF LEN LCS TFI data DCS 00          LEN counts TFI and data; LEN + LCS and TFI + .. + DCS are 0
    extended  00 00 FF FF FF LENM LENL LCS TFI data DCS 00
    ACK       00 00 FF 00 FF 00        NACK  00 00 FF FF 00 00        error  00 00 FF 01 FF 7F 81 00

Knows nothing of cards. Source: NXP UM0701-02, sections 6.2.1 and 7.1.
"""

from tunion.compat import const
from tunion.record import BadInput
from validator.ports import ReaderLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from tunion.record import Bytes
    from validator.ports import Clock

    class Line(Protocol):
        """Bytes to and from the chip."""

        def open(self) -> None: ...
        def write(self, data: Bytes) -> None: ...
        def read_into(self, buffer: memoryview, wait_ms: int) -> int: ...


COMMAND_BYTES_MAX = const(254)  # in a normal frame behind TFI; longer commands are never sent
_ANSWER_BYTES_MAX = const(265)  # TFI, code, status and 262 bytes from a card
_RECEIVE_BYTES = const(300)  # one longest frame and a little of what stands before it
_ACK_WAIT_MS = const(500)  # the chip acknowledges within 15 ms; the rest is for an adapter that stutters
_DRAIN_MAX = const(8)  # buffers of leftovers before a command; more is a line that babbles

_TO_CHIP = const(0xD4)
_FROM_CHIP = const(0xD5)
_ACK_FRAME = b"\x00\x00\xff\x00\xff\x00"
_NACK_FRAME = b"\x00\x00\xff\xff\x00\x00"
_WAKE_UP = b"\x55\x55" + bytes(14)  # long preamble: the chip's oscillator starts within it

_NOTHING = const(0)  # what _receive found: the time was over,
_ACK = const(1)
_NACK = const(2)
_BROKEN = const(3)  # a frame whose checksum is wrong,
_DATA = const(4)  # or a whole one


class NoAnswer(ReaderLost):
    """The chip took the command and no whole answer came. What the card did in the meantime is unknown."""


class Frames:
    """Commands and answers over one line. Buffers are made once; an answer is good until the next `call`."""

    def __init__(self, line: "Line", clock: "Clock") -> None:
        self._line = line
        self._clock = clock
        self._out = bytearray(COMMAND_BYTES_MAX + 8)
        self._in = memoryview(bytearray(_RECEIVE_BYTES))
        self._filled = 0  # bytes in _in
        self._used = 0  # of them, done with
        self._answer = self._in[:0]

    def wake(self) -> None:
        """Open the line and wake the chip. Raises ReaderLost."""
        self._line.open()
        self._line.write(_WAKE_UP)

    def call(self, code: int, data: "Bytes" = b"", more: "Bytes" = b"", wait_ms: int = 1000) -> memoryview:
        """Send one command, `data` and `more` behind its code; the answer's data without TFI and code.

        raises  ReaderLost: no acknowledgement, or a command the chip does not know
                NoAnswer: acknowledged, and no whole answer within `wait_ms`
        """
        self._drain()
        frame = self._framed(code, data, more)
        self._line.write(frame)
        self._await_ack(frame)
        return self._await_answer(code + 1, wait_ms)

    def pause(self, wait_ms: int) -> None:
        """Let the chip rest; what comes meanwhile is nobody's. Raises ReaderLost at once where the line closes."""
        self._line.read_into(self._in, wait_ms)

    def _framed(self, code: int, data: "Bytes", more: "Bytes") -> memoryview:
        count = 2 + len(data) + len(more)
        if count > COMMAND_BYTES_MAX + 1:
            raise BadInput("a PN532 command of %d bytes does not fit a normal frame" % count)
        out = self._out
        out[0:7] = bytes((0, 0, 0xFF, count, -count & 0xFF, _TO_CHIP, code))
        end = 7 + len(data)
        out[7:end] = data
        out[end : end + len(more)] = more
        end += len(more)
        out[end] = -sum(memoryview(out)[5:end]) & 0xFF
        out[end + 1] = 0
        return memoryview(out)[: end + 2]

    def _drain(self) -> None:
        self._filled = self._used = 0
        for _ in range(_DRAIN_MAX):
            if not self._line.read_into(self._in, 0):
                return
        raise ReaderLost("the line babbles: check the cable, the path and the speed")

    def _await_ack(self, frame: memoryview) -> None:
        since = self._clock.ticks_ms()
        resent = False
        while True:
            found = self._receive(since, _ACK_WAIT_MS)
            if found == _ACK:
                return
            if found == _NACK and not resent:  # it did not understand, so it did nothing: say it again
                resent = True
                self._line.write(frame)
            elif found in (_NOTHING, _NACK):
                raise ReaderLost("the PN532 does not acknowledge: check its power and cable")

    def _await_answer(self, code: int, wait_ms: int) -> memoryview:
        since = self._clock.ticks_ms()
        asked_again = False
        while True:
            found = self._receive(since, wait_ms)
            if found == _DATA:
                answer = self._answer
                if len(answer) == 1 and answer[0] == 0x7F:
                    raise ReaderLost("the PN532 refuses command %02X: another chip?" % (code - 1))
                if len(answer) >= 2 and answer[0] == _FROM_CHIP and answer[1] == code:
                    return answer[2:]  # others are late answers of aborted commands
            elif found == _BROKEN and not asked_again:
                asked_again = True
                self._line.write(_NACK_FRAME)
            elif found in (_NOTHING, _BROKEN):
                self._line.write(_ACK_FRAME)  # from the host: abort
                raise NoAnswer("the PN532 gave no whole answer to command %02X" % (code - 1))

    def _receive(self, since: int, wait_ms: int) -> int:
        """The next frame's kind; its content in `_answer`. Waits until `wait_ms` after `since`."""
        while True:
            found = self._parse()
            if found != _NOTHING:
                return found
            left_ms = max(wait_ms - self._clock.since_ms(since), 0)
            self._make_room()
            got = self._line.read_into(self._in[self._filled :], left_ms)
            if not got and not left_ms:
                return _NOTHING
            self._filled += got

    def _make_room(self) -> None:
        """Move what is not yet used to the front."""
        rest = self._filled - self._used
        self._in[:rest] = bytes(self._in[self._used : self._filled])
        self._filled, self._used = rest, 0

    def _parse(self) -> int:
        """Take one frame off the front, or nothing while it is incomplete. Steps over bytes that begin no frame."""
        bytes_in = self._in
        while self._filled - self._used >= 4:
            at = self._used
            if bytes_in[at] != 0x00 or bytes_in[at + 1] != 0xFF:
                self._used += 1
                continue
            length, check = bytes_in[at + 2], bytes_in[at + 3]
            if (length, check) in ((0x00, 0xFF), (0xFF, 0x00)):
                self._used += 4
                return _NACK if length else _ACK
            start = at + 4
            if (length, check) == (0xFF, 0xFF):
                if self._filled < at + 7:
                    return _NOTHING
                length = bytes_in[at + 4] << 8 | bytes_in[at + 5]
                check = bytes_in[at + 6] + bytes_in[at + 4]
                start = at + 7
            if (length + check) & 0xFF or not 0 < length <= _ANSWER_BYTES_MAX:
                self._used += 1  # not a frame after all
                continue
            if self._filled < start + length + 1:
                return _NOTHING
            self._used = start + length + 1
            self._answer = bytes_in[start : start + length]
            return _BROKEN if sum(bytes_in[start : start + length + 1]) & 0xFF else _DATA
        return _NOTHING
