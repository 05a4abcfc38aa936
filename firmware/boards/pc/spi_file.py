"""An SPI device as a file: Linux's spidev, whose speed the device tree sets; or a pty in tests."""

from validator.ports import PanelLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class SpiFile:
    """Opened by the first write, and again after one that failed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: Any = None

    def write(self, data: bytes) -> None:
        """One transfer: the device is selected for all of `data`. Raises PanelLost."""
        try:
            if self._file is None:
                self._file = open(self._path, "r+b", buffering=0)
            self._file.write(data)
        except OSError as error:
            self._file = None
            raise PanelLost("%s fails (errno %s): check path and cable" % (self._path, error.args[0]))
