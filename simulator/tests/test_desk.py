"""The validator at the desk, on CPython with pyscard and pyserial: taps on the whole rig, and how it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.field import Faults
from simulator.rig.books import Books
from simulator.rig.depot import Depot
from simulator.rig.riders import Rider, riders
from simulator.rig.shift import TAP_WAIT_S, Post, in_parallel, says
from simulator.tests.on_micropython import FIRMWARE

SEED = 31
NOBODY = -1
PYTHON = [sys.executable]


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with Depot(tmp_path / "depot", PYTHON, str(FIRMWARE), board="desk") as depot:
        yield depot


def test_taps_and_torn_cards_at_the_desk_clear_to_the_fen(depot: Depot):
    people = riders(8, SEED, poor=NOBODY, expired=NOBODY)

    def rides(post: Post, ordinary: list[Rider], torn: Rider) -> None:
        post.tap_all(ordinary)
        assert post.tap(torn, Faults(tear_at=["debit:after"]))["what"] == "tap_again"
        assert post.tap(torn)["what"] == "recovered"
        post.end_shift()

    depot.power_on(depot.first)
    depot.power_on(depot.second)
    in_parallel(
        lambda: rides(depot.first, people[0:3], people[3]),
        lambda: rides(depot.second, people[4:7], people[7]),
    )
    figures = depot.centre.clear()

    books = Books(depot.centre.db, people, depot.posts)
    assert books.findings == []
    assert figures["taps"] == len(people) and figures["problems"] == []
    assert books.money.cleared_fen == books.money.debited_fen > books.money.open_fen == 0
    for post in depot.posts:
        assert post.figures()["taps"] == 5
        assert post.validator.stop() == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_debit_waits_for_the_outcome(depot: Depot, how: signal.Signals):
    """Both readers: the libraries are in the middle of a call when it comes."""
    for post, rider in zip((depot.first, depot.second), riders(2, SEED, poor=NOBODY, expired=NOBODY), strict=True):
        depot.power_on(post)
        validator = post.validator

        def on_exchange(name: str, number: int, pid: int = validator.pid) -> None:
            if name == "debit":
                os.kill(pid, how)

        post.door.insert(rider.card, Faults(on_exchange=on_exchange))
        validator.expect(says("paid"), 0, TAP_WAIT_S, "the tap's outcome")
        assert validator.wait() == 0
        post.door.remove()
        assert len(rider.debits) == 1


def test_the_panel_speaks_chinese_to_people_and_programs(depot: Depot):
    """As under MicroPython: readable as it comes, whatever the locale."""
    depot.power_on(depot.second)
    bus = depot.second.bus
    depot.second.validator.stop()
    command = [*PYTHON, "-m", "boards.desk.main", str(bus.device_file)]
    environment = {**os.environ, "PYTHONPATH": str(FIRMWARE), "LC_ALL": "C"}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        assert "请刷卡".encode() in process.stdout.readline()
        process.stdin.close()
        assert process.wait(TAP_WAIT_S) == 0


def test_what_it_cannot_start_with_is_named(tmp_path: Path):
    command = [*PYTHON, "-m", "boards.desk.main"]
    environment = {**os.environ, "PYTHONPATH": str(FIRMWARE)}
    for arguments, code, words in (([], 2, "DEVICE_CBOR"), ([str(tmp_path / "none")], 1, "none")):
        done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == code and words in done.stderr and "Traceback" not in done.stderr
