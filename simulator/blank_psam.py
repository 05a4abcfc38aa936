"""A blank PSAM: after stage 2 it is the PSAM, and still takes keys of a new version under its control key."""

from dataclasses import replace

from simulator import sw
from simulator.apdu import Apdu, Refused, need
from simulator.blank_chip import BlankChip, Persist
from simulator.blank_image import BLANK, COMMANDS, INITIALISED, PERSONALISED, BlankImage
from simulator.image import PsamImage
from simulator.psam import SimPsam
from simulator.randomness import Random
from tunion.card import psam
from tunion.card.files import SELECT


class BlankPsam(BlankChip):
    """A chip that becomes a PSAM. `psam` is that PSAM, from stage 2 on."""

    takes = {
        BLANK: COMMANDS,
        INITIALISED: tuple(name for name in COMMANDS if not name.startswith("create")),
        PERSONALISED: ("select_mf", "get_chip", "get_challenge", "external_authenticate", "write_key"),
    }

    def __init__(self, image: BlankImage, random: Random | None = None, persist: Persist | None = None) -> None:
        super().__init__(image, random, persist)
        assert image.psam
        self._psam = SimPsam(image.psam, self._stored_by_psam)

    @property
    def psam(self) -> SimPsam:
        """The finished PSAM; raises ValueError before that."""
        if self.image.stage != PERSONALISED:
            raise ValueError("this chip is no PSAM yet: it must be personalised first")
        return self._psam

    @property
    def uid(self) -> bytes:
        return self._psam.uid

    @property
    def atr(self) -> bytes:
        return self._psam.atr

    def _content_on(self) -> bytes:
        return self._psam.power_on()

    def _content_off(self) -> None:
        self._psam.power_off()

    def _otherwise(self, apdu: bytes, command: Apdu) -> bytes:
        if self.image.stage != PERSONALISED:
            raise Refused(sw.NO_FILE if command.ins == SELECT.head[1] else sw.NO_INS)
        return self._psam.transceive(apdu)

    def _allows_application(self, aid: bytes) -> bool:
        return aid == psam.APPLICATION_NAME

    def _in_application(self, sfi: int) -> bool:
        return sfi == psam.APPLICATION_SFI

    def _finish(self, after: BlankImage) -> None:
        assert after.psam
        need(bool(after.psam.keys["purchase"]), sw.CONDITIONS)
        need(all(after.is_written(sfi) for sfi in after.psam.files), sw.CONDITIONS)

    def _show(self, image: BlankImage) -> None:
        super()._show(image)
        assert image.psam
        self._psam.image = image.psam

    def _stored_by_psam(self, sam: PsamImage) -> None:
        after = replace(self.image, psam=sam)
        if self._persist:
            self._persist(after)
        self.image = after
