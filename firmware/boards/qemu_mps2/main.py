"""A validator on the emulated board. Console on its first serial line: words in, a JSON object a line out, as on a PC.

The device file lies in the flash, so one ROM image serves all devices and holds no key. Where it cannot start it says
why and stops feeding the watchdog: each reset is another try.
"""

import gc
import sys

from boards.common.commands import Commands
from boards.common.orders import Orders, say
from boards.common.wiring import Microseconds, make_dial, make_reader, make_sam, statistics
from boards.qemu_mps2.board import Clock, QemuBoard, Watchdog, below
from boards.qemu_mps2.flash import NorFlash, device_file
from tunion.compat import const
from validator import app
from validator.cells import ForeignFlash
from validator.drivers.https import Https
from validator.drivers.keep_flash import KeepFlash
from validator.drivers.panel_text import PanelText
from validator.drivers.tls_line import TlsLine
from validator.ports import FlashFault
from validator.settings import BadSettings, Settings
from validator.statistics import Meter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.settings import FlashArea, ListsArea, ParamsArea

WATCHDOG_MS = const(30000)  # a SAM in trouble is given 3 s an exchange, and its opening has five
_BOOT_GARBAGE_BYTES = const(4096)  # so much of it, and it is collected: what stays lies together, not all over the heap
_NEVER = const(-1)
_TURNS_A_COLLECTION = const(8)
_KEEP_SECTORS = const(2)
_SECTOR_BYTES = const(4096)
_PAGE_BYTES = const(256)


def run(watchdog_ms: int = WATCHDOG_MS) -> None:
    """Until the office asks for a reboot; the caller resets the board. Does not return where it cannot start."""
    gc.threshold(_BOOT_GARBAGE_BYTES)
    watchdog = Watchdog()
    watchdog.start(watchdog_ms)
    board = QemuBoard()
    try:
        settings = Settings(device_file())
        ports = make_ports(board, settings)
        validator = app.build(ports, settings)
    except (BadSettings, ForeignFlash, FlashFault) as problem:
        say("fault", part="start", detail=str(problem))
        while True:
            pass
    peak = [0]  # of what was in use after a collection

    def figures() -> "dict[str, Any]":
        found = statistics(validator, ports.meter, board)
        found["heap_peak"] = max(peak[0], found["heap_used"])
        return found

    orders = Orders(validator, figures)
    commands = Commands(sys.stdin.buffer)
    gc.collect()
    gc.threshold(_NEVER)
    turns = taps = wait_ms = 0
    while not orders.reboot:
        watchdog.feed()
        orders.obey(commands.next(wait_ms))
        wait_ms = orders.turn()
        turns += 1
        if turns == _TURNS_A_COLLECTION or validator.taps != taps:  # after a tap, so that none is needed in the next
            turns, taps = 0, validator.taps
            gc.collect()
            peak[0] = max(peak[0], gc.mem_alloc())


def make_ports(board: QemuBoard, settings: Settings) -> "Any":
    """The parts that the settings name. Raises BadSettings."""
    clock = Clock()
    server = settings.server
    reader = make_reader(board, settings, clock)
    return app.Ports(
        reader=reader,
        sam=lambda next_seq: make_sam(board, settings, clock, next_seq, reader),
        flash=make_flash(settings.flash),
        params_flash=make_flash(settings.params) if settings.params is not None else None,
        lists_flash=make_flash(settings.lists) if settings.lists is not None else None,
        clock=clock,
        net=Https(TlsLine(server.address, make_dial(board, settings, clock), (server.pin,)), settings.host, clock),
        panel=PanelText(sys.stdout.write, clock, board.dumps),
        below=below,
        heap_free=lambda: board.heap()[1],
        meter=Meter(Microseconds(board.time)) if settings.statistics else None,
        keep=KeepFlash(NorFlash("keep", _SECTOR_BYTES, _PAGE_BYTES, _KEEP_SECTORS)),
    )


def make_flash(area: "FlashArea | ListsArea | ParamsArea") -> NorFlash:
    """The part of the flash that an area of the settings names. Raises BadSettings."""
    return NorFlash(area.path, area.sector_bytes, area.page_bytes, area.sectors)
