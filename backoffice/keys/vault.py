"""The software vault: one file, each key wrapped with AES-256-GCM under a key from a passphrase or a key file.

Layout: backoffice/docs/keys.md. The file ends with an HMAC over every byte before it, so that an entry can be neither
changed, nor swapped, nor taken out unseen. Errors name key ids and check values, never a key.
"""

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backoffice.keys import hierarchy, schemes, signing
from backoffice.keys.backend import DESTROYED, KeyPath, KeysError, Lacks
from backoffice.keys.backend import KeyInfo as KeyInfo
from backoffice.keys.known import KNOWN_TEST_KCVS
from backoffice.keys.suites import SUITES
from tunion import cose_sign1

FORMAT = "yikatong vault"
VERSION = 2
VAULT_BYTES_MAX = 64 << 20  # 200 000 devices need 50 MB; a longer file is none of ours
KEY_FILE_BYTES_MIN, KEY_FILE_BYTES_MAX = 32, 4096

_SCRYPT = {"n": 1 << 15, "r": 8, "p": 1, "maxmem": 64 << 20, "dklen": 64}  # 32 MB, about 0.1 s
_SEAL_BYTES = 65  # 64 hex digits and the end of the line
_TAIL_BYTES = 256  # holds the seal, of a file of either version
_LOCKS = ("passphrase", "key file")
_CUT = "is not a vault, or was changed or cut short: restore it from a copy"


class VaultError(KeysError):
    """The vault refuses. The message says what to do."""


class WrongPassphrase(VaultError):
    """The passphrase, or the key file, does not open this vault."""


class Tampered(VaultError):
    """The file is not what was written. Restore it from a copy; nothing of it was used."""


class MixedKeys(VaultError):
    """Test keys and production keys were about to meet."""


class Changed(VaultError):
    """Another program wrote the vault since it was opened. Nothing was stored: run it again."""


class KeyFile:
    """What a key file holds: 32 random bytes or more. Given where a passphrase would be."""

    def __init__(self, value: bytes) -> None:
        if not KEY_FILE_BYTES_MIN <= len(value) <= KEY_FILE_BYTES_MAX:
            raise VaultError(
                f"a key file has {KEY_FILE_BYTES_MIN} to {KEY_FILE_BYTES_MAX} random bytes: "
                f"`head -c {KEY_FILE_BYTES_MIN} /dev/urandom`"
            )
        self.value = value


Secret = bytes | KeyFile


def read_key_file(path: Path) -> KeyFile:
    """Raises VaultError."""
    try:
        with path.open("rb") as file:
            return KeyFile(file.read(KEY_FILE_BYTES_MAX + 1))
    except OSError as error:
        raise VaultError(f"{path}: {error.strerror}") from error


