"""Invented metro networks of any size, for tests and measurements: the same for the same seed."""

import random
from typing import Any

BANDS = {"start_m": 4000, "start_fen": 200, "steps": [[4000, 4000, 100], [12000, 6000, 100], [24000, 8000, 100]]}
STATIONS_A_LINE = 20


def metro(seed: int, stations: int = 300) -> dict[str, Any]:
    """A network file's content (backoffice.fleet.network): lines of 20 stations, coded line * 100 + place.

    Each line crosses the one before at a transfer between two random stations, so every station can be reached.
    """
    dice = random.Random(seed)
    lines: list[dict[str, Any]] = []
    walks = []
    left = stations
    while left:
        count = min(STATIONS_A_LINE, left if left != STATIONS_A_LINE + 1 else left - 2)
        left -= count
        number = len(lines) + 1
        codes = [100 * number + place for place in range(1, count + 1)]
        metres = [dice.randrange(700, 2600) for _ in codes[1:]]
        lines.append({"name": str(number), "stations": codes, "metres": metres})
        if number > 1:
            walks.append([dice.choice(lines[-2]["stations"]), dice.choice(codes), dice.randrange(100, 500)])
    names = {str(code): f"station {code}" for line in lines for code in line["stations"]}
    return {
        "origin": f"invented, seed {seed}", "bands": BANDS, "stations": names, "lines": lines, "walks": walks,
    }  # fmt: skip
