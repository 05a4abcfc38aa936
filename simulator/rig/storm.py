"""A storm: riders tap on two buses while cards are torn, validators, pcscd and back office killed, cables pulled.

    python -m simulator.rig.storm [--minutes 3] [--seed N] [--json]

What is tried comes from the seed (storm_plan.py), which replays it; when exactly a part dies is the machine's affair.
In the evening the shift ends, the day is cleared, and cards, panels and back office are compared record by record
(books.py). Exit code 0: no fen was lost or doubled.
"""

import argparse
import contextlib
import json
import secrets
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulator.field import BEFORE, Faults, Torn
from simulator.pcscd import PcscdFailed
from simulator.rig import storm_plan as plans
from simulator.rig.books import Books
from simulator.rig.depot import Depot
from simulator.rig.program import ProgramEnded, RigFault
from simulator.rig.riders import Rider, riders
from simulator.rig.shift import SHOWN, TAP_WAIT_S, Post, in_parallel, says
from simulator.rig.storm_plan import Accident, Ashore
from simulator.vpcd import ReaderGone

ROOT = Path(__file__).parents[2]
HEAP = "512k"           # of each validator, as in the demo
SEEDS = 1_000_000
SETTINGS = {
    "clock_required": False,    # a bus that restarts without network drives on
    "same_card_s": 2,
    "grey_after_s": 15,         # cards also come back after they were given up
}


class Storm:
    """One storm in `folder`, which is emptied first. `micropython` and `firmware` as for Depot."""

    def __init__(
        self, folder: Path, micropython: list[str], firmware: str, seed: int, say: Callable[[str], None]
    ) -> None:
        self._seed = seed
        self._say = say
        self._riders = riders(plans.RIDERS, seed, poor=-1, expired=-1)
        self._depot = Depot(folder, micropython, firmware, settings=SETTINGS)
        self._struck: Counter[str] = Counter()

    def run(self, minutes: float) -> dict[str, Any]:
        """The whole storm; its figures. Raises RigFault, PcscdFailed."""
        number = 0
        with self._depot as depot:
            for post in depot.posts:
                depot.power_on(post)
            ends_s = time.monotonic() + 60 * minutes
            while time.monotonic() < ends_s:
                self._round(number)
                number += 1
            self._say("evening: waiting until the back office has every record")
            in_parallel(*(post.end_shift for post in depot.posts))
        return self._figures(number)

    def _round(self, number: int) -> None:
        plan, posts = plans.planned(self._seed, number), self._depot.posts
        self._say(f"round {number}, ashore: {plan.ashore.kind if plan.ashore else 'calm'}; struck: {self._so_far()}")

        def drive(post: Post, taps: list[tuple[int, Accident | None]]) -> Callable[[], None]:
            return lambda: self._drive(post, taps)

        works = [drive(post, taps) for post, taps in zip(posts, plan.buses, strict=True)]
        in_parallel(*works, lambda: self._happens(plan.ashore))

    def _so_far(self) -> str:
        return f"{sum(self._struck.values())} times in {sum(len(post.visits) for post in self._depot.posts)} taps"

    def _figures(self, rounds: int) -> dict[str, Any]:
        centre, posts = self._depot.centre, self._depot.posts
        cleared, again = centre.clear(), centre.clear()
        books = Books(centre.db, self._riders, posts)
        findings = books.findings + cleared["problems"]
        if (again["output_digest"], again["new_records"]) != (cleared["output_digest"], 0):
            findings.append("the same day cleared again gives something else")
        shown = Counter(line["what"] for post in posts for visit in post.visits for line in visit.lines)
        return {
            "seed": self._seed,
            "rounds": rounds,
            "taps": sum(len(post.visits) for post in posts),
            "panel": dict(shown),
            "debits": sum(len(rider.debits) for rider in self._riders),
            "records": cleared["taps"],
            "faults": sum(self._struck.values()),
            "struck": dict(self._struck),
            "grey": cleared["grey"],
            "anomalies": cleared["anomalies"],
            **books.money._asdict(),
            "findings": findings,
            "db": str(centre.db),
        }

    # --- on a bus

    def _drive(self, post: Post, taps: list[tuple[int, Accident | None]]) -> None:
        for rider, accident in taps:
            self._tap(post, self._riders[rider], accident)
            self._mend(post)

    def _tap(self, post: Post, rider: Rider, accident: Accident | None) -> None:
        """Hold the card there until the panel says something or the validator is dead, and take it away."""
        since = post.validator.mark()
        late_s = accident.late_ms / 1000 if accident and accident.kind == plans.LATE_POWER_CUT else None
        with post.visit(rider):
            try:
                post.door.insert(rider.card, self._faults(post, accident) if accident else None)
            except ReaderGone:          # pcscd died with the last card and nobody has told the rider
                return
            if late_s is not None:
                time.sleep(late_s)      # the accident itself: the card lies there for so long
                self._strike(post, plans.LATE_POWER_CUT)
            else:
                self._watch(post, since)
            post.door.remove()

    def _watch(self, post: Post, since: int) -> None:
        """Wait until the panel has said how it went, or what is out of order, or the validator is dead."""
        with contextlib.suppress(ProgramEnded):
            post.validator.expect(says(*SHOWN, "fault"), since, TAP_WAIT_S, "anything about a card")

    def _faults(self, post: Post, accident: Accident) -> Faults:
        """What strikes at the accident's exchange, once."""
        struck = threading.Event()

        def at(exchange: str, number: int) -> None:
            if exchange == accident.exchange and not struck.is_set():
                struck.set()
                self._strike(post, accident.kind)
                if accident.kind != plans.PSAM:
                    raise Torn(f"{accident.kind} at {exchange}")

        return Faults(on_exchange=at) if accident.moment == BEFORE else Faults(on_answer=at)

    def _strike(self, post: Post, kind: str) -> None:
        self._struck[kind] += 1
        if kind in (plans.POWER_CUT, plans.LATE_POWER_CUT):
            post.power_cut()
        elif kind == plans.PCSCD:
            self._depot.pcscd.kill()
        elif kind == plans.PSAM:
            self._depot.psam.remove()
        elif kind == plans.LINE:
            self._depot.second_door.unplug()

    def _mend(self, post: Post) -> None:
        """Whatever is broken here works again, and the validator takes cards."""
        depot = self._depot
        if post is depot.first:
            if depot.pcscd.pid is None:
                depot.restart_pcscd()
            elif depot.psam.left.is_set():
                depot.insert_psam()
        elif depot.second_door.dead:
            depot.replace_chip()
        if not post.validator.running:
            if post.validator.wait() != -signal.SIGKILL:
                raise RigFault(f"{post.bus.name} ended by itself; see {post.validator.log}")
            post.power_on()

    # --- ashore

    def _happens(self, ashore: Ashore | None) -> None:
        """One thing away from the buses, undone before the round ends."""
        if ashore is None:
            return
        depot = self._depot
        time.sleep(ashore.begins_s)     # the storm's own pace
        self._struck[ashore.kind] += 1
        if ashore.kind == plans.CLEAR:
            depot.centre.clear()
            return
        down, up = {
            plans.CABLE: (depot.cable.pull, depot.cable.plug),
            plans.OFFICE: (depot.centre.kill, depot.centre.open),
        }[ashore.kind]
        down()
        time.sleep(ashore.lasts_s)
        up()


