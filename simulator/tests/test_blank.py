"""Blank chips against whoever writes them: every stage, every refusal, every cut."""

import json
from pathlib import Path
from typing import Any

import pytest

from backoffice.keys import schemes
from backoffice.keys.known import KNOWN_TEST_KCVS
from backoffice.keys.vault import kcv
from simulator.blank import TEST_TRANSPORT, BlankCard, BlankPsam, Profile, blank_images, blanks, chip_of
from simulator.blank_image import BLANK, INITIALISED, PERSONALISED, PROFILES, TRIES_MAX, BlankImage, load_image
from simulator.card import NotPowered, SimCard
from simulator.field import AFTER, BEFORE, Faults, Torn
from simulator.image import CardImage, ImageError, PsamImage
from simulator.personalise import LEGACY_MASTERS, TEST_MASTERS
from simulator.psam import SimPsam
from simulator.randomness import RandomSpent, replay
from simulator.tests.blank_office import (
    CARD_IMAGE,
    CARDS,
    CONTROL_KEY,
    ISSUER,
    NAMES,
    OK,
    PSAM_IMAGE,
    PSAMS,
    SERIAL,
    Office,
    profile,
)
from simulator.tests.flows import GET_BALANCE, SELECT_EPURSE, SELECT_SAM, say
from tunion.card import psam
from tunion.card.files import tlv_find
from tunion.card.purse import DEBIT_FOR_PURCHASE, INITIALIZE_FOR_COMPOUND
from tunion.crypto import keys
from tunion.crypto.mac import maintenance_mac

EACH = pytest.mark.parametrize("name", NAMES)
EACH_CARD = pytest.mark.parametrize("name", CARDS)
EACH_PSAM = pytest.mark.parametrize("name", PSAMS)
AT = bytes.fromhex("20250601084210")
Chip = BlankCard | BlankPsam
ROLLED = bytes.fromhex("2B2B2B2B00000000C5C5C5C511111111")


def powered(name: str, **options: Any) -> tuple[Chip, Office]:
    chip, = blanks(1, name)
    chip = chip_of(chip.image, **options)
    chip.power_on()
    return chip, Office(name, chip.transceive)


def initialised(name: str) -> tuple[Chip, Office]:
    chip, office = powered(name)
    office.run(office.initialisation())
    return chip, office


def personalised(name: str) -> tuple[Chip, Office]:
    chip, office = powered(name)
    office.run(office.all_steps())
    return chip, office


def ready_to_finish(name: str) -> tuple[Chip, Office]:
    chip, office = initialised(name)
    office.run(office.personalisation())
    return chip, office


# --- the way through


@EACH_CARD
def test_a_blank_card_becomes_the_card_that_was_ordered(name: str):
    chip, _ = personalised(name)
    assert isinstance(chip, BlankCard)
    made, ordered = chip.card.image, CARD_IMAGE
    assert {**made.to_json(), "uid": None, "keys": None} == {**ordered.to_json(), "uid": None, "keys": None}
    for purpose, [key] in ordered.keys.items():
        assert [one.value for one in made.keys[purpose]] == [key.value]
    assert chip.uid == made.uid == bytes.fromhex("04000000000001")
    chip.power_on()
    assert say(chip, SELECT_EPURSE).endswith("9000")
    assert say(chip, "00B095001E") == f"{made.files[0x15].hex()}9000".upper()


@EACH_PSAM
def test_a_blank_psam_becomes_the_psam_that_was_ordered(name: str):
    chip, _ = personalised(name)
    assert isinstance(chip, BlankPsam)
    made = chip.psam.image
    assert {**made.to_json(), "keys": None} == {**PSAM_IMAGE.to_json(), "keys": None}
    assert [key.value for key in made.keys["purchase"]] == [PSAM_IMAGE.keys["purchase"][0].value]


@pytest.mark.parametrize(("card_name", "psam_name"), list(zip(CARDS, PSAMS, strict=True)))
def test_a_made_card_pays_at_a_made_psam(card_name: str, psam_name: str):
    card, _ = personalised(card_name)
    sam, _ = personalised(psam_name)
    say(card, SELECT_EPURSE)
    assert paid(card, sam)


