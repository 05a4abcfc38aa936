"""A tariff from the clerk's file to the settled fen: the office builds and publishes it, terminals charge cards by it,
the office clears what they journaled. Nothing is flagged, and what left the cards is what is cleared.
"""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from backoffice import report, setup
from backoffice.clearing import rides
from backoffice.clearing.close import clear_day
from backoffice.fleet import replay, sets, spec
from backoffice.keys import signing, vault
from backoffice.keys.soft import open_keys
from backoffice.tests.forge import DAY, NOON_S, PASSPHRASE, City, Validator
from support import rides as terminals
from support.purse_card import PurseCard
from tunion import cose_sign1
from tunion.card import trips
from tunion.wire import params, tap

SCOPE = "09990111"
SAMPLES = Path(spec.__file__).parents[1] / "samples" / "fares"
REGISTRY = {  # the SAM and the issuer of the firmware's own test parts
    "issuers": [{"issuer_id": "04026110FFFFFFFF", "org": "09990100"}],
    "terminals": [{"terminal": "611000000042", "operator": SCOPE, "acquirer": "09990100"}],
}
BATCH = 32
HOME, AWAY = terminals.CITY, b"\x99\x01"


@pytest.fixture
def city(tmp_path: Path) -> City:
    made = City(tmp_path)
    path = tmp_path / "more.json"
    path.write_text(json.dumps(REGISTRY))
    with made.store.transaction() as db:
        setup.load(db, setup.read(path))
    opened = vault.open_vault(made.vault, PASSPHRASE)
    key = signing.new()
    opened.add(vault.KeyInfo("params", "params", "ES256", "sign", "", vault.kcv("ES256", key)), key)
    opened.save()
    return made


def published(city: City, folder: Path, name: str) -> Any:
    """The tariff as a device reads it from the blob that the office signed."""
    content = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    (folder / "metro_network.json").write_bytes((SAMPLES / "metro_network.json").read_bytes())
    path = folder / "set.json"
    path.write_text(json.dumps({**content, "scope": SCOPE}))
    payload = spec.payload_of(path, NOON_S)
    keys = open_keys(city.vault, PASSPHRASE, production=False)
    with city.store.transaction() as db:
        effect = replay.replay(db, params.decode(payload, True), DAY)
        sets.build(db, payload, effect, "wang", NOON_S)
        sets.approve(db, SCOPE, 2, "li", NOON_S)
        sets.publish(db, keys, "params", SCOPE, 2, "li", NOON_S)
        blob = db.execute("SELECT blob FROM params_set").fetchone()[0]
    return params.decode(cose_sign1.unseal(blob)[1], True).fare


def uploaded(bus: Validator, terminal: Any) -> int:
    """Everything in the terminal's journal, sent as device 1; how many taps."""
    entries = [bytes(entry) for _, entry in terminal.journal.pending(1000, 1_000_000)]
    for start in range(0, len(entries), BATCH):
        batch = entries[start : start + BATCH]
        answer = bus.send([e for e in batch if e[0] != tap.EVENT], [e for e in batch if e[0] == tap.EVENT])
        assert not answer.reject
    return sum(entry[0] == tap.TAP for entry in entries)


# sample -> the terminal's role, where it stands ([]: everywhere), which events must have occurred
DAYS = {
    "metro": ("both", [101, 105, 116, 201, 224], {tap.BOARD, tap.ALIGHT}),
    "bus_segment": ("bus", [1, 2, 5, 9, 10], {tap.BOARD, tap.ALIGHT, tap.MAKE_UP}),
    "rail": ("both", [], {tap.BOARD, tap.ALIGHT}),
    "toll": ("both", [], {tap.BOARD, tap.ALIGHT}),
    "coach": ("bus", [], {tap.BOARD, tap.ALIGHT}),
    "taxi": ("bus", [], {tap.SINGLE}),
    "ferry": ("bus", [], {tap.SINGLE}),
    "bus_hours": ("bus", [], {tap.SINGLE}),
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", DAYS)
def test_a_day_of_each_mode_clears_to_the_fen(name: str, seed: int, city: City, tmp_path: Path) -> None:
    role, stops, wanted = DAYS[name]
    tariff = published(city, tmp_path, name)
    grid = tariff.grid
    stops = stops or ([grid.code(i) for i in range(grid.places)] if grid else [0])
    coding = "CCL0000S" if max(stops) > 99 else "CC0000SS"  # stations of each line, or numbered without lines
    terminal: Any = terminals.terminal(tariff, role=role, kept_in=trips.BUS, same_card_s=0, station_coding=coding)
    terminal.tap._gate = terminals.Post()
    dice = random.Random(seed)
    cards = [
        PurseCard(b"\x03\x10" + bytes(7) + bytes([17 + i]), kind=kind, balance_fen=400_000, city=card_city)
        for i, (kind, card_city) in enumerate([(1, HOME), (2, HOME), (3, HOME), (1, AWAY)])
    ]
    for _ in range(60):
        terminal.clock.advance_ms(dice.choice((60_000, 600_000, 4_000_000)))
        terminal.duty.stop = dice.choice(stops)
        terminal.duty.layer = dice.randrange(min(grid.layers, 2)) if grid else 0
        terminal.duty.meter_fen = tariff.low_fen
        terminal.reader.present(dice.choice(cards))
        terminal.tap.serve()
        terminal.reader.card = None

    taps = uploaded(Validator(city), terminal)
    closing = clear_day(city.store, city.keys, DAY, city.now_s)

    said = f"{name}, seed {seed}"
    assert closing.problems == [], said
    assert city.rows("SELECT code, ref, detail FROM anomaly") == [], said
    figures = report.summary(city.db)
    assert set(figures["states"]) <= {"CLEARED", "NOTED"}, said
    assert figures["taps"] == taps > 10, said
    assert figures["cleared_fen"] == sum(card.spent_fen for card in cards) > 0, said
    assert wanted <= {event for (event,) in city.rows("SELECT DISTINCT event FROM txn")}, said

    with city.store.reading() as db:
        counts = rides.report(db, None, terminal.clock.now_s())["counts"]
    ends = dict(city.rows("SELECT event, COUNT(*) FROM txn GROUP BY event"))
    assert counts[rides.MATCHED] == ends.get(tap.ALIGHT, 0), said
    assert counts[rides.NO_ENTRY] == 0, said
    begun = sum(counts.values())
    assert begun == ends.get(tap.BOARD, 0), said