class Vault:
    """An open vault: a backend.Backend. `_key` and `_at` give values, and are for this module alone."""

    def __init__(self, path: Path, test: bool, salt: bytes, secret: Secret) -> None:
        derived = _derived(secret, salt)
        self.path = path
        self.test = test
        self._lock = _lock_of(secret)
        self._salt = salt
        self._wrap = AESGCM(derived[:32])
        self._seal_key = derived[32:]
        self._entries: dict[str, tuple[KeyInfo, bytes, bytes]] = {}  # id -> info, nonce, wrapped; b"": destroyed
        self._tail = b""  # the end of the file as it was read or written; b"": there was none
        self._stamp: tuple[int, ...] = ()  # what the file system said of it then
        self.changes = 0  # grows with each: who has made a table of `infos` makes it anew
        self._wipe = False  # the next save writes zeros over the file that it replaces

    def infos(self) -> list[KeyInfo]:
        return [info for info, _, _ in self._entries.values()]

    def info(self, key_id: str) -> KeyInfo:
        """Raises VaultError."""
        if key_id not in self._entries:
            raise VaultError(f"no key {key_id} in {self.path}: `ykt keys list` shows them")
        return self._entries[key_id][0]

    def follow(self) -> None:
        """Read the file again where another program wrote it: a lost key is to stop those who run for hours, too.

        A file that was moved away changes nothing. Raises Tampered; Changed where another vault lies there.
        """
        stamp = _stamp_of(self.path)
        if not stamp or stamp == self._stamp:
            return
        raw = _read(self.path)
        content = _parsed(self.path, raw)
        if (content["version"], content["salt"]) != (VERSION, self._salt.hex()):
            raise Changed(f"{self.path} is another vault than the one that was opened: start the program again")
        self._load(content, raw)
        self._stamp = stamp
        self.changes += 1

    def put(self, info: KeyInfo, value: bytes) -> None:
        """As `add`, and durable on return."""
        with self._stored():
            self.add(info, value)

    def make(self, info: KeyInfo) -> KeyInfo:
        """A random key; backend.Backend.make."""
        value = _random(info.algorithm)
        made = info._replace(kcv=kcv(info.algorithm, value))
        while not self.test and _known(made):
            value = _random(info.algorithm)
            made = info._replace(kcv=kcv(info.algorithm, value))
        self.put(made, value)
        return made

    def derive(self, parent_id: str, factor: bytes, info: KeyInfo) -> KeyInfo:
        """Keep a key one step below another; backend.Backend.derive."""
        parent = self.info(parent_id)
        if (info.purpose, info.algorithm) != (parent.purpose, parent.algorithm):
            raise VaultError(f"key {info.key_id}: what is derived from {parent_id} has its purpose and algorithm")
        value = self._at(KeyPath(parent_id, (factor,)))
        made = info._replace(kcv=kcv(info.algorithm, value), parent=parent_id)
        self.put(made, value)
        return made

    def change(self, info: KeyInfo) -> None:
        """Another state or date; backend.Backend.change."""
        old = self.info(info.key_id)
        if _identity(old) != _identity(info):
            raise VaultError(f"key {info.key_id}: only its state and dates change")
        if old.state == DESTROYED:
            raise VaultError(f"key {info.key_id} is destroyed: nothing of it changes")
        _check(info)
        _, nonce, wrapped = self._entries[info.key_id]
        with self._stored():
            if info.state == DESTROYED:
                self._wipe, nonce, wrapped = True, b"", b""
            self._entries[info.key_id] = (info, nonce, wrapped)
            self.changes += 1

    def kcv(self, path: KeyPath) -> str:
        """6 hex digits."""
        return kcv(self._algorithm(path), self._at(path))

    def session_mac(self, path: KeyPath, block: bytes, message: bytes) -> bytes:
        """4 bytes; backend.Backend.session_mac."""
        mac: bytes = self._suite(path).session_mac(self._at(path), block, message)
        return mac

    def tacs(self, path: KeyPath, cards: Sequence[bytes], messages: Sequence[bytes]) -> list[bytes]:
        """4 bytes each; backend.Backend.tacs."""
        suite, issuer_key = self._suite(path), self._at(path)
        return [
            suite.tac(suite.diversify(issuer_key, card), message) for card, message in zip(cards, messages, strict=True)
        ]

    def auth(self, control: KeyPath, challenge: bytes) -> bytes:
        """8 bytes; backend.Backend.auth."""
        return schemes.auth(self._chip_algorithm(control), self._at(control), challenge)

    def command_mac(self, control: KeyPath, iv: bytes, message: bytes) -> bytes:
        """4 bytes; backend.Backend.command_mac."""
        return schemes.command_mac(self._chip_algorithm(control), self._at(control), iv, message)

    def wrap(self, control: KeyPath, target: KeyPath) -> bytes:
        """16 or 24 bytes; backend.Backend.wrap."""
        if hierarchy.KEY_BYTES[self._algorithm(target)] != 16:
            raise Lacks(f"key {target.key_id} is none that a chip takes")
        return schemes.wrap(self._chip_algorithm(control), self._at(control), self._at(target))

    def release(self, path: KeyPath, why: str) -> bytes:
        """16 bytes in the clear: a card's key, or the purchase key of an issuer, for a soft SAM."""
        info = self.info(path.key_id)
        if not why:
            raise VaultError("a key is released for a reason that can be written down")
        if info.purpose not in hierarchy.OF_CARDS:
            raise Lacks(f"key {path.key_id}: no {info.purpose} key leaves the vault")
        level = hierarchy.depth(info, len(path.factors))
        if level != hierarchy.CARD and (info.purpose, level) != ("purchase", hierarchy.ISSUER):
            raise Lacks(f"key {path.key_id}: no {info.purpose} key of level {level} leaves the vault")
        return self._at(path)

    def hmac(self, key_id: str, message: bytes) -> bytes:
        """32 bytes."""
        self._must_be(key_id, "HMAC")
        return hmac.digest(self._key(key_id), message, "sha256")

    def sign(self, key_id: str, digest: bytes) -> bytes:
        """64 bytes."""
        self._must_be(key_id, "ES256")
        return signing.sign(self._key(key_id), digest)

    def public_key(self, key_id: str) -> bytes:
        """65 bytes."""
        self._must_be(key_id, "ES256")
        return signing.public_key(self._key(key_id))

    def add(self, info: KeyInfo, key: bytes) -> None:
        """Take a key in; `save` makes it last. Raises VaultError for one that does not fit, MixedKeys."""
        _check(info)
        _check_value(info, key)
        if kcv(info.algorithm, key) != info.kcv:
            raise VaultError(f"key {info.key_id}: its check value is not {info.kcv}; check what was entered")
        if info.key_id in self._entries:
            raise VaultError(f"key {info.key_id} is in the vault already")
        self._refuse_mix(info)
        self._take(info, key)

    def save(self) -> None:
        """Write the file anew and put it in place of the old one; durable on return. Raises Changed."""
        text = self._text()
        folder = self.path.parent
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # of all who write vaults in this folder, until it is closed
            if _tail_of(self.path) != self._tail:
                raise Changed(f"{self.path} was written by another program meanwhile: nothing was stored, run it again")
            self._replace(folder, text)
            os.fsync(handle)
        finally:
            os.close(handle)
        self._tail = text[-_TAIL_BYTES:]
        self._stamp = _stamp_of(self.path)
        self._wipe = False

    def _replace(self, folder: Path, text: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=folder, prefix=self.path.name + ".")
        old = os.open(self.path, os.O_WRONLY) if self._wipe else -1
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
            if old >= 0:
                _overwrite(old)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        finally:
            if old >= 0:
                os.close(old)

    @contextmanager
    def _stored(self) -> Iterator[None]:
        """What is done within lasts, or did not happen."""
        before = dict(self._entries)
        try:
            yield
            self.save()
        except BaseException:
            self._entries, self._wipe = before, False
            self.changes += 1
            raise

    def _key(self, key_id: str) -> bytes:
        info = self.info(key_id)
        _, nonce, wrapped = self._entries[key_id]
        if not wrapped:
            raise VaultError(f"key {key_id} is destroyed")
        try:
            return self._wrap.decrypt(nonce, wrapped, self._label(info))
        except InvalidTag as error:
            raise Tampered(f"key {key_id} does not unwrap: restore the vault from a copy") from error

    def _at(self, path: KeyPath) -> bytes:
        """The value at a path."""
        value = self._key(path.key_id)
        algorithm = self._algorithm(path)
        if path.factors and hierarchy.KEY_BYTES[algorithm] != 16:
            raise VaultError(f"key {path.key_id}: nothing is derived from a {algorithm} key")
        for factor in path.factors:
            if len(factor) != hierarchy.FACTOR_BYTES:
                raise VaultError(f"a factor has {hierarchy.FACTOR_BYTES} bytes")
            value = _diversified(algorithm, value, factor)
        return value

    def _algorithm(self, path: KeyPath) -> str:
        return self.info(path.key_id).algorithm

    def _suite(self, path: KeyPath) -> Any:
        algorithm = self._algorithm(path)
        if algorithm not in SUITES:
            raise Lacks(f"key {path.key_id}: a purchase is proved with {' or '.join(SUITES)}, not with {algorithm}")
        return SUITES[algorithm]

    def _chip_algorithm(self, path: KeyPath) -> str:
        algorithm = self._algorithm(path)
        if algorithm not in ("3DES", "AES"):
            raise Lacks(f"key {path.key_id}: how a chip is secured with {algorithm}, nobody has published")
        return algorithm

    def _must_be(self, key_id: str, algorithm: str) -> None:
        if self.info(key_id).algorithm != algorithm:
            raise Lacks(f"key {key_id} is none of {algorithm}")

    def _take(self, info: KeyInfo, key: bytes) -> None:
        nonce = secrets.token_bytes(12)
        self._entries[info.key_id] = (info, nonce, self._wrap.encrypt(nonce, key, self._label(info)))
        self.changes += 1

    def _label(self, info: KeyInfo) -> bytes:
        """What a wrapped key is bound to: all but its state and dates, which the seal covers."""
        return json.dumps([FORMAT, VERSION, self.test, *_identity(info)]).encode()

    def _text(self) -> bytes:
        head = {
            "format": FORMAT,
            "version": VERSION,
            "test": self.test,
            "lock": self._lock,
            "salt": self._salt.hex(),
            "check": _check_of(self._seal_key, self._lock),
        }
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items())
        rows = ",\n".join(
            json.dumps([*info, nonce.hex(), wrapped.hex()], ensure_ascii=False)
            for info, nonce, wrapped in self._entries.values()
        )
        body = f'{{\n{lines},\n"keys": [\n{rows}\n]}}\n'.encode()
        return body + _seal(self._seal_key, body) + b"\n"

    def _refuse_mix(self, info: KeyInfo) -> None:
        origin = _known(info)
        if origin and not self.test:
            raise MixedKeys(f"key {info.key_id} (KCV {info.kcv}) is known from {origin}: no production key")

    def _open_1(self, content: dict[str, Any]) -> None:
        """Entries of a version 1 file; its seal is over the JSON as Python writes it."""
        seal = content.pop("seal", "")
        expected = hmac.digest(self._seal_key, b"file" + json.dumps(content, sort_keys=True).encode(), "sha256").hex()
        if not isinstance(seal, str) or not seal.isascii() or not hmac.compare_digest(seal, expected):
            raise Tampered(f"{self.path} {_CUT}")
        fields = ("key_id", "purpose", "algorithm", "level", "subject", "kcv")
        for entry in content["keys"]:
            old = [entry[field] for field in fields]
            label = json.dumps([FORMAT, 1, self.test, *old]).encode()
            old[3] = hierarchy.PROVINCE if old[3] == "root" else old[3]
            try:
                value = self._wrap.decrypt(bytes.fromhex(entry["nonce"]), bytes.fromhex(entry["wrapped"]), label)
            except InvalidTag as error:
                raise Tampered(f"key {old[0]} does not unwrap: restore the vault from a copy") from error
            self._take(KeyInfo(*old), value)

    def _load(self, content: dict[str, Any], raw: bytes) -> None:
        """Entries of a version 2 file, once its seal holds: then they are as we wrote them."""
        if not hmac.compare_digest(raw[-_SEAL_BYTES:], _seal(self._seal_key, raw[:-_SEAL_BYTES]) + b"\n"):
            raise Tampered(f"{self.path} {_CUT}")
        entries = {}
        for *fields, nonce, wrapped in content["keys"]:
            info = KeyInfo(*fields)
            entries[info.key_id] = (info, bytes.fromhex(nonce), bytes.fromhex(wrapped))
        self._entries, self._tail = entries, raw[-_TAIL_BYTES:]


