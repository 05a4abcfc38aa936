"""A serial reader with frames from STX to ETX on a pty, as a profile describes it: for our driver, or any other.

It knows the commands that the profile names and no other, answers nothing to a broken frame but NAK (where the
profile has one), and carries SAMs where the profile has commands for them.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simulator.antenna import Antenna
from simulator.card import NotPowered
from simulator.field import Card, Faults
from simulator.pty_device import PtyDevice
from simulator.stx_etx import Codec, Frame

PROFILES = Path(__file__).parents[1] / "firmware" / "validator" / "profiles" / "readers"
SENS_RES = {4: b"\x00\x04", 7: b"\x00\x44"}
SEL_RES = b"\x20"
SLOTS = 4


def load_profile(name: str) -> dict[str, Any]:
    """One of firmware/validator/profiles/readers, by its name without .json. Raises OSError."""
    profile: dict[str, Any] = json.loads((PROFILES / f"{name}.json").read_text())
    return profile


class StxEtxReader(PtyDevice):
    """The reader at the end of a serial line. A card lies on it between `insert` and `remove`.

    profile  the map
    sams     what sits in slots 1 to 4
    spoil    called with each frame before it leaves; what it returns leaves instead

    refused  commands that no profile entry stands for
    """

    def __init__(
        self,
        profile: dict[str, Any],
        link_path: str | os.PathLike[str] | None = None,
        sams: Sequence[Card | None] = (),
        line_bits_per_s: int | None = None,
        pause: Callable[[float], object] = time.sleep,
        on_left: Callable[[], object] = lambda: None,
        spoil: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.antenna = Antenna(on_left)
        self.sams: list[Card | None] = [*sams, *[None] * (SLOTS - len(sams))]
        self.spoil = spoil
        self.refused: list[bytes] = []
        self._powered: set[int] = set()
        self._found: Card | None = None         # by the last poll, not yet activated
        self._profile = profile
        self._codec = Codec(profile)
        self._status = {word: bytes.fromhex(text) for text, word in reversed(profile["status"].items())}
        self._unknown = b"\xee" * len(self._status["ok"])
        self._nak = bytes.fromhex(profile.get("nak", ""))
        self._again = bytes.fromhex(profile.get("again", ""))
        self._last = b""
        self._gap_s = profile.get("gap_ms", 50) / 1000
        self._heard_s = 0.0
        self._commands = self._table(profile["commands"])
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

    def insert_beside(self, card: Card | None) -> None:
        """Lay a second card beside the first; None: take it away again. `remove` takes both."""
        with self.lock:
            self.antenna.crowd = card is not None

    def remove(self) -> None:
        """Take the card away. An exchange under way ends first; to tear it, use Faults."""
        with self.lock:
            self.antenna.crowd = False
            self.antenna.remove()

    def power(self, on: bool) -> None:
        """The reader's own supply. A hung reader starts afresh; what was selected or powered is not any more."""
        with self.lock:
            self.deaf = not on
            self.antenna.halt()
            self._powered.clear()
            self._codec.forget()

    def gone(self) -> None:
        self.antenna.remove()

    def received(self, line: int, raw: bytes) -> None:
        if self._again and raw == self._again and self._last:
            self.send(self._last)
            return
        now_s = time.monotonic()
        if now_s - self._heard_s > self._gap_s:
            self._codec.forget()                # half a frame, and then silence
        self._heard_s = now_s
        before = self._codec.broken
        frames = self._codec.feed(raw)
        for frame in frames:
            self._last = self.spoil(self._codec.encode(self._answer(frame), frame.sequence))
            if self._last:
                self.send(self._last)
        if not frames and self._codec.broken != before and self._nak:
            self.send(self._nak)

    def _answer(self, frame: Frame) -> bytes:
        returned = frame.body[: self._profile["code_bytes"]] if self._profile.get("code_returns") else b""
        for head, action in self._commands:
            if frame.body.startswith(head):
                word, data = action(frame.body[len(head) :])
                return returned + self._status.get(word, self._unknown) + data
        self.refused.append(frame.body)
        return returned + self._unknown

    def _table(self, named: dict[str, Any]) -> list[tuple[bytes, Callable[[bytes], tuple[str, bytes]]]]:
        """Longest heads first: one may begin another."""
        actions: dict[str, Callable[[bytes], tuple[str, bytes]]] = {
            "field_off": lambda data: self._field(False),
            "field_on": lambda data: self._field(True),
            "halt": lambda data: self._halt(),
            "poll": lambda data: self._poll(),
            "activate": lambda data: self._activate(),
            "present": lambda data: ("ok" if self.antenna.active else "lost", b""),
            "apdu": self._apdu,
            "sam_power": self._sam_power,
            "sam_apdu": self._sam_apdu,
        }
        table = [(bytes.fromhex(text), actions[name]) for name, text in named.items() if name != "open"]
        known = [head for head, _ in table]
        table += [(raw, self._opened) for raw in map(bytes.fromhex, named["open"]) if raw not in known]
        return sorted(table, key=lambda row: -len(row[0]))

    def _opened(self, data: bytes) -> tuple[str, bytes]:
        return "ok", b""

    def _field(self, on: bool) -> tuple[str, bytes]:
        self.antenna.switch(on)
        return "ok", b""

    def _halt(self) -> tuple[str, bytes]:
        """A real one says that there was no card; hosts halt before they begin."""
        there = self.antenna.active
        self.antenna.halt()
        return ("ok" if there else "no_card"), b""

    def _poll(self) -> tuple[str, bytes]:
        if self.antenna.crowd:
            return "two_cards", b""
        card = self._found = self.antenna.find()
        if card is None:
            return "no_card", b""
        rule = self._profile["uid"]
        card.power_on()
        uid = card.uid
        self.antenna.active = "activate" not in self._profile["commands"]
        if rule["length_at"] < 0:
            return "ok", uid
        return "ok", SENS_RES[len(uid)] + SEL_RES + bytes((len(uid),)) + uid

    def _activate(self) -> tuple[str, bytes]:
        card = self.antenna.find()
        if card is None or card is not self._found:
            return "lost", b""
        self._found = None
        self.antenna.active = True
        return "ok", b"\x05\x78\x80\x80\x02"

    def _apdu(self, apdu: bytes) -> tuple[str, bytes]:
        answer = self.antenna.exchange(apdu)
        return ("lost", b"") if answer is None else ("ok", answer)

    def _sam(self, data: bytes) -> tuple[int, Card | None]:
        number = data[0] if data else 0
        return number, self.sams[number - 1] if 1 <= number <= SLOTS else None

    def _sam_power(self, data: bytes) -> tuple[str, bytes]:
        number, sam = self._sam(data)
        if sam is None:
            return "no_sam", b""
        sam.power_off()
        self._powered.add(number)
        return "ok", sam.power_on()

    def _sam_apdu(self, data: bytes) -> tuple[str, bytes]:
        number, sam = self._sam(data)
        if sam is None or number not in self._powered:
            return "no_sam", b""
        try:
            return "ok", sam.transceive(data[1:])
        except NotPowered:
            self._powered.discard(number)
            return "no_sam", b""
