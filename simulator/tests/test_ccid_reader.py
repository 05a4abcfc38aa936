"""The serial CCID reader as Debian's libccidtwin meets it behind pcscd, and our driver on a line that is not clean."""

import os
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.card import SimCard
from simulator.ccid_reader import NAK_FRAME, CcidReader, framed
from simulator.field import Faults
from simulator.pcscd import Pcscd
from simulator.personalise import example_card, example_psam
from simulator.psam import SimPsam
from simulator.randomness import replay
from simulator.tests import clients
from simulator.tests.flows import CHALLENGE, PLAIN, PURCHASES, SELECT_EPURSE, VECTORS, with_settings
from simulator.tests.on_micropython import DESK, UNIX, Driver, wait_until
from simulator.tests.test_sam_slot import CARD, INPUTS
from tunion.card.refusals import LinkLost
from validator.ports import ReaderLost, SamLost

BOTH = pytest.mark.parametrize("interpreter", [UNIX, DESK], ids=["unix", "desk"])
LIBRARY = "/usr/lib/pcsc/drivers/serial/libccidtwin.so"
WAIT_S = 10
SILENCE_S = 0.05
ANSWER_MS = 300


def new_card() -> SimCard:
    return SimCard(example_card(), replay([bytes.fromhex(PLAIN["init_rsp"])[11:15]]))


# --- the emulator, byte for byte


class Host:
    """A host that writes bytes and reads what comes."""

    def __init__(self, reader: CcidReader) -> None:
        self._line = os.open(reader.path, os.O_RDWR | os.O_NOCTTY)

    def ask(self, raw: str, wait_s: float = WAIT_S) -> str:
        """What comes until the line is silent."""
        os.write(self._line, bytes.fromhex(raw))
        got = b""
        while select.select([self._line], [], [], SILENCE_S if got else wait_s)[0]:
            got += os.read(self._line, 4096)
        return got.hex()

    def close(self) -> None:
        os.close(self._line)


@pytest.fixture(params=[False, True], ids=["no echo", "echo"])
def desk(request: Any) -> Iterator[tuple[CcidReader, Host]]:
    reader = CcidReader(sams=[SimPsam(example_psam())], echo=request.param)
    host = Host(reader)
    yield reader, host
    host.close()
    reader.close()


STATUS = "0306" "65" "00000000" "00" "07" "000000" "67"


def test_a_slots_status_byte_for_byte(desk: tuple[CcidReader, Host]):
    reader, host = desk
    echo = STATUS if reader.echo else ""
    assert host.ask(STATUS) == echo + "0306" "81" "00000000" "00" "07" "020000" "81"
    reader.insert(new_card())
    assert host.ask(STATUS) == echo + "0306" "81" "00000000" "00" "07" "010000" "82"


def test_a_broken_frame_gets_a_nak_and_is_not_echoed(desk: tuple[CcidReader, Host]):
    _, host = desk
    assert host.ask(STATUS[:-2] + "66") == NAK_FRAME.hex()


def test_a_nak_brings_the_last_answer_again(desk: tuple[CcidReader, Host]):
    _, host = desk
    answer = host.ask(STATUS)
    assert answer.endswith(host.ask(NAK_FRAME.hex()))


def test_unknown_messages_and_slots_are_refused(desk: tuple[CcidReader, Host]):
    reader, host = desk
    for asked, told in (
        ("69000000000001000000", "81000000000001420000"),
        ("65000000000901000000", "81000000000901420500"),
        ("6f000000000001000000", "8000000000000142fe00"),
    ):
        assert framed(bytes.fromhex(told)).hex() in host.ask(framed(bytes.fromhex(asked)).hex())
    assert reader.refused == [0x69]


# --- the judge


class TwinPcscd(Pcscd):
    """pcscd with Debian's serial CCID driver on our reader, instead of its virtual one."""

    def __init__(self, path: str, model: str) -> None:
        super().__init__()
        self._config.write_text(
            f'FRIENDLYNAME "Serial CCID"\nDEVICENAME {path}:{model}\nLIBPATH {LIBRARY}\nCHANNELID 1\n'
        )

    def _has_slots(self) -> bool:
        return True


