"""A validator on a board that has nothing but itself: from power on to the office's order to start anew.

Where it cannot start, or crashes, it says why and feeds the watchdog no more: each reset is another try, and the
supervisor counts them.
"""

import gc
import sys

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
from tunion.compat import const
from validator import app
from validator.cells import ForeignFlash
from validator.crash import places_of
from validator.drivers.driver_panels import DriverText
from validator.drivers.https import Https
from validator.drivers.keep_nor import KeepNor
from validator.drivers.panel_text import PanelText
from validator.drivers.tls_line import TlsLine
from validator.duty import DutyParts
from validator.ports import CarePorts, FlashFault
from validator.settings import BadSettings, Settings
from validator.statistics import Meter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boards.common.protocols import LoneBoard
    from validator.drivers.sam_uart import SamLine
    from validator.ports import Flash
    from validator.settings import FlashArea, ListsArea, ParamsArea

_BOOT_GARBAGE_BYTES = const(4096)  # so much of it, and it is collected: what stays lies together, not all over the heap
_NEVER = const(-1)
_TURNS_A_COLLECTION = const(8)
_KEEP_SECTORS = const(2)
_SECTOR_BYTES = const(4096)
_PAGE_BYTES = const(256)


def run(board: "LoneBoard", watchdog_ms: int) -> None:
    """Until it is to start anew; the caller resets the board. Does not return where it cannot start, nor from a crash.

    watchdog_ms  while it starts; then the settings say
    """
    gc.threshold(_BOOT_GARBAGE_BYTES)
    board.watchdog.start(watchdog_ms)
    try:
        settings = Settings(board.device_file())
        ports = make_ports(board, settings)
        validator = app.build(ports, settings)
    except (BadSettings, ForeignFlash, FlashFault) as problem:
        say("fault", part="start", detail=str(problem))
        starve()
    except Exception as error:
        tell_crash(error)
        starve()
    peak = [0]  # of what was in use after a collection

    def figures() -> "dict[str, Any]":
        found = statistics(validator, ports.meter, board)
        found["heap_peak"] = max(peak[0], found["heap_used"])
        return found

    orders = Orders(validator, figures, DriverText(sys.stdout.write, ports.clock, board.dumps))
    commands = Commands(board.console)
    gc.collect()
    gc.threshold(_NEVER)
    turns = wait_ms = 0
    try:
        while not orders.reboot:
            orders.obey(commands.next(wait_ms))
            wait_ms = orders.turn()
            turns += 1
            if turns == _TURNS_A_COLLECTION:  # small, so that no large one is needed in a tap, or finds only pieces
                turns = 0
                gc.collect()
                peak[0] = max(peak[0], gc.mem_alloc())
    except Exception as error:
        validator.crashed(error)
        tell_crash(error)
        starve()


def tell_crash(error: Exception) -> None:
    """Type and places, for who reads along. Not its text: it may hold a card's number or a key."""
    places = ", ".join(["%s:%d" % place for place in places_of(error)])
    say("fault", part="crash", detail="%s in %s" % (type(error).__name__, places or "?"))


def starve() -> None:
    """The watchdog ends this."""
    while True:
        pass


def make_ports(board: "LoneBoard", settings: Settings) -> "Any":
    """The parts that the settings name. Raises BadSettings."""
    clock = board.clock()
    server = settings.server
    reader = make_reader(board, settings, clock)
    lines: dict[str, SamLine] = {}

    def flash(area: "FlashArea | ListsArea | ParamsArea") -> "Flash":
        return board.flash(area.path, area.sector_bytes, area.page_bytes, area.sectors)

    def keep(name: str) -> KeepNor:
        return KeepNor(board.flash(name, _SECTOR_BYTES, _PAGE_BYTES, _KEEP_SECTORS))

    return app.Ports(
        reader=reader,
        sam=lambda next_seq, part=settings.sam: make_sam(board, part, clock, next_seq, reader, lines),
        flash=flash(settings.flash),
        params_flash=flash(settings.params) if settings.params is not None else None,
        lists_flash=flash(settings.lists) if settings.lists is not None else None,
        clock=clock,
        net=Https(TlsLine(server.address, make_dial(board, settings, clock), (server.pin,)), settings.host, clock),
        panel=PanelText(sys.stdout.write, clock, board.dumps),
        below=board.below,
        heap_free=lambda: board.heap()[1],
        meter=Meter(Microseconds(board.time)) if settings.statistics else None,
        keep=keep("keep"),
        gate=make_gate(board, settings, clock),
        duty=DutyParts(keep("duty"), make_gps(board, settings, clock), make_meter(board, settings, clock)),
        care=CarePorts(
            keep=keep("care"),
            watchdog=board.watchdog,
            reset_cause=board.reset_cause,
            power_failing=None,
            voltage_mv=None,
        ),
    )
