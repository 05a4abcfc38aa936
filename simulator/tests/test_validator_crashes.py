"""A validator that really crashes and really hangs, as a process: it is started again, says why, and in the end takes
no cards any more; what was wrong arrives at the back office.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.pn532_chip import Pn532Chip
from simulator.rig.depot import Depot
from simulator.rig.program import Program
from simulator.rig.riders import riders
from simulator.tests.on_micropython import DESK, FIRMWARE, UNIX, wait_until
from simulator.tests.test_validator_process import ENVIRONMENT, WAIT_S, Post

AGENT = str(FIRMWARE / "tests" / "hosted" / "faulty_board.py")
RESTART = ("sh", str(FIRMWARE / "boards" / "pc" / "restart.sh"))
AT_ONCE = {**ENVIRONMENT, "YKT_RESTART_WAIT_S": "0"}
SECRET = "3104999000000000666"
CRASH = 4
NOBODY = -1


class FaultyPost(Post):
    """A post whose reader's line has a fault when the test says so."""

    def __init__(self, folder: Path, chip: Pn532Chip, interpreter: tuple[str, ...]) -> None:
        self.fault = folder / "fault"
        super().__init__(folder, chip, [*interpreter, AGENT, str(self.fault)])
        os.mkfifo(folder / "fault.fifo")
        self.write(care={"watchdog_s": 4})

    def run(self, cause: str) -> Program:
        return Program("bus", self.argv, self.folder / "log", {**ENVIRONMENT, "YKT_RESET_CAUSE": cause})

    def end(self, program: Program) -> int:
        """Wait until it ends by itself; its exit code."""
        return program._process.wait(WAIT_S)


ROOMY = (UNIX[0], "-X", "heapsize=1m")  # the test board is compiled besides


@pytest.fixture(params=[ROOMY, DESK], ids=["unix", "desk"])
def post(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FaultyPost]:
    made = FaultyPost(tmp_path, Pn532Chip(tmp_path / "pn532"), request.param)
    yield made
    made.chip.close()


def test_three_crashes_end_in_safe_mode_and_no_log_holds_what_the_exception_said(post: FaultyPost):
    for _ in range(3):
        program = post.start()
        post.fault.write_text("crash")
        assert post.end(program) == CRASH
        post.fault.unlink()
    assert (post.folder / "log").read_text().count("crash: KeyError in drivers/pn532_frame:") == 3
    program = post.run("software")
    post.expect(program, "safe_mode", 0)
    post.chip.insert(post.card)
    since = program.mark()
    program.say("stats")
    assert post.expect(program, "stats", since)["taps"] == 0
    assert (program.stop(), post.card.image.balance_fen) == (0, 5000)
    for path in post.folder.iterdir():
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes()


def test_a_driver_that_hangs_is_ended_by_the_kernel(post: FaultyPost):
    program = post.start()
    post.fault.write_text("hang")
    assert post.end(program) == -signal.SIGALRM
    program = post.run("watchdog")
    post.expect(program, "ready", 0)
    post.tap(program, "paid")
    program.stop()


def test_restart_sh_starts_it_again_says_why_and_ends_as_it_does(post: FaultyPost):
    post.argv = [*RESTART, *post.argv]
    program = Program("bus", post.argv, post.folder / "log", AT_ONCE)
    post.expect(program, "ready", 0)
    for _ in range(2):
        since = program.mark()
        post.fault.write_text("hang")
        post.expect(program, "ready", since)
    since = program.mark()
    post.fault.write_text("hang")
    post.expect(program, "safe_mode", since)
    assert program.stop() == 0

    (post.folder / "journal.nor").write_bytes(b"photos" * 5461 + bytes(2))
    assert post.refusal().returncode == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_restart_sh_does_not_start_again_what_was_ended_from_outside(post: FaultyPost, how: signal.Signals):
    program = Program("bus", [*RESTART, *post.argv], post.folder / "log", AT_ONCE)
    post.expect(program, "ready", 0)
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(program.pid)], capture_output=True, text=True).stdout
    (child,) = map(int, children.split())
    os.kill(child, how)
    assert post.end(program) == (137 if how == signal.SIGKILL else 0)


def events(depot: Depot) -> list[str]:
    """What the back office knows of the second bus, in English."""
    said = depot.centre._clerk(
        "device", "events", "--db", depot.centre.db, "--id", depot.second.bus.device_id, "--json"
    )
    return [json.loads(line)["en"] for line in said.splitlines()]


def test_crashes_and_safe_mode_arrive_at_the_back_office_which_ends_it(tmp_path: Path):
    settings = {"sync_interval_s": 1, "care": {"watchdog_s": 10}}
    fault = tmp_path / "fault"
    os.mkfifo(tmp_path / "fault.fifo")
    micropython = [UNIX[0], "-X", "heapsize=1m"]
    with Depot(tmp_path / "depot", micropython, f"{FIRMWARE}:.frozen", settings=settings) as depot:
        bus = depot.second
        bus.start = lambda bus: Program(
            bus.name, [*RESTART, *micropython, AGENT, str(fault), str(bus.device_file)], tmp_path / "log",
            {**AT_ONCE, "MICROPYPATH": f"{FIRMWARE}:.frozen"},
        )  # fmt: skip
        depot.power_on(bus)
        first, second = riders(2, 5, poor=NOBODY, expired=NOBODY)
        assert bus.tap(first)["what"] == "paid"

        since = bus.validator.mark()
        fault.write_text("crash")
        bus.validator.expect(lambda line: line["what"] == "safe_mode", since, WAIT_S, "safe mode")
        fault.unlink()
        bus.drain()
        told = events(depot)
        crashes = [words for words in told if words.startswith("crash: KeyError in drivers/pn532_frame:")]
        assert len(crashes) == 3
        assert "safe mode: no cards are taken, crashed again and again" in told
        (device,) = [row for row in depot.centre.devices()["devices"] if row["device_id"] == bus.bus.device_id]
        assert {"safe_mode", "crashed"} <= set(device["alarms"])
        assert device["health"]["crash"][:2] == ["0.1.0", "KeyError"] and device["health"]["crashes"] == 3

        since = bus.validator.mark()
        depot.centre.order(bus.bus.device_id, "leave_safe_mode")
        bus.validator.expect(lambda line: line["what"] == "ready", since, WAIT_S, "ready again")
        assert bus.tap(second)["what"] == "paid"

        since = bus.validator.mark()
        fault.write_text("hang")
        bus.validator.expect(lambda line: line["what"] == "ready", since, 2 * WAIT_S, "ready after a hang")
        bus.drain()
        told = events(depot)
        assert "safe mode: left, by order of the office" in told and "reset by the watchdog" in told
        wait_until(lambda: "boot: by the watchdog" in events(depot), "the boot after the hang")
        (order,) = depot.centre.orders()
        assert (order["name"], order["result"]) == ("leave_safe_mode", 0)
        assert SECRET not in (tmp_path / "log").read_text()
        figures = depot.centre.clear()
        assert figures["problems"] == []