def main() -> int:
    """0 where the books hold, 1 where they do not or a part did not come back."""
    parser = argparse.ArgumentParser(prog="python -m simulator.rig.storm", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="how long it blows (default 3)")
    parser.add_argument("--seed", type=int, help="replays what was tried (default: a new one, printed)")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "storm", help="emptied first")
    parser.add_argument("--json", action="store_true", help="one object with the figures; progress goes to stderr")
    args = parser.parse_args()
    seed = secrets.randbelow(SEEDS) if args.seed is None else args.seed
    firmware = ROOT / "build" / "firmware" / "x64"
    micropython = ROOT / "build" / "bin" / "micropython"
    if not firmware.is_dir() or not micropython.exists():
        print("storm: nothing to run: `make setup build` first", file=sys.stderr)
        return 1
    print(f"storm: seed {seed}", file=sys.stderr)
    storm = Storm(
        args.folder.resolve(), [str(micropython), "-X", f"heapsize={HEAP}"], f"{firmware}:.frozen", seed,
        lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    try:
        figures = storm.run(args.minutes)
    except (RigFault, PcscdFailed) as fault:
        print(f"storm of seed {seed}: {fault}", file=sys.stderr)
        return 1
    print(json.dumps(figures, ensure_ascii=False) if args.json else _words(figures))
    return 1 if figures["findings"] else 0


def _words(figures: dict[str, Any]) -> str:
    lines = [f"{name:<13} {value}" for name, value in figures.items() if name != "findings"]
    lines += [f"FINDING: {sentence}" for sentence in figures["findings"]]
    lines.append("no fen was lost or doubled" if not figures["findings"] else f"again: --seed {figures['seed']}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
