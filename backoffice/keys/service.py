"""What the rest of the back office may ask of the keys. Answers are verdicts and MACs, never a key or a handle."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from backoffice.keys.backend import KeyInfo, KeyPath, KeysError
from tunion.record import Record

BATCH_MAX = 5000  # TACs in one call, so that an HSM's answer time stays in sight

OK = "ok"
BAD = "bad"
NO_KEY = "no_key"  # no key for this issuer or algorithm
UNAVAILABLE = "unavailable"  # ask again later: not the record's fault


class NoKey(KeysError):
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
    version: int = 1  # of the card's keys, as INITIALIZE told it: a TAC key has the version of its purchase key


# One TacRequest in 48 bytes, for those who have many: tac_verify_rows takes any number of them, one after another.
TAC_ROW = Record(
    "TacRow",
    48,
    (
        ("issuer", "8s"),
        ("card", "8s"),  # the last 8 of the 10 bytes
        ("product", "B"),
        ("algorithm", "B"),
        ("version", "B"),
        ("spare", "B"),  # 0
        ("message", "22s"),  # tunion.crypto.keys.PURCHASE_TAC
        ("tac", "4s"),
        ("spare2", "2s"),  # zeros
    ),
)
# What tac_verify_rows answers, a byte a row
ROW_VERDICTS = {0: OK, 1: BAD, 2: NO_KEY, 3: UNAVAILABLE}


class KeyService(Protocol):
    """Every use is written down (caller, key, purpose, count) and stays within the caller's rate."""

    test: bool

    def infos(self) -> list[KeyInfo]:
        """All kept keys."""

    def job(self, what: str, of: bytes) -> AbstractContextManager[None]:
        """A block that makes one thing, as a card: its uses are a line before it and one after it, in this thread.

        Nothing that was made counts as good before the block has ended: then the uses are on the disk, by operation
        and key. Keys that make money (load, unload) have a line for each use, also within.

        of      names the thing, as a chip's serial; written down as a digest
        raises  at its end, too: AuditLost
        """

    def path(
        self, purpose: str, algorithm: str, version: int, issuer: bytes = b"", *below: bytes, product: int = 0
    ) -> KeyPath:
        """The path to an issuer's key of that version, and below it; of control and transport keys `issuer` is b"".

        issuer  8-byte issuer identifier
        below   further factors of 8 bytes: a card's, a chip's serial
        raises  NoKey where none leads there, or its state forbids that it makes anything new
        """

    def kcv(self, path: KeyPath) -> str:
        """6 hex digits."""

    def session_mac(self, path: KeyPath, block: bytes, message: bytes) -> bytes:
        """4 bytes: MAC1 or MAC2 of a purchase or load. `block` 8 bytes: tunion.crypto.keys.*_SESSION."""

    def tac(self, path: KeyPath, message: bytes) -> bytes:
        """4 bytes: the TAC that the card at `path` makes over `message`, to try a card that is being made."""

    def auth(self, control: KeyPath, challenge: bytes) -> bytes:
        """8 bytes: backend.Backend.auth."""

    def command_mac(self, control: KeyPath, iv: bytes, message: bytes) -> bytes:
        """4 bytes: backend.Backend.command_mac."""

    def maintenance_mac(self, path: KeyPath, challenge: bytes, command: bytes) -> bytes:
        """4 bytes under a card's maintenance key: tunion.crypto.mac.maintenance_mac."""

    def wrap(self, control: KeyPath, target: KeyPath) -> bytes:
        """The key at `target` as a chip takes it: backend.Backend.wrap."""

    def soft_sam_blob(
        self, storage_key: bytes, issuers: Sequence[bytes], terminal: bytes, generation: int, start: bytes,
        expiry: bytes, versions: Sequence[int],
    ) -> bytes:
        """A soft SAM for one device: tunion.wire.soft_sam.make_blob, test keys marked as such."""

    def tac_verify_rows(self, rows: bytes) -> bytes:
        """A verdict a row of TAC_ROW, in their order: ROW_VERDICTS. Any number of rows."""

    def tac_verify_batch(self, requests: Sequence[TacRequest]) -> list[str]:
        """A verdict for each of at most BATCH_MAX requests, in their order. Same request, same verdict."""

    def device_mac(self, device_id: int, message: bytes) -> bytes:
        """HMAC-SHA-256 under the device's key, 32 bytes. Raises NoKey."""

    def sign(self, key_id: str, digest: bytes) -> bytes:
        """ECDSA P-256 over a SHA-256 digest: r and s, 64 bytes. Raises NoKey."""

    def public_key(self, key_id: str) -> bytes:
        """The public half of a signing key: 04 X Y, 65 bytes. Raises NoKey."""
