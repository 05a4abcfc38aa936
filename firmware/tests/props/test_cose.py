"""COSE_Mac0 against python-cwt, HMAC against the standard library, and envelopes of arbitrary bytes."""

import hashlib
import hmac

import cbor2
from cwt import COSE, COSEKey
from hypothesis import given
from hypothesis import strategies as st

from tunion import cbor, cose

key32 = st.binary(min_size=32, max_size=32)
kid = st.binary(min_size=1, max_size=8)
TAG_OF_COSE_MAC0 = b"\xd1"  # cwt writes it, RFC 9052 leaves it to the context; ours leaves it out


@given(st.binary(max_size=200), st.binary(max_size=300))
def test_hmac_agrees(key, message):
    assert cose.hmac_sha256(key, message) == hmac.new(key, message, hashlib.sha256).digest()


@given(key32, kid, st.binary(max_size=300), st.binary(max_size=40))
def test_both_make_the_same_envelope(key, kid, payload, aad):
    second = COSE.new().encode_and_mac(
        payload, COSEKey.from_symmetric_key(key, alg="HS256", kid=kid), protected={1: 5}, unprotected={4: kid},
        external_aad=aad,
    )
    assert TAG_OF_COSE_MAC0 + cose.seal(payload, kid, aad, lambda message: cose.hmac_sha256(key, message)) == second


@given(key32, kid, st.binary(max_size=300), st.binary(max_size=40))
def test_each_opens_what_the_other_sealed(key, kid, payload, aad):
    second_key = COSEKey.from_symmetric_key(key, alg="HS256", kid=kid)

    def mac(message):
        return cose.hmac_sha256(key, message)

    ours = TAG_OF_COSE_MAC0 + cose.seal(payload, kid, aad, mac)
    assert COSE.new().decode(ours, second_key, external_aad=aad) == payload

    theirs = COSE.new().encode_and_mac(payload, second_key, protected={1: 5}, unprotected={4: kid}, external_aad=aad)
    found_kid, found, tag = cose.unseal(theirs[1:])
    cose.check(found, tag, aad, mac)
    assert (found_kid, found) == (kid, payload)


@given(st.one_of(st.binary(max_size=80), st.lists(st.one_of(st.binary(max_size=40), st.none(), st.dictionaries(
    st.integers(0, 5), st.binary(max_size=4), max_size=2)), max_size=5).map(cbor2.dumps)))
def test_arbitrary_envelopes_open_or_are_refused(blob):
    try:
        kid, payload, tag = cose.unseal(blob)
    except cbor.BadCbor:
        return
    assert isinstance(kid, bytes) and isinstance(payload, bytes) and len(tag) == 32


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_same_is_equality(left, right):
    assert cose.same(left, right) == (left == right)
    assert cose.same(left, left)
