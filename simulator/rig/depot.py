"""The rig set up: a back office, two buses with their readers and SAMs, a cable between. Real programs, real files."""

import contextlib
import functools
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from backoffice.fleet import devices
from simulator.field import Faults
from simulator.pcscd import READERS, Pcscd
from simulator.pn532_chip import Pn532Chip
from simulator.rig.cable import Cable
from simulator.rig.centre import Centre
from simulator.rig.keyroom import KeyRoom
from simulator.rig.parts import Samples, Supply
from simulator.rig.program import Program, RigFault
from simulator.rig.provision import (
    Bus,
    buses,
    change_device_file,
    lists_area,
    other_terminal,
    params_area,
    write_device_file,
)
from simulator.rig.shift import Post
from simulator.rig.terminals import PN532, SERIAL, mount, place, tariff
from simulator.stx_etx_reader import StxEtxReader
from simulator.vpcd import VpcdSlot

# name, profile, the SAM's number: terminals of other modes, all of one operator
OTHERS = (
    ("C-207", "bus_segment", "611000000207"), ("M-101", "metro_entry", "611000000901"),
    ("M-105", "metro_exit", "611000000905"),
)  # fmt: skip
STOPS = {"M-101": 101, "M-105": 105}
OTHERS_OPERATOR = "SAMPLE-BUS-A"
CLOCK_VARIABLE = "YKT_RIG_CLOCK_S"      # boards/unix/set_clock.py
DAY_S = 86400


