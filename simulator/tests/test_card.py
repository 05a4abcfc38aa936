"""What the card refuses, in which state, and what it forgets."""

import pytest

from simulator.card import NotPowered, SimCard
from simulator.card_purse import UPDATES_MAX
from simulator.dual_card import DualCard
from simulator.image import COMPOUND, COUNTER_MAX, HISTORY, LOG, CardImage
from simulator.personalise import example_card, example_dual, example_legacy
from simulator.randomness import RandomSpent, replay
from simulator.tests.flows import (
    BLOCK,
    BLOCK_FOR_GOOD,
    CHALLENGE,
    ENTRY,
    FCI,
    GET_BALANCE,
    LOAD,
    NEWEST_LOG,
    PLAIN,
    PUBLIC_FILE,
    SELECT_EPURSE,
    UNBLOCK,
    ready_card,
    say,
    vector_card,
    with_settings,
)
from tunion.crypto.mac import maintenance_mac

PPSE = "00A404000E325041592E5359532E4444463031"
PPSE_ANSWER = (
    "6F2E840E325041592E5359532E4444463031A51CBF0C1961174F08A00000063201010550084D4F545F545F4550870101"
)
ECASH = "00A4040008A000000632010106"


def selected(image: CardImage, *randoms: str) -> SimCard:
    """A card in a field, application selected, with these random numbers."""
    card = SimCard(image, replay([bytes.fromhex(one) for one in randoms]))
    card.power_on()
    say(card, SELECT_EPURSE)
    return card


def challenged(image: CardImage | None = None, challenge: str = "01020304") -> SimCard:
    """A selected card whose challenges are, unless told, those of the blocking vectors."""
    return selected(image or example_card(), *[challenge] * 8)


def blocked(state: str, **settings: str) -> SimCard:
    image = with_settings(example_card(), **settings)
    image.blocked = state
    return challenged(image)


# --- activation and selection


def test_without_a_field_there_is_no_answer():
    with pytest.raises(NotPowered):
        SimCard(example_card()).transceive(bytes.fromhex(SELECT_EPURSE))


@pytest.mark.parametrize("command", ["00B0840020", "00B095001E", "00B201C417", GET_BALANCE, PLAIN["init_cmd"]])
def test_nothing_is_readable_directly_after_activation(command: str):
    assert not say(vector_card(), command).endswith("9000")


@pytest.mark.parametrize(("command", "answer"), [
    (PPSE, PPSE_ANSWER + "9000"),
    (PPSE + "00", PPSE_ANSWER + "9000"),
    (SELECT_EPURSE, FCI + "9000"),
    (SELECT_EPURSE + "00", FCI + "9000"),
    ("00A4040005A000000632", FCI + "9000"),             # a partial name
    ("00A4040004A0000006", "6A82"),                     # shorter than a registered provider
    ("00A4040009A00000063201010500", "6A82"),           # longer than what is installed
    (ECASH, "6A82"),
    ("00A40400", "6A82"),
    ("00A4040208A000000632010105", "6A86"),
    ("00A40C0008A000000632010105", "6A86"),
])  # fmt: skip
def test_selection_by_name(command: str, answer: str):
    assert say(vector_card(), command) == answer


def test_the_longer_name_of_a_wallet_answers_to_its_first_8_bytes():
    image = example_card()
    image.aid += b"\x21\x50" + b"SZTHOU"
    card = SimCard(image)
    card.power_on()
    assert say(card, SELECT_EPURSE).endswith("9000")


def test_a_select_that_fails_leaves_the_selection_and_the_open_purchase():
    card = ready_card()
    say(card, PLAIN["init_cmd"])
    assert say(card, ECASH) == "6A82"
    assert say(card, PLAIN["debit_cmd"]) == PLAIN["debit_rsp"]


@pytest.mark.parametrize("interruption", [PPSE, SELECT_EPURSE, "00A40000020015"])
def test_another_selection_discards_the_open_purchase(interruption: str):
    card = ready_card()
    say(card, PLAIN["init_cmd"], interruption)
    if interruption == PPSE:
        say(card, SELECT_EPURSE)
    assert say(card, PLAIN["debit_cmd"]) == "6901"


