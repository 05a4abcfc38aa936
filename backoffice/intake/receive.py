"""An upload from bytes to answer, without a word of HTTP but the status.

Order: envelope, known device, MAC, shape, journal (epoch), message number, entries; then one
transaction stores the entries, the new high-water mark and the very bytes of the answer, so that a lost answer costs
one repeat. A refused message changes nothing.
"""

import hashlib
import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from backoffice.fleet.status import saw
from backoffice.intake import commands, entries, health, logs
from backoffice.intake import enrol as enrolment
from backoffice.intake.refusals import UNSIGNED, unsigned
from backoffice.keys.service import KeyService, NoKey
from backoffice.store import registry
from backoffice.store.engine import Busy, Store
from tunion import cbor, cose
from tunion.record import BadInput
from tunion.wire import enrol, sync

RETRY_AFTER_BUSY_S = 5  # the first step of the device's back-off

_U32 = 0xFFFFFFFF

log = logging.getLogger("yikatong.intake")


class Answer(NamedTuple):
    status: int
    body: bytes
    retry_after_s: int = 0


class _Refused(Exception):
    """A refusal that the sender can trust, because it is signed."""

    def __init__(self, status: int, refusal: sync.Refusal) -> None:
        super().__init__(refusal.code)
        self.status = status
        self.refusal = refusal


