"""List blobs: what the office makes a device reads, and what no device may search is refused by name."""

import unittest

from support import card_lists as made
from support import sets
from tunion import cbor, cose_sign1
from tunion.record import BadInput
from tunion.wire import lists as wire

HEAP = "1m"

OLD = made.records((1, 2, 5, 9))
NEW = made.records((0, 2, 5, 7, 8))


def head_of(payload, **changes):
    """The head after some of its 13 parts were replaced, by place."""
    fields = cbor.decode(payload)
    for place in changes:
        fields[int(place[1:])] = changes[place]
    return wire.decode_head(cbor.encode(fields))


class Blobs(unittest.TestCase):
    def test_a_full_list_is_its_own_result(self):
        payload, content = wire.full(wire.DENY, OLD, **made.header(4))
        head = wire.decode_head(payload)
        self.assertEqual((head.name, head.version, head.base, head.added, head.result_count), (wire.DENY, 4, 0, 4, 4))
        self.assertEqual((head.sha256, wire.content_bytes(head), content), (head.result_sha256, len(OLD), OLD))

    def test_a_delta_is_what_was_removed_then_what_was_added(self):
        payload, content = wire.delta(OLD, 4, NEW, **made.header(5))
        head = wire.decode_head(payload)
        self.assertEqual((head.base, head.removed, head.added, head.result_count), (4, 2, 3, 5))
        self.assertEqual(content, made.records((1, 9)) + made.records((0, 7, 8)))
        self.assertEqual(wire.content_bytes(head), len(content))

    def test_the_longest_head_has_room(self):
        top = 0xFFFFFFFF
        longest = made.header(top, scope="x" * 32, created_s=top, effective_at_s=top - 1, expires_at_s=top)
        payload, content = wire.delta(OLD, top - 1, NEW, **longest)
        fields = cbor.decode(payload)
        fields[8:10] = [top, top]
        blob = made.sealed(cbor.encode(fields), content)
        self.assertEqual(wire.envelope_of(blob[: wire.HEAD_BYTES])[:2], b"\x84\x43")
        with self.assertRaises(wire.BadList):
            wire.blob(bytes(wire.HEAD_BYTES - 1), b"")

    def test_an_envelope_comes_out_as_it_went_in_and_other_heads_are_refused(self):
        blob = made.full(4, OLD)
        name, payload, _ = cose_sign1.unseal(wire.envelope_of(blob[: wire.HEAD_BYTES]))
        self.assertEqual((name, wire.decode_head(payload).version), (cose_sign1.kid(sets.SIGNER.key), 4))
        for bad in (b"", b"\x00", blob[:511], b"\xff" * 512, b"\x01\xff" + bytes(510)):
            with self.subTest(bad=len(bad)), self.assertRaises(BadInput):
                wire.envelope_of(bad)

    def test_heads_that_say_what_cannot_be_are_refused_by_name(self):
        full, _ = wire.full(wire.DENY, OLD, **made.header(4))
        delta, _ = wire.delta(OLD, 4, NEW, **made.header(5))
        for payload, changes, why in (
            (full, {"_0": 2}, wire.BAD_CONTENT),
            (full, {"_0": True}, wire.BAD_CONTENT),
            (full, {"_1": "fares"}, wire.BAD_CONTENT),
            (full, {"_2": 0}, wire.BAD_CONTENT),
            (full, {"_2": -1}, wire.BAD_CONTENT),
            (full, {"_3": "a b"}, wire.BAD_CONTENT),
            (full, {"_7": made.EFFECTIVE_S}, wire.BAD_CONTENT),
            (full, {"_8": 1}, wire.BAD_CONTENT),
            (full, {"_9": True}, wire.BAD_CONTENT),
            (full, {"_10": bytes(32)}, wire.BAD_CONTENT),
            (full, {"_12": bytes(31)}, wire.BAD_CONTENT),
            (full, {"_9": 100001, "_11": 100001}, wire.TOO_MANY),
            (delta, {"_4": 5}, wire.BAD_CONTENT),
            (delta, {"_1": "city"}, wire.BAD_CONTENT),
            (delta, {"_11": 100001}, wire.TOO_MANY),
        ):
            with self.subTest(changes=str(changes)), self.assertRaises(wire.BadList) as caught:
                head_of(payload, **changes)
            self.assertEqual(caught.exception.why, why)
        for bad in (b"", b"\x80", b"\xff", cbor.encode([1] * 12), cbor.encode({})):
            with self.subTest(bad=bad), self.assertRaises(BadInput):
                wire.decode_head(bad)

    def test_what_is_not_sorted_or_overlaps_is_not_made(self):
        day = made.EFFECTIVE_S
        city = wire.dated(b"\x61\x10", day, day + 10)
        for name, content, why in (
            (wire.DENY, made.serial(2) + made.serial(1), wire.UNSORTED),
            (wire.DENY, made.serial(2) * 2, wire.UNSORTED),
            (wire.DENY, made.serial(2)[:9], wire.UNSORTED),
            (wire.CITY, wire.dated(b"\x61\x40", day, wire.NEVER_S) + city, wire.UNSORTED),
            (wire.CITY, wire.dated(b"\x61\x10", day, day), wire.BAD_CONTENT),
            (wire.CITY, city + wire.dated(b"\x61\x10", day + 9, day + 20), wire.BAD_CONTENT),
        ):
            with self.subTest(content=content), self.assertRaises(wire.BadList) as caught:
                wire.full(name, content, **made.header(1))
            self.assertEqual(caught.exception.why, why)
        self.assertEqual(wire.check_order(wire.CITY, b"", city + wire.dated(b"\x61\x10", day + 10, day + 20))[:2],
                         b"\x61\x10")

    def test_every_reason_has_words_and_a_number_that_leaves_room_for_the_list(self):
        for why in wire.WORDS:
            self.assertTrue(0 < why < wire.REASONS_A_LIST and len(wire.WORDS[why]) == 3)
        self.assertEqual(wire.reason_of(wire.DENY, 4), 4)
        self.assertEqual(wire.reason_of(wire.BIN, 4), 68)


if __name__ == "__main__":
    unittest.main()
