"""Which fee rule a ride falls under, and the one rounding of a settlement line.

Rates are parts per 100 000 of the amount, so amount x rate is exact in units of 10^-5 fen ("xfen"). Sums stay in xfen;
a line is rounded once, half away from zero, and carries the rest to the same line of the next day.
"""

import hashlib
import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

import cbor2

from tunion.money import divide_half_away

RATE_UNIT = 100_000
SUM_MAX = (1 << 63) - 1  # what every engine can hold; more is an error, never a wrap


class NoRule(Exception):
    """CFG-01: no fee rule for this ride. It waits; a fee of 0 is never assumed."""


class AmbiguousRule(Exception):
    """CFG-02: two rules would fit one ride equally well. Not saved."""


class SumTooLarge(Exception):
    """A sum leaves 64 bits: this is no transit system's day."""


class Rule(NamedTuple):
    rule_id: str
    level: str
    business: int | None  # None: any
    service: int | None
    acquirer: str | None
    issuer: str | None
    charge_rate: int
    issuer_rate: int
    acquirer_rate: int
    from_s: int
    to_s: int


class RuleBook:
    """The rules of one run."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_rank = sorted(rules, key=lambda rule: (_rank(rule), rule.rule_id), reverse=True)
        self._fitting: dict[tuple[str, int, int, str, str], list[Rule]] = {}

    def select(self, level: str, business: int, service: int, acquirer: str, issuer: str, at_s: int) -> Rule:
        """The most specific rule valid at trade time. Raises NoRule."""
        key = (level, business, service, acquirer, issuer)
        if key not in self._fitting:
            self._fitting[key] = [rule for rule in self._by_rank if _fits(rule, key)]
        for rule in self._fitting[key]:
            if rule.from_s <= at_s < rule.to_s:
                return rule
        raise NoRule(f"no fee rule: level {level}, business {business}, service {service}, {issuer} to {acquirer}")


def rounded(sum_xfen: int, carry_in: int) -> tuple[int, int]:
    """(fen, carry_out) of a line's sum and the carry of the day before; |carry_out| <= half a fen."""
    exact = in_range(sum_xfen + carry_in)
    out_fen = divide_half_away(exact, RATE_UNIT)
    return out_fen, exact - out_fen * RATE_UNIT


def in_range(value: int) -> int:
    """`value`, if it fits 64 bits signed; raises SumTooLarge."""
    if not -SUM_MAX <= value <= SUM_MAX:
        raise SumTooLarge("a sum of the run leaves 64 bits")
    return value


def refuse_ambiguous(rules: Iterable[Rule]) -> None:
    """Raises AmbiguousRule, naming two rules with the same keys and a common day."""
    seen: dict[tuple[object, ...], list[Rule]] = {}
    for rule in rules:
        same = seen.setdefault(rule[1:6], [])
        for other in same:
            if rule.from_s < other.to_s and other.from_s < rule.to_s:
                raise AmbiguousRule(f"fee rules {other.rule_id} and {rule.rule_id} fit the same rides at the same time")
        same.append(rule)


def stored_rules(db: sqlite3.Connection) -> list[Rule]:
    columns = ", ".join(Rule._fields)
    return [Rule(*row) for row in db.execute(f"SELECT {columns} FROM fee_rule ORDER BY rule_id")]


def to_bytes(rules: Iterable[Rule]) -> bytes:
    """Canonical CBOR, in any order of the rules the same."""
    return cbor2.dumps([list(rule) for rule in sorted(rules, key=lambda rule: rule.rule_id)], canonical=True)


def from_bytes(blob: bytes) -> list[Rule]:
    return [Rule(*row) for row in cbor2.loads(blob)]


def version(rules: Iterable[Rule]) -> str:
    """The rules' name in a run: 16 hex digits."""
    return hashlib.sha256(to_bytes(rules)).hexdigest()[:16]


def _rank(rule: Rule) -> tuple[int, bool, bool, bool, bool]:
    """More named keys first; among as many, acquirer before issuer before service before business type."""
    named = tuple(key is not None for key in (rule.acquirer, rule.issuer, rule.service, rule.business))
    return (sum(named), named[0], named[1], named[2], named[3])


def _fits(rule: Rule, key: tuple[str, int, int, str, str]) -> bool:
    level, business, service, acquirer, issuer = key
    wanted = ((rule.business, business), (rule.service, service), (rule.acquirer, acquirer), (rule.issuer, issuer))
    return rule.level == level and all(mine is None or mine == asked for mine, asked in wanted)
