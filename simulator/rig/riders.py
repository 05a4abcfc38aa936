"""Riders with cards: who is out today, with what on the card. Made-up people, made-up keys, from a seed."""

import random
from dataclasses import dataclass, field
from typing import NamedTuple

from simulator.card import SimCard
from simulator.image import LOG, CardImage
from simulator.personalise import TEST_MASTERS, card_image
from tunion.bcd import from_digits
from tunion.card.files import LOG_ENTRY, ORDINARY, SENIOR, STUDENT

KIND_WORDS = {ORDINARY: ("普通", "ordinary"), STUDENT: ("学生", "student"), SENIOR: ("老人", "senior")}


@dataclass(frozen=True)
class Issuer:
    """A city card company as its cards name it."""

    org: str                # code in the back office's registry
    identifier: bytes       # 8 bytes, file 15h
    prefix: str             # first 8 digits of its card numbers
    city: bytes
    province: bytes = b"\x61\x00"


# Codes of two real cities; the companies behind them are samples.
ISSUERS = (
    Issuer("SAMPLE-NN", bytes.fromhex("04026110FFFFFFFF"), "31048400", b"\x61\x10"),
    Issuer("SAMPLE-LZ", bytes.fromhex("04036140FFFFFFFF"), "31048401", b"\x61\x40"),
)


class Debit(NamedTuple):
    """What a card wrote down of one purchase."""

    counter: int            # before it
    balance_fen: int        # before it
    amount_fen: int
    terminal: bytes         # 6 bytes BCD
    at: bytes               # 7 bytes BCD YYYYMMDDhhmmss, local
    tac: bytes


@dataclass
class Rider:
    """One rider. `card` lives through the whole scenario; what left it is `spent_fen`, by the `debits`."""

    number: int
    issuer: Issuer
    kind: int
    card: SimCard
    started_fen: int
    debits: list[Debit] = field(default_factory=list)
    taps: list[str] = field(default_factory=list)       # what the panel said, in order

    @property
    def serial(self) -> bytes:
        """Application serial number, 10 bytes BCD."""
        return self.card.image.serial

    @property
    def spent_fen(self) -> int:
        """What left the card since the morning: the truth that clearing is held against."""
        return self.started_fen - self.card.image.balance_fen

    def note(self, after: CardImage) -> None:
        """The card is about to become `after`: keep the debit that made the difference, if one did."""
        before = self.card.image
        if after.offline_counter == before.offline_counter:
            return
        written, proof = LOG_ENTRY.unpack(after.records[LOG][0]), after.last_proof
        assert proof is not None
        self.debits.append(
            Debit(written.counter, before.balance_fen, written.amount_fen, written.terminal, written.at, proof.tac)
        )


class Person(NamedTuple):
    """Who will ride, before there is a card."""

    number: int
    issuer: Issuer
    kind: int
    balance_fen: int
    expired: bool


def people(count: int, seed: int, *, poor: int, expired: int) -> list[Person]:
    """`count` riders: of each six, four ordinary, a student, a senior; issuers in turn.

    poor     the number of the one with too little money
    expired  the number of the one whose card is out of date
    """
    chance = random.Random(seed)
    return [
        Person(
            number,
            ISSUERS[number % len(ISSUERS)],
            {4: STUDENT, 5: SENIOR}.get(number % 6, ORDINARY),
            50 if number == poor else 100 * chance.randrange(10, 91),
            number == expired,
        )
        for number in range(count)
    ]


def rider(person: Person, image: CardImage) -> Rider:
    """The person with that card, who notes every debit."""
    made = Rider(
        person.number, person.issuer, person.kind, SimCard(image, persist=lambda after: made.note(after)),
        image.balance_fen,
    )  # fmt: skip
    return made


def riders(count: int, seed: int, *, poor: int, expired: int) -> list[Rider]:
    """As `people`, with sample cards that were in use for a while."""
    chance = random.Random(seed)
    return [rider(person, _sample(person, chance)) for person in people(count, seed, poor=poor, expired=expired)]


def _sample(person: Person, chance: random.Random) -> CardImage:
    image: CardImage = card_image(
        TEST_MASTERS,
        person.issuer.identifier,
        from_digits(f"0{person.issuer.prefix}{person.number + 1:011d}"),
        city=person.issuer.city,
        province=person.issuer.province,
        start=from_digits("20240101"),
        expiry=from_digits("20241231" if person.expired else "20351231"),
        kind=person.kind,
        balance_fen=person.balance_fen,
        uid=chance.randbytes(4) if person.number % 2 else None,
    )
    image.offline_counter = chance.randrange(0, 500)
    return image
