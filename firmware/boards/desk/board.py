"""What CPython on a PC brings for boards.pc.console: its own modules, readers through pyscard and pyserial."""

import json
import os
import resource
from collections.abc import Callable
from typing import Any

from boards.common.pins import LinePins
from boards.desk import ticks
from boards.desk.aes import cbc_decrypt
from boards.desk.pcsc import Pyscard
from boards.desk.serial import SerialLine
from boards.desk.signals import TerminationSignals
from boards.desk.watchdog import AlarmWatchdog
from validator.drivers.tcp_dial import TcpDial

_KIB = 1024
_FREE_MAX = 0xFFFFFFFF  # an upload carries heap_free in 32 bits


class DeskBoard:
    """Nothing here is worth loading late."""

    command = "python -m boards.desk.main"
    tls_takes_lines = False
    time = ticks
    signals = TerminationSignals
    watchdog = AlarmWatchdog
    pcsc = Pyscard
    line = SerialLine
    dial = TcpDial
    aes_cbc_decrypt = staticmethod(cbc_decrypt)

    def pins(self, path: str) -> LinePins:
        """By bytes on a second line."""
        return LinePins(self.line(path))

    def switch(self, part: str) -> Callable[[bool], None] | None:
        """A PC switches nobody's supply."""
        return None

    def dumps(self, value: Any) -> str:
        """Chinese as it is."""
        return json.dumps(value, ensure_ascii=False)

    def heap(self) -> tuple[int, int]:
        """Bytes: what this process took at its peak, what the PC has free. CPython has collected its garbage itself."""
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
        return used, min(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), _FREE_MAX)
