"""Slots for SAMs on a UART of the board: ISO/IEC 7816-3, T=0, direct convention. What sam_slot takes as its slot.

A `SamLine` is the wire, 8E2, shared by up to four slots behind a switch; a `SamUart` is one slot. Reset and power are
pins of the board. T=0 has no check but parity: a byte that fits nowhere ends the exchange, and the SAM must be reset.
"""

from tunion.card.refusals import LinkLost
from tunion.compat import const
from tunion.record import BadInput
from validator.drivers import atr
from validator.ports import ReaderLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from tunion.record import Bytes
    from validator.ports import Clock

    class Line(Protocol):
        """A UART, 8 bits, even parity, two stop bits: with it a byte takes the 12 etu that T=0 asks for."""

        def open(self) -> None: ...
        def write(self, data: Bytes) -> None: ...
        def read_into(self, buffer: memoryview, wait_ms: int) -> int: ...
        def set_speed(self, bits_per_s: int) -> bool:
            """False where this UART has no such speed. Raises ReaderLost."""

    class Pins(Protocol):
        """VCC and RST of one slot at a time."""

        def open(self) -> None: ...
        def set(self, slot: int, power: bool, run: bool) -> None:
            """Switch the line to `slot`; RST is high where the SAM may run. Raises ReaderLost."""


SPEEDS = (38400, 9600)  # SAMs in service, test SAMs: the speed of the answer to reset

_RESET_MS = const(2)  # RST low for 400 clock cycles at least: 0.4 ms at 1 MHz, the slowest
_POWER_OFF_MS = const(20)  # VCC has fallen, and the SAM has forgotten
_ATR_WAIT_MS = const(200)  # it begins within 40 000 cycles, 40 ms; the rest is for the line
_BYTE_WAIT_MS = const(1000)  # between two bytes of it: 9600 etu, 1 s at 9600 bit/s
_PPS_WAIT_MS = const(1000)
_LATENCY_MS = const(50)  # of an adapter and of the interpreter, on top of what the SAM may take
_DRAIN_MAX = const(4)
_ANSWER_BYTES_MAX = const(258)
_HEAD_BYTES = const(5)

_NULL = const(0x60)
_PPSS = const(0xFF)
_PPS1 = const(0x10)  # in PPS0: a speed follows
_BY_ITSELF = const(0x10)  # TA2: it has not taken the speed of TA1, but one of its own


class _NoByte(Exception):
    """Nothing came within the waiting time, or what came fits nowhere."""


