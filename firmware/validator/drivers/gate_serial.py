"""The Gate port over a serial line, with frames of our own invention: a gate maker publishes none.

    : kind seq argument sum \\n        9 bytes of ASCII: kind is a letter, the rest two hex digits each; sum of 5 bytes

    to the gate     H hello, argument open_s   O open, the way   F stand open, the ways   A answer to its event
    from the gate   K answer to a command      P passed T timed out I intruded G tailgated R wrong way, the way
                    J jammed E emergency L power lost W switch, the value; told after H as they are

Each side repeats what was not answered, and does nothing twice: the number says whether it was heard. What fits no
frame is stepped over. Bytes and why: firmware/docs/gate.md.
"""

from tunion.compat import const
from validator import ports
from validator.ports import GateLost, ReaderLost, Seen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.drivers.pn532_frame import Line
    from validator.ports import Clock

FRAME_BYTES = const(9)
REPEAT_MS = const(100)  # a gate answers within 20 ms
TRIES_MAX = const(5)
QUIET_MS = const(2000)  # then it is asked whether it is still there
COMMANDS_MAX = const(16)  # that wait: permits in the queue, modes, answers
EVENTS_MAX = const(32)  # not yet taken; more come again
_BUFFER_BYTES = const(90)
_HEX = b"0123456789ABCDEF"

_EVENTS = {
    80: ports.PASSED,  # P
    84: ports.TIMED_OUT,  # T
    73: ports.INTRUDED,  # I
    71: ports.TAILGATED,  # G
    82: ports.WRONG_WAY,  # R
    74: ports.JAMMED,  # J
    69: ports.EMERGENCY,  # E
    76: ports.POWER_LOST,  # L
    87: ports.SWITCHED,  # W
}
_HELLO, _OPEN, _FREE, _HEARD, _DONE, _QUIET = 72, 79, 70, 65, 75, 81  # H O F A K Q
_BOOTED = const(66)  # B: the gate has started again and knows of no permit


def framed(kind: int, number: int, value: int) -> bytes:
    """One frame."""
    body = bytes((kind,)) + _hex(number) + _hex(value)
    return b":" + body + _hex(sum(body) & 0xFF) + b"\n"


def frames_in(buffer: bytearray) -> "list[tuple[int, int, int]]":
    """(kind, number, value) of each whole frame in `buffer`, which keeps what may yet become one."""
    found: list[tuple[int, int, int]] = []
    while True:
        start = buffer.find(b":")
        if start < 0:
            buffer[:] = b""
            return found
        frame = bytes(buffer[start : start + FRAME_BYTES])
        if len(frame) < FRAME_BYTES:
            buffer[:] = frame
            return found
        values = _values(frame)
        if values is None:
            buffer[:] = buffer[start + 1 :]  # a colon that began nothing; a frame may stand behind it
        else:
            found.append(values)
            buffer[:] = buffer[start + FRAME_BYTES :]


def _values(frame: bytes) -> "tuple[int, int, int] | None":
    if frame[8] != 10:
        return None
    number, value, check = _byte(frame, 2), _byte(frame, 4), _byte(frame, 6)
    if number < 0 or value < 0 or check != sum(frame[1:6]) & 0xFF:
        return None
    return frame[1], number, value


def _byte(frame: bytes, at: int) -> int:
    """-1 for what are no two digits."""
    high, low = _HEX.find(frame[at : at + 1]), _HEX.find(frame[at + 1 : at + 2])
    return high << 4 | low if high >= 0 and low >= 0 else -1


def _hex(value: int) -> bytes:
    return bytes((_HEX[value >> 4 & 15], _HEX[value & 15]))


class SerialGate:
    """The Gate port. Nothing waits: commands go out one after the other, in turns of `step`."""

    def __init__(self, line: "Line", clock: "Clock", open_s: int = 5) -> None:
        self.open_s = open_s
        self._line = line
        self._clock = clock
        self._buffer = bytearray()
        self._raw = bytearray(_BUFFER_BYTES)
        self._commands: list[tuple[int, int]] = []  # (kind, value); the first is under way
        self._seen: list[Seen] = []
        self._number = 0  # of the command under way
        self._tries = 0
        self._said_ms = 0
        self._heard_ms = 0
        self._event = -1  # number of the last event that was taken
        self._up = False

    def connect(self) -> None:
        """Begin again. Whether the gate answers, `step` tells. Raises GateLost where the line does not open."""
        try:
            self._line.open()
        except ReaderLost as fault:
            raise GateLost(str(fault))
        self._buffer[:] = b""
        self._seen = []
        self._commands = []
        self._event = -1
        self._up = True
        self._heard_ms = self._clock.ticks_ms()
        self._say(_HELLO, self.open_s)

    def open(self, way: int) -> None:
        """One permit more. Raises GateLost."""
        self._say(_OPEN, way)

    def stand_open(self, ways: int) -> None:
        """Ways that anybody may go. Raises GateLost."""
        self._say(_FREE, ways)

    def step(self) -> "Seen | None":
        """What was seen next. Raises GateLost for a line that is closed, and a gate that does not answer."""
        if not self._up:
            raise GateLost("the gate is not connected")
        try:
            self._listen()
            self._repeat()
        except ReaderLost as fault:
            self._up = False
            raise GateLost(str(fault))
        return self._seen.pop(0) if self._seen else None

    def _say(self, kind: int, value: int) -> None:
        if not self._up or len(self._commands) >= COMMANDS_MAX:
            raise GateLost("the gate takes no commands: check its cable")
        self._commands.append((kind, value))
        if len(self._commands) == 1:
            self._begin()

    def _begin(self) -> None:
        self._number = self._number + 1 & 0xFF
        self._tries = 0
        self._send()

    def _send(self) -> None:
        kind, value = self._commands[0]
        self._tries += 1
        self._said_ms = self._clock.ticks_ms()
        try:
            self._line.write(framed(kind, self._number, value))
        except ReaderLost as fault:
            self._up = False
            raise GateLost(str(fault))

    def _repeat(self) -> None:
        """What was not answered in time; and a word now and then to a gate that has nothing to tell."""
        if not self._commands:
            if self._clock.since_ms(self._heard_ms) >= QUIET_MS:
                self._say(_QUIET, 0)
        elif self._clock.since_ms(self._said_ms) >= REPEAT_MS:
            if self._tries >= TRIES_MAX:
                self._up = False
                raise GateLost("the gate does not answer: check its cable and its power")
            self._send()

    def _listen(self) -> None:
        count = self._line.read_into(memoryview(self._raw), 0)
        if not count:
            return
        self._buffer.extend(self._raw[:count])
        for kind, number, value in frames_in(self._buffer):
            self._heard_ms = self._clock.ticks_ms()
            if kind == _DONE:
                if self._commands and number == self._number:
                    self._commands.pop(0)
                    if self._commands:
                        self._begin()
            elif kind == _BOOTED:
                self._up = False
                raise GateLost("the gate has started again")
            elif kind in _EVENTS:
                self._take(kind, number, value)

    def _take(self, kind: int, number: int, value: int) -> None:
        """An event, answered each time it comes and told once. Those that find no room come again."""
        if self._commands and self._commands[0][0] == _HELLO:
            return  # of the time before; the states are told after the answer
        if number != self._event:
            if len(self._seen) >= EVENTS_MAX:
                return
            self._event = number
            self._seen.append(Seen(_EVENTS[kind], value))
        self._line.write(framed(_HEARD, number, 0))
