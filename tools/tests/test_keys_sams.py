"""`ykt keys sams` from the order to the end of a SAM, with blanks of the simulator behind a real pcscd."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from backoffice import setup
from backoffice.keys import hierarchy, token, token_link, vault
from backoffice.keys.backend import KeyInfo, Lacks
from backoffice.keys.keyring import Keyring
from backoffice.keys.vault import KeyFile, kcv
from backoffice.store.engine import Store
from backoffice.tests.forge import AUDIENCE, SAMPLES
from backoffice.tests.softhsm import PIN, SO_PIN, softhsm
from backoffice.tests.test_sams_make import Depot
from simulator.blank import BlankPsam, blanks
from simulator.field import Faults
from simulator.pcscd import Pcscd
from simulator.vpcd import VpcdSlot
from tools import cli
from tools.paths import ROOT
from tunion.crypto import keys as crypto

OPERATOR, ACQUIRER, ISSUER = "09990111", "09990100", "09990100FFFFFFFF"
TRANSPORT = bytes.fromhex("7E57000000000000000000007EA4590F")
SLOT_S, END_S = 20, 120
SECRET = bytes(range(32))
STORAGE_KEY = bytes(range(32, 64))


def keep(
    put: Callable[[KeyInfo, bytes], object], purpose: str, algorithm: str, version: int, value: bytes,
    level: str = "province",
) -> None:  # fmt: skip
    level = level if level in hierarchy.LEVELS[purpose] else hierarchy.LEVELS[purpose][0]
    name = f"{purpose}-{algorithm}-{version}"
    put(KeyInfo(name, purpose, algorithm, level, "", kcv(algorithm, value), version), value)


def fill(put: Callable[[KeyInfo, bytes], object], of_sams: str = "province") -> None:
    """Two versions of what PSAMs hold, and the keys of their chips."""
    for purpose in ("purchase", "maintenance"):
        for version in (1, 2):
            keep(put, purpose, "3DES", version, bytes((version,)) + purpose.encode().ljust(15, b"!"), of_sams)
    for algorithm in ("3DES", "AES"):
        keep(put, "transport", algorithm, 1, TRANSPORT)
        keep(put, "control", algorithm, 1, b"an own control k")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sams")
    setup.init(folder / "city.db", AUDIENCE, False, [SAMPLES / "two_cities.json"])
    (folder / "vault.key").write_bytes(SECRET)
    made = vault.create(folder / "city.vault", KeyFile(SECRET), test=True)
    fill(made.add)
    made.save()
    (folder / "storage.key").write_text(STORAGE_KEY.hex())
    return folder


class Office:
    """The folder of a back office, and its commands as clerks give them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def words(self, action: str, *words: str) -> list[str]:
        keys: tuple[str, ...] = ()
        if action in ("order", "make", "check", "update", "soft"):
            keys = ("--vault", str(self.folder / "city.vault"), "--key-file", str(self.folder / "vault.key"))
        return ["keys", "sams", action, "--db", str(self.folder / "city.db"), *keys, *words]

    def argv(self, action: str, *words: str) -> list[str]:
        return [sys.executable, "-m", "tools.cli", *self.words(action, *words)]

    def run(self, action: str, *words: str, pcscd: Pcscd | None = None) -> "subprocess.CompletedProcess[str]":
        """In a process of its own where it has to meet a pcscd."""
        if pcscd is not None:
            return subprocess.run(
                pcscd.command(self.argv(action, *words)), cwd=ROOT, text=True, capture_output=True, timeout=END_S,
                check=False, env=environment(),
            )  # fmt: skip
        said, refusal = io.StringIO(), io.StringIO()
        before = signal.getsignal(signal.SIGTERM)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(refusal):
                code = cli.main(self.words(action, *words))
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            signal.signal(signal.SIGTERM, before)
        return subprocess.CompletedProcess([action], code, said.getvalue(), refusal.getvalue())

    def say(self, action: str, *words: str, pcscd: Pcscd | None = None) -> dict:
        """What a command that must succeed answers as JSON."""
        done = self.run(action, *words, "--json", pcscd=pcscd)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def refused(self, action: str, *words: str) -> str:
        done = self.run(action, *words)
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        return done.stderr

    def batch(self, quantity: int, kind: str = "psam", scheme: str = "aes") -> int:
        profile = ("--profile", f"sample_psam_{scheme}") if kind == "psam" else ()
        order = self.say(
            "order", "--user", "li", "--operator", OPERATOR, "--acquirer", ACQUIRER, "--quantity", str(quantity),
            "--issuer", ISSUER, "--start", "2025-01-01", "--expiry", "2045-12-31", "--kind", kind, *profile,
        )["order"]  # fmt: skip
        return self.say("approve", "--user", "wang", "--order", str(order))["batches"][0]["batch"]

    def states(self) -> list[str]:
        rows = self.run("list", "--json")
        return [row["state"] for row in json.loads(rows.stdout)]

    def stock(self) -> dict:
        said = self.say("stock")
        assert said["balanced"]
        return {name: sum(row[name] for row in said["rows"]) for name in ("given", "issued", "scrapped", "stock")}


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}"}


