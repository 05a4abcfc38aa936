"""Days and hours that a discount asks for. Local time is UTC+8; nothing here has a clock."""

from tunion import bcd
from tunion.compat import const

WORKDAY, WEEKEND, HOLIDAY = const(0), const(1), const(2)  # day types

_DAY_S = const(86400)
_LOCAL_S = const(28800)


def day_type(at_s: int, days: "dict[int, int]") -> int:
    """WORKDAY, WEEKEND or HOLIDAY of `at_s` seconds since 1970-01-01 UTC.

    days  YYYYMMDD -> day type, for days that are not what the week says
    """
    if days:
        named = days.get(bcd.to_int(bcd.stamp(at_s)[:4]))
        if named is not None:
            return named
    return WEEKEND if ((at_s + _LOCAL_S) // _DAY_S + 3) % 7 >= 5 else WORKDAY  # 1970-01-01 was a Thursday, day 3


def minute(at_s: int) -> int:
    """Minute of the local day, 0 to 1439."""
    return (at_s + _LOCAL_S) % _DAY_S // 60


def month(at_s: int) -> int:
    """YYYYMM, local."""
    return bcd.to_int(bcd.stamp(at_s)[:3])
