"""A new fare is published while two buses run: it becomes active at its time on the bus it is meant for, each tap says
so, and clearing prices every tap again with the table that it names. Real programs throughout.
"""

import json
import sqlite3
import time

from simulator.rig.depot import Depot
from simulator.rig.provision import DISCOUNTS
from simulator.rig.riders import ISSUERS, riders
from simulator.tests.on_micropython import FIRMWARE, UNIX
from tunion.card.files import ORDINARY
from tunion.fare.flat import FlatFare
from tunion.wire.tap import PARAMS_ACTIVE

NOBODY = -1
SEED = 8
ACTIVE_WAIT_S = 60.0  # some 15 s pass on an idle machine: a manifest, a blob, two signatures, then its time
NEW_FEN = 260
LEAD_S = 8  # from the order to publish to the time at which the fare begins


def params_file(folder, bus, effective_at_s):
    issuers = [issuer.identifier[:4].hex() for issuer in ISSUERS]
    content = {
        "name": "dearer",
        "scope": bus.operator,
        "version": 1,
        "effective_at": effective_at_s,
        "expires_at": effective_at_s + 86400,
        "fare": {"version": 2, "fare_id": bus.fare.fare_id, "fare_fen": NEW_FEN},
        "kinds": {"version": 1, "discounts": [list(pair) for pair in DISCOUNTS.items()]},
        "calendar": {"version": 1, "days": []},
        "issuers": {"version": 1, "home": issuers, "accepted": issuers},
        "device": {
            "version": 1,
            "balance_max_fen": 500000,
            "block_denied": 0,
            "grey_after_s": 14400,
            "overdraft": 0,
            "same_card_s": 0,
        },
    }
    path = folder / "dearer.json"
    path.write_text(json.dumps(content))
    return path


def rows(depot, query):
    db = sqlite3.connect(f"file:{depot.centre.db}?mode=ro", uri=True)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def wait_for_coverage(depot, running):
    """Until that many devices have said that they run the set; each look drains the first bus, which is an upload."""
    deadline = time.monotonic() + ACTIVE_WAIT_S
    while depot.centre.coverage()[0]["running"] != running:
        assert time.monotonic() < deadline, "the set did not become active in time"
        depot.first.drain()


def test_a_new_fare_becomes_active_at_its_time_and_clearing_knows_it(tmp_path):
    micropython = [UNIX[0], "-X", "heapsize=1m"]
    people = riders(40, SEED, poor=NOBODY, expired=NOBODY)
    with Depot(tmp_path / "depot", micropython, f"{FIRMWARE}:.frozen", downlink_s=1) as depot:
        first, second = depot.posts
        depot.power_on(first)
        depot.power_on(second)
        first.tap_all(people[0:4])
        second.tap_all(people[4:8])

        effective_at_s = int(time.time()) + LEAD_S
        depot.centre.publish(params_file(tmp_path, first.bus, effective_at_s), first.bus.operator, 1)
        first.tap_all(people[8:10])  # may come before or after its time: each tap says which
        wait_for_coverage(depot, 1)
        first.tap_all(people[10:14])
        first.power_cut()
        first.power_on()
        first.tap_all(people[14:18])
        second.tap_all(people[18:20])
        for post in depot.posts:
            post.end_shift()
        figures = depot.centre.clear()

        assert (figures["problems"], figures["anomalies"]) == ([], {})
        assert sum(rider.spent_fen for rider in people) == figures["cleared_fen"]
        columns = "device_id, at_s, fare_version, card_kind, amount_fen"
        taps = rows(depot, f"SELECT {columns} FROM txn ORDER BY device_id, seq")
        new = FlatFare(first.bus.fare.fare_id, 2, NEW_FEN, DISCOUNTS)
        for device_id, at_s, version, kind, amount_fen in taps:
            fare = new if version == 2 else (first if device_id == first.bus.device_id else second).bus.fare
            assert amount_fen == fare.price(kind).amount_fen
            assert version == 1 or (device_id == first.bus.device_id and at_s >= effective_at_s)
        versions = [tap[2] for tap in taps if tap[0] == first.bus.device_id]
        assert versions == sorted(versions) and versions[:4] == [1] * 4 and versions[-8:] == [2] * 8
        assert new.price(ORDINARY).amount_fen != first.bus.fare.price(ORDINARY).amount_fen
        told = rows(
            depot, f"SELECT device_id, reason, value FROM event JOIN entry USING (id) WHERE code = {PARAMS_ACTIVE}"
        )
        assert told == [(first.bus.device_id, 0, 1)]
