"""A contactless reader in process: the validator's Reader port straight onto a simulated card, without a wire.

As with the readers on a wire, a card lies in the field between `insert` and `remove`, and `unplug` is what pulling the
cable is to them. Threads may insert and remove while the validator polls.
"""

import threading

from simulator.card import NotPowered
from simulator.field import Card, Faults, Torn
from tunion.card.refusals import LinkLost
from validator.ports import ReaderLost, Target, TwoCards


class FieldReader:
    """The Reader port, and the hand that lays cards on it.

    left   set while no card is in the field, also after a tear
    """

    def __init__(self) -> None:
        self.left = threading.Event()
        self.left.set()
        self._moved = threading.Condition()     # of what is in the field, and of the cable
        self._card: Card | None = None
        self._second: Card | None = None        # beside it
        self._crowd = False                     # two were found, and the field has not been empty since
        self._faults = Faults()
        self._active: Card | None = None        # the card of the last poll, until it leaves
        self._plugged = True
        self._open = False

    def insert(self, card: Card, faults: Faults | None = None) -> None:
        """Lay the card on the antenna."""
        with self._moved:
            if self._card is not None:
                raise ValueError("the field holds a card: remove it first")
            self._card, self._faults = card, faults or Faults()
            self.left.clear()
            self._moved.notify_all()

    def insert_beside(self, card: Card | None) -> None:
        """Lay a second card beside the first; None: take it away again. `remove` takes both."""
        with self._moved:
            self._second = card

    def remove(self) -> None:
        """Take the card away. Nothing there: no effect."""
        with self._moved:
            self._second, self._crowd = None, False
            if self._card is not None:
                self._card.power_off()
            self._card = self._active = None
            self.left.set()
            self._moved.notify_all()

    def unplug(self) -> None:
        """Pull the cable."""
        with self._moved:
            self._plugged = self._open = False
            self._moved.notify_all()

    def plug(self) -> None:
        """Put the cable back; the reader must be opened again."""
        with self._moved:
            self._plugged = True

    # --- the Reader port

    def open(self) -> None:
        with self._moved:
            if not self._plugged:
                raise ReaderLost("the reader in process is unplugged: plug it in")
            self._open = True
            self._let_go()

    def poll(self, wait_ms: int) -> Target | None:
        with self._moved:
            self._must_be_open()
            self._let_go()
            self._moved.wait_for(lambda: self._card is not None or not self._open, wait_ms / 1000)
            self._must_be_open()
            if self._card is None:
                return None
            self._crowd = self._second is not None
            if self._crowd:
                raise TwoCards("two cards in the field")
            self._active = self._card
            self._active.power_on()
            return Target(self._active.uid)

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        with self._moved:
            self._must_be_open()
            if self._active is None:
                raise LinkLost("no card is active in the field")
            try:
                return self._faults.exchange(self._active, bytes(apdu))
            except Torn:
                self.remove()
                raise LinkLost("the card was torn away") from None
            except NotPowered:
                self._active = None
                raise LinkLost("the card has lost its power") from None

    def removed(self, wait_ms: int) -> bool:
        with self._moved:
            self._must_be_open()
            self._moved.wait_for(lambda: self._is_clear() or not self._open, wait_ms / 1000)
            self._must_be_open()
            return self._is_clear()

    def _is_clear(self) -> bool:
        return self._active is None and not self._crowd

    def _must_be_open(self) -> None:
        if not self._open:
            raise ReaderLost("the reader in process is not open, or was unplugged: plug it in and open it")

    def _let_go(self) -> None:
        if self._active is not None:
            self._active.power_off()
        self._active = None
