"""The key service over a software vault, with its audit and its meter beside it."""

import ctypes
import resource
import sys
from pathlib import Path

from backoffice.keys import audit, meter
from backoffice.keys.hierarchy import Scheme
from backoffice.keys.keyring import Keyring
from backoffice.keys.vault import MixedKeys, Secret, Vault, open_vault

_PR_SET_DUMPABLE = 4


def open_keys(
    path: Path, secret: Secret, production: bool, caller: str = "backoffice", scheme: Scheme | None = None
) -> Keyring:
    """The keys for a database. Raises VaultError; MixedKeys where one of the two is for tests and the other not.

    caller  who is written into the audit and counted
    """
    vault = open_vault(path, secret)
    if vault.test == production:
        kind = "test keys" if vault.test else "production keys"
        other = "production" if production else "test"
        raise MixedKeys(f"{path} holds {kind} and the database is a {other} database: they never mix")
    return served(vault, caller, scheme)


def served(vault: Vault, caller: str, scheme: Scheme | None = None) -> Keyring:
    """The key service of an open vault, audited and metered."""
    limits = meter.limits_beside(vault.path)
    of_caller = {**limits.get("*", {}), **limits.get(caller, {})}
    return Keyring(
        vault,
        audit=audit.Audit(audit.beside(vault.path), caller),
        meter=meter.Meter(meter.beside(vault.path), caller, of_caller),
        scheme=scheme,
    )


def no_core_dumps() -> None:
    """Of a program that opens a vault: no core file, and nobody else of this user may read its memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