def test_leaving_the_field_discards_the_open_purchase_and_the_selection():
    card = ready_card()
    say(card, PLAIN["init_cmd"])
    card.power_off()
    card.power_on()
    assert say(card, GET_BALANCE) == "6985"
    assert say(card, SELECT_EPURSE, PLAIN["debit_cmd"]) == "6901"


def test_a_wallet_shows_another_random_uid_in_each_field():
    image = example_card()
    image.uid = None
    card = SimCard(image)
    seen = set()
    for _ in range(4):
        card.power_on()
        assert card.uid[0] == 0x08 and len(card.uid) == 4
        seen.add(card.uid)
        card.power_off()
    assert len(seen) == 4


def test_the_atr_is_that_of_a_contactless_card_with_its_check_byte():
    image = example_card()
    assert SimCard(image).atr == bytes.fromhex("3B80800101")
    image.historical = b"\x80\x01"
    assert SimCard(image).atr == bytes.fromhex("3B82" "8001" "8001" "82")


# --- files


@pytest.mark.parametrize(("command", "answer"), [
    ("00B095001E", PUBLIC_FILE + "9000"),
    ("00B0950000", PUBLIC_FILE + "9000"),
    ("00B09500", PUBLIC_FILE + "9000"),                 # no Le
    ("00B0950028", PUBLIC_FILE + "9000"),               # Le past the end
    ("00B095000A", PUBLIC_FILE[:20] + "9000"),
    ("00B0950A0A", PUBLIC_FILE[20:40] + "9000"),
    ("00B0951E01", "6B00"),
    ("00B0960037", "00" * 55 + "9000"),
    ("00B097000B", "0000015661006110000101" + "9000"),
    ("00B0980017", "6981"),
    ("00B0850020", "6A82"),
    ("00B0F50020", "6A86"),
    ("00B0000000", "6A82"),                             # no file selected
    ("00B201C417", "6A83"),
    ("00B201D480", "6A83"),
    ("00B203D480", "6A83"),
    ("00B200D480", "6A83"),
    ("00B201C017", "6A86"),
    ("00B201AC1E", "6981"),
    ("00B2013C00", "6A82"),
    ("00D6950001FF", "6982"),
    ("04D695000100", "6700"),           # its MAC is cut off
    ("04DC01C40100", "6982"),
    ("00DC01D401FF", "6982"),
    ("0020000003123456", "6D00"),                       # no PIN on these cards
    ("00FF0000", "6D00"),
    ("FFCA000000", "6E00"),
    ("8054", "6700"),
    ("00B0950002FF", "6700"),
])  # fmt: skip
def test_what_files_answer(command: str, answer: str):
    assert say(ready_card(), command) == answer


@pytest.mark.parametrize(("setting", "answer"), [
    ("6A83", "6A83"), ("00", "00" * 48 + "9000"), ("FF", "FF" * 48 + "9000"),
])  # fmt: skip
def test_a_record_never_written_reads_as_the_image_says(setting: str, answer: str):
    card = ready_card(empty_record=setting)
    assert say(card, "00B201F430") == answer
    assert say(card, "00B21FF430") == "6A83"            # record 31 of 30: past the file


def test_a_file_is_read_by_its_identifier_where_the_card_allows_it():
    assert say(ready_card(), "00A40000020015", "00B0000A04") == PUBLIC_FILE[20:28] + "9000"
    assert say(ready_card(select_by_fid=False), "00A40000020015") == "6A86"
    assert say(ready_card(), "00A40000020001") == "6A82"


@pytest.mark.parametrize(("command", "answer"), [("00B0950028", "6C1E"), (GET_BALANCE[:-2] + "05", "6C04"),
                                                 (PLAIN["init_cmd"][:-2] + "10", "6C0F")])  # fmt: skip
