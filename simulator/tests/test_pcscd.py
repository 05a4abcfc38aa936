"""Our cards behind the real PC/SC stack, as other people's programs see them; and a daemon that dies."""

import subprocess
import sys
from pathlib import Path

import pytest

from simulator.card import SimCard
from simulator.field import Faults
from simulator.pcscd import Pcscd, PcscdFailed, free_port_pair, listening
from simulator.personalise import example_card, example_psam
from simulator.psam import SimPsam
from simulator.randomness import replay
from simulator.tests import clients
from simulator.tests.flows import (
    FCI,
    GET_BALANCE,
    PLAIN,
    PUBLIC_FILE,
    SELECT_EPURSE,
    SELECT_SAM,
    card_randoms,
)
from simulator.vpcd import ReaderGone, VpcdSlot

SLOT_S = 10
ROOT = Path(__file__).parents[2]


def card_with(balance_fen: int) -> SimCard:
    image = example_card()
    image.balance_fen = balance_fen
    return SimCard(image)


def inserted(slot: VpcdSlot, card: SimCard | SimPsam, faults: Faults | None = None) -> None:
    slot.insert(card, faults)
    assert slot.powered.wait(SLOT_S), "the reader did not power the card"


def test_opensc_selects_our_card_and_reads_balance_and_file_15(pcscd: Pcscd):
    slot = VpcdSlot(pcscd.port)
    inserted(slot, SimCard(example_card()))
    try:
        answers = clients.opensc(pcscd, 0, [SELECT_EPURSE, GET_BALANCE, "00B095001E"])
    finally:
        slot.remove()
    assert answers == [FCI + "9000", "00001388" "9000", PUBLIC_FILE + "9000"]


def test_the_reader_answers_for_the_uid(pcscd: Pcscd):
    slot = VpcdSlot(pcscd.port)
    inserted(slot, SimCard(example_card()))
    try:
        assert clients.opensc(pcscd, 0, ["FFCA000000"]) == ["04A1B2C3" "9000"]
    finally:
        slot.remove()


@pytest.mark.parametrize(("get_response", "answers"), [
    (False, [PLAIN["psam_8070_rsp"], "6985"]),
    (True, ["6108", PLAIN["psam_8070_rsp"]]),
])  # fmt: skip
def test_a_t0_psam_gets_its_commands_as_they_are_sent(pcscd: Pcscd, get_response: bool, answers: list[str]):
    """pcscd passes T=0 through untouched, Le included: a direct answer and 61xx both reach the client."""
    image = example_psam()
    image.settings.get_response = get_response
    slot = VpcdSlot(pcscd.port + 1)
    inserted(slot, SimPsam(image))
    try:
        got = clients.scriptor(pcscd, 1, "T=0", [SELECT_SAM, PLAIN["psam_8070_cmd"], "00C0000008"])
    finally:
        slot.remove()
    assert got[1:] == answers


def test_a_card_that_replaces_another_at_once_is_powered(pcscd: Pcscd):
    """pcscd looks every 0.4 s and took a card changed in between for the same one, which nobody powers."""
    slot = VpcdSlot(pcscd.port)
    for balance_fen in (100, 200, 300):
        inserted(slot, card_with(balance_fen))
        assert clients.opensc(pcscd, 0, [SELECT_EPURSE, GET_BALANCE])[1] == f"{balance_fen:08X}9000"
        slot.remove()


def test_a_torn_card_that_comes_back_at_once_proves_its_debit(pcscd: Pcscd):
    card, slot = SimCard(example_card(), replay(card_randoms())), VpcdSlot(pcscd.port)
    inserted(slot, card, Faults(["debit:after"]))
    with pytest.raises(subprocess.CalledProcessError):
        clients.opensc(pcscd, 0, [SELECT_EPURSE, PLAIN["init_cmd"], PLAIN["debit_cmd"]])
    assert slot.left.wait(SLOT_S) and slot.torn
    inserted(slot, card)
    try:
        assert clients.opensc(pcscd, 0, [SELECT_EPURSE, PLAIN["prove_cmd"]])[1] == PLAIN["prove_rsp"]
    finally:
        slot.remove()