@pytest.fixture
def office(template: Path, tmp_path: Path) -> Office:
    return Office(Path(shutil.copytree(template, tmp_path / "city")))


@pytest.fixture(scope="module")
def pcscd() -> Iterator[Pcscd]:
    with Pcscd() as daemon:
        yield daemon


@pytest.fixture
def slot(pcscd: Pcscd) -> Iterator[VpcdSlot]:
    made = VpcdSlot(pcscd.port + 1)
    yield made
    made.remove()


def chips(count: int, scheme: str = "aes", first: int = 1) -> list[BlankPsam]:
    return blanks(count, f"sample_psam_{scheme}", TRANSPORT, first)  # type: ignore[return-value]


def reader(pcscd: Pcscd) -> tuple[str, str]:
    return "--reader", pcscd.readers[1]


@pytest.mark.parametrize("scheme", ("3des", "aes"))
def test_a_batch_is_made_one_chip_after_another(office: Office, pcscd: Pcscd, slot: VpcdSlot, scheme: str):
    batch = office.batch(3, scheme=scheme)
    waiting = chips(3, scheme)
    argv = office.argv("make", "--batch", str(batch), "--user", "zhao", *reader(pcscd), "--json")
    slot.insert(waiting[0])
    with subprocess.Popen(pcscd.command(argv), cwd=ROOT, text=True, stdout=subprocess.PIPE, env=environment()) as make:
        assert make.stdout
        for number, chip in enumerate(waiting, start=1):
            said = json.loads(make.stdout.readline())
            assert said["chip"] == chip.image.serial.hex().upper() and not said["resumed"]
            assert {(key["purpose"], key["version"]) for key in said["keys"]} == {
                (purpose, version) for purpose in ("purchase", "maintenance") for version in (1, 2)
            }
            slot.remove()
            if number < len(waiting):
                slot.insert(waiting[number])
        assert json.loads(make.stdout.readline()) == {
            "batch": batch, "made": 3, "scrapped": 0, "refused": 0, "missing": 0
        }  # fmt: skip
        assert make.wait(END_S) == 0
    assert [key.version for key in waiting[0].psam.image.keys["purchase"]] == [1, 2]
    assert office.stock() == {"given": 3, "issued": 3, "scrapped": 0, "stock": 3}


class Killing:
    """A chip that kills a process at one command, counted from 1: `before` it works or after."""

    def __init__(self, chip: BlankPsam, at: int, before: bool) -> None:
        self.chip = chip
        self.at, self.before = at, before
        self.sent = 0
        self.victim = 0

    def __getattr__(self, name: str):
        return getattr(self.chip, name)

    def transceive(self, apdu: bytes) -> bytes:
        self.sent += 1
        if self.sent == self.at and self.before:
            os.kill(self.victim, signal.SIGKILL)
        answer = self.chip.transceive(apdu)
        if self.sent == self.at and not self.before:
            os.kill(self.victim, signal.SIGKILL)
        return answer


# of 37 commands: authenticated; control key written and not noted; stage 1; a key; stage 2; trial purchases
@pytest.mark.parametrize(
    ("at", "before"), [(6, True), (6, False), (11, True), (13, False), (19, False), (30, True), (37, False)]
)
def test_a_maker_that_is_killed_goes_on_with_the_chip(
    office: Office, pcscd: Pcscd, slot: VpcdSlot, at: int, before: bool
):
    """SIGKILL: whatever was begun is finished by the next run, under the same number."""
    batch = office.batch(1)
    (chip,) = chips(1)
    killing = Killing(chip, at, before)
    argv = office.argv("make", "--batch", str(batch), "--user", "zhao", *reader(pcscd), "--json")
    with subprocess.Popen(pcscd.command(argv), cwd=ROOT, stdout=subprocess.PIPE, env=environment()) as make:
        killing.victim = make.pid       # nsenter becomes the program: the process is the same
        slot.insert(killing)
        assert make.wait(END_S) == -signal.SIGKILL
    assert office.stock()["issued"] == 0
    number = json.loads(office.run("list", "--json").stdout)[0]["sam_no"]
    slot.remove()
    slot.insert(chip)
    said = office.run("make", "--batch", str(batch), "--user", "zhao", *reader(pcscd), "--json", pcscd=pcscd)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout.splitlines()[0])["sam_no"] == number
    assert office.states() == ["checked"] and office.stock()["issued"] == 1


