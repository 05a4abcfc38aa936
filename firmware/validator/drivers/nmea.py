"""A satellite receiver that sends NMEA 0183 on a serial line: RMC and GGA of any talker. Integers only.

    $GNRMC,083015.00,A,2249.01234,N,10819.43210,E,12.5,90.0,211126,,,A*hh

Whatever is no whole sentence with the right checksum is dropped and counted. The receiver's time is not taken: it is
unsigned, anyone can send it, and a receiver without a fix invents dates; the back office's answers carry signed time.
"""

from collections import namedtuple

from tunion.compat import const
from validator.drivers.heard_line import HeardLine
from validator.ports import ReaderLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.drivers.heard_line import Line
    from validator.ports import Clock


# lat_e7, lon_e7   1e-7 degree, north and east positive
# speed_cm_s       over ground; -1: the sentence did not say
Fix = namedtuple("Fix", ("lat_e7", "lon_e7", "speed_cm_s"))

FIX_OLD_MS = const(5000)  # receivers send one a second
SENTENCE_BYTES_MAX = const(120)  # the standard says 82; receivers of several systems say more
_READ_BYTES = const(64)
_READS_MAX = const(16)  # of one step: a line that babbles must not hold the taps up

_DOLLAR, _STAR, _LINE_FEED = 0x24, 0x2A, 0x0A
_MODES = "ADFPR"  # of RMC: autonomous, differential, fixed, precise, real time; not estimated, manual or simulated
_QUALITIES = "12345"  # of GGA: the same


class Nmea(HeardLine):
    """The receiver. `step` now and then, `fix` for where the bus is.

    fixes     how many: RMC and GGA of one second are one
    good      sentences that were whole and right
    bad       those with a wrong checksum, or one that says what cannot be
    garbage   bytes that belong to no sentence
    lost      the line does not open
    """

    def __init__(self, line: "Line", clock: "Clock") -> None:
        """The line is opened by the first step."""
        HeardLine.__init__(self, line, clock)
        self._buffer = bytearray(_READ_BYTES)
        self._sentence = bytearray()
        self._fix: Fix | None = None
        self._fix_ms = 0
        self._second = ""
        self.fixes = 0
        self.good = 0
        self.bad = 0
        self.garbage = 0

    def step(self) -> None:
        """Take what has arrived; waits for nothing and raises nothing: without a receiver there is no fix."""
        if not self._open:
            if not self._opens():
                return
            self._sentence = bytearray()
        view = memoryview(self._buffer)
        try:
            for _ in range(_READS_MAX):
                count = self._line.read_into(view, 0)
                for byte in view[:count]:
                    self._take(byte)
                if count < len(view):
                    return
        except ReaderLost:
            self._broke()

    def fix(self) -> "Fix | None":
        """Where the bus is; None without a fix of the last FIX_OLD_MS."""
        if self._fix is not None and self._clock.since_ms(self._fix_ms) > FIX_OLD_MS:
            self._fix = None
        return self._fix

    def _take(self, byte: int) -> None:
        sentence = self._sentence
        if byte == _DOLLAR:
            self.garbage += len(sentence)  # half of one that never ended
            self._sentence = bytearray(b"$")
        elif not sentence:
            self.garbage += byte not in b"\r\n"
        elif byte == _LINE_FEED:
            self._sentence = bytearray()
            self._judge(bytes(sentence).rstrip(b"\r"))
        elif len(sentence) == SENTENCE_BYTES_MAX:
            self.garbage += len(sentence) + 1
            self._sentence = bytearray()
        else:
            sentence.append(byte)

    def _judge(self, sentence: bytes) -> None:
        words = _checked(sentence)
        if words is None:
            self.bad += 1
            return
        kind = words[0][2:]
        try:
            if kind == "RMC":
                fix = _of_rmc(words)
            elif kind == "GGA":
                fix = _of_gga(words)
            else:
                self.good += 1
                return
        except (ValueError, IndexError):
            self.bad += 1
            return
        self.good += 1
        if fix is not None and kind == "GGA" and self._fix is not None:
            fix = Fix(fix.lat_e7, fix.lon_e7, self._fix.speed_cm_s)
        if fix is not None and words[1] != self._second:
            self._second = words[1]
            self.fixes += 1
        self._fix = fix
        self._fix_ms = self._clock.ticks_ms()


def _checked(sentence: bytes) -> "list[str] | None":
    """The words of `$...*hh`; None where it is not so, or hh is not the XOR of what stands between."""
    if len(sentence) < 9 or sentence[-3] != _STAR:
        return None
    found = 0
    for byte in sentence[1:-3]:
        if not 0x20 <= byte < 0x7F:
            return None
        found ^= byte
    if sentence[-2:].upper() != b"%02X" % found:
        return None
    return sentence[1:-3].decode().split(",")


def _of_rmc(words: "list[str]") -> "Fix | None":
    """None where the receiver has no fix. Raises ValueError, IndexError for what cannot be."""
    mode = words[12] if len(words) > 12 else "A"
    if words[2] != "A" or mode not in _MODES or not mode:
        return None
    speed_cm_s = _number(words[7], 3) * 1852 // 36000 if words[7] else -1  # knots, 1852 m an hour
    return Fix(_angle(words[3], 2, words[4], "NS", 90), _angle(words[5], 3, words[6], "EW", 180), speed_cm_s)


def _of_gga(words: "list[str]") -> "Fix | None":
    if words[6] not in _QUALITIES or not words[6]:
        return None
    return Fix(_angle(words[2], 2, words[3], "NS", 90), _angle(words[4], 3, words[5], "EW", 180), -1)


def _angle(text: str, degree_digits: int, side: str, sides: str, degrees_max: int) -> int:
    """`ddmm.mmmm` and its side as 1e-7 degree, rounded towards zero. Raises ValueError."""
    if len(text) < degree_digits + 2 or not text[: degree_digits + 2].isdigit() or side not in sides or not side:
        raise ValueError("no angle")
    minutes_e7 = _number(text[degree_digits:], 7)
    angle_e7 = int(text[:degree_digits]) * 10000000 + minutes_e7 // 60
    if minutes_e7 >= 600000000 or angle_e7 > degrees_max * 10000000:
        raise ValueError("no angle")
    return -angle_e7 if side == sides[1] else angle_e7


def _number(text: str, places: int) -> int:
    """A decimal number times 10^places; further digits are cut. Raises ValueError."""
    whole, _, part = text.partition(".")
    if not whole.isdigit() or (part and not part.isdigit()) or len(whole) > 6:
        raise ValueError("no number")
    return int(whole + (part + "0" * places)[:places])
