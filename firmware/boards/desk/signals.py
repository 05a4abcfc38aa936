"""SIGTERM and SIGINT as something to ask for: a signal that strikes in the middle of a debit must not end it there.

Both are blocked, so they interrupt no call in a library either; the kernel keeps them until we look.
"""

import signal

_SIGNALS = {signal.SIGINT, signal.SIGTERM}


class TerminationSignals:
    """From now on both signals wait."""

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)

    def arrived(self) -> bool:
        """One of them has come."""
        return bool(signal.sigpending() & _SIGNALS)