@pytest.mark.parametrize(("model", "echo", "slots"), [("GemCorePOSPro", False, 5), ("GemPCTwin", True, 1)])
def test_libccidtwin_finds_our_slots_and_reads_the_answers_to_reset(model: str, echo: bool, slots: int):
    """As far as this driver goes in Debian 12: it opens, polls, powers. It then fails to agree on a protocol."""
    sams = [SimPsam(example_psam()) for _ in range(4)]
    reader = CcidReader(sams=sams, echo=echo)
    card = new_card()
    reader.insert(card)
    try:
        with TwinPcscd(os.path.realpath(reader.path), model) as pcscd:
            wait_until(lambda: set(reader.powered_on) >= set(range(slots)), "power at every slot")
            seen = wait_until(lambda: _atrs(pcscd, slots), "an answer to reset from every slot")
    finally:
        reader.close()
    assert seen == [card.atr.hex(), *[sam.atr.hex() for sam in sams]][:slots]
    assert reader.refused == []


STATES = """
from smartcard.scard import *
rc, context = SCardEstablishContext(SCARD_SCOPE_USER)
rc, names = SCardListReaders(context, [])
rc, states = SCardGetStatusChange(context, 0, [(name, SCARD_STATE_UNAWARE) for name in names])
for name, state, atr in sorted(states):
    print(bytes(atr).hex())
"""


def _atrs(pcscd: Pcscd, slots: int) -> list[str]:
    """As every program sees them; empty while one is missing."""
    lines = clients.run(pcscd.command([sys.executable, "-c", STATES])).split()
    return lines if len(lines) == slots else []


# --- our driver


class Rig:
    """Reader and driver. `spoil` may be set for the answers to come."""

    def __init__(self, folder: Path, interpreter: tuple[str, ...], echo: bool, sam: SimPsam | None = None) -> None:
        self.link = folder / "reader"
        self.echo, self.sams = echo, [None, sam]
        self.spoil: Callable[[bytes], bytes] = bytes
        self.plug()
        kind = ["ccid_sam", str(self.link), "2"] if sam else ["ccid", str(self.link)]
        self.driver = Driver(kind, interpreter=interpreter)

    def plug(self) -> None:
        self.reader = CcidReader(self.link, self.sams, self.echo, spoil=lambda raw: self.spoil(raw))

    def say(self, command: str) -> str:
        return str(self.driver.transceive(bytes.fromhex(command), ANSWER_MS).hex().upper())

    def close(self) -> None:
        self.driver.__exit__(None, None, None)
        self.reader.close()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(*arguments: Any) -> Rig:
        rigs.append(Rig(tmp_path, *arguments))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


HARMLESS = {
    "garbage before": lambda raw: b"\x00\xff\x03\x03\x06\x80" + raw,
    "a card's notice before": lambda raw: b"\x50\x03" + raw,
    "garbage after": lambda raw: raw + b"\x03\x06\x81",
    "answered twice": lambda raw: raw + raw,
}
HARMFUL = {
    "garbage within": lambda raw: raw[:6] + b"\x00" + raw[6:],
    "wrong check": lambda raw: raw[:-1] + bytes((raw[-1] ^ 1,)),
    "cut off": lambda raw: raw[:-2],
    "never sent": lambda raw: b"",
}


