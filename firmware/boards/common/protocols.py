"""What a board brings, for the type checker only: in a module of its own, so that no heap pays for it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from boards.common.clock import Time
    from tunion.record import Bytes
    from validator.drivers.pcsc import Pcsc
    from validator.drivers.sam_uart import Line, Pins
    from validator.drivers.tls_line import Dial
    from validator.ports import Clock, Flash, Watchdog

    class Board(Protocol):
        """What interpreter and libraries bring. Each is asked for only when it is needed: some load a driver."""

        tls_takes_lines: bool  # its TLS works over any stream of bytes, not over sockets only

        @property
        def time(self) -> Time:
            """MicroPython's module of that name, or what stands for it."""

        def pcsc(self) -> Pcsc:
            """The PC/SC library. Raises OSError where it is not installed, BadSettings where there is none."""

        def line(self, path: str, speed: int = 115200, form: str = "8N1") -> Line:
            """A serial line, named as the board names its lines; forms are 8N1, 8N2 and 8E2."""

        def pins(self, path: str) -> Pins:
            """VCC and RST of its SAM slots. Raises BadSettings where it has none of that name."""

        def dial(self, host: str, port: int) -> Dial:
            """Connections through a network of its own. Raises BadSettings where it has none."""

        def aes_cbc_decrypt(self, key: bytes, iv: bytes, blocks: bytes) -> bytes:
            """Whole blocks of 16 bytes to the same; for the soft SAM's blob."""

        def switch(self, part: str) -> "Callable[[bool], None] | None":
            """Turns the supply of "reader" or "modem" on and off; None: this board cannot."""

        def dumps(self, value: Any) -> str:
            """To JSON, Chinese as it is."""

        def heap(self) -> "tuple[int, int]":
            """Bytes used and free, garbage collected."""

    class Signals(Protocol):
        def arrived(self) -> bool:
            """SIGTERM or SIGINT has come."""

    class PcBoard(Board, Protocol):
        command: str  # that starts it, for the usage line

        def signals(self) -> Signals:
            """From now on SIGTERM and SIGINT wait until they are asked for."""

        def watchdog(self) -> Watchdog:
            """Ends this process when it is not fed."""

    class LoneBoard(Board, Protocol):
        """A board that stands alone, beside what the wiring takes."""

        @property
        def watchdog(self) -> Watchdog:
            """The chip's."""

        @property
        def console(self) -> Any:
            """Bytes of whoever watches: not buffered, and a poll knows of them."""

        def clock(self) -> Clock:
            """Started by whatever keeps the time while the board is off."""

        def device_file(self) -> Bytes:
            """Raises BadSettings where there is none."""

        def flash(self, name: str, sector_bytes: int, page_bytes: int, sectors: int) -> Flash:
            """The part of the flash that is called so. Raises BadSettings."""

        def reset_cause(self) -> int:
            """Why it started, of tunion.wire.health."""

        def below(self, limit: int) -> int:
            """A random number from 0 to limit-1, limit at most 2^32."""
