"""Commands, refusals and files: what goes to a card, what comes back, and what each status word means."""

import unittest

from tunion.card import files, psam, purse
from tunion.card.apdu import Card, Command
from tunion.card.refusals import (
    Blocked,
    CardRefused,
    CounterSpent,
    LinkLost,
    MacRejected,
    NoKey,
    NoProof,
    NotEnoughMoney,
    NotOurCard,
    WrongState,
)
from tunion.record import BadInput, Record

PORTABLE = True

ISSUER = bytes.fromhex("04026110FFFFFFFF")
PUBLIC_FILE = bytes.fromhex("04026110FFFFFFFF0201" "03104999000000000017" "20250101" "20351231" "0000")
PHYSICAL_FCI = bytes.fromhex("6F318408A000000632010105A5259F080102" "9F0C1E") + PUBLIC_FILE
WALLET_FCI = (
    bytes.fromhex("6F508408A000000632010105A54450084D4F545F545F45508701029F0801029F120F4341524420494D41474520303030319F0C1E")
    + PUBLIC_FILE
)
STRAY_FCI = bytes.fromhex("6F358408A000000632010105A5259F0801029F0C1E") + PUBLIC_FILE + bytes(4)
PPSE_FCI = bytes.fromhex(
    "6F2E840E325041592E5359532E4444463031A51CBF0C1961174F08A00000063201010550084D4F545F545F4550870101"
)


class Script:
    """A link that expects certain commands and gives their answers; anything else fails the test."""

    def __init__(self, *exchanges):
        self.left = [bytes.fromhex(part) for exchange in exchanges for part in exchange.split(" > ")]

    def transceive(self, apdu, wait_ms):
        expected = self.left.pop(0)
        if apdu != expected:
            raise AssertionError("expected %s, got %s" % (expected.hex(), apdu.hex()))
        return self.left.pop(0)


def sent(command, *exchanges, **values):
    """The reply of one command; the whole script must have been used."""
    link = Script(*exchanges)
    reply = Card(link).send(command, **values)
    if link.left:
        raise AssertionError("never asked for")
    return reply


class Encoding(unittest.TestCase):
    def test_four_cases_of_iso_7816_4(self):
        plain = Command("PLAIN", b"\x00\x01\x02\x03")
        record = Command("RECORD", b"\x00\x01\x02\x03", data=Record("D", 2, (("n", "H"),)), le=0)
        for apdu, text in (
            (plain.encode(), "00010203"),
            (plain.encode(le=0), "0001020300"),
            (plain.encode(raw=b"\xaa\xbb"), "0001020302aabb"),
            (plain.encode(raw=b"\xaa\xbb", le=8), "0001020302aabb08"),
            (plain.encode(p1=0xFF, p2=0), "0001ff00"),
            (record.encode(n=0x1234), "0001020302123400"),
        ):
            self.assertEqual(apdu.hex(), text)

    def test_golden_commands(self):
        for apdu, text in (
            (files.SELECT.encode(raw=files.EPURSE_AID), "00a4040008a00000063201010500"),
            (files.SELECT.encode(raw=files.PPSE_NAME), "00a404000e325041592e5359532e444446303100"),
            (files.READ_BINARY.encode(p1=0x80 | files.PUBLIC_SFI, le=files.PUBLIC.size), "00b095001e"),
            (files.READ_BINARY.encode(p1=0x80 | files.HOLDER_SFI, le=files.HOLDER_BYTES), "00b0960037"),
            (files.READ_BINARY.encode(p1=0x80 | files.MANAGEMENT_SFI, le=files.MANAGEMENT_BYTES), "00b097003c"),
            (files.READ_RECORD.encode(p1=1, p2=files.LOG_SFI << 3 | 4, le=files.LOG_ENTRY.size), "00b201c417"),
            (purse.GET_BALANCE.encode(), "805c000204"),
            (purse.GET_BALANCE.encode(p1=1), "805c010204"),
            (purse.GET_CHALLENGE.encode(), "0084000004"),
            (purse.APPLICATION_BLOCK.encode(mac=b"\x02\x17\x5b\xcf"), "841e00000402175bcf"),
            (psam.INIT_FOR_DESCRYPT.encode(card=PUBLIC_FILE[12:20], issuer=ISSUER),
             "801a450210499900000000001704026110ffffffff"),
            (files.SELECT_FILE.encode(raw=psam.APPLICATION_FID), "00a4000002801100"),
            (files.SELECT.encode(raw=psam.APPLICATION_NAME), "00a4040010a0000006324d4f542e435053414d303100"),
            (files.READ_BINARY.encode(p1=0x80 | psam.TERMINAL_SFI, le=psam.TERMINAL.size), "00b0960006"),
            (files.READ_BINARY.encode(p1=0x80 | psam.IDENTITY_SFI, le=psam.IDENTITY.size), "00b095000e"),
            (files.READ_BINARY.encode(p1=0x80 | psam.APPLICATION_SFI, le=psam.APPLICATION.size), "00b0970019"),
        ):
            self.assertEqual(apdu.hex(), text)

    def test_a_command_takes_only_what_it_has_a_place_for(self):
        for command, values in (
            (files.READ_BINARY, {"P1": 0x95}),
            (files.SELECT, {"aid": files.EPURSE_AID}),
            (purse.APPLICATION_BLOCK, {"raw": b"mac!"}),
            (purse.APPLICATION_BLOCK, {"mac": b"mac!", "raw": b"mac!"}),
            (purse.APPLICATION_BLOCK, {}),
            (purse.APPLICATION_BLOCK, {"mac": b"short"}),
            (purse.DEBIT_FOR_PURCHASE, {"terminal_seq": 1 << 32, "at": bytes(7), "mac1": bytes(4)}),
            (purse.GET_TRANSACTION_PROVE, {"counter": 0x10000}),
            (purse.UPDATE_COMPOUND, {"raw": bytes(256)}),
        ):
            with self.subTest(command=command.name, values=values), self.assertRaises(BadInput):
                command.encode(**values)
        self.assertEqual(len(purse.UPDATE_COMPOUND.encode(raw=bytes(255))), 260)

    def test_a_head_has_four_bytes(self):
        with self.assertRaises(BadInput):
            Command("SLIP", b"\x00\xa4\x04")


