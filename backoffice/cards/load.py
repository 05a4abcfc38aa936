"""A load: money that was paid goes onto one card, once. Ambiguity and its rule: backoffice/docs/cards.md

A MAC2 is in the books before it is on the line. From then on nobody pays back and nobody makes another one, until the
card proves by MAC1 whether its load counter advanced.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from backoffice.cards.epurse import Epurse, Refused, Unproven
from backoffice.cards.line import CardGone
from backoffice.store import card_money, card_states, cards
from backoffice.store.card_money import LoadRefused, LoadUnknown
from backoffice.store.engine import Store
from tunion import bcd

TERMINAL_BYTES = 6


class Loaded(NamedTuple):
    """A load that is on the card."""

    load_id: int
    amount_fen: int
    balance_fen: int  # after it, as the card states it
    tac: bytes | None  # None: it was proved by the counter alone


class Loader:
    """A load point. `terminal`: its number, 6 bytes BCD."""

    def __init__(self, store: Store, terminal: bytes, actor: str, clock: Callable[[], float] = time.time) -> None:
        if len(terminal) != TERMINAL_BYTES or not bcd.is_bcd(terminal):
            raise LoadRefused("a load point's number has 12 digits")
        self._store = store
        self.terminal = terminal
        self._actor = actor
        self._clock = clock

    def load(self, card: Epurse, load_id: int) -> Loaded:
        """Bring the load onto the card that was opened. Done before: says so again and does nothing.

        Raises LoadUnknown where the card left at the moment that counts: call again with the same card.
        """
        self.resolve(card)
        with self._store.reading() as db:
            ordered = card_money.load(db, load_id)
        card.require(ordered["number"])
        if ordered["state"] == card_money.WRITTEN:
            return self._as_written(load_id)
        self.require_active(card.number)
        amount_fen = ordered["amount_fen"]
        offer = card.offer(amount_fen, self.terminal)
        if offer.balance_fen + amount_fen > card_money.LOAD_FEN_MAX:
            raise LoadRefused(f"more than {card_money.LOAD_FEN_MAX} fen would be on the card: load less")
        at = bcd.stamp(int(self._clock()))
        with self._store.transaction() as db:
            try_id = card_money.authorise(db, load_id, {
                "counter": offer.counter, "balance_fen": offer.balance_fen, "terminal": self.terminal.hex(),
                "at": bcd.to_digits(at), "key_version": offer.key_version, "algorithm": offer.algorithm,
            })  # fmt: skip
        try:
            tac = card.credit(offer, amount_fen, self.terminal, at)
        except CardGone as error:
            raise LoadUnknown(
                f"the card left while load {load_id} was written: put the same card on the reader again"
            ) from error
        except Refused:
            self.resolve(card)  # its counter says it; a refusal could be anybody's
            raise
        self._end(card, try_id, tac)
        return self._as_written(load_id)

    def require_active(self, number: str) -> None:
        """Raises LoadRefused for a card that is not in its holder's hands and good."""
        with self._store.reading() as db:
            state = cards.by_number(db, number)["state"]
        if state != card_states.ACTIVE:
            raise LoadRefused(f"card {card_states.masked(number)} is {state}: it takes no money")

    def resolve(self, card: Epurse) -> str:
        """What became of the MAC2 that went out for this card: WRITTEN, NOT_WRITTEN, or '' where none did."""
        with self._store.reading() as db:
            open_try = card_money.open_try(db, card.number)
        if open_try is None:
            return ""
        proved = card.proved(self.terminal)
        if proved.counter < open_try["counter"]:
            raise Unproven("the card's load counter went back: keep the card")
        if proved.counter == open_try["counter"]:
            with self._store.transaction() as db:
                card_money.not_written(db, open_try["try_id"], self._now_s())
            return card_money.NOT_WRITTEN
        self._end(card, open_try["try_id"], card.load_proof(open_try["counter"]))
        return card_money.WRITTEN

    def _end(self, card: Epurse, try_id: int, tac: bytes | None) -> None:
        """The load counter advanced, or the card said 9000. A TAC that is wrong leaves it to the counter."""
        with self._store.reading() as db:
            row = card_money.one_try(db, try_id)
            amount_fen = card_money.load(db, row["load_id"])["amount_fen"]
        if tac is not None and not card.tac_is_right(
            tac, row["key_version"], row["algorithm"], row["balance_fen"] + amount_fen, row["counter"], amount_fen,
            bytes.fromhex(row["terminal"]), bytes.fromhex(row["at"]),
        ):  # fmt: skip
            if card.proved(self.terminal).counter == row["counter"]:
                raise Unproven("the card's TAC is wrong and its counter did not advance: keep the card")
            tac = None
        with self._store.transaction() as db:
            card_money.written(db, try_id, tac, self._actor, self._now_s())

    def _as_written(self, load_id: int) -> Loaded:
        with self._store.reading() as db:
            row = card_money.written_try(db, load_id)
        return Loaded(load_id, row["amount_fen"], row["balance_fen"] + row["amount_fen"], row["tac"])

    def _now_s(self) -> int:
        return int(self._clock())
