"""`ykt card` as a person meets it: clear refusals, a clean end, traces without card numbers."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.dual_card import card_of
from simulator.image import CardImage
from simulator.pcscd import Pcscd, free_port_pair
from simulator.personalise import IMAGES
from simulator.stx_etx_reader import PROFILES
from simulator.tests import clients
from simulator.tests.flows import (
    ENTRY,
    FCI,
    GET_BALANCE,
    PLAIN,
    SELECT_EPURSE,
    SELECT_SAM,
    card_flow,
    card_randoms,
    sam_flow,
)
from simulator.tests.on_micropython import DESK, Driver
from simulator.trace import Traced
from tools.cli import main

CARD, PSAM = str(IMAGES / "card.json"), str(IMAGES / "psam.json")
END_S = 20
LIST = "4A0100"


class Served:
    """`ykt card serve` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.cli", "card", "serve", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.first = self.line()

    def line(self) -> str:
        """The next line it prints; it ends where the process does."""
        assert self.process.stdout
        return self.process.stdout.readline().rstrip("\n")

    def end(self, how: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Exit code, the rest of what it printed, its errors."""
        self.process.send_signal(how)
        return self.ended()

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=END_S)
        return self.process.returncode, out, err


@pytest.fixture
def serve() -> Iterator[type[Served]]:
    """Starts servers, and ends those that a failed test left."""
    started: list[Served] = []

    def start(*arguments: str) -> Served:
        started.append(Served(*arguments))
        return started[-1]

    yield start     # type: ignore[misc]
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate(timeout=END_S)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `ykt card` says when it ends with code 1."""
    assert main(["card", *arguments]) == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "words"), [
    (["--reader", "vpcd", "--image", "absent.json"], "absent.json: No such file.*ykt card new"),
    (["--reader", "vpcd", "--image", __file__], "not JSON"),
    (["--reader", "vpcd", "--image", PSAM], "is a PSAM: name it by --psam"),
    (["--reader", "vpcd", "--image", CARD, "--psam", CARD], "is a card: name it by --image"),
    (["--reader", "pn532", "--image", CARD, "--psam", PSAM], "no slot for a PSAM.*--reader vpcd"),
    (["--reader", "pn532", "--image", CARD, "--link", "/absent/pn532"], "serial line at /absent/pn532.*name a path"),
])  # fmt: skip
def test_what_cannot_be_served_is_told_with_its_cure(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
):
    assert re.search(words, refused(capsys, "serve", *arguments))


def test_a_port_nobody_listens_on_names_pcscd(capsys: pytest.CaptureFixture[str]):
    port = str(free_port_pair())
    assert "start pcscd" in refused(capsys, "serve", "--reader", "vpcd", "--port", port, "--image", CARD)


@pytest.mark.parametrize("wrong", [
    ["--tear", "pay:after"], ["--tear", "debit"], ["--random", "12,XY"], ["--port", "0"], ["--port", "65535"],
    ["--latency-ms", "-1"], ["--reader", "usb"], [],
])  # fmt: skip
def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str], wrong: list[str]):
    arguments = ["--reader", "pn532", "--image", CARD] if wrong else []
    with pytest.raises(SystemExit) as left:
        main(["card", "serve", *arguments, *wrong])
    assert left.value.code == 2


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_it_cleanly(serve: type[Served], tmp_path: Path, how: signal.Signals):
    link = tmp_path / "pn532"
    server = serve("--reader", "pn532", "--image", CARD, "--link", str(link))
    assert server.first == f"310************0017 on the PN532 at {link}; Ctrl-C ends"
    assert server.end(how) == (0, "", "")
    assert not link.is_symlink()


