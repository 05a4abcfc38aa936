"""The Sam port in software, for boards without a SAM slot. Weaker than a SAM, and limited for that reason.

It holds purchase keys of a few issuers, not of a scheme; has one terminal number, which marks its records in
clearing; expires; and is withdrawn by a blob of a higher generation. It never holds a maintenance key.
Layout and reasons: firmware/docs/soft_sam.md.
"""

from collections import namedtuple

from tunion import bcd
from tunion.card.refusals import NoKey, Unproven
from tunion.compat import const
from tunion.cose import same
from tunion.crypto import keys
from tunion.record import BadInput
from tunion.wire.soft_sam import FLAG_TEST, open_blob
from validator.ports import Forgotten, SamLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tunion.wire.soft_sam import Cipher
    from validator.ports import Clock, Identity

_NO_KEY = const(0x9403)  # what a real SAM answers
_CLOCK_UNKNOWN = const(0)  # Clock.quality

Signed = namedtuple("Signed", ("terminal_seq", "mac1"))


class SoftSam:
    """A SAM in software. `terminal` (6 bytes BCD), `key_index` and `test` are valid after `open`.

    next_seq        the terminal counter to begin with: one more than the highest that was ever used
    generation_min  blobs of a lower generation are revoked; 0 where none is known to be
    """

    soft = True

    def __init__(
        self,
        blob: bytes,
        storage_key: bytes,
        aes_cbc_decrypt: "Cipher",
        clock: "Clock",
        next_seq: int,
        generation_min: int = 0,
    ) -> None:
        self._blob = blob
        self._storage_key = storage_key
        self._decrypt = aes_cbc_decrypt
        self._clock = clock
        self._seq = next_seq
        self._generation_min = generation_min
        self._head: Any = None
        self._keys: dict[int, dict[bytes, bytes]] = {}  # key version -> issuer -> key
        self._version = 0  # of the key that `prepare` takes: what the last card had
        self._card_of_key = b""  # whose card key is at hand: a torn card comes back at once
        self._version_of_key = 0
        self._card_key = b""
        self._purchase: tuple[Any, bytes, int] | None = None
        self._begun: tuple[Any, ...] = ()
        self.terminal = bytes(6)
        self.key_index = 0
        self.test = True

    def open(self) -> None:
        """Check and unwrap the blob. Raises SamLost, naming what to do."""
        self._purchase = None
        self._head = None
        self._card_key = b""
        try:
            head, self._keys = open_blob(self._blob, self._storage_key, self._decrypt)
        except BadInput as error:
            raise SamLost("%s: provision this device again" % error)
        if head.generation < self._generation_min or not self._keys:
            self._keys = {}
            raise SamLost("the soft SAM was withdrawn: fetch a new one from the back office")
        self._head = head
        self._version = max(self._keys)
        self.terminal = head.terminal
        self.key_index = head.key_index
        self.test = head.flags & FLAG_TEST != 0
        if self._clock.quality() != _CLOCK_UNKNOWN:
            self._check_dates(bcd.stamp(self._clock.now_s()))

    @property
    def expiry(self) -> bytes:
        """The last day it signs, 4 bytes BCD; b"" before `open`."""
        return bytes(self._head.expiry) if self._head is not None else b""

    def prepare(self, card: "Identity") -> None:
        """Derive the card's key, while the card is busy. A card whose issuer has no key here is left alone.

        Its key version it tells only later, so this is a guess while keys are rolled over; `sign` derives anew where
        it was wrong.
        """
        if self._head is not None and card.issuer in self._keys[self._version]:
            self._derive(keys.suite(self._head.algorithm), card, self._version)

    def begin(self, offer: "Any", card: "Identity", amount_fen: int, type: int, at: bytes) -> None:
        """As `sign`, whose work `signed` does."""
        self._begun = (offer, card, amount_fen, type, at)

    def signed(self) -> Signed:
        """As `sign`, of what was begun."""
        return self.sign(*self._begun)

    def sign(self, offer: "Any", card: "Identity", amount_fen: int, type: int, at: bytes) -> Signed:
        """(terminal_seq, mac1), as INIT SAM FOR PURCHASE answers.

        offer  the card's INITIALIZE answer
        at     7 bytes BCD YYYYMMDDhhmmss, local, the bytes that DEBIT will carry
        raises SamLost; NoKey for an issuer, version or algorithm that is not in the blob
        """
        self._purchase = None
        if self._head is None:
            raise SamLost("the soft SAM is not open")
        self._check_dates(at)
        head = self._head
        version = offer.key_version
        if version not in self._keys or card.issuer not in self._keys[version] or offer.algorithm != head.algorithm:
            raise NoKey(_NO_KEY, "the soft SAM")
        suite = keys.suite(head.algorithm)
        self._version = version
        self._derive(suite, card, version)
        session = keys.purchase_session(suite, self._card_key, offer.random, offer.counter, self._seq)
        message = keys.PURCHASE_MAC1.pack(amount_fen=amount_fen, type=type, terminal=self.terminal, at=at)
        self._purchase = (suite, session, amount_fen)
        return Signed(self._seq, suite.mac(session, message))

    def check(self, mac2: bytes) -> None:
        """Ends the purchase of the last `sign`; the counter moves on where MAC2 is right, as a SAM's does.

        raises  Unproven where MAC2 is wrong; Forgotten where the SAM was opened since
        """
        if self._purchase is None:
            raise Forgotten("a MAC2 is checked once, right after its own sign")
        suite, session, amount_fen = self._purchase
        self._purchase = None
        if not same(suite.mac(session, keys.PURCHASE_MAC2.pack(amount_fen=amount_fen)), mac2):
            raise Unproven("the soft SAM finds MAC2 wrong")
        self._seq += 1

    def block_mac(self, card: "Identity", challenge: bytes, command: bytes) -> None:
        """None: a soft SAM holds no maintenance key, so it cannot block a card."""
        return None

    def _derive(self, suite: "Any", card: "Identity", version: int) -> None:
        of_card = card.issuer + card.serial
        if self._card_of_key != of_card or self._version_of_key != version or not self._card_key:
            self._card_key = suite.diversify(self._keys[version][card.issuer], keys.card_factor(card.serial))
            self._card_of_key = of_card
            self._version_of_key = version

    def _check_dates(self, at: bytes) -> None:
        """The dates count in, BCD sorts."""
        if not self._head.start <= at[:4] <= self._head.expiry:
            raise SamLost(
                "the soft SAM is valid from %s to %s, today is %s: fetch a new one, or set the clock"
                % (self._head.start.hex(), self._head.expiry.hex(), at[:4].hex())
            )
