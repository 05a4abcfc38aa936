"""Read a card back and try its keys: what says that a card is good. JT/T 978.2, JT/T 978.6

Before the chip is closed: a compound purchase of 0 fen proves purchase and TAC key; the closing clears its traces.
After it: files, balance, counters, MAC1 of a load, and one byte of file 16h written over itself for the maintenance
key. Nothing is believed that the card did not just say.
"""

import hashlib
from typing import Any, NamedTuple

from backoffice.cards.channel import Channel, ChipRefused, MacRefused
from backoffice.cards.product import factor_of
from backoffice.cards.profile import Profile
from backoffice.keys.backend import KeyPath
from backoffice.keys.service import KeyService
from tunion.card import files, purse
from tunion.card.apdu import Command
from tunion.card.refusals import CardRefused, LinkLost
from tunion.crypto import keys as proofs
from tunion.record import BadInput

TRIAL_TERMINAL = bytes(6)  # no SAM has this number
TRIAL_AT = bytes.fromhex("20200101000000")
TRIAL_SEQ = 1
UPDATE_UNDER_MAINTENANCE = bytes.fromhex("04D6")
_LOAD_CONSTANT = 0x8000


class NotAsWritten(ChipRefused):
    """The card reads back otherwise than it was written, or a key of it is another."""

    cure = "this card is not good: it is scrapped, its number with it"

    def __init__(self, what: str) -> None:
        Exception.__init__(self, f"{what}: {self.cure}")
        self.step, self.word = what, 0


class CardKeys(NamedTuple):
    """Where the keys of one card are, by purpose."""

    purchase: KeyPath
    load: KeyPath
    tac: KeyPath
    maintenance: KeyPath


def card_keys(
    service: KeyService, profile: Profile, issuer: bytes, number: str, key_version: int, maintenance_version: int
) -> CardKeys:
    """Raises NoKey where the service lacks one, or it must make nothing new."""
    algorithms = {row.purpose: row.algorithm for row in profile.keys}
    versions = dict.fromkeys(CardKeys._fields, key_version) | {"maintenance": maintenance_version}
    return CardKeys(
        **{
            purpose: service.path(purpose, algorithms[purpose], versions[purpose], issuer, factor_of(number))
            for purpose in CardKeys._fields
        }
    )


