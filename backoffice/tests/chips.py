"""A blank for tests: the sample command set written down a second time, and keys it can be written from.

The blanks of the simulator are the other ones; who tests against both has two readings of personalise.md.
"""

import hashlib
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from backoffice.cards.line import CardGone
from backoffice.keys import schemes
from backoffice.keys.backend import KeyInfo, KeyPath, Lacks
from backoffice.keys.service import NoKey, TacRequest
from backoffice.keys.suites import SUITES
from tunion.card import psam
from tunion.crypto import keys as crypto
from tunion.crypto.des import TripleDes
from tunion.crypto.mac import maintenance_mac, retail_mac_block

TRIES = 3
PSAM_FILES = {0x15: 14, 0x16: 6, 0x17: 25}
USAGES = {0: "control", 1: "purchase", 2: "load", 3: "tac", 4: "maintenance"}


class Blank:
    """A PSAM from its factory, on a line of its own. `gone_at`: pull it at that command, `before` or after it works."""

    def __init__(self, serial: bytes, transport: bytes, scheme: str = "3DES") -> None:
        self.serial = serial
        self.scheme = scheme
        self.control = diversify(scheme, transport, serial)
        self.replaced = False
        self.stage = 0
        self.tries = TRIES
        self.files: dict[int, bytes] = {}
        self.kinds: dict[int, bytes] = {}
        self.keys: dict[tuple[str, int, int], tuple[int, bytes]] = {}  # usage, index, version -> algorithm, value
        self.aid = b""
        self.counter = 1
        self.get_response = False
        self.spoil_mac1 = False  # a chip whose purchase key came out wrong
        self.sent = 0
        self.gone_at: int | None = None
        self.before = False
        self.powered = False
        self._reset()

    def power_on(self) -> bytes:
        self.powered = True
        self._reset()
        return b"\x3b\x6d\x00\x00TEST BLANK..."

    def power_off(self) -> None:
        self.powered = False
        self._reset()

    def transceive(self, apdu: bytes) -> bytes:
        if not self.powered:
            raise CardGone("no card")
        self.sent += 1
        pulled = self.sent == self.gone_at
        if pulled and self.before:
            self.power_off()
            raise CardGone("pulled before it was heard")
        answer = self._answer(apdu)
        if pulled:
            self.power_off()
            raise CardGone("pulled before it answered")
        return answer

    def _reset(self) -> None:
        self.challenge = self.iv = self.waiting = b""
        self.application = False
        self.work = bytes(16)
        self.session: tuple[Any, bytes, int] | None = None

    def _answer(self, apdu: bytes) -> bytes:
        if apdu[:2] == b"\x00\xc0":
            waiting, self.waiting = self.waiting, b""
            return waiting + b"\x90\x00"
        challenge, self.challenge = self.challenge, b""
        try:
            body = self._dispatch(apdu, challenge)
        except _No as no:
            return int(no.args[0]).to_bytes(2, "big")
        if body and self.get_response and len(apdu) > 5:
            self.waiting = body
            return bytes((0x61, len(body)))
        return body + b"\x90\x00"

    def _dispatch(self, apdu: bytes, challenge: bytes) -> bytes:
        head, data = apdu[:4], apdu[5 : 5 + apdu[4]] if len(apdu) > 5 else b""
        if head == b"\x00\xa4\x00\x00":
            _need(data in (b"\x3f\x00", psam.APPLICATION_FID), 0x6A82)
            self._reset()
            self.application = data == psam.APPLICATION_FID
            return b""
        if head[:2] == b"\x00\xb0":
            _need(head[2] & 0x1F in self.files, 0x6A82)
            return self.files[head[2] & 0x1F][head[3] :][: apdu[4]]
        if head == b"\x80\xca\x9f\x7f":
            return self.serial + b"\x12\x34\x00\x01" + bytes((self.stage, self.tries))
        if head == b"\x00\x84\x00\x00":
            self.challenge = os.urandom(8)
            return self.challenge
        if head == b"\x00\x82\x00\x00":
            return self._authenticate(data, challenge)
        if head[:2] == b"\x80\x70":
            return self._purchase(data)
        if head[:2] == b"\x80\x72":
            return self._credit(data)
        if head[:3] == b"\x80\x1a\x45":
            wanted = ("maintenance", head[3])
            found = [value for (usage, _, version), (_, value) in self.keys.items() if (usage, version) == wanted]
            _need(self.stage == 2 and self.application, 0x6985)
            _need(bool(found), 0x9403)
            self.work = diversify("3DES", diversify("3DES", found[0], data[8:]), data[:8])
            return b""
        if head == b"\x80\xfa\x05\x00":
            return retail_mac_block(self.work, data[8:], data[:8])[:4]
        _need(head[0] == 0x84, 0x6E00)
        self._secured(head, apdu, data)
        return b""

    def _authenticate(self, data: bytes, challenge: bytes) -> bytes:
        _need(bool(self.tries), 0x6983)
        _need(bool(challenge), 0x6984)
        if data != schemes.auth(self.scheme, self.control, challenge):
            self.tries -= 1
            raise _No(0x63C0 | self.tries if self.tries else 0x6983)
        self.tries = TRIES
        self.iv = challenge
        return b""

    def _secured(self, head: bytes, apdu: bytes, data: bytes) -> None:
        _need(bool(self.iv), 0x6982)
        body, mac = data[:-4], data[-4:]
        iv, self.iv = self.iv, b""
        _need(mac == schemes.command_mac(self.scheme, self.control, iv, apdu[:-4]), 0x6988)
        self.iv = mac + bytes(4)
        if head[1] == 0xD4:
            self._write_key(USAGES[head[2]], head[3], body)
        elif head[1:] == b"\xe0\x01\x00":
            _need(self.stage == 0, 0x6985)
            _need(not self.aid, 0x6A80)
            self.aid = body
        elif head[1:] == b"\xe0\x00\x00":
            _need(self.stage == 0 and bool(self.aid), 0x6985)
            self.kinds[body[0]] = body[1:]
        elif head[1] == 0xD6:
            _need(self.stage < 2, 0x6985)
            sfi, at = head[2] & 0x1F, head[3]
            _need(sfi in PSAM_FILES, 0x6A82)
            _need(at + len(body) <= PSAM_FILES[sfi], 0x6B00)
            old = self.files.get(sfi, bytes(PSAM_FILES[sfi]))
            self.files[sfi] = old[:at] + body + old[at + len(body) :]
        elif head[1] == 0xE2:
            self._end(head[2])
        else:
            raise _No(0x6D00)

    def _write_key(self, usage: str, index: int, body: bytes) -> None:
        version, algorithm, wrapped = body[0], body[1], body[2:]
        if self.scheme == "AES":
            value = aes_key_unwrap(self.control, wrapped)
        else:
            cipher = TripleDes(self.control)
            value = cipher.decrypt(wrapped[:8]) + cipher.decrypt(wrapped[8:])
        if usage == "control":
            _need(self.stage < 2, 0x6985)
            self.control, self.replaced, self.iv = value, True, b""
            return
        _need((usage, index, version) not in self.keys, 0x6A80)
        self.keys[usage, index, version] = algorithm, value

    def _end(self, stage: int) -> None:
        _need(stage == self.stage + 1, 0x6985)
        if stage == 1:
            _need(self.replaced and bool(self.aid), 0x6985)
        else:
            purchase = any(usage == "purchase" for usage, _, _ in self.keys)
            _need(purchase and set(self.files) == set(PSAM_FILES), 0x6985)
        self.stage = stage

    def _purchase(self, data: bytes) -> bytes:
        _need(self.stage == 2 and self.application, 0x6985)
        assert psam.INIT_SAM_FOR_PURCHASE.data
        asked = psam.INIT_SAM_FOR_PURCHASE.data.unpack(data)
        found = [
            value
            for (usage, _, version), (algorithm, value) in self.keys.items()
            if (usage, version, algorithm) == ("purchase", asked.key_version, asked.algorithm)
        ]
        _need(bool(found), 0x9403)
        suite = crypto.suite(asked.algorithm)
        scheme = "SM4" if asked.algorithm else "3DES"
        key = diversify(scheme, diversify(scheme, found[0], asked.issuer), asked.card)
        session = crypto.purchase_session(suite, key, asked.random, asked.counter, self.counter)
        message = crypto.PURCHASE_MAC1.pack(
            amount_fen=asked.amount_fen, type=asked.type, terminal=self.files[0x16], at=asked.at
        )
        self.session = suite, session, asked.amount_fen
        mac1 = suite.mac(session, message)
        return self.counter.to_bytes(4, "big") + (bytes(4) if self.spoil_mac1 else mac1)

    def _credit(self, data: bytes) -> bytes:
        _need(self.session is not None, 0x6901)
        assert self.session
        suite, session, amount_fen = self.session
        self.session = None
        _need(data == suite.mac(session, crypto.PURCHASE_MAC2.pack(amount_fen=amount_fen)), 0x9302)
        self.counter += 1
        return b""


