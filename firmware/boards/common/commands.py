"""Commands from whoever watches the board: words, one a line, read without waiting."""

import select

from tunion.compat import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LINE_BYTES_MAX = const(64)  # commands are words; of a longer line the head is dropped


class Commands:
    """Lines of `file`, which is not buffered and can be polled. `ended`: no more will come."""

    def __init__(self, file: "Any") -> None:
        self._file = file
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
