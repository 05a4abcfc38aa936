"""The clearing run: a pure function of rides, rules and opening carries. No clock, no database, no order.

The same rides in any order, sent twice or split over many workers give the same bytes; `output_digest` is their
SHA-256, so re-runs, audits and other engines are compared by equality.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import cbor2

from backoffice.clearing import product
from backoffice.clearing.fees import Rule, RuleBook, in_range, rounded

OUTPUT_VERSION = 1
CENTRE = "centre:"  # the party that keeps the rest of a level: centre:city, centre:province, centre:nation


class Ride(NamedTuple):
    """One cleared record, or a reversal with a negative amount."""

    key: tuple[int, int, int, int]  # device, epoch, seq, copy: the record's identity
    level: str
    issuer: str
    acquirer: str
    operator: str
    business: int
    service: int
    test: int
    at_s: int
    amount_fen: int
    product: int = 0  # 0 the national application; regional ones settle on lines of their own

    def said(self) -> list[object]:
        """As digests have it."""
        return [*self[:-1], *product.said(self.product)]


class LineKey(NamedTuple):
    level: str
    payer: str  # the issuer
    payee: str  # the acquirer
    business: int
    service: int
    test: int
    rule_id: str
    product: int = 0

    def said(self) -> list[object]:
        """As digests have it."""
        return [*self[:-1], *product.said(self.product)]


class Carry(NamedTuple):
    """What rounding left over, in xfen; from the previous effective day of the same line."""

    fee: int
    issuer: int
    acquirer: int


class Share(NamedTuple):
    """One operator's part of a line's receipt: it gets amount - fee."""

    operator: str
    records: int
    amount_fen: int
    fee_fen: int


class Line(NamedTuple):
    key: LineKey
    records: int
    amount_fen: int
    fee_fen: int
    issuer_fen: int
    acquirer_fen: int
    carry_in: Carry
    carry_out: Carry
    shares: tuple[Share, ...]

    @property
    def centre_fen(self) -> int:
        return self.fee_fen - self.issuer_fen - self.acquirer_fen

    @property
    def pays_fen(self) -> int:
        return self.amount_fen - self.issuer_fen

    @property
    def receives_fen(self) -> int:
        return self.amount_fen - self.fee_fen + self.acquirer_fen


class RunResult(NamedTuple):
    lines: tuple[Line, ...]
    nets_fen: dict[str, int]  # organisation -> receives - pays; the centres' shares among them; sums to 0
    output_bytes: bytes
    output_digest: str


class Contradiction(Exception):
    """Two different rides under one identity were handed in: our bug, refused before any sum."""


NO_CARRY = Carry(0, 0, 0)


class Sums:
    """What a worker adds up. Workers that share no ride merge into the same result as one worker."""

    def __init__(self, rules: RuleBook) -> None:
        self._rules = rules
        self._seen: dict[tuple[int, int, int, int], Ride] = {}
        self.lines: dict[LineKey, dict[str, list[int]]] = {}  # line -> operator -> [count, amount]
        self.xfen: dict[LineKey, list[int]] = {}  # line -> [fee, issuer share, acquirer share]

    def add(self, ride: Ride) -> LineKey:
        """Count a ride once, however often it is handed in; returns its line. Raises NoRule, Contradiction."""
        rule = self._rules.select(ride.level, ride.business, ride.service, ride.acquirer, ride.issuer, ride.at_s)
        key = line_key(ride, rule)
        if ride.key in self._seen:
            if self._seen[ride.key] != ride:
                raise Contradiction(f"two rides under the identity {ride.key}")
            return key
        self._seen[ride.key] = ride
        operator = self.lines.setdefault(key, {}).setdefault(ride.operator, [0, 0])
        operator[0] += 1
        operator[1] = in_range(operator[1] + ride.amount_fen)
        xfen = self.xfen.setdefault(key, [0, 0, 0])
        for i, rate in enumerate((rule.charge_rate, rule.issuer_rate, rule.acquirer_rate)):
            xfen[i] = in_range(xfen[i] + ride.amount_fen * rate)
        return key

    def merge(self, other: "Sums") -> None:
        """Add what another worker found."""
        for key, operators in other.lines.items():
            mine = self.lines.setdefault(key, {})
            for operator, (count, amount_fen) in operators.items():
                total = mine.setdefault(operator, [0, 0])
                total[0] += count
                total[1] = in_range(total[1] + amount_fen)
            xfen = self.xfen.setdefault(key, [0, 0, 0])
            for i, part in enumerate(other.xfen[key]):
                xfen[i] = in_range(xfen[i] + part)


def line_key(ride: Ride, rule: Rule) -> LineKey:
    return LineKey(
        ride.level, ride.issuer, ride.acquirer, ride.business, ride.service, ride.test, rule.rule_id, ride.product
    )


def clear(
    day: str, rides: Iterable[Ride], rules: Iterable[Rule], carries: Mapping[LineKey, Carry], rules_version: str
) -> RunResult:
    """Lines, nets and digest of one clearing day. Raises NoRule, Contradiction, SumTooLarge."""
    sums = Sums(RuleBook(rules))
    for ride in rides:
        sums.add(ride)
    return close(day, sums, carries, rules_version)


def close(day: str, sums: Sums, carries: Mapping[LineKey, Carry], rules_version: str) -> RunResult:
    """The one place that divides: each line's three sums are rounded, once."""
    lines = tuple(_line(key, sums.lines[key], sums.xfen[key], carries.get(key, NO_CARRY)) for key in sorted(sums.lines))
    nets_fen = nets(lines)
    output = cbor2.dumps(
        [
            OUTPUT_VERSION,
            day,
            rules_version,
            [
                [
                    line.key.said(),
                    *line[1:6],
                    list(line.carry_in),
                    list(line.carry_out),
                    [list(s) for s in line.shares],
                ]
                for line in lines
            ],
            nets_fen,
        ],
        canonical=True,
    )
    return RunResult(lines, nets_fen, output, hashlib.sha256(output).hexdigest())


