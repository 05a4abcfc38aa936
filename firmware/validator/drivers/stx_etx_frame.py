"""Frames between STX and ETX, as a profile describes them: one command out, its answer back.

Knows nothing of cards. A line may lose, repeat and garble bytes: what is no whole frame is stepped over byte by byte,
half a frame ends with a silence. A command is said again, once, only where the caller says that this does no harm.
"""

from tunion.compat import const
from tunion.record import BadInput
from validator.drivers.stx_etx_profile import (
    ADDRESS,
    BODY,
    BODY_BYTES_MAX,
    CHECK,
    CRC16,
    END,
    LENGTH,
    SEQUENCE,
    START,
    SUM,
    XOR,
)
from validator.ports import ReaderLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes
    from validator.drivers.pn532_frame import Line
    from validator.drivers.stx_etx_profile import Field, Profile
    from validator.ports import Clock

_FRAME_BYTES_MAX = 2 * BODY_BYTES_MAX + 20  # a body of nibbles, and all the other fields
_SHORT_BYTES = const(4)  # copied one by one: a slice costs heap
_DRAIN_MAX = const(8)  # buffers of leftovers before a command; more is a line that babbles

_NOTHING = const(0)  # what _receive found: the time was over,
_NAK = const(1)
_BROKEN = const(2)  # frames whose check is wrong and no other,
_DATA = const(3)  # or a whole one
_HALF = const(4)  # what _frame found besides: one that is not whole yet,
_OTHER = const(5)  # a whole one for somebody else, or of another command


class NoAnswer(ReaderLost):
    """No whole answer came. Whether the reader did what it was told is unknown."""


