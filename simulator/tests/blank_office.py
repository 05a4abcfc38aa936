"""Whoever writes blanks, as the back office does it: its own formulas, backoffice.keys.schemes, against the chip's."""

import json
from collections.abc import Callable
from typing import Any

from backoffice.keys import schemes
from simulator.blank import TEST_TRANSPORT
from simulator.blank_image import PROFILES
from simulator.personalise import TEST_MASTERS, card_image, psam_image
from tunion.crypto.keys import suite

NAMES = sorted(path.stem for path in PROFILES.glob("*.json"))
CARDS = [name for name in NAMES if "card" in name]
PSAMS = [name for name in NAMES if "psam" in name]
OK = b"\x90\x00"
CONTROL_KEY = bytes.fromhex("C0111701C0111701C0111701C0111702")
ISSUER = bytes.fromhex("04026110FFFFFFFF")
SERIAL = bytes.fromhex("03104999000000000023")
TERMINAL = bytes.fromhex("611000000099")
DATES = {"start": bytes.fromhex("20250101"), "expiry": bytes.fromhex("20351231")}
KEY_VERSION = 1

CARD_IMAGE = card_image(TEST_MASTERS, ISSUER, SERIAL, city=b"\x61\x10", province=b"\x61\x00", **DATES)
PSAM_IMAGE = psam_image(TEST_MASTERS, TERMINAL, issuer=ISSUER, **DATES)

Send = Callable[[bytes], bytes]


def profile(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PROFILES / f"{name}.json").read_text())
    return found


class Office:
    """One chip being written through `send`. Every method sends one command and returns its answer."""

    def __init__(self, name: str, send: Send, serial: int = 1) -> None:
        self.profile = profile(name)
        self.scheme = self.profile["scheme"]
        self.send = send
        self.key = self.diversified(TEST_TRANSPORT, serial.to_bytes(8, "big"))
        self.chain = bytes(8)
        self.content = CARD_IMAGE if self.profile["medium"] == "card" else PSAM_IMAGE

    def diversified(self, key: bytes, factor: bytes) -> bytes:
        return schemes.diversify_aes(key, factor) if self.scheme == "AES" else suite(0).diversify(key, factor)

    def head(self, name: str, p1: int | None = None, p2: int | None = None) -> bytes:
        head = bytearray(bytes.fromhex(self.profile["commands"][name]))
        head[2:] = bytes((head[2] if p1 is None else p1, head[3] if p2 is None else p2))
        return bytes(head)

    def secured(self, head: bytes, data: bytes = b"") -> bytes:
        """The command with its MAC; the chain goes on from it."""
        covered = head + bytes((len(data) + 4,)) + data
        mac = schemes.command_mac(self.scheme, self.key, self.chain, covered)
        self.chain = mac + bytes(4)
        return covered + mac

    def select_mf(self) -> bytes:
        return self.send(self.head("select_mf") + b"\x02\x3f\x00")

    def chip(self) -> bytes:
        return self.send(self.head("get_chip") + b"\x0e")

    def authenticate(self) -> bytes:
        challenge = self.send(self.head("get_challenge") + b"\x08")[:-2]
        self.chain = challenge
        answer = schemes.auth(self.scheme, self.key, challenge)
        return self.send(self.head("external_authenticate") + bytes((len(answer),)) + answer)

    def write_key(self, usage: str, index: int, version: int, algorithm: str, value: bytes) -> bytes:
        head = self.head("write_key", self.profile["usages"][usage], index)
        named = bytes((version, self.profile["algorithms"][algorithm]))
        return self.send(self.secured(head, named + schemes.wrap(self.scheme, self.key, value)))

    def control(self, value: bytes = CONTROL_KEY, version: int = 1) -> bytes:
        answer = self.write_key("control", 0, version, self.scheme, value)
        if answer == OK:
            self.key = value
        return answer

    def application(self) -> bytes:
        return self.send(self.secured(self.head("create_application"), bytes.fromhex(self.profile["aid"])))

    def file(self, one: dict[str, Any]) -> bytes:
        kind = {"transparent": 1, "cyclic": 2, "variable": 3}[one["kind"]]
        sizes = one["count"].to_bytes(2, "big") + one["bytes"].to_bytes(2, "big")
        return self.send(self.secured(self.head("create_file"), bytes((int(one["sfi"], 16), kind)) + sizes))

    def update(self, sfi: int, content: bytes, offset: int = 0) -> bytes:
        return self.send(self.secured(self.head("update_binary", 0x80 | sfi, offset), content))

    def end_stage(self, stage: int) -> bytes:
        return self.send(self.secured(self.head("end_stage", stage, 0)))

    def own_key(self, usage: str, version: int = KEY_VERSION) -> bytes:
        key = self.content.keys[usage][0]
        return self.write_key(usage, key.index, version, "3DES", key.value)

    # --- whole stages, as lists of steps, so that a test may cut between any two

    def initialisation(self) -> list[Callable[[], bytes]]:
        steps = [self.authenticate, self.control, self.authenticate, self.application]
        if self.profile["medium"] == "card":
            steps += [lambda one=one: self.file(one) for one in self.profile["files"]]  # type: ignore[misc]
        return [*steps, lambda: self.end_stage(1)]

    def personalisation(self) -> list[Callable[[], bytes]]:
        keys: list[Callable[[], bytes]] = [
            lambda usage=one["usage"]: self.own_key(usage) for one in self.profile["keys"]  # type: ignore[misc]
        ]
        files: list[Callable[[], bytes]] = [
            lambda sfi=sfi, content=content: self.update(sfi, content)  # type: ignore[misc]
            for sfi, content in sorted(self.content.files.items())
        ]
        return [self.authenticate, *keys, *files]

    def all_steps(self) -> list[Callable[[], bytes]]:
        return [*self.initialisation(), *self.personalisation(), lambda: self.end_stage(2)]

    def run(self, steps: list[Callable[[], bytes]]) -> None:
        for number, step in enumerate(steps):
            answer = step()
            assert answer[-2:] == OK, f"step {number}: {answer.hex()}"
