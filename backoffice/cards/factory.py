"""Several readers make cards side by side: a thread each, one store for all. backoffice/docs/cards.md

Whoever asks it to stop gets the cards in hand finished. A process that dies is started again: chip and books tell
where each card is.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from backoffice.cards.channel import WrongControlKey
from backoffice.cards.line import CardGone, Line
from backoffice.cards.making import GOOD, Maker, Outcome, Place
from backoffice.cards.watermark import RestoredDatabase
from backoffice.keys.backend import KeysError
from backoffice.store.card_states import CardsRefused
from backoffice.store.cards import DuplicateNumber, NumbersSpent, OutOfBalance
from backoffice.store.engine import Busy

REFUSED = "refused"  # the chip is none of this batch: nothing was counted

# No chip after this one would fare better.
STOPPERS = (WrongControlKey, KeysError, Busy, NumbersSpent, DuplicateNumber, OutOfBalance, RestoredDatabase)


class Station(Protocol):
    """One reader, as a person or a robot feeds it."""

    name: str

    def next_card(self, stop: threading.Event) -> Line | None:
        """Wait for a card that was not here before: its line. None: `stop` was set, or no more will come."""

    def uid(self) -> bytes:
        """Of the card on the reader; b"" where the reader does not tell."""

    def finished(self, outcome: Outcome, stop: threading.Event) -> None:
        """Show it, and wait until the card is taken out."""


class Tally(NamedTuple):
    """What a run came to. `refusal`: why it stopped before its count, or ''."""

    counts: dict[str, int]  # by Outcome.result
    duration_ms: int
    refusal: str

    @property
    def good(self) -> int:
        return self.counts.get(GOOD, 0)

    @property
    def per_minute(self) -> float:
        """Good cards a minute, all readers together."""
        return 60_000 * self.good / self.duration_ms if self.duration_ms else 0.0


class Factory:
    """One run over several stations, until `count` cards are good."""

    def __init__(
        self, maker: Maker, stations: Sequence[Station], count: int, operator: str, machine: str,
        on_outcome: Callable[[str, Outcome, Tally], None] = lambda name, outcome, tally: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._maker = maker
        self._stations = stations
        self._operator, self._machine = operator, machine
        self._on_outcome = on_outcome
        self._clock = clock
        self._free = threading.Condition()
        self._left = count  # cards nobody has in hand yet
        self._in_hand = 0
        self._counts: Counter[str] = Counter()
        self._refusal = ""
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._over = threading.Event()  # nothing more to do for a station that waits for a card
        self._started_s = clock()

    def stop(self) -> None:
        """Finish the cards in hand and take no more. From any thread, and from a signal's handler."""
        self._end()

    def run(self) -> Tally:
        """Raises what a station raised that is no matter of cards."""
        threads = [
            threading.Thread(target=self._serve, args=(station,), name=f"cards {station.name}")
            for station in self._stations
        ]
        self._started_s = self._clock()
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():  # in slices, so that a signal is heard
                    thread.join(0.2)
        finally:  # whatever interrupts us, cards in hand are finished before the store is closed
            self._end()
            for thread in threads:
                thread.join()
        if self._error:
            raise self._error
        return self._tally()

    def _end(self) -> None:
        self._stop.set()
        self._over.set()

    def _serve(self, station: Station) -> None:
        """A card first, the right to make it second: else the last one could lie on a reader that has no right."""
        try:
            while True:
                line = station.next_card(self._over)
                if line is None or not self._reserve():
                    return
                result = ""
                try:
                    result = self._one(station, line)
                finally:
                    self._give_back(result)
        except CardGone as error:  # no card was in hand: the reader itself went; the others go on
            with self._free:
                self._refusal = self._refusal or f"{station.name}: {error}"
        except BaseException as error:
            self._error = self._error or error
            self._end()
        finally:
            with self._free:
                self._free.notify_all()

    def _one(self, station: Station, line: Line) -> str:
        """The result of one card."""
        place = Place(self._operator, self._machine, station.name)
        try:
            outcome = self._maker.make(line, place, station.uid())
        except STOPPERS as error:
            with self._free:
                self._refusal = self._refusal or str(error)
            self._end()
            return REFUSED
        except CardsRefused as error:
            outcome = Outcome(REFUSED, str(error), None, "", 0)
        with self._free:
            self._counts[outcome.result] += 1
            self._on_outcome(station.name, outcome, self._tally())
            is_last = outcome.result == GOOD and not self._left
        if is_last:
            return outcome.result  # nobody puts another one in: it need not be taken out first
        try:
            station.finished(outcome, self._stop)
        except CardGone:
            return outcome.result  # it was taken out already
        return outcome.result

    def _reserve(self) -> bool:
        """Take the right to make one card; False when there is none any more."""
        with self._free:
            while not self._stop.is_set():
                if self._left:
                    self._left -= 1
                    self._in_hand += 1
                    return True
                if not self._in_hand:
                    return False
                self._free.wait(0.2)  # a card in hand may still fail
            return False

    def _give_back(self, result: str) -> None:
        with self._free:
            self._in_hand -= 1
            if result != GOOD:
                self._left += 1
            elif not self._left and not self._in_hand:
                self._over.set()
            self._free.notify_all()

    def _tally(self) -> Tally:
        return Tally(dict(self._counts), round(1000 * (self._clock() - self._started_s)), self._refusal)
