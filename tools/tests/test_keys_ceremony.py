"""Ceremonies as people hold them: on a terminal, cut at every question, and what is said when something is wrong."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios

import pytest

from backoffice.keys import ceremony_file, components, minutes, token, vault
from backoffice.keys.backend import KeyInfo
from backoffice.keys.ceremony_words import TEST_MARK
from backoffice.tests.ceremony_room import PARTS, WHOLE, content
from backoffice.tests.softhsm import PIN, SO_PIN, softhsm
from tools import cli, keys, keys_ceremony
from tools.paths import ROOT

SAMPLE = ROOT / "backoffice" / "samples" / "ceremony_plan.json"
MASTER = "the master's own"
CTRL_C = b"\x03"
AGAIN_S = 5.0
READ_BYTES = 65536
LOADED = (keys, keys_ceremony, minutes)     # once, and not in each process that is forked


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """scrypt at a thousandth of its cost; and a process that is killed loses nothing that the kernel has."""
    minutes._register_font()
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setitem(ceremony_file._SCRYPT, "n", 16)
    monkeypatch.setitem(vault._SCRYPT, "n", 16)
    monkeypatch.setenv("YKT_VAULT_PASSPHRASE", "vault")
    monkeypatch.delenv("YKT_CEREMONY_PASSPHRASE", raising=False)


class Room:
    """A folder with a plan and a vault, and the command lines for it."""

    def __init__(self, folder, plan=None, test=True):
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.plan = folder / "plan.json"
        self.plan.write_text(json.dumps(plan or content()), encoding="utf-8")
        self.state, self.vault = folder / "state", folder / "vault"
        vault.create(self.vault, b"vault", test)

    def run(self, *more):
        return ["keys", "ceremony", "run", "--plan", str(self.plan), *self.common(), *more]

    def resume(self, *more):
        return ["keys", "ceremony", "resume", *self.common(), *more]

    def common(self):
        return ["--state", str(self.state), "--vault", str(self.vault)]

    def keys(self):
        opened = vault.open_vault(self.vault, b"vault")
        return {info.key_id: (info.state, opened._key(info.key_id)) for info in opened.infos()}


class Terminal:
    """A command on a terminal of its own, in a process of its own. `ask` waits for a question."""

    def __init__(self, argv):
        self.process, self.handle = pty.fork()
        if self.process == 0:
            code = 70
            try:
                sys.stdin = open(0, encoding="utf-8", closefd=False)  # pytest's own lead elsewhere
                sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
                sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
                code = cli.main(argv)
            finally:
                os._exit(code)
        self.said = ""
        self.code = None

    def ask(self):
        """All that was said up to the next question, the question last; None: it ended."""
        start = len(self.said)
        while not re.search(r": (\r\n)?$", self.said[start:]):
            if not self._hear():
                return None
        return self.said[start:]

    def _hear(self):
        """What comes next; False: it ended."""
        try:
            more = os.read(self.handle, READ_BYTES)
        except OSError:  # the other end is closed
            more = b""
        if not more:
            self.close()
        self.said += more.decode("utf-8", "replace")
        return bool(more)

    def answer(self, line):
        os.write(self.handle, line.encode() + b"\n")

    def interrupt(self):
        os.write(self.handle, CTRL_C)

    def interrupt_to_the_end(self):
        """Ctrl-C as a person does it: again where nothing happens.

        Python hears a signal that comes in the moment before its read begins with the next byte only.
        """
        self.interrupt()
        while self.code is None:
            if select.select([self.handle], [], [], AGAIN_S)[0]:
                self._hear()
            else:
                self.interrupt()

    def kill(self):
        os.kill(self.process, signal.SIGKILL)

    def echoes(self):
        return bool(termios.tcgetattr(self.handle)[3] & termios.ECHO)

    def close(self):
        if self.code is None:
            _, status = os.waitpid(self.process, 0)
            self.code = os.waitstatus_to_exitcode(status)
            os.close(self.handle)


class People:
    """Everybody of the plan, answering as they should."""

    def __init__(self):
        self.slips = {}  # (key, name) -> lines, as on paper
        self.seat = ("", "")
        self.last = ""

    def answer(self, said):
        for key, name in re.findall(r"key ([\w-]+): ([\w ]+) alone before the screen", said):
            self.seat = (key, name)
        question = said.strip().splitlines()[-1]
        self.last = self._answer(question, said)
        return self.last

    def _answer(self, question, said):
        if "once more" in question:
            return self.last
        if "ceremony master, choose" in question or "passphrase of the ceremony" in question:
            return MASTER
        if found := re.search(r"\| (custodian c\d), choose|passphrase of (custodian c\d)", question):
            return f"secret of {found[1] or found[2]}"
        if "press Enter" in question:
            lines = [line.strip() for line in said.splitlines() if line.startswith("    ")]
            self.slips[self.seat] = (" ".join(lines[:-1]), lines[-1].removeprefix("KCV "))
            return ""
        for words, answer in (("(yes/no)", "yes"), ("serial on", "sn-77"), ("video", "tape 4"), ("remarks", "")):
            if words in question:
                return answer
        key, name = self.seat
        if "number of the envelope" in question:
            return f"E-{name[-1]}" if key == "tac-1" else f"S-{key}-{name[-1]}"
        part, kcv = self._paper()
        if "KCV on the envelope" in question:
            return kcv
        assert "groups of 4" in question or "share, words" in question, question
        return part

    def _paper(self):
        key, name = self.seat
        if key == "tac-1":
            part = PARTS[int(name[-1]) - 1]
            return part.hex(" ", 2), components.kcv("3DES", part)
        return self.slips[self.seat]


def hold(terminal, people, questions=None):
    """Answer until the end, or until so many questions stand unanswered; how many were answered."""
    count = 0
    while (said := terminal.ask()) is not None:
        if count == questions:
            return count
        terminal.answer(people.answer(said))
        count += 1
    return count


def test_a_whole_ceremony_on_a_terminal(tmp_path):
    room = Room(tmp_path)
    terminal, people = Terminal(room.run()), People()
    hold(terminal, people)
    assert terminal.code == 0, terminal.said
    keys = room.keys()
    assert keys["tac-1"] == ("active", WHOLE) and len(keys) == 3
    assert TEST_MARK in terminal.said and "签名公钥 | signing key" in terminal.said
    for secret in (MASTER, "secret of c", *(part.hex(" ", 2) for part in PARTS), *(part.hex() for part in PARTS)):
        assert secret not in terminal.said
    for (_, name), (share, _) in people.slips.items():
        for screen in terminal.said.split("\x1b[2J\x1b[3J\x1b[H"):
            shown = all(word in screen for word in share.split())
            assert not shown or (name in screen and screen.count("    KCV") == 1)


@pytest.mark.parametrize("how", ["kill -9", "Ctrl-C"])
def test_cut_at_every_question_of_every_step_it_goes_on_to_the_same_keys(tmp_path, how):
    """One ceremony, cut some hundred times: at a step's first question, then at its second, until the step is done."""
    room, people = Room(tmp_path), People()
    before, answered, cuts = b"", 0, 0
    while True:
        there = room.state.exists()
        terminal = Terminal(room.resume() if there else room.run())
        hold(terminal, people, answered)
        if terminal.code is not None:
            break
        cuts += 1
        if how == "kill -9":
            terminal.kill()
            terminal.close()
            assert terminal.code == -signal.SIGKILL
        else:
            terminal.interrupt_to_the_end()
            assert terminal.code == 130
            assert ("resume --state" in terminal.said) == room.state.exists()
        after = room.state.read_bytes() if there else b""
        answered = answered + 1 if after == before else 1
        before = after
        assert cuts < 1000, terminal.said
    assert terminal.code == 0, terminal.said
    assert cuts > 80
    keys = room.keys()
    assert keys["tac-1"] == ("active", WHOLE) and len(keys) == 3
    record = json.loads((tmp_path / "state-minutes.json").read_text(encoding="utf-8"))
    assert [row["kcv"] for row in record["keys"]] == [
        vault.kcv(row["algorithm"], keys[row["key_id"]][1]) for row in record["keys"]
    ]
    assert not [event for event in record["events"] if event["what"].startswith("refused")]
    assert minutes.check((tmp_path / "state-minutes.pdf").read_bytes()).intact


