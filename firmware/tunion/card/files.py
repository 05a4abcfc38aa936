"""The card's readable files: who issued it, what kind it is, what it did last. JT/T 978.2."""

from tunion.card.apdu import Command
from tunion.card.refusals import Blocked, NotOurCard
from tunion.record import BadInput, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes

EPURSE_AID = b"\xa0\x00\x00\x06\x32\x01\x01\x05"
PPSE_NAME = b"2PAY.SYS.DDF01"

PUBLIC_SFI = 0x15
HOLDER_SFI = 0x16
MANAGEMENT_SFI = 0x17
LOG_SFI = 0x18

# File 15h. `issuer` is issuer code, city code and FFFFFFFF: whitelist key and first diversification factor.
PUBLIC = Record(
    "PublicFile",
    30,
    (
        ("issuer", "8s"),
        ("application", "B"),  # 02: e-purse only
        ("enabled", "B"),  # 01
        ("serial", "10s"),  # 0 and the 19 digits of the card number
        ("start", "4s"),  # BCD, inclusive
        ("expiry", "4s"),  # BCD, inclusive
        ("own", "2s"),
    ),
)

# File 17h, the part that is assigned; 49 reserved bytes follow.
MANAGEMENT = Record(
    "ManagementFile",
    11,
    (
        ("country", "4s"),
        ("province", "2s"),
        ("city", "2s"),
        ("interoperable", "2s"),  # 0001: accepted away from home
        ("kind", "B"),
    ),
)
MANAGEMENT_BYTES = 60
HOLDER_BYTES = 55

# File 18h: ten of these, written by the card for each completed purchase or load.
LOG_ENTRY = Record(
    "LogEntry",
    23,
    (
        ("counter", "H"),  # before the increment
        ("limit_fen", "T"),
        ("amount_fen", "I"),
        ("type", "B"),
        ("terminal", "6s"),
        ("at", "7s"),
    ),
)

ORDINARY = 1  # card kinds, file 17h offset 10
STUDENT = 2
SENIOR = 3
TEST = 4
MILITARY = 5

_SELECT_REFUSALS: "dict[int, Any]" = {
    0x6A82: NotOurCard,
    0x6A81: Blocked,
    0x6283: Blocked,
    0x6284: Blocked,
    0x9303: Blocked,
}
SELECT = Command("SELECT", head=b"\x00\xa4\x04\x00", le=0, refusals=_SELECT_REFUSALS)
SELECT_FILE = Command("SELECT FILE", head=b"\x00\xa4\x00\x00", le=0, refusals=_SELECT_REFUSALS)
READ_BINARY = Command("READ BINARY", head=b"\x00\xb0\x00\x00", le=0, refusals={0x6A81: Blocked})
READ_RECORD = Command("READ RECORD", head=b"\x00\xb2\x00\x00", le=0, refusals={0x6A81: Blocked})


def public_file(fci: "Bytes") -> "Any":
    """File 15h as PUBLIC from the answer to SELECT, tag 9F0C; None where the card left it out.

    Raises BadInput where the answer is no TLV.
    """
    found = tlv_find(fci, (0x6F, 0xA5, 0x9F0C))
    if found is None or len(found) < PUBLIC.size:
        return None
    return PUBLIC.unpack(found)


def tlv_find(blob: "Bytes", path: "tuple[int, ...]") -> "bytes | None":
    """The value below a path of tags, or None. Bytes that are no TLV (cards pad with 00) are stepped over.

    Raises BadInput for a length that runs past the end.
    """
    value = bytes(blob)
    for wanted in path:
        at = 0
        found = None
        while at < len(value) and found is None:
            tag = value[at]
            at += 1
            if tag in (0x00, 0xFF):
                continue
            if tag & 0x1F == 0x1F and at < len(value):
                tag = tag << 8 | value[at]
                at += 1
            if at >= len(value):
                raise BadInput("a tag without a length")
            length = value[at]
            at += 1
            if length == 0x81 and at < len(value):
                length = value[at]
                at += 1
            elif length > 0x7F:
                raise BadInput("tag %X has a length no short APDU can hold" % tag)
            if length > len(value) - at:
                raise BadInput("tag %X runs past the end" % tag)
            if tag == wanted:
                found = value[at : at + length]
            at += length
        if found is None:
            return None
        value = found
    return value
