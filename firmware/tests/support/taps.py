"""Taps as the tap path claims them, for tests that are not about cards. The card numbers are invented."""

from tunion.bcd import from_digits
from tunion.wire.tap import FLAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def fields(
    number: int = 0, amount_fen: int = 200, counter: int = 18, terminal_seq: int = 100
) -> "dict[str, Any]":
    """The fields of Journal.claim for invented card `number`."""
    return dict(
        at_s=1748740200,
        clk_q=3,
        type=6,
        industry=2,
        card=from_digits("0310499900%010d" % number),
        issuer=b"\x04\x02\x61\x10\xff\xff\xff\xff",
        city=b"\x61\x10",
        card_kind=1,
        counter=counter,
        balance_fen=5000,
        limit_fen=0,
        amount_fen=amount_fen,
        list_fen=amount_fen,
        discount_fen=0,
        terminal=b"\x61\x10\x00\x00\x00\x42",
        terminal_seq=terminal_seq,
        key_index=1,
        key_version=1,
        algorithm=0,
        fare_id=1,
        fare_version=1,
        line=11,
        stop_in=0,
        stop_out=0,
        driver=7,
        vehicle=9,
        **FLAT,
    )
