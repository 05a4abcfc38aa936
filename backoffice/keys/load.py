"""Test keys from a JSON file into a test vault or token. Production keys come by ceremony, never from a plain file.

{"test": true, "about": "...", "keys": [
    {"key_id": "tac-root", "purpose": "tac", "algorithm": "3DES", "level": "province", "subject": "",
     "value": "9999..."},
    {"key_id": "device-1", "purpose": "device", "algorithm": "HMAC", "level": "device", "subject": "1",
     "value": "..."}
]}

A key may also have `version` and `index`, 0 to 255; both are 1 where nothing is said.
"""

import json
from pathlib import Path

from backoffice.keys.backend import Backend, KeysError
from backoffice.keys.vault import KeyInfo, MixedKeys, Vault, VaultError, kcv

_FIELDS = ("key_id", "purpose", "algorithm", "level", "subject", "value")


def add_test_keys(vault: Vault, path: Path) -> list[KeyInfo]:
    """Add all keys of the file and save the vault, or change nothing. Raises VaultError."""
    rows = _rows(path, vault.test)
    for info, value in rows:
        vault.add(info, value)
    vault.save()
    return [info for info, _ in rows]


def put_test_keys(backend: Backend, path: Path) -> list[KeyInfo]:
    """Into a backend that takes keys one by one, as a token. Raises KeysError, which says how far it came."""
    taken: list[KeyInfo] = []
    for info, value in _rows(path, backend.test):
        try:
            backend.put(info, value)
        except KeysError as error:
            there = ", ".join(one.key_id for one in taken) or "none"
            raise KeysError(f"{error}; of the keys in {path} these were taken before: {there}") from error
        taken.append(info)
    return taken


def _rows(path: Path, test: bool) -> list[tuple[KeyInfo, bytes]]:
    """What the file says, all of it checked."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VaultError(f"{path} is no readable JSON: {error.__class__.__name__}") from error
    if not isinstance(content, dict) or content.get("test") is not True:
        raise MixedKeys(f'{path} is not marked "test": true; production keys are not taken from a file')
    if not test:
        raise MixedKeys(f"{path} holds test keys, and these keys are for production: they never mix")
    rows = content.get("keys")
    if not isinstance(rows, list) or not rows:
        raise VaultError(f"{path} lists no keys")
    return [_row(row, str(path)) for row in rows]


def _row(row: object, source: str) -> tuple[KeyInfo, bytes]:
    if not isinstance(row, dict) or any(not isinstance(row.get(field), str) for field in _FIELDS):
        raise VaultError(f"{source}: a key has the texts {', '.join(_FIELDS)}")
    key_id, purpose, algorithm, level, subject, value = (row[field] for field in _FIELDS)
    try:
        key = bytes.fromhex(value)
        check_value = kcv(algorithm, key)
    except (KeyError, ValueError) as error:
        raise VaultError(f"{source}, key {key_id}: not hex, or no key of {algorithm}") from error
    version, index = row.get("version", 1), row.get("index", 1)
    return KeyInfo(key_id, purpose, algorithm, level, subject, check_value, version, index), key
