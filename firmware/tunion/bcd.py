"""Packed decimal digits, and the card's dates and times, which are China Standard Time in BCD.

China Standard Time is UTC+8 without daylight saving, so no time zone data is needed, and no clock: callers
hand in seconds since 1970-01-01 UTC.
"""

from tunion.compat import const
from tunion.record import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes

_CST_OFFSET_S = const(8 * 3600)
_DAY_S = const(86400)


def from_digits(digits: str) -> bytes:
    """"1234" is 12 34. An odd count or a stranger raises BadInput."""
    # Not isdigit: CPython's knows the digits of every script, MicroPython's only these ten.
    if len(digits) % 2 or not all("0" <= digit <= "9" for digit in digits):
        raise BadInput("BCD takes an even number of digits")
    return bytes(16 * (ord(digits[i]) - 48) + ord(digits[i + 1]) - 48 for i in range(0, len(digits), 2))


def is_bcd(raw: "Bytes") -> bool:
    """Every half byte is a digit."""
    for byte in raw:
        if byte >> 4 > 9 or byte & 15 > 9:
            return False
    return True


def to_digits(raw: "Bytes") -> str:
    """12 34 is "1234"; raises BadInput where a half byte is no digit."""
    if not is_bcd(raw):
        raise BadInput("not BCD")
    return "".join("%02x" % byte for byte in raw)


def to_int(raw: "Bytes") -> int:
    """12 34 is 1234, no bytes are 0; raises BadInput where a half byte is no digit."""
    return int("0" + to_digits(raw))


def stamp(at_s: int) -> bytes:
    """7 bytes BCD YYYYMMDDhhmmss, China Standard Time, of `at_s` seconds since 1970-01-01 UTC."""
    local_s = at_s + _CST_OFFSET_S
    year, month, day = _civil(local_s // _DAY_S)
    rest = local_s % _DAY_S
    return from_digits("%04d%02d%02d%02d%02d%02d" % (year, month, day, rest // 3600, rest // 60 % 60, rest % 60))


def at_s(stamp7: "Bytes") -> int:
    """Seconds since 1970-01-01 UTC of a 7-byte BCD stamp; raises BadInput for an impossible one."""
    digits = to_digits(stamp7)
    if len(digits) != 14:
        raise BadInput("a stamp is 7 bytes BCD")
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    hour, minute, second = int(digits[8:10]), int(digits[10:12]), int(digits[12:14])
    days = _days(year, month, day)
    if not 1 <= month <= 12 or _civil(days) != (year, month, day) or hour > 23 or minute > 59 or second > 59:
        raise BadInput("no such date or time")
    return days * _DAY_S + hour * 3600 + minute * 60 + second - _CST_OFFSET_S


def is_date(date4: "Bytes") -> bool:
    """4 bytes BCD YYYYMMDD that name a day of the calendar. All 00 and all FF do not."""
    try:
        at_s(bytes(date4) + b"\x00\x00\x00")
    except BadInput:
        return False
    return True


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of the proleptic Gregorian calendar. The year begins in March: leap days come last."""
    if month < 3:
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day - 719469


def _civil(days: int) -> "tuple[int, int, int]":
    """(year, month, day) of a day number; the inverse of _days."""
    days += 719468
    era, of_era = days // 146097, days % 146097
    year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * of_year + 2) // 153
    day = of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return year_of_era + 400 * era + (1 if month < 3 else 0), month, day
