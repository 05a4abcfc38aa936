"""What one purchase is to be, or that there is none; and why a card does not ride."""

from collections import namedtuple

# type          of the transaction, 06 or 09; 0: nothing is debited
# list_fen, discount_fen, owed_fen    amount = list - discount + owed
# event, case, layer, riders, modes, granted, ride_s, stop_in, stop_out    as in tunion.wire.tap.TAP_V1
# shown         what the panel says when the outcome is durable, and which gate opens
# more          this purchase settles an earlier ride; the card's own ride is decided after it
# marked_fen    what the ride may come to
# kept          the card's counters afterwards, b"": as they are
Charge = namedtuple(
    "Charge",
    (
        "type",
        "list_fen",
        "discount_fen",
        "owed_fen",
        "event",
        "case",
        "layer",
        "riders",
        "modes",
        "granted",
        "ride_s",
        "stop_in",
        "stop_out",
        "shown",
        "more",
        "marked_fen",
        "kept",
    ),
)


class Refused(Exception):
    """This card does not ride now. `reason` of tunion.wire.reason; `sw` where a card or SAM gave one, else 0."""

    def __init__(self, reason: int, sw: int = 0) -> None:
        self.reason = reason
        self.sw = sw
        super().__init__("refused, reason %d, status word %04X" % (reason, sw))


def nothing(shown: str, case: int, event: int) -> Charge:
    """No purchase: `shown` says what happens instead; event: which way the passenger goes."""
    return Charge(0, 0, 0, 0, event, case, 0, 0, 0, 0, 0, 0, 0, shown, False, 0, b"")


def amount_fen(charge: Charge) -> int:
    """What is debited."""
    amount: int = charge.list_fen - charge.discount_fen + charge.owed_fen
    return amount
