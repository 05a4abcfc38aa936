"""SAMs in slots of a UART, on a pty: ISO/IEC 7816-3 with T=0 from the SAM's side, around any simulated card.

The data line is one pty, the pins VCC and RST of the slots are a second one: a byte 0100RVSS a change (R: RST high,
V: VCC on, SS: slot). A pty keeps the speed that its client has set, so a SAM at another speed is deaf to it and says
garbage, as a real one does.
"""

import os
import termios
import time
from collections.abc import Callable, Sequence
from typing import Any

from simulator.card import NotPowered
from simulator.field import Card
from simulator.pty_device import PtyDevice

DATA, PINS = 0, 1
SLOTS = 4
SPEEDS = {getattr(termios, f"B{speed}"): speed for speed in (9600, 19200, 38400, 57600, 115200, 230400)}
FI = (372, 372, 558, 744, 1116, 1488, 1860, 0, 0, 512, 768, 1024, 1536, 2048, 0, 0)
DI = (0, 1, 2, 4, 8, 16, 32, 64, 12, 20, 0, 0, 0, 0, 0, 0)

NULL = 0x60
GET_RESPONSE = 0xC0
READING = {0xB0, 0xB2, 0xC0, 0x84, 0xCA, 0x5C}      # INS whose P3 is a length to answer


class Contact:
    """One SAM and how it behaves on the wire.

    atr        in place of the card's own
    speed      of its answer to reset
    knows_pps  False: it takes a PPS request for a command head, and is silent
    one_by_one asks for every data byte by itself (~INS)
    nulls      60h before each procedure byte
    """

    def __init__(
        self, card: Card, atr: bytes | None = None, speed: int = 38400, knows_pps: bool = True,
        one_by_one: bool = False, nulls: int = 0,
    ) -> None:  # fmt: skip
        self.card = card
        self.atr = atr or card.atr
        self.first_speed = speed
        self.knows_pps = knows_pps
        self.one_by_one = one_by_one
        self.nulls = nulls
        self.power = False
        self.run = False
        self.speed = speed
        self.resets: list[str] = []             # "cold" and "warm", in order
        self.heard: list[bytes] = []            # APDUs
        self._cold = True                       # VCC was off before this reset
        self._fresh = False                     # PPS is still possible
        self._in = b""
        self._head = b""
        self._data = b""
        self._wanted = 0                        # data bytes that have been asked for
        self._held = b""                        # for GET RESPONSE

    def pins(self, power: bool, run: bool) -> bytes:
        """What the SAM says to a change of its pins: its answer to reset, or nothing."""
        was_power, was_run = self.power, self.run
        self.power, self.run = power, run
        self._in = self._head = self._data = b""
        if not power:
            if was_power:
                self.card.power_off()
            self._cold = True
            return b""
        if not run or was_run and was_power:
            return b""
        self.resets.append("warm" if was_power and not self._cold else "cold")
        self._cold = False
        self.card.power_off()
        self.card.power_on()
        self._held = b""
        self._fresh = True
        self.speed = self.first_speed
        return self.atr

    def hear(self, raw: bytes) -> bytes:
        """What the SAM says to bytes at its own speed."""
        if not self.run or not self.power:
            return b""
        out = b""
        self._in += raw
        while True:
            before = len(self._in), self._head, self._wanted
            out += self._step()
            if before == (len(self._in), self._head, self._wanted):
                return out

    def _step(self) -> bytes:
        if self._fresh and self._in[:1] == b"\xff" and self.knows_pps:
            return self._pps()
        if not self._head:
            if len(self._in) < 5:
                return b""
            self._fresh = False
            self._head, self._in = self._in[:5], self._in[5:]
            if self._head[0] == 0xFF:
                self._head = b""
                return b""
            return self._asked()
        if self._wanted and len(self._in) >= self._wanted:
            self._data += self._in[: self._wanted]
            self._in = self._in[self._wanted :]
            self._wanted = 0
            return self._asked()
        return b""

    def _pps(self) -> bytes:
        if len(self._in) < 2:
            return b""
        size = 3 + sum(self._in[1] >> bit & 1 for bit in (4, 5, 6))
        if len(self._in) < size:
            return b""
        request, self._in = self._in[:size], self._in[size:]
        check = 0
        for byte in request:
            check ^= byte
        offered = self.atr[2] if self.atr[1] & 0x10 else 0x11
        if check or request[1] & 0x0F:
            self._fresh = False
            return b""
        if request[1] & 0x10:
            if request[2] != offered:
                return b"\xff\x00\xff"
            self.speed = self.speed * 372 * DI[offered & 15] // FI[offered >> 4]
        return request

    def _asked(self) -> bytes:
        """Head and data so far: the next procedure byte, or the answer."""
        ins, p3 = self._head[1], self._head[4]
        thinking = bytes((NULL,)) * self.nulls
        if ins not in READING and len(self._data) < p3:
            self._wanted = 1 if self.one_by_one else p3 - len(self._data)
            return thinking + bytes((ins ^ 0xFF if self.one_by_one else ins,))
        return thinking + self._answer(ins, p3)

    def _answer(self, ins: int, p3: int) -> bytes:
        head, data, self._head, self._data = self._head, self._data, b"", b""
        if ins in READING:
            apdu = head
            if ins == GET_RESPONSE and self._held:
                return self._outgoing(ins, p3, self._take_held, b"\x90\x00")
        else:
            apdu = head + data if p3 else head[:4]
        self._held = b""
        self.heard.append(apdu)
        try:
            answer = self.card.transceive(apdu)
        except NotPowered:
            return b""
        body, word = answer[:-2], answer[-2:]
        if ins in READING:
            if not body:
                return word
            if ins != GET_RESPONSE and len(body) != (p3 or 256):
                return bytes((0x6C, len(body)))
            return self._outgoing(ins, p3, lambda count: body, word)
        if body:                        # T=0 carries data one way only
            self._held = body
            return bytes((0x61, len(body)))
        return word

    def _take_held(self, count: int) -> bytes:
        taken, self._held = self._held[:count], self._held[count:]
        return taken

    def _outgoing(self, ins: int, p3: int, take: Callable[[int], bytes], word: bytes) -> bytes:
        if self._held and (p3 or 256) > len(self._held):
            return bytes((0x6C, len(self._held)))
        body = take(p3 or 256)
        if self._held:
            word = bytes((0x61, len(self._held)))
        if self.one_by_one:
            return b"".join(bytes((ins ^ 0xFF, byte)) for byte in body) + word
        return bytes((ins,)) + body + word


