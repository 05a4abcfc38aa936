"""The state of a ceremony on disk: a head, and JSON sealed under the ceremony's passphrase. Written whole or not.

Layout: backoffice/docs/ceremony.md. A part of a key in it is encrypted under the passphrase of its custodian
(`PartSafe`), so that neither the file nor the file with the ceremony's passphrase tells a part.
"""

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backoffice.keys.backend import KeysError
from tunion.record import Record

HEAD = Record(
    "CeremonyHead",
    size=72,
    rows=(
        ("magic", "8s"),  # MAGIC
        ("version", "B"),  # VERSION
        ("test", "B"),  # 1: test keys
        ("spare", "2s"),  # zeros
        ("salt", "16s"),
        ("check", "8s"),  # tells a wrong passphrase from a changed file
        ("body_bytes", "I"),
        ("seal", "32s"),  # HMAC-SHA-256 over all before it, and the body
    ),
)
MAGIC = b"YKTCEREM"
VERSION = 1
STATE_BYTES_MAX = 16 << 20  # 200 keys of 16 parts need 2 MB
PASSPHRASE_MIN = 8  # characters; of a test ceremony 1
_SEAL_BYTES = 32
_NONCE_BYTES = 12
_SCRYPT = {"n": 1 << 15, "r": 8, "p": 1, "maxmem": 64 << 20, "dklen": 64}  # 32 MB, about 0.1 s


class StateError(KeysError):
    """The file of the ceremony's state refuses. The message says what to do."""


class WrongPassphrase(StateError):
    """Not the passphrase that was given at the beginning."""


class Tampered(StateError):
    """The file is not what was written. Nothing of it was used: restore it, or begin anew."""


class InUse(StateError):
    """Another program works on this ceremony."""


class StateFile:
    """One ceremony's file, with its seal's key. `create` or `load`, then `save` after each step."""

    def __init__(self, path: Path, test: bool, salt: bytes, passphrase: str) -> None:
        self.path = path
        self.test = test
        self.salt = salt
        derived = hashlib.scrypt(passphrase.encode(), salt=salt, **_SCRYPT)
        self._seal_key = derived[:32]
        self._check = hmac.digest(derived[32:], b"passphrase", "sha256")[:8]

    @classmethod
    def create(cls, path: Path, test: bool, passphrase: str) -> "StateFile":
        """For a new ceremony; nothing is written yet. Raises StateError where a file is in the way."""
        if path.exists():
            raise StateError(f"{path} exists already: resume that ceremony, or name another file")
        check_passphrase(passphrase, test)
        return cls(path, test, secrets.token_bytes(16), passphrase)

    @classmethod
    def load(cls, path: Path, passphrase: str) -> tuple["StateFile", dict[str, Any]]:
        """The file and what it says. Raises StateError, WrongPassphrase, Tampered."""
        try:
            if path.stat().st_size > STATE_BYTES_MAX:
                raise StateError(f"{path} is too long for a ceremony")
            raw = path.read_bytes()
        except FileNotFoundError as error:
            raise StateError(f"{path} does not exist: begin with `ykt keys ceremony run`") from error
        if len(raw) < HEAD.size or raw[: len(MAGIC)] != MAGIC:
            raise Tampered(f"{path} is no ceremony, or was cut short: restore it from a copy, or begin anew")
        head, body = HEAD.unpack(raw[: HEAD.size]), raw[HEAD.size :]
        if head.version != VERSION:
            raise StateError(f"{path} is a ceremony of version {head.version}: this program reads {VERSION}")
        file = cls(path, head.test == 1, head.salt, passphrase)
        if not hmac.compare_digest(head.check, file._check):
            raise WrongPassphrase(f"this is not the passphrase of {path.name}")
        if len(body) != head.body_bytes or not hmac.compare_digest(head.seal, file._seal(raw)):
            raise Tampered(f"{path} was changed since it was written: restore it from a copy, or begin anew")
        return file, json.loads(body)  # the seal holds, so this is as we wrote it

    def save(self, body: dict[str, Any]) -> None:
        """In place of what was there, which is overwritten; durable on return."""
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        raw = bytearray(
            HEAD.pack(
                magic=MAGIC,
                version=VERSION,
                test=int(self.test),
                spare=bytes(2),
                salt=self.salt,
                check=self._check,
                body_bytes=len(text),
                seal=bytes(_SEAL_BYTES),
            )
            + text
        )
        raw[HEAD.size - _SEAL_BYTES : HEAD.size] = self._seal(raw)
        new = self.path.with_name(self.path.name + ".new")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.ExitStack() as stack:
            old = stack.enter_context(self.path.open("r+b")) if self.path.exists() else None
            os.replace(new, self.path)
            _sync_folder(self.path.parent)
            if old is not None:
                _overwrite(old.fileno())

    def remove(self) -> None:
        """Overwrite the file and take it away; so too a half-written successor."""
        for path in (self.path, self.path.with_name(self.path.name + ".new")):
            if path.exists():
                with path.open("r+b") as file:
                    _overwrite(file.fileno())
                path.unlink()
        _sync_folder(self.path.parent)

    def _seal(self, raw: bytes | bytearray) -> bytes:
        return hmac.digest(self._seal_key, bytes(raw[: HEAD.size - _SEAL_BYTES]) + bytes(raw[HEAD.size :]), "sha256")


class PartSafe:
    """Encrypts and opens the parts of one custodian."""

    def __init__(self, passphrase: str, salt: bytes) -> None:
        derived = hashlib.scrypt(passphrase.encode(), salt=salt, **_SCRYPT)
        self.salt = salt
        self.check = hmac.digest(derived[32:], b"custodian", "sha256")[:8]
        self._cipher = AESGCM(derived[:32])

    def close(self, part: str, label: bytes) -> bytes:
        """Nonce and AES-256-GCM of the part; `label` says what and whose it is."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, part.encode(), label)

    def open(self, closed: bytes, label: bytes) -> str:
        """Raises Tampered."""
        try:
            return self._cipher.decrypt(closed[:_NONCE_BYTES], closed[_NONCE_BYTES:], label).decode()
        except InvalidTag as error:
            raise Tampered("a part in the ceremony's file does not open: it has to be entered again") from error


def check_passphrase(passphrase: str, test: bool) -> None:
    """Raises StateError for one that is too short."""
    least = 1 if test else PASSPHRASE_MIN
    if len(passphrase) < least:
        raise StateError(f"a passphrase has {least} characters or more")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """While one program works on the ceremony. Raises InUse. The lock falls with its process, however that ends.

    In a file of its own: the state file is replaced by each step, and a vault locks the folder.
    """
    lock = path.with_name(path.name + ".lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not lock.exists() or os.stat(lock).st_ino != os.fstat(handle).st_ino:
            raise BlockingIOError  # whoever had it took it away meanwhile
        try:
            yield
        finally:
            lock.unlink()
    except BlockingIOError as error:
        raise InUse(f"another program works on {path.name}: end it, or wait for it") from error
    finally:
        os.close(handle)


def _overwrite(handle: int) -> None:
    """Zeros over an old file. What a flash disk or a file system copied elsewhere stays: it is encrypted."""
    size = os.fstat(handle).st_size
    os.pwrite(handle, bytes(size), 0)
    os.fsync(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
