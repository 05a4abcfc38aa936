"""The key service over a token, with a vault as second provider for what a token cannot keep or do."""

from backoffice.keys import audit, meter
from backoffice.keys.backend import Backend, KeyPath
from backoffice.keys.hierarchy import Scheme
from backoffice.keys.keyring import Keyring
from backoffice.keys.token import Token
from backoffice.keys.vault import MixedKeys, Vault


def open_keys(
    opened: Token, second: Vault | None, production: bool, caller: str = "backoffice", scheme: Scheme | None = None
) -> Keyring:
    """The keys for a database. Raises MixedKeys where one of the three is for tests and another not."""
    for name, backend in (("token", opened), ("vault", second)):
        if backend is not None and backend.test == production:
            kind = "test keys" if backend.test else "production keys"
            other = "production" if production else "test"
            raise MixedKeys(f"the {name} holds {kind} and the database is a {other} database: they never mix")
    return served(opened, second, caller, scheme)


def served(opened: Token, second: Vault | None, caller: str, scheme: Scheme | None = None) -> Keyring:
    """The key service of an open token: audit, limits and meter lie beside the token's file."""
    beside = opened.file
    limits = meter.limits_beside(beside)
    of_caller = {**limits.get("*", {}), **limits.get(caller, {})}
    written = audit.Audit(audit.beside(beside), caller)

    def lent(path: KeyPath, why: str, count: int) -> None:
        written.write("lend", [path.key_id], count, why=why)

    opened.on_lend = lent
    backends: list[Backend] = [opened]
    if second is not None:
        backends.append(second)
    return Keyring(*backends, audit=written, meter=meter.Meter(meter.beside(beside), caller, of_caller), scheme=scheme)
