"""What a card company decides about its counter, as data. Fields: backoffice/docs/cards.md"""

import json
from pathlib import Path
from typing import NamedTuple

from backoffice.cards.product import is_date
from backoffice.store.card_states import CardsRefused
from tunion import bcd

SAMPLE = Path(__file__).with_name("rules") / "sample.json"
RULES_BYTES_MAX = 64 << 10
DAYS_MAX = 365
_DAY_S = 86400
_OFFSET_S = 8 * 3600  # China Standard Time
_SATURDAY = 5  # of a week that begins with Monday, 0
_THURSDAY = 3  # 1970-01-01


class RulesError(CardsRefused):
    """The rules cannot be used. The message names the field and what it must be."""


class Rules(NamedTuple):
    about: str
    two_people_fen: int  # more than this wants a second person
    wait_working_days: int  # before the balance of a card that does not answer is paid
    straggler_days: int  # rides arrive so late at most
    holidays: tuple[str, ...]  # YYYYMMDD, on which nobody works
    deposit_back: bool  # with a card that is given back in order
    extend_years_max: int

    def due_s(self, from_s: int) -> int:
        """The end of the last working day to be waited for, counted from the day after."""
        day, left = _day(from_s), self.wait_working_days
        while left:
            day += 1
            left -= self._is_working(day)
        return (day + 1) * _DAY_S - _OFFSET_S

    def last_straggler_s(self, from_s: int) -> int:
        """When the last ride can arrive that a card made before `from_s`."""
        return from_s + self.straggler_days * _DAY_S

    def _is_working(self, day: int) -> bool:
        weekday = (day + _THURSDAY) % 7
        return weekday < _SATURDAY and bcd.to_digits(bcd.stamp(day * _DAY_S)[:4]) not in self.holidays


def read(path: Path = SAMPLE) -> Rules:
    """Raises RulesError."""
    try:
        if path.stat().st_size > RULES_BYTES_MAX:
            raise RulesError(f"{path.name}: is too long for rules")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RulesError(f"{path.name}: {error.strerror}: name a file that can be read") from error
    except (ValueError, RecursionError) as error:
        raise RulesError(f"{path.name}: is not JSON: {error}") from error
    if not isinstance(content, dict) or set(content) != set(Rules._fields):
        raise RulesError(f"{path.name}: must be an object with {', '.join(Rules._fields)}, and no more")
    for name, high in (("two_people_fen", 10**9), ("wait_working_days", DAYS_MAX), ("straggler_days", DAYS_MAX),
                       ("extend_years_max", 50)):  # fmt: skip
        if type(content[name]) is not int or not 0 <= content[name] <= high:
            raise RulesError(f"{path.name}: {name}: must be a whole number from 0 to {high}")
    if type(content["deposit_back"]) is not bool:
        raise RulesError(f"{path.name}: deposit_back: must be true or false")
    if not isinstance(content["holidays"], list) or not all(is_date(day) for day in content["holidays"]):
        raise RulesError(f"{path.name}: holidays: must be a list of days YYYYMMDD")
    return Rules(**{**content, "holidays": tuple(content["holidays"])})


def _day(at_s: int) -> int:
    """Number of the local day."""
    return (at_s + _OFFSET_S) // _DAY_S
