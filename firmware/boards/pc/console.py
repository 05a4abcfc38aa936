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

import os
import sys

from boards.common.clock import SystemClock
from boards.common.commands import Commands
from boards.common.orders import Orders, say
from boards.common.wiring import (
    Microseconds,
    make_dial,
    make_gate,
    make_gps,
    make_meter,
    make_reader,
    make_sam,
    statistics,
)
from boards.pc.spi_file import SpiFile
from tunion.compat import const
from tunion.wire import health
from validator import app
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
from validator.settings import BadSettings, Settings
from validator.statistics import Meter

CAUSE_VARIABLE = "YKT_RESET_CAUSE"
_STDIN = const(0)
STAND_STILL_WAIT_MS = const(500)  # between two looks for a signal, where nothing else is to be done

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boards.common.protocols import Board, PcBoard, Signals
    from validator.drivers.sam_uart import SamLine
    from validator.ports import Clock, DriverPanel, Panel, Screen
    from validator.settings import FlashArea, ListsArea, ParamsArea

REBOOT = 3  # exit codes
CRASH = 4


def main(board: "PcBoard", arguments: "list[str]") -> int:
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
            stand_still(ports, str(problem), stdin(), signals)
        return 1
    except Exception as error:
        return tell_crash(error)
    try:
        driver_panel = make_driver_panel(board, settings, ports.clock)
        run(Orders(validator, lambda: statistics(validator, ports.meter, board), driver_panel), stdin(), signals)
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


def run(orders: Orders, commands: Commands, signals: "Signals") -> None:
    """Turn after turn; commands in between."""
    wait_ms = 0
    while True:
        command = commands.next(wait_ms)
        if commands.ended or signals.arrived() or orders.reboot:
            return
        orders.obey(command)
        wait_ms = orders.turn()


def stdin() -> Commands:
    """sys.stdin would read ahead, past what a poll knows of."""
    return Commands(open(_STDIN, "rb", buffering=0))


def stand_still(ports: "Any", found: str, commands: Commands, signals: "Signals") -> None:
    """The flash holds something else: say so, take no card, touch nothing, until somebody has looked at it."""
    ports.panel.show("fault", part="flash", detail=found)
    while not commands.ended and not signals.arrived():
        ports.care.watchdog.feed()
        if commands.next(STAND_STILL_WAIT_MS):
            say("unknown", known="")


def make_ports(board: "PcBoard", settings: Settings) -> "Any":
    """The parts that the settings name. Nothing is opened but the flash image. Raises FlashFault, OSError."""
    clock = SystemClock(board.time)
    area = settings.flash
    server = settings.server
    reader = make_reader(board, settings, clock)
    lines: dict[str, SamLine] = {}
    return app.Ports(
        reader=reader,
        sam=lambda next_seq, part=settings.sam: make_sam(board, part, clock, next_seq, reader, lines),
        flash=make_flash(area),
        params_flash=make_flash(settings.params) if settings.params is not None else None,
        lists_flash=make_flash(settings.lists) if settings.lists is not None else None,
        clock=clock,
        net=Https(TlsLine(server.address, make_dial(board, settings, clock), (server.pin,)), settings.host, clock),
        panel=make_panel(board, settings, clock),
        below=below,
        heap_free=lambda: board.heap()[1],
        meter=Meter(Microseconds(board.time)) if settings.statistics else None,
        keep=KeepFile(area.path + ".keep"),
        gate=make_gate(board, settings, clock),
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


def reset_cause() -> int:
    """As the environment says."""
    word = os.getenv(CAUSE_VARIABLE)
    return health.CAUSES.index(word) if word in health.CAUSES else health.UNKNOWN


def make_flash(area: "FlashArea | ListsArea | ParamsArea") -> NorFile:
    """The image that an area of the settings names. Raises FlashFault."""
    return NorFile(area.path, area.sector_bytes, area.page_bytes, area.sectors)


def below(limit: int) -> int:
    """A random number from 0 to limit-1, limit at most 2^32. The bias of the remainder is below 2^-32."""
    return int.from_bytes(os.urandom(8), "big") % limit
