"""MicroPython's module `time` as boards.pc takes it, over CPython's."""

import time as _time

time = _time.time


def ticks_ms() -> int:
    """Milliseconds that only grow."""
    return _time.monotonic_ns() // 1_000_000


def ticks_us() -> int:
    """Microseconds that only grow."""
    return _time.monotonic_ns() // 1_000


def ticks_diff(new: int, old: int) -> int:
    """From `old` to `new`; these do not wrap."""
    return new - old
