"""Child processes that end with us, however we end: SIGKILL leaves none behind.

The kernel sends a child its parent death signal when the thread that started it ends (prctl(2)). So one thread
starts them all and lives as long as the process.
"""

import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_nurse = ThreadPoolExecutor(1, "nursery")


def popen(argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """As subprocess.Popen; the child gets SIGTERM when we are gone. A program that is missing ends with 127."""
    return _nurse.submit(_popen, argv, options).result()


def _popen(argv: Sequence[str], options: dict[str, Any]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", *argv], **options)
