"""Every write point of every durable operation: power fails there, and at every write point of the recovery.

    python -m simulator.rig.cuts [--seed N] [--seeds N] [--only STORY] [--stride N] [--again-stride N]
    python -m simulator.rig.cuts --only STORY --seed N --cut N [--again N]

The operations and what must hold are firmware/tests/support/cuts.py; torn cells waver as the seed says. The second form
replays the pair that a failure names. Exit code 0: no record was lost, doubled or invented, and a parameter set is the
old or the new one.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

import simulator.fakes  # noqa: F401
from support import cuts

SAY_EACH_S = 5.0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m simulator.rig.cuts", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(cuts.STORIES), help="one operation")
    parser.add_argument("--seed", type=int, default=0, help="first seed; bit 0: whole pages tear, bit 1: erase order")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from --seed on")
    parser.add_argument("--stride", type=_from_1, default=1, help="cut at each N-th unit of work")
    parser.add_argument("--again-stride", type=_from_1, default=1, help="and the recovery at each N-th")
    parser.add_argument("--cut", type=int, help="replay: units of work before the power fails")
    parser.add_argument("--again", type=int, help="replay: and of the recovery")
    args = parser.parse_args(argv)
    if args.cut is None:
        return _sweep_all(args)
    if args.only is None:
        parser.error("--cut replays one operation: name it with --only")
    return _told(partial(cuts.replay, cuts.STORIES[args.only], args.seed, args.cut, args.again))


def _sweep_all(args: argparse.Namespace) -> int:
    failures = 0
    for name in [args.only] if args.only else cuts.STORIES:
        for seed in range(args.seed, args.seed + args.seeds):
            failures += _told(partial(_sweep, name, seed, args.stride, args.again_stride))
    print(f"cuts: {failures} FAILED" if failures else "cuts: nothing was lost, doubled or invented")
    return 1 if failures else 0


def _told(work: Callable[[], None]) -> int:
    """1 where the books do not agree, and says how to replay it."""
    try:
        work()
    except cuts.Wrong as wrong:
        print(f"FAILED: python -m simulator.rig.cuts {wrong}", flush=True)
        return 1
    return 0


def _sweep(name: str, seed: int, stride: int, again_stride: int) -> None:
    started_s = said_s = time.monotonic()

    def say(done: cuts.Result) -> None:
        nonlocal said_s
        now_s = time.monotonic()
        if now_s - said_s >= SAY_EACH_S:
            said_s = now_s
            print(f"{name}, seed {seed}: {done.cuts} cuts, {done.pairs} pairs …", file=sys.stderr, flush=True)

    done = cuts.sweep(cuts.STORIES[name], seed, stride, again_stride, say)
    print(f"{name:<8} seed {seed}: {done.cuts:>6} cuts, {done.pairs:>8} pairs, {time.monotonic() - started_s:.0f} s",
          flush=True)


def _from_1(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
