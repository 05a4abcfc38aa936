"""Store and forward: journal entries up, acknowledgements and the time down, a little at each turn, never waiting.

At least once on the wire, exactly once in the store: one upload is under way, and the same bytes go out until they
are answered. Protocol: tunion/wire/sync.py; rules and reasons: firmware/docs/sync.md. What answers bring beside
acknowledgements is for clock_discipline.py, commands.py, enrolment.py and log.py.
"""

from tunion import cose
from tunion.compat import const
from tunion.record import BadInput
from tunion.wire import sync as wire
from tunion.wire.tap import EVENT
from validator.backoff import Backoff
from validator.clock_discipline import ClockDiscipline
from validator.journal import ALARM_PERMILLE
from validator.ports import NetLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tunion.record import Bytes
    from validator.commands import Commands
    from validator.enrolment import Enrolment
    from validator.journal import Journal
    from validator.log import Log
    from validator.ports import Clock, Net, Panel, Response
    from validator.settings import Settings
    from validator.telemetry import Health

BATCH_BYTES_MAX = const(6656)  # of entries: the longest 64 that there are
EPOCH_WAIT_S = const(900)  # until an office that has to take this journal is asked again
NUMBERS_SKIPPED = const(4096)  # at most, by a boot: 32 bits last for a million boots

_OK = const(200)
_CLOCK_UNKNOWN = const(0)