def paid(card: Any, sam: Any, key_index: int = 1) -> bool:
    """A compound purchase of nothing; the card checks MAC1, the PSAM MAC2. The e-purse is selected."""
    say(sam, "00A40000023F00")
    terminal = bytes.fromhex(say(sam, "00B0960006"))[:6]
    say(sam, SELECT_SAM)
    data = INITIALIZE_FOR_COMPOUND.data
    reply = INITIALIZE_FOR_COMPOUND.reply
    assert data and reply
    asked = data.pack(key_index=key_index, amount_fen=0, terminal=terminal)
    answer = card.transceive(INITIALIZE_FOR_COMPOUND.head + bytes((len(asked),)) + asked)
    assert answer[-2:] == OK, answer.hex()
    offer = reply.unpack(answer[:-2])
    body = psam.INIT_SAM_FOR_PURCHASE.data
    assert body and psam.INIT_SAM_FOR_PURCHASE.reply and DEBIT_FOR_PURCHASE.data and DEBIT_FOR_PURCHASE.reply
    asked = body.pack(
        random=offer.random, counter=offer.counter, amount_fen=0, type=keys.COMPOUND, at=AT,
        key_version=offer.key_version, algorithm=offer.algorithm, card=SERIAL[2:], issuer=ISSUER,
    )  # fmt: skip
    answer = sam.transceive(psam.INIT_SAM_FOR_PURCHASE.head + bytes((len(asked),)) + asked)
    assert answer[-2:] == OK, answer.hex()
    proof = psam.INIT_SAM_FOR_PURCHASE.reply.unpack(answer[:-2])
    asked = DEBIT_FOR_PURCHASE.data.pack(terminal_seq=proof.terminal_seq, at=AT, mac1=proof.mac1)
    answer = card.transceive(DEBIT_FOR_PURCHASE.head + bytes((len(asked),)) + asked)
    assert answer[-2:] == OK, answer.hex()
    mac2 = DEBIT_FOR_PURCHASE.reply.unpack(answer[:-2]).mac2
    return bool(sam.transceive(psam.CREDIT_SAM_FOR_PURCHASE.head + b"\x04" + mac2) == OK)


@EACH_CARD
def test_in_stage_1_a_card_answers_the_purse_and_stage_2_forgets_it(name: str):
    chip, office = ready_to_finish(name)
    sam = SimPsam(PSAM_IMAGE)
    sam.power_on()
    assert say(chip, SELECT_EPURSE).endswith("9000")
    assert tlv_find(bytes.fromhex(say(chip, SELECT_EPURSE))[:-2], (0x6F, 0xA5, 0x9F0C)) is None     # not copied yet
    assert paid(chip, sam)
    assert chip.image.content.offline_counter == 1 and say(chip, "00B201C417").endswith("9000")
    assert office.end_stage(2) == OK                # trials in between do not end the authentication
    assert isinstance(chip, BlankCard)
    image = chip.card.image
    assert (image.balance_fen, image.offline_counter, image.online_counter, image.last_proof) == (0, 0, 0, None)
    assert say(chip, SELECT_EPURSE, "00B201C417") == "6A83"
    assert tlv_find(image.fci, (0x6F, 0xA5, 0x9F0C)) == CARD_IMAGE.files[0x15]


@pytest.mark.parametrize(("card_name", "psam_name"), list(zip(CARDS, PSAMS, strict=True)))
def test_what_trials_and_finished_chips_change_is_stored_with_the_chip(card_name: str, psam_name: str):
    """The card's purchase in stage 1 and after, the PSAM's counter: all through the chip's own image."""
    stored: dict[str, BlankImage] = {}

    def stores(name: str) -> tuple[Chip, Office]:
        return powered(name, persist=lambda image: stored.update({name: image}))

    card, card_office = stores(card_name)
    sam, sam_office = stores(psam_name)
    sam_office.run(sam_office.all_steps())
    card_office.run([*card_office.initialisation(), *card_office.personalisation()])
    for counter in (1, 2):
        say(card, SELECT_EPURSE)
        assert paid(card, sam)
        for chip, name in ((card, card_name), (sam, psam_name)):
            assert stored[name] == chip.image and BlankImage.from_json(stored[name].to_json()) == chip.image
        assert (card.image.content.offline_counter, sam.image.content.terminal_counter) == (1, counter)
        if counter == 1:
            assert card_office.end_stage(2) == OK       # forgets the trial


@pytest.mark.parametrize("worn", ["card", "psam"])
def test_a_finished_chip_whose_memory_refuses_stays_as_it_was(worn: str):
    def refuses(image: BlankImage) -> None:
        raise OSError("worn out")

    images = {"card": personalised(CARDS[1])[0].image, "psam": personalised(PSAMS[1])[0].image}
    chips = {what: chip_of(image, persist=refuses if what == worn else None) for what, image in images.items()}
    heard: list[bytes] = []
    chip = chips[worn]
    true = chip.transceive
    chip.transceive = lambda apdu: (heard.append(true(apdu)), heard[-1])[1]     # type: ignore[method-assign]
    for each in chips.values():
        each.power_on()
    say(chips["card"], SELECT_EPURSE)
    try:
        assert not paid(chips["card"], chips["psam"])
    except AssertionError as refusal:                   # the card's: paid() wants its answer
        assert worn == "card" and "6581" in str(refusal)
    assert heard[-1].hex() == "6581" and chip.image is images[worn]


