"""What holders come with: another card for this one, money back, a card that does not answer, one out of date,
a stock card. backoffice/docs/cards.md

Money moves in one order: the old card's balance is proved, written down, the card blocked and found blocked; only then
it is owed, and goes onto another card or over the counter. Each step is in the books before the next begins, and each
may be done again: `retire` and `complete` go on where an interruption left the case.
"""

import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from backoffice.cards import issue
from backoffice.cards import product as products
from backoffice.cards.epurse import BlockedCard, Epurse, NotThisCard, Refused
from backoffice.cards.legacy import Scheme
from backoffice.cards.line import Line
from backoffice.cards.load import Loaded, Loader
from backoffice.cards.rules import Rules
from backoffice.keys.service import KeyService, NoKey
from backoffice.store import card_money, card_states, cards, runs
from backoffice.store.card_money import CASH, DEPOSITS, DONE, OPEN, OWED, PURSES, RETIRED, CaseRefused, NeedsSecond
from backoffice.store.card_states import masked
from backoffice.store.days import clearing_day, local
from backoffice.store.engine import Store
from tunion import bcd
from tunion.card.files import PUBLIC, PUBLIC_SFI
from tunion.card.product import NATIONAL, Facts

REPLACE, REFUND, EXCHANGE, BAD, EXTEND = "replace", "refund", "exchange", "bad", "extend"
KINDS = (REPLACE, REFUND, EXCHANGE, BAD, EXTEND)
_ENDS = {REPLACE: card_states.REPLACED, EXCHANGE: card_states.REPLACED, REFUND: card_states.RETURNED}
_HELD = (card_states.ACTIVE, card_states.EXPIRED, card_states.LOCKED)  # in somebody's hands
_EXPIRY_AT = 24  # in file 15h


class NotYet(CaseRefused):
    """It is too early to pay this."""


