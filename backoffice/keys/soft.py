"""The key service over a software vault."""

import hmac
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from backoffice.keys import signing
from backoffice.keys.service import BAD, BATCH_MAX, NO_KEY, OK, NoKey, TacRequest
from backoffice.keys.suites import ALGORITHMS, SUITES
from backoffice.keys.vault import MixedKeys, Vault, open_vault
from tunion import bcd
from tunion.crypto.keys import PURCHASE_TAC, card_factor

ISSUERS_CACHED = 512  # issuer-level keys; the nation has about 330 issuers


class SoftKeys:
    """Implements KeyService. Keys are unwrapped for one call; issuer-level keys stay in memory."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._ids = {(info.purpose, info.algorithm, info.level, info.subject): info.key_id for info in vault.infos()}
        self._signers = {(info.purpose, info.key_id) for info in vault.infos()}
        self._issuer_key = lru_cache(maxsize=ISSUERS_CACHED)(self._derive_issuer_key)

    def tac_verify_batch(self, requests: Sequence[TacRequest]) -> list[str]:
        if len(requests) > BATCH_MAX:
            raise ValueError(f"a batch holds at most {BATCH_MAX} requests")
        return [self._verdict(request) for request in requests]

    def device_mac(self, device_id: int, message: bytes) -> bytes:
        key_id = self._ids.get(("device", "HMAC", "device", str(device_id)))
        if key_id is None:
            raise NoKey(f"no key of device {device_id} in the vault")
        return hmac.digest(self._vault._key(key_id), message, "sha256")

    def sign(self, key_id: str, digest: bytes) -> bytes:
        return signing.sign(self._signing_key(key_id), digest)

    def public_key(self, key_id: str) -> bytes:
        return signing.public_key(self._signing_key(key_id))

    def _signing_key(self, key_id: str) -> bytes:
        if ("params", key_id) not in self._signers:
            raise NoKey(f"no signing key {key_id} in the vault: make one with `ykt fleet key new`")
        return self._vault._key(key_id)

    def _verdict(self, request: TacRequest) -> str:
        algorithm = ALGORITHMS.get(request.algorithm)
        issuer_key = self._issuer_key(algorithm, request.issuer, request.product) if algorithm else None
        if algorithm is None or issuer_key is None:
            return NO_KEY
        suite = SUITES[algorithm]
        message = PURCHASE_TAC.pack(
            amount_fen=request.amount_fen,
            type=request.type,
            terminal=request.terminal,
            terminal_seq=request.terminal_seq,
            at=bcd.stamp(request.at_s),
        )
        tac = suite.tac(suite.diversify(issuer_key, card_factor(request.card)), message)
        return OK if hmac.compare_digest(tac, request.tac) else BAD

    def _derive_issuer_key(self, algorithm: str, issuer: bytes, product: int) -> bytes | None:
        """An issuer's own key, else one derived from its own root, else from the root of all issuers.

        Of a regional product the issuer's own key only: whether its cards have a level above, nobody told us.
        """
        name = issuer.hex().upper()
        if product:
            own = self._ids.get(("tac", algorithm, "issuer", f"{product}:{name}"))
            return None if own is None else self._vault._key(own)
        own = self._ids.get(("tac", algorithm, "issuer", name))
        if own is not None:
            return self._vault._key(own)
        root = self._ids.get(("tac", algorithm, "root", name)) or self._ids.get(("tac", algorithm, "root", ""))
        if root is None:
            return None
        return SUITES[algorithm].diversify(self._vault._key(root), issuer)


def open_keys(path: Path, passphrase: bytes, production: bool) -> SoftKeys:
    """The keys for a database. Raises VaultError; MixedKeys where one of the two is for tests and the other not."""
    vault = open_vault(path, passphrase)
    if vault.test == production:
        kind = "test keys" if vault.test else "production keys"
        other = "production" if production else "test"
        raise MixedKeys(f"{path} holds {kind} and the database is a {other} database: they never mix")
    return SoftKeys(vault)
