"""Keys as objects of a PKCS#11 token: what they may do, and how one is derived, read and checked there.

No state and no rules: token.py says which key may do what.
"""

import ctypes
import secrets
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from pkcs11.constants import DEFAULT, Attribute, MechanismFlag, ObjectClass
from pkcs11.mechanisms import KeyType, Mechanism
from pkcs11.util.ec import encode_named_curve_parameters

from backoffice.keys import hierarchy, signing
from backoffice.keys.backend import KeyInfo
from backoffice.keys.token_rows import Row
from backoffice.keys.vault import Tampered
from tunion import cose_sign1

_KCV_BYTES = 3
_P256 = encode_named_curve_parameters("secp256r1")


class Family(NamedTuple):
    """How PKCS#11 calls the parts of a cipher."""

    block_bytes: int
    key_type: KeyType
    derive: Mechanism
    encrypt: Mechanism
    generate: Mechanism


FAMILIES = {
    "3DES": Family(8, KeyType.DES2, Mechanism.DES3_ECB_ENCRYPT_DATA, Mechanism.DES3_ECB, Mechanism.DES2_KEY_GEN),
    "AES": Family(16, KeyType.AES, Mechanism.AES_ECB_ENCRYPT_DATA, Mechanism.AES_ECB, Mechanism.AES_KEY_GEN),
}
TYPES_WITHOUT_LENGTH = (KeyType.DES2, KeyType.DES3)


DERIVE, ENCRYPT = MechanismFlag.DERIVE, MechanismFlag.ENCRYPT


def both(factor: bytes) -> bytes:
    """16 bytes: the 8 of a factor and their complement."""
    if len(factor) != hierarchy.FACTOR_BYTES:
        raise ValueError(f"a factor has {hierarchy.FACTOR_BYTES} bytes")
    return factor + bytes(byte ^ 0xFF for byte in factor)


def with_parity(algorithm: str, value: bytes) -> bytes:
    """As PKCS#11 wants DES keys: each byte odd. DES itself looks away."""
    if algorithm != "3DES":
        return value
    return bytes(byte & 0xFE | (byte >> 1).bit_count() % 2 ^ 1 for byte in value)


def template(info: KeyInfo, object_id: bytes) -> dict[Attribute, Any]:
    """A kept key: it stays as it is, and only derives, or only signs."""
    family = FAMILIES.get(info.algorithm)
    signs = family is None
    template: dict[Attribute, Any] = {
        Attribute.CLASS: ObjectClass.PRIVATE_KEY if info.algorithm == "ES256" else ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: family.key_type if family else KeyType.GENERIC_SECRET,
        Attribute.ID: object_id,
        Attribute.LABEL: info.key_id,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.MODIFIABLE: False,
        Attribute.DERIVE: not signs,
        Attribute.SIGN: signs,
        Attribute.DECRYPT: False,
        Attribute.UNWRAP: False,
    }
    if info.algorithm == "ES256":
        template |= {Attribute.KEY_TYPE: KeyType.EC, Attribute.EC_PARAMS: _P256}
    else:
        template |= {Attribute.ENCRYPT: False, Attribute.WRAP: False, Attribute.VERIFY: False}
    return template


def make_pair(session: Any, template: dict[Attribute, Any]) -> tuple[Any, bytes]:
    """(private key, 04 X Y)."""
    own = {name: value for name, value in template.items() if name is not Attribute.EC_PARAMS}
    domain = session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: _P256}, local=True)
    public, private = domain.generate_keypair(
        mechanism=Mechanism.EC_KEY_PAIR_GEN, capabilities=MechanismFlag.SIGN, private_template=own
    )
    point: bytes = public[Attribute.EC_POINT]
    public.destroy()
    return private, point[-65:]  # most modules put it into an OCTET STRING, some do not


