"""One TLS connection to one server that is known by its public key, in small steps that never wait.

The pin is the SHA-256 of the server's SubjectPublicKeyInfo (RFC 7469), compared after the handshake, in which the
server proved that it holds the key, and before the first byte of ours goes out. No authority is asked and no date
looked at: a validator with a lost clock must still reach the server that sets it, and a renewed certificate with
the same key stays good. Measured on MicroPython 1.25 and mbedtls 3.6: `getpeercert(True)` works with CERT_NONE, and
answers None until the handshake is over. An RSA key needs TLS 1.3 there: mbedtls refuses RSA-PSS in TLS 1.2 after
having offered it. Use P-256.

How the bytes get there is the affair of what it dials with: drivers/tcp_dial, drivers/modem.
"""

from hashlib import sha256

from tunion.compat import const
from validator.ports import NetLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from tunion.record import Bytes

    Socket = Any  # plain or TLS, of either interpreter

    class Dial(Protocol):
        """Makes connections to the one server."""

        advanced: int  # grows with what was done towards one, where that may take longer than a server may be silent

        def step(self) -> Socket:
            """Go on; what tls can wrap when the connection stands, None before. Raises NetLost, OSError."""

        def close(self) -> None: ...

    import tls

    _WOULD_BLOCK: "tuple[type[Exception], ...]" = ()
else:
    try:
        import tls

        _WOULD_BLOCK = ()  # MicroPython answers None instead
    except ImportError:
        import ssl as tls

        _WOULD_BLOCK = (tls.SSLWantReadError, tls.SSLWantWriteError)

_READ_AHEAD_BYTES = const(1)  # before the pin is checked nothing may come; one byte is enough to notice

_CLOSED = const(0)
_HANDSHAKE = const(1)
_PROVEN = const(2)


class TlsLine:
    """A connection to `host`, made by `dial`.

    pins  accepted key hashes, 32 bytes each; two while a key is replaced
    """

    def __init__(self, host: str, dial: "Dial", pins: "tuple[bytes, ...]") -> None:
        self._host = host
        self._dial = dial
        self._pins = pins
        self._context: Any = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        if hasattr(self._context, "check_hostname"):  # CPython's
            self._context.check_hostname = False
        # The pin is checked instead, in _prove. The stubs do not know the attribute.
        self._context.verify_mode = tls.CERT_NONE  # type: ignore[attr-defined]
        self._state = _CLOSED
        self._socket: Socket = None
        self._send: Any = None
        self._receive_into: Any = None
        self._ahead = memoryview(bytearray(_READ_AHEAD_BYTES))

    def proven(self) -> bool:
        """The connection stands and the server is ours."""
        return self._state == _PROVEN

    @property
    def advanced(self) -> int:
        """As the dial's."""
        return self._dial.advanced

    def step(self) -> bool:
        """Go on towards a proven connection, from none at all; True when it stands. Raises NetLost."""
        try:
            if self._state == _CLOSED:
                self._connect()
            elif self._state == _HANDSHAKE:
                self._prove()
        except OSError as error:
            self._lost("cannot be reached", error)
        return self._state == _PROVEN

    def send(self, data: "Bytes") -> int:
        """How many bytes the connection took; 0: none just now. Raises NetLost."""
        try:
            return self._send(data) or 0
        except _WOULD_BLOCK:
            return 0
        except OSError as error:
            self._lost("broke off", error)
        return 0

    def receive_into(self, buffer: memoryview) -> int:
        """How many bytes came; 0: none just now. Raises NetLost, also when the server closed."""
        try:
            count = self._receive_into(buffer)
        except _WOULD_BLOCK:
            return 0
        except OSError as error:
            self._lost("broke off", error)
        if count == 0:
            self.close()
            raise NetLost("%s closed the connection" % self._host)
        return count or 0

    def close(self) -> None:
        """Drop the connection; the next `step` makes a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._dial.close()
        self._state = _CLOSED

    def _connect(self) -> None:
        plain = self._dial.step()
        if plain is not None:
            self._socket = self._context.wrap_socket(plain, server_hostname=self._host, do_handshake_on_connect=False)
            # A stream's names, where a MicroPython without DTLS has no socket's; CPython has the latter only.
            self._send = getattr(self._socket, "send", None) or self._socket.write
            self._receive_into = getattr(self._socket, "recv_into", None) or self._socket.readinto
            self._state = _HANDSHAKE

    def _prove(self) -> None:
        """Drive the handshake by reading; compare the pin as soon as it is over."""
        try:
            if self._receive_into(self._ahead) is not None:
                self.close()
                raise NetLost("%s closed the connection, or spoke first: no server of ours" % self._host)
        except _WOULD_BLOCK:
            pass  # as MicroPython's None: the handshake waits for the server, or is over
        certificate = _peer_certificate(self._socket)
        if certificate is None:
            return
        if sha256(public_key_info(certificate)).digest() not in self._pins:
            self.close()
            raise NetLost(
                "%s shows another key than the pinned one: not our server, or its key was replaced" % self._host
            )
        self._state = _PROVEN

    def _lost(self, what: str, error: OSError) -> None:
        self.close()
        raise NetLost("%s %s (%s)" % (self._host, what, " ".join([str(arg) for arg in error.args])))


def _peer_certificate(connection: "Socket") -> "bytes | None":
    """DER, or None while the handshake goes on."""
    try:
        certificate: bytes | None = connection.getpeercert(True)
    except ValueError:  # CPython's way to say "not yet"
        return None
    return certificate


def public_key_info(certificate: "Bytes") -> bytes:
    """The SubjectPublicKeyInfo of a DER certificate, tag and length included.

    raises  NetLost for what is no certificate
    source  RFC 5280 section 4.1: tbsCertificate is [version], serial, algorithm, issuer, validity, subject, key
    """
    start, _ = _content(certificate, 0)  # Certificate
    at, _ = _content(certificate, start)  # tbsCertificate
    if bytes(certificate[at : at + 1]) == b"\xa0":
        at = _end(certificate, at)  # version
    for _ in range(5):
        at = _end(certificate, at)
    return bytes(certificate[at : _end(certificate, at)])


def _end(der: "Bytes", at: int) -> int:
    start, length = _content(der, at)
    return start + length


def _content(der: "Bytes", at: int) -> "tuple[int, int]":
    """Where the content of the element at `at` starts, and its length."""
    if at + 2 > len(der):
        raise NetLost("the server's certificate is cut short")
    length = der[at + 1]
    start = at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(bytes(der[at + 2 : start]), "big")
    if start + length > len(der):
        raise NetLost("the server's certificate is cut short")
    return start, length
