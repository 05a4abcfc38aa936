"""DES as circuits and wiring, written as C: from the tables of tunion.crypto, by a search of our own.

Each of the four outputs of an S box is a function of six bits; as a number of 64 bits, its truth table. `Circuit.make`
takes what is there already, else what one gate makes of two things that are there, else it splits the function by a
variable x into f0 (x is 0), f1 (x is 1) and f2 = f0 ^ f1, makes two of the three and joins them:

    f = f0 ^ (x & f2)        f = f1 ^ (f2 & ~x)        f = f0 ^ (x & (f0 ^ f1))

Which variable first, which of the three and which half first is thrown with dice. SEEDS names the throw that gave the
fewest gates; `python -m backoffice.keys.native --search 9000` looks for better ones (a minute).

Permutations are no gates, only numbers of wires: S boxes add their outputs where P would send them, E and PC2 are the
indices they read from.
"""

from collections.abc import Sequence

from tunion.crypto.des_tables import PC1, PC2, SP, TURNS

SEEDS = (73, 7015, 3497, 971, 2755, 4643, 4010, 7571)  # of S boxes 1 to 8: 568 gates together

ONES = (1 << 64) - 1
INPUTS = [sum(1 << six for six in range(64) if six >> (5 - wire) & 1) for wire in range(6)]


class TooLong(Exception):
    """This throw needs more gates than one that is known."""


class Dice:
    """The same throws for a seed in every version of Python."""

    def __init__(self, seed: int) -> None:
        self._state = seed
        for _ in range(3):
            self.below(2)

    def below(self, sides: int) -> int:
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & ONES
        return (self._state >> 33) % sides

    def shuffled(self, items: Sequence[int]) -> list[int]:
        mixed = list(items)
        for last in range(len(mixed) - 1, 0, -1):
            other = self.below(last + 1)
            mixed[last], mixed[other] = mixed[other], mixed[last]
        return mixed


class Circuit:
    """Gates of two inputs (xor, and, or, and-not) and what each of them computes."""

    def __init__(self, dice: Dice, gates_max: int) -> None:
        self.there = dict.fromkeys((*INPUTS, ONES))  # as a set, but in the order it grew: a seed is to give one circuit
        self.gates: list[tuple[int, int, str, int]] = []  # what it computes, from what, by what, from what
        self._dice = dice
        self._gates_max = gates_max

    def make(self, table: int, order: Sequence[int]) -> None:
        """Gates up to that function of the variables in `order`. Raises TooLong."""
        if table == 0 or self._at_hand(table):
            return
        wire, rest = order[0], order[1:]
        x = INPUTS[wire]
        f0, f1 = halves(table, wire)
        f2 = f0 ^ f1
        if f2 == 0:
            self.make(table, rest)
            return
        ways = ((f0, f2), (f1, f2), (f0, f1))
        known = [(first in self.there) + (second in self.there) for first, second in ways]
        known[2] -= 1  # it takes one gate more
        likely = [way for way in range(3) if known[way] == max(known)]
        way = likely[self._dice.below(len(likely))] if self._dice.below(8) else self._dice.below(3)
        for part in self._dice.shuffled((0, 1)):
            self.make(ways[way][part], rest)
        for join in (f2, f2 & ~x if way == 1 else f2 & x, table):
            if join and not self._at_hand(join):
                raise AssertionError("two parts and a variable make the whole")

    def _at_hand(self, table: int) -> bool:
        """There already, or one gate away: then it is there on return."""
        there = self.there
        if table in there:
            return True
        for one in there:
            if one ^ table in there:
                return self._gate(table, one, "^", one ^ table)
        above = [one for one in there if one & table == table]
        below = [one for one in there if one & table == one]
        apart = [one for one in there if one & table == 0]
        for first in above:
            for second in above:
                if first & second == table:
                    return self._gate(table, first, "&", second)
            for second in apart:
                if first & ~second == table:
                    return self._gate(table, first, "& ~", second)
        for first in below:
            for second in below:
                if first | second == table:
                    return self._gate(table, first, "|", second)
        return False

    def _gate(self, table: int, first: int, sign: str, second: int) -> bool:
        if len(self.gates) >= self._gates_max:
            raise TooLong
        self.gates.append((table, first, sign, second))
        self.there[table] = None
        return True

    def needed(self, wanted: Sequence[int]) -> list[tuple[int, int, str, int]]:
        """The gates that those functions hang on: some were made for a join that another gate made better."""
        live, found = set(wanted), []
        for gate in reversed(self.gates):
            if gate[0] in live:
                live |= {gate[1], gate[3]}
                found.append(gate)
        return found[::-1]


