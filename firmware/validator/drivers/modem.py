"""A TCP connection through a modem that takes AT commands, in small steps that never wait. What tls_line dials with.

After CONNECT the line carries the connection's bytes and nothing else; the modem's own words come back when the
connection is gone. They look like garbage to TLS, which ends the connection: nothing here has to tell them apart.

What state the modem is in is unknown whenever something went wrong: it may still be connected for a firmware that
died. So each dialling begins alike: is it there; if not, ask it out of its connection; hang up. Then it is set up,
once, and dialled. After failures in a row it is restarted, by its power where the board can switch that.
"""

import io

from tunion.compat import const
from validator.ports import NetLost, ReaderLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tunion.record import Bytes
    from validator.drivers.modem_profile import ModemProfile, Step
    from validator.drivers.pn532_frame import Line
    from validator.ports import Clock

FAILURES_MAX = const(3)  # in a row; then it is restarted
_POWER_OFF_MS = const(2000)  # its capacitors are empty
_REGISTER_PAUSE_MS = const(1000)  # between two looks whether the network took it
_LINE_BYTES_MAX = const(160)  # of an answer; what is longer is none
_READ_BYTES = const(64)  # at once, of answers: the connection's first bytes follow CONNECT without a gap
_IOCTL_POLL = const(3)
_IOCTL_CLOSE = const(4)
_EIO = const(5)

_AT = const(0)
_GUARD = const(1)  # silence before the escape
_ESCAPE = const(2)  # and after it
_AT_AGAIN = const(3)
_HANG_UP = const(4)
_SETUP = const(5)
_REGISTER = const(6)
_REGISTER_PAUSE = const(7)
_ATTACH = const(8)
_DIAL = const(9)
_CONNECTED = const(10)
_DARK = const(11)  # without power
_BOOT = const(12)


