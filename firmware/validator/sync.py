"""Store and forward: journal entries up, acknowledgements and the time down, a little at each turn, never waiting.

At least once on the wire, exactly once in the store: one upload is under way, and the same bytes go out until they
are answered. Protocol: tunion/wire/sync.py; rules and reasons: firmware/docs/sync.md.
"""

from tunion import cose
from tunion.compat import const
from tunion.record import BadInput
from tunion.wire import sync as wire
from tunion.wire.tap import CLOCK_STEP, EVENT
from validator.journal import ALARM_PERMILLE
from validator.ports import NetLost
from validator.ring import JournalFull

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from validator.journal import Journal
    from validator.ports import Clock, Net, Panel, Response
    from validator.settings import Settings

BATCH_BYTES_MAX = const(2048)  # of entries, some 20 taps; with payload, MAC input and envelope 12 kB of heap
RTT_MS_MAX = const(2000)  # a slower answer says too little about the time; platform 19.4
STEP_NOTED_S = const(60)  # a larger step of the clock is journaled
EPOCH_WAIT_S = const(900)  # until an office that must enrol this journal again is asked again

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
    ) -> None:
        """below(n) is a random number from 0 to n-1; heap_free() is in bytes, after a garbage collection."""
        self._net = net
        self._journal = journal
        self._clock = clock
        self._panel = panel
        self._settings = settings
        self._versions = versions
        self._below = below
        self._heap_free = heap_free
        self._kid = wire.kid(settings.device_id)
        self._envelope = b""  # the upload that waits for its answer, b"": none
        self._seqs: list[int] = []  # what it carries
        self._left_behind = False  # it could not carry all that waited
        self._msg_seq = 1  # the office says where it stands if this is too low
        self._sends = 0
        self._failures = 0
        self._was_stale = False
        self._fault_shown = False
        self._batch_max: int = wire.RECORDS_MAX
        self._sent_ms = 0
        self._wait_from_ms = clock.ticks_ms()
        self._wait_ms = 0  # first contact at once: it brings the time
        self._may_be_early = False  # only the interval is waited for, no failure and no wish of the office
        self._office_time: tuple[int, int] | None = None  # seconds, and the ticks when it was that time
        self.busy = False
        self.hurry = False  # send all that waits, whatever the interval says

    def step(self, card_present: bool) -> None:
        """Go on a little. Raises FlashFault."""
        if self._office_time is not None and not card_present:
            self._set_clock()
        if self.busy:
            self._receive()
        elif self._is_due():
            self._send()

    def is_drained(self) -> bool:
        """Nothing finished waits, nothing is under way."""
        return not self._envelope and not self._sendable()

    # -- up -----------------------------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        if self._clock.since_ms(self._wait_from_ms) >= self._wait_ms:
            return True
        return self._may_be_early and self._sendable() >= self._early_from()

    def _early_from(self) -> int:
        """So many entries go before the interval is over."""
        if self.hurry or self._journal.fill_permille() >= ALARM_PERMILLE:
            return 1
        return self._settings.sync_entries

    def _sendable(self) -> int:
        return self._journal.waiting - len(self._journal.open_claims())

    def _send(self) -> None:
        """The upload under way once more, or a new one."""
        if not self._envelope:
            self._envelope = self._sealed()
            self._sends = 0
        self._sends += 1
        self._sent_ms = self._clock.ticks_ms()
        self.busy = True
        try:
            self._net.start(wire.PATH, self._envelope)
        except NetLost:
            self._lost(0)

    def _sealed(self) -> bytes:
        heap_free = self._heap_free()  # first: it tidies up for what follows
        entries = self._journal.pending(self._batch_max, BATCH_BYTES_MAX)
        self._seqs = [seq for seq, _ in entries]
        self._left_behind = len(entries) < self._sendable()
        payload = wire.encode(
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
            )
        )
        return cose.seal(payload, self._kid, wire.upload_aad(self._settings.host), self._mac)

    def _mac(self, message: bytes) -> bytes:
        return cose.hmac_sha256(self._settings.key, message)

    # -- down ---------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        try:
            response = self._net.step()
        except NetLost:
            self._lost(0)
            return
        if response is None:
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

    def _answered(self, reply: "Any") -> None:
        """Stored there: mark it here. Only what this upload carried; a confused office erases nothing else."""
        self._done()
        acked = [seq for seq in self._seqs if _is_in(reply.ack, seq)]
        rejected = [pair[0] for pair in reply.reject if pair[0] in self._seqs]
        self._journal.ack(wire.ranges(acked))
        self._journal.reject(rejected)
        # Ticks from before the office read its clock to after: half of it is the best guess. An answer to a repeated
        # upload may be a stored one, and its time old.
        rtt_ms = self._clock.since_ms(self._sent_ms)
        if self._sends == 1 and rtt_ms < RTT_MS_MAX:
            self._office_time = (1000 * reply.server_time_s - rtt_ms // 2, self._sent_ms)
        if reply.max_batch:
            self._batch_max = min(wire.RECORDS_MAX, reply.max_batch)
        if self._seqs and not acked and not rejected:
            self._back_off(reply.retry_after_s)  # an answer that says nothing of what it got
            return
        self._failures = 0
        self._was_stale = False
        if self._fault_shown:
            self._fault_shown = False
            self._panel.show("back", part="net")
        self._pause(max(reply.retry_after_s, self._interval_s()))
        self._may_be_early = reply.retry_after_s == 0

    def _interval_s(self) -> int:
        """From one answer to the next upload."""
        if self._left_behind:
            return 0
        if self._office_time is None and self._clock.quality() == _CLOCK_UNKNOWN:
            return self._settings.backoff_first_s  # nobody rides until an answer tells the time
        return self._settings.sync_interval_s

    def _refused(self, refusal: "Any") -> None:
        self._done()
        if refusal.code == wire.STALE and not self._was_stale:
            self._was_stale = True  # once: an office that keeps saying so is not asked without end
            self._msg_seq = refusal.msg_seq_stored + 1
            self._pause(0)
            return
        if refusal.code == wire.STALE:
            self._was_stale = False
            self._back_off(0)
            return
        if not self._fault_shown:
            self._fault_shown = True
            self._panel.show("fault", part="net")
        self._failures += 1
        self._pause(max(EPOCH_WAIT_S, self._settings.backoff_max_s))

    def _done(self) -> None:
        """This upload has its answer; the next has the next number."""
        self.busy = False
        self._envelope = b""
        self._msg_seq += 1

    # -- waiting ------------------------------------------------------------------------------------------------

    def _lost(self, retry_after_s: int) -> None:
        """No answer that counts: the same bytes again, later."""
        self.busy = False
        self._back_off(retry_after_s)

    def _back_off(self, retry_after_s: int) -> None:
        """Exponential with full jitter, so that a depot's buses do not come back as one; never before retry_after."""
        limit_s = self._settings.backoff_max_s
        doubled_s = self._settings.backoff_first_s << min(self._failures, 10)
        self._failures += 1
        self._pause(retry_after_s)
        self._wait_ms += self._below(1000 * min(limit_s, doubled_s) + 1)

    def _pause(self, wait_s: int) -> None:
        self._may_be_early = False
        self._wait_from_ms = self._clock.ticks_ms()
        self._wait_ms = 1000 * wait_s

    def _set_clock(self) -> None:
        """Step to the office's time. No card is in the field, so no MAC or TAC is under way."""
        assert self._office_time is not None
        office_ms, then_ms = self._office_time
        self._office_time = None
        step_s = self._clock.set((office_ms + self._clock.since_ms(then_ms)) // 1000)
        if abs(step_s) <= STEP_NOTED_S:
            return
        try:
            self._journal.event(CLOCK_STEP, value=max(-0x80000000, min(0x7FFFFFFF, step_s)))
        except JournalFull:
            pass  # taps have the first call on the last slots


def _is_in(ranges: "list[list[int]]", seq: int) -> bool:
    for first, last in ranges:
        if first <= seq <= last:
            return True
    return False