def derive(
    key: Any, algorithm: str, data: bytes, kind: KeyType, duties: int = 0, template: dict[Attribute, Any] | None = None
) -> Any:
    """A key of `kind` whose value is `data` encrypted."""
    family = FAMILIES[algorithm]
    parameter = data
    if algorithm == "3DES":  # the binding knows the parameter of AES only: CK_KEY_DERIVATION_STRING_DATA, laid by hand
        place = ctypes.create_string_buffer(data, len(data))
        parameter = struct.pack("PL", ctypes.addressof(place), len(data))
    attributes = dict(template or {})
    if kind in TYPES_WITHOUT_LENGTH:
        attributes[Attribute.VALUE_LEN] = DEFAULT
    return key.derive_key(
        kind, 8 * len(data), capabilities=duties, mechanism=family.derive, mechanism_param=parameter,
        template=attributes,
    )  # fmt: skip


@contextmanager
def child(
    key: Any, algorithm: str, data: bytes, kind: KeyType, duties: int, wrappable: bool = False
) -> Iterator[Any]:
    """A session object, never readable, gone when the block ends."""
    secret = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: wrappable}
    derived = derive(key, algorithm, data, kind, duties, secret)
    try:
        yield derived
    finally:
        derived.destroy()


def read_derived(key: Any, algorithm: str, data: bytes, count: int | None = None) -> bytes:
    """The first `count` bytes of `data` encrypted under a key that may only derive."""
    readable: dict[Attribute, Any] = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
    if count is not None:
        readable[Attribute.VALUE_LEN] = count
    derived = derive(key, algorithm, data, KeyType.GENERIC_SECRET, 0, readable)
    try:
        value: bytes = derived[Attribute.VALUE]
        return value
    finally:
        derived.destroy()


def ecb(key: Any, algorithm: str, blocks: bytes) -> bytes:
    out: bytes = key.encrypt(blocks, mechanism=FAMILIES[algorithm].encrypt)
    return out


def cbc(key: Any, iv: bytes, blocks: bytes) -> bytes:
    out: bytes = key.encrypt(blocks, mechanism=Mechanism.DES3_CBC, mechanism_param=iv)
    return out


def kcv(key: Any, algorithm: str, public: bytes) -> str:
    """6 hex digits, as vault.kcv; three bytes of what is derived from zeros, so that a key which only derives tells."""
    if algorithm == "HMAC":
        mac: bytes = key.sign(b"", mechanism=Mechanism.SHA256_HMAC)
        return mac[:_KCV_BYTES].hex().upper()
    if algorithm == "ES256":
        digest = secrets.token_bytes(32)
        if not signing.verifies(public, digest, key.sign(digest, mechanism=Mechanism.ECDSA)):
            raise Tampered("a signing key of the token is not that of its public half: restore the token from a copy")
        return cose_sign1.kid(public)[:_KCV_BYTES].hex().upper()
    zeros = bytes(FAMILIES[algorithm].block_bytes)
    return read_derived(key, algorithm, zeros, _KCV_BYTES).hex().upper()


def keys_of(session: Any, wanted: dict[Attribute, Any]) -> list[Any]:
    classes = (ObjectClass.SECRET_KEY, ObjectClass.PRIVATE_KEY)
    return [key for one in classes for key in session.get_objects({Attribute.CLASS: one, **wanted})]


def key_object(session: Any, row: Row) -> Any:
    found = keys_of(session, {Attribute.ID: bytes.fromhex(row.object_id)}) if row.object_id else []
    if len(found) != 1:
        raise Tampered(f"key {row.info.key_id} is not in the token any more: restore the token from a copy")
    return found[0]


def check_key(key: Any, row: Row) -> None:
    """Raises Tampered."""
    if kcv(key, row.info.algorithm, bytes.fromhex(row.public)) != row.info.kcv:
        raise Tampered(f"key {row.info.key_id} has not its check value any more: restore the token from a copy")


def erase_keys(session: Any, object_id: bytes) -> None:
    for key in keys_of(session, {Attribute.ID: object_id}):
        key.destroy()
