"""Blanks become cards, and whatever goes wrong on the way is counted as what it is."""

import contextlib
import json
import os
import random
import secrets
import shutil
from pathlib import Path

import pytest

from backoffice.cards import making, readback
from backoffice.cards.channel import WrongControlKey
from backoffice.cards.profile import PROFILES as PROFILES_FOLDER
from backoffice.keys.audit import AuditLost
from backoffice.store import card_states, cards
from backoffice.tests.chips import root
from simulator.blank import blanks
from simulator.image import LOG
from tools.tests.card_office import BATCH, FIRST, NOON_S, ChipLine, Office
from tunion.card.files import MANAGEMENT, PUBLIC

PROFILES = ("sample_card_3des", "sample_card_aes")


@pytest.fixture(scope="module", params=PROFILES)
def template(request, tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp(request.param)
    Office(folder, profile=request.param).store.close()
    return folder, request.param


@pytest.fixture
def office(template, tmp_path):
    folder, profile = template
    office = Office(Path(shutil.copytree(folder, tmp_path / "city")), profile=profile)
    yield office
    office.store.close()


def chips(office: Office, count: int = 1):
    return blanks(count, office.profile, office.transport)


def test_a_blank_becomes_a_card_that_is_what_its_product_says(office: Office):
    (chip,) = chips(office)
    outcome = office.make(ChipLine(chip))
    assert (outcome.result, outcome.number) == (making.GOOD, "310484*********0001")
    image = chip.card.image
    public = PUBLIC.unpack(image.files[0x15])
    assert (public.issuer.hex(), public.serial.hex()) == ("04026110ffffffff", "0" + FIRST)
    assert (public.start.hex(), public.expiry.hex()) == ("20250601", "20350531")
    assert MANAGEMENT.unpack(image.files[0x17]).kind == 1
    assert (image.balance_fen, image.offline_counter, image.online_counter, image.records[LOG]) == (0, 0, 0, [])
    row = office.look(cards.by_number, FIRST)
    assert (row["state"], row["bin"], row["chip_serial"]) == ("stocked", "stock", chip.image.serial.hex().upper())
    assert office.counts() == {"in_process": 19, "good": 1, "bad": 0, "scrapped": 0, "stock": 1, "shipped": 0}
    assert office.check() == []
    first, second = office.look(cards.results, row["card_id"])
    assert (first["step"], second["step"], second["outcome"]) == ("initialise", "personalise", "good")
    assert len(second["readback"]) == 64
    said = json.loads(first["steps"])
    assert said[0] == ["select_mf", "9000"] and ["end_stage 1", "9000"] in said
    assert FIRST not in first["steps"] + second["steps"]


def test_two_steps_at_two_places(office: Office):
    (chip,) = chips(office)
    assert office.make(ChipLine(chip), (making.INITIALISE,)).result == making.GOOD
    assert office.counts()["in_process"] == 20
    assert office.make(ChipLine(chip), (making.INITIALISE,)).result == making.ALREADY
    assert office.make(ChipLine(chip), (making.PERSONALISE,)).result == making.GOOD
    assert office.make(ChipLine(chip), (making.PERSONALISE,)).result == making.ALREADY
    assert office.make(ChipLine(chip)).result == making.ALREADY
    assert office.counts()["stock"] == 1 and office.check() == []


def test_a_blank_is_not_personalised_before_it_is_initialised(office: Office):
    (chip,) = chips(office)
    with pytest.raises(making.WrongBatch, match="not initialised yet"):
        office.make(ChipLine(chip), (making.PERSONALISE,))
    assert office.check() == [] and office.counts()["in_process"] == 20


def test_pulled_at_every_command_it_ends_good_with_one_number(template, tmp_path):
    """Each command, before and after it; then it is put in again. The balance holds between."""
    folder, profile = template
    rehearsal = Office(Path(shutil.copytree(folder, tmp_path / "rehearsal")), profile=profile)
    line = ChipLine(chips(rehearsal)[0])
    rehearsal.make(line)
    rehearsal.store.close()
    assert len(line.sent) > 40
    endings = set()
    for number in range(len(line.sent)):
        for moment in ("before", "after"):
            where = tmp_path / f"{moment}{number}"
            office = Office(Path(shutil.copytree(folder, where)), profile=profile)
            (chip,) = chips(office)
            cut = ChipLine(chip, (number, moment))
            first = office.make(cut)
            assert first.result == making.GONE, (number, moment, first)
            assert office.counts()["good"] == 0 and office.check() == [], (number, moment)
            again = office.make(ChipLine(chip))
            assert (again.result, again.reason) == (making.GOOD, ""), (number, moment, cut.sent[-1].hex(), again)
            taken = office.look(lambda db: [row[0] for row in db.execute("SELECT number FROM card_number")])
            assert taken == [FIRST], (number, moment)
            assert chip.card.image.serial.hex() == "0" + FIRST
            assert office.counts()["good"] == 1 and office.check() == [], (number, moment)
            endings.add(first.number)
            office.store.close()
            shutil.rmtree(where)
    assert endings == {"", "310484*********0001"}


def test_a_card_pulled_too_often_is_scrapped_and_its_number_with_it(office: Office):
    bad, good = chips(office, 2)
    results = [office.make(ChipLine(bad, (40, "before"))).result]
    while results[-1] == making.GONE and len(results) < 10:
        results.append(office.make(ChipLine(bad, (12, "before"))).result)
    assert results == [making.GONE] * (cards.ATTEMPTS_MAX - 1) + [making.FAILED]
    assert office.counts()["scrapped"] == 1 and office.check() == []
    with pytest.raises(card_states.CardsRefused, match="counted scrapped"):
        office.make(ChipLine(bad))
    assert office.make(ChipLine(good)).number.endswith("0002")


class Lying(ChipLine):
    """One answer is another: `change(number, apdu, answer)`."""

    def __init__(self, chip, change):
        super().__init__(chip)
        self.change = change

    def transceive(self, apdu):
        return self.change(apdu, super().transceive(apdu))


def flipped(head: str, at: int = 0):
    """The answer to commands that begin with `head` has a bit turned."""

    def change(apdu: bytes, answer: bytes) -> bytes:
        if apdu.hex().upper().startswith(head) and len(answer) > 2:
            return answer[:at] + bytes((answer[at] ^ 1,)) + answer[at + 1 :]
        return answer

    return change


@pytest.mark.parametrize(("head", "at", "reason"), [
    ("00B095", 3, "file 15 reads otherwise"),
    ("00B096", 0, "file 16 reads otherwise"),
    ("00B097", 10, "file 17 reads otherwise"),
    ("805C", 3, "is not empty"),
    ("8054", 0, "TAC is wrong"),
    ("8054", 4, "MAC2 is wrong"),
    ("805000", 13, "MAC1 of a load is wrong"),
    ("805000", 6, "of another algorithm or version"),
])  # fmt: skip
def test_a_card_that_reads_back_otherwise_is_scrapped(office: Office, head: str, at: int, reason: str):
    (chip,) = chips(office)
    outcome = office.make(Lying(chip, flipped(head, at)))
    assert outcome.result == making.FAILED and reason in outcome.reason
    assert office.counts() | {"in_process": 0} == {
        "in_process": 0, "good": 0, "bad": 0, "scrapped": 1, "stock": 0, "shipped": 0,
    }  # fmt: skip
    assert office.check() == []


@pytest.mark.parametrize("purpose", ["purchase", "load", "tac", "maintenance"])
def test_a_card_with_another_key_than_ours_is_never_good(office: Office, purpose: str, monkeypatch):
    (chip,) = chips(office)
    true_wrap = office.keys.wrap

    def wrap(control, target):
        wrong = target._replace(factors=(b"another!",)) if target.key_id.startswith(purpose) else target
        return true_wrap(control, wrong)

    office.keys.wrap = wrap     # type: ignore[method-assign]
    outcome = office.make(ChipLine(chip))
    assert outcome.result == making.FAILED, purpose
    assert office.counts()["scrapped"] == 1 and office.counts()["good"] == 0


def test_no_key_of_any_level_is_in_the_database(office: Office):
    (chip,) = chips(office)
    office.make(ChipLine(chip))
    keys = [key.value for kept in chip.card.image.keys.values() for key in kept]
    keys += [office.transport, chip.image.control.value]
    keys += [root(info.key_id) for info in office.keys.infos()]
    said = office.look(lambda db: "\n".join(db.iterdump())).upper()
    raw = b"".join(path.read_bytes() for path in office.path.parent.glob("city.db*"))
    for key in keys:
        for part in (key, key[:8], key[8:]):
            assert part.hex().upper() not in said and part not in raw
    assert len(keys) > 20 and bytes.fromhex(FIRST + "0")[:6].hex() in said.lower()


def test_a_profile_with_sm4_keys_gives_cards_of_sm4(tmp_path: Path):
    content = json.loads((PROFILES_FOLDER / "sample_card_3des.json").read_text())
    content["name"] = "sm4"
    for row in content["keys"]:
        row["algorithm"] = "3DES" if row["usage"] == "maintenance" else "SM4"
    path = tmp_path / "sm4.json"
    path.write_text(json.dumps(content))
    office = Office(tmp_path, profile=str(path))
    (chip,) = blanks(1, path, office.transport)
    assert office.make(ChipLine(chip)).result == making.GOOD
    assert chip.card.image.keys["tac"][0].algorithm == 4
    office.store.close()


def test_random_pulls_and_returns_leave_numbers_and_counts_right(office: Office):
    """Three chips in any order, pulled at any command or not at all, some until they are scrapped."""
    seed = int(os.environ.get("CARDS_SEED", secrets.randbits(32)))
    print("seed: CARDS_SEED =", seed)
    chance = random.Random(seed)
    box = chips(office, 3)
    ends: dict[int, str] = {}
    for _ in range(24):
        at = chance.randrange(3)
        cut = (chance.randrange(50), chance.choice(["before", "after"])) if chance.random() < 0.7 else None
        steps = chance.choice([making.STEPS, making.STEPS, making.STEPS[:1]])
        try:
            outcome = office.make(ChipLine(box[at], cut), steps)
        except card_states.CardsRefused:
            assert ends[at] == "failed"
            continue
        if outcome.result == making.ALREADY or outcome.result == making.GONE and at in ends:
            continue
        assert at not in ends, (at, outcome)
        if outcome.result == making.FAILED or steps == making.STEPS and outcome.result == making.GOOD:
            ends[at] = outcome.result
        assert office.check() == []
        counts = office.counts()
        assert counts["good"] == list(ends.values()).count("good")
        assert counts["scrapped"] == list(ends.values()).count("failed") and counts["bad"] == 0
        numbers = office.look(lambda db: [row[0] for row in db.execute("SELECT number FROM card_number")])
        assert len(set(numbers)) == len(numbers) <= 3
    for at, end in ends.items():
        if end == "good":
            assert box[at].card.image.serial.hex()[1:] in numbers


def test_a_batch_with_the_wrong_transport_key_stops_at_its_first_chip(office: Office):
    (chip,) = blanks(1, office.profile, bytes(range(16)))
    with pytest.raises(WrongControlKey, match="check the batch's transport key"):
        office.make(ChipLine(chip))
    assert office.counts()["in_process"] == 20 and office.check() == []
    (row,) = office.look(cards.listed, BATCH, None)
    assert office.look(cards.results, row["card_id"])[0]["reason"].startswith("external_authenticate")


def test_a_chip_of_another_vendor_or_batch_is_refused(office: Office):
    (chip,) = blanks(1, office.profile, office.transport, maker=b"\x00\x01")
    maker = office.maker()
    maker.work = maker.work._replace(chip="544B")
    with pytest.raises(making.WrongBatch, match="maker is 0001, that of batch A1 is 544B"):
        maker.make(ChipLine(chip), making.Place("ann", "m", "r"))


def test_a_finished_card_that_we_never_made_is_refused(office: Office, template, tmp_path):
    folder, profile = template
    other = Office(Path(shutil.copytree(folder, tmp_path / "other")), profile=profile)
    (chip,) = chips(office)
    assert other.make(ChipLine(chip)).result == making.GOOD
    other.store.close()
    with pytest.raises(card_states.CardsRefused, match="was made here"):
        office.make(ChipLine(chip))
    assert office.counts()["in_process"] == 20


def test_the_command_set_cannot_set_an_overdraft_limit(office: Office):
    work = office.maker().work
    with pytest.raises(card_states.CardsRefused, match="limit_fen"):
        making.require_fit(work.product._replace(limit_fen=800), work.profile)


def test_without_numbers_nothing_is_written(office: Office):
    (chip,) = chips(office)
    with office.store.transaction() as db:
        cards.skip_numbers(db, FIRST, str(int(FIRST) + 1000))
    with pytest.raises(cards.NumbersSpent, match="ykt cards range add"):
        office.make(ChipLine(chip))
    assert office.counts()["in_process"] == 20 and office.check() == []
    assert office.now_s == NOON_S and readback.TRIAL_SEQ == 1


def test_a_forged_card_does_not_scrap_the_true_one(office: Office):
    """Pulled when it was closed, the true one waits in the box; another says its number and has none of its keys."""
    (chip,) = chips(office)
    rehearsal = ChipLine(chips(office, 2)[1])
    office.make(rehearsal)
    closing = office.maker().work.profile.commands["end_stage"][:2] + b"\x02"
    (number,) = [at for at, apdu in enumerate(rehearsal.sent) if apdu[:3] == closing]
    assert office.make(ChipLine(chip, (number, "after"))).result == making.GONE
    with pytest.raises(making.ForeignChip, match="lacks its keys"):
        office.make(Lying(chip, flipped("805000", 13)))
    assert office.counts()["scrapped"] == 0
    assert office.make(ChipLine(chip)).result == making.GOOD and office.check() == []


@pytest.mark.parametrize("step", making.STEPS)
def test_a_card_whose_uses_of_keys_cannot_be_written_down_is_not_good(office: Office, step: str, monkeypatch):
    """The disk is full when the audit wants its last line. The card is made again when there is room."""
    jobs = []

    @contextlib.contextmanager
    def job(what: str, of: bytes):
        jobs.append((what, of))
        yield
        if what.startswith(step):
            raise AuditLost("no room")

    (chip,) = chips(office)
    monkeypatch.setattr(office.keys, "job", job)
    with pytest.raises(AuditLost):
        office.make(ChipLine(chip))
    assert jobs[-1] == (f"{step} a card", chip.image.serial)
    assert office.counts()["good"] == 0 and office.check() == []
    monkeypatch.undo()
    assert office.make(ChipLine(chip)).result == making.GOOD
    assert office.counts()["good"] == 1 and office.check() == []
