"""The PN532 as a host meets it on its serial line, and as libnfc does."""

import os
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.card import SimCard
from simulator.field import Faults
from simulator.personalise import example_card
from simulator.pn532_chip import Pn532Chip
from simulator.pn532_frame import ACK, NACK, SYNTAX_ERROR, Decoder, Frame, encode
from simulator.randomness import replay
from simulator.tests import clients
from simulator.tests.flows import ENTRY, FCI, GET_BALANCE, PUBLIC_FILE, SELECT_EPURSE

WAIT_S = 10             # for an answer that comes
SILENCE_S = 0.05        # to see that none does
LIST = "4A0100"
FOUND = "4B0101" "0004" "20" "04" "04A1B2C3" "0578808002"
WAKE = b"\x55\x55" + bytes(14)
TRIES_NONE, TRIES_SOME, TRIES_FOREVER = "3205FF0100", "3205FF0104", "3205FF01FF"


def frame(body: str) -> bytes:
    content = b"\xd4" + bytes.fromhex(body)
    length = len(content)
    return b"\x00\x00\xff" + bytes((length, -length & 255)) + content + bytes((-sum(content) & 255, 0))


class Host:
    """A host that writes bytes and reads what comes."""

    def __init__(self, chip: Pn532Chip) -> None:
        self.chip = chip
        self._line = os.open(chip.path, os.O_RDWR | os.O_NOCTTY)

    def send(self, raw: bytes) -> None:
        os.write(self._line, raw)

    def read(self, size: int, wait_s: float = WAIT_S) -> bytes:
        """`size` bytes, or fewer where no more come in time."""
        got = b""
        deadline = time.monotonic() + wait_s
        while len(got) < size and select.select([self._line], [], [], max(deadline - time.monotonic(), 0))[0]:
            got += os.read(self._line, size - len(got))
        return got

    def answer(self) -> str:
        """The body of the next answer."""
        head = self.read(5)
        if head[3] == 0xFF:
            head += self.read(3)
            return self.read((head[5] << 8 | head[6]) + 2)[1:-2].hex().upper()
        return self.read(head[3] + 2)[1:-2].hex().upper()

    def ask(self, body: str) -> str:
        """A command: it is acknowledged, and answered."""
        self.send(frame(body))
        assert self.read(len(ACK)) == ACK
        return self.answer()

    def silent(self) -> bool:
        return self.read(1, SILENCE_S) == b""

    def close(self) -> None:
        os.close(self._line)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host that has woken its chip."""
    chip = Pn532Chip(tmp_path / "pn532")
    made = Host(chip)
    made.send(WAKE)
    yield made
    made.close()
    chip.close()


def card(*randoms: str) -> SimCard:
    return SimCard(example_card(), replay([bytes.fromhex(one) for one in randoms]))


# --- the line


def test_a_sleeping_chip_hears_nothing_but_the_long_wake_up(tmp_path: Path):
    chip = Pn532Chip(tmp_path / "pn532")
    host = Host(chip)
    host.send(frame("02"))
    assert host.silent()
    host.send(WAKE)
    assert host.ask("02") == "0332010607"
    assert host.ask("1620") == "1700"       # PowerDown
    host.send(frame("02"))
    assert host.silent()
    host.send(WAKE + frame("02"))
    assert host.read(len(ACK)) == ACK
    assert host.answer() == "0332010607"
    host.close()
    chip.close()


@pytest.mark.parametrize("broken", [
    frame("02")[:-2] + b"\x00\x00",                     # data checksum
    b"\x00\x00\xff\x02\xff\xd4\x02\x2a\x00",            # length checksum
    b"\x00\x00\xff\x02\xfe\xd5\x02\x29\x00",            # direction
    bytes(range(256)),
])  # fmt: skip
def test_a_broken_frame_is_not_acknowledged_and_the_next_one_is(host: Host, broken: bytes):
    host.send(broken)
    assert host.silent()
    host.send(frame("02"))
    got = host.read(len(ACK) + 13)
    assert got == ACK + encode(bytes.fromhex("0332010607"))


def test_a_frame_that_was_cut_off_swallows_no_more_than_its_length(host: Host):
    host.send(b"\x00\x00\xff\x20\xe0\xd4\x02")          # 32 bytes announced, 2 sent
    host.send(frame("02") * 4)
    assert host.read(len(ACK) + 13) == ACK + encode(bytes.fromhex("0332010607"))


def test_a_nack_brings_the_last_answer_again(host: Host):
    assert host.ask("02") == "0332010607"
    host.send(NACK)
    assert host.answer() == "0332010607"


def test_an_ack_of_the_host_aborts_the_command_under_way(host: Host):
    host.ask(TRIES_FOREVER)
    host.send(frame(LIST))
    assert host.read(len(ACK)) == ACK
    host.send(ACK)
    host.chip.insert(card())
    assert host.silent()
    assert host.ask(LIST) == FOUND


def test_a_new_command_replaces_the_one_under_way(host: Host):
    host.ask(TRIES_FOREVER)
    host.send(frame(LIST))
    assert host.read(len(ACK)) == ACK
    assert host.ask("02") == "0332010607"
    host.chip.insert(card())
    assert host.silent()


def test_frames_split_anywhere_are_put_together():
    whole = WAKE + frame("02") + ACK + frame(LIST) + NACK
    expected = [Frame("command", b"\x02"), Frame("ack"), Frame("command", b"\x4a\x01\x00"), Frame("nack")]
    for cut in range(len(whole)):
        decoder = Decoder()
        assert decoder.feed(whole[:cut]) + decoder.feed(whole[cut:]) == expected


def test_long_bodies_travel_in_extended_frames():
    body = bytes((0x41, 0)) + bytes(258)
    sent = encode(body)
    assert sent[:8] == b"\x00\x00\xff\xff\xff\x01\x05\xfa"
    content = b"\xd4\x40" + bytes(262)
    command = b"\x00\x00\xff\xff\xff\x01\x08\xf7" + content + bytes((-sum(content) & 255, 0))
    assert Decoder().feed(command) == [Frame("command", content[1:])]
    assert Decoder().feed(b"\x00\x00\xff\xff\xff\x02\x00\xfe" + bytes(520)) == []     # longer than the chip takes


def test_a_slow_line_takes_ten_bits_a_byte(tmp_path: Path):
    waits: list[float] = []
    chip = Pn532Chip(tmp_path / "pn532", line_bits_per_s=115200, pause=waits.append)
    host = Host(chip)
    host.send(WAKE)
    host.ask("02")
    host.close()
    chip.close()
    assert [round(wait * 115200) for wait in waits] == [10 * len(ACK), 10 * 13]


def test_a_closed_chip_leaves_no_link_and_a_dead_link_is_replaced(tmp_path: Path):
    link = tmp_path / "pn532"
    link.symlink_to("/dev/pts/none")
    chip = Pn532Chip(link)
    assert os.path.realpath(link).startswith("/dev/pts/") and Path(chip.path).exists()
    chip.close()
    assert not link.is_symlink()


# --- commands


@pytest.mark.parametrize(("body", "answer"), [
    ("02", "0332010607"),
    ("1401", "15"),
    ("1214", "13"),
    ("320101", "33"),
    (TRIES_SOME, "33"),
    ("0000112233", "0100112233"),                       # line test: everything comes back
    ("0001", "0100"),
    ("0002", "0100"),
    ("0006", "0101"),                                   # no card
    ("0863021A", "09"),
    ("06630263", "0700"),
    ("42AA", "4327"),                                   # raw frames are refused
    ("4001" + SELECT_EPURSE, "4127"),                   # no card is listed
    ("4401", "4527"),
    ("5401", "5527"),
    ("5200", "5300"),                                   # to release nothing is no error
    ("5202", "5327"),
])  # fmt: skip
def test_commands_without_a_card(host: Host, body: str, answer: str):
    assert host.ask(body) == answer


@pytest.mark.parametrize("body", ["04", "60", "4A", "4A0000", "4A0300", "32", "320500", "0009", "14"])
def test_what_the_chip_does_not_know_gets_an_error_frame(host: Host, body: str):
    host.send(frame(body))
    assert host.read(len(ACK)) == ACK
    assert host.read(len(SYNTAX_ERROR)) == SYNTAX_ERROR


def test_registers_keep_what_is_written(host: Host):
    assert host.ask("0863021A63038F") == "09"
    assert host.ask("0663026303") == "071A8F"


def test_a_card_that_is_there_is_found_at_once(host: Host):
    host.chip.insert(card())
    assert host.ask(LIST) == FOUND
    assert host.chip.active


def test_the_chip_waits_for_a_card_as_long_as_it_was_told(host: Host):
    assert host.ask(TRIES_NONE) == "33"
    assert host.ask(LIST) == "4B00"
    assert host.ask(TRIES_SOME) == "33"
    assert host.ask(LIST) == "4B00"


def test_after_reset_it_waits_for_ever_and_finds_a_card_that_comes(host: Host):
    host.send(frame(LIST))
    assert host.read(len(ACK)) == ACK
    assert host.silent()
    host.chip.insert(card())
    assert host.answer() == FOUND


@pytest.mark.parametrize(("uid", "wanted", "found"), [
    ("04A1B2C3", "04A1B2C3", True),
    ("04A1B2C3", "04A1B2C4", False),
    ("04A1B2C3D4E5F6", "", True),
])  # fmt: skip
def test_only_the_wanted_card_is_found(host: Host, uid: str, wanted: str, found: bool):
    image = example_card()
    image.uid = bytes.fromhex(uid)
    host.ask(TRIES_NONE)
    host.chip.insert(SimCard(image))
    answer = host.ask(LIST + wanted)
    assert (uid in answer) == found
    if len(uid) == 14:
        assert answer.startswith("4B0101" "0044" "20" "07")


def test_no_card_of_other_kinds_is_found(host: Host):
    host.ask(TRIES_SOME)
    host.chip.insert(card())
    for kind in ("0100FFFF0000", "0300"):
        assert host.ask("4A01" + kind) == "4B00"


@pytest.mark.parametrize(("between", "same"), [
    (["5201"], True),
    (["4401"], True),
    (["5201", "320100", "320101"], False),      # the field went off
])  # fmt: skip
def test_a_random_uid_lasts_as_long_as_the_field(host: Host, between: list[str], same: bool):
    image = example_card()
    image.uid = None
    host.ask(TRIES_NONE)
    host.chip.insert(SimCard(image))
    first = host.ask(LIST)
    for command in between:
        host.ask(command)
    assert (host.ask(LIST) == first) == same


def test_an_active_card_is_not_found_again_until_released(host: Host):
    host.ask(TRIES_NONE)
    host.chip.insert(card())
    assert host.ask(LIST) == FOUND
    assert host.ask(LIST) == "4B00"
    assert host.ask("5200") == "5300"
    assert host.ask(LIST) == FOUND


@pytest.mark.parametrize("reset", [["5201", LIST], ["4401", "5401"], ["320100", LIST]])
def test_release_deselect_and_field_off_make_the_card_forget(host: Host, reset: list[str]):
    host.ask(TRIES_NONE)
    host.chip.insert(card("00000000"))
    host.ask(LIST)
    assert host.ask("4001" + SELECT_EPURSE) == "4100" + FCI + "9000"
    for body in reset:
        host.ask(body)
    assert host.ask("4001" + GET_BALANCE) == "41006985"      # nothing is selected


def test_apdus_go_out_and_come_back_in_pieces(tmp_path: Path):
    """133 bytes out in three frames, 130 back in pieces of 48."""
    image = example_card()
    image.offline_counter, image.balance_fen = 0x13, 4800
    chip = Pn532Chip(tmp_path / "pn532", data_bytes_max=48)
    chip.insert(SimCard(image, replay([bytes.fromhex("0BADF00D")])))
    host = Host(chip)
    host.send(WAKE)
    host.ask(LIST)
    host.ask("4001" + SELECT_EPURSE)
    host.ask("4001")
    assert host.ask("4001" + ENTRY["init_cmd"]) == "4100" + ENTRY["init_rsp"]
    update = ENTRY["update_cache"][0]
    assert host.ask("4041" + update[:100]) == "4100"
    assert host.ask("4041" + update[100:200]) == "4100"
    assert host.ask("4001" + update[200:]) == "41009000"
    assert host.ask("4001" + ENTRY["debit_cmd"]) == "4100" + ENTRY["debit_rsp"]
    pieces = [host.ask("400100B201D480"), host.ask("4001"), host.ask("4001")]
    assert [piece[:4] for piece in pieces] == ["4140", "4140", "4100"]
    assert "".join(piece[4:] for piece in pieces) == update[10:] + "9000"
    host.close()
    chip.close()


def test_pieces_that_make_no_short_apdu_are_refused(host: Host):
    host.chip.insert(card())
    host.ask(LIST)
    assert host.ask("4041" + "00" * 200) == "4100"
    assert host.ask("4041" + "00" * 62) == "4107"
    assert host.ask("4001" + SELECT_EPURSE) == "4100" + FCI + "9000"


# --- cards that leave


def test_a_removed_card_is_a_time_out_and_so_is_one_that_came_back_unasked(host: Host):
    host.ask(TRIES_NONE)
    same = card()
    host.chip.insert(same)
    host.ask(LIST)
    assert host.ask("0006") == "0100"
    host.chip.remove()
    assert host.chip.left.is_set()
    assert host.ask("0006") == "0101"
    assert host.ask("4001" + SELECT_EPURSE) == "4101"
    host.chip.insert(same)
    assert host.ask("4001" + SELECT_EPURSE) == "4101"       # it has not been activated
    assert host.ask(LIST) == FOUND                          # and so it answers a search, released or not


def test_a_torn_card_is_a_time_out(host: Host):
    host.chip.insert(card(), Faults(["select:before"]))
    host.ask(LIST)
    assert host.ask("4001" + SELECT_EPURSE) == "4101"
    assert host.chip.left.is_set() and host.chip.torn


def test_a_hook_may_take_the_card_away_in_the_middle(host: Host):
    host.chip.insert(card(), Faults(on_exchange=lambda name, number: host.chip.remove()))
    host.ask(LIST)
    assert host.ask("4001" + SELECT_EPURSE) == "4101"
    assert host.chip.left.is_set() and not host.chip.torn


def test_given_randoms_that_run_out_end_the_card_with_a_reason(host: Host):
    host.chip.insert(card())
    host.ask(LIST)
    host.ask("4001" + SELECT_EPURSE)
    assert host.ask("4001" + ENTRY["init_cmd"]) == "4101"
    assert "given random numbers are used" in str(host.chip.error)


def test_one_card_at_a_time(host: Host):
    host.chip.insert(card())
    with pytest.raises(ValueError, match="remove it first"):
        host.chip.insert(card())


# --- libnfc


def test_libnfc_lists_our_card(tmp_path: Path):
    chip = Pn532Chip(tmp_path / "pn532")
    chip.insert(card())
    printed = clients.run(["nfc-list"], LIBNFC_DEVICE=f"pn532_uart:{chip.path}")
    chip.close()
    assert "1 ISO14443A passive target(s) found" in printed
    assert "UID (NFCID1): 04  a1  b2  c3" in printed
    assert "ATS: 78  80  80  02" in printed


def test_libnfc_lists_nothing_on_an_empty_antenna(tmp_path: Path):
    chip = Pn532Chip(tmp_path / "pn532")
    printed = clients.run(["nfc-list"], LIBNFC_DEVICE=f"pn532_uart:{chip.path}")
    chip.close()
    assert "passive target(s) found" not in printed


def test_libnfcs_shell_selects_our_application_and_reads_it(tmp_path: Path):
    chip = Pn532Chip(tmp_path / "pn532")
    chip.insert(card())
    apdus = [SELECT_EPURSE, GET_BALANCE, "00B095001E"]
    answers = clients.tamashell(chip.path, [LIST, *("4001" + apdu for apdu in apdus), "5200"])
    chip.close()
    assert answers[1:] == ["00" + FCI + "9000", "00" "00001388" "9000", "00" + PUBLIC_FILE + "9000", "00"]


def test_libnfcs_own_diagnosis_is_content(tmp_path: Path):
    chip = Pn532Chip(tmp_path / "pn532")
    printed = clients.run(["pn53x-diagnose"], LIBNFC_DEVICE=f"pn532_uart:{chip.path}")
    chip.close()
    assert printed.count(": OK") == 3 and "Failed" not in printed