class Reading:
    """One e-purse on a channel: every answer is taken into the hash of what was read."""

    def __init__(self, channel: Channel, service: KeyService) -> None:
        self._channel = channel
        self._service = service
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Of names and contents so far."""
        return self._hash.hexdigest()

    def say(self, command: Command, **values: Any) -> Any:
        """A declared command and its reply. Raises ChipRefused, CardGone."""
        raw = self._channel.exchange(command.name, command.encode(**values))
        try:
            return command.decode(raw + b"\x90\x00")
        except (LinkLost, CardRefused, BadInput) as error:
            raise NotAsWritten(f"{command.name} answers too little") from error

    def select(self, aid: bytes) -> bytes | None:
        """SELECT: file 15h as the FCI repeats it; None before the chip is closed. Raises NotAsWritten."""
        fci = self._channel.exchange("SELECT", files.SELECT.encode(raw=aid))
        try:
            return files.tlv_find(fci, (0x6F, 0xA5, 0x9F0C))
        except BadInput as error:
            raise NotAsWritten("the answer to SELECT is no TLV") from error

    def files(self, aid: bytes, written: dict[int, bytes], closed: bool) -> None:
        """SELECT, and each file byte for byte; of a closed card the FCI repeats file 15h. Raises NotAsWritten."""
        if self.select(aid) != written[files.PUBLIC_SFI] and closed:
            raise NotAsWritten("the answer to SELECT does not repeat file 15h: it is not closed")
        for sfi, content in sorted(written.items()):
            found = self._channel.read_binary(sfi, len(content))
            self._note(f"{sfi:02X}", found)
            if found != content:
                raise NotAsWritten(f"file {sfi:02X} reads otherwise than it was written")

    def empty(self, limit_fen: int) -> None:
        """Nothing is in the purse. Raises NotAsWritten."""
        balance_fen = self.say(purse.GET_BALANCE).balance_fen
        self._note("balance", balance_fen.to_bytes(4, "big"))
        if balance_fen != limit_fen:
            raise NotAsWritten("a new purse is not empty")

    def trial(self, card: CardKeys, key_index: int, algorithm: int, key_version: int) -> None:
        """A compound purchase of 0 fen: our MAC1 is obeyed, the card's MAC2 and TAC are right. Raises NotAsWritten."""
        offer = self.say(purse.INITIALIZE_FOR_COMPOUND, key_index=key_index, amount_fen=0, terminal=TRIAL_TERMINAL)
        self._check_key("purchase", offer, algorithm, key_version)
        session = proofs.PURCHASE_SESSION.pack(random=offer.random, counter=offer.counter, terminal_low=TRIAL_SEQ)
        said = {"amount_fen": 0, "type": proofs.COMPOUND, "terminal": TRIAL_TERMINAL, "at": TRIAL_AT}
        mac1 = self._service.session_mac(card.purchase, session, proofs.PURCHASE_MAC1.pack(**said))
        reply = self.say(purse.DEBIT_FOR_PURCHASE, terminal_seq=TRIAL_SEQ, at=TRIAL_AT, mac1=mac1)
        mac2 = self._service.session_mac(card.purchase, session, proofs.PURCHASE_MAC2.pack(amount_fen=0))
        if reply.mac2 != mac2:
            raise NotAsWritten("the card's MAC2 is wrong: its purchase key is another")
        if reply.tac != self._service.tac(card.tac, proofs.PURCHASE_TAC.pack(terminal_seq=TRIAL_SEQ, **said)):
            raise NotAsWritten("the card's TAC is wrong: its TAC key is another")
        self._note("trial", b"")

    def load_key(self, card: CardKeys, key_index: int, algorithm: int, key_version: int) -> int:
        """INITIALIZE FOR LOAD and nothing after it: MAC1 is right. The load counter. Raises NotAsWritten."""
        offer = self.say(purse.INITIALIZE_FOR_LOAD, key_index=key_index, amount_fen=1, terminal=TRIAL_TERMINAL)
        self._check_key("load", offer, algorithm, key_version)
        session = proofs.LOAD_SESSION.pack(random=offer.random, counter=offer.counter, constant=_LOAD_CONSTANT)
        covered = proofs.LOAD_MAC1.pack(
            balance_fen=offer.balance_fen, amount_fen=1, type=proofs.LOAD, terminal=TRIAL_TERMINAL
        )
        if offer.mac1 != self._service.session_mac(card.load, session, covered):
            raise NotAsWritten("the card's MAC1 of a load is wrong: its load key is another")
        self._note("load", b"")
        return int(offer.counter)

    def untouched(self, card: CardKeys, key_index: int, algorithm: int, key_version: int) -> None:
        """Both counters are 0, so that no trace of a trial is left. Raises NotAsWritten."""
        offer = self.say(purse.INITIALIZE_FOR_COMPOUND, key_index=key_index, amount_fen=0, terminal=TRIAL_TERMINAL)
        if offer.counter or self.load_key(card, key_index, algorithm, key_version):
            raise NotAsWritten("a new card's counters are not 0")

    def maintenance_key(self, card: CardKeys, written: dict[int, bytes]) -> None:
        """The last byte of file 16h, written over itself. Raises NotAsWritten where the card does not obey."""
        at = len(written[files.HOLDER_SFI]) - 1
        try:
            self.update(card.maintenance, files.HOLDER_SFI, at, written[files.HOLDER_SFI][at:])
        except MacRefused as error:
            raise NotAsWritten("the card refuses our maintenance MAC: its maintenance key is another") from error
        self._note("maintenance", b"")

    def update(self, maintenance: KeyPath, sfi: int, at: int, content: bytes) -> None:
        """UPDATE BINARY with CLA 04 under the card's maintenance key. Raises ChipRefused, CardGone."""
        self.secured(maintenance, "UPDATE BINARY 04", UPDATE_UNDER_MAINTENANCE + bytes((0x80 | sfi, at)), content)

    def secured(self, maintenance: KeyPath, step: str, head: bytes, content: bytes = b"") -> None:
        """One command under the card's maintenance key."""
        challenge = self.say(purse.GET_CHALLENGE).random
        covered = head + bytes((len(content) + 4,)) + content
        self._channel.exchange(step, covered + self._service.maintenance_mac(maintenance, challenge, covered))

    def _check_key(self, purpose: str, offer: Any, algorithm: int, key_version: int) -> None:
        if (offer.algorithm, offer.key_version) != (algorithm, key_version):
            raise NotAsWritten(f"the {purpose} key is of another algorithm or version")

    def _note(self, what: str, content: bytes) -> None:
        self._hash.update(f"{what} {len(content)} ".encode() + content)
