"""What every reader on a serial line does alike to find a card and to see it go: it looks, and looks again."""

from tunion.compat import const
from validator.ports import TwoCards

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from validator.ports import Clock, Target

    class Pausing(Protocol):
        """Frames on a line, as far as the waiting goes."""

        def pause(self, wait_ms: int) -> None: ...


FIELD_OFF_MS = const(6)  # a card without field for 5.1 ms has forgotten everything, ISO 14443-3
_POLL_PAUSE_MS = const(20)  # between two looks at the field


class SerialReader:
    """The waiting half of the Reader port. What a look is says the reader: `_look`, `_is_there`, `_let_go`."""

    _frames: "Pausing"
    _clock: "Clock"
    _crowd = False  # two cards were found: the field must be seen empty

    def poll(self, wait_ms: int) -> "Target | None":
        """A card in the field, activated afresh; None: none within `wait_ms`. Raises ReaderLost, TwoCards."""
        self._let_go()
        since = self._clock.ticks_ms()
        while True:
            target = self._look()
            left_ms = wait_ms - self._clock.since_ms(since)
            if target is not None or left_ms <= 0:
                return target
            self._frames.pause(min(left_ms, _POLL_PAUSE_MS))

    def removed(self, wait_ms: int) -> bool:
        """The card of the last poll has left the field; waits at most `wait_ms`. Raises ReaderLost."""
        since = self._clock.ticks_ms()
        while self._crowd_is_there() if self._crowd else self._is_there():
            left_ms = wait_ms - self._clock.since_ms(since)
            if left_ms <= 0:
                return False
            self._frames.pause(min(left_ms, _POLL_PAUSE_MS))
        self._let_go()
        return True

    def _crowd_is_there(self) -> bool:
        """Two cards were found, and the field was not seen empty since. One that stayed is not let in either."""
        self._let_go()
        try:
            self._crowd = self._look() is not None
        except TwoCards:
            return True
        return self._crowd

    if TYPE_CHECKING:  # the reader's own

        def _look(self) -> "Target | None":
            """One try to find and activate a card. Raises ReaderLost; TwoCards, with `_crowd` set."""

        def _is_there(self) -> bool:
            """The card that was found last is still in the field; False where none is held. Raises ReaderLost."""

        def _let_go(self) -> None:
            """Release the card where one is held, so that it starts afresh when found again. Raises ReaderLost."""
