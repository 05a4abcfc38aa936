"""A card is denied at the office while two buses run: after a delta the bus that the list is for refuses it, the other
bus does not, and nobody else notices. Real programs throughout.
"""

import sqlite3
import time

from simulator.rig.depot import Depot
from simulator.rig.riders import riders
from simulator.tests.on_micropython import FIRMWARE, UNIX
from tunion.wire.tap import LIST_ACTIVE

NOBODY = -1
SEED = 9
ACTIVE_WAIT_S = 60.0  # some 10 s pass on an idle machine: a manifest, head and content, two signatures, a merge
DENIED = 400  # cards on the list from the start, nobody's here


def write_list(folder, cards):
    path = folder / "denied.csv"
    path.write_text("card,why\n" + "".join(f"{card},lost\n" for card in cards), encoding="utf-8")
    return path


def wait_for(depot, version):
    """Until the first bus has said that it runs this version; each look drains it, which is an upload."""
    deadline = time.monotonic() + ACTIVE_WAIT_S
    while depot.centre.lists()[version - 1]["running"] == 0:
        assert time.monotonic() < deadline, f"list {version} did not become active in time"
        depot.first.drain()


def test_a_card_denied_at_the_office_is_refused_by_a_running_bus(tmp_path):
    micropython = [UNIX[0], "-X", "heapsize=2m"]
    people = riders(12, SEED, poor=NOBODY, expired=NOBODY)
    thief = people[0]
    strangers = [f"310499970{number:010d}" for number in range(DENIED)]
    firmware = f"{FIRMWARE}:.frozen"
    settings = {"block_denied": False}  # a blocked card would be refused everywhere
    with Depot(tmp_path / "depot", micropython, firmware, (), settings, downlink_s=1, deny_max=1000) as depot:
        first, second = depot.posts
        depot.power_on(first)
        depot.power_on(second)
        scope = first.bus.operator
        assert depot.centre.publish_list(write_list(tmp_path, strangers), scope) == (1, [])
        wait_for(depot, 1)
        assert first.tap(thief)["what"] == "paid"

        stolen = thief.serial.hex()
        assert depot.centre.publish_list(write_list(tmp_path, [*strangers[5:], stolen]), scope) == (2, [1])
        first.tap_all(people[2:5])  # taps go on meanwhile
        wait_for(depot, 2)
        shown = first.tap(thief)
        assert (shown["what"], shown["reason"]) == ("refused", "denied")
        assert second.tap(thief)["what"] == "paid"
        first.power_cut()
        first.power_on()
        assert first.tap(thief)["what"] == "refused"
        first.tap_all(people[5:8])
        for post in depot.posts:
            post.end_shift()
        figures = depot.centre.clear()

        assert (figures["problems"], figures["anomalies"]) == ([], {})
        assert sum(rider.spent_fen for rider in people) == figures["cleared_fen"]
        status = depot.centre.lists()
        assert [(row["version"], row["count"], row["running"], row["devices"], row["old"]) for row in status] == [
            (1, DENIED, 1, 1, 0),
            (2, DENIED - 4, 1, 1, 0),
        ]
        db = sqlite3.connect(f"file:{depot.centre.db}?mode=ro", uri=True)
        try:
            told = db.execute(
                f"SELECT device_id, value FROM event JOIN entry USING (id) WHERE code = {LIST_ACTIVE} ORDER BY seq"
            ).fetchall()
        finally:
            db.close()
        assert told == [(first.bus.device_id, 1), (first.bus.device_id, 2)]
