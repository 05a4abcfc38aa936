"""The soft SAM answers as a real one does, for its few issuers, until it expires or is withdrawn."""

import unittest
from collections import namedtuple

from support.aes import cbc_decrypt, cbc_encrypt
from support.manual_clock import ManualClock
from support.vector_file import load
from tunion import bcd
from tunion.card import psam, purse
from tunion.card.product import NATIONAL
from tunion.card.refusals import NoKey, Unproven
from tunion.cose import BadMac
from tunion.record import BadInput
from tunion.wire import soft_sam
from validator.drivers.soft_sam import SoftSam
from validator.ports import Forgotten, Identity, SamLost

FILE = load("card_vectors.json")
STORAGE_KEY = bytes(range(32))  # invented, test only
OTHER_KEY = bytes(range(1, 33))
IV = bytes(range(100, 116))
ISSUER = bytes.fromhex(FILE["inputs"]["issuer"])
CARD = Identity(bytes.fromhex(FILE["inputs"]["app_serial"]), ISSUER, b"\x49\x99", 1, NATIONAL)
ISSUER_KEY = bytes.fromhex(FILE["diversify"]["DPK_issuer"])
TERMINAL = bytes.fromhex(FILE["inputs"]["terminal"])
AT = bytes.fromhex("20250601071000")
BLOB_1 = (
    "5353414d0101000000036110000000422025010120251231010100016465666768696a6b6c6d6e6f7071727304026110"
    "ffffffffb9ae7bbc61e46b5870913e768f34908b2d4041a9a5cdea3ff05393a675775d440e7e9491718710335cc8ce29"
    "be441030"
)
Offer = namedtuple("Offer", ("random", "counter", "key_version", "algorithm"))


def blob(**changes):
    fields = {
        "keys": {ISSUER: ISSUER_KEY},
        "terminal": TERMINAL,
        "generation": 3,
        "start": b"\x20\x25\x01\x01",
        "expiry": b"\x20\x25\x12\x31",
    }
    fields.update(changes)
    return soft_sam.make_blob(STORAGE_KEY, cbc_encrypt, IV, **fields)


def opened(made=None, next_seq=100, generation_min=0, clock=None):
    sam = SoftSam(made or blob(), STORAGE_KEY, cbc_decrypt, clock or ManualClock(), next_seq, generation_min)
    sam.open()
    return sam


def offer_of(section):
    return purse.INITIALIZE_FOR_PURCHASE.decode(bytes.fromhex(FILE[section]["init_rsp"]))


