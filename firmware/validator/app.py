"""The whole validator over its ports: `build(ports, settings)`, then `step()` for ever.

One turn: parts that were lost, a card if there is one, claims that grew old, a little of sync, a sector erased ahead.
"""

from collections import namedtuple

from tunion.compat import const
from tunion.wire import health, reason
from tunion.wire import tap as wire
from validator.cells import ForeignFlash
from validator.commands import Commands
from validator.duty import Duty
from validator.journal import Journal
from validator.log import Log
from validator.ports import FlashFault, ReaderLost, SamLost, TwoCards
from validator.ring import JournalFull
from validator.rules import provisioned
from validator.self_test import SelfTest
from validator.settings import BadSettings
from validator.statistics import MeteredFlash, MeteredReader, MeteredSam
from validator.supervisor import Supervisor, note, reader_part, sam_part
from validator.sync import Sync
from validator.tap import TapPath
from validator.telemetry import CountingPanel, Health

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.downlink import Downlink
    from validator.gate import GateKeeper
    from validator.list_stores import Lists
    from validator.modes import Modes
    from validator.params import Params
    from validator.ports import Clock, Sam
    from validator.rules import Rules
    from validator.sams import Made, Sams
    from validator.settings import Settings

VERSION = "0.1.0"
POLL_WAIT_MS = const(50)  # for a card, where nothing else is to be done
BUSY_WAIT_MS = const(5)  # for a card, while an upload is under way
GATE_KEEP_S = const(1200)  # a permit's card is remembered, where the settings do not say
FLASH_WAIT_MS = const(2000)  # between two tries to read a flash that failed

_CLOCK_UNKNOWN = const(0)

# What a board hands in. `sam(next_seq)` makes the SAM, told the terminal counter to go on with, and
# `sam(next_seq, part)` that of an application with one of its own; `below(n)` is a random
# number from 0 to n-1, from the system's source; `heap_free()` collects garbage and
# counts bytes; `meter` measures taps, None does not; `params_flash` keeps parameter sets and `lists_flash` the lists,
# None: the settings name none; `keep` holds what the office ordered, None: until the next power cut; `gate`: flaps,
# None on a bus; `duty` is a validator.duty.DutyParts, None: nobody logs in and the line is the device file's; `care` is
# what the supervisor takes, CarePorts or None.
Ports = namedtuple(
    "Ports",
    (
        "reader",
        "sam",
        "flash",
        "params_flash",
        "lists_flash",
        "clock",
        "net",
        "panel",
        "below",
        "heap_free",
        "meter",
        "keep",
        "gate",
        "duty",
        "care",
    ),
)


def build(ports: "Any", settings: "Settings") -> "Validator":
    """Everything wired; nothing opened yet but the journal. Raises ForeignFlash, FlashFault, BadSettings; OSError from
    a driver whose library is missing. Anything else is noted as a crash.
    """
    supervisor = Supervisor(ports.care, settings.care, ports.clock, ports.panel, VERSION)
    try:
        return Validator(ports, settings, supervisor)
    except (KeyboardInterrupt, SystemExit, ForeignFlash, FlashFault, BadSettings, OSError):
        raise  # named, and no crash
    except BaseException as error:
        supervisor.crashed(error)
        raise


