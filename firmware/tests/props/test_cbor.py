"""The CBOR subset against cbor2, and as a bijection: whatever opens, encodes to the very same bytes."""

import cbor2
from hypothesis import example, given
from hypothesis import strategies as st

from tunion import cbor

integers = st.integers(-(1 << 64), (1 << 64) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
keys = st.one_of(integers, st.binary(max_size=6), texts)
leaves = st.one_of(integers, st.integers(0, 30), st.binary(max_size=300), texts, st.booleans(), st.none())
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(keys, inner, max_size=5)),
    max_leaves=12,
)


def in_order(value):
    """The same value with its maps in the order of RFC 8949 4.2.1; cbor2's canonical mode sorts as RFC 7049 did."""
    if isinstance(value, list):
        return [in_order(item) for item in value]
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value, key=cbor2.dumps)}
    return value


def depth(value):
    if isinstance(value, list):
        return 1 + max((depth(item) for item in value), default=0)
    if isinstance(value, dict):
        return 1 + max((depth(item) for item in value.values()), default=0)
    return 0


def opened(blob):
    """What `blob` holds, as a tuple of one; None where it is refused. Any other exception is a fault."""
    try:
        return (cbor.decode(blob),)
    except cbor.BadCbor:
        return None


@given(values.filter(lambda value: depth(value) <= cbor.DEPTH_MAX))
def test_both_encode_to_the_same_bytes_and_read_each_other(value):
    blob = cbor.encode(value)
    assert blob == cbor2.dumps(in_order(value))
    assert cbor2.loads(blob) == value
    assert cbor.decode(blob) == value


@given(st.binary(max_size=60))
@example(bytes(10))
@example(b"\x9f\xff")
@example(b"\xbb" + b"\xff" * 8)
def test_arbitrary_bytes_are_refused_or_have_that_one_encoding(blob):
    found = opened(blob)
    if found is not None:
        assert cbor.encode(found[0]) == blob
        assert cbor2.loads(blob) == found[0]


@given(values, st.data())
def test_a_message_changed_at_one_place_is_refused_or_is_another_message(value, data):
    blob = bytearray(cbor2.dumps(in_order(value)))
    at = data.draw(st.integers(0, len(blob) - 1))
    blob[at] ^= data.draw(st.integers(1, 255))
    found = opened(bytes(blob))
    if found is not None:
        assert cbor.encode(found[0]) == blob
        assert repr(found[0]) != repr(in_order(value))


@given(st.binary(max_size=8), st.integers(0, 4))
def test_texts_are_utf8_exactly_where_cpython_says_so(raw, valid):
    raw = "汉字é\U00010151"[:valid].encode() + raw
    blob = cbor2.dumps(raw)
    blob = bytes([blob[0] | 0x20]) + blob[1:]  # a byte string's head turned into a text's
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        assert opened(blob) is None
    else:
        assert opened(blob) == (text,)
