"""What a list tells the journal."""

from tunion.wire import lists as wire
from tunion.wire.refused import DOWNGRADE, UNREADABLE
from tunion.wire.tap import LIST_ACTIVE, LIST_OLD, LIST_REFUSED, as_value
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.journal import Journal
    from validator.list_bank import ListBank
    from validator.pointer import Pointer


class Told:
    """Events of the list `name`: DENY, CITY or BIN."""

    def __init__(self, journal: "Journal", name: int) -> None:
        self._journal = journal
        self._name = name
        self._downgrade = 0  # version

    def active(self, pointer: "Pointer") -> None:
        """The pointer's newest entry; a power cut may make it two events, never none."""
        try:
            self.event(LIST_ACTIVE, pointer.entry.version)
        except JournalFull:
            return
        pointer.tell()

    def old(self, bank: "ListBank") -> None:
        """The list in force is older than it may be. Once for each list."""
        if bank.old_told:
            return
        try:
            self.event(LIST_OLD, bank.header.version)
        except JournalFull:
            return
        bank.tell_old()

    def damage(self, version: int) -> bool:
        """The flash has lost some of the list. It is searched all the same: what is left is better than nothing.

        False where the journal has no room.
        """
        try:
            self.refusal(UNREADABLE, version)
        except JournalFull:
            return False
        return True

    def event(self, code: int, version: int, why: int = 0) -> None:
        """Raises JournalFull."""
        self._journal.event(code, reason=wire.reason_of(self._name, why), value=as_value(version))

    def refusal(self, why: int, version: int) -> None:
        """Raises JournalFull."""
        self.event(LIST_REFUSED, version, why)

    def downgrade(self, version: int) -> None:
        """An older list is offered: an old manifest played back, or a slip in the office. Once for each version."""
        if version == self._downgrade:
            return
        try:
            self.refusal(DOWNGRADE, version)
        except JournalFull:
            return
        self._downgrade = version