def test_a_strict_card_names_the_right_le_before_it_acts(command: str, answer: str):
    card = ready_card(wrong_le="6Cxx")
    assert say(card, command) == answer
    right = command[:-2] + answer[2:]
    assert say(card, right).endswith("9000")


# --- balance


@pytest.mark.parametrize(("balance_fen", "limit_fen", "figures_fen"), [
    (5000, 0, (5000, 0, 0, 5000)),
    (0, 800, (800, 800, 0, 0)),
    (-300, 800, (500, 800, 300, 0)),
])  # fmt: skip
def test_the_four_figures_of_a_purse_with_a_limit(balance_fen: int, limit_fen: int, figures_fen: tuple[int, ...]):
    image = example_card()
    image.balance_fen, image.limit_fen = balance_fen, limit_fen
    card = challenged(image)
    for p1, figure_fen in enumerate(figures_fen):
        assert say(card, f"805C{p1:02X}0204") == f"{figure_fen:08X}9000"


def test_a_card_may_know_fewer_figures():
    card = ready_card(balance_p1=(0,))
    assert say(card, GET_BALANCE) == "000013889000"
    assert say(card, "805C010204") == "6A86"
    assert say(ready_card(), "805C050204") == "6A86"
    assert say(ready_card(), "805C000104") == "6A86"


# --- purchase


@pytest.mark.parametrize(("change", "answer"), [
    (("0B01000000C8", "0B0100001389"), "9401"),         # 5001 fen
    (("0B01000000C8", "0B0200000001"), "9403"),         # key index
    (("0B01000000C8", "0B0100000000"), "6A80"),         # a plain purchase of nothing
    (("80500102", "80500101"), "6A86"),                 # the deposit book
    (("80500102", "80500402"), "6A86"),
])  # fmt: skip
def test_initialize_refuses(change: tuple[str, str], answer: str):
    card = ready_card()
    command = PLAIN["init_cmd"].replace(*change)
    assert command != PLAIN["init_cmd"]
    assert say(card, command) == answer
    assert say(card, PLAIN["debit_cmd"]) == "6901"


def test_a_purchase_may_use_the_overdraft_limit_to_the_last_fen():
    image = example_card()
    image.balance_fen, image.limit_fen = 100, 800
    assert say(challenged(image), "805001020B01000003846110000000420F").endswith("9000")
    assert say(challenged(image), "805001020B01000003856110000000420F") == "9401"


def test_a_spent_counter_ends_purchases_but_not_loads():
    image = example_card()
    image.offline_counter = COUNTER_MAX
    card = challenged(image)
    assert say(card, PLAIN["init_cmd"]) == "9402"
    assert say(card, LOAD["init_cmd"]).endswith("9000")


def test_a_wrong_length_of_initialize_is_6700():
    assert say(ready_card(), "805001020A01000000C8611000000" + "0") == "6700"


def test_debit_checks_state_then_length_then_mac():
    short = PLAIN["debit_cmd"].replace("0F", "0E", 1)[:-4] + "08"
    card = ready_card()
    assert say(card, short) == "6901"
    assert say(card, PLAIN["init_cmd"], short) == "6700"
    assert say(card, PLAIN["debit_cmd"]) == "6901"      # the failed DEBIT ended the purchase


def test_debit_checks_the_money_after_mac1():
    card = ready_card()
    say(card, PLAIN["init_cmd"])
    card.image = card.image.copy()
    card.image.balance_fen = 199                        # as if the memory had changed in between
    assert say(card, PLAIN["debit_cmd"].replace("BFFFA845", "00000000")) == "9302"
    card = ready_card()
    say(card, PLAIN["init_cmd"])
    card.image = card.image.copy()
    card.image.balance_fen = 199
    assert say(card, PLAIN["debit_cmd"]) == "9401"
    assert say(card, PLAIN["debit_cmd"]) == "6901"


def test_a_debit_is_taken_once():
    card = ready_card()
    say(card, PLAIN["init_cmd"], PLAIN["debit_cmd"])
    assert say(card, PLAIN["debit_cmd"]) == "6901"
    assert card.image.balance_fen == 4800


