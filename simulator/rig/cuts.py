"""Every write point of every durable operation: power fails there, and at every write point of the recovery.

    python -m simulator.rig.cuts [--seed N] [--seeds N] [--only STORY] [--stride N] [--again-stride N]
    python -m simulator.rig.cuts --only STORY --seed N --cut N [--again N]

The operations and what must hold are firmware/tests/support/cuts.py; torn cells waver as the seed says. The second form
replays the pair that a failure names. Exit code 0: no record was lost, doubled or invented, and a parameter set or a
list is the old or the new one. Of a list's recovery every 29th point is cut, at most: there are millions.
"""

import argparse
import multiprocessing
import os
import sys
import time
from typing import NamedTuple

import simulator.fakes  # noqa: F401
from support import cuts, list_life
from support.nor import BACKWARD, FORWARD, Faults

PARTS = 16      # of one story and seed, so that all processors have work to the end
LIST_AGAIN_STRIDE_MIN = 29


def operations() -> list[str]:
    """What --only may name."""
    return [*cuts.STORIES, *list_life.UPDATES]


class Task(NamedTuple):
    """One process's share: each `parts`-th cut from `part` on."""

    name: str
    seed: int
    stride: int
    again_stride: int
    part: int
    parts: int


class Result(NamedTuple):
    """How many cuts were made, and how many pairs of them."""

    cuts: int
    pairs: int


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m simulator.rig.cuts", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=operations(), help="one operation")
    parser.add_argument("--seed", type=int, default=0, help="first seed; bit 0: whole pages tear, bit 1: erase order")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from --seed on")
    parser.add_argument("--stride", type=_from_1, default=1, help="cut at each N-th unit of work")
    parser.add_argument("--again-stride", type=_from_1, default=1, help="and the recovery at each N-th")
    parser.add_argument("--jobs", type=_from_1, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--cut", type=int, help="replay: units of work before the power fails")
    parser.add_argument("--again", type=int, help="replay: and of the recovery")
    args = parser.parse_args(argv)
    if args.cut is None:
        return _sweep_all(args)
    if args.only is None:
        parser.error("--cut replays one operation: name it with --only")
    try:
        if args.only in list_life.UPDATES:
            _sweep_list(Task(args.only, args.seed, 1, args.again_stride, 0, 1), args.cut)
        else:
            cuts.replay(cuts.STORIES[args.only], args.seed, args.cut, args.again)
    except cuts.Wrong as wrong:
        print(f"FAILED: python -m simulator.rig.cuts {wrong}")
        return 1
    print("cuts: this pair is fine")
    return 0


def _sweep_all(args: argparse.Namespace) -> int:
    names = [args.only] if args.only else operations()
    tasks = [
        Task(name, seed, args.stride, args.again_stride, part, PARTS)
        for name in names for seed in range(args.seed, args.seed + args.seeds) for part in range(PARTS)
    ]  # fmt: skip
    totals: dict[str, Result] = {name: Result(0, 0) for name in names}
    failures = 0
    started_s = time.monotonic()
    with multiprocessing.Pool(args.jobs) as pool:
        for number, (task, result) in enumerate(pool.imap_unordered(_sweep, tasks), 1):
            if isinstance(result, str):
                failures += 1
                print(f"FAILED: python -m simulator.rig.cuts {result}", flush=True)
            else:
                before = totals[task.name]
                totals[task.name] = Result(before.cuts + result.cuts, before.pairs + result.pairs)
            pairs = sum(total.pairs for total in totals.values())
            print(f"\rcuts: {number} of {len(tasks)} parts, {pairs} pairs, {time.monotonic() - started_s:.0f} s ",
                  end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for name, total in totals.items():
        print(f"{name:<10} {total.cuts:>7} cuts {total.pairs:>9} pairs")
    seeds = f"seeds {args.seed} to {args.seed + args.seeds - 1}"
    print(f"cuts: {failures} FAILED, {seeds}" if failures else f"cuts: nothing was lost, doubled or invented, {seeds}")
    return 1 if failures else 0


def _sweep(task: Task) -> tuple[Task, Result | str]:
    """In a process of its own: what was cut, or how to replay the failure."""
    try:
        if task.name in list_life.UPDATES:
            return task, _sweep_list(task)
        done = cuts.sweep(
            cuts.STORIES[task.name], task.seed, task.stride, task.again_stride, part=task.part, parts=task.parts
        )
    except cuts.Wrong as wrong:
        return task, str(wrong)
    return task, Result(done.cuts, done.pairs)


def _sweep_list(task: Task, only: int | None = None) -> Result:
    """A share of a list's cuts, or only one of them. Raises Wrong."""
    faults = Faults(task.seed, pages=task.seed & 1 == 1)
    life = list_life.at_version_4(BACKWARD if task.seed & 2 else FORWARD, faults)
    start = life.kept()
    again_stride = max(task.again_stride, LIST_AGAIN_STRIDE_MIN)
    cut = task.part * task.stride if only is None else only
    done, pairs = 0, 0
    going = True
    while going:
        try:
            going, again = list_life.cut_at(life, start, task.name, cut, again_stride)
        except AssertionError as wrong:
            raise cuts.Wrong(f"--only {task.name} --seed {task.seed} --cut {cut}: {wrong}") from None
        done += going
        pairs += again
        cut += task.stride * task.parts
        going = going and only is None
    return Result(done, pairs)


def _from_1(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
