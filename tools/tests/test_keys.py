"""`ykt keys` as a clerk types it: from an empty vault through a roll-over; what is refused, and in which words."""

import csv
import json
import os
import resource
import stat
import subprocess
import sys

import pytest

from backoffice import setup
from backoffice.keys import audit, native
from backoffice.tests.forge import SAMPLES
from backoffice.tests.test_keys import VECTOR
from backoffice.tests.test_keys_service import FILE, INPUTS
from tools import cli
from tunion import bcd

ISSUER = INPUTS["issuer"]


class Clerk:
    """Types commands. `says` is the output of one that is done, `refused` the one line of one that is not."""

    def __init__(self, folder, capsys):
        self.vault = folder / "city.vault"
        self.word = folder / "word"
        self.word.write_text("an invented passphrase\nmore\n")
        self._capsys = capsys

    def _run(self, *words):
        self._capsys.readouterr()
        opens = () if words[0] == "audit" else ("--passphrase-file", self.word)
        code = cli.main(["keys", *map(str, words), "--vault", str(self.vault), *map(str, opens)])
        return code, self._capsys.readouterr()

    def says(self, *words, code=0):
        found, said = self._run(*words)
        assert found == code, said.err
        return said.out

    def json(self, *words, code=0):
        return json.loads(self.says(*words, "--json", code=code))

    def refused(self, *words):
        code, said = self._run(*words)
        assert code == 1 and said.err.count("\n") == 1 and said.err.startswith("ykt keys: "), said
        return said.err


@pytest.fixture
def clerk(tmp_path, capsys):
    clerk = Clerk(tmp_path, capsys)
    clerk.says("new", "--test")
    clerk.says("load", "--keys", SAMPLES / "test_keys.json")
    return clerk


@pytest.fixture
def db(tmp_path):
    path = tmp_path / "city.sqlite"
    setup.init(path, "localhost", False, [])
    return path


def test_keys_are_listed_without_a_value(clerk):
    said = clerk.says("list")
    assert "820638" in said and "在用 active" in said and "校验值" in said and "KCV" in said
    assert INPUTS["MTK"] not in said
    listed = clerk.json("list")
    assert listed["test"] and [row["key_id"] for row in listed["keys"]][:2] == ["tac-root", "tac-root-sm4"]
    assert INPUTS["MTK"] not in json.dumps(listed)


def test_the_check_value_of_any_path(clerk):
    at = ("check", "--purpose", "tac", "--issuer", ISSUER)
    from backoffice.keys.vault import kcv

    of_card = kcv("3DES", bytes.fromhex(FILE["diversify"]["DTK"]))
    assert clerk.json(*at, "--below", INPUTS["factor_card"])["kcv"] == of_card
    assert of_card in clerk.says(*at, "--below", INPUTS["factor_card"], "--kcv", of_card.lower())
    clerk.says(*at, "--kcv", "000000", code=1)
    assert "no 3DES load key" in clerk.refused("check", "--purpose", "load", "--issuer", ISSUER)
    assert "no scheme moon" in clerk.refused(*at, "--scheme", "moon")
    three = clerk.json(*at, "--scheme", "three_steps")
    assert three["factors"] == [ISSUER]  # the sample key is a province's