class Answers(unittest.TestCase):
    def test_a_reply_by_name(self):
        self.assertEqual(sent(purse.GET_BALANCE, "805c000204 > 000013889000").balance_fen, 5000)
        self.assertEqual(sent(files.SELECT, "00a404000101" "00 > 9000", raw=b"\x01"), b"")

    def test_waiting_bytes_are_fetched(self):
        reply = sent(purse.GET_CHALLENGE, "0084000004 > 6104", "00c0000004 > 010203049000")
        self.assertEqual(reply.random, b"\x01\x02\x03\x04")

    def test_a_wrong_length_is_asked_again_with_the_right_one(self):
        for values, exchanges in (
            ({}, ("00b0000000 > 6c1e", "00b000001e > 019000")),
            ({"le": 0x28}, ("00b0000028 > 6c1e", "00b000001e > 019000")),
        ):
            self.assertEqual(sent(files.READ_BINARY, *exchanges, **values), b"\x01")
        bare = Command("BARE", b"\x00\x01\x00\x00")
        self.assertEqual(sent(bare, "00010000 > 6c02", "0001000002 > 01029000"), b"\x01\x02")
        with_data = Command("DATA", b"\x00\x01\x00\x00")
        self.assertEqual(sent(with_data, "0001000001aa > 6c02", "0001000001aa02 > 01029000", raw=b"\xaa"), b"\x01\x02")

    def test_both_in_a_row_and_each_once_only(self):
        read = "00b0000000 > 6c1e", "00b000001e > 611e", "00c000001e > 059000"
        self.assertEqual(sent(files.READ_BINARY, *read), b"\x05")
        for exchanges in (
            ("00b0000000 > 6c1e", "00b000001e > 6c1e"),
            ("00b0000000 > 611e", "00c000001e > 611e"),
            ("00b0000000 > 611e", "00c000001e > 6c10"),
        ):
            with self.assertRaises(CardRefused):
                sent(files.READ_BINARY, *exchanges)

    def test_a_stump_is_a_lost_link_and_no_refusal(self):
        for answer in ("", "90", "9000", "0000139000"):
            with self.subTest(answer=answer), self.assertRaises(LinkLost):
                purse.GET_BALANCE.decode(bytes.fromhex(answer))

    def test_bytes_behind_a_reply_are_left_alone(self):
        self.assertEqual(purse.GET_BALANCE.decode(bytes.fromhex("00001388FFFF9000")).balance_fen, 5000)

    def test_debit_and_proof_give_their_macs_in_opposite_order(self):
        debit = purse.DEBIT_FOR_PURCHASE.decode(bytes.fromhex("624A558096D1F8639000"))
        proof = purse.GET_TRANSACTION_PROVE.decode(bytes.fromhex("96D1F863624A55809000"))
        self.assertEqual((debit.tac, debit.mac2), (proof.tac, proof.mac2))

    def test_a_link_that_breaks_is_not_hidden(self):
        class Torn:
            def transceive(self, apdu, wait_ms):
                raise LinkLost("gone")

        with self.assertRaises(LinkLost):
            Card(Torn()).send(purse.GET_BALANCE)

    def test_the_wait_of_the_card_reaches_the_link(self):
        waits = []

        class Link:
            def transceive(self, apdu, wait_ms):
                waits.append(wait_ms)
                return b"\x90\x00"

        Card(Link(), wait_ms=77).send(files.SELECT, raw=b"\x01")
        self.assertEqual(waits, [77])


