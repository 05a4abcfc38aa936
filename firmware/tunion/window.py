"""Bytes that stay where they lie, in flash for instance: read in place, a few at a time."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Window:
    """`count` bytes from `start` on. An index gives one as a number, a slice gives a copy; nothing else is held.

    read_into  (offset, buffer) fills the buffer from there; what it raises passes through
    """

    def __init__(self, read_into: "Callable[[int, Any], None]", start: int, count: int) -> None:
        self._read_into = read_into
        self._start = start
        self._count = count
        self._one = bytearray(1)  # made once: a price is looked up in the tap path

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: "Any") -> "Any":
        if isinstance(at, int):
            if not 0 <= at < self._count:
                raise IndexError("byte %d of %d" % (at, self._count))
            self._read_into(self._start + at, self._one)
            return self._one[0]
        cut = range(self._count)[at]  # a slice has no attributes on a small MicroPython, a range has
        found = bytearray(len(cut))
        if found:
            self._read_into(self._start + cut.start, found)
        return found

    def read_into(self, start: int, buffer: "bytearray | memoryview") -> None:
        """Fill the buffer with the bytes from `start` on, which are at least as many."""
        self._read_into(self._start + start, buffer)

    def part(self, start: int, count: int) -> "Window":
        """The window on some of these bytes."""
        return Window(self._read_into, self._start + start, count)