@pytest.mark.parametrize("between", [GET_BALANCE, "00B095001E", NEWEST_LOG, "805A000602001308", CHALLENGE])
def test_reads_do_not_disturb_an_open_purchase(between: str):
    card = selected(example_card(), "A1B2C3D4", "01020304")
    say(card, PLAIN["init_cmd"], between)
    assert say(card, PLAIN["debit_cmd"]) == PLAIN["debit_rsp"]


@pytest.mark.parametrize(("opened", "commands"), [
    ("", [PLAIN["debit_cmd"], LOAD["credit_cmd"], *ENTRY["update_cache"]]),
    (PLAIN["init_cmd"], [LOAD["credit_cmd"], *ENTRY["update_cache"]]),
    (LOAD["init_cmd"], [PLAIN["debit_cmd"], *ENTRY["update_cache"]]),
    (ENTRY["init_cmd"], [LOAD["credit_cmd"]]),
])  # fmt: skip
def test_commands_out_of_order_are_6901(opened: str, commands: list[str]):
    card = ready_card()
    if opened:
        say(card, opened)
    for command in commands:
        assert say(card, command) == "6901"


def test_wrong_mac1_in_a_row_block_the_application_where_the_image_says_so():
    card = selected(with_settings(example_card(), mac1_tries=2), "00000000", "00000000")
    for _ in range(2):
        assert say(card, PLAIN["init_cmd"], PLAIN["debit_cmd"]) == "9302"
    assert say(card, GET_BALANCE) == "6A81"
    assert card.image.blocked == "application"


def test_a_right_mac1_forgets_the_wrong_ones():
    card = ready_card(mac1_tries=2)
    card.image.mac1_failures = 1
    say(card, PLAIN["init_cmd"], PLAIN["debit_cmd"])
    assert card.image.mac1_failures == 0


def test_without_a_source_given_each_offer_has_a_fresh_random():
    card = SimCard(example_card())
    card.power_on()
    say(card, SELECT_EPURSE)
    assert len({say(card, PLAIN["init_cmd"])[22:30] for _ in range(8)}) == 8


def test_given_randoms_that_run_out_are_an_error_and_not_a_repeat():
    card = selected(example_card(), "00000000")
    say(card, PLAIN["init_cmd"])
    with pytest.raises(RandomSpent, match="all 1 given"):
        say(card, PLAIN["init_cmd"])


def test_a_given_random_of_another_length_is_an_error():
    with pytest.raises(RandomSpent, match="has 8 bytes, the card needs 4"):
        replay([bytes(8)])(4)


# --- compound purchase


def test_updates_are_buffered_until_debit():
    card = compound()
    say(card, *ENTRY["update_cache"])
    assert say(card, "00B201D480") == say(card, "00B201F430") == "6A83"
    assert say(card, ENTRY["debit_cmd"]) == ENTRY["debit_rsp"]
    assert say(card, "00B201D480") == ENTRY["update_cache"][0][10:] + "9000"
    assert say(card, "00B201D080") == ENTRY["update_cache"][0][10:] + "9000"     # by identifier 2701
    assert say(card, "00B201F430") == ENTRY["update_cache"][1][10:] + "9000"


def test_a_failed_debit_throws_the_buffer_away():
    card = compound()
    say(card, *ENTRY["update_cache"], ENTRY["debit_cmd"].replace(ENTRY["mac1"], "00000000"))
    assert card.image.records[COMPOUND] == [b"", b""]
    assert card.image.records[HISTORY] == card.image.records[LOG] == []


