"""Virtual panels as tests read them, and as a terminal shows them."""

import json
import re
from typing import Any

import pytest

from simulator.rig.panels import INNER, LivePanels, VirtualPanel, width
from support.bus import settings
from support.manual_clock import ManualClock
from tunion.fare import decision
from tunion.wire import reason
from validator import messages
from validator.drivers.driver_panels import DriverText
from validator.drivers.panel_text import PanelText
from validator.duty import Duty

DETAILS: dict[str, Any] = {
    "fare_fen": 200, "balance_fen": 4805, "marked_fen": 600, "part": "sam", "reason": reason.DENIED, "found": 3,
}  # fmt: skip


def line(what: str, **details: Any) -> dict[str, Any]:
    """As a validator writes it."""
    written: list[str] = []
    PanelText(written.append, ManualClock()).show(what, **details)
    found: dict[str, Any] = json.loads(written[0])
    return found


def duty_line() -> dict[str, Any]:
    class NoJournal:
        def event(self, *told: Any, **more: Any) -> None:
            pass

    written: list[str] = []
    duty = Duty(settings(), NoJournal(), ManualClock())     # type: ignore[arg-type]
    duty.login(1234)
    DriverText(written.append, ManualClock()).show(duty)
    found: dict[str, Any] = json.loads(written[0])
    return found


class Terminal:
    """What a terminal makes of the output: lines, cursor up, erase below. Colours are dropped."""

    def __init__(self) -> None:
        self.lines = [""]
        self._at = 0

    def write(self, text: str) -> int:
        for piece in re.findall(r"\x1b\[\d+A|\x1b\[J|\r|\n|[^\x1b\r\n]+|\x1b", re.sub(r"\x1b\[[\d;]*m", "", text)):
            if piece == "\n":
                self._at += 1
                if self._at == len(self.lines):
                    self.lines.append("")
            elif piece == "\x1b[J":
                del self.lines[self._at + 1 :]
                self.lines[self._at] = ""
            elif piece.endswith("A") and piece.startswith("\x1b["):
                self._at -= int(piece[2:-1])
                assert self._at >= 0, "the cursor left the screen"
            elif piece == "\x1b":
                raise AssertionError(f"an escape that no terminal was told of: {text!r}")
            elif piece != "\r":
                assert self.lines[self._at] == "", "written over"
                self.lines[self._at] = self.lines[self._at] + piece
        return len(text)

    def flush(self) -> None:
        pass


def test_a_panel_shows_the_message_large_with_lamp_and_beep():
    panel = VirtualPanel("A-101")
    assert panel.heard(line("paid", fare_fen=200, balance_fen=4805, kind=2))
    assert panel.render() == [
        "┌────────────────────────┐",
        "│ A-101          green ● │",
        "│ 扣款2.00元             │",
        "│ 余额48.05元            │",
        "│ Paid 2.00              │",
        "│ Left 48.05             │",
        "│ ♪ ♪                    │",
        "└────────────────────────┘",
    ]


@pytest.mark.parametrize("what", messages.WHAT)
def test_every_message_is_drawn_within_the_walls(what: str):
    panel = VirtualPanel("A-101")
    panel.heard(duty_line())
    assert panel.heard(line(what, **DETAILS))
    for colour in (False, True):
        rows = [re.sub(r"\x1b\[[\d;]*m", "", row) for row in panel.render(colour)]
        assert {width(row) for row in rows} == {INNER + 4}
    assert "司机1234" in "".join(panel.render())


@pytest.mark.parametrize("number", [*reason.WORDS, *map(reason.of_case, decision.CASES), 250])
def test_every_refusal_is_red_long_and_in_words(number: int):
    panel = VirtualPanel("A-101")
    panel.heard(line("refused", reason=number, sw=0))
    said = messages.message("refused", {"reason": number})
    assert panel.passenger == said.large_zh + said.large_en
    assert (panel.led, panel.beep) == ("red", "long")


def test_what_is_no_panels_line_changes_nothing_and_without_power_it_is_dark():
    panel = VirtualPanel("A-101")
    panel.heard(line("ready"))
    before = panel.render()
    for other in ({"what": "stats", "taps": 4}, {"what": "drained"}, {}):
        assert not panel.heard(other)
    assert panel.render() == before
    assert panel.heard({"what": "ended"})
    assert panel.passenger == ("", "", "", "") and panel.led == "off"


@pytest.mark.parametrize(("columns", "rows"), [(80, 8), (40, 16), (26, 16)])
def test_the_terminal_shows_the_newest_panels_below_what_was_said(columns: int, rows: int):
    terminal = Terminal()
    live = LivePanels(terminal, ("A-101", "B-207"), columns)    # type: ignore[arg-type]
    live.say("first\nsecond")
    for what in messages.WHAT:
        live.heard("A-101", line(what, **DETAILS))
        live.heard("B-207", line("ready"))
    live.say("third")
    assert terminal.lines[:3] == ["first", "second", "third"]
    shown = terminal.lines[3:]
    assert len(shown) == rows + 1 and shown[-1] == ""
    last = VirtualPanel("x")
    last.heard(line(messages.WHAT[-1], **DETAILS))
    assert last.passenger[0] in "".join(shown) and "请刷卡" in "".join(shown)
    live.end()
    live.heard("B-207", line("tap_again"))      # begins below, over nothing
    assert len(terminal.lines) == 3 + 2 * rows + 1


def test_a_terminal_that_is_too_narrow_shows_what_is_said_only():
    terminal = Terminal()
    live = LivePanels(terminal, ("A-101",), 25)     # type: ignore[arg-type]
    live.heard("A-101", line("ready"))
    live.say("said")
    assert terminal.lines == ["said", ""]


def test_a_driver_panel_that_appears_makes_the_box_higher_and_leaves_nothing_behind():
    terminal = Terminal()
    live = LivePanels(terminal, ("A-101", "B-207"), 80)     # type: ignore[arg-type]
    live.heard("A-101", line("ready"))
    live.heard("B-207", duty_line())
    live.heard("B-207", duty_line())
    assert len(terminal.lines) == 13 + 1
