"""A watchdog that the kernel keeps: SIGALRM ends the process, wherever it is stuck, in a library too."""

import signal


class AlarmWatchdog:
    """Not fed in time: the process dies by SIGALRM, which nobody catches. A shell sees 142."""

    def __init__(self) -> None:
        self._timeout_s = 0.0

    def start(self, timeout_ms: int) -> None:
        """The first feed may come as late as any."""
        self._timeout_s = timeout_ms / 1000
        self.feed()

    def feed(self) -> None:
        """Begin to count anew. Before `start`: nothing."""
        if self._timeout_s:
            signal.setitimer(signal.ITIMER_REAL, self._timeout_s)
