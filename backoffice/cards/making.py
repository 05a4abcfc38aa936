"""Blank to card, on one reader: step 1 initialise, step 2 personalise, read back, stock. backoffice/docs/cards.md

A card may be pulled at any command, and the power may fail at any line here. What was done is read from the chip
(GET CHIP tells its stage) and from the books; a chip that comes back goes on with the number it has. A card counts
as good when it was closed and read back, and at no other time.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from backoffice.cards import product as products
from backoffice.cards import profile as profiles
from backoffice.cards.channel import (
    STAGE_BLANK,
    STAGE_INITIALISED,
    STAGE_PERSONALISED,
    Channel,
    Chip,
    ChipLocked,
    ChipRefused,
    KeyThere,
    LastTry,
    MacRefused,
    NotAuthenticated,
    NotOurs,
    WrongControlKey,
)
from backoffice.cards.line import CardGone, Line
from backoffice.cards.readback import CardKeys, NotAsWritten, Reading, card_keys
from backoffice.cards.watermark import Watermark
from backoffice.keys.backend import KeyPath
from backoffice.keys.service import KeyService
from backoffice.store import card_states, cards
from backoffice.store.card_states import CardsRefused, masked
from backoffice.store.engine import Store
from tunion import bcd
from tunion.card import files

INITIALISE, PERSONALISE = "initialise", "personalise"
STEPS = (INITIALISE, PERSONALISE)

GOOD, GONE, FAILED, ALREADY = "good", "gone", "failed", "already"
BEFORE = {INITIALISE: "initialised", PERSONALISE: "stocked"}

# What a chip may say of an application or file that an attempt before made already.
_THERE = (0x6A80, 0x6A89, 0x6A8A, 0x6985)
# The commands by which a channel opens: a finished card refuses them.
_WHO = ("select_mf", "get_chip")
# Not the chip's fault for good: it may be tried again.
_PASSING = (MacRefused, NotAuthenticated)
# It never was a chip of ours: back to its vendor.
_VENDORS = (ChipLocked, LastTry, NotOurs)


class WrongBatch(CardsRefused):
    """The chip on the reader is none of this batch."""


class ForeignChip(CardsRefused):
    """A chip in a stage that nobody here brought it to."""


class Work(NamedTuple):
    """What a batch is made to."""

    batch: str
    product: products.Product
    profile: profiles.Profile
    chip: str
    mask: str
    transport_version: int
    control_version: int

    @property
    def key_index(self) -> int:
        return self.profile.keys[0].key_index

    def algorithm(self, purpose: str) -> int:
        """As INITIALIZE tells it."""
        for row in self.profile.keys:
            if row.purpose == purpose:
                return self.profile.algorithms[row.algorithm]
        raise profiles.ProfileError(f"{self.profile.name}: keys: lacks one of {purpose}")


class Outcome(NamedTuple):
    """How one chip on one reader ended."""

    result: str  # GOOD: the step was done; GONE: put it in again; FAILED: counted bad or scrapped; ALREADY: was done
    reason: str
    card_id: int | None
    number: str  # masked; '' where it has none
    duration_ms: int


class Place(NamedTuple):
    """Who makes cards, and where."""

    operator: str
    machine: str
    reader: str


def work_of(db: sqlite3.Connection, batch: str) -> Work:
    """Raises NoSuchBatch, ProductError, ProfileError."""
    row = cards.batch(db, batch)
    made = products.parse(row["product_json"], f"batch {batch}")
    profile = profiles.named(row["profile"])
    require_fit(made, profile)
    return Work(
        batch, made, profile, row["chip"], row["mask"], row["transport_version"], row["control_version"]
    )


def require_fit(made: products.Product, profile: profiles.Profile) -> None:
    """The command set can make this product. Raises ProductError."""
    if profile.medium != "card":
        raise products.ProductError(f"profile {profile.name} is for a {profile.medium}: choose one for cards")
    if made.limit_fen:
        raise products.ProductError(
            f"limit_fen: profile {profile.name} has no command that sets an overdraft limit: leave it 0"
        )
    purposes = {row.purpose for row in profile.keys}
    for purpose in CardKeys._fields:
        if purpose not in purposes:
            raise products.ProductError(f"profile {profile.name} writes no {purpose} key: a card needs one")
    for sfi, content in made.files("3" + "0" * 18, *made.dates("20250101")).items():
        if profile.file(sfi).units != len(content):
            raise products.ProductError(f"profile {profile.name}: file {sfi:02X} must have {len(content)} bytes")


class Maker:
    """Makes cards of one batch. Shared by the threads of several readers; the store is their one writer."""

    def __init__(
        self, store: Store, keys: KeyService, work: Work, steps: Sequence[str] = STEPS,
        clock: Callable[[], float] = time.time, watermark: Watermark | None = None,
    ) -> None:  # fmt: skip
        """`watermark` None: numbers are not held against a file beside the database, as in tests."""
        self.work = work
        self.watermark = watermark
        self._store = store
        self._keys = keys
        self._steps = steps
        self._clock = clock

    def make(self, line: Line, place: Place, uid: bytes = b"") -> Outcome:
        """Bring the chip on this line as far as the steps go.

        Raises CardsRefused where the chip is none of this batch, WrongControlKey where another chip would fare no
        better, KeysError and Busy: of none of these the chip is at fault, and it may be put in again.
        """
        return _Making(self, line, place, uid).run()


class _Making:
    """One chip in hand."""

    def __init__(self, maker: Maker, line: Line, place: Place, uid: bytes) -> None:
        self.maker, self.line, self.place, self.uid = maker, line, place, uid
        self.work, self.keys, self.store = maker.work, maker._keys, maker._store
        self.channel = Channel(line, self.work.profile, self.keys)
        self.card: sqlite3.Row | None = None
        self.step = maker._steps[0]
        self.readback = ""
        self.started_s = maker._clock()

    def run(self) -> Outcome:
        reason = ""
        try:
            result = self._steps()
        except CardGone as error:
            result, reason = self._gone(str(error) or "the card left the reader")
        except (WrongControlKey, CardsRefused) as error:
            self._record(GONE, str(error))
            raise
        except ChipRefused as error:
            if isinstance(error, _PASSING):
                result, reason = self._gone(str(error))
            else:
                result, reason = self._failed(error)
        finally:
            self._let_go()
        card_id, number = None, ""
        if self.card is not None:
            card_id = self.card["card_id"]
            number = masked(self.card["number"]) if self.card["number"] else ""
        return Outcome(result, reason, card_id, number, self._duration_ms())

    def _steps(self) -> str:
        try:
            chip = self.channel.open()
        except ChipRefused as refused:
            if refused.step not in _WHO or isinstance(refused, _VENDORS):
                raise
            return self._finished()  # a card does not know the commands of chips any more
        self._require_ours(chip)
        self._meet(chip)
        if self.card is None:
            raise AssertionError("a chip that was met has a row")
        if self._done(self.card["state"]):
            return ALREADY
        stage = chip.stage
        if INITIALISE in self.maker._steps and stage == STAGE_BLANK:
            self._initialise()
            stage = STAGE_INITIALISED
        elif stage != STAGE_BLANK and self.card["state"] == card_states.MANUFACTURED:
            self._to(card_states.INITIALISED, "its stage says so")  # END STAGE 1 was obeyed, its answer lost
        if PERSONALISE not in self.maker._steps:
            return GOOD
        if stage == STAGE_BLANK:
            raise WrongBatch("this chip is not initialised yet: do step 1 first, or both")
        self.step = PERSONALISE
        self._personalise(chip.serial, stage)
        return GOOD

    def _finished(self) -> str:
        """A card on the reader, and no chip: closed by us before its answer was lost, or made long ago."""
        self.step = PERSONALISE
        public = Reading(self.channel, self.keys).select(self.work.profile.aid)
        if public is None:
            raise ForeignChip("this is no chip of the profile, and no card: take it out of the box")
        number = bcd.to_digits(files.PUBLIC.unpack(public).serial)[1:]
        with self.store.reading() as db:
            row = cards.by_number(db, number)
        if row["bin"] == cards.IN_PROCESS:
            self._require_true(row)
        if row["batch"] != self.work.batch:
            raise WrongBatch(f"this card is of batch {row['batch']}, not of {self.work.batch}: put it into its own box")
        self.card = row
        if self._done(row["state"]):
            return ALREADY
        if PERSONALISE in self.maker._steps:
            self._personalise(bytes.fromhex(row["chip_serial"]), STAGE_PERSONALISED)
        return GOOD

    def _require_true(self, row: sqlite3.Row) -> None:
        """A number is said by whoever likes to: what is scrapped with it shall have its keys."""
        paths = card_keys(
            self.keys, self.work.profile, self.work.product.issuer, row["number"], row["key_version"],
            self.work.product.maintenance_version,
        )  # fmt: skip
        try:
            Reading(self.channel, self.keys).load_key(
                paths, self.work.key_index, self.work.algorithm("load"), row["key_version"]
            )
        except NotAsWritten as error:
            raise ForeignChip("this card says the number of one of ours, and lacks its keys: keep it") from error

    # --- step 1

    def _initialise(self) -> None:
        work, channel = self.work, self.channel
        again = self._begin() > 1
        with self._audited():
            self._replace_control_key(again)
            for make in (channel.create_application, *(lambda row=row: channel.create_file(row) for row in
                                                       work.profile.files)):  # fmt: skip
                self._unless_there(make, again)
            channel.end_stage(1)
        self._to(card_states.INITIALISED, "step 1")
        self._record(GOOD, "")

    def _replace_control_key(self, again: bool) -> None:
        """From the batch's transport key to the chip's own; then authenticated under that."""
        serial = bytes.fromhex(self._row()["chip_serial"])
        transport = self._control_path("transport", self.work.transport_version, serial)
        control = self._control_path("control", self.work.control_version, serial)
        if again:  # pulled out before: maybe the key was replaced already. A right one gives the chip its tries back
            try:
                self.channel.authenticate(control)
                return
            except WrongControlKey:
                self.channel.select_mf()
        self.channel.authenticate(transport)
        self.channel.write_key("control", 0, self.work.control_version, self.work.profile.scheme, control)
        self.channel.authenticate(control)

    def _unless_there(self, make: Callable[[], None], again: bool) -> None:
        try:
            make()
        except ChipRefused as refused:
            if not again or refused.word not in _THERE:
                raise

    # --- step 2

    def _personalise(self, serial: bytes, stage: int) -> None:
        again = self._begin() > 1
        number, written = self._number()
        paths = card_keys(
            self.keys, self.work.profile, self.work.product.issuer, number, self._row()["key_version"],
            self.work.product.maintenance_version,
        )  # fmt: skip
        with self._audited():
            if stage == STAGE_INITIALISED:
                self._write(paths, written, again)
                self._try(paths, written)
                self.channel.select_mf()
                self._authenticate(serial)
                self.channel.end_stage(2)
            elif self._row()["tried_at_s"] is None:
                raise NotAsWritten("it is closed, and nobody has seen its keys work")
            self._read_closed(paths, written)
        self._stock()  # behind the audit: a card is good when it is written down what its keys were used for

    def _number(self) -> tuple[str, dict[int, bytes]]:
        """The chip's number, in the books before the chip hears of it; and its files."""
        today = bcd.to_digits(bcd.stamp(self._now_s())[:4])
        identity = self.work.product.identity(f"{self.work.profile.version:02X}", today)
        mark = self.maker.watermark
        with self.store.transaction() as db:
            if mark is not None:
                mark.before(db)
            number = cards.take_number(db, self._row()["card_id"], identity, self.place.operator, self._now_s())
            if mark is not None:
                mark.after(db)
            self.card = cards.card(db, self._row()["card_id"])
        row = self._row()
        return number, self.work.product.files(number, row["start"], row["expiry"])

    def _write(self, paths: CardKeys, written: dict[int, bytes], again: bool) -> None:
        """Keys and files. A key that stands there is of an attempt before, under the same number; the trial tells."""
        self._authenticate(bytes.fromhex(self._row()["chip_serial"]))
        for row in self.work.profile.keys:
            version = self.work.product.version_of(row.purpose)
            try:
                self.channel.write_key(
                    row.usage, row.key_index, version, row.algorithm, getattr(paths, row.purpose)
                )
            except KeyThere:
                if not again:
                    raise
        for sfi, content in written.items():
            self.channel.update_binary(sfi, content)

    def _try(self, paths: CardKeys, written: dict[int, bytes]) -> None:
        reading = Reading(self.channel, self.keys)
        version = self._row()["key_version"]
        reading.files(self.work.profile.aid, written, closed=False)
        reading.empty(self.work.product.limit_fen)
        reading.trial(paths, self.work.key_index, self.work.algorithm("purchase"), version)
        reading.load_key(paths, self.work.key_index, self.work.algorithm("load"), version)
        with self.store.transaction() as db:
            card_id = self._row()["card_id"]
            cards.note_tried(db, card_id, self._now_s())
            if cards.card(db, card_id)["state"] == card_states.INITIALISED:
                card_states.move(
                    db, card_id, card_states.PERSONALISED, "keys tried", self.place.operator, self._now_s()
                )
            self.card = cards.card(db, card_id)

    def _read_closed(self, paths: CardKeys, written: dict[int, bytes]) -> None:
        """After a reset, so that it is the chip's memory that answers."""
        self.line.power_on()
        reading = Reading(self.channel, self.keys)
        version = self._row()["key_version"]
        reading.files(self.work.profile.aid, written, closed=True)
        reading.empty(self.work.product.limit_fen)
        reading.untouched(paths, self.work.key_index, self.work.algorithm("load"), version)
        reading.maintenance_key(paths, written)
        self.readback = reading.digest

    def _stock(self) -> None:
        with self.store.transaction() as db:
            card_id = self._row()["card_id"]
            now_s = self._now_s()
            card_states.move(db, card_id, card_states.STOCKED, "read back", self.place.operator, now_s)
            cards.put_away(db, card_id, cards.STOCK, "read back", self.place.operator, now_s)
            self._add_result(db, GOOD, "")

    # --- the chip and the books

    def _require_ours(self, chip: Chip) -> None:
        for name, said, wanted in (("maker", chip.maker, self.work.chip), ("mask", chip.mask, self.work.mask)):
            if wanted and said.hex().upper() != wanted.upper():
                raise WrongBatch(
                    f"the chip's {name} is {said.hex().upper()}, that of batch {self.work.batch} is {wanted}: "
                    "put it into its own box"
                )

    def _meet(self, chip: Chip) -> None:
        serial = chip.serial.hex().upper()
        with self.store.transaction() as db:
            row = cards.meet(db, serial, self.work.batch, self.place.operator, self._now_s())
            if row["begun_2"] == 0 and chip.stage == STAGE_PERSONALISED:
                raise ForeignChip("this chip is a finished card, and was not made here: take it out of the box")
            self.card = row

    def _done(self, state: str) -> bool:
        """Nothing is left to do of this step. Raises CardsRefused for a card that was given up."""
        row = self._row()
        if row["bin"] in (cards.BAD, cards.SCRAPPED):
            raise CardsRefused(f"this chip is counted {row['bin']}: it is not made any more")
        if row["bin"] != cards.IN_PROCESS:
            return True
        return state != card_states.MANUFACTURED and self.maker._steps == (INITIALISE,)

    def _audited(self) -> AbstractContextManager[None]:
        """One step of this chip is one job of the keys."""
        return self.keys.job(f"{self.step} a card", bytes.fromhex(self._row()["chip_serial"]))

    def _begin(self) -> int:
        """Count an attempt; before the chip hears anything that changes it."""
        with self.store.transaction() as db:
            return cards.begin_attempt(db, self._row()["card_id"], 1 + STEPS.index(self.step))

    def _to(self, state: str, why: str) -> None:
        with self.store.transaction() as db:
            card_id = self._row()["card_id"]
            card_states.move(db, card_id, state, why, self.place.operator, self._now_s())
            self.card = cards.card(db, card_id)

    def _gone(self, reason: str) -> tuple[str, str]:
        """It may come again, unless it did so too often."""
        if self.card is None:
            return GONE, reason
        with self.store.transaction() as db:
            row = cards.card(db, self.card["card_id"])
            if row[f"begun_{1 + STEPS.index(self.step)}"] < cards.ATTEMPTS_MAX:
                self._add_result(db, GONE, reason)
                return GONE, reason
        return self._failed(f"{reason}; it was tried {cards.ATTEMPTS_MAX} times")

    def _failed(self, why: "ChipRefused | str") -> tuple[str, str]:
        if self.card is None:  # it never said who it is
            return FAILED, str(why)
        to_bin = cards.BAD if isinstance(why, _VENDORS) else cards.SCRAPPED
        with self.store.transaction() as db:
            cards.scrap(db, self.card["card_id"], str(why), self.place.operator, self._now_s(), to_bin)
            self._add_result(db, FAILED, str(why))
            self.card = cards.card(db, self.card["card_id"])
        return FAILED, str(why)

    def _record(self, outcome: str, reason: str) -> None:
        if self.card is None:
            return
        with self.store.transaction() as db:
            self._add_result(db, outcome, reason)

    def _add_result(self, db: sqlite3.Connection, outcome: str, reason: str) -> None:
        steps, self.channel.steps = self.channel.steps, []
        cards.add_result(db, {
            "card_id": self._row()["card_id"], "step": self.step, "at_s": self._now_s(), "outcome": outcome,
            "reason": reason, "reader": self.place.reader, "machine": self.place.machine,
            "operator": self.place.operator, "atr": self.channel.atr.hex().upper(), "uid": self.uid.hex().upper(),
            "steps": [[name, f"{word:04X}"] for name, word in steps], "readback": self.readback,
            "duration_ms": self._duration_ms(),
        })  # fmt: skip

    def _authenticate(self, serial: bytes) -> None:
        self.channel.authenticate(self._control_path("control", self.work.control_version, serial))

    def _control_path(self, purpose: str, version: int, serial: bytes) -> KeyPath:
        return self.keys.path(purpose, self.work.profile.scheme, version, b"", serial)

    def _row(self) -> sqlite3.Row:
        assert self.card is not None
        return self.card

    def _let_go(self) -> None:
        try:
            self.channel.close()
        except CardGone:
            self.uid = b""  # nothing is left to let go of

    def _now_s(self) -> int:
        return int(self.maker._clock())

    def _duration_ms(self) -> int:
        return round(1000 * (self.maker._clock() - self.started_s))
