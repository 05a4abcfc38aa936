"""A clerk at a window of the key centre or the card works: one process that runs `ykt` commands, one after another.

It stands where its readers are, in the mount namespace of the rig's pcscd, and starts Python once.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import TracebackType

from simulator.nursery import popen
from simulator.rig.program import RigFault

_CLERK = (sys.executable, "-m", "tools.clerk")


Heard = Callable[[str], None]


class Window:
    """`run` a command line of `ykt`; returns what it prints. One thread at a time."""

    def __init__(self, place: Callable[[list[str]], list[str]] = list, env: Mapping[str, str] | None = None) -> None:
        """place  puts a command where the readers are: Pcscd.command"""
        self._process = popen(
            place(list(_CLERK)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(env or {})}
        )

    def __enter__(self) -> "Window":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, *argv: object, heard: Heard | None = None) -> str:
        """Raises RigFault with its refusal. heard: takes each line that it says while it works."""
        words = [str(word) for word in argv]
        name = f"ykt {' '.join(words[:3])}"
        asks, says = self._process.stdin, self._process.stdout
        assert asks is not None and says is not None
        try:
            asks.write(json.dumps(words).encode() + b"\n")
            asks.flush()
        except BrokenPipeError:
            raise RigFault(f"the window is closed: {name} was not run") from None
        refusal: list[str] = []
        for line in says:
            answer = json.loads(line)
            if "heard" in answer:
                refusal = [*refusal[-2:], answer["heard"]]
                if heard is not None:
                    heard(answer["heard"])
                continue
            if answer["code"]:
                raise RigFault(f"{name} refused: {' '.join(refusal).strip()}")
            return str(answer["said"])
        raise RigFault(f"the window closed while it ran {name}")

    def close(self) -> None:
        """It ends when it has nothing to run."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