@pytest.mark.parametrize(("reader", "name", "kind", "profile"), [
    ("stx-etx", "STX/ETX reader", "stx_etx", "sample_binary_xor"),
    ("stx-etx", "STX/ETX reader", "stx_etx", "sample_nibble_crc"),
    ("ccid", "CCID reader", "ccid", None),
])  # fmt: skip
def test_serial_readers_carry_card_and_psam(
    serve: type[Served], tmp_path: Path, reader: str, name: str, kind: str, profile: str | None
):
    link = str(tmp_path / "reader")
    chosen = ["--profile", profile] if profile else []
    server = serve("--reader", reader, "--image", CARD, "--psam", PSAM, "--link", link, "--trace", *chosen)
    assert server.first == f"310************0017 on the {name} at {link}; Ctrl-C ends"
    arguments = [link, str(PROFILES / f"{profile}.json")] if profile else [link]
    with Driver([kind, *arguments], interpreter=DESK) as driver:
        driver.open()
        assert driver.poll(1000)
        assert driver.transceive(bytes.fromhex(SELECT_EPURSE), 1000).hex().upper() == FCI + "9000"
    with Driver([f"{kind}_sam", *arguments, "1"], interpreter=DESK) as sam:
        sam.call("open")
    code, printed, _ = server.end()
    assert code == 0 and "psam < " in printed


def test_a_profile_that_does_not_exist_is_refused_with_those_that_do(capsys: pytest.CaptureFixture[str]):
    told = refused(capsys, "serve", "--reader", "stx-etx", "--image", CARD, "--profile", "none")
    assert "sample_binary_xor, sample_nibble_crc" in told


def test_a_trace_shows_every_exchange_and_no_card_number(serve: type[Served], tmp_path: Path):
    link = str(tmp_path / "pn532")
    server = serve("--reader", "pn532", "--image", CARD, "--link", link, "--trace")
    reads = ["00B095001E", "00B0950A06", "00B0951004", "00A40000020015", "00B0000A0A"]
    clients.tamashell(link, [LIST, *("4001" + apdu for apdu in [SELECT_EPURSE, GET_BALANCE, *reads])])
    code, printed, _ = server.end()
    assert code == 0
    assert f"card > {SELECT_EPURSE}\n" in printed and "card < 000013889000\n" in printed
    assert "card < " + FCI.replace("03104999000000000017", "0310" + "*" * 12 + "0017") + "9000\n" in printed
    assert "card < 0310********9000\n" in printed           # bytes 10 to 15 of the file
    assert "card < ****00179000\n" in printed               # bytes 16 to 19
    assert "499900" not in printed


def test_saved_changes_are_in_the_file_and_unsaved_ones_are_not(serve: type[Served], tmp_path: Path):
    link = str(tmp_path / "pn532")
    for save, balance_fen in ((True, 4800), (False, 5000)):
        image = tmp_path / f"{save}.json"
        image.write_bytes(Path(CARD).read_bytes())
        server = serve("--reader", "pn532", "--image", str(image), "--link", link, "--random", "A1B2C3D4",
                       *(["--save"] if save else []))  # fmt: skip
        apdus = [SELECT_EPURSE, PLAIN["init_cmd"], PLAIN["debit_cmd"]]
        answers = clients.tamashell(link, [LIST, *("4001" + apdu for apdu in apdus)])
        assert answers[-1] == "00" + PLAIN["debit_rsp"]
        assert server.end()[0] == 0
        assert CardImage.load(image).balance_fen == balance_fen


def test_randoms_that_run_out_end_it_with_a_reason(serve: type[Served], tmp_path: Path):
    link = str(tmp_path / "pn532")
    server = serve("--reader", "pn532", "--image", CARD, "--link", link, "--random", "A1B2C3D4")
    apdus = [SELECT_EPURSE, PLAIN["init_cmd"], PLAIN["init_cmd"]]
    assert len(clients.tamashell(link, [LIST, *("4001" + apdu for apdu in apdus)])) == 3     # the fourth is an error
    code, _, error = server.ended()
    assert code == 1 and "all 1 given random numbers are used" in error


