"""An application on a card as data: where it is found, where its facts stand, what keys prove it, what it can do.

A card may hold several: the national e-purse (JT/T 978) and the one its region had before it. Every row of the national
product is the standard's; those of others come from the device file. Bytes and reasons: firmware/docs/products.md.
"""

from collections import namedtuple

from tunion.card import files
from tunion.compat import const
from tunion.crypto.keys import COMPOUND, PURCHASE, card_factor
from tunion.record import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.card.apdu import Card

# What a terminal reads of an application. Bytes but for `kind`; None: the product has no such fact.
Facts = namedtuple(
    "Facts", ("issuer", "serial", "application", "enabled", "start", "expiry", "city", "kind", "interoperable")
)

# number      0 the national product, 1 to 15 others: high four bits of a tap's `event`
# name        for logs and the back office's books
# aid         5 to 16 bytes
# files       ((SFI, bytes to ask for), ...) in the order they are read; the serial number stands in the first
# fci_tag     of the answer to SELECT, with a copy of the first file; 0: there is none
# places      of each fact, in the order of Facts: (SFI, from, to), or None. The serial is filled with 00 on the left to
#             10 bytes, the issuer with FF on the right to 8: as a tap has them
# application, enabled, interoperable   what a card in order has there; None: not compared
# city, kind  where no file has them
# test_kind   cards of this kind ride in test mode only; -1: no such kind
# factors     of the card's key, as the SAM is handed them: from the card upwards. CARD, ISSUER, or 8 bytes
# key_index   of the card's purchase key; 0: the SAM says
# types       purchases that it can do: 06 plain, 09 compound with the records of file 1Ah
# log_sfi     of the purse's own log; 0: it has none that could be read
# head        what each serial begins with: bytes that no key covers, so a relay could change them. b"": not compared
Product = namedtuple(
    "Product",
    (
        "number",
        "name",
        "aid",
        "files",
        "fci_tag",
        "places",
        "application",
        "enabled",
        "interoperable",
        "city",
        "kind",
        "test_kind",
        "factors",
        "key_index",
        "types",
        "log_sfi",
        "head",
    ),
)

CARD, ISSUER = "card", "issuer"
NUMBER_MAX = const(15)
LEVELS_MAX = const(3)
FACTOR_BYTES = const(8)
_SERIAL = const(1)  # of the facts
_SERIAL_BYTES = const(10)
_ISSUER_BYTES = const(8)
_NUMBER_SHIFT = const(4)
_BY_SFI = const(0x80)  # P1 of READ BINARY

NATIONAL = Product(
    0,
    "JT/T 978",
    files.EPURSE_AID,
    ((files.PUBLIC_SFI, files.PUBLIC.size), (files.MANAGEMENT_SFI, files.MANAGEMENT_BYTES)),
    0x9F0C,
    (
        (files.PUBLIC_SFI, 0, 8),
        (files.PUBLIC_SFI, 10, 20),
        (files.PUBLIC_SFI, 8, 9),
        (files.PUBLIC_SFI, 9, 10),
        (files.PUBLIC_SFI, 20, 24),
        (files.PUBLIC_SFI, 24, 28),
        (files.MANAGEMENT_SFI, 6, 8),
        (files.MANAGEMENT_SFI, 10, 11),
        (files.MANAGEMENT_SFI, 8, 10),
    ),
    b"\x02",
    b"\x01",
    b"\x00\x01",
    bytes(2),
    0,
    files.TEST,
    (CARD, ISSUER),
    0,
    (PURCHASE, COMPOUND),
    files.LOG_SFI,
    b"\x03\x10",
)


def opened(product: "Product", card: "Card") -> "dict[int, bytes]":
    """SELECT, and the first file: SFI -> content. Raises CardRefused, LinkLost; BadInput for what is no TLV."""
    fci = card.send(files.SELECT, raw=product.aid)
    sfi, size = product.files[0]
    if product.fci_tag:
        found = files.tlv_find(fci, (0x6F, 0xA5, product.fci_tag))
        if found is not None and len(found) >= size:
            return {sfi: found[:size]}
    return {sfi: _read(card, sfi, size)}


def read_on(product: "Product", card: "Card", found: "dict[int, bytes]") -> None:
    """The files after the first, into `found`. Raises CardRefused, LinkLost."""
    for sfi, size in product.files[1:]:
        found[sfi] = _read(card, sfi, size)


def serial_of(product: "Product", found: "dict[int, bytes]") -> bytes:
    """10 bytes. Raises BadInput for a file that is too short."""
    sfi, start, end = product.places[_SERIAL]
    serial = found[sfi][start:end]
    if len(serial) != end - start:
        raise BadInput("file %02X ends before its serial number" % sfi)
    return serial if len(serial) == _SERIAL_BYTES else bytes(_SERIAL_BYTES - len(serial)) + serial


def facts(product: "Product", found: "dict[int, bytes]") -> "Facts":
    """What the files say. Raises BadInput for one that is too short."""
    said: list[Any] = []
    for place in product.places:
        if place is None:
            said.append(None)
            continue
        sfi, start, end = place
        raw = found[sfi]
        if len(raw) < end:
            raise BadInput("file %02X ends before byte %d" % (sfi, end))
        said.append(raw[start:end])
    issuer, serial, application, enabled, start, expiry, city, kind, interoperable = said
    if len(issuer) < _ISSUER_BYTES:
        issuer += b"\xff" * (_ISSUER_BYTES - len(issuer))
    if len(serial) < _SERIAL_BYTES:
        serial = bytes(_SERIAL_BYTES - len(serial)) + serial
    city = product.city if city is None else city
    kind = product.kind if kind is None else kind[0]
    return Facts(issuer, serial, application, enabled, start, expiry, city, kind, interoperable)


def factors(product: "Product", serial: bytes, issuer: bytes) -> bytes:
    """What a SAM derives the card's key with, 8 bytes a level, from the card upwards."""
    found = b""
    for factor in product.factors:
        if isinstance(factor, bytes):
            found += factor
        else:
            found += card_factor(serial) if factor == CARD else issuer
    return found


def of_product(number: int, event: int) -> int:
    """A tap's `event` with the application that paid in its high four bits."""
    return number << _NUMBER_SHIFT | event


def number_in(event: int) -> int:
    """Of a tap's `event`."""
    return event >> _NUMBER_SHIFT


def _read(card: "Card", sfi: int, size: int) -> bytes:
    raw: bytes = card.send(files.READ_BINARY, p1=_BY_SFI | sfi, le=size)
    return raw