def nets(lines: Iterable[Line]) -> dict[str, int]:
    """Organisation -> receives - pays. A level's centre appears as centre:<level>, test money as test/<org>."""
    net: dict[str, int] = {}
    for line in lines:
        prefix = "test/" if line.key.test else ""
        for party, amount_fen in (
            (line.key.payer, -line.pays_fen),
            (line.key.payee, line.receives_fen),
            (CENTRE + line.key.level, line.centre_fen),
        ):
            net[prefix + party] = in_range(net.get(prefix + party, 0) + amount_fen)
    return dict(sorted(net.items()))


def _line(key: LineKey, operators: dict[str, list[int]], xfen: list[int], carry_in: Carry) -> Line:
    fee, issuer, acquirer = (rounded(part, carried) for part, carried in zip(xfen, carry_in, strict=True))
    amounts = {operator: total[1] for operator, total in sorted(operators.items())}
    parts = shared_out(fee[0] - acquirer[0], amounts)
    return Line(
        key=key,
        records=sum(total[0] for total in operators.values()),
        amount_fen=in_range(sum(amounts.values())),
        fee_fen=fee[0],
        issuer_fen=issuer[0],
        acquirer_fen=acquirer[0],
        carry_in=carry_in,
        carry_out=Carry(fee[1], issuer[1], acquirer[1]),
        shares=tuple(Share(name, operators[name][0], amounts[name], parts[name]) for name in amounts),
    )


def shared_out(total_fen: int, amounts_fen: Mapping[str, int]) -> dict[str, int]:
    """`total_fen` over the operators by their amounts: floors first, then a fen each to the largest remainders.

    Ties go by operator code. Where the amounts add up to nothing, the first operator bears it.
    """
    names = sorted(amounts_fen)
    whole = sum(amounts_fen.values())
    if whole == 0:
        return {name: total_fen if name == names[0] else 0 for name in names}
    sign = 1 if whole > 0 else -1
    weighted = {name: total_fen * amounts_fen[name] * sign for name in names}
    parts = {name: weighted[name] // (whole * sign) for name in names}
    missing = total_fen - sum(parts.values())
    by_remainder = sorted(names, key=lambda name: (-(weighted[name] % (whole * sign)), name))
    for name in by_remainder[:missing]:
        parts[name] += 1
    return parts
