"""`ykt bench [NAME ...]`: figures as ratios against a named reference, measured in the same run.

A benchmark is a function without arguments that returns `Figure`s. With --json each is one object a line:
name, value, unit, reference, reference_value, ratio, goal, met.
"""

import argparse
import dataclasses
import importlib
import json
import sys

# name -> (module in tools, function). Only the one asked for is imported.
BENCHMARKS = {
    "tap.flat": ("tools.benches.tap", "flat"),
    "tap.segment": ("tools.benches.rides", "segment"),
    "tap.entry": ("tools.benches.rides", "entry"),
    "tap.exit": ("tools.benches.rides", "leave"),
    "denylist.lookup": ("tools.benches.denylist", "lookup"),
    "denylist.step": ("tools.benches.denylist", "step"),
    "firmware.size": ("tools.benches.size", "firmware_size"),
    "firmware.heap": ("tools.benches.heap", "firmware_heap"),
    "crypto.purchase": ("tools.benches.purchase", "purchase"),
    "fares": ("tools.benches.fares", "fares"),
    "params.verify": ("tools.benches.verify", "params_verify"),
    "params.large": ("tools.benches.large_set", "large"),
    "journal.programmed": ("tools.benches.journal", "journal_programmed"),
    "journal.erases": ("tools.benches.journal", "journal_erases"),
    "journal.boot": ("tools.benches.journal", "journal_boot"),
    "journal.append": ("tools.benches.journal", "journal_append"),
    "heap.sync": ("tools.benches.heap", "heap_sync"),
    "tac.verify": ("tools.benches.tac", "tac_verify"),
    "cards.personalise": ("tools.benches.cards", "personalise"),
    "tac.pkcs11": ("tools.benches.tac_token", "tac_pkcs11"),
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured value beside its reference.

    goal      bounds the ratio from above; None: nobody has set one
    at_least  the goal bounds it from below: where more is better
    """

    name: str
    value: float
    unit: str
    reference: str
    reference_value: float
    goal: float | None = None
    at_least: bool = False

    @property
    def ratio(self) -> float:
        """value / reference_value."""
        return self.value / self.reference_value

    @property
    def met(self) -> bool | None:
        """The ratio is within the goal; None without one."""
        if self.goal is None:
            return None
        return self.ratio >= self.goal if self.at_least else self.ratio <= self.goal

    def as_object(self) -> dict[str, object]:
        """What --json prints."""
        fields = dataclasses.asdict(self)
        del fields["at_least"]  # `met` says how it came out
        return {**fields, "ratio": round(self.ratio, 4), "met": self.met}


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `ykt bench`."""
    parser.add_argument("name", nargs="*", type=_benchmark, metavar="NAME",
                        help=f"不写则全部 | all without one: {', '.join(BENCHMARKS)}")
    parser.add_argument("--json", action="store_true", help="每行一个 JSON 对象 | one object a line")


def run(args: argparse.Namespace) -> int:
    """Measure, print; 1 when a goal is missed."""
    figures = []
    for name in args.name or BENCHMARKS:
        module, function = BENCHMARKS[name]
        print(f"{name} …", file=sys.stderr, flush=True)
        for figure in getattr(importlib.import_module(module), function)():
            figures.append(figure)
            print(json.dumps(figure.as_object()) if args.json else _words(figure), flush=True)
    missed = [figure.name for figure in figures if figure.met is False]
    if missed:
        print(f"ykt bench: goal missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _benchmark(name: str) -> str:
    if name not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"there is no {name}; there are {', '.join(BENCHMARKS)}")
    return name


def _words(figure: Figure) -> str:
    sign = ">=" if figure.at_least else "<="
    goal = "" if figure.goal is None else f"  goal {sign} {figure.goal:g}: {'met' if figure.met else 'MISSED'}"
    return (
        f"{figure.name:<24} {figure.value:>12.3f} {figure.unit:<6} {figure.ratio:>9.4f} x "
        f"{figure.reference} ({figure.reference_value:.3f} {figure.unit}){goal}"
    )
