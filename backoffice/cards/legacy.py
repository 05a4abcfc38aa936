"""Stock cards (存量卡): those of the regional scheme before, as a file describes their application."""

from typing import Any, NamedTuple

from backoffice.store.card_states import CardsRefused
from tunion.card.product import Product
from tunion.card.sample_products import LEGACY

_FACTS = ("issuer", "serial", "application", "enabled", "start", "expiry", "city", "kind", "interoperable")


class Scheme(NamedTuple):
    """One regional scheme: its application, and the versions of the keys by which its cards are retired."""

    product: Product
    maintenance_version: int


def scheme_of(row: dict[str, Any], maintenance_version: int) -> Scheme:
    """From the application's row of a device file (firmware/docs/products.md). Raises CardsRefused."""
    try:
        places = row["places"]
        product = Product(
            number=row["number"], name=row["name"], aid=bytes(row["aid"]),
            files=tuple((sfi, size) for sfi, size in row["files"]), fci_tag=row.get("fci_tag", 0),
            places=tuple(_place(places.get(fact)) for fact in _FACTS),
            application=row["wanted"].get("application"), enabled=row["wanted"].get("enabled"),
            interoperable=row["wanted"].get("interoperable"), city=row.get("city", bytes(2)), kind=row.get("kind", 0),
            test_kind=row.get("test_kind", -1), factors=tuple(row["factors"]), key_index=row["key_index"],
            types=tuple(row["types"]), log_sfi=row.get("log_sfi", 0), head=row.get("head", b""),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CardsRefused(f"the stock cards' application lacks something: {error}") from error
    return Scheme(product, maintenance_version)


def _place(place: "list[int] | None") -> "tuple[int, int, int] | None":
    """A device file says (SFI, offset, bytes); a product (SFI, from, to)."""
    if place is None:
        return None
    sfi, at, size = place
    return sfi, at, at + size


SAMPLE = scheme_of(LEGACY, maintenance_version=2)
