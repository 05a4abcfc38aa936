"""A blank card: in stage 1 it answers the e-purse's commands too, after stage 2 it is the card."""

from dataclasses import replace

from simulator import card_files, sw
from simulator.apdu import Apdu, Refused, need, status
from simulator.blank_chip import CHALLENGE_BYTES, BlankChip, Persist
from simulator.blank_image import BLANK, COMMANDS, INITIALISED, PERSONALISED, BlankImage
from simulator.card import SimCard
from simulator.image import CARD_KEYS, CYCLIC, CardImage
from simulator.randomness import Random
from tunion.card.files import MANAGEMENT_SFI, PUBLIC_SFI, SELECT

_OF_THE_CARD_TOO = ("select_mf", "get_challenge")


class BlankCard(BlankChip):
    """A chip that becomes a card. `card` is that card, from stage 2 on."""

    takes = {
        BLANK: COMMANDS,
        INITIALISED: tuple(name for name in COMMANDS if not name.startswith("create")),
        PERSONALISED: (),
    }

    def __init__(self, image: BlankImage, random: Random | None = None, persist: Persist | None = None) -> None:
        super().__init__(image, random, persist)
        assert image.card
        self._card = SimCard(image.card, random, self._stored_by_card)

    @property
    def card(self) -> SimCard:
        """The finished card; raises ValueError before that."""
        if self.image.stage != PERSONALISED:
            raise ValueError("this chip is no card yet: it must be personalised first")
        return self._card

    @property
    def uid(self) -> bytes:
        return self._card.uid

    @property
    def ats(self) -> bytes:
        return self._card.ats

    @property
    def atr(self) -> bytes:
        return self._card.atr

    def _content_on(self) -> bytes:
        return self._card.power_on()

    def _content_off(self) -> None:
        self._card.power_off()

    def _named(self, apdu: Apdu) -> str | None:
        name = super()._named(apdu)
        return None if self.image.stage == PERSONALISED and name in _OF_THE_CARD_TOO else name

    def _otherwise(self, apdu: bytes, command: Apdu) -> bytes:
        if self.image.stage == BLANK:
            raise Refused(sw.NO_FILE if command.ins == SELECT.head[1] else sw.NO_INS)
        return self._card.transceive(apdu)

    def _taken(self) -> None:
        self._card.end_challenge()

    def _get_challenge(self, apdu: Apdu, challenge: bytes | None) -> bytes:
        """In stage 1 it may be for a command of the card: then 4 bytes do."""
        if self.image.stage == BLANK:
            return super()._get_challenge(apdu, challenge)
        answer = self._card.transceive(bytes((apdu.cla, apdu.ins, apdu.p1, apdu.p2)) + bytes((apdu.le or 4,)))
        need(answer[-2:] == status(sw.OK), int.from_bytes(answer[-2:], "big"))
        if len(answer) - 2 == CHALLENGE_BYTES:
            self._challenge = answer[:-2]
        return answer[:-2]

    def _allows_application(self, aid: bytes) -> bool:
        return True

    def _name(self, after: BlankImage, aid: bytes) -> None:
        assert after.card
        after.card.aid = aid
        after.card.fci = card_files.fci(aid, after.profile.version)

    def _finish(self, after: BlankImage) -> None:
        """Keys and files are there; what trial transactions have left is not."""
        card = after.card
        assert card
        need(all(card.keys[purpose] for purpose in CARD_KEYS), sw.CONDITIONS)
        need(after.is_written(PUBLIC_SFI) and after.is_written(MANAGEMENT_SFI), sw.CONDITIONS)
        need(card.blocked == "no", sw.CONDITIONS)
        card.fci = card_files.fci(card.aid, after.profile.version, card.files[PUBLIC_SFI])
        card.balance_fen = card.offline_counter = card.online_counter = 0
        card.mac1_failures = card.unblock_failures = 0
        card.last_proof = None
        for sfi, records in card.records.items():
            card.records[sfi] = [] if sfi in CYCLIC else [b""] * len(records)

    def _show(self, image: BlankImage) -> None:
        super()._show(image)
        assert image.card
        self._card.image = image.card

    def _stored_by_card(self, card: CardImage) -> None:
        after = replace(self.image, card=card)
        if self._persist:
            self._persist(after)
        self.image = after
