"""`ykt card blank`: the images of blank chips, as a vendor would deliver the chips."""

import argparse
from pathlib import Path
from typing import Any

from simulator.blank import TEST_TRANSPORT
from simulator.blank_image import PROFILES, SERIAL_BYTES, Profile, blank_images

COUNT_MAX = 10000       # a delivery; each image is a file of 4 KB
SERIAL_END = 1 << 8 * SERIAL_BYTES


def configure(actions: Any) -> None:
    """Adds the action to `ykt card`."""
    text = "用测试传输密钥制作空白卡或 PSAM 的映像 | make images of blanks, under the public test transport key"
    blank = actions.add_parser("blank", help=text, description=text)
    blank.set_defaults(do=_blank)
    known = ", ".join(sorted(path.stem for path in PROFILES.glob("*.json")))
    blank.add_argument("--profile", required=True, metavar="NAME",
                       help=f"芯片指令表 | {known}; or a file that ends in .json")
    blank.add_argument("--count", type=_count, default=1, metavar="N", help="数量，默认 1 | how many, else 1")
    blank.add_argument("--first-serial", type=_serial, default=1, metavar="HEX",
                       help="首个芯片序列号，默认 1 | serial number of the first chip; the others follow it")
    blank.add_argument("--folder", required=True, type=Path, metavar="DIR",
                       help="文件夹，文件名为芯片序列号 | where they go, each named by its chip's serial number")


def _blank(args: argparse.Namespace) -> int:
    """Nothing is written unless all can be. Raises ImageError, ValueError."""
    if args.first_serial + args.count > SERIAL_END:
        raise ValueError("the serial numbers run past 8 bytes: begin lower")
    profile = Profile.load(args.profile)
    images = blank_images(args.count, profile, TEST_TRANSPORT, args.first_serial)
    paths = [args.folder / f"{image.serial.hex().upper()}.json" for image in images]
    there = [path for path in paths if path.exists()]
    if there:
        raise ValueError(f"{there[0]} exists: remove it first, or name another folder or serial number")
    args.folder.mkdir(parents=True, exist_ok=True)
    for image, path in zip(images, paths, strict=True):
        image.save(path)
        print(path)
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= COUNT_MAX:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to {COUNT_MAX}")
    return int(text)


def _serial(text: str) -> int:
    number = int(text, 16)
    if not 0 <= number < SERIAL_END:
        raise argparse.ArgumentTypeError("at most 16 hex digits")
    return number
