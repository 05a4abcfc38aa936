"""A program that holds keys leaves none behind when it crashes, and none in what it refuses with.

What a whole run leaves in files and on terminals: simulator/tests/test_rig_demo_keys.py.
"""

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backoffice.keys import audit, components, load, schemes, soft, token, vault
from backoffice.keys.backend import KeyInfo, KeyPath, KeysError
from backoffice.keys.keyring import Keyring
from backoffice.keys.token_link import TokenFull, WrongPin
from backoffice.tests.ceremony_room import PARTS, Room
from backoffice.tests.forge import PASSPHRASE, City, Validator
from backoffice.tests.key_search import KeySearch
from backoffice.tests.softhsm import SO_PIN, softhsm
from backoffice.tests.test_token import SIZES, files_at_most
from tools.paths import ROOT

WAIT_S = 60
PROBE_S = 0.01
MARK = b"dumpable "
_ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}"}

# Runs `ykt` with core files allowed, as after `ulimit -c unlimited`. SIGUSR1: says whether it may be dumped.
_CHILD = f"""
import ctypes, os, resource, signal, sys
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"{MARK.decode()}%d\\n" % ctypes.CDLL(None).prctl(3)))
if sys.argv.pop(1) == "careless":
    from backoffice.keys import soft
    soft.no_core_dumps = lambda: None
from tools import cli
sys.exit(cli.main(sys.argv[1:]))
"""


# --- core files


@contextmanager
def stopped_with_its_keys(where: Path, log: Path, how: str, *argv: object) -> Iterator[subprocess.Popen[bytes]]:
    """`ykt` in the middle of a use of a key: the vault is open, and the audit is locked by another program."""
    where.mkdir()
    with log.open("ab") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, how, *map(str, argv)], cwd=where, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**_ENVIRONMENT, "YKT_VAULT_PASSPHRASE": PASSPHRASE.decode()},
        )  # fmt: skip
        try:
            _wait_for_the_lock(child)
            yield child
        finally:
            child.kill()
            child.communicate()


def _wait_for_the_lock(child: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not any(
        row.split()[1:3] == ["->", "FLOCK"] and row.split()[5] == str(child.pid)
        for row in Path("/proc/locks").read_text().splitlines()
    ):
        if child.poll() is not None:
            raise AssertionError(f"it ended before it used a key: {child.communicate()}")
        assert time.monotonic() < deadline_s, "it never waited for the audit"
        time.sleep(PROBE_S)


def core_limit(pid: int) -> list[str]:
    (row,) = [row for row in Path(f"/proc/{pid}/limits").read_text().splitlines() if row.startswith("Max core file")]
    return row.split()[4:6]


def aborted(child: subprocess.Popen[bytes]) -> bool:
    """SIGABRT, as libc sends; True where the kernel says that it wrote a core file."""
    child.send_signal(signal.SIGABRT)
    _, status = os.waitpid(child.pid, 0)
    child.returncode = -os.WTERMSIG(status)
    assert child.returncode == -signal.SIGABRT
    return os.WCOREDUMP(status)


@pytest.fixture
def city(tmp_path: Path) -> City:
    made = City(tmp_path)
    made.keys.close()
    return made


def _check(city: City) -> list[object]:
    return ["keys", "check", "--vault", city.vault, "--purpose", "tac", "--issuer", "04026110FFFFFFFF"]


def _clear(city: City) -> list[object]:
    validator = Validator(city)
    validator.send([validator.tap(1), validator.tap(2)])
    city.keys.close()
    return ["backoffice", "clear", "--db", city.db, "--vault", city.vault]


@pytest.mark.parametrize("argv", [_check, _clear])
def test_a_program_that_is_aborted_with_keys_leaves_no_core_file(
    city: City, tmp_path: Path, argv: Callable[[City], list[object]]
) -> None:
    words, where = argv(city), tmp_path / "where"
    with stopped_with_its_keys(where, audit.beside(city.vault), "careful", *words) as child:
        assert core_limit(child.pid) == ["0", "0"]
        assert "CoreDumping:\t0" in Path(f"/proc/{child.pid}/status").read_text()
        child.send_signal(signal.SIGUSR1)
        assert child.stdout is not None
        assert next(row for row in child.stdout if row.startswith(MARK)) == MARK + b"0\n"
        assert not aborted(child)
    assert [*where.iterdir(), *tmp_path.rglob("core*")] == []


def test_the_check_would_see_a_core_file(city: City, tmp_path: Path) -> None:
    """The same program without its care is dumped, where this machine writes core files at all."""
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip("no core files on this machine: its hard limit is 0")
    where = tmp_path / "where"
    with stopped_with_its_keys(where, audit.beside(city.vault), "careless", *_check(city)) as child:
        assert core_limit(child.pid) != ["0", "0"]
        child.send_signal(signal.SIGUSR1)
        assert child.stdout is not None
        assert next(row for row in child.stdout if row.startswith(MARK)) == MARK + b"1\n"
        was_dumped = aborted(child)
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if "/" not in pattern and "|" not in pattern:
        assert was_dumped
        (core,) = where.iterdir()
        core.unlink()


@pytest.mark.parametrize("argv", [["keys", "new", "--test"], ["keys", "list"], ["keys", "load", "--keys", "none"]])
def test_nobody_is_asked_for_a_passphrase_before_core_files_are_off(tmp_path: Path, argv: list[str]) -> None:
    """The passphrase comes through a pipe: while the program waits for it, its limit is seen."""
    pipe, made = tmp_path / "passphrase", tmp_path / "vault"
    os.mkfifo(pipe)
    if argv[1] != "new":
        vault.create(made, PASSPHRASE, test=True)
    words = [*argv, "--vault", str(made), "--passphrase-file", str(pipe)]
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, "careful", *words], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=_ENVIRONMENT,
    )  # fmt: skip
    try:
        with pipe.open("wb") as asked:      # opens when it is read
            assert core_limit(child.pid) == ["0", "0"]
            asked.write(PASSPHRASE + b"\n")
        child.communicate(timeout=WAIT_S)
    finally:
        child.kill()
        child.communicate()


