"""A satellite receiver on a pty: it replays a route, a fix a second or as fast as the test asks."""

import os
import time
from collections.abc import Callable, Iterable

from simulator.pty_device import PtyDevice

TURN_E7 = 10_000_000        # a degree


def sentence(words: str) -> bytes:
    """With `$`, checksum and line end."""
    check = 0
    for byte in words.encode("ascii"):
        check ^= byte
    return f"${words}*{check:02X}\r\n".encode("ascii")


def angle(angle_e7: int, degree_digits: int, sides: str) -> str:
    """1e-7 degree as `ddmm.mmmmmm,N`; six decimals hold 1e-7 degree exactly."""
    side = sides[angle_e7 < 0]
    degrees, part = divmod(abs(angle_e7), TURN_E7)
    minutes_e6 = part * 6
    return f"{degrees:0{degree_digits}d}{minutes_e6 // 1_000_000:02d}.{minutes_e6 % 1_000_000:06d},{side}"


def fix(lat_e7: int, lon_e7: int, second: int, knots: str = "0.0") -> bytes:
    """RMC and GGA of one second. The date is wrong on purpose: nobody may take it."""
    lat, lon = angle(lat_e7, 2, "NS"), angle(lon_e7, 3, "EW")
    at = f"{second // 3600 % 24:02d}{second // 60 % 60:02d}{second % 60:02d}.00"
    return sentence(f"GNRMC,{at},A,{lat},{lon},{knots},0.0,060180,,,A") + sentence(
        f"GNGGA,{at},{lat},{lon},1,09,0.9,80.0,M,-20.0,M,,"
    )


NO_FIX = sentence("GNRMC,000000.00,V,,,,,,,060180,,,N") + sentence("GNGGA,000000.00,,,,,0,00,99.99,,,,,,")


class GpsReceiver(PtyDevice):
    """Says what it is told to; hears nothing."""

    def __init__(self, link_path: str | os.PathLike[str]) -> None:
        self._second = 0
        super().__init__((link_path,))

    def received(self, line: int, raw: bytes) -> None:
        pass

    def stand(self, lat_e7: int, lon_e7: int) -> None:
        """One fix."""
        self._second += 1
        self.send(fix(lat_e7, lon_e7, self._second))

    def replay(
        self, route: Iterable[tuple[int, int]], each_s: float = 1.0, pause: Callable[[float], object] = time.sleep
    ) -> None:
        """One fix for each point of the route, `each_s` apart."""
        for lat_e7, lon_e7 in route:
            self.stand(lat_e7, lon_e7)
            pause(each_s)