def create(path: Path, secret: Secret, test: bool) -> Vault:
    """A new, empty vault on disk. Raises VaultError where a file is in the way."""
    if path.exists():
        raise VaultError(f"{path} exists already: move it away or choose another name")
    if not secret:
        raise VaultError("an empty passphrase protects nothing")
    vault = Vault(path, test, secrets.token_bytes(16), secret)
    vault.save()
    return vault


def open_vault(path: Path, secret: Secret) -> Vault:
    """Raises VaultError, WrongPassphrase, Tampered, MixedKeys."""
    stamp = _stamp_of(path)  # before it is read: what is written meanwhile is followed
    raw = _read(path)
    content = _parsed(path, raw)
    version, lock = content["version"], content.get("lock", "passphrase")
    if lock != _lock_of(secret):
        raise WrongPassphrase(f"{path} is opened by a {lock}, not by a {_lock_of(secret)}")
    vault = Vault(path, content["test"], bytes.fromhex(content["salt"]), secret)
    vault._tail, vault._stamp = raw[-_TAIL_BYTES:], stamp
    if not hmac.compare_digest(content["check"], _check_of(vault._seal_key, lock)):
        raise WrongPassphrase(f"this {lock} does not open {path}")
    if version == 1:
        vault._open_1(content)
    else:
        vault._load(content, raw)
    for info in vault.infos():
        vault._refuse_mix(info)
    return vault


