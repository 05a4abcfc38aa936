"""Virtual panels: what a validator's passenger and driver see, drawn in the terminal from the lines that it writes."""

import shutil
import threading
import unicodedata
from typing import Any, TextIO

from tunion.fare import decision
from tunion.wire import reason
from validator import messages

INNER = 22      # columns between the walls
_REASONS = {reason.name(number): number for number in (*reason.WORDS, *map(reason.of_case, decision.CASES))}
_MARKS = {"none": "", "one": "♪", "two": "♪ ♪", "three": "♪ ♪ ♪", "again": "♪ ♪━━", "long": "♪━━━━"}
_COLOURS = {"off": "2", "green": "1;32", "yellow": "1;33", "red": "1;31"}    # SGR
_CLEAR_BELOW = "\x1b[J"


def width(text: str) -> int:
    """Columns in a terminal; Chinese takes two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


class VirtualPanel:
    """One validator. `heard` takes its lines; `render` is what stands on it now, plain or with colours.

    passenger, driver   the lines of text; driver is () until there is something to see
    led, beep           as messages.Message has them
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.passenger: tuple[str, ...] = ("", "", "", "")
        self.driver: tuple[str, ...] = ()
        self.led = messages.OFF
        self.beep = "none"

    def heard(self, line: dict[str, Any]) -> bool:
        """One JSON object of the validator; True if the panel changed.

        {"what": "ended"} is its power going; lines that are no panel's change nothing.
        """
        what = line.get("what")
        if what == "duty":
            before, self.driver = self.driver, tuple(line["zh"])
            return before != self.driver
        if what == "ended":
            self.passenger, self.driver = ("", "", "", ""), ()
            self.led, self.beep = messages.OFF, "none"
            return True
        if what not in messages.WHAT:
            return False
        said = messages.message(what, details_of(line))
        self.passenger = said.large_zh + said.large_en
        self.led, self.beep = line["led"], line["beep"]
        return True

    def render(self, colour: bool = False) -> list[str]:
        """A box; every line has INNER + 4 columns."""
        lamp = f"\x1b[{_COLOURS[self.led]}m●\x1b[0m" if colour else {"off": "○"}.get(self.led, "●")
        word = "" if colour else self.led
        head = f"{self.name}{' ' * (INNER - width(self.name) - width(word) - 2)}{word} {lamp}"
        rows = [f"│ {head} │", *(_row(text) for text in self.passenger), _row(_MARKS[self.beep])]
        if self.driver:
            rows += [f"├{'─' * (INNER + 2)}┤", *(_row(text) for text in self.driver)]
        return [f"┌{'─' * (INNER + 2)}┐", *rows, f"└{'─' * (INNER + 2)}┘"]


def details_of(line: dict[str, Any]) -> dict[str, Any]:
    """The details of a message, from its line: reasons go out by name."""
    details = dict(line)
    if "reason" in details:
        name = str(details["reason"])
        details["reason"] = _REASONS[name] if name in _REASONS else int(name.rpartition("_")[2])
    return details


class LivePanels:
    """Several panels side by side at the bottom of a terminal; what else is said scrolls above them.

    columns  of the terminal; None: ask it. Narrower than one panel it draws none

    Lines come from the threads that listen to the validators.
    """

    def __init__(self, out: TextIO, names: tuple[str, ...], columns: int | None = None) -> None:
        self._out = out
        self._panels = {name: VirtualPanel(name) for name in names}
        self._columns = columns or shutil.get_terminal_size().columns
        self._drawn = 0     # lines on the screen now
        self._lock = threading.Lock()

    def heard(self, name: str, line: dict[str, Any]) -> None:
        """One line of a validator."""
        with self._lock:
            if self._panels[name].heard(line):
                self._draw()

    def say(self, text: str) -> None:
        """One or more lines above the panels."""
        with self._lock:
            self._erase()
            self._out.write(text + "\n")
            self._draw()

    def end(self) -> None:
        """The panels stay where they are; the next output begins below."""
        with self._lock:
            self._drawn = 0

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{self._drawn}A\r{_CLEAR_BELOW}")
            self._drawn = 0

    def _draw(self) -> None:
        if self._columns < INNER + 4:
            return      # a terminal would break each line in two
        boxes = [panel.render(colour=True) for panel in self._panels.values()]
        side_by_side = max(1, min(len(boxes), self._columns // (INNER + 5)))
        lines: list[str] = []
        for first in range(0, len(boxes), side_by_side):
            row = boxes[first : first + side_by_side]
            height = max(len(box) for box in row)
            blank = " " * (INNER + 4)
            padded = [box + [blank] * (height - len(box)) for box in row]
            lines += [" ".join(parts) for parts in zip(*padded, strict=True)]
        self._erase()
        self._out.write("".join(line + "\n" for line in lines))
        self._out.flush()
        self._drawn = len(lines)


def _row(text: str) -> str:
    return f"│ {text}{' ' * (INNER - width(text))} │"