class Refusals(unittest.TestCase):
    MEANINGS = (
        (files.SELECT, 0x6A82, NotOurCard),
        (files.SELECT, 0x6A81, Blocked),
        (files.SELECT, 0x6283, Blocked),
        (files.SELECT, 0x6284, Blocked),
        (files.SELECT, 0x9303, Blocked),
        (files.READ_BINARY, 0x6A82, CardRefused),
        (files.READ_BINARY, 0x6A81, Blocked),
        (files.READ_RECORD, 0x6A83, CardRefused),
        (purse.GET_BALANCE, 0x6A86, CardRefused),
        (purse.DEBIT_FOR_PURCHASE, 0x9302, MacRejected),
        (purse.DEBIT_FOR_PURCHASE, 0x9401, NotEnoughMoney),
        (purse.DEBIT_FOR_PURCHASE, 0x6901, WrongState),
        (purse.DEBIT_FOR_PURCHASE, 0x6581, CardRefused),
        (purse.UPDATE_COMPOUND, 0x6901, WrongState),
        (purse.CREDIT_FOR_LOAD, 0x9302, MacRejected),
        (purse.GET_TRANSACTION_PROVE, 0x9406, NoProof),
        (purse.GET_TRANSACTION_PROVE, 0x6A88, CardRefused),
        (purse.APPLICATION_BLOCK, 0x6988, MacRejected),
        (purse.APPLICATION_BLOCK, 0x6984, WrongState),
        (purse.APPLICATION_UNBLOCK, 0x9303, Blocked),
        (psam.INIT_SAM_FOR_PURCHASE, 0x9403, NoKey),
        (psam.INIT_SAM_FOR_PURCHASE, 0x6A88, NoKey),
        (psam.CREDIT_SAM_FOR_PURCHASE, 0x9302, MacRejected),
        (psam.CREDIT_SAM_FOR_PURCHASE, 0x6901, WrongState),
    )

    def test_each_status_word_means_what_the_terminal_does_next(self):
        initialize = (
            (0x9401, NotEnoughMoney), (0x9402, CounterSpent), (0x9403, NoKey), (0x6283, Blocked), (0x6284, Blocked),
            (0x6A81, Blocked), (0x6985, Blocked), (0x9303, Blocked),
        )
        commands = (purse.INITIALIZE_FOR_PURCHASE, purse.INITIALIZE_FOR_COMPOUND, purse.INITIALIZE_FOR_LOAD)
        meanings = self.MEANINGS + tuple((command, sw, kind) for command in commands for sw, kind in initialize)
        for command, sw, kind in meanings:
            with self.subTest(command=command.name, sw="%04X" % sw), self.assertRaises(CardRefused) as refused:
                command.decode(bytes((sw >> 8, sw & 255)))
            self.assertIs(type(refused.exception), kind)
            self.assertEqual(refused.exception.sw, sw)
            self.assertIn("%04X" % sw, str(refused.exception))
            self.assertIn(command.name, str(refused.exception))

    def test_a_blocked_card_is_refused_even_with_its_fci(self):
        with self.assertRaises(Blocked):
            files.SELECT.decode(PHYSICAL_FCI + b"\x62\x83")


