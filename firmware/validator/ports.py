"""What a board must offer the validator. Nothing else of the outside world is reached for.

Drivers raise the exceptions below or those of tunion.card.refusals, never OSError.
"""

from collections import namedtuple

from tunion.compat import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from tunion.record import Bytes


class ReaderLost(Exception):
    """The reader does not answer: unplugged, its daemon died, its line closed. Call `open` until it returns."""


class SamLost(Exception):
    """The SAM does not answer or is not ours. Refuse cards; call `open` until it returns."""


class Forgotten(Exception):
    """The SAM was opened since it signed and knows of no purchase. MAC2 stays unchecked; the TAC proves the debit."""


class FlashFault(Exception):
    """The flash refused: a bit that would have to be set, a page border crossed, a worn block, an I/O error."""


class TwoCards(Exception):
    """More than one card answers in the field. Charge none; wait until the field is empty."""


class GateLost(Exception):
    """The gate does not answer: unplugged, without power, its line closed. Call `connect` until it returns."""


class NetLost(Exception):
    """No connection, or it broke off. Nothing is known about the request; send it again later."""


class PanelLost(Exception):
    """A display does not answer. The others go on, and so do the taps; `open` it again now and then."""


# A card in the field. `uid` tells only "the same card within this tap": many cards show a random one.
Target = namedtuple("Target", ("uid",))

# One HTTP answer. `retry_after_s` is 0 where the server named none.
Response = namedtuple("Response", ("status", "retry_after_s", "body"))

# The card as read: what pricing, SAM and journal need of it. `product`: which application, tunion.card.product.
Identity = namedtuple("Identity", ("serial", "issuer", "city", "kind", "product"))

# What the supervisor takes of a board; each may be None.
# keep: a Keep of its own; watchdog: a Watchdog; reset_cause(): why the board started, of tunion.wire.health;
# power_failing(): the supply sags now; voltage_mv(): of the supply.
CarePorts = namedtuple("CarePorts", ("keep", "watchdog", "reset_cause", "power_failing", "voltage_mv"))

# Which way a gate opens
ENTRY, EXIT = const(1), const(2)

# What a gate's sensors and contacts saw; `value` is a way where nothing else is said.
Seen = namedtuple("Seen", ("what", "value"))
PASSED = const(1)  # one person went through
TIMED_OUT = const(2)  # nobody went through within open_s: one permit has lapsed, the flaps are shut
INTRUDED = const(3)  # a person without a permit
TAILGATED = const(4)  # a second person on one permit
WRONG_WAY = const(5)  # a person against the way that the gate was opened for; value: the way they went
JAMMED = const(6)  # value 1: the flaps do not move, and no permit is left; 0: they move again
EMERGENCY = const(7)  # the fire contact; value 1: the flaps have dropped, 0: it is over
POWER_LOST = const(8)  # of the flaps; value 1: they hold, 2: they stand open, 0: it is back
SWITCHED = const(9)  # the station's switch; value: degraded modes, bits of tunion.fare.trip