def once(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Spoils the next answer, and none after it."""
    left = [change]
    return lambda raw: left.pop()(raw) if left else raw


@BOTH
@pytest.mark.parametrize("how", HARMLESS)
def test_garbage_around_answers_harms_nothing(made: Any, interpreter: Any, how: str):
    rig = made(interpreter, False)
    rig.spoil = HARMLESS[how]
    rig.reader.more_time = 2
    rig.driver.open()
    card = new_card()
    rig.reader.insert(card)
    assert rig.driver.poll(500).uid == card.uid
    assert rig.say(SELECT_EPURSE).endswith("9000")
    assert rig.say(PLAIN["init_cmd"]) == PLAIN["init_rsp"]
    assert rig.say(PLAIN["debit_cmd"]) == PLAIN["debit_rsp"]


@BOTH
@pytest.mark.parametrize("echo", [False, True], ids=["no echo", "echo"])
@pytest.mark.parametrize("how", HARMFUL)
def test_a_spoilt_debit_is_never_said_twice(made: Any, interpreter: Any, echo: bool, how: str):
    """Either its answer is asked for again, or the card is lost; the card has debited once, and proves it."""
    rig = made(interpreter, echo)
    rig.driver.open()
    seen: list[str] = []
    rig.reader.insert(new_card(), Faults(on_exchange=lambda name, number: seen.append(name)))
    rig.driver.poll(500)
    rig.say(SELECT_EPURSE)
    rig.say(PLAIN["init_cmd"])
    rig.spoil = once(HARMFUL[how])
    try:
        assert rig.say(PLAIN["debit_cmd"]) == PLAIN["debit_rsp"]
    except LinkLost:
        with pytest.raises(LinkLost):
            rig.say(CHALLENGE)
    assert seen.count("debit") == 1
    assert rig.driver.poll(3000) is not None
    rig.say(SELECT_EPURSE)
    assert rig.say(PLAIN["prove_cmd"]) == PLAIN["prove_rsp"]


@BOTH
def test_a_late_answer_is_not_the_next_commands(made: Any, interpreter: Any):
    rig = made(interpreter, False)
    rig.driver.open()
    rig.reader.insert(new_card(), Faults(latency_ms=150))
    rig.driver.poll(500)
    with pytest.raises(LinkLost):
        rig.driver.transceive(bytes.fromhex(SELECT_EPURSE), 50)
    assert rig.driver.poll(3000) is not None
    assert rig.say(SELECT_EPURSE).endswith("9000")


@BOTH
def test_a_cable_pulled_in_the_middle_of_an_exchange_is_a_lost_reader(made: Any, interpreter: Any):
    rig = made(interpreter, False)
    rig.driver.open()
    rig.reader.insert(new_card(), Faults(on_exchange=lambda name, number: rig.reader.unplug()))
    rig.driver.poll(500)
    with pytest.raises((ReaderLost, LinkLost)):
        rig.say(SELECT_EPURSE)
    rig.reader.close()
    with pytest.raises(ReaderLost):
        rig.driver.poll(0)
    rig.plug()
    rig.driver.open()
    rig.reader.insert(new_card())
    assert rig.driver.poll(500) is not None
    assert rig.say(SELECT_EPURSE).endswith("9000")


@BOTH
@pytest.mark.parametrize("get_response", [False, True])
def test_a_psam_in_the_reader_signs_and_its_going_is_a_lost_sam(made: Any, interpreter: Any, get_response: bool):
    psam = SimPsam(with_settings(example_psam(), get_response=get_response))
    rig = made(interpreter, False, psam)
    rig.driver.call("open")
    assert rig.driver.call("terminal").hex() == INPUTS["terminal"]
    for section in PURCHASES[:2]:
        vector = VECTORS[section]
        asked = bytes.fromhex(vector["psam_8070_cmd"])
        sequence, mac1 = rig.driver.call(
            "sign_offer", bytes.fromhex(vector["init_rsp"]), CARD, int.from_bytes(asked[11:15], "big"), asked[15],
            asked[16:23],
        )  # fmt: skip
        assert f"{sequence:08X}" + mac1.hex().upper() + "9000" == vector["psam_8070_rsp"]
        rig.driver.call("check", bytes.fromhex(vector["mac2"]))
    rig.reader.sams[1] = None
    with pytest.raises(SamLost):
        rig.driver.call("block_mac", CARD, bytes(4), b"\x84\x1e\x00\x00\x04")
    with pytest.raises(SamLost, match="insert it"):
        rig.driver.call("open")
    rig.reader.close()
    with pytest.raises(SamLost):
        rig.driver.call("open")
    rig.sams = [None, psam]
    rig.plug()
    rig.driver.call("open")
