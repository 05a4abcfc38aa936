"""GET /d/v1/manifest and GET /d/v1/blob: bytes signed when they were published, in pieces that a device holds.

Nothing here is secret, so nobody is asked who he is; a device trusts the signature, not the path it came by.
"""

import sqlite3
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backoffice.intake.receive import RETRY_AFTER_BUSY_S
from backoffice.intake.refusals import unsigned
from backoffice.store.engine import Busy, Store
from tunion.wire import manifest
from tunion.wire.limits import is_scope


class Unknown(Exception):
    """Nothing is published under this name."""


class BadQuestion(Exception):
    """The request asks for what cannot be."""


def manifest_of(db: sqlite3.Connection, scope: str) -> bytes:
    """The signed manifest. Raises Unknown, BadQuestion."""
    if not is_scope(scope):
        raise BadQuestion
    row = db.execute("SELECT envelope FROM params_manifest WHERE scope = ?", (scope,)).fetchone()
    if row is None:
        raise Unknown
    return bytes(row["envelope"])


def piece_of(db: sqlite3.Connection, sha256: str, offset: str, count: str) -> bytes:
    """`count` bytes of a published blob, at most PIECE_BYTES_MAX, fewer at its end. Raises Unknown, BadQuestion."""
    if not (offset.isascii() and offset.isdigit() and count.isascii() and count.isdigit()):
        raise BadQuestion
    first, size = int(offset[:8]), int(count[:8])
    if not 0 < size <= manifest.PIECE_BYTES_MAX:
        raise BadQuestion
    for table in ("params_set", "list_blob"):
        question = f"SELECT substr(blob, ?, ?) FROM {table} WHERE sha256 = ?"
        row = db.execute(question, (first + 1, size, sha256)).fetchone()
        if row is not None:
            if not row[0]:
                raise BadQuestion
            return bytes(row[0])
    raise Unknown


def routes(store: Store) -> list[Route]:
    """For the device server."""

    async def get_manifest(request: Request) -> Response:
        return await _answered(store, manifest_of, request.query_params.get("scope", ""))

    async def get_blob(request: Request) -> Response:
        query = request.query_params
        return await _answered(
            store, piece_of, request.path_params["sha256"], query.get("off", ""), query.get("len", "")
        )

    return [Route(manifest.MANIFEST_PATH, get_manifest), Route(manifest.BLOB_PATH + "{sha256}", get_blob)]


async def _answered(store: Store, question: Callable[..., bytes], *arguments: str) -> Response:
    def ask() -> bytes:
        with store.reading() as db:
            return question(db, *arguments)

    try:
        return Response(await run_in_threadpool(ask), media_type="application/cose")
    except Unknown:
        return _refused("unknown-blob")
    except BadQuestion:
        return _refused("bad-question")
    except Busy:
        return _refused("busy", {"Retry-After": str(RETRY_AFTER_BUSY_S)})


def _refused(name: str, headers: dict[str, str] | None = None) -> Response:
    status, body = unsigned(name)
    return Response(body, status, headers, media_type="application/cbor")
