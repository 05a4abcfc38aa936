"""Frames of the PN532 on its high speed UART. NXP UM0701-02, chapter 6.

    normal    00 00 FF LEN LCS TFI data DCS 00            LEN counts TFI and data
    extended  00 00 FF FF FF LENM LENL LCS TFI data DCS 00
    ACK 00 00 FF 00 FF 00    NACK 00 00 FF FF 00 00    error 00 00 FF 01 FF 7F 81 00
"""

from typing import NamedTuple

TO_CHIP, TO_HOST = 0xD4, 0xD5
START = b"\x00\xff"
ACK = b"\x00\x00\xff\x00\xff\x00"
NACK = b"\x00\x00\xff\xff\x00\x00"
SYNTAX_ERROR = b"\x00\x00\xff\x01\xff\x7f\x81\x00"

BODY_BYTES_MAX = 265        # of an extended frame, TFI and command included
_NORMAL_MAX = 255


class Frame(NamedTuple):
    """What a host sent. `kind` is "ack", "nack" or "command"; `body` is the command code and its data."""

    kind: str
    body: bytes = b""


def encode(body: bytes) -> bytes:
    """A frame from chip to host around an answer."""
    content = bytes((TO_HOST,)) + body
    if len(content) <= _NORMAL_MAX:
        head = bytes((len(content), -len(content) & 0xFF))
    else:
        high, low = divmod(len(content), 256)
        head = bytes((0xFF, 0xFF, high, low, -(high + low) & 0xFF))
    return b"\x00" + START + head + content + bytes((-sum(content) & 0xFF, 0))


class Decoder:
    """Finds frames in what the host's UART sends, after any preamble, wake-up or rubbish."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, received: bytes) -> list[Frame]:
        """The frames that are whole now. Broken checksums are dropped without a word, as the chip does."""
        self._pending += received
        frames: list[Frame] = []
        while True:
            at = self._pending.find(START)
            if at < 0:
                self._pending = self._pending[-1:]      # a 00 that may begin the next start code
                return frames
            self._pending = self._pending[at:]
            size, frame = _first(self._pending)
            if size == 0:
                return frames
            self._pending = self._pending[size:]
            if frame:
                frames.append(frame)


def _first(raw: bytes) -> tuple[int, Frame | None]:
    """(bytes used, frame) of the frame that starts at raw[0]. 0 bytes: not whole yet. No frame: a broken one."""
    if len(raw) < 4:
        return 0, None
    if raw[2:4] == b"\x00\xff":
        return 4, Frame("ack")
    if raw[2:4] == b"\xff\x00":
        return 4, Frame("nack")
    if raw[2:4] == b"\xff\xff":
        if len(raw) < 7:
            return 0, None
        head, length, check = 7, raw[4] << 8 | raw[5], sum(raw[4:7])
    else:
        head, length, check = 4, raw[2], raw[2] + raw[3]
    if check & 0xFF or not 2 <= length <= BODY_BYTES_MAX:
        return len(START), None
    if len(raw) < head + length + 1:
        return 0, None
    content = raw[head : head + length]
    if sum(raw[head : head + length + 1]) & 0xFF or content[0] != TO_CHIP:
        return len(START), None
    return head + length + 1, Frame("command", content[1:])
