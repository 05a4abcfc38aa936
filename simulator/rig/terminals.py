"""Terminals by profile: a sample tariff as a clerk's file, and what a profile names mounted on ptys."""

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from backoffice.fleet import spec
from simulator.pn532_chip import Pn532Chip
from simulator.rig.parts import Samples, Supply
from simulator.rig.provision import Bus, write_device_file
from simulator.stx_etx_reader import StxEtxReader, load_profile
from simulator.taxi_meter import SimTaxiMeter
from tunion.fare.tariff import Tariff
from tunion.wire import params

PN532 = "pn532"             # a reader without a slot for a SAM
SERIAL = "sample_binary_xor"        # one with slots
_MONTH_S = 30 * 86400


def tariff(
    sample: Path, folder: Path, scope: str, now_s: int, changes: dict[str, dict[str, Any]] | None = None
) -> tuple[Path, Tariff]:
    """A sample as a clerk's file in `folder`, in force since a month ago, and the fare that it makes.

    changes  of the sample's sections: {"rules": {"hours": []}}
    """
    content = json.loads(sample.read_text(encoding="utf-8"))
    for section, values in (changes or {}).items():
        content[section].update(values)
    content.update(scope=scope, version=1, effective_at=now_s - _MONTH_S, expires_at=now_s + _MONTH_S)
    folder.mkdir(parents=True, exist_ok=True)
    for network in sample.parent.glob("*_network.json"):
        shutil.copy(network, folder)
    path = folder / sample.name
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    fare: Tariff = params.decode(spec.payload_of(path, now_s), True).fare
    return path, fare


def place(
    bus: Bus, reader: str, supply: Supply
) -> tuple[Pn532Chip | StxEtxReader, dict[str, Any], dict[str, Any]]:
    """A reader at the end of a line, as in `mount`; what a device file says of it and of its SAM."""
    link = bus.folder / "reader"
    if reader == PN532:
        return Pn532Chip(link), {"driver": PN532, "path": str(link)}, supply.soft_sam(bus)
    profile = load_profile(reader)
    door = StxEtxReader(profile, link, [supply.psam(bus)])
    return door, {"driver": "stx_etx", "path": str(link), "profile": profile}, {"driver": "reader", "slot": 1}


def mount(
    bus: Bus,
    reader: str,
    settings: dict[str, Any],
    changes: dict[str, Any],
    server: dict[str, Any],
    parts: contextlib.ExitStack,
    supply: Supply | None = None,
) -> tuple[Pn532Chip | StxEtxReader, SimTaxiMeter | None]:
    """Reader, SAM and meter as long as `parts` lives, and the device file.

    reader    "pn532", with a soft SAM; or a profile of a serial reader, with a PSAM in its slot
    settings  of the profile
    changes   in place of them; of `duty` key by key; a plate is hex
    server    address, port, pin
    supply    of its SAM
    """
    door, reader_part, sam = place(bus, reader, supply or Samples())
    parts.callback(door.close)
    more = {**settings, **changes, "duty": {**settings["duty"], **changes.get("duty", {})}}
    if "plate" in changes:
        more["plate"] = bytes.fromhex(changes["plate"])
    meter = None
    if "meter" in more["duty"]:
        profile = more["duty"]["meter"]["profile"]
        meter = SimTaxiMeter(bus.folder / "meter", profile)
        parts.callback(meter.close)
        more["duty"]["meter"] = {"path": str(bus.folder / "meter"), "profile": profile}
    write_device_file(bus, reader_part, sam, server, [], more)
    return door, meter
