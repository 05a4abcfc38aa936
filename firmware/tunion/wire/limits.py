"""What parameter sets and provisioning files agree on: ranges, sizes, how a scope is written."""

from tunion.compat import const

NAME_MAX = const(32)  # characters of a set's name, and of a scope
ISSUERS_MAX = const(512)  # accepted issuers: the joined cities are some 340
RIDERS_MAX = const(20)  # on one card
SET_BYTES = const(8192)  # of a set, which each device takes; and what is beside a grid, since that is decoded in RAM
SET_BYTES_MAX = const(73728)  # the same beside the largest grid; what a device takes its params.set_bytes_max says

# Tunables of the tap path: name -> lowest and highest value. Also the ranges of a provisioning file.
DEV = {
    "balance_max_fen": (1, 0x7FFFFFFF),  # card 5: more is not plausible
    "block_denied": (0, 1),  # block cards of the deny list through the SAM
    "grey_after_s": (1, 172800),  # a claim whose card does not return; ticks wrap after days
    "overdraft": (0, 1),  # a card may go below zero
    "same_card_s": (0, 86400),  # the same card again within this time is not charged again
}


def is_scope(text: str) -> bool:
    """1 to NAME_MAX letters, digits, '-', '_' or '.': it goes into a path as it is."""
    if not 0 < len(text) <= NAME_MAX:
        return False
    for letter in text:
        if not ("a" <= letter <= "z" or "A" <= letter <= "Z" or "0" <= letter <= "9" or letter in "-_."):
            return False
    return True
