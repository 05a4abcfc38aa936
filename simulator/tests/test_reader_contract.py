"""What the tap loop may expect of every reader: PC/SC and serial ones, under the real MicroPython and at the desk, and
the one in process.
"""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from simulator.card import SimCard
from simulator.ccid_reader import CcidReader
from simulator.field import Faults
from simulator.pcscd import READERS, Pcscd
from simulator.personalise import example_card
from simulator.pn532_chip import Pn532Chip
from simulator.randomness import replay
from simulator.reader import FieldReader
from simulator.stx_etx_reader import PROFILES, StxEtxReader, load_profile
from simulator.tests import clients
from simulator.tests.flows import CHALLENGE, PLAIN, SELECT_EPURSE, card_flow, card_randoms
from simulator.tests.on_micropython import DESK, UNIX, Driver, wait_until
from simulator.vpcd import VpcdSlot
from tunion.card.refusals import LinkLost
from validator.ports import ReaderLost, TwoCards

WAIT_MS = 500
LONG_WAIT_MS = 5000
ANSWER_MS = 2000


class PcscRig:
    """pcscd with its virtual reader; it dies by SIGKILL."""

    def __init__(self, pcscd: Pcscd, interpreter: tuple[str, ...] = UNIX) -> None:
        self._pcscd = pcscd
        self._slot = VpcdSlot(pcscd.port)
        self.reader = Driver(["pcsc", READERS[0]], pcscd.command, interpreter)

    def insert(self, card: SimCard, faults: Faults | None = None) -> None:
        self._slot.insert(card, faults)

    def remove(self) -> None:
        self._slot.remove()

    def kill(self) -> None:
        self._pcscd.kill()

    def revive(self) -> None:
        self._pcscd.start()

    def close(self) -> None:
        # In this order: pcscd resets the card of a client that ends without goodbye, and if that card has just left
        # unnoticed (it looks every 0.4 s), it takes the next one for swallowed and never powers it.
        self.reader.call("close")
        self.reader.__exit__(None, None, None)
        self._slot.remove()
        if self._pcscd.pid is None:     # a test failed between kill and revive
            self._pcscd.start()


class SerialRig:
    """A reader on a pty; it dies by the pty closing.

    kind, arguments  of the driver agent; the link stands between
    make             makes the reader, given the link
    """

    def __init__(
        self, folder: Path, interpreter: tuple[str, ...], kind: str, make: Callable[[Path], Any], *arguments: str
    ) -> None:
        self._link = folder / kind
        self._make = make
        self._chip: Any = None
        self.revive()
        self.reader = Driver([kind, str(self._link), *arguments], interpreter=interpreter)

    @property
    def chip(self) -> Any:
        assert self._chip
        return self._chip

    def insert(self, card: SimCard, faults: Faults | None = None) -> None:
        self.chip.insert(card, faults)

    def remove(self) -> None:
        self.chip.remove()

    def insert_beside(self, card: SimCard | None) -> None:
        self.chip.insert_beside(card)

    def kill(self) -> None:
        self.chip.close()
        self._chip = None

    def revive(self) -> None:
        self._chip = self._make(self._link)

    def close(self) -> None:
        self.reader.__exit__(None, None, None)
        if self._chip:
            self._chip.close()


class Pn532Rig(SerialRig):
    """The chip on a pty."""

    def __init__(self, folder: Path, interpreter: tuple[str, ...] = UNIX, **chip: Any) -> None:
        super().__init__(folder, interpreter, "pn532", lambda link: Pn532Chip(link, **chip))


class StxEtxRig(SerialRig):
    """A reader with the frames of one profile."""

    def __init__(self, folder: Path, interpreter: tuple[str, ...], profile: str) -> None:
        def make(link: Path) -> StxEtxReader:
            return StxEtxReader(load_profile(profile), link)

        super().__init__(folder, interpreter, "stx_etx", make, str(PROFILES / f"{profile}.json"))


class CcidRig(SerialRig):
    """CCID over a serial line; with echo as a GemPC Twin has it."""

    def __init__(self, folder: Path, interpreter: tuple[str, ...], echo: bool) -> None:
        super().__init__(folder, interpreter, "ccid", lambda link: CcidReader(link, echo=echo))


class InProcessRig:
    """No wire; it dies by the cable."""

    def __init__(self) -> None:
        self.reader = FieldReader()
        self.insert, self.remove = self.reader.insert, self.reader.remove
        self.insert_beside = self.reader.insert_beside
        self.kill, self.revive = self.reader.unplug, self.reader.plug

    def close(self) -> None:
        self.remove()


