"""What each key of a provisioning file takes: key, check, default.

Functions, so that a board keeps the settings and not the 12 kB that judge them.
"""

from tunion.record import BadInput, is_int
from tunion.wire import limits
from validator import denylist
from validator.rides.site import ROLES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Check = Callable[[Any], bool]
    Rows = tuple[tuple[str, tuple[str, Check], Any], ...]

_ISSUERS_MAX = limits.ISSUERS_MAX
_LINES_MAX = 64  # that a driver chooses from
_KEYS_MAX = 2  # of the office: two while one is replaced


def _number(low: int, high: int) -> "tuple[str, Check]":
    return "a number from %d to %d" % (low, high), lambda value: (
        isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    )


def _bytes(low: int, high: int) -> "tuple[str, Check]":
    size = "%d bytes" % low if low == high else "%d to %d bytes" % (low, high)
    return size, lambda value: isinstance(value, bytes) and low <= len(value) <= high


def _one_of(*words: str) -> "tuple[str, Check]":
    return "one of " + ", ".join(words), lambda value: value in words


def _is_issuers(value: "Any") -> bool:
    if not isinstance(value, list) or len(value) > _ISSUERS_MAX:
        return False
    return all(isinstance(issuer, bytes) and len(issuer) == 4 for issuer in value)


def _is_keys(value: "Any") -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= _KEYS_MAX:
        return False
    from tunion.crypto import p256  # 20 kB of heap, for devices that take parameter sets

    for key in value:
        try:
            p256.point(key if isinstance(key, bytes) else b"")
        except BadInput:
            return False
    return True


def _is_lines(value: "Any") -> bool:
    if not isinstance(value, list) or len(value) > _LINES_MAX:
        return False
    return all(is_int(line) and 0 <= line <= 0xFFFF for line in value)


TEXT: "tuple[str, Check]" = ("a text", lambda value: isinstance(value, str) and 0 < len(value) <= 255)
_FLAG: "tuple[str, Check]" = ("true or false", lambda value: isinstance(value, bool))
_MAP: "tuple[str, Check]" = ("a map", lambda value: isinstance(value, dict))
_ISSUERS: "tuple[str, Check]" = ("up to %d issuer identifiers of 4 bytes" % _ISSUERS_MAX, _is_issuers)
_KEYS: "tuple[str, Check]" = ("1 or %d P-256 keys, 04 X Y, 65 bytes each" % _KEYS_MAX, _is_keys)
_LINES: "tuple[str, Check]" = ("up to %d line numbers" % _LINES_MAX, _is_lines)
_LIST: "tuple[str, Check]" = ("a list", lambda value: isinstance(value, list))
_SCOPE: "tuple[str, Check]" = (
    "1 to %d letters, digits, '-', '_' or '.'" % limits.NAME_MAX,
    lambda value: isinstance(value, str) and limits.is_scope(value),
)
SPEEDS = (9600, 19200, 38400, 57600, 115200, 230400)  # of a line: those that every board has
_U16 = _number(0, 0xFFFF)
_U32 = _number(0, 0xFFFFFFFF)
_SECONDS = _number(0, 86400)
KEPT = object()  # in place of a default: the key must be there