class Desk:
    """One counter. `keys`, `loader` and `scheme` (of stock cards) may be None where no card is touched."""

    def __init__(
        self, store: Store, keys: KeyService, rules: Rules, loader: Loader, actor: str, scheme: Scheme | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._store = store
        self._keys = keys
        self._rules = rules
        self._loader = loader
        self._actor = actor
        self._scheme = scheme
        self._clock = clock

    # --- a card that answers

    def retire(self, kind: str, line: Line, case_id: int | None = None) -> int:
        """The old card on the line: its balance is owed to its holder, and it is blocked. The number of the case.

        `case_id` goes on with a case whose card may be blocked already. Raises NeedsSecond where another person must
        approve first (then call again), OpenTrip, Unproven, NotThisCard, BlockedCard, CardGone.
        """
        assert kind in _ENDS, kind
        if case_id is not None:
            case = self._case(case_id)
            if case["kind"] != kind:
                raise CaseRefused(f"case {case_id} is a {case['kind']}: `ykt cards {case['kind']}` goes on with it")
            if case["state"] in (RETIRED, DONE):
                return case_id
        card = Epurse(line, self._keys, self._product(kind))
        try:
            facts = card.open()
        except BlockedCard as error:
            if case_id is None or error.for_good:
                raise
            row = self._old_card(case_id)
            card.take_for(_facts_of(json.loads(self._case(case_id)["detail"])), self._maintenance_version(row))
            facts = card.open()
        row = self._known(kind, card, facts)
        if case_id is not None and row["card_id"] != self._case(case_id)["old_card"]:
            raise NotThisCard("another card lies on the reader: put the one of this case on it")
        if kind != EXCHANGE:
            self._loader.resolve(card)
            card.require_no_trip()
        balance_fen, proved = self._balance(card)
        if kind != REFUND and balance_fen > card_money.LOAD_FEN_MAX:
            raise CaseRefused(f"{balance_fen} fen are on it, more than a new card may hold: it keeps its card")
        case = self._case_for(kind, row, facts, balance_fen, proved)
        if case["state"] != OPEN:
            return int(case["case_id"])
        self._require_second(case, proved)
        card.block(self._maintenance_version(row))
        self._require_blocked(card)
        self._book_retired(case)
        try:
            card.block(self._maintenance_version(row), for_good=True)
        except (Refused, BlockedCard):
            return int(case["case_id"])  # it is blocked, and its money is ours to give: enough
        return int(case["case_id"])

    def complete(self, case_id: int, line: Line | None) -> Loaded | None:
        """What is owed goes onto the new card on the line, or over the counter where there is none.

        Raises CaseRefused, NotForSale, LoadUnknown: call again with the same card.
        """
        case = self._case(case_id)
        if case["state"] == DONE:
            return None
        if case["state"] != RETIRED:
            raise CaseRefused(f"case {case_id} is {case['state']}: the old card must be retired first")
        if line is None:
            self._pay(case)
            return None
        card = Epurse(line, self._keys)
        card.open()
        return self._onto(case, card)

    # --- a card that does not answer

    def open_bad(self, number: str) -> int:
        """A card that is broken. Its balance by the books is paid after the waiting time."""
        now_s = self._now_s()
        with self._store.transaction() as db:
            row = cards.by_number(db, number)
            case = card_money.case_of(db, row["card_id"])
            if case is not None and case["kind"] == BAD:
                return int(case["case_id"])
            if row["state"] not in _HELD:
                raise CaseRefused(f"card {masked(number)} is {row['state']}: no holder has it")
            if case is not None and case["state"] == OPEN:  # it died at the counter: nothing is owed for it yet
                card_money.move_case(
                    db, case["case_id"], card_money.CLOSED, "it does not answer any more", self._actor, now_s
                )
            shadow_fen = card_money.shadow_fen(db, number)
            case_id = card_money.open_case(
                db, BAD, row["card_id"], shadow_fen, row["deposit_fen"], self._rules.due_s(now_s), self._actor, now_s,
                json.dumps({"shadow_fen": shadow_fen}),
            )  # fmt: skip
            card_states.move(db, row["card_id"], card_states.DAMAGED, f"case {case_id}", self._actor, now_s)
        return case_id

    def pay_bad(self, case_id: int, line: Line | None) -> Loaded | None:
        """The balance by the books as it is now, onto a new card or over the counter. Raises NotYet, NeedsSecond."""
        case = self._case(case_id)
        if case["kind"] != BAD:
            raise CaseRefused(f"case {case_id} is a {case['kind']}: `ykt cards {case['kind']}` goes on with it")
        card = None
        if line is not None:
            card = Epurse(line, self._keys)
            card.open()
        if case["state"] == OPEN:
            self._book_bad(case, to_card=card is not None)
            case = self._case(case_id)
        if case["state"] == DONE:
            return None
        if card is None:
            raise CaseRefused(f"case {case_id} goes onto a new card: put that one on the reader")
        return self._onto(case, card)

    def bear_stragglers(self) -> int:
        """Rides of cards whose balance was paid already: the issuer bears them. How many were new."""
        found = 0
        with self._store.transaction() as db:
            for case in card_money.cases(db):
                if case["kind"] != BAD or case["state"] not in (RETIRED, DONE):
                    continue
                paid_s = next(
                    one["at_s"] for one in card_money.case_events(db, case["case_id"]) if one["to_state"] != OPEN
                )
                number = cards.card(db, case["old_card"])["number"]
                for ride in card_money.stragglers(db, number, paid_s):
                    if not card_money.is_posted(db, "straggler", f"txn {ride['id']}"):
                        card_money.post(
                            db, number, "straggler", f"txn {ride['id']}", card_money.BAD_DEBT, PURSES,
                            ride["amount_fen"], self._actor, self._now_s(),
                        )  # fmt: skip
                        found += 1
        return found

    # --- a card that is out of date

    def extend(self, line: Line, expiry: str) -> str:
        """Another last day in file 15h, read back. Its number. Done before: only looks. Raises CaseRefused."""
        card = Epurse(line, self._keys)
        card.open()
        now_s = self._now_s()
        today = _today(now_s)
        with self._store.reading() as db:
            row = cards.by_number(db, card.number)
        if row["state"] not in (card_states.ACTIVE, card_states.EXPIRED):
            raise CaseRefused(f"card {masked(row['number'])} is {row['state']}: it cannot be extended")
        latest = f"{int(today[:4]) + self._rules.extend_years_max}{today[4:]}"
        if not products.is_date(expiry) or not max(today, row["start"]) <= expiry <= latest:
            raise CaseRefused(f"the new last day must be from today to {latest}, YYYYMMDD")
        said = PUBLIC.unpack(card.read_public()).expiry
        if said != bcd.from_digits(expiry):
            card.update(self._maintenance_version(row), PUBLIC_SFI, _EXPIRY_AT, bcd.from_digits(expiry))
        facts = card.open()
        card.require(row["number"])
        if facts.expiry != bcd.from_digits(expiry) or card.read_public()[_EXPIRY_AT:28] != facts.expiry:
            raise CaseRefused("the card does not read back its new last day: put it on the reader again")
        with self._store.transaction() as db:
            row = cards.card(db, row["card_id"])
            if row["expiry"] != expiry:
                self._book_extended(db, row, expiry, today, now_s)
        return str(row["number"])

    def _book_extended(self, db: sqlite3.Connection, row: sqlite3.Row, expiry: str, today: str, now_s: int) -> None:
        card_id = row["card_id"]
        if row["expiry"] < today and row["state"] == card_states.ACTIVE:
            card_states.move(db, card_id, card_states.EXPIRED, f"since {row['expiry']}", self._actor, now_s)
        case_id = card_money.open_case(
            db, EXTEND, card_id, 0, 0, 0, self._actor, now_s, json.dumps({"from": row["expiry"], "to": expiry})
        )
        card_money.move_case(db, case_id, DONE, f"until {expiry}", self._actor, now_s)
        cards.set_expiry(db, card_id, expiry)
        if cards.card(db, card_id)["state"] == card_states.EXPIRED:
            card_states.move(db, card_id, card_states.ACTIVE, f"case {case_id}", self._actor, now_s)

    # --- steps

    def _product(self, kind: str) -> Any:
        if kind != EXCHANGE:
            return NATIONAL
        if self._scheme is None:
            raise CaseRefused("no scheme of stock cards is known here")
        return self._scheme.product

    def _known(self, kind: str, card: Epurse, facts: Facts) -> sqlite3.Row:
        """The card's row. A stock card gets one when it first comes."""
        with self._store.transaction() as db:
            try:
                row = cards.by_number(db, card.number)
                if (row["medium"] == "legacy") != (kind == EXCHANGE):
                    raise NotThisCard("this card says the number of a card of ours of another kind: keep it")
                return row
            except cards.NoSuchCard:
                if kind != EXCHANGE:
                    raise
            identity = cards.Identity(
                facts.issuer.hex().upper(), facts.city.hex(), facts.kind, "", 0, facts.start.hex(), facts.expiry.hex()
            )
            name = f"{self._product(kind).name} {card.serial.hex()}"
            return cards.take_in(db, name, card.number, identity, self._actor, self._now_s())

    def _balance(self, card: Epurse) -> tuple[int, bool]:
        """(balance, whether the card proved it): a stock card's load key may be nobody's any more."""
        stated_fen = card.balance_fen()
        try:
            offer = card.proved(self._loader.terminal)
        except (NoKey, Refused):
            if card.is_national:
                raise
            return _own(stated_fen), False
        return _own(offer.balance_fen - card.limit_fen()), True

    def _case_for(self, kind: str, row: sqlite3.Row, facts: Facts, balance_fen: int, proved: bool) -> sqlite3.Row:
        """The open case of this card with this balance; one with another balance is closed."""
        now_s = self._now_s()
        with self._store.transaction() as db:
            case = card_money.case_of(db, row["card_id"])
            if case is not None and case["kind"] != kind:
                raise CaseRefused(f"case {case['case_id']} ({case['kind']}) of this card is {case['state']}: end that")
            if case is not None and (case["state"] != OPEN or case["amount_fen"] == balance_fen):
                return case
            if case is not None:
                card_money.move_case(
                    db, case["case_id"], card_money.CLOSED, "the balance is another now", self._actor, now_s
                )
            for load in card_money.loads_of(db, row["number"], card_money.PAID):
                if load["source"].startswith("case "):
                    raise CaseRefused(f"the money of {load['source']} is not on this card yet: end that case first")
            if row["state"] not in _HELD:
                raise CaseRefused(f"card {masked(row['number'])} is {row['state']}: there is nothing to give for it")
            detail = {"proved": proved, **{name: _plain(value) for name, value in facts._asdict().items()}}
            case_id = card_money.open_case(
                db, kind, row["card_id"], balance_fen, row["deposit_fen"], 0, self._actor, now_s, json.dumps(detail)
            )
            return card_money.case(db, case_id)

    def _require_second(self, case: sqlite3.Row, proved: bool) -> None:
        sum_fen = case["amount_fen"] + (case["deposit_fen"] if case["kind"] in (REFUND, BAD) else 0)
        if case["approved_by"] is None and (sum_fen > self._rules.two_people_fen or not proved and sum_fen):
            raise NeedsSecond(
                f"case {case['case_id']}: {sum_fen} fen want a second person: "
                f"`ykt cards approve --case {case['case_id']}`, then do this again"
            )

    def _require_blocked(self, card: Epurse) -> None:
        """The card itself says so."""
        facts = card.facts
        try:
            card.open()
        except BlockedCard:
            card.facts = facts
            return
        raise NotThisCard("the card was told to block itself and is not blocked: put it on the reader again")

    def _book_retired(self, case: sqlite3.Row) -> None:
        now_s, kind = self._now_s(), case["kind"]
        with self._store.transaction() as db:
            case_id, number = case["case_id"], cards.card(db, case["old_card"])["number"]
            card_money.move_case(db, case_id, RETIRED, "blocked", self._actor, now_s)
            card_states.move(db, case["old_card"], _ENDS[kind], f"case {case_id}", self._actor, now_s)
            source = card_money.OLD_SCHEME if kind == EXCHANGE else PURSES
            card_money.post(
                db, number, "retired", f"case {case_id}", source, OWED, case["amount_fen"], self._actor, now_s
            )

    def _book_bad(self, case: sqlite3.Row, to_card: bool) -> None:
        now_s, case_id = self._now_s(), case["case_id"]
        with self._store.transaction() as db:
            last_day = clearing_day(self._rules.last_straggler_s(case["opened_at_s"]))
            if now_s < case["due_s"]:
                raise NotYet(f"case {case_id} is paid from {local(case['due_s'])} on: rides may still arrive")
            if runs.latest_day(db) <= last_day:
                raise NotYet(f"case {case_id}: the day after {last_day} must be cleared first: rides may still arrive")
            row = cards.card(db, case["old_card"])
            unsettled = card_money.unsettled(db, row["number"])
            if unsettled:
                raise NotYet(f"case {case_id}: {unsettled} records of this card are not settled yet: `ykt backoffice`")
            amount_fen = card_money.shadow_fen(db, row["number"])
            if case["approved_by"] is None and amount_fen > self._rules.two_people_fen:
                raise NeedsSecond(f"case {case_id}: {amount_fen} fen want a second person: `ykt cards approve`")
            if to_card and amount_fen > card_money.LOAD_FEN_MAX:
                raise CaseRefused(f"case {case_id}: {amount_fen} fen are more than a new card may hold: pay in cash")
            ref, actor = f"case {case_id}", self._actor
            card_money.fix_amount(db, case_id, amount_fen)
            card_money.post(db, row["number"], "retired", ref, PURSES, OWED, amount_fen, actor, now_s)
            if to_card:
                card_money.move_case(db, case_id, RETIRED, f"{amount_fen} fen", actor, now_s)
                card_states.move(db, row["card_id"], card_states.REPLACED, ref, actor, now_s)
                return
            card_money.post(db, row["number"], "paid", ref, OWED, CASH, amount_fen, actor, now_s)
            kept_fen = row["deposit_fen"]  # it stands for the card, which is broken
            card_money.post(db, row["number"], "deposit kept", ref, DEPOSITS, card_money.SALES, kept_fen, actor, now_s)
            cards.set_deposit(db, row["card_id"], 0)
            card_money.move_case(db, case_id, DONE, f"{amount_fen} fen paid", actor, now_s)
            card_states.move(db, row["card_id"], card_states.RETURNED, ref, actor, now_s)

    def _pay(self, case: sqlite3.Row) -> None:
        """Over the counter: the balance, and the deposit of a card that came back in order."""
        now_s, ref = self._now_s(), f"case {case['case_id']}"
        if case["kind"] != REFUND:
            raise CaseRefused(f"{ref} goes onto a new card: put that one on the reader")
        with self._store.transaction() as db:
            row = cards.card(db, case["old_card"])
            card_money.post(db, row["number"], "paid", ref, OWED, CASH, case["amount_fen"], self._actor, now_s)
            deposit_fen = row["deposit_fen"]
            account = CASH if self._rules.deposit_back else card_money.SALES
            card_money.post(db, row["number"], "deposit back", ref, DEPOSITS, account, deposit_fen, self._actor, now_s)
            cards.set_deposit(db, row["card_id"], 0)
            card_money.move_case(db, case["case_id"], DONE, "paid", self._actor, now_s)

    def _onto(self, case: sqlite3.Row, card: Epurse) -> Loaded | None:
        """The new card takes amount and deposit of the old one."""
        now_s, case_id = self._now_s(), case["case_id"]
        if case["new_card"] is None:
            card.proved(self._loader.terminal)
        with self._store.transaction() as db:
            new, old = cards.by_number(db, card.number), cards.card(db, case["old_card"])
            if new["card_id"] == old["card_id"]:
                raise NotThisCard("this is the old card: put the new one on the reader")
            if case["new_card"] is None:
                if new["state"] != card_states.STOCKED:
                    raise issue.NotForSale(f"card {masked(new['number'])} is {new['state']}: take one from stock")
                card_states.move(db, new["card_id"], card_states.ACTIVE, f"case {case_id}", self._actor, now_s)
                cards.leave_stock(db, new["card_id"], f"case {case_id}", self._actor, now_s)
                cards.set_deposit(db, new["card_id"], old["deposit_fen"])
                cards.set_deposit(db, old["card_id"], 0)
            card_money.give_card(db, case_id, new["card_id"])
            amount_fen = card_money.planned_fen(db, case_id)
            load_id = None
            if amount_fen:
                load_id = card_money.order(
                    db, f"case {case_id}", new["number"], amount_fen, self._actor, now_s, None
                )
        loaded = self._loader.load(card, load_id) if load_id is not None else None
        with self._store.transaction() as db:
            if card_money.case(db, case_id)["state"] != DONE:
                card_money.move_case(db, case_id, DONE, f"{amount_fen} fen", self._actor, now_s)
        return loaded

    def _case(self, case_id: int) -> sqlite3.Row:
        with self._store.reading() as db:
            return card_money.case(db, case_id)

    def _old_card(self, case_id: int) -> sqlite3.Row:
        with self._store.reading() as db:
            return cards.card(db, card_money.case(db, case_id)["old_card"])

    def _maintenance_version(self, row: sqlite3.Row) -> int:
        if row["batch"] is None:
            assert self._scheme is not None
            return self._scheme.maintenance_version
        with self._store.reading() as db:
            return products.parse(cards.batch(db, row["batch"])["product_json"], row["batch"]).maintenance_version

    def _now_s(self) -> int:
        return int(self._clock())


def destroy(db: sqlite3.Connection, number: str, actor: str, now_s: int) -> None:
    """The plastic was cut up before witnesses. Raises WrongMove for a card that is still good for something, and
    CaseRefused for one that is not paid yet.
    """
    card_id = cards.by_number(db, number)["card_id"]
    case = card_money.case_of(db, card_id)
    if case is not None and case["state"] == OPEN:
        raise CaseRefused(f"case {case['case_id']} ({case['kind']}) of this card is OPEN: end that first")
    card_states.move(db, card_id, card_states.DESTROYED, "destroyed", actor, now_s)


def _own(balance_fen: int) -> int:
    """What the holder has, without an overdraft limit. Raises CaseRefused for less than nothing."""
    if balance_fen < 0:
        raise CaseRefused(f"the card is {-balance_fen} fen overdrawn: its holder pays that where it was issued first")
    return balance_fen


def _today(now_s: int) -> str:
    return bcd.to_digits(bcd.stamp(now_s)[:4])


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _facts_of(detail: dict[str, Any]) -> Facts:
    """As a case keeps them."""
    return Facts(*(bytes.fromhex(detail[name]) if isinstance(detail[name], str) else detail[name]
                   for name in Facts._fields))  # fmt: skip
