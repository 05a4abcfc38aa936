"""The blob that holds a soft SAM: issuer-level purchase keys, wrapped for one device.

    head 44 bytes | per issuer 24 bytes | tag 32 bytes

Made by the back office, opened by the device that holds the storage key. Layout and reasons: firmware/docs/soft_sam.md.
AES comes from the caller: MicroPython and CPython name it differently.
"""

from collections import namedtuple

from tunion.bcd import is_bcd, is_date
from tunion.compat import const
from tunion.cose import BadMac, hmac_sha256, same
from tunion.crypto.keys import suite
from tunion.record import BadInput, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Cipher = Callable[[bytes, bytes, bytes], bytes]  # (key 16, iv 16, whole blocks) -> whole blocks

MAGIC = b"SSAM"
VERSION = const(1)
FLAG_TEST = const(0x01)  # keys of no issuer's production: such a terminal's records never settle
ISSUERS_MAX = const(8)  # a city and its neighbours; who holds more than that belongs into a real SAM
TAG_BYTES = const(32)
KEY_BYTES = const(16)

HEAD = Record(
    "SoftSamHead",
    44,
    (
        ("magic", "4s"),
        ("version", "B"),
        ("flags", "B"),
        ("generation", "I"),  # grows with every blob of this device; a lower one is revoked
        ("terminal", "6s"),  # BCD, as a SAM's number
        ("start", "4s"),  # BCD YYYYMMDD, inclusive
        ("expiry", "4s"),
        ("key_index", "B"),
        ("key_version", "B"),
        ("algorithm", "B"),
        ("issuers", "B"),  # 0: all keys are withdrawn
        ("iv", "16s"),
    ),
)
ENTRY = Record("SoftSamEntry", 24, (("issuer", "8s"), ("wrapped", "16s")))  # the wrapped keys are one CBC chain

# `head` as HEAD unpacked; `keys`: issuer identifier (8 bytes) -> purchase key derived for it (16 bytes)
SoftSamBlob = namedtuple("SoftSamBlob", ("head", "keys"))


def make_blob(
    storage_key: bytes,
    aes_cbc_encrypt: "Cipher",
    iv: bytes,
    keys: "dict[bytes, bytes]",
    terminal: bytes,
    generation: int,
    start: bytes,
    expiry: bytes,
    key_version: int = 1,
    key_index: int = 1,
    algorithm: int = 0,
    test: bool = True,
) -> bytes:
    """The blob for one device.

    storage_key  32 bytes that only this device and its issuer know
    iv           16 random bytes, new for each blob
    keys         issuer identifier, 8 bytes -> issuer-level purchase key, 16 bytes; at most ISSUERS_MAX, none withdraws
    raises       BadInput
    """
    if len(keys) > ISSUERS_MAX:
        raise BadInput("a soft SAM holds the keys of at most %d issuers" % ISSUERS_MAX)
    issuers = sorted(keys)
    plain = b"".join([keys[issuer] for issuer in issuers])
    if len(plain) != KEY_BYTES * len(keys):
        raise BadInput("a purchase key has 16 bytes")
    wrapped = aes_cbc_encrypt(_wrapping_key(storage_key), iv, plain) if plain else b""
    head = HEAD.pack(
        magic=MAGIC,
        version=VERSION,
        flags=FLAG_TEST if test else 0,
        generation=generation,
        terminal=terminal,
        start=start,
        expiry=expiry,
        key_index=key_index,
        key_version=key_version,
        algorithm=algorithm,
        issuers=len(keys),
        iv=iv,
    )
    _check_head(HEAD.unpack(head))
    body = head + b"".join(
        [ENTRY.pack(issuer=issuers[i], wrapped=wrapped[16 * i : 16 * i + 16]) for i in range(len(issuers))]
    )
    return body + hmac_sha256(_tag_key(storage_key), body)


def open_blob(blob: bytes, storage_key: bytes, aes_cbc_decrypt: "Cipher") -> SoftSamBlob:
    """Check the tag, then unwrap. Raises BadMac for another device's blob or a changed one, BadInput for none."""
    head = HEAD.unpack(blob)
    if head.magic != MAGIC or head.version != VERSION or head.issuers > ISSUERS_MAX:
        raise BadInput("no soft SAM blob of version %d" % VERSION)
    end = HEAD.size + ENTRY.size * head.issuers
    if len(blob) != end + TAG_BYTES:
        raise BadInput("a soft SAM blob for %d issuers has %d bytes" % (head.issuers, end + TAG_BYTES))
    if not same(hmac_sha256(_tag_key(storage_key), blob[:end]), blob[end:]):
        raise BadMac("the soft SAM blob was made for another device, or was changed")
    _check_head(head)
    entries = [ENTRY.unpack(blob, HEAD.size + ENTRY.size * i) for i in range(head.issuers)]
    wrapped = b"".join([entry.wrapped for entry in entries])
    plain = aes_cbc_decrypt(_wrapping_key(storage_key), head.iv, wrapped) if wrapped else b""
    keys = {entries[i].issuer: plain[16 * i : 16 * i + 16] for i in range(len(entries))}
    return SoftSamBlob(head, keys)


def _check_head(head: "Any") -> None:
    if not is_bcd(head.terminal) or not is_date(head.start) or not is_date(head.expiry):
        raise BadInput("terminal number, start and expiry of a soft SAM are BCD, the latter two days")
    suite(head.algorithm)  # raises for one that nobody has described
    if head.start > head.expiry:
        raise BadInput("a soft SAM expires after its start")


def _wrapping_key(storage_key: bytes) -> bytes:
    return _derived(storage_key, b"soft SAM wrap")[:16]


def _tag_key(storage_key: bytes) -> bytes:
    return _derived(storage_key, b"soft SAM tag")


def _derived(storage_key: bytes, purpose: bytes) -> bytes:
    """A key for one purpose only: what one use gives away does not help against the other."""
    if len(storage_key) != 32:
        raise BadInput("a device storage key has 32 bytes")
    return hmac_sha256(storage_key, purpose)