class T0Sams(PtyDevice):
    """Up to four SAMs behind a switch on one UART. `contacts` may be changed while it runs.

    paths   the data line and the pins, in this order
    echo    the client hears what it sends, as on a wire for both directions
    spoil   called with what a SAM says, before it leaves
    others  called with bytes on the line of the pins that are no slot's: supplies of other parts, boards/common/pins
    """

    def __init__(
        self,
        contacts: Sequence[Contact | None],
        link_paths: Sequence[str | os.PathLike[str] | None] = (None, None),
        echo: bool = False,
        line_bits_per_s: int | None = None,
        pause: Callable[[float], object] = time.sleep,
        spoil: Callable[[bytes], bytes] = bytes,
        others: Callable[[int], object] = lambda byte: None,
    ) -> None:
        self._others = others
        self.contacts: list[Contact | None] = [*contacts, *[None] * (SLOTS - len(contacts))]
        self.spoil = spoil
        self.echo = echo
        self._slot = 0
        super().__init__(link_paths, line_bits_per_s, pause)

    def client_speed(self) -> int:
        """What the client has set its side to; 0 where no SAM knows it."""
        settings: list[Any] = termios.tcgetattr(self._slaves[DATA])
        return SPEEDS.get(settings[4], 0)

    def received(self, line: int, raw: bytes) -> None:
        if line == PINS:
            for byte in raw:
                self._pin(byte)
            return
        if self.echo:
            self.send(raw)
        contact = self.contacts[self._slot]
        if contact is not None and self.client_speed() == contact.speed:
            self._say(contact.hear(raw), self.client_speed())

    def _pin(self, byte: int) -> None:
        if byte & 0xF0 != 0x40:
            self._others(byte)
            return
        self._slot = byte & 3
        contact = self.contacts[self._slot]
        if contact is None:
            return
        was_speed = contact.first_speed
        self._say(contact.pins(bool(byte & 4), bool(byte & 8)), was_speed)

    def _say(self, raw: bytes, speed: int) -> None:
        if not raw:
            return
        if self.client_speed() != speed:
            raw = bytes((byte * 37 + 11) & 0xFF | 0x80 for byte in raw)     # sampled at the wrong times
        raw = self.spoil(raw)
        if raw:
            self.send(raw, DATA)
