"""What is made of a blank: a card product, declared in JSON. Fields: backoffice/docs/cards.md"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from backoffice.store.card_states import CardsRefused
from backoffice.store.cards import NUMBER_DIGITS, Identity
from tunion import bcd
from tunion.card.files import HOLDER_BYTES, MANAGEMENT, MANAGEMENT_BYTES, PUBLIC
from tunion.crypto.keys import card_factor

PRODUCTS = Path(__file__).with_name("products")
PRODUCT_BYTES_MAX = 64 << 10  # ours have 1 KB
YEARS_MAX = 50
FEN_MAX = 100_000  # of deposit and price: 1000 yuan, above which it is a slip of the finger
_CHINA = bytes.fromhex("00000156")
_EPURSE, _ENABLED = 2, 1  # file 15h

KINDS = {1: ("普通卡", "ordinary"), 2: ("学生卡", "student"), 3: ("老人卡", "senior"), 4: ("测试卡", "test"),
         5: ("军人卡", "military")}  # fmt: skip
_DEFAULTS: dict[str, Any] = {
    "start": "", "expiry": "", "years": 0, "own": "0000", "limit_fen": 0, "deposit_fen": 0, "price_fen": 0,
    "key_version": 1, "maintenance_version": 0, "print_line": "{number}", "interoperable": True,
}  # fmt: skip


class ProductError(CardsRefused):
    """The card product cannot be used. The message names the field and what it must be."""


class Product(NamedTuple):
    name: str
    about: str
    origin: str
    issuer: bytes  # 8
    city: bytes  # 2 BCD
    province: bytes  # 2 BCD
    kind: int
    interoperable: bool
    start: str  # YYYYMMDD; '': the day on which it is personalised
    expiry: str  # YYYYMMDD; '': `years` after the start
    years: int
    own: bytes  # 2, the issuer's own in file 15h
    limit_fen: int  # overdraft
    deposit_fen: int
    price_fen: int
    key_version: int  # of purchase, load and TAC key
    maintenance_version: int
    print_line: str
    artwork_common: str
    artwork_local: str

    def dates(self, today: str) -> tuple[str, str]:
        """First and last day of a card that is personalised `today`, YYYYMMDD."""
        start = self.start or today
        return start, self.expiry or _years_later(start, self.years)

    def identity(self, app_version: str, today: str) -> Identity:
        start, expiry = self.dates(today)
        return Identity(
            self.issuer.hex().upper(), self.city.hex(), self.kind, app_version, self.key_version, start, expiry
        )

    def version_of(self, purpose: str) -> int:
        """Of a card's key."""
        return self.maintenance_version if purpose == "maintenance" else self.key_version

    def files(self, number: str, start: str, expiry: str) -> dict[int, bytes]:
        """SFI -> content of the files that are written. Raises BadInput for what is no number or date."""
        public = PUBLIC.pack(
            issuer=self.issuer, application=_EPURSE, enabled=_ENABLED, serial=serial_of(number),
            start=bcd.from_digits(start), expiry=bcd.from_digits(expiry), own=self.own,
        )  # fmt: skip
        management = MANAGEMENT.pack(
            country=_CHINA, province=self.province, city=self.city, interoperable=bytes((0, self.interoperable)),
            kind=self.kind,
        )  # fmt: skip
        return {
            0x15: public,
            0x16: bytes(HOLDER_BYTES),
            0x17: management + bytes(MANAGEMENT_BYTES - len(management)),
        }

    def printed(self, number: str, start: str, expiry: str) -> str:
        """The line on the card's face."""
        kind_zh, kind_en = KINDS[self.kind]
        return self.print_line.format(
            number=grouped(number), kind_zh=kind_zh, kind_en=kind_en, start=_shown(start), expiry=_shown(expiry)
        )


def serial_of(number: str) -> bytes:
    """10 bytes, as file 15h has the 19 digits."""
    return bcd.from_digits("0" + number)


def factor_of(number: str) -> bytes:
    """8 bytes: what the card's keys are derived by."""
    return card_factor(serial_of(number))


def grouped(number: str) -> str:
    """3104 8400 0000 0000 017: as it is printed."""
    return " ".join(number[at : at + 4] for at in range(0, len(number), 4))


def names() -> list[str]:
    """Of the samples."""
    return sorted(path.stem for path in PRODUCTS.glob("*.json"))


