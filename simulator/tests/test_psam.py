"""What the PSAM refuses, when its counter moves, and how it signs for blocking."""

import pytest

from simulator.personalise import example_psam
from simulator.psam import SimPsam
from simulator.tests.flows import (
    ENTRY,
    PLAIN,
    SAM_FCI,
    SELECT_SAM,
    VECTORS,
    ready_sam,
    say,
    vector_sam,
    with_settings,
)
from tunion.crypto.keys import suite

BLOCK = VECTORS["app_block"]
WRONG_MAC2 = "807200000400000000"


@pytest.mark.parametrize(("command", "answer"), [
    ("00B0960006", "6110000000429000"),
    ("00B0960000", "6110000000429000"),
    ("00B0960403", "00429000"),
    ("00B0960601", "6B00"),
    ("00B095000E", "00000000611000000042" "01010101" "9000"),
    ("00B0970001", "6A82"),                             # of the application, not of the MF
    ("00A40000023F00", "9000"),
    (SELECT_SAM, SAM_FCI + "9000"),
    ("00A4040010A0000006324D4F542E435053414D3031", SAM_FCI + "9000"),
    ("00A4040008A000000632010105", "6A82"),
    ("00A40000028012", "6A82"),
    ("00A40C00028011", "6A86"),
    (PLAIN["psam_8070_cmd"], "6985"),                   # no application selected
    ("80FF0000", "6D00"),
    ("84700000", "6E00"),
    ("8070", "6700"),
])  # fmt: skip
def test_the_mf_answers(command: str, answer: str):
    assert say(vector_sam(), command) == answer


@pytest.mark.parametrize(("command", "answer"), [
    ("00B0970001", "019000"),
    ("00B0970019", "01" "04026110FFFFFFFF" "04026110FFFFFFFF" "20250101" "20351231" "9000"),
    ("00B0990004", "000000649000"),
    ("00B0960006", "6A82"),                             # of the MF
    ("8070000010" + "00" * 16, "6700"),
    (PLAIN["psam_8070_cmd"].replace("8070000024", "8070010024"), "6A86"),
    (PLAIN["psam_8070_cmd"].replace("C806", "C805"), "6A80"),       # a purchase of a deposit book
    (PLAIN["psam_8070_cmd"].replace("0100499900", "0200499900"), "9403"),   # key version
    (PLAIN["psam_8070_cmd"].replace("0100499900", "0104499900"), "9403"),   # algorithm
    (PLAIN["psam_8070_cmd"].replace("20250601", "20241231"), "6A81"),       # before its first day
    (PLAIN["psam_8070_cmd"].replace("20250601", "20360101"), "6A81"),       # after its last
    (WRONG_MAC2, "6901"),
    (BLOCK["psam_80FA_cmd"], "6901"),                   # no INIT FOR DESCRYPT
    ("801A460210" + "00" * 16, "9403"),                 # key use
    ("801A450310" + "00" * 16, "9403"),                 # key version
    ("801A250208" + "00" * 8, "6A86"),                  # one level, in a SAM of two
    ("801A450208" + "00" * 8, "6700"),
    ("00C0000008", "6985"),
])  # fmt: skip
def test_the_application_answers(command: str, answer: str):
    assert say(ready_sam(), command) == answer


def test_the_counter_advances_when_the_cards_proof_is_right_and_only_then():
    sam = ready_sam()
    assert say(sam, PLAIN["psam_8070_cmd"]) == PLAIN["psam_8070_rsp"]
    assert say(sam, PLAIN["psam_8070_cmd"]) == PLAIN["psam_8070_rsp"]       # another 8070 forgets the first
    assert say(sam, WRONG_MAC2) == "9302"
    assert say(sam, PLAIN["psam_8072_cmd"]) == "6901"                       # that purchase is over
    assert say(sam, PLAIN["psam_8070_cmd"], PLAIN["psam_8072_cmd"]) == "9000"
    assert say(sam, "00B0990004") == "000000659000"


def test_power_off_forgets_a_purchase_without_advancing():
    sam = ready_sam()
    say(sam, PLAIN["psam_8070_cmd"])
    sam.power_off()
    sam.power_on()
    assert say(sam, SELECT_SAM, PLAIN["psam_8072_cmd"]) == "6901"
    assert sam.image.terminal_counter == 0x64


def test_some_sams_advance_at_8070():
    sam = ready_sam(counter_advances_at="8070")
    assert say(sam, PLAIN["psam_8070_cmd"]) == PLAIN["psam_8070_rsp"]
    assert sam.image.terminal_counter == 0x65
    assert say(sam, PLAIN["psam_8072_cmd"]) == "9000"
    assert sam.image.terminal_counter == 0x65


