"""One terminal, two applications, on whole simulated cards and PSAMs: in process, and behind pcscd as processes."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from simulator import personalise
from simulator.card import SimCard
from simulator.dual_card import DualCard, card_of
from simulator.field import Faults
from simulator.image import CardImage
from simulator.pcscd import READERS, Pcscd
from simulator.psam import SimPsam
from simulator.rig.program import Program
from simulator.tests.on_micropython import DESK, FIRMWARE, UNIX
from simulator.tests.test_tap_with_sim_card import AFTER, BEFORE, Bus, Slot
from simulator.trace import Traced
from simulator.vpcd import VpcdSlot
from support.aes import cbc_encrypt
from support.bus import ISSUER, STORAGE_KEY, device_map, settings
from tunion import cbor
from tunion.bcd import from_digits
from tunion.card.files import EPURSE_AID, PPSE_NAME
from tunion.card.refusals import LinkLost
from tunion.card.sample_products import LEGACY, LEGACY_AID, LEGACY_KEY_INDEX
from tunion.crypto import keys
from tunion.wire import tap as wire
from tunion.wire.soft_sam import make_blob
from validator.drivers.sam_slot import SamSlot
from validator.duty import Duty
from validator.journal import Journal
from validator.rules import provisioned
from validator.sams import Sams
from validator.tap import TapPath

LEGACY_FEN, NATIONAL_FEN = 150, 200
LEGACY_ISSUER = bytes.fromhex("10200058")
WAIT_S = 20.0
SELECT_LEGACY = bytes((0x00, 0xA4, 0x04, 0x00, len(LEGACY_AID))) + LEGACY_AID
SELECT_NATIONAL = bytes((0x00, 0xA4, 0x04, 0x00, len(EPURSE_AID))) + EPURSE_AID
INITIALIZE = bytes.fromhex("805001020B01000000C8611000000042")
READ_15, READ_05 = bytes.fromhex("00B095001E"), bytes.fromhex("00B0850020")


def rows(order: str, **legacy: Any) -> list[dict[str, Any]]:
    known = {
        "legacy": {
            "product": LEGACY,
            "issuers": [LEGACY_ISSUER],
            "fare": {"fare_id": 51, "version": 4, "fare_fen": LEGACY_FEN, "discounts": []},
            "sam": {"driver": "psam", "name": "second slot"},
            **legacy,
        },
        "national": {"product": 0},
    }
    return [known[name] for name in order.split()]


# -- the card -------------------------------------------------------------------------------------------------------


def powered(image: CardImage) -> DualCard:
    card = card_of(image)
    assert isinstance(card, DualCard)
    card.power_on()
    return card


def test_each_application_answers_with_its_own_files_and_purse():
    card = powered(personalise.example_dual())
    assert card.transceive(READ_15) == b"\x6a\x82"
    assert card.transceive(SELECT_LEGACY)[-2:] == b"\x90\x00"
    assert card.transceive(READ_05)[:6].hex() == "580010200058" and card.transceive(READ_15) == b"\x6a\x82"
    assert card.transceive(SELECT_NATIONAL)[-2:] == b"\x90\x00"
    assert card.transceive(READ_15)[-2:] == b"\x90\x00" and card.transceive(READ_05) == b"\x6a\x82"
    listed = card.transceive(bytes((0x00, 0xA4, 0x04, 0x00, len(PPSE_NAME))) + PPSE_NAME)
    assert EPURSE_AID in listed and LEGACY_AID in listed


def test_selecting_the_other_application_discards_what_was_begun_and_a_failed_select_does_not():
    card = powered(personalise.example_dual())
    card.transceive(SELECT_NATIONAL)
    assert card.transceive(INITIALIZE)[-2:] == b"\x90\x00"
    assert card.transceive(bytes.fromhex("00A4040008A000000632010199")) == b"\x6a\x82"
    assert card.transceive(bytes.fromhex("805401000F") + bytes(15)) == b"\x93\x02"  # still open: MAC1 is judged
    assert card.transceive(INITIALIZE)[-2:] == b"\x90\x00"
    card.transceive(SELECT_LEGACY)
    card.transceive(SELECT_NATIONAL)
    assert card.transceive(bytes.fromhex("805401000F") + bytes(15)) == b"\x69\x01"


def test_what_either_application_changes_is_kept_with_the_other(tmp_path: Path):
    path = tmp_path / "card.json"
    bus = DualBus("legacy national", lambda image: image.save(path))
    assert bus.serve() == "paid"
    kept = CardImage.load(path)
    assert kept.second is not None
    assert (kept.balance_fen, kept.second.balance_fen) == (5000, 3000 - LEGACY_FEN)


# -- a terminal in process ------------------------------------------------------------------------------------------


class DualBus(Bus):
    """The tap path with a PSAM for each application: the regional one's has one level, and is asked so."""

    def __init__(self, order: str, persist: Any = None) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.card: Any = card_of(personalise.example_dual(), persist=persist)
        self.field.chip = self.card
        self.legacy_psam = SimPsam(personalise.example_legacy_psam())
        self.legacy_slot = Slot(self.legacy_psam, LinkLost)
        self.legacy_sam = SamSlot(self.legacy_slot, self.clock)
        self.take(order)

    def take(self, order: str) -> None:
        """Start with another device file, over the same flash."""
        options = settings(applications=rows(order))
        self.journal = Journal(self.journal._flash, self.clock, lambda: 1)
        serving = [0 if taken.sam is None else 1 for taken in options.applications]
        sams = Sams(
            [(sam, sam, sam.open) for sam in (self.sam, self.legacy_sam)],
            serving, self.journal, self.clock, self.panel,
        )  # fmt: skip
        sams.revive()
        self.path = TapPath(
            self.field, self.sam, self.journal, self.clock, self.panel, options.deny, provisioned(options), options,
            Duty(options, self.journal, self.clock), sams=sams,
        )  # fmt: skip

    def assert_one_purse_paid_once(self) -> Any:
        paid = [(body, outcome) for code, body, outcome in self.finished() if code in (wire.SETTLED, wire.PROVED)]
        debits = [(5000 - self.card.first.image.balance_fen), 3000 - self.card.second.image.balance_fen]
        assert len(paid) == 1 and not self.journal.open_claims()
        body, outcome = paid[0]
        assert debits == ([0, LEGACY_FEN] if body.event >> 4 else [NATIONAL_FEN, 0])
        which = self.card.second if body.event >> 4 else self.card.first
        assert outcome.tac == which.image.last_proof.tac
        return body


