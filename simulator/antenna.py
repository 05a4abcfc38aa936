"""The field of a reader that activates cards by itself: what lies in it, and whether the reader talks to it."""

import threading
from collections.abc import Callable

from simulator.card import NotPowered
from simulator.field import Card, Faults, Torn
from simulator.randomness import RandomSpent


class Antenna:
    """One card at a time, between `insert` and `remove`.

    left    set while no card is in the field, also after a tear
    torn    the last card left by a tear
    error   why the last card stopped otherwise than by leaving: its given random numbers were spent
    active  the card has been activated and nothing has gone wrong since
    crowd   another card lies beside the first: both answer at once, and none can be activated
    """

    def __init__(self, on_left: Callable[[], object] = lambda: None) -> None:
        self._on_left = on_left
        self.left = threading.Event()
        self.left.set()
        self.torn = False
        self.error: Exception | None = None
        self.active = False
        self.crowd = False
        self._card: Card | None = None
        self._faults = Faults()
        self._field = True

    @property
    def card(self) -> Card | None:
        """What lies in the field."""
        return self._card

    def insert(self, card: Card, faults: Faults | None = None) -> None:
        """Lay the card on the antenna."""
        if self._card is not None:
            raise ValueError("the field holds a card: remove it first")
        self._card, self._faults = card, faults or Faults()
        self.active, self.torn, self.error = False, False, None
        self.left.clear()

    def remove(self) -> None:
        """Take the card away. Nothing there: no effect."""
        if self._card is not None:
            self._card.power_off()
        self._card, self.active = None, False
        self.left.set()

    def switch(self, on: bool) -> None:
        """The field. Without it a card forgets everything."""
        if not on:
            self.halt()
        self._field = on

    def halt(self) -> None:
        """The card is let go of, and starts afresh when it is activated again."""
        if self._card is not None:
            self._card.power_off()
        self.active = False

    def find(self) -> Card | None:
        """The card, if one answers a search: an active one does not."""
        return self._card if self._field and not self.active and not self.crowd else None

    def activate(self) -> Card | None:
        """The card, powered: it may be talked to. None: no card answers."""
        card = self.find()
        if card is not None:
            card.power_on()
            self.active = True
        return card

    def exchange(self, apdu: bytes) -> bytes | None:
        """One APDU and its answer; None: the card did not answer, and is active no more."""
        if self._card is None or not self.active:
            return None
        try:
            return self._faults.exchange(self._card, apdu)
        except Torn:
            self.torn = True
            self._leave()
        except NotPowered:              # it was taken away in this very exchange
            self.active = False
        except RandomSpent as error:
            self.error = error
            self._leave()
        return None

    def _leave(self) -> None:
        self._card, self.active = None, False
        self.left.set()
        self._on_left()
