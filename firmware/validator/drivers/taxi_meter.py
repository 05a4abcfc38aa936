"""A taxi meter that reports its state on a serial line. What its frames look like is data: a profile.

Every key, and an invented sample: firmware/docs/duty.md. Frames have one size; whatever is no frame with the right
check is stepped over, one byte at a time, and counted.
"""

from tunion.compat import const
from tunion.record import BadInput, is_int
from validator.drivers.heard_line import HeardLine
from validator.ports import ReaderLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.drivers.heard_line import Line
    from validator.ports import Clock

FREE, HIRED, STOPPED = "free", "hired", "stopped"

REPORT_OLD_MS = const(5000)  # meters report once a second
AMOUNT_MAX_FEN = const(0xFFFFFF)  # what a tap's list fare holds
_FRAME_BYTES_MAX = const(64)
_DIGITS_MAX = const(8)
_READS_MAX = const(16)
_SPEEDS = (9600, 19200, 38400, 57600, 115200, 230400)
_KEYS = ("about", "speed", "start", "end", "bytes", "check", "state", "ride", "amount")


class MeterProfile:
    """A profile, checked."""

    def __init__(self, values: "Any") -> None:
        """Raises BadInput, naming key and cure."""
        _known("", values, _KEYS)
        self.speed = _number("speed", values.get("speed", 9600), 9600, 230400)
        if self.speed not in _SPEEDS:
            raise BadInput("speed takes one of %s" % ", ".join([str(speed) for speed in _SPEEDS]))
        self.size = _number("bytes", values.get("bytes"), 4, _FRAME_BYTES_MAX)
        self.start = _hex("start", values.get("start"), 1, 2)
        self.end = _hex("end", values.get("end", ""), 0, 2)
        check = _known("check.", values.get("check"), ("kind", "from", "at"))
        if check.get("kind") not in ("xor", "sum"):
            raise BadInput("check.kind takes xor or sum")
        self.is_sum = check["kind"] == "sum"
        self.check_at = _number("check.at", check.get("at"), len(self.start), self.size - len(self.end) - 1)
        self.check_from = _number("check.from", check.get("from", 0), 0, self.check_at - 1)
        state = _known("state.", values.get("state"), ("at", FREE, HIRED, STOPPED))
        self.state_at = self._inside("state.at", state.get("at"), 1)
        self.states = {}
        for name in (FREE, HIRED, STOPPED):
            self.states[_hex("state." + name, state.get(name), 1, 1)[0]] = name
        if len(self.states) != 3:
            raise BadInput("state takes three different bytes for free, hired and stopped")
        self.ride = self._field("ride", values.get("ride"))
        self.amount = self._field("amount", values.get("amount"))

    def number(self, frame: "bytes | memoryview", field: "tuple[int, int, bool, int]") -> int:
        """A field's value; -1 where its digits are none."""
        at, count, is_ascii, unit = field
        value = 0
        for byte in frame[at : at + count]:
            if is_ascii:
                if not 0x30 <= byte <= 0x39:
                    return -1
                value = 10 * value + byte - 0x30
            else:
                if byte >> 4 > 9 or byte & 15 > 9:
                    return -1
                value = 100 * value + 10 * (byte >> 4) + (byte & 15)
        return value * unit

    def check(self, frame: "bytes | bytearray | memoryview") -> int:
        """What byte `check.at` should be."""
        found = 0
        for byte in frame[self.check_from : self.check_at]:
            found = found + byte & 0xFF if self.is_sum else found ^ byte
        return found

    def _field(self, name: str, values: "Any") -> "tuple[int, int, bool, int]":
        _known(name + ".", values, ("at", "bytes", "coding", "unit_fen"))
        if values.get("coding") not in ("bcd", "ascii"):
            raise BadInput("%s.coding takes bcd or ascii" % name)
        count = _number(name + ".bytes", values.get("bytes"), 1, _DIGITS_MAX if values["coding"] == "ascii" else 4)
        if name == "ride" and "unit_fen" in values:
            raise BadInput("ride takes no unit_fen: it is a number, not money")
        unit = values.get("unit_fen", 1)
        if unit not in (1, 10, 100):
            raise BadInput("%s.unit_fen takes 1, 10 or 100" % name)
        return self._inside(name + ".at", values.get("at"), count), count, values["coding"] == "ascii", unit

    def _inside(self, name: str, at: "Any", count: int) -> int:
        """Where a field begins: behind the start, not over the check, before the end."""
        found = _number(name, at, len(self.start), self.size - len(self.end) - count)
        if found <= self.check_at < found + count:
            raise BadInput("%s lies over the check" % name)
        return found


