"""The parts that a device's settings name, made over what its board brings. Nothing is opened here.

Only the driver that is used is loaded: 10 to 20 kB of heap each.
"""

from validator.settings import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boards.common.clock import Time
    from boards.common.protocols import Board
    from validator.app import Validator
    from validator.drivers.sam_uart import SamLine, SamUart
    from validator.drivers.tls_line import Dial
    from validator.ports import Clock, Gate, Reader, Sam
    from validator.settings import Part, Settings
    from validator.statistics import Meter


def make_reader(board: "Board", settings: "Settings", clock: "Clock") -> "Reader":
    """Behind pcscd, or on a serial line."""
    part = settings.reader
    if part.driver == "pcsc":
        from validator.drivers.pcsc import PcscReader

        return PcscReader(board.pcsc(), part.name)
    if part.driver == "stx_etx":
        from validator.drivers.stx_etx import StxEtx

        return StxEtx(board.line(part.path, part.profile.speed), clock, part.profile, board.switch("reader"))
    if part.driver == "ccid":
        from validator.drivers.ccid_serial import CcidReader

        return CcidReader(board.line(part.path, form="8N2"), clock, part.slot)
    from validator.drivers.pn532 import Pn532

    return Pn532(board.line(part.path), clock)


def make_sam(
    board: "Board", part: "Part", clock: "Clock", next_seq: int, reader: "Any", lines: "dict[str, SamLine]"
) -> "Sam":
    """In a slot behind pcscd, of the serial reader or of a UART, or in software.

    lines  path -> line of SAMs: slots on one line share it
    """
    if part.driver in ("reader", "uart"):
        from validator.drivers.sam_slot import SamSlot

        if part.driver == "reader":
            return SamSlot(reader.slot(part.slot), clock)
        return SamSlot(make_uart_slot(board, part, clock, lines), clock)
    if part.driver == "psam":
        from validator.drivers.pcsc import PcscSlot
        from validator.drivers.sam_slot import SamSlot

        return SamSlot(PcscSlot(board.pcsc(), part.name), clock)
    from validator.drivers.soft_sam import SoftSam

    return SoftSam(part.blob, part.storage_key, board.aes_cbc_decrypt, clock, next_seq)


def make_uart_slot(board: "Board", part: "Any", clock: "Clock", lines: "dict[str, SamLine]") -> "SamUart":
    """A slot on a serial line."""
    from validator.drivers.sam_uart import SamLine, SamUart

    if part.path not in lines:
        line, pins = board.line(part.path, 9600, "8E2"), board.pins(part.pins)
        lines[part.path] = SamLine(line, pins, clock, speed_max=part.speed_max, echo=part.echo)
    return SamUart(lines[part.path], clock, part.slot)


def make_dial(board: "Board", settings: "Settings", clock: "Clock") -> "Dial":
    """Through the modem that the settings name, or the board's own network. Raises BadSettings where it has neither."""
    server = settings.server
    if settings.modem is None:
        return board.dial(server.address, server.port)
    if not board.tls_takes_lines:
        raise BadSettings("modem: this board's TLS takes sockets only; run it on the unix board")
    from validator.drivers.modem import Modem

    line = board.line(settings.modem.path, settings.modem.profile.speed)
    return Modem(line, clock, settings.modem.profile, server.address, server.port, board.switch("modem"))


def make_gate(board: "Board", settings: "Settings", clock: "Clock") -> "Gate | None":
    """Flaps on a serial line, or none."""
    part = settings.gate
    if part.driver == "none":
        return None
    from validator.drivers.gate_serial import SerialGate

    return SerialGate(board.line(part.path), clock, part.open_s)


def make_gps(board: "Board", settings: "Settings", clock: "Clock") -> "Any":
    """The receiver that the settings name, or None."""
    if not settings.duty.gps:
        return None
    from validator.drivers.nmea import Nmea

    return Nmea(board.line(settings.duty.gps["path"], settings.duty.gps["speed"]), clock)


def make_meter(board: "Board", settings: "Settings", clock: "Clock") -> "Any":
    """The taxi meter that the settings name, or None."""
    if not settings.duty.meter:
        return None
    from validator.drivers.taxi_meter import TaxiMeter

    profile = settings.duty.profile
    return TaxiMeter(board.line(settings.duty.meter["path"], profile.speed), clock, profile)


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


def statistics(validator: "Validator", meter: "Meter | None", board: "Board") -> "dict[str, Any]":
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
