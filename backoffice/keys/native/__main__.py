"""`python -m backoffice.keys.native`: compile the library. With `--search THROWS`: look for circuits of fewer gates."""

import sys

from backoffice.keys.native import build, generate


def main() -> int:
    match sys.argv[1:]:
        case []:
            build.build()
            print(f"{build.LIBRARY.relative_to(build.ROOT)}, of sources {build.source_hash()[:16]}")
        case ["--search", throws] if throws.isdigit():
            for box in range(8):
                gates, seed = generate.search(box, int(throws))
                print(f"S box {box + 1}: {gates} gates with seed {seed}", flush=True)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