def test_a_torn_card_comes_back_and_proves_its_debit(serve: type[Served], tmp_path: Path):
    link = str(tmp_path / "pn532")
    server = serve("--reader", "pn532", "--image", CARD, "--link", link, "--random", "A1B2C3D4",
                   "--tear", "debit:after")  # fmt: skip
    apdus = [SELECT_EPURSE, PLAIN["init_cmd"], PLAIN["debit_cmd"]]
    assert len(clients.tamashell(link, [LIST, *("4001" + apdu for apdu in apdus)])) == 3     # DEBIT is an error
    assert server.line() == "the card was torn away"
    assert server.line() == "back in the reader"
    answers = clients.tamashell(link, [LIST, "4001" + SELECT_EPURSE, "4001" + PLAIN["prove_cmd"]])
    assert answers[-1] == "00" + PLAIN["prove_rsp"]
    assert server.end()[0] == 0


def test_every_vector_goes_through_the_command_and_pcscd(serve: type[Served]):
    randoms = ",".join(random.hex() for random in card_randoms())
    with Pcscd() as pcscd:
        server = serve("--reader", "vpcd", "--port", str(pcscd.port), "--image", CARD, "--psam", PSAM,
                       "--random", randoms, "--trace")  # fmt: skip
        told = f"310************0017 in the virtual reader, port {pcscd.port} and a PSAM beside it; Ctrl-C ends"
        assert {server.first, server.line(), server.line()} == {told, "card on", "psam on"}
        flow = card_flow()
        assert clients.scriptor(pcscd, 0, "T=1", [one.command for one in flow]) == [one.answer for one in flow]
        flow = sam_flow()
        assert clients.scriptor(pcscd, 1, "T=0", [one.command for one in flow]) == [one.answer for one in flow]
        code, printed, error = server.end()
    assert (code, error) == (0, "")
    assert f"psam > {SELECT_SAM}\n" in printed
    assert ENTRY["psam_8070_cmd"] not in printed and "499900" not in printed


def test_a_reader_that_dies_gets_the_card_back(serve: type[Served]):
    with Pcscd() as pcscd:
        server = serve("--reader", "vpcd", "--port", str(pcscd.port), "--image", CARD, "--trace")
        assert "card on" in (server.first, server.line())
        pcscd.kill()
        assert server.line() == "the reader went away"
        pcscd.start()
        assert {server.line(), server.line()} == {"back in the reader", "card on"}
        assert clients.opensc(pcscd, 0, [SELECT_EPURSE])[0].endswith("9000")
        assert server.end()[0] == 0


def test_a_new_card_may_have_a_second_application_and_both_numbers_stay_masked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    path = tmp_path / "new.json"
    made = ["new", "--image", str(path), "--number", "3104840000000000001", "--legacy-number", "5800010000000042"]
    assert main(["card", *made]) == 0
    second = CardImage.load(path).second
    assert second is not None and second.serial.hex() == "00005800010000000042" and second.balance_fen == 5000
    lines: list[str] = []
    image = CardImage.load(path)
    card = Traced(card_of(image), "card", lines.append, image.serial, second.serial)
    card.power_on()
    for apdu in ("00A4040008A000000632010105", "00B095001E", "00A4040008F0594B544F4C4431", "00B0850020"):
        assert card.transceive(bytes.fromhex(apdu))[-2:] == b"\x90\x00"
    assert "0000000042" not in "".join(lines) and "0000000001" not in "".join(lines)
    assert "".join(lines).count("****") > 2


def test_a_new_card_is_made_and_never_over_another_file(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "new.json"
    made = ["new", "--image", str(path), "--number", "3104840000000000001", "--kind", "2", "--balance-fen", "1234"]
    assert main(["card", *made]) == 0
    assert "3104840000000000001" not in capsys.readouterr().out
    image = CardImage.load(path)
    assert image.serial.hex() == "03104840000000000001"
    assert (image.balance_fen, image.files[0x17][10]) == (1234, 2)
    assert "exists: remove it first" in refused(capsys, *made)
    elsewhere = ["new", "--image", str(tmp_path / "absent" / "x.json"), "--number", "3104840000000000001"]
    assert "name a file in a folder that exists" in refused(capsys, *elsewhere)
    assert "balance must lie" in refused(
        capsys, "new", "--image", str(tmp_path / "y.json"), "--number", "3104840000000000001", "--balance-fen=-1"
    )


