"""The type checker judges the firmware by MicroPython's modules, not by CPython's."""

import subprocess

from tools import lint

PROBE = """
import dataclasses
import time
import ffi
import micropython

time.ticks_ms()
time.perf_counter()
"""


def test_what_only_cpython_has_is_an_error(tmp_path):
    (tmp_path / "probe.py").write_text(PROBE)
    command, environment = lint.mypy_firmware("-m", "probe", extra_path=str(tmp_path))

    words = subprocess.run(command, env=environment, capture_output=True, text=True).stdout.splitlines()

    errors = [line.split("probe.py:")[1] for line in words if ": error: " in line]
    assert [int(error.split(":")[0]) for error in errors] == [2, 8], words
    assert "dataclasses" in errors[0] and "no attribute \"perf_counter\"" in errors[1]
