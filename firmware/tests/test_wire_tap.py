"""Journal entries on the wire: layout, trailing zeros, and every entry that no validator would have journaled."""

import unittest

from tunion import bcd
from tunion.record import BadInput
from tunion.wire import tap

PORTABLE = True
ARM = True

AT_S = 1748733000  # 2025-06-01 07:10:00, China Standard Time
CARD = bytes.fromhex("03104999000000000017")

RIDE = {
    "kind": tap.TAP,
    "version": 1,
    "seq": 0x01020304,
    "at_s": AT_S,
    "clk_q": 3,
    "type": 6,
    "industry": 2,
    "card": CARD,
    "issuer": bytes.fromhex("04026110FFFFFFFF"),
    "city": b"\x61\x10",
    "card_kind": 1,
    "counter": 0x12,
    "balance_fen": 5000,
    "limit_fen": 0,
    "amount_fen": 200,
    "list_fen": 250,
    "discount_fen": 50,
    "terminal": bytes.fromhex("611000000042"),
    "terminal_seq": 100,
    "key_index": 1,
    "key_version": 1,
    "algorithm": 0,
    "fare_id": 7,
    "fare_version": 3,
    "line": 605,
    "stop_in": 0,
    "stop_out": 0,
    "driver": 0,
    "vehicle": 0,
}
RIDE.update(tap.FLAT)
DONE = {"code": tap.SETTLED, "mac2": tap.MAC2_OK, "sw": 0, "tac": bytes.fromhex("624A5580")}
REFUSED = {
    "kind": tap.EVENT, "version": 1, "seq": 9, "at_s": AT_S, "clk_q": 0, "code": tap.REFUSED, "reason": 10,
    "card": CARD, "value": -1, "reserved": bytes(69),
}
LATER = {
    "kind": tap.AMEND, "version": 1, "seq": 9, "at_s": AT_S, "clk_q": 2, "of_seq": 8,
    "outcome": tap.OUTCOME_V1.pack(**DONE), "reserved": bytes(73),
}


def changed(row, changes):
    row = dict(row)
    row.update(changes)
    return row


def ride(outcome=DONE, **changes):
    body = tap.TAP_V1.pack(**changed(RIDE, changes))
    return tap.to_wire(body, tap.OUTCOME_V1.pack(**outcome) if outcome else b"")


def event(**changes):
    return tap.to_wire(tap.EVENT_V1.pack(**changed(REFUSED, changes)))


def amend(outcome=DONE, **changes):
    row = changed(LATER, {"outcome": tap.OUTCOME_V1.pack(**outcome)})
    return tap.to_wire(tap.AMEND_V1.pack(**changed(row, changes)))


class Layout(unittest.TestCase):
    def test_every_byte_of_a_tap(self):
        self.assertEqual(
            ride().hex(),
            "01" "01" "01020304" "683b8c48" "03" "06" "02"
            "03104999000000000017" "04026110ffffffff" "6110" "01" "0012" "00001388" "000000"
            "000000c8" "0000fa" "000032" "611000000042" "00000064" "01" "01" "00"
            "0007" "0003" "025d" "0000" "0000" "00000000" "00000000" + "00" * 12 +
            "01" "01" "0000" "624a5580",
        )
        self.assertEqual(len(ride()), tap.BODY_BYTES + tap.OUTCOME_BYTES)

    def test_every_byte_of_an_event_and_an_amendment(self):
        self.assertEqual(
            event().hex(), "02" "01" "00000009" "683b8c48" "00" "02" "0a" "03104999000000000017" "ffffffff"
        )
        self.assertEqual(amend().hex(), "03" "01" "00000009" "683b8c48" "02" "00000008" "01" "01" "0000" "624a5580")

    def test_the_time_is_the_one_the_card_signed(self):
        self.assertEqual(bcd.stamp(AT_S), bcd.from_digits("20250601071000"))

    def test_kind_version_and_seq_lie_at_the_same_place_in_every_entry(self):
        for layout in (tap.TAP_V1, tap.EVENT_V1, tap.AMEND_V1):
            self.assertEqual(layout.size, tap.BODY_BYTES)
            self.assertEqual([field[0] for field in layout.fields[:5]], ["kind", "version", "seq", "at_s", "clk_q"])
            self.assertEqual([field[2] for field in layout.fields[:5]], [0, 1, 2, 6, 10])

    def test_entries_come_back_as_they_went(self):
        for entry, row, outcome in ((ride(), RIDE, DONE), (event(), REFUSED, None), (amend(), LATER, DONE)):
            for blob in (entry, memoryview(entry)):
                body, found = tap.from_wire(blob)
                for name in row:
                    self.assertEqual(getattr(body, name), row[name])
                self.assertEqual(found, outcome and tap.OUTCOME_V1.unpack(tap.OUTCOME_V1.pack(**outcome)))

    def test_an_entry_has_one_form_on_the_wire(self):
        void = {"code": tap.VOID, "mac2": 0, "sw": 0x9401, "tac": bytes(4)}
        for entry in (ride(), ride(void), event(value=0), amend(void)):
            tap.from_wire(entry)
            with self.assertRaises(BadInput):
                tap.from_wire(entry + b"\x00")


