"""BCD and calendar against Python's datetime, and arbitrary bytes as dates."""

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from tunion import bcd
from tunion.record import BadInput

CST = timezone(timedelta(hours=8))

digit_bytes = st.integers(0, 99).map(lambda number: number // 10 * 16 + number % 10)


@given(st.integers(0, 0xFFFFFFFF))
def test_stamps_agree_with_datetime(at_s):
    digits = datetime.fromtimestamp(at_s, CST).strftime("%Y%m%d%H%M%S")
    assert bcd.stamp(at_s) == bcd.from_digits(digits)
    assert bcd.at_s(bcd.stamp(at_s)) == at_s


@given(st.one_of(st.binary(max_size=9), st.lists(digit_bytes, min_size=7, max_size=7).map(bytes)))
def test_a_stamp_is_a_time_exactly_where_datetime_says_so(raw):
    try:
        known = datetime.strptime(raw.hex(), "%Y%m%d%H%M%S").replace(tzinfo=CST) if len(raw) == 7 else None
    except ValueError:
        known = None
    try:
        found = bcd.at_s(raw)
    except BadInput:
        found = None
    leap_second = raw[6:] in (b"\x60", b"\x61")  # strptime takes 60 and 61, the card does not
    # Year 0 is in the card's digits and not in datetime.
    if not leap_second and raw[:2] != b"\x00\x00":
        assert found == (None if known is None else int(known.timestamp()))
        assert bcd.is_date(raw[:4]) or found is None


@given(st.binary(max_size=12))
def test_digits_round_trip_or_are_refused(raw):
    good = all(half in "0123456789" for half in raw.hex())
    assert bcd.is_bcd(raw) == good
    try:
        digits = bcd.to_digits(raw)
    except BadInput:
        assert not good
    else:
        assert good and digits == raw.hex()
        assert bcd.from_digits(digits) == raw
        assert bcd.to_int(raw) == int(digits or "0")


@given(st.text(max_size=8))
def test_texts_are_digits_or_are_refused(text):
    try:
        assert bcd.to_digits(bcd.from_digits(text)) == text
    except BadInput:
        assert len(text) % 2 or not (text.isascii() and text.isdigit())