def test_a_chip_that_is_pulled_out_is_named_and_goes_on(office: Office, pcscd: Pcscd, slot: VpcdSlot):
    batch = office.batch(1)
    (chip,) = chips(1)
    argv = office.argv("make", "--batch", str(batch), "--user", "zhao", *reader(pcscd), "--wait", "20")
    slot.insert(chip, Faults(["12:after"]))
    with subprocess.Popen(
        pcscd.command(argv), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as make:
        assert slot.left.wait(SLOT_S) and slot.torn
        assert make.stderr and make.stdout
        assert any("the card is gone" in line for line in make.stderr)      # reads until it is said
        slot.insert(chip)
        assert make.wait(END_S) == 1    # a chip was pulled out; the batch is complete all the same
        said = make.stdout.read()
    assert "1/1" in said and "续写 resumed" in said and "合格 good 1" in said
    assert office.states() == ["checked"]


def test_chips_that_cannot_be_used_are_named(office: Office, pcscd: Pcscd, slot: VpcdSlot):
    batch = office.batch(2)
    one = ("make", "--batch", str(batch), "--user", "zhao", *reader(pcscd), "--count", "1", "--wait", "1")
    (foreign,) = blanks(1, "sample_psam_aes", bytes(16))
    slot.insert(foreign)
    done = office.run(*one, pcscd=pcscd)
    assert done.returncode == 1 and "not its control key; check the batch's transport key" in done.stderr
    assert office.states() == ["ordered", "ordered"]
    slot.remove()
    done = office.run(*one, pcscd=pcscd)
    assert done.returncode == 1 and "no chip after 1 s" in done.stderr
    (chip,) = chips(1)
    slot.insert(chip)
    assert office.run(*one, pcscd=pcscd).returncode == 0
    done = office.run(*one, pcscd=pcscd)
    assert done.returncode == 1 and "this chip is SAM 9901010000000003, checked: put a blank in" in done.stderr
    done = office.run("check", "--user", "zhao", *reader(pcscd), pcscd=pcscd)
    assert done.returncode == 0 and "合格 good" in done.stdout
    done = office.run("make", "--batch", str(batch), "--user", "zhao", "--reader", "Nowhere", pcscd=pcscd)
    assert done.returncode == 1 and "no reader of that name" in done.stderr


def test_a_roll_reaches_a_psam_that_is_installed(office: Office, pcscd: Pcscd, slot: VpcdSlot):
    opened = vault.open_vault(office.folder / "city.vault", KeyFile(SECRET))
    batch = office.batch(1)
    (chip,) = chips(1)
    slot.insert(chip)
    office.say("make", "--batch", str(batch), "--user", "zhao", *reader(pcscd), pcscd=pcscd)
    sam = json.loads(office.run("list", "--json").stdout)[0]["sam_no"]
    office.say("ship", "--user", "zhao", "--batch", str(batch))
    office.say("receive", "--user", "qian", "--box", "1", "--all")
    assert not office.say("link", "--user", "qian", "--sam", sam, "--device", "1")["done"]
    assert office.say("link", "--user", "sun", "--sam", sam, "--device", "1")["done"]

    keep(opened.add, "purchase", "3DES", 3, b"a third version!")
    opened.save()
    done = office.run("coverage", "--version", "3", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["lacking"] == [sam]
    said = office.say("update", "--user", "zhao", *reader(pcscd), pcscd=pcscd)
    assert [(key["purpose"], key["version"]) for key in said["written"]] == [("purchase", 3)]
    assert [key.version for key in chip.psam.image.keys["purchase"]] == [1, 2, 3]
    assert office.say("coverage", "--version", "3") == {
        "installed": 1, "have": 1, "lacking": [], "stock_lacking": []
    }  # fmt: skip
    assert office.say("update", "--user", "zhao", *reader(pcscd), pcscd=pcscd) == {"written": []}
    image = chip.psam.image
    suite = crypto.suite(0)
    held = {key.version: key.value for key in image.keys["purchase"]}
    assert suite.diversify(held[3], bytes(8)) == suite.diversify(b"a third version!", bytes(8))


@pytest.mark.parametrize("scheme", ("3des", "aes"))
def test_psams_are_made_from_a_token_that_shows_no_key(office: Office, tmp_path: Path, scheme: str):
    store = Store(office.folder / "city.db")
    with softhsm(tmp_path / "hsm") as hsm:
        config, file = hsm.config(strict=False), tmp_path / "token.json"
        token_link.write_config(file, config)
        token.init_token(config, SO_PIN, PIN, True)
        opened = token.open_token(file, PIN)
        fill(opened.put)
        depot = Depot(store, Keyring(opened))  # type: ignore[arg-type]
        (chip,) = chips(1, scheme)
        with pytest.raises(Lacks, match="keep the level above and derive it"):      # a token shows no kept key
            depot.maker(depot.batch(1, scheme.upper())).make(chip)
        assert depot.states() == ["ordered"] and chip.image.stage == 0 and chip.image.control.transport

    with softhsm(tmp_path / "second") as hsm:
        config, file = hsm.config(strict=False), tmp_path / "second.json"
        token_link.write_config(file, config)
        token.init_token(config, SO_PIN, PIN, True)
        opened = token.open_token(file, PIN)
        fill(opened.put, of_sams="nation")
        for root in [info for info in opened.infos() if info.level == "nation"]:
            opened.derive(root.key_id, bytes(8), root._replace(key_id=f"own-{root.key_id}", level="province"))
        depot = Depot(store, Keyring(opened))  # type: ignore[arg-type]
        maker = depot.maker(depot.batch(1, scheme.upper()))
        if scheme == "3des":        # no token wraps under 3DES, and a PSAM's key is never lent for it
            with pytest.raises(Lacks, match="no key above that of a single card leaves the token"):
                maker.make(chip)
            assert chip.image.stage == 0 and depot.states() == ["ordered", "ordered"]
            store.close()
            return
        made = maker.make(chip)
    assert [key.version for key in chip.psam.image.keys["purchase"]] == [1, 2] and len(made.keys) == 4
    assert depot.states() == ["ordered", "checked"]
    store.close()


# --- without a reader


def test_the_life_of_soft_and_load_sams(office: Office):
    batch = office.batch(2, kind="soft")
    blob = office.folder / "device1.ssam"
    words = ("--storage-key-file", str(office.folder / "storage.key"), "--user", "zhao")
    said = office.say("soft", *words, "--batch", str(batch), "--device", "1", "--out", str(blob))
    assert said["generation"] == 1 and [key["version"] for key in said["keys"]] == [1, 2]
    assert oct(blob.stat().st_mode)[-3:] == "600" and blob.read_bytes()[:4] == b"SSAM"
    assert "exists: name another file" in office.refused("soft", *words, "--sam", said["sam_no"], "--out", str(blob))
    again = office.say("soft", *words, "--sam", said["sam_no"], "--out", str(office.folder / "second.ssam"))
    assert again["generation"] == 2
    refused = office.refused("soft", *words, "--batch", str(batch), "--device", "2", "--out", str(office.folder / "no"))
    assert "device 2 is no registered device of 09990111" in refused and not (office.folder / "no").exists()
    assert "for which no profile writes a chip: use `ykt keys sams soft`" in office.refused(
        "make", "--batch", str(batch), "--user", "zhao", "--reader", "none"
    )
    assert office.stock() == {"given": 2, "issued": 1, "scrapped": 0, "stock": 1}


def test_a_load_sam_is_stock_and_never_linked(office: Office, template: Path):
    opened = vault.open_vault(office.folder / "city.vault", KeyFile(SECRET))
    keep(opened.add, "load", "3DES", 1, b"a load key, 16 b")
    opened.save()
    batch = office.batch(1, kind="isam")
    sam = office.say("enter", "--user", "zhao", "--batch", str(batch), "--chip", "0011223344556677")["sam_no"]
    assert "has all its SAMs" in office.refused(
        "enter", "--user", "zhao", "--batch", str(batch), "--chip", "0011223344556678"
    )
    office.say("ship", "--user", "zhao", "--sam", sam)
    office.say("receive", "--user", "qian", "--box", "1", "--all")
    assert "stays in the back office" in office.refused("link", "--user", "qian", "--sam", sam, "--device", "1")


def test_two_people_loss_and_a_day_that_balances(office: Office):
    batch = office.batch(1, kind="soft")
    sam = office.say(
        "soft", "--storage-key-file", str(office.folder / "storage.key"), "--user", "zhao", "--batch", str(batch),
        "--device", "1", "--out", str(office.folder / "blob"),
    )["sam_no"]  # fmt: skip
    note = office.folder / "note.json"
    assert office.say("ship", "--user", "zhao", "--batch", str(batch), "--out", str(note))["box"] == 1
    assert json.loads(note.read_text())["sams"][0]["sam_no"] == sam
    assert "another person receives it" in office.refused("receive", "--user", "zhao", "--box", "1", "--all")
    office.say("receive", "--user", "qian", "--box", "1", "--all")
    office.say("link", "--user", "qian", "--sam", sam, "--device", "1", "--from", "2025-06-01 04:00")
    assert "another person does it" in office.refused(
        "link", "--user", "Qian", "--sam", sam, "--device", "1", "--from", "2025-06-01 04:00"
    )
    office.say("link", "--user", "sun", "--sam", sam, "--device", "1", "--from", "2025-06-01 04:00")
    store = Store(office.folder / "city.db")
    with store.reading() as db:
        row = db.execute("SELECT from_s FROM terminal WHERE terminal = '990100000003'").fetchone()
        assert row["from_s"] == 1748721600      # 2025-05-31 20:00 UTC
    store.close()
    lost = office.run("lost", "--user", "qian", "--sam", sam, "--reason", "bus stolen")
    assert lost.returncode == 0 and "丢失 lost" in lost.stdout
    table = office.run("stock").stdout
    assert "发出 issued 1 = 装机 installed 0 + 库存 stock 0 + 销毁 destroyed 0 + 丢失 lost 1" in table
    assert "is not over" in office.refused("stock", "--close", "2099-01-01", "--user", "zhou")
    assert office.say("stock", "--close", "2026-01-01", "--user", "zhou")["balanced"]
    history = office.run("list", "--sam", sam).stdout
    assert "bus stolen" in history and "已装机 installed" in history


def test_the_note_of_a_box_is_signed(office: Office):
    opened = vault.open_vault(office.folder / "city.vault", KeyFile(SECRET))
    opened.make(KeyInfo("params", "params", "ES256", "sign", "", ""))
    batch = office.batch(1, kind="soft")
    office.say("soft", "--storage-key-file", str(office.folder / "storage.key"), "--user", "zhao", "--batch",
               str(batch), "--device", "1", "--out", str(office.folder / "blob"))  # fmt: skip
    keys = ("--vault", str(office.folder / "city.vault"), "--key-file", str(office.folder / "vault.key"))
    assert "no signing key other" in office.refused(
        "ship", "--user", "zhao", "--batch", str(batch), "--key", "other", *keys
    )
    assert "no keys are named" in office.refused("ship", "--user", "zhao", "--batch", str(batch), "--key", "params")
    note = office.folder / "note.json"
    said = office.say("ship", "--user", "zhao", "--batch", str(batch), "--key", "params", *keys, "--out", str(note))
    text, signature = note.read_bytes().rstrip(b"\n"), bytes.fromhex(said["signature"])
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), opened.public_key("params"))
    halves = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    public.verify(encode_dss_signature(*halves), text, ec.ECDSA(SHA256()))


