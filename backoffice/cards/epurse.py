"""A finished card at the counter: who it is, what is in its purse, and proofs of both. JT/T 978.2, JT/T 978.6"""

import secrets
from typing import Any, NamedTuple

from backoffice.cards.line import CardGone, Line
from backoffice.keys.backend import KeyPath
from backoffice.keys.service import KeyService
from backoffice.keys.suites import ALGORITHMS
from backoffice.store.card_states import CardsRefused
from tunion import bcd
from tunion.card import files, purse
from tunion.card.apdu import Card, Command
from tunion.card.product import NATIONAL, Facts, Product, facts, opened, read_on
from tunion.card.refusals import Blocked, CardRefused, LinkLost
from tunion.crypto import keys as proofs
from tunion.crypto.keys import card_factor
from tunion.record import BadInput

NONCE_FEN_MAX = 0xFFFFFF  # asked for and never credited: an answer recorded earlier fits one in 16 million of them
BLOCKED_FOR_GOOD = 0x9303
APPLICATION_BLOCK, APPLICATION_BLOCK_FOR_GOOD = bytes.fromhex("841E0000"), bytes.fromhex("841E0001")
APPLICATION_UNBLOCK = bytes.fromhex("84180000")
UPDATE_UNDER_MAINTENANCE = bytes.fromhex("04D6")
_LOAD_CONSTANT = 0x8000
_RAIL_OPEN, _BUS_OPEN = (1, 3), (1,)  # states of 2701 and 2702 at which a trip is open
_STATE_AT = 14


class NotThisCard(CardsRefused):
    """Another card lies on the reader."""


class Unproven(CardsRefused):
    """The card's proof is wrong: it is none of ours, or somebody is between."""


class BlockedCard(CardsRefused):
    """The card is blocked. `for_good`: nobody can unblock it."""

    def __init__(self, for_good: bool) -> None:
        super().__init__("the card is blocked" + (" for good" if for_good else ": go on with its case, by number"))
        self.for_good = for_good


class Refused(CardsRefused):
    """The card said no to a command."""


class OpenTrip(CardsRefused):
    """A trip has begun on this card and has not ended."""


class Offer(NamedTuple):
    """What INITIALIZE FOR LOAD said, MAC1 checked."""

    balance_fen: int
    counter: int
    key_version: int
    algorithm: int
    random: bytes