class Sync:
    """`step` at each turn. `busy`: an upload is under way, turns should be short."""

    def __init__(
        self,
        net: "Net",
        journal: "Journal",
        clock: "Clock",
        panel: "Panel",
        settings: "Settings",
        versions: "dict[str, int | str]",
        below: "Callable[[int], int]",
        heap_free: "Callable[[], int]",
        commands: "Commands",
        health: "Health",
        log: "Log",
    ) -> None:
        """below(n) is a random number from 0 to n-1; heap_free() is in bytes, after a garbage collection."""
        self._net = net
        self._journal = journal
        self._clock = clock
        self._panel = panel
        self._settings = settings
        self._versions = versions
        self._wait = Backoff(clock, settings, below)  # none yet: the first contact brings the time
        self._heap_free = heap_free
        self._commands = commands
        self._health = health
        self._log = log
        self._discipline = ClockDiscipline(clock, journal, log)
        self._enrolment: Enrolment | None = None  # the office has to take this journal first
        self._kid = wire.kid(settings.device_id)
        self._envelope: list[Bytes] = []  # the upload that waits for its answer, in pieces; empty: none
        self._seqs: list[int] = []  # what it carries
        self._left_behind = False  # it could not carry all that waited
        self._asking = False  # what is under way is its question
        self._below = below
        self._msg_seq = self._number_after(0)  # the office says where it stands if this is too low
        self._sends = 0
        self._was_stale = False
        self._fault_shown = False
        self._batch_max: int = wire.RECORDS_MAX
        self._sent_ms = 0
        self.busy = False
        self.hurry = False  # send all that waits, whatever the interval says

    def step(self, card_present: bool) -> None:
        """Go on a little. Raises FlashFault."""
        self._discipline.step(card_present)
        self._commands.step(card_present)
        if self.busy:
            self._receive()
        else:
            self._obey()
            if self._is_due():
                self._send()

    def is_drained(self) -> bool:
        """Nothing finished waits, nothing is under way."""
        return not self._envelope and not self._sendable()

    def _obey(self) -> None:
        """Orders that concern the connection and the journal's standing, while no request is under way."""
        if self._commands.reconnect:
            self._commands.reconnect = False
            self._net.reconnect()
        if self._commands.re_enrol and not self._envelope:
            self._commands.re_enrol = False
            self._enrol()

    # -- up -----------------------------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        if self._wait.is_over():
            return True
        return self._wait.may_be_early and (self._log.progressed() or self._sendable() >= self._early_from())

    def _early_from(self) -> int:
        """So many entries go before the interval is over."""
        if self.hurry or self._journal.fill_permille() >= ALARM_PERMILLE:
            return 1
        return self._settings.sync_entries

    def _sendable(self) -> int:
        return self._journal.waiting - len(self._journal.open_claims())

    def _send(self) -> None:
        """A question of the enrolment; else the upload under way once more, or a new one."""
        self._asking = self._enrolment is not None
        if not self._asking:
            if not self._envelope:
                self._envelope = self._sealed()
                self._sends = 0
            self._sends += 1
        self._sent_ms = self._clock.ticks_ms()
        self.busy = True
        try:
            if self._enrolment is not None:
                self._net.start(self._enrolment.path, [self._enrolment.question()])
            else:
                self._net.start(wire.PATH, self._envelope)
        except NetLost:
            self._lost(0)

    def _sealed(self) -> "list[Bytes]":
        heap_free = self._heap_free()  # first: it tidies up for what follows
        entries = self._journal.pending(self._batch_max, BATCH_BYTES_MAX)
        self._seqs = [seq for seq, _ in entries]
        self._left_behind = len(entries) < self._sendable()
        more: dict[str, Any] = {
            wire.HEALTH: self._health.figures(
                heap_free,
                queue=self._journal.waiting,
                fill=self._journal.fill_permille(),
                rejected=self._journal.rejected,
                erases=self._journal.erases,
                retired=self._journal.retired,
                drift_ppm=self._discipline.drift_ppm,
                locked=int(self._commands.locked),
            )
        }
        if self._log.sending >= 0:
            more[wire.LOG] = self._log.piece()
        return wire.seal_upload(
            wire.Upload(
                wire.PROTO,
                self._settings.device_id,
                self._journal.epoch,
                self._msg_seq,
                self._clock.now_s(),
                self._clock.quality(),
                heap_free,
                self._versions,
                [entry for _, entry in entries if entry[0] != EVENT],
                [entry for _, entry in entries if entry[0] == EVENT],
                more,
            ),
            self._kid,
            wire.upload_aad(self._settings.host),
            lambda parts: cose.hmac_of(self._settings.key, parts),
        )

    # -- down ---------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            response = self._net.step()
        except NetLost:
            self._lost(0)
            return
        if response is None:
            return
        if self._asking:
            self._told(response)
            return
        answer = self._opened(response)
        if answer is None:  # a gateway, a busy server, a forger: nothing is known about the upload
            self._lost(response.retry_after_s)
        elif isinstance(answer, wire.Refusal):
            self._refused(answer)
        else:
            self._answered(answer)

    def _opened(self, response: "Response") -> "Any":
        """The Reply or Refusal, if the office signed it and it answers this upload; else None."""
        try:
            kid, payload, tag = cose.unseal(response.body)
            cose.check(payload, tag, wire.reply_aad(self._settings.host), self._mac)
            answer = wire.open_answer(payload)
        except BadInput:
            return None
        ours = (self._settings.device_id, self._journal.epoch, self._msg_seq)
        if kid != self._kid or (answer.device_id, answer.epoch, answer.msg_seq) != ours:
            return None
        if isinstance(answer, wire.Reply) and response.status != _OK:
            return None
        return answer

    def _mac(self, message: bytes) -> bytes:
        return cose.hmac_sha256(self._settings.key, message)

    def _answered(self, reply: "Any") -> None:
        """Stored there: mark it here. Only what this upload carried; a confused office erases nothing else."""
        self._done()
        acked = [seq for seq in self._seqs if _is_in(reply.ack, seq)]
        rejected = [pair[0] for pair in reply.reject if pair[0] in self._seqs]
        self._journal.ack(wire.ranges(acked))
        self._journal.reject(rejected)
        told = False
        if self._sends == 1:  # an answer to a repeated upload may be a stored one, and its time old
            told = self._discipline.heard(1000 * reply.server_time_s + reply.server_ms, self._sent_ms)
        if reply.max_batch:
            self._batch_max = min(wire.RECORDS_MAX, reply.max_batch)
        if self._seqs and not acked and not rejected:
            self._wait.fail(reply.retry_after_s)  # an answer that says nothing of what it got
            return
        self._wait.succeed()
        self._was_stale = False
        log_id = self._log.sending
        if log_id >= 0 and self._log.heard(reply.want):
            self._commands.log_sent(log_id)
        if not self._left_behind:
            self._commands.take(reply.commands)
        self._show_back()
        self._wait.pause(max(reply.retry_after_s, self._interval_s(told)))
        self._wait.may_be_early = reply.retry_after_s == 0

    def _interval_s(self, told: bool) -> int:
        """From one answer to the next upload. told: the answer brought the time."""
        if self._left_behind or self._log.progressed():
            return 0
        if not told and self._clock.quality() == _CLOCK_UNKNOWN:
            return self._settings.backoff_first_s  # nobody rides until an answer tells the time
        return self._commands.interval_s or self._settings.sync_interval_s

    def _refused(self, refusal: "Any") -> None:
        self._done()
        self._log.note(refusal.code, refusal.msg_seq_stored)
        if refusal.code == wire.EPOCH:
            self._enrol()
        elif refusal.code == wire.STALE and not self._was_stale:
            self._was_stale = True  # once: an office that keeps saying so is not asked without end
            self._msg_seq = self._number_after(refusal.msg_seq_stored)
            self._wait.pause(0)
        elif refusal.code == wire.STALE:
            self._was_stale = False
            self._wait.fail(0)
        else:
            self._show_fault()
            self._wait.pause(max(EPOCH_WAIT_S, self._settings.backoff_max_s))

    def _enrol(self) -> None:
        """Questions go before entries, from now on."""
        from validator.enrolment import Enrolment  # 6 kB of heap, once in the life of a flash

        self._enrolment = Enrolment(self._journal, self._clock, self._settings)
        self._wait.pause(0)

    def _told(self, response: "Response") -> None:
        """How the enrolment stands."""
        assert self._enrolment is not None
        state = self._enrolment.heard(response.body)
        if not state:
            self._lost(response.retry_after_s)
            return
        self.busy = False
        self._log.note(state)
        if self._enrolment.done:
            self._enrolment = None
            self._msg_seq = self._number_after(0)
            self._wait.succeed()
            self._wait.pause(0)
        elif self._enrolment.again:
            self._wait.pause(0)
        else:
            self._show_fault()
            self._wait.pause(max(EPOCH_WAIT_S, self._settings.backoff_max_s))

    def _number_after(self, stored: int) -> int:
        """For the first message since boot. Not always the next one: an upload from before the power cut may still be
        under way with that, and its answer would be taken for this one's.
        """
        return stored + 1 + self._below(NUMBERS_SKIPPED)

    def _done(self) -> None:
        """This upload has its answer; the next has the next number."""
        self.busy = False
        self._envelope = []
        self._msg_seq += 1

    def _show_fault(self) -> None:
        if not self._fault_shown:
            self._fault_shown = True
            self._panel.show("fault", part="net")

    def _show_back(self) -> None:
        if self._fault_shown:
            self._fault_shown = False
            self._panel.show("back", part="net")

    def _lost(self, retry_after_s: int) -> None:
        """No answer that counts: the same bytes again, later."""
        self.busy = False
        self._health.count("retries")
        self._wait.fail(retry_after_s)


def _is_in(ranges: "list[list[int]]", seq: int) -> bool:
    for first, last in ranges:
        if first <= seq <= last:
            return True
    return False
