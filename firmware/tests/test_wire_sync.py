"""Sync messages: what is sent opens again, what is malformed is refused by name before anything is stored."""

import unittest

from tunion import cbor, cose
from tunion.record import BadInput
from tunion.wire import sync

PORTABLE = True

UPLOAD = sync.Upload(1, 0x1A2B, 0xC0FFEE, 7, 1748733000, 3, 90000, {"fw": 1, "fare": 3}, [b"\x01tap"], [b"\x02event"],
                     {sync.HEALTH: {"up_s": 9}})
REPLY = sync.Reply(1, 0x1A2B, 0xC0FFEE, 7, 1748733001, [[1, 3], [7, 7]], [[5, "bad_tac"]], 0, 64, [], [],
                   {"fare": 4}, 250)
REFUSAL = sync.Refusal(1, 0x1A2B, 0xC0FFEE, 7, sync.STALE, 9)


def with_field(message, name, value):
    """A namedtuple with one field changed, as CBOR (MicroPython's have no _replace)."""
    fields = [value if field == name else getattr(message, field) for field in NAMES[type(message)]]
    return cbor.encode(fields)


_HEAD = ("proto", "device_id", "epoch", "msg_seq")
NAMES = {
    sync.Upload: _HEAD + ("sent_at_s", "clk_q", "heap_free", "versions", "records", "events", "more"),
    sync.Reply: _HEAD + ("server_time_s", "ack", "reject", "retry_after_s", "max_batch", "want", "commands",
                         "versions_required", "server_ms"),
    sync.Refusal: _HEAD + ("code", "msg_seq_stored"),
}
OPEN = {sync.Upload: sync.open_upload, sync.Reply: sync.open_answer, sync.Refusal: sync.open_answer}
ANOTHER_TYPE = {int: "1", str: 1, list: {}, dict: []}


class Messages(unittest.TestCase):
    def test_each_message_comes_back_as_it_went(self):
        for message in (UPLOAD, REPLY, REFUSAL):
            opened = OPEN[type(message)](sync.encode(message))
            self.assertEqual(opened, message)
            self.assertIs(type(opened), type(message))

    def test_each_field_of_another_type_is_refused(self):
        for message in (UPLOAD, REPLY, REFUSAL):
            for name in NAMES[type(message)]:
                value = getattr(message, name)
                for other in (ANOTHER_TYPE[type(value)], None, True, False):
                    with self.subTest(field=name, other=other), self.assertRaises(BadInput):
                        OPEN[type(message)](with_field(message, name, other))

    def test_each_number_has_32_bits(self):
        for message in (UPLOAD, REPLY, REFUSAL):
            for name in NAMES[type(message)]:
                if name == "proto" or not isinstance(getattr(message, name), int):
                    continue
                opened = OPEN[type(message)](with_field(message, name, 0xFFFFFFFF))
                self.assertEqual(getattr(opened, name), 0xFFFFFFFF)
                for value in (-1, 0x100000000):
                    with self.subTest(field=name, value=value), self.assertRaises(BadInput):
                        OPEN[type(message)](with_field(message, name, value))

    def test_another_protocol_is_refused_by_number(self):
        for message in (UPLOAD, REPLY, REFUSAL):
            for proto in (0, 2):
                with self.assertRaises(BadInput) as refused:
                    OPEN[type(message)](with_field(message, "proto", proto))
                self.assertIn("protocol 1", str(refused.exception))

    def test_what_is_no_message(self):
        for payload in (b"", b"\x00", bytes(1000), cbor.encode({}), cbor.encode([]), cbor.encode([1] * 9),
                        cbor.encode([1] * 13), cbor.encode([1] * 14), cbor.encode(list(UPLOAD)) + b"\x00"):
            for opener in (sync.open_upload, sync.open_answer):
                with self.assertRaises(BadInput):
                    opener(payload)
        with self.assertRaises(BadInput):
            sync.open_upload(sync.encode(REPLY))
        with self.assertRaises(BadInput):
            sync.open_answer(sync.encode(UPLOAD))

    def test_an_upload_has_a_limit_and_holds_byte_strings(self):
        fields = list(UPLOAD)
        fields[-3:-1] = [b"\x01"] * (sync.RECORDS_MAX - 1), [b"\x02"]
        self.assertEqual(len(sync.open_upload(cbor.encode(fields)).records), sync.RECORDS_MAX - 1)
        full = [b"\x01"] * sync.RECORDS_MAX
        for name, entries in (("records", full), ("events", full), ("records", ["text"]), ("events", [1]),
                              ("records", [None]), ("events", [[b"x"]])):
            with self.subTest(field=name), self.assertRaises(BadInput):
                sync.open_upload(with_field(UPLOAD, name, entries))

    def test_acks_are_ranges_and_rejects_are_named(self):
        for ack in ([1], [[1]], [[1, 2, 3]], [[2, 1]], [["1", 2]], [[1, "2"]], [[1, None]], [[-1, 2]], [[True, 2]],
                    [[1, 0x100000000]], [b"ab"]):
            with self.subTest(ack=ack), self.assertRaises(BadInput):
                sync.open_answer(with_field(REPLY, "ack", ack))
        for reject in ([5], [[5]], [["5", "x"]], [[5, 1]], [[5, None]], [[-5, "x"]], [[5, b"x"]]):
            with self.subTest(reject=reject), self.assertRaises(BadInput):
                sync.open_answer(with_field(REPLY, "reject", reject))


