"""The validator as a process with serial readers and SAMs that its device file names, in the real MicroPython and at
the desk: paid, torn and taken up again, unplugged and back.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.ccid_reader import CcidReader
from simulator.field import Faults
from simulator.personalise import example_psam
from simulator.pn532_chip import Pn532Chip
from simulator.psam import SimPsam
from simulator.stx_etx_reader import StxEtxReader, load_profile
from simulator.t0_sam import Contact, T0Sams
from simulator.tests.on_micropython import DESK, UNIX
from simulator.tests.test_validator_process import Post

IN_READER = {"driver": "reader", "slot": 1}


class SerialPost(Post):
    """A validator whose reader, and SAM, are of one kind."""

    def __init__(self, folder: Path, kind: str, command: list[str]) -> None:
        self.psam = SimPsam(example_psam())
        self.sams: T0Sams | None = None
        link = folder / "reader"
        reader: dict[str, Any]
        if kind == "ccid":
            self.make: Callable[[], Any] = lambda: CcidReader(link, [self.psam])
            reader, sam = {"driver": "ccid", "path": str(link)}, IN_READER
        elif kind == "uart":
            self.make = lambda: Pn532Chip(link)
            self.sams = T0Sams([None, None, Contact(self.psam)], (folder / "sam", folder / "pins"))
            reader = {"driver": "pn532", "path": str(link)}
            sam = {"driver": "uart", "path": str(folder / "sam"), "pins": str(folder / "pins"), "slot": 2}
        else:
            profile = load_profile(kind)
            self.make = lambda: StxEtxReader(profile, link, [self.psam])
            reader, sam = {"driver": "stx_etx", "path": str(link), "profile": profile}, IN_READER
        super().__init__(folder, self.make(), command)
        self.values.update(reader=reader, sam=sam)
        self.write()

    def close(self) -> None:
        self.chip.close()
        if self.sams:
            self.sams.close()


@pytest.fixture(params=["sample_binary_xor", "sample_nibble_crc", "ccid", "uart"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[(*UNIX, "-m", "boards.unix.main"), (*DESK, "-m", "boards.desk.main")], ids=["unix", "desk"])
def post(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Iterator[SerialPost]:
    made = SerialPost(tmp_path, kind, list(request.param))
    yield made
    made.close()


def test_a_tap_is_paid_a_torn_one_is_recovered_and_a_pulled_cable_is_said(post: SerialPost):
    program = post.start()
    assert post.tap(program, "paid")["fare_fen"] == 200
    post.tap(program, "tap_again", Faults(tear_at=["debit:after"]))
    assert post.tap(program, "recovered")["balance_fen"] == 4600
    since = program.mark()
    post.chip.close()
    post.expect(program, "fault", since)
    post.chip = post.make()
    post.expect(program, "back", since)
    assert post.tap(program, "paid")["balance_fen"] == 4400
    program.stop()
    assert post.psam.image.terminal_counter - example_psam().terminal_counter == 3, "the SAM saw every MAC2"
