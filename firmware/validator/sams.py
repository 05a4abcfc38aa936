"""Several SAMs in one terminal: which of them serves an application, and which of them is lost."""

from validator.supervisor import Part, sam_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from validator.journal import Journal
    from validator.ports import Clock, Panel, Sam


class Sams:
    """The SAMs of a terminal, the common one first.

    sams      (Sam, what opens it)
    serving   of each application in its order: the number of its SAM in `sams`

    One that is lost is looked for on its own; the cards of the others ride meanwhile.
    """

    def __init__(
        self,
        sams: "list[tuple[Sam, Callable[[], None]]]",
        serving: "list[int]",
        journal: "Journal",
        clock: "Clock",
        panel: "Panel",
    ) -> None:
        self._sams = [sam for sam, _ in sams]
        self._parts: list[Part] = []
        for _, opens in sams:
            self._parts.append(sam_part(opens, journal, clock, panel, len(self._parts)))
        self._serving = serving
        self._at_hand = 0

    @property
    def up(self) -> bool:
        """Cards can be taken: of those applications whose SAM is there."""
        return any([part.up for part in self._parts])

    @property
    def whole(self) -> bool:
        """None is lost."""
        return all([part.up for part in self._parts])

    def revive(self) -> None:
        """Open those that are lost, each in its time."""
        for part in self._parts:
            part.revive()

    def fail(self, fault: Exception) -> None:
        """The one at hand was lost."""
        self._parts[self._at_hand].fail(fault)

    def take(self, application: int) -> "Sam":
        """The SAM of an application, at hand from now on."""
        self._at_hand = self._serving[application]
        return self._sams[self._at_hand]

    def is_up(self) -> bool:
        """The one at hand."""
        return self._parts[self._at_hand].up
