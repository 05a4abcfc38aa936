"""A UART of a board as the byte stream that drivers take."""

import select

from tunion.compat import const
from validator.ports import ReaderLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tunion.record import Bytes

SPEEDS = (9600, 19200, 38400, 57600, 115200, 230400)
_DRAIN_MAX = const(1000)


class UartLine:
    """`uart` is a machine.UART without time-out; `set_up(speed)` prepares it for that speed, its form as it was."""

    def __init__(self, name: str, uart: "Any", set_up: "Callable[[int], object]") -> None:
        self._name = name
        self._uart = uart
        self._set_up = set_up
        self._poll = select.poll()
        self._poll.register(uart, select.POLLIN)

    def open(self) -> None:
        """A line of the board is there. What had arrived is dropped. Raises ReaderLost for one that babbles."""
        for _ in range(_DRAIN_MAX):
            if not self._uart.read(64):
                return
        raise ReaderLost("%s babbles: check what is connected" % self._name)

    def close(self) -> None:
        """Nothing to let go."""

    def write(self, data: "Bytes") -> None:
        """All of `data` into the line. Raises ReaderLost where the line takes no more."""
        rest = memoryview(data)
        while len(rest):
            count = self._uart.write(rest)
            if not count:
                raise ReaderLost("%s takes no more bytes: what is behind it hangs" % self._name)
            rest = rest[count:]

    def read_into(self, buffer: memoryview, wait_ms: int) -> int:
        """What has arrived, at most len(buffer) bytes; waits up to `wait_ms` for the first; 0: none came."""
        if wait_ms and not self._uart.any():
            self._poll.poll(wait_ms)
        return self._uart.readinto(buffer) or 0

    def set_speed(self, bits_per_s: int) -> bool:
        """False where the board has no such speed."""
        if bits_per_s not in SPEEDS:
            return False
        self._set_up(bits_per_s)
        return True
