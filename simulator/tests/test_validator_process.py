"""The validator as a process, in the real MicroPython and at the desk: a card on an emulated PN532, a soft SAM, no
network.
"""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator import personalise
from simulator.card import SimCard
from simulator.field import Faults
from simulator.pn532_chip import Pn532Chip
from simulator.rig.program import Program
from simulator.tests.on_micropython import DESK, FIRMWARE, UNIX
from support.aes import cbc_encrypt
from support.bus import ISSUER, STORAGE_KEY, device_map
from tunion import cbor
from tunion.bcd import from_digits
from tunion.crypto import keys
from tunion.wire.soft_sam import make_blob

ENVIRONMENT = {"MICROPYPATH": str(FIRMWARE), "PYTHONPATH": str(FIRMWARE)}
WAIT_S = 20.0


class Post:
    """One validator's folder, reader and process."""

    def __init__(self, folder: Path, chip: Pn532Chip, command: list[str]) -> None:
        suite = keys.suite(0)
        blob = make_blob(
            STORAGE_KEY,
            cbc_encrypt,
            bytes(16),
            {ISSUER: suite.diversify(personalise.TEST_MASTERS.purchase, ISSUER)},
            from_digits("611000000042"),
            1,
            from_digits("20250101"),
            from_digits("20991231"),
        )
        self.folder = folder
        self.argv = [*command, str(folder / "device.cbor")]
        self.chip = chip
        self.values = device_map(
            reader={"driver": "pn532", "path": chip.path},
            sam={"driver": "soft", "blob": blob, "storage_key": STORAGE_KEY},
            server={"address": "127.0.0.1", "port": 9, "pin": bytes(32)},  # discard: nobody listens
            flash={"path": str(folder / "journal.nor"), "sectors": 8},
            same_card_s=0,
            statistics=True,
        )
        self.card = SimCard(personalise.example_card())
        self.write()

    def write(self, **changes: Any) -> None:
        (self.folder / "device.cbor").write_bytes(cbor.encode({**self.values, **changes}))

    def start(self) -> Program:
        program = Program("bus", self.argv, self.folder / "log", ENVIRONMENT)
        self.expect(program, "ready", 0)
        return program

    def expect(self, program: Program, what: str, since: int) -> dict[str, Any]:
        return program.expect(lambda line: line.get("what") == what, since, WAIT_S, what)

    def tap(self, program: Program, what: str, faults: Faults | None = None) -> dict[str, Any]:
        since = program.mark()
        self.chip.insert(self.card, faults)
        shown = self.expect(program, what, since)
        self.chip.remove()
        self.expect(program, "ready", since)
        return shown

    def refusal(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True)


@pytest.fixture(params=[(*UNIX, "-m", "boards.unix.main"), (*DESK, "-m", "boards.desk.main")], ids=["unix", "desk"])
def post(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path, Pn532Chip(tmp_path / "pn532"), list(request.param))
    yield made
    made.chip.close()


def test_a_tap_is_paid_and_the_figures_tell_where_its_time_went(post: Post):
    program = post.start()
    assert post.tap(program, "paid")["fare_fen"] == 200
    since = program.mark()
    program.say("stats")
    figures = post.expect(program, "stats", since)
    program.stop()
    assert (figures["taps"], figures["card_exchanges"], figures["sam_exchanges"]) == (1, 4, 2)
    assert (figures["reader_times"], figures["sam_times"], figures["flash_times"]) == (4, 4, 2)
    assert figures["tap_us"] >= figures["reader_us"] + figures["sam_us"] + figures["flash_us"]
    assert figures["waiting"] == 2 and figures["heap_used"] > 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, None])
def test_it_ends_with_0_on_a_signal_and_when_its_input_is_closed(post: Post, how: signal.Signals | None):
    program = post.start()
    if how is None:
        program._process.stdin.close()
    else:
        program._process.send_signal(how)
    assert program._process.wait(WAIT_S) == 0


def test_a_signal_in_the_middle_of_a_debit_waits_for_the_outcome(post: Post):
    program = post.start()

    def on_exchange(name: str, number: int) -> None:
        if name == "debit":
            program._process.send_signal(signal.SIGTERM)

    post.chip.insert(post.card, Faults(on_exchange=on_exchange))
    post.expect(program, "paid", 0)
    assert program._process.wait(WAIT_S) == 0
    post.chip.remove()
    program = post.start()
    assert post.card.image.balance_fen == 4800
    since = program.mark()
    program.say("grey")
    assert post.expect(program, "grey", since)["claims"] == 0
    program.stop()


def test_a_claim_survives_sigkill_and_grey_ends_it(post: Post):
    program = post.start()
    post.tap(program, "tap_again", Faults(tear_at=["debit:after"]))
    program.kill()
    program = post.start()
    assert post.tap(program, "recovered")["balance_fen"] == 4800
    post.tap(program, "tap_again", Faults(tear_at=["debit:before"]))
    since = program.mark()
    program.say("grey")
    assert post.expect(program, "grey", since)["claims"] == 1
    program.stop()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"key": b"short"}, "key takes 32 bytes"),
        ({"flash": {"path": "/nowhere/journal.nor"}}, "/nowhere"),
        ({"flash": {"path": "/proc/version"}}, "/proc/version"),
    ],
)
def test_what_it_cannot_start_with_is_named_and_ends_with_1(post: Post, changes: dict[str, Any], named: str):
    post.write(**changes)
    done = post.refusal()
    assert done.returncode == 1 and named in done.stderr and "Traceback" not in done.stderr


def test_a_flash_image_of_something_else_is_named_and_left_alone(post: Post):
    image = post.folder / "journal.nor"
    image.write_bytes(b"photos" * 5461 + bytes(2))
    before = image.read_bytes()
    done = post.refusal()
    assert done.returncode == 1 and "neither blank nor a journal" in done.stderr
    assert image.read_bytes() == before


def test_over_a_flash_of_something_else_it_says_so_and_takes_no_card(post: Post):
    (post.folder / "journal.nor").write_bytes(bytes(32768))
    program = Program("bus", post.argv, post.folder / "log", ENVIRONMENT)
    assert "neither blank nor a journal" in post.expect(program, "fault", 0)["detail"]
    post.chip.insert(post.card)
    program.say("stats")
    post.expect(program, "unknown", 0)
    assert (program.stop(), post.card.image.balance_fen) == (1, 5000)
    assert (post.folder / "journal.nor").read_bytes() == bytes(32768)


def test_an_unplugged_reader_is_said_and_cards_are_taken_when_it_is_back(post: Post):
    program = post.start()
    since = program.mark()
    path = Path(post.chip.path)
    post.chip.close()
    assert post.expect(program, "fault", since)["part"] == "reader"
    post.chip = Pn532Chip(path)
    post.expect(program, "back", since)
    post.tap(program, "paid")
    program.stop()


def test_every_line_is_one_json_object_with_words_in_both_languages(post: Post):
    program = post.start()
    post.tap(program, "paid")
    program.stop()
    assert not program._noise
    for line in program.lines:
        assert line["zh"] and line["en"], json.dumps(line)
