"""The back office's maker of PSAMs against the blanks here: two readings of one page, written apart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backoffice.cards.line import CardGone
from backoffice.keys import sams
from backoffice.tests.chips import SampleKeys, root
from backoffice.tests.forge import City
from backoffice.tests.test_sams_make import Depot
from simulator.blank import BlankPsam, blank_images, chip_of
from simulator.blank_image import PERSONALISED, BlankImage
from simulator.field import AFTER, BEFORE, Faults, Torn

SCHEMES = ("3DES", "AES")


class Slot:
    """A chip as a Line; `faults` may pull it. What it keeps is what it stored."""

    def __init__(self, number: int, scheme: str, faults: Faults | None = None) -> None:
        name = f"sample_psam_{scheme.lower()}"
        self.image: BlankImage = blank_images(1, name, root(f"transport-{scheme}-2"), number)[0]
        self.faults = faults or Faults()
        self.put_in()

    def put_in(self) -> None:
        def keep(image: BlankImage) -> None:
            self.image = BlankImage.from_json(image.to_json())

        chip = chip_of(self.image, persist=keep)
        assert isinstance(chip, BlankPsam)
        self.chip = chip

    def power_on(self) -> bytes:
        self.chip.power_on()
        return self.chip.atr

    def transceive(self, apdu: bytes) -> bytes:
        try:
            return self.faults.exchange(self.chip, apdu)
        except Torn as torn:
            self.put_in()
            raise CardGone(str(torn)) from torn

    def power_off(self) -> None:
        self.chip.power_off()


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    city = City(tmp_path)
    yield Depot(city.store)
    city.store.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_maker_makes_a_psam_of_a_blank_and_a_roll_reaches_it(depot: Depot, scheme: str):
    slot = Slot(1, scheme)
    made = depot.maker(depot.batch(1, scheme)).make(slot)
    image = slot.chip.psam.image
    assert image.files[0x16].hex() == made.terminal
    assert sorted(key.version for key in image.keys["purchase"]) == [1, 2]
    assert {key.value for key in image.keys["purchase"]} == {root("purchase-3DES-1"), root("purchase-3DES-2")}
    assert depot.states() == ["checked"]

    depot.keys = SampleKeys((1, 2, 3))
    added = sams.update(depot.store, depot.keys, slot, "zhao", depot.clock)
    assert sorted((key.purpose, key.version) for key in added) == [("maintenance", 3), ("purchase", 3)]
    assert sorted(key.version for key in slot.chip.psam.image.keys["purchase"]) == [1, 2, 3]
    assert slot.image.psam == slot.chip.psam.image


@pytest.mark.parametrize("moment", [BEFORE, AFTER])
def test_a_chip_pulled_at_each_command_is_made_when_it_is_put_in_again(depot: Depot, moment: str):
    counting = Slot(999, "AES")
    names: list[str] = []
    counting.faults = Faults(on_exchange=lambda name, number: names.append(name))
    depot.maker(depot.batch(1, "AES")).make(counting)
    maker = depot.maker(depot.batch(len(names), "AES"))
    for number in range(1, len(names) + 1):
        slot = Slot(number, "AES", Faults([f"{number}:{moment}"]))
        with pytest.raises(CardGone):
            maker.make(slot)
        maker.make(slot)
        assert slot.image.stage == PERSONALISED and slot.image.tries_left == 5
    assert depot.states() == ["checked"] * (len(names) + 1)
