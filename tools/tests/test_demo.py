"""`ykt demo` that is interrupted or killed: it leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

END_S = 20          # SIGTERM to every part, 2 s for the back office's uploads; a loaded machine
PROBE_S = 0.05
MARK = "YKT_TEST_MARK"      # children inherit it, so they are found whatever session or namespace they are in


def marked(mark: str) -> list[str]:
    """Command lines of the processes that still carry the mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:         # it ended between the list and the look, or is a zombie of somebody
            continue
    return found


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_demo_that_ends_early_takes_its_parts_with_it(tmp_path: Path, how: signal.Signals, code: int):
    mark = uuid.uuid4().hex
    demo = subprocess.Popen(
        [sys.executable, "-m", "tools.cli", "demo", "--folder", str(tmp_path / "demo")],
        env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert demo.stderr
    said = next((line for line in demo.stderr if "riders tap" in line), None)
    assert said, "the demo ended before anybody tapped"
    running = "\n".join(marked(mark))
    for part in ("pcscd --foreground", "backoffice serve", "boards.unix.main"):
        assert part in running
    demo.send_signal(how)
    demo.communicate(timeout=END_S)
    assert demo.returncode == code
    deadline = time.monotonic() + END_S
    while left := marked(mark):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(PROBE_S)
