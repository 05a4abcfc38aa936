"""Commands of `ykt` without a new interpreter each: for the rig, which runs ten of them for each scenario."""

import contextlib
import io
import json
import os
import signal
import sys
from typing import TextIO
from unittest import mock

from simulator.rig.centre import PASSPHRASE_ENV
from simulator.rig.program import RigFault
from tools import cli

INTERRUPTED = 130       # exit code


def in_process(argv: list[str]) -> str:
    """As a clerk's shell runs it, 0.5 s faster; what it prints. Raises RigFault with its refusal.

    For the main thread: the command sets a signal's handler, which is put back.
    """
    said, refusal = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    try:
        with mock.patch.dict(os.environ, PASSPHRASE_ENV), contextlib.redirect_stdout(said):
            with contextlib.redirect_stderr(refusal):
                code = cli.main(argv)
    finally:
        signal.signal(signal.SIGTERM, before)
    if code == INTERRUPTED:
        raise KeyboardInterrupt  # the command has caught it, and it is meant for us all
    if code:
        raise RigFault(f"ykt {' '.join(argv[:2])} refused: {refusal.getvalue().strip()}")
    return said.getvalue()


class _Heard(io.TextIOBase):
    """Standard error of a command at a window: each line is passed on as it comes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            print(json.dumps({"heard": line}), file=self._out, flush=True)
        return len(text)


def main() -> int:
    """A clerk's window: command lines as JSON lists, one a line; of each what it says as it works, its end, its code.

    For whoever must run commands where it is not itself, as in the mount namespace of a pcscd.
    """
    out = sys.stdout
    for line in sys.stdin:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(_Heard(out)):
            try:
                code = cli.main(json.loads(line))
            except SystemExit as usage:  # argparse has said what is wrong
                code = int(usage.code or 0)
        print(json.dumps({"code": code, "said": said.getvalue()}), file=out, flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