def test_wrong_mac2_in_a_row_lock_a_sam_that_counts_them():
    sam = ready_sam(mac2_tries=2)
    assert say(sam, PLAIN["psam_8070_cmd"], WRONG_MAC2) == "9302"
    say(sam, PLAIN["psam_8070_cmd"], PLAIN["psam_8072_cmd"])                # a right one forgets it
    for _ in range(2):
        assert say(sam, ENTRY["psam_8070_cmd"], WRONG_MAC2) == "9302"
    assert say(sam, PLAIN["psam_8070_cmd"]) == "6A81"
    assert sam.image.locked


def test_a_one_level_sam_gives_the_same_mac_fed_the_card_factor_alone():
    image = with_settings(example_psam(), levels=1)
    issuer = bytes.fromhex(VECTORS["inputs"]["factor_issuer"])
    key = image.keys["purchase"][0]
    image.keys["purchase"] = [type(key)(1, 1, 0, suite(0).diversify(key.value, issuer))]
    sam = SimPsam(image)
    sam.power_on()
    one_level = "807000001C" + PLAIN["psam_8070_cmd"][10:-18] + "08"
    assert say(sam, SELECT_SAM, one_level) == PLAIN["psam_8070_rsp"]
    assert say(sam, PLAIN["psam_8070_cmd"]) == "6700"


def test_a_sam_that_waits_for_get_response_keeps_the_answer_for_the_next_command_only():
    sam = vector_sam(get_response=True)
    assert say(sam, "00B0960006") == "6110000000429000"     # no data sent: answered at once
    assert say(sam, SELECT_SAM) == "6114"
    assert say(sam, PLAIN["psam_8070_cmd"]) == "6108"
    assert say(sam, "00C0000008") == PLAIN["psam_8070_rsp"]
    assert say(sam, "00C0000008") == "6985"
    assert say(sam, PLAIN["psam_8072_cmd"]) == "9000"
    assert say(sam, PLAIN["psam_8070_cmd"], "00B0990004", "00C0000008") == "6985"


def test_the_blocking_mac_in_parts_is_the_whole_one():
    """07 with the initial value, 03, 01; the middle parts answer nothing."""
    sam = ready_sam()
    message = BLOCK["psam_80FA_cmd"][10:]
    iv, first = message[:16], message[16:]
    say(sam, BLOCK["psam_801A_cmd"])
    assert say(sam, f"80FA050010{iv}{first}") == BLOCK["psam_80FA_rsp"]
    more = "1122334455667788" * 2
    whole = say(sam, BLOCK["psam_801A_cmd"], f"80FA050028{iv}{first}{more}{first}")
    say(sam, BLOCK["psam_801A_cmd"])
    assert say(sam, f"80FA070010{iv}{first}") == "9000"
    assert say(sam, f"80FA030010{more}") == "9000"
    assert say(sam, f"80FA010008{first}") == whole


def test_descrypt_encrypts_whole_blocks():
    sam = ready_sam()
    say(sam, BLOCK["psam_801A_cmd"])
    assert len(say(sam, "80FA000010" + "00" * 16)) == 2 * 16 + 4
    assert say(sam, "80FA000007" + "00" * 7) == "6700"
    assert say(sam, "80FA020008" + "00" * 8) == "6A86"


def test_a_message_that_is_not_padded_is_padded_or_refused_as_the_image_says():
    unpadded = "80FA05000D" + BLOCK["iv"] + "841E000004"
    assert say(ready_sam(), BLOCK["psam_801A_cmd"], unpadded) == "6700"
    assert say(ready_sam(pads_mac=True), BLOCK["psam_801A_cmd"], unpadded) == BLOCK["psam_80FA_rsp"]


def test_every_advance_is_stored_before_the_answer():
    stored = []
    sam = SimPsam(example_psam(), stored.append)
    sam.power_on()
    say(sam, SELECT_SAM, PLAIN["psam_8070_cmd"])
    assert stored == []
    say(sam, PLAIN["psam_8072_cmd"])
    assert [image.terminal_counter for image in stored] == [0x65]


def test_a_memory_that_fails_is_6581_and_moves_nothing():
    def fails(image: object) -> None:
        raise OSError("no space")

    sam = SimPsam(example_psam(), fails)
    sam.power_on()
    assert say(sam, SELECT_SAM, PLAIN["psam_8070_cmd"], PLAIN["psam_8072_cmd"]) == "6581"
    assert sam.image.terminal_counter == 0x64
