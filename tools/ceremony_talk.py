"""What a terminal says and hears in a ceremony: Chinese and English, secrets without echo, wrong answers asked again.

Works on a terminal and with piped input alike. A custodian's secret leaves the screen before the next one sits down.
"""

import contextlib
import termios
from collections.abc import Callable, Iterator
from typing import TextIO, TypeVar

from backoffice.keys.backend import KeysError

WRONG_MAX = 3  # answers to one question; then the ceremony waits
LINE_CHARS_MAX = 1000
_CLEAR = "\x1b[2J\x1b[3J\x1b[H"  # screen, and what was scrolled off it
_ECHO = 3  # index of the local flags
_YES = {"y": True, "yes": True, "是": True, "n": False, "no": False, "否": False}
_T = TypeVar("_T")

# Refusals by the name of their class; the English message follows
_ZH = {
    "BadPart": "格式不对",
    "WrongCheckValue": "校验值不符",
    "EqualParts": "两人的分量相同",
    "Disagreed": "与计划或屏幕不符",
    "MixedKeys": "测试密钥与生产密钥不得混用",
    "WrongPassphrase": "口令不对",
    "Tampered": "文件已被改动",
    "WrongBackend": "不是本次仪式的密钥库",
    "InUse": "另一个程序正在使用",
    "RuleBroken": "违反分权规则",
    "BadPlan": "计划有误",
    "NotUnderstood": "听不懂",
    "Stopped": "仪式暂停，可以恢复",
    "MinutesError": "纪要有误",
}


class NotUnderstood(KeysError):
    """The answer is none of those that were offered."""


class Stopped(KeysError):
    """The ceremony waits: too many wrong answers, or the input ended. Nothing is lost."""


def in_words(refusal: KeysError) -> str:
    """Chinese, as far as there is some, and English."""
    return f"{_ZH.get(type(refusal).__name__, '被拒')} | {refusal}"


class Talk:
    """echo: what custodians type is shown."""

    def __init__(self, source: TextIO, out: TextIO, echo: bool = False) -> None:
        self._source = source
        self._out = out
        self._echo = echo
        self._screen = out.isatty()

    def say(self, zh: str, en: str = "") -> None:
        print(f"{zh} | {en}" if en else zh, file=self._out, flush=True)

    def clear(self) -> None:
        """Nothing of what stood there can be scrolled back to."""
        print(_CLEAR if self._screen else "-" * 72, end="" if self._screen else "\n", file=self._out, flush=True)

    def ask(self, zh: str, en: str) -> str:
        """One line, without blanks around it. Raises Stopped at the end of the input."""
        print(f"{zh} | {en}: ", end="", file=self._out, flush=True)
        line = self._source.readline(LINE_CHARS_MAX)
        if not line:
            raise Stopped("the input ended")
        return line.strip()

    def ask_hidden(self, zh: str, en: str) -> str:
        """As `ask`; on a terminal what is typed is not shown."""
        with self._silent():
            return self.ask(zh, en)

    def ask_part(self, zh: str, en: str, words: int, count: Callable[[str], int]) -> str:
        """A secret over as many lines as it takes until it has `words` by `count`, or a line is empty."""
        typed = ""
        with contextlib.nullcontext() if self._echo else self._silent():
            while (have := count(typed)) < words:
                line = self.ask(f"{zh} {have}/{words}", f"{en}, {have} of {words}")
                if not line:
                    break
                typed += " " + line
        return typed.strip()

    def ask_yes(self, zh: str, en: str) -> bool:
        """Raises NotUnderstood."""
        answer = self.ask(f"{zh}(是/否)", f"{en} (yes/no)").lower()
        if answer not in _YES:
            raise NotUnderstood("answer yes or no")
        return _YES[answer]

    def insist(self, once: Callable[[], _T], of: type[KeysError] = KeysError) -> _T:
        """What `once` gives. A refusal of that kind is told and asked again; the third one raises Stopped."""
        for wrong in range(1, WRONG_MAX + 1):
            try:
                return once()
            except Stopped:
                raise
            except of as refusal:
                self.say(f"  ✗ {in_words(refusal)}  ({wrong}/{WRONG_MAX})")
        raise Stopped(f"{WRONG_MAX} wrong answers")

    @contextlib.contextmanager
    def _silent(self) -> Iterator[None]:
        if not self._source.isatty():
            yield
            return
        handle = self._source.fileno()
        before = termios.tcgetattr(handle)
        silent = termios.tcgetattr(handle)
        silent[_ECHO] &= ~termios.ECHO
        termios.tcsetattr(handle, termios.TCSADRAIN, silent)
        try:
            yield
        finally:
            termios.tcsetattr(handle, termios.TCSADRAIN, before)
            print(file=self._out, flush=True)  # the end of the line that was typed, which nobody saw
