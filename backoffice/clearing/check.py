"""Business checks of a record: issuer, terminal, test money, fee rule. UNIQUE -> CHECKED, SUSPECT or REJECTED.

A record that waits for a table (TX-05, TX-22, CFG-01) is looked at again in every run, and goes on by itself once
the table says so.
"""

import sqlite3
from typing import NamedTuple

from backoffice.clearing import fees, product
from backoffice.clearing.run import Ride
from backoffice.store import fares, products, records, states
from tunion.fare import reprice
from tunion.fare.flat import FlatFare
from tunion.fare.tariff import Tariff, is_by_stop

UNKNOWN_ISSUER = "TX-05"
TEST_CARD = "TX-14"
WRONG_FARE = "TX-16"
NOT_ENTITLED = "TX-25"
UNREGISTERED = "TX-22"
NO_FEE_RULE = "CFG-01"

TEST_KIND = 4  # card kinds: 4 is a test card
TRANSPORT = 1  # business type
OTHER_SERVICE = 0
# industry of the trip record (card section 7) -> service class of the fee table
SERVICES = {0x02: 1, 0x01: 2, 0x06: 3, 0x04: 4}

_WAITING = (UNKNOWN_ISSUER, UNREGISTERED, NO_FEE_RULE, product.OUT_OF_REGION)


class Problem(Exception):
    """Why a record may not go on: an anomaly code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Terminal(NamedTuple):
    operator: str
    acquirer: str
    device_id: int | None
    from_s: int
    to_s: int


class Tap(NamedTuple):
    """What `tunion.fare.reprice` reads of a record."""

    event: int
    type: int
    industry: int
    at_s: int
    card_kind: int
    amount_fen: int
    list_fen: int
    discount_fen: int
    stop_in: int
    stop_out: int
    fare_case: int
    layer: int
    riders: int
    modes: int
    granted: int
    owed_fen: int
    ride_s: int


class Tables:
    """The registry as one run sees it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.rules = fees.stored_rules(db)
        self.book = fees.RuleBook(self.rules)
        self.production = db.execute("SELECT value FROM meta WHERE key = 'production'").fetchone()["value"] == "1"
        self._cities = {row["org"]: (row["city"], row["province"]) for row in db.execute("SELECT * FROM org")}
        self._operators = {
            row["device_id"]: row["operator"] for row in db.execute("SELECT device_id, operator FROM device")
        }
        self._issuers: dict[str, list[tuple[int, int, str]]] = {}
        for row in db.execute("SELECT * FROM bin_range"):
            self._issuers.setdefault(row["issuer_id"], []).append((row["from_s"], row["to_s"], row["org"]))
        self._terminals: dict[str, list[_Terminal]] = {}
        for row in db.execute("SELECT terminal, operator, acquirer, device_id, from_s, to_s FROM terminal"):
            self._terminals.setdefault(row["terminal"], []).append(_Terminal(*tuple(row)[1:]))
        self._fares = fares.stored(db)
        self._buses: dict[int, list[Tariff]] = {}  # mode -> tables by which an open ride may have begun
        for fare in self._fares.values():
            if isinstance(fare, Tariff) and is_by_stop(fare):
                self._buses.setdefault(fare.mode, []).append(fare)

    def ride(self, txn: sqlite3.Row) -> Ride:
        """A record as the run takes it. Raises Problem."""
        at_s = txn["at_s"]
        issuer = next((org for since, to, org in self._issuers.get(txn["issuer_id"], []) if since <= at_s < to), None)
        if issuer is None:
            raise Problem(UNKNOWN_ISSUER)
        terminal = self._terminal(txn)
        number = products.of(txn)
        test = int(number == products.NATIONAL and txn["card_kind"] == TEST_KIND)
        if test and self.production:
            raise Problem(TEST_CARD)
        ride = Ride(
            key=(txn["device_id"], txn["epoch"], txn["seq"], txn["copy"]),
            level=self._level(issuer, terminal.acquirer),
            issuer=issuer,
            acquirer=terminal.acquirer,
            operator=terminal.operator,
            business=TRANSPORT,
            service=SERVICES.get(txn["industry"], OTHER_SERVICE),
            test=test,
            at_s=at_s,
            amount_fen=txn["amount_fen"],
            product=number,
        )
        if product.refusal(number, ride.level):
            raise Problem(product.refusal(number, ride.level))
        if not ride.amount_fen:
            return ride  # it enters no run, so no rule has to be found
        try:
            self.book.select(ride.level, ride.business, ride.service, ride.acquirer, ride.issuer, at_s)
        except fees.NoRule:
            raise Problem(NO_FEE_RULE) from None
        return ride

    def misfit(self, txn: sqlite3.Row) -> tuple[str, str] | None:
        """(anomaly code, what is wrong) where the named fare table does not give exactly this price."""
        fare = self._fares.get((txn["fare_id"], txn["fare_version"]))
        if fare is None:
            return WRONG_FARE, "no_table"
        if isinstance(fare, FlatFare):
            said = (txn["list_fen"], txn["discount_fen"], txn["amount_fen"])
            return None if tuple(fare.price(txn["card_kind"])) == said else (WRONG_FARE, "wrong_fare")
        found = reprice.verdict(fare, Tap(*(txn[name] for name in Tap._fields)), self._buses.get(fare.mode, []))
        if not found:
            return None
        return NOT_ENTITLED if found in reprice.OF_DISCOUNT else WRONG_FARE, reprice.FINDINGS[found][0]

    def _terminal(self, txn: sqlite3.Row) -> _Terminal:
        """The terminal as registered at trade time, of the device's own operator."""
        for terminal in self._terminals.get(txn["terminal"], []):
            if terminal.from_s <= txn["at_s"] < terminal.to_s:
                here = terminal.device_id in (None, txn["device_id"])
                if here and terminal.operator == self._operators[txn["device_id"]]:
                    return terminal
        raise Problem(UNREGISTERED)

    def _level(self, issuer: str, acquirer: str) -> str:
        """Computed, never taken from the sender."""
        city_i, province_i = self._cities[issuer]
        city_a, province_a = self._cities[acquirer]
        if province_i != province_a:
            return "nation"
        return "city" if city_i == city_a else "province"


def check(db: sqlite3.Connection, tables: Tables, now_s: int) -> None:
    """Judge all records that are new, or that wait for a table."""
    waiting = records.in_states(db, [states.SUSPECT], _WAITING)
    for txn in records.in_states(db, [states.UNIQUE]) + waiting:
        try:
            ride = tables.ride(txn)
        except Problem as problem:
            state = states.REJECTED if problem.code == TEST_CARD else states.SUSPECT
            states.move(db, txn["id"], state, problem.code, "check", now_s)
            continue
        states.move(db, txn["id"], states.CHECKED, "", "check", now_s)
        misfit = tables.misfit(txn)
        if misfit is not None:  # paid all the same: the operator proves or refunds
            states.flag(db, misfit[0], f"txn {txn['id']}", ride.amount_fen, ride.operator, now_s, misfit[1])
