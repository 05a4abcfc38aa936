"""`ykt backoffice device`, `command` and `commands`: who the devices are, how they fare, what they are told."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from backoffice.intake import commands, enrol, health, logs
from backoffice.store import engine, registry
from backoffice.store.days import local
from tools import event_text
from tools.backoffice_text import print_table
from tunion.wire import command

EVENTS_MAX = 100_000        # more is an export's task
DEVICE_MAX = 0xFFFFFFFF     # 4 bytes in every upload
_JSON_HELP = "一个 JSON 对象 | one object for a program to read"

_COMMANDS = {
    command.REBOOT: ("重启", "start again"),
    command.RECONNECT: ("重新连接", "connect again"),
    command.UPLOAD_LOG: ("上传日志，1 为夜间", "send the log; 1: at night"),
    command.SET_INTERVAL: ("上传间隔秒数，0 为出厂值", "seconds between two uploads; 0: as provisioned"),
    command.LOCK: ("停用", "take no cards"),
    command.UNLOCK: ("启用", "take cards again"),
    command.SELF_TEST: ("自检", "test reader, SAM, clock, memory, lists"),
    command.SET_MODES: (
        "车站降级模式：1 进站免检，2 出站免检，4 时间免检，8 日期免检，16 车费免检，相加",
        "degraded modes of a gate, added up: 1 entry, 2 exit, 4 time, 8 date, 16 fare free",
    ),
    command.RE_ENROL: ("重新入网", "enrol the journal afresh"),
    command.LEAVE_SAFE_MODE: ("退出安全模式并重启", "leave safe mode: start again, normally"),
}
_RESULTS = {
    command.DONE: ("完成", "done"),
    command.UNKNOWN: ("不支持", "this firmware has no such command"),
    command.BAD_ARGUMENT: ("参数错误", "the argument is out of range"),
    command.NOT_KEPT: ("完成，断电后失效", "done, until the power fails"),
}
_PARTS = {
    command.READER: ("读卡器", "reader"),
    command.SAM: ("PSAM", "SAM"),
    command.CLOCK: ("时钟", "clock"),
    command.MEMORY: ("存储", "memory"),
    command.FLASH: ("存储器", "flash"),
    command.LISTS: ("名单或参数", "lists or parameters"),
    command.HEAP: ("内存不足", "little memory free"),
}


def configure(actions: Any, add_command: Callable[..., Any], whole: Callable[[int, int], Callable[[str], int]]) -> None:
    """Add the commands to those of `ykt backoffice`; the two functions are tools.backoffice's own."""
    number = whole(0, DEVICE_MAX)
    help_line = "终端 | devices"
    parser = actions.add_parser("device", help=help_line, description=help_line)
    device = parser.add_subparsers(dest="device_action", metavar="ACTION", required=True)
    add = add_command(device, "add", _add, "登记 | register a device")
    add.add_argument("--name", required=True, help="名称，如车牌 | what people call it")
    add.add_argument("--operator", required=True, metavar="ORG", help="运营单位代码 | its operator's code")
    add.add_argument("--acquirer", required=True, metavar="ORG", help="收单机构代码 | its acquirer's code")
    again = add_command(device, "re-enrol", _re_enrol, "重新入网 | take the next new journal of a device unasked")
    accept = add_command(device, "enrol", _enrol, "批准新日志 | take a new journal that waits")
    accept.add_argument("--epoch", required=True, type=_epoch, help="日志号，8位十六进制 | journal, 8 hex digits")
    accept.add_argument("--user", required=True, help="经办人 | who does this")
    log = add_command(device, "log", _log, "查看日志 | the newest log that a device sent")
    events = add_command(device, "events", _events, "事件 | what a device told: starts, faults, crashes")
    events.add_argument("--count", type=whole(1, EVENTS_MAX), default=40, metavar="N",
                        help="最近多少条，默认 40 | the newest N (default 40)")
    events.add_argument("--json", action="store_true", help="每行一个 JSON 对象 | one object a line")
    for action in (add, again, accept, log, events):
        action.add_argument("--id", type=number, required=True, metavar="ID", help="终端号 | device number")
    listing = add_command(device, "list", _list, "列出终端、告警、待批日志 | devices, alarms, journals that wait")
    listing.add_argument("--json", action="store_true", help=_JSON_HELP)

    words = "; ".join(f"{name}: {zh} {en}" for name, (zh, en) in _COMMANDS.items())
    order = add_command(actions, "command", _command, "下达命令 | tell a device to do something, once")
    order.add_argument("device", type=number, metavar="DEVICE", help="终端号 | device number")
    order.add_argument("name", choices=sorted(command.ARGUMENTS), metavar="NAME", help=words)
    order.add_argument("argument", nargs="?", type=whole(0, command.INTERVAL_S_MAX), default=0, metavar="ARGUMENT",
                       help="数值，默认 0 | a number (default 0)")
    order.add_argument("--user", required=True, help="经办人 | who does this")
    orders = add_command(actions, "commands", _commands, "命令执行情况 | commands and how they ended")
    orders.add_argument("--json", action="store_true", help="每行一个 JSON 对象 | one object a line")


def _add(args: argparse.Namespace) -> int:
    row = {"device_id": args.id, "name": args.name, "operator": args.operator, "acquirer": args.acquirer}
    added = _change(args, lambda db: registry.add(db, "device", row))
    zh, en = ("已登记", "added") if added else ("早已登记", "known already")
    print(f"终端 {args.id} {zh} | device {args.id} {en}")
    return 0


