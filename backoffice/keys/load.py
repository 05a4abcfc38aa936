"""Test keys from a JSON file into a test vault. Production keys come by ceremony, never from a plain file.

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

from backoffice.keys.vault import KeyInfo, MixedKeys, Vault, VaultError, kcv

_FIELDS = ("key_id", "purpose", "algorithm", "level", "subject", "value")


def add_test_keys(vault: Vault, path: Path) -> list[KeyInfo]:
    """Add all keys of the file and save the vault, or change nothing. Raises VaultError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VaultError(f"{path} is no readable JSON: {error.__class__.__name__}") from error
    if not isinstance(content, dict) or content.get("test") is not True:
        raise MixedKeys(f'{path} is not marked "test": true; production keys are not taken from a file')
    if not vault.test:
        raise MixedKeys(f"{vault.path} is for production: it takes no test keys")
    rows = content.get("keys")
    if not isinstance(rows, list) or not rows:
        raise VaultError(f"{path} lists no keys")
    added = [_add(vault, row, str(path)) for row in rows]
    vault.save()
    return added


def _add(vault: Vault, row: object, source: str) -> KeyInfo:
    if not isinstance(row, dict) or any(not isinstance(row.get(field), str) for field in _FIELDS):
        raise VaultError(f"{source}: a key has the texts {', '.join(_FIELDS)}")
    key_id, purpose, algorithm, level, subject, value = (row[field] for field in _FIELDS)
    try:
        key = bytes.fromhex(value)
        check_value = kcv(algorithm, key)
    except (KeyError, ValueError) as error:
        raise VaultError(f"{source}, key {key_id}: not hex, or no key of {algorithm}") from error
    version, index = row.get("version", 1), row.get("index", 1)
    info = KeyInfo(key_id, purpose, algorithm, level, subject, check_value, version, index)
    vault.add(info, key)
    return info
