"""Commands on stdin: words, one a line, read without waiting."""

import select

from tunion.compat import const

_STDIN = const(0)
_LINE_BYTES_MAX = const(64)  # commands are words; of a longer line the head is dropped


class Commands:
    """Lines of stdin. `ended`: no more will come."""

    def __init__(self) -> None:
        self._file = open(_STDIN, "rb", buffering=0)  # sys.stdin would read ahead, past what poll knows of
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLIN)
        self._line = b""
        self.ended = False

    def next(self, wait_ms: int) -> bytes:
        """One whole line, stripped; b"" when none came within `wait_ms`."""
        while not self.ended and self._poll.poll(wait_ms):
            byte = self._file.read(1)  # more would wait for its end
            if byte == b"\n":
                line, self._line = self._line, b""
                return line.strip()
            self._line = (self._line + byte)[-_LINE_BYTES_MAX:]
            self.ended = not byte
            wait_ms = 0
        return b""
