"""A taxi meter on a pty, speaking by the profile that the validator reads. The profile is invented; so is the meter."""

import os
from typing import Any

from simulator.pty_device import PtyDevice


class SimTaxiMeter(PtyDevice):
    """Reports what the test sets: `free`, `hired`, `stopped`, the ride's number and amount."""

    def __init__(self, link_path: str | os.PathLike[str], profile: dict[str, Any]) -> None:
        self._profile = profile
        super().__init__((link_path,))

    def received(self, line: int, raw: bytes) -> None:
        pass

    def report(self, state: str, ride: int, amount_fen: int) -> bytes:
        """Send one frame; returns it."""
        frame = self.frame(state, ride, amount_fen)
        self.send(frame)
        return frame

    def frame(self, state: str, ride: int, amount_fen: int) -> bytes:
        """By the profile's map, counted here once more and not by the driver's code."""
        profile = self._profile
        frame = bytearray(profile["bytes"])
        start, end = bytes.fromhex(profile["start"]), bytes.fromhex(profile.get("end", ""))
        frame[: len(start)] = start
        frame[len(frame) - len(end) :] = end
        frame[profile["state"]["at"]] = int(profile["state"][state], 16)
        units, left = divmod(amount_fen, profile["amount"].get("unit_fen", 1))
        assert not left, "the meter shows no smaller unit"
        for field, value in ((profile["ride"], ride), (profile["amount"], units)):
            if field["coding"] == "bcd":
                digits = bytes.fromhex(f"{value:0{2 * field['bytes']}d}")
            else:
                digits = f"{value:0{field['bytes']}d}".encode("ascii")
            frame[field["at"] : field["at"] + field["bytes"]] = digits
        check = 0
        for byte in frame[profile["check"].get("from", 0) : profile["check"]["at"]]:
            check = (check + byte) & 0xFF if profile["check"]["kind"] == "sum" else check ^ byte
        frame[profile["check"]["at"]] = check
        return bytes(frame)