# --- refusals

KEY = bytes.fromhex("5EC2E7A1B3C4D5968778695A4B3C2D1F")
SECRETS = {"the key": KEY, **{f"part {at}": part for at, part in enumerate(PARTS)}}
TEXTS = {"the passphrase": "five words nobody else knows", "the PIN": "83920174", "another PIN": SO_PIN}
SEARCH = KeySearch(SECRETS, TEXTS)
INFO = KeyInfo("tac-1", "tac", "3DES", "nation", "", vault.kcv("3DES", KEY))
PATH = KeyPath("tac-1")


def _vault(folder: Path) -> vault.Vault:
    made = vault.create(folder / "vault", TEXTS["the passphrase"].encode(), test=True)
    made.put(INFO, KEY)
    return made


def _wrong_passphrase(folder: Path) -> None:
    _vault(folder)
    vault.open_vault(folder / "vault", TEXTS["the passphrase"].encode() + b"!")


def _damaged(folder: Path) -> None:
    path = _vault(folder).path
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"tac-1", b"tac-2"))
    vault.open_vault(path, TEXTS["the passphrase"].encode())


def _file(**row: str) -> Callable[[Path], object]:
    def take(folder: Path) -> object:
        held = vault.create(folder / "vault", TEXTS["the passphrase"].encode(), test=True)
        key = {"key_id": "a", "purpose": "tac", "algorithm": "3DES", "level": "nation", "subject": "", **row}
        (folder / "keys.json").write_text(json.dumps({"test": True, "keys": [{"value": KEY.hex(), **key}]}))
        return load.add_test_keys(held, folder / "keys.json")

    return take


def _torn_file(folder: Path) -> None:
    (folder / "keys.json").write_text('{"test": true, "keys": [{"value": "' + KEY.hex())
    load.add_test_keys(_vault(folder), folder / "keys.json")


def _production(folder: Path) -> None:
    value = bytes.fromhex("99999999AAAAAAAABBBBBBBBCCCCCCCC")   # of the samples
    vault.create(folder / "real", b"real", test=False).put(
        KeyInfo("a", "tac", "3DES", "nation", "", vault.kcv("3DES", value)), value
    )


def _full_token(folder: Path) -> None:
    with softhsm(folder / "hsm") as hsm:
        opened = hsm.make()
        for size in SIZES:
            with files_at_most(size):
                opened.put(INFO, KEY)


def _wrong_pin(folder: Path) -> None:
    with softhsm(folder / "hsm") as hsm:
        hsm.make()
        token.Token(hsm.config(), TEXTS["the PIN"])


def _typed(kcv: str | None, *texts: str) -> Callable[[Path], object]:
    """The last of these is typed wrong at a ceremony, after those before it."""

    def take(folder: Path) -> object:
        room = Room(folder)
        ceremony = room.begin()
        while ceremony.step().kind != "enter":
            room.do()
        for text in texts:
            value = PARTS[texts.index(text)]
            ceremony.enter(text, kcv or components.kcv("3DES", value), "E-1" if text == texts[0] else "")
        return room

    return take


