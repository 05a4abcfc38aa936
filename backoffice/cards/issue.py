"""A card from stock goes to its holder: activated, paid for, loaded for the first time."""

import sqlite3
from typing import NamedTuple

from backoffice.cards import product as products
from backoffice.cards.epurse import Epurse
from backoffice.cards.load import Loaded, Loader
from backoffice.store import card_money, card_states, cards
from backoffice.store.card_states import CardsRefused, masked
from backoffice.store.engine import Store
from tunion import bcd


class NotForSale(CardsRefused):
    """The card cannot be given out."""


class Issued(NamedTuple):
    number: str
    deposit_fen: int
    price_fen: int
    loaded: Loaded | None


def issue(
    store: Store, card: Epurse, loader: Loader, load_fen: int, actor: str, now_s: int, even_expired: bool = False
) -> Issued:
    """The card on the reader, opened. Interrupted anywhere: call again with the same card and amount, it goes on.

    Raises NotForSale, Unproven, LoadRefused, LoadUnknown.
    """
    with store.reading() as db:
        state = cards.by_number(db, card.number)["state"]
    if state == card_states.STOCKED:
        card.proved(loader.terminal)  # before the books say that it is sold
    with store.transaction() as db:
        row = cards.by_number(db, card.number)
        if row["state"] == card_states.STOCKED:
            activate(db, row, load_fen, actor, now_s, even_expired)
            row = cards.by_number(db, card.number)
        elif row["state"] != card_states.ACTIVE:
            raise NotForSale(f"card {masked(row['number'])} is {row['state']}: take one from stock")
        made = products.parse(cards.batch(db, row["batch"])["product_json"], row["batch"])
        first = card_money.by_source(db, _source(row))
    if first is None:
        if load_fen:
            raise NotForSale(f"card {masked(row['number'])} was given out before, without a load: use `ykt cards load`")
        return Issued(row["number"], row["deposit_fen"], made.price_fen, None)
    if first["amount_fen"] != load_fen:
        raise NotForSale(f"card {masked(row['number'])} was given out with {first['amount_fen']} fen, not {load_fen}")
    return Issued(row["number"], row["deposit_fen"], made.price_fen, loader.load(card, first["load_id"]))


def activate(
    db: sqlite3.Connection, row: sqlite3.Row, load_fen: int, actor: str, now_s: int, even_expired: bool = False
) -> None:
    """The books of it: state, deposit, price, and the first load as ordered."""
    today = bcd.to_digits(bcd.stamp(now_s)[:4])
    if row["expiry"] < today and not even_expired:
        raise NotForSale(f"card {masked(row['number'])} is out of date since {row['expiry']}: it cannot be given out")
    made = products.parse(cards.batch(db, row["batch"])["product_json"], row["batch"])
    number, card_id = row["number"], row["card_id"]
    card_states.move(db, card_id, card_states.ACTIVE, "issued", actor, now_s)
    cards.leave_stock(db, card_id, "sold", actor, now_s)
    ref = f"card {card_id}"
    if made.deposit_fen:
        cards.set_deposit(db, card_id, made.deposit_fen)
    card_money.post(
        db, number, "deposit", ref, card_money.CASH, card_money.DEPOSITS, made.deposit_fen, actor, now_s
    )
    card_money.post(db, number, "price", ref, card_money.CASH, card_money.SALES, made.price_fen, actor, now_s)
    if load_fen:
        card_money.order(db, _source(row), number, load_fen, actor, now_s, card_money.CASH)


def _source(row: sqlite3.Row) -> str:
    return f"issue {row['card_id']}"
