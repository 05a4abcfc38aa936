"""A bus on the emulated ARM board, its whole firmware frozen: riders, a power cut, a modem in trouble, a hung firmware.

Reader, PSAM slot and modem are at the end of its serial lines; the back office is the real one.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backoffice.fleet import devices
from simulator.field import Faults
from simulator.modem import REFUSED
from simulator.nursery import popen
from simulator.rig.arm import STARTS_AT, ArmBus
from simulator.rig.books import Books, refusals
from simulator.rig.centre import Centre
from simulator.rig.depot import OTHERS_OPERATOR
from simulator.rig.provision import buses, other_terminal
from simulator.rig.riders import riders
from simulator.rig.terminals import tariff
from simulator.tests.on_micropython import ROOT

SEED = 11
RIDERS = 12
POOR, DENIED, TORN, EXPIRED, UNDER_POWER_CUT, TORN_AND_GONE = 3, 4, 2, 5, 7, 8
WAIT_S = 30.0
PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
WATCHDOG_MS = 1000


@pytest.fixture(scope="module")
def elf() -> Path:
    made = subprocess.run(
        [sys.executable, "-m", "tools.cli", "firmware", "freeze", "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return Path(json.loads(made.stdout)["elf"])


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    made = Centre(tmp_path / "centre")
    yield made
    made.close()


def new_bus(folder: Path, elf: Path, centre: Centre | None, denied: tuple[bytes, ...] = ()) -> ArmBus:
    fleet = buses(folder)
    server: dict[str, Any] = {"address": "127.0.0.1", "port": 9, "pin": bytes(32)}  # discard: nobody listens
    if centre is not None:
        centre.prepare(fleet)
        centre.open()
        server = {"address": "127.0.0.1", "port": centre.port, "pin": centre.pin}
    return ArmBus(fleet[0], elf, server, denied)


def test_a_shift_on_the_arm_board_adds_up_to_the_fen(tmp_path: Path, elf: Path, centre: Centre):
    people = riders(RIDERS, SEED, poor=POOR, expired=EXPIRED)
    bus = new_bus(tmp_path, elf, centre, (people[DENIED].serial,))
    post = bus.post
    try:
        post.power_on()
        for rider in people[:6]:
            if rider.number == TORN:
                assert post.tap(rider, Faults(tear_at=["debit:after"]))["what"] == "tap_again"
                assert post.tap(rider)["what"] == "recovered"
            else:
                post.tap(rider)
        post.drain()
        assert bus.modem.connections == 1

        bus.modem.drop_carrier()
        post.tap(people[6])
        post.drain()
        assert bus.modem.connections == 2, "a dropped call is dialled again"

        post.tap_under_power_cut(people[UNDER_POWER_CUT])   # the modem keeps its power, and its call
        post.tap(people[TORN_AND_GONE], Faults(tear_at=["debit:after"]))
        post.tap_all(people[9:])
        post.end_shift()
        assert bus.modem.restarts == 0
        assert centre.server is not None and centre.server.running
    finally:
        bus.close()
    figures = centre.clear()
    books = Books(centre.db, people, [post])

    assert books.findings == []
    assert figures["problems"] == []
    assert books.money.debited_fen == figures["cleared_fen"] + figures["open_fen"] > 0
    assert refusals([post]) == {"not_enough_money": 1, "denied": 1, "expired": 1}
    assert people[UNDER_POWER_CUT].taps[-1] in ("paid", "recovered") and len(people[UNDER_POWER_CUT].debits) == 1


def test_tap_on_and_tap_off_on_the_arm_board_adds_up_to_the_fen(tmp_path: Path, elf: Path, centre: Centre):
    """The driver's key between the two; a card torn at boarding and one at alighting come back."""
    people = riders(4, SEED, poor=-1, expired=-1)
    profile = devices.read(devices.DEVICES / "bus_segment.json")
    _, fare = tariff(profile.tariff, tmp_path / "tariffs", OTHERS_OPERATOR, int(time.time()))
    place = other_terminal(tmp_path, "C-207", "611000000201", profile.settings["line"], fare)
    centre.prepare((place,), tariffs=True)
    centre.open()
    server = {"address": "127.0.0.1", "port": centre.port, "pin": centre.pin}
    bus = ArmBus(place, elf, server, settings={**profile.settings, "same_card_s": 0})
    post = bus.post
    try:
        post.power_on()
        post.tell("login 1234")
        for torn in (people[1], people[2]):
            for rider in people:
                if rider is torn:
                    assert post.tap(rider, Faults(tear_at=["debit:after"]))["what"] == "tap_again"
                    assert post.tap(rider)["what"] == "recovered"
                else:
                    post.tap(rider)
            post.tell("stop +")
        post.end_shift()
    finally:
        bus.close()
    figures = centre.clear()
    books = Books(centre.db, people, [post])

    assert [rider.taps for rider in people] == [
        ["board", "alight"], ["tap_again", "recovered", "alight"], ["board", "tap_again", "recovered"],
        ["board", "alight"],
    ]  # fmt: skip
    assert (books.findings, figures["problems"]) == ([], [])
    assert books.money.debited_fen == figures["cleared_fen"] + figures["open_fen"] > 0


