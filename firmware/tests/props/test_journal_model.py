"""The journal against a plain dict: whatever is done in whatever order, with power cuts in between, they agree."""

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from support.manual_clock import ManualClock
from support.nor import NorFlash, PowerCut
from support.taps import fields
from tunion.wire import tap as wire
from validator.journal import ALARM_PERMILLE, INTENT_MAX, Journal
from validator.ring import JournalFull

TAC = b"\x62\x4a\x55\x80"
OUTCOMES = {
    wire.SETTLED: lambda claim: claim.settle(TAC, wire.MAC2_OK),
    wire.PROVED: lambda claim: claim.prove(TAC, wire.MAC2_UNCHECKED),
    wire.VOID: lambda claim: claim.void(0x9302),
    wire.DISPUTED: lambda claim: claim.dispute(TAC),
    wire.GREY: lambda claim: claim.give_up(),
}


class Model:
    """What a journal must answer: entries by seq as (kind, outcome code), and which of them are done with."""

    def __init__(self) -> None:
        self.entries: dict[int, tuple[int, int | None]] = {}
        self.done: set[int] = set()

    def copy(self) -> "Model":
        twin = Model()
        twin.entries = dict(self.entries)
        twin.done = set(self.done)
        return twin

    def add(self, kind: int, code: int | None) -> int:
        seq = max(self.entries, default=0) + 1
        self.entries[seq] = (kind, code)
        return seq

    @property
    def open(self) -> list[int]:
        return [seq for seq, entry in self.entries.items() if entry == (wire.TAP, wire.OPEN)]

    @property
    def pending(self) -> dict[int, tuple[int, int | None]]:
        return {
            seq: entry
            for seq, entry in self.entries.items()
            if seq not in self.done and entry != (wire.TAP, wire.OPEN)
        }


def seen(journal: Journal) -> tuple[dict[int, tuple[int, int | None]], list[int]]:
    while journal.count():
        pass
    found = {}
    for seq, entry in journal.pending(10000, 10**9):
        body, outcome = wire.from_wire(entry)
        found[seq] = (body.kind, outcome.code if outcome else None)
    return found, [claim.seq for claim in journal.open_claims()]