STX_ETX = {"binary": "sample_binary_xor", "nibbles": "sample_nibble_crc"}
RIGS = [
    "pcsc", "pcsc at the desk", "pn532", "pn532 in pieces", "pn532 at the desk", "stx_etx binary", "stx_etx nibbles",
    "stx_etx binary at the desk", "stx_etx nibbles at the desk", "ccid", "ccid at the desk",
    "ccid with echo", "in process",
]  # fmt: skip


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made: Any
    interpreter = DESK if request.param.endswith("desk") else UNIX
    if request.param.startswith("pcsc"):
        made = PcscRig(request.getfixturevalue("pcscd"), interpreter)
    elif request.param == "in process":
        made = InProcessRig()
    elif request.param.startswith("ccid"):
        made = CcidRig(tmp_path, interpreter, request.param.endswith("echo"))
    elif request.param.startswith("stx_etx"):
        made = StxEtxRig(tmp_path, interpreter, STX_ETX[request.param.split()[1]])
    else:
        made = Pn532Rig(tmp_path, interpreter, data_bytes_max=48 if request.param.endswith("pieces") else 262)
    made.reader.open()
    yield made
    made.close()


def new_card() -> SimCard:
    return SimCard(example_card(), replay(card_randoms()))


def found(rig: Any) -> Any:
    """Poll until a card is there."""
    return wait_until(lambda: rig.reader.poll(WAIT_MS), "a card in the field")


def test_a_card_that_lies_on_the_reader_is_found_when_the_reader_is_opened_again(rig: Any) -> None:
    rig.insert(new_card())
    found(rig)
    rig.reader.transceive(bytes.fromhex(SELECT_EPURSE), ANSWER_MS)

    rig.reader.open()
    found(rig)

    assert rig.reader.transceive(bytes.fromhex(SELECT_EPURSE), ANSWER_MS)[-2:] == b"\x90\x00"


def gone(rig: Any) -> None:
    """Wait until the card has left."""
    wait_until(lambda: rig.reader.removed(WAIT_MS), "the card's leaving")


def say(rig: Any, *commands: str) -> str:
    """Send the commands; the last answer, in hex."""
    answer = b""
    for command in commands:
        answer = rig.reader.transceive(bytes.fromhex(command), ANSWER_MS)
    return str(answer.hex().upper())


def test_an_empty_field_has_no_card(rig: Any) -> None:
    assert rig.reader.poll(0) is None
    assert rig.reader.poll(50) is None
    assert rig.reader.removed(0)


def test_a_card_comes_and_every_vector_is_exchanged_with_it(rig: Any) -> None:
    """Up to 133 bytes out and 130 back, in the order of a card's life."""
    card = new_card()
    rig.insert(card)
    assert found(rig).uid == card.uid
    for number, exchange in enumerate(card_flow(), 1):
        assert say(rig, exchange.command) == exchange.answer, f"exchange {number}: {exchange.command}"


def test_a_card_that_stays_is_not_removed_and_one_that_leaves_is(rig: Any) -> None:
    rig.insert(new_card())
    found(rig)
    assert not rig.reader.removed(100)
    assert say(rig, SELECT_EPURSE).endswith("9000"), "to ask whether it is there disturbs nothing"
    assert not rig.reader.removed(0)
    rig.remove()
    gone(rig)
    assert rig.reader.poll(0) is None


def test_of_two_cards_none_is_taken_until_both_have_gone(rig: Any, request: pytest.FixtureRequest) -> None:
    """PC/SC and CCID have no word for it: what such a reader shows is one card, or none."""
    if "pcsc" in request.node.callspec.id or "ccid" in request.node.callspec.id:
        pytest.skip("this kind of reader cannot tell")
    card = new_card()
    rig.insert(card)
    rig.insert_beside(new_card())
    with pytest.raises(TwoCards):
        rig.reader.poll(0)
    with pytest.raises(LinkLost):
        say(rig, SELECT_EPURSE)
    assert not rig.reader.removed(50)
    rig.insert_beside(None)
    assert not rig.reader.removed(50), "the one that stayed was not chosen by anybody"
    rig.remove()
    gone(rig)
    rig.insert(card)
    found(rig)
    assert say(rig, SELECT_EPURSE).endswith("9000")


def test_another_poll_starts_the_card_afresh(rig: Any) -> None:
    rig.insert(new_card())
    found(rig)
    say(rig, SELECT_EPURSE)
    found(rig)
    assert not say(rig, PLAIN["init_cmd"]).endswith("9000"), "nothing is selected after activation"


