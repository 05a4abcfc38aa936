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
    for digit in digits:
        if not "0" <= digit <= "9":
            raise BadInput("BCD takes digits")
    if len(digits) % 2:
        raise BadInput("BCD takes an even number of digits")
    return bytes.fromhex(digits)


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
    return bytes(raw).hex() if raw else ""  # MicroPython has b"" for nothing


def pair(number: int) -> int:
    """0 to 99 as two digits in a byte."""
    return number + 6 * (number // 10)


def number(byte: int) -> int:
    """Two digits of a byte, 0 to 99; raises BadInput where a half byte is no digit."""
    if byte > 0x99 or byte & 15 > 9:
        raise BadInput("not BCD")
    return byte - 6 * (byte >> 4)


def to_int(raw: "Bytes") -> int:
    """12 34 is 1234, no bytes are 0; raises BadInput where a half byte is no digit."""
    found = 0
    for byte in raw:
        found = 100 * found + number(byte)
    return found


def from_int(number: int, size: int) -> bytes:
    """1234 in 3 bytes is 00 12 34. Digits that do not fit are left off at the front."""
    out = bytearray(size)
    for at in range(size - 1, -1, -1):
        out[at] = pair(number % 100)
        number //= 100
    return bytes(out)


def stamp(at_s: int) -> bytes:
    """7 bytes BCD YYYYMMDDhhmmss, China Standard Time, of `at_s` seconds since 1970-01-01 UTC.

    From 1970 to 9999; another year has no such form.
    """
    local_s = at_s + _CST_OFFSET_S
    year, month, day = _civil(local_s // _DAY_S)
    rest = local_s % _DAY_S
    hour, minute = rest // 3600, rest // 60 % 60
    return bytes(
        (pair(year // 100), pair(year % 100), pair(month), pair(day), pair(hour), pair(minute), pair(rest % 60))
    )


def at_s(stamp7: "Bytes") -> int:
    """Seconds since 1970-01-01 UTC of a 7-byte BCD stamp; raises BadInput for an impossible one."""
    if len(stamp7) != 7:
        raise BadInput("a stamp is 7 bytes BCD")
    year = 100 * number(stamp7[0]) + number(stamp7[1])
    month, day = number(stamp7[2]), number(stamp7[3])
    hour, minute, second = number(stamp7[4]), number(stamp7[5]), number(stamp7[6])
    if not _is_day(year, month, day) or hour > 23 or minute > 59 or second > 59:
        raise BadInput("no such date or time")
    return _days(year, month, day) * _DAY_S + hour * 3600 + minute * 60 + second - _CST_OFFSET_S


def is_date(date4: "Bytes") -> bool:
    """4 bytes BCD YYYYMMDD that name a day of the calendar. All 00 and all FF do not."""
    if len(date4) != 4 or not is_bcd(date4):
        return False
    return _is_day(100 * number(date4[0]) + number(date4[1]), number(date4[2]), number(date4[3]))


def _is_day(year: int, month: int, day: int) -> bool:
    """Of the proleptic Gregorian calendar."""
    if not 1 <= month <= 12 or day < 1:
        return False
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return day <= (29 if leap else 28)
    return day <= (30 if month in (4, 6, 9, 11) else 31)


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