def named(text: str) -> tuple[Product, str]:
    """(product, its JSON) of a sample's name or a file, as a clerk gives it. Raises ProductError."""
    is_file = "/" in text or text.endswith(".json")
    path = Path(text) if is_file else PRODUCTS / f"{text}.json"
    if not is_file and text not in names():
        raise ProductError(f"no card product {text}: choose one of {', '.join(names())}, or name a file")
    try:
        if path.stat().st_size > PRODUCT_BYTES_MAX:
            raise ProductError(f"{path.name}: is too long for a card product")
        said = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProductError(f"{path.name}: {error.strerror}: name a file that can be read") from error
    except UnicodeDecodeError as error:
        raise ProductError(f"{path.name}: is not UTF-8") from error
    return parse(said, path.name), said


def parse(said: str, where: str) -> Product:
    """Raises ProductError."""
    try:
        content = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise ProductError(f"{where}: is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ProductError(f"{where}: a card product is an object")
    strangers = sorted(set(content) - set(Product._fields))
    if strangers:
        raise ProductError(f"{where}: does not know {', '.join(strangers)}; take it out, or spell it right")
    missing = [name for name in Product._fields if name not in content and name not in _DEFAULTS]
    if missing:
        raise ProductError(f"{where}: lacks {', '.join(missing)}")
    row = {**_DEFAULTS, **content}
    row["maintenance_version"] = row["maintenance_version"] or row["key_version"]
    for name, size in (("issuer", 8), ("city", 2), ("province", 2), ("own", 2)):
        row[name] = _octets(row[name], f"{where}: {name}", size)
    for name in ("city", "province"):
        if not bcd.is_bcd(row[name]):
            raise ProductError(f"{where}: {name}: must be 4 digits")
    for name, low, high in (
        ("kind", 1, max(KINDS)), ("years", 0, YEARS_MAX), ("limit_fen", 0, 0xFFFFFF), ("deposit_fen", 0, FEN_MAX),
        ("price_fen", 0, FEN_MAX), ("key_version", 0, 255), ("maintenance_version", 0, 255),
    ):  # fmt: skip
        if type(row[name]) is not int or not low <= row[name] <= high:
            raise ProductError(f"{where}: {name}: must be a whole number from {low} to {high}")
    for name in ("name", "about", "origin", "print_line", "artwork_common", "artwork_local"):
        if not isinstance(row[name], str) or not row[name].strip() or len(row[name]) > 200:
            raise ProductError(f"{where}: {name}: must be a text of 1 to 200 letters")
    if type(row["interoperable"]) is not bool:
        raise ProductError(f"{where}: interoperable: must be true or false")
    for name in ("start", "expiry"):
        if row[name] != "" and not is_date(row[name]):
            raise ProductError(f"{where}: {name}: must be a day YYYYMMDD, or left out")
    product = Product(**row)
    if not product.expiry and not product.years:
        raise ProductError(f"{where}: expiry or years: one of the two must say how long a card is good")
    if product.start and product.expiry and product.start > product.expiry:
        raise ProductError(f"{where}: expiry: lies before start")
    try:
        product.printed("0" * NUMBER_DIGITS, "20250101", "20351231")
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise ProductError(
            f"{where}: print_line: knows {{number}}, {{kind_zh}}, {{kind_en}}, {{start}} and {{expiry}} only"
        ) from error
    return product


def is_date(text: object) -> bool:
    """YYYYMMDD, a day of the calendar."""
    return (
        isinstance(text, str) and len(text) == 8 and text.isascii() and text.isdecimal()
        and bcd.is_date(bytes.fromhex(text))
    )  # fmt: skip


def _years_later(day: str, years: int) -> str:
    """The day before its anniversary, so that whole years pass. February 29th: the 28th."""
    year, rest = int(day[:4]) + years, day[4:]
    while rest > "0101":
        rest = f"{int(rest) - 1:04d}"
        if bcd.is_date(bytes.fromhex(f"{year:04d}{rest}")):
            return f"{year:04d}{rest}"
    return f"{year - 1:04d}1231"


def _shown(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


def _octets(value: object, where: str, size: int) -> bytes:
    try:
        found = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        found = b""
    if len(found) != size:
        raise ProductError(f"{where}: must be {size} bytes in hex")
    return found
