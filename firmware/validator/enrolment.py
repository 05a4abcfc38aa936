"""Brings a new journal to an office that knows this device by another: asks, proves that it asks now, waits.

One question at a time; the same question may be asked any number of times. Messages: tunion/wire/enrol.py.
"""

from tunion import cose
from tunion.record import BadInput
from tunion.wire import enrol as wire
from tunion.wire.sync import PROTO, kid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from validator.journal import Journal
    from validator.ports import Clock
    from validator.settings import Settings

_NO_NONCE = b""


class Enrolment:
    """`done`: uploads may begin. `again`: the next question may go at once."""

    path = wire.PATH

    def __init__(self, journal: "Journal", clock: "Clock", settings: "Settings") -> None:
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._nonce = _NO_NONCE
        self.done = False
        self.again = False

    def question(self) -> bytes:
        """The envelope to be posted to wire.PATH."""
        request = wire.Request(
            PROTO,
            self._settings.device_id,
            self._journal.epoch,
            self._clock.now_s(),
            self._journal.seq,
            self._nonce,
        )
        return cose.seal(
            wire.encode(request),
            kid(self._settings.device_id),
            wire.request_aad(self._settings.host),
            self._mac,
        )

    def heard(self, body: bytes) -> str:
        """The state that the office answered, "" where this is no answer of its."""
        try:
            name, payload, tag = cose.unseal(body)
            cose.check(payload, tag, wire.answer_aad(self._settings.host), self._mac)
            answer = wire.open_answer(payload)
        except BadInput:
            return ""
        ours = (self._settings.device_id, self._journal.epoch)
        if name != kid(self._settings.device_id) or (answer.device_id, answer.epoch) != ours:
            return ""
        state: str = answer.state
        self.again = state == wire.CHALLENGE
        if self.again:
            if answer.nonce == self._nonce:
                return ""  # it has this very nonce: an office that is confused, or an answer to the question before
            self._nonce = answer.nonce
        else:
            self._nonce = _NO_NONCE
            self.done = state == wire.ENROLLED
        return state

    def _mac(self, message: bytes) -> bytes:
        return cose.hmac_sha256(self._settings.key, message)