class TaxiMeter(HeardLine):
    """The meter. `step` now and then.

    state        FREE, HIRED, STOPPED, or "" where it has not reported for REPORT_OLD_MS
    ride         its number of this ride
    amount_fen   of it, so far
    frames, bad  whole frames; bytes stepped over
    lost         the line does not open
    """

    def __init__(self, line: "Line", clock: "Clock", profile: MeterProfile) -> None:
        """The line is opened by the first step."""
        HeardLine.__init__(self, line, clock)
        self._profile = profile
        self._buffer = bytearray(_FRAME_BYTES_MAX)
        self._waiting = bytearray()
        self._state = ""
        self._told_ms = 0
        self.ride = 0
        self.amount_fen = 0
        self.frames = 0
        self.bad = 0

    @property
    def state(self) -> str:
        """As above."""
        return self._state if self._clock.since_ms(self._told_ms) <= REPORT_OLD_MS else ""

    def step(self) -> None:
        """Take what has arrived; waits for nothing and raises nothing."""
        if not self._open:
            if not self._opens():
                return
            self._waiting = bytearray()
        view = memoryview(self._buffer)
        try:
            for _ in range(_READS_MAX):
                count = self._line.read_into(view, 0)
                self._waiting += view[:count]
                self._look()
                if count < len(view):
                    return
        except ReaderLost:
            self._broke()

    def _look(self) -> None:
        """Take every whole frame that waits."""
        size = self._profile.size
        at = 0
        while len(self._waiting) - at >= size:
            frame = bytes(self._waiting[at : at + size])
            if self._taken(frame):
                at += size
            else:
                at += 1
                self.bad += 1
        self._waiting = self._waiting[at:]

    def _taken(self, frame: bytes) -> bool:
        profile = self._profile
        start, end = profile.start, profile.end
        if frame[: len(start)] != start or frame[len(frame) - len(end) :] != end:
            return False
        if frame[profile.check_at] != profile.check(frame):
            return False
        ride, amount_fen = profile.number(frame, profile.ride), profile.number(frame, profile.amount)
        state = profile.states.get(frame[profile.state_at])
        if ride < 0 or not 0 <= amount_fen <= AMOUNT_MAX_FEN or state is None:
            return False
        self._state, self.ride, self.amount_fen = state, ride, amount_fen
        self._told_ms = self._clock.ticks_ms()
        self.frames += 1
        return True


def _known(where: str, values: "Any", keys: "tuple[str, ...]") -> "dict[str, Any]":
    if not isinstance(values, dict):
        raise BadInput("%s takes a map" % (where[:-1] or "a meter's profile"))
    for key in values:
        if key not in keys:
            raise BadInput("%s%s is unknown; known are %s" % (where, key, ", ".join(keys)))
    return values


def _number(name: str, value: "Any", low: int, high: int) -> int:
    if not is_int(value) or not low <= value <= high:
        raise BadInput("%s takes a number from %d to %d" % (name, low, high))
    return int(value)


def _hex(name: str, text: "Any", low: int, high: int) -> bytes:
    try:
        found = bytes.fromhex(text)
    except (ValueError, TypeError):
        found = None
    if found is None or not low <= len(found) <= high:
        raise BadInput("%s takes %d to %d bytes in hex" % (name, low, high))
    return found
