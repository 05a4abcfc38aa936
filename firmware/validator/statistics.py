"""Where the time of a tap goes: ports that measure themselves. In use only when the settings ask for statistics."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from validator.ports import Flash, Identity, Reader, Sam, Target

    class Stopwatch(Protocol):
        def ticks_us(self) -> int: ...
        def since_us(self, then_us: int) -> int: ...


class Meter:
    """Microseconds added up by name while `in_tap`, and how often. `figures` is {name: (times, total_us)}."""

    def __init__(self, watch: "Stopwatch") -> None:
        self._watch = watch
        self.in_tap = False
        self.figures: dict[str, tuple[int, int]] = {}

    def start(self) -> int:
        """To be given to `stop`."""
        return self._watch.ticks_us()

    def stop(self, name: str, started_us: int) -> None:
        """Count what went by since `start`."""
        if not self.in_tap:
            return
        times, total_us = self.figures.get(name, (0, 0))
        self.figures[name] = (times + 1, total_us + self._watch.since_us(started_us))


class MeteredReader:
    """The reader; exchanges count as "reader"."""

    def __init__(self, reader: "Reader", meter: Meter) -> None:
        self._reader = reader
        self._meter = meter
        self.open = reader.open
        self.removed = reader.removed

    def poll(self, wait_ms: int) -> "Target | None":
        """Not counted: it waits for passengers."""
        return self._reader.poll(wait_ms)

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        """Counted also when the card leaves."""
        started_us = self._meter.start()
        try:
            return self._reader.transceive(apdu, wait_ms)
        finally:
            self._meter.stop("reader", started_us)


class MeteredSam:
    """The SAM; all but `block_mac` counts as "sam": crypto of a soft SAM, driver and waiting of a real one."""

    def __init__(self, sam: "Sam", meter: Meter) -> None:
        self._sam = sam
        self._meter = meter
        self.terminal = bytes(6)
        self.key_index = 0

    def open(self) -> None:
        """As the SAM's."""
        self._sam.open()
        self.terminal = self._sam.terminal
        self.key_index = self._sam.key_index

    @property
    def expiry(self) -> bytes:
        """As the SAM's."""
        return self._sam.expiry

    def prepare(self, card: "Identity") -> None:
        """As the SAM's."""
        started_us = self._meter.start()
        self._sam.prepare(card)
        self._meter.stop("sam", started_us)

    def begin(self, offer: "Any", card: "Identity", amount_fen: int, type: int, at: bytes) -> None:
        """As the SAM's."""
        started_us = self._meter.start()
        try:
            self._sam.begin(offer, card, amount_fen, type, at)
        finally:
            self._meter.stop("sam", started_us)

    def signed(self) -> "Any":
        """As the SAM's."""
        started_us = self._meter.start()
        try:
            return self._sam.signed()
        finally:
            self._meter.stop("sam", started_us)

    def check(self, mac2: bytes) -> None:
        """As the SAM's."""
        started_us = self._meter.start()
        try:
            self._sam.check(mac2)
        finally:
            self._meter.stop("sam", started_us)

    def block_mac(self, card: "Identity", challenge: bytes, command: bytes) -> "bytes | None":
        """Not counted: no part of a tap that pays."""
        return self._sam.block_mac(card, challenge, command)


class MeteredFlash:
    """The flash; programming counts as "flash"."""

    def __init__(self, flash: "Flash", meter: Meter) -> None:
        self._flash = flash
        self._meter = meter
        self.sector_bytes = flash.sector_bytes
        self.page_bytes = flash.page_bytes
        self.program_bytes = flash.program_bytes
        self.sectors = flash.sectors
        self.read_into = flash.read_into
        self.erase = flash.erase

    def program(self, address: int, data: "bytes | bytearray | memoryview") -> None:
        """As the flash's."""
        started_us = self._meter.start()
        self._flash.program(address, data)
        self._meter.stop("flash", started_us)
