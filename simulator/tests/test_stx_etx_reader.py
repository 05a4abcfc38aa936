"""The serial reader between STX and ETX as a host meets it, and our driver on a line that is not clean."""

import json
import os
import random
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.card import SimCard
from simulator.field import Faults
from simulator.personalise import example_card, example_psam
from simulator.psam import SimPsam
from simulator.randomness import replay
from simulator.stx_etx import Codec
from simulator.stx_etx_reader import PROFILES, StxEtxReader, load_profile
from simulator.tests.flows import CHALLENGE, GET_BALANCE, PLAIN, PURCHASES, SELECT_EPURSE, VECTORS
from simulator.tests.on_micropython import DESK, UNIX, Driver
from simulator.tests.test_sam_slot import CARD, INPUTS
from tunion.card.refusals import LinkLost
from validator.ports import ReaderLost, SamLost

WAIT_S = 10
SILENCE_S = 0.05
ANSWER_MS = 300
SAMPLES = ["sample_binary_xor", "sample_nibble_crc"]
BOTH = pytest.mark.parametrize("interpreter", [UNIX, DESK], ids=["unix", "desk"])
EACH = pytest.mark.parametrize("profile", SAMPLES)


class Host:
    """A host that writes bytes and reads what comes."""

    def __init__(self, reader: StxEtxReader) -> None:
        self._line = os.open(reader.path, os.O_RDWR | os.O_NOCTTY)

    def ask(self, raw: bytes, wait_s: float = WAIT_S) -> bytes:
        """What comes until the line is silent."""
        os.write(self._line, raw)
        got = b""
        while select.select([self._line], [], [], SILENCE_S if got else wait_s)[0]:
            got += os.read(self._line, 4096)
        return got

    def close(self) -> None:
        os.close(self._line)


@pytest.fixture
def desk() -> Iterator[tuple[StxEtxReader, Host]]:
    reader = StxEtxReader(load_profile(SAMPLES[0]))
    host = Host(reader)
    yield reader, host
    host.close()
    reader.close()


def new_card() -> SimCard:
    return SimCard(example_card(), replay([bytes.fromhex(PLAIN["init_rsp"])[11:15]]))


# --- the emulator, byte for byte


def test_a_search_is_answered_byte_for_byte(desk: tuple[StxEtxReader, Host]):
    reader, host = desk
    assert host.ask(bytes.fromhex("02000220527003")).hex() == "02000220012303"
    reader.insert(new_card())
    assert host.ask(bytes.fromhex("02000220527003")).hex() == "02000a20000004200404a1b2c3de03"
    assert host.ask(bytes.fromhex("020001212003")).hex() == "020007210005788080025903"


def test_a_card_that_was_not_activated_is_not_talked_to(desk: tuple[StxEtxReader, Host]):
    reader, host = desk
    reader.insert(new_card())
    assert host.ask(Codec(load_profile(SAMPLES[0])).encode(bytes.fromhex("22" + CHALLENGE))).hex()[6:10] == "2202"


def test_broken_frames_get_a_nak_and_unknown_commands_a_status(desk: tuple[StxEtxReader, Host]):
    reader, host = desk
    assert host.ask(bytes.fromhex("02000220527103")) == b"\x15"
    assert host.ask(bytes.fromhex("02000220520003") + bytes.fromhex("02000220527003")).hex() == "02000220012303"
    assert host.ask(bytes.fromhex("0200017E7F03")).hex() == "0200027eee9203"
    assert reader.refused == [b"\x7e"]


def test_the_last_answer_comes_again_when_asked_for(desk: tuple[StxEtxReader, Host]):
    _, host = desk
    answer = host.ask(bytes.fromhex("02000220527003"))
    assert host.ask(b"\x15") == answer


