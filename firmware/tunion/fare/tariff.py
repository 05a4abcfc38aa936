"""One version of what a fleet charges: a table, and the rules on top of it. Every mode is a configuration of this.

    scheme   table                               for example
    FLAT     fare_fen                            bus, ferry
    GRID     a grid's blob (tunion.fare.grid)    metro, segment bus, coach, intercity rail, toll
    METER    [low_fen, high_fen, step_fen]       taxi

    rules    cut_fen      a discounted fare is cut down to whole cut_fen
             hours        [[kind or -1, day mask, from_min, to_min, permille], ...], the first that holds counts
             month        [] or [0 rides 1 fen, [[from, permille], ...]]
             ride         {} or the numbers of tunion.fare.decision.RIDE, which an open ride needs
             riders_max   on one card; all but the first pay the list fare
             transfer     [] or [window_min, since, count_max, lines, [[from, to, permille, off_fen], ...]]
             visitors     which discounts a card of another city gets: 1 kind, 2 hours, 4 month, 8 transfer
"""

from tunion.compat import const
from tunion.fare import decision, discount, month, when
from tunion.fare.flat import Price
from tunion.fare.grid import FARE_FEN_MAX, ONWARD, Grid
from tunion.fare.transfer import Transfers
from tunion.record import BadInput, is_int
from tunion.window import Window
from tunion.wire.limits import RIDERS_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.fare.month import Month
    from tunion.fare.transfer import Given

FLAT, GRID, METER = const(0), const(1), const(2)
SCHEMES = ("flat", "grid", "meter")

# Modes are the card's industries (trip history, file 1Eh)
METRO, BUS, TAXI, COACH, FERRY, INTERCITY, TOLL = 0x01, 0x02, 0x04, 0x08, 0x09, 0x0A, 0x0C

OF_KIND, OF_HOURS, OF_MONTH, OF_TRANSFER = const(1), const(2), const(4), const(8)

HOURS_MAX = const(16)
RULES = ("cut_fen", "hours", "month", "ride", "riders_max", "transfer", "visitors")


