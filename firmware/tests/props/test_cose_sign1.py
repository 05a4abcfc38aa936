"""COSE_Sign1 against python-cwt: each opens what the other sealed."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cwt import COSE, COSEKey
from hypothesis import given
from hypothesis import strategies as st

from tunion import cose_sign1
from tunion.crypto import p256
from tunion.record import BadInput

PRIVATE = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
KEY = PRIVATE.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
NAME = cose_sign1.kid(KEY)
SECOND = COSEKey.new(
    {1: 2, 2: NAME, 3: -7, -1: 1, -2: KEY[1:33], -3: KEY[33:], -4: (0xC0FFEE).to_bytes(32, "big")}
)
TAG_OF_COSE_SIGN1 = b"\xd2"  # cwt writes it, RFC 9052 leaves it to the context; ours leaves it out
payloads = st.binary(min_size=1, max_size=700)
aads = st.binary(max_size=40)


def sign(digest):
    r, s = utils.decode_dss_signature(PRIVATE.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@given(payloads, aads)
def test_each_opens_what_the_other_sealed(payload, aad):
    ours = TAG_OF_COSE_SIGN1 + cose_sign1.seal(payload, KEY, aad, sign)
    assert COSE.new().decode(ours, SECOND, external_aad=aad) == payload
    theirs = COSE.new().encode_and_sign(
        payload, SECOND, protected={1: -7}, unprotected={4: NAME}, external_aad=aad
    )
    name, opened, signature = cose_sign1.unseal(theirs[1:])
    assert (name, opened) == (NAME, payload)
    p256.verify(KEY, cose_sign1.digest(opened, aad), signature)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_by_name(blob):
    try:
        cose_sign1.unseal(blob)
    except BadInput:
        return
    raise AssertionError("200 arbitrary bytes were an envelope")
