"""ECDSA P-256 keys as 32 bytes, the private number big-endian; signatures as r and s. Library code throughout."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tunion.crypto.p256 import DIGEST_BYTES, N

_ES256 = ec.ECDSA(utils.Prehashed(hashes.SHA256()))


def new() -> bytes:
    """A random key, from the system's source."""
    return ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")


def is_private(key: bytes) -> bool:
    return 0 < int.from_bytes(key, "big") < N


def public_key(key: bytes) -> bytes:
    """04 X Y."""
    return _private(key).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def sign(key: bytes, digest: bytes) -> bytes:
    """r and s, 64 bytes."""
    if len(digest) != DIGEST_BYTES:
        raise ValueError("a SHA-256 digest has 32 bytes")
    r, s = utils.decode_dss_signature(_private(key).sign(digest, _ES256))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verifies(public: bytes, digest: bytes, signature: bytes) -> bool:
    """r and s are of the private half of 04 X Y."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public).verify(
            utils.encode_dss_signature(r, s), digest, _ES256
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(key: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(key, "big"), ec.SECP256R1())
