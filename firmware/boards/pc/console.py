"""A validator on a PC: parts that its settings name, commands on stdin, one JSON object a line on stdout.

    grey    cards that have not come back will not: {"what": "grey", "claims": n}
    drain   send all that waits, then {"what": "drained"}
    stats   {"what": "stats", ...}

and the driver's keys (validator.duty_words), each answered {"what": "driver", "word": "ok", "zh": "...", "en": "..."}:

    login 1234   logout   line 5   direction   stop +   stop -   riders 3   duty   help
    repair entry 101   repair exit 105   repair off   ride 11 14

His panel is a line {"what": "duty", ...} at the start, after each of his words, and when something on it changes.

It ends with 0, between two taps, when stdin is closed or on SIGTERM or SIGINT; with 1 where it cannot start, with 2
when it is called wrongly, with 3 when it wants to start again: the office asked for it, or safe mode ends. After a
crash, which it notes beside the journal, it ends with 4; a program that hangs is ended by SIGALRM, its watchdog. What
started it starts it again then, as boards/pc/restart.sh does, and says why in the environment: YKT_RESET_CAUSE is
power, watchdog, brown_out or software; unset: not known. Over a flash that holds something else it says so, takes no
card, and ends as above, with 1.
"""

import json
import os
import sys

from boards.pc.clock import SystemClock
from boards.pc.commands import Commands
from boards.pc.spi_file import SpiFile
from tunion.compat import const
from tunion.wire import health
from validator import app, duty_words
from validator.cells import ForeignFlash
from validator.crash import places_of
from validator.drivers.driver_panels import DriverPanels, DriverScreen, DriverText
from validator.drivers.https import Https
from validator.drivers.keep_file import KeepFile
from validator.drivers.nor_file import NorFile
from validator.drivers.panel_text import PanelText
from validator.drivers.tls_line import TlsLine
from validator.duty import DutyParts
from validator.ports import CarePorts, FlashFault
from validator.ring import JournalFull
from validator.settings import BadSettings, Settings
from validator.statistics import Meter

CAUSE_VARIABLE = "YKT_RESET_CAUSE"
STAND_STILL_WAIT_MS = const(500)  # between two looks for a signal, where nothing else is to be done

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from boards.pc.clock import Time
    from validator.drivers.pcsc import Pcsc
    from validator.drivers.sam_uart import Line, SamUart
    from validator.ports import Clock, DriverPanel, Panel, Reader, Sam, Screen, Watchdog
    from validator.settings import FlashArea, ListsArea, ParamsArea

    class Signals(Protocol):
        def arrived(self) -> bool:
            """SIGTERM or SIGINT has come."""

    class Board(Protocol):
        """What interpreter and libraries bring. Each is asked for only when it is needed: some load a driver."""

        command: str  # that starts it, for the usage line

        @property
        def time(self) -> Time:
            """MicroPython's module of that name, or what stands for it."""

        def signals(self) -> Signals:
            """From now on SIGTERM and SIGINT wait until they are asked for."""

        def watchdog(self) -> Watchdog:
            """Ends this process when it is not fed."""

        def pcsc(self) -> Pcsc:
            """The PC/SC library. Raises OSError where it is not installed."""

        def line(self, path: str, speed: int = 115200, form: str = "8N1") -> Line:
            """A tty; forms are 8N1, 8N2 and 8E2."""

        def aes_cbc_decrypt(self, key: bytes, iv: bytes, blocks: bytes) -> bytes:
            """Whole blocks of 16 bytes to the same; for the soft SAM's blob."""

        def dumps(self, value: Any) -> str:
            """To JSON, Chinese as it is."""

        def heap(self) -> "tuple[int, int]":
            """Bytes used and free, garbage collected."""


REBOOT = 3  # exit codes
CRASH = 4


def main(board: "Board", arguments: "list[str]") -> int:
    """Run until told to end; returns the exit code.

    arguments  as in sys.argv: the program, the provisioning file
    """
    if len(arguments) != 2:
        sys.stderr.write("usage: %s DEVICE_CBOR\n" % board.command)
        return 2
    path = arguments[1]
    signals = board.signals()
    try:
        with open(path, "rb") as file:
            settings = Settings(file.read())
        ports = make_ports(board, settings)
    except (BadSettings, FlashFault, OSError) as problem:
        sys.stderr.write("%s: %s\n" % (path, problem))
        return 1
    try:
        validator = app.build(ports, settings)
    except (BadSettings, ForeignFlash, FlashFault, OSError) as problem:
        sys.stderr.write("%s: %s\n" % (path, problem))
        if isinstance(problem, ForeignFlash):
            stand_still(ports, str(problem), Commands(), signals)
        return 1
    except Exception as error:
        return tell_crash(error)
    try:
        run(
            validator,
            Commands(),
            signals,
            lambda: statistics(validator, ports.meter, board),
            make_driver_panel(board, settings, ports.clock),
        )
    except Exception as error:
        validator.crashed(error)
        return tell_crash(error)
    return REBOOT if validator.reboot else 0


