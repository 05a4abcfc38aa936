"""The software vault: one file, each key wrapped with AES-256-GCM under a key from scrypt(passphrase).

Layout: backoffice/docs/keys.md. The file as a whole carries an HMAC, so that an entry can be neither changed, nor
swapped, nor taken out unseen. Errors name key ids and check values, never a key.
"""

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backoffice.keys import signing
from backoffice.keys.known import KNOWN_TEST_KCVS
from backoffice.keys.suites import SUITES
from tunion import cose_sign1

FORMAT = "yikatong vault"
VERSION = 1
VAULT_BYTES_MAX = 64 << 20  # 200 000 devices need 50 MB; a longer file is none of ours

_SCRYPT = {"n": 1 << 15, "r": 8, "p": 1, "maxmem": 64 << 20, "dklen": 64}  # 32 MB, about 0.1 s
_KEY_BYTES = {"3DES": 16, "SM4": 16, "HMAC": 32, "ES256": 32}

PURPOSES = ("tac", "device", "params")
_PRODUCTS = tuple(str(number) for number in range(1, 16))
LEVELS = {"tac": ("root", "issuer"), "device": ("device",), "params": ("sign",)}
_ALGORITHMS = {"tac": tuple(SUITES), "device": ("HMAC",), "params": ("ES256",)}


class VaultError(Exception):
    """The vault refuses. The message says what to do."""


class WrongPassphrase(VaultError):
    """The passphrase does not open this vault."""


class Tampered(VaultError):
    """The file is not what was written. Restore it from a copy; nothing of it was used."""


class MixedKeys(VaultError):
    """Test keys and production keys were about to meet."""


class KeyInfo(NamedTuple):
    """All that may be known of a key. The check value is 3 bytes in hex."""

    key_id: str
    purpose: str  # tac, device, params
    algorithm: str  # 3DES, SM4; HMAC for a device; ES256 to sign parameter sets
    level: str  # tac: root (issuer and card factor follow) or issuer (card factor follows); device; sign
    # issuer identifier in hex, '1:' before it for product 1, '' for a root of all issuers; device id; '' for params
    subject: str
    kcv: str


class Vault:
    """An open vault. `_key` is for backoffice.keys alone."""

    def __init__(self, path: Path, test: bool, salt: bytes, passphrase: bytes) -> None:
        derived = hashlib.scrypt(passphrase, salt=salt, **_SCRYPT)
        self.path = path
        self.test = test
        self._salt = salt
        self._wrap = AESGCM(derived[:32])
        self._seal_key = derived[32:]
        self._entries: dict[str, tuple[KeyInfo, bytes, bytes]] = {}  # id -> info, nonce, wrapped

    def infos(self) -> list[KeyInfo]:
        return [info for info, _, _ in self._entries.values()]

    def add(self, info: KeyInfo, key: bytes) -> None:
        """Take a key in; `save` makes it last. Raises VaultError for one that does not fit, MixedKeys."""
        _check_shape(info, key)
        if kcv(info.algorithm, key) != info.kcv:
            raise VaultError(f"key {info.key_id}: its check value is not {info.kcv}; check what was entered")
        if info.key_id in self._entries:
            raise VaultError(f"key {info.key_id} is in the vault already")
        self._refuse_mix(info)
        nonce = secrets.token_bytes(12)
        self._entries[info.key_id] = (info, nonce, self._wrap.encrypt(nonce, key, self._label(info)))

    def save(self) -> None:
        """Write the file anew and put it in place of the old one; durable on return."""
        content = self._content()
        content["seal"] = self._seal(content)
        folder = self.path.parent
        handle, name = tempfile.mkstemp(dir=folder, prefix=self.path.name + ".")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder_handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(folder_handle)
        finally:
            os.close(folder_handle)

    def _key(self, key_id: str) -> bytes:
        info, nonce, wrapped = self._entries[key_id]
        try:
            return self._wrap.decrypt(nonce, wrapped, self._label(info))
        except InvalidTag as error:
            raise Tampered(f"key {key_id} does not unwrap: restore the vault from a copy") from error

    def _label(self, info: KeyInfo) -> bytes:
        return json.dumps([FORMAT, VERSION, self.test, *info]).encode()

    def _content(self) -> dict[str, Any]:
        entries = [
            {**info._asdict(), "nonce": nonce.hex(), "wrapped": wrapped.hex()}
            for info, nonce, wrapped in self._entries.values()
        ]
        return {
            "format": FORMAT,
            "version": VERSION,
            "test": self.test,
            "salt": self._salt.hex(),
            "check": self._check().hex(),
            "keys": entries,
        }

    def _check(self) -> bytes:
        return hmac.digest(self._seal_key, b"passphrase", "sha256")[:8]

    def _seal(self, content: dict[str, Any]) -> str:
        return hmac.digest(self._seal_key, b"file" + json.dumps(content, sort_keys=True).encode(), "sha256").hex()

    def _refuse_mix(self, info: KeyInfo) -> None:
        origin = KNOWN_TEST_KCVS.get(info.algorithm, {}).get(info.kcv)
        if origin is not None and not self.test:
            raise MixedKeys(f"key {info.key_id} (KCV {info.kcv}) is known from {origin}: no production key")


