"""`ykt keys audit | check | verify`: who used the keys, what they are, and what they say of transactions."""

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backoffice.keys import audit, hierarchy, native
from backoffice.keys.backend import KeysError
from backoffice.keys.service import OK, ROW_VERDICTS, TAC_ROW, TacRequest
from tools import keys_args
from tunion import bcd
from tunion.record import BadInput

ROWS_A_CALL = 100_000  # so that a file of any length is read in pieces
_COLUMNS = ("issuer", "card", "algorithm", "amount_fen", "type", "terminal", "terminal_seq", "at", "tac")
_MORE_COLUMNS = {"product": 0, "version": 1}
_FILE_HELP = "CSV,或 48 字节记录 (.rows) | CSV, or rows of 48 bytes (.rows): backoffice/docs/keys.md"


class BadFile(KeysError):
    """The file is not what is verified here. The message names the line; no verdict was given for it."""


def configure(commands: Any) -> None:
    """Adds the three to `ykt keys`."""
    help_line = "审计 | who used which key"
    actions = commands.add_parser("audit", help=help_line, description=help_line)
    actions = actions.add_subparsers(dest="audit_action", metavar="ACTION", required=True)
    check = _command(actions, "verify", _audit_verify, "检查审计链 | nothing was changed, taken out or put in")
    check.add_argument("--lines", type=int, metavar="N", help="以前记下的行数 | how many lines were noted before")
    check.add_argument("--digest", metavar="HEX", help="以前记下的摘要 | and their digest")
    _command(actions, "list", _audit_list, "列出 | the lines")

    help_line = "校验值 | check value of a key"
    check = commands.add_parser("check", help=help_line, description=help_line)
    check.set_defaults(act=_check)
    keys_args.wants_keys(check, schemes=True)
    check.add_argument("--purpose", choices=hierarchy.PURPOSES, required=True, metavar="PURPOSE", help="用途 | purpose")
    check.add_argument("--algorithm", default="3DES", help="算法 | (default 3DES)")
    check.add_argument("--version", type=int, default=1, metavar="N", help="版本 | (default 1)")
    check.add_argument("--issuer", type=_hex, default=b"", metavar="HEX", help="发卡机构标识 | issuer, 16 digits")
    check.add_argument("--below", type=_hex, default=b"", metavar="HEX",
                       help="卡号末 16 位或芯片序列号 | last 16 digits of a card number, or a chip's serial")
    check.add_argument("--kcv", metavar="HEX", help="应有的校验值 | what it should be; another one is exit code 1")
    check.add_argument("--json", action="store_true", help="供程序读取 | for a program to read")

    verify = commands.add_parser("verify", help="验证 TAC | TAC verdicts of a file",
                                 description="验证 TAC | TAC verdicts of a file; exit code 1 where one is not ok")
    verify.set_defaults(act=_verify)
    verify.add_argument("file", type=Path, metavar="FILE", help=_FILE_HELP)
    keys_args.wants_keys(verify, schemes=True)
    verify.add_argument("--caller", default="ykt keys verify", metavar="NAME",
                        help="计量所用的名称 | who is counted and written down")
    verify.add_argument("--json", action="store_true", help="只给总数 | the counts alone, as one object")


def _command(actions: Any, name: str, act: Any, help_line: str) -> Any:
    parser = actions.add_parser(name, help=help_line, description=help_line)
    parser.set_defaults(act=act)
    files = parser.add_mutually_exclusive_group(required=True)
    beside = (("--vault", "密钥库,审计在其旁 | vault: its audit is beside"), ("--token", "令牌 | or a token's file"))
    for name, words in beside:
        files.add_argument(name, dest="file", type=Path, metavar="FILE", help=words)
    parser.add_argument("--json", action="store_true", help="供程序读取 | for a program to read")
    return parser


def _audit_verify(args: argparse.Namespace) -> None:
    if (args.lines is None) != (args.digest is None):
        raise KeysError("--lines and --digest are noted together and given together")
    known = audit.Head(args.lines, args.digest.lower()) if args.digest is not None else None
    head = audit.verify(audit.beside(args.file), known)
    jobs = audit.open_jobs(audit.beside(args.file))
    if args.json:
        print(json.dumps({**head._asdict(), "open_jobs": [row["n"] for row in jobs]}))
        return
    print(f"审计完整 | the audit holds: {head.lines} 行 lines, {head.digest}")
    for row in jobs:
        said = f"{row['n']}: {row['at']} {row['caller']}, {row['job']}"
        print(f"作业未结束（进行中，或程序中断）| a job without an end (in hand, or its program died), line {said}")