class Purchases(unittest.TestCase):
    def test_the_vectors_come_out_byte_for_byte_with_the_counter_running_on(self):
        sam = opened()
        self.assertEqual(sam.terminal, TERMINAL)
        self.assertEqual(sam.key_index, 1)
        for section, kind in (("plain_purchase", 6), ("capp_metro_entry", 9), ("capp_metro_exit", 9)):
            with self.subTest(section=section):
                vector = FILE[section]
                data = psam.INIT_SAM_FOR_PURCHASE.data.unpack(bytes.fromhex(vector["psam_8070_cmd"]), 5)
                signed = sam.sign(offer_of(section), CARD, data.amount_fen, kind, data.at)
                answer = signed.terminal_seq.to_bytes(4, "big") + signed.mac1 + b"\x90\x00"
                self.assertEqual(answer.hex().upper(), vector["psam_8070_rsp"])
                sam.check(bytes.fromhex(vector["mac2"]))

    def test_the_counter_moves_on_a_right_mac2_only(self):
        sam = opened()
        offer = offer_of("plain_purchase")
        mac2 = bytes.fromhex(FILE["plain_purchase"]["mac2"])
        self.assertEqual(sam.sign(offer, CARD, 200, 6, AT).terminal_seq, 100)
        self.assertEqual(sam.sign(offer, CARD, 200, 6, AT).terminal_seq, 100)  # the card was torn away
        self.assertRaises(Unproven, sam.check, b"\x00\x00\x00\x00")
        self.assertEqual(sam.sign(offer, CARD, 200, 6, AT).terminal_seq, 100)
        sam.check(mac2)
        self.assertEqual(sam.sign(offer, CARD, 200, 6, AT).terminal_seq, 101)

    def test_a_stale_mac2_is_our_bug(self):
        sam = opened()
        offer = offer_of("plain_purchase")
        mac2 = bytes.fromhex(FILE["plain_purchase"]["mac2"])
        self.assertRaises(Forgotten, sam.check, mac2)
        sam.sign(offer, CARD, 200, 6, AT)
        sam.check(mac2)
        self.assertRaises(Forgotten, sam.check, mac2)

    def test_two_cards_in_turn_get_their_own_proofs(self):
        sam = opened()
        offer = offer_of("plain_purchase")
        other = Identity(CARD.serial[:9] + b"\x25", ISSUER, CARD.city, CARD.kind, NATIONAL)
        first = sam.sign(offer, CARD, 200, 6, AT)
        second = sam.sign(offer, other, 200, 6, AT)
        self.assertNotEqual(first.mac1, second.mac1)
        self.assertEqual(sam.sign(offer, CARD, 200, 6, AT), first)

    def test_what_it_has_no_key_for_is_refused(self):
        sam = opened()
        offer = Offer(b"\x00" * 4, 1, 1, 0)
        for name, card, asked in (
            ("issuer", Identity(CARD.serial, b"\x09" * 8, CARD.city, 1, NATIONAL), offer),
            ("key version", CARD, Offer(offer.random, 1, 2, 0)),
            ("algorithm", CARD, Offer(offer.random, 1, 1, 4)),
        ):
            with self.subTest(name=name):
                self.assertRaises(NoKey, sam.sign, asked, card, 200, 6, AT)

    def test_two_key_versions_serve_side_by_side(self):
        new_key = bytes(range(16))
        sam = opened(blob(keys={ISSUER + b"\x01": ISSUER_KEY, ISSUER + b"\x02": new_key}))
        offer = offer_of("plain_purchase")
        later = Offer(offer.random, offer.counter, 2, 0)
        alone = opened(blob(keys={ISSUER: new_key}, key_version=2))
        for _ in range(2):  # each again after the other: the card key at hand is of the other version
            sam.prepare(CARD)
            self.assertEqual(sam.sign(offer, CARD, 200, 6, AT).mac1.hex().upper(), FILE["plain_purchase"]["mac1"])
            self.assertEqual(sam.sign(later, CARD, 200, 6, AT).mac1, alone.sign(later, CARD, 200, 6, AT).mac1)
            sam.prepare(CARD)
        self.assertRaises(NoKey, sam.sign, Offer(offer.random, offer.counter, 3, 0), CARD, 200, 6, AT)

    def test_a_version_that_only_one_issuer_has_is_no_key_of_the_other(self):
        other = b"\x09" * 8
        sam = opened(blob(keys={ISSUER + b"\x01": ISSUER_KEY, other + b"\x02": bytes(16)}))
        sam.prepare(CARD)
        offer = offer_of("plain_purchase")
        sam.sign(offer, CARD, 200, 6, AT)
        self.assertRaises(NoKey, sam.sign, Offer(offer.random, offer.counter, 2, 0), CARD, 200, 6, AT)

    def test_a_blob_of_version_1_is_opened_still(self):
        """Made by the firmware before: its head names the one key version."""
        sam = opened(bytes.fromhex(BLOB_1))
        signed = sam.sign(offer_of("plain_purchase"), CARD, 200, 6, AT)
        self.assertEqual(signed.mac1.hex().upper(), FILE["plain_purchase"]["mac1"])

    def test_it_never_blocks_a_card(self):
        self.assertIsNone(opened().block_mac(CARD, bytes(4), b"\x84\x1e\x00\x00\x04"))


