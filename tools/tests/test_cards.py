"""`ykt cards` as a card company runs it: real keys, a real pcscd, blanks that enforce their command set."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backoffice.keys import vault
from backoffice.keys.backend import KeyInfo
from simulator.blank import blanks
from simulator.card import SimCard
from simulator.field import Faults
from simulator.pcscd import Pcscd
from simulator.personalise import LEGACY_ISSUER, LEGACY_MASTERS, example_legacy
from simulator.vpcd import VpcdSlot
from tools import cards_make
from tools.paths import ROOT

PASSPHRASE = "an invented passphrase"
FIRST, LAST = "3104840000000000001", "3104840000000000999"
ISSUER = "04026110FFFFFFFF"
READERS = 2
SLOT_S = 10
ENDS_S = 60


def transport_and_vault(folder: Path) -> bytes:
    """A test vault with random keys; the transport key, for the vendor."""
    opened = vault.create(folder / "city.vault", PASSPHRASE.encode(), True)
    values = {}
    for purpose in ("purchase", "load", "tac", "maintenance", "transport", "control"):
        level = "chip" if purpose in ("transport", "control") else "province"
        value = values[purpose] = secrets.token_bytes(16)
        version = 2 if purpose == "maintenance" else 1
        opened.put(KeyInfo(purpose, purpose, "3DES", level, "", vault.kcv("3DES", value), version), value)
    for purpose in ("load", "maintenance"):
        value = getattr(LEGACY_MASTERS, purpose)
        name = f"old {purpose}"
        versions = {"load": 1, "maintenance": 2}
        opened.put(KeyInfo(name, purpose, "3DES", "issuer", "1:" + (LEGACY_ISSUER + b"\xff" * 4).hex().upper(),
                           vault.kcv("3DES", value), versions[purpose]), value)  # fmt: skip
    opened.save()
    return values["transport"]


class Company:
    """A database, a vault, and the command line, in the place where its pcscd is."""

    def __init__(self, folder: Path, pcscd: Pcscd, count: int = 10) -> None:
        self.folder, self.pcscd = folder, pcscd
        self.db = folder / "city.db"
        self.transport = transport_and_vault(folder)
        self.slots = [VpcdSlot(port) for port in pcscd.ports]
        assert self.run("backoffice", "init", "--audience", "x", at=("--db",)).returncode == 0
        self.ok("range", "add", "--issuer", ISSUER, "--first", FIRST, "--last", LAST)
        self.ok("batch", "new", "--batch", "A1", "--product", "nanning_ordinary", "--profile", "sample_card_3des",
                "--count", str(count), "--received", str(count), keys=True)  # fmt: skip
        self.cards: list[SimCard] = []

    def command(self, *words: str, at: tuple[str, ...] = ("--db",), keys: bool = False) -> list[str]:
        places = {"--db": str(self.db), "--vault": str(self.folder / "city.vault")}
        named = [word for name in (*at, *(("--vault",) if keys else ())) for word in (name, places[name])]
        return self.pcscd.command([sys.executable, "-m", "tools.cli", *words, *named])

    def run(self, *words: str, at: tuple[str, ...] = ("--db",), keys: bool = False) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words, at=at, keys=keys), capture_output=True, text=True, env=self.env,
                              cwd=ROOT, timeout=ENDS_S)  # fmt: skip

    def ok(self, *words: str, keys: bool = False) -> str:
        done = self.run("cards", *words, "--user", "ann", keys=keys)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *words: str, keys: bool = False) -> str:
        done = self.run("cards", *words, "--user", "ann", keys=keys)
        assert done.returncode == 1, (done.stdout, done.stderr)
        return done.stderr

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}", "YKT_VAULT_PASSPHRASE": PASSPHRASE}

    def make(
        self, count: int, readers: int = READERS, stop_after: int = 0, tear: str = ""
    ) -> tuple[int, dict, list[dict]]:
        """Feed blanks to `ykt cards make` until it ends: (exit code, what it said, each card).

        tear  when the first card is torn away; it is put in again
        """
        box = iter(blanks(count + readers, "sample_card_3des", self.transport, first_serial=len(self.cards) + 1))
        names = self.pcscd.readers[:readers]
        words = [word for name in names for word in ("--reader", name)]
        told: list[dict] = []
        process = subprocess.Popen(
            self.command("cards", "make", "--batch", "A1", "--count", str(count), "--json", *words, keys=True),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.env, cwd=ROOT,
        )  # fmt: skip
        held = {}
        for at, name in enumerate(names):
            held[name] = next(box)
            self.slots[at].insert(held[name], Faults([tear]) if tear and not at else None)
        try:
            assert process.stderr and process.stdout
            for line in process.stderr:
                if not line.startswith("{"):
                    continue
                said = json.loads(line)
                told.append(said)
                at = names.index(said["reader"])
                self.slots[at].remove()
                if said["result"] == "good":
                    self.cards.append(held[said["reader"]].card)
                if stop_after and len(told) == stop_after:
                    process.send_signal(signal.SIGINT)
                chip = held[said["reader"]] if said["result"] == "gone" else next(box, None)
                if chip is not None:
                    held[said["reader"]] = chip
                    self.slots[at].insert(chip)
            out = process.stdout.read()
            return process.wait(ENDS_S), json.loads(out or "{}"), told
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
            for slot in self.slots:
                slot.remove()

    def put(self, card: SimCard, at: int = 0) -> None:
        self.slots[at].insert(card)
        assert self.slots[at].powered.wait(SLOT_S)

    def take(self, at: int = 0) -> None:
        self.slots[at].remove()


@pytest.fixture(scope="module")
def pcscd():
    with Pcscd(readers=READERS) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def company(pcscd: Pcscd, tmp_path_factory):
    company = Company(tmp_path_factory.mktemp("company"), pcscd)
    code, said, told = company.make(4)
    assert (code, said["good"], said["refusal"]) == (0, 4, ""), (said, told)
    assert {one["reader"] for one in told} == set(pcscd.readers)
    yield company


def test_two_readers_make_cards_and_the_books_hold_them(company: Company):
    (batch,) = json.loads(company.ok("batch", "list", "--json"))["batches"]
    assert (batch["received"], batch["good"], batch["stock"], batch["in_process"]) == (10, 4, 4, 6)
    assert json.loads(company.ok("check", "--json"))["problems"] == []
    numbers = {card.image.serial.hex() for card in company.cards}
    assert len(numbers) == 4 and all("0" + FIRST[:15] == number[:16] for number in numbers)
    listed = company.ok("list")
    assert "310484*********000" in listed and FIRST not in listed
    shown = company.ok("show", "--number", FIRST)
    assert "personalise: good" in shown and FIRST not in shown


def test_a_card_is_issued_and_loaded_once(company: Company):
    card = company.cards[0]
    company.put(card)
    try:
        words = ("issue", "--reader", company.pcscd.readers[0], "--load-fen", "5000", "--json")
        said = json.loads(company.ok(*words, keys=True))
        assert (said["deposit_fen"], said["balance_fen"]) == (2000, 5000)
        assert json.loads(company.ok(*words, keys=True))["balance_fen"] == 5000
        assert card.image.balance_fen == 5000 and card.image.online_counter == 1
        words = ("load", "--reader", company.pcscd.readers[0], "--order", "77", "--fen", "1000", "--json")
        assert json.loads(company.ok(*words, keys=True)) == {
            "number": said["number"], "load": 2, "loaded_fen": 1000, "balance_fen": 6000, "proof": "tac",
        }  # fmt: skip
        assert json.loads(company.ok(*words, keys=True))["balance_fen"] == 6000
        assert card.image.balance_fen == 6000
    finally:
        company.take()
    accounts = json.loads(company.ok("check", "--json"))["accounts_fen"]
    assert accounts == {"cash": 8000, "owed": 0, "purses": 6000, "deposits": 2000, "sales": 0, "bad_debt": 0,
                        "old_scheme": 0}


def test_a_stock_card_becomes_a_card_of_ours(company: Company):
    old, new = SimCard(example_legacy(3000)), company.cards[1]
    company.put(old, 0)
    company.put(new, 1)
    names = company.pcscd.readers
    try:
        words = ("exchange", "--reader", names[0], "--new-reader", names[1], "--json")
        said = json.loads(company.ok(*words, keys=True))
    finally:
        company.take(0)
        company.take(1)
    assert (said["state"], said["amount_fen"], said["balance_fen"]) == ("DONE", 3000, 3000)
    assert old.image.blocked == "permanent" and new.image.balance_fen == 3000
    assert "exchange" in company.ok("cases") and json.loads(company.ok("check", "--json"))["problems"] == []
    company.ok("retire", "--number", "0005800010000000017")


def test_a_card_is_extended_then_given_back(company: Company):
    company.put(company.cards[1], 0)
    name = company.pcscd.readers[0]
    try:
        assert "20400101" not in company.refused("extend", "--reader", name, "--expiry", "21000101", keys=True)
        company.ok("extend", "--reader", name, "--expiry", "20360101", keys=True)
        said = json.loads(company.ok("refund", "--reader", name, "--json", keys=True))
    finally:
        company.take(0)
    assert (said["kind"], said["state"], said["amount_fen"]) == ("refund", "DONE", 3000)
    assert company.cards[1].image.files[0x15][24:28].hex() == "20360101"
    assert json.loads(company.ok("check", "--json"))["problems"] == []


def test_a_broken_card_waits(company: Company):
    number = next(row["number"] for row in json.loads(company.ok("list", "--full", "--json"))["cards"]
                  if row["state"] == "active")  # fmt: skip
    said = json.loads(company.ok("bad", "--number", number, "--json", keys=True))
    assert (said["state"], said["amount_fen"]) == ("OPEN", 6000)
    assert "is paid from" in company.refused("bad-pay", "--case", str(said["case"]), keys=True)
    assert "another person must approve" in company.refused("approve", "--case", str(said["case"]))
    assert json.loads(company.ok("stragglers", "--json", keys=True)) == {"stragglers": 0}


def test_ctrl_c_finishes_the_cards_in_hand(company: Company):
    before = len(company.cards)
    code, said, told = company.make(6, stop_after=1)
    assert code == 130
    made = len(company.cards) - before
    assert made == said["good"] and 1 <= made <= 3
    assert json.loads(company.ok("check", "--json"))["problems"] == []


def test_torn_out_of_a_real_reader_it_is_made_when_it_comes_back(pcscd: Pcscd, tmp_path: Path):
    company = Company(tmp_path, pcscd)
    for good, tear in enumerate(("6:after", "30:before", "41:after"), 1):
        code, said, told = company.make(1, readers=1, tear=tear)
        assert [one["result"] for one in told] == ["gone", "good"], (tear, told)
        assert (code, said["gone"], said["good"]) == (0, 1, 1)
        (batch,) = json.loads(company.ok("batch", "list", "--json"))["batches"]
        assert (batch["good"], batch["in_process"]) == (good, 10 - good)
        assert json.loads(company.ok("check", "--json"))["problems"] == []


def test_other_keys_than_those_of_the_batch_are_refused(company: Company, tmp_path: Path):
    transport_and_vault(tmp_path)
    company.folder, kept = tmp_path, company.folder
    try:
        refusal = company.refused(
            "make", "--batch", "A1", "--count", "1", "--reader", company.pcscd.readers[0], keys=True
        )
    finally:
        company.folder = kept
    assert "the transport key has check value" in refusal


@pytest.mark.parametrize(("words", "refusal"), [
    (("range", "add", "--issuer", ISSUER, "--first", FIRST, "--last", FIRST), "overlaps one of issuer"),
    (("ship", "--batch", "A1", "--count", "999"), "cards in stock, not 999"),
    (("receive", "--batch", "B7", "--count", "1"), "there is no batch B7"),
    (("show", "--number", LAST), "no card 310484"),
    (("load-back", "--load", "999"), "there is no load 999"),
])  # fmt: skip
def test_what_cannot_be_is_told_by_name(company: Company, words: tuple[str, ...], refusal: str):
    assert refusal in company.refused(*words)


def test_a_card_is_locked_and_unlocked_and_stock_is_scrapped(company: Company):
    listed = json.loads(company.ok("list", "--full", "--json"))["cards"]
    stocked = [row["number"] for row in listed if row["state"] == "stocked"]
    assert "it may become active, damaged, not locked" in company.refused("lock", "--number", stocked[0])
    company.ok("scrap", "--number", stocked[0], "--why", "scratched")
    (batch,) = json.loads(company.ok("batch", "list", "--json"))["batches"]
    assert batch["scrapped"] == 1 and json.loads(company.ok("check", "--json"))["problems"] == []


def test_artwork_of_one_card_and_of_a_batch(company: Company, tmp_path: Path):
    for words in (("--number", FIRST), ("--batch", "A1")):
        out = tmp_path / "art.pdf"
        said = json.loads(company.ok("artwork", "--out", str(out), "--json", *words))
        assert said["cards"] >= 1 and out.read_bytes().startswith(b"%PDF") and out.stat().st_mode & 0o077 == 0


def test_shipping_moves_stock(company: Company):
    (before,) = json.loads(company.ok("batch", "list", "--json"))["batches"]
    company.ok("ship", "--batch", "A1", "--count", "2")
    (batch,) = json.loads(company.ok("batch", "list", "--json"))["batches"]
    assert batch["shipped"] == before["shipped"] + 2 and batch["good"] == batch["stock"] + batch["shipped"]


def test_a_thread_is_no_place_for_signals():
    """The clerk's helper runs commands in the main thread only; elsewhere Ctrl-C is left alone."""
    found = []
    thread = threading.Thread(target=lambda: found.append(cards_make._on_signals(None, None)))
    thread.start()
    thread.join()
    assert found == [{}]


def test_a_load_that_is_open_is_settled_of_a_locked_card_too(company: Company):
    number = next(row["number"] for row in json.loads(company.ok("list", "--full", "--json"))["cards"]
                  if row["state"] == "stocked")  # fmt: skip
    card = next(card for card in company.cards if card.image.serial.hex()[1:] == number)
    reader = ("--reader", company.pcscd.readers[0])
    company.slots[0].insert(card, Faults(["5:after"]))
    try:
        assert "card left" in company.refused("issue", *reader, "--load-fen", "5000", keys=True)
        company.take()
        company.put(card)
        company.ok("lock", "--number", number)
        assert "is locked" in company.refused("load", *reader, "--order", "L", "--fen", "100", keys=True)
    finally:
        company.take()
    (load,) = json.loads(company.ok("show", "--number", number, "--json"))["loads"]
    assert load["state"] == "WRITTEN" and card.image.balance_fen == 5000
