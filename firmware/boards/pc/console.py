"""A validator on a PC: parts that its settings name, commands on stdin, one JSON object a line on stdout.

    grey    cards that have not come back will not: {"what": "grey", "claims": n}
    drain   send all that waits, then {"what": "drained"}
    stats   {"what": "stats", ...}

It ends with 0, between two taps, when stdin is closed or on SIGTERM or SIGINT; with 1 where it cannot start, with 2
when it is called wrongly, with 3 when the office asked for a reboot: what started it starts it again. Over a flash that
holds something else it says so, takes no card, and ends as above, with 1.
"""

import json
import os
import sys

from boards.pc.clock import SystemClock
from boards.pc.commands import Commands
from tunion.compat import const
from validator import app
from validator.cells import ForeignFlash
from validator.drivers.https import Https
from validator.drivers.keep_file import KeepFile
from validator.drivers.nor_file import NorFile
from validator.drivers.panel_text import PanelText
from validator.drivers.tls_line import TlsLine
from validator.ports import FlashFault
from validator.ring import JournalFull
from validator.settings import BadSettings, Settings
from validator.statistics import Meter

STAND_STILL_WAIT_MS = const(500)  # between two looks for a signal, where nothing else is to be done

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from boards.pc.clock import Time
    from validator.drivers.pcsc import Pcsc
    from validator.drivers.sam_uart import Line, SamUart
    from validator.ports import Clock, Reader, Sam
    from validator.settings import FlashArea, ListsArea, ParamsArea, Part

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


REBOOT = 3  # exit code


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
    run(validator, Commands(), signals, lambda: statistics(validator, ports.meter, board))
    return REBOOT if validator.commands.reboot else 0


def run(validator: app.Validator, commands: Commands, signals: "Signals", figures: "Any") -> None:
    """Turn after turn; commands in between. `figures()` answers `stats`."""
    draining = False
    wait_ms = 0
    while True:
        command = commands.next(wait_ms)
        if commands.ended or signals.arrived() or validator.commands.reboot:
            return
        if command == b"grey":
            say("grey", claims=give_up(validator))
        elif command == b"drain":
            draining = True
        elif command == b"stats":
            say("stats", **figures())
        elif command:
            say("unknown", known="grey drain stats")
        validator.sync.hurry = draining
        wait_ms = validator.step()
        if draining and validator.sync.is_drained():
            draining = False
            say("drained")


def stand_still(ports: "Any", found: str, commands: Commands, signals: "Signals") -> None:
    """The flash holds something else: say so, take no card, touch nothing, until somebody has looked at it."""
    ports.panel.show("fault", part="flash", detail=found)
    while not commands.ended and not signals.arrived():
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
        sam=lambda next_seq, part=None: make_sam(board, part or settings.sam, clock, next_seq, reader),
        flash=make_flash(area),
        params_flash=make_flash(settings.params) if settings.params is not None else None,
        lists_flash=make_flash(settings.lists) if settings.lists is not None else None,
        clock=clock,
        net=Https(TlsLine(server.address, server.port, (server.pin,)), settings.host, clock),
        panel=PanelText(sys.stdout.write, clock, board.dumps),
        below=below,
        heap_free=lambda: board.heap()[1],
        meter=Meter(Microseconds(board.time)) if settings.statistics else None,
        keep=KeepFile(area.path + ".keep"),
    )


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


def make_sam(board: "Board", part: "Part", clock: "Clock", next_seq: int, reader: "Any" = None) -> "Sam":
    """In a slot behind pcscd, of the serial reader or of a UART, or in software."""
    if part.driver in ("reader", "uart"):
        from validator.drivers.sam_slot import SamSlot

        if part.driver == "reader":
            return SamSlot(reader.slot(part.slot), clock)
        return SamSlot(make_uart_slot(board, part, clock), clock)
    if part.driver == "psam":
        from validator.drivers.pcsc import PcscSlot
        from validator.drivers.sam_slot import SamSlot

        return SamSlot(PcscSlot(board.pcsc(), part.name), clock)
    from validator.drivers.soft_sam import SoftSam

    return SoftSam(part.blob, part.storage_key, board.aes_cbc_decrypt, clock, next_seq)


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
