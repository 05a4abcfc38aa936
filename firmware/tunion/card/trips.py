"""What a ride leaves on the card: the open-ride records of file 1Ah and the trip history, file 1Eh. JT/T 978.2.

Written inside a compound purchase, so money and records change together or not at all. Where a city puts line and
station is data: a coding of letters, one for each byte.

    C   the city, two bytes BCD         L   digits of the line, BCD, the last ones in the last byte
    S   digits of the station or stop   0   zero
"""

from tunion import bcd
from tunion.compat import const
from tunion.record import BadInput, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes

RAIL, BUS = const(1), const(2)  # record 27tt, by number and by P1 of its update
COMPOUND_P2 = const(0xD0)  # of UPDATE CAPP DATA CACHE; by identifier
COMPOUND_READ_P2 = const(0xD4)  # of READ RECORD, by number
HISTORY_P2 = const(0xF0)
RECORD_BYTES = const(128)
LOCAL_AT = (0, 99, 102)  # of a record, by its number: where a city's own bytes begin

_HEAD = (
    ("id", "2s"),  # 2701, 2702
    ("length", "B"),  # of what follows
    ("valid", "B"),
    ("flag", "B"),
    ("lock", "B"),
    ("number", "8s"),  # BCD, of this application's transactions
    ("state", "B"),
)

RAIL_TRIP = Record(
    "RailTrip",
    RECORD_BYTES,
    _HEAD
    + (
        ("in_city", "2s"),
        ("out_city", "2s"),
        ("in_network", "8s"),  # acquirer institution
        ("out_network", "8s"),
        ("in_station", "8s"),
        ("out_station", "8s"),
        ("in_terminal", "8s"),
        ("out_terminal", "8s"),
        ("in_at", "7s"),
        ("out_at", "7s"),
        ("most_fen", "I"),  # the dearest ride of the network
        ("in_line", "B"),
        ("out_line", "B"),
        ("in_fen", "I"),
        ("in_balance_fen", "I"),
        ("out_fen", "I"),
        ("local", "29s"),
    ),
)

BUS_RIDE = Record(
    "BusRide",
    RECORD_BYTES,
    _HEAD
    + (
        ("in_city", "2s"),
        ("in_network", "8s"),
        ("in_operator", "2s"),
        ("in_line", "H"),
        ("in_stop", "B"),
        ("in_vehicle", "8s"),
        ("in_terminal", "8s"),
        ("in_at", "7s"),
        ("most_fen", "I"),  # what the ride may come to
        ("direction", "B"),
        ("out_city", "2s"),
        ("out_network", "8s"),
        ("out_operator", "2s"),
        ("out_line", "H"),
        ("out_stop", "B"),
        ("out_vehicle", "8s"),
        ("out_terminal", "8s"),
        ("out_at", "7s"),
        ("out_fen", "I"),
        ("distance", "H"),
        ("local", "26s"),
    ),
)

HISTORY = Record(
    "History",
    48,
    (
        ("event", "B"),
        ("terminal", "8s"),
        ("industry", "B"),
        ("place", "4s"),  # line and station or stop, as the city codes them
        ("operator", "2s"),
        ("reserved", "B"),
        ("amount_fen", "I"),
        ("balance_fen", "i"),  # after; the overdraft limit taken off
        ("at", "7s"),
        ("city", "2s"),
        ("network", "8s"),
        ("most_fen", "I"),  # boarding: what the ride may come to; a city's own use
        ("most_min", "H"),
    ),
)

_LAYOUTS = (None, RAIL_TRIP, BUS_RIDE)
_LENGTH = const(125)


def is_written(raw: "Bytes", number: int) -> bool:
    """Record `number` of file 1Ah holds a ride. What is blank, short or of another kind does not."""
    return len(raw) == RECORD_BYTES and bytes(raw[:3]) == bytes((0x27, number, _LENGTH))


def changed(raw: "Bytes", number: int, **fields: "int | bytes") -> bytes:
    """The record as it stands with these fields changed, its running number one higher.

    raw  as read; anything that `is_written` does not know counts as blank
    """
    layout = _LAYOUTS[number]
    assert layout is not None
    row = layout.unpack(raw if is_written(raw, number) else bytes(RECORD_BYTES))
    values: dict[str, Any] = dict(zip(layout.names, row))
    try:
        count = bcd.to_int(values["number"])
    except BadInput:
        count = 0
    values.update(id=bytes((0x27, number)), length=_LENGTH, valid=1, flag=1)
    values["number"] = bcd.from_int(count + 1, 8)
    values.update(fields)
    return layout.pack(**values)


def place(coding: str, city: bytes, line: int, station: int) -> bytes:
    """The bytes of a place. Digits that a coding has no room for are left off at the front.

    A coding whose station is a number of its own on each line takes the station's higher digits as the line.
    """
    out = bytearray(len(coding))
    city_at = len(city)
    for at in range(len(coding) - 1, -1, -1):
        letter = coding[at]
        if letter == "S":
            out[at] = bcd.pair(station % 100)
            station //= 100
        elif letter == "L":
            out[at] = bcd.pair(line % 100)
            line //= 100
        elif letter == "C":
            city_at -= 1
            out[at] = city[city_at]
    return bytes(out)


def check_coding(coding: str, size: int) -> str:
    """A coding for `size` bytes. Raises BadInput."""
    if len(coding) != size or any(letter not in "CLS0" for letter in coding) or coding.count("C") not in (0, 2):
        raise BadInput("a coding has %d letters of C (none or two), L, S and 0" % size)
    return coding


def read_place(coding: str, raw: "Bytes") -> "tuple[int, int]":
    """(line, station); 0 for what is not coded. Raises BadInput where a half byte is no digit."""
    line = station = 0
    for at in range(len(coding)):
        if coding[at] == "S":
            station = 100 * station + bcd.number(raw[at])
        elif coding[at] == "L":
            line = 100 * line + bcd.number(raw[at])
    return line, station
