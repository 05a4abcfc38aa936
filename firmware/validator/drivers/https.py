"""The Net port: HTTP/1.1 requests over one TLS connection that is kept open, because opening it costs most. RFC 9112.

Each `step` is one small action: connect, a round of the handshake, a piece sent, a piece received. The answer's
buffer is made once.
"""

from tunion.compat import const
from validator.ports import NetLost, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from tunion.record import Bytes
    from validator.ports import Clock

    class Line(Protocol):
        """A connection to the one server, validator.drivers.tls_line."""

        @property
        def advanced(self) -> int:
            """Grows while a way that takes long, as a modem's, is gone."""

        def proven(self) -> bool: ...
        def step(self) -> bool: ...
        def send(self, data: Bytes) -> int: ...
        def receive_into(self, buffer: memoryview) -> int: ...
        def close(self) -> None: ...


HEAD_BYTES_MAX = const(1024)  # status line and headers; ours are about 200
BODY_BYTES_MAX = const(4096)  # an answer with acks for 64 records has under 2 kB, a piece of a download 2 kB
SILENCE_MS_MAX = const(15000)  # without progress: mobile links stall for seconds, not longer
_RETRY_AFTER_S_MAX = const(86400)  # a day; a longer wish is a mistake

_IDLE = const(0)
_OPENING = const(1)
_SENDING = const(2)
_RECEIVING = const(3)


class Https:
    """Requests to one server, one at a time."""

    def __init__(self, line: "Line", host: str, clock: "Clock") -> None:
        self.host = host
        self._line = line
        self._clock = clock
        self._state = _IDLE
        self._request: list[Bytes] = []  # head and pieces of the body
        self._piece = 0  # being sent, and how much of it has gone
        self._sent = 0
        self._answer = bytearray(HEAD_BYTES_MAX + BODY_BYTES_MAX)
        self._view = memoryview(self._answer)
        self._received = 0
        self._body_at = 0  # 0: the head is not whole yet
        self._reused = False
        self._progress_ms = 0
        self._advanced = 0

    def start(self, path: str, body: "list[Bytes]") -> None:
        """Begin a POST, the body in pieces; drops one that is under way, with its connection.

        Its answer would be mistaken for ours.
        """
        size = sum([len(piece) for piece in body])
        self._ask("POST", path, "Content-Type: application/cose\r\nContent-Length: %d\r\n" % size, body)

    def get(self, path: str) -> None:
        """Begin a GET, as `start`."""
        self._ask("GET", path, "", [])

    def reconnect(self) -> None:
        """Drop the connection; the next request makes a new one."""
        self._line.close()
        self._state = _IDLE

    def step(self) -> "Response | None":
        """Go on; the answer when it is whole, None before and when nothing was started. Raises NetLost."""
        if self._state == _IDLE:
            return None
        try:
            return self._advance()
        except NetLost:
            self._line.close()
            if self._reused and not self._received:  # the server had closed an idle connection: make a new one
                self._reused = False
                self._begin()
                return None
            self._state = _IDLE
            raise

    def _ask(self, method: str, path: str, headers: str, body: "list[Bytes]") -> None:
        if self._state != _IDLE:
            self._line.close()
        head = ("%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, path, self.host, headers)).encode()
        self._request = [head]
        self._request += body
        self._reused = self._line.proven()
        self._progress_ms = self._clock.ticks_ms()
        self._begin()

    def _begin(self) -> None:
        self._piece = 0
        self._sent = 0
        self._received = 0
        self._body_at = 0
        self._state = _OPENING

    def _advance(self) -> "Response | None":
        if self._clock.since_ms(self._progress_ms) > SILENCE_MS_MAX:
            raise NetLost("%s has been silent for %d s" % (self.host, SILENCE_MS_MAX // 1000))
        if self._state == _OPENING:
            if self._line.step():
                self._state = _SENDING
                self._progressed()
            elif self._line.advanced != self._advanced:
                self._advanced = self._line.advanced
                self._progressed()
        elif self._state == _SENDING:
            self._send()
        else:
            return self._receive()
        return None

    def _send(self) -> None:
        piece = self._request[self._piece]
        rest = memoryview(piece)[self._sent :]
        count = self._line.send(rest) if len(rest) else 0
        if count:
            self._sent += count
            self._progressed()
        if self._sent == len(piece):
            self._piece += 1
            self._sent = 0
        if self._piece == len(self._request):
            self._state = _RECEIVING

    def _receive(self) -> "Response | None":
        count = self._line.receive_into(self._view[self._received :])
        if not count:
            return None
        self._received += count
        self._progressed()
        if not self._body_at:
            end = bytes(self._view[: min(self._received, HEAD_BYTES_MAX)]).find(b"\r\n\r\n")
            if end < 0:
                if self._received >= HEAD_BYTES_MAX:
                    raise NetLost("%s answered with over %d bytes of headers" % (self.host, HEAD_BYTES_MAX))
                return None
            self._body_at = end + 4
        status, length, retry_after_s, closes = parse_head(bytes(self._view[: self._body_at]))
        end = self._body_at + length
        if self._received > end:
            raise NetLost("%s sent more than it announced" % self.host)
        if self._received < end:
            return None
        if closes:
            self._line.close()
        self._state = _IDLE
        return Response(status, retry_after_s, bytes(self._view[self._body_at : end]))

    def _progressed(self) -> None:
        self._progress_ms = self._clock.ticks_ms()


def parse_head(head: bytes) -> "tuple[int, int, int, bool]":
    """(status, Content-Length, Retry-After in seconds or 0, the server closes) of a response head.

    raises  NetLost for what is no such head: no HTTP/1.x, no length, a body over BODY_BYTES_MAX
    """
    lines = head.split(b"\r\n")
    first = lines[0].split(b" ", 2)
    if len(first) < 2 or first[0] not in (b"HTTP/1.1", b"HTTP/1.0") or not first[1].isdigit():
        raise NetLost("the answer is not HTTP/1.1")
    status = int(first[1])
    length = 0 if status == 204 else None
    retry_after_s = 0
    closes = first[0] == b"HTTP/1.0"
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        name, value = name.lower(), value.strip()
        if name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"retry-after" and value.isdigit():  # a date, its other form, is not worth a calendar here
            retry_after_s = min(int(value), _RETRY_AFTER_S_MAX)
        elif name == b"connection" and value.lower() == b"close":
            closes = True
    if length is None or status < 200:
        raise NetLost("the answer (status %d) has no Content-Length" % status)
    if length > BODY_BYTES_MAX:
        raise NetLost("the answer has %d bytes, %d are the most" % (length, BODY_BYTES_MAX))
    return status, length, retry_after_s, closes