class Validator:
    """One validator. `journal`, `tap` and `sync` are its parts; `taps` counts cards served since boot.

    Where `reboot` is set the board starts it anew; nothing is under way then that flash does not hold.
    """

    def __init__(self, ports: "Any", settings: "Settings", supervisor: Supervisor) -> None:
        meter = ports.meter
        flash = MeteredFlash(ports.flash, meter) if meter else ports.flash
        self._clock = ports.clock
        log = Log(ports.clock)
        counters = Health(ports.clock)
        counters.also = supervisor.figures
        self._panel = CountingPanel(ports.panel, counters, log)
        self._supervisor = supervisor
        self._settings = settings
        self._meter = meter
        self.journal = Journal(flash, ports.clock, lambda: int(ports.below(1 << 32)))
        bare, self._sam, open_sam = self._made(ports.sam(self.journal.last_terminal_seq() + 1))
        self._reader = MeteredReader(ports.reader, meter) if meter else ports.reader
        zero = provisioned(settings)
        optional = supervisor.stage  # of safe mode: what may be what breaks is left off
        self.params = None if optional >= health.NO_PARAMS else make_params(ports, settings, zero, self.journal)
        self._rules = zero if self.params is None else self.params.rules
        self.lists = None if optional >= health.NO_LISTS else make_lists(ports, settings, self.journal)
        deny = settings.deny if self.lists is None else self.lists.deny
        self.duty = Duty(settings, self.journal, ports.clock, ports.duty)
        self.modes = make_modes(settings, self.duty, self.journal, ports.clock)
        self.gate = make_gate(ports, settings, self.journal, self._panel, counters, self.modes)
        self._sams = make_sams(ports, settings, self.journal, self._panel, (bare, self._sam, open_sam), self._made)
        self.tap = TapPath(
            self._reader, self._sam, self.journal, ports.clock, self._panel, deny, self._rules, settings, self.duty,
            self.gate, self._sams,
        )  # fmt: skip
        self._versions: dict[str, int | str] = {"deny": settings.deny.version, "firmware": VERSION}
        self.commands = Commands(
            settings.device_id,
            self.journal,
            ports.clock,
            self._panel,
            log,
            ports.keep,
            self._self_test,
            supervisor.leave_safe_mode,
            self.modes,
        )
        self.sync = Sync(
            ports.net,
            self.journal,
            ports.clock,
            self._panel,
            settings,
            self._versions,
            ports.below,
            ports.heap_free,
            self.commands,
            counters,
            log,
        )
        self.downlink = make_downlink(ports, settings, self.params, self.lists)
        self._use_rules()
        cycle_after = settings.care.power_cycle_after
        self._parts = (
            reader_part(ports.reader, self._reader.open, self.journal, ports.clock, self._panel, cycle_after),
            self._sams or sam_part(bare, open_sam, self.journal, ports.clock, self._panel, cycle_after),
        )
        self.self_test = SelfTest(
            supervisor,
            self.journal,
            self._sams or bare,
            self.params,
            self.lists,
            ports.clock,
            self._panel,
            ports.heap_free,
            settings,
        )
        self._card_present = False
        self._ready = False
        self._closed = False  # a gate: said so
        self._ready_for = True  # the duty's `ready` when it was said
        self._filling = False
        self._collect = ports.heap_free
        self._littered = False  # a tap or a request has left garbage
        self._flash_failed_ms: int | None = None
        self._seen_open: dict[int, int] = {}  # seq of an open claim -> ticks when it was first seen
        self.taps = 0
        supervisor.begin(self.journal, self._parts)

    @property
    def reboot(self) -> bool:
        """The office orders it, or safe mode ends."""
        return self.commands.reboot or self._supervisor.restart

    def step(self) -> int:
        """One turn. Returns milliseconds that the caller may wait for something else: no card is polled for.

        What it raises is noted in the black box: the board starts again.
        """
        try:
            self._supervisor.turn_begins()
            wait_ms = self._step()
            self._supervisor.turn_ends()
            return wait_ms
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            self.crashed(error)
            raise

    def crashed(self, error: BaseException) -> None:
        """Nobody caught this: where it was goes into the black box, once in a boot. Start again."""
        self._supervisor.crashed(error)

    def _step(self) -> int:
        if self._flash_failed_ms is not None and not self._flash_is_back(self._flash_failed_ms):
            return POLL_WAIT_MS
        try:
            return self._turn()
        except FlashFault as fault:
            self._flash_failed_ms = self._clock.ticks_ms()
            self._ready = False
            self._panel.show("fault", part="flash", detail=str(fault))
            return 0

    def give_up_open_claims(self) -> int:
        """End of the shift: cards that have not come back will not. Returns how many claims became grey."""
        claims = self.journal.open_claims()
        for claim in claims:
            claim.give_up()
        return len(claims)

    def _turn(self) -> int:
        wait_ms = 0
        if self._supervisor.failing:
            self._ready = False
            return POLL_WAIT_MS  # nothing is begun that the power may not last for
        reader, sam = self._parts
        if self._supervisor.stage == health.NORMAL:
            reader.revive()
            sam.revive()
        if self.gate is not None:
            self.gate.step()
        if reader.up and sam.up and not self.commands.locked and not self._is_shut():
            self._closed = False
            self._announce()
            self._attend()
        else:
            self._ready = False
            self._card_present = False
            self._say_closed()
            wait_ms = POLL_WAIT_MS
        if not self._supervisor.is_failing():
            self._age_claims()
            self._talk()
        if not self._card_present and not self._supervisor.is_failing():
            self._between_taps()
        return BUSY_WAIT_MS if wait_ms and self._talking else wait_ms

    @property
    def _talking(self) -> bool:
        """A request is under way."""
        return self.sync.busy or (self.downlink is not None and self.downlink.busy)

    def _talk(self) -> None:
        """One connection, one request at a time: what is under way goes on, then uploads, then downloads."""
        self._littered = self._littered or self._talking
        if self.downlink is None or not self.downlink.busy:
            self.sync.step(self._card_present)
        if self.downlink is not None and not self.sync.busy:
            self.downlink.step(self._card_present)

    def _between_taps(self) -> None:
        """What takes flash or memory longer than a tap may."""
        self._supervisor.idle()
        if self._littered and not self._talking:
            self._littered = False
            self._collect()  # so that a tap finds room, and no collection falls into it
        if self.self_test.is_due():
            self.self_test.run()
        self.journal.idle()
        self.duty.step()
        if self.journal.filling != self._filling:
            self._filling = self.journal.filling
            self._ready = False  # cards are taken as before
            self._panel.show("fault" if self._filling else "back", part="journal")
        if self.params is not None and self.params.step():
            self._use_rules()
        if self.params is not None:
            self._versions["staged"] = self.params.staged_version
        if self.lists is not None and self.lists.step():
            self._use_rules()

    def _use_rules(self) -> None:
        """From now on: fares, issuers and tunables of the active set, and its versions in each upload."""
        if self.params is not None:
            self._rules = self.params.rules
        if self.lists is not None:
            self._rules = self.lists.applied(self._rules)
            self.lists.say(self._versions)
        self.tap.use(self._rules)
        self._versions["fare"] = self._rules.fare.version
        self._versions["params"] = self._rules.version

    def _is_shut(self) -> bool:
        """A gate that cannot let anybody through, or could not tell of him, takes no card."""
        return self.gate is not None and (self.gate.closed or self.journal.full)

    def _say_closed(self) -> None:
        if self.gate is not None and not self._closed and not self.gate.emergency:
            self._closed = True
            self._panel.show("closed")

    def _announce(self) -> None:
        """Say once that cards are taken."""
        if self._ready and self._ready_for != self.duty.ready:
            self._ready = False
        if self._ready or self._card_present:
            return
        if self._clock.quality() == _CLOCK_UNKNOWN and self._settings.clock_required:
            return
        self._ready = True
        self._ready_for = self.duty.ready
        self._panel.show("ready" if self.duty.ready else "closed")

    def _attend(self) -> None:
        """Serve the card that came, once, and wait until it has gone."""
        reader, sam = self._parts
        wait_ms = BUSY_WAIT_MS if self._talking else POLL_WAIT_MS
        try:
            if self._card_present:
                self._card_present = not self._reader.removed(wait_ms)
            elif self.gate is not None and not self.gate.ready:
                return  # as many as may pass have paid
            elif self._reader.poll(wait_ms) is not None:
                self._card_present = True
                self._ready = False
                if self._supervisor.is_failing():
                    self._panel.show("refused", reason=reason.OUT_OF_SERVICE)
                else:
                    self._serve()
        except TwoCards:
            self._card_present = True
            self._ready = False
            note(self.journal, wire.REFUSED, reason=reason.TWO_CARDS)
            self._panel.show("two_cards")
        except ReaderLost as fault:
            reader.fail(fault)
        except SamLost as fault:
            sam.fail(fault)

    def _serve(self) -> None:
        self.taps += 1
        self._littered = True
        if self.params is not None:
            self.params.card_came()
        self._panel.last = None
        try:
            self._serve_measured()
        finally:
            self.duty.served(self._panel.last, self.tap.again)
        if self.params is not None and self.tap.paid:
            self.params.card_paid()

    def _serve_measured(self) -> None:
        if self._meter is None:
            self.tap.serve()
            return
        self._meter.in_tap = True
        started_us = self._meter.start()
        try:
            self.tap.serve()
        finally:
            self._meter.stop("tap", started_us)
            self._meter.in_tap = False

    def _made(self, bare: "Sam") -> "Made":
        """A SAM as validator.sams takes it."""
        sam = MeteredSam(bare, self._meter) if self._meter else bare

        def opens() -> None:
            sam.open()
            if self._settings.production and getattr(bare, "test", False):
                raise SamLost("the soft SAM holds test keys: provision this device for production")

        return bare, sam, opens

    def _self_test(self) -> int:
        """What is not in order, as bits of tunion.wire.command."""
        return health.folded(self.self_test.run())

    def _age_claims(self) -> None:
        """Claims whose card stays away too long go to clearing as grey. Counted from boot: the clock may step."""
        claims = self.journal.open_claims()
        if not claims and not self._seen_open:
            return
        now_ms = self._clock.ticks_ms()
        self._seen_open = {claim.seq: self._seen_open.get(claim.seq, now_ms) for claim in claims}
        for claim in claims:
            if self._clock.since_ms(self._seen_open[claim.seq]) >= 1000 * self._rules.grey_after_s:
                try:
                    claim.give_up()
                except JournalFull:
                    return  # its amend waits for room

    def _flash_is_back(self, failed_ms: int) -> bool:
        """Read the journal anew, now and then."""
        if self._clock.since_ms(failed_ms) < FLASH_WAIT_MS:
            return False
        try:
            self.journal.mount()
            if self.params is not None:
                self.params.mount()
            if self.lists is not None:
                self.lists.mount()
            self._use_rules()
            self.tap.resume()
        except (FlashFault, ForeignFlash):
            self._flash_failed_ms = self._clock.ticks_ms()
            return False
        self._flash_failed_ms = None
        self._panel.show("back", part="flash")
        return True