@pytest.mark.parametrize(("order", "terminal", "issuer"), [
    ("legacy national", "580000000007", "10200058ffffffff"),
    ("national legacy", "611000000042", "04026110ffffffff"),
])  # fmt: skip
def test_the_order_decides_which_purse_and_which_psam(order: str, terminal: str, issuer: str):
    bus = DualBus(order)
    before = bus.psam.image.terminal_counter, bus.legacy_psam.image.terminal_counter
    assert bus.serve() == "paid"
    body = bus.assert_one_purse_paid_once()
    assert (body.terminal.hex(), body.issuer.hex()) == (terminal, issuer)
    counted = bus.psam.image.terminal_counter - before[0], bus.legacy_psam.image.terminal_counter - before[1]
    assert counted == ((0, 1) if body.event >> 4 else (1, 0))


@pytest.mark.parametrize(
    ("order", "number", "moment"),
    [(order, *at) for order in ("legacy national", "national legacy") for at in product(range(1, 5), (BEFORE, AFTER))],
)
def test_a_dual_card_torn_at_any_exchange_pays_once_whichever_order_comes_next(order: str, number: int, moment: str):
    for after in ("legacy national", "national legacy"):
        bus = DualBus(order)
        assert bus.serve((number, moment)) == "tap_again"
        bus.take(after)
        assert bus.serve() == ("recovered" if (number, moment) == (4, AFTER) else "paid")
        paid = [body for code, body, _ in bus.finished() if code in (wire.SETTLED, wire.PROVED)]
        spent_fen = 8000 - bus.card.first.image.balance_fen - bus.card.second.image.balance_fen
        assert len(paid) == 1 and spent_fen == paid[0].amount_fen


# -- as a process behind pcscd --------------------------------------------------------------------------------------


def soft(issuer: bytes, key: bytes, terminal: str, key_index: int) -> dict[str, Any]:
    blob = make_blob(
        STORAGE_KEY, cbc_encrypt, bytes(16), {issuer: key}, from_digits(terminal), 1, from_digits("20250101"),
        from_digits("20991231"), key_index=key_index,
    )  # fmt: skip
    return {"driver": "soft", "blob": blob, "storage_key": STORAGE_KEY}


