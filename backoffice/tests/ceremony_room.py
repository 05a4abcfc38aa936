"""People, parts and a backend for key ceremonies: what the tests of several modules hold them with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from backoffice.keys import ceremony as module
from backoffice.keys import components
from backoffice.keys.backend import DESTROYED, KeyInfo, KeyPath, KeysError
from backoffice.keys.ceremony import Ceremony
from backoffice.keys.ceremony_plan import plan_of

PASSPHRASE = "the ceremony"
PARTS = [bytes([at * 16 + low for low in range(16)]) for at in (1, 3, 7)]
WHOLE = bytes(a ^ b ^ c for a, b, c in zip(*PARTS, strict=True))


class Keeps:
    """A backend as the contract asks for: checks what it takes in, and forgets what is destroyed."""

    def __init__(self, test: bool = True) -> None:
        self.test = test
        self.rows: dict[str, KeyInfo] = {}
        self.values: dict[str, bytes] = {}

    def infos(self) -> list[KeyInfo]:
        return list(self.rows.values())

    def put(self, info: KeyInfo, value: bytes) -> None:
        if info.key_id in self.rows or components.kcv(info.algorithm, value) != info.kcv:
            raise KeysError("there already, or another check value")
        self.rows[info.key_id], self.values[info.key_id] = info, value

    def make(self, info: KeyInfo) -> KeyInfo:
        value = components.draw()
        made = info._replace(kcv=components.kcv(info.algorithm, value))
        self.put(made, value)
        return made

    def change(self, info: KeyInfo) -> None:
        self.rows[info.key_id] = info
        if info.state == DESTROYED:
            del self.values[info.key_id]

    def derive(self, parent_id: str, factor: bytes, info: KeyInfo) -> KeyInfo:
        return _unasked()

    def kcv(self, path: KeyPath) -> str:
        return _unasked()

    def session_mac(self, path: KeyPath, block: bytes, message: bytes) -> bytes:
        return _unasked()

    def tacs(self, path: KeyPath, cards: Sequence[bytes], messages: Sequence[bytes]) -> list[bytes]:
        return _unasked()

    def auth(self, control: KeyPath, challenge: bytes) -> bytes:
        return _unasked()

    def command_mac(self, control: KeyPath, iv: bytes, message: bytes) -> bytes:
        return _unasked()

    def wrap(self, control: KeyPath, target: KeyPath) -> bytes:
        return _unasked()

    def release(self, path: KeyPath, why: str) -> bytes:
        return _unasked()

    def hmac(self, key_id: str, message: bytes) -> bytes:
        return _unasked()

    def sign(self, key_id: str, digest: bytes) -> bytes:
        return _unasked()

    def public_key(self, key_id: str) -> bytes:
        return _unasked()


def _unasked() -> NoReturn:
    raise AssertionError("a ceremony has no use for this")


def content(test: bool = True) -> dict[str, Any]:
    """A plan of three keys: one entered, one split by SLIP-39, one made unseen."""
    custodians = ["c1", "c2", "c3"]
    persons = [("m", "陈主持", ["master"]), ("a", "李审计", ["auditor"]), ("w", "王见证", ["witness"])]
    persons += [(each, f"custodian {each}", ["custodian"]) for each in custodians]
    key = {"level": "nation", "version": 1, "index": 1, "algorithm": "3DES"}
    return {
        "title": {"zh": "密钥仪式", "en": "Key ceremony"},
        "place": {"zh": "密钥室", "en": "Key room"},
        "date": "2026-11-21",
        "test": test,
        "persons": [
            {"id": each, "name": name, "number": f"N-{each}", "roles": roles} for each, name, roles in persons
        ],
        "devices": [{"kind": "HSM", "serial": "SN-77"}],
        "keys": [
            {**key, "key_id": "tac-1", "purpose": "tac", "origin": "enter", "custodians": custodians,
             "envelopes": {"c1": "E-1"}, "kcv": components.kcv("3DES", WHOLE)},
            {**key, "key_id": "load-1", "purpose": "load", "origin": "split", "method": "slip39", "threshold": 2,
             "custodians": custodians, "algorithm": "SM4"},
            {**key, "key_id": "control-1", "purpose": "control", "origin": "make", "algorithm": "AES",
             "level": "chip"},
        ],
    }  # fmt: skip


class Room:
    """One ceremony as its people hold it; `typed` answers as they would."""

    def __init__(self, folder: Path, plan: Any = None, backend: Keeps | None = None) -> None:
        self.path = folder / "state.bin"
        self.backend = backend or Keeps()
        self.now_s = 1_795_000_000
        self.plan = plan_of(plan or content())
        self._ceremony: Ceremony | None = None

    @property
    def ceremony(self) -> Ceremony:
        assert self._ceremony is not None
        return self._ceremony

    def clock(self) -> int:
        self.now_s += 1
        return self.now_s

    def begin(self) -> Ceremony:
        self._ceremony = Ceremony.begin(self.path, self.plan, self.backend, PASSPHRASE, self.clock)
        return self.ceremony

    def resume(self) -> Ceremony:
        self._ceremony = Ceremony.resume(self.path, PASSPHRASE, self.backend, self.clock)
        return self.ceremony

    def do(self) -> None:
        """The present step, without a slip."""
        ceremony, step = self.ceremony, self.ceremony.step()
        for custodian in ceremony.wants_passphrases():
            ceremony.unlock(custodian, f"secret of {custodian}")
        if step.kind == module.ATTEND:
            ceremony.attend(step.who, f"secret of {step.who}")
        elif step.kind == module.DEVICE:
            ceremony.device("sn-77")
        elif step.kind == module.ENTER:
            part = PARTS[("c1", "c2", "c3").index(step.custodian)]
            ceremony.enter(part.hex(" ", 2), components.kcv("3DES", part), f"E-{step.custodian[1]}")
        elif step.kind == module.GIVE:
            slip = " ".join(ceremony.part_to_copy())
            ceremony.enter(slip, ceremony.kcv_of(step), f"S-{step.key_id}-{step.custodian}")
        elif step.kind in (module.CONFIRM_PART, module.CONFIRM_KEY):
            ceremony.confirm(True)
        elif step.kind == module.JOIN:
            ceremony.join()
        elif step.kind == module.KEEP:
            ceremony.keep()
        elif step.kind == module.CLOSE:
            ceremony.close("tape 4")

    def until(self, *kinds: str, key_id: str = "") -> Ceremony:
        while not (self.ceremony.step().kind in kinds and (not key_id or self.ceremony.step().key_id == key_id)):
            assert self.ceremony.step().kind != module.DONE
            self.do()
        return self.ceremony

    def finish(self) -> Ceremony:
        return self.until(module.DONE)
