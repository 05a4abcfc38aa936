"""The provisioning file of one validator: a CBOR map, read once at boot. Every key, its range, what it is for.

A key that is missing, misspelt or out of range is named with what was expected; a value never is, keys are among them.
"""

from collections import namedtuple

from tunion import cbor
from tunion.bcd import is_bcd
from tunion.card.product import NATIONAL
from tunion.fare import flat
from tunion.record import BadInput, is_int
from tunion.wire import limits
from validator import denylist, rides
from validator.rides.site import ROLES, Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tunion.record import Bytes

    Check = Callable[[Any], bool]
    Rows = tuple[tuple[str, tuple[str, Check], Any], ...]

_ISSUERS_MAX = limits.ISSUERS_MAX
_LINES_MAX = 64  # that a driver chooses from
_KEYS_MAX = 2  # of the office: two while one is replaced


class BadSettings(ValueError):
    """The provisioning file cannot be used. The message names the key and what it takes; write the file again."""


Server = namedtuple("Server", ("address", "port", "pin", "cert"))
FlashArea = namedtuple("FlashArea", ("path", "sector_bytes", "page_bytes", "sectors"))
# Where parameter sets are kept, how large they may be, whose are taken, who signs them, how often the office is asked.
ParamsArea = namedtuple(
    "ParamsArea", ("path", "sector_bytes", "page_bytes", "sectors", "scope", "keys", "interval_s", "set_bytes_max")
)
# Where lists are kept, for how many cards, and after how long without a new deny list that is told.
ListsArea = namedtuple(
    "ListsArea", ("path", "sector_bytes", "page_bytes", "sectors", "deny_max", "delta_max", "old_after_s")
)
Modem = namedtuple("Modem", ("path", "profile"))
# An application that is taken. `issuers`: whose cards, 4 bytes each, None: those of the rules. `fare`, `sam`: its own,
# None: the common one.
Application = namedtuple("Application", ("product", "issuers", "fare", "sam"))
# Lines that the driver may choose, directions, how the stop advances; gps and meter: {} for none; profile: the meter's.
DutyPart = namedtuple(
    "DutyPart",
    (
        "login", "lines", "directions", "progress", "stops", "stop", "layer", "riders_max", "gps", "meter", "profile",
    ),
)  # fmt: skip
# A display: what it is, where, and what it shows: "passenger" or "driver".
Display = namedtuple("Display", ("driver", "path", "shows"))
# When the supervisor steps in: firmware/docs/supervisor.md.
Care = namedtuple(
    "Care", ("watchdog_s", "crashes_max", "clean_s", "retry_s", "retry_max_s", "power_cycle_after", "heap_low_bytes")
)
# What the driver does not take is None.
Part = namedtuple(
    "Part",
    (
        "driver", "name", "path", "blob", "storage_key", "profile", "slot", "pins", "speed_max", "echo", "open_s",
        "keep_s",
    ),
)  # fmt: skip


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


_TEXT: "tuple[str, Check]" = ("a text", lambda value: isinstance(value, str) and 0 < len(value) <= 255)
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
_SPEEDS = (9600, 19200, 38400, 57600, 115200, 230400)  # of a line: those that every board has
_U16 = _number(0, 0xFFFF)
_U32 = _number(0, 0xFFFFFFFF)
_SECONDS = _number(0, 86400)
_KEPT = object()  # in place of a default: the key must be there

# Key, what it takes, default. Functions, so that a board keeps the settings and not the 12 kB that judge them.