@EACH_PSAM
def test_a_psam_has_one_name(name: str):
    chip, office = powered(name)
    office.authenticate()
    aid = bytearray.fromhex(office.profile["aid"])
    aid[-1] ^= 1
    assert chip.transceive(office.secured(office.head("create_application"), bytes(aid))).hex() == "6a80"
    assert not chip.image.application


@EACH_CARD
def test_a_card_that_was_blocked_in_a_trial_is_not_finished(name: str):
    chip, office = ready_to_finish(name)
    say(chip, SELECT_EPURSE)
    key = CARD_IMAGE.keys["maintenance"][0].value
    challenge = bytes.fromhex(say(chip, "0084000004"))[:-2]
    head = bytes.fromhex("841E000004")
    assert chip.transceive(head + maintenance_mac(key, challenge, head)) == OK
    assert office.end_stage(2).hex() == "6985" and chip.image.stage == INITIALISED


@EACH_CARD
def test_a_challenge_is_spent_by_a_command_of_the_other_half(name: str):
    """GET CHALLENGE, then a command of the set: APPLICATION BLOCK may not use that challenge any more."""
    chip, office = ready_to_finish(name)
    say(chip, SELECT_EPURSE)
    challenge = bytes.fromhex(say(chip, "0084000008"))[:-2]
    office.chip()
    head = bytes.fromhex("841E000004")
    mac = maintenance_mac(CARD_IMAGE.keys["maintenance"][0].value, challenge, head)
    assert chip.transceive(head + mac).hex() == "6984"


@EACH
def test_get_chip_says_serial_maker_mask_stage_and_tries(name: str):
    chip, office = powered(name)
    assert office.chip().hex() == "0000000000000001" "544b" "0001" "00" "05" "9000"
    for le, answer in (("", 14), ("00", 14), ("0E", 14), ("0D", None), ("10", None)):
        got = chip.transceive(office.head("get_chip") + bytes.fromhex(le))
        assert got.hex() == "6c0e" if answer is None else len(got) == answer + 2


@EACH
def test_transport_keys_are_diversified_by_the_serial(name: str):
    first, second = blanks(2, name, first_serial=0x0102030405060708)
    assert second.image.serial.hex() == "0102030405060709"
    assert first.image.control.value != second.image.control.value
    for chip, serial in ((first, 0x0102030405060708), (second, 0x0102030405060709)):
        chip.power_on()
        assert Office(name, chip.transceive, serial).authenticate() == OK
        assert Office(name, chip.transceive, serial + 7).authenticate().hex() == "63c4"


# --- what it refuses


@EACH
def test_nothing_is_selected_and_no_purse_answers_before_stage_1(name: str):
    chip, _ = powered(name)
    for command, answer in ((SELECT_EPURSE, "6A82"), (SELECT_SAM, "6A82"), ("00B0950000", "6D00"),
                            (GET_BALANCE, "6D00"), ("00B0840020", "6D00"), ("8050", "6700"), ("00", "6700")):
        assert say(chip, command) == answer


@EACH
def test_without_power_there_is_no_answer(name: str):
    chip, office = powered(name)
    chip.power_off()
    with pytest.raises(NotPowered):
        office.chip()


@EACH
def test_nothing_is_taken_without_authentication(name: str):
    chip, office = powered(name)
    before = chip.image
    for step in (office.control, office.application, lambda: office.update(0x15, b"\x01"), lambda: office.end_stage(1),
                 lambda: office.file(office.profile["files"][0])):
        assert step().hex() == "6982"
    assert chip.image is before


LOSERS = {
    "select_mf": lambda chip, office: office.select_mf(),
    "reset": lambda chip, office: chip.power_on(),
    "wrong mac": lambda chip, office: chip.transceive(bytes.fromhex("84E0010009A00000063200000000")),
    "no mac": lambda chip, office: chip.transceive(bytes.fromhex("84E0010003A00000")),
    "wrong answer": lambda chip, office: chip.transceive(bytes.fromhex("0082000008") + bytes(8)),
    "control key": lambda chip, office: office.control(),
}


