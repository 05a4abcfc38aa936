"""What is declared of cards and of the counter: bytes as the standard has them, and slips by their names."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice.cards import legacy, making, profile, rules
from backoffice.cards import product as products
from backoffice.store.card_states import CardsRefused, masked
from tunion import bcd
from tunion.card.sample_products import LEGACY

NUMBER = "3104999000000000017"


def content(**changed: Any) -> str:
    row = json.loads((products.PRODUCTS / "nanning_ordinary.json").read_text())
    return json.dumps({**row, **changed})


def test_the_files_are_those_of_the_standards_example() -> None:
    made = products.parse(content(start="20250101", expiry="20351231"), "it")
    files = made.files(NUMBER, *made.dates("20250601"))
    assert files[0x15].hex().upper() == "04026110FFFFFFFF0201031049990000000000172025010120351231" + "0000"
    assert files[0x17].hex() == "00000156" + "6100" + "6110" + "0001" + "01" + "00" * 49
    assert files[0x16] == bytes(55)
    assert products.factor_of(NUMBER).hex() == "4999000000000017"


def test_each_sample_fits_each_sample_profile() -> None:
    assert len(products.names()) == 7
    for name in products.names():
        made, _ = products.named(name)
        assert made.name == name
        for command_set in profile.names("card"):
            making.require_fit(made, profile.sample(command_set))
    with pytest.raises(products.ProductError, match="is for a psam"):
        making.require_fit(made, profile.sample("sample_psam_3des"))


@pytest.mark.parametrize(("start", "years", "expiry"), [
    ("20250601", 10, "20350531"), ("20250101", 10, "20341231"), ("20240301", 1, "20250228"),
    ("20230301", 1, "20240229"), ("20240229", 1, "20250228"), ("20250302", 2, "20270301"),
])  # fmt: skip
def test_years_end_the_day_before(start: str, years: int, expiry: str) -> None:
    made = products.parse(content(start="", expiry="", years=years), "it")
    assert made.dates(start) == (start, expiry)


@given(st.dates(date(2000, 1, 1), date(2060, 12, 31)), st.integers(1, 50))
def test_years_against_the_calendar_of_python(start: date, years: int) -> None:
    made = products.parse(content(start="", expiry="", years=years), "it")
    try:
        anniversary = start.replace(year=start.year + years)
    except ValueError:  # of a February 29th
        anniversary = date(start.year + years, 3, 1)
    assert made.dates(f"{start:%Y%m%d}")[1] == f"{anniversary - timedelta(days=1):%Y%m%d}"


@pytest.mark.parametrize(("change", "said"), [
    ({"issuer": "0402"}, "issuer: must be 8 bytes"),
    ({"issuer": 7}, "issuer: must be 8 bytes"),
    ({"city": "6A10"}, "city: must be 4 digits"),
    ({"kind": 6}, "kind: must be a whole number from 1 to 5"),
    ({"kind": True}, "kind: must be a whole number"),
    ({"deposit_fen": 20.5}, "deposit_fen: must be a whole number"),
    ({"deposit_fen": -1}, "deposit_fen"),
    ({"interoperable": 1}, "interoperable: must be true or false"),
    ({"start": "20250230"}, "start: must be a day"),
    ({"years": 0}, "one of the two must say how long"),
    ({"start": "20300101", "expiry": "20250101"}, "expiry: lies before start"),
    ({"print_line": "{name}"}, "print_line: knows"),
    ({"print_line": "{number.x}"}, "print_line: knows"),
    ({"name": ""}, "name: must be a text"),
    ({"colour": "red"}, "does not know colour"),
])  # fmt: skip
def test_a_slip_in_a_product_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(products.ProductError, match=said):
        products.parse(content(**change), "it")


@pytest.mark.parametrize("said", ["", "[]", "{", "[" * 5000, "{}"])
def test_what_is_no_product(said: str) -> None:
    with pytest.raises(products.ProductError):
        products.parse(said, "it")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "long.json").write_text(" " * 70_000)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    for name, said in (("absent.json", "No such file"), ("long.json", "too long"), ("bytes.json", "not UTF-8")):
        with pytest.raises(products.ProductError, match=said):
            products.named(str(tmp_path / name))
    with pytest.raises(products.ProductError, match="choose one of"):
        products.named("moon")


def rules_of(**changed: Any) -> dict[str, Any]:
    return {**json.loads(rules.SAMPLE.read_text()), **changed}


@pytest.mark.parametrize(("change", "said"), [
    ({"two_people_fen": "x"}, "two_people_fen: must be a whole number"),
    ({"wait_working_days": 400}, "wait_working_days"),
    ({"deposit_back": 1}, "deposit_back: must be true or false"),
    ({"holidays": ["20250230"]}, "holidays: must be a list of days"),
    ({"more": 1}, "and no more"),
])  # fmt: skip
def test_a_slip_in_the_rules_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(rules_of(**change)))
    with pytest.raises(rules.RulesError, match=said):
        rules.read(path)


@given(st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)), st.integers(0, 20))
def test_working_days_against_the_calendar_of_python(at: datetime, days: int) -> None:
    """Whole days after the present one, without Saturdays, Sundays and holidays."""
    wanted = rules.Rules(**{**rules_of(wait_working_days=days), "holidays": ("20250101", "20251001")})
    day, left = at.date(), days
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < 5 and f"{day:%Y%m%d}" not in wanted.holidays
    at_s = bcd.at_s(bytes.fromhex(f"{at:%Y%m%d%H%M%S}"))
    assert wanted.due_s(at_s) == bcd.at_s(bytes.fromhex(f"{day + timedelta(days=1):%Y%m%d}") + bytes(3))


def test_the_stock_cards_application_is_read_as_a_device_reads_it() -> None:
    found = legacy.SAMPLE.product
    assert (found.number, found.key_index, found.places[1]) == (1, 2, (0x05, 8, 16))
    for missing in ("aid", "places", "wanted", "types"):
        row = {name: value for name, value in LEGACY.items() if name != missing}
        with pytest.raises(CardsRefused, match="lacks something"):
            legacy.scheme_of(row, 2)


def test_numbers_are_masked() -> None:
    assert masked(NUMBER) == "310499*********0017" and masked("123") == "***"
    assert products.grouped(NUMBER) == "3104 9990 0000 0000 017"
