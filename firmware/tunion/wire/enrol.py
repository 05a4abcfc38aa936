"""How a device that the office knows brings a new journal: after its flash was lost or replaced.

    request  [proto, device_id, epoch, sent_at_s, last_seq, nonce]      POST /d/v1/enrol
    answer   [proto, device_id, epoch, state, nonce]

Both in COSE_Mac0 under the device key. The first request carries no nonce; the office answers CHALLENGE with one of
its own, and the request that returns it is known to be made now: a capture of an old one is not. Then a clerk decides.
"""

from collections import namedtuple

from tunion import cbor
from tunion.compat import const
from tunion.record import BadInput, is_int
from tunion.wire.sync import PROTO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATH = "/d/v1/enrol"
NONCE_BYTES = const(16)
REQUEST_BYTES_MAX = const(256)  # an envelope with room to spare
_NUMBER_MAX = 0xFFFFFFFF

CHALLENGE = "challenge"  # ask again with this nonce
WAITING = "waiting"  # a clerk has to accept this journal: ask again later
ENROLLED = "enrolled"  # uploads of this journal are taken, message numbers begin at 1
CLOSED = "closed"  # another journal came after this one: it is read by hand, never again over the network
STATES = (CHALLENGE, WAITING, ENROLLED, CLOSED)

Request = namedtuple("Request", ("proto", "device_id", "epoch", "sent_at_s", "last_seq", "nonce"))
Answer = namedtuple("Answer", ("proto", "device_id", "epoch", "state", "nonce"))


def request_aad(host: str) -> bytes:
    """As wire.sync.upload_aad: what the MAC covers beside the payload."""
    return ("POST " + PATH + " " + host).encode()


def answer_aad(host: str) -> bytes:
    """A request played back is no answer."""
    return ("REPLY " + PATH + " " + host).encode()


def encode(message: "Request | Answer") -> bytes:
    """The payload of an envelope."""
    return cbor.encode(list(message))


def open_request(payload: bytes) -> Request:
    """Raises BadInput for anything else."""
    request = Request(*_checked(payload, 6))
    if not _is_number(request.sent_at_s) or not _is_number(request.last_seq):
        raise BadInput("a request has numbers of 32 bits")
    return request


def open_answer(payload: bytes) -> Answer:
    """Raises BadInput for anything else."""
    answer = Answer(*_checked(payload, 5))
    if answer.state not in STATES:
        raise BadInput("an answer names a state")
    return answer


def _checked(payload: bytes, count: int) -> "list[Any]":
    fields = cbor.decode(payload)
    if not isinstance(fields, list) or len(fields) != count or fields[0] != PROTO:
        raise BadInput("no message of enrolment, protocol %d" % PROTO)
    if not _is_number(fields[1]) or not _is_number(fields[2]):
        raise BadInput("device and epoch are numbers of 32 bits")
    if not isinstance(fields[-1], bytes) or len(fields[-1]) not in (0, NONCE_BYTES):
        raise BadInput("a nonce has %d bytes, or none" % NONCE_BYTES)
    return fields


def _is_number(value: "Any") -> bool:
    return is_int(value) and 0 <= value <= _NUMBER_MAX
