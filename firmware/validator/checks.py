"""Which cards may ride: the checks of a terminal on files 15h and 17h, in their usual order. Pure. JT/T 978.2."""

from tunion import bcd
from tunion.card import files
from tunion.compat import const
from tunion.wire import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import Any

_EPURSE_ONLY = const(2)
_ENABLED = const(1)
_NATIONAL = b"\x00\x01"


def refusal(
    public: "Any",
    management: "Any",
    today: bytes,
    home_issuers: "Container[bytes]",
    issuers: "Container[bytes]",
    test_cards: bool,
    cities: "Container[bytes] | None" = None,
) -> int:
    """0, or the reason (tunion.wire.reason) why this card does not ride.

    public, management  files 15h and 17h
    today               4 bytes BCD YYYYMMDD, China Standard Time
    home_issuers        issuer identifiers, 4 bytes, whose cards need not be interoperable
    issuers             further issuer identifiers that are accepted
    test_cards          cards of kind 04 ride
    cities              city codes that have joined, 2 bytes BCD; None: no list says
    """
    if public.application != _EPURSE_ONLY or public.enabled != _ENABLED:
        return reason.INVALID_CARD
    if not bcd.is_date(public.start) or not bcd.is_date(public.expiry):
        return reason.INVALID_CARD
    if not bcd.is_bcd(public.serial) or not bcd.is_bcd(public.issuer[:4]) or not bcd.is_bcd(management.city):
        return reason.INVALID_CARD
    if today < public.start:
        return reason.NOT_YET_VALID
    if today > public.expiry:
        return reason.EXPIRED
    home = public.issuer[:4] in home_issuers
    if not home and public.issuer[:4] not in issuers:
        return reason.ISSUER_NOT_ACCEPTED
    if not home and not _rides_away_from_home(management):
        return reason.NOT_INTEROPERABLE
    if not home and cities is not None and management.city not in cities:
        return reason.NOT_INTEROPERABLE
    if management.kind == files.TEST and not test_cards:
        return reason.TEST_CARD
    return 0


def _rides_away_from_home(management: "Any") -> bool:
    return bool(management.interoperable == _NATIONAL and files.ORDINARY <= management.kind <= files.MILITARY)