def tell_crash(error: Exception) -> int:
    """Type and places, for who reads along. Not its text, as in the record: it may hold a card's number or a key.

    returns  the exit code
    """
    places = ["%s:%d" % place for place in places_of(error)]
    sys.stderr.write("crash: %s in %s\n" % (type(error).__name__, ", ".join(places) or "?"))
    return CRASH


def run(
    validator: app.Validator, commands: Commands, signals: "Signals", figures: "Any", driver_panel: "DriverPanel"
) -> None:
    """Turn after turn; commands in between. `figures()` answers `stats`."""
    draining = False
    wait_ms = 0
    told = -1  # the duty's `changed` when its panel was shown
    while True:
        command = commands.next(wait_ms)
        if commands.ended or signals.arrived() or validator.reboot:
            return
        if command == b"grey":
            say("grey", claims=give_up(validator))
        elif command == b"drain":
            draining = True
        elif command == b"stats":
            say("stats", **figures())
        elif command:
            driver_said(validator, command)
            told = -1
        validator.sync.hurry = draining
        wait_ms = validator.step()
        if told != validator.duty.changed:
            told = validator.duty.changed
            driver_panel.show(validator.duty)
        if draining and validator.sync.is_drained():
            draining = False
            say("drained")


def driver_said(validator: app.Validator, command: bytes) -> None:
    """A driver's key; a word that is none is answered with those that are."""
    try:
        words = command.decode().split()
    except UnicodeError:
        words = []
    word, zh, en = duty_words.said(validator.duty, words)
    if word == "unknown":
        say("unknown", known="grey drain stats " + duty_words.KNOWN, zh=zh, en=en)
    else:
        say("driver", word=word, zh=zh, en=en)


def stand_still(ports: "Any", found: str, commands: Commands, signals: "Signals") -> None:
    """The flash holds something else: say so, take no card, touch nothing, until somebody has looked at it."""
    ports.panel.show("fault", part="flash", detail=found)
    while not commands.ended and not signals.arrived():
        ports.care.watchdog.feed()
        if commands.next(STAND_STILL_WAIT_MS):
            say("unknown", known="")


def give_up(validator: app.Validator) -> int:
    """End of the shift; -1 where the flash does not let us."""
    try:
        return validator.give_up_open_claims()
    except (FlashFault, JournalFull):
        return -1


def make_ports(board: "Board", settings: Settings) -> "Any":
    """The parts that the settings name. Nothing is opened but the flash image. Raises FlashFault, OSError."""
    clock = SystemClock(board.time)
    area = settings.flash
    server = settings.server
    reader = make_reader(board, settings, clock)
    return app.Ports(
        reader=reader,
        sam=lambda next_seq: make_sam(board, settings, clock, next_seq, reader),
        flash=make_flash(area),
        params_flash=make_flash(settings.params) if settings.params is not None else None,
        lists_flash=make_flash(settings.lists) if settings.lists is not None else None,
        clock=clock,
        net=Https(TlsLine(server.address, server.port, (server.pin,)), settings.host, clock),
        panel=make_panel(board, settings, clock),
        below=below,
        heap_free=lambda: board.heap()[1],
        meter=Meter(Microseconds(board.time)) if settings.statistics else None,
        keep=KeepFile(area.path + ".keep"),
        duty=DutyParts(
            KeepFile(area.path + ".duty"), make_gps(board, settings, clock), make_meter(board, settings, clock)
        ),
        care=CarePorts(
            keep=KeepFile(area.path + ".care"),
            watchdog=board.watchdog(),
            reset_cause=reset_cause,
            power_failing=None,  # a PC does not see it coming
            voltage_mv=None,
        ),
    )


def make_panel(board: "Board", settings: Settings, clock: "Clock") -> "Panel":
    """Lines of text, and the displays that the settings name. Raises OSError where one has no path."""
    text = PanelText(sys.stdout.write, clock, board.dumps)
    shown = [display for display in settings.panel if display.shows == "passenger"]
    if not shown:
        return text
    from validator.drivers.panels import Panels, ScreenPanel

    return Panels(tuple([text] + [ScreenPanel(make_screen(board, each.path), clock) for each in shown]))


def make_driver_panel(board: "Board", settings: Settings, clock: "Clock") -> "DriverPanel":
    """Lines of text, and the displays that the settings name. Raises OSError where one has no path."""
    panels: list[DriverPanel] = [DriverText(sys.stdout.write, clock, board.dumps)]
    for display in settings.panel:
        if display.shows == "driver":
            panels.append(DriverScreen(make_screen(board, display.path)))
    return DriverPanels(tuple(panels))


def make_screen(board: "Board", path: str) -> "Screen":
    """An ST7920 behind a spidev. Its pauses are a busy wait: 80 us are shorter than any sleep."""
    from validator.drivers.lcd_st7920 import St7920

    return St7920(SpiFile(path), Microseconds(board.time).wait_us)


