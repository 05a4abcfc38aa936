"""Degraded modes (降级模式) of a station: ordered by the office, or set by the station's switch; both count.

Times at which exits stood open are remembered, so that a card that entered before may enter again: it may have left
without a tap. This device knows of its own station's times only.
"""

from tunion.compat import const
from tunion.record import is_int
from tunion.wire import command
from tunion.wire import tap as wire
from validator.ports import ENTRY, EXIT
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.duty import Duty
    from validator.journal import Journal
    from validator.ports import Clock

_ENTRY_FREE, _EXIT_FREE = const(1), const(2)  # of tunion.fare.trip, which a bus does not load
OPENED_MAX = const(8)  # times of open exits that are remembered, the newest
FOREVER_S = const(0x7FFFFFFF)  # the end of a time that is not over


class Modes:
    """`duty.modes` and `duty.opened` follow it. `office`: what the office ordered. `save` keeps both."""

    def __init__(self, duty: "Duty", journal: "Journal", clock: "Clock") -> None:
        self._duty = duty
        self._journal = journal
        self._clock = clock
        self._switch = 0
        self._burning = False
        self.office = 0
        self.save: Callable[[], object] | None = None

    def order(self, modes: int) -> None:
        """By the office."""
        self.office = modes
        self._use()

    def switch(self, modes: int) -> None:
        """By the station."""
        self._switch = modes & command.MODES_MAX
        self._use()

    def emergency(self, begins: bool) -> None:
        """Exits stand open to all, whatever the modes."""
        self._burning = begins
        self._note_exits()

    def step(self) -> None:
        """A time that began before the clock was set begins when it is."""
        self._note_exits()

    def ways_open(self) -> int:
        """Ways that stand open to all by a mode: ENTRY | EXIT."""
        modes = self._duty.modes
        return (ENTRY if modes & _ENTRY_FREE else 0) | (EXIT if modes & _EXIT_FREE else 0)

    def kept(self) -> "dict[str, Any]":
        """What outlives a restart."""
        return {"modes": self.office, "opened": [list(time) for time in self._duty.opened]}

    def recall(self, kept: "dict[str, Any]") -> None:
        """As it was kept; what cannot be is left out. Exits that stood open when the power failed stand so still."""
        opened = kept.get("opened", [])
        if isinstance(opened, list):
            good = [time for time in opened if isinstance(time, list) and len(time) == 2]
            times = [(time[0], time[1]) for time in good if is_int(time[0]) and is_int(time[1])]
            self._duty.opened = times[-OPENED_MAX:]
        modes = kept.get("modes", 0)
        if is_int(modes) and 0 <= modes <= command.MODES_MAX:
            self.office = modes
        self._duty.modes = self.office
        self._note_exits()

    def _use(self) -> None:
        modes = self.office | self._switch
        if modes == self._duty.modes:
            return
        self._duty.modes = modes
        try:
            self._journal.event(wire.MODE_CHANGED, self._switch, value=modes)
        except JournalFull:
            pass  # taps have the first call on the last slots; each of them names the modes
        self._note_exits()

    def _note_exits(self) -> None:
        """Begin or end a time of open exits, once there is a clock to tell it by."""
        if not self._clock.quality():
            return
        opened = self._duty.opened
        is_open = self._burning or bool(self._duty.modes & _EXIT_FREE)
        was_open = bool(opened) and opened[-1][1] == FOREVER_S
        if is_open == was_open:
            return
        now_s = self._clock.now_s()
        if is_open:
            opened.append((now_s, FOREVER_S))
            del opened[:-OPENED_MAX]
        else:
            opened[-1] = (opened[-1][0], max(opened[-1][0], now_s))
        if self.save is not None:
            self.save()