def device_rows() -> "Rows":
    return (
        ("device_id", _number(1, 0xFFFFFFFF), KEPT),
        ("key", _bytes(32, 32), KEPT),  # HMAC key of sync
        ("host", TEXT, KEPT),  # the back office's name, covered by the MAC of each message
        ("server", _MAP, KEPT),
        ("reader", _MAP, KEPT),
        ("sam", _MAP, KEPT),
        ("modem", _MAP, {}),  # empty: the board's own network
        ("flash", _MAP, KEPT),
        ("gate", _MAP, {"driver": "none"}),  # flaps
        ("fare", _MAP, KEPT),  # tunion.fare.flat.FlatFare.to_map
        ("line", _U16, 0),
        ("vehicle", _U32, 0),
        ("driver", _U32, 0),
        ("duty", _MAP, {}),  # who drives and where: firmware/docs/duty.md
        ("panel", _LIST, []),  # displays beside the lines of text
        ("industry", _number(1, 14), 2),  # card 7: 02 bus
        ("role", _one_of(*ROLES), "bus"),  # what a tap means here
        ("tariffs", _FLAG, False),  # takes sets with more than flat fares
        ("city", _bytes(2, 2), bytes(2)),  # BCD; a tariff needs it, and the next
        ("network", _bytes(8, 8), bytes(8)),  # acquirer institution, as it is written on cards
        ("operator", _bytes(2, 2), bytes(2)),
        ("plate", _bytes(0, 8), b""),  # of the vehicle
        ("station_coding", TEXT, "CCL0000S"),  # of a station in record 2701: tunion.card.trips
        ("place_coding", TEXT, "LLSS"),  # of line and place in the trip history
        ("kept_in", _number(0, 2), 0),  # record of 1Ah with the card's counters for transfers and months, 0: none
        ("home_issuers", _ISSUERS, KEPT),  # whose cards need not be interoperable
        ("issuers", _ISSUERS, KEPT),  # accepted besides
        ("applications", ("a list", lambda value: isinstance(value, list)), []),  # in order; empty: the national one
        ("application_choice", _one_of("answers", "may_ride"), "may_ride"),  # of several: the first that ...
        ("params", _MAP, {}),  # empty: no sets are taken, what this file says stays in force
        ("lists", _MAP, {}),  # empty: the deny list below stays, whatever the office publishes
        ("deny", _MAP, {"version": 0, "serials": b""}),
        ("test_cards", _FLAG, False),  # cards of kind 04 ride
        ("overdraft", _one_of("refuse", "allow"), "refuse"),
        ("same_card_s", _number(*limits.DEV["same_card_s"]), 5),  # the same card is not charged again within
        ("grey_after_s", _number(*limits.DEV["grey_after_s"]), 14400),  # a claim whose card does not return
        ("block_denied", _FLAG, False),  # block cards of the deny list through the SAM
        ("balance_max_fen", _number(*limits.DEV["balance_max_fen"]), 500000),  # card 5: more is not plausible
        ("clock_required", _FLAG, True),  # no rides before the clock was set
        ("production", _FLAG, False),  # refuse a soft SAM with test keys
        ("sync_interval_s", _SECONDS, 300),
        ("sync_entries", _number(1, 10000), 16),  # so many entries waiting start a sync before its time
        ("backoff_first_s", _number(1, 86400), 5),
        ("backoff_max_s", _number(1, 86400), 900),
        ("statistics", _FLAG, False),  # measure crypto, journal and driver of each tap
        ("care", _MAP, {}),  # watchdog, safe mode, recovery
    )


def server_rows() -> "Rows":
    return (
        ("address", TEXT, KEPT),
        ("port", _number(1, 0xFFFF), KEPT),
        ("pin", _bytes(32, 32), KEPT),  # SHA-256 of the SubjectPublicKeyInfo
        ("cert", _bytes(0, 8192), b""),  # DER; the pin decides
    )


def modem_rows() -> "Rows":
    return (("path", TEXT, KEPT), ("profile", _MAP, KEPT))  # profile: drivers/modem_profile


def flash_rows() -> "Rows":
    return (
        ("path", TEXT, KEPT),
        ("sector_bytes", _number(512, 0x40000), 4096),
        ("page_bytes", _number(128, 4096), 256),
        ("sectors", _number(4, 0xFFFF), 64),
    )


def params_rows() -> "Rows":
    return flash_rows()[:3] + (
        ("sectors", _number(4, 0xFFFF), 8),  # two for the pointer, and two banks
        ("scope", _SCOPE, KEPT),
        ("keys", _KEYS, KEPT),
        ("interval_s", _number(1, 86400), 3600),
        ("set_bytes_max", _number(limits.SET_BYTES, limits.SET_BYTES_MAX), limits.SET_BYTES),  # more for a large metro
    )


