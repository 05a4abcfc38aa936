"""A serial line of the board as the byte stream that drivers take: "uart:1" to "uart:4"."""

import select

import machine

from validator.ports import ReaderLost
from validator.settings import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tunion.record import Bytes

_NAMES = ("uart:1", "uart:2", "uart:3", "uart:4")
_SPEEDS = (9600, 19200, 38400, 57600, 115200, 230400)


class UartLine:
    """One of the chip's UARTs. It has no parity: a SAM's 8E2 is 8N1 here, and what is emulated behind it does not mind.

    Raises BadSettings for a name that the board has not.
    """

    def __init__(self, name: str, speed: int) -> None:
        if name not in _NAMES:
            raise BadSettings("%s is no line of this board: %s" % (name, ", ".join(_NAMES)))
        self._uart = machine.UART(1 + _NAMES.index(name), speed)
        self._poll = select.poll()
        self._poll.register(self._uart, select.POLLIN)

    def open(self) -> None:
        """A line of the board is there. What had arrived is dropped. Raises ReaderLost for one that babbles."""
        for _ in range(1000):
            if self._uart.read(64) is None:
                return
        raise ReaderLost("%s babbles: check what is connected" % self._uart)

    def close(self) -> None:
        """Nothing to let go."""

    def write(self, data: "Bytes") -> None:
        """All of `data` into the line."""
        self._uart.write(data)

    def read_into(self, buffer: memoryview, wait_ms: int) -> int:
        """What has arrived, at most len(buffer) bytes; waits up to `wait_ms` for the first; 0: none came."""
        if wait_ms and not self._uart.any():
            self._poll.poll(wait_ms)
        return self._uart.readinto(buffer) or 0

    def set_speed(self, bits_per_s: int) -> bool:
        """False where the board has no such speed."""
        if bits_per_s not in _SPEEDS:
            return False
        self._uart.init(bits_per_s)
        return True
