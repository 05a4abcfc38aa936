"""COSE_Mac0 (RFC 9052 section 6.2) with HMAC-SHA-256 (RFC 9053 section 3.1, algorithm 5): the envelope of sync.

    [ protected: bstr of {1: 5}, unprotected: {4: kid}, payload: bstr, tag: 32 bytes ]

The MAC covers ["MAC0", protected, external_aad, payload], so it survives queues and gateways that end TLS.
"""

from hashlib import sha256

from tunion import cbor
from tunion.record import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tunion.record import Bytes

_PROTECTED = b"\xa1\x01\x05"
_BLOCK_BYTES = 64  # of SHA-256
PIECE_BYTES = 1024  # of an envelope made in pieces


class BadMac(BadInput):
    """The message was not made by the holder of the key, or was changed on its way. Refuse it whole."""


def hmac_sha256(key: "Bytes", message: "Bytes") -> bytes:
    """32 bytes. Source: RFC 2104. MicroPython has SHA-256 and no hmac module."""
    return hmac_of(key, (message,))


def hmac_of(key: "Bytes", parts: "Iterable[Bytes]") -> bytes:
    """As hmac_sha256 of the parts joined, which are nowhere joined."""
    if len(key) > _BLOCK_BYTES:
        key = sha256(key).digest()
    padded = bytes(key) + bytes(_BLOCK_BYTES - len(key))
    inner = sha256(bytes(byte ^ 0x36 for byte in padded))
    for part in parts:
        inner.update(part)
    outer = sha256(bytes(byte ^ 0x5C for byte in padded))
    outer.update(inner.digest())
    mac: bytes = outer.digest()
    return mac


def same(left: "Bytes", right: "Bytes") -> bool:
    """Equality in a time that does not tell where two MACs differ."""
    different = len(left) ^ len(right)
    for a, b in zip(left, right):  # lengths are compared above
        different |= a ^ b
    return different == 0


def seal(payload: bytes, kid: bytes, aad: bytes, mac: "Callable[[bytes], bytes]") -> bytes:
    """COSE_Mac0 over `payload`. `mac(message) -> 32 bytes` holds the key, so that it need not be here."""
    tag = mac(_mac_structure(payload, aad))
    return cbor.encode([_PROTECTED, {4: kid}, payload, tag])


class Envelope:
    """As `seal`, in pieces: a heap full of holes has room for a kilobyte, and often for no seven. The payload is `put`
    bit by bit and copied once; the same bytes come out.
    """

    def __init__(self, kid: bytes, payload_bytes: int) -> None:
        self._pieces: list[bytearray] = []
        self._used = PIECE_BYTES  # of the last piece
        self._length = cbor.bytes_head(payload_bytes)
        self.put(cbor.array_head(4) + cbor.encode(_PROTECTED) + cbor.encode({4: kid}) + self._length)
        self._start = self._used  # of the payload, in the first piece

    def put(self, content: "Bytes") -> None:
        """The next bytes of the payload."""
        at = 0
        while at < len(content):
            if self._used == PIECE_BYTES:
                self._pieces.append(bytearray(PIECE_BYTES))
                self._used = 0
            count = min(PIECE_BYTES - self._used, len(content) - at)
            self._pieces[-1][self._used : self._used + count] = content[at : at + count]
            self._used += count
            at += count

    def close(self, aad: bytes, mac_of: "Callable[[list[Bytes]], bytes]") -> "list[Bytes]":
        """The pieces of the whole envelope.

        mac_of  32 bytes for what its parts are when joined, as hmac_of under a key
        """
        covered = cbor.array_head(4) + cbor.encode("MAC0") + cbor.encode(_PROTECTED) + cbor.encode(aad) + self._length
        parts: list[Bytes] = [covered]
        parts += [memoryview(piece) for piece in self._pieces]
        parts[-1] = parts[-1][: self._used]
        parts[1] = parts[1][self._start :]
        self.put(cbor.encode(mac_of(parts)))
        pieces: list[Bytes] = list(self._pieces)
        pieces[-1] = memoryview(self._pieces[-1])[: self._used]
        return pieces


def unseal(envelope: "Bytes") -> "tuple[bytes, bytes, bytes]":
    """(kid, payload, tag) of an envelope whose MAC is still to be checked; raises BadCbor for another shape."""
    parts = cbor.decode(envelope)
    if not isinstance(parts, list) or len(parts) != 4 or parts[0] != _PROTECTED:
        raise cbor.BadCbor("not a COSE_Mac0 with HMAC-SHA-256")
    header, payload, tag = parts[1:]
    if not isinstance(header, dict) or list(header) != [4] or not isinstance(header[4], bytes):
        raise cbor.BadCbor("a COSE_Mac0 here has one unprotected header, the key's name")
    if not isinstance(payload, bytes) or not isinstance(tag, bytes) or len(tag) != 32:
        raise cbor.BadCbor("a COSE_Mac0 has a payload and a tag of 32 bytes")
    return header[4], payload, tag


def check(payload: bytes, tag: bytes, aad: bytes, mac: "Callable[[bytes], bytes]") -> None:
    """Raises BadMac unless `tag` is the MAC of `payload` and `aad`."""
    if not same(mac(_mac_structure(payload, aad)), tag):
        raise BadMac("the MAC is wrong: another key, another path, or a changed message")


def _mac_structure(payload: bytes, aad: bytes) -> bytes:
    return cbor.encode(["MAC0", _PROTECTED, aad, payload])