class Accepted(unittest.TestCase):
    def test_each_outcome(self):
        for outcome in (
            {"code": tap.SETTLED, "mac2": tap.MAC2_OK, "sw": 0, "tac": b"\x00\x00\x00\x01"},
            {"code": tap.SETTLED, "mac2": tap.MAC2_UNCHECKED, "sw": 0, "tac": bytes(4)},  # one TAC in 2^32 is zero
            {"code": tap.PROVED, "mac2": tap.MAC2_UNCHECKED, "sw": 0, "tac": b"tac!"},
            {"code": tap.VOID, "mac2": 0, "sw": 0x9401, "tac": bytes(4)},
            {"code": tap.DISPUTED, "mac2": tap.MAC2_WRONG, "sw": 0, "tac": b"tac!"},
            {"code": tap.GREY, "mac2": 0, "sw": 0, "tac": bytes(4)},
        ):
            with self.subTest(outcome=outcome):
                self.assertEqual(tap.from_wire(ride(outcome))[1].code, outcome["code"])
                self.assertEqual(tap.from_wire(amend(outcome))[1].code, outcome["code"])

    def test_an_overdraft_within_the_limit(self):
        tap.from_wire(ride(balance_fen=-600, limit_fen=800))
        with self.assertRaises(BadInput):
            tap.from_wire(ride(balance_fen=-601, limit_fen=800))

    def test_a_compound_entry_of_nothing(self):
        tap.from_wire(ride(type=9, amount_fen=0, list_fen=0, discount_fen=0))

    def test_an_event_about_a_card_with_a_number_that_is_none(self):
        self.assertEqual(tap.from_wire(event(card=b"\xff" * 10))[0].card, b"\xff" * 10)


class Refused(unittest.TestCase):
    def refuse(self, entry, word):
        with self.assertRaises(BadInput) as refused:
            tap.from_wire(entry)
        self.assertIn(word, str(refused.exception))

    def test_what_is_no_entry(self):
        self.refuse(b"", "kind")
        for kind in (0, 4, 255):
            self.refuse(bytes((kind, 1, 1)), "kind")
        self.refuse(event() + bytes(80) + b"\x01", "at most")
        self.refuse(ride() + b"\x01", "at most")
        for entry in (ride(version=2), event(version=0), amend(version=255), ride(seq=0), event(seq=0), amend(seq=0)):
            self.refuse(entry, "version 1 and a sequence")
        for entry in (ride(clk_q=4), event(clk_q=255), amend(clk_q=4)):
            self.refuse(entry, "clk_q")
        for entry in (event(reserved=b"\x01" + bytes(68)), amend(reserved=bytes(72) + b"\x01")):
            self.refuse(entry, "reserved")

    def test_what_a_ride_owes_is_part_of_its_amount(self):
        changes = {"type": 9, "event": tap.ALIGHT, "list_fen": 0, "discount_fen": 0, "owed_fen": 200}
        body, _ = tap.from_wire(ride(**changes))
        self.assertEqual((body.amount_fen, body.owed_fen), (200, 200))
        for name, value, word in (
            ("owed_fen", 199, "owed"), ("discount_fen", 1, "owed"), ("event", 5, "event"), ("riders", 21, "riders"),
        ):
            self.refuse(ride(**changed(changes, {name: value})), word)

    def test_an_open_claim_does_not_travel(self):
        self.refuse(ride(None), "outcome")
        self.refuse(ride({"code": tap.OPEN, "mac2": 0, "sw": 0, "tac": bytes(4)}), "outcome")
        self.refuse(tap.to_wire(tap.AMEND_V1.pack(**changed(LATER, {"outcome": bytes(8)}))), "outcome")

    def test_outcomes_that_contradict_themselves(self):
        self.refuse(ride(changed(DONE, {"code": 6})), "outcome")
        self.refuse(ride(changed(DONE, {"mac2": 3})), "outcome")
        self.refuse(ride(changed(DONE, {"code": tap.VOID})), "no TAC")
        self.refuse(amend(changed(DONE, {"code": tap.GREY})), "no TAC")

    def test_digits_that_are_none(self):
        for changes in ({"card": b"\x0a" + CARD[1:]}, {"terminal": b"\xff" * 6}, {"city": b"\x6f\x10"},
                        {"issuer": b"\x04\x02\x61\x1a" + b"\xff" * 4}):
            self.refuse(ride(**changes), "BCD")

    def test_sums_that_do_not_add_up(self):
        self.refuse(ride(amount_fen=201), "list fare less discount")
        self.refuse(ride(discount_fen=49), "list fare less discount")
        self.refuse(ride(list_fen=50, discount_fen=250), "list fare less discount")
        self.refuse(ride(balance_fen=199), "exceeds")

    def test_types_that_are_no_purchase(self):
        for type in (0, 2, 5, 7, 255):
            self.refuse(ride(type=type), "purchase")
        self.refuse(ride(amount_fen=0, list_fen=50), "purchase")

    def test_an_amendment_of_itself_or_of_the_future(self):
        for of_seq in (0, 9, 10):
            self.refuse(amend(of_seq=of_seq), "earlier")

    def test_no_truncation_of_a_ride_passes_as_that_ride(self):
        whole = tap.from_wire(ride())
        for length in range(len(ride())):
            try:
                self.assertNotEqual(tap.from_wire(ride()[:length]), whole)
            except BadInput:
                continue


if __name__ == "__main__":
    unittest.main()
