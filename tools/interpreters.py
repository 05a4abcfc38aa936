"""Runs firmware test modules in the interpreters the firmware is made for.

A test module chooses with two constants: HEAP = "192k" for a heap other than the default, PORTABLE = True if it
needs tunion only, and so also runs in the WebAssembly build.
"""

import ast
import os
import re
import subprocess
from pathlib import Path

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


def _run(command: list[str | Path], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, env=environment, timeout=TIMEOUT_S, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    tally = TALLY.search(done.stdout)
    assert done.returncode == 0 and tally, f"exit code {done.returncode}\n{done.stdout}"
    assert int(tally[1]) > 0, f"no test ran\n{done.stdout}"
    return done.stdout
