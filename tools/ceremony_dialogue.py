"""The guided dialogue of a ceremony: who sits down, what they type, who confirms. One question for each step."""

import os
import shlex
import subprocess

from backoffice.keys import ceremony as steps
from backoffice.keys import components
from backoffice.keys.backend import KeysError
from backoffice.keys.ceremony import Ceremony, MixedKeys, Step
from backoffice.keys.ceremony_plan import CUSTODIAN, Person
from backoffice.keys.ceremony_words import ROLES, TEST_MARK
from backoffice.keys.components import XOR, PartRefused
from tools.ceremony_talk import WRONG_MAX, NotUnderstood, Stopped, Talk, in_words

PRINT_WAIT_S = 60.0


class PrinterFailed(KeysError):
    """The slip was not printed. The message says what the printer's command said."""


def hold(ceremony: Ceremony, talk: Talk, printer: str = "") -> None:
    """From where the ceremony stands to its end. Raises Stopped; then it goes on from the same step another time.

    printer  a command that takes a custodian's slip on its standard input; '': slips are copied from the screen
    """
    dialogue = _Dialogue(ceremony, talk, printer)
    if ceremony.test:
        talk.say(TEST_MARK)
    while (step := ceremony.step()).kind != steps.DONE:
        dialogue.take(step)