def make_modes(settings: "Settings", duty: Duty, journal: Journal, clock: "Clock") -> "Modes | None":
    """A station's; a vehicle has none."""
    if settings.site.role not in ("entry", "exit", "both", "desk"):
        return None
    from validator.modes import Modes

    return Modes(duty, journal, clock)


def make_gate(
    ports: "Any", settings: "Settings", journal: Journal, panel: "Any", health: Health, modes: "Modes | None"
) -> "GateKeeper | None":
    """What stands between the tap path and flaps, where there are any."""
    if ports.gate is None or modes is None:
        return None
    from validator.gate import GateKeeper

    return GateKeeper(ports.gate, journal, ports.clock, panel, health, modes, settings.gate.keep_s or GATE_KEEP_S)


def make_params(ports: "Any", settings: "Settings", zero: "Rules", journal: Journal) -> "Params | None":
    """The parameter store, where the settings name one: 30 kB of heap with what it needs. Raises BadSettings."""
    if settings.params is None:
        return None
    from validator.params import Params

    area = settings.params
    site = None
    if settings.tariffs:
        import tunion.wire.tariffs  # noqa: F401  # now: loading it takes longer than a card may wait

        site = settings.site
    return Params(ports.params_flash, zero, area.scope, area.keys, journal, ports.clock, site, area.set_bytes_max)


def make_sams(
    ports: "Any", settings: "Settings", journal: Journal, panel: "Any", common: "Made", made: "Callable[[Sam], Made]"
) -> "Sams | None":
    """Where an application has a SAM of its own."""
    if not any([taken.sam for taken in settings.applications]):
        return None
    from validator import sams

    return sams.make(ports, settings, journal, panel, common, made)


def make_lists(ports: "Any", settings: "Settings", journal: Journal) -> "Lists | None":
    """The list store, where the settings name one: 12 kB of heap for 100 000 cards."""
    if settings.lists is None or settings.params is None:
        return None
    from validator.list_stores import Lists

    return Lists(ports.lists_flash, settings.lists, settings.params, settings.deny, journal, ports.clock)


def make_downlink(
    ports: "Any", settings: "Settings", params: "Params | None", lists: "Lists | None"
) -> "Downlink | None":
    """What fills the stores."""
    if params is None:
        return None
    from validator.downlink import Downlink

    takers = [params] if lists is None else [params] + lists.stores
    return Downlink(ports.net, takers, ports.clock, settings, ports.below)