@pytest.mark.parametrize(("command", "answer"), [
    ("80DC03D003270300", "6A83"),                       # 2703: two records here
    ("80DC03D403270300", "6A83"),
    ("80DC01D003270200", "6A80"),                       # not the identifier that P1 names
    ("80DC01D081" + "27017D" + "00" * 126, "6A84"),
    ("80DC00F031" + "00" * 49, "6A84"),
    ("80DC00F401" + "00", "6A86"),
    ("80DC01F001" + "00", "6A86"),
    ("80DC01D101" + "00", "6A86"),
    ("80DC01A801" + "00", "6981"),                      # 15h is no record file
    ("80DC01C001" + "00", "6982"),                      # the card's own log
    ("80DC013801" + "00", "6A82"),
    ("80DC00F0", "6700"),
])  # fmt: skip
def test_an_update_that_fits_nowhere_is_refused(command: str, answer: str):
    card = compound()
    assert say(card, command) == answer
    assert say(card, *ENTRY["update_cache"], ENTRY["debit_cmd"]) == ENTRY["debit_rsp"]


def test_the_cache_holds_three_updates():
    card = compound()
    for _ in range(UPDATES_MAX):
        assert say(card, ENTRY["update_cache"][1]) == "9000"
    assert say(card, ENTRY["update_cache"][1]) == "6A84"


def test_a_short_update_leaves_the_rest_of_its_record():
    image = example_card()
    image.offline_counter = 0x13
    image.balance_fen = 4800
    image.records[COMPOUND] = [b"\x27\x01\x7d" + b"\xaa" * 125, b""]
    card = selected(image, "0BADF00D")
    say(card, ENTRY["init_cmd"], "80DC01D00427017D01", ENTRY["debit_cmd"])
    assert card.image.records[COMPOUND][0] == b"\x27\x01\x7d\x01" + b"\xaa" * 124


def test_record_2_of_the_local_file_is_written_by_number():
    card = compound()
    assert say(card, "80DC02C803010203", ENTRY["debit_cmd"]) == ENTRY["debit_rsp"]
    assert say(card, "00B202CC00") == "0102039000"


def test_a_debit_without_updates_is_taken_or_not_as_the_image_says():
    assert say(compound(), ENTRY["debit_cmd"]) == ENTRY["debit_rsp"]
    strict = compound(debit_without_cache=False)
    assert say(strict, ENTRY["debit_cmd"]) == "6985"
    assert strict.image.offline_counter == 0x13


def test_cyclic_files_keep_the_newest_and_lose_the_oldest():
    image = example_card()
    image.records[LOG] = [bytes((number,)) * 23 for number in range(10)]
    card = selected(image, "A1B2C3D4")
    say(card, PLAIN["init_cmd"], PLAIN["debit_cmd"])
    assert card.image.records[LOG] == [bytes.fromhex(PLAIN["sfi18_record"]), *(bytes((n,)) * 23 for n in range(9))]


def compound(**settings: bool) -> SimCard:
    """An open compound purchase of the entry vector."""
    image = with_settings(example_card(), **settings)
    image.offline_counter = 0x13
    image.balance_fen = 4800
    card = selected(image, "0BADF00D")
    assert say(card, ENTRY["init_cmd"]) == ENTRY["init_rsp"]
    return card


# --- load


def test_a_load_that_is_only_asked_for_changes_nothing():
    """Reader apps learn the online counter this way."""
    card = ready_card()
    before = card.image
    assert say(card, "805000020B0100000001" + "00" * 6 + "10")[8:12] == "0003"
    assert card.image is before


def test_a_wrong_mac2_of_a_load_is_refused_and_ends_it():
    card = ready_card()
    say(card, LOAD["init_cmd"])
    assert say(card, LOAD["credit_cmd"].replace(LOAD["mac2"], "00000000")) == "9302"
    assert say(card, LOAD["credit_cmd"]) == "6901"
    assert card.image.balance_fen == 5000


def test_a_purse_never_counts_into_the_reserved_bit():
    card = ready_card()
    assert say(card, "805000020B017FFFEC77" + "31" * 6 + "10").endswith("9000")
    assert say(card, "805000020B017FFFEC78" + "31" * 6 + "10") == "6985"


# --- proof


def test_only_the_exact_counter_and_type_are_proven():
    card = ready_card()
    say(card, PLAIN["init_cmd"], PLAIN["debit_cmd"])
    assert say(card, "805A000602001308") == PLAIN["prove_rsp"]
    for command in ("805A000602001208", "805A000602001408", "805A000902001308", "805A000202001308"):
        assert say(card, command) == "9406"
    assert say(card, "805A0006010013") == "6700"
    assert say(card, "805A010602001308") == "6A86"


