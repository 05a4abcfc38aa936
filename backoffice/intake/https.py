"""The listening process: uvicorn over TLS, until SIGTERM or Ctrl-C."""

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn

from backoffice.intake import tls
from backoffice.intake.receive import Intake
from backoffice.intake.server import app
from backoffice.keys.service import KeyService
from backoffice.store import registry
from backoffice.store.engine import Store

KEEP_ALIVE_S = 90  # a TLS handshake costs a validator a second of work: it opens one connection and keeps it
CONNECTIONS_MAX = 1024
SHUTDOWN_WAIT_S = 2  # for uploads under way; what is not answered by then is sent again


class CannotListen(Exception):
    """The address is taken or not ours, or the ready file has no folder. The message says what to do."""


def serve(store: Store, keys: KeyService, host: str, port: int, ready: Callable[[dict[str, Any]], None]) -> None:
    """Serve until a signal. `ready` is called once with {url, pin, pid}, when connections are accepted."""
    listener = _listen(host, port)
    with store.reading() as db:
        pin = registry.meta(db, "tls_pin")
    intake = Intake(store, keys, lambda: time.time_ns() // 1_000_000)
    config = uvicorn.Config(
        app(intake, store),
        ssl_keyfile=tls.key_path(store.path),
        ssl_certfile=tls.certificate_path(store.path),
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_WAIT_S,
        limit_concurrency=CONNECTIONS_MAX,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    url = f"https://{host}:{listener.getsockname()[1]}"
    try:
        _Server(config, lambda: ready({"url": url, "pin": pin, "pid": os.getpid()})).run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn ends in order, then passes the signal on
        return
    finally:
        listener.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


def write_ready_file(path: Path, facts: dict[str, Any]) -> None:
    """JSON that appears whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    os.replace(part, path)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), reuse_port=False)
    except socket.gaierror as error:
        raise CannotListen(f"{host} is no address of this machine: leave --host out, or name one") from error
    except OSError as error:
        raise CannotListen(f"{host} port {port}: {os.strerror(error.errno or 0)}; --port 0 takes a free one") from error