def _rows() -> "Rows":
    return (
        ("device_id", _number(1, 0xFFFFFFFF), _KEPT),
        ("key", _bytes(32, 32), _KEPT),  # HMAC key of sync
        ("host", _TEXT, _KEPT),  # the back office's name, covered by the MAC of each message
        ("server", _MAP, _KEPT),
        ("reader", _MAP, _KEPT),
        ("sam", _MAP, _KEPT),
        ("modem", _MAP, {}),  # empty: the board's own network
        ("flash", _MAP, _KEPT),
        ("gate", _MAP, {"driver": "none"}),  # flaps
        ("fare", _MAP, _KEPT),  # tunion.fare.flat.FlatFare.to_map
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
        ("station_coding", _TEXT, "CCL0000S"),  # of a station in record 2701: tunion.card.trips
        ("place_coding", _TEXT, "LLSS"),  # of line and place in the trip history
        ("kept_in", _number(0, 2), 0),  # record of 1Ah with the card's counters for transfers and months, 0: none
        ("home_issuers", _ISSUERS, _KEPT),  # whose cards need not be interoperable
        ("issuers", _ISSUERS, _KEPT),  # accepted besides
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


def _server_rows() -> "Rows":
    return (
        ("address", _TEXT, _KEPT),
        ("port", _number(1, 0xFFFF), _KEPT),
        ("pin", _bytes(32, 32), _KEPT),  # SHA-256 of the SubjectPublicKeyInfo
        ("cert", _bytes(0, 8192), b""),  # DER; the pin decides
    )


def _modem_rows() -> "Rows":
    return (("path", _TEXT, _KEPT), ("profile", _MAP, _KEPT))  # profile: drivers/modem_profile


def _flash_rows() -> "Rows":
    return (
        ("path", _TEXT, _KEPT),
        ("sector_bytes", _number(512, 0x40000), 4096),
        ("page_bytes", _number(128, 4096), 256),
        ("sectors", _number(4, 0xFFFF), 64),
    )


def _params_rows() -> "Rows":
    return _flash_rows()[:3] + (
        ("sectors", _number(4, 0xFFFF), 8),  # two for the pointer, and two banks
        ("scope", _SCOPE, _KEPT),
        ("keys", _KEYS, _KEPT),
        ("interval_s", _number(1, 86400), 3600),
        ("set_bytes_max", _number(limits.SET_BYTES, limits.SET_BYTES_MAX), limits.SET_BYTES),  # more for a large metro
    )


def _lists_rows() -> "Rows":
    return _flash_rows()[:3] + (
        ("sectors", _number(0, 0xFFFF), 0),  # 0: as many as are needed
        ("deny_max", _number(1, denylist.SERIALS_MAX), denylist.SERIALS_MAX),
        ("delta_max", _number(1, denylist.SERIALS_MAX), 6000),  # one day's changes; more come as a full list
        ("old_after_s", _number(3600, 365 * 86400), 48 * 3600),  # 24 h for a gate
    )


def _application_rows() -> "Rows":
    return (
        ("product", ("0 or a map", lambda value: isinstance(value, (int, dict))), _KEPT),  # validator.applications
        ("issuers", _ISSUERS, []),  # of a product other than 0
        ("sam", _MAP, {}),  # empty: the common one
        ("fare", _MAP, {}),  # empty: that of the device or of the parameter set
    )


def _care_rows() -> "Rows":
    return (
        ("watchdog_s", _SECONDS, 60),  # a turn may take so long; 0: no watchdog
        ("crashes_max", _number(1, 100), 3),  # in a row, then safe mode
        ("clean_s", _number(1, 86400), 600),  # of running clear the count
        ("retry_s", _number(1, 86400), 900),  # of safe mode until a normal boot is tried; doubles each time
        ("retry_max_s", _number(1, 7 * 86400), 43200),
        ("power_cycle_after", _number(1, 100), 3),  # openings that failed, where the driver can cut the power
        ("heap_low_bytes", _U32, 16384),  # free memory below it is a finding
    )


def _deny_rows() -> "Rows":
    return (("version", _U32, _KEPT), ("serials", _bytes(0, 10 * denylist.SERIALS_MAX), _KEPT))


def _duty_rows() -> "Rows":
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


def _display_rows() -> "Rows":
    return (
        ("driver", _one_of("st7920"), _KEPT),
        ("path", _TEXT, _KEPT),
        ("shows", _one_of("passenger", "driver"), "passenger"),
    )


def _gps_rows() -> "Rows":
    return (("path", _TEXT, _KEPT), ("speed", _number(9600, 230400), 9600))


def _meter_rows() -> "Rows":
    return (("path", _TEXT, _KEPT), ("profile", _MAP, _KEPT))  # profile: drivers/taxi_meter


def _drivers() -> "dict[str, dict[str, Any]]":
    return {
        "reader": {
            "pcsc": (("name", _TEXT, _KEPT),),
            "pn532": (("path", _TEXT, _KEPT),),
            "stx_etx": (("path", _TEXT, _KEPT), ("profile", _MAP, _KEPT)),  # profile: drivers/stx_etx_profile
            "ccid": (("path", _TEXT, _KEPT), ("slot", _number(0, 7), 0)),
        },
        "gate": {
            "none": (),
            "serial": (("path", _TEXT, _KEPT), ("open_s", _number(1, 60), 5), ("keep_s", _number(60, 7200), 1200)),
        },
        "sam": {
            "psam": (("name", _TEXT, _KEPT),),
            "reader": (("slot", _number(1, 7), 1),),  # a slot of the serial reader itself
            "uart": (
                ("path", _TEXT, _KEPT),
                ("pins", _TEXT, _KEPT),
                ("slot", _number(0, 3), 0),
                ("speed_max", _number(9600, 230400), 115200),
                ("echo", _FLAG, False),
            ),
            "soft": (("blob", _bytes(1, 4096), _KEPT), ("storage_key", _bytes(32, 32), _KEPT)),
        },
    }


class Settings:
    """The map's keys as attributes; `server`, `reader`, `sam`, `flash` as the tuples above, `fare` and `deny` made."""

    def __init__(self, blob: "Bytes") -> None:
        """Raises BadSettings."""
        try:
            values = cbor.decode(blob)
        except BadInput as problem:
            raise BadSettings("not a provisioning file: %s" % problem)
        found = _checked("", values, _rows())
        self.device_id: int = found["device_id"]
        self.key: bytes = found["key"]
        self.host: str = found["host"]
        self.server = Server(**_checked("server.", found["server"], _server_rows()))
        self.reader = _part("reader", found["reader"])
        self.sam = _part("sam", found["sam"])
        self.check_sam("sam", self.sam)
        self.modem = _modem(found["modem"]) if found["modem"] else None
        self.gate = _part("gate", found["gate"])
        if self.gate.driver != "none" and found["role"] not in ("entry", "exit", "both"):
            raise BadSettings("gate.driver takes serial only where role is entry, exit or both")
        self.flash = FlashArea(**_checked("flash.", found["flash"], _flash_rows()))
        self.params: ParamsArea | None = None
        if found["params"]:
            self.params = _params(found["params"])
        self.lists: ListsArea | None = None
        if found["lists"]:
            self.lists = _lists(found["lists"])
            if self.params is None:
                raise BadSettings("lists takes params as well: whose lists are taken, and who signs them, stands there")
        self.line: int = found["line"]
        self.vehicle: int = found["vehicle"]
        self.driver: int = found["driver"]
        self.duty = _duty(found["duty"])
        self.panel = [
            Display(**_checked("panel[%d]." % number, values, _display_rows()))
            for number, values in enumerate(found["panel"])
        ]
        self.industry: int = found["industry"]
        self.tariffs: bool = found["tariffs"]
        self.home_issuers: list[bytes] = found["home_issuers"]
        self.issuers: list[bytes] = found["issuers"]
        self.test_cards: bool = found["test_cards"]
        self.overdraft: bool = found["overdraft"] == "allow"
        self.same_card_s: int = found["same_card_s"]
        self.grey_after_s: int = found["grey_after_s"]
        self.block_denied: bool = found["block_denied"]
        self.balance_max_fen: int = found["balance_max_fen"]
        self.clock_required: bool = found["clock_required"]
        self.production: bool = found["production"]
        self.sync_interval_s: int = found["sync_interval_s"]
        self.sync_entries: int = found["sync_entries"]
        self.backoff_first_s: int = found["backoff_first_s"]
        self.backoff_max_s: int = found["backoff_max_s"]
        self.statistics: bool = found["statistics"]
        self.care = Care(**_checked("care.", found["care"], _care_rows()))
        if self.backoff_max_s < self.backoff_first_s:
            raise BadSettings("backoff_max_s takes at least backoff_first_s")
        deny = _checked("deny.", found["deny"], _deny_rows())
        try:
            self.fare = _fare(found["fare"])
            self.deny = denylist.from_bytes(deny["version"], deny["serials"])
            self.applications: tuple[Application, ...] = (Application(NATIONAL, None, None, None),)
            if found["applications"]:
                from validator import applications  # for devices that take other applications

                self.applications = applications.read(self, found["applications"], _application)
            tariffs = any([hasattr(taken.fare or self.fare, "scheme") for taken in self.applications])
            self.site = _site(found, tariffs or self.tariffs)
            for taken in self.applications:
                rides.make(taken.fare or self.fare, self.site, None)
        except BadInput as problem:
            raise BadSettings(str(problem))
        self.application_choice: str = found["application_choice"]

    def check_sam(self, where: str, sam: Part) -> None:
        if sam.driver == "reader" and self.reader.driver not in ("stx_etx", "ccid"):
            raise BadSettings("%s.driver takes reader only beside a stx_etx or ccid reader" % where)


def _application(where: str, values: "dict[str, Any]") -> "dict[str, Any]":
    """One of `applications` with its fare and SAM made. Raises BadSettings, BadInput."""
    found = _checked(where, values, _application_rows())
    found["fare"] = _fare(found["fare"]) if found["fare"] else None
    found["sam"] = _part("sam", found["sam"], where + "sam") if found["sam"] else None
    return found


def _fare(values: "dict[str, Any]") -> "Any":
    """A flat fare, or a tariff, which names its scheme. Raises BadInput."""
    if "scheme" not in values:
        return flat.from_map(values)
    from tunion.fare import tariff  # for devices that charge more than flat fares

    return tariff.from_map(values)


def _site(found: "dict[str, Any]", tariffs: bool) -> Site:
    """Raises BadInput."""
    if tariffs:
        from tunion.card import trips

        trips.check_coding(found["station_coding"], 8)
        trips.check_coding(found["place_coding"], 4)
        if not is_bcd(found["city"]) or found["city"] == bytes(2) or found["network"] == bytes(8):
            raise BadInput("a tariff takes the terminal's city, 2 bytes BCD, and network, 8 bytes")
    plate = found["plate"]
    return Site(
        found["role"],
        found["city"],
        found["network"],
        found["operator"],
        plate + bytes(8 - len(plate)),
        found["station_coding"],
        found["place_coding"],
        found["kept_in"],
    )


def _checked(where: str, values: "Any", rows: "Any") -> "dict[str, Any]":
    """The rows' keys of `values` with defaults filled in; raises BadSettings for the first that does not do."""
    if not isinstance(values, dict):
        raise BadSettings("%s takes a map" % (where[:-1] or "the provisioning file"))
    known = [row[0] for row in rows]
    for key in values:
        if key not in known:
            raise BadSettings("%s%s is no setting; known are %s" % (where, key, ", ".join(known)))
    found = {}
    for key, (takes, check), default in rows:
        if key not in values:
            if default is _KEPT:
                raise BadSettings("%s%s is missing: it takes %s" % (where, key, takes))
            found[key] = default
        elif check(values[key]):
            found[key] = values[key]
        else:
            raise BadSettings("%s%s takes %s" % (where, key, takes))
    return found


def _params(values: "dict[str, Any]") -> ParamsArea:
    area = ParamsArea(**_checked("params.", values, _params_rows()))
    from validator.params import sectors_needed  # for devices that take parameter sets

    needed = sectors_needed(area, area.set_bytes_max)
    if area.sectors < needed:
        raise BadSettings(
            "params.sectors takes at least %d for sectors of %d bytes and sets of %d"
            % (needed, area.sector_bytes, area.set_bytes_max)
        )
    return area


def _lists(values: "dict[str, Any]") -> ListsArea:
    found = _checked("lists.", values, _lists_rows())
    from validator.list_stores import sectors_needed  # for devices that take lists

    needed = sectors_needed(ListsArea(**found), found["deny_max"], found["delta_max"])
    found["sectors"] = found["sectors"] or needed
    if found["sectors"] < needed:
        raise BadSettings("lists.sectors takes at least %d for so many cards" % needed)
    return ListsArea(**found)


def _modem(values: "dict[str, Any]") -> Modem:
    found = _checked("modem.", values, _modem_rows())
    from validator.drivers.modem_profile import ModemProfile  # for devices that have a modem

    try:
        return Modem(found["path"], ModemProfile(found["profile"]))
    except BadInput as problem:
        raise BadSettings("modem.profile: %s" % problem)


def _duty(values: "dict[str, Any]") -> DutyPart:
    found = _checked("duty.", values, _duty_rows())
    from validator.stops import Stops

    try:
        found["stops"] = Stops(found["stops"])
    except BadInput as problem:
        raise BadSettings("duty.stops: %s" % problem)
    found["profile"] = None
    if found["gps"]:
        found["gps"] = _checked("duty.gps.", found["gps"], _gps_rows())
        if found["gps"]["speed"] not in _SPEEDS:
            raise BadSettings("duty.gps.speed takes one of %s" % ", ".join([str(speed) for speed in _SPEEDS]))
    if found["progress"] == "gps" and not found["gps"]:
        raise BadSettings("duty.progress takes gps only where duty.gps names the receiver's line")
    if found["meter"]:
        found["meter"] = _checked("duty.meter.", found["meter"], _meter_rows())
        from validator.drivers.taxi_meter import MeterProfile  # for taxis

        try:
            found["profile"] = MeterProfile(found["meter"]["profile"])
        except BadInput as problem:
            raise BadSettings("duty.meter.profile: %s" % problem)
    return DutyPart(**found)


def _part(which: str, values: "dict[str, Any]", where: str = "") -> Part:
    """where: what it is called in the file, which: of the drivers."""
    drivers = _drivers()[which]
    driver = values.get("driver")
    if driver not in drivers:
        raise BadSettings("%s.driver takes one of %s" % (where or which, ", ".join(sorted(drivers))))
    found = _checked((where or which) + ".", values, (("driver", _TEXT, _KEPT),) + drivers[driver])
    if driver == "stx_etx":
        from validator.drivers.stx_etx_profile import Profile  # for devices that have such a reader

        try:
            found["profile"] = Profile(found["profile"])
        except BadInput as problem:
            raise BadSettings("reader.profile: %s" % problem)
    keys = (
        "name", "path", "blob", "storage_key", "profile", "slot", "pins", "speed_max", "echo", "open_s", "keep_s"
    )  # fmt: skip
    return Part(driver, *[found.get(key) for key in keys])
