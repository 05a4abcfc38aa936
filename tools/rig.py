"""`ykt rig`: scenarios on the rig. `modes`: every kind of terminal, each by its profile and a story that is data."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from backoffice.fleet.spec import FleetRefused
from simulator.rig import story
from simulator.rig.modes import Street
from simulator.rig.program import RigFault
from tools.backoffice_text import print_table
from tools.clerk import in_process
from tools.firmware import CompileFailed, build
from tools.paths import BUILD, MICROPYTHON, require
from tunion.money import yuan

HEAP = "1m"             # of each validator; a segment bus with its SAM in the reader needs more than 640 KiB on a PC
ARCH = "x64"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `ykt rig`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    help_line = "各种交通方式:真实部件、脚本、日终平账 | every mode on real parts: a story, then the day's close"
    modes = actions.add_parser("modes", help=help_line, description=help_line)
    modes.add_argument("names", nargs="*", metavar="NAME",
                       help=f"默认全部 | {', '.join(story.names())}, or a scenario file (default: all of these)")
    modes.add_argument("--folder", type=Path, default=BUILD / "modes",
                       help="文件放在此处的子目录，先清空 | each mode's folder here is emptied (default build/modes)")
    modes.add_argument("--json", action="store_true", help="一个 JSON 对象 | one object with the figures of each mode")


def run(args: argparse.Namespace) -> int:
    """0 when every story came out as told and every fen is cleared, else 1."""
    require(MICROPYTHON)
    paths = [story.SCENARIOS / f"{name}.json" if name in story.names() else Path(name) for name in args.names]
    try:
        told = [story.read(path) for path in paths or [story.SCENARIOS / f"{name}.json" for name in story.names()]]
        print("编译固件 | compiling the firmware", file=sys.stderr, flush=True)
        build(ARCH)
    except (story.ScenarioRefused, CompileFailed) as refusal:
        print(f"ykt rig: {refusal}", file=sys.stderr)
        return 1
    figures = [_run(scenario, args.folder.resolve() / scenario.name) for scenario in told]
    if args.json:
        print(json.dumps({"ok": all(each["ok"] for each in figures), "modes": figures}, ensure_ascii=False))
    else:
        _print(figures)
    return 0 if all(each["ok"] for each in figures) else 1


def _run(scenario: story.Scenario, folder: Path) -> dict[str, Any]:
    """Figures of one; a story that stopped says where."""
    print(f"{scenario.name}: {scenario.zh}\n{'':{len(scenario.name)}}  {scenario.en}", file=sys.stderr, flush=True)
    if folder.exists() and any(folder.iterdir()) and not (folder / "centre").is_dir():
        return _failed(scenario, f"{folder.name} holds something else than a run: choose another --folder")
    try:
        firmware = f"{BUILD / 'firmware' / ARCH}:.frozen"
        micropython = [str(MICROPYTHON), "-X", f"heapsize={HEAP}"]
        with Street(scenario, folder, micropython, firmware, clerk=in_process) as street:
            return street.run()
    except (RigFault, FleetRefused) as fault:
        return _failed(scenario, str(fault))


def _failed(scenario: story.Scenario, words: str) -> dict[str, Any]:
    print(f"ykt rig: {words}", file=sys.stderr, flush=True)
    return {"mode": scenario.name, "ok": False, "problem": words}


def _print(figures: list[dict[str, Any]]) -> None:
    print_table(
        (("方式", "mode"), ("结果", "result"), ("步", "steps"), ("记录", "taps"), ("撕卡", "torn"),
         ("离开卡片", "left the cards"), ("已清分", "cleared"), ("秒", "s")),
        [
            (each["mode"], "好 ok" if each["ok"] else "不符 NOT AS TOLD", str(each["steps"]), str(each["taps"]),
             str(each["grey"]), yuan(each["debited_fen"]), yuan(each["cleared_fen"]), str(each["seconds"]))
            if "problem" not in each
            else (each["mode"], "停止 STOPPED", "-", "-", "-", "-", "-", "-")
            for each in figures
        ],
        left=2,
    )  # fmt: skip
    for each in figures:
        for words in each.get("findings", []):
            print(f"{each['mode']}: {words}")
        seen = {key: each[key] for key in each.get("expected", {})}
        if seen != each.get("expected", {}):
            print(f"{each['mode']}: 应为 told {each['expected']}\n{'':{len(each['mode'])}}  实为 seen {seen}")
