"""Random schedules of a bad network: what a validator told a passenger is in the back office exactly once.

    python -m simulator.rig.schedules --schedules 10000 --seed 1
    python -m simulator.rig.schedules --seed 1 --only 4711

Each schedule is two validators (journal and sync as they run on a bus, over flash in memory) and the real intake over
real SQLite, joined by simulator/network.py. Powers are cut at any byte, clocks jump, the office restarts, clerks order
and enrol, flashes are lost. Seed and number replay a schedule. Exit code 0: every one was exactly once.
"""

import argparse
import contextlib
import logging
import os
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from backoffice import setup
from backoffice.intake import commands as orders
from backoffice.intake import enrol as enrolment
from backoffice.intake.receive import Intake
from backoffice.store import registry
from backoffice.store.engine import Store
from simulator.network import Network, Weather
from simulator.rig.bus_sketch import AUDIENCE, Sketch, device_key
from tunion import cose
from tunion.wire import command, sync, tap
from validator.ports import Response

TURNS = 120             # of a schedule, before all is well again
CALM_TURNS_MAX = 4000   # until everything has to be in the office
A_STORE_FOR = 100       # schedules; then a new database
START_MS = 1_760_000_000_000
ORG = {"org": "SAMPLE", "name_zh": "示例", "name_en": "Sample", "city": "6110", "province": "6100"}
BUSY_PERMILLE = 40


class Failed(Exception):
    """A schedule that was not exactly once. The message says what is wrong."""


class RigKeys:
    """Device keys made from the device's number. Only MACs are asked for here."""

    def device_mac(self, device_id: int, message: bytes) -> bytes:
        return cose.hmac_sha256(device_key(device_id), message)


@contextlib.contextmanager
def office() -> Iterator[Store]:
    """A back office's database, in memory where the machine has a file system there."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        path = Path(folder) / "office.db"
        setup.init(path, AUDIENCE, False, [])
        store = Store(path)
        with store.transaction() as db:
            registry.add(db, "org", ORG)
        yield store
        store.close()


class Schedule:
    """One schedule. `run` raises Failed."""

    def __init__(self, store: Store, seed: int, number: int) -> None:
        self._store = store
        self._chance = random.Random(f"{seed}/{number}")
        chance = self._chance
        rates = [chance.choice((0, 20, 150, 400)) for _ in Weather._fields]
        self._network = Network(self._serve, chance, Weather(*rates))
        self._restart()
        first_id = 2 * number + 1
        self.buses = [
            Sketch(device_id, self._network, chance, START_MS) for device_id in (first_id, first_id + 1)
        ]
        with store.transaction() as db:
            for bus in self.buses:
                registry.add(db, "device", {"device_id": bus.device_id, "name": "bus", "operator": "SAMPLE",
                                            "acquirer": "SAMPLE"})
        self.taps = 0
        self.cuts = 0
        self.carried = 0

    def run(self) -> None:
        """Trouble, then calm, then the books."""
        self.happen()
        self.compare()

    def happen(self) -> None:
        """Trouble, then calm until all has arrived. Raises Failed where it does not arrive."""
        for _ in range(TURNS):
            self._trouble()
            self._turn(self._chance.choice((20, 50, 300, 1000, 5000, 20_000, 120_000)))
        self._arrive()

    def _arrive(self) -> None:
        """All is well from here on. Raises Failed where not all arrives."""
        self._network.clear()
        for bus in self.buses:
            bus.calm()
        for _ in range(CALM_TURNS_MAX):
            self._clerk()
            next_ms = self._network.next_ms()
            wait_ms = 1000 if next_ms is None else next_ms - self._network.now_ms
            self._turn(min(max(20, wait_ms), 30_000))
            if next_ms is None and all(bus.is_done() for bus in self.buses) and not self._open_orders():
                break
        else:
            raise Failed("the network is calm, and still not all has arrived")
        self.taps = sum(len(bus.told) for bus in self.buses)
        self.cuts = sum(bus.cuts for bus in self.buses)
        self.carried = self._network.carried

    def compare(self) -> None:
        """Two stories: what the buses did, what the office has. Raises Failed."""
        for bus in self.buses:
            self._compare_bus(bus)

    # -- what happens -------------------------------------------------------------------------------------------

    def _turn(self, by_ms: int) -> None:
        self._network.advance(by_ms)
        for bus in self.buses:
            bus.turn()

    def _trouble(self) -> None:
        chance = self._chance
        bus = chance.choice(self.buses)
        roll = chance.randrange(1000)
        if roll < 350:
            for _ in range(chance.choice((1, 1, 2, 20))):
                bus.tap()
        elif roll < 420:
            bus.cut_soon()
        elif roll < 440:
            bus.power_cut()
        elif roll < 470:
            bus.jump_clock()
        elif roll < 500:
            self._restart()
        elif roll < 540:
            self._order(bus)
        elif roll < 550:
            bus.lose_flash(self._paid(bus))
        elif roll < 600:
            self._clerk()

    def _restart(self) -> None:
        """The office process anew: all that it knows is in its database."""
        self._intake = Intake(self._store, RigKeys(), lambda: START_MS + self._network.now_ms)  # type: ignore[arg-type]

    def _serve(self, path: str, body: bytes) -> Response:
        if self._chance.randrange(1000) < BUSY_PERMILLE and self._network.weather.gateway:
            return Response(503, 5, b"busy")
        answer = self._intake.receive(body) if path == sync.PATH else self._intake.enrol(body)
        return Response(answer.status, answer.retry_after_s, answer.body)

    def _order(self, bus: Sketch) -> None:
        name = self._chance.choice(sorted(command.ARGUMENTS))
        argument = 60 if name == command.SET_INTERVAL else 0
        with self._store.transaction() as db:
            if len(orders.to_send(db, bus.device_id, 0)) < orders.SENT_MAX:
                orders.issue(db, bus.device_id, name, argument, "rig", 0)

    def _clerk(self) -> None:
        """Takes every journal that waits."""
        ours = [bus.device_id for bus in self.buses]
        with self._store.transaction() as db:
            for row in enrolment.waiting(db):
                if row["device_id"] in ours:
                    enrolment.accept(db, row["device_id"], row["epoch"], "rig", 0)

    # -- what has to be true ------------------------------------------------------------------------------------

    def _rows(self, query: str, bus: Sketch) -> list[Any]:
        with self._store.reading() as db:
            return db.execute(query, (bus.device_id,)).fetchall()

    def _open_orders(self) -> bool:
        query = "SELECT 1 FROM command WHERE device_id = ? AND done_at_s IS NULL"
        return any(self._rows(query, bus) for bus in self.buses)

    def _paid(self, bus: Sketch) -> set[str]:
        """Cards whose ride the office knows to be paid."""
        return {row["card"] for row in self._rows(_TAPS, bus) if row["outcome"] in _PAID or row["amended"] in _PAID}

    def _compare_bus(self, bus: Sketch) -> None:
        """Every tap that a passenger was told of, once; no other; every number of a journal; every command once."""
        where = f"device {bus.device_id}"
        rows = self._rows(_TAPS, bus)
        cards = [row["card"] for row in rows]
        if len(set(cards)) != len(cards):
            raise Failed(f"{where}: a tap is there twice")
        if set(cards) - bus.begun:
            raise Failed(f"{where}: a tap is there that was never begun")
        missing = bus.told - self._paid(bus) - bus.lost
        if missing:
            raise Failed(f"{where}: {len(missing)} taps that passengers were told of are missing")
        if self._rows("SELECT 1 FROM entry WHERE device_id = ? AND copy > 0", bus):
            raise Failed(f"{where}: one number, two contents")
        for row in self._rows(_JOURNALS, bus):
            if row["n"] != row["newest"] and row["epoch"] not in bus.lost_epochs:
                raise Failed(f"{where}: journal {row['epoch']:08X} has {row['n']} entries up to {row['newest']}")
        ended = [row["value"] for row in self._rows(_COMMANDS, bus)]
        reboots = self._rows("SELECT 1 FROM command WHERE device_id = ? AND name = 'reboot'", bus)
        if not bus.lost_epochs and (len(set(ended)) != len(ended) or bus.reboots > len(reboots)):
            raise Failed(f"{where}: a command ran twice")


_PAID = (tap.SETTLED, tap.PROVED)
_TAPS = """
    SELECT txn.card, txn.outcome, (
        SELECT amend.outcome FROM amend JOIN entry USING (id)
        WHERE entry.device_id = txn.device_id AND entry.epoch = txn.epoch AND amend.of_seq = txn.seq) AS amended
    FROM txn WHERE device_id = ?
