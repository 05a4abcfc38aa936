"""A card with two applications, each with its own files, purse, counter, log and keys. SELECT by name says which one.

Both are whole simulated cards; this routes between them. What one has begun is gone when the other is selected.
"""

import dataclasses

from simulator import card_files
from simulator.card import NotPowered, Persist, SimCard
from simulator.image import CardImage
from simulator.randomness import Random
from tunion.card.files import PPSE_NAME, SELECT

_CARD_BLOCKED = b"\x6a\x81"
_SELECTED = (b"\x90\x00", b"\x62\x83", b"\x62\x84", b"\x6a\x81")       # last: blocked, and selected all the same


class DualCard:
    """One card, two applications: `first` and `second`. `image` is what it keeps."""

    def __init__(self, image: CardImage, random: Random | None = None, persist: Persist | None = None) -> None:
        assert image.second is not None, "a card with one application is a SimCard"
        self._persist = persist
        self.first = SimCard(dataclasses.replace(image, second=None), random, self._stored_first)
        self.second = SimCard(image.second, random, self._stored_second)
        self._at = self.first
        self._powered = False

    @property
    def image(self) -> CardImage:
        """Of both."""
        return dataclasses.replace(self.first.image, second=self.second.image)

    @property
    def uid(self) -> bytes:
        """One chip, one UID: the first application's image says it."""
        return self.first.uid

    @property
    def ats(self) -> bytes:
        return self.first.ats

    @property
    def atr(self) -> bytes:
        return self.first.atr

    def power_on(self) -> bytes:
        """Enter a field: nothing is selected, nothing is pending."""
        self._powered = True
        self._at = self.first
        self.second.power_on()
        return self.first.power_on()

    def power_off(self) -> None:
        self._powered = False
        self.first.power_off()
        self.second.power_off()

    def transceive(self, apdu: bytes) -> bytes:
        """One command, one answer with its status word. Raises NotPowered, RandomSpent."""
        if not self._powered:
            raise NotPowered("the card is not in a field: call power_on first")
        if "card" in (self.first.image.blocked, self.second.image.blocked):
            return _CARD_BLOCKED
        if apdu[:4] != SELECT.head:
            return self._at.transceive(apdu)
        name = apdu[5 : 5 + apdu[4]] if len(apdu) > 5 else b""
        if card_files.named(PPSE_NAME, name):
            self._select(self.first, apdu)
            return card_files.ppse_answer(self.first.image.aid, self.second.image.aid) + b"\x90\x00"
        for one in (self.first, self.second):
            if card_files.named(one.image.aid, name):
                return self._select(one, apdu)
        return self._at.transceive(apdu)  # it knows neither, and stays as it was

    def _select(self, one: SimCard, apdu: bytes) -> bytes:
        """A SELECT that fails leaves everything as it was."""
        answer = one.transceive(apdu)
        if answer[-2:] in _SELECTED:
            self._at = one  # what the other has begun is out of reach, and gone when it is selected again
        return answer

    def _stored_first(self, after: CardImage) -> None:
        if self._persist:
            self._persist(dataclasses.replace(after, second=self.second.image))

    def _stored_second(self, after: CardImage) -> None:
        if self._persist:
            self._persist(dataclasses.replace(self.first.image, second=after))


def card_of(image: CardImage, random: Random | None = None, persist: Persist | None = None) -> SimCard | DualCard:
    """The card that an image describes."""
    return SimCard(image, random, persist) if image.second is None else DualCard(image, random, persist)
