"""What a depot and a clearing centre prepare before the first bus leaves: registry, keys, device files.

Organisations, rates and keys are samples, made up here. The files are those that real devices and a real back
office read; nothing is passed by any other way.
"""

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.rig.riders import ISSUERS
from tunion import cbor
from tunion.card.files import SENIOR, STUDENT
from tunion.fare.flat import FlatFare
from tunion.fare.tariff import Tariff

AUDIENCE = "clearing.sample.invalid"
DEVICE_FILE = "device.cbor"
FLASH_FILE = "journal.nor"
DISCOUNTS = {STUDENT: 300, SENIOR: 500}     # permille; invented
SECTOR_BYTES, PAGE_BYTES, SECTORS = 4096, 256, 64


@dataclass
class Bus:
    """One bus: who runs it, what it charges, and its folder with device file and flash image."""

    device_id: int
    name: str
    operator: str
    acquirer: str
    terminal: bytes         # 6 bytes BCD, the SAM's number
    line: int
    fare: FlatFare | Tariff
    folder: Path
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def device_file(self) -> Path:
        """What the validator is started with."""
        return self.folder / DEVICE_FILE

    @property
    def flash_file(self) -> Path:
        """The journal's flash image."""
        return self.folder / FLASH_FILE


def buses(folder: Path) -> tuple[Bus, Bus]:
    """One bus in each of two cities: the first with a PSAM behind PC/SC, the second with a PN532 and a soft SAM."""
    rows = (
        (0x1A01, "A-101", "SAMPLE-BUS-A", ISSUERS[0].org, "611000000042", 101, FlatFare(1, 1, 200, DISCOUNTS)),
        (0x1B07, "B-207", "SAMPLE-BUS-B", ISSUERS[1].org, "614000000007", 207, FlatFare(2, 1, 300, DISCOUNTS)),
    )
    made = []
    for device_id, name, operator, acquirer, terminal, line, fare in rows:
        place = folder / f"bus-{name}"
        place.mkdir(parents=True)
        made.append(Bus(device_id, name, operator, acquirer, bytes.fromhex(terminal), line, fare, place))
    return made[0], made[1]


def other_terminal(folder: Path, name: str, terminal: str, line: int, fare: Tariff) -> Bus:
    """One of another mode, run by the first bus company; its folder is made."""
    place = folder / f"bus-{name}"
    place.mkdir(parents=True)
    device_id = 0x1C00 + int(terminal[-4:])
    return Bus(device_id, name, "SAMPLE-BUS-A", ISSUERS[0].org, bytes.fromhex(terminal), line, fare, place)


def registry(fleet: tuple[Bus, ...], tariffs: bool = False, sams: bool = True) -> dict[str, Any]:
    """The registry file of `ykt backoffice init`: backoffice/docs/store.md.

    tariffs  stand in it, too; else they come by being published
    sams     likewise; else they come by being linked to their devices
    """
    names = (
        ("SAMPLE-NN", "示例南宁一卡通", "Sample Nanning card company", "6110"),
        ("SAMPLE-LZ", "示例柳州一卡通", "Sample Liuzhou card company", "6140"),
        ("SAMPLE-BUS-A", "示例公交甲", "Sample bus company A", "6110"),
        ("SAMPLE-BUS-B", "示例公交乙", "Sample bus company B", "6140"),
    )
    return {
        "orgs": [
            {"org": org, "name_zh": zh, "name_en": en, "city": city, "province": "6100"} for org, zh, en, city in names
        ],
        "issuers": [{"issuer_id": issuer.identifier.hex(), "org": issuer.org} for issuer in ISSUERS],
        "devices": [
            {"device_id": bus.device_id, "name": bus.name, "operator": bus.operator, "acquirer": bus.acquirer}
            for bus in fleet
        ],
        "terminals": [
            {
                "terminal": bus.terminal.hex(),
                "operator": bus.operator,
                "acquirer": bus.acquirer,
                "device_id": bus.device_id,
            }
            for bus in fleet
            if sams
        ],
        # Rates per 100 000 are samples: inside a city, and between cities of a province.
        "fee_rules": [
            {"rule_id": "sample-city", "level": "city", "charge_rate": 300, "issuer_rate": 150, "acquirer_rate": 100},
            {
                "rule_id": "sample-province",
                "level": "province",
                "charge_rate": 600,
                "issuer_rate": 300,
                "acquirer_rate": 200,
            },
        ],
        "fares": [{"table": bus.fare.to_map()} for bus in fleet if tariffs or isinstance(bus.fare, FlatFare)],
    }


def write_registry(path: Path, fleet: tuple[Bus, ...], tariffs: bool = False, sams: bool = True) -> None:
    """As `registry`, to a file."""
    path.write_text(json.dumps(registry(fleet, tariffs, sams), ensure_ascii=False, indent=2), encoding="utf-8")


def write_device_file(
    bus: Bus,
    reader: dict[str, Any],
    sam: dict[str, Any],
    server: dict[str, Any],
    denied: list[bytes],
    more: dict[str, Any],
) -> None:
    """The provisioning file of one validator: firmware/validator/settings.py names every key.

    reader, sam  the driver and where it finds its part
    server       address, port, pin
    denied       application serial numbers, 10 bytes each
    more         further settings
    """
    settings: dict[str, Any] = {
        "device_id": bus.device_id,
        "key": bus.key,
        "host": AUDIENCE,
        "server": server,
        "reader": reader,
        "sam": sam,
        "flash": {
            "path": str(bus.flash_file),
            "sector_bytes": SECTOR_BYTES,
            "page_bytes": PAGE_BYTES,
            "sectors": SECTORS,
        },
        "fare": bus.fare.to_map(),
        "line": bus.line,
        "vehicle": bus.device_id,
        "driver": 0,
        "industry": 2,
        "home_issuers": [issuer.identifier[:4] for issuer in ISSUERS if issuer.org == bus.acquirer],
        "issuers": [issuer.identifier[:4] for issuer in ISSUERS],
        "deny": {"version": 1, "serials": b"".join(sorted(denied))},
        "block_denied": True,
        "sync_interval_s": 1,  # a bus would take a minute or more; the demo has less time than a shift
        "backoff_first_s": 1,
        "backoff_max_s": 4,
        **more,
    }
    bus.device_file.write_bytes(cbor.encode(settings))


def change_device_file(bus: Bus, **changes: Any) -> None:
    """Other values of some settings: the device is provisioned again."""
    settings = cbor.decode(bus.device_file.read_bytes())
    bus.device_file.write_bytes(cbor.encode({**settings, **changes}))


def lists_area(bus: Bus, cards: int) -> dict[str, Any]:
    """The setting `lists` of a bus: room for so many denied cards, in a flash image of its own."""
    return {
        "path": str(bus.folder / "lists.nor"),
        "sector_bytes": SECTOR_BYTES,
        "page_bytes": PAGE_BYTES,
        "deny_max": cards,
        "delta_max": max(1, cards // 10),
    }


def params_area(bus: Bus, key: bytes, interval_s: int) -> dict[str, Any]:
    """The setting `params` of a bus: sets of its operator, signed by `key`, in a flash image of its own."""
    return {
        "path": str(bus.folder / "params.nor"),
        "sector_bytes": SECTOR_BYTES,
        "page_bytes": PAGE_BYTES,
        "scope": bus.operator,
        "keys": [key],
        "interval_s": interval_s,
    }
