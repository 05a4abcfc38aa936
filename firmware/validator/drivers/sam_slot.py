"""The Sam port over a PSAM in a slot: any link that carries APDUs, PC/SC now, a UART of the board as well.

The SAM keeps the keys and its transaction counter; this keeps track of which purchase it has open, so that a MAC2
of another purchase can never reach it: some SAMs lock their key after a few wrong ones.
"""

from tunion import bcd
from tunion.card import files, psam
from tunion.card.apdu import Card
from tunion.card.product import FACTOR_BYTES, NATIONAL, factors
from tunion.card.refusals import CardRefused, LinkLost, MacRejected, NoKey, Unproven
from tunion.compat import const
from tunion.crypto.keys import card_factor
from tunion.crypto.mac import padded
from tunion.record import BadInput
from validator.ports import Forgotten, ReaderLost, SamLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from tunion.card.apdu import Command
    from validator.ports import Clock, Identity

    class Slot(Protocol):
        """Where the SAM sits."""

        def open(self) -> None: ...
        def activate(self, wait_ms: int) -> bool: ...
        def transceive(self, apdu: bytes, wait_ms: int) -> bytes: ...

    class LineSlot(Slot, Protocol):
        """A slot whose SAM can be left to its work."""

        def start(self, apdu: bytes, wait_ms: int) -> None: ...
        def finish(self) -> bytes: ...


_INSERT_WAIT_MS = const(2000)  # a slot tells within a second of its start whether it holds a SAM
_ANSWER_WAIT_MS = const(3000)  # INIT SAM FOR PURCHASE derives twice; slow SAMs take 600 ms
_READ_TERMINAL = 0x80 | psam.TERMINAL_SFI  # P1 of READ BINARY by SFI
_READ_IDENTITY = 0x80 | psam.IDENTITY_SFI
_READ_APPLICATION = 0x80 | psam.APPLICATION_SFI
_MAC2_TRIES_LEFT = const(0x63C)  # 63Cx: wrong, x tries left; a SAM's other way to say 9302
_MAINTENANCE = const(5)  # key use of INIT FOR DESCRYPT, bits 5 to 1 of P1; bits 8 to 6: levels
_CLOCK_UNKNOWN = const(0)  # Clock.quality


