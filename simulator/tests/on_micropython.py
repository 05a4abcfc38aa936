"""A firmware driver in the real MicroPython or a CPython of its own, called from a test as if it were here."""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tunion.card import refusals
from tunion.record import BadInput
from validator import ports

ROOT = Path(__file__).parents[2]
FIRMWARE = ROOT / "firmware"
AGENT = FIRMWARE / "tests" / "hosted" / "driver_agent.py"
MICROPYTHON = ROOT / "build" / "bin" / "micropython"        # from `make setup`
UNIX = (str(MICROPYTHON), "-X", "heapsize=1m")              # interpreters, by the board that they bring
DESK = (sys.executable, "-u")
ANSWER_S = 30       # the longest wait a test asks of a driver is 5 s; the rest is a loaded machine
ERRORS: dict[str, type[Exception]] = {
    error.__name__: error
    for error in (
        ports.ReaderLost, ports.SamLost, ports.Forgotten, ports.NetLost, ports.TwoCards, refusals.LinkLost,
        refusals.Unproven, BadInput,
    )
}  # fmt: skip


class Driver:
    """A process that holds one driver. Its errors are raised here as what they are there.

    argv         KIND ARGUMENT..., see firmware/tests/hosted/driver_agent.py
    wrap         makes the command line meet a daemon: Pcscd.command
    interpreter  UNIX or DESK
    """

    def __init__(self, argv: list[str], wrap: Any = list, interpreter: tuple[str, ...] = UNIX) -> None:
        command = [*interpreter, str(AGENT), *argv]
        self._process = subprocess.Popen(
            wrap(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env={**os.environ, "MICROPYPATH": str(FIRMWARE), "PYTHONPATH": str(FIRMWARE)},
        )  # fmt: skip
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(ANSWER_S)
        self._process.stdout.close()

    def kill(self, how: int) -> None:
        """End the process by a signal; returns when it is gone."""
        self._process.send_signal(how)
        self._process.wait(ANSWER_S)
        self.__exit__(None, None, None)

    def call(self, method: str, *arguments: Any) -> Any:
        """`driver.method(*arguments)` there; bytes and Identity travel."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([method, _to_wire(arguments)]) + "\n")
        return self._answer()

    # The Reader port
    def open(self) -> None:
        self.call("open")

    def poll(self, wait_ms: int) -> ports.Target | None:
        found = self.call("poll", wait_ms)
        return None if found is None else ports.Target(*found)

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        answer = self.call("transceive", apdu, wait_ms)
        assert isinstance(answer, bytes)
        return answer

    def removed(self, wait_ms: int) -> bool:
        return bool(self.call("removed", wait_ms))

    def _answer(self) -> Any:
        assert self._process.stdout
        ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_S)
        assert ready, f"the driver did not answer in {ANSWER_S} s"
        line = self._process.stdout.readline()
        assert line, f"the driver's process ended with code {self._process.wait(ANSWER_S)}; its words are above"
        answer = json.loads(line)
        if "error" not in answer:
            return _from_wire(answer["value"])
        if answer["error"] in ERRORS:
            raise ERRORS[answer["error"]](answer["words"])
        raise getattr(refusals, answer["error"])(answer["sw"], answer["words"])


def wait_until(happened: Any, of: str, wait_s: float = 10) -> Any:
    """Call `happened`, which waits a little itself, until it answers something true."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        found = happened()
        if found:
            return found
    raise AssertionError(f"{of} did not happen in {wait_s} s")


def _to_wire(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return {"hex": value.hex()}
    if isinstance(value, ports.Identity):
        return {"identity": [_to_wire(item) for item in value[:4]]}  # of the national product
    if isinstance(value, (list, tuple)):
        return [_to_wire(item) for item in value]
    return value


def _from_wire(value: Any) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    return [_from_wire(item) for item in value] if isinstance(value, list) else value
