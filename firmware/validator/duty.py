"""Where and by whom the terminal is used now: line, direction, stop, driver, shift. Page: firmware/docs/duty.md.

The tap path reads it. The driver's keys, a satellite receiver and a taxi meter change it; each change is kept before it
is told, so a power cut in the middle of a line leaves the bus where it was.
"""

from collections import namedtuple

from tunion.compat import const
from tunion.crc import crc32
from tunion.record import Record
from tunion.wire import tap as wire
from validator.cells import sealed
from validator.ports import FlashFault
from validator.ring import JournalFull
from validator.stops import StopFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.drivers.nmea import Nmea
    from validator.drivers.taxi_meter import TaxiMeter
    from validator.journal import Journal
    from validator.ports import Keep
    from validator.settings import Settings

NO_KEY, BY_KEY, BY_GPS = "none", "key", "gps"  # how the stop advances

KEEP_WAIT_MS = const(10000)  # between two tries where what is kept cannot be written
LAYER_OF_DIRECTION = const(-1)  # the setting: the fare grid's layer is the direction
_SUM_MAX = const(0x7FFFFFFF)  # an event's value
_COUNTED = ("paid", "board", "alight", "enter", "exit", "desk", "recovered")  # what is shown of a card that was served
_MAGIC = b"YD"
_LAYOUT = const(1)

KEPT = Record(
    "Duty",
    60,
    (
        ("magic", "2s"),
        ("layout", "B"),
        ("direction", "B"),
        ("line", "H"),
        ("stop", "H"),
        ("provisioned", "H"),  # the line of the device file, when this was written: another one begins anew
        ("reserved", "2s"),  # zero
        ("logged_in", "I"),  # the driver's number, 0: nobody
        ("driver", "I"),  # Shift, below: of the shift under way, or of the one before
        ("shift", "I"),  # number of the last one begun on this device
        ("served", "I"),
        ("refused", "I"),
        ("again", "I"),
        ("amount_fen", "I"),
        ("began_s", "I"),
        ("meter_ride", "I"),  # the taxi meter's last ride that was taken over, + 1; 0: none
        ("meter_fen", "I"),  # and what of it is not charged yet
        ("meter_seq", "I"),  # the journal's newest entry when it was taken over
        ("crc", "I"),
    ),
)

# A shift's totals. served: cards let through; refused; again: "tap again"; amount_fen: taken by the served.
Shift = namedtuple("Shift", ("number", "driver", "began_s", "served", "refused", "again", "amount_fen"))

# What a board has beside the journal. `keep` None: nothing outlives a power cut; `gps` and `meter` None: there is none.
DutyParts = namedtuple("DutyParts", ("keep", "gps", "meter"))


class DutyRefused(Exception):
    """The driver's key does nothing now. `word` names why; texts in validator.messages.DRIVER."""

    def __init__(self, word: str) -> None:
        self.word = word
        super().__init__(word)


