"""`ykt firmware build|sizes|freeze`: every firmware module through mpy-cross, for each kind of processor.

The result lies in build/firmware/ARCH/ and keeps the folders of firmware/, so it can be copied to a board as it is.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.paths import BUILD, FIRMWARE, MPY_CROSS, require

ARCHES = {
    "x64":        "unix on a PC",
    "armv6m":     "Cortex-M0+: RP2040",
    "armv7m":     "Cortex-M3: QEMU's mps2-an385",
    "armv7emsp":  "Cortex-M4F/M33: STM32F4, RP2350",
    "xtensawin":  "ESP32, ESP32-S3",
}
PORTABLE = ("tunion", "validator")
BOARDS = {      # board code beside the portable folders
    "x64": ("boards/common", "boards/pc", "boards/unix"),
    "armv6m": ("boards/common", "boards/rp2"),
    "armv7m": ("boards/common", "boards/qemu_mps2"),
    "xtensawin": ("boards/common", "boards/esp32"),
}


class CompileFailed(Exception):
    """mpy-cross refused at least one module. The message holds its words, one refusal per line."""


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    help_line = "固化到仿真 ARM 板的固件中 | freeze into the emulated ARM board's firmware"
    freeze = actions.add_parser("freeze", help=help_line, description=help_line)
    freeze.add_argument("--json", action="store_true", help="一个 JSON 对象 | one object for a program to read")
    for name, help_line in (
        ("build", "编译全部模块 | compile every module into build/firmware"),
        ("sizes", "编译并列出各模块字节数 | compile, then show bytes per module"),
    ):
        action = actions.add_parser(name, help=help_line, description=help_line)
        action.add_argument("--arch", choices=ARCHES, action="append",
                            help="只编译此处理器 | only this processor; may be repeated")
        action.add_argument("--json", action="store_true",
                            help="一个 JSON 对象 | one object for a program to read")
        if name == "sizes":
            action.add_argument("--budget", action="store_true",
                                help="在仿真 ARM 板上测量并重写 firmware/budget.toml | "
                                     "measure on the emulated ARM board, write firmware/budget.toml anew")


def run(args: argparse.Namespace) -> int:
    if args.action == "freeze":
        return freeze(args.json)
    if args.action == "sizes" and args.budget:
        return write_budget(args.json)
    arches = args.arch or list(ARCHES)
    try:
        sizes = {arch: build(arch) for arch in arches}
    except CompileFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    totals = {arch: sum(modules.values()) for arch, modules in sizes.items()}

    if args.json:
        print(json.dumps({"modules": sizes, "total": totals}))
    elif args.action == "sizes":
        print_sizes(sizes, totals)
    else:
        for arch in arches:
            print(f"build/firmware/{arch}: {len(sizes[arch])} modules, {totals[arch]} bytes  ({ARCHES[arch]})")
    return 0


def freeze(as_json: bool) -> int:
    """The board's whole firmware, made by firmware/manifest.py."""
    from tools import board

    try:
        elf = board.frozen()
    except board.BoardFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    size = board.code_bytes(elf)
    print(json.dumps({"elf": str(elf), "bytes": size}) if as_json else f"{elf}: {size} bytes")
    return 0


def build(arch: str, made: Path | None = None) -> dict[str, int]:
    """Compile the firmware for one processor afresh.

    made     the folder, by default build/firmware/ARCH
    returns  module path without suffix -> bytes of its .mpy
    raises   CompileFailed after trying every module; NotSetUp without mpy-cross
    """
    require(MPY_CROSS)
    made = made or BUILD / "firmware" / arch
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{arch}.", dir=made.parent) as scratch:
        sizes = _compiled(arch, Path(scratch) / "new")
        if made.exists():   # whoever runs from it finds the old one or the new one, but for a moment
            made.rename(Path(scratch) / "old")
        (Path(scratch) / "new").rename(made)
    return sizes


def _compiled(arch: str, out: Path) -> dict[str, int]:
    modules = [
        path.relative_to(FIRMWARE)
        for folder in PORTABLE
        for path in sorted((FIRMWARE / folder).rglob("*.py"))
    ]
    modules += [
        path.relative_to(FIRMWARE)
        for folder in BOARDS.get(arch, ())
        for path in sorted((FIRMWARE / folder).glob("*.py"))
    ]
    with ThreadPoolExecutor() as pool:
        refusals = [words for words in pool.map(lambda module: cross_compile(module, arch, out), modules) if words]
    if refusals:
        raise CompileFailed("\n".join(refusals))
    return {str(module.with_suffix("")): (out / module.with_suffix(".mpy")).stat().st_size for module in modules}


def cross_compile(module: Path, arch: str, out: Path) -> str:
    """Compile one module; returns mpy-cross's refusal, empty when it had none."""
    target = out / module.with_suffix(".mpy")
    target.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [MPY_CROSS, f"-march={arch}", "-s", str(module), "-o", target, FIRMWARE / module],
        capture_output=True, text=True,
    )
    return f"firmware/{module} ({arch}): {done.stderr.strip()}" if done.returncode else ""


def write_budget(as_json: bool) -> int:
    """Measure, write, show."""
    from tools import board, budget

    try:
        measured = budget.measure()
    except board.BoardFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    budget.write(measured)
    print(json.dumps(measured) if as_json else budget.BUDGET.read_text(), end="\n" if as_json else "")
    return 0


def print_sizes(sizes: dict[str, dict[str, int]], totals: dict[str, int]) -> None:
    names = sorted({name for modules in sizes.values() for name in modules})
    width = max(map(len, names + ["total"]))
    print(" " * width, *(f"{arch:>10}" for arch in sizes))
    for name in names:
        print(f"{name:<{width}}", *(f"{modules.get(name, ''):>10}" for modules in sizes.values()))
    print(f"{'total':<{width}}", *(f"{total:>10}" for total in totals.values()))
