"""`ykt demo`: a tap on a real reader becomes a settled fen, forty times, with three accidents on the way."""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from simulator.pcscd import PcscdFailed
from simulator.rig.demo import RIDERS, Demo
from simulator.rig.program import RigFault
from tools.backoffice_text import print_summary
from tools.firmware import CompileFailed, build
from tools.paths import BUILD, MICROPYTHON, require
from tunion.money import yuan
from tunion.wire import reason

HEAP = "320k"           # of each validator; `ykt bench firmware.heap` finds the smallest
ARCH = "x64"
_REASONS = {name: (zh, en) for name, zh, en in reason.WORDS.values()}
_GREY_WAYS = {
    "proved": ("卡再次刷时由卡证明", "proved by the card when it came back to its validator"),
    "chain_paid": ("由卡的下一笔交易证明已扣款", "debited, by the card's next purchase elsewhere"),
    "chain_void": ("由卡的下一笔交易证明未扣款", "not debited, by the card's next purchase elsewhere"),
    "amended_paid": ("事后由卡证明已扣款", "debited, proved after it was sent as grey"),
    "amended_void": ("事后由卡证明未扣款", "not debited, proved after it was sent as grey"),
    "expired": ("逾期作废", "void after its time"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `ykt demo`."""
    parser.add_argument("--seed", type=int, default=1, help="riders and balances (default 1)")
    parser.add_argument("--folder", type=Path, default=BUILD / "demo", help="emptied first (default build/demo)")
    parser.add_argument("--json", action="store_true", help="one object with the figures; progress goes to stderr")


def run(args: argparse.Namespace) -> int:
    """0 when every fen that left a card is cleared or open, else 1."""
    require(MICROPYTHON)
    folder = args.folder.resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / "centre").is_dir():
        print(f"ykt demo: {args.folder} holds something else than a demo: choose another --folder", file=sys.stderr)
        return 2
    started_s = time.monotonic()

    def say(zh: str, en: str) -> None:
        print(f"[{time.monotonic() - started_s:5.1f} s] {zh} | {en}", file=sys.stderr, flush=True)

    try:
        say("编译固件", "compiling the firmware")
        build(ARCH)
        micropython = [str(MICROPYTHON), "-X", f"heapsize={HEAP}"]
        figures = Demo(folder, micropython, f"{BUILD / 'firmware' / ARCH}:.frozen", args.seed, say).run()
    except (RigFault, PcscdFailed, CompileFailed) as fault:
        print(f"ykt demo: {fault}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        _print(figures)
    return 0 if figures["balanced"] else 1


def _print(figures: dict[str, Any]) -> None:
    print()
    print(f"{RIDERS} 位乘客 riders, {figures['taps']} 次刷卡记录 taps on record, {figures['seconds']} s")
    for name, count in figures["refused"].items():
        zh, en = _REASONS.get(name, (name, name))
        print(f"  拒绝 refused {count}: {zh} | {en}")
    grey = figures["grey"]
    print(f"  灰记录 torn in the debit {grey['opened']}, 已解决 resolved {grey['resolved']}")
    for way, count in grey["how"].items():
        zh, en = _GREY_WAYS.get(way, (way, way))
        print(f"    {count}: {zh} | {en}")
    print()
    print_summary(figures)
    print()
    sign = "=" if figures["balanced"] else "≠"
    print(
        f"离开卡片 left the cards {yuan(figures['debited_fen'])} {sign} "
        f"已清分 cleared {yuan(figures['cleared_fen'])} + 未结 open {yuan(figures['open_fen'])}  (元 yuan)"
    )
    print("平衡,分毫不差 | balanced to the fen" if figures["balanced"] else "不平衡 | NOT BALANCED")
    db = os.path.relpath(figures["db"])
    print(f"数据库 database: {db}\n查看 look into it: .venv/bin/ykt backoffice status --db {db}")