def test_a_roll_over_as_it_is_typed(clerk, db):
    who = ("--user", "wang")
    keys = (clerk.vault.parent / "purchase.json")
    row = {"key_id": "purchase", "purpose": "purchase", "algorithm": "3DES", "level": "province", "subject": ""}
    keys.write_text(json.dumps({"test": True, "keys": [{**row, "value": INPUTS["MPK"]}]}))
    clerk.says("load", "--keys", keys)
    derived = clerk.json("derive", "--parent", "tac-root", "--issuer", ISSUER, *who)[0]
    assert (derived["level"], derived["subject"], derived["parent"]) == ("issuer", ISSUER, "tac-root")

    made = clerk.json("roll", "make", *who)
    assert {(row["key_id"], row["version"], row["state"]) for row in made} == {
        ("purchase-v2", 2, "generated"), ("tac-root-v2", 2, "generated"), (f"tac-{ISSUER}-v2", 2, "generated"),
    }  # fmt: skip
    assert "nothing changed" in clerk.says("roll", "make", *who)
    assert "already" not in clerk.says("roll", "activate", "--version", "2", *who)
    assert "in no card yet" in clerk.says("list")
    assert "--db" in clerk.refused("roll", "issue", "--version", "2", *who)
    clerk.says("roll", "issue", "--version", "2", *who, "--db", db)
    assert "in no card yet" not in clerk.says("list")
    clerk.says("roll", "verify-only", "--purpose", "tac", "--version", "1", *who, "--nothing-issued")
    assert "仅验证 verify_only" in clerk.says("list")
    early = ("roll", "retire", "--purpose", "tac", "--version", "1", *who, "--nothing-issued")
    assert "--force" in clerk.refused(*early)
    assert "two persons" in clerk.refused(*early, "--force", "--second", "WANG", "--reason", "a try")
    clerk.says(*early, "--force", "--second", "li", "--reason", "a try")
    gone = ("state", "tac-root", "destroyed", *who)
    assert "two persons" in clerk.refused(*gone)
    assert "已销毁 destroyed" in clerk.says(*gone, "--second", "li", "--reason", "over")
    assert "is destroyed" in clerk.refused("check", "--purpose", "tac", "--issuer", "0" * 16)

    assert "the audit holds" in clerk.says("audit", "verify")
    listed = clerk.says("audit", "list")
    assert "derive" in listed and "second li" in listed and "reason a try" in listed


def test_what_is_kept_already_is_not_derived_again_under_another_name(clerk):
    derive = ("derive", "--parent", "tac-root", "--issuer", ISSUER, "--user", "wang")
    clerk.says(*derive)
    lost = ("compromise", f"tac-{ISSUER}-v1", "--user", "wang", "--second", "li", "--reason", "lost")
    clerk.says(*lost, "--since", "2025-06-01")
    assert f"tac-{ISSUER}-v1 is that key already" in clerk.refused(*derive, "--id", "again")


def test_a_database_of_the_other_kind_does_not_say_who_needs_a_key(clerk, tmp_path):
    path = tmp_path / "production.sqlite"
    setup.init(path, "localhost", True, [])
    at = ("--purpose", "tac", "--version", "1", "--user", "wang", "--db", path)
    assert "never mix" in clerk.refused("roll", "verify-only", *at)


def test_an_audit_is_held_against_what_was_noted(clerk):
    assert "no key was used yet" in clerk.says("audit", "list")
    assert "does not exist" in clerk.refused("audit", "verify")
    clerk.says("check", "--purpose", "tac", "--issuer", ISSUER)
    noted = clerk.json("audit", "verify")
    clerk.says("check", "--purpose", "tac", "--issuer", ISSUER)
    at = ("--lines", noted["lines"], "--digest", noted["digest"])
    assert clerk.json("audit", "verify", *at)["lines"] == noted["lines"] + 1
    audit.beside(clerk.vault).write_bytes(b"")
    clerk.says("check", "--purpose", "tac", "--algorithm", "SM4", "--issuer", ISSUER)  # not the same line in one second
    assert "cut off" in clerk.refused("audit", "verify", *at)
    assert "together" in clerk.refused("audit", "verify", "--lines", "1")
    assert "cut off" in clerk.refused("audit", "verify", "--lines", "1", "--digest", "")  # as of a variable not set


def test_a_lost_key_takes_two_persons_and_a_day(clerk):
    lost = ("compromise", "tac-root", "--user", "wang", "--reason", "a drive was stolen")
    assert "two persons" in clerk.refused(*lost, "--since", "2025-06-01")
    assert "not in the future" in clerk.refused(*lost, "--since", "2099-06-01", "--second", "li")
    with pytest.raises(SystemExit):
        clerk.says(*lost, "--since", "yesterday", "--second", "li")
    assert "自 since 2025-06-01" in clerk.says(*lost, "--since", "2025-06-01", "--second", "li")
    assert "no key moon" in clerk.refused("compromise", "moon", *lost[2:], "--since", "2025-06-01", "--second", "li")


