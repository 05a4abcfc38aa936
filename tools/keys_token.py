"""`ykt keys token`: make a PKCS#11 token for our keys, and say what it does and what it cannot.

Exit codes: 0 done, 1 refused or found wrong, 2 wrong usage.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from backoffice.keys import token, token_link
from backoffice.keys import token_abilities as abilities
from tools.backoffice_text import print_table

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
SO_PIN_VARIABLE = "YKT_TOKEN_SO_PIN"
_WHERE = {abilities.INSIDE: "令牌内 | inside", abilities.LENDS: "借出 | lends", abilities.REFUSED: "拒绝 | refused"}


def configure(commands: Any) -> None:
    """Adds `token` to the sub-commands of `ykt keys`."""
    help_line = "PKCS#11 令牌 | PKCS#11 tokens"
    actions = commands.add_parser("token", help=help_line, description=help_line).add_subparsers(
        dest="token_action", metavar="ACTION", required=True
    )
    help_line = "建立令牌并写其说明文件 | make a token, and the file that names it"
    init = actions.add_parser("init", help=help_line, description=help_line)
    init.set_defaults(act=_init)
    wants_token(init, required=True)
    init.add_argument("--module", default=MODULE, metavar="FILE",
                      help=f"厂商的 PKCS#11 库 | the vendor's PKCS#11 library (default {MODULE})")
    init.add_argument("--label", default="yikatong", metavar="NAME", help="令牌名 | its name (default yikatong)")
    init.add_argument("--slot", type=int, metavar="N", help="槽号 | only this slot (default: any that is free)")
    init.add_argument("--so-pin-file", type=Path, metavar="FILE",
                      help=f"管理员 PIN 文件 | the security officer's PIN (default: ${SO_PIN_VARIABLE})")
    kind = init.add_mutually_exclusive_group(required=True)
    kind.add_argument("--test", action="store_true",
                      help="只放测试密钥 | for test keys; a production database refuses it")
    kind.add_argument("--production", action="store_true", help="只放生产密钥 | for production keys")
    init.add_argument("--strict", action="store_true",
                      help="一律不借出密钥,3DES TAC 交由第二提供者 | lends no key: TACs are the second provider's")

    help_line = "能做什么,在何处做 | what it does, and where"
    status = actions.add_parser("status", help=help_line, description=help_line)
    status.set_defaults(act=_status)
    wants_token(status, required=True)
    status.add_argument("--json", action="store_true", help="供程序读取 | for a program to read")


def wants_token(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """--token and what opens it."""
    parser.add_argument("--token", type=Path, required=required, metavar="FILE",
                        help="PKCS#11 令牌说明文件 | the file that names a PKCS#11 token: backoffice/docs/pkcs11.md")
    parser.add_argument("--pin-file", type=Path, metavar="FILE",
                        help=f"PIN 文件,取首行 | its first line is the PIN (default: ${token_link.PIN_VARIABLE})")


def open_token(args: argparse.Namespace) -> token.Token:
    """The token of the arguments of `wants_token`. Raises TokenError and its kinds."""
    return token.open_token(args.token, token_link.read_pin(args.pin_file))


def _init(args: argparse.Namespace) -> None:
    so_pin = token_link.read_pin(args.so_pin_file, SO_PIN_VARIABLE)
    pin = token_link.read_pin(args.pin_file)
    config = token_link.Config(args.module, args.label, None, args.strict)
    token_link.check_label(config.token)
    token_link.write_config(args.token, config)
    try:
        token.init_token(config._replace(slot=args.slot), so_pin, pin, args.test)
    except BaseException:
        args.token.unlink(missing_ok=True)
        raise
    zh, en = ("测试密钥", "test keys") if args.test else ("生产密钥", "production keys")
    print(f"{args.token}: 令牌 {config.token} 已建立,用于{zh} | token {config.token} is made, for {en}")


def _status(args: argparse.Namespace) -> None:
    opened = open_token(args)
    rows, infos = opened.capabilities(), opened.infos()
    if args.json:
        print(json.dumps({
            "token": opened.config.token, "module": opened.config.module, "test": opened.test,
            "strict": opened.config.strict, "keys": len(infos),
            "capabilities": [row._asdict() for row in rows],
        }, ensure_ascii=False))  # fmt: skip
        return
    zh, en = ("测试密钥", "test keys") if opened.test else ("生产密钥", "production keys")
    print(f"令牌 {opened.config.token}: {zh} {len(infos)} 个 | token {opened.config.token}: {len(infos)} {en}")
    if opened.config.strict:
        print("严格:不借出任何密钥 | strict: lends no key")
    print()
    print_table(
        (("操作", "operation"), ("算法", "algorithm"), ("何处", "where"), ("说明", ""), ("", "about")),
        [(row.operation, row.algorithm, _WHERE[row.where], row.zh, row.en) for row in rows],
        left=5,
    )