class Tariff:
    """A checked table with its rules. Raises BadInput, naming the rule and the row.

    fare_id, version   0..0xFFFF, named in each record so that clearing re-prices with the same table
    mode               the industry
    kinds              card kind -> permille, 0..1000; 1000 rides for 0 fen, which takes a compound purchase
    days               YYYYMMDD -> day type, what the week does not say (tunion.fare.when)
    is_checked         False: of a grid only the head was, and who asked for that goes through `grid.checking`
    """

    def __init__(
        self, fare_id: int, version: int, mode: int, scheme: int, table: "Any", kinds: "dict[int, int]",
        rules: "dict[str, Any]", days: "dict[int, int]", is_checked: bool = True,
    ) -> None:
        if not _within(fare_id, 0, 0xFFFF) or not _within(version, 0, 0xFFFF) or not _within(mode, 1, 0xFF):
            raise BadInput("a tariff's id and version are 0 to 65535, its mode 1 to 255")
        if not isinstance(rules, dict) or sorted(rules, key=str) != list(RULES):
            raise BadInput("a tariff's rules are %s" % ", ".join(RULES))
        for kind, permille in kinds.items():
            if not _within(kind, 0, 0xFF) or not _within(permille, 0, 1000):
                raise BadInput("a discount is a card kind, 0 to 255, and its permille, 0 to 1000")
        self.fare_id = fare_id
        self.version = version
        self.mode = mode
        self.scheme = scheme
        self.kinds = dict(kinds)
        self.rules = rules
        self.days = days if rules["hours"] else {}
        self.table = table
        self.grid = _grid(scheme, table, is_checked)
        _check_rules(rules)
        if self.grid is not None:
            decision.check_ride(rules["ride"])
        elif rules["ride"] != {}:
            raise BadInput("ride: only a grid has open rides")
        self.transfers = Transfers(*rules["transfer"]) if rules["transfer"] else None
        self.low_fen, self.high_fen = _bounds_fen(scheme, table, self.grid)
        overtime_fen = rules["ride"]["overtime_fen"] if rules["ride"] else 0
        if self.high_fen * rules["riders_max"] + overtime_fen > FARE_FEN_MAX:
            raise BadInput("the dearest ride of all riders, or overtime, is more than a record holds")

    def list_fen(self, layer: int = 0, start: int = 0, end: int = 0) -> int:
        """The fare before discounts: of a flat table, of a grid's ride by codes, or of a meter that shows `end` fen.

        raises  NoFare where the grid has no such ride; BadInput for what no meter of this tariff shows
        """
        if self.grid is not None:
            return self.grid.fen(layer, start, end)
        if self.scheme == FLAT:
            fen: int = self.table
            return fen
        low_fen, high_fen, step_fen = self.table
        if not _within(end, low_fen, high_fen) or (end - low_fen) % step_fen:
            raise BadInput("the meter shows %d to %d fen in steps of %d" % (low_fen, high_fen, step_fen))
        return end

    def price(
        self, list_fen: int, kind: int, at_s: int, home: bool = True, so_far: "Month | None" = None,
        given: "Given | None" = None, riders: int = 1,
    ) -> Price:
        """What is paid for a ride that began at `at_s`; the order of discounts: tunion.fare.discount.

        kind    of the card, file 17h offset 10
        home    the card is of this city; another's gets what `visitors` grants
        so_far  this month's counters before this ride; None: nobody holds them, no tier counts
        given   what `transfers.give` said of this ride; None: nobody knows of a ride before
        raises  BadInput for more riders than the table allows
        """
        if not 1 <= riders <= self.rules["riders_max"]:
            raise BadInput("1 to %d riders travel on one card here" % self.rules["riders_max"])
        granted = 15 if home else self.rules["visitors"]
        permilles = []
        off_fen = 0
        if granted & OF_KIND:
            permilles.append(self.kinds.get(kind, 0))
        if granted & OF_HOURS:
            row = self.hours_row(kind, at_s)
            if row is not None:
                permilles.append(self.rules["hours"][row][4])
        if granted & OF_MONTH and so_far is not None and self.rules["month"]:
            permilles.append(month.permille(self.rules["month"][0], self.rules["month"][1], so_far))
        if granted & OF_TRANSFER and given is not None:
            permilles.append(given.permille)
            off_fen = given.off_fen
        return discount.price(list_fen, permilles, off_fen, self.rules["cut_fen"], riders)

    def hours_row(self, kind: int, at_s: int) -> "int | None":
        """Which row of `hours` holds for a card kind at a time."""
        rows = self.rules["hours"]
        if not rows:
            return None
        day = 1 << when.day_type(at_s, self.days)
        minute = when.minute(at_s)
        for at in range(len(rows)):
            of_kind, mask, from_min, to_min, _ = rows[at]
            if of_kind in (-1, kind) and mask & day and from_min <= minute < to_min:
                return at
        return None

    def to_map(self) -> "dict[str, Any]":
        """The tariff as JSON carries it; a grid is hex digits."""
        return {
            "scheme": SCHEMES[self.scheme],
            "fare_id": self.fare_id,
            "version": self.version,
            "mode": self.mode,
            "table": bytes(self.table[:]).hex() if self.scheme == GRID else self.table,
            "discounts": [[kind, self.kinds[kind]] for kind in sorted(self.kinds)],
            "rules": self.rules,
            "days": [[day, self.days[day]] for day in sorted(self.days)],
        }