def test_a_deaf_reader_says_nothing_until_its_power_comes_back(desk: tuple[StxEtxReader, Host]):
    reader, host = desk
    reader.power(False)
    assert host.ask(bytes.fromhex("02000220527003"), SILENCE_S) == b""
    reader.power(True)
    assert host.ask(bytes.fromhex("02000220527003")).hex() == "02000220012303"


@EACH
def test_frames_split_anywhere_are_put_together(profile: str):
    codec = Codec(load_profile(profile))
    whole = codec.encode(b"\x20\x52", 7) + codec.encode(bytes(range(256))[:200], 8)
    for cut in range(len(whole)):
        codec = Codec(load_profile(profile))
        found = codec.feed(whole[:cut]) + codec.feed(whole[cut:])
        assert [frame.body for frame in found] == [b"\x20\x52", bytes(range(256))[:200]]


# --- our driver


class Rig:
    """Reader and driver. `spoil` may be set for the answers to come."""

    def __init__(self, folder: Path, profile: str, interpreter: tuple[str, ...], sam: SimPsam | None = None) -> None:
        self.profile = profile
        self.link = folder / "reader"
        self.sams = [sam]
        self.spoil: Callable[[bytes], bytes] = bytes
        self.plug()
        arguments = [str(self.link), str(PROFILES / f"{profile}.json")]
        kind = ["stx_etx_sam", *arguments, "1"] if sam else ["stx_etx", *arguments]
        self.driver = Driver(kind, interpreter=interpreter)

    def plug(self) -> None:
        self.reader = StxEtxReader(
            load_profile(self.profile), self.link, self.sams, spoil=lambda raw: self.spoil(raw)
        )

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