class _Dialogue:
    def __init__(self, ceremony: Ceremony, talk: Talk, printer: str) -> None:
        self._ceremony = ceremony
        self._talk = talk
        self._printer = printer
        self._plan = ceremony.plan
        self._seated = ""  # the custodian before the screen
        self._printed: set[tuple[str, str]] = set()
        self._joined_wrong: dict[str, int] = {}

    def take(self, step: Step) -> None:
        talk = self._talk
        if step.kind == steps.ATTEND:
            self._attend(self._plan.person(step.who))
        elif step.kind == steps.DEVICE:
            device = self._plan.devices[step.device]
            talk.insist(
                lambda: self._ceremony.device(talk.ask(f"读出{device.kind}的序列号", f"serial on the {device.kind}"))
            )
        elif step.kind in (steps.ENTER, steps.GIVE):
            self._part(step)
        elif step.kind in (steps.CONFIRM_PART, steps.CONFIRM_KEY):
            self._leave()
            self._confirm(step)
        elif step.kind == steps.JOIN:
            self._join(step)
        elif step.kind == steps.KEEP:
            self._keep(step)
        elif step.kind == steps.CLOSE:
            self._leave()
            talk.insist(self._close)

    def _attend(self, person: Person) -> None:
        zh, en = (", ".join(ROLES[role][language] for role in person.roles) for language in (0, 1))
        self._leave()

        def there() -> None:
            question = f"{person.name}（{zh}，{person.number}）到场，证件已核对?"
            if not self._talk.ask_yes(question, f"{person.name} ({en}) is here, identity checked?"):
                raise NotUnderstood("the ceremony goes on when this person is here")

        self._talk.insist(there)
        if CUSTODIAN not in person.roles:
            self._ceremony.attend(person.person_id)
            return

        def choose() -> None:
            self._ceremony.attend(person.person_id, new_passphrase(self._talk, person.name))

        self._talk.insist(choose)
        self._talk.clear()

    def _part(self, step: Step) -> None:
        person, key = self._plan.person(step.custodian), self._plan.key(step.key_id)
        self._unlock()
        if self._seated != step.custodian:
            self._talk.clear()
            self._seated = step.custodian
            at = [each.key_id for each in self._plan.keys].index(key.key_id) + 1
            self._talk.say(
                f"密钥 {at}/{len(self._plan.keys)} {key.key_id}：请 {person.name} 独自坐到屏幕前",
                f"key {key.key_id}: {person.name} alone before the screen",
            )
        if step.kind == steps.GIVE:
            self._give(step)
        found = self._talk.insist(lambda: self._enter(step))
        self._leave()
        self._talk.say(f"{person.name} 的分量，校验值 {found}", f"part of {person.name}, KCV {found}")

    def _give(self, step: Step) -> None:
        """Show or print the part; then off the screen with it, for it is typed from paper."""
        lines, kcv = self._ceremony.part_to_copy(), self._ceremony.kcv_of(step)
        key, name = self._plan.key(step.key_id), self._plan.person(step.custodian).name
        if self._printer:
            if (step.key_id, step.custodian) not in self._printed:
                mark = [TEST_MARK] if self._ceremony.test else []
                title = f"{self._plan.title_zh} {self._plan.title_en}"
                slip = "\n".join([*mark, title, f"{key.key_id}  {name}", *lines, f"KCV {kcv}", "\f"])
                self._talk.insist(lambda: _print(self._printer, slip))
                self._printed.add((step.key_id, step.custodian))
            return
        for line in lines:
            self._talk.say(f"    {line}")
        self._talk.say(f"    KCV {kcv}")
        self._talk.ask("抄好并核对后按回车", "copy it onto the slip, compare, then press Enter")
        self._talk.clear()

    def _enter(self, step: Step) -> str:
        method = self._plan.key(step.key_id).method
        envelope = self._talk.ask("信封编号", "number of the envelope")
        if method == XOR:
            typed = self._talk.ask_part("分量(4 位一组)", "component, groups of 4", 8, _groups)
        else:
            typed = self._talk.ask_part("分量(单词)", "share, words", components.SHARE_WORDS, _words)
        kcv = self._talk.ask("信封上的校验值", "KCV on the envelope")
        return self._ceremony.enter(typed, kcv, envelope)

    def _confirm(self, step: Step) -> None:
        name, record = self._plan.person(step.who).name, self._ceremony.kcv_of(step)
        what = (f"{step.key_id} 整体", f"the whole of {step.key_id}")
        if step.custodian:
            holder = self._plan.person(step.custodian).name
            what = (f"{step.key_id} 中 {holder} 的分量", f"the part of {holder} of {step.key_id}")

        def confirmed() -> None:
            question = f"{name}：{what[0]}，校验值 {record}，与纸面一致?"
            agrees = self._talk.ask_yes(question, f"{what[1]} has KCV {record}, as on paper?")
            self._ceremony.confirm(agrees)
            if not agrees:
                self._talk.say("  已否认，重新录入", "denied: it is entered or read again")

        self._talk.insist(confirmed)

    def _join(self, step: Step) -> None:
        self._unlock()
        try:
            kcv = self._ceremony.join()
        except (PartRefused, MixedKeys) as refusal:  # the parts of this key are entered again
            wrong = self._joined_wrong[step.key_id] = self._joined_wrong.get(step.key_id, 0) + 1
            self._talk.say(f"  ✗ {in_words(refusal)}  ({wrong}/{WRONG_MAX})")
            if wrong == WRONG_MAX:
                raise Stopped(f"the parts of {step.key_id} gave another key {WRONG_MAX} times") from refusal
            return
        self._talk.say(f"{step.key_id} 已合成，校验值 {kcv}", f"{step.key_id} joined, KCV {kcv}")

    def _keep(self, step: Step) -> None:
        self._unlock()
        kcv = self._ceremony.keep()
        self._talk.say(f"{step.key_id} 已存入，校验值 {kcv}", f"{step.key_id} kept, KCV {kcv}")

    def _close(self) -> None:
        told = self._plan.video
        video = self._talk.ask(f"录像编号{f'（回车：{told}）' if told else ''}", "where the video is kept") or told
        if not video:
            raise NotUnderstood("name the recording, or write: none")
        self._ceremony.close(video, self._talk.ask("备注，可空", "remarks, or nothing"))

    def _unlock(self) -> None:
        """Passphrases that this program has not heard yet: after a resume."""
        for custodian in self._ceremony.wants_passphrases():
            name = self._plan.person(custodian).name

            def unlock(custodian: str = custodian, name: str = name) -> None:
                typed = self._talk.ask_hidden(f"{name} 的口令", f"passphrase of {name}")
                self._ceremony.unlock(custodian, typed)

            self._talk.clear()
            self._talk.insist(unlock)

    def _leave(self) -> None:
        """Whoever sat before the screen gets up; nothing of theirs stays on it."""
        if self._seated:
            self._seated = ""
            self._talk.clear()


def new_passphrase(talk: Talk, name: str) -> str:
    """Typed twice. Raises NotUnderstood where the two differ."""
    typed = talk.ask_hidden(f"{name} 设定口令", f"{name}, choose a passphrase")
    if talk.ask_hidden("再输入一次", "once more") != typed:
        raise NotUnderstood("the two are not the same: choose one again")
    return typed


def _groups(typed: str) -> int:
    return len("".join(typed.replace("-", " ").split())) // 4


def _words(typed: str) -> int:
    return sum(not word.isdigit() for word in typed.split())


def _print(command: str, slip: str) -> None:
    told = {name: value for name, value in os.environ.items() if not name.startswith("YKT_")}  # no passphrase, no PIN
    try:
        done = subprocess.run(
            shlex.split(command), input=slip, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            timeout=PRINT_WAIT_S, env=told,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise PrinterFailed(f"the printer's command does not run: {error.__class__.__name__}") from error
    if done.returncode:
        raise PrinterFailed(f"the printer's command ended with {done.returncode}: {done.stderr.strip()[:200]}")
