"""The state of a card, and the only code that changes it: one table of moves, a row of history for each."""

import sqlite3

MANUFACTURED = "manufactured"  # a blank chip, seen by a reader of ours
INITIALISED = "initialised"  # files and control key: step 1, at the province
PERSONALISED = "personalised"  # number and keys, read back: step 2, at the city
STOCKED = "stocked"
ACTIVE = "active"
LOCKED = "locked"  # on the list of refused cards
EXPIRED = "expired"
DAMAGED = "damaged"
REPLACED = "replaced"
RETURNED = "returned"
DESTROYED = "destroyed"

MOVES = {
    "": (MANUFACTURED, ACTIVE),  # ACTIVE: a stock card of the time before
    MANUFACTURED: (INITIALISED, DAMAGED),
    INITIALISED: (PERSONALISED, DAMAGED),
    PERSONALISED: (STOCKED, DAMAGED),
    STOCKED: (ACTIVE, DAMAGED),
    ACTIVE: (LOCKED, EXPIRED, DAMAGED, REPLACED, RETURNED),
    LOCKED: (ACTIVE, EXPIRED, DAMAGED, REPLACED, RETURNED),
    EXPIRED: (ACTIVE, DAMAGED, REPLACED, RETURNED),
    DAMAGED: (REPLACED, RETURNED, DESTROYED),
    REPLACED: (DESTROYED,),
    RETURNED: (DESTROYED,),
    DESTROYED: (),
}

WORDS = {  # 中文, English
    MANUFACTURED: ("空白", "blank"),
    INITIALISED: ("已初始化", "initialised"),
    PERSONALISED: ("已个人化", "personalised"),
    STOCKED: ("库存", "in stock"),
    ACTIVE: ("已发行", "active"),
    LOCKED: ("已锁定", "locked"),
    EXPIRED: ("已过期", "expired"),
    DAMAGED: ("损坏", "damaged"),
    REPLACED: ("已换卡", "replaced"),
    RETURNED: ("已退卡", "returned"),
    DESTROYED: ("已销毁", "destroyed"),
}


class CardsRefused(Exception):
    """The card office refuses. Nothing was changed; the message says what to do. No full card number in it."""


class WrongMove(CardsRefused):
    """The card is in no state for that."""


def move(db: sqlite3.Connection, card_id: int, to_state: str, why: str, actor: str, at_s: int) -> None:
    """One step of the table. Raises WrongMove."""
    row = db.execute("SELECT state, number FROM card WHERE card_id = ?", (card_id,)).fetchone()
    if to_state not in MOVES[row["state"]]:
        allowed = ", ".join(MOVES[row["state"]]) or "nothing"
        name = masked(row["number"]) if row["number"] else f"chip {card_id}"
        raise WrongMove(f"card {name} is {row['state']}: it may become {allowed}, not {to_state}")
    db.execute("UPDATE card SET state = ? WHERE card_id = ?", (to_state, card_id))
    _note(db, card_id, row["state"], to_state, why, actor, at_s)


def born(db: sqlite3.Connection, card_id: int, state: str, why: str, actor: str, at_s: int) -> None:
    """History of a card that was just inserted in `state`."""
    assert state in MOVES[""], state
    _note(db, card_id, "", state, why, actor, at_s)


def masked(number: str) -> str:
    """First six and last four digits."""
    return number[:6] + "*" * (len(number) - 10) + number[-4:] if len(number) > 10 else "*" * len(number)


def _note(db: sqlite3.Connection, card_id: int, before: str, after: str, why: str, actor: str, at_s: int) -> None:
    db.execute(
        "INSERT INTO card_event (card_id, at_s, from_state, to_state, why, actor) VALUES (?, ?, ?, ?, ?, ?)",
        (card_id, at_s, before, after, why, actor),
    )
