"""Key derivation and the proofs of one purchase or load, for each algorithm a card can name.

A `Suite` bundles what differs between 3DES and SM4; everything else is shared. The algorithm byte comes from the
card and travels untouched to the SAM: a terminal does not interpret it. JT/T 978.6; the SM4 profile is inferred
by analogy with PBOC 3.0 and unconfirmed, so it is one entry of SUITES and nothing else knows it.
"""

from tunion.crypto.des import Des, TripleDes
from tunion.crypto.mac import cbc_mac
from tunion.crypto.sm4 import Sm4
from tunion.crypto.xor import xor_block
from tunion.record import BadInput, Record

PURCHASE = 0x06  # transaction types of the e-purse, log file 18h
COMPOUND = 0x09
LOAD = 0x02

# What each session key is made of, before encryption under the card's key.
PURCHASE_SESSION = Record("PurchaseSession", 8, (("random", "4s"), ("counter", "H"), ("terminal_low", "H")))
LOAD_SESSION = Record("LoadSession", 8, (("random", "4s"), ("counter", "H"), ("constant", "H")))

# What each proof covers. `at` is BCD YYYYMMDDhhmmss, China Standard Time, the bytes the terminal sent.
PURCHASE_MAC1 = Record("PurchaseMac1", 18, (("amount_fen", "I"), ("type", "B"), ("terminal", "6s"), ("at", "7s")))
PURCHASE_MAC2 = Record("PurchaseMac2", 4, (("amount_fen", "I"),))
PURCHASE_TAC = Record(
    "PurchaseTac",
    22,
    (("amount_fen", "I"), ("type", "B"), ("terminal", "6s"), ("terminal_seq", "I"), ("at", "7s")),
)
LOAD_MAC1 = Record("LoadMac1", 15, (("balance_fen", "I"), ("amount_fen", "I"), ("type", "B"), ("terminal", "6s")))
LOAD_MAC2 = Record("LoadMac2", 18, (("amount_fen", "I"), ("type", "B"), ("terminal", "6s"), ("at", "7s")))
LOAD_TAC = Record(
    "LoadTac",
    24,
    (
        ("balance_fen", "I"),  # after the load, with the overdraft limit
        ("counter", "H"),  # online counter before the increment
        ("amount_fen", "I"),
        ("type", "B"),
        ("terminal", "6s"),
        ("at", "7s"),
    ),
)


class TripleDesSuite:
    """16-byte keys, single DES for the MACs. Confirmed by every public trace."""

    def diversify(self, key: bytes, factor: bytes) -> bytes:
        """16 bytes: 3DES over the 8-byte factor, then over its complement."""
        cipher = TripleDes(key)
        return cipher.encrypt(factor) + cipher.encrypt(_complement(factor))

    def session_key(self, card_key: bytes, block: bytes) -> bytes:
        """8 bytes: 3DES over the 8-byte block of random and counters."""
        return TripleDes(card_key).encrypt(block)

    def tac_key(self, card_key: bytes) -> bytes:
        """8 bytes: the halves xored; a key of 8 bytes is used as it is."""
        if len(card_key) == 8:
            return card_key
        if len(card_key) != 16:
            raise BadInput("a TAC key has 16 bytes, or 8")
        return bytes(card_key[i] ^ card_key[i + 8] for i in range(8))

    def mac(self, key: bytes, message: bytes) -> bytes:
        """4 bytes, CBC-MAC."""
        return cbc_mac(Des(key), message)


class Sm4Suite:
    """16-byte keys throughout; the 8-byte inputs are followed by their complement to fill a block. Inferred."""

    def diversify(self, key: bytes, factor: bytes) -> bytes:
        """16 bytes."""
        return Sm4(key).encrypt(factor + _complement(factor))

    def session_key(self, card_key: bytes, block: bytes) -> bytes:
        """16 bytes."""
        return Sm4(card_key).encrypt(block + _complement(block))

    def tac_key(self, card_key: bytes) -> bytes:
        """16 bytes, the key itself."""
        return card_key

    def mac(self, key: bytes, message: bytes) -> bytes:
        """4 bytes, CBC-MAC."""
        return cbc_mac(Sm4(key), message)


TYPE_CHECKING = False
if TYPE_CHECKING:
    Suite = TripleDesSuite | Sm4Suite

# Algorithm identifier of the INITIALIZE answer. 00 in every trace; 04 from one settlement code table.
SUITES: "dict[int, Suite]" = {0x00: TripleDesSuite(), 0x04: Sm4Suite()}


def suite(algorithm: int) -> "Suite":
    """The suite of an algorithm identifier; raises BadInput for one that nobody has described."""
    if algorithm not in SUITES:
        raise BadInput("no such algorithm identifier: %02X" % algorithm)
    return SUITES[algorithm]


def card_key(suite: "Suite", master: bytes, issuer: bytes, serial: bytes) -> bytes:
    """A card's own key from a root key.

    issuer   8-byte issuer identifier, file 15h offset 0
    serial   10-byte application serial number, file 15h offset 10; its last 8 bytes count
    """
    return suite.diversify(suite.diversify(master, issuer), card_factor(serial))


def card_factor(serial: bytes) -> bytes:
    """The last 8 of the 10 bytes of the application serial number: the card's diversification factor."""
    if len(serial) != 10:
        raise BadInput("an application serial number has 10 bytes")
    return serial[2:]


def purchase_session(suite: "Suite", card_key: bytes, random: bytes, counter: int, terminal_seq: int) -> bytes:
    """The session key of one purchase, never stored.

    random        4 bytes from the card's INITIALIZE answer
    counter       the card's offline counter before the purchase, 0..0xFFFF
    terminal_seq  the SAM's transaction counter; its low 2 bytes count
    """
    block = PURCHASE_SESSION.pack(random=random, counter=counter, terminal_low=terminal_seq & 0xFFFF)
    return suite.session_key(card_key, block)


def load_session(suite: "Suite", card_key: bytes, random: bytes, counter: int) -> bytes:
    """The session key of one load: online counter, and 8000 where a purchase has the terminal's."""
    return suite.session_key(card_key, LOAD_SESSION.pack(random=random, counter=counter, constant=0x8000))


def _complement(block: bytes) -> bytes:
    out = bytearray(block)
    xor_block(out, b"\xff" * len(block), 0)
    return bytes(out)