def make_gps(board: "Board", settings: Settings, clock: "Clock") -> "Any":
    """The receiver that the settings name, or None."""
    if not settings.duty.gps:
        return None
    from validator.drivers.nmea import Nmea

    return Nmea(board.line(settings.duty.gps["path"], settings.duty.gps["speed"]), clock)


def make_meter(board: "Board", settings: Settings, clock: "Clock") -> "Any":
    """The taxi meter that the settings name, or None."""
    if not settings.duty.meter:
        return None
    from validator.drivers.taxi_meter import TaxiMeter

    profile = settings.duty.profile
    return TaxiMeter(board.line(settings.duty.meter["path"], profile.speed), clock, profile)


def reset_cause() -> int:
    """As the environment says."""
    word = os.getenv(CAUSE_VARIABLE)
    return health.CAUSES.index(word) if word in health.CAUSES else health.UNKNOWN


def make_flash(area: "FlashArea | ListsArea | ParamsArea") -> NorFile:
    """The image that an area of the settings names. Raises FlashFault."""
    return NorFile(area.path, area.sector_bytes, area.page_bytes, area.sectors)


def make_reader(board: "Board", settings: Settings, clock: "Clock") -> "Reader":
    """Behind pcscd, or on a tty. Only the driver that is used is loaded: 10 to 20 kB of heap each."""
    part = settings.reader
    if part.driver == "pcsc":
        from validator.drivers.pcsc import PcscReader

        return PcscReader(board.pcsc(), part.name)
    if part.driver == "stx_etx":
        from validator.drivers.stx_etx import StxEtx

        return StxEtx(board.line(part.path, part.profile.speed), clock, part.profile)
    if part.driver == "ccid":
        from validator.drivers.ccid_serial import CcidReader

        return CcidReader(board.line(part.path, form="8N2"), clock, part.slot)
    from validator.drivers.pn532 import Pn532

    return Pn532(board.line(part.path), clock)


def make_sam(board: "Board", settings: Settings, clock: "Clock", next_seq: int, reader: "Any" = None) -> "Sam":
    """In a slot behind pcscd, of the serial reader or of a UART, or in software."""
    if settings.sam.driver in ("reader", "uart"):
        from validator.drivers.sam_slot import SamSlot

        if settings.sam.driver == "reader":
            return SamSlot(reader.slot(settings.sam.slot), clock)
        return SamSlot(make_uart_slot(board, settings.sam, clock), clock)
    if settings.sam.driver == "psam":
        from validator.drivers.pcsc import PcscSlot
        from validator.drivers.sam_slot import SamSlot

        return SamSlot(PcscSlot(board.pcsc(), settings.sam.name), clock)
    from validator.drivers.soft_sam import SoftSam

    return SoftSam(settings.sam.blob, settings.sam.storage_key, board.aes_cbc_decrypt, clock, next_seq)


def make_uart_slot(board: "Board", part: "Any", clock: "Clock") -> "SamUart":
    """A slot on a tty whose pins are a second one."""
    from boards.pc.sam_pins import LinePins
    from validator.drivers.sam_uart import SamLine, SamUart

    pins = LinePins(board.line(part.pins))
    wire = SamLine(board.line(part.path, 9600, "8E2"), pins, clock, speed_max=part.speed_max, echo=part.echo)
    return SamUart(wire, clock, part.slot)


class Microseconds:
    """The Stopwatch of validator.statistics."""

    def __init__(self, time: "Time") -> None:
        self._time = time
        self.ticks_us = time.ticks_us

    def since_us(self, then_us: int) -> int:
        """Across its wrap."""
        return self._time.ticks_diff(self.ticks_us(), then_us)

    def wait_us(self, wait_us: int) -> None:
        """Busy."""
        then_us = self.ticks_us()
        while self.since_us(then_us) < wait_us:
            pass


def below(limit: int) -> int:
    """A random number from 0 to limit-1, limit at most 2^32. The bias of the remainder is below 2^-32."""
    return int.from_bytes(os.urandom(8), "big") % limit


def statistics(validator: app.Validator, meter: "Meter | None", board: "Board") -> "dict[str, Any]":
    """Figures since boot. Times only where the settings ask for them."""
    used, free = board.heap()
    figures: dict[str, Any] = {
        "taps": validator.taps,
        "card_exchanges": validator.tap.card_exchanges,
        "sam_exchanges": validator.tap.sam_exchanges,
        "heap_used": used,
        "heap_free": free,
        "waiting": validator.journal.waiting,
        "rejected": validator.journal.rejected,
        "fill_permille": validator.journal.fill_permille(),
    }
    if meter is not None:
        for name, (times, total_us) in meter.figures.items():
            figures[name + "_times"] = times
            figures[name + "_us"] = total_us
    return figures


def say(what: str, **details: "Any") -> None:
    """A line of our own among the panel's."""
    details["what"] = what
    sys.stdout.write(json.dumps(details) + "\n")
