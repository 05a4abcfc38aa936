"""The sync messages between a validator and the back office: CBOR arrays inside COSE_Mac0.

Transport is at-least-once; exactly-once comes from the identity (device, epoch, seq) of each entry and from
`msg_seq`, which numbers messages. Server time travels in each signed answer.

    upload   [proto, device_id, epoch, msg_seq, sent_at_s, clk_q, heap_free, versions{}, records[], events[], more{}]
    reply    [proto, device_id, epoch, msg_seq, server_time_s, ack[[from, to]...], reject[[seq, code]...],
              retry_after_s, max_batch, want[], commands[[id, name, argument]...], versions_required{}, server_ms]
    refusal  [proto, device_id, epoch, msg_seq, code, msg_seq_stored], signed as a reply is

`more` and `server_ms` may be missing. Enrolment has messages of its own: tunion/wire/enrol.py.
"""

from collections import namedtuple

from tunion import cbor, cose
from tunion.compat import const
from tunion.record import BadInput, is_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tunion.record import Bytes

PROTO = const(1)
PATH = "/d/v1/up"
RECORDS_MAX = const(64)  # in one upload
UPLOAD_BYTES_MAX = const(16384)  # one envelope; the server refuses a longer body unread
_NUMBER_MAX = 0xFFFFFFFF  # of every number in a message: ids, sequences and seconds have 32 bits

STALE = "stale"  # codes of a refusal: this msg_seq or an older one was stored; go on after msg_seq_stored
EPOCH = "epoch"  # the device is known, this journal is not: it must be enrolled again
HEALTH = "health"  # keys of `more`
LOG = "log"  # [command id, CRC-32 of the whole log, its bytes, offset, piece]; also in `want`

MALFORMED = "malformed"  # signed by the device, and yet not an upload

Upload = namedtuple(
    "Upload",
    (
        "proto",
        "device_id",
        "epoch",
        "msg_seq",
        "sent_at_s",
        "clk_q",
        "heap_free",
        "versions",
        "records",  # entries of kind TAP and AMEND, tunion.wire.tap.to_wire
        "events",  # entries of kind EVENT
        "more",  # {HEALTH: {name: figure}, LOG: a piece}, either may be missing
    ),
)
Reply = namedtuple(
    "Reply",
    (
        "proto",
        "device_id",
        "epoch",
        "msg_seq",
        "server_time_s",
        "ack",  # [[from, to], ...] inclusive: durably stored, not yet cleared
        "reject",  # [[seq, code], ...]: refused by name; kept by the device, not sent again unasked
        "retry_after_s",
        "max_batch",
        "want",  # [[LOG, command id, offset]]: how far a log has come
        "commands",  # [[id, name, argument], ...], tunion.wire.command
        "versions_required",
        "server_ms",  # 0 to 999, beyond server_time_s
    ),
)
Refusal = namedtuple("Refusal", ("proto", "device_id", "epoch", "msg_seq", "code", "msg_seq_stored"))

_UPLOAD_TYPES = (int, int, int, int, int, int, int, dict, list, list, dict)
_REPLY_TYPES = (int, int, int, int, int, list, list, int, int, list, list, dict, int)
_REFUSAL_TYPES = (int, int, int, int, str, int)
_UPLOAD_FIELDS_MIN = const(10)
_ENTRIES_AT = const(8)  # in an upload
_REPLY_FIELDS_MIN = const(12)
_HALF_A_SECOND_MS = const(500)  # the best guess where an answer tells whole seconds only


def kid(device_id: int) -> bytes:
    """The key's name in the envelope: the device id, 4 bytes."""
    return device_id.to_bytes(4, "big")


def upload_aad(host: str) -> bytes:
    """What the MAC of an upload covers beside the payload: an upload for one host is none for another."""
    return ("POST " + PATH + " " + host).encode()


def reply_aad(host: str) -> bytes:
    """As upload_aad, for the answer: an upload played back is not an answer."""
    return ("REPLY " + PATH + " " + host).encode()


