"""HTTP in front of intake: bodies are read up to a limit, work is done in threads, nothing queues without bound."""

import asyncio
import logging

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backoffice.fleet import download
from backoffice.intake.receive import RETRY_AFTER_BUSY_S, Answer, Intake
from backoffice.intake.refusals import unsigned
from backoffice.store.engine import Busy, Store
from tunion.wire import enrol, sync

IN_FLIGHT_MAX = 64  # uploads held at once: 1 MB of bodies; one writer commits some hundred a second
BODY_WAIT_S = 30  # a batch takes 4 s over a 32 kbit/s modem

log = logging.getLogger("yikatong.intake")


def app(intake: Intake, store: Store) -> Starlette:
    """The ASGI application: POST /d/v1/up, POST /d/v1/enrol, GET /d/v1/manifest, GET /d/v1/blob, GET /healthz."""
    uploads = _Uploads(intake)
    questions = _Uploads(intake, enrols=True)

    async def healthz(request: Request) -> Response:
        try:
            await run_in_threadpool(_ping, store)
        except Busy:
            return JSONResponse({"status": "busy"}, status_code=503)
        return JSONResponse({"status": "ok"})

    own = [
        Route(sync.PATH, uploads.post, methods=["POST"]),
        Route(enrol.PATH, questions.post, methods=["POST"]),
        Route("/healthz", healthz),
    ]
    return Starlette(routes=own + download.routes(store))


class _Uploads:
    def __init__(self, intake: Intake, enrols: bool = False) -> None:
        self._take = intake.enrol if enrols else intake.receive
        self._in_flight = 0

    async def post(self, request: Request) -> Response:
        if self._in_flight >= IN_FLIGHT_MAX:
            return _refused("busy", RETRY_AFTER_BUSY_S)
        self._in_flight += 1
        try:
            async with asyncio.timeout(BODY_WAIT_S):
                body = await _body(request)
            if body is None:
                return _refused("too-large")
            return _response(await run_in_threadpool(self._take, body))
        except (ClientDisconnect, TimeoutError):
            return _refused("cut-short")
        finally:
            self._in_flight -= 1


async def _body(request: Request) -> bytes | None:
    """The whole body, or None as soon as it is longer than an upload may be; the rest is left unread."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > sync.UPLOAD_BYTES_MAX:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > sync.UPLOAD_BYTES_MAX:
            return None
    return bytes(body)


def _refused(name: str, retry_after_s: int = 0) -> Response:
    log.warning("upload refused: %s", name)
    status, body = unsigned(name)
    return _response(Answer(status, body, retry_after_s), close=True)


def _response(answer: Answer, close: bool = False) -> Response:
    headers = {"Retry-After": str(answer.retry_after_s)} if answer.retry_after_s else {}
    if close:  # what is left of the body stays unread
        headers["Connection"] = "close"
    return Response(answer.body, answer.status, headers, media_type="application/cbor")


def _ping(store: Store) -> None:
    with store.reading() as db:
        db.execute("SELECT 1")