if TYPE_CHECKING:

    class Reader(Protocol):
        """The contactless reader."""

        def open(self) -> None:
            """Find and prepare the reader, again after ReaderLost. Raises ReaderLost."""

        def poll(self, wait_ms: int) -> "Target | None":
            """A card that came into the field and was activated; None: no card yet. Raises ReaderLost.

            Raises TwoCards where it sees more than one, and has activated none that can be talked to.
            """

        def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
            """One APDU and its whole answer, status word included. Raises LinkLost or ReaderLost."""

        def removed(self, wait_ms: int) -> bool:
            """The card of the last poll has left the field; waits for it at most `wait_ms`. Raises ReaderLost."""

    class Sam(Protocol):
        """The terminal's half of the proof. `terminal` is its number, 6 bytes BCD; valid after `open`, as `expiry` is:
        the last day it signs, 4 bytes BCD, b"" where that is not known.
        """

        terminal: bytes
        key_index: int

        @property
        def expiry(self) -> bytes: ...

        def open(self) -> None:
            """Reset it and read its number. Raises SamLost, naming what to do."""

        def prepare(self, card: Identity) -> None:
            """This card is at hand: what can be derived before its random number is known. Raises nothing."""

        def begin(self, offer: "Any", card: Identity, amount_fen: int, type: int, at: bytes) -> None:
            """INIT SAM FOR PURCHASE; the caller may talk to the card meanwhile. Raises SamLost, CardRefused."""

        def signed(self) -> "Any":
            """(terminal_seq, mac1) of what was begun. Raises SamLost, CardRefused for a key it lacks."""

        def check(self, mac2: bytes) -> None:
            """CREDIT SAM FOR PURCHASE, for the last `signed` only. Raises Unproven where MAC2 is wrong,
            Forgotten where the SAM was opened since.
            """

        def block_mac(self, card: Identity, challenge: bytes, command: bytes) -> "bytes | None":
            """The MAC of a secure command, or None where this SAM holds no maintenance key."""

    class Flash(Protocol):
        """Raw NOR flash. Erase sets a sector to FF, program clears bits and never crosses a page."""

        sector_bytes: int
        page_bytes: int
        program_bytes: int  # programmed at once, at a multiple of it; may be programmed again with more bits cleared
        sectors: int

        def read_into(self, address: int, buffer: "bytearray | memoryview") -> None:
            """Fill `buffer` from `address`."""

        def program(self, address: int, data: "bytes | bytearray | memoryview") -> None:
            """Clear bits so that `data` stands at `address`; durable on return. Raises FlashFault."""

        def erase(self, sector: int) -> None:
            """Set sector number `sector` to FF; durable on return. Raises FlashFault."""

    class Clock(Protocol):
        """Wall clock and milliseconds. The back office sets it, the tap path only reads it."""

        def now_s(self) -> int:
            """Seconds since 1970-01-01 UTC."""

        def quality(self) -> int:
            """clk_q: 0 never synced, 1 RTC only, 2 synced within 24 h, 3 within 1 h."""

        def now_ms(self) -> int:
            """Milliseconds since 1970-01-01 UTC; whole seconds on a board that counts no finer."""

        def step(self, by_ms: int) -> None:
            """Move to the server's time at once, also backwards."""

        def slew(self, by_ms: int) -> None:
            """Move by half a second at most: no second that was read comes again, and none runs backwards."""

        def drifts(self, ppm: int) -> None:
            """How slow the clock was found to be: a clock that drifts is worth less while nobody corrects it."""

        def ticks_ms(self) -> int:
            """Milliseconds that only grow; compare with `since_ms`."""

        def since_ms(self, then_ms: int) -> int:
            """Milliseconds from an earlier `ticks_ms` to now, across its wrap."""

    class Net(Protocol):
        """One HTTPS connection to the back office, kept open. Never blocks: `step` does a little and returns."""

        host: str

        def start(self, path: str, body: "list[Bytes]") -> None:
            """Begin a POST of a body in pieces; drops a request that is under way."""

        def get(self, path: str) -> None:
            """Begin a GET; drops a request that is under way."""

        def step(self) -> "Response | None":
            """Go on; the answer when it is whole, None before. Raises NetLost."""

        def reconnect(self) -> None:
            """Drop the connection; the next request makes a new one. Not while a request is under way."""

    class Keep(Protocol):
        """A few bytes beside the journal that outlive a power cut, replaced whole: a file, or what a chip has."""

        def load(self) -> bytes:
            """What was saved last, b"" for nothing."""

        def save(self, blob: bytes) -> None:
            """Durable on return. Raises FlashFault."""

    class Watchdog(Protocol):
        """Starts the board again when nobody feeds it. Once started it cannot be stopped."""

        def start(self, timeout_ms: int) -> None:
            """From now on `feed` must come within `timeout_ms`, or within what the chip can count, if that is less."""

        def feed(self) -> None:
            """The program makes progress."""

    class Gate(Protocol):
        """Flaps or a turnstile, with sensors that count who passes. Nothing here blocks.

        open_s  a permit that nobody uses lapses after so long
        """

        open_s: int

        def connect(self) -> None:
            """Begin again, also after GateLost: flaps shut, no permits. Raises GateLost.

            Then `step` tells EMERGENCY, JAMMED, POWER_LOST and, last, SWITCHED as they are.
            """

        def open(self, way: int) -> None:
            """One permit more: let one person through, ENTRY or EXIT. Not both ways at once. Raises GateLost."""

        def stand_open(self, ways: int) -> None:
            """Ways that anybody may go, ENTRY | EXIT; 0: none. Raises GateLost."""

        def step(self) -> "Seen | None":
            """What was seen next; None: nothing more for now. Raises GateLost."""

    class Panel(Protocol):
        """What the passenger sees and hears."""

        def show(self, what: str, **details: "int | str") -> None:
            """One message of validator.messages, with the details that its sentences name. Raises PanelLost."""

    class Beeper(Protocol):
        """What is heard. Returns at once."""

        def sound(self, pattern_ms: "tuple[int, ...]") -> None:
            """On, off, on ... for so many milliseconds; drops what is still sounding. () is silence."""

    class Lamp(Protocol):
        """One lamp with colours: "off", "green", "yellow", "red"."""

        def light(self, colour: str) -> None:
            """Until told otherwise."""

    class Screen(Protocol):
        """A character display. `rows` lines of `columns` half-width columns; `chinese`: it has the characters."""

        rows: int
        columns: int
        chinese: bool

        def open(self) -> None:
            """Start it, also after PanelLost. Raises PanelLost."""

        def show(self, lines: "tuple[str, ...]") -> None:
            """All lines anew; what does not fit is cut off. Raises PanelLost."""

    class DriverPanel(Protocol):
        """What the driver sees of his duty."""

        def show(self, duty: "Any") -> None:
            """The duty as it is now (validator.duty.Duty)."""
