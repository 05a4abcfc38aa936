"""The clearing path of what a regional application paid: inside its province, and nowhere else.

It was never part of the national scheme: the national centre knows neither its issuers nor its keys. Its records are
stored as all are, proved by keys of its own, and settled on lines that name the product. backoffice/docs/clearing.md.
"""

from backoffice.store.products import NATIONAL

OUT_OF_REGION = "RG-01"  # a regional application used in another province: no path leads home
UNVERIFIED_LEGACY = "RG-02"  # no key of that product here: held until its operator brings one

NO_TAC_KEY = "TX-07"


def refusal(product: int, level: str) -> str:
    """The anomaly code of a record that must not settle at this level; '' for one that may."""
    return OUT_OF_REGION if product != NATIONAL and level == "nation" else ""


def waits_for_key(product: int) -> str:
    """The anomaly code of a record whose TAC nobody here can judge."""
    return NO_TAC_KEY if product == NATIONAL else UNVERIFIED_LEGACY


def said(product: int) -> tuple[int, ...]:
    """The product in digests: nothing for the national one, so that runs from before products prove as they did."""
    return () if product == NATIONAL else (product,)

