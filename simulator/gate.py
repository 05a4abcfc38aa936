"""A gate on a pty, with the frames of firmware/validator/drivers/gate_serial.py: invented, the gate of no maker.

Its mechanics are support.flaps: it times out, jams, burns, loses power, and counts who walks. The hands are methods,
for any thread. What it says may be spoilt on its way.
"""

import os
import re
import select
import time
from collections.abc import Callable
from typing import Any

import simulator.fakes  # noqa: F401 - makes `support` importable
from simulator.pty_device import READ_BYTES, PtyDevice
from support.flaps import POWER_OPEN, Flaps
from validator import ports

FRAME = re.compile(rb":([A-Z])([0-9A-F]{2})([0-9A-F]{2})([0-9A-F]{2})\n")
TICK_S = 0.02
REPEAT_S = 0.1
LETTERS = {
    ports.PASSED: "P", ports.TIMED_OUT: "T", ports.INTRUDED: "I", ports.TAILGATED: "G", ports.WRONG_WAY: "R",
    ports.JAMMED: "J", ports.EMERGENCY: "E", ports.POWER_LOST: "L", ports.SWITCHED: "W",
}  # fmt: skip


class RealTime:
    """The part of the Clock port that flaps need."""

    def ticks_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def since_ms(self, then_ms: int) -> int:
        return self.ticks_ms() - then_ms


def frame(kind: str, number: int, value: int) -> bytes:
    body = f"{kind}{number:02X}{value:02X}".encode()
    return b":" + body + f"{sum(body) & 0xFF:02X}\n".encode()


class VirtualGate(PtyDevice):
    """The gate at the end of a serial line.

    spoil      called with each frame before it leaves; what it returns leaves instead
    flaps      the mechanics; use the hands below, they take the lock
    commands   what was done, without repetitions: ("O", 1) and so on
    """

    def __init__(
        self,
        link_path: str | os.PathLike[str] | None = None,
        without_power: int = POWER_OPEN,
        spoil: Callable[[bytes], bytes] = bytes,
    ) -> None:
        flaps: Any = Flaps
        self.flaps = flaps(RealTime(), without_power=without_power)
        self.spoil = spoil
        self.commands: list[tuple[str, int]] = []
        self._buffer = b""
        self._done = -1         # number of the last command
        self._number = 0        # of the event under way
        self._pending: tuple[str, int] | None = None
        self._said_s = 0.0
        self._greeted = False
        super().__init__((link_path,))

    def walk(self, way: int, over: bool = False) -> bool:
        """One person; False where the flaps were shut and he stayed."""
        with self.lock:
            return bool(self.flaps.walk(way, over))

    def hand(self, name: str, value: Any) -> None:
        """jam, burn, power or turn_switch of support.flaps."""
        with self.lock:
            getattr(self.flaps, name)(value)

    @property
    def is_open(self) -> int:
        """The ways that the flaps are open for."""
        with self.lock:
            return int(self.flaps.is_open)

    @property
    def told(self) -> bool:
        """The validator has answered for all that was seen."""
        with self.lock:
            return self._pending is None and not self.flaps.waiting

    def babble(self, raw: bytes) -> None:
        """Noise on the line."""
        self.send(raw)

    def restart(self) -> None:
        """Its own power came back: it says so once, and has forgotten everything."""
        with self.lock:
            self._greeted, self._pending, self._done = False, None, -1
            self.flaps.connect()
            self.send(frame("B", 0, 0))

    def received(self, line: int, raw: bytes) -> None:
        self._buffer = (self._buffer + raw)[-READ_BYTES:]
        end = 0
        for found in FRAME.finditer(self._buffer):
            end = found.end()
            kind, (number, value, check) = found[1].decode(), (int(part, 16) for part in found.groups()[1:])
            if check == sum(found[0][1:6]) & 0xFF:
                self._command(kind, number, value)
        self._buffer = self._buffer[end:]

    def _command(self, kind: str, number: int, value: int) -> None:
        if kind == "A":
            if self._pending and number == self._number:
                self._pending = None
            return
        if number != self._done or kind == "H":
            self._done = number
            self.commands.append((kind, value))
            self._do(kind, value)
        self.send(self.spoil(frame("K", number, 0)))

    def _do(self, kind: str, value: int) -> None:
        if kind == "H":
            self.flaps.open_s = value
            self.flaps.connect()
            self._pending, self._greeted = None, True
        elif kind == "O" and self._greeted:
            self.flaps.open(value)
        elif kind == "F" and self._greeted:
            self.flaps.stand_open(value)

    def _tick(self) -> None:
        """The next event, or the last one again while nobody has answered it."""
        if not self._greeted:
            return
        if self._pending is None:
            seen = self.flaps.step()
            if seen is None:
                return
            self._number = self._number + 1 & 0xFF
            self._pending = LETTERS[seen.what], seen.value
        elif time.monotonic() - self._said_s < REPEAT_S:
            return
        self._said_s = time.monotonic()
        self.send(self.spoil(frame(self._pending[0], self._number, self._pending[1])))

    def _talk(self) -> None:
        while True:
            ready, _, _ = select.select([*self._masters, self._wake], [], [], TICK_S)
            if self._wake in ready and b"q" in os.read(self._wake, READ_BYTES):
                return
            with self.lock:
                if self._masters[0] in ready:
                    raw = os.read(self._masters[0], READ_BYTES)
                    if not self.deaf:
                        self.received(0, raw)
                if not self.deaf:
                    self._tick()
