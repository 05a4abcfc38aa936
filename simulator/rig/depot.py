"""The rig set up: a back office, two buses with their readers and SAMs, a cable between. Real programs, real files."""

import contextlib
import functools
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

from simulator.field import Faults
from simulator.image import PsamImage
from simulator.pcscd import READERS, Pcscd
from simulator.personalise import TEST_MASTERS, psam_image
from simulator.pn532_chip import Pn532Chip
from simulator.psam import SimPsam
from simulator.rig.cable import Cable
from simulator.rig.centre import Centre
from simulator.rig.program import Program
from simulator.rig.provision import Bus, buses, lists_area, params_area, write_device_file
from simulator.rig.riders import ISSUERS
from simulator.rig.shift import Post
from simulator.vpcd import VpcdSlot
from tunion.bcd import from_digits
from tunion.crypto.keys import suite
from tunion.wire.soft_sam import make_blob

START, EXPIRY = from_digits("20240101"), from_digits("20351231")     # of both SAMs


class Depot:
    """A context in which `first` (PC/SC reader, PSAM) and `second` (PN532, soft SAM) can be powered on.

    The parts may be broken and mended: `centre`, `cable`, `pcscd`, `psam` (a slot), `chip`.

    folder       emptied first; holds every file of the run
    interpreter  of the validators: its command, options included
    firmware     where it finds their modules: MICROPYPATH, PYTHONPATH
    denied       application serial numbers on the deny list
    settings     device settings beside those of provision.write_device_file
    board        under firmware/boards that the interpreter runs
    downlink_s   how often the validators ask for parameter sets and lists; 0: they take none
    deny_max     denied cards that a published list may have; 0: they take no lists
    heard        takes each line of a validator, after the bus's name
    """

    def __init__(
        self,
        folder: Path,
        interpreter: list[str],
        firmware: str,
        denied: tuple[bytes, ...] = (),
        settings: dict[str, Any] | None = None,
        board: str = "unix",
        downlink_s: int = 0,
        deny_max: int = 0,
        heard: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> None:
        self._folder = folder
        self._interpreter = interpreter
        self._firmware = firmware
        self._denied = list(denied)
        self._settings = settings or {}
        self._board = board
        self._downlink_s = downlink_s
        self._deny_max = deny_max
        self._heard = heard
        self._parts = contextlib.ExitStack()
        self.chip: Pn532Chip
        self.first: Post
        self.second: Post
        self.posts: tuple[Post, ...] = ()
        self.centre = Centre(folder / "centre")

    def __enter__(self) -> "Depot":
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        with contextlib.ExitStack() as parts:
            self._set_up(parts)
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def power_on(self, post: Post) -> None:
        """Start a post's validator; it ends with the depot."""
        self._parts.callback(lambda: post.validator.stop())
        post.power_on()

    def insert_psam(self, faults: Faults | None = None) -> None:
        """Put the first bus's PSAM into its slot (again)."""
        self.psam.insert(self._psam, faults)

    def restart_pcscd(self) -> None:
        """After it was stopped or killed; the PSAM is where it was."""
        self.psam.remove()
        self.first.door.remove()
        self.pcscd.start()
        self.insert_psam()

    def replace_chip(self) -> None:
        """Another PN532 at the same path."""
        self.chip.close()
        self.chip = Pn532Chip(self._chip_path)
        self.second.door = self.chip

    def _set_up(self, parts: contextlib.ExitStack) -> None:
        one, two = buses(self._folder)
        self.centre.prepare((one, two))
        if self._downlink_s:
            self._params_key = self.centre.make_signing_key()
        self.centre.open()
        parts.callback(self.centre.close)
        self.cable = Cable(self.centre.port)
        parts.callback(self.cable.close)

        self.pcscd = pcscd = parts.enter_context(Pcscd())
        self._psam = SimPsam(make_psam(one))
        self.psam = VpcdSlot(pcscd.port + 1)
        self.insert_psam()
        parts.callback(self.psam.remove)
        card_slot = VpcdSlot(pcscd.port)
        parts.callback(card_slot.remove)
        self._chip_path = self._folder / "pn532"
        self.chip = Pn532Chip(self._chip_path)
        parts.callback(lambda: self.chip.close())

        card_reader, sam_reader = READERS
        self._write(one, {"driver": "pcsc", "name": card_reader}, {"driver": "psam", "name": sam_reader})
        self._write(two, {"driver": "pn532", "path": str(self._chip_path)}, make_soft_sam(two))
        self.first = Post(one, card_slot, self._starter(pcscd.command))
        self.second = Post(two, self.chip, self._starter(list))
        self.posts = (self.first, self.second)

    def _write(self, bus: Bus, reader: dict[str, Any], sam: dict[str, Any]) -> None:
        server = {"address": "127.0.0.1", "port": self.cable.port, "pin": self.centre.pin}
        more = dict(self._settings)
        if self._downlink_s:
            more["params"] = params_area(bus, self._params_key, self._downlink_s)
        if self._deny_max:
            more["lists"] = lists_area(bus, self._deny_max)
        write_device_file(bus, reader, sam, server, self._denied, more)

    def _starter(self, place: Callable[[list[str]], list[str]]) -> Callable[[Bus], Program]:
        """Starts a bus's validator; `place` puts the command where its pcscd is."""
        return lambda bus: Program(
            f"validator {bus.name}",
            place([*self._interpreter, "-m", f"boards.{self._board}.main", str(bus.device_file)]),
            bus.folder / "validator.log",
            {"MICROPYPATH": self._firmware, "PYTHONPATH": self._firmware},
            functools.partial(self._heard, bus.name) if self._heard is not None else None,
        )


def make_psam(bus: Bus) -> PsamImage:
    """A PSAM with root test keys, and the bus's number."""
    return psam_image(
        TEST_MASTERS, bus.terminal, issuer=ISSUERS[0].identifier, start=START, expiry=EXPIRY, start_counter=1
    )


def make_soft_sam(bus: Bus) -> dict[str, Any]:
    """Issuer-level test keys for a validator without a SAM slot."""
    ciphers = suite(0)
    storage_key = secrets.token_bytes(32)
    blob = make_blob(
        storage_key,
        _aes_cbc_encrypt,
        secrets.token_bytes(16),
        {issuer.identifier: ciphers.diversify(TEST_MASTERS.purchase, issuer.identifier) for issuer in ISSUERS},
        bus.terminal,
        1,
        START,
        EXPIRY,
    )
    return {"driver": "soft", "blob": blob, "storage_key": storage_key}


def _aes_cbc_encrypt(key: bytes, iv: bytes, blocks: bytes) -> bytes:
    encryptor = Cipher(AES128(key), CBC(iv)).encryptor()
    return encryptor.update(blocks) + encryptor.finalize()
