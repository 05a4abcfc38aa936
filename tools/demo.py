"""`ykt demo`: a tap on a real reader becomes a settled fen, forty times, with three accidents on the way."""

import argparse
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from backoffice import report
from backoffice.store.engine import Store
from simulator.pcscd import PcscdFailed
from simulator.rig.demo import NAMES, Demo
from simulator.rig.keyroom import KEYS, PKCS11, VAULT
from simulator.rig.panels import LivePanels
from simulator.rig.program import RigFault
from simulator.vpcd import ReaderGone
from tools.backoffice_text import print_summary, print_table
from tools.firmware import CompileFailed, build
from tools.paths import BUILD, MICROPYTHON, require
from tunion.money import yuan
from tunion.wire import reason

HEAP = "768k"           # of each validator; `ykt bench firmware.heap` finds the smallest
ARCH = "x64"
_REASONS = {name: (zh, en) for name, zh, en in reason.WORDS.values()}
_KEYS = {
    VAULT: "软件密钥库，测试密钥 | software vault, TEST keys",
    PKCS11: "PKCS#11 令牌 SoftHSM，测试密钥 | PKCS#11 token (SoftHSM), TEST keys",
}
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
    parser.add_argument("--seed", type=int, default=1,
                        help="随机种子，决定乘客和余额 | decides riders and balances (default 1)")
    parser.add_argument("--folder", type=Path, default=BUILD / "demo",
                        help="文件放在此处，先清空 | where the files go, emptied first (default build/demo)")
    parser.add_argument("--keys", choices=KEYS, default=VAULT,
                        help="密钥存放处 | where keys are: a software vault, or a PKCS#11 token (default vault)")
    parser.add_argument("--panels", action=argparse.BooleanOptionalAction, default=None,
                        help="在终端实时显示车载机屏幕 | draw the validators' panels in the terminal "
                        "(default: where it is one)")
    parser.add_argument("--json", action="store_true",
                        help="一个 JSON 对象 | one object with the figures; progress goes to stderr")


def run(args: argparse.Namespace) -> int:
    """0 when every fen that left a card is cleared or open, else 1."""
    require(MICROPYTHON)
    folder = args.folder.resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / "centre").is_dir():
        print(f"ykt demo: {args.folder} holds something else than a demo: choose another --folder", file=sys.stderr)
        return 1
    started_s = time.monotonic()

    wanted = args.panels if args.panels is not None else sys.stdout.isatty() and sys.stderr.isatty()
    panels = LivePanels(sys.stderr, NAMES) if wanted else None

    def say(zh: str, en: str) -> None:
        text = f"[{time.monotonic() - started_s:5.1f} s] {zh}\n{'':10}{en}"
        if panels is not None:
            panels.say(text)
        else:
            print(text, file=sys.stderr, flush=True)

    try:
        say("编译固件", "compiling the firmware")
        build(ARCH)
        micropython = [str(MICROPYTHON), "-X", f"heapsize={HEAP}"]
        heard = panels.heard if panels is not None else None
        modules = f"{BUILD / 'firmware' / ARCH}:.frozen"
        figures = Demo(folder, micropython, modules, args.seed, say, heard, args.keys).run()
        _count_by_device(figures)
    except (RigFault, PcscdFailed, ReaderGone, CompileFailed) as fault:
        print(f"ykt demo: {fault}", file=sys.stderr)
        return 1
    finally:
        if panels is not None:
            panels.end()
    if args.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        _print(figures)
    return 0 if figures["balanced"] else 1


def _count_by_device(figures: dict[str, Any]) -> None:
    """Add to each validator's own figures what the back office has from it; the validator's memory ends with power."""
    store = Store(Path(figures["db"]))
    try:
        with store.reading() as db:
            for name, counts in report.by_device(db).items():
                figures["devices"][name].update(counts)
    finally:
        store.close()


def _print(figures: dict[str, Any]) -> None:
    print()
    grey = figures["grey"]
    print(
        f"{figures['riders']} 位乘客，{figures['taps']} 次扣款记录，{sum(figures['refused'].values())} 次拒绝，"
        f"{grey['opened']} 次扣款途中断开，用时 {figures['seconds']} 秒\n"
        f"{figures['riders']} riders, {figures['taps']} debits on record, {sum(figures['refused'].values())} refusals, "
        f"{grey['opened']} torn in the debit, {figures['seconds']} s"
    )
    print()
    print_table(
        (("车", "bus"), ("扣款记录", "debits"), ("拒绝", "refused"), ("每次卡指令", "card commands a tap"),
         ("每次PSAM指令", "PSAM commands a tap"), ("内存占用", "heap used")),
        [
            (name, str(own["taps"]), str(own["refused"]), str(own["card_exchanges"]), str(own["sam_exchanges"]),
             f"{own['heap_used'] // 1024} KiB")
            for name, own in figures["devices"].items()
        ],
        left=1,
    )  # fmt: skip
    made, sams = figures["cards"], figures["sams"]
    first, second = figures["days"]
    print(
        f"密钥 keys: {_KEYS[figures['keys']]}\n"
        f"制卡 cards made: {made['good']} 合格 good, {made['bad']} 坏片 bad, {made['scrapped']} 报废 scrapped; "
        f"SAM: {sams['installed']} 已装机 installed\n"
        f"两天 two days: {first['day']} {first['output_digest'][:16]}…, "
        f"{second['day']} {second['output_digest'][:16]}…，中午密钥换版 | keys rolled over at noon"
    )
    print()
    _print_counts("拒绝的刷卡 refused taps", figures["refused"], _REASONS)
    _print_counts(
        f"灰记录(扣款途中断开) grey records (torn in the debit): 解决 resolved {grey['resolved']}, "
        f"未决 open {grey['open']}",
        grey["how"],
        _GREY_WAYS,
    )
    print_summary(figures)
    print()
    sign = "=" if figures["balanced"] else "≠"
    print(
        f"离开卡片 left the cards {yuan(figures['debited_fen'])} {sign} "
        f"已清分 cleared {yuan(figures['cleared_fen'])} + 未结 open {yuan(figures['open_fen'])}  (元 yuan)"
    )
    print("平衡，分毫不差 | balanced to the fen" if figures["balanced"] else "不平衡 | NOT BALANCED")
    print()
    db = Path(figures["db"])
    if db.is_relative_to(Path.cwd()):
        db = db.relative_to(Path.cwd())
    print(f"文件 files: {db.parent.parent}")
    print("  centre/clearing.sqlite  数据库 database       bus-*/journal.nor    闪存映像 flash image")
    print("  centre/minutes.pdf      密钥仪式纪要 minutes of the ceremony")
    print("  centre/serve.log        后台日志 server log   bus-*/validator.log  车载机日志 validator log")
    print("查看 look into it:")
    print(f"  .venv/bin/ykt backoffice status --db {shlex.quote(str(db))}")
    print(f"  .venv/bin/ykt backoffice export --what records --db {shlex.quote(str(db))}")


def _print_counts(title: str, counts: dict[str, int], words: dict[str, tuple[str, str]]) -> None:
    """Each name with its count, in both languages."""
    print(title)
    for name, count in counts.items():
        zh, en = words.get(name, (name, name))
        print(f"  {count:>3}  {zh} | {en}")
    print()
