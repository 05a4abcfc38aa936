"""What can go wrong with a card, one family for each thing the terminal does next."""


class LinkLost(Exception):
    """The card left the field. Ask for it again: the debit may or may not have happened."""


class CardRefused(Exception):
    """The card said no, `sw` says why. Nothing was debited; the gate stays shut."""

    def __init__(self, sw: int, command: str = "") -> None:
        self.sw = sw
        super().__init__("%s answered %04X" % (command or "the card", sw))


class Unproven(Exception):
    """MAC2 does not match. Keep the gate shut; the claim is disputed."""


class NotOurCard(CardRefused):
    """No e-purse application: another kind of card."""


class Blocked(CardRefused):
    """The card or its application is blocked. Refuse, show, do not retry."""


class MacRejected(CardRefused):
    """The card or the SAM found our MAC wrong: another key, or another amount than was signed."""


class NotEnoughMoney(CardRefused):
    """The purse holds less than the amount."""


class WrongState(CardRefused):
    """The command does not fit what went before; start again from SELECT."""


class NoProof(CardRefused):
    """GET TRANSACTION PROVE knows no such transaction: it was not committed."""


class NoKey(CardRefused):
    """The key index or version is not there."""


class CounterSpent(CardRefused):
    """The purse's transaction counter is at its end; the card must be replaced."""
