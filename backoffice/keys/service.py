"""What the rest of the back office may ask of the keys. Answers are verdicts and MACs, never a key or a handle."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

BATCH_MAX = 5000  # TACs in one call, so that an HSM's answer time stays in sight

OK = "ok"
BAD = "bad"
NO_KEY = "no_key"  # no key for this issuer or algorithm
UNAVAILABLE = "unavailable"  # ask again later: not the record's fault


class NoKey(Exception):
    """The key service holds no such key."""


class TacRequest(NamedTuple):
    """One purchase and the proof its card gave. Formula: JT/T 978.6, tunion.crypto.keys.PURCHASE_TAC."""

    issuer: bytes  # 8, file 15h offset 0
    card: bytes  # 10, file 15h offset 10
    algorithm: int  # as the card named it
    amount_fen: int
    type: int
    terminal: bytes  # 6
    terminal_seq: int
    at_s: int
    tac: bytes  # 4
    product: int = 0  # the application that paid: 0 JT/T 978; each has keys of its own


class KeyService(Protocol):
    def tac_verify_batch(self, requests: Sequence[TacRequest]) -> list[str]:
        """A verdict for each of at most BATCH_MAX requests, in their order. Same request, same verdict."""

    def device_mac(self, device_id: int, message: bytes) -> bytes:
        """HMAC-SHA-256 under the device's key, 32 bytes. Raises NoKey."""

    def sign(self, key_id: str, digest: bytes) -> bytes:
        """ECDSA P-256 over a SHA-256 digest: r and s, 64 bytes. Raises NoKey."""

    def public_key(self, key_id: str) -> bytes:
        """The public half of a signing key: 04 X Y, 65 bytes. Raises NoKey."""