@EACH
@pytest.mark.parametrize("loser", LOSERS)
def test_the_authentication_is_lost_by(name: str, loser: str):
    chip, office = powered(name)
    assert office.authenticate() == OK
    LOSERS[loser](chip, office)
    assert office.application().hex() == "6982"
    assert office.authenticate() == OK and office.application() == OK


@EACH
def test_a_wrong_mac_is_6988_and_a_missing_one_6987(name: str):
    chip, office = powered(name)
    office.authenticate()
    command = bytearray(office.secured(office.head("create_application"), bytes.fromhex(office.profile["aid"])))
    command[-1] ^= 1
    assert chip.transceive(bytes(command)).hex() == "6988"
    office.authenticate()
    assert chip.transceive(office.head("create_application") + b"\x03\x01\x02\x03").hex() == "6987"
    office.authenticate()
    assert chip.transceive(office.head("create_application")).hex() == "6987"
    assert not chip.image.application


@EACH
def test_the_mac_covers_every_byte_before_it(name: str):
    for at in range(2, 10):         # P1 to the data; CLA and INS make another command of it
        chip, office = powered(name)
        office.authenticate()
        command = bytearray(office.secured(office.head("write_key", 1, 1), bytes(range(2 + 24))))
        if at == 4:
            continue                # Lc is what the data are
        command[at] ^= 1
        assert chip.transceive(bytes(command)).hex() == "6988", at


@EACH
def test_a_replayed_mac_is_wrong(name: str):
    """The same command again, the one before it again, and a whole session again after another challenge."""
    chip, office = powered(name)
    heard: list[bytes] = []

    def send(apdu: bytes) -> bytes:
        heard.append(apdu)
        return chip.transceive(apdu)

    office.send = send
    office.run([office.authenticate, office.application, lambda: office.update(0x16, b"\x01", 0)]
               if name in PSAMS else [office.authenticate, office.application])  # fmt: skip
    assert chip.transceive(heard[-1]).hex() == "6988"
    assert office.authenticate() == OK
    assert chip.transceive(heard[2]).hex() == "6988"
    chip.power_on()
    assert [chip.transceive(each)[-2:].hex() for each in heard[:3]][1:] == [f"63c{TRIES_MAX - 1}", "6982"]


@EACH
def test_a_challenge_is_good_for_the_next_command_only(name: str):
    chip, office = powered(name)
    challenge = chip.transceive(bytes.fromhex("0084000008"))[:-2]
    office.chip()
    right = bytes.fromhex("0082000008") + schemes.auth(office.scheme, office.key, challenge)
    assert chip.transceive(right).hex() == "6984"
    assert chip.image.tries_left == TRIES_MAX
    for length in (0, 7, 9):
        chip.transceive(bytes.fromhex("0084000008"))
        body = bytes((length,)) + bytes(length) if length else b""
        assert chip.transceive(bytes.fromhex("00820000") + body).hex() == "6700"
    for le in ("", "00", "04", "10"):
        assert chip.transceive(bytes.fromhex("00840000" + le)).hex() == "6700"


@EACH
def test_wrong_tries_are_kept_through_power_cuts_until_the_chip_is_lost(name: str, tmp_path: Path):
    path = tmp_path / "blank.json"
    blank_images(1, name, TEST_TRANSPORT)[0].save(path)
    for left in reversed(range(TRIES_MAX)):
        chip = chip_of(BlankImage.load(path), persist=lambda image: image.save(path))
        chip.power_on()
        chip.transceive(bytes.fromhex("0084000008"))
        assert chip.transceive(bytes.fromhex("0082000008") + bytes(8)).hex() == f"63c{left}"
    chip = chip_of(BlankImage.load(path))
    chip.power_on()
    office = Office(name, chip.transceive)
    assert office.chip()[-3:] == b"\x00" + OK
    assert office.authenticate().hex() == "6983"        # also with the right key


@EACH
def test_a_right_try_gives_the_tries_back(name: str):
    chip, office = powered(name)
    for _ in range(3):
        for _ in range(TRIES_MAX - 1):
            chip.transceive(bytes.fromhex("0084000008"))
            chip.transceive(bytes.fromhex("0082000008") + bytes(8))
        assert chip.image.tries_left == 1
        assert office.authenticate() == OK and chip.image.tries_left == TRIES_MAX


