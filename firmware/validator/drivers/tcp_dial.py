"""A TCP connection through the board's own network, in small steps. What tls_line dials with where there is one.

Only the name lookup waits: give an address, or a name that is answered on the board.
"""

import errno
import select
import socket

from tunion.compat import const
from validator.ports import NetLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_IPPROTO_TCP = const(6)  # MicroPython's socket does not name them
_TCP_NODELAY = const(1)


class TcpDial:
    """A socket to `host` and `port`."""

    advanced = 0  # the way is short: silence is silence

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._socket: Any = None
        self._poll: Any = None

    def step(self) -> "Any":
        """Go on towards a connection; the socket, which is the caller's then, or None. Raises NetLost, OSError."""
        if self._socket is None:
            self._connect()
            return None
        for _, event in self._poll.poll(0):
            if event & (select.POLLERR | select.POLLHUP):
                self.close()
                raise NetLost("%s does not accept connections on port %d" % (self._host, self._port))
            made, self._socket = self._socket, None
            return made
        return None

    def close(self) -> None:
        """Drop a connection that is not made yet."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(self._host, self._port, 0, socket.SOCK_STREAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self._socket.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        try:
            self._socket.connect(address)
        except OSError as error:
            if error.args[0] != errno.EINPROGRESS:
                raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLOUT)
