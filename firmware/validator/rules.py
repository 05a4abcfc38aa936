"""What a tap is judged and priced by: from the active parameter set, or from the provisioning file."""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.settings import Settings

Rules = namedtuple(
    "Rules",
    (
        "version",
        "fare",
        "home_issuers",
        "issuers",
        "balance_max_fen",
        "block_denied",
        "grey_after_s",
        "overdraft",
        "same_card_s",
        "cities",  # those joined, 2 bytes BCD each; None: no list says
    ),
)


def provisioned(settings: "Settings") -> Rules:
    """Bank zero: what the device file says."""
    return Rules(
        0,
        settings.fare,
        settings.home_issuers,
        settings.issuers,
        settings.balance_max_fen,
        settings.block_denied,
        settings.grey_after_s,
        settings.overdraft,
        settings.same_card_s,
        None,
    )
