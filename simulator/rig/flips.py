"""One bit of a journal's image flipped, each in turn: nothing is invented, at most one entry is lost, and it goes on.

    python -m simulator.rig.flips [--stride N]

What must hold is firmware/tests/support/flips.py. Exit code 0: it held for each bit.
"""

import argparse
import sys

import simulator.fakes  # noqa: F401
from support import flips


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m simulator.rig.flips", description=__doc__.splitlines()[0])
    parser.add_argument("--stride", type=int, default=1, help="each N-th bit")
    args = parser.parse_args(argv)
    flash = flips.used_flash()
    before = flips.sent(flips.journal_on(flash.twin()))
    failures = 0
    bits = range(0, 8 * len(flash.cells), max(1, args.stride))
    for bit in bits:
        try:
            flips.check(flash, bit, before)
        except flips.Wrong as wrong:
            failures += 1
            print(f"FAILED: {wrong}", flush=True)
    print(f"flips: {len(bits)} bits, {failures} FAILED")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
