"""The provisioning file of one validator: a CBOR map, read once at boot. Every key, its range, what it is for.

A key that is missing, misspelt or out of range is named with what was expected; a value never is, keys are among them.
"""

from collections import namedtuple

from tunion import cbor
from tunion.bcd import is_bcd
from tunion.card.product import NATIONAL
from tunion.fare import flat
from tunion.record import BadInput
from validator import denylist, rides
from validator import settings_rows as tables
from validator.rides.site import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tunion.record import Bytes

    Check = Callable[[Any], bool]
    Rows = tuple[tuple[str, tuple[str, Check], Any], ...]



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


class Settings:
    """The map's keys as attributes; `server`, `reader`, `sam`, `flash` as the tuples above, `fare` and `deny` made."""

    def __init__(self, blob: "Bytes") -> None:
        """Raises BadSettings."""
        try:
            values = cbor.decode(blob)
        except BadInput as problem:
            raise BadSettings("not a provisioning file: %s" % problem)
        found = _checked("", values, tables.device_rows())
        self.device_id: int = found["device_id"]
        self.key: bytes = found["key"]
        self.host: str = found["host"]
        self.server = Server(**_checked("server.", found["server"], tables.server_rows()))
        self.reader = _part("reader", found["reader"])
        self.sam = _part("sam", found["sam"])
        self.check_sam("sam", self.sam)
        self.modem = _modem(found["modem"]) if found["modem"] else None
        self.gate = _part("gate", found["gate"])
        if self.gate.driver != "none" and found["role"] not in ("entry", "exit", "both"):
            raise BadSettings("gate.driver takes serial only where role is entry, exit or both")
        self.flash = FlashArea(**_checked("flash.", found["flash"], tables.flash_rows()))
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
            Display(**_checked("panel[%d]." % number, values, tables.display_rows()))
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
        self.care = Care(**_checked("care.", found["care"], tables.care_rows()))
        if self.backoff_max_s < self.backoff_first_s:
            raise BadSettings("backoff_max_s takes at least backoff_first_s")
        deny = _checked("deny.", found["deny"], tables.deny_rows())
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
    found = _checked(where, values, tables.application_rows())
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
            if default is tables.KEPT:
                raise BadSettings("%s%s is missing: it takes %s" % (where, key, takes))
            found[key] = default
        elif check(values[key]):
            found[key] = values[key]
        else:
            raise BadSettings("%s%s takes %s" % (where, key, takes))
    return found


def _params(values: "dict[str, Any]") -> ParamsArea:
    area = ParamsArea(**_checked("params.", values, tables.params_rows()))
    from validator.params import sectors_needed  # for devices that take parameter sets

    needed = sectors_needed(area, area.set_bytes_max)
    if area.sectors < needed:
        raise BadSettings(
            "params.sectors takes at least %d for sectors of %d bytes and sets of %d"
            % (needed, area.sector_bytes, area.set_bytes_max)
        )
    return area


def _lists(values: "dict[str, Any]") -> ListsArea:
    found = _checked("lists.", values, tables.lists_rows())
    from validator.list_stores import sectors_needed  # for devices that take lists

    needed = sectors_needed(ListsArea(**found), found["deny_max"], found["delta_max"])
    found["sectors"] = found["sectors"] or needed
    if found["sectors"] < needed:
        raise BadSettings("lists.sectors takes at least %d for so many cards" % needed)
    return ListsArea(**found)


def _modem(values: "dict[str, Any]") -> Modem:
    found = _checked("modem.", values, tables.modem_rows())
    from validator.drivers.modem_profile import ModemProfile  # for devices that have a modem

    try:
        return Modem(found["path"], ModemProfile(found["profile"]))
    except BadInput as problem:
        raise BadSettings("modem.profile: %s" % problem)


def _duty(values: "dict[str, Any]") -> DutyPart:
    found = _checked("duty.", values, tables.duty_rows())
    from validator.stops import Stops

    try:
        found["stops"] = Stops(found["stops"])
    except BadInput as problem:
        raise BadSettings("duty.stops: %s" % problem)
    found["profile"] = None
    if found["gps"]:
        found["gps"] = _checked("duty.gps.", found["gps"], tables.gps_rows())
        if found["gps"]["speed"] not in tables.SPEEDS:
            raise BadSettings("duty.gps.speed takes one of %s" % ", ".join([str(speed) for speed in tables.SPEEDS]))
    if found["progress"] == "gps" and not found["gps"]:
        raise BadSettings("duty.progress takes gps only where duty.gps names the receiver's line")
    if found["meter"]:
        found["meter"] = _checked("duty.meter.", found["meter"], tables.meter_rows())
        from validator.drivers.taxi_meter import MeterProfile  # for taxis

        try:
            found["profile"] = MeterProfile(found["meter"]["profile"])
        except BadInput as problem:
            raise BadSettings("duty.meter.profile: %s" % problem)
    return DutyPart(**found)


def _part(which: str, values: "dict[str, Any]", where: str = "") -> Part:
    """where: what it is called in the file, which: of the drivers."""
    drivers = tables.drivers()[which]
    driver = values.get("driver")
    if driver not in drivers:
        raise BadSettings("%s.driver takes one of %s" % (where or which, ", ".join(sorted(drivers))))
    found = _checked((where or which) + ".", values, (("driver", tables.TEXT, tables.KEPT),) + drivers[driver])
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