def test_a_new_card_proves_nothing():
    assert say(ready_card(), "805A000602001208") == "9406"


def test_a_proof_survives_the_field_and_yields_to_the_next_transaction():
    card = ready_card()
    say(card, PLAIN["init_cmd"], PLAIN["debit_cmd"])
    card.power_off()
    card.power_on()
    assert say(card, SELECT_EPURSE, PLAIN["prove_cmd"]) == PLAIN["prove_rsp"]
    say(card, ENTRY["init_cmd"], *ENTRY["update_cache"])
    assert say(card, PLAIN["prove_cmd"]) == PLAIN["prove_rsp"]      # nothing is completed yet
    say(card, ENTRY["debit_cmd"])
    assert say(card, PLAIN["prove_cmd"]) == "9406"
    assert say(card, ENTRY["prove_cmd"]) == ENTRY["prove_rsp"]


def test_a_load_is_proven_by_the_online_counter():
    image = example_card()
    image.balance_fen = LOAD["balance_after"] - 5000
    card = selected(image, "CAFEBABE")
    assert say(card, LOAD["init_cmd"], LOAD["credit_cmd"]) == LOAD["credit_rsp"]
    assert say(card, "805A000202000408") == LOAD["mac2"] + LOAD["tac"] + "9000"


# --- blocking


def test_blocking_and_unblocking():
    card = challenged()
    assert say(card, CHALLENGE, BLOCK) == "9000"
    for command in (GET_BALANCE, PLAIN["init_cmd"], "00B095001E", NEWEST_LOG, "805A000602001308"):
        assert say(card, command) == "6A81"
    assert say(card, SELECT_EPURSE) == FCI + "6283"
    assert say(card, CHALLENGE, UNBLOCK) == "9000"
    assert say(card, SELECT_EPURSE) == FCI + "9000"


def test_blocking_ends_an_open_purchase():
    card = selected(example_card(), "A1B2C3D4", "01020304", "01020304")
    assert say(card, PLAIN["init_cmd"], CHALLENGE, BLOCK) == say(card, CHALLENGE, UNBLOCK) == "9000"
    assert say(card, PLAIN["debit_cmd"]) == "6901"


@pytest.mark.parametrize(("commands", "answer"), [
    ([BLOCK], "6984"),
    ([CHALLENGE, GET_BALANCE, BLOCK], "6984"),          # the next command uses the challenge up
    ([CHALLENGE, BLOCK[:-8] + "00000000"], "6988"),
    ([CHALLENGE, "841E0000"], "6987"),
    ([CHALLENGE, "841E00000302175B"], "6700"),
    ([CHALLENGE, BLOCK.replace("841E0000", "841E0002")], "6A86"),
    ([CHALLENGE, UNBLOCK], "6985"),                     # nothing is blocked
    (["0084000008", BLOCK], "6988"),                    # another challenge than the MAC was made for
    (["0084000005"], "6700"),
    (["0084010004"], "6A86"),
])  # fmt: skip
def test_secure_messaging_refuses(commands: list[str], answer: str):
    card = challenged(challenge="0102030500000000" if "0084000008" in commands else "01020304")
    assert say(card, *commands) == answer
    assert card.image.blocked == "no"


def test_of_a_challenge_of_8_bytes_the_first_4_count():
    card = challenged(challenge="0102030455667788")
    assert say(card, "0084000008", BLOCK) == "9000"


def test_a_card_blocked_for_good_stays_so():
    card = challenged()
    assert say(card, CHALLENGE, BLOCK_FOR_GOOD) == "9000"
    assert say(card, GET_BALANCE) == say(card, CHALLENGE, UNBLOCK) == say(card, SELECT_EPURSE) == "9303"