@EACH
def test_a_key_is_taken_once(name: str):
    chip, office = initialised(name)
    office.authenticate()
    value = bytes(range(16))
    assert office.write_key("purchase", 1, 1, "3DES", value) == OK
    assert office.write_key("purchase", 1, 1, "3DES", value).hex() == "6a80"
    assert office.write_key("purchase", 1, 1, "SM4", value).hex() == "6a80"
    for index, version, algorithm in ((1, 2, "3DES"), (2, 1, "3DES"), (3, 1, "SM4")):
        assert office.write_key("purchase", index, version, algorithm, value) == OK
    assert len(chip.image.content.keys["purchase"]) == 4


@EACH
def test_keys_of_the_wrong_kind_are_refused(name: str):
    chip, office = initialised(name)
    office.authenticate()
    value = bytes(16)
    other = "AES" if office.scheme == "3DES" else "3DES"
    assert office.write_key("control", 0, 2, other, value).hex() == "6a80"
    assert office.write_key("purchase", 1, 1, "AES", value).hex() == "6a80"
    assert office.write_key("maintenance", 1, 1, "SM4", value).hex() == "6a80"
    assert chip.image.control.value == CONTROL_KEY
    unknown = office.head("write_key", 5, 1)
    assert chip.transceive(office.secured(unknown, bytes(26))).hex() == "6a86"
    for size in (0, 2, 17, 19, 25, 27):
        assert chip.transceive(office.secured(office.head("write_key", 1, 1), bytes(size))).hex() == "6700"
    if office.scheme == "AES":          # what was not wrapped under this key
        assert chip.transceive(office.secured(office.head("write_key", 1, 1), bytes(26))).hex() == "6a80"
    if name in PSAMS:
        assert office.write_key("tac", 1, 1, "3DES", value).hex() == "6a86"


@EACH
def test_nothing_is_made_twice_and_nothing_that_the_chip_has_no_room_for(name: str):
    chip, office = powered(name)
    office.authenticate()
    first = office.profile["files"][0]
    if name in CARDS:
        assert office.file(first).hex() == "6985"       # no application yet
    assert office.update(0x17, b"\x01").hex() == "6a82"
    assert chip.transceive(office.secured(office.head("create_application"), b"\xa0" * 4)).hex() == "6700"
    assert chip.transceive(office.secured(office.head("create_application"), b"\xa0" * 17)).hex() == "6700"
    assert office.application() == OK
    assert office.application().hex() == "6a80"
    assert office.file({**first, "count": 31}).hex() == "6a80"
    assert office.file({**first, "sfi": "1B"}).hex() == "6a80"
    if name in CARDS:
        assert office.file(first) == OK
    assert office.file(first).hex() == "6a80"
    assert chip.transceive(office.secured(office.head("create_file"), bytes(5))).hex() == "6700"
    assert chip.transceive(office.secured(office.head("create_file"), bytes(7))).hex() == "6700"


@EACH
def test_a_file_is_written_within_its_bounds(name: str):
    chip, office = initialised(name)
    office.authenticate()
    size = len(chip.image.content.files[0x17])
    assert office.update(0x17, bytes(size)) == OK
    for content, offset, answer in ((bytes(size + 1), 0, "6a84"), (b"\x01\x02", size - 1, "6a84"),
                                    (b"\x01", size, "6b00"), (b"", 0, "6700")):
        assert office.update(0x17, content, offset).hex() == answer
    assert office.update(0x1B, b"\x01").hex() == "6a82"
    if name in CARDS:
        assert office.update(0x18, b"\x01").hex() == "6981"
    assert chip.transceive(office.secured(office.head("update_binary", 0x17, 0), b"\x01")).hex() == "6a86"
    assert chip.image.content.files[0x17] == bytes(size)
    assert office.update(0x17, b"\x07", size - 1) == OK
    assert chip.image.content.files[0x17][-2:] == b"\x00\x07"


@EACH
def test_stages_end_in_their_order(name: str):
    chip, office = powered(name)
    office.authenticate()
    assert office.end_stage(2).hex() == "6985"
    assert office.end_stage(3).hex() == "6a86"
    assert chip.transceive(office.secured(office.head("end_stage", 1, 1))).hex() == "6a86"
    assert chip.transceive(office.secured(office.head("end_stage", 1, 0), b"\x01")).hex() == "6700"
    office.run(office.initialisation())
    assert office.end_stage(1).hex() == "6985"
    for step in (office.application, lambda: office.file(office.profile["files"][0])):
        assert step().hex() == "6985"


@EACH
def test_stage_1_wants_a_control_key_the_application_and_all_files(name: str):
    for skipped in range(len(Office(name, bytes).initialisation()) - 1):
        chip, office = powered(name)
        answers = [step()[-2:] for number, step in enumerate(office.initialisation()) if number != skipped]
        fine = skipped == 0         # without the first authentication nothing else is taken
        assert answers[-1] != OK, skipped
        assert chip.image.stage == BLANK and (fine or answers[0] == OK)


