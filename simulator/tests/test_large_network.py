"""A metro of 300 stations from the clerk's file to the card: the office builds, signs and publishes one set, a gate
downloads it in pieces, checks it in steps, and charges a ride by a grid that it reads in place.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backoffice.fleet import download, replay, sets, spec
from backoffice.keys.soft import open_keys
from backoffice.store.engine import Store
from backoffice.tests.forge import DAY, PASSPHRASE, City
from simulator.networks import metro
from simulator.tests.test_tariff_day import SCOPE, city
from support import rides as terminals
from support.bus import PanelNotes, settings, soft_sam
from support.manual_clock import ManualClock
from support.nor import NorFlash
from support.office import Office
from support.purse_card import SERIAL, FieldReader, PurseCard
from tunion.fare.distance import Bands
from tunion.window import Window
from tunion.wire import manifest, params
from validator import app
from validator.ports import Response

__all__ = ["city"]  # a fixture

SEED = 4
SET_BYTES_MAX = 49152
SECTORS = 28
NOW_S = 1748700000  # the evening before the set comes into force
EFFECTIVE_S = 1748721600
SAMPLES = Path(spec.__file__).parents[1] / "samples" / "fares"
READ_A_TURN_MAX = 6 * 1024  # bytes of the parameter flash, while nothing is staged any more


class Line:
    """The Net port: uploads go to an office that takes them, downloads to the real one's store."""

    def __init__(self, office: Any, store: Store) -> None:
        self.host = office.host
        self._office = office
        self._store = store
        self._body: bytes | None = None
        self.pieces = 0

    def start(self, path: str, body: Any) -> None:
        self._office.start(path, body)

    def get(self, path: str) -> None:
        asked = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        with self._store.reading() as db:
            if asked.path == manifest.MANIFEST_PATH:
                self._body = download.manifest_of(db, query["scope"])
            else:
                digest = asked.path.removeprefix(manifest.BLOB_PATH)
                self._body = download.piece_of(db, digest, query["off"], query["len"])
                self.pieces += 1

    def step(self) -> Any:
        if self._body is None:
            return self._office.step()
        body, self._body = self._body, None
        return Response(200, 0, body)


def written(folder: Path, network: dict[str, Any]) -> Path:
    content = json.loads((SAMPLES / "metro.json").read_text(encoding="utf-8"))
    content.update(scope=SCOPE)
    content["fare"]["network"] = "network.json"
    (folder / "network.json").write_text(json.dumps(network), encoding="utf-8")
    (folder / "set.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "set.json"


def published(city: City, path: Path) -> bytes:
    """The office's key, once the set is offered."""
    payload = spec.payload_of(path, NOW_S)
    with pytest.raises(spec.FleetRefused, match="with --set-bytes"):
        spec.refuse_undeliverable(payload, tariffs=True)
    spec.refuse_undeliverable(payload, tariffs=True, set_bytes=SET_BYTES_MAX)
    keys = open_keys(city.vault, PASSPHRASE, production=False)
    with city.store.transaction() as db:
        sets.build(db, payload, replay.replay(db, params.decode(payload, True), DAY), "wang", NOW_S)
        sets.approve(db, SCOPE, 2, "li", NOW_S)
        sets.publish(db, keys, "params", SCOPE, 2, "li", NOW_S)
    return keys.public_key("params")


def metres(network: dict[str, Any], start: int) -> dict[int, int]:
    """The shortest ways from a station, by relaxing every step until nothing changes."""
    steps = [tuple(walk) for walk in network["walks"]]
    for line in network["lines"]:
        steps += zip(line["stations"][:-1], line["stations"][1:], line["metres"], strict=True)
    found = {start: 0}
    changed = True
    while changed:
        changed = False
        for one, other, length in steps + [(other, one, length) for one, other, length in steps]:
            if one in found and found[one] + length < found.get(other, 1 << 30):
                found[other] = found[one] + length
                changed = True
    return found


def test_a_metro_of_300_stations_reaches_a_gate_and_charges_a_ride(city: City, tmp_path: Path) -> None:
    network = metro(SEED)
    key = published(city, written(tmp_path, network))
    area = {
        "path": "params.nor", "scope": SCOPE, "keys": [key], "sectors": SECTORS, "set_bytes_max": SET_BYTES_MAX,
    }
    device = settings(
        params=area, tariffs=True, role="both", city=terminals.CITY, network=terminals.NETWORK, operator=b"\x00\x01",
        place_coding="L0S0",
    )
    clock = ManualClock(now_s=NOW_S)
    flash = NorFlash(sectors=SECTORS, sector_bytes=4096)
    line = Line(Office(device, clock), city.store)
    reader = FieldReader()
    panel = PanelNotes()
    validator = app.build(
        app.Ports(
            reader=reader, sam=lambda next_seq: soft_sam(clock, next_seq), flash=NorFlash(sectors=8, sector_bytes=4096),
            params_flash=flash, lists_flash=None, clock=clock, net=line, panel=panel, below=lambda limit: limit - 1,
            heap_free=lambda: 1 << 20, meter=None, keep=None, duty=None, care=None, gate=None,
        ),
        device,
    )

    def turns(count: int, until: Any = lambda: False) -> int:
        for turn in range(count):
            if until():
                return turn
            validator.step()
            clock.advance_ms(100)
        return count

    assert turns(3000, lambda: validator.params.staged_version == 2) < 3000
    assert line.pieces == -(-flash_bytes(validator) // manifest.PIECE_BYTES_MAX) > 20
    clock.set(EFFECTIVE_S)
    most = 0
    for _ in range(200):
        before = flash.read_bytes
        turns(1)
        most = max(most, flash.read_bytes - before)
        if validator.params.version == 2:
            break
    assert validator.params.version == 2
    assert most <= READ_A_TURN_MAX
    fare = validator.params.rules.fare
    assert isinstance(fare.table, Window) and fare.grid.places == 300

    bands = Bands(
        network["bands"]["start_m"], network["bands"]["start_fen"],
        tuple((from_m, step_m, add_fen) for from_m, step_m, add_fen in network["bands"]["steps"]),
    )
    start = 101
    ways = metres(network, start)
    assert len(ways) == 300
    for number, end in enumerate((102, 120, 811, 1520)):
        card = PurseCard(SERIAL[:-1] + bytes([0x40 + number]), kind=1, balance_fen=50_000, city=terminals.CITY)
        for stop in (start, end):
            validator.duty.stop = stop
            reader.present(card)
            turns(5)
            reader.card = None
            turns(5)
            clock.advance_ms(600_000)
        assert card.spent_fen == bands.fen(ways[end]), (end, panel.shown[-4:])


def flash_bytes(validator: Any) -> int:
    """Of the staged blob."""
    size: int = validator.params._banks[1].header.bytes
    return size
