"""What a device may not send: each has its named refusal, and the database is the same before and after."""

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from backoffice.store import registry
from backoffice.tests.forge import City, Validator, amend_entry, event_entry, post, tap_entry
from tunion import cbor, cose
from tunion.wire import enrol, sync, tap

Body = Callable[[Validator], bytes]


def _cut(bus: Validator) -> bytes:
    return bus.upload([bus.tap(1)])[:-20]


def _changed_payload(bus: Validator) -> bytes:
    """One bit of the payload flipped after the MAC was made: a fare, for one."""
    envelope = bytearray(bus.upload([bus.tap(1)]))
    envelope[len(envelope) // 2] ^= 1
    return bytes(envelope)


UNSIGNED: dict[str, tuple[Body, int, str, str]] = {
    "another key": (lambda bus: bus.upload([bus.tap(1)], key=bytes(32)), 401, "not-authenticated", "bad-mac"),
    "a changed payload": (_changed_payload, 401, "not-authenticated", "bad-mac"),
    "another host": (lambda bus: bus.upload([], audience="elsewhere"), 401, "not-authenticated", "bad-mac"),
    "an unknown device": (lambda bus: bus.upload([], kid=sync.kid(77)), 401, "not-authenticated", "unknown-device"),
    "a device of another length": (lambda bus: bus.upload([], kid=b"\x01"), 401, "not-authenticated", "unknown-device"),
    "another device's key": (lambda bus: bus.upload([], kid=sync.kid(2)), 401, "not-authenticated", "bad-mac"),
    "nothing": (lambda bus: b"", 400, "bad-cbor", "bad-cbor"),
    "no CBOR": (lambda bus: b"GET / HTTP/1.1", 400, "bad-cbor", "bad-cbor"),
    "a body cut short": (_cut, 400, "bad-cbor", "bad-cbor"),
    "a body and a byte": (lambda bus: bus.upload([]) + b"\x00", 400, "bad-cbor", "bad-cbor"),
    "no envelope": (lambda bus: cbor.encode([1, 2, 3]), 400, "bad-cbor", "bad-cbor"),
    "a longer body": (lambda bus: bytes(sync.UPLOAD_BYTES_MAX + 1), 413, "too-large", "too-large"),
    "10 MB of zeros": (lambda bus: bytes(10_000_000), 413, "too-large", "too-large"),
    "the longest body, of zeros": (lambda bus: bytes(sync.UPLOAD_BYTES_MAX), 400, "bad-cbor", "bad-cbor"),
}


@pytest.mark.parametrize("name", UNSIGNED)
def test_a_message_that_proves_nothing_is_refused_by_name_and_changes_nothing(
    name: str, city: City, bus: Validator, caplog: pytest.LogCaptureFixture
) -> None:
    make, status, code, logged = UNSIGNED[name]
    bus.send([bus.tap(1), bus.tap(2)])
    before = city.dump()

    with caplog.at_level(logging.WARNING, "yikatong.intake"):
        answer = post(city, make(bus))

    assert answer.status_code == status
    said, zh, en = cbor.decode(answer.content)
    assert said == code and zh and en
    assert logged in caplog.text
    assert city.dump() == before


def test_an_unknown_device_and_a_wrong_mac_look_alike_from_outside(city: City, bus: Validator) -> None:
    unknown = city.intake.receive(bus.upload([], kid=sync.kid(77)))
    wrong = city.intake.receive(bus.upload([], key=bytes(32)))

    assert unknown == wrong


def test_a_body_of_no_declared_length_is_read_no_further_than_an_upload_may_be_long(city: City) -> None:
    asked = 0

    async def ten_megabytes() -> AsyncIterator[bytes]:
        nonlocal asked
        for _ in range(10_000):
            asked += 1
            yield bytes(1024)

    before = city.dump()

    answer = post(city, ten_megabytes())

    assert answer.status_code == 413
    assert asked <= sync.UPLOAD_BYTES_MAX // 1024 + 2
    assert city.dump() == before


SIGNED: dict[str, tuple[dict[str, Any], int, str]] = {
    "an older message": ({"msg_seq": 1}, 409, sync.STALE),
    "the last number with another content": ({"msg_seq": 2}, 409, sync.STALE),
    "message 0": ({"msg_seq": 0}, 409, sync.STALE),
    "another journal": ({"epoch": 5}, 409, sync.EPOCH),
    "another device inside": ({"device_id": 2}, 400, sync.MALFORMED),
    "a number of 33 bits": ({"msg_seq": 1 << 32}, 400, sync.MALFORMED),
    "a journal of 33 bits": ({"epoch": 1 << 32}, 400, sync.MALFORMED),
    "another protocol": ({"proto": 2}, 400, sync.MALFORMED),
    "an entry that is no byte string": ({"records": [7]}, 400, sync.MALFORMED),
    "more entries than a batch holds": ({"records": [b"\x01"] * 65}, 400, sync.MALFORMED),
}


@pytest.mark.parametrize("name", SIGNED)
def test_a_known_device_is_told_why_under_a_mac_and_nothing_changes(name: str, city: City, bus: Validator) -> None:
    changed, status, code = SIGNED[name]
    bus.send([bus.tap(1)])
    bus.send([bus.tap(2)])
    before = city.dump()

    answer = city.intake.receive(bus.upload(**{"entries": [bus.tap(9)], **changed}))

    assert answer.status == status
    refusal = bus.opened(answer)
    assert isinstance(refusal, sync.Refusal)
    assert (refusal.code, refusal.msg_seq_stored) == (code, 2)
    assert city.dump() == before


def test_a_signed_message_that_is_no_upload_is_malformed(city: City, bus: Validator) -> None:
    before = city.dump()
    envelope = cose.seal(
        b"\xff", sync.kid(1), sync.upload_aad("backoffice.example"), lambda m: cose.hmac_sha256(bus.key, m)
    )

    refusal = bus.opened(city.intake.receive(envelope))

    assert refusal == sync.Refusal(sync.PROTO, 1, 0, 0, sync.MALFORMED, 0)
    assert city.dump() == before


def test_an_old_capture_of_a_journal_that_was_ended_is_refused_for_ever(city: City, bus: Validator) -> None:
    capture = bus.upload([bus.tap(1)])
    city.intake.receive(capture)
    with city.store.transaction() as db:
        registry.re_enrol(db, 1, city.now_s)

    refusal = bus.opened(city.intake.receive(capture))
    assert isinstance(refusal, sync.Refusal) and refusal.code == sync.EPOCH

    reborn = Validator(city, epoch=77)
    assert isinstance(reborn.send([reborn.tap(1, number=2)]), sync.Refusal), "not before it has proven itself"
    assert reborn.enrol() == enrol.ENROLLED
    assert isinstance(reborn.send([reborn.tap(1, number=2)]), sync.Reply)


BAD_ENTRIES: dict[str, tuple[Callable[[], bytes], int]] = {
    "an unknown kind": (lambda: b"\x09\x01\x00\x00\x00\x07\x01", 0),
    "another version": (lambda: _poked(1, 2), 7),
    "digits that are none": (lambda: _poked(15, 0xFA), 7),
    "a sum that does not add up": (lambda: tap_entry(7, amount_fen=199), 7),
    "more than the card could pay": (lambda: tap_entry(7, balance_fen=100), 7),
    "an outcome that is none": (lambda: tap_entry(7)[:96] + b"\x09\x01\x00\x00\x01\x02\x03\x04", 7),
    "no outcome": (lambda: tap_entry(7)[:84].rstrip(b"\x00"), 7),
    "one byte too many": (lambda: tap_entry(7) + b"\x01", 7),
    "an event among the records": (lambda: event_entry(7), 7),
    "nothing": (lambda: b"", 0),
    "cut in its number": (lambda: b"\x01\x01\x00\x00", 0),
}


def _poked(at: int, byte: int) -> bytes:
    entry = bytearray(tap_entry(7))
    entry[at] = byte
    return bytes(entry)


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_an_entry_out_of_range_is_named_and_its_neighbours_are_stored(name: str, city: City, bus: Validator) -> None:
    make, seq = BAD_ENTRIES[name]

    reply = bus.send([bus.tap(6, number=1), make(), bus.tap(8, number=2)])

    assert isinstance(reply, sync.Reply)
    assert reply.reject == [[seq, "TX-04"]]
    assert reply.ack == [[6, 6], [8, 8]]
    assert city.rows("SELECT seq FROM entry ORDER BY seq") == [(6,), (8,)]


def test_a_tap_among_the_events_is_refused(city: City, bus: Validator) -> None:
    reply = bus.send([], [bus.tap(3), amend_entry(4, 3, tap.VOID), event_entry(5)])

    assert isinstance(reply, sync.Reply)
    assert reply.reject == [[3, "TX-04"], [4, "TX-04"]] and reply.ack == [[5, 5]]