def _audit_list(args: argparse.Namespace) -> None:
    path = audit.beside(args.file)
    if not path.exists():
        print("没有记录 | no key was used yet")
        return
    for row in audit.rows(path):
        if args.json:
            print(json.dumps(row, ensure_ascii=False))
            continue
        more = {name: value for name, value in row.items() if name not in _ROW_FIELDS and value != ""}
        words = [f"{name} {value}" for name, value in more.items()]
        said = (row["n"], row["at"], row["caller"], row["op"], " ".join(row["keys"]), f"×{row['count']}", *words)
        print("  ".join(map(str, said)))


_ROW_FIELDS = ("n", "at", "caller", "op", "keys", "count", "digest", "prev", "hash")


def _check(args: argparse.Namespace) -> int:
    keys = keys_args.open_keys_as_they_are(args)
    below = (args.below,) if args.below else ()
    path = keys.find(args.purpose, args.algorithm, args.version, args.issuer, *below)
    found = keys.kcv(path)
    factors = [factor.hex().upper() for factor in path.factors]
    if args.json:
        print(json.dumps({"key": path.key_id, "factors": factors, "kcv": found}))
    else:
        print(f"{' '.join([path.key_id, *factors])}  KCV {found}")
    if args.kcv is not None and args.kcv.upper() != found:
        print(f"ykt keys: 校验值不符 | the check value should be {args.kcv.upper()}", file=sys.stderr)
        return 1
    return 0


def _verify(args: argparse.Namespace) -> int:
    keys = keys_args.open_keys_as_they_are(args, args.caller)
    counts: Counter[str] = Counter()
    number = 0
    for rows in _rows_of(args.file):
        verdicts = keys.tac_verify_rows(rows)
        names = [ROW_VERDICTS[code] for code in verdicts]
        counts.update(names)
        if not args.json:
            sys.stdout.writelines(f"{number + at},{name}\n" for at, name in enumerate(names, 1))
        number += len(names)
    keys.close()
    if args.json:
        print(json.dumps({"rows": number, **{name: counts[name] for name in ROW_VERDICTS.values()}}))
    return 0 if counts[OK] == number else 1


def _rows_of(path: Path) -> Iterator[bytes]:
    """TAC_ROWs in pieces."""
    if path.suffix == ".rows":
        with path.open("rb") as file:
            while rows := file.read(TAC_ROW.size * ROWS_A_CALL):
                yield rows
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = set(_COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise BadFile(f"{path} has no column {', '.join(sorted(missing))}")
        requests: list[TacRequest] = []
        for line, row in enumerate(reader, 2):
            requests.append(_request(path, line, row))
            if len(requests) == ROWS_A_CALL:
                yield native.pack_rows(requests, native.load())
                requests = []
        if requests:
            yield native.pack_rows(requests, native.load())


def _request(path: Path, line: int, row: dict[str, Any]) -> TacRequest:
    try:
        at = row["at"]
        request = TacRequest(
            issuer=bytes.fromhex(row["issuer"]),
            card=bcd.from_digits(row["card"].rjust(20, "0")),
            algorithm=int(row["algorithm"]),
            amount_fen=int(row["amount_fen"]),
            type=int(row["type"]),
            terminal=bytes.fromhex(row["terminal"]),
            terminal_seq=int(row["terminal_seq"]),
            at_s=bcd.at_s(bytes.fromhex(at)) if len(at) == 14 else int(at),
            tac=bytes.fromhex(row["tac"]),
            **{name: int(row.get(name) or default) for name, default in _MORE_COLUMNS.items()},
        )
        native.pack_rows([request], None)
        return request
    except (ValueError, TypeError, AttributeError, BadInput) as error:
        raise BadFile(f"{path}, line {line}: a field is not as backoffice/docs/keys.md has it") from error


def _hex(text: str) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != hierarchy.FACTOR_BYTES:
        raise argparse.ArgumentTypeError("16 hex digits")
    return value
