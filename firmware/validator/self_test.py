"""What is in order and what is not: at the start, when the parts had their first chance, and when the office asks.

Nothing of it touches a passenger's record: the journal's flash proves itself with each entry, which is read back; what
is written here is the black box, beside the journal.
"""

from tunion import bcd
from tunion.compat import const
from tunion.wire import health
from tunion.wire import tap as wire
from validator.journal import ALARM_PERMILLE
from validator.supervisor import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.journal import Journal
    from validator.list_stores import Lists
    from validator.params import Params
    from validator.ports import Clock, Panel
    from validator.settings import Settings
    from validator.supervisor import Supervisor

RELEASED_S = const(1735689600)  # 2025-01-01 UTC, moved on with a release: a clock that shows less is wrong
SAM_WARNING_S = const(30 * 86400)  # a SAM that expires within it has to be replaced soon
SETTLE_S = const(60)  # so long the first test waits for the office's time
_CLOCK_UNKNOWN = const(0)
_DAY_BYTES = const(4)  # of a stamp: YYYYMMDD


class SelfTest:
    """`run` when asked; `is_due` once after the start."""

    def __init__(
        self,
        supervisor: "Supervisor",
        journal: "Journal",
        sam: "Any",
        params: "Params | None",
        lists: "Lists | None",
        clock: "Clock",
        panel: "Panel",
        heap_free: "Callable[[], int]",
        settings: "Settings",
    ) -> None:
        """sam: the driver's own. heap_free(): bytes, after a garbage collection."""
        self._supervisor = supervisor
        self._journal = journal
        self._sam = sam
        self._params = params
        self._lists = lists
        self._clock = clock
        self._panel = panel
        self._heap_free = heap_free
        self._settings = settings
        self._first = True  # not done yet

    def is_due(self) -> bool:
        """The first test: reader and SAM were tried, and the clock was set or had its time for that."""
        supervisor = self._supervisor
        if not self._first or supervisor.failing:
            return False
        if supervisor.stage == health.NORMAL and not all([part.tried for part in supervisor.parts]):
            return False
        return self._clock.quality() != _CLOCK_UNKNOWN or supervisor.up_s >= SETTLE_S

    def run(self) -> int:
        """What is not in order, bits of tunion.wire.health; if any, journaled and shown. Raises FlashFault."""
        if not self._first:  # else they were opened just now
            for part in self._supervisor.parts:
                part.test()
        self._first = False
        found = self._parts() | self._sam_card() | self._time() | self._memory() | self._stores()
        self._supervisor.found = found
        if found:
            note(self._journal, wire.SELF_TEST, found)
            self._panel.show("self_test", found=found)
        return found

    def _parts(self) -> int:
        """Not up: lost, or never opened because of safe mode."""
        reader, sam = self._supervisor.parts
        return (0 if reader.up else health.READER) | (0 if getattr(sam, "whole", sam.up) else health.SAM)

    def _sam_card(self) -> int:
        found = 0
        if self._settings.production and self._has_test_keys():
            found |= health.SAM_TEST_KEYS
        expiry: bytes = self._sam.expiry
        if expiry and self._clock.quality() != _CLOCK_UNKNOWN:
            if bcd.stamp(self._clock.now_s() + SAM_WARNING_S)[:_DAY_BYTES] > expiry:
                found |= health.SAM_EXPIRES
        return found

    def _has_test_keys(self) -> bool:
        """Of a SAM, or of one of several: validator.sams."""
        return bool(getattr(self._sam, "test_keys", getattr(self._sam, "test", False) is True))

    def _time(self) -> int:
        if self._clock.quality() == _CLOCK_UNKNOWN:
            return health.CLOCK
        return health.CLOCK_EARLY if self._clock.now_s() < RELEASED_S else 0

    def _memory(self) -> int:
        found = 0
        if self._journal.fill_permille() >= ALARM_PERMILLE:
            found |= health.MEMORY
        if self._journal.retired:
            found |= health.FLASH_WORN
        if not self._supervisor.box.save():
            found |= health.KEEP_FORGETS
        if self._heap_free() < self._settings.care.heap_low_bytes:
            found |= health.HEAP
        return found

    def _stores(self) -> int:
        found = 0
        if self._params is not None and not self._params.is_intact():
            found |= health.PARAMS_DAMAGED
        for store in self._lists.stores if self._lists is not None else ():
            found |= health.LIST_DAMAGED if store.damaged else 0
            found |= health.LIST_OLD if store.is_old() else 0
        return found
