"""`ykt journal dump IMAGE`: what a validator's journal holds, in words. Reads the file, changes nothing.

Exit codes: 0 sound, 1 something broken was found, 2 wrong usage.
"""

import argparse
import json
import sys
from pathlib import Path

from tools import journal_image, journal_text

IMAGE_BYTES_MAX = 256 << 20     # sixteen times the largest ring: a whole disk by mistake is refused, not read


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `ykt journal`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    help_line = "解释日志镜像 | explain a flash image of the journal, also a broken one"
    dump = actions.add_parser("dump", help=help_line, description=help_line)
    dump.add_argument("image", type=_image, metavar="IMAGE", help="闪存镜像 | bytes of the flash area")
    dump.add_argument("--sector-bytes", type=_sector_bytes, metavar="N", help="扇区大小 | (default: found in it)")
    dump.add_argument("--sector", type=int, metavar="N", help="只看一个扇区 | this sector only")
    dump.add_argument("--waiting", action="store_true", help="只看未确认的 | only what was not acknowledged")
    dump.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Exit code of one command."""
    image = journal_image.read(args.image.read_bytes(), args.sector_bytes)
    if args.sector is not None and not 0 <= args.sector < len(image.sectors):
        print(f"ykt journal: there is no sector {args.sector}: {len(image.sectors)} sectors from 0", file=sys.stderr)
        return 2
    if args.json:
        found = journal_text.as_object(image, args.sector, args.waiting)
        print(json.dumps({"image": str(args.image), **found}, ensure_ascii=False))
    else:
        for line in journal_text.lines(image, args.sector, args.waiting):
            print(line)
    return 1 if journal_text.is_broken(image) else 0


def _image(text: str) -> Path:
    path = Path(text)
    if path.is_file() and path.stat().st_size > IMAGE_BYTES_MAX:
        raise argparse.ArgumentTypeError(f"{text} has more than {IMAGE_BYTES_MAX} bytes: no journal is that large")
    return path


def _sector_bytes(text: str) -> int:
    size = int(text)
    if size < journal_image.SECTOR_BYTES_MIN or size % journal_image.STEP_BYTES:
        raise argparse.ArgumentTypeError(
            f"a multiple of {journal_image.STEP_BYTES}, at least {journal_image.SECTOR_BYTES_MIN}"
        )
    return size