class Fci(unittest.TestCase):
    def test_file_15_from_each_kind_of_card(self):
        for name, fci in (("physical", PHYSICAL_FCI), ("wallet", WALLET_FCI), ("stray zeros", STRAY_FCI)):
            with self.subTest(card=name):
                public = files.public_file(fci)
                self.assertEqual(public, files.PUBLIC.unpack(PUBLIC_FILE))
                self.assertEqual(public.issuer, ISSUER)
                self.assertEqual((public.application, public.enabled), (2, 1))
                self.assertEqual(public.serial.hex(), "03104999000000000017")
                self.assertEqual((public.start.hex(), public.expiry.hex()), ("20250101", "20351231"))

    def test_a_card_that_leaves_file_15_out(self):
        self.assertIsNone(files.public_file(bytes.fromhex("6F0A8408A000000632010105")))
        self.assertIsNone(files.public_file(bytes.fromhex("6F06A5049F0C0104")))
        self.assertIsNone(files.public_file(b""))

    def test_the_directory_names_the_application(self):
        path = (0x6F, 0xA5, 0xBF0C, 0x61)
        self.assertEqual(files.tlv_find(PPSE_FCI, path + (0x4F,)), files.EPURSE_AID)
        self.assertEqual(files.tlv_find(PPSE_FCI, path + (0x50,)), b"MOT_T_EP")

    def test_an_empty_path_is_the_whole(self):
        self.assertEqual(files.tlv_find(PPSE_FCI, ()), PPSE_FCI)

    def test_lengths_of_two_bytes(self):
        self.assertEqual(files.tlv_find(b"\x84\x81\x03abc", (0x84,)), b"abc")
        self.assertEqual(files.tlv_find(b"\x84\x81\x80" + bytes(128), (0x84,)), bytes(128))

    def test_padding_is_stepped_over(self):
        self.assertEqual(files.tlv_find(bytes.fromhex("0000FF8401AAFF00"), (0x84,)), b"\xaa")

    def test_what_runs_past_the_end_is_refused(self):
        for text in ("84", "9F", "9F0C", "8402AA", "8481", "848102AA", "6F0284059F0C", "8482000100", "8480"):
            with self.subTest(text=text), self.assertRaises(BadInput):
                files.tlv_find(bytes.fromhex(text), (0x6F, 0x9F0C) if text.startswith("6F") else (0x50,))

    def test_a_length_no_short_apdu_can_hold_is_refused_though_the_bytes_are_there(self):
        for length in (0x80, 0x82, 0x85):
            with self.assertRaises(BadInput):
                files.tlv_find(bytes((0x84, length)) + bytes(0x200), (0x84,))

    def test_no_truncation_gives_another_file_15(self):
        whole = files.public_file(WALLET_FCI)
        for length in range(len(WALLET_FCI)):
            try:
                found = files.public_file(WALLET_FCI[:length])
            except BadInput:
                continue
            self.assertIn(found, (None, whole))


class Files(unittest.TestCase):
    def test_management_file_of_the_example_card(self):
        row = files.MANAGEMENT.unpack(bytes.fromhex("0000015661006110000101") + bytes(49))
        self.assertEqual((row.country.hex(), row.province.hex(), row.city.hex()), ("00000156", "6100", "6110"))
        self.assertEqual((row.interoperable, row.kind), (b"\x00\x01", files.ORDINARY))

    def test_log_entry_of_the_example_card(self):
        row = files.LOG_ENTRY.unpack(bytes.fromhex("00140000000000012C0961100000004220250601084210"))
        self.assertEqual((row.counter, row.limit_fen, row.amount_fen, row.type), (20, 0, 300, 9))
        self.assertEqual((row.terminal.hex(), row.at.hex()), ("611000000042", "20250601084210"))

    def test_sam_application_file(self):
        blob = bytes.fromhex("01" "04026110FFFFFFFF" "14026110FFFFFFFF" "20250101" "20351231")
        row = psam.APPLICATION.unpack_whole(blob)
        self.assertEqual((row.key_index, row.issuer, row.expiry.hex()), (1, ISSUER, "20351231"))


if __name__ == "__main__":
    unittest.main()
