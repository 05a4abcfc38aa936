"""`ykt keys`: make, list, derive, roll over, retire and check keys; who used them.

Exit codes: 0 done, 1 refused or found wrong, 2 wrong usage, 130 interrupted.
"""

import argparse
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from backoffice.keys import load as key_file
from backoffice.keys import native, soft, vault
from backoffice.keys.backend import KeysError
from backoffice.store import engine
from tools import keys_args, keys_roll, keys_use
from tools.keys_text import print_keys

# Their `configure(commands)` adds sub-commands; their refusals are KeysError, or listed in _REFUSALS.
_MOUNTED = ("tools.keys_token", "tools.keys_ceremony", "tools.keys_sams")
_REFUSALS = (KeysError, engine.WrongStore, engine.Busy)
_JSON_HELP = "供程序读取 | for a program to read"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `ykt keys`."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    new = _command(commands, "new", _new, "新建密钥库 | make an empty vault")
    new.add_argument("--test", action="store_true",
                     help="只放测试密钥 | for test keys; a production database refuses it")
    load = _command(commands, "load", _load, "导入测试密钥 | take test keys from a file")
    load.add_argument("--keys", type=Path, required=True, metavar="FILE",
                      help='测试密钥文件，格式见 backoffice/docs/keys.md | JSON marked "test": true')
    listing = _command(commands, "list", _list, "列出 | keys, states and check values; never a value")
    listing.add_argument("--json", action="store_true", help=_JSON_HELP)

    keys_roll.configure(commands)
    keys_use.configure(commands)
    for module in _MOUNTED:
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module).configure(commands)


def run(args: argparse.Namespace) -> int:
    """Exit code of one command."""
    soft.no_core_dumps()  # before anybody is asked for a passphrase, a PIN or a part
    try:
        code: int | None = args.act(args)
        return code or 0
    except _REFUSALS as refusal:
        done = "; nothing was stored, try again later" if isinstance(refusal, engine.Busy) else ""
        print(f"ykt keys: {refusal}{done}", file=sys.stderr)
        return 1


def _new(args: argparse.Namespace) -> None:
    vault.create(args.vault, keys_args.secret(args), args.test)
    zh, en = ("测试密钥", "test keys") if args.test else ("生产密钥", "production keys")
    print(f"{args.vault}: 已建立，用于{zh} | made, for {en}")


def _load(args: argparse.Namespace) -> None:
    keeper, _ = keys_args.open_keeper(args)
    if isinstance(keeper, vault.Vault):
        print_keys(key_file.add_test_keys(keeper, args.keys))
    else:
        print_keys(key_file.put_test_keys(keeper, args.keys))


def _list(args: argparse.Namespace) -> None:
    opened, _ = keys_args.open_keeper(args)
    if args.json:
        print(json.dumps({"test": opened.test, "keys": [info._asdict() for info in opened.infos()]}))
    else:
        print_keys(opened.infos())
        print(bulk_verdicts())


def bulk_verdicts() -> str:
    """Which way TAC verdicts are made on this machine."""
    state = native.state()
    zh = "快速（本机代码）" if native.load() else "慢速，请运行 make setup"
    return f"TAC 批量验证：{zh} | TAC verdicts in bulk: {state}"


def _command(commands: Any, name: str, act: Any, help_line: str) -> Any:
    parser = commands.add_parser(name, help=help_line, description=help_line)
    parser.set_defaults(act=act)
    keys_args.wants_keys(parser)
    return parser
