"""The three lists of a validator on one flash: denied cards, joined cities, accepted issuers.

Bytes and reasons: firmware/docs/lists.md.
"""

from tunion.compat import const
from tunion.wire import lists as wire
from validator.list_update import ListStore, sectors_of
from validator.list_views import DatedView, DenyView
from validator.rules import Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.denylist import DenyList
    from validator.journal import Journal
    from validator.ports import Clock, Flash
    from validator.settings import ListsArea, ParamsArea

DATED = (wire.CITY, wire.BIN)
_ISSUERS_FIELD = const(3)  # of Rules
_CITIES_FIELD = const(9)


def sectors_needed(flash: "Flash | ListsArea", deny_max: int, delta_max: int) -> int:
    """Of a flash with such sectors: all three lists, the deny list first."""
    total = sectors_of(flash, wire.DENY, deny_max, delta_max)
    for name in DATED:
        total += sectors_of(flash, name, wire.COUNT_MAX[name], 0)
    return total


class Lists:
    """`deny` is what a tap asks; `stores` are what a download fills.

    Raises FlashFault from any method: `mount` before the next call.
    """

    def __init__(
        self,
        flash: "Flash",
        area: "ListsArea",
        office: "ParamsArea",
        provisioned: "DenyList",
        journal: "Journal",
        clock: "Clock",
    ) -> None:
        """area: how much room there is. office: whose lists are taken, and who signs them. provisioned: cards denied
        until the first list.
        """
        self._clock = clock
        first = 0
        stores = []
        for name in (wire.DENY,) + DATED:
            count_max = area.deny_max if name == wire.DENY else wire.COUNT_MAX[name]
            delta_max = area.delta_max if name == wire.DENY else 0
            stores.append(
                ListStore(
                    flash,
                    first,
                    name,
                    count_max,
                    delta_max,
                    office.scope,
                    office.keys,
                    area.old_after_s if name == wire.DENY else 0,
                    journal,
                    clock,
                )
            )
            first += sectors_of(flash, name, count_max, delta_max)
        self.stores = stores
        self.deny = DenyView(stores[0], provisioned)

    def mount(self) -> None:
        """Read the flash again, after a FlashFault."""
        for store in self.stores:
            store.mount()

    def step(self) -> bool:
        """One small thing for each list; True where another list is in force. Never with a card present."""
        changed = False
        for store in self.stores:
            changed = store.step() or changed
        return changed

    def applied(self, rules: Rules) -> Rules:
        """The rules with the cities and issuers of the lists in force."""
        _, cities, issuers = self.stores
        fields = list(rules)
        if issuers.version:
            fields[_ISSUERS_FIELD] = DatedView(issuers, self._clock)
        if cities.version:
            fields[_CITIES_FIELD] = DatedView(cities, self._clock)
        return Rules(*fields)

    def say(self, versions: "dict[str, int | str]") -> None:
        """Versions for an upload, and when the deny list was made: its age is the office's to judge."""
        for name, store in zip(("deny", "city", "bin"), self.stores):
            versions[name] = store.version
        versions["deny_made_s"] = self.stores[0].created_s
