"""The validator as a process at a gate: flaps on a pty that time out, jam, babble and go away; people who walk."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.gate import VirtualGate
from simulator.pn532_chip import Pn532Chip
from simulator.tests.on_micropython import DESK, UNIX, wait_until
from simulator.tests.test_validator_process import Post
from support import rides
from validator.ports import ENTRY

OPEN_S = 1


class GatePost(Post):
    """A validator with a reader and flaps."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        super().__init__(folder, Pn532Chip(folder / "reader"), command)
        self.link = folder / "gate"
        self.flaps = VirtualGate(self.link)
        self.values.update(
            role="entry", fare=rides.metro().to_map(), city=rides.CITY, network=rides.NETWORK, place_coding="L0S0",
            gate={"driver": "serial", "path": str(self.link), "open_s": OPEN_S}, same_card_s=0,
            duty={"stop": 211},
        )  # fmt: skip
        self.write()

    def open_for(self, ways: int) -> None:
        wait_until(lambda: self.flaps.is_open == ways, f"flaps open for {ways}")

    def close(self) -> None:
        self.chip.close()
        self.flaps.close()


LARGE = (UNIX[0], "-X", "heapsize=1m")  # compiled on the spot, a tariff and a gate are more than a bus


@pytest.fixture(params=[(*LARGE, "-m", "boards.unix.main"), (*DESK, "-m", "boards.desk.main")], ids=["unix", "desk"])
def post(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GatePost]:
    made = GatePost(tmp_path, list(request.param))
    yield made
    made.close()


def card_of(post: GatePost) -> Any:
    return post.card.image


def test_one_tap_one_person_and_a_permit_that_lapsed_is_the_cards_again(post: GatePost) -> None:
    program = post.start()
    before = card_of(post).offline_counter
    assert not post.flaps.walk(ENTRY)
    post.tap(program, "enter")
    post.open_for(0)
    post.tap(program, "enter")
    assert post.flaps.walk(ENTRY)
    assert not post.flaps.walk(ENTRY), "one permit, one person"
    assert card_of(post).offline_counter == before + 1, "one entry on the card"
    wait_until(lambda: post.flaps.told, "the validator's answer to all that was seen")
    post.tap(program, "refused")
    assert not post.flaps.walk(ENTRY)
    program.stop()


def test_a_jam_and_a_pulled_cable_are_said_and_the_gate_is_closed_meanwhile(post: GatePost) -> None:
    program = post.start()
    since = program.mark()
    post.flaps.hand("jam", True)
    assert post.expect(program, "fault", since)["part"] == "gate"
    post.expect(program, "closed", since)
    since = program.mark()
    post.flaps.hand("jam", False)
    post.expect(program, "ready", since)
    since = program.mark()
    post.flaps.close()
    post.expect(program, "closed", since)
    post.flaps = VirtualGate(post.link)
    post.expect(program, "ready", since)
    post.tap(program, "enter")
    assert post.flaps.walk(ENTRY)
    program.stop()


def test_a_gate_that_starts_again_is_greeted_and_the_permit_is_not_lost(post: GatePost) -> None:
    program = post.start()
    post.tap(program, "enter")
    since = program.mark()
    post.flaps.restart()
    post.expect(program, "closed", since)
    post.expect(program, "ready", since)
    post.tap(program, "enter")
    assert post.flaps.walk(ENTRY)
    program.stop()


def test_on_a_line_that_loses_and_garbles_one_permit_is_one_person(post: GatePost) -> None:
    dice = random.Random(7)

    def spoil(frame: bytes) -> bytes:
        roll = dice.randrange(6)
        if roll == 0:
            return b""
        if roll == 1:
            return frame[: dice.randrange(9)] + b":\xff"
        if roll == 2:
            return frame + frame
        return frame

    post.flaps.spoil = spoil
    program = post.start()
    for _ in range(12):
        post.flaps.babble(bytes(dice.randrange(256) for _ in range(dice.randrange(20))))
    post.tap(program, "enter")
    post.open_for(ENTRY)
    assert post.flaps.walk(ENTRY)
    wait_until(lambda: not post.flaps.is_open, "flaps shut")
    assert [command for command in post.flaps.commands if command[0] == "O"] == [("O", ENTRY)]
    assert not post.flaps.walk(ENTRY)
    program.stop()


def test_a_gate_of_a_bus_is_refused_by_name(post: GatePost) -> None:
    post.write(role="bus")
    assert "gate.driver takes serial only where role is entry" in post.refusal().stderr
