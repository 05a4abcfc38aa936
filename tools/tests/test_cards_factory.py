"""Readers side by side: so many cards as were asked for, each once, and an end that leaves none half counted."""

import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backoffice.cards import making
from backoffice.cards.factory import Factory, Outcome
from backoffice.cards.line import CardGone
from backoffice.keys.service import NoKey
from backoffice.store import cards
from simulator.blank import blanks
from tools.paths import ROOT
from tools.tests.card_office import BATCH, ChipLine, Office


class Box:
    """A reader that is fed from a box of chips. `spoilt`: of which chips the first try is pulled."""

    def __init__(self, name: str, chips: "queue.SimpleQueue", spoilt: set[bytes] = frozenset()) -> None:
        self.name = name
        self.chips = chips
        self.spoilt = set(spoilt)
        self.shown: list[Outcome] = []

    def next_card(self, stop: threading.Event):
        if stop.is_set():
            return None
        try:
            self.chip = self.chips.get_nowait()
        except queue.Empty:
            return None
        serial = self.chip.image.serial
        cut = (40, "before") if serial in self.spoilt else None
        self.spoilt.discard(serial)
        return ChipLine(self.chip, cut)

    def uid(self) -> bytes:
        return self.chip.uid

    def finished(self, outcome: Outcome, stop: threading.Event) -> None:
        self.shown.append(outcome)
        if outcome.result == making.GONE:
            self.chips.put(self.chip)


@pytest.fixture
def office(tmp_path: Path):
    office = Office(tmp_path)
    yield office
    office.store.close()


def box_of(chips) -> "queue.SimpleQueue":
    box: queue.SimpleQueue = queue.SimpleQueue()
    for chip in chips:
        box.put(chip)
    return box


def test_three_readers_make_what_was_asked_and_no_more(office: Office):
    chips = blanks(12, office.profile, office.transport)
    box = box_of(chips)
    stations = [Box(f"reader {at}", box, {chips[at].image.serial}) for at in range(3)]
    seen: list[str] = []
    factory = Factory(office.maker(), stations, 8, "ann", "m", lambda name, outcome, tally: seen.append(outcome.result))
    tally = factory.run()
    assert (tally.good, tally.counts, tally.refusal) == (8, {"good": 8, "gone": 3}, "")
    assert sorted(seen) == ["gone"] * 3 + ["good"] * 8
    assert office.counts()["stock"] == 8 and office.check() == []
    numbers = [row["number"] for row in office.look(cards.listed, BATCH, "stocked")]
    assert len(set(numbers)) == 8
    assert all(station.shown for station in stations)


def test_a_box_that_is_empty_ends_the_run(office: Office):
    stations = [Box("reader", box_of(blanks(2, office.profile, office.transport)))]
    assert Factory(office.maker(), stations, 5, "ann", "m").run().good == 2


def test_stop_finishes_the_cards_in_hand(office: Office):
    box = box_of(blanks(6, office.profile, office.transport))
    stations = [Box("one", box), Box("two", box)]
    factory = Factory(office.maker(), stations, 6, "ann", "m", lambda *told: factory.stop())
    tally = factory.run()
    assert 1 <= tally.good <= 2 and sum(tally.counts.values()) == tally.good
    assert office.counts()["stock"] == tally.good and office.check() == []


def test_an_interrupt_leaves_no_thread_at_work(office: Office, monkeypatch):
    """KeyboardInterrupt in the thread that waits: the cards in hand are finished, then it comes out."""
    box = box_of(blanks(6, office.profile, office.transport))
    factory = Factory(office.maker(), [Box("one", box), Box("two", box)], 6, "ann", "m")
    true_join = threading.Thread.join
    calls = []

    def join(thread, timeout=None):
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        true_join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", join)
    with pytest.raises(KeyboardInterrupt):
        factory.run()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cards ")]
    assert office.check() == [] and office.counts()["good"] <= 6


def test_keys_that_fail_stop_all_readers_with_their_words(office: Office):
    def no_wrap(control, target):
        raise NoKey("the token is gone: plug it in")

    office.keys.wrap = no_wrap      # type: ignore[method-assign]
    box = box_of(blanks(6, office.profile, office.transport))
    tally = Factory(office.maker(), [Box("one", box), Box("two", box)], 6, "ann", "m").run()
    assert (tally.good, tally.refusal) == (0, "the token is gone: plug it in")
    assert box.qsize() >= 4 and office.counts()["in_process"] == 20 and office.check() == []


def test_a_reader_that_goes_away_leaves_the_others_at_work(office: Office):
    box = box_of(blanks(4, office.profile, office.transport))

    class Gone(Box):
        def next_card(self, stop):
            raise CardGone("the reader is unplugged")

    tally = Factory(office.maker(), [Gone("one", box), Box("two", box)], 4, "ann", "m").run()
    assert (tally.good, tally.refusal) == (4, "one: the reader is unplugged")


def test_what_is_no_matter_of_cards_comes_out(office: Office):
    class Broken(Box):
        def uid(self):
            raise ZeroDivisionError

    box = box_of(blanks(1, office.profile, office.transport))
    with pytest.raises(ZeroDivisionError):
        Factory(office.maker(), [Broken("one", box)], 1, "ann", "m").run()


KILLED = """
import os, signal, sys
from pathlib import Path
from simulator.blank import BlankImage, chip_of
from tools.tests.card_office import ChipLine, Office
image, at = Path(sys.argv[2]), int(sys.argv[3])
office = Office(Path(sys.argv[1]))
chip = chip_of(BlankImage.load(image), persist=lambda after: after.save(image))
class Line(ChipLine):
    def transceive(self, apdu):
        answer = super().transceive(apdu)
        if len(self.sent) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
print(office.make(Line(chip)).result)
"""


@pytest.mark.parametrize("at", [4, 6, 10, 18, 22, 28, 35, 41, 45, 50])
def test_killed_at_a_command_it_goes_on_where_it_was(tmp_path: Path, at: int):
    """SIGKILL to the program that makes; the chip keeps what it heard, as one without power does."""
    office = Office(tmp_path)
    image = tmp_path / "blank.json"
    blanks(1, office.profile, office.transport)[0].image.save(image)
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(image)]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}"}
    killed = subprocess.run([*command, str(at)], env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed
    assert office.counts()["good"] == 0 and office.check() == []
    again = subprocess.run([*command, "0"], env=environment, capture_output=True, text=True)
    assert again.stdout.strip() == making.GOOD, again
    assert office.counts()["good"] == 1 and office.check() == []
    assert office.look(lambda db: db.execute("SELECT COUNT(*) FROM card_number").fetchone()[0]) == 1
    office.store.close()
