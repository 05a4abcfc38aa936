"""The checks of a list that take long, some at a time: its head's signature, its content's hash and order."""

from hashlib import sha256

from tunion import cose_sign1
from tunion.compat import const
from tunion.crypto.p256 import BadSignature, Verification
from tunion.record import BadInput
from tunion.wire import lists as wire
from tunion.wire.refused import BAD_CONTENT, BAD_HASH, BAD_SIGNATURE, Refused
from validator.list_bank import DELTA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from validator.list_bank import ListBank

ROUNDS_A_STEP = const(8)  # of a signature's 257
HASH_STEP_RECORDS = const(50)  # hashed and compared: some 3 ms on a board


def head_of(blob: bytes, keys: "Sequence[bytes]") -> "Iterator[Any]":
    """None while there is more to do, then the head (wire.Head) that one of the keys has signed. Raises Refused."""
    try:
        name, payload, signature = cose_sign1.unseal(wire.envelope_of(blob))
        digest = cose_sign1.digest(payload, wire.AAD)
        verification = Verification(cose_sign1.named(name, keys), digest, signature)
        while not verification.step(ROUNDS_A_STEP):
            yield None
        if not verification.good:
            raise Refused(BAD_SIGNATURE)
        head = wire.decode_head(payload)
    except BadSignature:
        raise Refused(BAD_SIGNATURE)
    except wire.BadList as problem:
        raise Refused(problem.why)
    except BadInput:
        raise Refused(BAD_CONTENT)
    yield head


def read_through(bank: "ListBank", name: int) -> "Iterator[None]":
    """Hash and order of a bank's records. Raises Refused: for the hash first."""
    header = bank.header
    size = wire.RECORD_BYTES[name]
    fresh_at = header.removed if header.holds == DELTA else 0  # there the order begins anew
    context = sha256()
    buffer = memoryview(bytearray(HASH_STEP_RECORDS * size))
    before = b""
    problem = 0
    first = 0
    while first < header.count:
        until = fresh_at if first < fresh_at else header.count
        part = buffer[: min(HASH_STEP_RECORDS, until - first) * size]
        bank.read_into(first * size, part)
        context.update(part)
        if not problem:
            try:
                before = wire.check_order(name, b"" if first == fresh_at else before, part)
            except wire.BadList as bad:
                problem = bad.why
        first += len(part) // size
        yield
    if context.digest() != header.sha256:
        raise Refused(BAD_HASH)
    if problem:
        raise Refused(problem)