class Frames:
    """Commands and answers over one line. Buffers are made once; an answer is good until the next `call`.

    word      what the status of the last answer means: stx_etx_profile.OK and the others, "" for an unknown one
    status    its number
    repeated  the last command was said twice, so it may have been carried out twice
    """

    def __init__(self, line: "Line", clock: "Clock", profile: "Profile") -> None:
        self._line = line
        self._clock = clock
        self._profile = profile
        self._out = memoryview(bytearray(_FRAME_BYTES_MAX))
        self._in = memoryview(bytearray(_FRAME_BYTES_MAX))
        self._plain = memoryview(bytearray(BODY_BYTES_MAX + 2))  # a body without nibbles
        self._small = memoryview(bytearray(2))  # any other field without nibbles
        self._crc = _crc_table(profile) if profile.check == CRC16 else ()
        self._filled = 0  # bytes in _in
        self._used = 0  # of them, done with
        self._end = 0  # of the frame found last
        self._body = self._in[:0]
        self._half = False  # what is in _in begins a frame
        self._sequence = 0
        self._late = False  # an answer may come yet that nobody waits for
        self.word = ""
        self.status = 0
        self.repeated = False

    def open(self) -> None:
        """Open the line. Raises ReaderLost."""
        self._line.open()
        self._late = False

    def call(self, command: bytes, data: "Bytes" = b"", wait_ms: int = 0, repeatable: bool = True) -> memoryview:
        """Send one command; the data behind the answer's status. `word`, `status` and `repeated` are that call's.

        wait_ms     0: the profile's own
        repeatable  said again, once, where no whole answer came: never for what moves money
        raises      NoAnswer; ReaderLost; BadInput for a command that no frame of this profile holds
        """
        wait_ms = wait_ms or self._profile.wait_ms
        self.repeated = False
        self._settle()
        self._sequence = (self._sequence + 1) & 0xFF
        frame = self._framed(command, data)
        self._line.write(frame)
        since = self._clock.ticks_ms()
        asked_again = not self._profile.again
        while True:
            found = self._receive(since, wait_ms)
            if found == _DATA:
                answer = self._answer_of(command)
                if answer is not None:
                    return answer
            elif found == _BROKEN and not asked_again:
                asked_again = True
                self._line.write(self._profile.again)
            elif repeatable:
                repeatable = False
                self.repeated = True
                self._late = True  # both may be answered
                self._line.write(frame)
                since = self._clock.ticks_ms()
            else:
                self._late = True
                raise NoAnswer("the reader gave no whole answer to command %s: check cable and profile" % _hex(command))

    def pause(self, wait_ms: int) -> None:
        """Let the reader rest; what comes meanwhile is nobody's. Raises ReaderLost at once where the line closes."""
        self._line.read_into(self._in, wait_ms)

    def _settle(self) -> None:
        """Drop what has come; after a failure, wait until nothing comes any more."""
        self._filled = self._used = 0
        wait_ms = self._profile.late_ms if self._late and not self._profile.has_sequence else 0
        for _ in range(_DRAIN_MAX):
            if not self._line.read_into(self._in, wait_ms):
                self._late = False
                return
        raise ReaderLost("the line babbles: check the cable, the path and the speed")

    def _answer_of(self, command: bytes) -> "memoryview | None":
        """Code and status taken off the body; None where it answers another command."""
        profile = self._profile
        body = self._body
        at = profile.code_bytes if profile.code_returns else 0
        end = at + profile.status_bytes
        if len(body) < end:
            return None
        for place in range(at):
            if body[place] != command[place]:
                return None
        self.status = _number_of(body, at, profile.status_bytes, False)
        self.word = profile.word(self.status)
        return body[end:]

    # --- out

    def _framed(self, command: bytes, data: "Bytes") -> memoryview:
        profile = self._profile
        count = len(command) + len(data)
        if count > profile.body_bytes_max:
            raise BadInput("%d bytes fit no frame of this reader: %d at most" % (count, profile.body_bytes_max))
        at = 0
        check = profile.first
        small = self._small
        for field in profile.fields:
            begin = at
            kind = field.kind
            covered = kind in profile.check_covers
            if kind == BODY:
                at = self._put(field, command, len(command), at)
                if covered:
                    check = self._covered(check, command, len(command), begin, at)
                begin = at
                at = self._put(field, data, len(data), at)
                if covered:
                    check = self._covered(check, data, len(data), begin, at)
                continue
            raw: Bytes = small
            if kind == START:
                raw = profile.start
            elif kind == END:
                raw = profile.end
            elif kind == ADDRESS:
                raw = profile.address
            elif kind == SEQUENCE:
                small[0] = self._sequence
            elif kind == LENGTH:
                length = (2 * count if profile.length_twice else count) + profile.length_fixed + profile.length_adds
                _number_into(small, length, field.size, profile.length_little)
            else:
                _number_into(small, self._finished(check), field.size, profile.check_little)
            at = self._put(field, raw, field.size, at)
            if covered:
                check = self._covered(check, raw, field.size, begin, at)
        return self._out[:at]

    def _put(self, field: "Field", raw: "Bytes", count: int, at: int) -> int:
        """The first `count` bytes of `raw` behind those that stand in `_out`; where they end."""
        out = self._out
        if not field.nibbles:
            if count > _SHORT_BYTES:
                out[at : at + count] = raw
                return at + count
            for place in range(count):
                out[at] = raw[place]
                at += 1
            return at
        letters = self._profile.letters
        for place in range(count):
            out[at] = letters[raw[place] >> 4]
            out[at + 1] = letters[raw[place] & 15]
            at += 2
        return at

    def _covered(self, check: int, raw: "Bytes", count: int, begin: int, end: int) -> int:
        """Fed with what was put, as it is or as it is sent."""
        if self._profile.check_sent:
            return self._fed(check, self._out, begin, end)
        return self._fed(check, raw, 0, count)

    # --- in

    def _receive(self, since: int, wait_ms: int) -> int:
        """_DATA with the body in `_body`, _NAK, _BROKEN or _NOTHING. Waits until `wait_ms` after `since`."""
        broken = False
        while True:
            found = self._parse()
            if found == _BROKEN:
                broken = True
                continue
            if found != _NOTHING:
                return found
            left_ms = max(wait_ms - self._clock.since_ms(since), 0)
            short_ms = min(left_ms, self._profile.gap_ms) if self._half or broken else left_ms
            self._make_room()
            got = self._line.read_into(self._in[self._filled :], short_ms)
            self._filled += got
            if got:
                continue
            if self._half:  # it began no frame, or the rest is lost: another may stand behind its first byte
                self._used += 1
            elif broken:
                return _BROKEN
            elif not left_ms:
                return _NOTHING

    def _make_room(self) -> None:
        """Move what is not yet used to the front."""
        rest = self._filled - self._used
        if rest and self._used:
            self._in[:rest] = bytes(self._in[self._used : self._filled])
        self._filled, self._used = rest, 0

    def _parse(self) -> int:
        """Take one frame or NAK off the front. Steps over bytes that begin none."""
        profile = self._profile
        start = profile.start[0]
        nak = profile.nak[0] if profile.nak else -1
        self._half = False
        while self._used < self._filled:
            byte = self._in[self._used]
            found = self._frame(self._used) if byte == start else _NOTHING
            if found == _HALF:
                self._half = True
                return _NOTHING
            if found in (_DATA, _OTHER):
                self._used = self._end
                if found == _DATA:
                    return _DATA
                continue
            self._used += 1
            if found == _BROKEN:
                return _BROKEN
            if byte == nak:
                return _NAK
        return _NOTHING

    def _frame(self, at: int) -> int:
        """What begins at `at`: _DATA, _OTHER, _BROKEN, _HALF, or _NOTHING where it is no frame."""
        profile = self._profile
        check = profile.first
        size = -1  # of the body
        verdict = _DATA
        for field in profile.fields:
            kind = field.kind
            if kind == BODY:
                if size < 0:
                    size = self._to_end(at)
                    if size < 0:
                        return _HALF if size == -1 else _NOTHING
                sent = 2 * size if field.nibbles else size
            else:
                sent = field.sent
            if at + sent > self._filled:
                return _HALF
            buffer, begin, count = self._in, at, sent
            if field.nibbles:
                buffer, begin, count = self._small if kind != BODY else self._plain, 0, sent >> 1
                if not self._unpacked(at, buffer, count):
                    return _NOTHING
            if kind == START or kind == END:
                expected = profile.start if kind == START else profile.end
                for place in range(count):
                    if buffer[begin + place] != expected[place]:
                        return _NOTHING
            elif kind == CHECK:
                if _number_of(buffer, begin, count, profile.check_little) != self._finished(check):
                    return _BROKEN
            elif kind == LENGTH:
                size = self._body_size(_number_of(buffer, begin, count, profile.length_little))
                if size < 0:
                    return _NOTHING
            elif kind == BODY:
                self._body = buffer[begin : begin + count]
            elif buffer[begin] != (profile.address[0] if kind == ADDRESS else self._sequence):
                verdict = _OTHER
            if kind in profile.check_covers:
                if profile.check_sent:
                    check = self._fed(check, self._in, at, at + sent)
                else:
                    check = self._fed(check, buffer, begin, begin + count)
            at += sent
        self._end = at
        return verdict

    def _body_size(self, length: int) -> int:
        """Of the body, by the length field; -1 where no body has that length."""
        profile = self._profile
        size = length - profile.length_adds - profile.length_fixed
        if profile.length_twice:
            if size & 1:
                return -1
            size >>= 1
        return size if size <= BODY_BYTES_MAX else -1

    def _to_end(self, at: int) -> int:
        """Size of the body that starts at `at`, by the end behind it; -1: it is not there yet, -2: it is no body."""
        profile = self._profile
        begin = at
        while at < self._filled:
            byte = self._in[at]
            if byte == profile.end[0]:
                size = at - begin - profile.tail_sent
                return size >> 1 if size >= 0 and not size & 1 and size <= 2 * BODY_BYTES_MAX else -2
            if profile.values[byte] == 0xFF:
                return -2
            at += 1
        return -1 if at - begin < _FRAME_BYTES_MAX - 20 else -2

    def _unpacked(self, at: int, plain: memoryview, count: int) -> bool:
        """Two letters to a byte, from `_in`; False where one is no letter."""
        values = self._profile.values
        raw = self._in
        for place in range(count):
            high, low = values[raw[at]], values[raw[at + 1]]
            if high > 15 or low > 15:
                return False
            plain[place] = high << 4 | low
            at += 2
        return True

    # --- check

    def _fed(self, check: int, raw: "Bytes", begin: int, end: int) -> int:
        kind = self._profile.check
        if kind == XOR:
            for at in range(begin, end):
                check ^= raw[at]
        elif kind == SUM:
            for at in range(begin, end):
                check += raw[at]
            check &= 0xFF
        elif kind == CRC16:
            table = self._crc
            if self._profile.reflected:
                for at in range(begin, end):
                    check = check >> 4 ^ table[(check ^ raw[at]) & 15]
                    check = check >> 4 ^ table[(check ^ raw[at] >> 4) & 15]
            else:
                for at in range(begin, end):
                    check = check << 4 & 0xFFFF ^ table[check >> 12 ^ raw[at] >> 4]
                    check = check << 4 & 0xFFFF ^ table[check >> 12 ^ raw[at] & 15]
        return check

    def _finished(self, check: int) -> int:
        profile = self._profile
        check ^= profile.final
        return -check & (0xFFFF if profile.check == CRC16 else 0xFF) if profile.check_negated else check


def _crc_table(profile: "Profile") -> "tuple[int, ...]":
    """What each nibble does to the CRC: 16 numbers in place of 256."""
    table = []
    for nibble in range(16):
        crc = nibble if profile.reflected else nibble << 12
        for _ in range(4):
            if profile.reflected:
                crc = crc >> 1 ^ profile.poly if crc & 1 else crc >> 1
            else:
                crc = (crc << 1 ^ profile.poly if crc & 0x8000 else crc << 1) & 0xFFFF
        table.append(crc)
    return tuple(table)


def _number_into(out: memoryview, value: int, size: int, little: bool) -> None:
    if size == 1:
        out[0] = value & 0xFF
    else:
        out[0 if little else 1] = value & 0xFF
        out[1 if little else 0] = value >> 8 & 0xFF


def _number_of(raw: memoryview, at: int, size: int, little: bool) -> int:
    if size == 1:
        return raw[at]
    return raw[at + 1] << 8 | raw[at] if little else raw[at] << 8 | raw[at + 1]


def _hex(command: bytes) -> str:
    return bytes(command[:2]).hex()
