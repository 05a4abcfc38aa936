"""COSE_Sign1: the bytes of one envelope, hashing in pieces, and each way an envelope can be wrong."""

import unittest
from hashlib import sha256

from support.signer import Signer
from tunion import cose_sign1
from tunion.crypto.p256 import BadSignature, verify
from tunion.record import BadInput

PORTABLE = True

AAD = b"params"
SIGNER = Signer()
ENVELOPE = cose_sign1.seal(b"\x01\x02", SIGNER.key, AAD, SIGNER.sign)


class Envelope(unittest.TestCase):
    def test_bytes_of_one_envelope(self):
        # Sig_structure of RFC 9052 section 4.4, written out.
        covered = b"\x84\x6aSignature1\x43\xa1\x01\x26\x46params\x42\x01\x02"
        head = b"\x84\x43\xa1\x01\x26\xa1\x04\x48" + sha256(SIGNER.key).digest()[:8] + b"\x42\x01\x02\x58\x40"
        self.assertEqual(ENVELOPE, head + SIGNER.sign(sha256(covered).digest()))

    def test_what_was_sealed_opens_and_verifies(self):
        name, payload, signature = cose_sign1.unseal(ENVELOPE)
        self.assertEqual(payload, b"\x01\x02")
        verify(cose_sign1.named(name, (Signer(5).key, SIGNER.key)), cose_sign1.digest(payload, AAD), signature)
        with self.assertRaises(BadSignature):
            verify(SIGNER.key, cose_sign1.digest(payload, b"manifest"), signature)
        with self.assertRaises(BadSignature):
            cose_sign1.named(name, (Signer(5).key,))

    def test_a_payload_of_any_length_is_found_and_hashed_in_pieces(self):
        for size in (0, 1, 23, 24, 255, 256, 65535, 65536, 70000):
            with self.subTest(size=size):
                payload = b"p" * size
                envelope = cose_sign1.seal(payload, SIGNER.key, AAD, lambda digest: digest + digest)
                head = envelope[: cose_sign1.HEAD_BYTES_MAX]
                name, start, length = cose_sign1.frame(head, len(envelope))
                self.assertEqual((name, length), (cose_sign1.kid(SIGNER.key), size))
                context = cose_sign1.to_be_signed(length, AAD)
                for at in range(start, start + length, 1000):
                    context.update(envelope[at : min(at + 1000, start + length)])
                digest = context.digest()
                self.assertEqual(digest, cose_sign1.digest(payload, AAD))
                self.assertEqual(
                    cose_sign1.signature(envelope[cose_sign1.tail_at(len(envelope)) :]), digest + digest
                )


class Refusals(unittest.TestCase):
    def test_other_shapes(self):
        for bad in (
            b"",
            ENVELOPE[:-1],
            ENVELOPE + b"\x00",
            b"\xd2" + ENVELOPE,  # tagged
            ENVELOPE.replace(b"\xa1\x01\x26", b"\xa1\x01\x05"),
            ENVELOPE.replace(b"\x58\x40", b"\x58\x41"),
            ENVELOPE.replace(b"\x42\x01\x02", b"\x58\x02\x01\x02"),  # a length in a longer form than needed
            ENVELOPE.replace(b"\x42\x01\x02", b"\x62\x01\x02"),
            ENVELOPE.replace(b"\x42\x01\x02", b"\x43\x01\x02"),
        ):
            with self.subTest(bad=bad[:24]), self.assertRaises(BadInput):
                cose_sign1.unseal(bad)

    def test_every_cut_is_refused(self):
        for size in range(len(ENVELOPE)):
            with self.assertRaises(BadInput):
                cose_sign1.unseal(ENVELOPE[:size])


if __name__ == "__main__":
    unittest.main()
