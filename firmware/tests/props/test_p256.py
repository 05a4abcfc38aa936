"""P-256 against OpenSSL on random keys and messages; a signature with any bit changed is none."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tunion.crypto import p256

SHA256 = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
secrets = st.integers(1, 1000) | st.integers(1, p256.N - 1) | st.integers(1, 1000).map(lambda small: p256.N - small)
digests = st.binary(min_size=32, max_size=32)
SIGNATURES = 2000


def made(secret, digest):
    """(key, signature) as OpenSSL makes them."""
    private = ec.derive_private_key(secret, ec.SECP256R1())
    r, s = utils.decode_dss_signature(private.sign(digest, SHA256))
    key = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return key, r.to_bytes(32, "big") + s.to_bytes(32, "big")


def is_good(key, digest, signature):
    try:
        p256.verify(key, digest, signature)
    except p256.BadSignature:
        return False
    return True


def openssl_says(key, digest, signature):
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        public.verify(der, digest, SHA256)
    except InvalidSignature:
        return False
    return True


def test_thousands_of_signatures_of_openssl_are_good():
    for number in range(SIGNATURES):
        seed = hashlib.sha256(b"%d" % number).digest()
        key, signature = made(int.from_bytes(seed, "big") % p256.N, seed)
        p256.verify(key, seed, signature)


@given(secrets, digests)
def test_each_signature_of_openssl_is_good(secret, digest):
    p256.verify(*_placed(secret, digest))


@given(secrets, digests, st.integers(1, p256.N - 1), st.integers(1, p256.N - 1))
def test_both_say_the_same_of_any_pair_of_numbers(secret, digest, r, s):
    key, _ = made(secret, digest)
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert is_good(key, digest, signature) == openssl_says(key, digest, signature)


@pytest.mark.parametrize("part", ["signature", "digest"])
def test_every_single_bit_flipped_is_refused(part):
    digest = hashlib.sha256(b"fares").digest()
    key, signature = made(0xC0FFEE, digest)
    whole = {"signature": signature, "digest": digest}
    for at in range(8 * len(whole[part])):
        flipped = bytearray(whole[part])
        flipped[at // 8] ^= 1 << at % 8
        assert not is_good(key, **{**whole, part: bytes(flipped)})


def test_every_single_bit_of_the_key_flipped_is_refused():
    digest = hashlib.sha256(b"fares").digest()
    key, signature = made(0xC0FFEE, digest)
    for at in range(8 * len(key)):
        flipped = bytearray(key)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises((p256.BadKey, p256.BadSignature)):
            p256.verify(bytes(flipped), digest, signature)


def _placed(secret, digest):
    key, signature = made(secret, digest)
    return key, digest, signature
