"""Every write point of a re-enrolment: power fails there, and at points of what follows; then the books are read.

    python -m simulator.rig.enrol_cuts [--stride N] [--again-stride N]
    python -m simulator.rig.enrol_cuts --cut N [--again N]

A bus whose rides are in the office gets another flash chip: a new journal is begun on it, passengers ride, the office
is asked, a clerk takes the journal in, the rides go up. The second form replays the pair that a failure names. Exit
code 0: every ride that a passenger was told of is in the office once, and no other.
"""

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from backoffice.store.engine import Store
from simulator.rig.schedules import Failed, Schedule, office

SEED = 19               # of outcomes and message numbers; the network is a good one
AGAIN_STRIDE = 97
TURNS = 40              # of a second, in which the power fails where it is to fail
RIDES = 4
PARTS = 32
CUTS_MAX = 100_000      # more units than any re-enrolment writes


class Reenrolment(Schedule):
    """One pair of cuts; `was_cut` tells whether the first of them was reached, `was_cut_again` the second."""

    def __init__(self, store: Store, number: int, cuts: Sequence[int]) -> None:
        Schedule.__init__(self, store, SEED, number)
        self._chance.seed(SEED)     # the same rides in each pair, whatever its number
        self._network.clear()
        self._cuts = cuts
        self.was_cut = False
        self.was_cut_again = False

    def happen(self) -> None:
        """Rides that are in the office, a new chip, rides and power cuts, then calm."""
        bus = self.buses[0]
        for _ in range(RIDES):
            bus.tap()
        for _ in range(TURNS):
            self._turn(1000)
        before = bus.cuts
        bus.lose_flash(self._paid(bus), self._cuts)
        for turn in range(TURNS):
            if turn < RIDES:
                bus.tap()
            self._clerk()
            self._turn(1000)
        self.was_cut = bus.cuts > before
        self.was_cut_again = bus.cuts > before + 1
        self._arrive()


def sweep(
    stride: int, again_stride: int, part: int = 0, parts: int = 1, only: Sequence[int] | None = None
) -> Counter[str]:
    """Each `stride`-th point from `part` on, each with every `again_stride`-th after it. Raises Failed."""
    logging.disable(logging.CRITICAL)   # intake says a line for each message that it refuses
    sums: Counter[str] = Counter()
    with office() as store:
        for cut in range(part * stride, CUTS_MAX, stride * parts) if only is None else only[:1]:
            again = cut % again_stride if only is None else (only[1] if len(only) > 1 else CUTS_MAX)
            while True:
                pair = Reenrolment(store, sums["pairs"], (cut, again))
                try:
                    pair.run()
                except Failed as failed:
                    words = f"{failed}; replay it: python -m simulator.rig.enrol_cuts --cut {cut} --again {again}"
                    raise Failed(words) from failed
                sums["pairs"] += 1
                if not pair.was_cut_again or only is not None:
                    break
                again += again_stride
            if not pair.was_cut:
                break
            sums["cuts"] += 1
    return sums


def main() -> int:
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m simulator.rig.enrol_cuts", description=about)
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="cut at each N-th unit (default 1)")
    parser.add_argument("--again-stride", type=int, default=AGAIN_STRIDE, metavar="N",
                        help="and what follows at each N-th (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes (default: one a core)")
    parser.add_argument("--cut", type=int, help="replay: units of work before the power fails")
    parser.add_argument("--again", type=int, help="replay: and after the reboot")
    args = parser.parse_args()
    started_s = time.monotonic()
    sums: Counter[str] = Counter()
    try:
        if args.cut is not None:
            sums = sweep(1, 1, only=[args.cut] if args.again is None else [args.cut, args.again])
        else:
            with ProcessPoolExecutor(args.jobs) as pool:
                going = [pool.submit(sweep, args.stride, args.again_stride, part, PARTS) for part in range(PARTS)]
                try:
                    for number, done in enumerate(as_completed(going), 1):
                        sums += done.result()
                        print(f"enrol_cuts: {number} of {PARTS} parts, {sums['cuts']} cuts, {sums['pairs']} pairs "
                              f"({time.monotonic() - started_s:.0f} s)", flush=True)
                finally:
                    pool.shutdown(cancel_futures=True)
    except Failed as failed:
        print(f"FAILED {failed}", file=sys.stderr)
        return 1
    print(f"enrol_cuts: {sums['cuts']} cuts and {sums['pairs']} pairs, nothing was lost, doubled or invented")
    return 0


if __name__ == "__main__":
    sys.exit(main())
