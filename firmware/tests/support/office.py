"""A back office in process behind the Net port: it keeps the rules of the protocol, and the network breaks as told.

faults, one for each POST, in order: LOST (never arrives), DEAF (arrives, the answer is lost), an HTTP status (a
gateway answers instead), or a function of the envelope that returns a Response. None or nothing more: all is well.
"""

from hashlib import sha256

from tunion import cose
from tunion.wire import enrol, tap
from tunion.wire import sync as wire
from validator.ports import NetLost, Response

LOST = "lost"
DEAF = "deaf"


def joined(pieces):
    """A body in one (MicroPython's bytes.join takes no bytearray)."""
    out = b""
    for piece in pieces:
        out += bytes(piece)
    return out


class Office:
    """`entries` is what it has stored: seq -> entry. `uploads` are all that it opened."""

    def __init__(self, settings, clock):
        self.host = settings.host
        self.settings = settings
        self.clock = clock
        self.ahead_s = 0  # of the validator's clock as it stands now
        self.ahead_ms = 0
        self.reconnects = 0
        self.orders = []  # [id, name, argument], until their COMMAND_DONE has come
        self.results = {}  # id -> result
        self.log = b""
        self.log_id = 0
        self.enrol_state = enrol.WAITING  # what a clerk says of a new journal
        self.questions = []
        self._base_s = clock.now_s()
        self.faults = []
        self.entries = {}
        self.rejects = ()
        self.uploads = []
        self.bodies = []
        self.msg_seq = 0
        self.epoch = None
        self.latency_ms = 100
        self.changes = {}  # of the reply's fields
        self._digest = b""
        self._response = b""
        self._answer = None

    def start(self, path, body):
        body = joined(body)
        if path == wire.PATH:
            self.bodies.append(body)
        else:
            assert path == enrol.PATH
            self.questions.append(body)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            self._answer = Response(fault, 30 if fault == 503 else 0, b"<html>gateway</html>")
        elif fault == LOST:
            self._answer = NetLost("no route")
        elif fault == DEAF:
            self._taken(path, body)
            self._answer = NetLost("broke off")
        elif fault is not None:
            self._answer = fault(body)
        else:
            self._answer = self._taken(path, body)

    def now_s(self, in_ms=0):
        """The office's own time, which nobody sets."""
        return self.now_ms(in_ms) // 1000

    def now_ms(self, in_ms=0):
        return 1000 * (self._base_s + self.ahead_s) + self.ahead_ms + self.clock.ticks_ms() + in_ms

    def reconnect(self):
        self.reconnects += 1

    def step(self):
        answer, self._answer = self._answer, None
        if isinstance(answer, NetLost):
            raise answer
        if answer is not None:
            self.clock.advance_ms(self.latency_ms)
        return answer

    def mac(self, message):
        return cose.hmac_sha256(self.settings.key, message)

    def signed(self, message, status=200, mac=None):
        body = cose.seal(
            wire.encode(message),
            wire.kid(self.settings.device_id),
            wire.reply_aad(self.host),
            mac or self.mac,
        )
        return Response(status, 0, body)

    def reply(self, upload, **changes):
        seqs = [tap.from_wire(entry)[0].seq for entry in upload.records + upload.events]
        fields = dict(
            proto=1,
            device_id=upload.device_id,
            epoch=upload.epoch,
            msg_seq=upload.msg_seq,
            server_time_s=self.now_s(self.latency_ms // 2),
            ack=wire.ranges([seq for seq in seqs if seq not in self.rejects]),
            reject=[[seq, "malformed"] for seq in seqs if seq in self.rejects],
            retry_after_s=0,
            max_batch=64,
            want=self._want(upload),
            commands=[order for order in self.orders if order[0] not in self.results],
            versions_required={},
            server_ms=self.now_ms(self.latency_ms // 2) % 1000,
        )
        for name in self.changes:
            fields[name] = self.changes[name]
        for name in changes:
            fields[name] = changes[name]
        return wire.Reply(**fields)

    def open(self, body):
        kid, payload, mac = cose.unseal(body)
        assert kid == wire.kid(self.settings.device_id)
        cose.check(payload, mac, wire.upload_aad(self.host), self.mac)
        return wire.open_upload(payload)

    def _take(self, body):
        upload = self.open(body)
        if self.epoch not in (None, upload.epoch):
            return self._refused(upload, wire.EPOCH)
        digest = sha256(body).digest()
        if upload.msg_seq == self.msg_seq and digest == self._digest:
            return self._response
        if upload.msg_seq <= self.msg_seq:
            return self._refused(upload, wire.STALE)
        self.uploads.append(upload)
        for entry in upload.records + upload.events:
            seq = tap.from_wire(entry)[0].seq
            assert self.entries.get(seq, entry) == entry, "one sequence number, two contents"
            self.entries[seq] = entry
            body = tap.from_wire(entry)[0]
            if body.kind == tap.EVENT and body.code == tap.COMMAND_DONE:
                assert body.value not in self.results, "a command ran twice"
                self.results[body.value] = body.reason
        self.epoch = upload.epoch
        self.msg_seq = upload.msg_seq
        self._digest = digest
        self._response = self.signed(self.reply(upload))
        return self._response

    def _want(self, upload):
        if wire.LOG not in upload.more:
            return []
        number, crc, total, offset, piece = upload.more[wire.LOG]
        if self.log_id != number:
            self.log_id, self.log = number, b""
        if offset == len(self.log):
            self.log += piece
        return [[wire.LOG, number, len(self.log)]]

    def _taken(self, path, body):
        return self._take(body) if path == wire.PATH else self._enrol(body)

    def _enrol(self, body):
        """As the back office: a nonce first, then what the clerk says."""
        kid, payload, mac = cose.unseal(body)
        cose.check(payload, mac, enrol.request_aad(self.host), self.mac)
        request = enrol.open_request(payload)
        nonce = sha256(b"%d" % request.epoch).digest()[:16]
        state = self.enrol_state if request.nonce == nonce else enrol.CHALLENGE
        if state == enrol.ENROLLED:
            self.epoch, self.msg_seq = request.epoch, 0
        answer = enrol.Answer(1, request.device_id, request.epoch, state, nonce if state == enrol.CHALLENGE else b"")
        return Response(200, 0, cose.seal(enrol.encode(answer), kid, enrol.answer_aad(self.host), self.mac))

    def _refused(self, upload, code):
        return self.signed(wire.Refusal(1, upload.device_id, upload.epoch, upload.msg_seq, code, self.msg_seq), 409)