def once(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Spoils the next answer, and none after it."""
    left = [change]
    return lambda raw: left.pop()(raw) if left else raw


HARMLESS = {
    "garbage before": lambda raw: b"\x00\xff\x02\x02\x30" + raw,
    "garbage after": lambda raw: raw + b"\x02\x30\x31",
    "answered twice": lambda raw: raw + raw,
}
HARMFUL = {
    "garbage within": lambda raw: raw[:6] + b"\x00" + raw[6:],
    "wrong check": lambda raw: raw[:-4] + bytes((raw[-4] ^ 1,)) + raw[-3:],
    "cut off": lambda raw: raw[:-2],
    "never sent": lambda raw: b"",
}


@BOTH
@EACH
@pytest.mark.parametrize("how", HARMLESS)
def test_garbage_around_answers_harms_nothing(made: Any, profile: str, interpreter: Any, how: str):
    rig = made(profile, interpreter)
    rig.spoil = HARMLESS[how]
    rig.driver.open()
    card = new_card()
    rig.reader.insert(card)
    assert rig.driver.poll(500).uid == card.uid
    for command, answer in (
        (SELECT_EPURSE, None), (PLAIN["init_cmd"], PLAIN["init_rsp"]), (PLAIN["debit_cmd"], PLAIN["debit_rsp"]),
    ):  # fmt: skip
        assert answer in (None, rig.say(command))
        if answer is None:
            assert rig.say(command).endswith("9000")


@BOTH
@EACH
@pytest.mark.parametrize("how", HARMFUL)
def test_a_spoilt_search_is_repeated(made: Any, profile: str, interpreter: Any, how: str):
    rig = made(profile, interpreter)
    rig.driver.open()
    rig.reader.insert(new_card())
    rig.spoil = once(HARMFUL[how])
    assert rig.driver.poll(3000) is not None
    assert rig.say(SELECT_EPURSE).endswith("9000")


@BOTH
@EACH
@pytest.mark.parametrize("how", HARMFUL)
def test_a_spoilt_debit_is_never_said_twice(made: Any, profile: str, interpreter: Any, how: str):
    """Either its answer is asked for again, or the card is lost; the card has debited once, and proves it."""
    rig = made(profile, interpreter)
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
@EACH
def test_a_late_answer_is_not_the_next_commands(made: Any, profile: str, interpreter: Any):
    rig = made(profile, interpreter)
    rig.driver.open()
    rig.reader.insert(new_card(), Faults(latency_ms=150))
    rig.driver.poll(500)
    with pytest.raises(LinkLost):
        rig.driver.transceive(bytes.fromhex(SELECT_EPURSE), 50)
    assert rig.driver.poll(3000) is not None
    assert rig.say(CHALLENGE).endswith("9000") or rig.say(SELECT_EPURSE).endswith("9000")
    assert rig.say(SELECT_EPURSE).endswith("9000")
    assert rig.say(GET_BALANCE) == "000013889000"


@BOTH
@EACH
def test_a_cable_pulled_in_the_middle_of_an_exchange_is_a_lost_reader(made: Any, profile: str, interpreter: Any):
    rig = made(profile, interpreter)
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
@EACH
def test_two_cards_that_the_profile_has_no_word_for_are_none(made: Any, profile: str, interpreter: Any, tmp_path: Path):
    rig = made(profile, interpreter)
    silent = load_profile(profile)
    silent["status"] = {status: word for status, word in silent["status"].items() if word != "two_cards"}
    (tmp_path / "silent.json").write_text(json.dumps(silent))
    with Driver(["stx_etx", rig.reader.path, str(tmp_path / "silent.json")], interpreter=interpreter) as driver:
        driver.open()
        rig.reader.insert(new_card())
        rig.reader.insert_beside(new_card())
        assert driver.poll(0) is None
        rig.reader.insert_beside(None)
        assert driver.poll(500) is not None


@BOTH
@EACH
def test_whatever_the_line_does_the_card_hears_each_command_once(made: Any, profile: str, interpreter: Any):
    """A seeded run of challenges: an answer is whole and the right one, or the card is lost."""
    seed = int(os.environ.get("YKT_SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    print(f"YKT_SEED={seed}")
    dice = random.Random(seed)
    rig = made(profile, interpreter)
    heard: list[str] = []
    kinds = [*HARMLESS.values(), *HARMFUL.values()]
    rig.driver.open()
    rig.reader.insert(SimCard(example_card()), Faults(on_exchange=lambda name, number: heard.append(name)))
    rig.spoil = lambda raw: dice.choice(kinds)(raw) if dice.random() < 0.2 else raw
    asked = answered = 0
    while asked < 25:
        try:
            if rig.driver.poll(100) is None:
                continue
            for _ in range(4):
                asked += 1
                if asked % 2:
                    assert rig.say(GET_BALANCE) == "6985", "nothing is selected"
                else:
                    assert len(rig.say(CHALLENGE)) == len("01020304" "9000")
                answered += 1
        except LinkLost:
            continue
        except ReaderLost:
            rig.spoil, spoil = bytes, rig.spoil
            rig.driver.open()
            rig.spoil = spoil
    assert answered <= len(heard) <= asked


# --- SAMs in the reader


@BOTH
@EACH
def test_a_psam_in_the_reader_signs_and_its_going_is_a_lost_sam(made: Any, profile: str, interpreter: Any):
    psam = SimPsam(example_psam())
    rig = made(profile, interpreter, psam)
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
    rig.reader.sams[0] = None
    with pytest.raises(SamLost):
        rig.driver.call("block_mac", CARD, bytes(4), b"\x84\x1e\x00\x00\x04")
    with pytest.raises(SamLost):
        rig.driver.call("open")
    rig.reader.sams[0] = psam
    rig.driver.call("open")


@BOTH
def test_a_reader_that_dies_takes_its_sam_with_it_and_brings_it_back(made: Any, interpreter: Any):
    rig = made(SAMPLES[0], interpreter, SimPsam(example_psam()))
    rig.driver.call("open")
    rig.reader.close()
    for _ in range(2):
        with pytest.raises(SamLost):
            rig.driver.call("open")
    rig.plug()
    rig.driver.call("open")
    assert rig.driver.call("terminal").hex() == INPUTS["terminal"]
