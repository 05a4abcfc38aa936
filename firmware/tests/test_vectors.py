"""Every figure of vectors/card_vectors.json, and one worked example published on two web pages.

Keys, MACs and TACs of the file were recomputed with three code bases of other people; its card, SAM and keys are
invented. The simulator replays the same exchanges; here each is made by the functions the gate and clearing use.
"""

import unittest

from support.vector_file import Section, load
from tunion import bcd
from tunion.card import files, psam, purse
from tunion.crypto import keys, mac
from tunion.crypto.des import Des, TripleDes
from tunion.crypto.sm4 import Sm4

PORTABLE = True

FILE = load("card_vectors.json")
DES = keys.suite(0x00)
SM4 = keys.suite(0x04)

RAIL = ((1, 0xD0), (0, 0xF0))  # P1, P2 of each cached record: open trip by industry, then trip history
BUS = ((2, 0xD0), (0, 0xF0))

# section, command, type, amount_fen, at, SAM's counter, cached records
PURCHASES = (
    ("plain_purchase", purse.INITIALIZE_FOR_PURCHASE, keys.PURCHASE, 200, "20250601071000", 100, ()),
    ("capp_metro_entry", purse.INITIALIZE_FOR_COMPOUND, keys.COMPOUND, 0, "20250601081530", 101, RAIL),
    ("capp_metro_exit", purse.INITIALIZE_FOR_COMPOUND, keys.COMPOUND, 300, "20250601084210", 102, RAIL),
    ("capp_bus_on", purse.INITIALIZE_FOR_COMPOUND, keys.COMPOUND, 0, "20250601183005", 103, BUS),
)


def given(name):
    """An input of the file. They are read by every section, so they stand outside the guard."""
    return bytes.fromhex(FILE["inputs"][name])


class Keys(unittest.TestCase):
    def test_every_section_of_the_file_has_a_test(self):
        known = {"inputs", "diversify", "load", "app_block", "sm4_inferred", "final_state"}
        self.assertEqual(set(FILE), known | {purchase[0] for purchase in PURCHASES})

    def test_factors_come_from_file_15(self):
        with Section(FILE["inputs"]) as inputs:
            self.assertEqual(inputs["factor_issuer"], inputs["issuer"])
            self.assertEqual(inputs["factor_card"], keys.card_factor(inputs["app_serial"]))
            self.assertEqual(len(inputs["terminal"]), psam.TERMINAL.size)
            for master in ("MPK", "MLK", "MTK", "MAMK"):
                self.assertEqual(len(inputs[master]), 16)

    def test_four_keys_diversify_issuer_first_then_card(self):
        with Section(FILE["diversify"]) as derived:
            for master, card in (("MPK", "DPK"), ("MLK", "DLK"), ("MTK", "DTK"), ("MAMK", "DAMK")):
                with self.subTest(key=card):
                    at_issuer = DES.diversify(given(master), given("issuer"))
                    self.assertEqual(at_issuer, derived[card + "_issuer"])
                    self.assertEqual(DES.diversify(at_issuer, given("factor_card")), derived[card])
                    whole = keys.card_key(DES, given(master), given("issuer"), given("app_serial"))
                    self.assertEqual(whole, derived[card])
            self.assertEqual(DES.tac_key(derived["DTK"]), derived["TAC_key"])