class SamLine:
    """The wire to the slots.

    speeds     tried one after the other at a reset
    speed_max  the fastest that may be agreed on afterwards; the board's wiring decides
    echo       what we send comes back, because one wire carries both directions
    """

    def __init__(
        self,
        line: "Line",
        pins: "Pins",
        clock: "Clock",
        speeds: "tuple[int, ...]" = SPEEDS,
        speed_max: int = 115200,
        echo: bool = False,
    ) -> None:
        self._line = line
        self._pins = pins
        self._clock = clock
        self.speeds = speeds
        self.speed_max = speed_max
        self._echo = echo
        self._in = memoryview(bytearray(32))
        self._byte = memoryview(bytearray(1))
        self._opened = False
        self._slot = -1
        self._speed = 0
        self._user: SamUart | None = None

    def open(self) -> None:
        """Open line and pins where that has not happened, or where they were lost since. Raises ReaderLost."""
        if not self._opened:
            self._line.open()
            self._pins.open()
            self._opened = True
            self._slot, self._speed = -1, 0

    def lost(self) -> None:
        """The line failed: open it again next time."""
        self._opened = False

    def set_pins(self, slot: int, power: bool, run: bool) -> None:
        """Raises ReaderLost."""
        self._slot = slot
        self._pins.set(slot, power, run)

    def set_speed(self, bits_per_s: int) -> bool:
        """False where the UART has no such speed. Raises ReaderLost."""
        if bits_per_s == self._speed:
            return True
        if not self._line.set_speed(bits_per_s):
            return False
        self._speed = bits_per_s
        return True

    def use(self, slot: "SamUart") -> None:
        """From now on the line is this slot's: what another SAM was left to do is waited for."""
        other, self._user = self._user, slot
        if other is not None and other is not slot:
            other.come_to_an_end()

    def take(self, slot: int, bits_per_s: int) -> None:
        """Switch to a slot whose SAM runs, and drop what is left of others. Raises ReaderLost."""
        if slot != self._slot:
            self.set_pins(slot, True, True)
        self.set_speed(bits_per_s)
        self.drain()

    def drain(self) -> None:
        """Raises ReaderLost for a line that babbles."""
        for _ in range(_DRAIN_MAX):
            if not self._line.read_into(self._in, 0):
                return
        raise ReaderLost("the SAM's line babbles: check its wiring")

    def pause(self, wait_ms: int) -> None:
        """What comes meanwhile is nobody's. Raises ReaderLost."""
        since = self._clock.ticks_ms()
        while True:
            left_ms = wait_ms - self._clock.since_ms(since)
            if left_ms <= 0:
                return
            self._line.read_into(self._in, left_ms)

    def read(self, wait_ms: int) -> int:
        """One byte. Raises _NoByte, ReaderLost."""
        if not self._line.read_into(self._byte, wait_ms):
            raise _NoByte("it is silent")
        return self._byte[0]

    def write(self, data: "Bytes", gap_ms: int) -> None:
        """Bytes to the SAM, `gap_ms` apart where it needs them slower than 12 etu. Raises _NoByte, ReaderLost."""
        if not gap_ms:
            self._line.write(data)
            self._check_echo(data)
            return
        for at in range(len(data)):
            if at:
                self.pause(gap_ms)
            self._line.write(data[at : at + 1])
            self._check_echo(data[at : at + 1])

    def _check_echo(self, data: "Bytes") -> None:
        if self._echo:
            for byte in data:
                if self.read(_BYTE_WAIT_MS) != byte:
                    raise _NoByte("what was sent did not come back as it was")