def kcv(algorithm: str, key: bytes) -> str:
    """The check value of a key, 6 hex digits: E(key, zeros), HMAC over nothing, or the start of a public key's name."""
    if algorithm == "HMAC":
        return hmac.digest(key, b"", "sha256")[:3].hex().upper()
    if algorithm == "ES256":
        return cose_sign1.kid(signing.public_key(key))[:3].hex().upper()
    if algorithm == "AES":
        return schemes.kcv_aes(key).hex().upper()
    return SUITES[algorithm].kcv(key).hex().upper()


def _diversified(algorithm: str, key: bytes, factor: bytes) -> bytes:
    return schemes.diversify_aes(key, factor) if algorithm == "AES" else SUITES[algorithm].diversify(key, factor)


def _known(info: KeyInfo) -> str:
    """Where a test key is known from; '' where it is not."""
    return KNOWN_TEST_KCVS.get(info.algorithm, {}).get(info.kcv, "")


def _random(algorithm: str) -> bytes:
    if algorithm not in hierarchy.KEY_BYTES:
        raise VaultError(f"no such algorithm; one of {', '.join(hierarchy.KEY_BYTES)}")
    return signing.new() if algorithm == "ES256" else secrets.token_bytes(hierarchy.KEY_BYTES[algorithm])


