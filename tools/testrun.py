"""`make test`: lint, every test, one verdict in the last line.

Arguments go to pytest: `python -m tools.testrun -k journal`.
"""

import sys
import time

import pytest

from tools import lint
from tools.paths import ROOT


class Tally:
    """Keeps what pytest counted."""

    def __init__(self) -> None:
        self.passed = 0

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        self.passed = len(terminalreporter.getreports("passed"))


def main(arguments: list[str]) -> int:
    started = time.monotonic()
    tally = Tally()
    lint_code = lint.main()
    test_code = pytest.main([f"--rootdir={ROOT}", *arguments], plugins=[tally])
    seconds = f"{time.monotonic() - started:.0f} s"
    if lint_code == 0 and test_code == pytest.ExitCode.OK:
        print(f"yikatong: all {tally.passed} tests passed in {seconds}")
        return 0
    culprits = [name for name, code in (("lint", lint_code), ("tests", test_code)) if code]
    print(f"yikatong: FAILED in {seconds}: {' and '.join(culprits)}; see above")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
