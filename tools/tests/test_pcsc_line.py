"""A card on a real pcscd as the programs that write it have it: whole answers, and a name for whatever goes away."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from backoffice.cards.line import CardGone
from simulator.blank import blanks, chip_of
from simulator.blank_image import PERSONALISED, BlankImage
from simulator.card import SimCard
from simulator.field import AFTER, BEFORE, Faults
from simulator.pcscd import READERS, READERS_MAX, Pcscd
from simulator.personalise import example_card, example_psam
from simulator.psam import SimPsam
from simulator.tests.blank_office import CARDS, NAMES, PSAMS, Office
from simulator.tests.flows import FCI, PLAIN, SELECT_EPURSE, SELECT_SAM
from simulator.tests.test_blank import finish, powered
from simulator.vpcd import VpcdSlot
from tools.tests.remote_line import RemoteLine

SLOT_S = 10
FOUR = 4
SELECT = bytes.fromhex(SELECT_EPURSE)


@pytest.fixture(scope="module")
def pcscd() -> Iterator[Pcscd]:
    with Pcscd(readers=FOUR) as daemon:
        yield daemon


@pytest.fixture
def slots(pcscd: Pcscd) -> Iterator[list[VpcdSlot]]:
    made = [VpcdSlot(port) for port in pcscd.ports]
    yield made
    for slot in made:
        slot.remove()


def test_all_readers_are_listed_by_their_names(pcscd: Pcscd):
    with RemoteLine(pcscd, READERS[0]) as line:
        assert line.call("readers") == pcscd.readers
    assert len(pcscd.readers) == FOUR == len(set(pcscd.ports))


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_is_written_through_pcscd(pcscd: Pcscd, slots: list[VpcdSlot], name: str):
    chip, = blanks(1, name)
    number = 3 if name in PSAMS else 2                  # of the second driver
    slots[number].insert(chip)
    with RemoteLine(pcscd, pcscd.readers[number]) as line:
        assert line.power_on() == chip.atr
        office = Office(name, line.transceive)
        office.run(office.all_steps())
    assert chip.image.stage == PERSONALISED


def test_four_readers_hold_four_chips_at_once(pcscd: Pcscd, slots: list[VpcdSlot]):
    names = (CARDS[0], PSAMS[0], CARDS[1], PSAMS[1])
    chips = [blanks(1, name, first_serial=number)[0] for number, name in enumerate(names)]
    for slot, chip in zip(slots, chips, strict=True):
        slot.insert(chip)
    lines = [RemoteLine(pcscd, reader) for reader in pcscd.readers]
    for line in lines:
        line.power_on()
    for line in lines:                                  # all are asked before one has answered
        line.ask("transceive", bytes.fromhex("80CA9F7F0E"))
    assert [bytes.fromhex(line.answer())[:8] for line in lines] == [chip.image.serial for chip in chips]
    for line in lines:
        line.__exit__(None, None, None)


def test_a_blank_pulled_at_each_command_is_gone_and_finished_later(pcscd: Pcscd, slots: list[VpcdSlot]):
    """On a reader for each moment, side by side."""
    name = CARDS[1]
    reference, office = powered(name)
    states = [reference.image.to_json()]

    def noting(apdu: bytes) -> bytes:
        answer = reference.transceive(apdu)
        states.append(reference.image.to_json())
        return answer

    office.send = noting
    office.run(office.all_steps())

    def pull(slot: VpcdSlot, reader: str, moment: str) -> int:
        with RemoteLine(pcscd, reader) as line:
            for number in range(1, len(states)):
                chip, = blanks(1, name)
                slot.insert(chip, Faults([f"{number}:{moment}"]))
                line.power_on()
                office = Office(name, line.transceive)
                with pytest.raises(CardGone, match="the card is gone, it was taken out"):
                    office.run(office.all_steps())
                assert slot.left.wait(SLOT_S)
                assert chip.image.to_json() == states[number if moment == AFTER else number - 1]
                again = chip_of(BlankImage.from_json(chip.image.to_json()))
                again.power_on()
                finish(name, again)
                assert again.image.stage == PERSONALISED
                line.power_off()
        return number

    with ThreadPoolExecutor() as pool:
        pulls = [pool.submit(pull, slots[at], pcscd.readers[at], moment) for at, moment in ((0, BEFORE), (2, AFTER))]
        assert [each.result() for each in pulls] == [24, 24]


def test_the_same_line_goes_on_when_the_card_is_back(pcscd: Pcscd, slots: list[VpcdSlot]):
    card = SimCard(example_card())
    slots[0].insert(card, Faults(["select:before"]))
    with RemoteLine(pcscd, READERS[0]) as line:
        line.power_on()
        with pytest.raises(CardGone, match="taken out"):
            line.transceive(SELECT)
        with pytest.raises(CardGone, match="power_on first"):
            line.transceive(SELECT)
        assert slots[0].left.wait(SLOT_S)
        assert line.call("removed", 5) is True
        slots[0].insert(card)
        line.power_on()
        assert line.call("removed", 0) is False
        assert line.transceive(SELECT).hex().upper() == FCI + "9000"
        slots[0].remove()
        with pytest.raises(CardGone, match="the card is gone"):
            line.transceive(SELECT)


def test_power_on_waits_for_a_card_and_resets_it(pcscd: Pcscd, slots: list[VpcdSlot]):
    card = SimCard(example_card())
    with RemoteLine(pcscd, READERS[0]) as line:
        line.ask("power_on")
        slots[0].insert(card)
        assert bytes.fromhex(line.answer()) == card.atr
        assert line.transceive(SELECT).endswith(b"\x90\x00")
        line.power_on()
        assert line.transceive(bytes.fromhex("805C000204")).hex() == "6985"     # nothing is selected any more


def test_no_card_within_the_limit_is_told(pcscd: Pcscd):
    with RemoteLine(pcscd, READERS[0], wait_s=0.3) as line:
        with pytest.raises(CardGone, match="Virtual PCD 00 00: no card after 0.3 s: put one in"):
            line.power_on()


def test_a_reader_that_is_not_there_is_told_with_those_that_are(pcscd: Pcscd):
    with RemoteLine(pcscd, "Nosuch Reader 7") as line:
        with pytest.raises(CardGone, match="Nosuch Reader 7: no reader of that name; there are: Virtual PCD 00 00, "):
            line.power_on()


def test_one_program_at_a_time_has_a_card(pcscd: Pcscd, slots: list[VpcdSlot]):
    slots[0].insert(SimCard(example_card()))
    with RemoteLine(pcscd, READERS[0]) as first, RemoteLine(pcscd, READERS[0]) as second:
        first.power_on()
        with pytest.raises(CardGone, match="another program holds the card: end it"):
            second.power_on()
        first.power_off()
        second.power_on()
        assert second.transceive(SELECT).endswith(b"\x90\x00")


def test_programs_may_share_a_card(pcscd: Pcscd, slots: list[VpcdSlot]):
    slots[0].insert(SimCard(example_card()))
    with RemoteLine(pcscd, READERS[0], exclusive=False) as first:
        first.power_on()
        with RemoteLine(pcscd, READERS[0], exclusive=False) as second:
            second.power_on()                           # resets it: the first one learns that
            with pytest.raises(CardGone, match="another program has reset it"):
                first.transceive(SELECT)
            assert second.transceive(SELECT).endswith(b"\x90\x00")


def test_a_t0_psam_gives_whole_answers(pcscd: Pcscd, slots: list[VpcdSlot]):
    image = example_psam()
    image.settings.get_response = True
    slots[1].insert(SimPsam(image))
    with RemoteLine(pcscd, READERS[1]) as line:
        line.power_on()
        assert line.transceive(bytes.fromhex(SELECT_SAM + "00"))[-2:] == b"\x90\x00"
        command = bytes.fromhex(PLAIN["psam_8070_cmd"])
        for each in (command, command[: 5 + command[4]]):           # with and without Le
            assert line.transceive(each).hex().upper() == PLAIN["psam_8070_rsp"]


def test_a_wrong_le_is_asked_again_with_the_right_one(pcscd: Pcscd, slots: list[VpcdSlot]):
    chip, = blanks(1, PSAMS[0])
    slots[1].insert(chip)
    with RemoteLine(pcscd, READERS[1]) as line:
        line.power_on()
        assert len(line.transceive(bytes.fromhex("80CA9F7F20"))) == 14 + 2


def test_a_daemon_that_dies_is_told_and_the_line_lives_on(slots: list[VpcdSlot], pcscd: Pcscd):
    slot = slots[0]
    slot.insert(SimCard(example_card()))
    with RemoteLine(pcscd, READERS[0]) as line:
        line.power_on()
        pcscd.kill()
        with pytest.raises(CardGone, match="pcscd .*: (start it|try again)"):
            line.transceive(SELECT)
        with pytest.raises(CardGone, match="pcscd does not run: start it"):
            line.power_on()
        with pytest.raises(CardGone, match="pcscd does not run: start it"):
            line.call("readers")
        assert slot.left.wait(SLOT_S)
        pcscd.start()
        slot.insert(SimCard(example_card()))
        line.power_on()
        assert line.transceive(SELECT).endswith(b"\x90\x00")


def test_a_daemon_that_dies_while_a_card_is_waited_for_is_told(pcscd: Pcscd):
    with RemoteLine(pcscd, READERS[0], wait_s=20) as line:
        assert line.call("present", 0) is False         # so it has its context, and waits from here on
        line.ask("power_on")
        pcscd.kill()
        with pytest.raises(CardGone, match="pcscd .*(start it|try again)"):     # the library says one of several codes
            line.answer()
        pcscd.start()
        line.ask("power_on")
        slot = VpcdSlot(pcscd.port)
        slot.insert(SimCard(example_card()))
        assert bytes.fromhex(line.answer())
        slot.remove()


def test_readers_come_in_pairs():
    for count in (0, 1, 3, READERS_MAX + 2):
        with pytest.raises(ValueError, match="readers come in pairs, up to 16"):
            Pcscd(readers=count)
