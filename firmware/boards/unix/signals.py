"""SIGTERM and SIGINT as something to ask for: a signal that strikes in the middle of a debit must not end it there.

MicroPython has no signal module. Linux hands signals out through a file (signalfd, its manual page), so no code of
ours ever runs inside a handler.
"""

import select

import ffi

_SIGHUP = 1
_SIGINT = 2
_SIGTERM = 15
_SIG_BLOCK = 0
_SFD_NONBLOCK = 0o4000
_SIGSET_BYTES = 128  # sigset_t of glibc and musl


class TerminationSignals:
    """From now on both signals wait. Raises OSError.

    SIGHUP waits for ever: a reader's tty may become our controlling terminal, and its cable is pulled now and then.
    """

    def __init__(self) -> None:
        libc = ffi.open(None)
        signals = bytearray(_SIGSET_BYTES)
        libc.func("i", "sigemptyset", "P")(signals)
        add = libc.func("i", "sigaddset", "Pi")
        add(signals, _SIGTERM)
        add(signals, _SIGINT)
        block = libc.func("i", "sigprocmask", "iPP")
        block(_SIG_BLOCK, signals, None)
        fd = libc.func("i", "signalfd", "iPi")(-1, signals, _SFD_NONBLOCK)
        if fd < 0:
            raise OSError("no signalfd")
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        add(signals, _SIGHUP)
        block(_SIG_BLOCK, signals, None)

    def arrived(self) -> bool:
        """One of them has come."""
        return bool(self._poll.poll(0))
