"""libpcsclite, opened: the one place of this board that knows where it lies."""

import ffi
import uctypes

from validator.drivers.pcsc import Pcsc


def open_pcsc() -> Pcsc:
    """The library's functions. Raises OSError where libpcsclite1 is not installed."""
    return Pcsc(ffi.open("libpcsclite.so.1"), uctypes.addressof)
