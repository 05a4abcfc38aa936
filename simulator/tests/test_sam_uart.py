"""The T=0 driver against SAMs on a UART: speeds, PPS, procedure bytes, bad lines, several slots."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.personalise import example_psam
from simulator.psam import SimPsam
from simulator.t0_sam import Contact, T0Sams
from simulator.tests.flows import PURCHASES, SAM_FCI, SELECT_SAM, VECTORS, with_settings
from simulator.tests.on_micropython import DESK, UNIX, Driver
from simulator.tests.test_sam_slot import CARD, INPUTS
from tunion.card.refusals import LinkLost, Unproven
from validator.ports import SamLost

BOTH = pytest.mark.parametrize("interpreter", [UNIX, DESK], ids=["unix", "desk"])
WITH_TA1 = b"\x3b\x7d\x18\x00\x00" + b"YKT TEST PSAM"          # 372 / 12: 115200 out of 9600
WAIT_MS = 3000


class Rig:
    """The SAMs and a driver on one of them."""

    def __init__(self, folder: Path, interpreter: tuple[str, ...], *contacts: Contact | None, **wire: Any) -> None:
        self.links = folder / "sam", folder / "pins"
        self.contacts = contacts
        self.wire = wire
        self.spoil: Callable[[bytes], bytes] = bytes
        self.plug()
        number = wire.pop("number", 0)
        echo = "echo" if wire.get("echo") else "-"
        self.driver = Driver(["sam_uart", *map(str, self.links), str(number), echo], interpreter=interpreter)

    def plug(self) -> None:
        wire = {key: value for key, value in self.wire.items() if key != "number"}
        self.sams = T0Sams(self.contacts, self.links, spoil=lambda raw: self.spoil(raw), **wire)

    def say(self, command: str) -> str:
        return str(self.driver.call("transceive", bytes.fromhex(command), WAIT_MS).hex().upper())

    def close(self) -> None:
        self.driver.__exit__(None, None, None)
        self.sams.close()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(*arguments: Any, **wire: Any) -> Rig:
        rigs.append(Rig(tmp_path, *arguments, **wire))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def psam(**settings: Any) -> SimPsam:
    return SimPsam(with_settings(example_psam(), **settings))


def sign(rig: Rig, section: str) -> Any:
    vector = VECTORS[section]
    asked = bytes.fromhex(vector["psam_8070_cmd"])
    return rig.driver.call(
        "sign_offer", bytes.fromhex(vector["init_rsp"]), CARD, int.from_bytes(asked[11:15], "big"), asked[15],
        asked[16:23],
    )  # fmt: skip


def signs(rig: Rig, section: str) -> None:
    sequence, mac1 = sign(rig, section)
    assert f"{sequence:08X}" + mac1.hex().upper() + "9000" == VECTORS[section]["psam_8070_rsp"]
    rig.driver.call("check", bytes.fromhex(VECTORS[section]["mac2"]))


FLAVOURS: dict[str, dict[str, Any]] = {
    "38400": {},
    "9600": {"speed": 9600},
    "115200 by PPS": {"speed": 9600, "atr": WITH_TA1},
    "offers more, knows no PPS": {"speed": 9600, "atr": WITH_TA1, "knows_pps": False},
    "byte by byte": {"one_by_one": True},
    "thinks": {"nulls": 3},
}


@BOTH
@pytest.mark.parametrize("get_response", [False, True])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_vectors_through_every_kind_of_sam(made: Any, interpreter: Any, flavour: str, get_response: bool):
    contact = Contact(psam(get_response=get_response), **FLAVOURS[flavour])
    rig = made(interpreter, contact)
    rig.driver.call("open")
    assert rig.driver.call("terminal").hex() == INPUTS["terminal"]
    for section in PURCHASES:
        signs(rig, section)
    assert contact.speed == rig.sams.client_speed() == (115200 if "115200" in flavour else contact.first_speed)
    for section in PURCHASES:
        assert bytes.fromhex(VECTORS[section]["psam_8070_cmd"])[:41] in contact.heard, "without Le"


@BOTH
def test_a_wire_for_both_directions_brings_back_what_is_sent(made: Any, interpreter: Any):
    rig = made(interpreter, Contact(psam()), echo=True)
    rig.driver.call("open")
    signs(rig, PURCHASES[0])


@BOTH
def test_6c_and_61_are_followed(made: Any, interpreter: Any):
    rig = made(interpreter, Contact(psam()))
    rig.driver.call("open")
    assert rig.say("00B0970000") == "6C19"
    assert rig.say(SELECT_SAM) == f"61{len(SAM_FCI) // 2:02X}"
    assert rig.say("00C0000002") == SAM_FCI[:4] + f"61{len(SAM_FCI) // 2 - 2:02X}"
    assert rig.say(f"00C00000{len(SAM_FCI) // 2 - 2:02X}") == SAM_FCI[4:] + "9000"


@BOTH
def test_a_wrong_mac2_is_unproven(made: Any, interpreter: Any):
    rig = made(interpreter, Contact(psam()))
    rig.driver.call("open")
    sign(rig, PURCHASES[0])
    with pytest.raises(Unproven):
        rig.driver.call("check", b"\x00\x00\x00\x00")


@BOTH
def test_an_empty_slot_and_a_sam_without_t0_are_named(made: Any, interpreter: Any):
    only_t1 = Contact(psam(), atr=b"\x3b\x80\x81\x01\x00")
    rig = made(interpreter, None, only_t1)
    with pytest.raises(SamLost, match="insert it"):
        rig.driver.call("open")
    rig.sams.contacts[0] = only_t1
    with pytest.raises(SamLost, match="T=0"):
        rig.driver.call("open")


@BOTH
@pytest.mark.parametrize("number", [0, 3])
def test_a_slot_reaches_its_own_sam_only(made: Any, interpreter: Any, number: int):
    contacts = [Contact(psam()) for _ in range(4)]
    rig = made(interpreter, *contacts, number=number)
    rig.driver.call("open")
    assert [bool(contact.heard) for contact in contacts] == [at == number for at in range(4)]


BAD = {
    "garbage before": lambda raw: b"\x55" + raw,
    "garbage within": lambda raw: raw[:1] + b"\x55" + raw[1:],
    "cut off": lambda raw: raw[:-1],
    "never sent": lambda raw: b"",
}


@BOTH
@pytest.mark.parametrize("how", BAD)
def test_a_bad_line_is_a_lost_sam_until_it_is_opened_again(made: Any, interpreter: Any, how: str):
    """What it says in the second exchange of a purchase is spoilt."""
    contact = Contact(psam())
    rig = made(interpreter, contact)
    rig.driver.call("open")
    sign(rig, PURCHASES[0])
    rig.spoil = BAD[how]
    with pytest.raises(SamLost):
        rig.driver.call("check", bytes.fromhex(VECTORS[PURCHASES[0]]["mac2"]))
    with pytest.raises(SamLost):
        sign(rig, PURCHASES[0])
    assert len([apdu for apdu in contact.heard if apdu[:2] == b"\x80\x72"]) <= 1, "nothing is said twice"
    rig.spoil = bytes
    rig.driver.call("open")
    sign(rig, PURCHASES[0])


@BOTH
def test_a_broken_answer_to_reset_is_asked_for_by_a_warm_reset(made: Any, interpreter: Any):
    contact = Contact(psam())
    rig = made(interpreter, contact)
    left = [lambda raw: raw[:1] + b"\xff\xff" + raw[3:]]
    rig.spoil = lambda raw: left.pop()(raw) if left else raw
    rig.driver.call("open")
    assert contact.resets == ["cold", "warm"]


@BOTH
def test_garbage_behind_an_answer_is_dropped(made: Any, interpreter: Any):
    rig = made(interpreter, Contact(psam()))
    rig.driver.call("open")
    rig.spoil = lambda raw: raw + b"\x55\x90" if raw.endswith(b"\x90\x00") else raw
    signs(rig, PURCHASES[0])
    signs(rig, PURCHASES[1])


@BOTH
def test_a_sam_that_thinks_for_too_long_is_lost(made: Any, interpreter: Any):
    contact = Contact(psam())
    rig = made(interpreter, contact)
    rig.driver.call("open")
    contact.nulls = 1000
    rig.spoil = lambda raw: raw.rstrip(b"\x00")[:1000] if raw.startswith(b"\x60" * 1000) else raw
    with pytest.raises(LinkLost):
        rig.driver.call("transceive", bytes.fromhex("0084000004"), 300)


@BOTH
def test_a_cable_pulled_is_a_lost_sam_and_pushed_back_it_works(made: Any, interpreter: Any):
    rig = made(interpreter, Contact(psam()))
    rig.driver.call("open")
    rig.sams.close()
    for _ in range(2):
        with pytest.raises(SamLost):
            sign(rig, PURCHASES[0])
        with pytest.raises(SamLost):
            rig.driver.call("open")
    rig.plug()
    rig.driver.call("open")
    sign(rig, PURCHASES[0])