def _check(info: KeyInfo) -> None:
    try:
        hierarchy.check(info)
    except hierarchy.Unfit as unfit:
        raise VaultError(str(unfit)) from unfit


def _check_value(info: KeyInfo, key: bytes) -> None:
    if info.state == DESTROYED:
        raise VaultError(f"key {info.key_id}: what is destroyed is not taken in")
    key_bytes = hierarchy.KEY_BYTES[info.algorithm]
    if len(key) != key_bytes:
        raise VaultError(f"key {info.key_id}: a {info.algorithm} key has {key_bytes} bytes")
    if info.algorithm == "ES256" and not signing.is_private(key):
        raise VaultError(f"key {info.key_id}: a signing key is a number of the group")


def _identity(info: KeyInfo) -> tuple[object, ...]:
    """What never changes of a key."""
    return (*info[:8], info.parent)


def _lock_of(secret: Secret) -> str:
    return "key file" if isinstance(secret, KeyFile) else "passphrase"


def _derived(secret: Secret, salt: bytes) -> bytes:
    """64 bytes: 32 wrap keys, 32 seal the file. A key file is random already and needs no slow derivation."""
    if isinstance(secret, KeyFile):
        return hmac.digest(salt, secret.value, "sha512")
    return hashlib.scrypt(secret, salt=salt, **_SCRYPT)


def _check_of(seal_key: bytes, lock: str) -> str:
    return hmac.digest(seal_key, lock.encode(), "sha256")[:8].hex()


def _seal(seal_key: bytes, body: bytes) -> bytes:
    return hmac.digest(seal_key, b"file" + body, "sha256").hex().encode()


def _stamp_of(path: Path) -> tuple[int, ...]:
    """Another one whenever the file was replaced; () where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _tail_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            return file.read()
    except FileNotFoundError:
        return b""


def _overwrite(handle: int) -> None:
    """Zeros over a file that has no name any more. A disk that moves its blocks keeps them all the same."""
    left = os.fstat(handle).st_size
    while left:
        left -= os.write(handle, bytes(min(left, 1 << 20)))
    os.fsync(handle)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > VAULT_BYTES_MAX:
            raise VaultError(f"{path} is too long for a vault")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise VaultError(f"{path} does not exist: make it with `ykt keys new`") from error


def _parsed(path: Path, raw: bytes) -> dict[str, Any]:
    """What the file says, of either version; its fields have their types, and nothing is proven yet."""
    for version, text in ((2, raw[:-_SEAL_BYTES]), (1, raw)):
        try:
            content = json.loads(text.decode("utf-8"))
        except (ValueError, RecursionError):
            continue
        if not isinstance(content, dict) or content.get("format") != FORMAT or type(content.get("test")) is not bool:
            break
        if content.get("version") != version:
            raise Tampered(
                f"{path} is a vault of version {content.get('version')}, or was changed: this program reads 1 and 2"
            )
        if not isinstance(content.get("keys"), list) or content.get("lock", "passphrase") not in _LOCKS:
            break
        try:
            bytes.fromhex(content["salt"]), bytes.fromhex(content["check"]), content["check"].encode("ascii")
        except (KeyError, TypeError, ValueError):
            break
        return content
    raise Tampered(f"{path} {_CUT}")
