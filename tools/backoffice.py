"""`ykt backoffice`: make a back office, serve devices, clear a day, look into it.

Exit codes: 0 done, 1 refused or found wrong, 2 wrong usage, 130 interrupted (`serve` ends with 0).
"""

import argparse
import json
import logging
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backoffice import export, report, setup
from backoffice.clearing import close, fees, grey
from backoffice.intake import https
from backoffice.intake.commands import CommandRefused
from backoffice.keys import hierarchy
from backoffice.keys.backend import KeysError
from backoffice.keys.keyring import Keyring
from backoffice.store import engine, registry
from backoffice.store.days import clearing_day, is_day
from tools import backoffice_devices, backoffice_rides, keys_args
from tools.backoffice_text import print_closing, print_summary

GREY_DAYS_MAX = 3650        # ten years; more is a slip of the finger

_JSON_HELP = "一个 JSON 对象 | one object for a program to read"

_REFUSALS = (
    engine.WrongStore,
    engine.Busy,
    registry.RegistryConflict,
    KeysError,
    fees.AmbiguousRule,
    close.DayRefused,
    https.CannotListen,
    CommandRefused,
)


def configure(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    init = _command(commands, "init", _init, "新建后台 | make a database, a TLS key and a certificate")
    init.add_argument("--audience", default="localhost", metavar="HOST",
                      help="终端上传签名所用的主机名 | host that devices sign their uploads for (default localhost)")
    init.add_argument("--production", action="store_true",
                      help="生产库:拒绝测试密钥和测试卡 | refuse test keys and test cards")
    init.add_argument("--scheme", default=hierarchy.SCHEME, metavar="NAME",
                      help=f"密钥分散方案:名称或文件 | how cards' keys are derived: a file, or one of "
                      f"{', '.join(hierarchy.schemes())} (default {hierarchy.SCHEME})")
    init.add_argument("--org", type=Path, action="append", default=[], metavar="FILE",
                      help="登记文件，格式见 backoffice/docs/store.md | registry file (JSON); repeatable")

    load = _command(commands, "load", _load, "登记机构、终端、费率 | add rows to the registry")
    load.add_argument("--org", type=Path, required=True, metavar="FILE",
                      help="登记文件，格式见 backoffice/docs/store.md | registry file (JSON)")

    _command(commands, "migrate", _migrate, "升级数据库 | bring a database to this version")

    backoffice_devices.configure(commands, _command, _whole)

    serve = _command(commands, "serve", _serve, "接收终端数据 | answer devices over HTTPS")
    keys_args.wants_keys(serve)
    serve.add_argument("--host", default="127.0.0.1", help="监听地址 | address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", type=_whole(0, 65535), default=0, metavar="PORT",
                       help="端口,0 为任一空闲端口 | 0: a free one (default)")
    serve.add_argument("--ready-file", type=Path, metavar="FILE",
                       help="可以连接时写入 | written when connections are accepted")
    serve.add_argument("--json", action="store_true",
                       help="以 JSON 给出地址 | say the address as JSON: url, pin, pid")

    clear = _command(commands, "clear", _clear, "验证并清分 | verify, resolve and clear a day")
    keys_args.wants_keys(clear)
    clear.add_argument("--day", type=_day, help="清分日 | clearing day YYYY-MM-DD (default: the present one)")
    clear.add_argument("--json", action="store_true", help=_JSON_HELP)

    void = _command(commands, "void-grey", _void_grey, "灰记录到期作废 | void old grey records for the passenger")
    void.add_argument("--days", type=_whole(1, GREY_DAYS_MAX), default=grey.EXPIRE_AFTER_S // 86400, metavar="DAYS",
                      help="满多少天 | age in days (default 30)")

    out = _command(commands, "export", _export, "导出 | tables as CSV or JSON, card numbers masked")
    out.add_argument("--what", choices=export.WHATS, default="lines",
                     help="清分行、交易、异常、拒绝 | which table (default lines)")
    out.add_argument("--format", choices=export.FORMATS, default="csv", help="格式 | format (default csv)")
    out.add_argument("--out", type=Path, metavar="FILE", help="写入文件 | default: standard output")

    backoffice_rides.configure(commands, _command, _day)

    status = _command(commands, "status", _status, "概况 | what the database holds")
    status.add_argument("--json", action="store_true", help=_JSON_HELP)


def _command(commands: Any, name: str, action: Any, help_line: str, database: bool = True) -> Any:
    parser = commands.add_parser(name, help=help_line, description=help_line)
    parser.set_defaults(act=action)
    if database:
        parser.add_argument("--db", type=Path, required=True, metavar="FILE", help="数据库文件 | database file")
    return parser


def run(args: argparse.Namespace) -> int:
    try:
        code: int = args.act(args)
        return code
    except _REFUSALS as refusal:
        done = "; nothing was stored, try again later" if isinstance(refusal, engine.Busy) else ""
        print(f"ykt backoffice: {refusal}{done}", file=sys.stderr)
        return 1


def _init(args: argparse.Namespace) -> int:
    facts = setup.init(args.db, args.audience, args.production, args.org, args.scheme)
    print(f"{args.db}: 已建立 | made; audience {facts['audience']}, pin {facts['pin']}")
    return 0


def _load(args: argparse.Namespace) -> int:
    rows = setup.read(args.org)
    store = engine.Store(args.db)
    try:
        with store.transaction() as db:
            added = setup.load(db, rows)
    finally:
        store.close()
    print(f"登记 {added} 行 | {added} rows added, {len(rows) - added} known already")
    return 0


def _migrate(args: argparse.Namespace) -> int:
    if not args.db.is_file():
        raise engine.WrongStore(f"{args.db} does not exist")
    engine.migrate(args.db)
    engine.Store(args.db).close()
    print(f"{args.db}: 已是本版本 | has the schema of this version")
    return 0


def _serve(args: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)      # its start and end are ours to tell

    def ready(facts: dict[str, Any]) -> None:
        print(json.dumps(facts) if args.json else f"{facts['url']}  pin {facts['pin']}", flush=True)
        if args.ready_file:
            https.write_ready_file(args.ready_file, facts)

    if args.ready_file and not args.ready_file.parent.is_dir():
        raise https.CannotListen(f"{args.ready_file}: no such folder; name a file in a folder that exists")
    store = engine.Store(args.db)
    try:
        keys = _keys(args, store)
        try:
            https.serve(store, keys, args.host, args.port, ready)
        finally:
            keys.close()
    finally:
        store.close()
    return 0


def _clear(args: argparse.Namespace) -> int:
    now_s = int(time.time())
    store = engine.Store(args.db)
    try:
        closing = close.clear_day(store, _keys(args, store), args.day or clearing_day(now_s), now_s)
        with store.reading() as db:
            figures = report.figures(db)
    finally:
        store.close()
    if args.json:
        print(json.dumps({**closing._asdict(), **figures}, ensure_ascii=False))
    else:
        print_closing(closing, figures)
    return 1 if closing.problems else 0


def _void_grey(args: argparse.Namespace) -> int:
    store = engine.Store(args.db)
    try:
        with store.transaction() as db:
            voided = grey.expire(db, int(time.time()), args.days * 86400)
    finally:
        store.close()
    print(f"灰记录作废 {voided} 笔 | {voided} grey records void")
    return 0


def _export(args: argparse.Namespace) -> int:
    store = engine.Store(args.db)
    try:
        with store.reading() as db:
            columns, rows = export.table(db, args.what)
            if args.out is None:
                export.write(columns, rows, args.format, sys.stdout)
            else:
                with args.out.open("w", encoding="utf-8", newline="") as file:
                    export.write(columns, rows, args.format, file)
    finally:
        store.close()
    return 0


def _status(args: argparse.Namespace) -> int:
    figures = report.summary(args.db)
    if args.json:
        print(json.dumps(figures, ensure_ascii=False))
    else:
        print_summary(figures)
    return 0


def _keys(args: argparse.Namespace, store: engine.Store) -> Keyring:
    with store.reading() as db:
        return keys_args.open_keys(args, db)


def _whole(least: int, most: int) -> Callable[[str], int]:
    """An argument type."""

    def checked(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"a whole number from {least} to {most}")
        return int(text)

    return checked


def _day(text: str) -> str:
    if not is_day(text):
        raise argparse.ArgumentTypeError("a day is YYYY-MM-DD")
    return text
