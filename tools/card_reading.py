"""`ykt card read`, `list-readers`: what lies on a PC/SC reader, in words; `trace`: what was said to it."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from backoffice.cards.line import CardGone
from tools import card_read, card_text, card_trace
from tools.pcsc_line import PcscLine, readers
from tunion import bcd

WAIT_S = 30
SHOWN_AHEAD, SHOWN_BEHIND = 3, 4     # digits of a card number


def configure(actions: Any) -> None:
    """Adds the actions to `ykt card`."""
    text = "读出读卡器上的卡、PSAM 或空白卡 | read the card, PSAM or blank on a PC/SC reader, in words"
    read = actions.add_parser("read", help=text, description=text)
    read.set_defaults(do=_read)
    read.add_argument("--reader", metavar="NAME",
                      help="读卡器名，默认第一个有卡的 | reader; else the first that holds a card")
    read.add_argument("--wait-s", type=float, default=WAIT_S, metavar="S",
                      help=f"等待放卡的秒数，默认 {WAIT_S} | how long to wait for a card")
    read.add_argument("--full-number", action="store_true", help="显示完整卡号 | show card numbers in full")
    read.add_argument("--today", type=_date, metavar="YYYYMMDD",
                      help="按此日判断有效期，默认今天 | judge the dates as of that day, else today in China")
    read.add_argument("--json", action="store_true", help="输出 JSON | print one JSON object")

    text = "列出读卡器 | list the PC/SC readers, and which hold a card"
    listed = actions.add_parser("list-readers", help=text, description=text)
    listed.set_defaults(do=_list)
    listed.add_argument("--json", action="store_true", help="输出 JSON | print one JSON list")

    text = "解释一段报文 | an APDU trace in words: lines of hex, as `serve --trace` and others print them"
    trace = actions.add_parser("trace", help=text, description=text)
    trace.set_defaults(do=_trace)
    trace.add_argument("file", type=Path, metavar="FILE", help="报文，- 为标准输入 | the trace; - for standard input")


def read_on(reader: str | None, wait_s: float, full_number: bool, today: str) -> dict[str, Any]:
    """What lies on that reader, or on the first that holds something. Raises CardGone."""
    with PcscLine(reader or _first(), wait_s) as line:
        found = {"reader": line.reader, **card_read.read(line)}
    for one in found.get("applications", []):
        if "number" in one:
            one["period"] = card_text.period(one["start"], one["expiry"], today)
            one["number"] = one["number"] if full_number else _masked(one["number"])
    if "psam" in found:
        sam = found["psam"]
        found["period"] = card_text.period(sam["start"], sam["expiry"], today) if "start" in sam else None
    return found


def _read(args: argparse.Namespace) -> int:
    """0: it was read; 1: it is none of ours, or is gone."""
    today = args.today or bcd.stamp(int(time.time())).hex()[:8]
    try:
        found = read_on(args.reader, args.wait_s, args.full_number, today)
    except CardGone as gone:
        print(f"ykt card read: {gone}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        print("\n".join(card_text.lines(found)))
    return int(found["kind"] == "unknown")


def _first() -> str:
    """The first reader that holds a card, else the first."""
    names = readers()
    if not names:
        raise CardGone("pcscd has no reader: plug one in")
    for name in names:
        with PcscLine(name) as line:
            if line.present(0):
                return name
    return names[0]


def _list(args: argparse.Namespace) -> int:
    try:
        names = readers()
        held = []
        for name in names:
            with PcscLine(name) as line:
                held.append(line.present(0))
    except CardGone as gone:
        print(f"ykt card list-readers: {gone}", file=sys.stderr)
        return 1
    if args.json:
        rows = [{"reader": name, "card": card} for name, card in zip(names, held, strict=True)]
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    for name, card in zip(names, held, strict=True):
        print(f"{name}: {'有卡 | a card' if card else '空 | empty'}")
    if not names:
        print("没有读卡器 | no reader")
    return 0


def _trace(args: argparse.Namespace) -> int:
    text = sys.stdin.read() if str(args.file) == "-" else args.file.read_text(encoding="utf-8")
    explained = card_trace.explain(text.splitlines())
    print("\n".join(explained))
    return 0 if explained else _no_trace()


def _no_trace() -> int:
    print("ykt card trace: no line of hex in it: name the output of `ykt card serve --trace`", file=sys.stderr)
    return 1


def _masked(number: str) -> str:
    """Both ends of a card number, however long it is."""
    return number[:SHOWN_AHEAD] + "*" * (len(number) - SHOWN_AHEAD - SHOWN_BEHIND) + number[-SHOWN_BEHIND:]


def _date(text: str) -> str:
    if len(text) != 8 or not text.isdecimal():
        raise argparse.ArgumentTypeError("8 digits, YYYYMMDD")
    return text