class SamSlot:
    """A purchase SAM in a slot. `terminal` (6 bytes BCD), `key_index` and `identity` are valid after `open`."""

    def __init__(self, slot: "Slot | LineSlot", clock: "Clock") -> None:
        self._slot: Any = slot
        self._card = Card(slot, _ANSWER_WAIT_MS)
        self._clock = clock
        self._application: Any = None
        self._works_alone = hasattr(slot, "start")  # on a line of its own
        self._asked = b""
        self._purchase_open = False
        self.terminal = bytes(6)
        self.key_index = 0
        self.identity: Any = None  # psam.IDENTITY, None where the SAM has no such file

    def open(self) -> None:
        """Reset the SAM, read who it is, select its application. Raises SamLost, naming what to do."""
        self._purchase_open = False
        self._application = None
        try:
            self._slot.open()
            if not self._slot.activate(_INSERT_WAIT_MS):
                raise SamLost("no SAM in its slot: insert it")
            self._read_numbers()
            self._select()
            application = psam.APPLICATION.unpack(
                self._card.send(files.READ_BINARY, p1=_READ_APPLICATION, le=psam.APPLICATION.size)
            )
        except (LinkLost, ReaderLost) as error:
            raise _gone(error)
        except (CardRefused, BadInput) as error:
            raise SamLost("the card in the SAM slot is no purchase SAM (%s): insert the right one" % error)
        self.key_index = application.key_index
        self._application = application
        if self._clock.quality() != _CLOCK_UNKNOWN:
            self._check_dates(bcd.stamp(self._clock.now_s()))

    @property
    def expiry(self) -> bytes:
        """The last day it signs, 4 bytes BCD; b"" before `open`."""
        return bytes(self._application.expiry) if self._application is not None else b""

    def prepare(self, card: "Identity") -> None:
        """A SAM derives when it is asked to sign."""

    def sign(self, offer: "Any", card: "Identity", amount_fen: int, type: int, at: bytes) -> "Any":
        """`begin` and `signed` in one."""
        self.begin(offer, card, amount_fen, type, at)
        return self.signed()

    def begin(self, offer: "Any", card: "Identity", amount_fen: int, type: int, at: bytes) -> None:
        """INIT SAM FOR PURCHASE. Where the slot has a line of its own the SAM works while the caller goes on.

        offer  the card's INITIALIZE answer
        at     7 bytes BCD YYYYMMDDhhmmss, local, the bytes that DEBIT will carry
        raises SamLost
        """
        self._purchase_open = False
        if self._application is None:
            raise SamLost("the SAM is not open")
        self._check_dates(at)
        fields = {
            "random": offer.random,
            "counter": offer.counter,
            "amount_fen": amount_fen,
            "type": type,
            "at": at,
            "key_version": offer.key_version,
            "algorithm": offer.algorithm,
            "card": card_factor(card.serial),
            "issuer": card.issuer,
        }
        if card.product.factors == NATIONAL.factors:
            apdu = psam.INIT_SAM_FOR_PURCHASE.encode(**fields)
        else:
            record = psam.INIT_SAM_FOR_PURCHASE.data
            assert record is not None
            head = record.pack(**fields)[: psam.FACTORS_AT]
            apdu = psam.INIT_SAM_BY_LEVELS.encode(head + factors(card.product, card.serial, card.issuer))
        self._asked = apdu
        if self._works_alone:
            try:
                self._slot.start(apdu, _ANSWER_WAIT_MS)
            except (LinkLost, ReaderLost) as error:
                raise _gone(error)

    def signed(self) -> "Any":
        """(terminal_seq, mac1) of what was begun. Raises SamLost; CardRefused for a key the SAM lacks."""
        apdu = self._asked
        try:
            first = self._slot.finish() if self._works_alone else self._slot.transceive(apdu, _ANSWER_WAIT_MS)
            reply = self._card.taken(psam.INIT_SAM_FOR_PURCHASE, apdu, True, first)
        except (LinkLost, ReaderLost) as error:
            raise _gone(error)
        self._purchase_open = True
        return reply

    def check(self, mac2: bytes) -> None:
        """CREDIT SAM FOR PURCHASE: ends the purchase of the last `sign`, and the SAM's counter moves on.

        raises  Unproven where MAC2 is wrong; SamLost; Forgotten where the SAM was opened since
        """
        if not self._purchase_open:
            raise Forgotten("a MAC2 is checked once, right after its own sign")
        self._purchase_open = False
        try:
            self._send(psam.CREDIT_SAM_FOR_PURCHASE, mac2=mac2)
        except MacRejected as refusal:
            raise Unproven(str(refusal))
        except CardRefused as refusal:
            if refusal.sw >> 4 == _MAC2_TRIES_LEFT:
                raise Unproven(str(refusal))
            raise SamLost("%s: open it again" % refusal)  # it forgot the purchase: it was reset

    def block_mac(self, card: "Identity", challenge: bytes, command: bytes) -> "bytes | None":
        """The 4-byte MAC of a secure command, or None where this SAM holds no maintenance key.

        challenge  4 bytes of the card's GET CHALLENGE
        command    CLA INS P1 P2 Lc and data without the MAC; Lc counts the MAC
        """
        self._purchase_open = False  # the SAM has one working key at a time
        try:
            levels = factors(card.product, card.serial, card.issuer)
            self._send(psam.INIT_BY_LEVELS, p1=len(levels) // FACTOR_BYTES << 5 | _MAINTENANCE, raw=levels)
            reply = self._send(psam.DESCRYPT_MAC, raw=challenge[:4] + bytes(4) + padded(command, 8))
        except NoKey:
            return None
        mac: bytes = reply.mac
        return mac

    def _read_numbers(self) -> None:
        """The two files of the MF."""
        raw = self._card.send(files.READ_BINARY, p1=_READ_TERMINAL, le=psam.TERMINAL.size)
        self.terminal = psam.TERMINAL.unpack(raw).terminal
        if not bcd.is_bcd(self.terminal):
            raise BadInput("its terminal number is not BCD")
        try:
            raw = self._card.send(files.READ_BINARY, p1=_READ_IDENTITY, le=psam.IDENTITY.size)
            self.identity = psam.IDENTITY.unpack(raw)
        except CardRefused:  # one source only has this file; nothing depends on it
            self.identity = None

    def _select(self) -> None:
        """By file identifier, and by name where the SAM knows that only."""
        try:
            self._card.send(files.SELECT_FILE, raw=psam.APPLICATION_FID)
        except CardRefused:
            self._card.send(files.SELECT, raw=psam.APPLICATION_NAME)

    def _check_dates(self, at: bytes) -> None:
        """Expired SAMs do not work: clearing would refuse the records. The dates count in, BCD sorts."""
        if not self._application.start <= at[:4] <= self._application.expiry:
            raise SamLost(
                "the SAM is valid from %s to %s, today is %s: replace it, or set the clock"
                % (self._application.start.hex(), self._application.expiry.hex(), at[:4].hex())
            )

    def _send(self, command: "Command", **values: "Any") -> "Any":
        """As Card.send; the SAM's line is not the passenger's card, so LinkLost becomes SamLost."""
        try:
            return self._card.send(command, **values)
        except (LinkLost, ReaderLost) as error:
            raise _gone(error)


def _gone(error: Exception) -> SamLost:
    return SamLost("the SAM does not answer (%s): reseat it" % error)
