"""Frames of a serial reader between STX and ETX, from the reader's side, as its profile (a map) describes them.

A second reading of the profiles that the firmware reads, sharing nothing but the data. Keys: firmware/docs/readers.md.
"""

from typing import Any, NamedTuple


class Frame(NamedTuple):
    """What a host sent, checked."""

    sequence: int
    body: bytes


class Codec:
    """Encodes answers and finds commands. Bytes of a frame that is broken are dropped; `broken` counts such frames."""

    def __init__(self, profile: dict[str, Any]) -> None:
        self._p = profile
        self._layout: list[str] = profile["layout"]
        nibbles = profile.get("nibbles", {})
        self._coded: list[str] = nibbles.get("fields", [])
        self._letters: str = nibbles.get("letters", "0123456789ABCDEF")
        self._pending = b""
        self.broken = 0

    def encode(self, body: bytes, sequence: int = 0) -> bytes:
        """A whole frame around a body."""
        content = self._contents(body, sequence)
        return b"".join(self._sent(name, content[name]) for name in self._layout)

    def feed(self, received: bytes) -> list[Frame]:
        """The frames that are whole now."""
        self._pending += received
        frames: list[Frame] = []
        start = bytes.fromhex(self._p["start"])
        while True:
            at = self._pending.find(start)
            if at < 0:
                self._pending = self._pending[-1:] if len(start) > 1 else b""
                return frames
            self._pending = self._pending[at:]
            used, frame = self._first(self._pending)
            if used == 0:
                return frames
            self._pending = self._pending[used:]
            if frame is not None:
                frames.append(frame)

    def forget(self) -> None:
        """Half a frame that was followed by silence."""
        self._pending = b""

    def _contents(self, body: bytes, sequence: int) -> dict[str, bytes]:
        p = self._p
        content = {
            "start": bytes.fromhex(p["start"]), "end": bytes.fromhex(p.get("end", "")),
            "address": bytes.fromhex(p.get("address", "")), "sequence": bytes((sequence,)), "body": body,
        }  # fmt: skip
        if "length" in self._layout:
            rule = p["length"]
            content["length"] = bytes(rule["bytes"])
            number = rule.get("adds", 0)
            for name in rule["counts"]:
                number += len(self._sent(name, content[name]) if rule.get("of") == "sent" else content[name])
            content["length"] = number.to_bytes(rule["bytes"], rule.get("order", "big"))
        if "check" in self._layout:
            content["check"] = self._check(content)
        return content

    def _check(self, content: dict[str, bytes]) -> bytes:
        rule = self._p["check"]
        sent = rule.get("of") == "sent"
        covered = b"".join(
            self._sent(name, content[name]) if sent else content[name]
            for name in self._layout if name in rule["covers"]
        )  # fmt: skip
        size = 2 if rule["kind"] == "crc16" else 1
        value = int(rule.get("first", "0"), 16)
        if rule["kind"] == "xor":
            for byte in covered:
                value ^= byte
        elif rule["kind"] == "sum":
            value += sum(covered)
        else:
            value = _crc16(covered, int(rule["poly"], 16), value, rule.get("reflected", False))
        value ^= int(rule.get("final", "0"), 16)
        if rule.get("negated"):
            value = -value
        return (value % (1 << 8 * size)).to_bytes(size, rule.get("order", "big"))

    def _sent(self, name: str, raw: bytes) -> bytes:
        if name not in self._coded:
            return raw
        return "".join(self._letters[byte >> 4] + self._letters[byte & 15] for byte in raw).encode()

    def _plain(self, name: str, raw: bytes) -> bytes:
        """Raises ValueError where a letter is none."""
        if name not in self._coded:
            return raw
        digits = [self._letters.index(chr(byte)) for byte in raw]
        return bytes(high << 4 | low for high, low in zip(digits[::2], digits[1::2], strict=True))

    def _first(self, raw: bytes) -> tuple[int, Frame | None]:
        """(bytes used, frame) of the frame at raw[0]; 0: not whole yet; no frame: a broken one."""
        for size in self._body_sizes(raw):
            if size is None:
                return 0, None
            whole = self._try(raw, size)
            if whole is None:
                return 0, None
            if whole[0]:
                return whole
        self.broken += 1
        return 1, None

    def _body_sizes(self, raw: bytes) -> list[int | None]:
        """What the body may measure: one size by the length field, else all up to the first end."""
        fixed = {"start": len(bytes.fromhex(self._p["start"])), "address": 1, "sequence": 1, "end": 1,
                 "length": self._p.get("length", {}).get("bytes", 0),
                 "check": 2 if self._p.get("check", {}).get("kind") == "crc16" else 1}  # fmt: skip
        self._fixed = fixed
        at = 0
        for name in self._layout:
            wide = fixed.get(name, 0) * (2 if name in self._coded else 1)
            if name == "length":
                if len(raw) < at + wide:
                    return [None]
                try:
                    plain = self._plain(name, raw[at : at + wide])
                except ValueError:
                    return []
                rule = self._p["length"]
                number = int.from_bytes(plain, rule.get("order", "big")) - rule.get("adds", 0)
                sent = rule.get("of") == "sent"
                for other in rule["counts"]:
                    if other != "body":
                        number -= fixed[other] * (2 if sent and other in self._coded else 1)
                if sent and "body" in self._coded:
                    number //= 2
                return [number] if 0 <= number <= 600 else []
            if name == "address" and len(raw) >= at + wide and raw[at : at + wide] != self._sent(
                name, bytes.fromhex(self._p["address"])
            ):
                return []           # another reader's: it may not keep ours waiting
            at += wide
        end = raw.find(bytes.fromhex(self._p["end"]), at)
        return [None] if end < 0 else list(range((end - at) // 2 + 1))

    def _try(self, raw: bytes, size: int) -> tuple[int, Frame | None] | None:
        """The frame if its body measures `size`; (0, None): it is broken; None: not whole yet."""
        at = 0
        found: dict[str, bytes] = {}
        for name in self._layout:
            wide = (size if name == "body" else self._fixed[name]) * (2 if name in self._coded else 1)
            if len(raw) < at + wide:
                return None
            try:
                found[name] = self._plain(name, raw[at : at + wide])
            except ValueError:
                return 0, None
            at += wide
        sequence = found.get("sequence", b"\x00")[0]
        right = self._contents(found["body"], sequence)
        if any(found[name] != right[name] for name in self._layout):
            return 0, None
        return at, Frame(sequence, found["body"])


def _crc16(data: bytes, poly: int, value: int, reflected: bool) -> int:
    """Bit by bit. With `reflected` bytes go in lowest bit first and the result is read the same way."""
    if reflected:
        value = _mirrored(value, 16)
    for byte in data:
        value ^= (_mirrored(byte, 8) if reflected else byte) << 8
        for _ in range(8):
            value = (value << 1 ^ (poly if value & 0x8000 else 0)) & 0xFFFF
    return _mirrored(value, 16) if reflected else value


def _mirrored(value: int, bits: int) -> int:
    return int(f"{value:0{bits}b}"[::-1], 2)