SHARE = components.split(KEY, 3, 2)[0]
REFUSALS: dict[str, tuple[type[Exception], Callable[[Path], object]]] = {
    "wrong passphrase": (vault.WrongPassphrase, _wrong_passphrase),
    "damaged vault": (vault.Tampered, _damaged),
    "passphrase in place of a key file": (
        vault.WrongPassphrase,
        lambda folder: vault.open_vault(_vault(folder).path, vault.KeyFile(KEY * 2)),
    ),
    "check value of another key": (
        vault.VaultError, lambda folder: _vault(folder).put(INFO._replace(key_id="b", kcv="000000"), KEY)
    ),
    "a name twice": (vault.VaultError, lambda folder: _vault(folder).put(INFO, KEY)),
    "a key too short": (vault.VaultError, lambda folder: _vault(folder).put(INFO._replace(key_id="b"), KEY[:15])),
    "a signing key that is none": (
        vault.VaultError,
        lambda folder: _vault(folder).put(KeyInfo("b", "params", "ES256", "sign", "", "000000"), KEY + bytes(15)),
    ),
    "a master released": (KeysError, lambda folder: _vault(folder).release(PATH, "why")),
    "a key used for another purpose": (
        KeysError, lambda folder: Keyring(_vault(folder)).session_mac(PATH, KEY[:8], KEY)
    ),
    "a factor that is none": (vault.VaultError, lambda folder: _vault(folder).kcv(PATH._replace(factors=(KEY,)))),
    "a key of tests in production": (vault.MixedKeys, _production),
    "a vault of tests for production": (
        vault.MixedKeys, lambda folder: soft.open_keys(_vault(folder).path, TEXTS["the passphrase"].encode(), True)
    ),
    "a file with a wrong digit": (vault.VaultError, _file(value=KEY.hex()[:-1] + "O")),
    "a file with a key too long": (vault.VaultError, _file(value=KEY.hex() + "00")),
    "a file with an unknown algorithm": (vault.VaultError, _file(algorithm="ROT13")),
    "a file that ends too early": (vault.VaultError, _torn_file),
    "a full token": (TokenFull, _full_token),
    "a wrong PIN": (WrongPin, _wrong_pin),
    "a component with a wrong digit": (components.BadPart, lambda _: components.parse("xor", KEY.hex()[:-1] + "O")),
    "a component too short": (components.BadPart, lambda _: components.parse("xor", KEY.hex()[:-1])),
    "a component with another check value": (
        components.WrongCheckValue, lambda _: components.check_kcv("000000", "3DES", KEY, "part 1")
    ),
    "a component typed wrong at the ceremony": (KeysError, _typed("000000", PARTS[0].hex())),
    "a component of another custodian": (KeysError, _typed(None, PARTS[0].hex(), PARTS[0].hex())),
    "two equal components": (components.EqualParts, lambda _: components.join("xor", [KEY.hex()] * 3)),
    "a share with a wrong word": (
        components.BadPart, lambda _: components.parse("slip39", " ".join([*SHARE.split()[1:], SHARE.split()[0]]))
    ),
    "shares of two keys": (
        components.BadPart,
        lambda _: components.join("slip39", [SHARE, components.split(KEY[::-1], 3, 2)[1]]),
    ),
    "wrapping under a key of a wrong length": (ValueError, lambda _: schemes.wrap("AES", KEY[:15], KEY)),
}  # fmt: skip


def told(error: BaseException) -> bytes:
    """Everything that a log could keep of it: its chain with sources, its words, what it carries."""
    text = "".join(traceback.TracebackException.from_exception(error).format())
    links: list[BaseException | None] = [error]
    while links[-1] is not None:
        links.append(links[-1].__cause__ or links[-1].__context__)
    return (text + "".join(f"{link!r} {link} {link.args!r}\n" for link in links if link is not None)).encode()


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_and_its_causes_hold_no_key(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vault._SCRYPT, "n", 16)
    kind, call = REFUSALS[name]
    with pytest.raises(kind) as refusal:
        call(tmp_path)
    said = told(refusal.value)
    assert not SEARCH.in_(said)


@pytest.mark.parametrize("quoted", [KEY, KEY.hex(), SHARE, TEXTS["the passphrase"]])
def test_a_refusal_that_quotes_a_key_would_be_found(quoted: Any) -> None:
    try:
        try:
            raise ValueError(quoted)
        except ValueError as error:
            raise KeysError("look again") from error
    except KeysError as error:
        assert SEARCH.in_(told(error))
