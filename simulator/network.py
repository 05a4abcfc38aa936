"""A network between devices and an office that loses, doubles, delays, reorders, cuts short and answers late.

No sockets and no waiting: time is a number that the caller moves, chance comes from the caller's seed. An answer that
comes late meets whatever its device asks by then, as over a queue; TLS would drop it. Devices have to bear both.
"""

import heapq
import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from validator.ports import NetLost, Response

SILENCE_MS_MAX = 15_000     # as validator.drivers.https: after that a device gives its request up
FAST_MS = (20, 900)         # one way
SLOW_MS = (900, 12_000)
LATE_MS = (15_000, 900_000)  # after the device has given up, and asked something else

Serve = Callable[[str, bytes], Response]


class Weather(NamedTuple):
    """How often each thing happens to a request or to an answer, of 1000."""

    lost: int = 0
    doubled: int = 0
    slow: int = 0
    late: int = 0
    cut: int = 0        # only its first bytes arrive
    broken: int = 0     # the device notices at once that the connection is gone
    gateway: int = 0    # something on the way answers instead: 502, a page


CALM = Weather()


class Network:
    """`serve(path, body)` is the office. `now_ms` is everybody's true time."""

    def __init__(self, serve: Serve, chance: random.Random, weather: Weather) -> None:
        self.serve = serve
        self.weather = weather
        self.now_ms = 0
        self.carried = 0
        self._chance = chance
        self._order = 0
        self._under_way: list[tuple[int, int, Callable[[], None]]] = []

    def advance(self, by_ms: int) -> None:
        """Let time pass; whatever arrives by then arrives, in its order."""
        end_ms = self.now_ms + by_ms
        while self._under_way and self._under_way[0][0] <= end_ms:
            self.now_ms, _, arrive = heapq.heappop(self._under_way)
            self.carried += 1
            arrive()
        self.now_ms = end_ms

    def clear(self) -> None:
        """From here on all is well; what is under way still arrives."""
        self.weather = CALM

    def next_ms(self) -> int | None:
        """When something arrives next."""
        return self._under_way[0][0] if self._under_way else None

    def happens(self, permille: int) -> bool:
        """One roll of the dice."""
        return self._chance.randrange(1000) < permille

    def carry(self, message: bytes, arrive: Callable[[bytes], None]) -> None:
        """Bring a message to the other side: never, once or twice, whole or cut, soon or late."""
        weather = self.weather
        for _ in range(2 if self.happens(weather.doubled) else 1):
            if self.happens(weather.lost):
                continue
            content = message
            if self.happens(weather.cut):
                content = message[: self._chance.randrange(len(message) + 1)]
            span = FAST_MS
            if self.happens(weather.slow):
                span = SLOW_MS
            elif self.happens(weather.late):
                span = LATE_MS
            self._order += 1
            at_ms = self.now_ms + self._chance.randint(*span)
            bring: Callable[[], None] = partial(arrive, content)
            heapq.heappush(self._under_way, (at_ms, self._order, bring))


class Link:
    """The Net port of one device."""

    def __init__(self, network: Network, host: str) -> None:
        self.host = host
        self._network = network
        self._answer: Response | None = None
        self._waiting = False
        self._broken = False
        self._asked_ms = 0

    def start(self, path: str, body: "list[bytes | bytearray | memoryview]") -> None:
        self._answer = None
        self._waiting = True
        network = self._network
        self._asked_ms = network.now_ms
        self._broken = network.happens(network.weather.broken)
        if network.happens(network.weather.gateway):
            network.carry(b"", lambda _: self._arrived(Response(502, 0, b"<html>bad gateway</html>")))
        else:
            network.carry(b"".join(body), partial(self._served, path))

    def get(self, path: str) -> None:
        raise AssertionError("nothing is fetched here")

    def reconnect(self) -> None:
        self._waiting = False

    def step(self) -> Response | None:
        if not self._waiting:
            return None
        if self._answer is not None:
            answer, self._answer = self._answer, None
            self._waiting = False
            return answer
        if self._broken or self._network.now_ms - self._asked_ms > SILENCE_MS_MAX:
            self._waiting = False
            raise NetLost("silence")
        return None

    def power_cut(self) -> None:
        """Whatever comes now meets nobody."""
        self._waiting = False
        self._answer = None

    def _served(self, path: str, content: bytes) -> None:
        answer = self._network.serve(path, content)
        self._network.carry(
            answer.body, lambda body: self._arrived(Response(answer.status, answer.retry_after_s, body))
        )

    def _arrived(self, answer: Response) -> None:
        if self._waiting:
            self._answer = answer