class Duty:
    """One terminal's duty.

    line, direction   direction 0 or 1
    stop, stop_to     codes of stop or station, 0: unknown; stop_to: where a conductor's passenger goes
    driver            number, 0: none
    vehicle           of the device file
    layer             of the fare grid: the direction, or what the device file says
    riders            on the next card
    modes             degraded modes of the station: bits of tunion.fare.trip
    opened            (from_s, to_s) of the times that its exits stood open to all: validator.modes
    shift             number of the shift, 0: none is under way
    totals            Shift of the shift under way, or of the one before
    meter_fen         a taxi ride that waits to be paid, 0: none
    meter_ride        the meter's number of it
    repair            what the service counter does to the next card: validator.rides.desk; (): nothing
    kept              the last change outlives a power cut
    changed           grows with each change that a driver's panel would show
    """

    def __init__(self, settings: "Settings", journal: "Journal", clock: "Any", parts: "Any" = None) -> None:
        """Raises nothing for what was kept: torn or foreign bytes are as none."""
        self._settings = settings.duty
        self._journal = journal
        self._clock = clock
        self._keep: Keep | None = parts.keep if parts is not None else None
        self._gps: Nmea | None = parts.gps if parts is not None else None
        self._meter: TaxiMeter | None = parts.meter if parts is not None else None
        self._finder = StopFinder()
        self._fixes = 0  # of the receiver, those that were looked at
        self._provisioned = (settings.line, settings.driver)
        self._role = settings.site.role
        self.vehicle = settings.vehicle
        self.line = settings.line
        self.direction = 0
        self.stop = self._settings.stop
        self.stop_to = 0
        self.layer = 0
        self.repair: tuple[str, int] | tuple[()] = ()
        self.riders = 1
        self.modes = 0
        self.opened: list[tuple[int, int]] = []
        self._logged_in = 0
        self.totals = Shift(0, 0, 0, 0, 0, 0, 0)
        self.meter_fen = 0
        self._meter_taken = 0  # meter_ride + 1
        self._meter_seq = 0  # the journal's newest entry then
        self._dirty = False
        self.kept = True
        self._failed_ms = 0
        self.changed = 0
        self._at_first_stop()
        self._recall()

    # -- what the tap path reads --------------------------------------------------------------------------------

    @property
    def driver(self) -> int:
        """Who has logged in, else who the device file names."""
        return self._logged_in or self._provisioned[1]

    @property
    def ready(self) -> bool:
        """Cards may be taken: somebody has logged in, or nobody needs to."""
        return bool(self._logged_in) or not self._settings.login

    @property
    def shift(self) -> int:
        """As above."""
        return self.totals.number if self._logged_in else 0

    @property
    def meter_ride(self) -> int:
        """As above; -1 where no ride was ever taken over."""
        return self._meter_taken - 1

    # -- the driver's keys --------------------------------------------------------------------------------------

    def login(self, number: int) -> None:
        """A driver begins a shift. Raises DutyRefused."""
        if not 0 < number <= 0xFFFFFFFF:
            raise DutyRefused("driver_number")
        if self._logged_in:
            raise DutyRefused("logged_in")
        self._note(wire.LOGIN, wire.as_value(number))
        self._note(wire.SHIFT_BEGIN, self.totals.number + 1)
        self._logged_in = number
        self.totals = Shift(self.totals.number + 1, number, self._clock.now_s(), 0, 0, 0, 0)
        self._save()

    def logout(self) -> Shift:
        """The shift ends; returns its totals. Raises DutyRefused."""
        if not self._logged_in:
            raise DutyRefused("not_logged_in")
        self._note(wire.SHIFT_END, self.totals.amount_fen, 0)
        self._note(wire.SHIFT_END, self.totals.served, 1)
        self._note(wire.LOGOUT, wire.as_value(self._logged_in))
        self._logged_in = 0
        self.riders = 1
        self._save()
        return self.totals

    def to_line(self, line: int) -> None:
        """Another line that the settings allow, from its first stop. Raises DutyRefused."""
        if line not in self._settings.lines and line != self._provisioned[0]:
            raise DutyRefused("line_unknown")
        if line == self.line:
            return
        self._note(wire.LINE_CHANGED, line)
        self.line = line
        self.direction = 0
        self._at_first_stop()
        self._save()

    def turn(self) -> None:
        """The other direction, from its first stop. Raises DutyRefused."""
        if self._settings.directions < 2:
            raise DutyRefused("one_direction")
        self._note(wire.DIRECTION_CHANGED, 1 - self.direction)
        self.direction = 1 - self.direction
        self._at_first_stop()
        self._save()

    def to_next_stop(self, by: int = 1) -> None:
        """The stop after, or with -1 the one before. Raises DutyRefused."""
        if self._settings.progress == NO_KEY:
            raise DutyRefused("no_stops")
        codes = [stop.code for stop in self._settings.stops.of(self.line, self.direction)]
        if not codes:
            raise DutyRefused("no_stops")
        at = codes.index(self.stop) + by if self.stop in codes else 0
        if not 0 <= at < len(codes):
            raise DutyRefused("first_stop" if at < 0 else "last_stop")
        self._reach(codes[at])

    def to_riders(self, count: int) -> None:
        """So many ride on the next card. Raises DutyRefused."""
        if not 1 <= count <= self._settings.riders_max:
            raise DutyRefused("riders")
        self.riders = count
        self.changed += 1

    def to_repair(self, what: str, station: int) -> None:
        """The service counter mends the next card: "entry", "exit", or "" for nothing. Raises DutyRefused.

        station  that the passenger names; of an exit 0: unknown
        """
        if self._role != "desk":
            raise DutyRefused("no_desk")
        if what and not (what == "entry") <= station <= 0xFFFF:
            raise DutyRefused("station")
        self.repair = (what, station) if what else ()
        self.changed += 1

    def to_ride(self, start: int, end: int) -> None:
        """The ride that a conductor sells, until another is named or the power goes. Raises DutyRefused."""
        if self._role != "conductor":
            raise DutyRefused("no_conductor")
        if not (0 < start <= 0xFFFF and 0 < end <= 0xFFFF):
            raise DutyRefused("station")
        self.stop, self.stop_to = start, end
        self.changed += 1

    # -- what happens -------------------------------------------------------------------------------------------

    def served(self, shown: "tuple[str, dict[str, Any]] | None", again: bool = False) -> None:
        """A card was served and the panel said `shown`; None: nothing. Counted into the shift, kept by `step`.

        again  it is the last answer, shown to the same card once more
        """
        if shown is None or again:
            return
        what, details = shown
        if self.repair and (what in _COUNTED or what == "refused"):
            self.repair = ()  # it was for that card: the next passenger may need another
            self.changed += 1
        if what in _COUNTED:
            self.riders = 1
            if self.meter_fen:
                self.meter_charged()
        if not self._logged_in:
            return
        total = self.totals
        amount_fen = total.amount_fen + int(details.get("fare_fen", 0)) if what in _COUNTED else total.amount_fen
        self.totals = Shift(
            total.number,
            total.driver,
            total.began_s,
            min(total.served + (what in _COUNTED), _SUM_MAX),
            min(total.refused + (what == "refused"), _SUM_MAX),
            min(total.again + (what == "tap_again"), _SUM_MAX),
            min(amount_fen, _SUM_MAX),
        )
        self._dirty = True
        self.changed += 1

    def meter_charged(self) -> None:
        """The taxi ride that waited is paid. `step` keeps that; a power cut before is put right at boot."""
        self.meter_fen = 0
        self._dirty = True
        self.changed += 1

    def step(self) -> None:
        """Between taps: take what receiver and meter say, and keep what is not kept yet."""
        if self._gps is not None:
            self._follow(self._gps)
        if self._meter is not None:
            self._read_meter(self._meter)
        if self._dirty and (self.kept or self._clock.since_ms(self._failed_ms) >= KEEP_WAIT_MS):
            self._try_to_store()

    def _follow(self, gps: "Nmea") -> None:
        gps.step()
        fix = gps.fix()
        if fix is None or gps.fixes == self._fixes or self._settings.progress != BY_GPS:
            return
        self._fixes = gps.fixes
        code = self._finder.at(fix.lat_e7, fix.lon_e7)
        if code and code != self.stop:
            self.stop = code
            self._dirty = True
            self.changed += 1

    def _read_meter(self, meter: "TaxiMeter") -> None:
        """A ride is taken over once, when the meter stops; the number tells it from the next one."""
        meter.step()
        if meter.state == "stopped" and meter.ride != self.meter_ride and meter.amount_fen:
            self.meter_fen = meter.amount_fen
            self._meter_taken = meter.ride + 1
            self._meter_seq = self._journal.seq
            self._dirty = True
            self.changed += 1

    def _reach(self, code: int) -> None:
        self.stop = code
        self._save()

    def _at_first_stop(self) -> None:
        way = self._settings.stops.of(self.line, self.direction)
        self._finder.use(way)
        self.layer = self.direction if self._settings.layer == LAYER_OF_DIRECTION else self._settings.layer
        self.stop = way[0].code if way and self._settings.progress != NO_KEY else self._settings.stop

    def _note(self, code: int, value: int, reason: int = 0) -> None:
        """An event, unless the journal is full: taps have the first call on the last slots."""
        try:
            self._journal.event(code, reason, value=value)
        except JournalFull:
            pass

    # -- what outlives a power cut ------------------------------------------------------------------------------

    def _save(self) -> None:
        """A driver's change, kept before he is answered. Raises DutyRefused; `step` tries again."""
        self.changed += 1
        self._dirty = True
        if not self._try_to_store():
            raise DutyRefused("not_kept")

    def _try_to_store(self) -> bool:
        """A keep that fails stops no bus: the driver sees it, and it is tried again."""
        was = self.kept
        try:
            self._store()
            self.kept = True
        except FlashFault:
            self.kept = False
            self._failed_ms = self._clock.ticks_ms()
        self.changed += was != self.kept
        return self.kept

    def _store(self) -> None:
        if self._keep is not None:
            total = self.totals
            self._keep.save(
                sealed(
                    KEPT,
                    magic=_MAGIC,
                    layout=_LAYOUT,
                    direction=self.direction,
                    line=self.line,
                    stop=self.stop,
                    provisioned=self._provisioned[0],
                    reserved=bytes(2),
                    logged_in=self._logged_in,
                    driver=total.driver,
                    shift=total.number,
                    served=total.served,
                    refused=total.refused,
                    again=total.again,
                    amount_fen=total.amount_fen,
                    began_s=total.began_s,
                    meter_ride=self._meter_taken,
                    meter_fen=self.meter_fen,
                    meter_seq=self._meter_seq,
                )
            )
        self._dirty = False

    def _recall(self) -> None:
        """As it was kept. A line that the settings no longer allow, or a stop that is gone, begins anew."""
        blob = self._keep.load() if self._keep is not None else b""
        if len(blob) != KEPT.size:
            return
        kept = KEPT.unpack(blob)
        if kept.magic != _MAGIC or kept.layout != _LAYOUT or kept.crc != crc32(blob[:-4]):
            return
        self._logged_in = kept.logged_in
        self.totals = Shift(
            kept.shift, kept.driver, kept.began_s, kept.served, kept.refused, kept.again, kept.amount_fen
        )
        self._meter_taken, self.meter_fen, self._meter_seq = kept.meter_ride, kept.meter_fen, kept.meter_seq
        last = self._journal.last_paid
        if self.meter_fen and last is not None and last.seq > self._meter_seq:
            self.meter_charged()  # a taxi takes nothing but its rides
        allowed = kept.line in self._settings.lines or kept.line == self._provisioned[0]
        if kept.provisioned != self._provisioned[0] or not allowed or kept.direction >= self._settings.directions:
            return
        self.line, self.direction = kept.line, kept.direction
        self._at_first_stop()
        codes = [stop.code for stop in self._settings.stops.of(self.line, self.direction)]
        if kept.stop in codes:
            self.stop = kept.stop