def test_three_wrong_unblock_macs_block_for_good():
    card = blocked("application")
    say(card, SELECT_EPURSE)
    for left in (2, 1, 0):
        assert say(card, CHALLENGE, UNBLOCK[:-8] + "00000000") == "6988"
        assert card.image.blocked == ("application" if left else "permanent")
    assert say(card, CHALLENGE, UNBLOCK) == "9303"


def test_a_right_unblock_mac_forgets_the_wrong_ones():
    card = blocked("application")
    say(card, SELECT_EPURSE, CHALLENGE, UNBLOCK[:-8] + "00000000", CHALLENGE, UNBLOCK)
    assert (card.image.blocked, card.image.unblock_failures) == ("no", 0)


@pytest.mark.parametrize(("setting", "answer"), [("6283", FCI + "6283"), ("6284", FCI + "6284"), ("6A81", "6A81")])
def test_a_blocked_application_answers_select_as_the_image_says_and_can_be_unblocked(setting: str, answer: str):
    card = blocked("application", blocked_select_sw=setting)
    assert say(card, SELECT_EPURSE) == answer
    assert say(card, CHALLENGE, UNBLOCK) == "9000"


def test_a_blocked_card_answers_nothing_else():
    card = blocked("card")
    for command in (SELECT_EPURSE, PPSE, CHALLENGE, GET_BALANCE, "00FF0000"):
        assert say(card, command) == "6A81"


def test_card_block_needs_its_mac():
    card = challenged()
    assert say(card, CHALLENGE, "841600000400000000") == "6988"
    assert card.image.blocked == "no"


# --- files changed by the issuer, under the maintenance key


def update(card: SimCard, sfi: int, offset: int, data: bytes, wrong: int = 0) -> str:
    """UPDATE BINARY with CLA 04, after GET CHALLENGE. `wrong`: xored to the last byte of the MAC."""
    challenge = bytes.fromhex(say(card, CHALLENGE))[:4].ljust(4)        # a blocked card gives none
    covered = bytes((0x04, 0xD6, 0x80 | sfi, offset, len(data) + 4)) + data
    mac = bytearray(maintenance_mac(card.image.keys["maintenance"][0].value, challenge, covered))
    mac[-1] ^= wrong
    return say(card, (covered + bytes(mac)).hex())


def test_the_issuer_changes_files_and_the_fci_follows():
    card = challenged()
    expiry = bytes.fromhex("20401231")
    assert update(card, 0x15, 24, expiry) == "9000"
    changed = PUBLIC_FILE.replace("20351231", "20401231")
    assert say(card, "00B095001E") == changed + "9000"
    assert say(card, SELECT_EPURSE) == FCI.replace("20351231", "20401231") + "9000"
    assert CardImage.from_json(card.image.to_json()) == card.image
    assert update(card, 0x16, 0, b"\x01" * 55) == "9000" and card.image.files[0x16] == b"\x01" * 55
    assert update(card, 0x17, 10, b"\x02") == "9000" and card.image.files[0x17][10] == 2


def test_a_changed_file_is_stored_with_its_copy_in_one_step():
    stored: list[CardImage] = []
    card = SimCard(example_card(), replay([bytes(4)] * 2), stored.append)
    card.power_on()
    say(card, SELECT_EPURSE)
    assert update(card, 0x15, 24, bytes.fromhex("20401231")) == "9000"
    assert [CardImage.from_json(image.to_json()) for image in stored] == [card.image]       # it checks the copy

    def refuses(image: CardImage) -> None:
        raise OSError("worn out")

    card = SimCard(example_card(), replay([bytes(4)] * 2), refuses)
    card.power_on()
    say(card, SELECT_EPURSE)
    assert update(card, 0x15, 24, bytes.fromhex("20401231")) == "6581"
    assert say(card, SELECT_EPURSE) == FCI + "9000"


@pytest.mark.parametrize(("sfi", "offset", "data", "answer"), [
    (0x15, 30, b"\x01", "6B00"),
    (0x15, 28, bytes(3), "6A84"),
    (0x18, 0, b"\x01", "6981"),
    (0x1B, 0, b"\x01", "6A82"),
    (0x15, 0, b"", "6700"),
])  # fmt: skip
def test_an_update_that_fits_nowhere_changes_nothing(sfi: int, offset: int, data: bytes, answer: str):
    card = challenged()
    before = card.image
    assert update(card, sfi, offset, data) == answer
    assert card.image is before


