"""The command as a process: HTTPS on a real socket, signals, a port in use, a body that never ends."""

import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from backoffice.intake import tls
from backoffice.tests.forge import PASSPHRASE, City, Validator
from tunion import cbor
from tunion.wire import sync

START_WAIT_S = 30
STOP_WAIT_S = 20


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tools.cli", "backoffice", *arguments]


ENVIRONMENT = {**os.environ, "YKT_VAULT_PASSPHRASE": PASSPHRASE.decode(), "PYTHONUNBUFFERED": "1"}


class Server:
    """`ykt backoffice serve` on a free port."""

    def __init__(self, city: City) -> None:
        self.city = city
        arguments = ("serve", "--db", str(city.db), "--vault", str(city.vault))
        self.process = subprocess.Popen(
            command(*arguments), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        guard = threading.Timer(START_WAIT_S, self.process.kill)
        guard.start()
        assert self.process.stdout is not None
        self.url, _, self.pin = self.process.stdout.readline().split()
        guard.cancel()
        self.port = int(self.url.rsplit(":", 1)[1])

    def stop(self, with_signal: int) -> tuple[int, str]:
        """(exit code, log)."""
        self.process.send_signal(with_signal)
        _, log = self.process.communicate(timeout=STOP_WAIT_S)
        return self.process.returncode, log

    def client(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(tls.certificate_path(self.city.db)))
        context.check_hostname = False  # the certificate is for the audience's name; devices check the pin
        return httpx.Client(base_url=self.url, verify=context)

    def socket(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(tls.certificate_path(self.city.db)))
        context.check_hostname = False
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=START_WAIT_S))


@pytest.fixture
def server(city: City) -> Iterator[Server]:
    server = Server(city)
    yield server
    if server.process.poll() is None:
        server.process.kill()
    server.process.communicate()


def test_an_upload_over_https_is_stored_and_the_public_key_is_the_pinned_one(server: Server, bus: Validator) -> None:
    with server.socket() as connection:
        der = connection.getpeercert(binary_form=True)
    assert der is not None
    public = x509.load_der_x509_certificate(der).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert hashlib.sha256(spki).hexdigest() == server.pin

    with server.client() as client:
        bus.city.now_s = 0  # the server has its own clock
        answer = client.post(sync.PATH, content=bus.upload([bus.tap(1)]))
        assert client.get("/healthz").json() == {"status": "ok"}

    assert answer.status_code == 200
    assert server.city.states() == [("UNIQUE", "")]


@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "chunked"])
def test_ten_megabytes_of_zeros_are_refused_unread_and_the_server_goes_on(
    declared: bool, server: Server, bus: Validator
) -> None:
    before = server.city.dump()
    megabyte = bytes(1_000_000)
    body: Any = bytes(10_000_000) if declared else (megabyte for _ in range(10))
    with server.client() as client:
        try:
            answer = client.post(sync.PATH, content=body)
            assert (answer.status_code, cbor.decode(answer.content)[0]) == (413, "too-large")
        except httpx.TransportError:
            assert not declared, "a declared length is refused before a byte comes"
            # the server closed on bytes still under way, and the reset has overtaken its answer
    assert server.city.dump() == before

    with server.client() as client:
        assert client.post(sync.PATH, content=bus.upload([])).status_code == 200


def test_a_body_cut_short_stores_nothing(server: Server, bus: Validator) -> None:
    message = bus.upload([bus.tap(1)])
    before = server.city.dump()
    with server.socket() as connection:
        head = f"POST {sync.PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(message)}\r\n\r\n"
        connection.sendall(head.encode() + message[:-1])
    with server.client() as client:
        assert client.get("/healthz").status_code == 200
        assert server.city.dump() == before
        assert client.post(sync.PATH, content=message).status_code == 200


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_the_server_in_order(which: int, server: Server, bus: Validator) -> None:
    with server.client() as client:
        client.post(sync.PATH, content=bus.upload([bus.tap(1)]))
        code, log = server.stop(which)  # while a connection is open

    assert code == 0
    assert "Traceback" not in log
    assert server.city.states() == [("UNIQUE", "")]


def test_a_log_names_no_card_and_no_key(server: Server, bus: Validator) -> None:
    with server.client() as client:
        client.post(sync.PATH, content=bus.upload([bus.tap(1, number=12345678)]))
        client.post(sync.PATH, content=bus.upload([bus.tap(2, amount_fen=1)]))
        client.post(sync.PATH, content=bus.upload([], key=bytes(32)))
    _, log = server.stop(signal.SIGTERM)

    assert "1 entries stored" in log and "bad-mac" in log
    assert "12345678" not in log and bus.key.hex() not in log.lower()


def test_a_port_in_use_is_a_clear_error(server: Server) -> None:
    arguments = ("serve", "--db", str(server.city.db), "--vault", str(server.city.vault), "--port", str(server.port))
    done = subprocess.run(command(*arguments), env=ENVIRONMENT, capture_output=True, text=True, timeout=START_WAIT_S)

    assert done.returncode == 1
    assert str(server.port) in done.stderr and "--port 0" in done.stderr and "Traceback" not in done.stderr


def test_the_whole_line_by_commands(tmp_path: Path) -> None:
    """init, vault, serve, an upload, clear, export, status, as the documentation shows them."""

    def ykt(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            command(*arguments), env=ENVIRONMENT, capture_output=True, text=True, timeout=START_WAIT_S
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    city = City(tmp_path)
    city.store.close()
    where = ("--db", str(city.db))
    keys = ("--vault", str(city.vault))
    assert "exists already" in ykt("init", *where, code=1)
    assert "ykt keys new" in ykt("clear", *where, "--vault", str(tmp_path / "none"), code=1)
    assert "bus 1" in ykt("device", "list", *where)
    ykt("device", "add", *where, "--id", "9", "--name", "bus 9", "--operator", "09990111", "--acquirer", "09990100")
    assert "not registered" in ykt("device", "re-enrol", *where, "--id", "8", code=1)

    city = City(tmp_path)
    server = Server(city)
    bus = Validator(city)
    with server.client() as client:
        client.post(sync.PATH, content=bus.upload([bus.tap(1, number=1), bus.tap(2, number=2)]))
    assert server.stop(signal.SIGTERM)[0] == 0
    city.store.close()

    closing = json.loads(ykt("clear", *where, *keys, "--json"))
    assert closing["new_records"] == 2 and closing["problems"] == []
    table = ykt("clear", *where, *keys)
    assert "甲市第一公交" in table and "Alder First Bus" in table and "4.00" in table
    status = json.loads(ykt("status", *where, "--json"))
    assert status["cleared_fen"] == 400 and status["output_digest"] == closing["output_digest"]
    records = json.loads(ykt("export", *where, "--what", "records", "--format", "json"))
    assert [record["card"] for record in records] == ["310000*********0001", "310000*********0002"]
    assert "09990111" in ykt("export", *where)
    assert "YYYY-MM-DD" in ykt("clear", *where, *keys, "--day", "2025-02-30", code=2)
    assert "does not open" in _with_passphrase("wrong", "clear", *where, *keys)


def _with_passphrase(passphrase: str, *arguments: str) -> str:
    environment = {**ENVIRONMENT, "YKT_VAULT_PASSPHRASE": passphrase}
    done = subprocess.run(command(*arguments), env=environment, capture_output=True, text=True, timeout=START_WAIT_S)
    assert done.returncode == 1
    return done.stderr