def from_map(fields: "dict[str, Any]") -> Tariff:
    """The inverse of to_map; raises BadInput for another shape."""
    try:
        scheme = SCHEMES.index(fields["scheme"])
        table = bytes.fromhex(fields["table"]) if scheme == GRID else fields["table"]
        kinds = dict([(kind, permille) for kind, permille in fields["discounts"]])
        days = dict([(day, of_type) for day, of_type in fields["days"]])
        numbers = [fields[name] for name in ("fare_id", "version", "mode")]
        rules = fields["rules"]
    except (KeyError, TypeError, ValueError) as problem:
        raise BadInput("not a tariff: %r" % problem)
    return Tariff(numbers[0], numbers[1], numbers[2], scheme, table, kinds, rules, days)


def _grid(scheme: int, table: "Any", is_checked: bool) -> "Grid | None":
    """The grid of a table, or None where the scheme has none; raises BadInput for a table that does not fit."""
    if scheme == GRID:
        if not isinstance(table, (bytes, bytearray, memoryview, Window)):
            raise BadInput("a grid's table is its blob")
        return Grid(table, is_checked)
    if scheme == FLAT:
        if not _within(table, 1, FARE_FEN_MAX):
            raise BadInput("a flat fare is 1 to %d fen" % FARE_FEN_MAX)
    elif scheme == METER:
        if not isinstance(table, list) or len(table) != 3 or not all([_within(n, 1, FARE_FEN_MAX) for n in table]):
            raise BadInput("a meter's table is [low_fen, high_fen, step_fen]")
        if table[0] > table[1] or (table[1] - table[0]) % table[2]:
            raise BadInput("a meter goes from its low to its high price in whole steps")
    else:
        raise BadInput("a tariff's scheme is 0 flat, 1 grid or 2 meter")
    return None


def _bounds_fen(scheme: int, table: "Any", grid: "Grid | None") -> "tuple[int, int]":
    """The lowest and the highest list fare."""
    if grid is not None:
        return grid.lowest_fen, grid.highest_fen
    return (table, table) if scheme == FLAT else (table[0], table[1])


def _check_rules(rules: "dict[str, Any]") -> None:
    if not _within(rules["cut_fen"], 1, 100):
        raise BadInput("cut_fen takes 1 to 100")
    if not _within(rules["riders_max"], 1, RIDERS_MAX):
        raise BadInput("riders_max takes 1 to %d" % RIDERS_MAX)
    if not _within(rules["visitors"], 0, 15):
        raise BadInput("visitors takes 0 to 15: 1 kind, 2 hours, 4 month, 8 transfer")
    hours = rules["hours"]
    if not isinstance(hours, list) or len(hours) > HOURS_MAX:
        raise BadInput("hours has at most %d rows" % HOURS_MAX)
    for at in range(len(hours)):
        row = hours[at]
        if not isinstance(row, list) or len(row) != 5 or not _within(row[0], -1, 0xFF) or not _within(row[1], 1, 7):
            raise BadInput("hours, row %d: [kind or -1, day mask 1 to 7, from_min, to_min, permille]" % (at + 1))
        if not _within(row[2], 0, 1439) or not _within(row[3], 1, 1440) or row[2] >= row[3]:
            raise BadInput("hours, row %d: from is before to; across midnight takes two rows" % (at + 1))
        if not _within(row[4], 0, 1000):
            raise BadInput("hours, row %d: permille is 0 to 1000" % (at + 1))
    if rules["month"] != []:
        if not isinstance(rules["month"], list) or len(rules["month"]) != 2:
            raise BadInput("month is [] or [0 rides 1 fen, [[from, permille], ...]]")
        month.check_tiers(rules["month"][0], rules["month"][1])
    if rules["transfer"] != [] and (not isinstance(rules["transfer"], list) or len(rules["transfer"]) != 5):
        raise BadInput("transfer is [] or [window_min, since, count_max, lines, pairs]")


def is_by_stop(found: Tariff) -> bool:
    """Rides are tapped on and off along a line: tunion.fare.segment decides. Else a grid's rides go through gates."""
    return found.grid is not None and found.grid.shape == ONWARD


def _within(value: "Any", low: int, high: int) -> bool:
    return is_int(value) and low <= value <= high