def create(path: Path, passphrase: bytes, test: bool) -> Vault:
    """A new, empty vault on disk. Raises VaultError where a file is in the way."""
    if path.exists():
        raise VaultError(f"{path} exists already: move it away or choose another name")
    if not passphrase:
        raise VaultError("an empty passphrase protects nothing")
    vault = Vault(path, test, secrets.token_bytes(16), passphrase)
    vault.save()
    return vault


def open_vault(path: Path, passphrase: bytes) -> Vault:
    """Raises VaultError, WrongPassphrase, Tampered, MixedKeys."""
    content = _read(path)
    seal = content.pop("seal")
    try:
        vault = Vault(path, content["test"], bytes.fromhex(content["salt"]), passphrase)
        check = bytes.fromhex(content["check"])
    except (KeyError, TypeError, ValueError) as error:
        raise Tampered(f"{path} lacks parts of a vault: restore it from a copy") from error
    if not hmac.compare_digest(check, vault._check()):
        raise WrongPassphrase(f"this passphrase does not open {path}")
    if not isinstance(seal, str) or not hmac.compare_digest(seal, vault._seal(content)):
        raise Tampered(f"{path} was changed since it was written: restore it from a copy")
    for entry in content["keys"]:  # the seal holds, so what follows is as we wrote it
        info = KeyInfo(*(entry[field] for field in KeyInfo._fields))
        vault._refuse_mix(info)
        vault._entries[info.key_id] = (info, bytes.fromhex(entry["nonce"]), bytes.fromhex(entry["wrapped"]))
    return vault


def kcv(algorithm: str, key: bytes) -> str:
    """The check value of a key, 6 hex digits: E(key, zeros), HMAC over nothing, or the start of a public key's name."""
    if algorithm == "HMAC":
        return hmac.digest(key, b"", "sha256")[:3].hex().upper()
    if algorithm == "ES256":
        return cose_sign1.kid(signing.public_key(key))[:3].hex().upper()
    return SUITES[algorithm].kcv(key).hex().upper()


def _check_shape(info: KeyInfo, key: bytes) -> None:
    fits = info.purpose in PURPOSES and info.level in LEVELS[info.purpose]
    if not fits or info.algorithm not in _ALGORITHMS[info.purpose]:
        raise VaultError(f"key {info.key_id}: no such purpose, level or algorithm")
    key_bytes = _KEY_BYTES[info.algorithm]
    if len(key) != key_bytes:
        raise VaultError(f"key {info.key_id}: a {info.algorithm} key has {key_bytes} bytes")
    if info.purpose == "params" and (info.subject or not signing.is_private(key)):
        raise VaultError(f"key {info.key_id}: a signing key is a number of the group, and has no subject")
    if info.purpose == "device" and not info.subject.isdigit():
        raise VaultError(f"key {info.key_id}: its subject is the device's number")
    if info.purpose == "tac" and not _is_issuer(info.subject, may_be_empty=info.level == "root"):
        raise VaultError(f"key {info.key_id}: its subject is an issuer identifier, 16 hex digits in capitals")


def _is_issuer(subject: str, may_be_empty: bool) -> bool:
    """A root is the national scheme's; the key of an issuer may be of a regional product, 1 to 15."""
    if not subject:
        return may_be_empty
    product, colon, rest = subject.partition(":")
    if colon and not may_be_empty:
        subject = rest if product in _PRODUCTS else ""
    return len(subject) == 16 and all(digit in "0123456789ABCDEF" for digit in subject)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > VAULT_BYTES_MAX:
            raise VaultError(f"{path} is too long for a vault")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise VaultError(f"{path} does not exist: make it with `ykt backoffice vault new`") from error
    except ValueError as error:
        raise Tampered(f"{path} is not a vault, or was cut short: restore it from a copy") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or "seal" not in content:
        raise Tampered(f"{path} is not a vault, or was cut short: restore it from a copy")
    if content.get("version") != VERSION:
        raise VaultError(f"{path} is a vault of version {content.get('version')}: this program reads {VERSION}")
    return content
