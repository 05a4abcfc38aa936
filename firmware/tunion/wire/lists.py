"""Lists that change daily: denied cards, joined cities, accepted issuers. Made by the office, read by validators.

    blob      head, HEAD_BYTES: 2 bytes length, COSE_Sign1 (tunion.cose_sign1) with external AAD "list", zeros
              content: records, sorted, none twice
    payload   [layout, name, version, scope, base, created_s, effective_at_s, expires_at_s,
               removed, added, sha256, result_count, result_sha256]

A full list (base 0) is its own result. A delta names the version that it changes: its content is the records removed,
then those added, and its result is the list that comes out. `sha256` is the content's.

    deny   10 bytes: application serial number, BCD
    city   12 bytes: city code, 2 bytes BCD, two zero bytes, from_s, to_s
    bin    12 bytes: issuer identifier, 4 bytes, from_s, to_s

A dated record holds from from_s until before to_s. Every byte and why: firmware/docs/lists.md.
"""

from collections import namedtuple
from hashlib import sha256

from tunion import cbor
from tunion.compat import const
from tunion.record import BadInput, is_int
from tunion.wire.limits import is_scope
from tunion.wire.refused import (
    BAD_CONTENT,
    BAD_HASH,
    BAD_SIGNATURE,
    DOWNGRADE,
    EXPIRED,
    FOREIGN_SCOPE,
    UNREADABLE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.record import Bytes

LAYOUT = const(1)
AAD = b"list"
HEAD_BYTES = const(512)  # a payload of 200 bytes with the longest scope, and an envelope of 85 around it
DENY, CITY, BIN = const(1), const(2), const(3)
NAMES = {DENY: "deny", CITY: "city", BIN: "bin"}  # also the kinds of a manifest's entries
KEY_BYTES = {DENY: 10, CITY: 4, BIN: 4}
RECORD_BYTES = {DENY: 10, CITY: 12, BIN: 12}
COUNT_MAX = {DENY: 100000, CITY: 512, BIN: 512}  # what a ministry list reserves; the joined cities are some 340
NEVER_S = const(0xFFFFFFFF)  # as to_s: no end is known

# Why a device does not take a list, or left it, beyond tunion.wire.refused
UNSORTED = const(9)
TOO_MANY = const(10)
WRONG_BASE = const(11)
WRONG_RESULT = const(12)
# number -> (name for programs, 中文, English)
WORDS = {
    BAD_HASH: ("bad_hash", "名单校验失败", "what was downloaded is not what was signed"),
    BAD_SIGNATURE: ("bad_signature", "名单签名无效", "the signature is wrong, or of a key not given to the device"),
    BAD_CONTENT: ("bad_content", "名单内容无效", "the list's head is malformed, or is not what the manifest names"),
    FOREIGN_SCOPE: ("foreign_scope", "名单不属于本单位", "the list is for another scope"),
    DOWNGRADE: ("downgrade", "名单版本过低", "the version is no higher than one that was active"),
    EXPIRED: ("expired", "名单已过期", "the list expired before it became active"),
    UNREADABLE: ("unreadable", "名单存储损坏", "the flash does not give back what was stored"),
    UNSORTED: ("unsorted", "名单未排序", "the records are not sorted, or one stands there twice"),
    TOO_MANY: ("too_many", "名单超出容量", "more records than this device has room for"),
    WRONG_BASE: ("wrong_base", "增量基准不符", "the delta is for another list than the one in force"),
    WRONG_RESULT: ("wrong_result", "增量结果不符", "the delta does not give the list that was signed"),
}
REASONS_A_LIST = const(32)  # an event's reason is a code above, plus 32 for the city list, 64 for the BIN list

_U32 = 0xFFFFFFFF

Head = namedtuple(
    "Head",
    (
        "name",  # DENY, CITY, BIN
        "version",
        "scope",
        "base",  # version that a delta changes; 0: a full list
        "created_s",
        "effective_at_s",
        "expires_at_s",
        "removed",  # records of the content: first those removed, then those added
        "added",
        "sha256",
        "result_count",
        "result_sha256",
    ),
)


class BadList(BadInput):
    """A list that no device takes; `why` is the code above. Build a new version."""

    def __init__(self, why: int, words: str) -> None:
        self.why = why
        super().__init__(words)


def reason_of(name: int, why: int) -> int:
    """What an event about this list carries as its reason."""
    return REASONS_A_LIST * (name - 1) + why


# -- reading --------------------------------------------------------------------------------------------------------


def envelope_of(head: "Bytes") -> bytes:
    """The COSE_Sign1 in a blob's head. Raises BadList."""
    if len(head) >= 2:
        size = head[0] << 8 | head[1]
        if len(head) == HEAD_BYTES and size <= HEAD_BYTES - 2:
            return bytes(head[2 : 2 + size])
    raise BadList(BAD_CONTENT, "a list begins with a head of %d bytes" % HEAD_BYTES)


def decode_head(payload: "Bytes") -> Head:
    """Raises BadList, naming what is wrong; BadCbor for what is no CBOR."""
    fields = cbor.decode(payload)
    if not isinstance(fields, list) or len(fields) != 13 or fields[0] != LAYOUT or fields[0] is True:
        raise BadList(BAD_CONTENT, "not a list head of layout %d" % LAYOUT)
    for number in fields[4:10] + [fields[2], fields[11]]:
        if not is_int(number) or not 0 <= number <= _U32:
            raise BadList(BAD_CONTENT, "versions, times and counts are numbers of 32 bits")
    for digest in (fields[10], fields[12]):
        if not isinstance(digest, bytes) or len(digest) != 32:
            raise BadList(BAD_CONTENT, "a list names two SHA-256")
    if not isinstance(fields[3], str) or not is_scope(fields[3]):
        raise BadList(BAD_CONTENT, "a list names its scope")
    found = Head(_named(fields[1]), *fields[2:])
    if not found.base < found.version:
        raise BadList(BAD_CONTENT, "versions begin with 1, and a delta changes an earlier one")
    if found.effective_at_s >= found.expires_at_s:
        raise BadList(BAD_CONTENT, "the list expires before it becomes effective")
    full = found.removed == 0 and found.added == found.result_count and found.sha256 == found.result_sha256
    if not found.base and not full:
        raise BadList(BAD_CONTENT, "a full list is its own result")
    if found.base and found.name != DENY:
        raise BadList(BAD_CONTENT, "only the deny list has deltas")
    if found.result_count > COUNT_MAX[found.name]:
        raise BadList(TOO_MANY, "a %s list has at most %d records" % (NAMES[found.name], COUNT_MAX[found.name]))
    return found


def content_bytes(head: Head) -> int:
    """Of the blob's content."""
    return RECORD_BYTES[head.name] * (int(head.removed) + int(head.added))


def check_order(name: int, before: bytes, records: "Bytes") -> bytes:
    """Whole records that go on after `before` (b"": they are the first); returns the last. Raises BadList."""
    size = RECORD_BYTES[name]
    if len(records) % size:
        raise BadList(UNSORTED, "a %s list is whole records of %d bytes" % (NAMES[name], size))
    for at in range(0, len(records), size):
        record = bytes(records[at : at + size])
        if record <= before:
            raise BadList(UNSORTED, "the records are not sorted, or one stands there twice")
        if name != DENY:
            _check_dates(before, record)
        before = record
    return before


def _check_dates(before: bytes, record: bytes) -> None:
    """Its end follows its start, and it starts where an earlier record of the same key has ended."""
    if record[4:8] >= record[8:12]:
        raise BadList(BAD_CONTENT, "a dated record ends after it begins")
    if before[:4] == record[:4] and before[8:12] > record[4:8]:
        raise BadList(BAD_CONTENT, "two dated records of one key overlap")


def _named(name: "Any") -> int:
    for number in NAMES:
        if NAMES[number] == name:
            return number
    raise BadList(BAD_CONTENT, "a list is one of %s" % ", ".join(sorted(NAMES.values())))


# -- making ---------------------------------------------------------------------------------------------------------


def dated(key: bytes, from_s: int, to_s: int) -> bytes:
    """A record of the city or BIN list; `key` is 2 or 4 bytes."""
    return key + bytes(4 - len(key)) + from_s.to_bytes(4, "big") + to_s.to_bytes(4, "big")


def full(name: int, records: bytes, **header: "Any") -> "tuple[bytes, bytes]":
    """(payload, content) of a full list. header: version, scope and the three times. Raises BadList."""
    check_order(name, b"", records)
    count = len(records) // RECORD_BYTES[name]
    digest = sha256(records).digest()
    return _payload(name, header, [0, 0, count, digest, count, digest]), records


def delta(base: bytes, base_version: int, result: bytes, **header: "Any") -> "tuple[bytes, bytes]":
    """(payload, content) of a deny list's delta; both lists are sorted records. Raises BadList."""
    for records in (base, result):
        check_order(DENY, b"", records)
    before, after = set(split(base)), set(split(result))
    removed, added = sorted(before - after), sorted(after - before)
    content = b"".join(removed + added)
    rest = [
        base_version,
        len(removed),
        len(added),
        sha256(content).digest(),
        len(after),
        sha256(result).digest(),
    ]
    return _payload(DENY, header, rest), content


def blob(envelope: bytes, content: bytes) -> bytes:
    """What devices download. `envelope` is the payload, signed."""
    head = len(envelope).to_bytes(2, "big") + envelope
    if len(head) > HEAD_BYTES:
        raise BadList(BAD_CONTENT, "the head has %d bytes, %d are the most" % (len(head), HEAD_BYTES))
    return head + bytes(HEAD_BYTES - len(head)) + content


def split(records: bytes) -> "list[bytes]":
    """Serial numbers of a deny list."""
    size = RECORD_BYTES[DENY]
    return [records[at : at + size] for at in range(0, len(records), size)]


def _payload(name: int, header: "dict[str, Any]", rest: "list[Any]") -> bytes:
    base, removed, added, digest, count, result = rest
    fields = [LAYOUT, NAMES[name], header["version"], header["scope"], base]
    fields += [header[key] for key in ("created_s", "effective_at_s", "expires_at_s")]
    payload = cbor.encode(fields + [removed, added, digest, count, result])
    decode_head(payload)
    return payload