class Depot:
    """A context in which `first` (PC/SC reader, PSAM) and `second` (PN532, soft SAM) can be powered on.

    The parts may be broken and mended: `centre`, `cable`, `pcscd`, `psam` (a slot), `second_door`.

    folder       emptied first; holds every file of the run
    interpreter  of the validators: its command, options included
    firmware     where it finds their modules: MICROPYPATH, PYTHONPATH
    denied       application serial numbers on the deny list
    settings     device settings beside those of provision.write_device_file
    board        under firmware/boards that the interpreter runs
    downlink_s   how often the validators ask for parameter sets and lists; 0: they take none
    deny_max     denied cards that a published list may have; 0: they take no lists
    heard        takes each line of a validator, after the bus's name
    modes        beside the two buses of flat fares a segment bus and a pair of metro gates: `segment`, `gates`
    room         whose keys the back office works with; None: test keys
    supply       of SAMs; None: samples with those test keys
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
        modes: bool = False,
        room: KeyRoom | None = None,
        supply: Supply | None = None,
        readers: int = len(READERS),
    ) -> None:
        self._folder = folder
        self._supply = supply or Samples(denied)
        self._readers = readers
        self._clock_env: dict[str, str] = {}
        self._interpreter = interpreter
        self._firmware = firmware
        self._settings = settings or {}
        self._board = board
        self._downlink_s = downlink_s
        self._deny_max = deny_max
        self._heard = heard
        self._modes = modes
        self._parts = contextlib.ExitStack()
        self.first: Post
        self.second: Post
        self.segment: Post
        self.gates: tuple[Post, Post]
        self.posts: tuple[Post, ...] = ()
        self.centre = Centre(folder / "centre", room=room)

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

    def give_soft_sam(self, post: Post) -> None:
        """Provision a post anew with the soft SAM that there is now; it is switched off."""
        change_device_file(post.bus, sam=self._supply.soft_sam(post.bus))

    def next_day(self) -> None:
        """Switch all off for the night. From now on every clock shows the same time of the next day."""
        for post in self.posts:
            post.validator.stop()
        self.centre.close()
        self._clock_env = {CLOCK_VARIABLE: str(DAY_S)}
        self.centre.env.update(LD_PRELOAD=str(_faketime()), FAKETIME="+1d", FAKETIME_DONT_FAKE_MONOTONIC="1")
        self.centre.open()

    def restart_pcscd(self) -> None:
        """After it was stopped or killed; the PSAM is where it was."""
        self.psam.remove()
        self.first.door.remove()
        self.pcscd.start()
        self.insert_psam()

    @property
    def second_door(self) -> Pn532Chip | StxEtxReader:
        """The reader of the second bus."""
        door = self.second.door
        assert isinstance(door, Pn532Chip | StxEtxReader)
        return door

    def replace_chip(self) -> None:
        """Another PN532 at the same path."""
        self.second_door.close()
        self.second.door = Pn532Chip(self.second.bus.folder / "reader")

    def _set_up(self, parts: contextlib.ExitStack) -> None:
        one, two = buses(self._folder)
        others = self._others() if self._modes else []
        self.centre.prepare((one, two, *(bus for bus, _ in others)), tariffs=True)
        if self._downlink_s:
            self._params_key = self.centre.make_signing_key()
        self.centre.open()
        parts.callback(self.centre.close)
        self.cable = Cable(self.centre.port)
        parts.callback(self.cable.close)

        self.pcscd = pcscd = parts.enter_context(Pcscd(self._readers))
        self._supply.make(self.centre.db, pcscd, (one, two, *(bus for bus, _ in others)))
        self._psam = self._supply.psam(one)
        self.psam = VpcdSlot(pcscd.port + 1)
        self.insert_psam()
        parts.callback(self.psam.remove)
        card_slot = VpcdSlot(pcscd.port)
        parts.callback(card_slot.remove)
        self._denied = self._supply.denied()
        card_reader, sam_reader = READERS
        self._write(one, {"driver": "pcsc", "name": card_reader}, {"driver": "psam", "name": sam_reader})
        door, reader, sam = place(two, PN532 if self._supply.soft else SERIAL, self._supply)
        self._write(two, reader, sam)
        self.first = Post(one, card_slot, self._starter(pcscd.command))
        self.second = Post(two, door, self._starter(list))
        parts.callback(lambda: self.second_door.close())
        self.posts = (self.first, self.second, *(self._mounted(bus, profile, parts) for bus, profile in others))
        if others:
            self.segment, *gates = self.posts[2:]
            self.gates = (gates[0], gates[1])

    def _others(self) -> list[tuple[Bus, devices.Profile]]:
        """The terminals of other modes, by the sample profiles, and the tariffs that they charge."""
        found = []
        for name, profile_name, terminal in OTHERS:
            profile = devices.read(devices.DEVICES / f"{profile_name}.json")
            _, fare = tariff(profile.tariff, self._folder / "tariffs", OTHERS_OPERATOR, int(time.time()))
            found.append((other_terminal(self._folder, name, terminal, profile.settings["line"], fare), profile))
        return found

    def _mounted(self, bus: Bus, profile: devices.Profile, parts: contextlib.ExitStack) -> Post:
        server = {"address": "127.0.0.1", "port": self.cable.port, "pin": self.centre.pin}
        changes = {"same_card_s": 0, "duty": {"stop": STOPS.get(bus.name, 0)}}
        reader = PN532 if self._supply.soft else SERIAL
        door, _ = mount(bus, reader, profile.settings, changes, server, parts, self._supply)
        return Post(bus, door, self._starter(list))

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
            place([*self._interpreter, "-m", f"boards.{self._board}.{self._main()}", str(bus.device_file)]),
            bus.folder / "validator.log",
            {"MICROPYPATH": self._firmware, "PYTHONPATH": self._firmware, **self._clock_env},
            functools.partial(self._heard, bus.name) if self._heard is not None else None,
        )

    def _main(self) -> str:
        """The board's program; the one whose clock is set otherwise, where it is another day."""
        return "set_clock" if self._clock_env else "main"


def _faketime() -> Path:
    """The library that shows another time to whole programs. Raises RigFault."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        raise RigFault("libfaketime is missing: install the package libfaketime, or run `make setup`")
    return found[0]
