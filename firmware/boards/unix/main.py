"""A validator on a PC, under MicroPython: micropython -m boards.unix.main DEVICE_CBOR

Panel messages go to stdout, one JSON object a line. Commands come from stdin, one word a line:

    grey    cards that have not come back will not: {"what": "grey", "claims": n}
    drain   send all that waits, then {"what": "drained"}
    stats   {"what": "stats", ...}

It ends with 0, between two taps, when stdin is closed or on SIGTERM or SIGINT; with 1 where it cannot start.
"""

import gc
import json
import os
import select
import sys
import time

import ffi

from boards.unix.clock import UnixClock
from boards.unix.signals import TerminationSignals
from tunion.compat import const
from validator import app
from validator.drivers.https import Https
from validator.drivers.nor_file import NorFile
from validator.drivers.panel_text import PanelText
from validator.drivers.tls_line import TlsLine
from validator.ports import FlashFault
from validator.ring import ForeignFlash, JournalFull
from validator.settings import BadSettings, Settings
from validator.statistics import Meter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from validator.drivers.pcsc import Pcsc
    from validator.ports import Clock, Reader, Sam

_PCSC_LIBRARY = "libpcsclite.so.1"
_LINE_BYTES_MAX = const(64)  # commands are words; a longer line is dropped


class Microseconds:
    """The Stopwatch of validator.statistics."""

    def ticks_us(self) -> int:
        """A count that wraps."""
        return time.ticks_us()

    def since_us(self, then_us: int) -> int:
        """Across its wrap."""
        return time.ticks_diff(time.ticks_us(), then_us)


class Commands:
    """Lines of stdin, without waiting. `ended`: no more will come."""

    def __init__(self, signals: TerminationSignals) -> None:
        self._signals = signals
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._poll.register(signals.file, select.POLLIN)
        self._line = b""
        self.ended = False

    def next(self, wait_ms: int) -> str:
        """One whole line; "" when none came within `wait_ms`."""
        for stream, _ in self._poll.poll(wait_ms):
            if stream is self._signals.file:
                self.ended = True
            else:
                self._read_ahead()
        line, newline, rest = self._line.partition(b"\n")
        if not newline:
            return ""
        self._line = rest
        return line.decode().strip()

    def _read_ahead(self) -> None:
        """What has arrived, byte by byte: a longer read would wait for its end."""
        only_stdin = select.poll()
        only_stdin.register(sys.stdin, select.POLLIN)
        while only_stdin.poll(0):
            byte = sys.stdin.buffer.read(1)
            if not byte:
                self.ended = True
                return
            self._line = (self._line + byte)[-_LINE_BYTES_MAX:]


def main(path: str) -> int:
    """Run until told to end; returns the exit code."""
    signals = TerminationSignals(ffi.open(None))
    try:
        with open(path, "rb") as file:
            settings = Settings(file.read())
        ports = make_ports(settings)
        validator = app.build(ports, settings)
    except (BadSettings, ForeignFlash, FlashFault, OSError) as problem:
        sys.stderr.write("%s: %s\n" % (path, problem))
        return 1
    run(validator, Commands(signals), ports)
    return 0


def run(validator: app.Validator, commands: Commands, ports: "Any") -> None:
    """Turn after turn; commands in between."""
    draining = False
    wait_ms = 0
    while True:
        command = commands.next(wait_ms)
        if commands.ended:
            return
        if command == "grey":
            say("grey", claims=give_up(validator))
        elif command == "drain":
            draining = True
        elif command == "stats":
            say("stats", **statistics(validator, ports))
        elif command:
            say("unknown", known="grey drain stats")
        validator.sync.hurry = draining
        wait_ms = validator.step()
        if draining and validator.sync.is_drained():
            draining = False
            say("drained")


def give_up(validator: app.Validator) -> int:
    """End of the shift; -1 where the flash does not let us."""
    try:
        return validator.give_up_open_claims()
    except (FlashFault, JournalFull):
        return -1


def make_ports(settings: Settings) -> "Any":
    """The parts that the settings name. Nothing is opened but the flash image. Raises FlashFault, OSError."""
    clock = UnixClock(time)
    area = settings.flash
    server = settings.server
    return app.Ports(
        reader=make_reader(settings, clock),
        sam=lambda next_seq: make_sam(settings, clock, next_seq),
        flash=NorFile(area.path, area.sector_bytes, area.page_bytes, area.sectors),
        clock=clock,
        net=Https(TlsLine(server.address, server.port, (server.pin,)), settings.host, clock),
        panel=PanelText(sys.stdout.write, clock),
        below=below,
        heap_free=heap_free,
        meter=Meter(Microseconds()) if settings.statistics else None,
    )


def make_reader(settings: Settings, clock: "Clock") -> "Reader":
    """Behind pcscd, or a PN532 on a tty. Only the driver that is used is loaded: 10 to 20 kB of heap each."""
    if settings.reader.driver == "pcsc":
        from validator.drivers.pcsc import PcscReader

        return PcscReader(pcsc(), settings.reader.name)
    from boards.unix.serial import SerialLine
    from validator.drivers.pn532 import Pn532

    return Pn532(SerialLine(settings.reader.path), clock)


def make_sam(settings: Settings, clock: "Clock", next_seq: int) -> "Sam":
    """In a slot behind pcscd, or in software."""
    if settings.sam.driver == "psam":
        from validator.drivers.pcsc import PcscSlot
        from validator.drivers.sam_slot import SamSlot

        return SamSlot(PcscSlot(pcsc(), settings.sam.name), clock)
    from boards.unix.aes import cbc_decrypt
    from validator.drivers.soft_sam import SoftSam

    return SoftSam(settings.sam.blob, settings.sam.storage_key, cbc_decrypt, clock, next_seq)


def pcsc() -> "Pcsc":
    """libpcsclite. Raises OSError where it is not installed."""
    import uctypes

    from validator.drivers.pcsc import Pcsc

    return Pcsc(ffi.open(_PCSC_LIBRARY), uctypes.addressof)


def below(limit: int) -> int:
    """A random number from 0 to limit-1, limit at most 2^32. The bias of the remainder is below 2^-32."""
    return int.from_bytes(os.urandom(8), "big") % limit


def heap_free() -> int:
    """Bytes, garbage collected."""
    gc.collect()
    return gc.mem_free()


def statistics(validator: app.Validator, ports: "Any") -> "dict[str, Any]":
    """Figures since boot. Times only where the settings ask for them."""
    gc.collect()
    figures: dict[str, Any] = {
        "taps": validator.taps,
        "card_exchanges": validator.tap.card_exchanges,
        "sam_exchanges": validator.tap.sam_exchanges,
        "heap_used": gc.mem_alloc(),
        "heap_free": gc.mem_free(),
        "waiting": validator.journal.waiting,
        "rejected": validator.journal.rejected,
        "fill_permille": validator.journal.fill_permille(),
    }
    if ports.meter is not None:
        for name, (times, total_us) in ports.meter.figures.items():
            figures[name + "_times"] = times
            figures[name + "_us"] = total_us
    return figures


def say(what: str, **details: "Any") -> None:
    """A line of our own among the panel's."""
    details["what"] = what
    sys.stdout.write(json.dumps(details) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.stderr.write("usage: micropython -m boards.unix.main DEVICE_CBOR\n")
        sys.exit(2)
    sys.exit(main(sys.argv[1]))
