"""Runs firmware test modules in the interpreters the firmware is made for.

A test module chooses with constants: HEAP = "192k" for a heap other than the default, PORTABLE = True if it needs
tunion only, and so also runs in the WebAssembly build, ARM = True if it also runs on the emulated ARM board: viper
code, and whatever else words of 32 bits could change; ARM = "soak": there only in `make soak`, with YKT_SOAK set.
"""

import ast
import os
import re
import subprocess
import tempfile
from pathlib import Path

from tools import board
from tools.paths import FIRMWARE_TESTS, MICROPYPATH, MICROPYTHON, MICROPYTHON_TOOLS, WASM, WASM_RUN, require

HEAP = "512k"               # objects take 8 bytes a word here: about what 256 KB hold on a board
TIMEOUT_S = 300             # a module that takes longer hangs
TALLY = re.compile(r"^RAN (\d+) FAILED (\d+) SKIPPED (\d+)$", re.MULTILINE)


def test_modules() -> list[Path]:
    return sorted(FIRMWARE_TESTS.glob("test_*.py"))


def constant(module: Path, name: str, default: object) -> object:
    """The value of a module's top-level `NAME = literal`, without importing it."""
    for statement in ast.parse(module.read_text()).body:
        if isinstance(statement, ast.Assign) and any(getattr(target, "id", "") == name for target in statement.targets):
            return ast.literal_eval(statement.value)
    return default


def heap_bytes(text: str) -> int:
    """'192k' -> 196608; the units of MicroPython's -X heapsize, which are k and m."""
    unit = {"k": 1 << 10, "m": 1 << 20}.get(text[-1].lower(), 1)
    return int(text.rstrip("kKmM")) * unit


def run_unix(module: Path) -> str:
    """Run one test module under build/bin/micropython; returns its output, raises AssertionError if it failed."""
    heap = constant(module, "HEAP", HEAP)
    runner = MICROPYTHON_TOOLS / "run_tests.py"
    command: list[str | Path] = [require(MICROPYTHON), "-X", f"heapsize={heap}", runner, module.stem]
    return _run(command, {**os.environ, "MICROPYPATH": f"{module.parent}:{MICROPYPATH}"})


def run_wasm(module: Path) -> str:
    """Run one test module in the WebAssembly build; returns its output, raises AssertionError if it failed."""
    heap = heap_bytes(str(constant(module, "HEAP", HEAP)))
    return _run(["node", WASM_RUN, require(WASM), str(heap), module.parent, module.stem], dict(os.environ))


def run_board(module: Path) -> str:
    """Run one test module on the emulated ARM board; returns its output, raises AssertionError if it failed."""
    with tempfile.TemporaryDirectory() as folder:
        beside = [MICROPYTHON_TOOLS / "unittest.py", MICROPYTHON_TOOLS / "run_tests.py", module]
        rom = board.image(Path(folder), [*beside, *sorted((FIRMWARE_TESTS / "support").glob("*.py"))])
        try:
            said = board.run(f"import run_tests\nrun_tests.run([{module.stem!r}])\n", rom, board.HEAP_BYTES_MAX)
        except board.BoardFailed as failure:
            raise AssertionError(str(failure)) from None
    return _judged(said, 0)


def _run(command: list[str | Path], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env=environment, timeout=TIMEOUT_S, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    return _judged(done.stdout, done.returncode)


def _judged(said: str, code: int) -> str:
    """What a run of tests said, if some ran and none failed; else raises AssertionError."""
    tally = TALLY.search(said)
    assert code == 0 and tally and int(tally[2]) == 0, f"exit code {code}\n{said}"
    assert int(tally[1]) > 0, f"no test ran\n{said}"
    return said
