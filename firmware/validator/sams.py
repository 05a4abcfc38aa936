"""Several SAMs in one terminal: which of them serves an application, and which of them is lost."""

from validator.supervisor import Part, sam_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.journal import Journal
    from validator.ports import Clock, Panel, Sam
    from validator.settings import Settings

    Made = tuple[Sam, Sam, Callable[[], None]]  # the driver's own, as the tap path has it, what opens it


class Sams:
    """The SAMs of a terminal, the common one first. Of one that is lost the others know nothing: their cards ride.

    To the supervisor it looks like a Part, to the self-test like a SAM.

    serving   of each application in its order: the number of its SAM in `sams`
    up        cards can be taken: one is there at least
    """

    def __init__(
        self,
        sams: "list[Made]",
        serving: "list[int]",
        journal: "Journal",
        clock: "Clock",
        panel: "Panel",
        cycle_after: int = 1,
    ) -> None:
        self._bare = [bare for bare, _, _ in sams]
        self._sams = [sam for _, sam, _ in sams]
        self._parts: list[Part] = []
        for bare, _, opens in sams:
            self._parts.append(sam_part(bare, opens, journal, clock, panel, cycle_after, len(self._parts)))
        self._serving = serving
        self._at_hand = 0

    # -- for the tap path ---------------------------------------------------------------------------------------

    def take(self, application: int) -> "Sam":
        """The SAM of an application, at hand from now on."""
        self._at_hand = self._serving[application]
        return self._sams[self._at_hand]

    def is_up(self) -> bool:
        """The one at hand."""
        return self._parts[self._at_hand].up

    # -- as a Part ----------------------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        """As above."""
        return any([part.up for part in self._parts])

    @property
    def whole(self) -> bool:
        """None is lost."""
        return all([part.up for part in self._parts])

    @property
    def tried(self) -> bool:
        """Each was opened or not, once at least."""
        return all([part.tried for part in self._parts])

    @property
    def tries(self) -> int:
        """Openings that failed, of all."""
        return sum([part.tries for part in self._parts])

    @property
    def cycles(self) -> int:
        """Power cycles, of all."""
        return sum([part.cycles for part in self._parts])

    def revive(self) -> bool:
        """Open those that are lost, each in its time."""
        for part in self._parts:
            part.revive()
        return self.up

    def fail(self, fault: Exception) -> None:
        """The one at hand was lost."""
        self._parts[self._at_hand].fail(fault)

    def test(self) -> None:
        """Open each once more, to see whether it answers."""
        for part in self._parts:
            part.test()

    # -- for the self-test --------------------------------------------------------------------------------------

    @property
    def test_keys(self) -> bool:
        """One is a soft SAM with keys of no issuer's production."""
        return any([getattr(bare, "test", False) for bare in self._bare])

    @property
    def expiry(self) -> bytes:
        """The day on which the first of them ends, 4 bytes BCD; b"" where none says."""
        found = [bare.expiry for bare in self._bare if bare.expiry]
        return min(found) if found else b""


def make(
    ports: "Any",
    settings: "Settings",
    journal: "Journal",
    panel: "Panel",
    common: "Made",
    made: "Callable[[Sam], Made]",
) -> Sams:
    """ports: validator.app.Ports; common: the device's own SAM; made: of a driver what `Sams` takes."""
    sams = [common]
    serving = []
    for taken in settings.applications:
        if taken.sam is not None:
            sams.append(made(ports.sam(journal.last_terminal_seq() + 1, taken.sam)))
        serving.append(0 if taken.sam is None else len(sams) - 1)
    return Sams(sams, serving, journal, ports.clock, panel, settings.care.power_cycle_after)