class JournalMachine(RuleBasedStateMachine):
    """Each rule says what the model becomes; under a cut the journal may be the old model or the new one."""

    def __init__(self) -> None:
        super().__init__()
        self.flash = NorFlash(sectors=6, sector_bytes=1024)
        self.model = Model()
        self.boot()

    def boot(self) -> None:
        self.journal = Journal(self.flash, ManualClock(), lambda: 7)

    def attempt(self, operate, becomes: Model, between=lambda seen_pending: False) -> None:
        """Do it; where power fails, reboot and let the journal choose between before and after."""
        try:
            operate()
        except JournalFull:
            return
        except PowerCut:
            self.flash = self.flash.rebooted()
            self.boot()
            pending, open_ = seen(self.journal)
            for model in (self.model, becomes):
                if (model.pending, model.open) == (pending, open_):
                    self.model = model
                    return
            assert between(pending), "neither before nor after: %r %r" % (pending, open_)
            self.model = self.model.copy()
            self.model.done |= set(self.model.pending) - set(pending)
            return
        self.model = becomes

    @rule(cut=st.none() | st.integers(0, 130), number=st.integers(0, 9999))
    @precondition(lambda self: len(self.journal._claims) < INTENT_MAX)
    def claim(self, cut, number):
        becomes = self.model.copy()
        becomes.add(wire.TAP, wire.OPEN)
        self.flash.cut_after = cut
        self.attempt(lambda: self.journal.claim(**fields(number)), becomes)
        self.flash.cut_after = None

    @rule(cut=st.none() | st.integers(0, 130))
    def event(self, cut):
        becomes = self.model.copy()
        becomes.add(wire.EVENT, None)
        self.flash.cut_after = cut
        self.attempt(lambda: self.journal.event(wire.BOOT), becomes)
        self.flash.cut_after = None

    @rule(cut=st.none() | st.integers(0, 130), code=st.sampled_from(sorted(OUTCOMES)), which=st.integers(0, 9))
    @precondition(lambda self: self.journal.open_claims())
    def finish(self, cut, code, which):
        claims = self.journal.open_claims()
        claim = claims[which % len(claims)]
        becomes = self.model.copy()
        becomes.entries[claim.seq] = (wire.TAP, code)
        if not claim.clean:
            becomes.add(wire.AMEND, code)
        self.flash.cut_after = cut
        self.attempt(lambda: OUTCOMES[code](claim), becomes)
        self.flash.cut_after = None

    @rule(cut=st.none() | st.integers(0, 130))
    @precondition(lambda self: any(claim.grey for claim in self.journal._claims))
    def prove_grey(self, cut):
        claim = next(claim for claim in self.journal._claims if claim.grey)
        becomes = self.model.copy()
        becomes.add(wire.AMEND, wire.PROVED)
        self.flash.cut_after = cut
        self.attempt(lambda: claim.prove(TAC, wire.MAC2_UNCHECKED), becomes)
        self.flash.cut_after = None

    @rule(cut=st.none() | st.integers(0, 40), first=st.integers(1, 200), count=st.integers(1, 80))
    def ack(self, cut, first, count):
        self.mark(cut, lambda: self.journal.ack([[first, first + count - 1]]), range(first, first + count))

    @rule(cut=st.none() | st.integers(0, 3), seq=st.integers(1, 200))
    def reject(self, cut, seq):
        self.mark(cut, lambda: self.journal.reject([seq]), (seq,))

    def mark(self, cut, operate, seqs) -> None:
        becomes = self.model.copy()
        becomes.done |= set(seqs) & set(becomes.pending)
        least, most = set(becomes.pending), set(self.model.pending)
        self.flash.cut_after = cut
        self.attempt(operate, becomes, lambda pending: least <= set(pending) <= most)
        self.flash.cut_after = None

    @rule(cut=st.none() | st.integers(0, 300))
    def idle(self, cut):
        self.flash.cut_after = cut
        self.idle_once()
        self.flash.cut_after = None

    def idle_once(self) -> None:
        """In a filling flash one event, and claims of the oldest sector become grey; the model learns which."""
        was_filling = self.journal.fill_permille() >= ALARM_PERMILLE
        try:
            self.journal.idle()
        except PowerCut:
            self.flash = self.flash.rebooted()
            self.boot()
        pending, open_ = seen(self.journal)
        becomes = self.model.copy()
        for seq in sorted(set(pending) - set(becomes.entries)):
            assert pending[seq] in ((wire.EVENT, None), (wire.AMEND, wire.GREY)), pending[seq]
            assert becomes.add(*pending[seq]) == seq
        for seq in set(becomes.open) - set(open_):
            becomes.entries[seq] = (wire.TAP, wire.GREY)
        assert was_filling or becomes.entries == self.model.entries
        self.model = becomes

    @rule(count=st.integers(1, 30))
    def busy_hour(self, count):
        """Taps, each acknowledged at once, so that the ring goes round."""
        for number in range(count):
            becomes = self.model.copy()
            seq = becomes.add(wire.TAP, wire.SETTLED)
            becomes.done.add(seq)
            self.attempt(lambda number=number, seq=seq: self.settled_and_acked(number, seq), becomes)
            self.idle_once()

    def settled_and_acked(self, number, seq):
        if len(self.journal._claims) == INTENT_MAX:
            raise JournalFull("the model leaves the full table to test_journal.py")
        self.journal.claim(**fields(number)).settle(TAC, wire.MAC2_OK)
        self.journal.ack([[seq, seq]])

    @rule()
    def reboot(self):
        self.flash = self.flash.rebooted()
        self.boot()

    @invariant()
    def agree(self):
        assert seen(self.journal) == (self.model.pending, self.model.open)
        assert self.journal.seq == max(self.model.entries, default=0)
        assert self.journal.waiting == len(self.model.pending) + len(self.model.open)


JournalMachine.TestCase.settings = hypothesis_settings(stateful_step_count=60, deadline=None)
TestJournalModel = JournalMachine.TestCase