"""
_JOURNALS = "SELECT epoch, COUNT(*) AS n, MAX(seq) AS newest FROM entry WHERE device_id = ? GROUP BY epoch"
_COMMANDS = f"SELECT value FROM event JOIN entry USING (id) WHERE device_id = ? AND code = {tap.COMMAND_DONE}"


def run(seed: int, numbers: Sequence[int]) -> Counter[str]:
    """Run the schedules of these numbers in one office; figures. Raises Failed, naming seed and number."""
    sums: Counter[str] = Counter()
    with office() as store:
        for number in numbers:
            schedule = Schedule(store, seed, number)
            try:
                schedule.run()
            except Failed as failed:
                raise Failed(f"seed {seed}, schedule {number}: {failed}; replay it: "
                             f"python -m simulator.rig.schedules --seed {seed} --only {number}") from failed
            sums.update(schedules=1, taps=schedule.taps, cuts=schedule.cuts, carried=schedule.carried)
    return sums


def _quietly(seed: int, numbers: Sequence[int]) -> Counter[str]:
    logging.disable(logging.CRITICAL)   # intake says a line for each message that it refuses
    return run(seed, numbers)


def main() -> int:
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m simulator.rig.schedules", description=about)
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--only", type=int, metavar="NUMBER", help="replay this schedule")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes (default: one a core)")
    args = parser.parse_args()
    numbers = range(args.schedules) if args.only is None else [args.only]
    batches = [numbers[at : at + A_STORE_FOR] for at in range(0, len(numbers), A_STORE_FOR)]
    started = time.monotonic()
    sums: Counter[str] = Counter()
    with ProcessPoolExecutor(args.jobs) as pool:
        going = [pool.submit(_quietly, args.seed, batch) for batch in batches]
        try:
            for done in as_completed(going):
                sums += done.result()
                words = ", ".join(f"{value} {name}" for name, value in sums.items())
                print(f"seed {args.seed}: {words} ({time.monotonic() - started:.0f} s)", flush=True)
        except Failed as failed:
            print(f"FAILED {failed}", file=sys.stderr)
            pool.shutdown(cancel_futures=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