@pytest.mark.parametrize("tear", ["debit:before", "debit:after"])
def test_a_card_torn_out_of_an_exchange_is_lost_and_comes_back(rig: Any, tear: str) -> None:
    card = new_card()
    rig.insert(card, Faults([tear]))
    found(rig)
    say(rig, SELECT_EPURSE, PLAIN["init_cmd"])
    with pytest.raises(LinkLost):
        say(rig, PLAIN["debit_cmd"])
    with pytest.raises(LinkLost):
        say(rig, CHALLENGE)
    gone(rig)
    rig.remove()
    rig.insert(card)
    found(rig)
    proof = say(rig, SELECT_EPURSE, PLAIN["prove_cmd"])
    assert proof == (PLAIN["prove_rsp"] if tear == "debit:after" else "9406")


def test_a_card_that_left_between_two_exchanges_is_lost(rig: Any) -> None:
    card = new_card()
    rig.insert(card)
    found(rig)
    say(rig, SELECT_EPURSE)
    rig.remove()
    with pytest.raises(LinkLost):
        say(rig, CHALLENGE)
    gone(rig)


def test_a_card_that_left_and_came_back_unseen_does_not_go_on(rig: Any) -> None:
    """What was selected is no longer selected: the exchange must not look as if nothing had happened."""
    card = new_card()
    rig.insert(card)
    found(rig)
    say(rig, SELECT_EPURSE)
    rig.remove()
    rig.insert(card)
    with pytest.raises(LinkLost):
        say(rig, PLAIN["init_cmd"])
    found(rig)
    assert say(rig, SELECT_EPURSE).endswith("9000")


def test_before_a_card_is_found_nothing_can_be_sent(rig: Any) -> None:
    with pytest.raises(LinkLost):
        say(rig, CHALLENGE)


def test_a_reader_that_dies_says_so_and_comes_back(rig: Any) -> None:
    card = new_card()
    rig.insert(card)
    found(rig)
    rig.kill()
    for call in (
        lambda: say(rig, CHALLENGE),
        lambda: rig.reader.poll(0),
        lambda: rig.reader.open(),
        lambda: rig.reader.poll(0),
    ):
        with pytest.raises(ReaderLost) as lost:
            call()
        assert ":" in str(lost.value), "the message says what to do"
    if isinstance(rig, InProcessRig):
        rig.remove()    # from the others' dead readers the card is gone as well
    rig.revive()
    rig.reader.open()
    rig.insert(card)
    found(rig)
    assert say(rig, SELECT_EPURSE).endswith("9000")


def test_a_reader_that_dies_while_it_waits_for_a_card_says_so(rig: Any) -> None:
    with ThreadPoolExecutor(1) as other_thread:
        waiting = other_thread.submit(rig.reader.poll, LONG_WAIT_MS)
        rig.kill()
        with pytest.raises(ReaderLost):
            waiting.result()


@pytest.mark.parametrize("interpreter", [UNIX, DESK], ids=["unix", "desk"])
def test_nobody_else_reaches_a_card_that_we_have_on_pcsc(pcscd: Pcscd, interpreter: tuple[str, ...]) -> None:
    rig = PcscRig(pcscd, interpreter)
    try:
        rig.reader.open()
        rig.insert(new_card())
        found(rig)
        say(rig, SELECT_EPURSE)
        with pytest.raises(subprocess.CalledProcessError):
            clients.run(pcscd.command(["opensc-tool", "--reader", "0", "--send-apdu", SELECT_EPURSE]))
        assert say(rig, PLAIN["init_cmd"]) == PLAIN["init_rsp"], "and what we had selected is still selected"
    finally:
        rig.close()


def test_an_exchange_that_took_too_long_ends_the_activation_on_a_pn532(tmp_path: Path) -> None:
    """The answer may come yet: it must not be taken for that of the next command."""
    rig = Pn532Rig(tmp_path)
    try:
        rig.reader.open()
        rig.insert(new_card(), Faults(latency_ms=200))
        found(rig)
        with pytest.raises(LinkLost):
            rig.reader.transceive(bytes.fromhex(SELECT_EPURSE), 50)
        with pytest.raises(LinkLost):
            rig.reader.transceive(bytes.fromhex(CHALLENGE), ANSWER_MS)
        found(rig)
        assert say(rig, SELECT_EPURSE).endswith("9000")
    finally:
        rig.close()
