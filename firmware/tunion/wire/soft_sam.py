"""The blob that holds a soft SAM: issuer-level purchase keys, wrapped for one device.

    head 44 bytes | per key 25 bytes | tag 32 bytes

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
VERSION = const(2)
_VERSION_1 = const(1)  # one key version for all, in the head
FLAG_TEST = const(0x01)  # keys of no issuer's production: such a terminal's records never settle
ISSUERS_MAX = const(8)  # a city and its neighbours; who holds more than that belongs into a real SAM
ENTRIES_MAX = const(16)  # two versions of each issuer's key, while keys are rolled over
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
        ("key_version", "B"),  # 0: each entry has its own
        ("algorithm", "B"),
        ("entries", "B"),  # 0: all keys are withdrawn
        ("iv", "16s"),
    ),
)
# The wrapped keys are one CBC chain
ENTRY = Record("SoftSamEntry", 25, (("issuer", "8s"), ("key_version", "B"), ("wrapped", "16s")))
ENTRY_1 = Record("SoftSamEntry1", 24, (("issuer", "8s"), ("wrapped", "16s")))  # of a blob of version 1

# `head` as HEAD unpacked; `keys`: key version -> issuer identifier (8 bytes) -> purchase key (16 bytes)
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
    keys         issuer identifier, 8 bytes -> issuer-level purchase key, 16 bytes; at most ISSUERS_MAX, none withdraws.
                 While keys are rolled over: issuer identifier and key version, 9 bytes -> key; at most ENTRIES_MAX
    key_version  of the keys that are named by 8 bytes
    raises       BadInput
    """
    named = {name if len(name) == 9 else name + bytes((key_version,)): keys[name] for name in keys}
    names = sorted(named)
    if len(names) > ENTRIES_MAX or len({name[:8] for name in names}) > ISSUERS_MAX:
        raise BadInput("a soft SAM holds the keys of at most %d issuers, in two versions" % ISSUERS_MAX)
    plain = b"".join([named[name] for name in names])
    if len(names) != len(keys) or len(plain) != KEY_BYTES * len(names):
        raise BadInput("a purchase key has 16 bytes, and an issuer one of a version")
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
        key_version=0,
        algorithm=algorithm,
        entries=len(names),
        iv=iv,
    )
    _check_head(HEAD.unpack(head))
    body = head + b"".join(
        [
            ENTRY.pack(issuer=names[i][:8], key_version=names[i][8], wrapped=wrapped[16 * i : 16 * i + 16])
            for i in range(len(names))
        ]
    )
    return body + hmac_sha256(_tag_key(storage_key), body)


def open_blob(blob: bytes, storage_key: bytes, aes_cbc_decrypt: "Cipher") -> SoftSamBlob:
    """Check the tag, then unwrap. Raises BadMac for another device's blob or a changed one, BadInput for none."""
    head = HEAD.unpack(blob)
    if head.magic != MAGIC or head.version not in (_VERSION_1, VERSION):
        raise BadInput("no soft SAM blob of version 1 or %d" % VERSION)
    entry, most = (ENTRY, ENTRIES_MAX) if head.version == VERSION else (ENTRY_1, ISSUERS_MAX)
    end = HEAD.size + entry.size * head.entries
    if head.entries > most or len(blob) != end + TAG_BYTES:
        raise BadInput("a soft SAM blob with %d keys has %d bytes" % (head.entries, end + TAG_BYTES))
    if not same(hmac_sha256(_tag_key(storage_key), blob[:end]), blob[end:]):
        raise BadMac("the soft SAM blob was made for another device, or was changed")
    _check_head(head)
    entries = [entry.unpack(blob, HEAD.size + entry.size * i) for i in range(head.entries)]
    wrapped = b"".join([entry.wrapped for entry in entries])
    plain = aes_cbc_decrypt(_wrapping_key(storage_key), head.iv, wrapped) if wrapped else b""
    keys: "dict[int, dict[bytes, bytes]]" = {}
    for i in range(len(entries)):
        version = head.key_version if head.version == _VERSION_1 else entries[i].key_version
        keys.setdefault(version, {})[entries[i].issuer] = plain[16 * i : 16 * i + 16]
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