def test_the_terminal_shows_what_is_typed_again_after_ctrl_c_in_a_passphrase(tmp_path):
    terminal = Terminal(Room(tmp_path).run())
    assert "choose a passphrase" in terminal.ask()
    assert not terminal.echoes()
    terminal.interrupt_to_the_end()
    assert terminal.code == 130


def piped(argv, lines):
    """As in a script: exit code, output, refusals."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.cli", *argv], input="\n".join(lines) + "\n", text=True, capture_output=True,
        timeout=60, cwd=ROOT,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def start(folder):
    """A ceremony that waits for the first part; its room."""
    room = Room(folder)
    terminal, people = Terminal(room.run()), People()
    while "number of the envelope" not in (said := terminal.ask()):
        terminal.answer(people.answer(said))
    terminal.kill()
    terminal.close()
    return room


def answers(room, *lines):
    """Resume on a terminal with these lines; what was said."""
    terminal = Terminal(room.resume())
    left = list(lines)
    while terminal.ask() is not None:
        if not left:
            terminal.interrupt()
            continue
        terminal.answer(left.pop(0))
    return terminal


def test_wrong_answers_are_asked_again_with_the_reason_and_three_of_them_stop(tmp_path):
    room = start(tmp_path)
    good, kcv = PARTS[0].hex(" ", 2), components.kcv("3DES", PARTS[0])
    three = (("E-1", good, "000000"), ("E-2", good, kcv), ("E-1", "12", "", kcv))
    wrong = answers(room, MASTER, "secret of custodian c1", *three[0], *three[1], *three[2])
    assert wrong.code == 1
    for words in (
        "校验值不符 | part of custodian c1", "与计划或屏幕不符 | the plan has envelope E-1", "格式不对 | a component",
        "(3/3)", "仪式暂停，可以恢复 | 3 wrong answers", "resume --state",
    ):  # fmt: skip
        assert words in wrong.said, words
    terminal, people = Terminal(room.resume()), People()
    hold(terminal, people)
    assert terminal.code == 0 and room.keys()["tac-1"] == ("active", WHOLE)
    record = json.loads((tmp_path / "state-minutes.json").read_text(encoding="utf-8"))
    assert [event["note"] for event in record["events"] if event["what"] == "refused_part"] == [
        "WrongCheckValue", "Disagreed", "BadPart",
    ]  # fmt: skip


def test_wrong_passphrases_stop_and_change_nothing(tmp_path):
    room = start(tmp_path)
    before = room.state.read_bytes()
    assert answers(room, "a", "b", "c").code == 1
    said = answers(room, MASTER, "a", "b", "c").said
    assert "口令不对 | not the passphrase that custodian c1 chose" in said and "(3/3)" in said
    assert room.state.read_bytes() == before


def test_a_custodian_who_forgot_the_passphrase_enters_again(tmp_path):
    room = start(tmp_path)
    terminal, people = Terminal(room.resume("--forget", "c1")), People()
    hold(terminal, people)
    assert terminal.code == 0 and room.keys()["tac-1"] == ("active", WHOLE)


def test_a_key_that_is_not_the_planned_one_three_times(tmp_path):
    plan = content()
    plan["keys"] = [{**plan["keys"][0], "kcv": "ABCDEF"}]
    room = Room(tmp_path, plan)
    terminal = Terminal(room.run())
    hold(terminal, People())
    assert terminal.code == 1 and terminal.said.count("the plan has ABCDEF") == 3 and room.keys() == {}


def test_piped_input_ends_early_and_is_resumable(tmp_path):
    plan = content()
    room = Room(tmp_path, plan)
    vault_of_full_cost(room)
    code, out, err = piped(room.run(), [MASTER, MASTER, "yes", "yes"])
    assert code == 1 and "the input ended" in err and "resume --state" in err and "\x1b" not in out
    code, out, err = piped(["keys", "ceremony", "status", "--state", str(room.state), "--json"], [MASTER])
    assert code == 0 and json.loads(out)["next"] == {"step": "attend", "who": "w", "key_id": ""}


def vault_of_full_cost(room):
    """Another process derives keys as they are derived."""
    room.vault.unlink()
    with pytest.MonkeyPatch.context() as real:
        real.setitem(vault._SCRYPT, "n", 1 << 15)
        vault.create(room.vault, b"vault", True)


def test_slips_by_a_printer_and_not_on_the_screen(tmp_path):
    plan = content()
    plan["keys"] = plan["keys"][1:]
    room = Room(tmp_path, plan)
    paper = tmp_path / "paper"
    terminal, people = Terminal(room.run("--print", f"tee -a {paper}")), People()

    def from_paper():
        slip = paper.read_text(encoding="utf-8").split("\f")[-2]
        lines = [line for line in slip.strip().splitlines() if re.match(r" ?\d+ ", line)]
        return " ".join(lines), re.search(r"KCV (\w{6})", slip)[1]

    people._paper = from_paper
    hold(terminal, people)
    assert terminal.code == 0, terminal.said
    slips = paper.read_text(encoding="utf-8")
    assert slips.count("custodian c") == 3 and slips.count(TEST_MARK) == 3 and people.slips == {}
    failing = Room(tmp_path / "failing", plan)
    terminal = Terminal(failing.run("--print", "false"))
    hold(terminal, People())
    assert terminal.code == 1 and "ended with 1" in terminal.said


def cli_said(argv, capsys):
    code = cli.main(argv)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_sample_plan_without_people(tmp_path, capsys):
    def once(name, seed):
        room = Room(tmp_path / name, json.loads(SAMPLE.read_text(encoding="utf-8")))
        more = ["--seed", str(seed)] if seed else []
        code, out, _ = cli_said(room.run("--unattended", "--test", "--json", *more), capsys)
        summary = json.loads(out)
        assert code == 0 and summary["test"] and summary["closed"]
        return [key["kcv"] for key in summary["keys"]], summary, room

    kcvs, summary, room = once("a", 7)
    assert kcvs == once("b", 7)[0] != once("c", 8)[0]
    assert once("d", None)[0] != once("e", None)[0]
    purposes = {"purchase", "load", "tac", "maintenance", "control"}
    assert {key["purpose"] for key in summary["keys"]} == purposes == {
        info.purpose for info in vault.open_vault(room.vault, b"vault").infos()
    }
    pdf = summary["minutes"]["pdf"]
    code, out, _ = cli_said(["keys", "ceremony", "minutes", "--check", pdf, "--json"], capsys)
    checked = json.loads(out)
    assert code == 0 and checked["json_checked"] and checked["key_sha256"] == summary["minutes"]["key_sha256"]
    record = json.loads(open(summary["minutes"]["json"], encoding="utf-8").read())
    assert record["test"] and "unattended test" in record["remarks"]


def test_an_unattended_ceremony_cut_anywhere_goes_on(tmp_path, capsys, monkeypatch):
    """As a power cut between two steps; with a seed the keys are the same."""
    plan = json.loads(SAMPLE.read_text(encoding="utf-8"))
    real, calls = ceremony_file.StateFile.save, []

    def save(file, body):
        real(file, body)
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt

    kcvs = set()
    for at in (2, 40, 75, 1000):
        room = Room(tmp_path / str(at), plan)
        calls.clear()
        options = ("--unattended", "--json", "--seed", "5")
        monkeypatch.setattr(ceremony_file.StateFile, "save", save)
        code = cli_said(room.run("--test", *options), capsys)[0]
        monkeypatch.setattr(ceremony_file.StateFile, "save", real)
        assert code == (130 if at < 1000 else 0)
        if code:
            code, out, err = cli_said(room.resume(*options), capsys)
            assert code == 0, err
        kcvs.add(tuple(sorted(info.kcv for info in vault.open_vault(room.vault, b"vault").infos())))
    assert len(kcvs) == 1


def test_production_refuses_tests(tmp_path, capsys):
    plan = content(test=False)
    room = Room(tmp_path / "a", plan, test=False)
    unknown = content()
    del unknown["keys"][0]["kcv"]
    for argv, says in (
        (room.run("--unattended", "--test"), "测试密钥与生产密钥不得混用 | a production ceremony is held by people"),
        (room.run("--seed", "1"), "--seed is for --unattended"),
        (Room(tmp_path / "b", plan, test=True).run(), "a production ceremony, and keys for test"),
        (Room(tmp_path / "c", unknown, test=False).run("--unattended", "--test"), "a test ceremony, and keys for"),
        (Room(tmp_path / "d", unknown, test=True).run("--unattended"), "say so with --test"),
        (Room(tmp_path / "e", content(), test=True).run("--unattended", "--test"), "somebody has it in envelopes"),
    ):
        os.environ["YKT_CEREMONY_PASSPHRASE"] = "long enough"
        try:
            code, _, err = cli_said(argv, capsys)
        finally:
            del os.environ["YKT_CEREMONY_PASSPHRASE"]
        assert code == 1 and says in err
    assert room.keys() == {} and not room.state.exists()


def test_abort_leaves_neither_file_nor_key(tmp_path, capsys, monkeypatch):
    room = start(tmp_path)
    monkeypatch.setenv("YKT_CEREMONY_PASSPHRASE", MASTER)
    code, out, _ = cli_said(["keys", "ceremony", "abort", *room.common(), "--yes", "--json"], capsys)
    assert code == 0 and json.loads(out) == {"aborted": True, "destroyed": []}
    assert sorted(path.name for path in tmp_path.iterdir() if "audit" not in path.name) == ["plan.json", "vault"]


def test_files_in_the_way_and_files_that_are_not_there(tmp_path, capsys):
    room = Room(tmp_path, json.loads(SAMPLE.read_text(encoding="utf-8")))
    none = str(tmp_path / "none")
    for argv, says in (
        (["keys", "ceremony", "plan", "--plan", none], "does not exist"),
        (["keys", "ceremony", "minutes", "--check", str(room.plan)], "does not hold together"),
        (["keys", "ceremony", "abort", *room.common()], "begin with"),
    ):
        os.environ["YKT_CEREMONY_PASSPHRASE"] = "x"
        try:
            code, _, err = cli_said(argv, capsys)
        finally:
            del os.environ["YKT_CEREMONY_PASSPHRASE"]
        assert code == 1 and says in err, err
    assert cli_said(room.run("--unattended", "--test"), capsys)[0] == 0
    code, _, err = cli_said(room.run("--unattended", "--test"), capsys)
    assert code == 1 and "exists already" in err
    signed = (tmp_path / "state-minutes.pdf").read_bytes()
    code, _, err = cli_said(room.resume("--unattended"), capsys)
    assert code == 1 and "may be signed by hand" in err and (tmp_path / "state-minutes.pdf").read_bytes() == signed
    (tmp_path / "state-minutes.json").write_text("{}")
    code, _, err = cli_said(["keys", "ceremony", "minutes", "--check", str(tmp_path / "state-minutes.pdf")], capsys)
    assert code == 1 and "纪要有误" in err and "not the JSON that this PDF names" in err


def test_into_a_token_and_a_vault_for_what_it_lacks(tmp_path, capsys, monkeypatch):
    """SoftHSM2 has no SM4. Signed by a key of the token; resumed and aborted with it as with a vault."""
    plan = json.loads(SAMPLE.read_text(encoding="utf-8"))
    plan["keys"].append({**plan["keys"][0], "key_id": "purchase-sm4", "algorithm": "SM4"})
    room = Room(tmp_path, plan)
    for name, text in (("pin", PIN), ("so", SO_PIN)):
        (tmp_path / name).write_text(text)
    where = ["--token", str(tmp_path / "token.json"), "--pin-file", str(tmp_path / "pin")]
    with softhsm(tmp_path / "hsm"):
        init = ["keys", "token", "init", *where, "--so-pin-file", str(tmp_path / "so"), "--test"]
        assert cli_said(init, capsys)[0] == 0
        opened = token.open_token(tmp_path / "token.json", PIN)
        opened.make(KeyInfo("signer", "params", "ES256", "sign", "", ""))
        argv = [*room.run(*where, "--unattended", "--test", "--json", "--seed", "4", "--sign-key", "signer")]
        code, out, err = cli_said(argv, capsys)
        assert code == 0, err
        kcvs = {key["key_id"]: key["kcv"] for key in json.loads(out)["keys"]}
        inside = {info.key_id: info for info in token.open_token(tmp_path / "token.json", PIN).infos()}
        assert {info.key_id for info in inside.values()} == {*kcvs, "signer"} - {"purchase-sm4"}
        assert all(info.state == "active" and kcvs.get(each, info.kcv) == info.kcv for each, info in inside.items())
        assert list(room.keys()) == ["purchase-sm4"]
        found = minutes.check((tmp_path / "state-minutes.pdf").read_bytes())
        assert found.key_sha256 == minutes.SigningKey.of_backend(opened, "signer").sha256


def test_minutes_signed_by_a_key_that_is_not_there(tmp_path, capsys):
    room = Room(tmp_path, json.loads(SAMPLE.read_text(encoding="utf-8")))
    code, _, err = cli_said(room.run("--unattended", "--test", "--sign-key", "none"), capsys)
    assert code == 1 and "no key none to sign the minutes" in err


def test_minutes_are_not_signed_by_a_key_that_was_lost(tmp_path, capsys):
    room = Room(tmp_path, json.loads(SAMPLE.read_text(encoding="utf-8")))
    opened = vault.open_vault(room.vault, b"vault")
    made = opened.make(KeyInfo("signer", "params", "ES256", "sign", "", ""))
    opened.change(made._replace(state="compromised", compromised_s=1))
    code, _, err = cli_said(room.run("--unattended", "--test", "--sign-key", "signer"), capsys)
    assert code == 1 and "signer makes nothing new: it is compromised" in err
    assert list(room.keys()) == ["signer"]


def test_a_printer_is_told_no_passphrase(tmp_path, monkeypatch):
    plan = content()
    plan["keys"] = plan["keys"][1:]
    room = Room(tmp_path, plan)
    script = tmp_path / "print"
    script.write_text(f"#!/bin/sh\ncat > {tmp_path}/slip\nenv > {tmp_path}/env\nfalse\n")
    script.chmod(0o700)
    monkeypatch.setenv("YKT_TOKEN_PIN", PIN)
    terminal = Terminal(room.run("--print", str(script)))
    hold(terminal, People())
    assert terminal.code == 1 and "PATH=" in (tmp_path / "env").read_text()
    assert "YKT_" not in (tmp_path / "env").read_text()


def test_two_at_once(tmp_path, capsys):
    room = Room(tmp_path, json.loads(SAMPLE.read_text(encoding="utf-8")))
    with ceremony_file.locked(room.state):
        code, _, err = cli_said(room.run("--unattended", "--test"), capsys)
    assert code == 1 and "另一个程序正在使用 | another program works on state" in err
