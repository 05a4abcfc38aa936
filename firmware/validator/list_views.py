"""What a tap asks of the lists: is this card denied, has this city joined, is this issuer accepted."""

from tunion.wire import lists as wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.denylist import DenyList
    from validator.list_update import ListStore
    from validator.ports import Clock


class DenyView:
    """What a tap asks: `serial in deny`. The list in force, or the device file's where there is none."""

    def __init__(self, store: "ListStore", provisioned: "DenyList") -> None:
        self._store = store
        self._provisioned = provisioned

    @property
    def version(self) -> int:
        """As in ListStore."""
        return self._store.version

    def __contains__(self, serial: bytes) -> bool:
        if not self._store.version:
            return serial in self._provisioned
        return self._store.find(serial) == serial


class DatedView:
    """`key in view`: a record of that key holds now, in the city or BIN list in force. `key` is 2 or 4 bytes."""

    def __init__(self, store: "ListStore", clock: "Clock") -> None:
        self._store = store
        self._clock = clock

    def __contains__(self, key: bytes) -> bool:
        now_s = self._clock.now_s()
        wanted = wire.dated(key, now_s, wire.NEVER_S)
        found = self._store.find(wanted)
        from_s, to_s = int.from_bytes(found[4:8], "big"), int.from_bytes(found[8:12], "big")
        return found[:4] == wanted[:4] and from_s <= now_s < to_s