@EACH
def test_stage_2_wants_all_keys_and_files(name: str):
    steps = len(Office(name, bytes).personalisation())
    files = sorted(PSAM_IMAGE.files if name in PSAMS else CARD_IMAGE.files)
    optional = {0x16} if name in CARDS else set()
    for skipped in range(1, steps):
        chip, office = initialised(name)
        for number, step in enumerate(office.personalisation()):
            if number != skipped:
                assert step() == OK
        from_end = skipped - steps
        is_file = -from_end <= len(files)
        needless = files[from_end] in optional if is_file else office.profile["keys"][skipped - 1]["usage"] in (
            ("maintenance",) if name in PSAMS else ())
        answer = office.end_stage(2)
        assert (answer == OK, chip.image.stage == PERSONALISED) == (needless, needless), skipped
        assert answer.hex() in ("9000", "6985")


@EACH
def test_a_file_counts_as_written_when_each_byte_is(name: str):
    chip, office = initialised(name)
    whole = office.personalisation()
    office.run(whole[:-1])                              # all but 17h
    content = office.content.files[0x17]
    assert office.update(0x17, content[:5]) == OK and office.end_stage(2).hex() == "6985"
    assert office.update(0x17, content[6:], 6) == OK and office.end_stage(2).hex() == "6985"
    assert office.update(0x17, content[5:6], 5) == OK and office.end_stage(2) == OK


@EACH_CARD
def test_a_finished_card_takes_none_of_the_set(name: str):
    chip, office = personalised(name)
    assert isinstance(chip, BlankCard)
    before = chip.card.image
    for command in ("get_chip", "external_authenticate", "write_key", "create_application", "create_file",
                    "update_binary", "end_stage"):
        assert chip.transceive(office.head(command)).hex() == "6985"
    assert chip.transceive(bytes.fromhex("00A40000023F00")).hex() == "6a82"
    assert chip.card.image is before


# --- a roll-over reaches a finished PSAM


@EACH_PSAM
def test_a_finished_psam_takes_a_new_version_and_uses_the_one_that_is_asked_for(name: str):
    chip, office = personalised(name)
    assert isinstance(chip, BlankPsam)
    assert office.write_key("purchase", 1, 2, "3DES", ROLLED).hex() == "6982"       # ended with stage 2
    assert office.authenticate() == OK
    assert office.write_key("purchase", 1, 1, "3DES", ROLLED).hex() == "6a80"
    assert office.write_key("purchase", 1, 2, "3DES", ROLLED) == OK
    for step in (office.application, lambda: office.update(0x16, bytes(6)), lambda: office.end_stage(2)):
        assert step().hex() == "6985"
    assert office.control(bytes(16), version=1).hex() == "6a80"
    assert office.authenticate() == OK and office.control(bytes(16), version=2) == OK
    assert office.authenticate() == OK                  # under the new one
    old = SimCard(CARD_IMAGE)
    new_image = CARD_IMAGE.copy()
    value = keys.card_key(keys.suite(0), ROLLED, ISSUER, SERIAL)
    new_image.keys["purchase"].append(new_image.keys["purchase"][0].__class__(1, 2, 0, value))
    again = BlankImage.from_json(chip.image.to_json())
    for sam in (chip, chip_of(again)):
        sam.power_on()
        for card in (old, SimCard(new_image)):
            card.power_on()
            say(card, SELECT_EPURSE)
            assert paid(card, sam)
    assert PsamImage.from_json(chip.psam.image.to_json()) == chip.psam.image


# --- power cuts and memories that refuse


@EACH
@pytest.mark.parametrize("moment", [BEFORE, AFTER])
def test_a_cut_at_any_command_leaves_the_state_before_or_after(name: str, moment: str):
    """And from there the rest of the work goes through."""
    reference, office = powered(name)
    states = [reference.image.to_json()]

    def noting(apdu: bytes) -> bytes:
        answer = reference.transceive(apdu)
        states.append(reference.image.to_json())
        return answer

    office.send = noting
    office.run(office.all_steps())
    exchanges = len(states) - 1
    for number in range(1, exchanges + 1):
        stored: list[Any] = []
        chip, office = powered(name, persist=lambda image, stored=stored: stored.append(image.to_json()))
        faults = Faults([f"{number}:{moment}"])
        office.send = lambda apdu, chip=chip, faults=faults: faults.exchange(chip, apdu)  # type: ignore[misc]
        with pytest.raises(Torn):
            office.run(office.all_steps())
        wanted = states[number if moment == AFTER else number - 1]
        kept = stored[-1] if stored else states[0]
        assert _same(chip.image.to_json(), wanted) and _same(kept, wanted), number

        again = chip_of(BlankImage.from_json(kept))
        again.power_on()
        finish(name, again)
        assert again.image.stage == PERSONALISED


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)


