"""What the office orders: each command runs once, and its end is journaled. tunion/wire/command.py.

The office sends a command with every answer until it has its COMMAND_DONE. Commands are taken only from an answer to
an upload that left nothing behind: then none of them had its COMMAND_DONE still waiting here when that upload was
made, and those that ended since are remembered in RAM. So none runs twice, power cuts or not, without a list of old
ids in flash. What may not run again (`reboot`) is journaled before it runs, what may is journaled after.
"""

from tunion import cbor
from tunion.compat import const
from tunion.crc import crc32
from tunion.record import BadInput, is_int
from tunion.wire import command as wire
from tunion.wire.tap import COMMAND_DONE
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.journal import Journal
    from validator.log import Log
    from validator.modes import Modes
    from validator.ports import Clock, Keep, Panel

_AT_ONCE_MAX = const(8)  # of one answer; the rest comes with the next
_REMEMBERED_MAX = const(32)  # ids that ended since boot: those of one answer, and a log or two
_CRC_BYTES = const(4)


class Commands:
    """`take` what an answer brought, `step` at each turn.

    locked       cards are not taken
    interval_s   between two uploads, 0: as provisioned
    reboot       the board shall start again; what matters is in flash
    reconnect    the connection shall be made anew
    re_enrol     the journal shall be enrolled afresh; who does it sets both to False
    """

    def __init__(
        self,
        device_id: int,
        journal: "Journal",
        clock: "Clock",
        panel: "Panel",
        log: "Log",
        keep: "Keep | None",
        self_test: "Callable[[], int]",
        leave_safe_mode: "Callable[[], None] | None" = None,
        modes: "Modes | None" = None,
    ) -> None:
        """self_test() is 0, or bits of wire.READER and so on. leave_safe_mode() makes the next boot a normal one.
        keep None: nothing outlives a power cut.
        """
        self._device_id = device_id
        self._journal = journal
        self._clock = clock
        self._panel = panel
        self._log = log
        self._keep = keep
        self._self_test = self_test
        self._modes = modes
        self._leave_safe_mode = leave_safe_mode
        self._waiting: list[tuple[int, str, int]] = []
        self._ended: list[int] = []  # the last ids that ended
        self._night_id = 0  # a log that waits for its slot of the night; 0: none
        self.locked = False
        self.interval_s = 0
        self.reboot = False
        self.reconnect = False
        self.re_enrol = False
        self._recall()
        if modes is not None:
            modes.save = self._save

    def take(self, commands: "list[Any]") -> None:
        """What the newest answer brought, in order of its ids. What is no command is left out."""
        self._waiting = []
        for item in commands[:_AT_ONCE_MAX]:
            if not isinstance(item, list) or len(item) != 3 or not isinstance(item[1], str):
                continue
            if is_int(item[0]) and 0 < item[0] <= wire.ID_MAX and is_int(item[2]) and item[0] not in self._ended:
                self._waiting.append((item[0], item[1], item[2]))

    def step(self, card_present: bool) -> None:
        """Run the next one, between two cards. Raises FlashFault."""
        if self._night_id and not self._bulk_wait_s():
            self._log.begin(self._night_id)
            self._night_id = 0
        if not self._waiting or card_present or self.reboot:
            return
        number, name, argument = self._waiting.pop(0)
        known = wire.ARGUMENTS.get(name)
        if known is None:
            self._done(number, wire.UNKNOWN)
        elif not known[0] <= argument <= known[1]:
            self._done(number, wire.BAD_ARGUMENT)
        else:
            self._run(number, name, argument)

    def log_sent(self, number: int) -> None:
        """The office has the whole log that command `number` asked for."""
        self._done(number, wire.DONE)

    def _run(self, number: int, name: str, argument: int) -> None:
        if name == wire.UPLOAD_LOG:
            self._send_log(number, argument)
            return
        self._log.note(name, number)
        if name == wire.REBOOT:
            self.reboot = self._done(number, wire.DONE)  # first: else it would start again for ever
        elif name == wire.SELF_TEST:
            found = self._self_test()
            self._done(number, wire.TEST_FAILED | found if found else wire.DONE)
        elif name == wire.LEAVE_SAFE_MODE:
            if self._leave_safe_mode is not None:
                self._leave_safe_mode()  # again after a power cut: it is left already
            self._done(number, wire.DONE)
        elif name in (wire.LOCK, wire.UNLOCK):
            self._lock(name == wire.LOCK)
            self._done(number, self._save())
        elif name == wire.SET_MODES:
            if self._modes is None:
                self._done(number, wire.UNKNOWN)
            else:
                self._modes.order(argument)
                self._done(number, self._save())
        elif name == wire.SET_INTERVAL:
            self.interval_s = argument
            self._done(number, self._save())
        else:
            self.reconnect = self.reconnect or name == wire.RECONNECT
            self.re_enrol = self.re_enrol or name == wire.RE_ENROL
            self._done(number, wire.DONE)

    def _send_log(self, number: int, at_night: int) -> None:
        """COMMAND_DONE follows when the office has it all; until then each answer brings the command again."""
        if self._log.sending >= 0:
            return  # one after the other
        if at_night and self._bulk_wait_s():
            self._night_id = number
        else:
            self._log.begin(number)

    def _bulk_wait_s(self) -> int:
        """Until this device's minutes of the night."""
        from validator import bulk

        return bulk.wait_s(self._device_id, self._clock.now_s())

    def _lock(self, locked: bool) -> None:
        if locked != self.locked:
            self.locked = locked
            self._panel.show("fault" if locked else "back", part="lock")

    def _done(self, number: int, result: int) -> bool:
        """Journal how it ended; False where the journal has no room: it will be asked again."""
        try:
            self._journal.event(COMMAND_DONE, result, value=number)
        except JournalFull:
            self._waiting = []
            return False
        self._ended = self._ended[1 - _REMEMBERED_MAX :] + [number]
        return True

    # -- what outlives a power cut ------------------------------------------------------------------------------

    def _save(self) -> int:
        if self._keep is None:
            return wire.NOT_KEPT
        kept: dict[str, Any] = {"interval_s": self.interval_s, "locked": self.locked}
        if self._modes is not None:
            kept.update(self._modes.kept())
        blob = cbor.encode(kept)
        self._keep.save(blob + crc32(blob).to_bytes(_CRC_BYTES, "big"))
        return wire.DONE

    def _recall(self) -> None:
        """As it was kept; a torn or foreign file is as none: the office still has the last word."""
        blob = self._keep.load() if self._keep is not None else b""
        if len(blob) <= _CRC_BYTES or crc32(blob[:-_CRC_BYTES]).to_bytes(_CRC_BYTES, "big") != blob[-_CRC_BYTES:]:
            return
        try:
            kept = cbor.decode(blob[:-_CRC_BYTES])
        except BadInput:
            return
        if isinstance(kept, dict) and is_int(kept.get("interval_s")) and isinstance(kept.get("locked"), bool):
            self.interval_s = kept["interval_s"]
            self._lock(kept["locked"])
            if self._modes is not None:
                self._modes.recall(kept)
