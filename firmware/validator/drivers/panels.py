"""Panels over smaller parts: a display, a beeper with a lamp, and several panels as one."""

from tunion.compat import const
from validator import messages
from validator.ports import PanelLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.ports import Beeper, Clock, Lamp, Panel, Screen

OPEN_WAIT_MS = const(5000)  # between two tries of a display that was lost


class ScreenPanel:
    """The Panel on a character display: large Chinese where it has the characters, English below on four lines."""

    def __init__(self, screen: "Screen", clock: "Clock") -> None:
        """The display is opened by the first message."""
        self._screen = screen
        self._clock = clock
        self._open = False
        self._tried_ms: int | None = None

    def show(self, what: str, **details: "int | str") -> None:
        """One message. Raises PanelLost when the display is lost; then it is left alone for OPEN_WAIT_MS."""
        said = messages.message(what, details)
        lines = said.large_en
        if self._screen.chinese:
            lines = said.large_zh + said.large_en if self._screen.rows >= 4 else said.large_zh
        if not self._open:
            if self._tried_ms is not None and self._clock.since_ms(self._tried_ms) < OPEN_WAIT_MS:
                return
            self._tried_ms = self._clock.ticks_ms()
            self._screen.open()
            self._open = True
        try:
            self._screen.show(lines)
        except PanelLost:
            self._open = False
            self._tried_ms = self._clock.ticks_ms()
            raise


class SignalPanel:
    """The Panel as beeps and a lamp."""

    def __init__(self, beeper: "Beeper", lamp: "Lamp") -> None:
        self._beeper = beeper
        self._lamp = lamp

    def show(self, what: str, **details: "int | str") -> None:
        """One message."""
        said = messages.message(what, details)
        self._lamp.light(said.led)
        if said.beep != "none":  # "ready" must not cut the beep of the card before
            self._beeper.sound(messages.BEEPS[said.beep])


class Panels:
    """Several panels as one. One that is lost keeps no message from the others.

    lost   how often one was lost
    """

    def __init__(self, parts: "tuple[Panel, ...]") -> None:
        self._parts = parts
        self.lost = 0

    def show(self, what: str, **details: "int | str") -> None:
        """One message, on each."""
        for part in self._parts:
            try:
                part.show(what, **details)
            except PanelLost:
                self.lost += 1
