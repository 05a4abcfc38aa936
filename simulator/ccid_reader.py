"""A reader that speaks CCID over a serial line on a pty: contactless slot 0, SAMs in slots 1 to 4.

For our driver and for libccidtwin behind pcscd (as GemCore POS Pro, or with `echo` and one slot as GemPC Twin). T=0 in
the SAM slots is the reader's own affair: it takes command heads with data and gives back what the SAM says.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from simulator.antenna import Antenna
from simulator.apdu import status
from simulator.card import NotPowered
from simulator.field import Card, Faults
from simulator.pty_device import PtyDevice
from simulator.sw import CONDITIONS, OK
from simulator.t0_sam import GET_RESPONSE, READING

SYNC, ACK, NAK = 0x03, 0x06, 0x15
NAK_FRAME = bytes((SYNC, NAK, SYNC ^ NAK))
FIRMWARE = b"YKT CCID-R1.00"
DATA_BYTES_MAX = 261
SLOTS = 5
MUTE, NO_SLOT, UNKNOWN = 0xFE, 0x05, 0x00           # bError
ACTIVE, INACTIVE, ABSENT = 0, 1, 2                  # bmICCStatus
FAILED, MORE_TIME = 0x40, 0x80
NOTICES_ON = b"\x01\x01\x01"
ABSENT_NOTICE, PRESENT_NOTICE = b"\x50\x02", b"\x50\x03"


def framed(message: bytes) -> bytes:
    """SYNC, ACK, the message, and the XOR of all of it."""
    raw = bytes((SYNC, ACK)) + message
    check = 0
    for byte in raw:
        check ^= byte
    return raw + bytes((check,))


class CcidReader(PtyDevice):
    """The reader at the end of a serial line. A card lies in its field between `insert` and `remove`.

    sams       what sits in slots 1 to 4
    echo       sends every frame back before it answers, as a GemPC Twin does
    more_time  asks for more time so often before each answer of a card
    spoil      called with each frame before it leaves; what it returns leaves instead

    refused    messages of unknown types
    """

    def __init__(
        self,
        link_path: str | os.PathLike[str] | None = None,
        sams: Sequence[Card | None] = (),
        echo: bool = False,
        line_bits_per_s: int | None = None,
        pause: Callable[[float], object] = time.sleep,
        on_left: Callable[[], object] = lambda: None,
        spoil: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.antenna = Antenna(on_left)
        self.sams: list[Card | None] = [*sams, *[None] * (SLOTS - 1 - len(sams))]
        self.spoil = spoil
        self.echo = echo
        self.more_time = 0
        self.refused: list[int] = []
        self.notices = False
        self.powered_on: list[int] = []         # slots, in order
        self._powered: set[int] = set()
        self._held: dict[int, bytes] = {}       # of each SAM, for GET RESPONSE
        self._pending = b""
        self._last = b""
        super().__init__((link_path,), line_bits_per_s, pause)

    @property
    def left(self) -> Any:
        """As the antenna's."""
        return self.antenna.left

    @property
    def torn(self) -> bool:
        """As the antenna's."""
        return self.antenna.torn

    @property
    def error(self) -> Exception | None:
        """As the antenna's."""
        return self.antenna.error

    def insert(self, card: Card, faults: Faults | None = None) -> None:
        """Lay the card on the antenna."""
        with self.lock:
            self.antenna.insert(card, faults)
            if self.notices:
                self.send(PRESENT_NOTICE)

    def remove(self) -> None:
        """Take the card away. An exchange under way ends first; to tear it, use Faults."""
        with self.lock:
            was_there = self.antenna.card is not None
            self.antenna.remove()
            if self.notices and was_there:
                self.send(ABSENT_NOTICE)

    def gone(self) -> None:
        self.antenna.remove()

    def received(self, line: int, raw: bytes) -> None:
        self._pending += raw
        while True:
            at = self._pending.find(bytes((SYNC,)))
            self._pending = self._pending[at:] if at >= 0 else b""
            if len(self._pending) < 3:
                return
            if self._pending[:3] == NAK_FRAME:
                self._pending = self._pending[3:]
                self.send(self._last)
                continue
            used = self._take()
            if used == 0:
                return
            self._pending = self._pending[used:]

    def _take(self) -> int:
        """Bytes of the frame at the front that have been dealt with; 0: it is not whole yet."""
        raw = self._pending
        if raw[1] != ACK:
            return 1
        if len(raw) < 12:
            return 0
        count = int.from_bytes(raw[3:7], "little")
        if count > DATA_BYTES_MAX:
            return 1
        size = 13 + count
        if len(raw) < size:
            return 0
        check = 0
        for byte in raw[:size]:
            check ^= byte
        if check:
            self.send(NAK_FRAME)
            return size
        if self.echo:
            self.send(raw[:size])
        self._message(raw[2 : size - 1])
        return size

    def _message(self, message: bytes) -> None:
        kind, slot, data = message[0], message[5], message[10:]
        if kind == 0x6F:
            for _ in range(self.more_time):
                self._reply(message, 0x80, MORE_TIME, 1, b"")
        actions: dict[int, tuple[int, Callable[[int, bytes], tuple[int, bytes]]]] = {
            0x61: (0x82, self._parameters), 0x62: (0x80, self._power_on), 0x63: (0x81, self._power_off),
            0x65: (0x81, lambda slot, data: (-1, b"")), 0x6B: (0x83, self._escape), 0x6C: (0x82, self._parameters),
            0x6F: (0x80, self._exchange),
        }  # fmt: skip
        if kind not in actions:
            self.refused.append(kind)
            self._reply(message, 0x81, FAILED, UNKNOWN, b"")
        elif slot >= SLOTS:
            self._reply(message, actions[kind][0], FAILED | ABSENT, NO_SLOT, b"")
        else:
            reply, action = actions[kind]
            error, answer = action(slot, data)
            self._reply(message, reply, FAILED if error >= 0 else 0, max(error, 0), answer)

    def _reply(self, message: bytes, kind: int, state: int, error: int, data: bytes) -> None:
        slot, sequence = message[5], message[6]
        icc = self._icc(slot) if not state & 3 else 0
        head = bytes((kind,)) + len(data).to_bytes(4, "little") + bytes((slot, sequence, state | icc, error, 0))
        self._last = self.spoil(framed(head + data))
        if self._last:
            self.send(self._last)

    def _icc(self, slot: int) -> int:
        if slot == 0:
            if self.antenna.card is None or self.antenna.crowd:
                return ABSENT
            return ACTIVE if self.antenna.active else INACTIVE
        if slot >= SLOTS or self.sams[slot - 1] is None:
            return ABSENT
        return ACTIVE if slot in self._powered else INACTIVE

    def _power_on(self, slot: int, data: bytes) -> tuple[int, bytes]:
        self.powered_on.append(slot)
        card: Card | None
        if slot == 0:
            self.antenna.halt()
            card = self.antenna.activate()
            return (-1, card.atr) if card is not None else (MUTE, b"")
        card = self.sams[slot - 1]
        if card is None:
            return MUTE, b""
        card.power_off()
        self._powered.add(slot)
        self._held[slot] = b""
        return -1, card.power_on()

    def _power_off(self, slot: int, data: bytes) -> tuple[int, bytes]:
        if slot == 0:
            self.antenna.halt()
        else:
            card = self.sams[slot - 1]
            if card is not None:
                card.power_off()
            self._powered.discard(slot)
        return -1, b""

    def _parameters(self, slot: int, data: bytes) -> tuple[int, bytes]:
        return -1, data or b"\x11\x00\x00\x0a\x00"

    def _escape(self, slot: int, data: bytes) -> tuple[int, bytes]:
        if data == b"\x02":
            return -1, FIRMWARE
        if data == NOTICES_ON:
            self.notices = True
        return -1, b""

    def _exchange(self, slot: int, apdu: bytes) -> tuple[int, bytes]:
        if slot == 0:
            if apdu[:4] == b"\xff\xca\x00\x00":
                card = self.antenna.card
                if card is None or not self.antenna.active:
                    return MUTE, b""
                return -1, card.uid + status(OK) if card.uid else status(CONDITIONS)
            answer = self.antenna.exchange(apdu)
            return (MUTE, b"") if answer is None else (-1, answer)
        sam = self.sams[slot - 1]
        if sam is None or slot not in self._powered:
            return MUTE, b""
        try:
            return -1, self._through_t0(slot, sam, apdu)
        except NotPowered:
            self._powered.discard(slot)
            return MUTE, b""

    def _through_t0(self, slot: int, sam: Card, apdu: bytes) -> bytes:
        """What T=0 makes of it: data go one way only, a wrong length is told."""
        if len(apdu) < 4 or len(apdu) > 5 and len(apdu) != 5 + apdu[4]:
            return b"\x67\x00"
        if apdu[1] == GET_RESPONSE and self._held.get(slot):
            held = self._held[slot]
            count = apdu[4] or 256
            if count > len(held):
                return bytes((0x6C, len(held)))
            self._held[slot] = held[count:]
            return held[:count] + (bytes((0x61, len(held) - count)) if held[count:] else b"\x90\x00")
        self._held[slot] = b""
        answer = sam.transceive(apdu)
        body, word = answer[:-2], answer[-2:]
        if apdu[1] in READING:
            if body and len(body) != (apdu[4] or 256):
                return bytes((0x6C, len(body)))
            return answer
        if body:
            self._held[slot] = body
            return bytes((0x61, len(body)))
        return word
