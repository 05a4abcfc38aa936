"""What can happen to a card in a reader's field: it is torn away, it is slow, somebody watches.

A tear is written `NAME:when`, `NAME/occurrence:when` or `NUMBER:when`: `debit:after`, `update/2:before`, `3:before`.
Names are those of simulator.apdu.NAMES; exchanges and occurrences count from 1, over all insertions with the same
Faults. `before`: the card never sees the command. `after`: the card has done it and the answer is lost.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from simulator.apdu import NAMES, name_of

BEFORE, AFTER = "before", "after"


class Card(Protocol):
    """What a reader needs of a card or SAM."""

    @property
    def uid(self) -> bytes: ...
    @property
    def atr(self) -> bytes: ...
    def power_on(self) -> bytes: ...
    def power_off(self) -> None: ...
    def transceive(self, apdu: bytes) -> bytes: ...


class Torn(Exception):
    """The card has left the field in the middle of an exchange. No answer comes."""


class Tear(NamedTuple):
    """One tear, at the nth exchange of this name; `name` is None where all exchanges count."""

    name: str | None
    nth: int
    moment: str


def parse_tear(text: str) -> Tear:
    """Read the spelling above; raises ValueError that shows it."""
    what, colon, moment = text.partition(":")
    name, slash, occurrence = what.partition("/")
    nth = occurrence if slash else "1"
    if what.isdecimal():
        name, nth = "", what
    if not colon or moment not in (BEFORE, AFTER) or not nth.isdecimal() or int(nth) < 1:
        raise ValueError(f"{text!r} is no tear: write debit:after, update/2:before or 3:before (the third exchange)")
    if name and name not in NAMES.values():
        raise ValueError(f"{text!r}: no exchange has that name; there are {', '.join(sorted(set(NAMES.values())))}")
    return Tear(name or None, int(nth), moment)


class Faults:
    """The faults of one card, one after the other; each tear happens once.

    tear_at      spellings as above
    latency_ms   added to every exchange
    on_exchange  called with (name, number) when a command has reached the card, before the card acts on it
    on_answer    called likewise when the card has acted, before its answer leaves; either may raise Torn
    pause        waits that many seconds
    """

    def __init__(
        self,
        tear_at: Iterable[str] = (),
        latency_ms: int = 0,
        on_exchange: Callable[[str, int], None] | None = None,
        on_answer: Callable[[str, int], None] | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._tears = [parse_tear(text) for text in tear_at]
        self._latency_s = latency_ms / 1000
        self._on_exchange = on_exchange
        self._on_answer = on_answer
        self._pause = pause
        self._number = 0
        self._seen: Counter[str] = Counter()

    def exchange(self, card: Card, apdu: bytes) -> bytes:
        """One command to the card and its answer; raises Torn, and then the card has lost its power."""
        name = name_of(apdu)
        self._number += 1
        self._seen[name] += 1
        if self._latency_s:
            self._pause(self._latency_s)
        self._tear_if(card, name, BEFORE)
        if self._on_exchange:
            self._on_exchange(name, self._number)
        answer = card.transceive(apdu)
        if self._on_answer:
            self._on_answer(name, self._number)
        self._tear_if(card, name, AFTER)
        return answer

    def _tear_if(self, card: Card, name: str, moment: str) -> None:
        for tear in (Tear(None, self._number, moment), Tear(name, self._seen[name], moment)):
            if tear in self._tears:
                self._tears.remove(tear)
                card.power_off()
                raise Torn(f"torn away {moment} exchange {self._number}, {name}")
