"""`make test`: lint, every test, one verdict in the last line.

The tests run in three parts side by side, since most of them wait for another process. Real readers and validators are
in the first part, which shows its progress; what the others said follows. Arguments go to pytest, in one run:
`python -m tools.testrun -k journal`.
"""

import contextlib
import re
import subprocess
import sys
import tempfile
import time
from typing import IO

import pytest

from tools import lint
from tools.paths import ROOT

LONGEST = ROOT / "tools" / "tests" / "test_interpreters.py"     # the firmware's tests again, on three more interpreters
SHOWN = [str(ROOT / "simulator")]
ASIDE = {
    "tools": [str(ROOT / "tools"), f"--ignore={LONGEST}"],
    "firmware, backoffice and the interpreters": [str(ROOT / "firmware"), str(ROOT / "backoffice"), str(LONGEST)],
}
NEWS_S = 30     # between two lines while only another part still runs
_PASSED = re.compile(r"(\d+) passed")


class Tally:
    """Keeps what pytest counted."""

    def __init__(self) -> None:
        self.passed = 0

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        self.passed = len(terminalreporter.getreports("passed"))


def main(arguments: list[str]) -> int:
    started = time.monotonic()
    lint_code = lint.main()
    test_code, passed = _here(arguments) if arguments else _in_parts()
    seconds = f"{time.monotonic() - started:.0f} s"
    if lint_code == 0 and test_code == pytest.ExitCode.OK:
        print(f"yikatong: all {passed} tests passed in {seconds}")
        return 0
    culprits = [name for name, code in (("lint", lint_code), ("tests", test_code)) if code]
    print(f"yikatong: FAILED in {seconds}: {' and '.join(culprits)}; see above")
    return 1


def _here(arguments: list[str]) -> tuple[int, int]:
    """(exit code, tests passed) of pytest in this process."""
    tally = Tally()
    code = pytest.main([f"--rootdir={ROOT}", *arguments], plugins=[tally])
    return int(code), tally.passed


def _in_parts() -> tuple[int, int]:
    """As _here, of everything."""
    with contextlib.ExitStack() as open_files:
        parts = []
        for name, paths in ASIDE.items():
            said = open_files.enter_context(tempfile.TemporaryFile("w+"))
            command = [sys.executable, "-m", "pytest", f"--rootdir={ROOT}", *paths]
            parts.append((name, subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said), said))
        try:
            code, passed = _here(SHOWN)
            if code == pytest.ExitCode.INTERRUPTED:
                raise KeyboardInterrupt
            for name, process, said in parts:
                _await(name, process)
                passed += _passed(said)
        except KeyboardInterrupt:
            for _, process, _ in parts:
                process.kill()
                process.wait()
            return int(pytest.ExitCode.INTERRUPTED), 0
        return next((found for found in (code, *(process.returncode for _, process, _ in parts)) if found), 0), passed


def _await(name: str, process: "subprocess.Popen[bytes]") -> None:
    while True:
        try:
            process.wait(NEWS_S)
            return
        except subprocess.TimeoutExpired:
            print(f"tests: {name} still run", flush=True)


def _passed(said: IO[str]) -> int:
    """Shows what a part said; how many passed there."""
    said.seek(0)
    text = said.read()
    print(text, end="", flush=True)
    found = _PASSED.findall(text)
    return int(found[-1]) if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
