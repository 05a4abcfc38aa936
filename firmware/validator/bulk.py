"""When a device may send and fetch what is large and not urgent: minutes of the night of its own.

A depot's buses share one mobile cell. Each takes the slot that a hash of its number names, so no list of slots is
kept anywhere, and a fleet spreads evenly over the window.
"""

from tunion.compat import const
from tunion.crc import crc32

_DAY_S = const(86400)
_CST_S = const(28800)  # China Standard Time is UTC+8
WINDOW_FROM_S = const(3600)  # 01:00, local: the last bus is in
SLOT_S = const(600)
SLOTS = const(24)  # until 05:00


def slot_of(device_id: int) -> int:
    """0 to SLOTS - 1."""
    return crc32(device_id.to_bytes(4, "big")) % SLOTS


def wait_s(device_id: int, now_s: int) -> int:
    """Seconds until this device's slot begins; 0: it is now.

    now_s  since 1970-01-01 UTC
    """
    begins_s = WINDOW_FROM_S + SLOT_S * slot_of(device_id)
    into_s = (now_s + _CST_S - begins_s) % _DAY_S
    return 0 if into_s < SLOT_S else _DAY_S - into_s
