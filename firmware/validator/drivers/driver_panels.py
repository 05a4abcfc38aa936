"""The DriverPanel port: as lines of text for programs, and on a character display."""

import json

from validator import duty_words
from validator.ports import PanelLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.duty import Duty
    from validator.ports import Clock, DriverPanel, Screen


class DriverText:
    """One JSON object a line: {"at_ms": 5120, "what": "duty", "line": 5, ...}. As drivers/panel_text takes them."""

    def __init__(
        self, write: "Callable[[str], object]", clock: "Clock", dumps: "Callable[[Any], str]" = json.dumps
    ) -> None:
        self._write = write
        self._clock = clock
        self._dumps = dumps

    def show(self, duty: "Duty") -> None:
        """The duty as it is now."""
        total = duty.totals
        zh, en = duty_words.lines(duty)
        fields: list[tuple[str, Any]] = [
            ("at_ms", self._clock.ticks_ms()),
            ("what", "duty"),
            ("zh", zh),
            ("en", en),
            ("line", duty.line),
            ("direction", duty.direction),
            ("stop", duty.stop),
            ("stop_to", duty.stop_to),
            ("repair", list(duty.repair)),
            ("driver", duty.driver),
            ("ready", duty.ready),
            ("shift", duty.shift),
            ("served", total.served),
            ("refused", total.refused),
            ("again", total.again),
            ("amount_fen", total.amount_fen),
            ("riders", duty.riders),
            ("meter_fen", duty.meter_fen),
            ("kept", duty.kept),
        ]
        pairs = ["%s: %s" % (self._dumps(name), self._dumps(value)) for name, value in fields]
        self._write("{%s}\n" % ", ".join(pairs))


class DriverScreen:
    """On a display: Chinese where it has the characters."""

    def __init__(self, screen: "Screen") -> None:
        self._screen = screen
        self._open = False

    def show(self, duty: "Duty") -> None:
        """The duty as it is now. A display that is lost is opened again with the next change."""
        zh, en = duty_words.lines(duty)
        try:
            if not self._open:
                self._screen.open()
                self._open = True
            self._screen.show(zh if self._screen.chinese else en)
        except PanelLost:
            self._open = False


class DriverPanels:
    """Several as one."""

    def __init__(self, parts: "tuple[DriverPanel, ...]") -> None:
        self._parts = parts

    def show(self, duty: "Duty") -> None:
        """The duty as it is now, on each."""
        for part in self._parts:
            part.show(duty)
