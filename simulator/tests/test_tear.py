"""A card torn away, or its memory cut, at every moment: everything of one transaction happened, or nothing."""

import os
from pathlib import Path

import pytest

from simulator.card import NotPowered, SimCard
from simulator.field import AFTER, BEFORE, Faults, Torn, parse_tear
from simulator.image import CardImage
from simulator.personalise import example_card
from simulator.randomness import replay
from simulator.tests.flows import (
    ENTRY,
    LOAD,
    PLAIN,
    SELECT_EPURSE,
    card_randoms,
    say,
)

FLOWS = {
    "plain": [SELECT_EPURSE, PLAIN["init_cmd"], PLAIN["debit_cmd"]],
    "compound": [SELECT_EPURSE, ENTRY["init_cmd"], *ENTRY["update_cache"], ENTRY["debit_cmd"]],
    "load": [SELECT_EPURSE, LOAD["init_cmd"], LOAD["credit_cmd"]],
}
PROOFS = {
    "plain": (PLAIN["prove_cmd"], PLAIN["prove_rsp"]),
    "compound": (ENTRY["prove_cmd"], ENTRY["prove_rsp"]),
    "load": ("805A000202000408", LOAD["mac2"] + LOAD["tac"] + "9000"),
}
MOMENTS = [
    (flow, number, moment) for flow, steps in FLOWS.items() for number in range(1, len(steps) + 1)
    for moment in (BEFORE, AFTER)
]  # fmt: skip


def fresh(flow: str, persist=None) -> SimCard:
    """The card as it is before that flow's transaction in the vectors."""
    image = example_card()
    randoms = card_randoms()
    random = {"plain": randoms[0], "compound": randoms[1], "load": randoms[4]}[flow]
    if flow == "compound":
        image.balance_fen, image.offline_counter = 4800, 0x13
    if flow == "load":
        image.balance_fen = 4500
    return SimCard(image, replay([random]), persist)


def finished(flow: str) -> CardImage:
    card = fresh(flow)
    card.power_on()
    assert say(card, *FLOWS[flow]).endswith("9000")
    return card.image


@pytest.mark.parametrize(("flow", "number", "moment"), MOMENTS)
def test_a_torn_card_has_done_all_or_nothing_and_its_proof_tells_which(flow: str, number: int, moment: str):
    card, faults = fresh(flow), Faults([f"{number}:{moment}"])
    before = card.image.to_json()
    card.power_on()
    with pytest.raises(Torn):
        for command in FLOWS[flow]:
            faults.exchange(card, bytes.fromhex(command))

    with pytest.raises(NotPowered):
        say(card, SELECT_EPURSE)
    done = number == len(FLOWS[flow]) and moment == AFTER
    assert card.image.to_json() == (finished(flow).to_json() if done else before)
    asked, proof = PROOFS[flow]
    card.power_on()
    assert say(card, SELECT_EPURSE, asked) == (proof if done else "9406")


class PowerFails(Exception):
    """Stands for a kill: nothing after it runs."""


class DyingDisk:
    """The os functions that storing an image uses; power fails instead of call number `die_at`."""

    def __init__(self, die_at: int) -> None:
        self.left = die_at

    def write(self, handle: int, raw: bytes) -> int:
        if self.left == 0:
            os.write(handle, raw[: len(raw) // 2])      # torn in the middle
        self._live()
        return os.write(handle, raw)

    def fsync(self, handle: int) -> None:
        self._live()
        os.fsync(handle)

    def replace(self, old: str, new: Path) -> None:
        self._live()
        os.replace(old, new)

    def _live(self) -> None:
        if self.left == 0:
            raise PowerFails
        self.left -= 1


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("die_at", range(4))
def test_a_cut_at_any_step_of_storing_leaves_the_old_or_the_new_card(tmp_path: Path, flow: str, die_at: int):
    path = tmp_path / "card.json"
    fresh(flow).image.save(path)
    card = fresh(flow, lambda image: image.save(path, DyingDisk(die_at)))
    card.power_on()
    answer = ""
    try:
        answer = say(card, *FLOWS[flow])
    except PowerFails:
        pass

    survived = CardImage.load(path)
    steps = 3                                           # write, fsync, replace
    assert bool(answer) == (die_at == steps)            # so the range above reaches every step, and one past
    assert survived == (finished(flow) if answer else fresh(flow).image)
    again = SimCard(survived)
    again.power_on()
    asked, proof = PROOFS[flow]
    assert say(again, SELECT_EPURSE, asked) == (proof if answer else "9406")


@pytest.mark.parametrize("flow", FLOWS)
def test_a_memory_that_refuses_is_6581_and_the_card_is_as_before(flow: str):
    def refuses(image: CardImage) -> None:
        raise OSError("worn out")

    card = fresh(flow, refuses)
    before = card.image
    card.power_on()
    assert say(card, *FLOWS[flow]) == "6581"
    assert card.image is before
    assert say(card, FLOWS[flow][-1]) == "6901"         # that transaction is over
    asked, _ = PROOFS[flow]
    assert say(card, asked) == "9406"


def test_the_card_that_others_see_changes_only_after_it_is_stored():
    seen = []
    card = fresh("plain", lambda image: seen.append((card.image.balance_fen, image.balance_fen)))
    card.power_on()
    say(card, *FLOWS["plain"])
    assert seen == [(5000, 4800)]
    assert card.image.balance_fen == 4800


# --- faults


def test_a_tear_by_name_counts_occurrences_over_insertions():
    card, faults = fresh("compound"), Faults(["update/2:before"])
    card.power_on()
    for command in FLOWS["compound"][:3]:
        faults.exchange(card, bytes.fromhex(command))
    with pytest.raises(Torn, match="before exchange 4, update"):
        faults.exchange(card, bytes.fromhex(FLOWS["compound"][3]))
    card.power_on()
    assert faults.exchange(card, bytes.fromhex(SELECT_EPURSE)).endswith(b"\x90\x00")
    assert faults.exchange(card, bytes.fromhex(ENTRY["update_cache"][1])) == b"\x69\x01"    # happens once


def test_the_hook_runs_when_the_command_is_there_and_before_the_card_acts():
    card, seen = fresh("plain"), []
    faults = Faults(on_exchange=lambda name, number: seen.append((name, number, card.image.balance_fen)))
    card.power_on()
    for command in FLOWS["plain"]:
        faults.exchange(card, bytes.fromhex(command))
    assert seen == [("select", 1, 5000), ("init", 2, 5000), ("debit", 3, 5000)]


def test_latency_is_added_to_each_exchange():
    waits: list[float] = []
    card, faults = fresh("plain"), Faults(latency_ms=5, pause=waits.append)
    card.power_on()
    for command in FLOWS["plain"]:
        faults.exchange(card, bytes.fromhex(command))
    assert waits == [0.005] * 3


@pytest.mark.parametrize("text", ["", "debit", "debit:", "debit:late", "pay:after", "0:before", "debit/0:after"])
def test_a_misspelt_tear_is_refused(text: str):
    with pytest.raises(ValueError, match="is no tear|has that name"):
        parse_tear(text)