class _Link:
    """A line in the shape that tunion.card takes."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def transceive(self, apdu: bytes, wait_ms: int) -> bytes:
        return self._line.transceive(apdu)


class Epurse:
    """One application of one card on a line.

    Raises CardGone for a card that left, CardsRefused and its kinds for one that says no.
    """

    def __init__(self, line: Line, keys: KeyService, product: Product = NATIONAL) -> None:
        self._line = line
        self._keys = keys
        self._product = product
        self._card = Card(_Link(line))
        self.facts: Facts | None = None

    def open(self) -> Facts:
        """Reset, SELECT, read its files. Raises BlockedCard, NotThisCard where it has no such application."""
        self._line.power_on()
        try:
            found = opened(self._product, self._card)
            read_on(self._product, self._card, found)
            self.facts = facts(self._product, found)
        except Blocked as error:
            raise BlockedCard(error.sw == BLOCKED_FOR_GOOD) from error
        except CardRefused as error:
            raise NotThisCard(f"this is no card of {self._product.name}: {error}") from error
        except BadInput as error:
            raise NotThisCard(f"this card's files are in disorder: {error}") from error
        except LinkLost as error:
            raise CardGone(str(error)) from error
        return self.facts

    def close(self) -> None:
        self._line.power_off()

    @property
    def serial(self) -> bytes:
        """10 bytes."""
        assert self.facts is not None, "open first"
        serial: bytes = self.facts.serial
        return serial

    @property
    def number(self) -> str:
        """19 digits."""
        return bcd.to_digits(self.serial)[1:]

    @property
    def is_national(self) -> bool:
        return self._product is NATIONAL

    def require(self, number: str) -> None:
        if self.number != number:
            raise NotThisCard("another card lies on the reader: put the one of this case on it")

    def path(self, purpose: str, algorithm: int, version: int) -> KeyPath:
        """Of this card. Raises NoKey."""
        assert self.facts is not None, "open first"
        product, name = self._product.number, ALGORITHMS.get(algorithm, "")
        return self._keys.path(
            purpose, name, version, self.facts.issuer, card_factor(self.serial), product=product
        )

    def offer(self, amount_fen: int, terminal: bytes) -> Offer:
        """INITIALIZE FOR LOAD, its MAC1 checked. Changes nothing on the card. Raises Unproven, NoKey."""
        index = self._product.key_index or 1
        said = self.send(
            purse.INITIALIZE_FOR_LOAD, key_index=index, amount_fen=amount_fen, terminal=terminal
        )
        session = proofs.LOAD_SESSION.pack(random=said.random, counter=said.counter, constant=_LOAD_CONSTANT)
        covered = proofs.LOAD_MAC1.pack(
            balance_fen=said.balance_fen, amount_fen=amount_fen, type=proofs.LOAD, terminal=terminal
        )
        path = self.path("load", said.algorithm, said.key_version)
        if said.mac1 != self._keys.session_mac(path, session, covered):
            raise Unproven("the card's MAC1 is wrong: take no money for it, and keep the card")
        return Offer(said.balance_fen, said.counter, said.key_version, said.algorithm, said.random)

    def proved(self, terminal: bytes) -> Offer:
        """Balance and load counter, proved now: the amount asked for is new each time, and nothing follows."""
        return self.offer(1 + secrets.randbelow(NONCE_FEN_MAX), terminal)

    def balance_fen(self) -> int:
        """As the card states it, unproved; its overdraft limit taken off where it knows one."""
        return int(self.send(purse.GET_BALANCE).balance_fen) - self.limit_fen()

    def limit_fen(self) -> int:
        """Its overdraft limit, which each balance it states includes; 0 where it knows none."""
        try:
            return int(self.send(purse.GET_BALANCE, p1=1).balance_fen)
        except Refused:
            return 0

    def credit(self, offer: Offer, amount_fen: int, terminal: bytes, at: bytes) -> bytes:
        """CREDIT FOR LOAD: the TAC. MAC2 must be written down before."""
        session = proofs.LOAD_SESSION.pack(random=offer.random, counter=offer.counter, constant=_LOAD_CONSTANT)
        covered = proofs.LOAD_MAC2.pack(amount_fen=amount_fen, type=proofs.LOAD, terminal=terminal, at=at)
        path = self.path("load", offer.algorithm, offer.key_version)
        mac2 = self._keys.session_mac(path, session, covered)
        tac: bytes = self.send(purse.CREDIT_FOR_LOAD, at=at, mac2=mac2).tac
        return tac

    def load_proof(self, counter: int) -> bytes | None:
        """The TAC of its last transaction, if that was the load that began at `counter`."""
        try:
            tac: bytes = self.send(purse.GET_TRANSACTION_PROVE, p2=proofs.LOAD, counter=counter + 1).tac
        except Refused:
            return None
        return tac

    def tac_is_right(
        self, tac: bytes, version: int, algorithm: int, balance_fen: int, counter: int, amount_fen: int,
        terminal: bytes, at: bytes,
    ) -> bool:  # fmt: skip
        """`balance_fen` after the load, `counter` before it."""
        covered = proofs.LOAD_TAC.pack(
            balance_fen=balance_fen, counter=counter, amount_fen=amount_fen, type=proofs.LOAD, terminal=terminal, at=at
        )
        return tac == self._keys.tac(self.path("tac", algorithm, version), covered)

    def require_no_trip(self) -> None:
        """Raises OpenTrip. A card without compound records has none."""
        for number, open_states in ((1, _RAIL_OPEN), (2, _BUS_OPEN)):
            try:
                record: bytes = self.send(files.READ_RECORD, p1=number, p2=0x1A << 3 | 4)
            except Refused:
                continue
            if record[:1] == b"\x27" and len(record) > _STATE_AT and record[_STATE_AT] in open_states:
                raise OpenTrip("a trip on this card has not ended: settle it at the service desk first")

    def read_public(self) -> bytes:
        """File 15h, 30 bytes."""
        raw: bytes = self.send(files.READ_BINARY, p1=0x80 | files.PUBLIC_SFI, le=files.PUBLIC.size)
        return raw

    def update(self, version: int, sfi: int, at: int, content: bytes) -> None:
        """UPDATE BINARY with CLA 04 under the card's maintenance key of that version."""
        self.secured(version, UPDATE_UNDER_MAINTENANCE + bytes((0x80 | sfi, at)), content)

    def block(self, version: int, for_good: bool = False) -> None:
        """APPLICATION BLOCK; also of one that is blocked. That it is obeyed proves which card this is."""
        self.secured(version, APPLICATION_BLOCK_FOR_GOOD if for_good else APPLICATION_BLOCK)

    def take_for(self, facts: Facts, version: int) -> None:
        """A blocked card tells nothing: whether it is the one of these facts, its maintenance key says. Unblocks it.

        Raises NotThisCard, BlockedCard for one that nobody can unblock.
        """
        self._line.power_on()
        try:
            self._card.send(files.SELECT, raw=self._product.aid)
        except Blocked as error:
            if error.sw == BLOCKED_FOR_GOOD:
                raise BlockedCard(True) from error
        except LinkLost as error:
            raise CardGone(str(error)) from error
        self.facts = facts
        try:
            self.block(version)
            self.secured(version, APPLICATION_UNBLOCK)
        except Refused as error:
            raise NotThisCard("another card lies on the reader: put the one of this case on it") from error

    def secured(self, version: int, head: bytes, content: bytes = b"") -> None:
        """One command under the card's maintenance key, 3DES."""
        path = self.path("maintenance", 0, version)
        challenge = self.send(purse.GET_CHALLENGE).random
        covered = head + bytes((len(content) + 4,)) + content
        mac = self._keys.maintenance_mac(path, challenge, covered)
        self.send(Command("secured command", head), raw=content + mac)

    def send(self, command: Command, **values: Any) -> Any:
        try:
            return self._card.send(command, **values)
        except Blocked as error:
            raise BlockedCard(error.sw == BLOCKED_FOR_GOOD) from error
        except CardRefused as error:
            raise Refused(f"the card refuses: {error}") from error
        except LinkLost as error:
            raise CardGone(str(error)) from error
