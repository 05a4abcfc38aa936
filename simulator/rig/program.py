"""A child process that reports one JSON object a line, and a way to wait for what it says."""

import collections
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.nursery import popen

LINES_MAX = 10_000  # of one program's life in a scenario; more means that it runs wild
STOP_WAIT_S = 10.0


class RigFault(Exception):
    """A part of the rig did not do what the scenario waits for. The message names the part and its log."""


class ProgramEnded(RigFault):
    """It ended while something was expected of it."""


class Program:
    """A started program. `lines` grows as it speaks; stderr goes to `log`.

    `expect` waits for a line after a mark, so that a line is never missed between an action and the wait for it.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        heard: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """heard takes each line as it comes, and {"what": "ended"} behind the last, in the thread that listens."""
        self.name = name
        self.log = log
        self.lines: list[dict[str, Any]] = []
        self._noise: collections.deque[str] = collections.deque(maxlen=20)
        self._spoke = threading.Condition()
        self._ended = False
        self._heard = heard
        with log.open("ab") as stderr:
            self._process = popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **(env or {})},
                start_new_session=True,  # Ctrl-C reaches the scenario, which then stops its parts in order
            )
        self._listener = threading.Thread(target=self._listen, name=name, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """It has not ended yet."""
        return self._process.poll() is None

    def mark(self) -> int:
        """Where `expect` shall begin to look: after all that was said until now."""
        with self._spoke:
            return len(self.lines)

    def expect(self, wanted: Callable[[dict[str, Any]], bool], since: int, wait_s: float, of: str) -> dict[str, Any]:
        """The first line from `since` on that is `wanted`. Raises ProgramEnded, or RigFault after `wait_s`."""
        deadline = time.monotonic() + wait_s
        at = since
        with self._spoke:
            while True:
                while at < len(self.lines):
                    if wanted(self.lines[at]):
                        return self.lines[at]
                    at += 1
                left_s = deadline - time.monotonic()
                if self._ended:
                    raise ProgramEnded(f"{self.name} ended while we waited for {of}; see {self.log}{self._tail()}")
                if left_s <= 0 or not self._spoke.wait(left_s):
                    raise RigFault(f"{self.name} did not report {of} in {wait_s:.0f} s; see {self.log}{self._tail()}")

    def say(self, line: str) -> None:
        """One line to its standard input."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise RigFault(f"{self.name} has closed its input; see {self.log}") from None

    def kill(self) -> None:
        """SIGKILL: the power cut. Returns when the process is gone."""
        self._process.kill()
        self._process.wait()
        self._listener.join()

    def wait(self) -> int:
        """Wait until it has ended by itself; its exit code. Raises RigFault when it goes on for STOP_WAIT_S."""
        try:
            code = self._process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            raise RigFault(f"{self.name} has not ended in {STOP_WAIT_S:.0f} s; see {self.log}") from None
        self._listener.join()
        return code

    def stop(self) -> int:
        """SIGTERM, and SIGKILL when that does not help; returns the exit code."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        code = self._process.wait()
        self._listener.join()
        return code

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            text = raw.decode("utf-8", "replace").strip()
            with self._spoke:
                try:
                    line = json.loads(text)
                except ValueError:
                    line = None
                if isinstance(line, dict) and len(self.lines) < LINES_MAX:
                    self.lines.append(line)
                else:
                    self._noise.append(text)
                self._spoke.notify_all()
            if self._heard is not None and isinstance(line, dict):
                self._heard(line)
        with self._spoke:
            self._ended = True
            self._spoke.notify_all()
        if self._heard is not None:
            self._heard({"what": "ended"})

    def _tail(self) -> str:
        return "".join(f"\n  {self.name}: {text}" for text in self._noise)
