"""A PcscLine in a process of its own, called from a test as if it were here: in the mount namespace of its pcscd."""

import json
import os
import select
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from backoffice.cards.line import CardGone
from simulator.pcscd import Pcscd
from tools.paths import ROOT

ANSWER_S = 30


class RemoteLine:
    """As backoffice.cards.line.Line."""

    def __init__(self, pcscd: Pcscd, reader: str, wait_s: float = 10, exclusive: bool = True) -> None:
        command = [sys.executable, "-m", "tools.tests.line_agent", reader, str(wait_s),
                   "exclusive" if exclusive else "shared"]  # fmt: skip
        self._process = subprocess.Popen(
            pcscd.command(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'firmware'}"}, cwd=ROOT,
        )  # fmt: skip
        self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(ANSWER_S)
        self._process.stdout.close()

    def ask(self, method: str, *arguments: Any) -> None:
        """Begin a call; `answer` ends it."""
        assert self._process.stdin
        plain = [one.hex() if isinstance(one, bytes) else one for one in arguments]
        self._process.stdin.write(json.dumps([method, *plain]) + "\n")

    def answer(self) -> Any:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_S)
        assert ready, f"no answer in {ANSWER_S} s"
        line = self._process.stdout.readline()
        assert line, "the line's process ended; its words are above"
        told = json.loads(line)
        if "gone" in told:
            raise CardGone(told["gone"])
        return told["value"]

    def call(self, method: str, *arguments: Any) -> Any:
        self.ask(method, *arguments)
        return self.answer()

    def power_on(self) -> bytes:
        return bytes.fromhex(self.call("power_on"))

    def transceive(self, apdu: bytes) -> bytes:
        return bytes.fromhex(self.call("transceive", apdu))

    def power_off(self) -> None:
        self.call("power_off")