class _No(Exception):
    """A status word."""


def _need(held: bool, word: int) -> None:
    if not held:
        raise _No(word)


@cache
def diversify(scheme: str, key: bytes, factor: bytes) -> bytes:
    return schemes.diversify_aes(key, factor) if scheme == "AES" else SUITES[scheme].diversify(key, factor)


class SampleKeys:
    """Enough of KeyService to write blanks: roots from a text each, never in a vault."""

    test = True

    def __init__(self, versions: tuple[int, ...] = (1, 2)) -> None:
        self.versions = versions
        self.calls: list[str] = []

    def value(self, path: KeyPath) -> bytes:
        info = self._info(path.key_id)
        key = root(path.key_id)
        for factor in path.factors:
            key = diversify(info.algorithm, key, factor)
        return key

    def infos(self) -> list[KeyInfo]:
        return [self._info(key_id) for key_id in sorted(self._ids())]

    def job(self, what: str, of: bytes) -> AbstractContextManager[None]:
        return nullcontext()

    def path(
        self, purpose: str, algorithm: str, version: int, issuer: bytes = b"", *below: bytes, product: int = 0
    ) -> KeyPath:
        key_id = f"{purpose}-{algorithm}-{version}"
        if key_id not in self._ids():
            raise NoKey(f"no key {key_id}")
        return KeyPath(key_id, ((issuer,) if issuer else ()) + below)

    def kcv(self, path: KeyPath) -> str:
        value, algorithm = self.value(path), self._info(path.key_id).algorithm
        if algorithm == "AES":
            return hashlib.sha256(value).hexdigest()[:6].upper()  # of no book: the double's own
        suite = crypto.suite(4 if algorithm == "SM4" else 0)
        return suite.session_key(value, bytes(8))[:3].hex().upper()

    def session_mac(self, path: KeyPath, block: bytes, message: bytes) -> bytes:
        suite = crypto.suite(4 if self._info(path.key_id).algorithm == "SM4" else 0)
        return suite.mac(suite.session_key(self.value(path), block), message)

    def auth(self, control: KeyPath, challenge: bytes) -> bytes:
        return schemes.auth(self._info(control.key_id).algorithm, self.value(control), challenge)

    def command_mac(self, control: KeyPath, iv: bytes, message: bytes) -> bytes:
        return schemes.command_mac(self._info(control.key_id).algorithm, self.value(control), iv, message)

    def wrap(self, control: KeyPath, target: KeyPath) -> bytes:
        return schemes.wrap(self._info(control.key_id).algorithm, self.value(control), self.value(target))

    def tac(self, path: KeyPath, message: bytes) -> bytes:
        suite = crypto.suite(4 if self._info(path.key_id).algorithm == "SM4" else 0)
        return suite.mac(suite.tac_key(self.value(path)), message)

    def maintenance_mac(self, path: KeyPath, challenge: bytes, command: bytes) -> bytes:
        return maintenance_mac(self.value(path), challenge, command)

    def soft_sam_blob(
        self, storage_key: bytes, issuers: Sequence[bytes], terminal: bytes, generation: int, start: bytes,
        expiry: bytes, versions: Sequence[int],
    ) -> bytes:  # fmt: skip
        raise Lacks("this double makes no soft SAMs: take the real key service")

    def tac_verify_rows(self, rows: bytes) -> bytes:
        raise Lacks("this double judges no TACs: take the real key service")

    def tac_verify_batch(self, requests: Sequence[TacRequest]) -> list[str]:
        raise Lacks("this double judges no TACs: take the real key service")

    def device_mac(self, device_id: int, message: bytes) -> bytes:
        raise NoKey(f"no key of device {device_id}")

    def sign(self, key_id: str, digest: bytes) -> bytes:
        raise NoKey(f"no signing key {key_id}")

    def public_key(self, key_id: str) -> bytes:
        raise NoKey(f"no signing key {key_id}")

    def _ids(self) -> set[str]:
        books = [(purpose, "3DES") for purpose in ("purchase", "load", "tac", "maintenance")]
        books += [(purpose, "SM4") for purpose in ("purchase", "load", "tac")]
        books += [(purpose, scheme) for purpose in ("control", "transport") for scheme in ("3DES", "AES")]
        return {f"{purpose}-{algorithm}-{version}" for purpose, algorithm in books for version in self.versions}

    def _info(self, key_id: str) -> KeyInfo:
        purpose, algorithm, version = key_id.split("-")
        return KeyInfo(key_id, purpose, algorithm, "province", "", "000000", int(version))


def root(key_id: str) -> bytes:
    """16 bytes, invented."""
    return hashlib.sha256(b"blank double " + key_id.encode()).digest()[:16]
