"""The validator's tap path against the simulated card and the simulated PSAM, torn at every exchange of either.

firmware/tests/test_tap.py runs the same claims on both interpreters with a smaller card; here are the full card with
its files and log, and a PSAM behind the real slot driver with its own counter.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from simulator import personalise
from simulator.card import SimCard
from simulator.psam import SimPsam
from support.bus import PanelNotes, settings
from support.manual_clock import ManualClock
from support.nor import NorFlash
from tunion.card.refusals import LinkLost
from tunion.crypto import keys
from tunion.wire import tap as wire
from validator.drivers.sam_slot import SamSlot
from validator.duty import Duty
from validator.journal import Journal
from validator.ports import SamLost, Target
from validator.rules import provisioned
from validator.tap import TapPath

FARE_FEN = 200
EXCHANGES = 4
BEFORE, AFTER = "before", "after"
MOMENTS = tuple(product(range(1, EXCHANGES + 1), (BEFORE, AFTER)))


class Slot:
    """A reader's field or a SAM's slot in process: the Reader port, and what SamSlot asks for."""

    def __init__(self, chip: SimCard | SimPsam, lost: type[Exception]) -> None:
        self.chip = chip
        self.tear: tuple[int, str] | None = None
        self.exchanges = 0
        self._lost = lost
        self._there = True

    def open(self) -> None:
        self.activate(0)

    def activate(self, wait_ms: int) -> bool:
        self.chip.power_on()
        self._there = True
        self.exchanges = 0
        return True

    def poll(self, wait_ms: int) -> Target:
        self.activate(wait_ms)
        return Target(b"")

    def removed(self, wait_ms: int) -> bool:
        return not self._there

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        self.exchanges += 1
        if self.tear == (self.exchanges, BEFORE):
            self._tear()
        answer = self.chip.transceive(apdu) if self._there else b""
        if self.tear == (self.exchanges, AFTER):
            self._tear()
        if not self._there:
            raise self._lost("torn")
        return answer

    def _tear(self) -> None:
        self.tear = None
        self._there = False
        self.chip.power_off()


class Bus:
    """The tap path with a PSAM in a slot."""

    def __init__(self, terminal: str = "611000000042") -> None:
        self.clock = ManualClock()
        self.panel = PanelNotes()
        self.card = SimCard(personalise.example_card())
        self.psam = SimPsam(personalise.example_psam())
        self.psam.image.files[0x16] = bytes.fromhex(terminal)
        self.field = Slot(self.card, LinkLost)
        self.slot = Slot(self.psam, LinkLost)
        self.sam = SamSlot(self.slot, self.clock)
        self.sam.open()
        self.journal = Journal(NorFlash(sectors=8, sector_bytes=4096), self.clock, lambda: 1)
        options = settings()
        self.path = TapPath(
            self.field, self.sam, self.journal, self.clock, self.panel, options.deny, provisioned(options), options,
            Duty(options, self.journal, self.clock),
        )  # fmt: skip

    def serve(self, tear: tuple[int, str] | None = None) -> str:
        self.clock.advance_ms(60000)
        self.field.poll(0)
        self.field.tear = tear
        self.path.serve()
        return str(self.panel.last)

    def finished(self) -> Iterator[tuple[int, Any, Any]]:
        for _, entry in self.journal.pending(1000, 1_000_000):
            body, outcome = wire.from_wire(entry)
            if body.kind == wire.TAP:
                yield outcome.code, body, outcome

    @property
    def spent_fen(self) -> int:
        return 5000 - self.card.image.balance_fen

    def assert_paid_once(self) -> None:
        """One debit, one record, and the record's TAC is what the issuer computes."""
        paid = [(body, outcome) for code, body, outcome in self.finished() if code in (wire.SETTLED, wire.PROVED)]
        assert self.spent_fen == FARE_FEN and len(paid) == 1 and not self.journal.open_claims()
        body, outcome = paid[0]
        masters = personalise.TEST_MASTERS
        suite = keys.suite(0)
        tac_key = suite.tac_key(keys.card_key(suite, masters.tac, body.issuer, body.card))
        message = keys.PURCHASE_TAC.pack(
            amount_fen=body.amount_fen,
            type=body.type,
            terminal=body.terminal,
            terminal_seq=body.terminal_seq,
            at=self.card.image.records[0x18][0][16:23],
        )
        assert suite.mac(tac_key, message) == outcome.tac