def halves(table: int, wire: int) -> tuple[int, int]:
    """The function where that wire is 0 and where it is 1, each still as a table of 64 bits."""
    step = 1 << (5 - wire)
    high, low = table & INPUTS[wire], table & ~INPUTS[wire] & ONES
    return low | low << step, high | high >> step


def outputs(box: int) -> list[tuple[int, int]]:
    """(bit of the half block, truth table) of the four outputs of an S box, 0 to 7."""
    words = [int.from_bytes(SP[4 * (64 * box + six) :][:4], "big") for six in range(64)]
    tables = [sum((words[six] >> (31 - bit) & 1) << six for six in range(64)) for bit in range(32)]
    found = [(bit, table) for bit, table in enumerate(tables) if table]
    if len(found) != 4:
        raise AssertionError("an S box has four outputs")
    return found


def gates(box: int, seed: int, gates_max: int = 1000) -> list[tuple[int, int, str, int]]:
    """One throw. Raises TooLong."""
    dice = Dice(seed)
    order = dice.shuffled(range(6))
    found = Circuit(dice, gates_max)
    wanted = [table for _, table in outputs(box)]
    for output in dice.shuffled(range(4)):
        found.make(wanted[output], order)
    return found.needed(wanted)


def search(box: int, throws: int) -> tuple[int, int]:
    """(gates, seed) of the best of so many throws."""
    best = (1000, 0)
    for seed in range(throws):
        try:
            best = min(best, (len(gates(box, seed, best[0] + 3)), seed))  # a few may turn out not to be needed
        except TooLong:
            continue
    return best


def initial_permutation() -> list[int]:
    """IP: bit i of its result is bit IP[i] of the block; columns read from below, odd ones first. FIPS 46-3."""
    return [8 * (7 - column) + (2 * row + 1) % 9 for row in range(8) for column in range(8)]


def schedule() -> list[list[int]]:
    """For each of the 16 rounds the 48 bits of the 64-bit key that its subkey is made of."""
    rounds = []
    for turned in TURNS:
        turn = [PC1[half + (bit + turned) % 28] for half in (0, 28) for bit in range(28)]
        rounds.append([turn[bit] for bit in PC2])
    return rounds


def as_c() -> str:
    """The text of des_wires.h."""
    parts = ["/* Made by backoffice/keys/native/generate.py. BITS is a vector type, a bit for each lane. */"]
    parts += [_box_as_c(box, SEEDS[box]) for box in range(8)]
    parts.append("static inline void round_of_des(const BITS *right, BITS *left, const BITS *key, const uint8_t *at)")
    parts.append("{")
    for box in range(8):
        expanded = [(4 * box - 1 + wire) % 32 for wire in range(6)]
        words = ", ".join(f"right[{bit}] ^ key[at[{6 * box + wire}]]" for wire, bit in enumerate(expanded))
        parts.append(f"    box{box + 1}({words}, left);")
    parts.append("}")
    parts.append(_array_as_c("PERMUTED[64]", initial_permutation()))
    rows = ",\n    ".join("{" + ", ".join(map(str, row)) + "}" for row in schedule())
    parts.append(f"static const uint8_t SCHEDULE[16][48] = {{\n    {rows}\n}};")
    return "\n".join(parts) + "\n"


def _box_as_c(box: int, seed: int) -> str:
    names = {table: f"x{wire}" for wire, table in enumerate(INPUTS)}
    inputs = ", ".join(f"BITS {name}" for name in names.values())
    lines = [f"static inline void box{box + 1}({inputs}, BITS *half)\n{{"]
    made = gates(box, seed)
    if any(ONES in gate for gate in made):
        names[ONES] = "ones"
        lines.append("    const BITS ones = ~(BITS){0};")
    for number, (table, first, sign, second) in enumerate(made, 1):
        lines.append(f"    const BITS t{number} = {names[first]} {sign} {names[second]};")
        names[table] = f"t{number}"
    lines += [f"    half[{bit}] ^= {names[table]};" for bit, table in outputs(box)]
    return "\n".join(lines) + "\n}"


def _array_as_c(name: str, numbers: list[int]) -> str:
    return f"static const uint8_t {name} = {{{', '.join(map(str, numbers))}}};"
