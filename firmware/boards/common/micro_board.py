"""What every board has that runs MicroPython by itself: its own modules, and no PC/SC."""

import gc
import json
import sys
import time

from validator.settings import BadSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boards.common.uart import UartLine
    from validator.drivers.pcsc import Pcsc


class MicroBoard:
    """Lines are made once."""

    tls_takes_lines = True
    time = time

    def __init__(self) -> None:
        self._lines: dict[str, UartLine] = {}
        self.console: Any = sys.stdin.buffer

    def pcsc(self) -> "Pcsc":
        """Raises BadSettings."""
        raise BadSettings("this board has no PC/SC: name a driver for a serial line")

    def aes_cbc_decrypt(self, key: bytes, iv: bytes, blocks: bytes) -> bytes:
        """Through cryptolib."""
        from boards.common.aes import cbc_decrypt

        return cbc_decrypt(key, iv, blocks)

    def dumps(self, value: "Any") -> str:
        """MicroPython's json escapes no letters."""
        return json.dumps(value)

    def heap(self) -> "tuple[int, int]":
        """Bytes used and free, garbage collected."""
        gc.collect()
        return gc.mem_alloc(), gc.mem_free()