def test_given_randoms_that_run_out_end_the_card_with_a_reason(pcscd: Pcscd):
    slot = VpcdSlot(pcscd.port)
    inserted(slot, SimCard(example_card(), replay([])))
    with pytest.raises(subprocess.CalledProcessError):
        clients.opensc(pcscd, 0, [SELECT_EPURSE, PLAIN["init_cmd"]])
    assert slot.left.wait(SLOT_S)
    assert "given random numbers are used" in str(slot.error)
    slot.remove()


def test_a_slot_holds_one_card_and_removing_none_is_nothing(pcscd: Pcscd):
    slot = VpcdSlot(pcscd.port)
    slot.remove()
    inserted(slot, card_with(1))
    with pytest.raises(ValueError, match="remove it first"):
        slot.insert(card_with(2))
    slot.remove()
    assert slot.left.is_set() and not slot.torn


def test_where_no_reader_listens_it_says_what_to_start():
    with pytest.raises(ReaderGone, match="start pcscd with its virtual reader first"):
        VpcdSlot(free_port_pair()).insert(card_with(1))


@pytest.mark.usefixtures("room_for_another")
def test_a_daemon_that_dies_lets_go_of_its_cards_and_comes_back_for_the_same_clients():
    with Pcscd() as own:
        slot, command = VpcdSlot(own.port), own.command(["true"])
        inserted(slot, card_with(100))
        first = own.pid
        own.kill()
        assert slot.left.wait(SLOT_S) and not slot.torn
        assert not listening(own.port)
        own.start()
        assert own.pid != first and own.command(["true"]) == command
        inserted(slot, card_with(200))
        assert clients.opensc(own, 0, [SELECT_EPURSE, GET_BALANCE])[1] == "000000C89000"
        slot.remove()


@pytest.mark.usefixtures("room_for_another")
def test_two_daemons_side_by_side_do_not_meet(pcscd: Pcscd):
    with Pcscd() as other:
        slots = VpcdSlot(pcscd.port), VpcdSlot(other.port)
        inserted(slots[0], card_with(100))
        inserted(slots[1], card_with(200))
        answers = [clients.opensc(daemon, 0, [SELECT_EPURSE, GET_BALANCE])[1] for daemon in (pcscd, other)]
        for slot in slots:
            slot.remove()
    assert answers == ["000000649000", "000000C89000"]


@pytest.mark.usefixtures("room_for_another")
def test_nothing_of_a_closed_daemon_is_left():
    with Pcscd() as own:
        port, pid = own.port, own.pid
        keeper = own.command(["true"])[1].partition("=")[2]
    assert not listening(port)
    assert not Path(f"/proc/{pid}").exists() and not Path(f"/proc/{keeper}").exists()


@pytest.mark.usefixtures("room_for_another")
def test_a_port_that_is_taken_is_told_with_the_daemons_words():
    with Pcscd() as first:
        second = Pcscd()
        second.port = first.port
        second._config.write_text(first._config.read_text())
        try:
            with pytest.raises(PcscdFailed, match="was taken by another program"):
                second.start()
        finally:
            second.close()


@pytest.mark.usefixtures("room_for_another")
def test_without_namespaces_the_machines_folder_is_used_under_a_lock():
    """In a container without the right to unshare; here, with that right taken away."""
    script = (
        "from simulator.pcscd import Pcscd\n"
        "from simulator.tests.test_pcscd import *\n"
        "with Pcscd() as own:\n"
        "    print(own.shared, own.command(['x']), own._lock is not None)\n"
        "    slot = VpcdSlot(own.port)\n"
        "    inserted(slot, card_with(100))\n"
        "    print(clients.opensc(own, 0, [SELECT_EPURSE, GET_BALANCE])[1])\n"
        "    slot.remove()\n"
    )
    own_run = "mkdir -p /run/pcscd && mount -t tmpfs tmpfs /run/pcscd && exec \"$@\""
    printed = clients.run([
        "unshare", "--mount", "--propagation=private", "sh", "-c", own_run, "sh",
        "setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin",
        sys.executable, "-c", script,
    ], PYTHONPATH=f"{ROOT}:{ROOT / 'firmware'}")  # fmt: skip
    assert printed.splitlines() == ["True ['x'] True", "000000649000"]
