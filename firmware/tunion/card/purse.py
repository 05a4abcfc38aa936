"""The e-purse: balance, purchase, compound purchase, load, proof, blocking. JT/T 978.2, PBOC 2.0 e-purse."""

from tunion.card.apdu import Command
from tunion.card.refusals import Blocked, CounterSpent, MacRejected, NoKey, NoProof, NotEnoughMoney, WrongState
from tunion.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INITIALIZE_REFUSALS: "dict[int, Any]" = {
    0x9401: NotEnoughMoney,
    0x9402: CounterSpent,
    0x9403: NoKey,
    0x6283: Blocked,
    0x6284: Blocked,
    0x6A81: Blocked,
    0x9303: Blocked,
    0x6985: Blocked,
}

_INITIALIZE_DATA = Record("InitializeData", 11, (("key_index", "B"), ("amount_fen", "I"), ("terminal", "6s")))
_OFFER = Record(
    "Offer",
    15,
    (
        ("balance_fen", "I"),  # before, with the overdraft limit
        ("counter", "H"),  # offline counter before the increment
        ("limit_fen", "T"),
        ("key_version", "B"),
        ("algorithm", "B"),  # to the SAM as it is
        ("random", "4s"),
    ),
)

INITIALIZE_FOR_PURCHASE = Command(
    "INITIALIZE FOR PURCHASE",
    head=b"\x80\x50\x01\x02",
    data=_INITIALIZE_DATA,
    reply=_OFFER,
    le=0x0F,
    refusals=_INITIALIZE_REFUSALS,
)
INITIALIZE_FOR_COMPOUND = Command(
    "INITIALIZE FOR CAPP PURCHASE",
    head=b"\x80\x50\x03\x02",
    data=_INITIALIZE_DATA,
    reply=_OFFER,
    le=0x0F,
    refusals=_INITIALIZE_REFUSALS,
)
UPDATE_COMPOUND = Command("UPDATE CAPP DATA CACHE", head=b"\x80\xdc\x00\x00", refusals={0x6901: WrongState})
DEBIT_FOR_PURCHASE = Command(
    "DEBIT FOR PURCHASE",
    head=b"\x80\x54\x01\x00",
    data=Record("DebitData", 15, (("terminal_seq", "I"), ("at", "7s"), ("mac1", "4s"))),
    reply=Record("DebitReply", 8, (("tac", "4s"), ("mac2", "4s"))),
    le=0x08,
    refusals={0x9302: MacRejected, 0x9401: NotEnoughMoney, 0x6901: WrongState},
)
GET_TRANSACTION_PROVE = Command(
    "GET TRANSACTION PROVE",
    head=b"\x80\x5a\x00\x00",  # P2: the transaction type asked about
    data=Record("ProveData", 2, (("counter", "H"),)),  # the counter after the commit
    reply=Record("Proof", 8, (("mac2", "4s"), ("tac", "4s"))),  # the other order than DEBIT
    le=0x08,
    refusals={0x9406: NoProof},
)
GET_BALANCE = Command(
    "GET BALANCE",
    head=b"\x80\x5c\x00\x02",  # P1: 00 with the limit, 01 the limit, 02 overdraft used, 03 own money
    reply=Record("Balance", 4, (("balance_fen", "I"),)),
    le=0x04,
    refusals={0x6A81: Blocked},
)

INITIALIZE_FOR_LOAD = Command(
    "INITIALIZE FOR LOAD",
    head=b"\x80\x50\x00\x02",
    data=_INITIALIZE_DATA,
    reply=Record(
        "LoadOffer",
        16,
        (
            ("balance_fen", "I"),
            ("counter", "H"),  # online counter before the increment
            ("key_version", "B"),
            ("algorithm", "B"),
            ("random", "4s"),
            ("mac1", "4s"),
        ),
    ),
    le=0x10,
    refusals=_INITIALIZE_REFUSALS,
)
CREDIT_FOR_LOAD = Command(
    "CREDIT FOR LOAD",
    head=b"\x80\x52\x00\x00",
    data=Record("CreditData", 11, (("at", "7s"), ("mac2", "4s"))),
    reply=Record("CreditReply", 4, (("tac", "4s"),)),
    le=0x04,
    refusals={0x9302: MacRejected, 0x6901: WrongState},
)

GET_CHALLENGE = Command(
    "GET CHALLENGE", head=b"\x00\x84\x00\x00", reply=Record("Challenge", 4, (("random", "4s"),)), le=0x04
)
_BLOCK_DATA = Record("BlockData", 4, (("mac", "4s"),))
_BLOCK_REFUSALS: "dict[int, Any]" = {0x6988: MacRejected, 0x6984: WrongState, 0x9303: Blocked}
APPLICATION_BLOCK = Command("APPLICATION BLOCK", b"\x84\x1e\x00\x00", data=_BLOCK_DATA, refusals=_BLOCK_REFUSALS)
APPLICATION_UNBLOCK = Command("APPLICATION UNBLOCK", b"\x84\x18\x00\x00", data=_BLOCK_DATA, refusals=_BLOCK_REFUSALS)