class Envelope(unittest.TestCase):
    def test_an_upload_for_one_host_is_none_for_another_and_no_answer(self):
        covered = [sync.upload_aad("a"), sync.upload_aad("b"), sync.reply_aad("a"), sync.reply_aad("b")]
        self.assertEqual(len(set(covered)), 4)
        self.assertEqual(covered[0], b"POST /d/v1/up a")

    def test_the_key_is_named_by_the_device(self):
        self.assertEqual(sync.kid(0x1A2B), b"\x00\x00\x1a\x2b")

    def test_a_full_upload_fits_the_body_limit(self):
        biggest = bytes([1]) + b"\xff" * 103
        versions = {"fw": 0xFFFFFFFF, "fare": 0xFFFFFFFF}
        more = {sync.LOG: [1, 2, 3, 4, bytes(512)], sync.HEALTH: {"figure_%d" % i: 0xFFFFFFFF for i in range(40)}}
        upload = sync.Upload(*([0xFFFFFFFF] * 7 + [versions, [biggest] * 64, [], more]))
        envelope = cose.seal(sync.encode(upload), sync.kid(1), b"", lambda message: bytes(32))
        self.assertLess(len(envelope), sync.UPLOAD_BYTES_MAX)

    def test_an_envelope_made_in_pieces_is_the_one_made_whole(self):
        full = [bytes([seq]) * (1 + 3 * seq % 104) for seq in range(1, 65)]
        health = {sync.HEALTH: {"a": 1}}
        for records, events, more in (([], [], {}), (full[:1], [], {}), (full[:40], full[40:], health)):
            upload = sync.Upload(1, 2, 3, 4, 5, 3, 7, {"deny": 9}, records, events, more)
            with self.subTest(records=len(records)):
                whole = cose.seal(sync.encode(upload), sync.kid(2), b"aad", lambda m: cose.hmac_sha256(b"key", m))
                made = sync.seal_upload(upload, sync.kid(2), b"aad", lambda parts: cose.hmac_of(b"key", parts))
                joined = b""
                for piece in made:
                    self.assertLessEqual(len(piece), cose.PIECE_BYTES)
                    joined += bytes(piece)
                self.assertEqual(joined, whole)

    def test_pieces_of_every_length_around_their_borders(self):
        for size in list(range(40)) + list(range(900, 1100)) + list(range(1990, 2060)):
            payload = bytes([size & 0xFF]) * size
            envelope = cose.Envelope(b"kid", size)
            envelope.put(payload[: size // 3])
            envelope.put(payload[size // 3 :])
            joined = b""
            for piece in envelope.close(b"aad", lambda parts: cose.hmac_of(b"key", parts)):
                joined += bytes(piece)
            self.assertEqual(joined, cose.seal(payload, b"kid", b"aad", lambda m: cose.hmac_sha256(b"key", m)))

    def test_a_device_without_a_heartbeat_and_an_office_without_milliseconds_are_understood(self):
        self.assertEqual(sync.open_upload(cbor.encode(list(UPLOAD)[:-1])).more, {})
        self.assertEqual(sync.open_answer(cbor.encode(list(REPLY)[:-1])).server_ms, 500)


class Ranges(unittest.TestCase):
    def test_runs_of_sequence_numbers(self):
        for seqs, ranges in (
            ([], []),
            ([5], [[5, 5]]),
            ([1, 2, 3, 7], [[1, 3], [7, 7]]),
            ([7, 3, 2, 1], [[1, 3], [7, 7]]),
            ([2, 2, 1, 2], [[1, 2]]),
            ([1, 3, 5], [[1, 1], [3, 3], [5, 5]]),
            ([0xFFFFFFFE, 0xFFFFFFFF], [[0xFFFFFFFE, 0xFFFFFFFF]]),
        ):
            with self.subTest(seqs=seqs):
                self.assertEqual(sync.ranges(seqs), ranges)


if __name__ == "__main__":
    unittest.main()
