"""COSE_Sign1 (RFC 9052 section 4.2) with ES256 (RFC 9053 section 2.1): what the back office publishes to everyone.

    [ protected: bstr of {1: -7}, unprotected: {4: kid}, payload: bstr, signature: 64 bytes ]

The signature covers ["Signature1", protected, external_aad, payload]. The payload stands last in both, so a device can
hash it piece by piece as it lies in flash: `frame` finds it, `to_be_signed` is what goes before it.
"""

from hashlib import sha256

from tunion import cbor
from tunion.compat import const
from tunion.crypto import p256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from tunion.record import Bytes

KID_BYTES = const(8)
HEAD_BYTES_MAX = const(22)  # what `frame` wants to see: array, headers and the payload's own head
_TAIL_BYTES = const(66)  # 58 40 and the signature
_PROTECTED = b"\xa1\x01\x26"
_START = b"\x84\x43\xa1\x01\x26\xa1\x04\x48"  # array of 4, protected, unprotected up to the name's bytes


def kid(key: "Bytes") -> bytes:
    """A public key's name: the first 8 bytes of the SHA-256 of its point."""
    name: bytes = sha256(bytes(key)).digest()[:KID_BYTES]
    return name


def named(name: bytes, keys: "Sequence[bytes]") -> bytes:
    """The one of `keys` that has this name. Raises BadSignature where none has."""
    for key in keys:
        if kid(key) == name:
            return key
    raise p256.BadSignature("signed by a key that this device was not given")


def seal(payload: bytes, key: bytes, aad: bytes, sign: "Callable[[bytes], bytes]") -> bytes:
    """COSE_Sign1 over `payload`. `sign(digest) -> 64 bytes` holds the private half of `key`."""
    signature = sign(digest(payload, aad))
    return cbor.encode([_PROTECTED, {4: kid(key)}, payload, signature])


def frame(head: "Bytes", total_bytes: int) -> "tuple[bytes, int, int]":
    """(kid, where the payload starts, its bytes) of an envelope of `total_bytes` that starts with `head`.

    raises  BadCbor where it has another shape; whether the bytes before the signature are 58 40 `signature` tells
    """
    head = bytes(head[:HEAD_BYTES_MAX])
    at = len(_START) + KID_BYTES
    if head[: len(_START)] != _START or len(head) < at + 3:
        raise cbor.BadCbor("not a COSE_Sign1 with ES256")
    info = head[at] - 0x40
    width = 0 if 0 <= info < 24 else {24: 1, 25: 2, 26: 4}.get(info, -1)
    start = at + 1 + width
    length = info if width == 0 else int.from_bytes(head[at + 1 : start], "big")
    if width < 0 or start + length + _TAIL_BYTES != total_bytes or head[at:start] != cbor.bytes_head(length):
        raise cbor.BadCbor("a COSE_Sign1 here has a payload and a signature of 64 bytes, nothing else")
    return head[len(_START) : at], start, length


def signature(tail: "Bytes") -> bytes:
    """The 64 bytes at the end of an envelope, from its last 66. Raises BadCbor."""
    if len(tail) != _TAIL_BYTES or bytes(tail[:2]) != b"\x58\x40":
        raise cbor.BadCbor("a COSE_Sign1 here ends in a signature of 64 bytes")
    return bytes(tail[2:])


def tail_at(total_bytes: int) -> int:
    """Where the last 66 bytes of an envelope start."""
    return total_bytes - _TAIL_BYTES


def to_be_signed(payload_bytes: int, aad: bytes) -> "Any":
    """A SHA-256 that has taken in all that is signed before the payload; update it with that, and it is the digest."""
    context = sha256(b"\x84\x6aSignature1" + cbor.encode(_PROTECTED) + cbor.encode(aad))
    context.update(cbor.bytes_head(payload_bytes))
    return context


def digest(payload: "Bytes", aad: bytes) -> bytes:
    """What is signed of a payload at hand, 32 bytes."""
    context = to_be_signed(len(payload), aad)
    context.update(payload)
    value: bytes = context.digest()
    return value


def unseal(envelope: "Bytes") -> "tuple[bytes, bytes, bytes]":
    """(kid, payload, signature) of an envelope whose signature is still to be checked. Raises BadCbor."""
    name, start, length = frame(envelope, len(envelope))
    view = memoryview(envelope)
    return name, bytes(view[start : start + length]), signature(view[start + length :])