def test_a_file_of_transactions_is_verified_and_counted(clerk, tmp_path):
    requests = [VECTOR, VECTOR._replace(tac=bytes(4)), VECTOR._replace(version=7)]
    path = tmp_path / "some.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["issuer", "card", "algorithm", "amount_fen", "type", "terminal", "terminal_seq", "at", "tac",
                         "version"])  # fmt: skip
        for one in requests:
            writer.writerow([one.issuer.hex(), one.card.hex()[1:], one.algorithm, one.amount_fen, one.type,
                             one.terminal.hex(), one.terminal_seq, bcd.to_digits(bcd.stamp(one.at_s)), one.tac.hex(),
                             one.version])  # fmt: skip
    assert clerk.says("verify", path, code=1) == "1,ok\n2,bad\n3,no_key\n"
    counts = {"rows": 3, "ok": 1, "bad": 1, "no_key": 1, "unavailable": 0}
    assert clerk.json("verify", path, code=1) == counts
    rows = tmp_path / "some.rows"
    rows.write_bytes(native.pack_rows(requests, None))
    assert clerk.json("verify", rows, code=1) == counts
    rows.write_bytes(native.pack_rows(requests[:1], None))
    assert clerk.says("verify", rows) == "1,ok\n"

    limits = clerk.vault.with_name("city.vault.limits.json")
    limits.write_text('{"small": {"tac_verify": {"minute": 2, "day": 0}}}')
    assert "small may do tac_verify 2 times a minute" in clerk.refused("verify", path, "--caller", "small")
    text = path.read_text()
    month = ("20250601071000", "20251301071000")
    for good, bad in (("624a5580", "624a55"), ("310499900", "x"), month, (",200,", ",-1,")):
        assert good in text
        path.write_text(text.replace(good, bad, 1))
        said = clerk.refused("verify", path)
        assert "line 2" in said and "3104999" not in said
    path.write_text(text.replace("terminal_seq", "number"))
    assert "no column terminal_seq" in clerk.refused("verify", path)
    rows.write_bytes(bytes(47))
    assert "48" in clerk.refused("verify", rows)


def test_what_opens_a_vault_is_asked_for_by_name(clerk, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("YKT_VAULT_PASSPHRASE", raising=False)
    assert cli.main(["keys", "list", "--vault", str(clerk.vault)]) == 1
    assert "--passphrase-file" in capsys.readouterr().err
    key_file = tmp_path / "key"
    key_file.write_bytes(os.urandom(32))
    other = ["--vault", str(tmp_path / "other.vault"), "--key-file", str(key_file)]
    assert cli.main(["keys", "new", "--test", *other]) == 0
    assert cli.main(["keys", "list", *other]) == 0
    assert cli.main(["keys", "list", *other[:2], "--passphrase-file", str(clerk.word)]) == 1
    assert "opened by a key file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["keys", "list", *other, "--passphrase-file", str(clerk.word)])
    for name in ("none", "."):
        assert cli.main(["keys", "new", "--vault", str(tmp_path / "v"), "--key-file", str(tmp_path / name)]) == 1
    assert "exists already" in clerk.refused("new", "--test")
    assert stat.S_IMODE(clerk.vault.stat().st_mode) == 0o600


def test_a_program_that_holds_keys_leaves_no_core(clerk):
    """Started with no limit on core files: it sets one, and is not to be read by others of its user."""
    code = (
        "import ctypes, resource, sys; from tools import cli\n"
        "cli.main(['keys', 'list', '--vault', sys.argv[1], '--passphrase-file', sys.argv[2]])\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
    )
    unlimited = resource.getrlimit(resource.RLIMIT_CORE)[1]
    done = subprocess.run(
        [sys.executable, "-c", code, str(clerk.vault), str(clerk.word)], capture_output=True, text=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (unlimited, unlimited)),
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "(0, 0) 0", done.stderr
