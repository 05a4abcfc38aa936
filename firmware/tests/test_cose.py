"""COSE_Mac0 and HMAC-SHA-256: published answers, and each way an envelope can be wrong."""

import unittest

from tunion import cbor, cose

PORTABLE = True
ARM = True

# RFC 4231, test cases 1-4, 6, 7 (5 truncates, which nothing here does): key, data, MAC.
RFC_4231 = (
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (bytes(range(1, 26)), b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
    (b"\xaa" * 131, b"This is a test using a larger than block-size key and a larger than block-size data. "
     b"The key needs to be hashed before being used by the HMAC algorithm.",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
)

KEY = b"an invented key, 32 bytes long.."
KID = b"\x00\x00\x1a\x2b"
AAD = b"POST /d/v1/up example"


def mac(message):
    return cose.hmac_sha256(KEY, message)


class Hmac(unittest.TestCase):
    def test_answers_of_rfc_4231(self):
        for key, data, answer in RFC_4231:
            with self.subTest(answer=answer):
                self.assertEqual(cose.hmac_sha256(key, data).hex(), answer)
                self.assertEqual(cose.hmac_sha256(memoryview(key), bytearray(data)).hex(), answer)

    def test_same_looks_at_every_byte_and_at_the_length(self):
        tag = bytes(range(32))
        self.assertTrue(cose.same(tag, bytearray(tag)))
        for at in range(32):
            other = bytearray(tag)
            other[at] ^= 1
            self.assertFalse(cose.same(tag, other))
        self.assertFalse(cose.same(tag, tag[:-1]))
        self.assertFalse(cose.same(tag[:-1], tag))
        self.assertFalse(cose.same(b"", tag))


class Envelope(unittest.TestCase):
    def test_bytes_of_one_envelope(self):
        # MAC_structure of RFC 9052 section 6.3, written out: ["MAC0", h'a10105', aad, payload].
        covered = b"\x84\x64MAC0\x43\xa1\x01\x05\x55" + AAD + b"\x42\x01\x02"
        envelope = b"\x84\x43\xa1\x01\x05\xa1\x04\x44" + KID + b"\x42\x01\x02\x58\x20" + mac(covered)
        self.assertEqual(cose.seal(b"\x01\x02", KID, AAD, mac), envelope)

    def test_what_was_sealed_opens_and_passes(self):
        kid, payload, tag = cose.unseal(cose.seal(b"payload", KID, AAD, mac))
        self.assertEqual((kid, payload), (KID, b"payload"))
        cose.check(payload, tag, AAD, mac)

    def test_the_frame_costs_fifty_bytes(self):
        self.assertEqual(len(cose.seal(bytes(100), KID, AAD, mac)) - 100, 48)

    def test_one_changed_bit_anywhere_is_refused(self):
        envelope = cose.seal(b"payload", KID, AAD, mac)
        for at in range(len(envelope)):
            for bit in range(8):
                changed = bytearray(envelope)
                changed[at] ^= 1 << bit
                with self.assertRaises((cbor.BadCbor, cose.BadMac)):
                    kid, payload, tag = cose.unseal(changed)
                    if kid != KID:  # the key's name chooses the key and is not covered itself
                        raise cose.BadMac("another key")
                    cose.check(payload, tag, AAD, mac)

    def test_another_path_or_key_is_refused(self):
        _, payload, tag = cose.unseal(cose.seal(b"payload", KID, AAD, mac))
        with self.assertRaises(cose.BadMac):
            cose.check(payload, tag, b"POST /d/v1/up elsewhere", mac)
        with self.assertRaises(cose.BadMac):
            cose.check(payload, tag, AAD, lambda message: cose.hmac_sha256(b"another key", message))

    def test_other_shapes_are_refused(self):
        protected, tag = b"\xa1\x01\x05", bytes(32)
        for parts in (
            {},
            [],
            [protected, {4: KID}, b""],
            [protected, {4: KID}, b"", tag, 0],
            [b"", {4: KID}, b"", tag],
            [b"\xa1\x01\x04", {4: KID}, b"", tag],  # HMAC 256/64
            [protected, {}, b"", tag],
            [protected, {4: 1}, b"", tag],
            [protected, {4: KID, 5: b""}, b"", tag],
            [protected, [4], b"", tag],
            [protected, {4: KID}, None, tag],  # detached payload
            [protected, {4: KID}, "", tag],
            [protected, {4: KID}, b"", tag[:8]],
            [protected, {4: KID}, b"", tag + b"\x00"],
            [protected, {4: KID}, b"", None],
        ):
            with self.subTest(parts=parts), self.assertRaises(cbor.BadCbor):
                cose.unseal(cbor.encode(parts))

    def test_neither_payload_nor_tag_enter_the_message_of_a_refusal(self):
        with self.assertRaises(cose.BadMac) as refused:
            cose.check(b"payload", bytes(32), AAD, mac)
        self.assertNotIn("payload", str(refused.exception))


if __name__ == "__main__":
    unittest.main()
