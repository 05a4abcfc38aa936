"""`make lint`: ruff, the guard, the strict type checker twice, and mpy-cross over the firmware.

`python -m tools.lint` prints each check with its verdict; exit code 1 if one of them found something.
"""

import os
import subprocess
import sys
import time

from tools.paths import BUILD, FIRMWARE, ROOT, TYPINGS, require

MYPY_FIRMWARE = FIRMWARE / "stubs" / "mypy.ini"
# Modules of boards that no PC is, and where the stubs of their interpreter lie. Not those in `port`, for its build.
BOARDS = {
    "qemu_mps2": (("board", "flash", "main"), FIRMWARE / "stubs" / "qemu_mps2"),
    "rp2": (("board", "flash", "main"), BUILD / "typings-rp2"),
    "esp32": (("board", "flash", "main", "pins"), BUILD / "typings-esp32"),
}


def mypy_firmware(
    *targets: str, extra_path: str = "", cache: str = "firmware"
) -> tuple[list[str], dict[str, str]]:
    """Command and environment that check firmware packages (-p NAME) against MicroPython's own modules.

    The stubs packages bring a reduced typeshed: what only CPython has is an error. extra_path is searched first.
    """
    require(TYPINGS)
    search = [extra_path, str(TYPINGS), str(FIRMWARE)]
    command = [sys.executable, "-m", "mypy", "--no-site-packages", f"--config-file={MYPY_FIRMWARE}",
               f"--custom-typeshed-dir={TYPINGS}", f"--cache-dir={BUILD / 'mypy' / cache}", *targets]
    return command, {**os.environ, "MYPYPATH": ":".join(filter(None, search))}


def mypy_board(board: str) -> tuple[list[str], dict[str, str]]:
    """As mypy_firmware, for one of BOARDS."""
    names, stubs = BOARDS[board]
    targets = [word for name in names for word in ("-m", f"boards.{board}.{name}")]
    return mypy_firmware(*targets, extra_path=str(require(stubs)), cache=board)


def checks() -> dict[str, tuple[list[str], dict[str, str]]]:
    """Name -> command and environment, quickest first."""
    here = dict(os.environ)
    python = sys.executable
    return {
        "ruff": ([python, "-m", "ruff", "check", "--quiet", "--output-format=concise"], here),
        "guard": ([python, "-m", "tools.guard"], here),
        "mpy-cross": ([python, "-m", "tools.cli", "firmware", "build"], here),
        "mypy firmware": mypy_firmware(
            "-p", "tunion", "-p", "validator", "-p", "boards.common", "-p", "boards.pc", "-p", "boards.unix"
        ),
        **{f"mypy {board}": mypy_board(board) for board in BOARDS},
        "mypy": ([python, "-m", "mypy", f"--cache-dir={BUILD / 'mypy' / 'cpython'}"], here),
    }


def main() -> int:
    failed = []
    for name, (command, environment) in checks().items():
        started = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        verdict = "FAILED" if done.returncode else "ok"
        print(f"lint: {name:<16} {verdict}  ({time.monotonic() - started:.1f} s)", flush=True)
        if done.returncode:
            print(done.stdout, end="", flush=True)
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