def test_an_update_needs_its_mac_a_challenge_and_an_open_application():
    card = challenged()
    before = card.image
    assert update(card, 0x15, 24, bytes(4), wrong=1) == "6988"
    assert say(card, "04D6951808" + "00" * 8) == "6984"
    assert say(card, "04D69518") == "6987"
    assert say(card, CHALLENGE, GET_BALANCE, "04D6951808" + "00" * 8) == "6984"     # another command came in between
    assert card.image is before
    for state, answer in (("application", "6A81"), ("permanent", "6985"), ("card", "6A81")):
        assert update(blocked(state), 0x15, 24, bytes(4)) == answer
    bare = SimCard(example_card())
    bare.power_on()
    assert say(bare, "04D6951808" + "00" * 8) == "6985"                             # nothing is selected


def test_a_replayed_update_is_refused():
    card = selected(example_card(), "01020304", "01020305")
    heard: list[bytes] = []
    true = card.transceive
    card.transceive = lambda apdu: (heard.append(apdu), true(apdu))[1]     # type: ignore[method-assign]
    assert update(card, 0x15, 24, bytes.fromhex("20401231")) == "9000"
    assert say(card, CHALLENGE, heard[-1].hex()) == "6988"


# --- the legacy card, which is retired when its passenger gets another one


def retired(command: str, image: CardImage) -> SimCard:
    card = SimCard(image)
    card.power_on()
    say(card, f"00A40400{len(image.aid):02X}{image.aid.hex()}")
    head = bytes.fromhex(command + "04")
    say(card, CHALLENGE)
    assert card.transceive(head + bytes(4)).hex() == "6988" and card.image.blocked == "no"
    challenge = bytes.fromhex(say(card, CHALLENGE))[:4]
    mac = maintenance_mac(image.keys["maintenance"][0].value, challenge, head)
    assert card.transceive(head + mac) == b"\x90\x00"
    return card


@pytest.mark.parametrize(("command", "state", "selected_sw"), [
    ("841E0000", "application", "6283"),
    ("841E0001", "permanent", "9303"),
    ("84160000", "card", "6A81"),
])  # fmt: skip
def test_a_legacy_card_is_retired_with_its_own_maintenance_key(command: str, state: str, selected_sw: str):
    image = example_legacy()
    card = retired(command, image)
    assert card.image.blocked == state
    again = SimCard(CardImage.from_json(card.image.to_json()))
    again.power_on()
    assert say(again, f"00A4040008{image.aid.hex()}")[-4:] == selected_sw
    for money in (GET_BALANCE, "805001020B02000000016110000000420F", "805000020B0200000001611000000042"):
        assert say(again, money) in ("6A81", "9303", "6985")
    # With the key of another card it is not.
    untouched = SimCard(image)
    untouched.power_on()
    say(untouched, f"00A4040008{image.aid.hex()}")
    head = bytes.fromhex(command + "04")
    challenge = bytes.fromhex(say(untouched, CHALLENGE))[:4]
    assert untouched.transceive(head + maintenance_mac(bytes(16), challenge, head)).hex() == "6988"
    assert untouched.image.blocked == "no"


def test_of_two_applications_the_old_one_is_retired_alone_and_the_card_as_a_whole():
    image = example_dual()
    assert image.second is not None
    for command, national in (("841E0001", "9000"), ("84160000", "6A81")):
        card = DualCard(image)
        card.power_on()
        say(card, f"00A4040008{image.second.aid.hex()}")
        head = bytes.fromhex(command + "04")
        challenge = bytes.fromhex(say(card, CHALLENGE))[:4]
        mac = maintenance_mac(image.second.keys["maintenance"][0].value, challenge, head)
        assert card.transceive(head + mac) == b"\x90\x00"
        assert say(card, SELECT_EPURSE)[-4:] == national