def finish(name: str, chip: Chip) -> None:
    """As whoever finds a half-written chip does: what is there already may be refused, the last step may not."""
    office = Office(name, chip.transceive)
    if not chip.image.control.transport:
        office.key = CONTROL_KEY
    if chip.image.stage == BLANK:
        for step in office.initialisation()[:1] if not chip.image.control.transport else office.initialisation()[:3]:
            assert step() == OK
        for step in office.initialisation()[3:]:
            step()
    if chip.image.stage == INITIALISED:
        for step in office.personalisation():
            step()
        assert office.end_stage(2) == OK


@EACH
def test_a_memory_that_refuses_is_6581_and_nothing_has_happened(name: str):
    for failing in range(1, 40):
        calls: list[int] = []

        def persist(image: BlankImage, calls: list[int] = calls, failing: int = failing) -> None:
            calls.append(1)
            if len(calls) == failing:
                raise OSError("worn out")

        chip, office = powered(name, persist=persist)
        for step in office.all_steps():
            before = chip.image
            answer = step()
            if answer != OK:
                assert answer.hex() == "6581" and chip.image is before
                assert step()[-2:] == OK                # the next try may succeed
        assert chip.image.stage == PERSONALISED
        if len(calls) < failing:
            return
    raise AssertionError("there are more stores than this test tries")


def test_a_tear_is_told_by_the_commands_name():
    chip, office = powered(CARDS[0])
    faults = Faults(["write-key/2:before"])
    office.send = lambda apdu: faults.exchange(chip, apdu)
    with pytest.raises(Torn, match="write-key"):
        office.run(office.all_steps())
    assert [len(held) for held in chip.image.content.keys.values()] == [0, 0, 0, 0]     # control came first
    assert chip.image.stage == INITIALISED


def test_challenges_can_be_given_and_run_out():
    chip, office = powered(CARDS[0], random=replay([bytes(8)]))
    assert chip.transceive(office.head("get_challenge") + b"\x08") == bytes(8) + OK
    with pytest.raises(RandomSpent):
        chip.transceive(office.head("get_challenge") + b"\x08")


# --- images and profiles


@EACH
def test_an_image_is_kept_at_every_step(name: str, tmp_path: Path):
    path = tmp_path / "blank.json"
    chip, office = powered(name, persist=lambda image: image.save(path))
    for step in office.all_steps():
        assert step()[-2:] == OK
        if path.exists():
            assert BlankImage.load(path) == chip.image == load_image(path)
    assert json.loads(path.read_text())["format"] == "yikatong-blank/1"


def test_every_field_of_a_blank_stands_in_the_documentation():
    text = (Path(__file__).parents[1] / "docs" / "image.md").read_text(encoding="utf-8").partition("## Blank")[2]
    top = blank_images(1, CARDS[0], TEST_TRANSPORT)[0].to_json()
    assert [name for name in (*top, *top["control"]) if f"`{name}`" not in text] == []


def test_images_of_all_kinds_are_told_apart(tmp_path: Path):
    for image in (CARD_IMAGE, PSAM_IMAGE, blank_images(1, CARDS[0], TEST_TRANSPORT)[0]):
        image.save(tmp_path / "image.json")
        assert type(load_image(tmp_path / "image.json")) is type(image)
    (tmp_path / "image.json").write_text('{"format": "yikatong-moon/1"}')
    with pytest.raises(ImageError, match="yikatong-card/1.*yikatong-psam/1.*yikatong-blank/1"):
        load_image(tmp_path / "image.json")


def test_several_key_versions_are_kept_and_doubles_refused():
    image = CARD_IMAGE.copy()
    kind = type(image.keys["purchase"][0])
    image.keys["purchase"].append(kind(1, 2, 0, ROLLED))
    assert CardImage.from_json(image.to_json()) == image
    image.keys["purchase"].append(kind(1, 2, 0, bytes(16)))
    with pytest.raises(ImageError, match=r"purchase\[2\]: that index, version and algorithm are taken"):
        CardImage.from_json(image.to_json())