class Purchases(unittest.TestCase):
    def setUp(self):
        self.terminal = given("terminal")
        self.card_key = bytes.fromhex(FILE["diversify"]["DPK"])
        self.tac_key = bytes.fromhex(FILE["diversify"]["TAC_key"])

    def test_every_byte_of_every_purchase(self):
        for name, initialize, kind, amount_fen, at, terminal_seq, records in PURCHASES:
            with self.subTest(purchase=name), Section(FILE[name]) as vector:
                at = bcd.from_digits(at)
                init = initialize.encode(key_index=1, amount_fen=amount_fen, terminal=self.terminal)
                self.assertEqual(init, vector["init_cmd"])
                offer = initialize.decode(vector["init_rsp"])
                self.assertEqual((offer.limit_fen, offer.key_version, offer.algorithm), (0, 1, 0))

                proofs = self.check_proofs(vector, offer, kind, amount_fen, at, terminal_seq)
                self.check_sam(vector, offer, kind, amount_fen, at, terminal_seq, *proofs)
                self.check_card(vector, offer, kind, amount_fen, at, terminal_seq, records, *proofs)

    def check_proofs(self, vector, offer, kind, amount_fen, at, terminal_seq):
        block = keys.PURCHASE_SESSION.pack(random=offer.random, counter=offer.counter, terminal_low=terminal_seq)
        self.assertEqual(block, vector["session_input"])
        session = keys.purchase_session(DES, self.card_key, offer.random, offer.counter, terminal_seq)
        self.assertEqual(session, vector["session_key"])

        mac1 = keys.PURCHASE_MAC1.pack(amount_fen=amount_fen, type=kind, terminal=self.terminal, at=at)
        mac2 = keys.PURCHASE_MAC2.pack(amount_fen=amount_fen)
        tac = keys.PURCHASE_TAC.pack(
            amount_fen=amount_fen, type=kind, terminal=self.terminal, terminal_seq=terminal_seq, at=at
        )
        self.assertEqual((mac1, mac2, tac), (vector["mac1_input"], vector["mac2_input"], vector["tac_input"]))
        proofs = DES.mac(session, mac1), DES.mac(session, mac2), DES.mac(self.tac_key, tac)
        self.assertEqual(proofs, (vector["mac1"], vector["mac2"], vector["tac"]))
        return proofs

    def check_sam(self, vector, offer, kind, amount_fen, at, terminal_seq, mac1, mac2, tac):
        init = psam.INIT_SAM_FOR_PURCHASE.encode(
            random=offer.random,
            counter=offer.counter,
            amount_fen=amount_fen,
            type=kind,
            at=at,
            key_version=offer.key_version,
            algorithm=offer.algorithm,
            card=given("factor_card"),
            issuer=given("factor_issuer"),
        )
        self.assertEqual(init, vector["psam_8070_cmd"])
        self.assertEqual(psam.INIT_SAM_FOR_PURCHASE.decode(vector["psam_8070_rsp"]), (terminal_seq, mac1))
        self.assertEqual(psam.CREDIT_SAM_FOR_PURCHASE.encode(mac2=mac2), vector["psam_8072_cmd"])
        self.assertEqual(psam.CREDIT_SAM_FOR_PURCHASE.decode(vector["psam_8072_rsp"]), b"")

    def check_card(self, vector, offer, kind, amount_fen, at, terminal_seq, records, mac1, mac2, tac):
        cached = vector["update_cache"]
        self.assertEqual(len(cached), len(records))
        for (p1, p2), command in zip(records, cached):
            self.assertEqual(purse.UPDATE_COMPOUND.encode(raw=command[5:], p1=p1, p2=p2), command)

        debit = purse.DEBIT_FOR_PURCHASE.encode(terminal_seq=terminal_seq, at=at, mac1=mac1)
        self.assertEqual(debit, vector["debit_cmd"])
        self.assertEqual(purse.DEBIT_FOR_PURCHASE.decode(vector["debit_rsp"]), (tac, mac2))
        prove = purse.GET_TRANSACTION_PROVE.encode(p2=kind, counter=offer.counter + 1)
        self.assertEqual(prove, vector["prove_cmd"])
        self.assertEqual(purse.GET_TRANSACTION_PROVE.decode(vector["prove_rsp"]), (mac2, tac))

        logged = files.LOG_ENTRY.pack(
            counter=offer.counter, limit_fen=0, amount_fen=amount_fen, type=kind, terminal=self.terminal, at=at
        )
        self.assertEqual(logged, vector["sfi18_record"])
        self.assertEqual(offer.balance_fen - amount_fen, vector["balance_after"])


