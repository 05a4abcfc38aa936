"""Who used which key: every use is a line, a changed file shows, a caller has its limits."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backoffice.keys import audit, backend, load, meter, native, soft, vault
from backoffice.keys.audit import Audit, AuditBroken, AuditLost
from backoffice.keys.backend import KeyInfo, KeyPath, KeysError
from backoffice.keys.keyring import Keyring
from backoffice.keys.meter import BadLimits, Meter, RateLimited
from backoffice.keys.service import BAD, NO_KEY, OK
from backoffice.tests.forge import SAMPLES
from backoffice.tests.test_keys import VECTOR
from backoffice.tests.test_keys_service import CARD, INPUTS, ISSUER, MASTERS, SECRET, full, made  # noqa: F401
from tunion import bcd

NOON_S = bcd.at_s(bytes.fromhex("20250601120000"))
DAY_S = 86400


class Clock:
    def __init__(self) -> None:
        self.now_s = NOON_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit"


def served(held: vault.Vault, clock: Clock, caller: str = "test") -> Keyring:
    return Keyring(
        held,
        audit=Audit(audit.beside(held.path), caller, clock),
        meter=Meter(meter.beside(held.path), caller, None, clock),
    )


def test_every_use_is_a_line_with_caller_operation_keys_and_count(full: vault.Vault, clock: Clock) -> None:  # noqa: F811
    service = served(full, clock, "making cards")
    purchase = service.path("purchase", "3DES", 1, ISSUER, CARD)
    control = service.path("control", "AES", 1, b"", bytes(8))
    service.kcv(purchase)
    service.session_mac(purchase, bytes(8), b"message")
    service.tac(service.path("tac", "3DES", 1, ISSUER, CARD), bytes(22))
    service.auth(control, bytes(8))
    service.command_mac(control, bytes(8), b"command")
    service.wrap(control, purchase)
    service.maintenance_mac(service.path("maintenance", "3DES", 1, ISSUER, CARD), bytes(4), b"command")
    service.soft_sam_blob(bytes(32), [ISSUER], bytes(6), 1, b"\x20\x25\x01\x01", b"\x20\x25\x12\x31", [1])
    service.tac_verify_batch([VECTOR, VECTOR._replace(tac=bytes(4)), VECTOR._replace(version=9)])
    assert audit.verify(audit.beside(full.path)).lines == 9

    rows = audit.rows(audit.beside(full.path))
    assert [(row["op"], row["keys"], row["count"]) for row in rows] == [
        ("kcv", ["purchase-3DES"], 1),
        ("session_mac", ["purchase-3DES"], 1),
        ("tac", ["tac-3DES"], 1),
        ("auth", ["control-AES"], 1),
        ("command_mac", ["control-AES"], 1),
        ("wrap", ["control-AES", "purchase-3DES"], 1),
        ("maintenance_mac", ["maintenance-3DES"], 1),
        ("soft_sam", ["purchase-3DES"], 1),
        ("tac_verify", ["tac-3DES"], 3),
    ]
    assert {row["caller"] for row in rows} == {"making cards"} and rows[0]["at"] == "2025-06-01T04:00:00Z"
    last = rows[-1]
    requests = [VECTOR, VECTOR._replace(tac=bytes(4)), VECTOR._replace(version=9)]
    assert last["digest"] == audit.digest([native.pack_rows(requests, None)])
    assert (last[OK], last[BAD], last[NO_KEY]) == (1, 1, 1)

    whole = audit.beside(full.path).read_text().upper()
    for secret in (*(INPUTS[name] for name in MASTERS.values()), INPUTS["app_serial"], INPUTS["factor_card"]):
        assert secret.upper() not in whole
    assert audit.beside(full.path).stat().st_mode & 0o777 == 0o600


def test_any_change_of_the_audit_shows(path: Path, clock: Clock) -> None:
    log = Audit(path, "test", clock)
    for number in range(4):
        log.write("kcv", [f"key-{number}"])
    whole = path.read_bytes()
    lines = whole.splitlines(True)
    for at in range(len(whole) - 1):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        with pytest.raises(AuditBroken, match="line"):
            audit.verify(path)
    for order in ((1, 2, 3), (0, 2, 3), (0, 1, 1, 2, 3), (1, 0, 2, 3)):
        path.write_bytes(b"".join(lines[number] for number in order))
        with pytest.raises(AuditBroken):
            audit.verify(path)
    other = path.with_name("other")
    for number in range(2):
        Audit(other, "another", clock).write("kcv", [f"key-{number}"])
    for number in (0, 1):  # a line made anew, right by itself
        path.write_bytes(b"".join([*lines[:number], other.read_bytes().splitlines(True)[number], *lines[number + 1 :]]))
        with pytest.raises(AuditBroken, match="line 2"):
            audit.verify(path)
    path.write_bytes(whole)
    noted = audit.verify(path)
    assert noted.lines == 4
    path.write_bytes(b"".join(lines[:2]))  # an end that was cut off shows against a note of it alone
    assert audit.verify(path).lines == 2
    with pytest.raises(AuditBroken, match="cut off"):
        audit.verify(path, noted)
    log.write("kcv", ["other"])
    log.write("kcv", ["other"])
    log.write("kcv", ["other"])
    with pytest.raises(AuditBroken, match="line 4"):
        audit.verify(path, noted)
    path.write_bytes(whole)
    log.write("kcv", ["more"])
    assert audit.verify(path, noted).lines == 5


def test_a_line_torn_by_a_power_cut_is_told_and_the_chain_goes_on(path: Path, clock: Clock) -> None:
    log = Audit(path, "test", clock)
    log.write("kcv", ["a"])
    log.write("kcv", ["b"])
    whole = path.read_bytes()
    first = len(whole.splitlines(True)[0])
    for cut in range(first + 1, len(whole)):
        path.write_bytes(whole[:cut])
        Audit(path, "test", clock).write("kcv", ["c"])
        rows = audit.rows(path)
        if cut == len(whole) - 1:  # only the end of the line is missing
            assert [row["keys"] for row in rows] == [["a"], ["b"], ["c"]]
        else:
            assert [row["keys"] for row in rows] == [["a"], ["c"]] and rows[1]["after_torn_line"]
        Audit(path, "test", clock).write("kcv", ["d"])
        assert audit.verify(path).lines == len(rows) + 1
    for cut in range(1, first):
        path.write_bytes(whole[:cut])
        Audit(path, "test", clock).write("kcv", ["c"])
        assert audit.verify(path).lines == (2 if cut == first - 1 else 1)


def test_an_audit_that_was_changed_takes_nothing_more(path: Path, clock: Clock) -> None:
    log = Audit(path, "test", clock)
    log.write("kcv", ["a"])
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"b"'))
    with pytest.raises(AuditBroken, match="ykt keys audit"):
        log.write("kcv", ["c"])


def test_no_audit_no_use(full: vault.Vault, clock: Clock) -> None:  # noqa: F811
    service = served(full, clock)
    audit.beside(full.path).mkdir()
    for call in (
        lambda: service.kcv(KeyPath("tac-3DES")),
        lambda: service.tac_verify_batch([VECTOR]),
    ):
        with pytest.raises(AuditLost):
            call()


def test_a_line_that_a_full_disk_took_half_of_is_no_line(path: Path) -> None:
    """write() says how much it wrote, and calls less than all no error."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from backoffice.keys.audit import Audit, AuditLost\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "log = Audit(Path(sys.argv[1]), 'test')\n"
        "log.write('kcv', ['a'])\n"
        "size = log.path.stat().st_size\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, size + 20))\n"
        "lost = 0\n"
        "for _ in range(3):\n"
        "    try: log.write('kcv', ['b'])\n"
        "    except AuditLost: lost += 1\n"
        "sys.exit(lost)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], env=os.environ, timeout=60).returncode == 3
    assert audit.verify(path).lines == 1
    Audit(path, "test").write("kcv", ["c"])
    assert [row["keys"] for row in audit.rows(path)] == [["a"], ["c"]] and audit.verify(path).lines == 2


