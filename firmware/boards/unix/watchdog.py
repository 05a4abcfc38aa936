"""A watchdog that the kernel keeps: SIGALRM ends the process, wherever it is stuck. MicroPython has no call for it."""

import struct

import ffi

_ITIMER_REAL = 0
_ONCE = 0  # interval


class AlarmWatchdog:
    """Not fed in time: the process dies by SIGALRM, which nobody catches. A shell sees 142."""

    def __init__(self) -> None:
        self._set = ffi.open(None).func("i", "setitimer", "iPP")
        self._timer = b""

    def start(self, timeout_ms: int) -> None:
        """The first feed may come as late as any."""
        self._timer = struct.pack("llll", _ONCE, _ONCE, timeout_ms // 1000, timeout_ms % 1000 * 1000)
        self.feed()

    def feed(self) -> None:
        """Begin to count anew. Before `start`: nothing."""
        if self._timer:
            self._set(_ITIMER_REAL, self._timer, None)
