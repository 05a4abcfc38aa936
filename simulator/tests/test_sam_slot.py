"""The SAM driver with a simulated PSAM in its slot: in process, and under MicroPython through PC/SC."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.ccid_reader import CcidReader
from simulator.pcscd import READERS, Pcscd
from simulator.personalise import example_psam
from simulator.psam import SimPsam
from simulator.pty_device import PtyDevice
from simulator.stx_etx_reader import PROFILES, StxEtxReader, load_profile
from simulator.t0_sam import Contact, T0Sams
from simulator.tests.flows import PURCHASES, VECTORS, with_settings
from simulator.tests.on_micropython import DESK, UNIX, Driver, wait_until
from simulator.vpcd import VpcdSlot
from tunion.bcd import at_s
from tunion.card import psam, purse
from tunion.card.product import NATIONAL
from tunion.card.refusals import LinkLost, NoKey, Unproven
from validator.drivers.sam_slot import SamSlot
from validator.ports import Forgotten, Identity, ReaderLost, SamLost

INPUTS = VECTORS["inputs"]
CARD = Identity(bytes.fromhex(INPUTS["app_serial"]), bytes.fromhex(INPUTS["issuer"]), b"\x61\x10", 1, NATIONAL)
PLAIN = VECTORS["plain_purchase"]
AT = bytes.fromhex("20250601071000")
MAC2 = bytes.fromhex(PLAIN["mac2"])


class Clock:
    """The Clock port, standing still."""

    def __init__(self, stamp: str = "20250601071000", quality: int = 3) -> None:
        self._now_s = at_s(bytes.fromhex(stamp))
        self._quality = quality

    def now_s(self) -> int:
        return self._now_s

    def quality(self) -> int:
        return self._quality


class Slot:
    """A slot in process. Keeps what was sent; `pull` takes the SAM out."""

    def __init__(self, sam: SimPsam | None) -> None:
        self.sam = sam
        self.sent: list[str] = []

    def open(self) -> None:
        self.sent.clear()

    def activate(self, wait_ms: int) -> bool:
        if self.sam:
            self.sam.power_off()
            self.sam.power_on()
        return self.sam is not None

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        self.sent.append(bytes(apdu).hex().upper())
        if self.sam is None:
            raise LinkLost("no SAM")
        return self.sam.transceive(apdu)

    def pull(self) -> None:
        self.sam = None


class GoneSlot(Slot):
    def open(self) -> None:
        raise ReaderLost("no reader")


def opened(clock: Any = None, **settings: Any) -> tuple[Any, Slot]:
    slot = Slot(SimPsam(with_settings(example_psam(), **settings)))
    sam = SamSlot(slot, clock or Clock())
    sam.open()
    return sam, slot


def offer_of(section: str) -> Any:
    return purse.INITIALIZE_FOR_PURCHASE.decode(bytes.fromhex(VECTORS[section]["init_rsp"]))


def signed(sam: Any, section: str = "plain_purchase") -> Any:
    data = psam.INIT_SAM_FOR_PURCHASE.data
    assert data
    asked = data.unpack(bytes.fromhex(VECTORS[section]["psam_8070_cmd"]), 5)
    return sam.sign(offer_of(section), CARD, asked.amount_fen, asked.type, asked.at)


@pytest.mark.parametrize("settings", [{}, {"get_response": True}, {"counter_advances_at": "8070"}])
def test_the_vectors_go_out_and_come_back_byte_for_byte(settings: dict[str, Any]) -> None:
    sam, slot = opened(**settings)
    assert (sam.terminal.hex(), sam.key_index) == (INPUTS["terminal"], 1)
    assert sam.identity.serial.endswith(sam.terminal)
    for section in PURCHASES:
        vector = VECTORS[section]
        slot.sent.clear()
        answer = signed(sam, section)
        assert (f"{answer.terminal_seq:08X}" + answer.mac1.hex().upper() + "9000") == vector["psam_8070_rsp"]
        sam.check(bytes.fromhex(vector["mac2"]))
        assert (slot.sent[0], slot.sent[-1]) == (vector["psam_8070_cmd"], vector["psam_8072_cmd"])


def test_a_block_mac_is_that_of_the_vectors() -> None:
    sam, slot = opened()
    block = VECTORS["app_block"]
    slot.sent.clear()
    mac = sam.block_mac(CARD, bytes.fromhex(block["challenge_rsp"])[:4], bytes.fromhex("841E000004"))
    assert slot.sent == [block["psam_801A_cmd"], block["psam_80FA_cmd"]]
    assert mac + b"\x90\x00" == bytes.fromhex(block["psam_80FA_rsp"])


def test_a_sam_without_a_maintenance_key_makes_no_block_mac() -> None:
    image = example_psam()
    image.keys["maintenance"] = []
    sam = SamSlot(Slot(SimPsam(image)), Clock())
    sam.open()
    assert sam.block_mac(CARD, bytes(4), b"\x84\x1e\x00\x00\x04") is None


def test_a_wrong_mac2_is_unproven_and_only_the_last_purchase_is_ever_checked() -> None:
    sam, slot = opened(mac2_tries=1)
    with pytest.raises(Forgotten):
        sam.check(MAC2)
    signed(sam)
    with pytest.raises(Unproven):
        sam.check(b"\x00\x00\x00\x00")
    asked = len(slot.sent)
    with pytest.raises(Forgotten):
        sam.check(MAC2)
    assert len(slot.sent) == asked, "a stale MAC2 never reaches the SAM"


def test_a_block_mac_in_between_ends_the_purchase() -> None:
    sam, _ = opened()
    signed(sam)
    sam.block_mac(CARD, bytes(4), b"\x84\x1e\x00\x00\x04")
    with pytest.raises(Forgotten):
        sam.check(MAC2)


def test_a_key_that_the_sam_lacks_is_a_refusal_and_the_sam_stays() -> None:
    sam, _ = opened()
    with pytest.raises(NoKey):
        sam.sign(offer_of("plain_purchase")._replace(key_version=9), CARD, 200, 6, AT)
    assert signed(sam).terminal_seq == 0x64


def test_a_sam_that_leaves_is_a_lost_sam_and_not_a_lost_card() -> None:
    sam, slot = opened()
    held = slot.sam
    signed(sam)
    slot.pull()
    for call in (lambda: sam.check(MAC2), lambda: signed(sam), sam.open):
        with pytest.raises(SamLost):
            call()
    with pytest.raises(SamLost):
        SamSlot(GoneSlot(None), Clock()).open()
    slot.sam = held
    sam.open()
    assert signed(sam).terminal_seq == 0x64


def test_a_sam_that_was_reset_unseen_is_lost() -> None:
    sam, slot = opened()
    signed(sam)
    assert slot.sam
    slot.sam.power_off()
    slot.sam.power_on()
    with pytest.raises(SamLost):
        sam.check(MAC2)


@pytest.mark.parametrize(
    ("day", "works"), [("20241231", False), ("20250101", True), ("20351231", True), ("20360101", False)]
)
def test_its_dates_are_kept_at_open_and_at_every_purchase(day: str, works: bool) -> None:
    sam, _ = opened(Clock(quality=0))
    at = bytes.fromhex(day + "235959")
    ways = (
        lambda: opened(Clock(day + "235959")),
        lambda: sam.sign(offer_of("plain_purchase"), CARD, 200, 6, at),
    )
    for way in ways:
        if works:
            way()
        else:
            with pytest.raises(SamLost, match="replace it, or set the clock"):
                way()
    opened(Clock(day + "235959", quality=0))


def test_another_card_in_the_slot_is_named() -> None:
    sam = SamSlot(Slot(SimPsam(example_psam())), Clock())
    assert sam._slot.sam
    sam._slot.sam.image.files[psam.TERMINAL_SFI] = b"\xab" * 6
    with pytest.raises(SamLost, match="insert the right one"):
        sam.open()
    with pytest.raises(SamLost):
        signed(sam)


@pytest.fixture
def sam_driver(pcscd: Pcscd) -> Iterator[Driver]:
    with Driver(["sam", READERS[1]], pcscd.command) as driver:
        yield driver


@pytest.mark.parametrize("get_response", [False, True])
def test_under_micropython_through_pcsc(pcscd: Pcscd, sam_driver: Driver, get_response: bool) -> None:
    slot = VpcdSlot(pcscd.port + 1)
    slot.insert(SimPsam(with_settings(example_psam(), get_response=get_response)))
    try:
        signs_and_leaves(sam_driver, slot.remove)
    finally:
        sam_driver.call("close")
        slot.remove()


def signs_and_leaves(driver: Driver, remove: Callable[[], None]) -> None:
    """Two purchases in the words of the vectors; then the SAM is taken out."""
    driver.call("open")
    assert driver.call("terminal").hex() == INPUTS["terminal"]
    for section in PURCHASES[:2]:
        vector = VECTORS[section]
        asked = bytes.fromhex(vector["psam_8070_cmd"])
        sequence, mac1 = driver.call(
            "sign_offer", bytes.fromhex(vector["init_rsp"]), CARD, int.from_bytes(asked[11:15], "big"), asked[15],
            asked[16:23],
        )  # fmt: skip
        assert f"{sequence:08X}" + mac1.hex().upper() + "9000" == vector["psam_8070_rsp"]
        driver.call("check", bytes.fromhex(vector["mac2"]))
    remove()
    with pytest.raises(SamLost):
        wait_until(lambda: driver.call("block_mac", CARD, bytes(4), b"\x84\x1e\x00\x00\x04"), "SamLost")
    with pytest.raises(SamLost, match="insert it"):
        driver.call("open")


def serial_slot(kind: str, folder: Path, sam: SimPsam) -> tuple[PtyDevice, list[str], Callable[[], None]]:
    """A device with the SAM in it, the driver agent's words for its slot, and what takes the SAM out."""
    link = folder / "line"
    if kind == "uart":
        sams = T0Sams([None, Contact(sam)], (link, folder / "pins"))
        return sams, ["sam_uart", str(link), str(folder / "pins"), "1", "-"], lambda: _take(sams.contacts)
    if kind == "ccid":
        ccid = CcidReader(link, [None, sam])
        return ccid, ["ccid_sam", str(link), "2"], lambda: _take(ccid.sams)
    reader = StxEtxReader(load_profile(kind), link, [None, sam])
    return reader, ["stx_etx_sam", str(link), str(PROFILES / f"{kind}.json"), "2"], lambda: _take(reader.sams)


def _take(slots: list[Any]) -> None:
    slots[1] = None


@pytest.mark.parametrize("interpreter", [UNIX, DESK], ids=["unix", "desk"])
@pytest.mark.parametrize("get_response", [False, True])
@pytest.mark.parametrize("kind", ["sample_binary_xor", "sample_nibble_crc", "ccid", "uart"])
def test_in_every_serial_slot(tmp_path: Path, kind: str, get_response: bool, interpreter: tuple[str, ...]) -> None:
    sam = SimPsam(with_settings(example_psam(), get_response=get_response))
    device, argv, remove = serial_slot(kind, tmp_path, sam)
    try:
        with Driver(argv, interpreter=interpreter) as driver:
            signs_and_leaves(driver, remove)
    finally:
        device.close()
