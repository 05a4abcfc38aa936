"""Records of random layouts: what goes in comes out, what does not fit is refused, and struct agrees."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from tunion.record import BadInput, Record

RANGES = {"B": (0, 8), "H": (0, 16), "T": (0, 24), "I": (0, 32), "Q": (0, 64), "i": (-1, 31)}  # sign, bits

codes = st.one_of(st.sampled_from(sorted(RANGES)), st.integers(1, 20).map(lambda size: "%ds" % size))


def width(code):
    return int(code[:-1]) if code.endswith("s") else {"B": 1, "H": 2, "T": 3, "I": 4, "Q": 8, "i": 4}[code]


def fitting(code):
    if code.endswith("s"):
        return st.binary(min_size=width(code), max_size=width(code))
    sign, bits = RANGES[code]
    return st.integers(sign << bits, (1 << bits) - 1)


@st.composite
def layouts(draw):
    rows = tuple(("f%d" % i, code) for i, code in enumerate(draw(st.lists(codes, min_size=1, max_size=8))))
    return Record("Random", sum(width(code) for _, code in rows), rows), rows


@given(layouts(), st.data())
def test_round_trip_and_agreement_with_struct(layout, data):
    record, rows = layout
    values = {field: data.draw(fitting(code)) for field, code in rows}
    blob = record.pack(**values)
    assert len(blob) == record.size
    assert record.unpack_whole(blob)._asdict() == values
    if all(code != "T" for _, code in rows):
        assert blob == struct.pack(">" + "".join(code for _, code in rows), *values.values())


@given(layouts(), st.data())
def test_whatever_unpacks_packs_to_the_same_bytes(layout, data):
    record, _ = layout
    blob = data.draw(st.binary(min_size=record.size, max_size=record.size))
    assert record.pack(**record.unpack(blob)._asdict()) == blob


@given(layouts(), st.data())
def test_one_value_that_does_not_fit_is_refused_by_name(layout, data):
    record, rows = layout
    values = {field: data.draw(fitting(code)) for field, code in rows}
    field, code = data.draw(st.sampled_from(rows))
    if code.endswith("s"):
        values[field] = data.draw(st.binary(max_size=30).filter(lambda raw: len(raw) != width(code)))
    else:
        sign, bits = RANGES[code]
        below, above = st.integers(max_value=(sign << bits) - 1), st.integers(min_value=1 << bits)
        values[field] = data.draw(st.one_of(below, above))
    try:
        record.pack(**values)
    except BadInput as refused:
        assert "Random." + field in str(refused)
    else:
        raise AssertionError("packed what does not fit")
