"""A claim: one tap between the debit and its outcome."""

from tunion.card.refusals import CardRefused, Unproven
from tunion.wire import tap as wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from validator.journal import Journal

_NO_TAC = bytes(4)


class Claim:
    """One tap from its claim to its outcome, a context manager around the debit.

    A block that ends well must have settled. Leaving it by CardRefused before `debited` voids the claim, by Unproven
    disputes it; leaving it by LinkLost or anything else leaves it open until the card, or clearing, tells.
    """

    def __init__(self, journal: "Journal", seq: int, address: int, card: bytes) -> None:
        self._journal = journal
        self._tac: bytes | None = None
        self.seq = seq
        self.address = address
        self.card = card
        self.clean = True  # the outcome's bytes were never programmed
        self.grey = False  # given up and sent as grey; a late proof still amends it
        self.amended = False  # grey by an amend: its own slot does not say so

    def __enter__(self) -> "Claim":
        return self

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        if kind is None:
            assert not self._journal.remembers(self), "a claim was left without an outcome"
        elif isinstance(error, Unproven) and self._tac is not None:
            self.dispute(self._tac)
        elif isinstance(error, CardRefused) and self._tac is None:
            self.void(error.sw)

    def tap(self) -> "Any":
        """The claim's body as TAP_V1, read from flash."""
        return self._journal.tap(self)

    def debited(self, tac: bytes) -> None:
        """The card answered DEBIT: from here on no refusal, of the SAM say, may void the claim."""
        self._tac = tac

    def settle(self, tac: bytes, mac2: int) -> None:
        """The debit happened. mac2: MAC2_OK, MAC2_UNCHECKED. Durable on return, as are the others."""
        self._journal.finish(self, wire.SETTLED, mac2, 0, tac)

    def prove(self, tac: bytes, mac2: int) -> None:
        """The card proved later that the debit happened."""
        self._journal.finish(self, wire.PROVED, mac2, 0, tac)

    def void(self, sw: int) -> None:
        """The debit did not happen. sw: what the card said."""
        self._journal.finish(self, wire.VOID, wire.MAC2_UNCHECKED, sw, _NO_TAC)

    def dispute(self, tac: bytes) -> None:
        """The debit happened and MAC2 is wrong."""
        self._journal.finish(self, wire.DISPUTED, wire.MAC2_WRONG, 0, tac)

    def give_up(self) -> None:
        """Nobody will know here: the tap goes to clearing as grey. The claim is remembered while there is room."""
        self._journal.finish(self, wire.GREY, wire.MAC2_UNCHECKED, 0, _NO_TAC)
