"""A clerk's file as the records of a list. Errors name lines, never what stands in them: card numbers are personal.

deny   one number a line, 19 digits as printed or 20 as in the card; in a CSV file the first column
city   CITY,FROM,TO    4 digits; days YYYY-MM-DD, local; TO is the first day without it, empty: no end is known
bin    ISSUER,FROM,TO  8 digits, the first half of the issuer identifier

Empty lines, lines that begin with # and a first line of headings are passed over.
"""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from backoffice.fleet.spec import FleetRefused
from tunion import bcd
from tunion.wire import lists

FILE_BYTES_MAX = 16 << 20  # 100 000 numbers with some columns beside are 10 MB
LINES_NAMED_MAX = 10  # of bad ones, in a refusal


def records_of(path: Path, name: int) -> tuple[bytes, int]:
    """(records, how many lines said what another one had said). Raises FleetRefused, naming the lines that are bad."""
    take = {lists.DENY: _serial, lists.CITY: _city, lists.BIN: _issuer}[name]
    found: set[bytes] = set()
    bad: list[int] = []
    twice = 0
    for line, cells in _lines(path):
        try:
            record = take(cells)
        except ValueError:
            if line > 1 or any(letter.isdigit() for letter in cells[0]):
                bad.append(line)
            continue
        twice += record in found
        found.add(record)
    if bad:
        named = ", ".join(str(line) for line in bad[:LINES_NAMED_MAX])
        more = f" and {len(bad) - LINES_NAMED_MAX} more" if len(bad) > LINES_NAMED_MAX else ""
        raise FleetRefused(f"{path.name}: {_TAKES[name]}; not so in line {named}{more}")
    most = lists.COUNT_MAX[name]
    if len(found) > most:
        raise FleetRefused(f"{path.name} has {len(found)} records, devices take {most}")
    records = b"".join(sorted(found))
    try:
        lists.check_order(name, b"", records)
    except lists.BadList as problem:
        raise FleetRefused(f"{path.name}: {problem}") from problem
    return records, twice


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise FleetRefused(f"{path.name} has over {FILE_BYTES_MAX >> 20} MB: that is no list of ours")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FleetRefused(f"{path.name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FleetRefused(f"{path.name} is no text in UTF-8") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            cells = next(csv.reader([line]), [""])
            yield number, [cell.strip() for cell in cells]


def _serial(cells: list[str]) -> bytes:
    return bcd.from_digits(_matching(_SERIAL, cells[0]).zfill(20))


def _city(cells: list[str]) -> bytes:
    return _dated(cells, _CITY, bcd.from_digits)


def _issuer(cells: list[str]) -> bytes:
    return _dated(cells, _ISSUER, bcd.from_digits)


def _dated(cells: list[str], shape: re.Pattern[str], key_of: Callable[[str], bytes]) -> bytes:
    key, from_day, to_day = (cells + ["", ""])[:3]
    to_s = _day_s(to_day) if to_day else lists.NEVER_S
    record = lists.dated(key_of(_matching(shape, key)), _day_s(from_day), to_s)
    lists.check_order(lists.CITY, b"", record)
    return record


def _day_s(day: str) -> int:
    digits = bcd.from_digits(_matching(_DAY, day).replace("-", ""))
    if not bcd.is_date(digits):
        raise ValueError(day)
    return int(bcd.at_s(digits + bytes(3)))


def _matching(shape: re.Pattern[str], text: str) -> str:
    if not shape.fullmatch(text):
        raise ValueError("another shape")
    return text


_SERIAL = re.compile("[0-9]{19,20}")
_CITY = re.compile("[0-9]{4}")
_ISSUER = re.compile("[0-9]{8}")
_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TAKES = {
    lists.DENY: "a card number has 19 or 20 digits",
    lists.CITY: "a line is CITY,FROM,TO: 4 digits, days YYYY-MM-DD, TO after FROM or empty",
    lists.BIN: "a line is ISSUER,FROM,TO: 8 digits, days YYYY-MM-DD, TO after FROM or empty",
}