def test_a_modem_without_network_is_restarted_by_its_power_and_cards_are_taken_meanwhile(
    tmp_path: Path, elf: Path, centre: Centre
):
    (rider,) = riders(1, SEED, poor=-1, expired=-1)
    bus = new_bus(tmp_path, elf, centre)
    try:
        bus.modem.network = REFUSED
        bus.post.power_on()
        bus.post.tap(rider)
        assert bus.modem.restarted.wait(WAIT_S)
        assert bus.modem.connections == 0 and rider.taps == ["paid"]
        bus.modem.network = "roaming"
        bus.post.drain()
        assert bus.modem.connections > 0
    finally:
        bus.close()


def test_the_watchdog_resets_a_hung_firmware_and_the_validator_comes_back(tmp_path: Path, elf: Path):
    """From the prompt: the real loop, which outlives its time-out twice because it feeds, and then gets stuck.

    The board's time is counted in instructions here: how loaded this machine is makes no difference.
    """
    bus = new_bus(tmp_path, elf, None)
    program = f"""
import machine, time
from boards.qemu_mps2 import main
from validator import app
machine.mem32[{STARTS_AT:#x}] = 1
since_ms = None
step = app.Validator.step
def step_or_stick(self):
    global since_ms
    wait_ms = step(self)
    if since_ms is None and self._ready:
        since_ms = time.ticks_ms()
        machine.WDT(0, {WATCHDOG_MS})
    if since_ms is not None and time.ticks_diff(time.ticks_ms(), since_ms) > 2 * {WATCHDOG_MS}:
        print("stuck")
        while True:
            pass
    return wait_ms
app.Validator.step = step_or_stick
main.run()
"""
    command = [*bus.command(starts=False), "-icount", "shift=3,sleep=off"]
    board = popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    too_long = threading.Timer(WAIT_S, board.kill)
    too_long.start()
    try:
        assert board.stdin and board.stdout
        board.stdin.write(b"\x03\x01")
        board.stdin.flush()
        said = b""
        while not said.endswith(PROMPT):
            said += board.stdout.read(1) or _ended(said)
        board.stdin.write(program.encode() + b"\x04")
        board.stdin.flush()
        seen: list[bytes] = []
        while len(seen) < 3:
            line = board.stdout.readline() or _ended(b"\n".join(seen))
            seen += [mark for mark in (b'"what": "ready"', b"stuck") if mark in line]
    finally:
        too_long.cancel()
        board.kill()
        board.wait()
        bus.close()

    assert seen == [b'"what": "ready"', b"stuck", b'"what": "ready"']


def _ended(said: bytes) -> bytes:
    raise AssertionError(f"the board ended, or took over {WAIT_S} s, after: {said!r}")