def test_the_newest_version_under_an_index_pays_with_the_tac_key_of_that_version():
    image = CARD_IMAGE.copy()
    kind = type(image.keys["purchase"][0])
    image.keys["purchase"].insert(0, kind(1, 2, 0, keys.card_key(keys.suite(0), ROLLED, ISSUER, SERIAL)))
    image.keys["tac"].insert(0, kind(1, 2, 0, ROLLED))
    sam_image = PSAM_IMAGE.copy()
    sam_image.keys["purchase"].insert(0, kind(1, 2, 0, ROLLED))
    sam_image.keys["purchase"].insert(0, kind(2, 2, 0, bytes(16)))      # another index, which file 17h does not name
    card, sam = SimCard(image), SimPsam(sam_image)
    card.power_on()
    sam.power_on()
    say(card, SELECT_EPURSE)
    assert paid(card, sam)
    assert card.image.last_proof is not None
    covered = keys.PURCHASE_TAC.pack(
        amount_fen=0, type=keys.COMPOUND, terminal=sam_image.files[0x16], terminal_seq=0, at=AT)
    ciphers = keys.suite(0)
    assert card.image.last_proof.tac == ciphers.mac(ciphers.tac_key(ROLLED), covered)


WRONG = [
    (("test_keys",), False, "test_keys must be true"),
    (("stage",), 3, "stage must be a whole number from 0 to 2"),
    (("stage",), 1, "transport key or without application is a blank"),
    (("tries_left",), 6, "tries_left must be"),
    (("serial",), "00", "serial must be 8 bytes"),
    (("control", "value"), "00", "control: value must be 16 bytes"),
    (("control", "more"), 1, "control: does not know more"),
    (("made",), ["0000"], r"made\[0\] must be 1 bytes"),
    (("written",), {"18": "00"}, "written: does not know 18"),
    (("written",), {"15": "00"}, "written: 15 must be 30 bytes"),
    (("card",), None, "has a card, and nothing else"),
    (("profile", "scheme"), "SM4", 'profile: scheme must be "3DES" or "AES"'),
    (("profile", "usages", "load"), 1, "usages: two have the same number"),
    (("profile", "files", 0, "count"), 31, "no room for 15 of that kind"),
    (("profile", "files"), [{"sfi": "15", "kind": "transparent", "count": 30, "bytes": 0}], "files: 16 is missing"),
    (("profile", "commands", "write_key"), "84", "commands: write_key must be 4 bytes"),
]


@pytest.mark.parametrize(("place", "value", "message"), WRONG)
def test_a_wrong_field_of_an_image_is_named(place: tuple[Any, ...], value: Any, message: str):
    top = json.loads(json.dumps(blank_images(1, CARDS[0], TEST_TRANSPORT)[0].to_json()))
    at = top
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    with pytest.raises(ImageError, match=message):
        BlankImage.from_json(top, "x.json")


def test_another_vendors_heads_and_numbers_are_data(tmp_path: Path):
    other = profile("sample_card_aes")
    other["name"] = "another"
    other["commands"].update(write_key="90F40000", end_stage="90F20000", external_authenticate="00820001")
    other["usages"].update(purchase=0x11, control=0x10)
    path = tmp_path / "another.json"
    path.write_text(json.dumps(other))
    chip, = blanks(1, path)
    chip.power_on()
    office = Office("sample_card_aes", chip.transceive)
    office.profile = other
    office.run(office.all_steps())
    assert chip.image.stage == PERSONALISED


def test_a_profile_that_is_not_there_is_named():
    with pytest.raises(ImageError, match="name one of sample_card_3des"):
        Profile.load("nosuch")
    assert {path.stem for path in PROFILES.glob("*.json")} == set(NAMES)


def test_no_repr_and_no_message_shows_a_key():
    chip, _ = personalised(CARDS[0])
    top = chip.image.to_json()
    shown = repr(chip.image).lower()
    assert CONTROL_KEY.hex() not in shown and repr(CONTROL_KEY)[2:-1] not in shown
    for wrong in (CONTROL_KEY.hex() + "0", CONTROL_KEY.hex() + "00"):
        top["control"]["value"] = wrong
        with pytest.raises(ImageError) as caught:
            BlankImage.from_json(top)
        assert CONTROL_KEY.hex()[:8] not in str(caught.value)


def test_production_knows_the_keys_that_are_written_in_the_simulator():
    for masters in (TEST_MASTERS, LEGACY_MASTERS):
        for value in (masters.purchase, masters.load, masters.tac, masters.maintenance):
            assert kcv("3DES", value) in KNOWN_TEST_KCVS["3DES"]
    assert all(kcv(algorithm, TEST_TRANSPORT) in KNOWN_TEST_KCVS[algorithm] for algorithm in ("3DES", "AES"))
