"""Journal entries and sync messages: round trips of whatever is well-formed, BadInput for whatever is not."""

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from tunion import cbor
from tunion.record import BadInput
from tunion.wire import sync, tap

u8, u16, u24, u32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 24, 32))
seqs = st.integers(1, 0xFFFFFFFF)
json_like = st.recursive(
    st.one_of(st.integers(-5, 1 << 33), st.binary(max_size=5), st.text(max_size=5), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=5,
)


def digits(size):
    half = st.integers(0, 99).map(lambda number: number // 10 * 16 + number % 10)
    return st.lists(half, min_size=size, max_size=size).map(bytes)


@st.composite
def outcomes(draw):
    code = draw(st.sampled_from((tap.SETTLED, tap.PROVED, tap.VOID, tap.DISPUTED, tap.GREY)))
    tac = bytes(4) if code in (tap.VOID, tap.GREY) else draw(st.binary(min_size=4, max_size=4))
    return tap.OUTCOME_V1.pack(code=code, mac2=draw(st.integers(0, 2)), sw=draw(u16), tac=tac)


@st.composite
def taps(draw):
    amount_fen = draw(st.integers(1, 0xFFFF))
    discount_fen = draw(st.integers(0, 0xFFFF))
    owed_fen = draw(st.integers(0, amount_fen))
    return tap.TAP_V1.pack(
        kind=tap.TAP, version=1, seq=draw(seqs), at_s=draw(u32), clk_q=draw(st.integers(0, 3)),
        type=draw(st.sampled_from((6, 9))), industry=draw(u8), card=draw(digits(10)),
        issuer=draw(digits(4)) + draw(st.binary(min_size=4, max_size=4)), city=draw(digits(2)), card_kind=draw(u8),
        counter=draw(u16), balance_fen=draw(st.integers(amount_fen, 0x7FFFFFFF)), limit_fen=draw(u24),
        amount_fen=amount_fen, list_fen=amount_fen + discount_fen - owed_fen, discount_fen=discount_fen,
        terminal=draw(digits(6)), terminal_seq=draw(u32), key_index=draw(u8), key_version=draw(u8),
        algorithm=draw(u8), fare_id=draw(u16), fare_version=draw(u16),
        line=draw(u16), stop_in=draw(u16), stop_out=draw(u16), driver=draw(u32),
        vehicle=draw(u32), event=draw(st.sampled_from((0, 3, 4, 6, 8))), fare_case=draw(u8), layer=draw(u8),
        riders=draw(st.integers(0, 20)), modes=draw(u8), granted=draw(u8), owed_fen=owed_fen, ride_s=draw(u24),
    ), draw(outcomes())


@st.composite
def events(draw):
    return tap.EVENT_V1.pack(
        kind=tap.EVENT, version=1, seq=draw(seqs), at_s=draw(u32), clk_q=draw(st.integers(0, 3)), code=draw(u8),
        reason=draw(u8), card=draw(st.binary(min_size=10, max_size=10)),
        value=draw(st.integers(-0x80000000, 0x7FFFFFFF)), reserved=bytes(69),
    ), b""


@st.composite
def amends(draw):
    of_seq = draw(st.integers(1, 0xFFFFFFFE))
    return tap.AMEND_V1.pack(
        kind=tap.AMEND, version=1, seq=draw(st.integers(of_seq + 1, 0xFFFFFFFF)), at_s=draw(u32),
        clk_q=draw(st.integers(0, 3)), of_seq=of_seq, outcome=draw(outcomes()), reserved=bytes(73),
    ), b""


entries = st.one_of(taps(), events(), amends())
LAYOUTS = {tap.TAP: tap.TAP_V1, tap.EVENT: tap.EVENT_V1, tap.AMEND: tap.AMEND_V1}


def again(body, outcome):
    """The wire bytes of what from_wire returned."""
    packed = LAYOUTS[body.kind].pack(**body._asdict())
    return tap.to_wire(packed, tap.OUTCOME_V1.pack(**outcome._asdict()) if body.kind == tap.TAP else b"")


@given(entries)
def test_an_entry_comes_back_as_it_went(entry):
    body, outcome = entry
    wire = tap.to_wire(body, outcome)
    assert wire == (body + outcome).rstrip(b"\x00")
    assert again(*tap.from_wire(wire)) == wire
    assert LAYOUTS[body[0]].pack(**tap.from_wire(wire)[0]._asdict()) == body


@given(st.one_of(st.binary(max_size=110), st.binary(max_size=104).map(lambda raw: b"\x01\x01" + raw)))
def test_arbitrary_bytes_are_an_entry_or_refused(raw):
    try:
        body, outcome = tap.from_wire(raw)
    except BadInput:
        return
    assert again(body, outcome) == raw


@given(entries, st.data())
def test_a_changed_entry_is_another_entry_or_refused(entry, data):
    raw = bytearray(tap.to_wire(*entry))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        body, outcome = tap.from_wire(raw)
    except BadInput:
        return
    assert again(body, outcome) == raw


@given(st.one_of(st.binary(max_size=60), st.lists(json_like, max_size=13).map(cbor2.dumps),
                 st.lists(json_like, min_size=5, max_size=11).map(lambda fields: cbor2.dumps([1] + fields))))
def test_arbitrary_payloads_are_a_message_or_refused(payload):
    for opener in (sync.open_upload, sync.open_answer):
        try:
            message = opener(payload)
        except BadInput:
            continue
        assert sync.encode(message) == payload


@given(st.lists(u32, min_size=6, max_size=6), st.dictionaries(st.text(st.characters(codec="ascii"), max_size=4), u32),
       st.lists(st.binary(max_size=104), max_size=32), st.lists(st.binary(max_size=96), max_size=32))
def test_an_upload_comes_back_as_it_went(numbers, versions, records, events):
    upload = sync.Upload(sync.PROTO, *numbers, versions, records, events, {})
    assert sync.open_upload(sync.encode(upload)) == upload


@given(st.lists(st.one_of(st.integers(0, 40), u32), max_size=60))
def test_ranges_hold_exactly_the_numbers_given(seqs):
    ranges = sync.ranges(seqs)
    held = [seq for first, last in ranges for seq in range(first, last + 1)]
    assert held == sorted(set(seqs))
    assert all(left[1] + 1 < right[0] for left, right in zip(ranges, ranges[1:]))
    assert cbor.decode(cbor.encode(ranges)) == ranges
