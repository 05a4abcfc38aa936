"""Command APDUs as a card sees them. ISO 7816-4, short APDUs."""

from typing import NamedTuple

from simulator import sw

# Names of the exchanges, for faults, hooks and traces. One name per INS: `init` is any INITIALIZE.
NAMES = {
    0xA4: "select", 0xB0: "read-binary", 0xB2: "read-record", 0xC0: "get-response", 0x84: "challenge",
    0x50: "init", 0xDC: "update", 0x54: "debit", 0x52: "credit", 0x5A: "prove", 0x5C: "balance",
    0x1E: "block", 0x18: "unblock", 0x16: "card-block",
    0xCA: "chip", 0x82: "authenticate", 0xD4: "write-key", 0xE0: "create", 0xD6: "update-binary", 0xE2: "end-stage",
    0x70: "sam-init", 0x72: "sam-credit", 0x1A: "descrypt-init", 0xFA: "descrypt",
}  # fmt: skip


class Refused(Exception):
    """Carries a status word from where a check fails to where the answer is made."""

    def __init__(self, word: int) -> None:
        self.word = word
        super().__init__(f"{word:04X}")


class Apdu(NamedTuple):
    """One command. `le` is None where none was sent, 0 where everything is asked for."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    le: int | None


def parse(raw: bytes) -> Apdu:
    """Take a command apart; raises Refused 6700 where its lengths contradict each other."""
    if len(raw) < 4:
        raise Refused(sw.WRONG_LENGTH)
    cla, ins, p1, p2 = raw[:4]
    body = raw[4:]
    if len(body) < 2:
        return Apdu(cla, ins, p1, p2, b"", body[0] if body else None)
    length = body[0]
    if length == 0 or len(body) not in (1 + length, 2 + length):
        raise Refused(sw.WRONG_LENGTH)
    le = body[1 + length] if len(body) == 2 + length else None
    return Apdu(cla, ins, p1, p2, body[1 : 1 + length], le)


def name_of(raw: bytes) -> str:
    """The exchange's name, or `ins-XX` for a command without one."""
    if len(raw) < 2:
        return "stump"
    return NAMES.get(raw[1], f"ins-{raw[1]:02x}")


def status(word: int) -> bytes:
    return word.to_bytes(2, "big")


def need(condition: bool, word: int) -> None:
    """Refuse with this status word unless the condition holds."""
    if not condition:
        raise Refused(word)
