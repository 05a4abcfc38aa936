"""`ykt keys token`, and the commands that take a token where a vault stood."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from backoffice.keys.backend import KeyInfo
from backoffice.tests.softhsm import PIN, SO_PIN, SoftHsm, softhsm
from tools import cli, keys_args, keys_token


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    monkeypatch.delenv("YKT_TOKEN_PIN", raising=False)
    monkeypatch.delenv("YKT_TOKEN_SO_PIN", raising=False)
    (tmp_path / "pin").write_text(PIN + "\n")
    (tmp_path / "so").write_text(SO_PIN + "\n")
    with softhsm(tmp_path / "hsm") as made:
        yield made


def init(tmp_path: Path, *more: str, name: str = "token.json", kind: str = "--test") -> int:
    return cli.main([
        "keys", "token", "init", "--token", str(tmp_path / name), "--so-pin-file", str(tmp_path / "so"),
        "--pin-file", str(tmp_path / "pin"), kind, *more,
    ])  # fmt: skip


def status(tmp_path: Path, *more: str) -> int:
    return cli.main(["keys", "token", "status", "--token", str(tmp_path / "token.json"), *more])


def test_a_token_is_made_and_told_of(hsm: SoftHsm, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path, "--label", "一卡通") == 0
    assert PIN not in (tmp_path / "token.json").read_text()
    pin = str(tmp_path / "pin")
    capsys.readouterr()
    assert status(tmp_path, "--pin-file", pin) == 0
    said = capsys.readouterr().out
    assert "一卡通" in said and "test keys" in said and "令牌内 | inside" in said and "借出 | lends" in said
    assert status(tmp_path, "--pin-file", pin, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["token"], found["test"], found["strict"], found["keys"]) == ("一卡通", True, False, 0)
    assert {row["where"] for row in found["capabilities"]} == {"inside", "lends", "refused"}


def test_a_strict_token_for_production(hsm: SoftHsm, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path, "--strict", kind="--production") == 0
    capsys.readouterr()
    assert status(tmp_path, "--pin-file", str(tmp_path / "pin"), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["strict"] and not found["test"]
    assert {row["where"] for row in found["capabilities"]} == {"inside", "refused"}


def test_refusals_say_what_to_do_and_leave_nothing(
    hsm: SoftHsm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "short").write_text("1")
    assert init(tmp_path, "--so-pin-file", str(tmp_path / "none")) == 1
    assert init(tmp_path, "--pin-file", str(tmp_path / "short")) == 1
    assert init(tmp_path, "--label", "x" * 33) == 1
    assert init(tmp_path, "--module", str(tmp_path / "none.so")) == 1
    assert init(tmp_path, "--slot", "77") == 1
    assert not (tmp_path / "token.json").exists()
    assert init(tmp_path) == 0
    assert init(tmp_path) == 1  # the file is there
    assert init(tmp_path, name="other.json") == 1  # the label is taken
    assert not (tmp_path / "other.json").exists()
    capsys.readouterr()
    for more, word in (
        ([], "YKT_TOKEN_PIN"), (["--pin-file", str(tmp_path / "so")], "does not open"),
    ):  # fmt: skip
        assert status(tmp_path, *more) == 1
        said = capsys.readouterr().err
        assert word in said and PIN not in said and SO_PIN not in said
    with pytest.raises(SystemExit) as usage:
        cli.main(["keys", "token", "init", "--token", str(tmp_path / "t.json")])
    assert usage.value.code == 2


def test_a_signing_key_in_a_token_takes_the_vaults_place(hsm: SoftHsm, tmp_path: Path) -> None:
    assert init(tmp_path) == 0
    args = ["--token", str(tmp_path / "token.json"), "--pin-file", str(tmp_path / "pin")]
    opened = keys_token.open_token(_parsed(*args))
    opened.make(KeyInfo("params", "params", "ES256", "sign", "", ""))
    keys = keys_args.open_keys_as_they_are(_parsed(*args), "test")
    assert keys.public_key("params") == opened.public_key("params")
    for given, cure in (([], "--token"), (args, "give --vault")):
        with pytest.raises(keys_args.vault.VaultError, match=cure):
            keys_args.open_vault(_parsed(*given))


def _parsed(*args: str) -> "keys_args.argparse.Namespace":
    parser = keys_args.argparse.ArgumentParser()
    keys_args.wants_keys(parser)
    return parser.parse_args(args)


def test_keys_in_a_token_are_derived_rolled_and_told_of(
    hsm: SoftHsm, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YKT_TOKEN_PIN", PIN)
    assert init(tmp_path) == 0
    made = str(tmp_path / "token.json")
    opened = keys_token.open_token(keys_args.argparse.Namespace(token=Path(made), pin_file=None))
    for purpose in ("purchase", "tac"):
        opened.make(KeyInfo(purpose, purpose, "3DES", "province", "", ""))
    opened.close()

    def says(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        assert cli.main(["keys", *words, "--token", made]) == code, capsys.readouterr().err
        return capsys.readouterr().out

    who = ("--user", "wang")
    says("derive", "--parent", "tac", "--issuer", "04026110FFFFFFFF", *who)
    assert len(json.loads(says("roll", "make", *who, "--json"))) == 3
    says("roll", "activate", "--version", "2", *who)
    says("roll", "issue", "--version", "2", *who, "--nothing-issued")
    says("compromise", "tac", "--since", "2025-06-01", *who, "--second", "li", "--reason", "lost")
    listed = json.loads(says("list", "--json"))["keys"]
    assert {(row["key_id"], row["state"]) for row in listed} == {
        ("purchase", "active"), ("purchase-v2", "active"), ("tac", "compromised"), ("tac-v2", "active"),
        ("tac-04026110FFFFFFFF-v1", "compromised"), ("tac-04026110FFFFFFFF-v2", "active"),
    }  # fmt: skip
    assert "KCV" in says("check", "--purpose", "tac", "--version", "2", "--issuer", "04026110FFFFFFFF")
    assert "the audit holds" in says("audit", "verify")
