"""Journal entries: journaled by the validator, forged by the simulator, read by clearing.

Each entry has a body of BODY_BYTES, big-endian, that begins with kind, version and seq. A tap's body is its claim,
written before the debit; its outcome is written after. Layout: firmware/docs/journal.md. A changed meaning is a new
version.

On the wire an entry is its body, a tap's body and outcome, without trailing zero bytes.
"""

from tunion.bcd import is_bcd
from tunion.compat import const
from tunion.record import BadInput, Record
from tunion.wire.limits import RIDERS_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes

BODY_BYTES = const(96)
OUTCOME_BYTES = const(8)
VERSION = const(1)

TAP = const(1)  # kinds
EVENT = const(2)
AMEND = const(3)

TAP_V1 = Record(
    "Tap",
    BODY_BYTES,
    (
        ("kind", "B"),  # TAP
        ("version", "B"),
        ("seq", "I"),  # gapless per validator and epoch, from 1: the record's identity
        ("at_s", "I"),  # since 1970-01-01 UTC; its BCD form went into MAC1 and TAC
        ("clk_q", "B"),  # 0 never synced, 1 RTC only, 2 synced within 24 h, 3 within 1 h
        ("type", "B"),  # 06 purchase, 09 compound
        ("industry", "B"),  # 02 bus: industry of trip history, EF 0x1E
        ("card", "10s"),  # application serial number, EF 0x15
        ("issuer", "8s"),  # issuer identifier, EF 0x15
        ("city", "2s"),  # of the card, EF 0x17 or 0x15
        ("card_kind", "B"),
        ("counter", "H"),  # card's offline counter, before the debit
        ("balance_fen", "i"),  # true balance before the debit, the overdraft limit taken off
        ("limit_fen", "T"),
        ("amount_fen", "I"),  # debited
        ("list_fen", "T"),  # amount = list - discount + owed
        ("discount_fen", "T"),
        ("terminal", "6s"),  # the SAM's number
        ("terminal_seq", "I"),  # the SAM's counter; may repeat after a torn card
        ("key_index", "B"),
        ("key_version", "B"),
        ("algorithm", "B"),
        ("fare_id", "H"),
        ("fare_version", "H"),
        ("line", "H"),
        ("stop_in", "H"),  # 0: none
        ("stop_out", "H"),
        ("driver", "I"),
        ("vehicle", "I"),
        ("event", "B"),  # low four bits: of the card's trip history; high four: the application, 0 JT/T 978
        ("fare_case", "B"),  # 0: a plain ride; else tunion.fare.decision
        ("layer", "B"),  # of the fare grid: direction, train or vehicle class
        ("riders", "B"),  # on one card; 0: one
        ("modes", "B"),  # degraded modes of the station: tunion.fare.trip
        ("granted", "B"),  # discounts that only the card knew: tunion.fare.granted
        ("owed_fen", "T"),  # charged beside the fare: an earlier ride left open, overtime
        ("ride_s", "T"),  # alighting, exit: since boarding or entry
    ),
)

# A tap of a flat fare, of which nothing else is to be told.
FLAT = {"event": 0, "fare_case": 0, "layer": 0, "riders": 0, "modes": 0, "granted": 0, "owed_fen": 0, "ride_s": 0}

# Events of the card's trip history, file 1Eh
BOARD = const(3)  # entry, boarding
ALIGHT = const(4)  # exit, alighting
SINGLE = const(6)  # one tap, one fare
MAKE_UP = const(8)  # 补票: an earlier ride, or the service counter

OUTCOME_V1 = Record(
    "Outcome",
    OUTCOME_BYTES,
    (
        ("code", "B"),  # SETTLED ..., below
        ("mac2", "B"),  # MAC2_UNCHECKED ..., below
        ("sw", "H"),  # what the card refused with, else 0
        ("tac", "4s"),  # the card's proof for the issuer, zero where there is none
    ),
)

OPEN = const(0)  # never written: the claim stands alone, the debit may or may not have happened
SETTLED = const(1)  # the card answered DEBIT
PROVED = const(2)  # the card answered GET TRANSACTION PROVE later
VOID = const(3)  # the card refused, or proved that no debit happened
DISPUTED = const(4)  # debited, and MAC2 does not match
GREY = const(5)  # 灰记录: nobody will know here; clearing decides

MAC2_UNCHECKED = const(0)
MAC2_OK = const(1)
MAC2_WRONG = const(2)

EVENT_V1 = Record(
    "Event",
    BODY_BYTES,
    (
        ("kind", "B"),  # EVENT
        ("version", "B"),
        ("seq", "I"),
        ("at_s", "I"),
        ("clk_q", "B"),
        ("code", "B"),  # BOOT ..., below
        ("reason", "B"),  # of a refusal: tunion.wire.reason
        ("card", "10s"),  # zero where no card is meant
        ("value", "i"),  # what the code says: an sw, seconds, fen
        ("reserved", "69s"),
    ),
)

