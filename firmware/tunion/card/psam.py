"""The purchase SAM (PSAM) in a terminal's slot: it holds the master keys, proves the terminal, checks the card.

Command data of INIT SAM FOR PURCHASE list the derivation factors from the card upwards; the SAM derives from the
top down. JT/T 978.6.
"""

from tunion.card.apdu import Command
from tunion.card.refusals import MacRejected, NoKey, WrongState
from tunion.record import Record

APPLICATION_FID = b"\x80\x11"
APPLICATION_NAME = b"\xa0\x00\x00\x06\x32MOT.CPSAM01"

TERMINAL_SFI = 0x16  # in the MF: the SAM's number, which is the terminal number in every MAC
IDENTITY_SFI = 0x15
APPLICATION_SFI = 0x17

TERMINAL = Record("TerminalFile", 6, (("terminal", "6s"),))
IDENTITY = Record(
    "SamIdentity",
    14,
    (("serial", "10s"), ("version", "B"), ("key_card", "B"), ("commands", "B"), ("fci", "B")),
)
APPLICATION = Record(
    "SamApplication",
    25,
    (("key_index", "B"), ("issuer", "8s"), ("receiver", "8s"), ("start", "4s"), ("expiry", "4s")),
)

_SAM_REFUSALS = {0x6901: WrongState, 0x6985: WrongState, 0x6A88: NoKey, 0x9403: NoKey, 0x9302: MacRejected}
INIT_SAM_FOR_PURCHASE = Command(
    "INIT SAM FOR PURCHASE",
    head=b"\x80\x70\x00\x00",
    data=Record(
        "InitSamData",
        36,
        (
            ("random", "4s"),
            ("counter", "H"),
            ("amount_fen", "I"),
            ("type", "B"),
            ("at", "7s"),
            ("key_version", "B"),
            ("algorithm", "B"),
            ("card", "8s"),  # last 8 bytes of the application serial number
            ("issuer", "8s"),
        ),
    ),
    reply=Record("InitSamReply", 8, (("terminal_seq", "I"), ("mac1", "4s"))),
    le=0x08,
    refusals=_SAM_REFUSALS,
)
FACTORS_AT = 20  # in the data above: 8 bytes a level follow, from the card upwards. JT/T 978 has two levels
INIT_SAM_BY_LEVELS = Command(
    "INIT SAM FOR PURCHASE",
    head=b"\x80\x70\x00\x00",
    reply=INIT_SAM_FOR_PURCHASE.reply,
    le=0x08,
    refusals=_SAM_REFUSALS,
)
CREDIT_SAM_FOR_PURCHASE = Command(
    "CREDIT SAM FOR PURCHASE",
    head=b"\x80\x72\x00\x00",
    data=Record("CreditSamData", 4, (("mac2", "4s"),)),
    refusals=_SAM_REFUSALS,
)
# P1: levels in bits 8-6, key use in bits 5-1; P2: key version. Here maintenance, two levels.
INIT_FOR_DESCRYPT = Command(
    "INIT FOR DESCRYPT",
    head=b"\x80\x1a\x45\x02",
    data=Record("InitDescryptData", 16, (("card", "8s"), ("issuer", "8s"))),
    refusals=_SAM_REFUSALS,
)
INIT_BY_LEVELS = Command("INIT FOR DESCRYPT", head=b"\x80\x1a\x45\x02", refusals=_SAM_REFUSALS)
# P1 05: one MAC over padded blocks, the first 8 data bytes are its initial value.
DESCRYPT_MAC = Command(
    "DESCRYPT",
    head=b"\x80\xfa\x05\x00",
    reply=Record("DescryptMac", 4, (("mac", "4s"),)),
    refusals=_SAM_REFUSALS,
)