class SamUart:
    """Slot `number` of a line, from 0. `atr` is that of the last activation."""

    def __init__(self, wire: SamLine, clock: "Clock", number: int = 0) -> None:
        self._wire = wire
        self._clock = clock
        self._number = number
        self._active = False
        self._speed = 0
        self._wait_ms = 0  # for the next byte of a SAM that thinks
        self._gap_ms = 0
        self._answer = bytearray(_ANSWER_BYTES_MAX)
        self._started = False  # an APDU is out whose answer nobody has taken
        self._done: bytes | None = None  # it was refused before all of it was sent
        self._data: Bytes = b""
        self._expected = self._sent = self._got = self._ins = self._since = self._limit_ms = 0
        self._raw = bytearray(atr.ATR_BYTES_MAX)
        self.atr: "atr.Atr | None" = None

    def open(self) -> None:
        """Raises ReaderLost."""
        self._active = False
        self._started = False
        self._wire.open()

    def activate(self, wait_ms: int) -> bool:
        """Power and reset the SAM, agree on a speed; False: none answers. Raises ReaderLost, LinkLost for a bad one."""
        self._wire.use(self)
        self._active = False
        self._started = False
        self._done = None
        try:
            found = self._find()
            if found is None:
                return False
            if not self._agree(found):
                if found.protocols[0] != 0:
                    raise LinkLost("the SAM in slot %d does not change to T=0" % self._number)
                if self._find() is None:  # it knows no PPS: as it comes, then
                    return False
            self._active = True
            return True
        except ReaderLost:
            self._wire.lost()
            raise

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        """One APDU and its answer, 61xx and 6Cxx as they are. After a failure the SAM must be activated again.

        raises  LinkLost; ReaderLost; BadInput for what is no short APDU, or an INS that T=0 cannot carry
        """
        self.start(apdu, wait_ms)
        return self.finish()

    def start(self, apdu: bytes, wait_ms: int) -> None:
        """Send one APDU, and leave the SAM to its work; `finish` has the answer. Raises as transceive."""
        self._wire.use(self)
        if self._started:
            self.finish()  # nobody waited for it: a card left meanwhile
        if not self._active:
            raise LinkLost("SAM slot %d is not active" % self._number)
        head, self._data, self._expected = _split(apdu)
        self._active = False
        self._started = True
        self._sent = self._got = 0
        self._ins = head[1]
        self._since = self._clock.ticks_ms()
        self._limit_ms = wait_ms
        self._done = self._guarded(head)

    def come_to_an_end(self) -> None:
        """Another slot wants the line. What was started is read now; a SAM that does not go on is reset next time."""
        if self._started and not self._done:
            try:
                self._done = self._guarded(b"")
            except LinkLost:
                pass  # `start` says so

    def finish(self) -> bytes:
        """The answer to what was started. Raises LinkLost, ReaderLost."""
        answer = self._done or self._guarded(b"")
        assert answer is not None
        self._started = False
        self._done = None
        self._active = True
        return answer

    def _guarded(self, head: bytes) -> "bytes | None":
        """With a header: send it and its data; without: what comes then."""
        try:
            if head:
                self._wire.take(self._number, self._speed)
                self._wire.write(head, self._gap_ms)
            return self._go_on(bool(head))
        except _NoByte as error:
            self._started = False
            raise LinkLost("the SAM in slot %d does not go on (%s)" % (self._number, error))
        except ReaderLost:
            self._started = False
            self._wire.lost()
            raise

    # --- reset

    def _find(self) -> "atr.Atr | None":
        """Cold reset at each speed, and a warm one where an answer came out broken. None: silence at all of them."""
        problem: "Exception | None" = None
        for speed in self._wire.speeds:
            if not self._wire.set_speed(speed):
                continue
            self._speed = speed
            self._wire.set_pins(self._number, False, False)
            self._wire.pause(_POWER_OFF_MS)
            for _ in range(2):
                self._wire.set_pins(self._number, True, False)
                self._wire.pause(_RESET_MS)
                self._wire.drain()
                self._wire.set_pins(self._number, True, True)
                try:
                    found = self._read_atr()
                except atr.BadAtr as bad:
                    problem = bad
                    continue
                if found is not None:
                    return self._usable(found)
                break
        self._wire.set_pins(self._number, False, False)
        if problem is not None:
            raise LinkLost("the answer to reset in SAM slot %d is broken (%s)" % (self._number, problem))
        return None

    def _read_atr(self) -> "atr.Atr | None":
        """None: not one byte came. Raises BadAtr."""
        raw = memoryview(self._raw)
        count = 0
        wanted = 2
        while count < wanted:
            try:
                raw[count] = self._wire.read(_BYTE_WAIT_MS if count else _ATR_WAIT_MS)
            except _NoByte:
                if not count:
                    return None
                raise atr.BadAtr("it broke off")
            count += 1
            wanted = atr.size(raw[:count])
        return atr.parse(raw[:count])

    def _usable(self, found: atr.Atr) -> atr.Atr:
        if 0 not in found.protocols or found.specific >= 0 and found.specific & 0x0F:
            raise LinkLost("the SAM in slot %d speaks no T=0" % self._number)
        if found.specific >= 0 and found.specific & _BY_ITSELF:
            raise LinkLost("the SAM in slot %d has a speed of its own, and does not say which" % self._number)
        self.atr = found
        self._set_times(1, found)
        return found

    def _set_times(self, di: int, found: atr.Atr) -> None:
        self._wait_ms = 960 * found.wi * di * 1000 // self._speed + _LATENCY_MS
        extra = 0 if found.guard == atr.GUARD_MIN else found.guard
        self._gap_ms = (extra * 1000 + self._speed - 1) // self._speed  # rounded up; the second stop bit is the rest

    # --- speed

    def _agree(self, found: atr.Atr) -> bool:
        """Take the speed that the SAM offers, where the line has it. False: it answered nonsense, reset it."""
        speed = self._speed * 372 * found.di // found.fi if found.fi else 0
        faster = self._speed < speed <= self._wire.speed_max and self._wire.set_speed(speed)
        if faster:
            self._wire.set_speed(self._speed)  # the request still goes at the old one
        if found.specific >= 0:  # it changes by itself, right behind its answer to reset
            if found.ta1 == 0x11:
                return True
            if not faster:
                raise LinkLost("the SAM in slot %d wants %d bit/s, which this line has not" % (self._number, speed))
            self._change(speed, found)
            return True
        if not faster and found.protocols[0] == 0:
            return True
        return self._request(found, speed if faster else 0)

    def _request(self, found: atr.Atr, speed: int) -> bool:
        """PPS: ask for T=0, and for the offered speed unless `speed` is 0."""
        request = bytes((_PPSS, _PPS1, found.ta1)) if speed else bytes((_PPSS, 0))
        request += bytes((_xor(request),))
        try:
            self._wire.write(request, self._gap_ms)
            answer = bytes((self._wire.read(_PPS_WAIT_MS), self._wire.read(_PPS_WAIT_MS)))
            for _ in range(_rest_of_pps(answer[1])):
                answer += bytes((self._wire.read(_PPS_WAIT_MS),))
        except _NoByte:
            answer = b""
        if answer == request:
            if speed:
                self._change(speed, found)
            return True
        return answer == b"\xff\x00\xff"  # T=0, and the speed stays

    def _change(self, speed: int, found: atr.Atr) -> None:
        self._wire.set_speed(speed)
        self._speed = speed
        self._set_times(found.di, found)

    # --- exchange

    def _go_on(self, until_sent: bool) -> "bytes | None":
        """What each procedure byte asks for, until a status word comes; None: until all data are sent."""
        data = self._data
        while True:
            if until_sent and self._sent == len(data):
                return None
            byte = self._next()
            if byte == _NULL:  # it thinks
                continue
            if byte >> 4 in (6, 9):
                self._answer[self._got] = byte
                self._answer[self._got + 1] = self._next()
                return bytes(memoryview(self._answer)[: self._got + 2])
            if byte not in (self._ins, self._ins ^ 0xFF):
                raise _NoByte("procedure byte %02X" % byte)
            left = len(data) - self._sent if data else self._expected - self._got
            if not left:
                raise _NoByte("it wants more than there is")
            count = left if byte == self._ins else 1
            if data:
                self._wire.write(data[self._sent : self._sent + count], self._gap_ms)
                self._sent += count
            else:
                for _ in range(count):
                    self._answer[self._got] = self._next()
                    self._got += 1

    def _next(self) -> int:
        left_ms = self._limit_ms - self._clock.since_ms(self._since)
        return self._wire.read(max(0, min(self._wait_ms, left_ms)))  # what has come counts, however late we ask


def _split(apdu: bytes) -> "tuple[bytes, Bytes, int]":
    """Header with P3, data to send, bytes to receive at most. T=0 has no Le behind data."""
    count = len(apdu)
    if count < 4 or count > _HEAD_BYTES and count - apdu[4] not in (_HEAD_BYTES, _HEAD_BYTES + 1):
        raise BadInput("%d bytes are no short APDU" % count)
    if apdu[1] >> 4 in (6, 9):
        raise BadInput("INS %02X would be taken for a status: T=0 cannot carry it" % apdu[1])
    if count == 4:
        return apdu + b"\x00", b"", 0
    if count == _HEAD_BYTES:
        return apdu, b"", apdu[4] or 256
    return apdu[:_HEAD_BYTES], memoryview(apdu)[_HEAD_BYTES : _HEAD_BYTES + apdu[4]], 0


def _rest_of_pps(pps0: int) -> int:
    """Bytes behind PPS0: the fields it names, and the check."""
    return 1 + (pps0 >> 4 & 1) + (pps0 >> 5 & 1) + (pps0 >> 6 & 1)


def _xor(data: bytes) -> int:
    out = 0
    for byte in data:
        out ^= byte
    return out