def lists_rows() -> "Rows":
    return flash_rows()[:3] + (
        ("sectors", _number(0, 0xFFFF), 0),  # 0: as many as are needed
        ("deny_max", _number(1, denylist.SERIALS_MAX), denylist.SERIALS_MAX),
        ("delta_max", _number(1, denylist.SERIALS_MAX), 6000),  # one day's changes; more come as a full list
        ("old_after_s", _number(3600, 365 * 86400), 48 * 3600),  # 24 h for a gate
    )


def application_rows() -> "Rows":
    return (
        ("product", ("0 or a map", lambda value: isinstance(value, (int, dict))), KEPT),  # validator.applications
        ("issuers", _ISSUERS, []),  # of a product other than 0
        ("sam", _MAP, {}),  # empty: the common one
        ("fare", _MAP, {}),  # empty: that of the device or of the parameter set
    )


def care_rows() -> "Rows":
    return (
        ("watchdog_s", _SECONDS, 60),  # a turn may take so long; 0: no watchdog
        ("crashes_max", _number(1, 100), 3),  # in a row, then safe mode
        ("clean_s", _number(1, 86400), 600),  # of running clear the count
        ("retry_s", _number(1, 86400), 900),  # of safe mode until a normal boot is tried; doubles each time
        ("retry_max_s", _number(1, 7 * 86400), 43200),
        ("power_cycle_after", _number(1, 100), 3),  # openings that failed, where the driver can cut the power
        ("heap_low_bytes", _U32, 16384),  # free memory below it is a finding
    )


def deny_rows() -> "Rows":
    return (("version", _U32, KEPT), ("serials", _bytes(0, 10 * denylist.SERIALS_MAX), KEPT))


def duty_rows() -> "Rows":
    return (
        ("login", _FLAG, False),  # no rides before a driver has logged in
        ("lines", _LINES, []),  # that the driver may choose beside `line`
        ("directions", _number(1, 2), 2),
        ("progress", _one_of("none", "key", "gps"), "none"),  # how the stop advances
        ("stops", _LIST, []),  # validator.stops
        ("stop", _U16, 0),  # where the stop does not advance: the station, or 0
        ("layer", _number(-1, 15), -1),  # of the fare grid; -1: the direction
        ("riders_max", _number(1, limits.RIDERS_MAX), limits.RIDERS_MAX),  # on one card, by the driver's key
        ("gps", _MAP, {}),
        ("meter", _MAP, {}),
    )


def display_rows() -> "Rows":
    return (
        ("driver", _one_of("st7920"), KEPT),
        ("path", TEXT, KEPT),
        ("shows", _one_of("passenger", "driver"), "passenger"),
    )


def gps_rows() -> "Rows":
    return (("path", TEXT, KEPT), ("speed", _number(9600, 230400), 9600))


def meter_rows() -> "Rows":
    return (("path", TEXT, KEPT), ("profile", _MAP, KEPT))  # profile: drivers/taxi_meter


def drivers() -> "dict[str, dict[str, Any]]":
    return {
        "reader": {
            "pcsc": (("name", TEXT, KEPT),),
            "pn532": (("path", TEXT, KEPT),),
            "stx_etx": (("path", TEXT, KEPT), ("profile", _MAP, KEPT)),  # profile: drivers/stx_etx_profile
            "ccid": (("path", TEXT, KEPT), ("slot", _number(0, 7), 0)),
        },
        "gate": {
            "none": (),
            "serial": (("path", TEXT, KEPT), ("open_s", _number(1, 60), 5), ("keep_s", _number(60, 7200), 1200)),
        },
        "sam": {
            "psam": (("name", TEXT, KEPT),),
            "reader": (("slot", _number(1, 7), 1),),  # a slot of the serial reader itself
            "uart": (
                ("path", TEXT, KEPT),
                ("pins", TEXT, KEPT),
                ("slot", _number(0, 3), 0),
                ("speed_max", _number(9600, 230400), 115200),
                ("echo", _FLAG, False),
            ),
            "soft": (("blob", _bytes(1, 4096), KEPT), ("storage_key", _bytes(32, 32), KEPT)),
        },
    }