class Terminal:
    """A validator process with a PSAM in the slot behind pcscd for one application, a soft SAM for the other."""

    def __init__(self, pcscd: Pcscd, folder: Path, command: list[str], in_slot: str) -> None:
        self.slot, self.sam_slot = VpcdSlot(pcscd.port), VpcdSlot(pcscd.port + 1)
        self.lines: list[str] = []
        psam = personalise.example_legacy_psam() if in_slot == "legacy" else personalise.example_psam()
        self.sam_slot.insert(Traced(SimPsam(psam), "psam", self.lines.append))
        slot = {"driver": "psam", "name": READERS[1]}
        national = keys.suite(0).diversify(personalise.TEST_MASTERS.purchase, ISSUER)
        legacy = personalise.LEGACY_MASTERS.purchase
        values = device_map(
            reader={"driver": "pcsc", "name": READERS[0]},
            sam=slot if in_slot == "national" else soft(ISSUER, national, "611000000042", 1),
            applications=rows(
                "legacy national",
                sam=slot
                if in_slot == "legacy"
                else soft(LEGACY_ISSUER + b"\xff" * 4, legacy, "580000000007", LEGACY_KEY_INDEX),
            ),
            server={"address": "127.0.0.1", "port": 9, "pin": bytes(32)},  # discard: nobody listens
            flash={"path": str(folder / "journal.nor"), "sectors": 8},
            same_card_s=0,
        )
        (folder / "device.cbor").write_bytes(cbor.encode(values))
        argv = pcscd.command([*command, str(folder / "device.cbor")])
        environment = {"MICROPYPATH": str(FIRMWARE), "PYTHONPATH": str(FIRMWARE)}
        self.program = Program("bus", argv, folder / "log", environment)
        self.expect("ready", 0)

    def expect(self, what: str, since: int) -> dict[str, Any]:
        return self.program.expect(lambda line: line.get("what") == what, since, WAIT_S, what)

    def tap(self, card: Any, what: str, faults: Faults | None = None) -> dict[str, Any]:
        since = self.program.mark()
        self.lines.clear()
        traced = Traced(card, "card", self.lines.append, card.image.serial)
        self.slot.insert(traced, faults)
        shown = self.expect(what, since)
        self.slot.remove()
        self.expect("ready", since)
        return shown

    def signed(self, label: str) -> list[str]:
        """Lengths of the factors that the PSAM was asked with."""
        return [line.split("> ")[1][8:10] for line in self.lines if line.startswith(f"{label} > 8070")]

    def close(self) -> None:
        self.program.stop()
        self.slot.remove()
        self.sam_slot.remove()


@pytest.fixture(
    params=[
        ((*UNIX, "-m", "boards.unix.main"), "legacy"),
        ((*UNIX, "-m", "boards.unix.main"), "national"),
        ((*DESK, "-m", "boards.desk.main"), "legacy"),
    ],
    ids=["unix-legacy-psam", "unix-national-psam", "desk-legacy-psam"],
)
def terminal(request: pytest.FixtureRequest, pcscd: Pcscd, tmp_path: Path) -> Iterator[tuple[Terminal, str]]:
    command, in_slot = request.param
    made = Terminal(pcscd, tmp_path, list(command), in_slot)
    yield made, in_slot
    made.close()


def test_behind_pcscd_one_terminal_charges_each_card_by_its_application_and_the_right_sam(
    terminal: tuple[Terminal, str],
):
    post, in_slot = terminal
    legacy_asked, national_asked = (["1C"], []) if in_slot == "legacy" else ([], ["24"])
    for image, fare_fen, asked in (
        (personalise.example_legacy(), LEGACY_FEN, legacy_asked),
        (personalise.example_card(), NATIONAL_FEN, national_asked),
        (personalise.example_dual(), LEGACY_FEN, legacy_asked),
    ):
        card = card_of(image)
        assert post.tap(card, "paid")["fare_fen"] == fare_fen
        assert post.signed("psam") == asked
        selects = [line for line in post.lines if line.startswith("card > 00A40400")]
        assert LEGACY_AID.hex().upper() in selects[0]
        assert len(selects) == (2 if fare_fen == NATIONAL_FEN else 1)
        chip = card if isinstance(card, SimCard) else card.second
        assert chip.image.offline_counter - (0x12 if chip.image.aid == EPURSE_AID else 0) == 1


def test_behind_pcscd_a_dual_card_torn_at_each_exchange_pays_once(terminal: tuple[Terminal, str]):
    post, _ = terminal
    for number, moment in product(range(1, 5), (BEFORE, AFTER)):
        card = card_of(personalise.example_dual())
        assert isinstance(card, DualCard)
        post.tap(card, "tap_again", Faults(tear_at=[f"{number}:{moment}"]))
        post.tap(card, "recovered" if (number, moment) == (4, AFTER) else "paid")
        assert (card.first.image.balance_fen, card.second.image.balance_fen) == (5000, 3000 - LEGACY_FEN)
