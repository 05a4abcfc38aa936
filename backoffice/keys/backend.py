"""What a place that keeps keys must offer: the software vault and a PKCS#11 token do, behind one KeyService.

A key is named by a path: one that is kept, and what it is diversified by on the way down. Values never leave, but for
`release`, which a backend may refuse.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

# States of a kept key. generated: not yet in use; verify_only: proves old records, makes nothing new;
# compromised: proves what was dated before it became known; destroyed: the value is gone, its row stays.
GENERATED, ACTIVE, VERIFY_ONLY, RETIRED, DESTROYED, COMPROMISED = (
    "generated", "active", "verify_only", "retired", "destroyed", "compromised"
)  # fmt: skip


class KeysError(Exception):
    """The keys refuse. The message says what to do; it names ids and check values, never a key."""


class Unavailable(KeysError):
    """The place that keeps them is out of reach. Ask again later; nothing was done."""


class Lacks(KeysError):
    """This backend has no such algorithm or operation. The message names it."""


class KeyInfo(NamedTuple):
    """All that may be known of a key. Times are UTC seconds, 0: not set. The check value is 3 bytes in hex."""

    key_id: str
    purpose: str  # hierarchy.PURPOSES
    algorithm: str  # 3DES, SM4, AES: 16 bytes; HMAC: 32, of a device; ES256: 32, to sign parameter sets
    level: str  # nation, province, issuer; device; sign; chip (the next step down is a chip's serial)
    # issuer identifier in hex, '1:' before it for product 1; province factor; device id; '' where it is of all
    subject: str
    kcv: str
    version: int = 1  # 0..255, as cards and transactions carry it
    index: int = 1  # type: ignore[assignment]  # 0..255, likewise
    state: str = ACTIVE
    parent: str = ""  # key_id of the key it was derived from
    created_s: int = 0
    activates_s: int = 0
    retires_s: int = 0
    destroys_s: int = 0
    compromised_s: int = 0


class KeyPath(NamedTuple):
    """A kept key and the factors below it, from the top down, 8 bytes each: () names the kept key itself."""

    key_id: str
    factors: tuple[bytes, ...] = ()


class Backend(Protocol):
    """Keeps keys. Raises KeysError and its kinds; a call that raises changed nothing."""

    test: bool  # holds test keys only; False: production keys only

    def infos(self) -> list[KeyInfo]: ...

    def put(self, info: KeyInfo, value: bytes) -> None:
        """Take a key in, from a ceremony. Refused where `info.kcv` is not the value's. Durable on return."""

    def make(self, info: KeyInfo) -> KeyInfo:
        """A random key made inside; `info.kcv` is ignored. Returns it with its check value. Durable on return."""

    def derive(self, parent_id: str, factor: bytes, info: KeyInfo) -> KeyInfo:
        """Keep what `parent_id` gives diversified by `factor`; as `make`."""

    def change(self, info: KeyInfo) -> None:
        """Another state or date of a kept key; all else must be as it was. DESTROYED: its value is erased."""

    def kcv(self, path: KeyPath) -> str:
        """Check value of the key at the path, 6 hex digits."""

    def session_mac(self, path: KeyPath, block: bytes, message: bytes) -> bytes:
        """4 bytes: the MAC over `message` under the session key of `block` (8 bytes). tunion.crypto.keys."""

    def tacs(self, path: KeyPath, cards: Sequence[bytes], messages: Sequence[bytes]) -> list[bytes]:
        """4 bytes for each message under the TAC key of its card: `path` is the issuer's, `cards` 8-byte factors."""

    def auth(self, control: KeyPath, challenge: bytes) -> bytes:
        """8 bytes: the answer to a chip's 8-byte challenge. Formula by the key's algorithm: schemes.py."""

    def command_mac(self, control: KeyPath, iv: bytes, message: bytes) -> bytes:
        """4 bytes that secure one command; `iv` 8 bytes. schemes.py."""

    def wrap(self, control: KeyPath, target: KeyPath) -> bytes:
        """The key at `target` encrypted under the one at `control`, as a chip takes it. schemes.py. Lacks."""

    def release(self, path: KeyPath, why: str) -> bytes:
        """A key in the clear for the second provider, written down with `why`.

        Below issuer level; of purchase keys also an issuer's, for a soft SAM; else Lacks.
        """

    def hmac(self, key_id: str, message: bytes) -> bytes:
        """HMAC-SHA-256, 32 bytes."""

    def sign(self, key_id: str, digest: bytes) -> bytes:
        """ECDSA P-256: r and s, 64 bytes."""

    def public_key(self, key_id: str) -> bytes:
        """04 X Y, 65 bytes."""