class LoadAndBlock(unittest.TestCase):
    def test_every_byte_of_the_load(self):
        card_key = bytes.fromhex(FILE["diversify"]["DLK"])
        terminal, at, amount_fen = b"111111", bcd.from_digits("20250602120000"), 5000
        with Section(FILE["load"]) as vector:
            init = purse.INITIALIZE_FOR_LOAD.encode(key_index=1, amount_fen=amount_fen, terminal=terminal)
            self.assertEqual(init, vector["init_cmd"])
            offer = purse.INITIALIZE_FOR_LOAD.decode(vector["init_rsp"])
            self.assertEqual((offer.counter, offer.key_version, offer.algorithm), (3, 1, 0))

            block = keys.LOAD_SESSION.pack(random=offer.random, counter=offer.counter, constant=0x8000)
            self.assertEqual(block, vector["session_input"])
            session = keys.load_session(DES, card_key, offer.random, offer.counter)
            self.assertEqual(session, vector["session_key"])

            mac1 = keys.LOAD_MAC1.pack(
                balance_fen=offer.balance_fen, amount_fen=amount_fen, type=keys.LOAD, terminal=terminal
            )
            self.assertEqual(mac1, vector["mac1_input"])
            self.assertEqual(DES.mac(session, mac1), vector["mac1"])
            self.assertEqual(offer.mac1, vector["mac1"])

            mac2 = keys.LOAD_MAC2.pack(amount_fen=amount_fen, type=keys.LOAD, terminal=terminal, at=at)
            self.assertEqual(mac2, vector["mac2_input"])
            self.assertEqual(DES.mac(session, mac2), vector["mac2"])
            self.assertEqual(purse.CREDIT_FOR_LOAD.encode(at=at, mac2=vector["mac2"]), vector["credit_cmd"])

            self.assertEqual(offer.balance_fen + amount_fen, vector["balance_after"])
            tac = keys.LOAD_TAC.pack(
                balance_fen=vector["balance_after"],
                counter=offer.counter,
                amount_fen=amount_fen,
                type=keys.LOAD,
                terminal=terminal,
                at=at,
            )
            self.assertEqual(tac, vector["tac_input"])
            self.assertEqual(DES.mac(bytes.fromhex(FILE["diversify"]["TAC_key"]), tac), vector["tac"])
            self.assertEqual(purse.CREDIT_FOR_LOAD.decode(vector["credit_rsp"]).tac, vector["tac"])

            logged = files.LOG_ENTRY.pack(
                counter=offer.counter, limit_fen=0, amount_fen=amount_fen, type=keys.LOAD, terminal=terminal, at=at
            )
            self.assertEqual(logged, vector["sfi18_record"])

    def test_blocking_by_the_sam_and_by_the_key_agree(self):
        key = bytes.fromhex(FILE["diversify"]["DAMK"])
        temporary, permanent, unblock = b"\x84\x1e\x00\x00\x04", b"\x84\x1e\x00\x01\x04", b"\x84\x18\x00\x00\x04"
        with Section(FILE["app_block"]) as vector:
            challenge = purse.GET_CHALLENGE.decode(vector["challenge_rsp"]).random
            self.assertEqual(challenge + bytes(4), vector["iv"])

            def block_mac(command):
                return mac.maintenance_mac(key, challenge, command)

            block = purse.APPLICATION_BLOCK
            self.assertEqual(block.encode(mac=block_mac(temporary)), vector["block_temporary"])
            self.assertEqual(block.encode(p2=1, mac=block_mac(permanent)), vector["block_permanent"])
            self.assertEqual(purse.APPLICATION_UNBLOCK.encode(mac=block_mac(unblock)), vector["unblock"])
            single = mac.maintenance_mac(key[:8], challenge, temporary)
            self.assertEqual(block.encode(mac=single), vector["single_des_variant_block_temporary"])

            chosen = psam.INIT_FOR_DESCRYPT.encode(card=given("factor_card"), issuer=given("factor_issuer"))
            self.assertEqual(chosen, vector["psam_801A_cmd"])
            blocks = vector["iv"] + mac.padded(temporary, 8)
            self.assertEqual(psam.DESCRYPT_MAC.encode(raw=blocks), vector["psam_80FA_cmd"])
            self.assertEqual(psam.DESCRYPT_MAC.decode(vector["psam_80FA_rsp"]).mac, block_mac(temporary))

    def test_the_state_after_all_steps_is_their_sum(self):
        with Section(FILE["final_state"]) as state:
            last = purse.INITIALIZE_FOR_COMPOUND.decode(bytes.fromhex(FILE["capp_bus_on"]["init_rsp"]))
            self.assertEqual(state["bal"], FILE["load"]["balance_after"])
            self.assertEqual(state["off"], last.counter + 1)
            self.assertEqual(state["on"], 3 + 1)
            self.assertEqual(state["L"], last.limit_fen)
            self.assertEqual(state["tseq"], PURCHASES[-1][5] + 1)


