"""The test vectors, byte for byte: in process, through real PC/SC, through the PN532."""

from pathlib import Path

import pytest

from simulator.card import SimCard
from simulator.pcscd import Pcscd
from simulator.personalise import TEST_MASTERS, example_card, example_psam
from simulator.pn532_chip import Pn532Chip
from simulator.psam import SimPsam
from simulator.randomness import replay
from simulator.tests import clients
from simulator.tests.flows import (
    ENTRY,
    PLAIN,
    VECTORS,
    Exchange,
    card_flow,
    card_randoms,
    ready_card,
    ready_sam,
    sam_flow,
    say,
    vector_card,
    vector_sam,
)
from simulator.vpcd import VpcdSlot
from tunion.crypto.mac import maintenance_mac

SLOT_S = 10     # until pcscd powers a card; usually 0.4


def expect(answers: list[str], flow: list[Exchange]) -> None:
    assert list(zip((one.command for one in flow), answers, strict=True)) == [tuple(one) for one in flow]


def test_the_card_answers_every_vector_in_process():
    card, flow = vector_card(), card_flow()
    expect([say(card, one.command) for one in flow], flow)
    final = VECTORS["final_state"]
    image = card.image
    assert (image.balance_fen, image.offline_counter, image.online_counter) == (final["bal"], final["off"], final["on"])


def test_the_psam_answers_every_vector_in_process():
    sam, flow = vector_sam(), sam_flow()
    expect([say(sam, one.command) for one in flow], flow)


def test_the_master_keys_of_the_sample_are_those_of_the_vectors():
    given = VECTORS["inputs"]
    masters = (TEST_MASTERS.purchase, TEST_MASTERS.load, TEST_MASTERS.tac, TEST_MASTERS.maintenance)
    assert masters == tuple(bytes.fromhex(given[name]) for name in ("MPK", "MLK", "MTK", "MAMK"))


@pytest.mark.parametrize(("purpose", "name"), [
    ("purchase", "DPK"), ("load", "DLK"), ("tac", "DTK"), ("maintenance", "DAMK"),
])  # fmt: skip
def test_the_keys_of_the_sample_card_are_those_of_the_vectors(purpose: str, name: str):
    assert example_card().keys[purpose][0].value == bytes.fromhex(VECTORS["diversify"][name])


def test_the_permanent_block_has_the_mac_of_the_vectors():
    card = vector_card()
    for one in card_flow()[:-6]:
        say(card, one.command)
    assert say(card, "0084000004", VECTORS["app_block"]["block_permanent"]) == "9000"
    assert card.image.blocked == "permanent"


def test_a_maintenance_key_of_8_bytes_gives_the_single_length_variant():
    key = example_card().keys["maintenance"][0].value[:8]
    mac = maintenance_mac(key, bytes.fromhex("01020304"), bytes.fromhex("841E000004"))
    assert mac == bytes.fromhex(VECTORS["app_block"]["single_des_variant_block_temporary"])[5:]


def test_sm4_card_and_psam_agree_on_the_inferred_vectors():
    """Entry of the metro, purchase 13h, with algorithm 04 in offer and SAM command."""
    sm4 = VECTORS["sm4_inferred"]
    image = example_card(algorithm=4)
    image.offline_counter = 0x13
    sam_image = example_psam(algorithm=4)
    sam_image.terminal_counter = 0x65
    card, sam = SimCard(image, replay([bytes.fromhex("0BADF00D")])), SimPsam(sam_image)
    card.power_on()
    sam.power_on()
    say(card, "00A4040008A000000632010105")
    offer = say(card, ENTRY["init_cmd"])
    assert offer == "00001388" "0013" "000000" "01" "04" "0BADF00D" "9000"
    say(sam, "00A40000028011")
    asked = ENTRY["psam_8070_cmd"].replace("010049", "010449")
    assert say(sam, asked) == f"00000065{sm4['mac1']}9000"
    answer = say(card, ENTRY["debit_cmd"].replace(ENTRY["mac1"], sm4["mac1"]))
    assert answer[8:] == f"{sm4['mac2']}9000"
    assert say(sam, f"8072000004{sm4['mac2']}") == "9000"


def test_scriptor_gets_every_vector_through_pcscd(pcscd: Pcscd):
    card_slot, sam_slot = VpcdSlot(pcscd.port), VpcdSlot(pcscd.port + 1)
    try:
        card = SimCard(example_card(), replay(card_randoms()))
        for slot, held in ((card_slot, card), (sam_slot, SimPsam(example_psam()))):
            slot.insert(held)
            assert slot.powered.wait(SLOT_S)        # one after the other: pcscd takes the power from an idle card
        flow = card_flow()
        expect(clients.scriptor(pcscd, 0, "T=1", [one.command for one in flow]), flow)
        flow = sam_flow()
        expect(clients.scriptor(pcscd, 1, "T=0", [one.command for one in flow]), flow)
    finally:
        card_slot.remove()
        sam_slot.remove()


def test_libnfc_gets_every_vector_through_the_pn532(tmp_path: Path):
    chip = Pn532Chip(tmp_path / "pn532")
    try:
        chip.insert(SimCard(example_card(), replay(card_randoms())))
        flow = card_flow()
        answers = clients.tamashell(chip.path, ["4A0100", *("4001" + one.command for one in flow)])
        assert answers[0].startswith("0101000420" "0404A1B2C3")
        expect([answer[2:] for answer in answers[1:]], flow)
    finally:
        chip.close()


@pytest.mark.parametrize("wrong", ["00" * 4, "BFFFA844", "3FFFA845"])
def test_one_wrong_bit_of_mac1_is_refused_and_moves_nothing(wrong: str):
    card = ready_card()
    before = card.image
    say(card, PLAIN["init_cmd"])
    assert say(card, PLAIN["debit_cmd"].replace(PLAIN["mac1"], wrong)) == "9302"
    assert card.image is before


def test_a_psam_with_another_number_than_the_terminal_names_is_refused_by_the_card():
    """The SAM puts its own number into MAC1, whatever INITIALIZE said."""
    card = ready_card()
    sam = ready_sam()
    say(card, PLAIN["init_cmd"].replace("611000000042", "611000000043"))
    assert say(sam, PLAIN["psam_8070_cmd"])[8:16] == PLAIN["mac1"]
    assert say(card, PLAIN["debit_cmd"]) == "9302"