def _re_enrol(args: argparse.Namespace) -> int:
    _change(args, lambda db: registry.re_enrol(db, args.id, int(time.time())))
    print(f"终端 {args.id} 等待新日志 | device {args.id}: its next new journal is taken unasked")
    return 0


def _enrol(args: argparse.Namespace) -> int:
    _change(args, lambda db: enrol.accept(db, args.id, args.epoch, args.user, int(time.time())))
    print(f"终端 {args.id} 新日志 {args.epoch:08X} 已批准，旧日志关闭 | "
          f"device {args.id}: journal {args.epoch:08X} taken, the one before is closed")
    return 0


def _log(args: argparse.Namespace) -> int:
    row = _look(args, lambda db: logs.newest(db, args.id))
    if row is None:
        print(f"ykt backoffice: device {args.id} has sent no log: ask for one with `ykt backoffice command --db "
              f"{args.db} --user NAME {args.id} upload_log`", file=sys.stderr)
        return 1
    sys.stdout.write(row["content"].decode("ascii", "replace"))
    return 0


def _events(args: argparse.Namespace) -> int:
    rows = _look(args, lambda db: health.events(db, args.id, args.count))
    for row in rows:
        said = event_text.words(row)
        zh, en = "：".join(words[0] for words in said), ": ".join(words[1] for words in said)
        if args.json:
            print(json.dumps({**row, "zh": zh, "en": en}, ensure_ascii=False))
        else:
            print(f"#{row['seq']}  {_time(row['at_s'])}  {zh} | {en}")
    if not rows and not args.json:
        print("没有事件 | no events")
    return 0


def _list(args: argparse.Namespace) -> int:
    now_s = int(time.time())
    devices, waiting = _look(args, lambda db: (health.devices(db, now_s), [dict(row) for row in enrol.waiting(db)]))
    if args.json:
        print(json.dumps({"devices": devices, "waiting": waiting}, ensure_ascii=False))
        return 0
    if not devices:
        print("没有终端 | no devices")
    print_table(
        (("终端", "device"), ("名称", "name"), ("运营单位", "operator"), ("收单机构", "acquirer"), ("日志", "journal"),
         ("最近联系", "last contact"), ("告警", "alarms"), ("待传", "waiting"), ("上传序号", "upload no.")),
        [
            (
                str(device["device_id"]),
                device["name"],
                device["operator"],
                device["acquirer"],
                "-" if device["epoch"] is None else f"{device['epoch']:08X}",
                _time(device["seen_at_s"]),
                "; ".join(" ".join(health.WORDS[alarm]) for alarm in device["alarms"]) or "-",
                str(device["health"].get("queue", "-")),
                str(device["msg_seq"]),
            )
            for device in devices
        ],
        left=7,
    )  # fmt: skip
    print_table(
        (("待批", "asks"), ("名称", "name"), ("新日志", "new journal"), ("请求时间", "asked"), ("记录", "entries")),
        [
            (str(row["device_id"]), row["name"], f"{row['epoch']:08X}", _time(row["asked_at_s"]), str(row["last_seq"]))
            for row in waiting
        ],
        left=4,
    )
    return 0


def _command(args: argparse.Namespace) -> int:
    number = _change(
        args, lambda db: commands.issue(db, args.device, args.name, args.argument, args.user, int(time.time()))
    )
    zh, en = _COMMANDS[args.name]
    print(f"终端 {args.device} 命令 {number}：{zh} | device {args.device}, command {number}: {en}")
    return 0


def _commands(args: argparse.Namespace) -> int:
    rows = _look(args, commands.listing)
    if args.json:
        for row in rows:
            print(json.dumps(dict(row), ensure_ascii=False))
        return 0
    if not rows:
        print("没有命令 | no commands")
    print_table(
        (("终端", "device"), ("编号", "id"), ("命令", "command"), ("经办人", "user"), ("下达", "issued"),
         ("完成", "done"), ("结果", "result")),
        [
            (
                str(row["device_id"]),
                str(row["command_id"]),
                f"{row['name']} {row['argument'] or ''}".strip(),
                row["issued_by"],
                _time(row["issued_at_s"]),
                _time(row["done_at_s"]),
                "-" if row["result"] is None else " ".join(_result(row["result"])),
            )
            for row in rows
        ],
        left=7,
    )  # fmt: skip
    return 0


def _result(result: int) -> tuple[str, str]:
    """How a command ended, 中文 and English."""
    if result & command.TEST_FAILED:
        parts = [words for bit, words in _PARTS.items() if result & bit]
        return "自检未过：" + "、".join(zh for zh, _ in parts), "not in order: " + ", ".join(en for _, en in parts)
    return _RESULTS.get(result, (f"结果{result}", f"result {result}"))


def _change(args: argparse.Namespace, work: Callable[[Any], Any]) -> Any:
    store = engine.Store(args.db)
    try:
        with store.transaction() as db:
            return work(db)
    finally:
        store.close()


def _look(args: argparse.Namespace, work: Callable[[Any], Any]) -> Any:
    store = engine.Store(args.db)
    try:
        with store.reading() as db:
            return work(db)
    finally:
        store.close()


def _epoch(text: str) -> int:
    if len(text) != 8 or any(digit not in "0123456789abcdefABCDEF" for digit in text):
        raise argparse.ArgumentTypeError("a journal is 8 hex digits, as `device list` shows it")
    return int(text, 16)


def _time(at_s: int | None) -> str:
    return "-" if at_s is None else local(at_s)