class Inferred(unittest.TestCase):
    def test_sm4_profile_on_the_metro_entry(self):
        entry = FILE["capp_metro_entry"]
        offer = purse.INITIALIZE_FOR_COMPOUND.decode(bytes.fromhex(entry["init_rsp"]))
        with Section(FILE["sm4_inferred"]) as vector:
            self.assertEqual(SM4.diversify(given("MPK"), given("issuer")), vector["DPK_issuer"])
            card_key = keys.card_key(SM4, given("MPK"), given("issuer"), given("app_serial"))
            self.assertEqual(card_key, vector["DPK"])
            session = keys.purchase_session(SM4, card_key, offer.random, offer.counter, 101)
            self.assertEqual(session, vector["session_key"])
            self.assertEqual(Sm4(card_key).encrypt(vector["session_input"]), session)
            self.assertEqual(SM4.mac(session, bytes.fromhex(entry["mac1_input"])), vector["mac1"])
            self.assertEqual(SM4.mac(session, bytes.fromhex(entry["mac2_input"])), vector["mac2"])


class Published(unittest.TestCase):
    """A worked purchase that two web pages print, key and results as printed there."""

    KEY = bytes.fromhex("11223344556677888877665544332211")

    def test_session_key_and_both_macs(self):
        session = keys.purchase_session(DES, self.KEY, bytes.fromhex("11223344"), 0, 1)
        self.assertEqual(session, bytes.fromhex("003238ABC57659DD"))
        mac1 = keys.PURCHASE_MAC1.pack(
            amount_fen=0x1000,
            type=keys.PURCHASE,
            terminal=bytes.fromhex("001122334455"),
            at=bcd.from_digits("20120229135100"),
        )
        self.assertEqual(DES.mac(session, mac1), bytes.fromhex("F15CAB75"))
        self.assertEqual(DES.mac(session, keys.PURCHASE_MAC2.pack(amount_fen=0x1000)), bytes.fromhex("56988A13"))

    def test_tac_key_is_the_halves_xored(self):
        self.assertEqual(DES.tac_key(bytes.fromhex("00112233445566778899AABBCCDDEEFF")), b"\x88" * 8)

    def test_only_the_low_half_of_the_terminal_counter_enters_the_session(self):
        low = keys.purchase_session(DES, self.KEY, bytes(4), 7, 0x0001)
        self.assertEqual(keys.purchase_session(DES, self.KEY, bytes(4), 7, 0xABCD0001), low)


class Degenerate(unittest.TestCase):
    def test_equal_halves_and_eight_byte_keys_are_single_des(self):
        key, block = bytes.fromhex("133457799BBCDFF1"), bytes.fromhex("0123456789ABCDEF")
        single = Des(key).encrypt(block)
        self.assertEqual(TripleDes(key + key).encrypt(block), single)
        self.assertEqual(TripleDes(key).encrypt(block), single)

    def test_an_eight_byte_tac_key_is_used_as_it_is(self):
        self.assertEqual(DES.tac_key(b"8 bytes."), b"8 bytes.")


if __name__ == "__main__":
    unittest.main()
