"""What a card of our own city keeps for transfers and monthly tiers: 26 bytes of its open-ride record.

They fit the free ends of both records: bytes 99 to 124 of 2701, bytes 102 to 127 of 2702. A city chooses one of the
two. A layout of our own choice; cities' layouts differ, and another city's bytes are left as they are.
"""

from tunion.crc import crc32
from tunion.fare.month import Month
from tunion.fare.transfer import Chain
from tunion.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes

KEPT = Record(
    "Kept",
    26,
    (
        ("layout", "B"),  # 1
        ("month", "T"),  # YYYYMM, 0: never counted
        ("rides", "H"),
        ("spent_fen", "T"),
        ("mode", "B"),  # of the chain's newest ride, 0: no chain
        ("line", "H"),
        ("direction", "B"),
        ("transfers", "B"),
        ("first_s", "I"),
        ("last_s", "I"),
        ("crc", "I"),  # CRC-32 of the 22 bytes before
    ),
)


def pack(month: "Month | None", chain: "Chain | None") -> bytes:
    """The 26 bytes."""
    counted = month or Month(0, 0, 0)
    rides = chain or Chain(0, 0, 0, 0, 0, 0)
    fields = {
        "layout": 1, "month": counted.month, "rides": counted.rides, "spent_fen": counted.spent_fen,
        "mode": rides.mode, "line": rides.line, "direction": rides.direction, "transfers": rides.transfers,
        "first_s": rides.first_s, "last_s": rides.last_s,
    }
    return KEPT.pack(crc=crc32(KEPT.pack(crc=0, **fields)[:22]), **fields)


def unpack(raw: "Bytes") -> "tuple[Month | None, Chain | None]":
    """(month, chain), None for what is not there: blank, torn or foreign bytes give no discount and no error."""
    raw = bytes(raw)
    if len(raw) != KEPT.size:
        return None, None
    found = KEPT.unpack(raw)
    if found.layout != 1 or found.crc != crc32(raw[:22]):
        return None, None
    month = Month(found.month, found.rides, found.spent_fen) if found.month else None
    if not found.mode:
        return month, None
    chain = Chain(found.mode, found.line, found.direction, found.first_s, found.last_s, found.transfers)
    return month, chain