BOOT = const(1)  # value: claims found open
REFUSED = const(2)  # value: status word where the card gave one
CARD_BLOCKED = const(3)  # a denied card was blocked through the SAM
READER_LOST = const(4)
READER_BACK = const(5)
CLOCK_STEP = const(6)  # value: seconds, new minus old
SAM_LOST = const(7)  # value: 0 the common SAM, those of single applications from 1
SAM_BACK = const(8)  # value: as above
PARAMS_ACTIVE = const(16)  # value: version in force; reason: why the one before was left, 0: its time had come
PARAMS_REFUSED = const(17)  # value: version; reason, as above: a code of tunion.wire.params
LIST_ACTIVE = const(18)  # value: version in force; reason: tunion.wire.lists.reason_of the list
LIST_REFUSED = const(19)  # value: version; reason: as above, with a code of tunion.wire.lists
LIST_OLD = const(20)  # value: version in force, older than the settings allow; once for each list
FLASH_WORN = const(24)  # value: sector of the journal's flash that does not hold what is programmed
FILLING = const(25)  # value: permille of the journal's flash that wait for the back office
COMMAND_DONE = const(32)  # value: the command's id; reason: a result of tunion.wire.command
LOGIN = const(48)  # value: the driver's number, as_value
LOGOUT = const(49)  # value: the number of the driver who leaves
SHIFT_BEGIN = const(50)  # value: number of the shift on this device
SHIFT_END = const(51)  # reason 0: value is the shift's fen; reason 1: value is its paid taps
LINE_CHANGED = const(52)  # value: the line from now on
DIRECTION_CHANGED = const(53)  # value: the direction from now on
CRASH = const(40)  # this and the next four: tunion.wire.health
SAFE_MODE = const(41)
SELF_TEST = const(42)
BROWN_OUT = const(43)
WATCHDOG = const(44)
GATE_TIMED_OUT = const(56)  # a permit that nobody used; card: whose; value: the way, 1 in, 2 out
INTRUSION = const(57)  # value: how many persons; reason: INTRUDED, TAILGATED or WRONG_WAY of validator.ports
GATE_FAULT = const(58)  # value: 1 flaps jammed, 2 without power, 3 the gate does not answer; 0: it works again
EMERGENCY = const(59)  # the fire contact; value 1: the flaps have dropped, 0: it is over
MODE_CHANGED = const(60)  # value: degraded modes in force, bits of tunion.fare.trip; reason: those of the switch


def as_value(version: int) -> int:
    """A number of 32 bits as an event's value carries it: those beyond 2^31 wrap, two's complement."""
    return version - (1 << 32) if version >> 31 else version


AMEND_V1 = Record(
    "Amend",
    BODY_BYTES,
    (
        ("kind", "B"),  # AMEND: a later, better outcome of an earlier tap
        ("version", "B"),
        ("seq", "I"),
        ("at_s", "I"),
        ("clk_q", "B"),
        ("of_seq", "I"),  # the tap's seq, same epoch
        ("outcome", "8s"),  # OUTCOME_V1
        ("reserved", "73s"),
    ),
)

_BODIES = {TAP: TAP_V1, EVENT: EVENT_V1, AMEND: AMEND_V1}
_TYPES = (0x06, 0x09)  # purchase, compound
_EVENTS = (0, BOARD, ALIGHT, SINGLE, MAKE_UP)
_OUTCOME_CODES = (SETTLED, PROVED, VOID, DISPUTED, GREY)


def to_wire(body: "Bytes", outcome: "Bytes" = b"") -> bytes:
    """The bytes that travel: body and outcome without trailing zeros."""
    return (bytes(body) + bytes(outcome)).rstrip(b"\x00")


def from_wire(entry: "Bytes") -> "tuple[Any, Any]":
    """(body, outcome) as TAP_V1, EVENT_V1 or AMEND_V1, and OUTCOME_V1 or None for an event.

    Raises BadInput for whatever no validator would have journaled: unknown kind or version, bytes too many,
    digits that are none, sums that do not add up.
    """
    entry = bytes(entry)
    if not entry or entry[0] not in _BODIES:
        raise BadInput("no such kind of entry")
    kind = entry[0]
    size = BODY_BYTES + OUTCOME_BYTES if kind == TAP else BODY_BYTES
    if len(entry) > size or entry[-1] == 0:
        raise BadInput("an entry of kind %d has at most %d bytes and ends in no zero" % (kind, size))
    whole = entry + bytes(size - len(entry))
    body = _BODIES[kind].unpack(whole)
    if body.version != VERSION or body.seq == 0:
        raise BadInput("version 1 and a sequence from 1 were expected")
    if kind != TAP and body.reserved != bytes(len(body.reserved)):
        raise BadInput("reserved bytes are not zero")
    if body.clk_q > 3:
        raise BadInput("clk_q is 0 to 3")
    if kind == EVENT:
        return body, None
    outcome = OUTCOME_V1.unpack(whole, BODY_BYTES) if kind == TAP else OUTCOME_V1.unpack(body.outcome)
    _check_outcome(outcome)
    if kind == TAP:
        _check_tap(body)
    elif not 0 < body.of_seq < body.seq:
        raise BadInput("an amendment names an earlier tap")
    return body, outcome


def _check_outcome(outcome: "Any") -> None:
    if outcome.code not in _OUTCOME_CODES or outcome.mac2 > MAC2_WRONG:
        raise BadInput("no such outcome")
    if outcome.code in (VOID, GREY) and outcome.tac != bytes(4):
        raise BadInput("a tap that is void or grey has no TAC")


def _check_tap(tap: "Any") -> None:
    for field in (tap.card, tap.terminal, tap.city, tap.issuer[:4]):
        if not is_bcd(field):
            raise BadInput("card, terminal, city and issuer are BCD")
    if tap.type not in _TYPES or (tap.type == _TYPES[0] and tap.amount_fen == 0):
        raise BadInput("a tap is a purchase of at least 1 fen or a compound purchase")
    if tap.amount_fen != tap.list_fen - tap.discount_fen + tap.owed_fen or tap.discount_fen > tap.list_fen:
        raise BadInput("amount is not list fare less discount, and what was owed")
    if tap.event & 15 not in _EVENTS or tap.riders > RIDERS_MAX:
        raise BadInput("no such event, or more riders than a card takes")
    if tap.amount_fen > tap.balance_fen + tap.limit_fen:
        raise BadInput("amount exceeds what the card could pay")