class Intake:
    """The device protocol of one back office. `receive` may be called from several threads."""

    def __init__(self, store: Store, keys: KeyService, clock_ms: Callable[[], int]) -> None:
        """clock_ms() is milliseconds since 1970-01-01 UTC."""
        with store.reading() as db:
            audience = registry.meta(db, "audience")
        self._store = store
        self._keys = keys
        self._clock_ms = clock_ms
        self._upload_aad = sync.upload_aad(audience)
        self._reply_aad = sync.reply_aad(audience)
        self._request_aad = enrol.request_aad(audience)
        self._answer_aad = enrol.answer_aad(audience)

    def receive(self, body: bytes) -> Answer:
        """The answer to one upload; never raises for what a device may send."""
        return self._guarded(lambda: self._answer(*self._authenticated(body, self._upload_aad)))

    def enrol(self, body: bytes) -> Answer:
        """The answer to a question of a device's enrolment, as `receive`."""
        return self._guarded(lambda: self._enrolled(*self._authenticated(body, self._request_aad)))

    def _guarded(self, work: Callable[[], Answer]) -> Answer:
        try:
            return work()
        except _Unsigned as refused:
            log.warning("upload refused: %s%s", refused.code, refused.device)
            status, text = unsigned(refused.code)
            return Answer(status, text, RETRY_AFTER_BUSY_S if refused.code == "busy" else 0)
        except Busy as busy:
            log.error("upload refused: busy, %s", busy)
            status, text = unsigned("busy")
            return Answer(status, text, RETRY_AFTER_BUSY_S)

    def _authenticated(self, body: bytes, aad: bytes) -> tuple[int, bytes]:
        """(device_id, payload) of an envelope whose MAC is right."""
        if len(body) > sync.UPLOAD_BYTES_MAX:
            raise _Unsigned("too-large")
        try:
            kid, payload, tag = cose.unseal(body)
        except BadInput:
            raise _Unsigned("bad-cbor") from None
        device_id = int.from_bytes(kid, "big") if len(kid) == 4 else -1
        with self._store.reading() as db:
            known = registry.device(db, device_id) is not None
        if not known:
            raise _Unsigned("unknown-device", device_id)
        try:
            cose.check(payload, tag, aad, partial(self._keys.device_mac, device_id))
        except NoKey:
            raise _Unsigned("unknown-device", device_id) from None
        except cose.BadMac:
            raise _Unsigned("bad-mac", device_id) from None
        return device_id, payload

    def _answer(self, device_id: int, payload: bytes) -> Answer:
        try:
            with self._store.transaction() as db:
                return Answer(200, self._stored(db, device_id, payload))
        except _Refused as refused:
            log.warning("upload refused: %s, device %d", refused.refusal.code, device_id)
            return Answer(refused.status, self._sealed(device_id, refused.refusal))

    def _enrolled(self, device_id: int, payload: bytes) -> Answer:
        try:
            request = enrol.open_request(payload)
        except BadInput:
            raise _Unsigned("bad-cbor", device_id) from None
        if request.device_id != device_id:
            raise _Unsigned("bad-cbor", device_id)
        with self._store.transaction() as db:
            answer = enrolment.answer(db, request, self._clock_ms() // 1000)
        log.warning("device %d, journal %08X: %s", device_id, request.epoch, answer.state)
        mac = partial(self._keys.device_mac, device_id)
        return Answer(200, cose.seal(enrol.encode(answer), sync.kid(device_id), self._answer_aad, mac))

    def _stored(self, db: sqlite3.Connection, device_id: int, payload: bytes) -> bytes:
        """The bytes of the answer; whatever was new is stored in the transaction of `db`."""
        device = registry.device(db, device_id)
        if device is None:
            raise _Unsigned("unknown-device", device_id)
        upload = _opened(payload, device)
        digest = hashlib.sha256(payload).digest()
        if _is_repeat(db, device, upload, digest):
            assert device.response is not None
            return device.response
        now_ms = self._clock_ms()
        now_s = now_ms // 1000
        source = entries.Source(device_id, upload.epoch, now_s)
        taken = entries.take(db, source, upload.records, upload.events)
        want = logs.take(db, device_id, upload.more.get(sync.LOG), now_s)
        orders = commands.to_send(db, device_id, now_s)  # without those whose COMMAND_DONE has just come
        response = self._sealed(device_id, _reply(upload, now_ms, taken, want, orders))
        saw(db, device_id, upload.versions, now_s)
        health.saw(db, device_id, upload, upload.more.get(sync.HEALTH), now_s)
        registry.remember_message(db, device_id, upload.epoch, upload.msg_seq, digest, response)
        log.info(
            "device %d message %d: %d entries stored, %d refused",
            device_id,
            upload.msg_seq,
            len(taken.acked),
            len(taken.rejected),
        )
        return response

    def _sealed(self, device_id: int, message: "sync.Reply | sync.Refusal") -> bytes:
        mac = partial(self._keys.device_mac, device_id)
        return cose.seal(sync.encode(message), sync.kid(device_id), self._reply_aad, mac)


class _Unsigned(Exception):
    """A refusal to a sender that has not proven who it is."""

    def __init__(self, code: str, device_id: int = -1) -> None:
        assert code in UNSIGNED
        super().__init__(code)
        self.code = code
        self.device = f", device {device_id}" if device_id >= 0 else ""


def _opened(payload: bytes, device: registry.Device) -> sync.Upload:
    """The upload, if it has the shape of one and speaks for the device that signed it."""
    try:
        upload = sync.open_upload(payload)
    except BadInput:
        upload = None
    if upload is None or upload.device_id != device.device_id or max(upload.epoch, upload.msg_seq) > _U32:
        epoch, msg_seq = _numbers(payload)
        raise _Refused(400, sync.Refusal(sync.PROTO, device.device_id, epoch, msg_seq, sync.MALFORMED, device.msg_seq))
    return upload


def _numbers(payload: bytes) -> tuple[int, int]:
    """(epoch, msg_seq) as far as a malformed upload tells them, so that the device can match the refusal; else 0."""
    try:
        fields = cbor.decode(payload)
    except BadInput:
        return 0, 0
    if not isinstance(fields, list) or len(fields) < 4:
        return 0, 0
    epoch, msg_seq = (field if type(field) is int and 0 <= field <= _U32 else 0 for field in fields[2:4])
    return epoch, msg_seq


def _is_repeat(db: sqlite3.Connection, device: registry.Device, upload: sync.Upload, digest: bytes) -> bool:
    """False: a new message. True: the last one once more. Raises _Refused for any other journal or number."""

    def refused(code: str) -> _Refused:
        numbers = (upload.device_id, upload.epoch, upload.msg_seq)
        return _Refused(409, sync.Refusal(sync.PROTO, *numbers, code, device.msg_seq))

    if device.epoch is None:
        if registry.has_ended_one(db, device.device_id):  # known for more than this message: enrol.py decides
            raise refused(sync.EPOCH)
    elif upload.epoch != device.epoch:
        raise refused(sync.EPOCH)
    if upload.msg_seq > device.msg_seq:
        return False
    if upload.msg_seq == device.msg_seq and device.msg_digest == digest:
        return True
    raise refused(sync.STALE)


def _reply(
    upload: sync.Upload, now_ms: int, taken: entries.Taken, want: list[list[int | str]], orders: list[list[int | str]]
) -> sync.Reply:
    return sync.Reply(
        proto=sync.PROTO,
        device_id=upload.device_id,
        epoch=upload.epoch,
        msg_seq=upload.msg_seq,
        server_time_s=now_ms // 1000,
        ack=sync.ranges(taken.acked),
        reject=taken.rejected,
        retry_after_s=0,
        max_batch=sync.RECORDS_MAX,
        want=want,
        commands=orders,
        versions_required={},
        server_ms=now_ms % 1000,
    )
