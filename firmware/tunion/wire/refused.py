"""Why a device does not take what the office has signed: numbers that parameter sets and lists have in common.

Each of them has words of its own for these, and numbers of its own beyond: params.WORDS, lists.WORDS.
"""

from tunion.compat import const

BAD_HASH = const(1)
BAD_SIGNATURE = const(2)
BAD_CONTENT = const(3)
FOREIGN_SCOPE = const(4)
DOWNGRADE = const(5)
EXPIRED = const(6)
TAKES_NO_CARD = const(7)  # sets only
UNREADABLE = const(8)


class Refused(Exception):
    """What was staged is not taken, `why` says one of the numbers. What is in force stays."""

    def __init__(self, why: int) -> None:
        self.why = why
        super().__init__("refused, reason %d" % why)
