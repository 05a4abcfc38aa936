"""Clearing days: a record belongs to the day on which it was accepted, and the day ends at the cut-off."""

from tunion import bcd

CUT_OFF_S = 23 * 3600  # local; records accepted later belong to the next day

_DAY_S = 86400


def clearing_day(received_at_s: int) -> str:
    """'YYYY-MM-DD' of a time of acceptance, China Standard Time."""
    digits = bcd.to_digits(bcd.stamp(received_at_s + _DAY_S - CUT_OFF_S)[:4])
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def local(at_s: int) -> str:
    """'YYYY-MM-DD hh:mm:ss', China Standard Time."""
    digits = bcd.to_digits(bcd.stamp(at_s))
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]} {digits[8:10]}:{digits[10:12]}:{digits[12:]}"


def is_day(text: str) -> bool:
    """'2025-06-01' is one, '2025-6-1' and '2025-02-30' are none."""
    digits = text.replace("-", "")
    return (
        len(digits) == 8
        and digits.isascii()
        and digits.isdigit()
        and text == f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
        and bcd.is_date(bytes.fromhex(digits))
    )


def midnight_s(day: str) -> int:
    """UTC seconds at which a local day begins."""
    return bcd.at_s(bytes.fromhex(day.replace("-", "")) + b"\x00\x00\x00")
