"""The validator's HTTPS under the real MicroPython, against a real TLS server: only the pinned key hears anything."""

import datetime
import hashlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from simulator.tests.on_micropython import Driver
from validator.ports import NetLost

HOST = "127.0.0.1"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nRetry-After: 7\r\n\r\nhello"
ACCEPT_S = 20


class Server:
    """Answers every request of every connection, and keeps what it heard. `key` is a new one, or the given."""

    def __init__(self, folder: Path, key: Any = None, version: "ssl.TLSVersion | None" = None) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.heard: list[bytes] = []
        self.handshakes = 0
        self.close_after_answer = False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate(folder))
        if version:
            context.minimum_version = context.maximum_version = version
        self._context = context
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(ACCEPT_S)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def pin(self) -> str:
        info = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(info).hexdigest()

    def close(self) -> None:
        """Returns when the connections that were there have been served to their end. A second time: no effect."""
        if self._thread.is_alive():
            self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join(ACCEPT_S)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:     # closed
                return
            with plain:
                try:
                    with self._context.wrap_socket(plain, server_side=True) as link:
                        self.handshakes += 1
                        self._answer(link)
                except (OSError, ssl.SSLError):     # the validator hung up
                    continue

    def _answer(self, link: ssl.SSLSocket) -> None:
        heard = b""
        while piece := link.recv(65536):
            self.heard.append(piece)
            heard += piece
            head, end, body = heard.partition(b"\r\n\r\n")
            if end and len(body) == int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]):
                link.sendall(ANSWER)
                heard = b""
                if self.close_after_answer:
                    return

    def _certificate(self, folder: Path) -> Path:
        """Self-signed and long expired: neither name nor date is what a validator goes by."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test server")])
        day = datetime.datetime(2001, 1, 1)
        made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(day)
        signed = made.not_valid_after(day + datetime.timedelta(days=30)).sign(self.key, hashes.SHA256())
        path = folder / "server.pem"
        path.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + signed.public_bytes(serialization.Encoding.PEM)
        )
        return path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    yield made
    made.close()


def post(driver: Driver, body: bytes = b"batch") -> Any:
    return driver.call("post", "/d/v1/up", body)[:3]


# Not RSA with TLS 1.2: mbedtls 3.6 offers RSA-PSS because of TLS 1.3, and then refuses it in 1.2.
@pytest.mark.parametrize(
    ("kind", "version"),
    [("P-256", ssl.TLSVersion.TLSv1_2), ("P-256", ssl.TLSVersion.TLSv1_3), ("RSA", ssl.TLSVersion.TLSv1_3)],
)
def test_the_pinned_key_is_spoken_to_over_one_connection(tmp_path: Path, kind: str, version: ssl.TLSVersion) -> None:
    key = rsa.generate_private_key(65537, 2048) if kind == "RSA" else None
    server = Server(tmp_path, key, version)
    with Driver(["https", HOST, str(server.port), server.pin]) as driver:
        for _ in range(3):
            assert post(driver, bytes(16384)) == [200, 7, b"hello"]
    server.close()
    assert server.handshakes == 1
    assert b"".join(server.heard).count(b"POST /d/v1/up HTTP/1.1\r\n") == 3


def test_another_key_does_not_hear_a_byte_of_the_request(server: Server) -> None:
    other = hashlib.sha256(b"another key").hexdigest()
    with Driver(["https", HOST, str(server.port), other]) as driver:
        for _ in range(2):
            with pytest.raises(NetLost, match="another key"):
                post(driver)
    server.close()
    assert server.heard == []


def test_a_renewed_certificate_of_the_same_key_is_still_the_server(tmp_path: Path, server: Server) -> None:
    renewed = Server(tmp_path, server.key)
    with Driver(["https", HOST, str(renewed.port), server.pin]) as driver:
        assert post(driver) == [200, 7, b"hello"]
    renewed.close()


def test_a_server_that_hangs_up_between_requests_costs_no_request(server: Server) -> None:
    server.close_after_answer = True
    with Driver(["https", HOST, str(server.port), server.pin]) as driver:
        for _ in range(3):
            assert post(driver) == [200, 7, b"hello"]
    server.close()
    assert server.handshakes == 3


def test_nobody_at_the_port_and_somebody_without_tls_are_lost_connections(server: Server) -> None:
    with socket.create_server((HOST, 0)) as plain:
        with Driver(["https", HOST, str(plain.getsockname()[1]), server.pin]) as driver:
            threading.Thread(target=lambda: plain.accept()[0].sendall(b"SSH-2.0-x\r\n" * 20), daemon=True).start()
            with pytest.raises(NetLost):
                post(driver)
        port = plain.getsockname()[1]
    with Driver(["https", HOST, str(port), server.pin]) as driver:
        with pytest.raises(NetLost, match="does not accept"):
            post(driver)