class Modem:
    """What TlsLine takes as `dial`.

    power     switches the modem's supply, where the board can: power(True) is on
    advanced  counts what was done towards a connection, so that a long way does not look like silence
    """

    def __init__(
        self,
        line: "Line",
        clock: "Clock",
        profile: "ModemProfile",
        host: str,
        port: int,
        power: "Callable[[bool], None] | None" = None,
    ) -> None:
        self._line = line
        self._clock = clock
        self._profile = profile
        self._dial: Step = profile.dials(host, port)
        self._power = power
        self._state = _AT
        self._since_ms = 0
        self._started = False  # the state's command has gone out
        self._opened = False
        self._set_up = False
        self._setup_at = 0
        self._register_since_ms = 0
        self._failures = 0
        self._found = b""  # the answer to a question, before its OK
        self._text = b""  # of an answer, so far
        self._raw = memoryview(bytearray(_READ_BYTES))
        self._byte = memoryview(bytearray(1))
        self.advanced = 0

    def step(self) -> "Stream | None":
        """Go on towards a connection; the stream when it stands. Raises NetLost."""
        try:
            return self._advance()
        except ReaderLost as error:
            self._opened = False
            raise self._failed("its line is gone: %s" % error)

    def close(self) -> None:
        """Let the connection go. What is on the way to one goes on at the next step: a set-up takes minutes."""
        if self._state == _CONNECTED:
            self._enter(_AT)

    # --- for the stream

    def read_into(self, buffer: memoryview) -> int:
        """Bytes of the connection, 0: none just now. Raises ReaderLost."""
        return self._line.read_into(buffer, 0)

    def write(self, data: "Bytes") -> None:
        """Raises ReaderLost."""
        self._line.write(data)

    @property
    def connected(self) -> bool:
        """The line carries the connection."""
        return self._state == _CONNECTED

    # ---

    def _enter(self, state: int) -> None:
        self._state = state
        self._started = False
        self._text = self._found = b""
        self._since_ms = self._clock.ticks_ms()
        self.advanced += 1

    def _advance(self) -> "Stream | None":
        if not self._opened:
            self._line.open()
            self._opened = True
            self._set_up = False
            self._enter(_AT)
        state = self._state
        profile = self._profile
        if state == _AT or state == _AT_AGAIN:
            self._look(state)
        elif state == _GUARD:
            self._pause(profile.guard_ms, _ESCAPE)
        elif state == _ESCAPE:
            self._ask_out()
        elif state == _HANG_UP:
            self._close_old()
        elif state == _SETUP:
            self._prepare()
        elif state == _REGISTER:
            self._look_for_network()
        elif state == _REGISTER_PAUSE:
            self._pause(_REGISTER_PAUSE_MS, _REGISTER)
        elif state == _ATTACH:
            self._attach()
        elif state == _DIAL:
            return self._connect()
        elif state == _DARK:
            self._switch_on()
        elif state == _BOOT:
            self._pause(profile.boot_ms, _AT)
        return None

    def _look(self, state: int) -> None:
        """AT, OK. Silence the first time: it may be in a connection."""
        profile = self._profile
        # An escape that found no call stands in the modem's line of commands: end that line first.
        line = self._ask("AT" if state == _AT else "\rAT")
        if line is None:
            if not self._is_over(profile.answer_ms):
                return
            if state == _AT:
                self._enter(_GUARD)
                return
            self._set_up = False
            raise self._failed("it does not answer AT")
        if line.startswith(profile.ok):
            self._enter(_HANG_UP)

    def _ask_out(self) -> None:
        if not self._started:
            self._started = True
            self._line.write(self._profile.escape)
        self._pause(self._profile.guard_ms, _AT_AGAIN)

    def _close_old(self) -> None:
        """Any answer will do, and none: a modem that has no connection says so in its own way."""
        step = self._profile.hang_up
        line = self._ask(step.send)
        if line is not None and (line.startswith(step.until) or self._is_refusal(line)) or self._is_over(step.wait_ms):
            self._setup_at = 0
            self._enter(_DIAL if self._set_up else _SETUP)

    def _prepare(self) -> None:
        steps = self._profile.setup
        if self._setup_at == len(steps):
            self._register_since_ms = self._clock.ticks_ms()
            self._enter(_REGISTER)
        elif self._done(steps[self._setup_at]):
            self._setup_at += 1
            self._enter(_SETUP)

    def _look_for_network(self) -> None:
        profile = self._profile
        line = self._ask(profile.ask.send)
        if line is None:
            if self._is_over(profile.ask.wait_ms):
                raise self._failed("it does not answer %s" % profile.ask.send)
            return
        if self._is_refusal(line):
            raise self._failed("it refuses %s (%s)" % (profile.ask.send, _shown(line)))
        if not line.startswith(profile.ok):
            self._found = line
            return
        found = self._found
        if found.startswith(profile.home) or found.startswith(profile.roaming):
            self._enter(_ATTACH)
        elif found.startswith(profile.refused):
            raise self._failed("the network refuses its SIM: check contract and card")
        elif self._clock.since_ms(self._register_since_ms) > profile.register_ms:
            raise self._failed("no network after %d s: check aerial and place" % (profile.register_ms // 1000))
        else:
            self._enter(_REGISTER_PAUSE)

    def _attach(self) -> None:
        step = self._profile.attach
        if step is None or self._done(step, also=True):
            self._set_up = True
            self._enter(_DIAL)

    def _connect(self) -> "Stream | None":
        if not self._done(self._dial):
            return None
        self._failures = 0
        self._enter(_CONNECTED)
        return Stream(self)

    # ---

    def _done(self, step: "Step", also: bool = False) -> bool:
        """The step's last line has come. `also`: a refusal counts as well, it may have been done before.

        Raises NetLost.
        """
        line = self._ask(step.send)
        if line is None:
            if self._is_over(step.wait_ms):
                raise self._failed("no answer to %s" % _head(step.send))
            return False
        if self._is_refusal(line):  # first: CONNECT FAIL begins as CONNECT does
            if also:
                return True
            raise self._failed("it answers %s with %s" % (_head(step.send), _shown(line)))
        return line.startswith(step.until)

    def _ask(self, text: str) -> "bytes | None":
        """Send the state's command, once; then a line of what comes, None: none yet."""
        if not self._started:
            self._started = True
            for _ in range(_LINE_BYTES_MAX):  # what is left of before
                if not self._line.read_into(self._raw, 0):
                    break
            self._line.write(text.encode() + b"\r")
            self._since_ms = self._clock.ticks_ms()
        while self._line.read_into(self._byte, 0):  # byte by byte: the connection begins right behind its line
            byte = bytes(self._byte)
            if byte == b"\n":
                line, self._text = self._text.strip(), b""
                if line:
                    return line
            else:
                self._text = (self._text + byte)[-_LINE_BYTES_MAX:]
        return None

    def _pause(self, wait_ms: int, then: int) -> None:
        """Nothing is said meanwhile, and what comes is nobody's."""
        self._line.read_into(self._raw, 0)
        if self._is_over(wait_ms):
            self._enter(then)

    def _is_over(self, wait_ms: int) -> bool:
        return self._clock.since_ms(self._since_ms) >= wait_ms

    def _is_refusal(self, line: bytes) -> bool:
        for failed in self._profile.failed:
            if line.startswith(failed):
                return True
        return False

    def _failed(self, why: str) -> NetLost:
        """The next step begins anew, with another modem if need be: this one restarted."""
        self._failures += 1
        if self._failures < FAILURES_MAX:
            self._set_up = self._set_up and self._failures == 1  # a dialling that failed once needs no new set-up
            self._enter(_AT)
        else:
            self._restart()
        return NetLost("the modem has no connection: %s" % why)

    def _restart(self) -> None:
        self._failures = 0
        self._set_up = False
        try:
            if self._power is not None:
                self._power(False)
                self._enter(_DARK)
                return
            if self._profile.restart and self._opened:
                self._line.write(self._profile.restart.encode() + b"\r")
        except ReaderLost:
            self._opened = False  # found out again at the next step
        self._enter(_BOOT)

    def _switch_on(self) -> None:
        if self._is_over(_POWER_OFF_MS):
            assert self._power is not None
            self._power(True)
            self._enter(_BOOT)


class Stream(io.IOBase):
    """The connection's bytes as MicroPython's tls takes them. One that was followed by another is dead."""

    def __init__(self, modem: Modem) -> None:
        self._modem = modem
        self._life = modem.advanced

    def readinto(self, buffer: "bytearray | memoryview") -> "int | None":
        """None: nothing just now. A negative number is an error."""
        modem = self._modem
        if not modem.connected or modem.advanced != self._life:
            return -_EIO
        try:
            return modem.read_into(memoryview(buffer)) or None
        except ReaderLost:
            return -_EIO

    def write(self, data: "Bytes") -> int:
        """All of it."""
        modem = self._modem
        if not modem.connected or modem.advanced != self._life:
            return -_EIO
        try:
            modem.write(data)
        except ReaderLost:
            return -_EIO
        return len(data)

    def ioctl(self, request: int, argument: int) -> int:
        """Closing is the modem's affair; a poll is answered as it was asked."""
        if request == _IOCTL_POLL:
            return argument
        return 0 if request == _IOCTL_CLOSE else -1


def _head(command: str) -> str:
    """A command without its values."""
    return command.split("=")[0]


def _shown(line: bytes) -> str:
    """A line of the modem's, as far as it can be printed."""
    return "".join([chr(byte) if 32 <= byte < 127 else "." for byte in line[:40]])