class Limits(unittest.TestCase):
    def test_it_works_from_its_first_to_its_last_day(self):
        sam = opened(clock=ManualClock(quality=0))
        offer = offer_of("plain_purchase")
        for day in ("20250101", "20251231"):
            sam.sign(offer, CARD, 200, 6, bytes.fromhex(day + "235959"))
        for day in ("20241231", "20260101"):
            with self.subTest(day=day):
                self.assertRaises(SamLost, sam.sign, offer, CARD, 200, 6, bytes.fromhex(day + "000000"))

    def test_an_expired_one_does_not_open_unless_the_clock_is_unknown(self):
        late_s = bcd.at_s(bytes.fromhex("20260101000000"))
        with self.assertRaises(SamLost):
            opened(clock=ManualClock(late_s))
        opened(clock=ManualClock(late_s, quality=0))

    def test_a_withdrawn_one_does_not_open(self):
        for name, made, generation_min in (("older generation", blob(), 4), ("no keys", blob(keys={}), 0)):
            with self.subTest(name=name):
                with self.assertRaises(SamLost):
                    opened(made, generation_min=generation_min)
        opened(generation_min=3)

    def test_it_holds_eight_issuers_and_no_ninth(self):
        many = {bytes((i,)) * 8: bytes((i,)) * 16 for i in range(soft_sam.ISSUERS_MAX)}
        self.assertEqual(soft_sam.open_blob(blob(keys=many), STORAGE_KEY, cbc_decrypt).keys, {1: many})
        twice = {issuer + bytes((version,)): many[issuer] for issuer in many for version in (1, 2)}
        self.assertEqual(soft_sam.open_blob(blob(keys=twice), STORAGE_KEY, cbc_decrypt).keys, {1: many, 2: many})
        self.assertRaises(BadInput, blob, keys=dict(list(twice.items()) + [(b"\x00" * 8 + b"\x03", bytes(16))]))
        many[b"\x77" * 8] = bytes(16)
        self.assertRaises(BadInput, blob, keys=many)
        self.assertRaises(BadInput, blob, keys={ISSUER: bytes(16), ISSUER + b"\x01": bytes(16)})

    def test_no_key_stands_in_the_blob(self):
        self.assertNotIn(ISSUER_KEY, blob())
        self.assertNotIn(ISSUER_KEY[:8], blob())

    def test_any_changed_byte_and_any_other_device_is_refused(self):
        whole = blob()
        for at in range(len(whole)):
            changed = bytearray(whole)
            changed[at] ^= 0x10
            self.assertRaises(BadInput, soft_sam.open_blob, bytes(changed), STORAGE_KEY, cbc_decrypt)
        self.assertRaises(BadMac, soft_sam.open_blob, whole, OTHER_KEY, cbc_decrypt)
        for end in range(len(whole)):
            self.assertRaises(BadInput, soft_sam.open_blob, whole[:end], STORAGE_KEY, cbc_decrypt)

    def test_a_broken_blob_says_what_to_do(self):
        with self.assertRaises(SamLost) as caught:
            opened(b"nothing of the kind")
        self.assertIn("provision", str(caught.exception))

    def test_a_blob_that_makes_no_sense_is_not_made(self):
        for name, changes in (
            ("terminal no BCD", {"terminal": b"\xfa" * 6}),
            ("expires before it starts", {"expiry": b"\x20\x24\x12\x31"}),
            ("no such day", {"expiry": b"\x20\x25\x02\x30"}),
            ("unknown algorithm", {"algorithm": 9}),
            ("short key", {"keys": {ISSUER: bytes(8)}}),
        ):
            with self.subTest(name=name):
                self.assertRaises(BadInput, blob, **changes)

    def test_a_test_sam_says_so(self):
        self.assertTrue(opened().test)
        self.assertFalse(opened(blob(test=False)).test)
        self.assertTrue(SoftSam.soft)


if __name__ == "__main__":
    unittest.main()