def test_what_is_wrong_is_named(office: Office, tmp_path: Path):
    assert "还没有 SAM" in office.run("stock").stdout and office.run("list").stdout == "没有 | none\n"
    assert "no order 7" in office.refused("approve", "--user", "li", "--order", "7")
    assert "no batch 7" in office.refused("make", "--user", "li", "--batch", "7", "--reader", "x")
    assert "no SAM 1" in office.refused("block", "--user", "li", "--sam", "1", "--reason", "x")
    assert "no box 3" in office.refused("receive", "--user", "li", "--box", "3", "--all")
    for words in (("approve", "--user", "li", "--order", "x"), ("order", "--user", "li"), ("stock", "--close", "soon"),
                  ("link", "--user", "li", "--sam", "1", "--device", "1", "--from", "noon")):  # fmt: skip
        assert office.run(*words).returncode == 2
    other = Office(tmp_path)
    assert "does not exist: make it with" in other.refused("stock")
    (tmp_path / "city.db").write_bytes(b"no database" * 100)
    assert "is not a database" in other.refused("stock")


def test_a_full_disk_is_named_and_nothing_is_half_made(office: Office):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    batch = office.batch(1, kind="soft")
    office.say("soft", "--storage-key-file", str(office.folder / "storage.key"), "--user", "zhao", "--batch",
               str(batch), "--device", "1", "--out", str(office.folder / "blob"))  # fmt: skip
    done = office.run("ship", "--user", "zhao", "--batch", str(batch), "--out", str(full))
    assert done.returncode == 1 and "make room on the disk" in done.stderr
    assert office.states() == ["checked"]
