"""The answer to reset of a card with contacts: which protocols, speeds and times it offers. Source: ISO/IEC 7816-3.

    TS T0 [TA1 TB1 TC1 TD1] [TA2 TB2 TC2 TD2] ... historical bytes [TCK]

T0 and each TD say in their high nibble which of the next TA to TD follow; T0 counts the historical bytes; a TD names a
protocol. TCK makes the XOR of all behind TS zero; it is there as soon as another protocol than T=0 is named.
"""

from collections import namedtuple

from tunion.compat import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes

ATR_BYTES_MAX = const(33)  # TS and 32 more
GUARD_MIN = const(255)  # TC1: for T=0 no extra guard time at all

_DIRECT = const(0x3B)
_INVERSE = (0x3F, 0x03)  # as it is meant, and as a line in the direct convention reads it
_FI = (372, 372, 558, 744, 1116, 1488, 1860, 0, 0, 512, 768, 1024, 1536, 2048, 0, 0)  # clock cycles; 0: reserved
_DI = (0, 1, 2, 4, 8, 16, 32, 64, 12, 20, 0, 0, 0, 0, 0, 0)

# protocols   those offered, in order; (0,) where none is named
# specific    TA2, or -1: the card may be asked for another speed (PPS)
# ta1         speed code, 11h where none is given; fi, di: what it stands for, 0 where it is reserved
# guard       TC1: extra etu between two bytes to the card; GUARD_MIN is none
# wi          TC2: how long a T=0 card may think, in 960 x fi cycles
Atr = namedtuple("Atr", ("protocols", "specific", "ta1", "fi", "di", "guard", "wi", "historical"))


class BadAtr(Exception):
    """No answer to reset, by whatever came. Reset again, at another speed; else the card is broken."""


def size(raw: "Bytes") -> int:
    """Bytes of the whole answer, as far as the first ones tell: read until this grows no more. Raises BadAtr."""
    count = len(raw)
    if count and raw[0] != _DIRECT:
        if raw[0] in _INVERSE:
            raise BadAtr("it speaks the inverse convention, which this line does not")
        raise BadAtr("it begins with %02X: wrong speed?" % raw[0])
    if count < 2:
        return 2
    total = 2
    follow = raw[1]
    check = 0
    while True:
        total += _ones(follow >> 4)
        if not follow & 0x80:
            break
        if total > count:
            return total
        follow = raw[total - 1]
        if follow & 0x0F:
            check = 1
        if total > ATR_BYTES_MAX:
            break
    total += (raw[1] & 0x0F) + check
    if total > ATR_BYTES_MAX:
        raise BadAtr("it is longer than any answer to reset")
    return total


def parse(raw: "Bytes") -> Atr:
    """A whole answer in words. Raises BadAtr."""
    if len(raw) < 2 or size(raw) != len(raw):
        raise BadAtr("it broke off")
    protocols: list[int] = []
    ta1, specific, guard, wi = 0x11, -1, 0, 10
    at, group, follow = 2, 1, raw[1]
    while True:
        if follow & 0x10:
            if group == 1:
                ta1 = raw[at]
            elif group == 2:
                specific = raw[at]
            at += 1
        if follow & 0x20:  # TB: programming voltage, of no use since 1997
            at += 1
        if follow & 0x40:
            if group == 1:
                guard = raw[at]
            elif group == 2 and 0 in (protocols or (0,)):
                wi = raw[at]
            at += 1
        if not follow & 0x80:
            break
        follow = raw[at]
        if follow & 0x0F not in protocols:
            protocols.append(follow & 0x0F)
        at += 1
        group += 1
    historical = bytes(raw[at : at + (raw[1] & 0x0F)])
    if at + len(historical) < len(raw):
        check = 0
        for byte in raw[1:]:
            check ^= byte
        if check:
            raise BadAtr("its check byte is wrong")
    if not wi:
        raise BadAtr("its waiting time is reserved")
    return Atr(tuple(protocols) or (0,), specific, ta1, _FI[ta1 >> 4], _DI[ta1 & 0x0F], guard, wi, historical)


def _ones(nibble: int) -> int:
    return (nibble & 1) + (nibble >> 1 & 1) + (nibble >> 2 & 1) + (nibble >> 3 & 1)