def test_sums_that_could_not_be_written_are_written_later(path: Path, clock: Clock) -> None:
    log = Audit(path, "test", clock)
    log.sum("device_mac", "device-1")
    path.mkdir()
    clock.now_s += audit.SUM_S
    with pytest.raises(AuditLost):
        log.sum("device_mac", "device-1")
    path.rmdir()
    log.close()
    assert [row["count"] for row in audit.rows(path)] == [2]


def test_two_programs_write_one_chain(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from backoffice.keys.audit import Audit\n"
        "log = Audit(Path(sys.argv[1]), sys.argv[2])\n"
        "for number in range(60): log.write('kcv', [str(number)])\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(path), name], env=os.environ) for name in ("a", "b")]
    assert [one.wait(timeout=60) for one in both] == [0, 0]
    assert audit.verify(path).lines == 120
    assert {row["caller"] for row in audit.rows(path)} == {"a", "b"}


def test_macs_of_devices_are_written_down_as_sums(tmp_path: Path, clock: Clock) -> None:
    held = vault.create(tmp_path / "v", SECRET, test=True)
    load.add_test_keys(held, SAMPLES / "test_keys.json")
    service = served(held, clock)
    log = audit.beside(held.path)
    for _ in range(5):
        service.device_mac(1, b"upload")
    assert not log.exists()
    clock.now_s += audit.SUM_S
    service.device_mac(2, b"upload")
    service.device_mac(2, b"upload")
    service.close()
    assert [(row["op"], row["count"]) for row in audit.rows(log)] == [("device_mac", 6), ("device_mac", 1)]
    for _ in range(audit.SUM_CALLS):
        service.device_mac(1, b"upload")
    assert audit.rows(log)[-1]["count"] == audit.SUM_CALLS


def test_a_caller_has_its_limits_and_is_told(full: vault.Vault, clock: Clock) -> None:  # noqa: F811
    where = meter.beside(full.path)

    def asked(caller: str = "clear") -> Keyring:
        limits = {"tac_verify": (10, 25), "*": (2, 0)}
        return Keyring(full, meter=Meter(where, caller, limits, clock))

    service = asked()
    service.tac_verify_batch([VECTOR] * 6)
    with pytest.raises(RateLimited, match="10 times a minute"):
        service.tac_verify_batch([VECTOR] * 5)
    service.tac_verify_batch([VECTOR] * 4)  # what was refused was not counted
    with pytest.raises(RateLimited):
        asked().tac_verify_batch([VECTOR])  # another program of the same caller
    asked("another").tac_verify_batch([VECTOR])
    clock.now_s += 60
    service.tac_verify_batch([VECTOR] * 10)
    clock.now_s += 60
    with pytest.raises(RateLimited, match="25 times a day"):
        service.tac_verify_batch([VECTOR] * 6)
    clock.now_s += DAY_S
    service.tac_verify_batch([VECTOR] * 10)
    for _ in range(2):
        service.kcv(KeyPath("tac-3DES"))
    with pytest.raises(RateLimited, match="kcv"):
        service.kcv(KeyPath("tac-3DES"))


@pytest.mark.parametrize("rows_a_call", [1, 700])
def test_a_card_that_is_asked_about_too_often_is_told_once_a_day(
    rows_a_call: int, full: vault.Vault, clock: Clock  # noqa: F811
) -> None:
    other = VECTOR._replace(card=bytes.fromhex("03104999000000000099"))
    log = audit.beside(full.path)
    service = served(full, clock)
    for count in [700, 300] if rows_a_call > 1 else [100] * 10:
        service.tac_verify_batch([VECTOR] * count + [other])
        if rows_a_call == 1:
            service = served(full, clock)  # another short program
    assert [row for row in audit.rows(log) if row["op"] == "alarm"] == []
    service.tac_verify_batch([VECTOR] * 600 if rows_a_call > 1 else [VECTOR])
    service.tac_verify_batch([VECTOR])
    alarms = [row for row in audit.rows(log) if row["op"] == "alarm"]
    assert [row["count"] for row in alarms] == [1]
    clock.now_s += DAY_S
    service.tac_verify_batch([VECTOR])
    assert len([row for row in audit.rows(log) if row["op"] == "alarm"]) == 1
    assert bytes.fromhex(INPUTS["factor_card"]) not in meter.beside(full.path).read_bytes()


def test_one_card_in_many_longer_calls_of_many_programs_is_told(tmp_path: Path, clock: Clock) -> None:
    """Too many rows to write each card down, too few of one card for a single program to see it."""
    row = native.pack_rows([VECTOR], None)
    others = native.pack_rows([VECTOR._replace(card=(number).to_bytes(10, "big")) for number in range(2000)], None)
    told = [Meter(tmp_path / "meter", "test", None, clock).cards(row * 600 + others) for _ in range(3)]
    assert told == [0, 1, 1]
    assert Meter(tmp_path / "meter", "test", None, clock).cards(others) == 0


def test_limits_come_from_a_file_beside_the_vault(tmp_path: Path) -> None:
    path = tmp_path / "city.vault"
    load.add_test_keys(vault.create(path, SECRET, test=True), SAMPLES / "test_keys.json")
    soft.open_keys(path, SECRET, False).tac_verify_batch([VECTOR] * 4)
    limits = tmp_path / "city.vault.limits.json"
    few, many = {"tac_verify": {"minute": 3, "day": 0}}, {"tac_verify": {"minute": 0, "day": 9}}
    limits.write_text(json.dumps({"*": few, "big": many}))
    with pytest.raises(RateLimited):
        soft.open_keys(path, SECRET, False, "small").tac_verify_batch([VECTOR] * 4)
    soft.open_keys(path, SECRET, False, "big").tac_verify_batch([VECTOR] * 4)
    limits.write_text('{"*": 3}')
    with pytest.raises(BadLimits, match="looks like this"):
        soft.open_keys(path, SECRET, False)


def test_what_the_token_lacks_is_in_the_audit(full: vault.Vault, clock: Clock) -> None:  # noqa: F811
    class Less(vault.Vault):
        def session_mac(self, path: KeyPath, block: bytes, message: bytes) -> bytes:
            raise backend.Lacks("no SM4 in this token")

    token = Less(full.path.with_name("token"), True, bytes(16), SECRET)
    token.save()
    value = bytes.fromhex(INPUTS["MPK"])
    token.put(KeyInfo("own", "purchase", "SM4", "nation", "", vault.kcv("SM4", value), version=5), value)
    service = Keyring(token, full, audit=Audit(audit.beside(full.path), "test", clock))
    assert service.session_mac(service.path("purchase", "SM4", 5, ISSUER, CARD), bytes(8), b"x")
    rows = audit.rows(audit.beside(full.path))
    assert [row["op"] for row in rows] == ["lacks", "release", "session_mac"]
    assert rows[1]["why"] == "SM4 by the second provider"


def test_a_key_is_never_quoted(full: vault.Vault) -> None:  # noqa: F811
    """What goes wrong names ids."""
    said = []
    for call in (
        lambda: full.put(KeyInfo("x", "tac", "3DES", "nation", "", "000000"), bytes.fromhex(INPUTS["MTK"])),
        lambda: full.put(KeyInfo("x", "tac", "3DES", "nation", "", "000000"), bytes.fromhex(INPUTS["MTK"])[:15]),
        lambda: full.release(KeyPath("tac-3DES"), "why"),
        lambda: full.sign("tac-3DES", bytes(32)),
        lambda: full.kcv(KeyPath("tac-3DES", (b"short",))),
        lambda: Keyring(full).wrap(KeyPath("tac-3DES"), KeyPath("tac-3DES")),
    ):
        with pytest.raises(KeysError) as refusal:
            call()
        said.append(str(refusal.value))
    assert INPUTS["MTK"][:8] not in "".join(said).upper()


# --- jobs


def in_a_job(service: Keyring) -> None:
    purchase = service.path("purchase", "3DES", 1, ISSUER, CARD)
    control = service.path("control", "AES", 1, b"", bytes(8))
    service.auth(control, bytes(8))
    for _ in range(5):
        service.command_mac(control, bytes(8), b"command")
    service.wrap(control, purchase)
    service.session_mac(purchase, bytes(8), b"a trial")


def test_the_uses_of_a_job_are_one_line_before_its_result_counts(full: vault.Vault, clock: Clock) -> None:  # noqa: F811
    service, log = served(full, clock), audit.beside(full.path)
    load_key = service.path("load", "3DES", 1, ISSUER, CARD)
    chip = bytes.fromhex("AABBCCDD00112233")
    with service.job("personalise a card", chip):
        assert [row["op"] for row in audit.rows(log)] == ["job"], "before the first key is used"
        in_a_job(service)
        assert len(audit.rows(log)) == 1
        service.session_mac(load_key, bytes(8), b"a load")
        assert audit.rows(log)[-1]["op"] == "session_mac", "money has its line before its MAC is given out"
        assert [row["n"] for row in audit.open_jobs(log)] == [1]
    begun, money, ended = audit.rows(log)
    assert audit.verify(log).lines == 3 and audit.open_jobs(log) == []
    assert (begun["job"], begun["digest"], begun["count"]) == ("personalise a card", audit.digest([chip]), 0)
    assert (money["keys"], money["count"]) == (["load-3DES"], 1)
    assert (ended["op"], ended["begun"], ended["count"]) == ("job_end", 1, 8)
    assert ended["keys"] == ["control-AES", "purchase-3DES"]
    assert ended["uses"] == [
        ["auth", "control-AES", 1], ["command_mac", "control-AES", 5], ["wrap", "control-AES purchase-3DES", 1],
        ["session_mac", "purchase-3DES", 1],
    ]  # fmt: skip
    assert chip.hex().upper() not in log.read_text().upper()
    service.kcv(load_key)
    assert audit.rows(log)[-1]["op"] == "kcv", "after a job every use is a line again"


def test_a_job_that_fails_is_written_down_like_another(full: vault.Vault, clock: Clock) -> None:  # noqa: F811
    service, log = served(full, clock), audit.beside(full.path)
    with pytest.raises(KeyboardInterrupt), service.job("personalise a card", CARD):
        in_a_job(service)
        raise KeyboardInterrupt
    assert [row["count"] for row in audit.rows(log)] == [0, 8] and audit.open_jobs(log) == []
    with pytest.raises(KeysError, match="one job at a time"), service.job("a", CARD), service.job("b", CARD):
        raise AssertionError("two at once")
    with service.job("again", CARD):
        in_a_job(service)
    assert audit.verify(log).lines == 6


def test_a_job_whose_end_cannot_be_written_is_not_done(full: vault.Vault, clock: Clock) -> None:  # noqa: F811
    service, log = served(full, clock), audit.beside(full.path)
    with pytest.raises(AuditLost), service.job("personalise a card", CARD):
        in_a_job(service)
        log.rename(log.with_name("away"))
        log.mkdir()
    with pytest.raises(AuditLost), service.job("personalise a card", CARD):
        raise AssertionError("a job without a first line")


def test_a_long_job_is_written_down_in_parts(full: vault.Vault, clock: Clock) -> None:  # noqa: F811
    service, log = served(full, clock), audit.beside(full.path)
    control = service.path("control", "AES", 1, b"", bytes(8))
    with service.job("a large card", CARD):
        for _ in range(2 * audit.JOB_USES + 1):
            service.command_mac(control, bytes(8), b"command")
    assert [(row["op"], row["count"]) for row in audit.rows(log)] == [
        ("job", 0), ("job_part", audit.JOB_USES), ("job_part", audit.JOB_USES), ("job_end", 1),
    ]  # fmt: skip


def test_each_thread_has_its_own_job(full: vault.Vault, clock: Clock) -> None:  # noqa: F811
    service, log = served(full, clock), audit.beside(full.path)
    both = threading.Barrier(2, timeout=30)

    def make(chip: bytes, uses: int) -> None:
        control = service.path("control", "AES", 1, b"", chip)
        with service.job("personalise a card", chip):
            both.wait()
            for _ in range(uses):
                service.command_mac(control, bytes(8), b"command")
            both.wait()

    threads = [threading.Thread(target=make, args=(bytes((number,)) * 8, number)) for number in (3, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = audit.rows(log)
    of = {row["n"]: row["digest"] for row in rows[:2]}
    assert {of[row["begun"]]: row["count"] for row in rows[2:]} == {
        audit.digest([bytes((number,)) * 8]): number for number in (3, 5)
    }
    assert audit.verify(log).lines == 4


@pytest.mark.parametrize("uses", [0, 1, 99, 100, 150])
def test_a_program_that_dies_in_a_job_leaves_its_first_line_and_whole_parts(uses: int, tmp_path: Path) -> None:
    """What is lost is fewer than JOB_USES uses of one job, which is named, and which nothing good came from."""
    log = tmp_path / "audit"
    code = (
        "import os, sys; from pathlib import Path; from backoffice.keys.audit import Audit\n"
        "log = Audit(Path(sys.argv[1]), 'dies')\n"
        "log.use('kcv', ['before'])\n"
        "with log.job('personalise a card', b'chip'):\n"
        "    for _ in range(int(sys.argv[2])): log.use('command_mac', ['control'])\n"
        "    os._exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(log), str(uses)], env=os.environ).returncode == 7
    rows = audit.rows(log)
    assert audit.verify(log).lines == len(rows)
    assert [row["op"] for row in rows] == ["kcv", "job", *["job_part"] * (uses // audit.JOB_USES)]
    assert 0 <= uses - sum(row["count"] for row in rows[2:]) < audit.JOB_USES
    assert [(row["caller"], row["job"]) for row in audit.open_jobs(log)] == [("dies", "personalise a card")]
    Audit(log, "next").write("kcv", ["after"])
    assert audit.verify(log).lines == len(rows) + 1 and len(audit.open_jobs(log)) == 1


def test_only_what_is_said_to_be_part_of_a_job_is_summed(path: Path, clock: Clock) -> None:
    log = Audit(path, "test", clock)
    with log.job("a card", b""):
        for operation in ("sign", "soft_sam", *audit.IN_JOBS):
            log.use(operation, ["a"])
    assert [row["op"] for row in audit.rows(path)] == ["job", "sign", "soft_sam", "job_end"]