def test_a_fare_takes_four_card_and_two_sam_exchanges_and_the_psam_counts_on():
    bus = Bus()
    before = bus.slot.exchanges
    assert bus.serve() == "paid"
    assert (bus.field.exchanges, bus.slot.exchanges - before) == (EXCHANGES, 2)
    assert (bus.path.card_exchanges, bus.path.sam_exchanges) == (EXCHANGES, 2)
    assert bus.psam.image.terminal_counter == 0x65
    bus.assert_paid_once()


@pytest.mark.parametrize(("number", "moment"), MOMENTS)
def test_a_card_torn_at_any_exchange_pays_once(number: int, moment: str):
    bus = Bus()
    assert bus.serve((number, moment)) == "tap_again"
    assert bus.serve() == ("recovered" if (number, moment) == (EXCHANGES, AFTER) else "paid")
    bus.assert_paid_once()


@pytest.mark.parametrize(("first", "second"), tuple(product(MOMENTS[-2:], (*MOMENTS, (5, BEFORE), (5, AFTER)))))
def test_a_card_torn_twice_pays_once(first: tuple[int, str], second: tuple[int, str]):
    bus = Bus()
    bus.serve(first)
    if bus.serve(second) == "tap_again":
        bus.serve()
    bus.assert_paid_once()


@pytest.mark.parametrize(("number", "moment"), tuple(product((1, 2), (BEFORE, AFTER))))
def test_a_psam_that_dies_at_either_of_its_exchanges_costs_no_fare_twice(number: int, moment: str):
    bus = Bus()
    bus.slot.exchanges = 0
    bus.slot.tear = (number, moment)
    with pytest.raises(SamLost):
        bus.serve()
    bus.sam.open()
    if number == 1:
        assert bus.spent_fen == 0 and not list(bus.finished())
        bus.serve()
    bus.assert_paid_once()


def test_a_terminal_counter_that_repeats_after_a_torn_card_stays_told_apart_by_sequence():
    bus = Bus()
    torn = bus.card
    assert bus.serve((EXCHANGES, AFTER)) == "tap_again"
    example = personalise.example_card()
    bus.field.chip = SimCard(
        personalise.card_image(
            personalise.TEST_MASTERS,
            issuer=example.files[0x15][:8],
            serial=bytes.fromhex("03104999000000000018"),
            city=b"\x61\x10",
            province=b"\x61\x00",
            start=bytes.fromhex("20250101"),
            expiry=bytes.fromhex("20351231"),
            balance_fen=5000,
        )
    )
    assert bus.serve() == "paid"
    bus.field.chip = torn
    assert bus.serve() == "recovered"
    assert [(body.seq, body.terminal_seq) for _, body, _ in bus.finished()] == [(1, 0x64), (2, 0x64)]


def test_a_card_that_spent_the_counter_on_another_bus_does_not_ride_here_on_that_proof():
    """Torn before its debit here, paid there under the same counter: its proof is the other bus's. Storm, seed 2."""
    here, there = Bus(), Bus("611000000099")
    there.card = there.field.chip = here.card
    assert here.sam.terminal != there.sam.terminal
    assert here.serve((EXCHANGES, BEFORE)) == "tap_again"
    assert there.serve() == "paid"
    assert here.serve() == "paid"
    assert here.spent_fen == 2 * FARE_FEN
    assert [code for code, _, _ in here.finished()] == [wire.GREY, wire.SETTLED]