def encode(message: "Upload | Reply | Refusal") -> bytes:
    """The payload of an envelope."""
    return cbor.encode(list(message))


def seal_upload(
    upload: Upload, kid: bytes, aad: bytes, mac_of: "Callable[[list[Bytes]], bytes]"
) -> "list[Bytes]":
    """The envelope of an upload, in pieces (cose.Envelope). Its entries are copied once."""
    head = cbor.array_head(len(upload))
    for field in upload[:_ENTRIES_AT]:
        head += cbor.encode(field)
    tail = cbor.encode(upload.more)
    size = len(head) + len(tail)
    for entries in (upload.records, upload.events):
        size += len(cbor.array_head(len(entries)))
        for entry in entries:
            size += len(cbor.bytes_head(len(entry))) + len(entry)
    envelope = cose.Envelope(kid, size)
    envelope.put(head)
    for entries in (upload.records, upload.events):
        envelope.put(cbor.array_head(len(entries)))
        for entry in entries:
            envelope.put(cbor.bytes_head(len(entry)))
            envelope.put(entry)
    envelope.put(tail)
    return envelope.close(aad, mac_of)


def open_upload(payload: bytes) -> Upload:
    """An Upload whose shape is checked; its entries are still bytes. Raises BadInput."""
    fields = cbor.decode(payload)
    if isinstance(fields, list) and len(fields) == _UPLOAD_FIELDS_MIN:
        fields.append({})
    upload = Upload(*_checked(fields, _UPLOAD_TYPES))
    if len(upload.records) + len(upload.events) > RECORDS_MAX:
        raise BadInput("an upload carries at most %d entries" % RECORDS_MAX)
    for entry in upload.records + upload.events:
        if not isinstance(entry, bytes):
            raise BadInput("an entry is a byte string")
    return upload


def open_answer(payload: bytes) -> "Reply | Refusal":
    """A Reply or a Refusal; raises BadInput for anything else."""
    fields = cbor.decode(payload)
    if isinstance(fields, list) and len(fields) == len(_REFUSAL_TYPES):
        return Refusal(*_checked(fields, _REFUSAL_TYPES))
    if isinstance(fields, list) and len(fields) == _REPLY_FIELDS_MIN:
        fields.append(_HALF_A_SECOND_MS)
    reply = Reply(*_checked(fields, _REPLY_TYPES))
    for pair in reply.ack + reply.reject:
        if not isinstance(pair, list) or len(pair) != 2 or not _is_number(pair[0]):
            raise BadInput("ack and reject hold pairs")
    for first, last in reply.ack:
        if not _is_number(last) or last < first:
            raise BadInput("an ack range is two sequence numbers, the first of them no larger")
    for _, code in reply.reject:
        if not isinstance(code, str):
            raise BadInput("a reject names its code")
    return reply


def ranges(seqs: "list[int]") -> "list[list[int]]":
    """[1, 2, 3, 7] as [[1, 3], [7, 7]]; any order, repeats allowed."""
    out: list[list[int]] = []
    for seq in sorted(seqs):
        if out and seq <= out[-1][1] + 1:
            out[-1][1] = max(seq, out[-1][1])
        else:
            out.append([seq, seq])
    return out


def _checked(fields: "Any", types: "tuple[type, ...]") -> "list[Any]":
    if not isinstance(fields, list) or len(fields) != len(types):
        raise BadInput("not a sync message")
    for i in range(len(types)):
        if types[i] is int:
            if not _is_number(fields[i]):
                raise BadInput("field %d of a sync message is no number of 32 bits" % i)
        elif not isinstance(fields[i], types[i]):
            raise BadInput("field %d of a sync message has another type" % i)
    if fields[0] != PROTO:
        raise BadInput("sync protocol %d is spoken here" % PROTO)
    return fields


def _is_number(value: "Any") -> bool:
    return is_int(value) and 0 <= value <= _NUMBER_MAX
