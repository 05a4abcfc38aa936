"""`ykt backoffice rides`: entries without exit, exits without entry, hours in degraded modes."""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from backoffice.clearing import rides
from backoffice.store import engine
from tools.backoffice_text import print_table

LINES_MAX = 50  # printed for a person; --json gives all
_MODE_WORDS = {name: f"{zh} {name}" for _, name, zh in rides.MODES}


def configure(actions: Any, add_command: Callable[..., Any], day: Callable[[str], str]) -> None:
    """Add the command to those of `ykt backoffice`; the two functions are tools.backoffice's own."""
    parser = add_command(actions, "rides", _rides, "行程配对 | entries and exits matched; which are open")
    parser.add_argument("--open", action="store_true", help="只列未出站 | only entries without an exit")
    parser.add_argument("--day", type=day, help="进站日期 | of entries of this day YYYY-MM-DD (default: all)")
    parser.add_argument("--json", action="store_true", help="一个 JSON 对象 | one object for a program to read")


def _rides(args: argparse.Namespace) -> int:
    store = engine.Store(args.db)
    try:
        with store.reading() as db:
            found = rides.report(db, args.day, int(time.time()))
    finally:
        store.close()
    if args.open:
        found["unsolved"] = [line for line in found["unsolved"] if line["kind"] != rides.NO_ENTRY]
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        _print(found)
    return 0


def _print(found: dict[str, Any]) -> None:
    if not any(found["counts"].values()):
        print("没有进出站记录 | no entries or exits")
    print_table(
        (("行程", "rides"), ("数", "count")),
        [(" ".join(rides.WORDS[kind]), str(count)) for kind, count in found["counts"].items() if count],
        left=1,
    )
    print_table(
        (("情形", "kind"), ("卡号", "card"), ("时间", "at"), ("单位", "operator"), ("线路", "line"), ("进", "in"),
         ("出", "out"), ("小时", "age, h"), ("记录", "record")),
        [
            (rides.WORDS[line["kind"]][0], line["card"], line["at"], line["operator"], str(line["line"]),
             str(line["stop_in"]), str(line["stop_out"] or "-"), str(line["age_s"] // 3600), line["ref"])
            for line in found["unsolved"][:LINES_MAX]
        ],
        left=4,
    )  # fmt: skip
    if len(found["unsolved"]) > LINES_MAX:
        print(f"另有 {len(found['unsolved']) - LINES_MAX} 条,见 --json | and more: --json lists all")
    print_table(
        (("单位", "operator"), ("车站", "station"), ("小时", "hour"), ("降级模式", "modes"),
         ("可免收行程", "rides to clear")),
        [
            (hour["operator"], str(hour["stop"]), hour["from"], ", ".join(_MODE_WORDS[name] for name in hour["modes"]),
             str(hour["rides"]))
            for hour in found["degraded_hours"]
        ],
        left=4,
    )  # fmt: skip
