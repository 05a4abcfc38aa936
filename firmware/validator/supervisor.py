"""Keeps reader and SAM going: says what failed, opens it again with a growing wait, says when it is back.

The rest of the validator goes on meanwhile: the journal keeps, sync sends.
"""

from tunion.compat import const
from tunion.wire import tap as wire
from validator.ports import ReaderLost, SamLost
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.journal import Journal
    from validator.ports import Clock, Panel

OPEN_WAIT_FIRST_MS = const(250)  # a cable pushed back in is noticed at once
OPEN_WAIT_MAX_MS = const(8000)  # a dead part costs one look in this time


class Part:
    """One part of the validator: `up`, or lost and looked for.

    name           as the panel knows it
    open_again     raises ReaderLost or SamLost while there is nothing to open
    lost, back     event codes, journaled on the way down and up
    number         the events' value, where there are several of a kind
    """

    def __init__(
        self,
        name: str,
        open_again: "Callable[[], None]",
        lost: int,
        back: int,
        journal: "Journal",
        clock: "Clock",
        panel: "Panel",
        number: int = 0,
    ) -> None:
        self._number = number
        self._name = name
        self._open = open_again
        self._lost = lost
        self._back = back
        self._journal = journal
        self._clock = clock
        self._panel = panel
        self._reported = False
        self._tried_ms = 0
        self._wait_ms = 0
        self.up = False

    def fail(self, fault: Exception) -> None:
        """It was lost. Reported once, until it is back."""
        self.up = False
        self._tried_ms = self._clock.ticks_ms()
        self._wait_ms = min(OPEN_WAIT_MAX_MS, max(OPEN_WAIT_FIRST_MS, 2 * self._wait_ms))
        if not self._reported:
            self._reported = True
            note(self._journal, self._lost, self._number)
            self._panel.show("fault", part=self._name, detail=str(fault))

    def revive(self) -> bool:
        """Open it if its time has come; True while it is up."""
        if self.up or self._clock.since_ms(self._tried_ms) < self._wait_ms:
            return self.up
        try:
            self._open()
        except (ReaderLost, SamLost) as fault:
            self.fail(fault)
            return False
        self.up = True
        self._wait_ms = 0
        if self._reported:
            self._reported = False
            note(self._journal, self._back, self._number)
            self._panel.show("back", part=self._name)
        return True


def reader_part(open_again: "Callable[[], None]", journal: "Journal", clock: "Clock", panel: "Panel") -> Part:
    """The reader, not opened yet."""
    return Part("reader", open_again, wire.READER_LOST, wire.READER_BACK, journal, clock, panel)


def sam_part(
    open_again: "Callable[[], None]", journal: "Journal", clock: "Clock", panel: "Panel", number: int = 0
) -> Part:
    """The SAM, not opened yet. number: 0 the common one, those of single applications from 1."""
    return Part("sam", open_again, wire.SAM_LOST, wire.SAM_BACK, journal, clock, panel, number)


def note(journal: "Journal", code: int, value: int = 0) -> None:
    """An event, unless the journal is full: taps have the first call on the last slots, and the panel tells too."""
    try:
        journal.event(code, value=value)
    except JournalFull:
        pass
