"""The Beeper and Lamp ports over pins. A pin is a function that takes True for on."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.ports import Clock

    Pin = Callable[[bool], object]


class Buzzer:
    """A buzzer that sounds while its pin is on. A timer of the board, or its loop, calls `step` each 20 ms or so."""

    def __init__(self, pin: "Pin", clock: "Clock") -> None:
        self._pin = pin
        self._clock = clock
        self._pattern: tuple[int, ...] = ()
        self._at = 0
        self._since_ms = 0
        pin(False)

    def sound(self, pattern_ms: "tuple[int, ...]") -> None:
        """From now on; drops what is still sounding."""
        self._pattern = pattern_ms
        self._at = 0
        self._since_ms = self._clock.ticks_ms()
        self._pin(bool(pattern_ms))

    def step(self) -> None:
        """Switch the pin where its time has come. A step that comes late cuts nothing short: the next part is whole."""
        if self._at < len(self._pattern) and self._clock.since_ms(self._since_ms) >= self._pattern[self._at]:
            self._at += 1
            self._since_ms = self._clock.ticks_ms()
            self._pin(self._at < len(self._pattern) and self._at % 2 == 0)


class Leds:
    """A red and a green LED behind one lens; both are yellow."""

    def __init__(self, red: "Pin", green: "Pin") -> None:
        self._red = red
        self._green = green
        self.light("off")

    def light(self, colour: str) -> None:
        """Raises KeyError for a colour that a lamp has not: our bug."""
        red, green = {"off": (0, 0), "green": (0, 1), "yellow": (1, 1), "red": (1, 0)}[colour]
        self._red(bool(red))
        self._green(bool(green))
